/* A store that somebody else wrote to does not open: PROTOCOL section 7.  Each case does
 * one thing to the file that a writer of it could do, and names the row that shows it. */
#include "warden_fixture.h"

#include "release_fixture.h"
#include "verifier/warden/ledger_internal.h"

/* Every table holds something: two builds (one revoked), two versions, two grants, a signer. */
static void begin(struct warden_fixture *f)
{
    fixture_found(f);
    fixture_open(f);
    fixture_measurement(f, "payments", "1.4.2", SEED);
    fixture_measurement(f, "payments", "1.4.1", SEED + 1);
    json_decref(admin_do(f, "measurement.revoke",
                         PARAMS(p_text("image", "payments"), p_text("version", "1.4.1"))));
    fixture_secret(f, "db/main", "the first value");
    fixture_secret(f, "db/main", "the second value");
    fixture_secret(f, "db/other", "another");
    fixture_grant(f, "db/main", "payments");
    json_decref(admin_do(f, "grant.add",
                         PARAMS(p_text("secret", "db/other"), p_text("image", "payments"),
                                p_uint("quota", 1), p_text("region", REGION))));
    json_decref(
        admin_do(f, "revocation.add",
                 PARAMS(p_text("instance_id", "i-0123456789abcdef1"), p_text("reason", "stolen"))));
    json_decref(admin_do(f, "signer.add",
                         PARAMS(p_text("person", "ann"), p_bytes("key", f->token, 32),
                                p_text("images", "payments"))));
    fixture_close(f);
}

static void expect_closed(struct warden_fixture *f, enum err code, const char *field, int line)
{
    const enum err err = fixture_try_open(f);
    ck_assert_msg(err == code, "line %d: got %s [%s] %s, expected %s", line, err_wire(err),
                  f->fault.field, f->fault.detail, err_wire(code));
    ck_assert_msg(strcmp(f->fault.field, field) == 0, "line %d: field \"%s\": %s", line,
                  f->fault.field, f->fault.detail);
    ck_assert_ptr_null(f->warden);
}

static void tampered(const char *sql, enum err code, const char *field, int line)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin(&f);
    db_run(&f, sql);
    expect_closed(&f, code, field, line);
}
#define TAMPERED(sql, field)     tampered((sql), ERR_STORE_TAMPERED, (field), __LINE__)
#define CLOSED(sql, code, field) tampered((sql), (code), (field), __LINE__)

START_TEST(valid_untouched)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin(&f);
    db_run(&f, "VACUUM");
    fixture_open(&f);
}
END_TEST

START_TEST(wrong_settings)
{
    TAMPERED("UPDATE setting SET value = 'production' WHERE name = 'kind'", "setting 1");
    TAMPERED("UPDATE setting SET value = replace(value, 'A', 'B') WHERE name = 'root'",
             "setting 2");
    TAMPERED("UPDATE setting SET name = 'was-root' WHERE name = 'root'", "setting 2");
    TAMPERED("DELETE FROM setting WHERE name = 'root'", "policy_head");
}
END_TEST

START_TEST(wrong_people)
{
    TAMPERED("UPDATE person SET name = 'eve'", "person 1");
    TAMPERED("UPDATE person SET state = 2", "person 1");
    TAMPERED("UPDATE token SET hash = zeroblob(32)", "token 1");
    TAMPERED("UPDATE token SET rights = 1", "token 1");
    TAMPERED("UPDATE token SET expires_ms = 9999999999999", "token 1");
    TAMPERED("UPDATE token SET images = x'81617a'", "token 1");
    TAMPERED("UPDATE measurement SET added_by = NULL WHERE id = 1", "measurement 1");
    TAMPERED("UPDATE enrolled_key SET last_serial = last_serial + 1", "enrolled_key 1");
    TAMPERED("UPDATE enrolled_key SET public_key = zeroblob(32)", "enrolled_key 1");
    TAMPERED("UPDATE enrolled_key SET images = x'81617a'", "enrolled_key 1");
    TAMPERED("UPDATE enrolled_key SET state = 2", "enrolled_key 1");
    TAMPERED("DELETE FROM enrolled_key", "policy_head");
}
END_TEST

