/* Lists of more rows than one call looks at: whatever is asked for, page by page, is what a look
 * at every row finds.  The rows are put into the policy in memory, past the store. */
#include "warden_fixture.h"

#include <pthread.h>
#include <unistd.h>

#include "common/codec.h"
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

/* The newer, the later it was used last; before that it was of no use for a day. */
#define DAY_MS UINT64_C(86400000)
static uint64_t last_ms_of(uint64_t id)
{
    return NOW_MS + id * 1000;
}

static void load_many(struct warden_fixture *f)
{
    char sql[400];
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
                                       .created_ms = NOW_MS - DAY_MS};
        struct pcr_set pcrs = {.present = PCR_BITS_CODE};
        for (unsigned i = 0; i < 3; i++)
            memcpy(pcrs.value[i], &id, sizeof id);
        snprintf(m.version, sizeof m.version, "v%u", (unsigned)id);
        ck_ok(pcr_set_append(&pcrs, &m.pcrs));
        ck_ok(buf_append(&m.labels, bytes_of("\xa0", 1)));
        ck_ok(policy_measurement_append(&m, &columns));
        ck_ok(policy_measurement_load(policy, id, bytes_of_buf(&columns)));
    }
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < %u)"
             " INSERT INTO measurement_use (measurement_id, first_ms, last_ms, releases, enclaves)"
             " SELECT id, %llu, %llu + id * 1000, 1, 1 FROM n",
             (unsigned)BUILDS, (unsigned long long)NOW_MS, (unsigned long long)NOW_MS);
    db_run(f, sql);
}

/* What is asked for; NULL and 0: nothing in particular. */
struct asked {
    uint64_t limit;
    const char *image;
    const char *state;
    uint64_t used_before; /* the first build that was not */
};

static bool is_asked_for(const struct asked *asked, uint64_t id)
{
    if (asked->image != NULL && image_of(id) != (uint64_t)(asked->image[5] - '0'))
        return false;
    if (asked->state != NULL && strcmp(asked->state, measurement_state_name(state_of(id))) != 0)
        return false;
    return asked->used_before == 0 ||
           (id < asked->used_before && state_of(id) == MEASUREMENT_ACTIVE);
}

static void demand_row(const json_t *row, uint64_t id)
{
    char last_seen[TIME_TEXT_MAX];
    time_format((int64_t)last_ms_of(id), last_seen);
    ck_assert_uint_eq(uint_at(row, "id"), id);
    ck_assert_str_eq(text_at(row, "last_seen"), last_seen);
}

/* All pages of the list, and how many there were. */
static unsigned demand_list(struct warden_fixture *f, struct asked asked)
{
    char unused_since[TIME_TEXT_MAX];
    uint64_t expected = 0; /* the last one found */
    uint64_t after = 0;
    for (unsigned pages = 1;; pages++) {
        struct param params[5] = {p_uint("limit", asked.limit), p_uint("after", after)};
        size_t count = 2;
        if (asked.image != NULL)
            params[count++] = p_text("image", asked.image);
        if (asked.state != NULL)
            params[count++] = p_text("state", asked.state);
        time_format((int64_t)last_ms_of(asked.used_before), unused_since);
        if (asked.used_before != 0)
            params[count++] = p_text("unused_since", unused_since);
        json_auto_t *page = admin_do(f, "measurement.list", params, count);
        const json_t *rows = json_at(page, "measurements");
        ck_assert_uint_le(json_array_size(rows), asked.limit);
        for (size_t i = 0; i <= json_array_size(rows); i++) {
            do {
                expected++;
            } while (expected <= BUILDS && !is_asked_for(&asked, expected));
            if (i < json_array_size(rows))
                demand_row(json_array_get(rows, i), expected);
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
#define PAGES(...) demand_list(&f, (struct asked){__VA_ARGS__})
    ck_assert_uint_eq(PAGES(.limit = 1000), 11);
    ck_assert_uint_eq(PAGES(.limit = 4, .image = "image1"), 3);
    ck_assert_uint_eq(PAGES(.limit = 100, .image = "image1", .state = "revoked"), 1);
    ck_assert_uint_eq(PAGES(.limit = 1000, .image = "image2"), 11);
    ck_assert_uint_eq(PAGES(.limit = 1000, .image = "image3"), 1);
    /* Nothing among the first so many: the first page is empty and there is a second. */
    ck_assert_uint_eq(PAGES(.limit = 100, .state = "revoked"), 2);
    ck_assert_uint_eq(PAGES(.limit = 100, .image = "image2", .state = "revoked"), 2);
    ck_assert_uint_eq(PAGES(.limit = 100, .state = "draft"), 2);
    /* Used or not, the same. */
    ck_assert_uint_eq(PAGES(.limit = 100, .used_before = 250), 3);
    ck_assert_uint_eq(PAGES(.limit = 3, .image = "image1", .used_before = 3500), 2);
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

/* --- A change beside a long page --- */

#define ROWS 64

struct page {
    struct warden_fixture *f;
    struct warden_fixture other; /* the same warden, for the thread */
    pthread_t thread;
    uint64_t persons; /* at the last row but one */
};

static void *add_person(void *context)
{
    struct page *page = context;
    json_decref(admin_do(&page->other, "person.add", PARAMS(p_text("name", "bob"))));
    return NULL;
}

/* Readers that come wait behind a writer that waits. */
static bool a_change_waits(struct warden_fixture *f)
{
    pthread_rwlock_t *lock = &f->warden->ledger->policy_lock;
    if (pthread_rwlock_tryrdlock(lock) != 0)
        return true;
    pthread_rwlock_unlock(lock);
    return false;
}

static bool look_at_row(const struct policy *policy, uint64_t id, const void *context)
{
    struct page *page = *(struct page *const *)context;
    if (id == ROWS / 2) {
        ck_assert_int_eq(pthread_create(&page->thread, NULL, add_person, page), 0);
        while (!a_change_waits(page->f))
            usleep(1000);
        ck_assert_uint_eq(policy_person_count(policy), 1);
    }
    if (id == ROWS - 1)
        page->persons = policy_person_count(policy);
    return false;
}

static enum err show_nothing(const struct policy *policy, uint64_t id, const void *context,
                             json_t *object)
{
    (void)policy, (void)id, (void)context, (void)object;
    return ERR_OK;
}

/* It is let through in the middle of the page, and not after it. */
START_TEST(valid_change_beside_a_page)
{
    FIXTURE(f);
    struct warden_request request = {.op = WARDEN_ADMIN};
    struct fault fault = FAULT_NONE;
    struct page page = {.f = &f, .other = f};
    struct page *const context = &page;
    struct admin_call call = {.warden = f.warden, .request = &request, .fault = &fault};
    json_auto_t *out = json_object();
    uint64_t revision;
    page.other.requests = 5000;
    const struct policy *policy = ledger_read(f.warden->ledger, &revision);
    ck_ok(admin_list(&call, policy, "rows", ROWS, look_at_row, show_nothing, &context, out));
    ledger_done(f.warden->ledger);
    ck_assert_int_eq(pthread_join(page.thread, NULL), 0);
    ck_assert_uint_eq(page.persons, 2);
    ck_assert_ptr_null(json_object_get(out, "next"));
}
END_TEST

UNIT_MAIN("admin_list", valid_pages, valid_change_beside_a_page)
