/* Issuers, delegations, the audit log through the admin operations; founding a store. */
#include "release_fixture.h"

#include <openssl/x509.h>
#include <sys/stat.h>

#include "verifier/keyring/keyring.h"

START_TEST(valid_issuers)
{
    FIXTURE(f);
    CLEANUP(buf_free) struct buf pem = {0};
    char path[128];
    char hex[2 * SHA256_LEN + 1];
    json_auto_t *shown = admin_do(&f, "issuer.show", NO_PARAMS);
    state_path(&f, "issuer.pem", path);
    read_file(path, &pem);
    hex_encode(bytes_of(f.pins.fingerprint[0], SHA256_LEN), hex);
    ck_assert_uint_eq(json_array_size(json_at(shown, "issuers")), 1);
    ck_assert_str_eq(text_at(shown, "issuers.0.fingerprint"), hex);
    ck_assert_str_eq(text_at(shown, "issuers.0.pem"), buf_text(&pem));
}
END_TEST

/* --- Delegations --- */

struct delegating {
    EVP_PKEY *issuer;
    struct buf receipt_key;
    struct buf message;
};

static void delegating_free(struct delegating *d)
{
    EVP_PKEY_free(d->issuer);
    buf_free(&d->receipt_key);
    buf_free(&d->message);
}

static void delegating_begin(struct warden_fixture *f, struct delegating *d)
{
    char path[128];
    json_auto_t *answer = admin_do(f, "issuer.receipt-key", NO_PARAMS);
    bytes_at(answer, "receipt_key", &d->receipt_key);
    state_path(f, "issuer.key", path);
    ck_ok(issuer_key_load(path, &d->issuer, NULL));
}

static void sign(struct delegating *d, const uint8_t *store_id, uint64_t now_ms)
{
    d->message.len = 0;
    ck_ok(delegation_sign(d->issuer, bytes_of_buf(&d->receipt_key), store_id, now_ms, 10 * DAY_MS,
                          &d->message));
}
#define DELEGATING(d) CLEANUP(delegating_free) struct delegating d = {.issuer = NULL}

static void install_refused(struct warden_fixture *f, const struct delegating *d, enum err code,
                            const char *detail, int line)
{
    const uint64_t sequence = audit_sequence(f);
    const enum err err =
        admin_try(f, "issuer.install", PARAMS(p_buf("delegation", &d->message)), NULL);
    ck_assert_msg(err == code, "line %d: got %s [%s] %s", line, err_wire(err), f->fault.field,
                  f->fault.detail);
    ck_assert_msg(strstr(f->fault.detail, detail) != NULL, "line %d: %s", line, f->fault.detail);
    ck_assert_uint_eq(audit_sequence(f), sequence);
}
#define INSTALL_REFUSED(f, d, code, detail) install_refused((f), (d), (code), (detail), __LINE__)
#define ANOTHER                             "for another receipt key or another store"

START_TEST(valid_install)
{
    FIXTURE(f);
    DELEGATING(d);
    ATTEMPT(a);
    TAKEN(t);
    fixture_policy(&f);
    delegating_begin(&f, &d);
    sign(&d, f.founded.store_id, NOW_MS);
    json_auto_t *installed =
        admin_do(&f, "issuer.install", PARAMS(p_buf("delegation", &d.message)));
    ck_assert_str_eq(text_at(installed, "result"), "installed");
    ck_assert_str_eq(text_at(installed, "not_after"), "2026-12-03T00:00:00Z");
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "issuer.install");
    ck_assert_str_eq(text_at(record, "detail"), "valid until 2026-12-03T00:00:00Z");
    attempt_make(&f, &a);
    ck_ok(attempt_send(&f, &a));
    attempt_take(&f, &a, &t);
    CLEANUP(release_answer_free) struct release_answer answer = {.count = 0};
    ck_ok(release_answer_parse(&a.answer, &answer, NULL));
    ck_assert(bytes_equal(bytes_of_buf(&answer.delegation), bytes_of_buf(&d.message)));
    fixture_close(&f);
    fixture_open(&f);
    json_auto_t *key = admin_do(&f, "issuer.receipt-key", NO_PARAMS);
    ck_assert_str_eq(text_at(key, "not_after"), "2026-12-03T00:00:00Z");
}
END_TEST