START_TEST(wrong_builds)
{
    TAMPERED("UPDATE image SET name = 'refunds'", "image 1");
    TAMPERED("UPDATE measurement SET state = 2 WHERE id = 2", "measurement 2"); /* unrevoked */
    TAMPERED("UPDATE measurement SET debug = 1 WHERE id = 1", "measurement 1");
    TAMPERED("UPDATE measurement SET root = zeroblob(32) WHERE id = 1", "measurement 1");
    TAMPERED("UPDATE measurement SET not_before_ms = NULL, not_after_ms = 1 WHERE id = 1",
             "measurement 1");
    TAMPERED("UPDATE measurement SET pcrs = CAST(pcrs || x'00' AS BLOB) WHERE id = 1",
             "measurement 1");
    TAMPERED("UPDATE measurement SET version = '1.4.3' WHERE id = 1", "measurement 1");
}
END_TEST

START_TEST(wrong_secrets)
{
    TAMPERED("UPDATE secret SET current_version = 1 WHERE id = 1", "secret 1");
    TAMPERED("UPDATE secret SET state = 2 WHERE id = 2", "secret 2");
    TAMPERED("UPDATE secret SET name = 'db/mine' WHERE id = 1", "secret 1");
    TAMPERED("UPDATE secret_version SET state = 2 WHERE id = 1", "secret_version 1");
    TAMPERED("UPDATE secret_version SET version = 9 WHERE id = 1", "secret_version 1");
    TAMPERED("UPDATE secret_grant SET quota = 1000 WHERE id = 2", "secret_grant 2");
    TAMPERED("UPDATE secret_grant SET region = NULL WHERE id = 2", "secret_grant 2");
    TAMPERED("UPDATE secret_grant SET secret_id = 2 WHERE id = 1", "secret_grant 1");
    TAMPERED("UPDATE secret_grant SET versions = x'8101' WHERE id = 1", "secret_grant 1");
    TAMPERED("UPDATE secret_grant SET state = 2 WHERE id = 1", "secret_grant 1");
}
END_TEST

START_TEST(wrong_own_keys)
{
    TAMPERED("UPDATE own_key SET spki = zeroblob(length(spki)) WHERE kind = 3", "own_key 3");
    TAMPERED("UPDATE own_key SET delegation = CAST(delegation || x'00' AS BLOB) WHERE kind = 1",
             "own_key 1");
    TAMPERED("UPDATE own_key SET sealed = (SELECT sealed FROM own_key WHERE kind = 2)"
             " WHERE kind = 1",
             "own_key 1");
    TAMPERED("UPDATE own_key SET state = 2 WHERE kind = 2", "own_key 2");
    TAMPERED("UPDATE own_key SET version = 2 WHERE kind = 1", "own_key 1");
}
END_TEST

START_TEST(wrong_revocations)
{
    TAMPERED("UPDATE revocation SET state = 2", "revocation 1");
    TAMPERED("UPDATE revocation SET instance = 'i-0123456789abcdef2'", "revocation 1");
    TAMPERED("UPDATE revocation SET reason = ''", "revocation 1");
    TAMPERED("DELETE FROM revocation", "policy_head");
}
END_TEST

START_TEST(wrong_macs)
{
    static const char *const tables[] = {
        "setting",        "person",       "token",   "image",      "measurement", "secret",
        "secret_version", "secret_grant", "own_key", "revocation", "enrolled_key"};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        char sql[128];
        char field[64];
        snprintf(field, sizeof field, "%s 1", tables[i]);
        snprintf(sql, sizeof sql, "UPDATE %s SET mac = zeroblob(32) WHERE id = 1", tables[i]);
        TAMPERED(sql, field);
        snprintf(sql, sizeof sql, "UPDATE %s SET revision = revision + 1 WHERE id = 1", tables[i]);
        TAMPERED(sql, field);
    }
}
END_TEST

