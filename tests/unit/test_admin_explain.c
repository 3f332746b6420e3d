/* Explain through the warden's door: what it says of a document and of a recorded request, and
 * that asking changes nothing. */
#include "release_fixture.h"

#include "verifier/warden/explain.h"

#define MAIN p_text("secrets", "db/main")
#define EXPLAIN_REFUSED(code, field, ...) \
    ADMIN_REFUSED(&f, (code), (field), "explain", PARAMS(__VA_ARGS__))

/* Everything that a question could change. */
struct trace {
    uint64_t sequence;
    uint64_t redeemed;
    uint64_t counted;
    uint64_t granted;
    uint64_t refused;
    uint64_t rejected;
    uint64_t put_off;
};

static struct trace traces(struct warden_fixture *f)
{
    return (struct trace){
        .sequence = audit_sequence(f),
        .redeemed = db_number(f, REDEEMED),
        .counted = db_number(f, "SELECT count(*) FROM quota_use"),
        .granted = atomic_load(&f->warden->granted),
        .refused = atomic_load(&f->warden->refused),
        .rejected = atomic_load(&f->warden->rejected),
        .put_off = atomic_load(&f->warden->put_off),
    };
}

static json_t *explain(struct warden_fixture *f, const struct param *params, size_t count)
{
    const struct trace before = traces(f);
    json_t *answer = admin_do(f, "explain", params, count);
    const struct trace after = traces(f);
    ck_assert_mem_eq(&before, &after, sizeof before);
    return answer;
}

static json_t *explain_document(struct warden_fixture *f, const struct attempt *a,
                                const char *secrets)
{
    return explain(f,
                   PARAMS(p_buf("attestation_document", &a->document), p_text("secrets", secrets)));
}

/* Of the last request that was sent. */
static json_t *explain_last(struct warden_fixture *f, unsigned number)
{
    char id[32];
    snprintf(id, sizeof id, "req-%u", number);
    return explain(f, PARAMS(p_text("request", id)));
}

static const char *result_of(const json_t *answer, const char *list, const char *check)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_at(answer, list), i, row)
    {
        if (strcmp(text_at(row, "check"), check) == 0)
            return text_at(row, "result");
    }
    return "none";
}

static void expect_verdict(const json_t *answer, const char *verdict, const char *code,
                           const char *reason)
{
    ck_assert_str_eq(text_at(answer, "verdict"), verdict);
    ck_assert_str_eq(text_at(answer, "code"), code);
    ck_assert_str_eq(text_at(answer, "secrets.0.reason"), reason);
}

/* --- Documents --- */

START_TEST(valid_document)
{
    FIXTURE(f);
    ATTEMPT(a);
    TAKEN(t);
    fixture_policy(&f);
    attempt_make(&f, &a);
    json_auto_t *answer = explain_document(&f, &a, "db/main");
    expect_verdict(answer, "released", "ok", "granted");
    ck_assert_ptr_null(json_at(answer, "detail"));
    ck_assert_str_eq(text_at(answer, "judged_at"), "2026-11-23T00:00:00Z");
    ck_assert_uint_eq(uint_at(answer, "policy_revision"), 4);
    ck_assert_str_eq(text_at(answer, "document.module_id"), MODULE);
    ck_assert_str_eq(text_at(answer, "document.region"), REGION);
    ck_assert_str_eq(text_at(answer, "matches.0.measurement"), "payments@1.4.2");
    ck_assert_str_eq(text_at(answer, "secrets.0.measurement"), "payments@1.4.2");
    ck_assert_uint_eq(uint_at(answer, "secrets.0.version"), 1);
    ck_assert_uint_eq(uint_at(answer, "secrets.0.tried.0.grant.id"), 1);
    ck_assert_uint_eq(json_array_size(json_at(answer, "secrets.0.tried.0.checks")),
                      policy_check_count());
    ck_assert_str_eq(result_of(answer, "checks", "document_signature"), "ok");
    ck_assert_str_eq(result_of(answer, "checks", "timestamp"), "ok");
    ck_assert_str_eq(result_of(answer, "binding", "challenge"), "ok");
    ck_assert_str_eq(result_of(answer, "binding", "user_data"), "ok");
    ck_assert_str_eq(result_of(answer, "binding", "public_key"), "ok");
    /* Nothing was redeemed: the same document is released now. */
    ck_ok(attempt_send(&f, &a));
    attempt_take(&f, &a, &t);
    json_auto_t *again = explain_document(&f, &a, "db/main");
    expect_verdict(again, "released", "ok", "granted");
    ck_assert_str_eq(result_of(again, "binding", "challenge"), "challenge_redeemed");
}
END_TEST

