/* Operations that a change overtakes, on purpose: the moments are made, and not waited for. */
#include "release_fixture.h"

#include "verifier/policy/explain.h"
#include "verifier/warden/ledger_internal.h"

/* What happens where an operation pauses: the first time, once. */
static void (*in_pause)(struct warden_fixture *f);
static struct warden_fixture *fixture;
static unsigned pauses;

uint64_t __real_ledger_pause(struct ledger *ledger);
uint64_t __wrap_ledger_pause(struct ledger *ledger);

uint64_t __wrap_ledger_pause(struct ledger *ledger)
{
    uint64_t revision;
    pauses++;
    ledger_done(ledger);
    if (in_pause != NULL)
        TAKE(in_pause)(fixture);
    (void)ledger_read(ledger, &revision);
    return __real_ledger_pause(ledger);
}

/* --- Lists of what is unused --- */

#define ROWS 40 /* of which the last is activated after the first was looked at */

static void activate_last(struct warden_fixture *f)
{
    json_auto_t *changed = admin_do(f, "measurement.activate",
                                    PARAMS(p_text("image", "payments"), p_text("version", "40")));
    ck_assert_str_eq(text_at(changed, "result"), "changed");
}

static void add_rows(struct warden_fixture *f)
{
    for (unsigned i = 1; i <= ROWS; i++) {
        struct mkdoc_fields fields;
        CLEANUP(buf_free) struct buf pcrs = {0};
        char version[8];
        mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, i);
        pcr_map(&fields, 7, &pcrs);
        snprintf(version, sizeof version, "%u", i);
        json_decref(admin_do(f, "measurement.add",
                             PARAMS(p_text("image", "payments"), p_text("version", version),
                                    p_map("pcrs", &pcrs), p_bool("draft", i == ROWS))));
    }
}

/* A month-old draft that was just activated is not unused for a month: a row is judged by its
 * state and its use of one time. */
START_TEST(valid_activated_beside_a_page)
{
    FIXTURE(f);
    fixture = &f;
    add_rows(&f);
    advance_ms(30 * (int64_t)DAY_MS);
    in_pause = activate_last;
    json_auto_t *page =
        admin_do(&f, "measurement.list", PARAMS(p_text("unused_since", "2026-12-15T00:00:00Z")));
    ck_assert_uint_eq(pauses, ROWS / 16);
    ck_assert_uint_eq(json_array_size(json_at(page, "measurements")), ROWS - 1);
    ck_assert_uint_eq(uint_at(page, "measurements.38.id"), ROWS - 1);
}
END_TEST

/* --- Explain --- */

static void add_person(struct warden_fixture *f)
{
    json_auto_t *added = admin_do(f, "person.add", PARAMS(p_text("name", "bob")));
    ck_assert_str_eq(text_at(added, "result"), "added");
}

/* Builds of payments that are none of the document's: into the policy in memory, past the store. */
static void load_many(struct warden_fixture *f, unsigned count)
{
    struct policy *policy = f->warden->ledger->policy;
    for (unsigned i = 1; i <= count; i++) {
        CLEANUP(buf_free) struct buf columns = {0};
        CLEANUP(policy_measurement_free)
        struct policy_measurement m = {.image_id = 1, .state = MEASUREMENT_ACTIVE};
        struct pcr_set pcrs = {.present = PCR_BITS_CODE};
        memcpy(m.root, attest_trust_root_sha256(f->warden->trust), sizeof m.root);
        for (size_t pcr = 0; pcr < 3; pcr++)
            memcpy(pcrs.value[pcr], &i, sizeof i);
        snprintf(m.version, sizeof m.version, "x%u", i);
        ck_ok(pcr_set_append(&pcrs, &m.pcrs));
        ck_ok(buf_append(&m.labels, bytes_of("\xa0", 1)));
        ck_ok(policy_measurement_append(&m, &columns));
        ck_ok(policy_measurement_load(policy, policy_measurement_count(policy) + 1,
                                      bytes_of_buf(&columns)));
    }
}

/* A search through very many builds lets changes and releases through. */
START_TEST(valid_change_beside_explain)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture = &f;
    fixture_policy(&f);
    load_many(&f, EXPLAIN_BUILDS_AT_ONCE);
    attempt_make(&f, &a);
    a.fields.pcr[0][0] ^= 1;
    attempt_sign(&a);
    json_auto_t *status = admin_do(&f, "status", NO_PARAMS);
    in_pause = add_person;
    json_auto_t *answer =
        admin_do(&f, "explain",
                 PARAMS(p_buf("attestation_document", &a.document), p_text("secrets", "db/main")));
    ck_assert_uint_eq(pauses, 1);
    ck_assert_str_eq(text_at(answer, "secrets.0.nearest.measurement"), "payments@1.4.2");
    /* As it was decided, before the pause. */
    ck_assert_uint_eq(uint_at(answer, "policy_revision"), uint_at(status, "policy_revision"));
    json_auto_t *persons = admin_do(&f, "person.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(persons, "persons")), 2);
}
END_TEST

UNIT_MAIN("admin_overtaken", valid_activated_beside_a_page, valid_change_beside_explain)
