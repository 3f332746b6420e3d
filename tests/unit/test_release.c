/* A release end to end: V6 and V7 of DESIGN section 3, PROTOCOL sections 4 and 5. */
#include "release_fixture.h"

#include "verifier/keyring/keyring.h"

START_TEST(valid_formats)
{
    FIXTURE(f);
    fixture_policy(&f);
    for (const char *const *format = wrap_formats; *format != NULL; format++) {
        ATTEMPT(a);
        TAKEN(t);
        attempt_begin(&f, &a, *format);
        want(&a, "db/main", 0, 0);
        attempt_bind(&a);
        attempt_sign(&a);
        const enum err err = attempt_send(&f, &a);
        ck_assert_msg(err == ERR_OK, "%s [%s] %s", err_wire(err), f.fault.field, f.fault.detail);
        attempt_take(&f, &a, &t);
        expect_value(&t, 0, "the first value");
        ck_assert_uint_eq(t.version[0], 1);
        ck_assert_uint_eq(t.receipt.time_ms, NOW_MS);
        ck_assert_uint_eq(t.receipt.audit_sequence, audit_sequence(&f));
        ck_assert_uint_eq(t.receipt.item[0].flags, 0);
        ck_assert_uint_eq(t.receipt.measurement_count, 1);
        ck_assert_str_eq(t.receipt.measurement[0], "payments@1.4.2");
    }
}
END_TEST

/* The most that can be asked for, the longest and the shortest values, in request order. */
START_TEST(valid_several)
{
    FIXTURE(f);
    ATTEMPT(a);
    TAKEN(t);
    char *longest = malloc(PROTOCOL_SECRET_MAX + 1);
    ck_assert_ptr_nonnull(longest);
    memset(longest, 'v', PROTOCOL_SECRET_MAX);
    longest[PROTOCOL_SECRET_MAX] = '\0';
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    attempt_begin(&f, &a, "hpke-p256");
    for (unsigned i = 0; i < PROTOCOL_SECRETS_MAX; i++) {
        char name[16];
        const unsigned n = (i * 7) % PROTOCOL_SECRETS_MAX; /* not the order of their ids */
        snprintf(name, sizeof name, "s%u", i);
        fixture_secret(&f, name, i == 3 ? longest : name);
        fixture_grant(&f, name, "payments");
        snprintf(name, sizeof name, "s%u", n);
        want(&a, name, 0, 0);
    }
    attempt_bind(&a);
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
    attempt_take(&f, &a, &t);
    ck_assert_uint_eq(t.count, PROTOCOL_SECRETS_MAX);
    for (unsigned i = 0; i < PROTOCOL_SECRETS_MAX; i++)
        expect_value(&t, i, (i * 7) % PROTOCOL_SECRETS_MAX == 3 ? longest : a.wanted.item[i].name);
    free(longest);
}
END_TEST

START_TEST(valid_record)
{
    FIXTURE(f);
    ATTEMPT(a);
    TAKEN(t);
    char hex[2 * SHA384_LEN + 1];
    char challenge[2 * PROTOCOL_CHALLENGE_LEN + 1];
    fixture_policy(&f);
    attempt_make(&f, &a);
    ck_ok(attempt_send(&f, &a));
    attempt_take(&f, &a, &t);
    json_auto_t *r = audit_newest(&f);
    ck_assert_uint_eq(uint_at(r, "sequence"), t.receipt.audit_sequence);
    ck_assert_str_eq(text_at(r, "event"), "release.granted");
    ck_assert_str_eq(text_at(r, "code"), "ok");
    ck_assert_str_eq(text_at(r, "time"), "2026-11-23T00:00:00Z");
    ck_assert_str_eq(text_at(r, "peer"), "203.0.113.7:41234");
    ck_assert_int_eq(strncmp(text_at(r, "request_id"), "req-", 4), 0);
    ck_assert_str_eq(text_at(r, "document.module_id"), MODULE);
    ck_assert_str_eq(text_at(r, "document.region"), REGION);
    ck_assert_str_eq(text_at(r, "document.kind"), "enclave");
    ck_assert(json_is_false(json_at(r, "document.debug")));
    hex_encode(bytes_of(t.receipt.document_digest, SHA384_LEN), hex);
    ck_assert_str_eq(text_at(r, "document.digest"), hex);
    hex_encode(bytes_of(a.fields.pcr[0], ATTDOC_PCR_LEN), hex);
    ck_assert_str_eq(text_at(r, "document.pcrs.0"), hex);
    hex_encode(bytes_of(t.receipt.challenge, PROTOCOL_CHALLENGE_LEN), challenge);
    ck_assert_str_eq(text_at(r, "challenge"), challenge);
    ck_assert_str_eq(text_at(r, "secrets.0.name"), "db/main");
    ck_assert_uint_eq(uint_at(r, "secrets.0.version"), 1);
    ck_assert_str_eq(text_at(r, "secrets.0.reason"), "granted");
    ck_assert_str_eq(text_at(r, "secrets.0.measurement"), "payments@1.4.2");
    ck_assert_ptr_null(json_object_get(r, "person"));
}
END_TEST