/* What V2 asks is told, and does not decide. */
START_TEST(valid_binding)
{
    FIXTURE(f);
    ATTEMPT(a);
    static const uint8_t nobody[PROTOCOL_CHALLENGE_LEN];
    fixture_policy(&f);
    attempt_make(&f, &a);
    json_auto_t *other = explain_document(&f, &a, "db/main@1");
    expect_verdict(other, "released", "ok", "granted");
    ck_assert_str_eq(result_of(other, "binding", "user_data"), "request_not_bound");
    advance_ms((PROTOCOL_CHALLENGE_TTL_S + 1) * 1000);
    json_auto_t *late = explain_document(&f, &a, "db/main");
    expect_verdict(late, "released", "ok", "granted");
    ck_assert_str_eq(result_of(late, "binding", "challenge"), "challenge_expired");
    a.fields.nonce.value = bytes_of(nobody, sizeof nobody);
    a.fields.public_key.state = ATTDOC_ABSENT;
    attempt_sign(&a);
    json_auto_t *none = explain_document(&f, &a, "db/main");
    expect_verdict(none, "released", "ok", "granted");
    ck_assert_str_eq(result_of(none, "binding", "challenge"), "challenge_unknown");
    ck_assert_str_eq(result_of(none, "binding", "public_key"), "public_key_unsupported");
}
END_TEST

/* A document that was made for no release says nothing of the application's bytes. */
START_TEST(unknown_application)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    fixture_secret(&f, "db/main", "v");
    json_auto_t *added = admin_do(&f, "grant.add",
                                  PARAMS(p_text("secret", "db/main"), p_text("image", "payments"),
                                         p_bytes("application", "", 0)));
    ck_assert_str_eq(text_at(added, "result"), "added");
    attempt_make(&f, &a);
    json_auto_t *none = explain_document(&f, &a, "db/main");
    expect_verdict(none, "released", "ok", "granted");
    a.fields.user_data.state = ATTDOC_ABSENT;
    a.fields.user_data.value = bytes_of("", 0);
    attempt_sign(&a);
    json_auto_t *unknown = explain_document(&f, &a, "db/main");
    expect_verdict(unknown, "refused", "refused", "grant_application");
    ck_assert_str_eq(result_of(unknown, "secrets.0.tried.0.checks", "application_matches"),
                     "not known");
    ck_assert_str_eq(result_of(unknown, "binding", "user_data"), "request_not_bound");
}
END_TEST