START_TEST(wrong_install)
{
    FIXTURE(f);
    FIXTURE(g);
    DELEGATING(d);
    DELEGATING(other);
    delegating_begin(&f, &d);
    delegating_begin(&g, &other);
    sign(&d, g.founded.store_id, NOW_MS); /* for another store */
    INSTALL_REFUSED(&f, &d, ERR_MALFORMED, ANOTHER);
    buf_free(&other.receipt_key); /* under another issuer */
    ck_ok(buf_append(&other.receipt_key, bytes_of_buf(&d.receipt_key)));
    sign(&other, f.founded.store_id, NOW_MS);
    INSTALL_REFUSED(&f, &other, ERR_ANSWER, "");
    sign(&d, f.founded.store_id, NOW_MS - 11 * DAY_MS); /* over */
    INSTALL_REFUSED(&f, &d, ERR_DELEGATION_EXPIRED, "");
    sign(&d, f.founded.store_id, NOW_MS + 2 * DELEGATION_BACKDATE_MS); /* not yet */
    INSTALL_REFUSED(&f, &d, ERR_DELEGATION_EXPIRED, "");
    sign(&d, f.founded.store_id, NOW_MS);
    d.message.ptr[d.message.len - 1] ^= 1;
    INSTALL_REFUSED(&f, &d, ERR_SIGNATURE, "");
    d.message.len--;
    INSTALL_REFUSED(&f, &d, ERR_CBOR_MALFORMED, "");
    ADMIN_REFUSED(&f, ERR_MALFORMED, "delegation", "issuer.install", NO_PARAMS);
}
END_TEST

/* A receipt key of another server, under the right issuer: nothing would verify. */
START_TEST(wrong_install_key)
{
    FIXTURE(f);
    FIXTURE(g);
    DELEGATING(d);
    json_auto_t *answer = admin_do(&g, "issuer.receipt-key", NO_PARAMS);
    delegating_begin(&f, &d);
    d.receipt_key.len = 0;
    bytes_at(answer, "receipt_key", &d.receipt_key);
    sign(&d, f.founded.store_id, NOW_MS);
    INSTALL_REFUSED(&f, &d, ERR_MALFORMED, ANOTHER);
}
END_TEST

/* --- The audit log --- */

START_TEST(valid_audit_list)
{
    FIXTURE(f);
    for (unsigned i = 0; i < 5; i++)
        fixture_secret(&f, "a", "v"); /* records 3 to 7, after store.init and serve.start */
    json_auto_t *newest = admin_do(&f, "audit.list", PARAMS(p_uint("limit", 3)));
    ck_assert_uint_eq(json_array_size(json_at(newest, "records")), 3);
    ck_assert_uint_eq(uint_at(newest, "records.0.sequence"), 5);
    ck_assert_uint_eq(uint_at(newest, "records.2.sequence"), 7);
    ck_assert_ptr_null(json_at(newest, "next"));
    json_auto_t *first = admin_do(&f, "audit.list", PARAMS(p_uint("from", 1), p_uint("limit", 3)));
    ck_assert_str_eq(text_at(first, "records.0.event"), "store.init");
    ck_assert_str_eq(text_at(first, "records.1.event"), "serve.start");
    ck_assert_uint_eq(uint_at(first, "next"), 4);
    json_auto_t *rest = admin_do(&f, "audit.list", PARAMS(p_uint("from", 4)));
    ck_assert_uint_eq(json_array_size(json_at(rest, "records")), 4);
    ck_assert_ptr_null(json_at(rest, "next"));
    json_auto_t *puts = admin_do(&f, "audit.list", PARAMS(p_text("event", "secret.put")));
    ck_assert_uint_eq(json_array_size(json_at(puts, "records")), 5);
    json_auto_t *started =
        admin_do(&f, "audit.list", PARAMS(p_text("event", "serve.start"), p_uint("limit", 2)));
    ck_assert_uint_eq(json_array_size(json_at(started, "records")), 1); /* not in the newest 2 */
    json_auto_t *last =
        admin_do(&f, "audit.list", PARAMS(p_text("event", "secret.put"), p_uint("limit", 2)));
    ck_assert_uint_eq(json_array_size(json_at(last, "records")), 2);
    ck_assert_uint_eq(uint_at(last, "records.0.sequence"), 6);
    ck_assert_uint_eq(uint_at(last, "records.1.sequence"), 7);
    json_auto_t *none = admin_do(&f, "audit.list", PARAMS(p_text("event", "nothing")));
    ck_assert_uint_eq(json_array_size(json_at(none, "records")), 0);
    json_auto_t *beyond = admin_do(&f, "audit.list", PARAMS(p_uint("from", 100)));
    ck_assert_uint_eq(json_array_size(json_at(beyond, "records")), 0);
    const char *request = text_at(newest, "records.0.request_id");
    json_auto_t *found = admin_do(&f, "audit.list", PARAMS(p_text("request", request)));
    ck_assert_uint_eq(json_array_size(json_at(found, "records")), 1);
    ck_assert_uint_eq(uint_at(found, "records.0.sequence"), 5);
    ck_err(admin_try(&f, "audit.list", PARAMS(p_text("request", "req-none")), NULL), ERR_NOT_FOUND);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "limit", "audit.list", PARAMS(p_uint("limit", 0)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "limit", "audit.list", PARAMS(p_uint("limit", 1001)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "from", "audit.list", PARAMS(p_text("from", "1")));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "request", "audit.list",
                  PARAMS(p_text("request", "123456789012345678901234567890123")));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "event", "audit.list", PARAMS(p_text("event", "")));
}
END_TEST