START_TEST(valid_counters)
{
    FIXTURE(f);
    ATTEMPT(granted);
    ATTEMPT(refused);
    ATTEMPT(rejected);
    fixture_policy(&f);
    attempt_make(&f, &granted);
    ck_ok(attempt_send(&f, &granted));
    attempt_make(&f, &refused);
    refused.fields.pcr[0][9] ^= 1;
    attempt_sign(&refused);
    ck_err(attempt_send(&f, &refused), ERR_REFUSED);
    ck_err(attempt_send(&f, &rejected), ERR_MALFORMED); /* nothing wanted: no request at all */
    attempt_make(&f, &rejected);
    rejected.document.len = 0;
    ck_err(attempt_send(&f, &rejected), ERR_CBOR_MALFORMED);
    json_auto_t *status = admin_do(&f, "status", NO_PARAMS);
    ck_assert_uint_eq(uint_at(status, "counters.challenges"), 3);
    ck_assert_uint_eq(uint_at(status, "counters.granted"), 1);
    ck_assert_uint_eq(uint_at(status, "counters.refused"), 1);
    ck_assert_uint_eq(uint_at(status, "counters.rejected"), 1);
}
END_TEST

/* --- Quotas --- */

static uint64_t quota_grant(struct warden_fixture *f, const char *secret, uint64_t quota)
{
    json_auto_t *added = admin_do(
        f, "grant.add",
        PARAMS(p_text("secret", secret), p_text("image", "payments"), p_uint("quota", quota)));
    return uint_at(added, "grant.id");
}

static uint64_t quota_used(struct warden_fixture *f, const char *secret, uint64_t quota)
{
    json_auto_t *same = admin_do(
        f, "grant.add",
        PARAMS(p_text("secret", secret), p_text("image", "payments"), p_uint("quota", quota)));
    ck_assert_str_eq(text_at(same, "result"), "unchanged");
    return uint_at(same, "grant.used");
}

static void attempt_module(struct warden_fixture *f, struct attempt *a, const char *module_id)
{
    attempt_make(f, a);
    a->fields.module_id = module_id;
    attempt_sign(a);
}

static void begin_quota(struct warden_fixture *f, uint64_t quota)
{
    fixture_measurement(f, "payments", "1.4.2", SEED);
    fixture_secret(f, "db/main", "the first value");
    quota_grant(f, "db/main", quota);
}

START_TEST(valid_quota)
{
    FIXTURE(f);
    begin_quota(&f, 2);
    for (unsigned i = 0; i < 3; i++) { /* a lost answer, asked for again, costs nothing */
        ATTEMPT(a);
        TAKEN(t);
        attempt_module(&f, &a, "i-1-enc1");
        ck_ok(attempt_send(&f, &a));
        attempt_take(&f, &a, &t);
        ck_assert_uint_eq(quota_used(&f, "db/main", 2), 1);
    }
    ATTEMPT(second);
    attempt_module(&f, &second, "i-1-enc2");
    ck_ok(attempt_send(&f, &second));
    ck_assert_uint_eq(quota_used(&f, "db/main", 2), 2);
    ATTEMPT(third);
    attempt_module(&f, &third, "i-1-enc3");
    REFUSED(&f, &third, ERR_REFUSED, "", "over_quota");
    ck_assert_uint_eq(third.answer.len, 0);
    ck_assert_uint_eq(quota_used(&f, "db/main", 2), 2);
    fixture_close(&f);
    fixture_open(&f);
    ATTEMPT(again); /* one of the two still may, after a restart; another still may not */
    attempt_module(&f, &again, "i-1-enc2");
    ck_ok(attempt_send(&f, &again));
    ATTEMPT(fourth);
    attempt_module(&f, &fourth, "i-1-enc4");
    REFUSED(&f, &fourth, ERR_REFUSED, "", "over_quota");
}
END_TEST