/* Too old, too new: refused for that, and the policy's word is told besides. */
START_TEST(wrong_timestamp)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    advance_ms(WARDEN_DOCUMENT_AGE_MS + 1);
    json_auto_t *old = explain_document(&f, &a, "db/main");
    expect_verdict(old, "refused", "document_stale", "granted");
    ck_assert_str_eq(text_at(old, "field"), "timestamp");
    ck_assert_str_eq(result_of(old, "checks", "timestamp"), "failed");
    json_auto_t *both = explain_document(&f, &a, "db/none");
    expect_verdict(both, "refused", "document_stale", "unknown_secret");
    json_auto_t *then = explain(
        &f, PARAMS(p_buf("attestation_document", &a.document), MAIN, p_text("at", "document")));
    expect_verdict(then, "released", "ok", "granted");
    ck_assert_str_eq(text_at(then, "judged_at"), "2026-11-23T00:00:00Z");
    json_auto_t *early = explain(&f, PARAMS(p_buf("attestation_document", &a.document), MAIN,
                                            p_text("at", "2026-11-22T23:54:59Z")));
    ck_assert_str_eq(text_at(early, "verdict"), "refused");
    json_auto_t *later = explain(&f, PARAMS(p_buf("attestation_document", &a.document), MAIN,
                                            p_text("at", "2026-11-25T00:00:00Z")));
    ck_assert_str_eq(text_at(later, "code"), "certificate_expired");
    ck_assert_str_eq(result_of(later, "checks", "certificate_validity"), "failed");
    ck_assert_str_eq(result_of(later, "checks", "document_signature"), "not reached");
    ck_assert_str_eq(result_of(later, "checks", "timestamp"), "not reached");
    ck_assert_ptr_null(json_at(later, "secrets"));
    ck_assert_ptr_null(json_at(later, "document"));
}
END_TEST

/* What did not verify is judged by nothing of the policy. */
START_TEST(wrong_document)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.document.ptr[a.document.len - 1] ^= 1;
    json_auto_t *forged = explain_document(&f, &a, "db/main");
    ck_assert_str_eq(text_at(forged, "verdict"), "refused");
    ck_assert_str_eq(text_at(forged, "code"), "signature_invalid");
    ck_assert_str_eq(result_of(forged, "binding", "challenge"), "ok");
    ck_assert_ptr_null(json_at(forged, "secrets"));
    json_auto_t *junk =
        explain(&f, PARAMS(p_bytes("attestation_document", "", 0), MAIN, p_text("at", "document")));
    ck_assert_str_eq(text_at(junk, "verdict"), "refused");
    ck_assert_ptr_null(json_at(junk, "judged_at"));
    ck_assert_ptr_null(json_at(junk, "binding"));
    a.fields.nitrotpm = true;
    attempt_sign(&a);
    json_auto_t *kind = explain_document(&f, &a, "db/main");
    ck_assert_str_eq(text_at(kind, "code"), "refused");
    ck_assert_str_eq(text_at(kind, "document.kind"), "nitrotpm");
    ck_assert_str_eq(text_at(kind, "secrets.0.reason"), "no_measurement");
}
END_TEST

START_TEST(wrong_debug)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    mkdoc_fields_debug(&a.fields);
    attempt_sign(&a);
    json_auto_t *answer = explain_document(&f, &a, "db/main");
    ck_assert_str_eq(text_at(answer, "verdict"), "refused");
    ck_assert_str_eq(text_at(answer, "code"), "debug");
    ck_assert_ptr_nonnull(strstr(text_at(answer, "detail"), "--debug"));
    ck_assert_uint_eq(json_array_size(json_at(answer, "secrets")), 0);
    const unsigned sent = f.requests + 1;
    ck_err(attempt_send(&f, &a), ERR_DEBUG);
    json_auto_t *recorded = explain_last(&f, sent);
    ck_assert_str_eq(text_at(recorded, "code"), "debug");
    ck_assert_str_eq(text_at(recorded, "record.code"), "debug");
}
END_TEST

