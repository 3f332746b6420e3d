/* The audit chain and its checkpoints (PROTOCOL section 8), and commits that fail: memory
 * then says what the store says. */
#include "release_fixture.h"

#include <signal.h>
#include <sys/resource.h>

#include "verifier/warden/ledger_internal.h"

/* --- The chain, verified as an auditor would: from the export alone --- */

struct auditor {
    uint64_t count;
    uint64_t checkpoints;
    uint8_t hash[SHA384_LEN];
};

static void verify_checkpoint(const struct warden_fixture *f, const json_t *shown,
                              const struct auditor *at, EVP_PKEY *key)
{
    struct cose_sign1 cose;
    struct audit_checkpoint checkpoint;
    CLEANUP(buf_free) struct buf message = {0};
    bytes_at(shown, "message", &message);
    ck_ok(cose_sign1_parse(COSE_CHECKPOINT, bytes_of_buf(&message), &cose, NULL));
    ck_ok(cose_sign1_verify(&cose, key, NULL));
    ck_ok(audit_checkpoint_parse(cose.payload, &checkpoint, NULL));
    ck_assert_uint_eq(checkpoint.sequence, at->count);
    ck_assert_uint_eq(uint_at(shown, "sequence"), at->count);
    ck_assert_mem_eq(checkpoint.hash, at->hash, SHA384_LEN);
    ck_assert_mem_eq(checkpoint.store_id, f->founded.store_id, PROTOCOL_STORE_ID_LEN);
    ck_assert_uint_eq(checkpoint.time_ms, (uint64_t)clock_now_ms());
    ck_assert_uint_ge(checkpoint.policy_revision, 1);
}

static EVP_PKEY *delegated_key(const struct warden_fixture *f, const json_t *page)
{
    CLEANUP(buf_free) struct buf delegation = {0};
    struct delegation named;
    EVP_PKEY *key = NULL;
    bytes_at(page, "delegations.0", &delegation);
    ck_ok(delegation_verify(bytes_of_buf(&delegation), &f->pins, (uint64_t)clock_now_ms(), &named,
                            &key, NULL));
    return key;
}

static void verify_page(const struct warden_fixture *f, const json_t *page, struct auditor *at)
{
    EVP_PKEY *key = delegated_key(f, page);
    const json_t *records = json_at(page, "records");
    size_t next = 0;
    for (size_t i = 0; i < json_array_size(records); i++) {
        CLEANUP(buf_free) struct buf record = {0};
        json_t *json = NULL;
        ck_ok(base64_decode(bytes_of_text(json_string_value(json_array_get(records, i))), &record));
        ck_ok(audit_chain_next(at->hash, bytes_of_buf(&record), at->hash));
        ck_ok(audit_record_to_json(bytes_of_buf(&record), &json, NULL));
        ck_assert_uint_eq(uint_at(json, "sequence"), ++at->count);
        json_decref(json);
        const json_t *checkpoint = json_array_get(json_at(page, "checkpoints"), next);
        if (checkpoint != NULL && uint_at(checkpoint, "sequence") == at->count) {
            verify_checkpoint(f, checkpoint, at, key);
            at->checkpoints++;
            next++;
        }
    }
    ck_assert_uint_eq(next, json_array_size(json_at(page, "checkpoints")));
    EVP_PKEY_free(key);
}

static void verify_all(struct warden_fixture *f, struct auditor *at, uint64_t limit)
{
    uint64_t from = 1;
    char tail[2 * SHA384_LEN + 1];
    *at = (struct auditor){.count = 0};
    ck_ok(audit_chain_first(f->founded.store_id, at->hash));
    for (;;) {
        json_auto_t *page =
            admin_do(f, "audit.export", PARAMS(p_uint("from", from), p_uint("limit", limit)));
        verify_page(f, page, at);
        if (json_at(page, "next") == NULL) {
            hex_encode(bytes_of(at->hash, SHA384_LEN), tail);
            ck_assert_str_eq(text_at(page, "tail.hash"), tail);
            ck_assert_uint_eq(uint_at(page, "tail.sequence"), at->count);
            return;
        }
        ck_assert_uint_eq(uint_at(page, "next"), at->count + 1);
        from = uint_at(page, "next");
    }
}

START_TEST(valid_chain)
{
    FIXTURE(f);
    struct auditor whole;
    struct auditor paged;
    fixture_policy(&f);
    for (unsigned run = 0; run < 3; run++) {
        ATTEMPT(a);
        ATTEMPT(b);
        attempt_make(&f, &a);
        ck_ok(attempt_send(&f, &a));
        attempt_make(&f, &b);
        b.fields.pcr[0][0] ^= 1;
        attempt_sign(&b);
        ck_err(attempt_send(&f, &b), ERR_REFUSED);
        fixture_close(&f); /* serve.stop and its checkpoint */
        fixture_open(&f);  /* serve.start and its checkpoint */
    }
    verify_all(&f, &whole, 1000);
    verify_all(&f, &paged, 3);
    ck_assert_mem_eq(whole.hash, paged.hash, SHA384_LEN);
    ck_assert_uint_eq(whole.count, 1 + 1 + 3 + 3 * 4);
    ck_assert_uint_eq(whole.checkpoints, 1 + 3 * 2);
    ck_assert_uint_eq(paged.checkpoints, whole.checkpoints);
}
END_TEST