/* Genuine rows with genuine MACs, but not where they were. */
START_TEST(wrong_places)
{
    TAMPERED("UPDATE measurement SET id = 3 WHERE id = 1; UPDATE measurement SET id = 1"
             " WHERE id = 2; UPDATE measurement SET id = 2 WHERE id = 3",
             "measurement 1");                                       /* exchanged */
    TAMPERED("DELETE FROM measurement WHERE id = 2", "policy_head"); /* the last: a revocation */
    TAMPERED("DELETE FROM measurement WHERE id = 1", "measurement 2");
    TAMPERED("DELETE FROM secret_grant", "policy_head");
    TAMPERED("INSERT INTO secret_grant (id, revision, secret_id, image_id,"
             " measurement_id, pcr8, pcr1, pcr3, pcr4, region, application, versions, quota,"
             " not_before_ms, not_after_ms, state, created_ms, mac) SELECT 3, revision, secret_id, "
             "image_id, measurement_id,"
             " pcr8, pcr1, pcr3, pcr4, region, application, versions, quota, not_before_ms,"
             " not_after_ms, state, created_ms, mac FROM secret_grant WHERE id = 1",
             "secret_grant 3"); /* one more, with the MAC of another */
    TAMPERED("INSERT INTO person VALUES (2, 1, 'eve', 1, 1, zeroblob(32))", "person 2");
}
END_TEST

START_TEST(wrong_hole)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin(&f);
    db_run(&f, "DELETE FROM measurement WHERE id = 1");
    expect_closed(&f, ERR_STORE_TAMPERED, "measurement 2", __LINE__);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "row 1 of the table is missing"));
}
END_TEST

START_TEST(wrong_head)
{
    TAMPERED("UPDATE policy_head SET revision = revision - 1", "policy_head");
    TAMPERED("UPDATE policy_head SET row_count = row_count + 1", "policy_head");
    TAMPERED("UPDATE policy_head SET digest = zeroblob(32)", "policy_head");
    TAMPERED("UPDATE policy_head SET mac = zeroblob(32)", "policy_head");
}
END_TEST

static void put_head(struct warden_fixture *f, const struct policy_head *head)
{
    char digest[2 * STORE_MAC_LEN + 1];
    char mac[2 * STORE_MAC_LEN + 1];
    char sql[256];
    hex_encode(bytes_of(head->digest, sizeof head->digest), digest);
    hex_encode(bytes_of(head->mac, sizeof head->mac), mac);
    snprintf(sql, sizeof sql, "UPDATE policy_head SET digest = x'%s', mac = x'%s'", digest, mac);
    db_run(f, sql);
}

/* A store that an earlier build wrote last: it opens, and the next change writes the head anew. */
START_TEST(valid_first_form)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin(&f);
    fixture_open(&f);
    CLEANUP(buf_free) struct buf macs = {0};
    CLEANUP(buf_free) struct buf message = {0};
    struct ledger *l = f.warden->ledger;
    struct policy_head head = {.revision = l->head.revision};
    struct cbor_writer w;
    for (unsigned t = 0; t < POLICY_TABLE_COUNT; t++)
        ck_ok(buf_append(&macs, bytes_of_buf(&l->head.macs[t])));
    ck_ok(digest_sha256(bytes_of_buf(&macs), head.digest));
    cbor_writer_init(&w, &message);
    cbor_writer_array(&w, 3);
    cbor_writer_uint(&w, head.revision);
    cbor_writer_uint(&w, macs.len / STORE_MAC_LEN);
    cbor_writer_bytes(&w, bytes_of(head.digest, sizeof head.digest));
    ck_ok(cbor_writer_finish(&w));
    ck_ok(keyring_row_mac(l->keyring, bytes_of_buf(&message), head.mac));
    fixture_close(&f);
    put_head(&f, &head);
    fixture_open(&f);
    fixture_close(&f);
    fixture_open(&f);
    fixture_measurement(&f, "payments", "1.4.3", SEED + 2);
    fixture_close(&f);
    fixture_open(&f);
    fixture_close(&f);
    put_head(&f, &head); /* of another revision now */
    expect_closed(&f, ERR_STORE_TAMPERED, "policy_head", __LINE__);
}
END_TEST