START_TEST(valid_differences)
{
    FIXTURE(f);
    ATTEMPT(a);
    char hex[2 * ATTDOC_PCR_LEN + 1];
    fixture_policy(&f);
    attempt_make(&f, &a);
    hex_encode(bytes_of(a.fields.pcr[2], ATTDOC_PCR_LEN), hex);
    a.fields.pcr[2][0] ^= 1;
    attempt_sign(&a);
    json_auto_t *answer = explain_document(&f, &a, "db/main");
    expect_verdict(answer, "refused", "refused", "no_measurement");
    ck_assert_str_eq(text_at(answer, "secrets.0.nearest.measurement"), "payments@1.4.2");
    ck_assert(json_is_true(json_at(answer, "secrets.0.nearest.granted")));
    ck_assert_uint_eq(uint_at(answer, "secrets.0.nearest.equal"), 2);
    ck_assert_uint_eq(json_array_size(json_at(answer, "secrets.0.nearest.different")), 1);
    ck_assert_uint_eq(uint_at(answer, "secrets.0.nearest.different.0.pcr"), 2);
    ck_assert_str_eq(text_at(answer, "secrets.0.nearest.different.0.demanded"), hex);
    ck_assert_str_eq(text_at(answer, "secrets.0.nearest.different.0.meaning"),
                     "another application");
    ck_assert_str_eq(result_of(answer, "secrets.0.tried.0.checks", "grant_exists"), "ok");
    ck_assert_str_eq(result_of(answer, "secrets.0.tried.0.checks", "image_measured"), "failed");
    ck_assert_str_eq(result_of(answer, "secrets.0.tried.0.checks", "build_matches"), "not reached");
}
END_TEST

START_TEST(wrong_parameters)
{
    FIXTURE(f);
#define DOCUMENT p_bytes("attestation_document", "x", 1)
    ADMIN_REFUSED(&f, ERR_MALFORMED, "attestation_document", "explain", NO_PARAMS);
    EXPLAIN_REFUSED(ERR_MALFORMED, "attestation_document", MAIN);
    EXPLAIN_REFUSED(ERR_MALFORMED, "secrets", DOCUMENT);
    EXPLAIN_REFUSED(ERR_MALFORMED, "secrets", DOCUMENT, p_uint("secrets", 1));
    static const char *const secrets[] = {
        "",    ",",   "a,",   ",a",    "a,,b",         "a@",  "@1",  "A",
        "a@0", "a@x", "a@-1", "a@1@2", "a@2147483648", "a,a", "a, b"};
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        EXPLAIN_REFUSED(ERR_MALFORMED, "secrets", DOCUMENT, p_text("secrets", secrets[i]));
    EXPLAIN_REFUSED(ERR_MALFORMED, "secrets", DOCUMENT,
                    p_text("secrets", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"));
    EXPLAIN_REFUSED(ERR_MALFORMED, "at", DOCUMENT, MAIN, p_text("at", "now"));
    EXPLAIN_REFUSED(ERR_MALFORMED, "request", p_text("request", ""));
    EXPLAIN_REFUSED(ERR_MALFORMED, "request", p_uint("request", 1));
    EXPLAIN_REFUSED(ERR_MALFORMED, "request", p_text("request", "x"), MAIN);
    EXPLAIN_REFUSED(ERR_MALFORMED, "request", DOCUMENT, p_text("request", "x"));
}
END_TEST

/* --- Recorded requests --- */

/* Then and now: refused, registered, released. */
START_TEST(valid_request)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_secret(&f, "db/main", "the first value");
    fixture_measurement(&f, "payments", "1.4.1", SEED + 1);
    fixture_grant(&f, "db/main", "payments");
    attempt_make(&f, &a);
    const unsigned sent = f.requests + 1;
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    json_auto_t *answer = explain_last(&f, sent);
    expect_verdict(answer, "refused", "refused", "no_measurement");
    ck_assert_str_eq(text_at(answer, "secrets.0.then.reason"), "no_measurement");
    ck_assert_str_eq(text_at(answer, "record.event"), "release.refused");
    ck_assert_str_eq(text_at(answer, "secrets.0.nearest.measurement"), "payments@1.4.1");
    ck_assert_ptr_null(json_at(answer, "binding"));
    ck_assert_ptr_null(json_at(answer, "checks"));
    const uint64_t revision = uint_at(answer, "record.policy_revision");
    ck_assert_uint_eq(uint_at(answer, "policy_revision"), revision);
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    json_auto_t *now = explain_last(&f, sent);
    expect_verdict(now, "released", "ok", "granted");
    ck_assert_str_eq(text_at(now, "secrets.0.then.reason"), "no_measurement");
    ck_assert_uint_eq(uint_at(now, "policy_revision"), revision + 1);
    /* However long ago: what is judged is the enclave, not its document's age. */
    advance_ms((int64_t)DAY_MS);
    json_auto_t *tomorrow = explain_last(&f, sent);
    expect_verdict(tomorrow, "released", "ok", "granted");
}
END_TEST

/* Decisions are no changes; one page of the log is looked at, and where it ends is told. */
START_TEST(valid_changes)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(b);
    attempt_make(&f, &a);
    const unsigned sent = f.requests + 1;
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    json_auto_t *none = explain_last(&f, sent);
    ck_assert_uint_eq(json_array_size(json_at(none, "changes")), 0);
    attempt_make(&f, &b);
    ck_err(attempt_send(&f, &b), ERR_REFUSED);
    fixture_close(&f);
    fixture_open(&f);
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    json_auto_t *one = explain_last(&f, sent);
    ck_assert_uint_eq(json_array_size(json_at(one, "changes")), 1);
    ck_assert_str_eq(text_at(one, "changes.0.event"), "measurement.add");
    ck_assert_str_eq(text_at(one, "changes.0.person"), "ann");
    ck_assert_str_eq(text_at(one, "changes.0.object"), "payments@1.4.2");
    ck_assert_uint_eq(uint_at(one, "changes.0.sequence"), audit_sequence(&f));
    ck_assert_ptr_null(json_at(one, "changes_next"));
    const uint64_t first = uint_at(one, "record.sequence") + 1;
    db_run(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
               " INSERT INTO audit SELECT sequence + i, 0, '', 'release.refused', x'00', hash"
               " FROM audit_head, n; UPDATE audit_head SET sequence = sequence + 1000");
    json_auto_t *many = explain_last(&f, sent);
    ck_assert_uint_eq(uint_at(many, "changes_next"), first + 1000);
}
END_TEST