/* The request id that a refused enclave prints leads to the reason. */
START_TEST(valid_audit_request)
{
    FIXTURE(f);
    ATTEMPT(a);
    char id[32];
    attempt_make(&f, &a);
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    snprintf(id, sizeof id, "req-%u", f.requests);
    json_auto_t *found = admin_do(&f, "audit.list", PARAMS(p_text("request", id)));
    ck_assert_uint_eq(json_array_size(json_at(found, "records")), 1);
    ck_assert_str_eq(text_at(found, "records.0.secrets.0.reason"), "unknown_secret");
}
END_TEST

START_TEST(valid_audit_export)
{
    FIXTURE(f);
    char hex[2 * PROTOCOL_STORE_ID_LEN + 1];
    json_auto_t *page = admin_do(&f, "audit.export", PARAMS(p_uint("from", 2)));
    hex_encode(bytes_of(f.founded.store_id, PROTOCOL_STORE_ID_LEN), hex);
    ck_assert_str_eq(text_at(page, "store_id"), hex);
    ck_assert_uint_eq(uint_at(page, "from"), 2);
    ck_assert_uint_eq(json_array_size(json_at(page, "records")), 1);
    ck_assert_uint_eq(uint_at(page, "tail.sequence"), 2);
    ck_assert_uint_eq(json_array_size(json_at(page, "delegations")), 1);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "limit", "audit.export", PARAMS(p_uint("limit", 1001)));
}
END_TEST

/* --- Founding --- */

static void expect_mode(const struct warden_fixture *f, const char *name, mode_t mode)
{
    char path[128];
    struct stat st;
    state_path(f, name, path);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_msg((st.st_mode & 07777) == mode, "%s has mode %o", name, st.st_mode & 07777);
}

START_TEST(valid_found)
{
    FIXTURE(f);
    expect_mode(&f, "master.key", 0600);
    expect_mode(&f, "issuer.key", 0600);
    expect_mode(&f, "vouchsafe.db", 0600);
    expect_mode(&f, "client/token", 0600);
    expect_mode(&f, "client/issuer", 0600);
    expect_mode(&f, "client", 0700);
}
END_TEST

/* A store is never overwritten, and whoever fails takes away no file but its own. */
START_TEST(wrong_found_again)
{
    FIXTURE(f);
    static const char *const names[] = {"master.key",   "issuer.key",    "issuer.pem",
                                        "client/token", "client/issuer", "vouchsafe.db"};
    struct founded founded;
    const struct founding again = {.state_dir = f.dir, .person = "eve"};
    fixture_close(&f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        CLEANUP(buf_free) struct buf before = {0};
        CLEANUP(buf_free) struct buf after = {0};
        state_path(&f, names[i], path);
        read_file(path, &before);
        ck_err(warden_found(&again, (int64_t)NOW_MS, &founded, &f.fault), ERR_EXISTS);
        ck_assert_ptr_nonnull(strstr(f.fault.detail, f.dir));
        read_file(path, &after);
        ck_assert(bytes_equal(bytes_of_buf(&before), bytes_of_buf(&after)));
        unlink(path);
    }
    ck_ok(warden_found(&again, (int64_t)NOW_MS, &founded, &f.fault)); /* nothing in the way */
}
END_TEST

