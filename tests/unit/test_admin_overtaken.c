/* Operations that a change overtakes, on purpose: the moments are made, and not waited for. */
#include "admin_fixture.h"
#include "release_fixture.h"

#include "verifier/policy/explain.h"
#include "verifier/warden/ledger_internal.h"

/* What happens where an operation pauses, or waits for its turn: the first time, once. */
static void (*in_pause)(struct warden_fixture *f);
static void (*before_turn)(struct warden_fixture *f);
static struct warden_fixture *fixture;
static unsigned pauses;

uint64_t __real_ledger_pause(struct ledger *ledger);
uint64_t __wrap_ledger_pause(struct ledger *ledger);
const struct policy *__real_ledger_begin(struct ledger *ledger, uint64_t *revision);
const struct policy *__wrap_ledger_begin(struct ledger *ledger, uint64_t *revision);

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

const struct policy *__wrap_ledger_begin(struct ledger *ledger, uint64_t *revision)
{
    if (before_turn != NULL)
        TAKE(before_turn)(fixture);
    return __real_ledger_begin(ledger, revision);
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

/* --- A token that ends while its request waits --- */

static void revoke_token(struct warden_fixture *f)
{
    json_auto_t *revoked = admin_do(f, "token.revoke", PARAMS(p_uint("id", 2)));
    ck_assert_str_eq(text_at(revoked, "result"), "revoked");
}

static void remove_person(struct warden_fixture *f)
{
    json_auto_t *removed = admin_do(f, "person.remove", PARAMS(p_text("name", "bob")));
    ck_assert_str_eq(text_at(removed, "result"), "removed");
}

/* The request was authenticated, and changes nothing: of the two, only the end of the token is on
 * record. */
static void expect_too_late(void (*end)(struct warden_fixture *f), const char *operation,
                            const struct param *params, size_t count)
{
    FIXTURE(f);
    uint8_t token[WARDEN_TOKEN_LEN];
    fixture = &f;
    fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL), token);
    fixture_measurement(&f, "payments", "1", SEED);
    json_auto_t *before = admin_do(&f, "status", NO_PARAMS);
    before_turn = end;
    const enum err err =
        admin_as(&f, bytes_of(token, sizeof token), operation, params, count, NULL);
    ck_assert_msg(err == ERR_UNAUTHENTICATED, "%s: %s [%s] %s", operation, err_wire(err),
                  f.fault.field, f.fault.detail);
    ck_assert_str_eq(f.fault.field, "");
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "token 2 ended while this request waited"));
    ck_assert(before_turn == NULL);
    json_auto_t *after = admin_do(&f, "status", NO_PARAMS);
    ck_assert_uint_eq(uint_at(after, "policy_revision"), uint_at(before, "policy_revision") + 1);
    ck_assert_uint_eq(uint_at(after, "audit_sequence"), uint_at(before, "audit_sequence") + 1);
    /* Nobody waits behind it. */
    json_decref(admin_do(&f, "person.add", PARAMS(p_text("name", "eve"))));
}

START_TEST(wrong_token_ended_meanwhile)
{
    CLEANUP(buf_free) struct buf pcrs = {0};
    struct mkdoc_fields fields;
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED + 1);
    pcr_map(&fields, 7, &pcrs);
#define BUILD(version_) p_text("image", "payments"), p_text("version", (version_))
    expect_too_late(revoke_token, "person.add", PARAMS(p_text("name", "mallory")));
    expect_too_late(remove_person, "person.add", PARAMS(p_text("name", "mallory")));
    expect_too_late(revoke_token, "measurement.add", PARAMS(BUILD("2"), p_map("pcrs", &pcrs)));
    expect_too_late(revoke_token, "measurement.revoke", PARAMS(BUILD("1")));
    expect_too_late(revoke_token, "issuer.install", PARAMS(p_bytes("delegation", "", 0)));
}
END_TEST

/* Nor is a value stored, though it was sealed in time. */
START_TEST(wrong_put_after_the_end)
{
    FIXTURE(f);
    CLEANUP(put_free) struct put put = {.version = 0};
    uint8_t first[WARDEN_TOKEN_LEN];
    uint8_t ann[WARDEN_TOKEN_LEN];
    fixture = &f;
    fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL), first);
    memcpy(ann, f.token, sizeof ann);
    memcpy(f.token, first, sizeof first);
    put_begin(&f, &put, "db/main", "a value"); /* bob's */
    memcpy(f.token, ann, sizeof ann);
    before_turn = revoke_token;
    ck_err(admin_as(&f, bytes_of(first, sizeof first), "secret.put", PUT_PARAMS(&put), NULL),
           ERR_UNAUTHENTICATED);
    json_auto_t *list = admin_do(&f, "secret.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "secrets")), 0);
}
END_TEST

UNIT_MAIN("admin_overtaken", valid_activated_beside_a_page, valid_change_beside_explain,
          wrong_token_ended_meanwhile, wrong_put_after_the_end)