/* The same reason again, for all that the request itself said. */
static void same_again(struct warden_fixture *f, uint32_t version, uint32_t min_version,
                       struct bytes application, const char *reason)
{
    ATTEMPT(a);
    attempt_begin(f, &a, "hpke-x25519");
    want(&a, "db/main", version, min_version);
    a.application = application;
    attempt_bind(&a);
    attempt_sign(&a);
    const unsigned sent = f->requests + 1;
    const enum err err = attempt_send(f, &a);
    json_auto_t *answer = explain_last(f, sent);
    ck_assert_str_eq(text_at(answer, "code"), err_wire(err));
    ck_assert_str_eq(text_at(answer, "secrets.0.then.reason"), reason);
    ck_assert_str_eq(text_at(answer, "secrets.0.reason"), reason);
}

START_TEST(valid_asked)
{
    FIXTURE(f);
    fixture_policy(&f);
    fixture_secret(&f, "db/main", "the second value");
    same_again(&f, 0, 0, bytes_of("", 0), "granted");
    same_again(&f, 2, 2, bytes_of("", 0), "granted");
    same_again(&f, 0, 3, bytes_of("", 0), "below_minimum");
    same_again(&f, 1, 0, bytes_of("", 0), "version_not_granted");
    same_again(&f, 3, 0, bytes_of("", 0), "version_unknown");
    json_auto_t *removed = admin_do(&f, "grant.remove", PARAMS(p_uint("id", 1)));
    ck_assert_str_eq(text_at(removed, "result"), "removed");
    json_auto_t *added = admin_do(&f, "grant.add",
                                  PARAMS(p_text("secret", "db/main"), p_text("image", "payments"),
                                         p_bytes("application", "tenant-1", 8)));
    ck_assert_str_eq(text_at(added, "result"), "added");
    same_again(&f, 0, 0, bytes_of_text("tenant-1"), "granted");
    same_again(&f, 0, 0, bytes_of_text("tenant-2"), "grant_application");
    same_again(&f, 0, 0, bytes_of("", 0), "grant_application");
}
END_TEST