/* One bit of a record, and the export no longer verifies. */
START_TEST(wrong_record)
{
    FIXTURE(f);
    uint8_t hash[SHA384_LEN];
    char hex[2 * SHA384_LEN + 1];
    fixture_policy(&f);
    db_run(&f, "UPDATE audit SET record = (SELECT record FROM audit WHERE sequence = 3)"
               " WHERE sequence = 4");
    json_auto_t *page = admin_do(&f, "audit.export", NO_PARAMS);
    ck_ok(audit_chain_first(f.founded.store_id, hash));
    for (size_t i = 0; i < json_array_size(json_at(page, "records")); i++) {
        CLEANUP(buf_free) struct buf record = {0};
        ck_ok(base64_decode(
            bytes_of_text(json_string_value(json_array_get(json_at(page, "records"), i))),
            &record));
        ck_ok(audit_chain_next(hash, bytes_of_buf(&record), hash));
    }
    hex_encode(bytes_of(hash, sizeof hash), hex);
    ck_assert_str_ne(text_at(page, "tail.hash"), hex);
}
END_TEST

START_TEST(valid_every_so_many)
{
    FIXTURE(f);
    const struct ledger_change nothing = {.count = 0};
    const uint64_t before = db_number(&f, "SELECT count(*) FROM checkpoint");
    for (unsigned i = 0; i < LEDGER_CHECKPOINT_EVERY; i++) {
        uint64_t revision;
        (void)ledger_begin(f.warden->ledger, &revision);
        const struct audit_event event = {
            .time_ms = NOW_MS, .event = "test", .request_id = "", .policy_revision = revision};
        ck_ok(ledger_commit_change(f.warden->ledger, &nothing, &event, &f.fault));
    }
    ck_assert_uint_eq(db_number(&f, "SELECT count(*) FROM checkpoint"), before + 1);
    ck_assert_uint_eq(db_number(&f, "SELECT max(sequence) FROM checkpoint"),
                      db_number(&f, "SELECT max(sequence) FROM audit"));
}
END_TEST

/* --- Commits that fail --- */

/* What the warden says of itself. */
static void expect_state(struct warden_fixture *f, const json_t *before)
{
    json_auto_t *after = admin_do(f, "status", NO_PARAMS);
    ck_assert_uint_eq(uint_at(after, "policy_revision"), uint_at(before, "policy_revision"));
    ck_assert_uint_eq(uint_at(after, "audit_sequence"), uint_at(before, "audit_sequence"));
    ck_assert(json_equal(json_at(after, "counts"), json_at(before, "counts")) == 1);
}

static void add_refused(struct warden_fixture *f, enum err code)
{
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED + 3);
    pcr_map(&fields, 7, &pcrs);
    ck_err(admin_try(f, "measurement.add",
                     PARAMS(p_text("image", "new"), p_text("version", "1"), p_map("pcrs", &pcrs)),
                     NULL),
           code);
}

static void goes_on(struct warden_fixture *f)
{
    ATTEMPT(a);
    TAKEN(t);
    fixture_measurement(f, "new", "1", SEED + 3);
    attempt_make(f, &a);
    ck_ok(attempt_send(f, &a));
    attempt_take(f, &a, &t);
    fixture_close(f);
    fixture_open(f); /* every MAC and the head are what memory had made */
}

START_TEST(wrong_locked)
{
    FIXTURE(f);
    sqlite3 *db = NULL;
    fixture_policy(&f);
    json_auto_t *before = admin_do(&f, "status", NO_PARAMS);
    ck_assert_int_eq(sqlite3_open(f.database, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    add_refused(&f, ERR_BUSY);
    ck_assert_int_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_state(&f, before);
    goes_on(&f);
}
END_TEST

/* No file may grow: as on a full disk. */
START_TEST(wrong_full)
{
    FIXTURE(f);
    struct rlimit was;
    fixture_policy(&f);
    json_auto_t *before = admin_do(&f, "status", NO_PARAMS);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = was.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    const enum err admin = admin_try(&f, "grant.remove", PARAMS(p_uint("id", 1)), NULL);
    ATTEMPT(a);
    attempt_make(&f, &a);
    const enum err release = attempt_send(&f, &a);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
    ck_err(admin, ERR_STORE);
    ck_err(release, ERR_STORE);
    ck_assert_uint_eq(a.answer.len, 0);
    expect_state(&f, before);
    goes_on(&f);
}
END_TEST

/* Another process has written a record: the chain in memory is not the store's any more,
 * and nothing more is decided on its word. */
START_TEST(wrong_other_writer)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    db_run(&f, "INSERT INTO audit SELECT max(sequence) + 1, time_ms, 'x', 'x', record, hash"
               " FROM audit");
    add_refused(&f, ERR_STORE_CONFLICT);
    ck_err(attempt_send(&f, &a), ERR_STORE_CONFLICT);
    ck_assert_uint_eq(a.answer.len, 0);
}
END_TEST

/* Another process has changed the policy (its head): nothing is decided on the old one. */
START_TEST(wrong_other_policy)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    db_run(&f, "UPDATE policy_head SET revision = revision + 1");
    add_refused(&f, ERR_STORE_CONFLICT);
    ck_err(attempt_send(&f, &a), ERR_STORE_CONFLICT);
    ck_assert_uint_eq(a.answer.len, 0);
}
END_TEST