/* Over one quota of two: neither is counted, nothing is released. */
START_TEST(wrong_one_quota)
{
    FIXTURE(f);
    ATTEMPT(first);
    ATTEMPT(both);
    begin_quota(&f, 5);
    fixture_secret(&f, "db/other", "another");
    quota_grant(&f, "db/other", 1);
    attempt_begin(&f, &first, "hpke-x25519");
    want(&first, "db/other", 0, 0);
    attempt_bind(&first);
    first.fields.module_id = "i-1-enc1";
    attempt_sign(&first);
    ck_ok(attempt_send(&f, &first));
    attempt_begin(&f, &both, "hpke-x25519");
    want(&both, "db/main", 0, 0);
    want(&both, "db/other", 0, 0);
    attempt_bind(&both);
    both.fields.module_id = "i-1-enc2";
    attempt_sign(&both);
    REFUSED(&f, &both, ERR_REFUSED, "", "over_quota");
    ck_assert_uint_eq(quota_used(&f, "db/main", 5), 0);
    ck_assert_uint_eq(quota_used(&f, "db/other", 1), 1);
}
END_TEST

/* A refusal for another reason counts nothing either. */
START_TEST(wrong_refused_quota)
{
    FIXTURE(f);
    ATTEMPT(a);
    begin_quota(&f, 1);
    attempt_begin(&f, &a, "hpke-x25519");
    want(&a, "db/main", 0, 0);
    want(&a, "nothing/here", 0, 0);
    attempt_bind(&a);
    attempt_sign(&a);
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    ck_assert_uint_eq(quota_used(&f, "db/main", 1), 0);
}
END_TEST

/* --- The delegation --- */

/* A receipt that nobody would accept is not made, nor a release recorded: the challenge
 * is as good as before. */
static void undelegated(struct warden_fixture *f, struct attempt *a)
{
    const uint64_t sequence = audit_sequence(f);
    const uint64_t redeemed = db_number(f, REDEEMED);
    ck_err(attempt_send(f, a), ERR_DELEGATION_EXPIRED);
    ck_assert_uint_eq(audit_sequence(f), sequence);
    ck_assert_uint_eq(db_number(f, REDEEMED), redeemed);
}

static void delegate(struct warden_fixture *f, struct buf *message)
{
    char path[128];
    EVP_PKEY *issuer = NULL;
    CLEANUP(buf_free) struct buf receipt_key = {0};
    json_auto_t *answer = admin_do(f, "issuer.receipt-key", NO_PARAMS);
    bytes_at(answer, "receipt_key", &receipt_key);
    state_path(f, "issuer.key", path);
    ck_ok(issuer_key_load(path, &issuer, NULL));
    ck_ok(delegation_sign(issuer, bytes_of_buf(&receipt_key), f->founded.store_id,
                          (uint64_t)clock_now_ms(), 30 * DAY_MS, message));
    EVP_PKEY_free(issuer);
}

START_TEST(wrong_delegation_expired)
{
    FIXTURE(f);
    ATTEMPT(last);
    ATTEMPT(late);
    TAKEN(t);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    CLEANUP(buf_free) struct buf renewed = {0};
    fixture_policy(&f);
    advance_ms((int64_t)(FOUND_DELEGATION_DAYS * DAY_MS));
    mkdoc_chain_defaults(&f.spec, clock_now_ms(), MODULE, REGION);
    ck_ok(mkdoc_chain_extend(&f.chain, 1, &f.spec, &chain));
    attempt_make(&f, &last);
    last.chain = &chain;
    attempt_sign(&last);
    ck_ok(attempt_send(&f, &last)); /* the last millisecond */
    attempt_make(&f, &late);
    late.chain = &chain;
    attempt_sign(&late);
    advance_ms(1);
    undelegated(&f, &late);
    delegate(&f, &renewed);
    json_decref(admin_do(&f, "issuer.install", PARAMS(p_buf("delegation", &renewed))));
    ck_ok(attempt_send(&f, &late));
    attempt_take(&f, &late, &t);
}
END_TEST