START_TEST(valid_quota)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    fixture_secret(&f, "db/main", "v");
    json_auto_t *added = admin_do(
        &f, "grant.add",
        PARAMS(p_text("secret", "db/main"), p_text("image", "payments"), p_uint("quota", 1)));
    ck_assert_str_eq(text_at(added, "result"), "added");
    attempt_make(&f, &a);
    json_auto_t *before = explain_document(&f, &a, "db/main");
    expect_verdict(before, "released", "ok", "granted");
    ck_assert_uint_eq(uint_at(before, "secrets.0.quota.limit"), 1);
    ck_assert_uint_eq(uint_at(before, "secrets.0.quota.used"), 0);
    ck_assert(json_is_false(json_at(before, "secrets.0.quota.counted")));
    ck_ok(attempt_send(&f, &a));
    json_auto_t *after = explain_document(&f, &a, "db/main");
    expect_verdict(after, "released", "ok", "granted");
    ck_assert_uint_eq(uint_at(after, "secrets.0.quota.used"), 1);
    ck_assert(json_is_true(json_at(after, "secrets.0.quota.counted")));
    /* Another enclave finds it used up, and so does who asks about it. */
    db_run(&f, "UPDATE quota_use SET module_id = 'i-other'");
    json_auto_t *over = explain_document(&f, &a, "db/main");
    expect_verdict(over, "refused", "refused", "over_quota");
    ATTEMPT(b);
    attempt_make(&f, &b);
    const unsigned sent = f.requests + 1;
    ck_err(attempt_send(&f, &b), ERR_REFUSED);
    json_auto_t *recorded = explain_last(&f, sent);
    expect_verdict(recorded, "refused", "refused", "over_quota");
    ck_assert_str_eq(text_at(recorded, "secrets.0.then.reason"), "over_quota");
}
END_TEST

START_TEST(no_record)
{
    FIXTURE(f);
    ATTEMPT(a);
    char id[32];
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.document.ptr[a.document.len - 1] ^= 1;
    snprintf(id, sizeof id, "req-%u", f.requests + 1);
    ck_err(attempt_send(&f, &a), ERR_SIGNATURE);
    EXPLAIN_REFUSED(ERR_NOT_FOUND, "request", p_text("request", id));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, id));
    json_auto_t *newest = audit_newest(&f);
    EXPLAIN_REFUSED(ERR_NOT_FOUND, "request", p_text("request", text_at(newest, "request_id")));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "administrator"));
}
END_TEST

/* --- Records --- */

/* A record as the API shows it, changed by `change`. */
static enum err read_changed(struct warden_fixture *f, struct explain_record *out,
                             void (*change)(json_t *record))
{
    json_t *record = audit_newest(f);
    change(record);
    return explain_record_read(record, out, &f->fault);
}

static void keep_all(json_t *record)
{
    (void)record;
}

static void make_old(json_t *record)
{
    json_t *document = json_object_get(record, "document");
    json_object_del(document, "application_sha256");
    json_object_del(document, "pcr_present");
    json_object_del(json_array_get(json_object_get(record, "secrets"), 0), "asked");
}

static void lose_root(json_t *record)
{
    json_object_del(json_object_get(record, "document"), "root_sha256");
}

static void lose_kind(json_t *record)
{
    json_object_set_new(json_object_get(record, "document"), "kind", json_string("tpm"));
}

static void lose_document(json_t *record)
{
    json_object_del(record, "document");
}

static void lose_secrets(json_t *record)
{
    json_object_del(record, "secrets");
}

static void lose_name(json_t *record)
{
    json_object_del(json_array_get(json_object_get(record, "secrets"), 0), "name");
}

static void cut_pcr(json_t *record)
{
    json_t *pcrs = json_object_get(json_object_get(record, "document"), "pcrs");
    json_object_set_new(pcrs, "0", json_string("00"));
}