/* The end of the audit log is MACed, and its last record must follow from the one before. */
START_TEST(wrong_audit_end)
{
#define LAST " WHERE sequence = (SELECT max(sequence) FROM audit)"
    char last[32];
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin(&f);
    snprintf(last, sizeof last, "audit %u",
             (unsigned)db_number(&f, "SELECT max(sequence) FROM audit"));
    TAMPERED("DELETE FROM audit" LAST, ""); /* the store itself sees that */
    TAMPERED("DELETE FROM audit", "");
    TAMPERED("UPDATE audit SET record = CAST(record || x'00' AS BLOB)" LAST, last);
    TAMPERED("UPDATE audit SET hash = zeroblob(48)"
             " WHERE sequence = (SELECT max(sequence) - 1 FROM audit)",
             last);
    TAMPERED("UPDATE audit_head SET sequence = sequence - 1", "");
    TAMPERED("UPDATE audit_head SET hash = zeroblob(48)", "audit_head");
    TAMPERED("UPDATE audit_head SET mac = zeroblob(32)", "audit_head");
}
END_TEST

/* --- Older genuine rows, put back --- */

static void begin_saved(struct warden_fixture *f, const char *save)
{
    fixture_found(f);
    fixture_open(f);
    fixture_policy(f);
    fixture_close(f);
    char sql[512];
    snprintf(sql, sizeof sql, "ATTACH '%s/saved' AS saved; %s", f->dir, save);
    db_run(f, sql);
    fixture_open(f);
    json_decref(admin_do(f, "measurement.revoke",
                         PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"))));
    fixture_close(f);
}

static void put_back(const struct warden_fixture *f, const char *sql)
{
    char all[1024];
    snprintf(all, sizeof all, "ATTACH '%s/saved' AS saved; %s", f->dir, sql);
    db_run(f, all);
}

#define SAVE_ROWS "CREATE TABLE saved.measurement AS SELECT * FROM main.measurement;"
#define SAVE_HEAD "CREATE TABLE saved.policy_head AS SELECT * FROM main.policy_head;"
#define BACK_ROWS                                                \
    "DELETE FROM main.measurement; INSERT INTO main.measurement" \
    " SELECT * FROM saved.measurement;"
#define BACK_HEAD                                                \
    "DELETE FROM main.policy_head; INSERT INTO main.policy_head" \
    " SELECT * FROM saved.policy_head;"

START_TEST(wrong_older_row)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin_saved(&f, SAVE_ROWS);
    put_back(&f, BACK_ROWS);
    expect_closed(&f, ERR_STORE_TAMPERED, "policy_head", __LINE__);
}
END_TEST

START_TEST(wrong_older_head)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin_saved(&f, SAVE_HEAD);
    put_back(&f, BACK_HEAD);
    expect_closed(&f, ERR_STORE_TAMPERED, "policy_head", __LINE__);
}
END_TEST

/* Both, as they were together: the audit log knows better. */
START_TEST(wrong_older_policy)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin_saved(&f, SAVE_ROWS SAVE_HEAD);
    put_back(&f, BACK_ROWS BACK_HEAD);
    expect_closed(&f, ERR_STORE_TAMPERED, "policy_head", __LINE__);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "put back to an older state"));
}
END_TEST

/* The log alone, with its head: the policy knows better. */
START_TEST(wrong_older_log)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    begin_saved(&f, "CREATE TABLE saved.audit AS SELECT * FROM main.audit;"
                    "CREATE TABLE saved.audit_head AS SELECT * FROM main.audit_head;");
    put_back(&f, "DELETE FROM main.audit; INSERT INTO main.audit SELECT * FROM saved.audit;"
                 "DELETE FROM main.audit_head;"
                 "INSERT INTO main.audit_head SELECT * FROM saved.audit_head;");
    expect_closed(&f, ERR_STORE_TAMPERED, "policy_head", __LINE__);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "put back to an older state"));
}
END_TEST

