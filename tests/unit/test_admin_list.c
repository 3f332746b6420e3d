/* Lists of more rows than one call looks at: whatever is asked for, page by page, is what a look
 * at every row finds.  The rows are put into the policy in memory, past the store. */
#include "warden_fixture.h"

#include "verifier/warden/admin_list.h"
#include "verifier/warden/ledger_internal.h"

#define IMAGES 3
#define BUILDS (ADMIN_LOOK_MAX + 200)

/* Of the first image a few, of the second most, of the third none; few are revoked. */
static uint64_t image_of(uint64_t id)
{
    return id % 1000 == 1 ? 1 : 2;
}

static enum measurement_state state_of(uint64_t id)
{
    return id > ADMIN_LOOK_MAX + 100 && id % 10 == 0 ? MEASUREMENT_REVOKED : MEASUREMENT_ACTIVE;
}

static void load_many(struct warden_fixture *f)
{
    struct policy *policy = f->warden->ledger->policy;
    for (uint64_t id = 1; id <= IMAGES; id++) {
        CLEANUP(buf_free) struct buf columns = {0};
        struct policy_image image = {.created_ms = NOW_MS};
        snprintf(image.name, sizeof image.name, "image%u", (unsigned)id);
        ck_ok(policy_image_append(&image, &columns));
        ck_ok(policy_image_load(policy, id, bytes_of_buf(&columns)));
    }
    for (uint64_t id = 1; id <= BUILDS; id++) {
        CLEANUP(buf_free) struct buf columns = {0};
        CLEANUP(policy_measurement_free)
        struct policy_measurement m = {.image_id = image_of(id),
                                       .kind = ATTDOC_ENCLAVE,
                                       .state = state_of(id),
                                       .created_ms = NOW_MS};
        struct pcr_set pcrs = {.present = PCR_BITS_CODE};
        for (unsigned i = 0; i < 3; i++)
            memcpy(pcrs.value[i], &id, sizeof id);
        snprintf(m.version, sizeof m.version, "v%u", (unsigned)id);
        ck_ok(pcr_set_append(&pcrs, &m.pcrs));
        ck_ok(buf_append(&m.labels, bytes_of("\xa0", 1)));
        ck_ok(policy_measurement_append(&m, &columns));
        ck_ok(policy_measurement_load(policy, id, bytes_of_buf(&columns)));
    }
}

/* All pages of the list, and how many there were. */
static unsigned demand_list(struct warden_fixture *f, uint64_t limit, const char *image,
                            const char *state)
{
    uint64_t expected = 0; /* the last one found */
    uint64_t after = 0;
    for (unsigned pages = 1;; pages++) {
        struct param params[4] = {p_uint("limit", limit), p_uint("after", after)};
        size_t count = 2;
        if (image != NULL)
            params[count++] = p_text("image", image);
        if (state != NULL)
            params[count++] = p_text("state", state);
        json_auto_t *page = admin_do(f, "measurement.list", params, count);
        const json_t *rows = json_at(page, "measurements");
        ck_assert_uint_le(json_array_size(rows), limit);
        for (size_t i = 0; i <= json_array_size(rows); i++) {
            do {
                expected++;
            } while (expected <= BUILDS &&
                     ((image != NULL && image_of(expected) != (uint64_t)(image[5] - '0')) ||
                      (state != NULL &&
                       strcmp(state, measurement_state_name(state_of(expected))) != 0)));
            if (i < json_array_size(rows))
                ck_assert_uint_eq(uint_at(json_array_get(rows, i), "id"), expected);
        }
        expected--; /* the first one that is not in the page */
        if (json_at(page, "next") == NULL) {
            ck_assert_uint_eq(expected, BUILDS);
            return pages;
        }
        ck_assert_uint_gt(uint_at(page, "next"), after);
        after = uint_at(page, "next");
        ck_assert_uint_le(after, expected); /* skips nothing */
    }
}

START_TEST(valid_pages)
{
    FIXTURE(f);
    load_many(&f);
    ck_assert_uint_eq(demand_list(&f, 1000, NULL, NULL), 11);
    ck_assert_uint_eq(demand_list(&f, 4, "image1", NULL), 3);
    ck_assert_uint_eq(demand_list(&f, 100, "image1", "revoked"), 1);
    ck_assert_uint_eq(demand_list(&f, 1000, "image2", NULL), 11);
    ck_assert_uint_eq(demand_list(&f, 1000, "image3", NULL), 1);
    /* Nothing among the first so many: the first page is empty and there is a second. */
    ck_assert_uint_eq(demand_list(&f, 100, NULL, "revoked"), 2);
    ck_assert_uint_eq(demand_list(&f, 100, "image2", "revoked"), 2);
    ck_assert_uint_eq(demand_list(&f, 100, NULL, "draft"), 2);
    /* After a row that is none of the image's. */
    json_auto_t *page =
        admin_do(&f, "measurement.list",
                 PARAMS(p_text("image", "image1"), p_uint("after", 2500), p_uint("limit", 1)));
    ck_assert_uint_eq(uint_at(page, "measurements.0.id"), 3001);
    json_auto_t *images = admin_do(&f, "image.list", NO_PARAMS);
    ck_assert_uint_eq(uint_at(images, "images.0.measurements.active"), 11);
    ck_assert_uint_eq(uint_at(images, "images.1.measurements.revoked"), 10);
    ck_assert_uint_eq(uint_at(images, "images.2.measurements.active"), 0);
}
END_TEST

UNIT_MAIN("admin_list", valid_pages)