/* --- While it serves, the file withdraws and grants nothing --- */

START_TEST(wrong_row_while_serving)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(b);
    fixture_policy(&f);
    json_decref(admin_do(&f, "measurement.revoke",
                         PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"))));
    db_run(&f, "UPDATE measurement SET state = 2");
    attempt_make(&f, &a);
    REFUSED(&f, &a, ERR_REFUSED, "", "measurement_revoked");
    db_run(&f, "DELETE FROM measurement");
    attempt_make(&f, &b);
    REFUSED(&f, &b, ERR_REFUSED, "", "measurement_revoked");
}
END_TEST

/* How far the ledger has come, as the anchor file says it. */
static void demand_anchor(const char *path, uint64_t revision, uint64_t sequence)
{
    CLEANUP(buf_free) struct buf text = {0};
    char end[80];
    read_file(path, &text);
    snprintf(end, sizeof end, "\nrevision %llu\nsequence %llu\n", (unsigned long long)revision,
             (unsigned long long)sequence);
    ck_assert_ptr_nonnull(strstr(buf_text(&text), end));
}

/* Each change moves the anchor, but not back where a later one was there first. */
START_TEST(valid_anchor)
{
    FIXTURE(f);
    char path[256];
    struct ledger *l = f.warden->ledger;
    state_path(&f, "anchor", path);
    l->anchor_path = path;
    for (unsigned i = 0; i < 2; i++) {
        fixture_measurement(&f, "payments", i == 0 ? "1" : "2", SEED + i);
        demand_anchor(path, l->head.revision, l->sequence);
    }
    const uint64_t revision = l->head.revision;
    const uint64_t sequence = l->sequence;
    l->anchored = UINT64_MAX;
    fixture_measurement(&f, "payments", "3", SEED + 2);
    demand_anchor(path, revision, sequence);
    l->anchor_path = NULL;
}
END_TEST

/* The sealed values that a change erases are gone with its commit, and others are not. */
START_TEST(valid_erased)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    CLEANUP(ledger_change_free) struct ledger_change change = {.count = 0};
    CLEANUP(buf_free) struct buf columns = {0};
    static const struct sealed_ref erased[] = {{1, 1}, {1, 2}};
    uint64_t revision;
    fixture_found(&f);
    fixture_open(&f);
    fixture_secret(&f, "db/main", "the first value");
    fixture_secret(&f, "db/main", "the second value");
    fixture_secret(&f, "db/other", "another");
    const struct policy *policy = ledger_begin(f.warden->ledger, &revision);
    struct policy_secret destroyed = *policy_secret_get(policy, 1);
    destroyed.state = SECRET_DESTROYED;
    ck_ok(policy_secret_append(&destroyed, &columns));
    ck_ok(ledger_change_add(&change, POLICY_SECRET, 1, &columns));
    change.erased_count = ARRAY_LEN(erased);
    change.erased = erased;
    const struct audit_event event = {.time_ms = (uint64_t)clock_now_ms(),
                                      .request_id = "",
                                      .event = "secret.destroy",
                                      .policy_revision = revision + 1,
                                      .code = "ok",
                                      .object = "db/main",
                                      .detail = ""};
    ck_ok(ledger_commit_change(f.warden->ledger, &change, &event, &f.fault));
    fixture_close(&f);
    ck_assert_uint_eq(db_number(&f, "SELECT count(*) FROM sealed_value WHERE secret_id = 1"), 0);
    ck_assert_uint_eq(db_number(&f, "SELECT count(*) FROM sealed_value"), 1);
    fixture_open(&f);
}
END_TEST

UNIT_MAIN("ledger_chain", valid_chain, wrong_record, valid_every_so_many, wrong_locked, wrong_full,
          wrong_other_writer, wrong_other_policy, wrong_row_while_serving, valid_erased,
          valid_anchor)