/* The whole file put back is no contradiction in itself: what shows it is a checkpoint held
 * elsewhere (the log) with a sequence that this store has not reached. */
START_TEST(valid_whole_file_back)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    CLEANUP(buf_free) struct buf saved = {0};
    begin(&f);
    read_file(f.database, &saved);
    fixture_open(&f);
    fixture_close(&f);
    const uint64_t was = db_number(&f, "SELECT max(sequence) FROM checkpoint");
    write_file(f.database, bytes_of_buf(&saved));
    ck_assert_uint_lt(db_number(&f, "SELECT max(sequence) FROM checkpoint"), was);
    fixture_open(&f);
}
END_TEST

/* A write-ahead log laid beside a file that is as it was. */
START_TEST(wrong_planted_wal)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    CLEANUP(buf_free) struct buf before = {0};
    CLEANUP(buf_free) struct buf after = {0};
    sqlite3 *db = NULL;
    begin(&f);
    read_file(f.database, &before);
    ck_assert_int_eq(sqlite3_open(f.database, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "UPDATE measurement SET state = 2 WHERE version = '1.4.1'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    read_file(f.database, &after);
    ck_assert(bytes_equal(bytes_of_buf(&before), bytes_of_buf(&after)));
    expect_closed(&f, ERR_STORE_TAMPERED, "measurement 2", __LINE__);
}
END_TEST

/* --- Identity and keys --- */

START_TEST(wrong_identity)
{
    CLOSED("UPDATE store SET store_id = zeroblob(16)", ERR_KEY_WRONG, "");
    CLOSED("UPDATE store SET key_check = zeroblob(32)", ERR_KEY_WRONG, "");
    CLOSED("UPDATE store SET generation = 2", ERR_STORE_TAMPERED, "");
    CLOSED("PRAGMA user_version = 99", ERR_STORE_NEWER, "");
    CLOSED("PRAGMA application_id = 1", ERR_STORE, "");
    CLOSED("DELETE FROM store", ERR_STORE_TAMPERED, "");
    CLOSED("DELETE FROM policy_head", ERR_STORE_TAMPERED, "");
}
END_TEST

START_TEST(wrong_master)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    CLEANUP(fixture_free) struct warden_fixture g = {.requests = 0};
    CLEANUP(buf_free) struct buf master = {0};
    begin(&f);
    fixture_found(&g);
    read_file(f.master, &master);
    master.ptr[31] ^= 1;
    write_file(f.master, bytes_of_buf(&master));
    expect_closed(&f, ERR_KEY_WRONG, "", __LINE__);
    master.ptr[31] ^= 1;
    write_file(f.master, bytes_of_buf(&master));
    fixture_open(&f);
    fixture_close(&f);
    snprintf(f.master, sizeof f.master, "%s", g.master); /* another store's */
    expect_closed(&f, ERR_KEY_WRONG, "", __LINE__);
    snprintf(f.master, sizeof f.master, "%s/none", f.dir);
    ck_assert_int_ne(fixture_try_open(&f), ERR_OK);
}
END_TEST

/* Rows of another store of the same master's owner: made under another key. */
START_TEST(wrong_other_store)
{
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0};
    CLEANUP(fixture_free) struct warden_fixture g = {.requests = 0};
    char sql[512];
    begin(&f);
    begin(&g);
    snprintf(sql, sizeof sql,
             "ATTACH '%s' AS other; DELETE FROM main.token; INSERT INTO main.token"
             " SELECT * FROM other.token;",
             g.database);
    db_run(&f, sql);
    expect_closed(&f, ERR_STORE_TAMPERED, "token 1", __LINE__);
}
END_TEST

UNIT_MAIN("ledger", valid_untouched, wrong_settings, wrong_people, wrong_builds, wrong_secrets,
          wrong_own_keys, wrong_revocations, wrong_macs, wrong_places, wrong_hole, wrong_head,
          valid_first_form, wrong_audit_end, wrong_older_row, wrong_older_head, wrong_older_policy,
          wrong_older_log, valid_whole_file_back, wrong_identity, wrong_master, wrong_other_store,
          wrong_planted_wal)