static void add_pcr(json_t *record)
{
    json_t *pcrs = json_object_get(json_object_get(record, "document"), "pcrs");
    json_object_set_new(pcrs, "32", json_incref(json_object_get(pcrs, "0")));
}

static void cut_application(json_t *record)
{
    json_object_set_new(json_object_get(record, "document"), "application_sha256",
                        json_string("00"));
}

#define RECORD(r) CLEANUP(explain_record_free) struct explain_record r = {.json = NULL}

START_TEST(valid_records)
{
    FIXTURE(f);
    ATTEMPT(a);
    RECORD(r);
    RECORD(old);
    uint8_t hash[SHA256_LEN];
    attempt_begin(&f, &a, "hpke-x25519");
    want(&a, "db/main", 3, 2);
    attempt_bind(&a);
    a.fields.pcr_present = 0x1001f; /* 0 to 4, and 16, of zeros */
    memset(a.fields.pcr[16], 0, ATTDOC_PCR_LEN);
    memset(a.fields.pcr[3], 0, ATTDOC_PCR_LEN);
    attempt_sign(&a);
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    ck_ok(read_changed(&f, &r, keep_all));
    ck_assert_uint_eq(r.wanted.count, 1);
    ck_assert_uint_eq(r.wanted.item[0].version, 3);
    ck_assert_uint_eq(r.wanted.item[0].min_version, 2);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        ck_assert_msg((r.facts.pcr[i] != NULL) == ((0x1001fu >> i & 1) != 0), "PCR%u", i);
        if (r.facts.pcr[i] != NULL)
            ck_assert_mem_eq(r.facts.pcr[i], a.fields.pcr[i], ATTDOC_PCR_LEN);
    }
    ck_assert(bytes_equal_text(r.facts.module_id, MODULE));
    ck_assert(bytes_equal_text(r.facts.region, REGION));
    ck_assert(!r.facts.debug);
    ck_assert_int_eq(r.facts.kind, ATTDOC_ENCLAVE);
    ck_assert_mem_eq(r.facts.root_sha256, f.founded.root_sha256, SHA256_LEN);
    ck_ok(digest_sha256(bytes_of("", 0), hash));
    ck_assert_int_eq(r.facts.application_known, POLICY_APPLICATION_SHA256);
    ck_assert(bytes_equal(r.facts.application, bytes_of(hash, sizeof hash)));
    /* From before records said so: unknown, and nothing that matches by luck. */
    ck_ok(read_changed(&f, &old, make_old));
    ck_assert_int_eq(old.facts.application_known, POLICY_APPLICATION_UNKNOWN);
    ck_assert_uint_eq(old.wanted.item[0].version, 0);
    ck_assert_uint_eq(old.wanted.item[0].min_version, 0);
    ck_assert_ptr_null(old.facts.pcr[16]);
    ck_assert_ptr_nonnull(old.facts.pcr[0]);
}
END_TEST

START_TEST(wrong_records)
{
    FIXTURE(f);
    ATTEMPT(a);
    static void (*const changes[])(json_t *) = {lose_root,    lose_kind,      lose_document,
                                                lose_secrets, lose_name,      cut_pcr,
                                                add_pcr,      cut_application};
    attempt_make(&f, &a);
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        RECORD(r);
        ck_err(read_changed(&f, &r, changes[i]), ERR_STORE_TAMPERED);
    }
    json_auto_t *newest = audit_newest(&f);
    const char *id = text_at(newest, "request_id");
    db_run(&f,
           "UPDATE audit SET record = x'ff' WHERE sequence = (SELECT max(sequence) FROM audit)");
    EXPLAIN_REFUSED(ERR_STORE_TAMPERED, "request", p_text("request", id));
}
END_TEST

UNIT_MAIN("admin_explain", valid_document, valid_binding, unknown_application, wrong_timestamp,
          wrong_document, wrong_debug, valid_differences, wrong_parameters, valid_request,
          valid_changes, valid_asked, valid_quota, no_record, valid_records, wrong_records)