START_TEST(wrong_delegation_not_yet)
{
    FIXTURE(f);
    ATTEMPT(a);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    fixture_policy(&f);
    advance_ms(-(int64_t)DELEGATION_BACKDATE_MS - 1);
    mkdoc_chain_defaults(&f.spec, clock_now_ms(), MODULE, REGION);
    ck_ok(mkdoc_chain_extend(&f.chain, 1, &f.spec, &chain));
    attempt_make(&f, &a);
    a.chain = &chain;
    attempt_sign(&a);
    undelegated(&f, &a);
    advance_ms(1);
    ck_ok(attempt_send(&f, &a));
}
END_TEST

/* A refusal needs no receipt: it is decided and recorded all the same. */
START_TEST(wrong_refused_undelegated)
{
    FIXTURE(f);
    ATTEMPT(a);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    advance_ms((int64_t)(91 * DAY_MS));
    mkdoc_chain_defaults(&f.spec, clock_now_ms(), MODULE, REGION);
    ck_ok(mkdoc_chain_extend(&f.chain, 1, &f.spec, &chain));
    attempt_make(&f, &a);
    a.chain = &chain;
    attempt_sign(&a);
    REFUSED(&f, &a, ERR_REFUSED, "", "unknown_secret");
}
END_TEST

/* --- The sealed value, altered by whoever writes the database --- */

static void begin_two(struct warden_fixture *f)
{
    fixture_policy(f);
    fixture_secret(f, "db/main", "the second value");
    fixture_secret(f, "db/other", "another");
    fixture_grant(f, "db/other", "payments");
}

static void sealed_refused(const char *sql, enum err code)
{
    FIXTURE(f);
    ATTEMPT(a);
    begin_two(&f);
    attempt_make(&f, &a);
    db_run(&f, sql);
    ck_err(attempt_send(&f, &a), code);
    ck_assert_uint_eq(a.answer.len, 0);
    ck_assert_ptr_null(strstr(f.fault.detail, "value"));
}

START_TEST(wrong_sealed)
{
    sealed_refused("UPDATE sealed_value SET sealed = (SELECT sealed FROM sealed_value"
                   " WHERE secret_id = 2) WHERE secret_id = 1",
                   ERR_STORE_TAMPERED); /* of another secret */
    sealed_refused("UPDATE sealed_value SET sealed = (SELECT sealed FROM sealed_value"
                   " WHERE secret_id = 1 AND version = 1) WHERE secret_id = 1",
                   ERR_STORE_TAMPERED); /* of an older version */
    sealed_refused("UPDATE sealed_value SET sealed = substr(sealed, 1, length(sealed) - 1)",
                   ERR_STORE_TAMPERED);
    sealed_refused("UPDATE sealed_value SET sealed = x''", ERR_STORE_TAMPERED);
}
END_TEST

/* Where there is none the transaction fails as a whole: no record, no challenge spent. */
START_TEST(no_sealed)
{
    FIXTURE(f);
    ATTEMPT(a);
    begin_two(&f);
    attempt_make(&f, &a);
    const uint64_t sequence = audit_sequence(&f);
    db_run(&f, "DELETE FROM sealed_value WHERE secret_id = 1");
    ck_err(attempt_send(&f, &a), ERR_STORE);
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    ck_assert_uint_eq(db_number(&f, REDEEMED), 0);
}
END_TEST

/* --- No durable record, no release --- */

START_TEST(no_record)
{
    FIXTURE(f);
    ATTEMPT(a);
    TAKEN(t);
    sqlite3 *db = NULL;
    fixture_policy(&f);
    attempt_make(&f, &a);
    const uint64_t sequence = audit_sequence(&f);
    ck_assert_int_eq(sqlite3_open(f.database, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    ck_err(attempt_send(&f, &a), ERR_BUSY);
    ck_assert_uint_eq(a.answer.len, 0);
    ck_assert_int_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    ck_ok(attempt_send(&f, &a)); /* nothing was spent */
    attempt_take(&f, &a, &t);
    ck_assert_uint_eq(t.receipt.audit_sequence, sequence + 1);
}
END_TEST

UNIT_MAIN("release", valid_formats, valid_several, valid_record, valid_counters, valid_quota,
          wrong_one_quota, wrong_refused_quota, wrong_delegation_expired, wrong_delegation_not_yet,
          wrong_refused_undelegated, wrong_sealed, no_sealed, no_record)