/* Where others could exchange the files, no store is made. */
START_TEST(wrong_found_open_directory)
{
    FIXTURE(f);
    struct founded founded;
    char dir[128];
    struct stat st;
    state_path(&f, "new", dir);
    const struct founding founding = {.state_dir = dir, .person = "ann"};
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    ck_assert_int_eq(chmod(dir, 0770), 0);
    ck_err(warden_found(&founding, (int64_t)NOW_MS, &founded, &f.fault), ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "0770"));
    ck_assert_int_eq(rmdir(dir), 0); /* nothing in it */
    ck_assert_int_ne(stat(dir, &st), 0);
}
END_TEST

/* Nor in a directory of somebody else's, whose owner could do the same. */
START_TEST(wrong_found_owner)
{
    FIXTURE(f);
    struct founded founded;
    char dir[128];
    state_path(&f, "new", dir);
    const struct founding founding = {.state_dir = dir, .person = "ann"};
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    if (chown(dir, 65534, (gid_t)-1) != 0) {
        fprintf(stderr, "wrong_found_owner: not root, so not tested\n");
        return;
    }
    ck_err(warden_found(&founding, (int64_t)NOW_MS, &founded, &f.fault), ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "65534"));
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(wrong_found_root)
{
    FIXTURE(f);
    struct founded founded;
    CLEANUP(buf_free) struct buf root = {0};
    char dir[128];
    struct stat st;
    state_path(&f, "new", dir);
    ck_ok(mkdoc_root_pem(&f.chain, &root));
    struct founding founding = {.state_dir = dir, .root_pem = buf_text(&root), .person = "ann"};
    ck_err(warden_found(&founding, (int64_t)NOW_MS, &founded, &f.fault), ERR_USAGE);
    ck_assert_str_eq(f.fault.field, "--root"); /* production trusts AWS's alone */
    founding.development = true;
    founding.root_pem = "no certificate";
    ck_err(warden_found(&founding, (int64_t)NOW_MS, &founded, &f.fault), ERR_CONFIG);
    ck_assert_int_ne(stat(dir, &st), 0); /* judged before anything is made */
}
END_TEST

/* A production store opens, says what it is, and trusts no made root. */
START_TEST(valid_production)
{
    FIXTURE(f);
    CLEANUP(fixture_free) struct warden_fixture p = {.requests = 0};
    ATTEMPT(a);
    snprintf(p.dir, sizeof p.dir, "/tmp/vouchsafe-warden-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(p.dir));
    snprintf(p.database, sizeof p.database, "%s/vouchsafe.db", p.dir);
    snprintf(p.master, sizeof p.master, "%s/master.key", p.dir);
    const struct founding founding = {.state_dir = p.dir, .person = "ann"};
    ck_ok(warden_found(&founding, (int64_t)NOW_MS, &p.founded, &p.fault));
    fixture_read_client(&p);
    fixture_open(&p);
    json_auto_t *status = admin_do(&p, "status", NO_PARAMS);
    ck_assert_str_eq(text_at(status, "kind"), "production");
    ck_assert_str_eq(text_at(status, "root_sha256"),
                     "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b");
    attempt_begin(&p, &a, "hpke-x25519");
    want(&a, "db/main", 0, 0);
    attempt_bind(&a);
    a.chain = &f.chain;
    attempt_sign(&a);
    REJECTED(&p, &a, ERR_UNTRUSTED, "cabundle[0]");
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    pcr_map(&fields, 1u << 4, &pcrs);
    ADMIN_REFUSED(&p, ERR_MEASUREMENT_INPUT, "debug", "measurement.add",
                  PARAMS(p_text("image", "x"), p_text("version", "1"), p_bool("debug", true),
                         p_map("pcrs", &pcrs)));
}
END_TEST

UNIT_MAIN("admin_server", valid_issuers, valid_install, wrong_install, wrong_install_key,
          valid_audit_list, valid_audit_request, valid_audit_export, valid_found, wrong_found_again,
          wrong_found_open_directory, wrong_found_owner, wrong_found_root, valid_production)
