/* The SQLite file's schema: migrations, and what a writer of the file can do to it. */
#include "store_sqlite_fixture.h"

/* --- schema --- */

static const struct sqlite_migration migrations[] = {
    {"0001_a.sql", "CREATE TABLE p (id INTEGER PRIMARY KEY) STRICT;"
                   "CREATE TABLE c (p_id INTEGER NOT NULL REFERENCES p (id)) STRICT;"
                   "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);"},
    {"0002_b.sql", "ALTER TABLE p ADD COLUMN more TEXT; UPDATE p SET more = 'x';"},
    {"0003_fails.sql", "UPDATE p SET more = 'y'; INSERT INTO none VALUES (1);"},
};
static const struct sqlite_migration broken_keys[] = {
    {"0001_a.sql", ""},
    {"0002_b.sql", ""},
    {"0003_orphans.sql", "DELETE FROM p;"},
};

static void demand_value(const struct fixture *f, const char *sql, const char *expected)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    ck_assert_str_eq((const char *)sqlite3_column_text(statement, 0), expected);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

SQLITE_TEST(valid_migrations, fixture_prepare)
{
    struct sql *db = NULL;
    tamper(f, "PRAGMA user_version = 0");
    ck_ok(sql_open(f->path, SQL_WRITE, &db, &f->fault));
    ck_ok(sqlite_schema_migrate(db, migrations, 1, &f->fault));
    demand_value(f, "PRAGMA user_version", "1");
    ck_ok(sqlite_schema_migrate(db, migrations, 2, &f->fault));
    ck_ok(sqlite_schema_migrate(db, migrations, 2, &f->fault)); /* nothing twice */
    demand_value(f, "PRAGMA user_version", "2");
    ck_err(sqlite_schema_migrate(db, migrations, 3, &f->fault), ERR_STORE);
    demand_value(f, "PRAGMA user_version", "2");
    demand_value(f, "SELECT more FROM p", "x");
    ck_err(sqlite_schema_migrate(db, broken_keys, 3, &f->fault), ERR_STORE);
    demand_words(f, "0003_orphans.sql");
    demand_value(f, "SELECT count(*) FROM p", "1");
    sql_close(db);
}

/* What 0002 changes of rows that there were: equal values are still unique, but for what was
 * discarded. */
SQLITE_TEST(valid_upgrade_from_1, fixture_prepare)
{
#define BUILD_ROW(id, version)                                                          \
    "INSERT INTO measurement (id, revision, image_id, version, kind, debug, pcrs, "     \
    "root, state, labels, provenance, created_ms, mac) VALUES (" id ", 1, 1, '" version \
    "', 0, 0, x'01', zeroblob(32), 1, x'a0', '', 0, x'')"
    struct sql *db = NULL;
    tamper(f, "PRAGMA user_version = 0");
    ck_ok(sql_open(f->path, SQL_WRITE, &db, &f->fault));
    ck_ok(sqlite_schema_migrate(db, sqlite_migrations, 1, &f->fault));
    tamper(f, "INSERT INTO image VALUES (1, 1, 'payments', 0, x'')");
    tamper(f, BUILD_ROW("1", "1"));
    ck_ok(sqlite_schema_migrate(db, sqlite_migrations, sqlite_migration_count, &f->fault));
    demand_value(f, "SELECT version FROM measurement", "1");
    ck_assert_int_eq(tamper_result(f, BUILD_ROW("2", "2")), SQLITE_CONSTRAINT);
    tamper(f, "UPDATE measurement SET state = 4");
    ck_assert_int_eq(tamper_result(f, BUILD_ROW("2", "2")), SQLITE_CONSTRAINT);
    tamper(f, "UPDATE measurement SET state = 5");
    ck_assert_int_eq(tamper_result(f, BUILD_ROW("2", "1")), SQLITE_CONSTRAINT); /* the name */
    tamper(f, BUILD_ROW("2", "2"));
    sql_close(db);
}

/* What lies in db/ is what was built in. */
START_TEST(valid_migrations_complete)
{
    size_t count = 0;
    char name[1024];
    const char *source = getenv("VOUCHSAFE_SOURCE");
    snprintf(name, sizeof name, "%s/db", source == NULL ? "." : source);
    DIR *dir = opendir(name);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        count += strstr(e->d_name, ".sql") != NULL;
    closedir(dir);
    ck_assert_uint_eq(count, sqlite_migration_count);
    for (size_t i = 0; i < sqlite_migration_count; i++)
        ck_assert_uint_eq(strtoul(sqlite_migrations[i].name, NULL, 10), i + 1);
}
END_TEST

static void append_value(sqlite3_stmt *s, int i, struct cbor_writer *w)
{
    const struct bytes value =
        bytes_of(sqlite3_column_blob(s, i), (size_t)sqlite3_column_bytes(s, i));
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER:
        cbor_writer_uint(w, (uint64_t)sqlite3_column_int64(s, i));
        break;
    case SQLITE_TEXT:
        cbor_writer_text(w, value);
        break;
    case SQLITE_BLOB:
        cbor_writer_bytes(w, value);
        break;
    default:
        cbor_writer_null(w);
    }
}

/* Columns come out in the order of the schema, none left out but later ones that are null. */
static enum err compare_with_schema(const struct policy_row *row, void *context)
{
    CLEANUP(buf_free) struct buf expected = {0};
    char sql[128];
    struct cbor_writer w;
    sqlite3_stmt *s = NULL;
    int mac = 2;
    snprintf(sql, sizeof sql, "SELECT * FROM %s", policy_table_name(row->table));
    ck_assert_int_eq(sqlite3_prepare_v2(context, sql, -1, &s, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
    int count = sqlite3_column_count(s);
    ck_assert_str_eq(sqlite3_column_name(s, 0), "id");
    ck_assert_str_eq(sqlite3_column_name(s, 1), "revision");
    while (strcmp(sqlite3_column_name(s, mac), "mac") != 0)
        mac++; /* a later one stands behind */
    while (count > mac + 1 && sqlite3_column_type(s, count - 1) == SQLITE_NULL)
        count--;
    cbor_writer_init(&w, &expected);
    cbor_writer_array(&w, (size_t)count - 3);
    for (int i = 2; i < count; i++) {
        if (i != mac)
            append_value(s, i, &w);
    }
    ck_ok(cbor_writer_finish(&w));
    ck_assert(bytes_equal(bytes_of_buf(&expected), row->columns));
    sqlite3_finalize(s);
    return ERR_OK;
}

SQLITE_TEST(valid_column_order, fixture_make)
{
    sqlite3 *db = NULL;
    struct policy_head head;
    ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
    ck_ok(f->ops->scan_policy(f->store, &head, compare_with_schema, db, &f->fault));
    sqlite3_close(db);
}

/* --- columns that a migration adds --- */

/* An owner's store of today's schema under a program that knows two columns more. */
static struct sqlite_column grown[POLICY_TABLE_COUNT][SQLITE_COLUMNS_MAX];

static void migrate_grown(struct fixture *f)
{
    struct sqlite_migration next[64];
    char version[24];
    const size_t count = sqlite_migration_count;
    ck_assert_uint_lt(count, ARRAY_LEN(next));
    memcpy(next, sqlite_migrations, count * sizeof next[0]);
    next[count] =
        (struct sqlite_migration){"0000_grown.sql", "ALTER TABLE image ADD COLUMN note TEXT;"
                                                    "ALTER TABLE image ADD COLUMN seen_ms INTEGER"};
    memcpy(grown, sqlite_columns, sizeof grown);
    grown[POLICY_IMAGE][2] = (struct sqlite_column){"note", COLUMN_TEXT, true};
    grown[POLICY_IMAGE][3] = (struct sqlite_column){"seen_ms", COLUMN_INTEGER, true};
    ck_ok(sqlite_schema_migrate(sqlite_of(f->store)->writer, next, count + 1, &f->fault));
    snprintf(version, sizeof version, "%zu", count + 1);
    demand_value(f, "PRAGMA user_version", version);
    sqlite_of(f->store)->columns = (const struct sqlite_column(*)[SQLITE_COLUMNS_MAX])grown;
}

/* Rows come out as they were MACed before; one that has a value says so from then on, and
 * one that loses it is as before. */
SQLITE_TEST(valid_later_columns, fixture_make)
{
    CLEANUP(rows_free) struct rows change = {0};
    CLEANUP(rows_free) struct rows expected = {0};
    const struct {
        const char *types;
        uint64_t seen_ms;
    } cases[] = {{"tunu", 9}, {"tu", 0}};
    migrate_grown(f);
    fixture_holds(f, &f->rows);
    rows_of_everything(&expected);
    rows_add(&change, POLICY_IMAGE, 2, 2, "tut", "refunds", U(1), "a note");
    ck_ok(fixture_change(f, &change, NULL));
    demand_value(f, "SELECT note FROM image WHERE id = 2", "a note");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(rows_free) struct rows update = {0};
        CLEANUP(rows_free) struct rows found = {0};
        struct policy_head head;
        rows_add(&update, POLICY_IMAGE, 1, 3, cases[i].types, "payments", U(CREATED_MS),
                 cases[i].seen_ms);
        ck_ok(fixture_change(f, &update, NULL));
        ck_ok(f->ops->scan_policy(f->store, &head, rows_collect, &found, &f->fault));
        ck_assert_uint_eq(found.count, expected.count + 1);
        ck_assert(bytes_equal(found.row[3].columns, update.row[0].columns));
        ck_assert_mem_eq(found.row[3].mac, update.row[0].mac, STORE_MAC_LEN);
        ck_assert(bytes_equal(found.row[4].columns, change.row[0].columns));
        ck_assert(bytes_equal(found.row[5].columns, expected.row[4].columns));
    }
    demand_value(f, "SELECT count(*) FROM image WHERE seen_ms IS NULL", "2");
}

SQLITE_TEST(wrong_later_columns, fixture_make)
{
    static const char *const types[] = {"tun", "tunn", "tutn", "t", "tutuu", "tuu"};
    migrate_grown(f);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP(rows_free) struct rows change = {0};
        if (i < 5)
            rows_add(&change, POLICY_IMAGE, 2, 2, types[i], "refunds", U(1), "note", U(1), U(1));
        else
            rows_add(&change, POLICY_IMAGE, 2, 2, types[i], "refunds", U(1), U(1));
        ck_err(fixture_change(f, &change, NULL), ERR_INTERNAL);
        demand_words(f, "these are not the columns");
    }
    fixture_holds(f, &f->rows);
}

/* --- a writer of the file --- */

/* STRICT keeps types apart, whoever writes. */
SQLITE_TEST(wrong_types, fixture_make)
{
    ck_assert_int_eq(tamper_result(f, "UPDATE image SET created_ms = 'soon'"), SQLITE_CONSTRAINT);
    ck_assert_int_eq(tamper_result(f, "UPDATE image SET name = x'00'"), SQLITE_CONSTRAINT);
    ck_assert_int_eq(tamper_result(f, "UPDATE store SET store_id = 'text of 16 bytes'"),
                     SQLITE_CONSTRAINT);
    fixture_holds(f, &f->rows);
}

static enum err scan_everything(struct fixture *f)
{
    CLEANUP(rows_free) struct rows found = {0};
    struct policy_head head;
    return f->ops->scan_policy(f->store, &head, rows_collect, &found, &f->fault);
}

/* What the schema would not allow, after the schema was changed too. */
SQLITE_TEST(wrong_tampered_rows, fixture_make)
{
    static const struct {
        const char *change;
        const char *words;
        const char *undo;
    } cases[] = {
        {"UPDATE image SET created_ms = -1", "created_ms", "UPDATE image SET created_ms = 0"},
        {"UPDATE image SET mac = x'00'", "mac", "UPDATE image SET mac = zeroblob(32)"},
        {"UPDATE image SET name = CAST(x'ff' AS TEXT)", "UTF-8", "UPDATE image SET name = 'a'"},
        {"DELETE FROM policy_head", "missing",
         "INSERT INTO policy_head VALUES (1, 1, 1, zeroblob(32), zeroblob(32))"},
        {"ALTER TABLE setting RENAME TO gone;"
         "CREATE TABLE setting (id INTEGER, revision, name, value, mac);"
         "INSERT INTO setting VALUES (1, 1, 5, 'x', zeroblob(32))",
         "name", "DROP TABLE setting; ALTER TABLE gone RENAME TO setting"},
        {"ALTER TABLE setting RENAME TO gone;"
         "CREATE TABLE setting (id INTEGER, revision, name, value, mac);"
         "INSERT INTO setting VALUES (1, x'31', 'x', 'x', zeroblob(32))",
         "revision", "DROP TABLE setting; ALTER TABLE gone RENAME TO setting"},
        {"PRAGMA ignore_check_constraints = ON; UPDATE policy_head SET digest = x''", "digest",
         "UPDATE policy_head SET digest = zeroblob(32)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tamper(f, cases[i].change); /* while it is open: what opening would say is another test */
        ck_err(scan_everything(f), ERR_STORE_TAMPERED);
        demand_words(f, cases[i].words);
        tamper(f, cases[i].undo);
        ck_ok(scan_everything(f));
    }
}

SQLITE_TEST(wrong_tampered_identity, fixture_make)
{
    static const char *const changes[] = {
        "UPDATE store SET generation = 4294967296",
        "UPDATE store SET challenge_epoch = 4294967296",
        "UPDATE store SET purged_before_ms = -1",
        "PRAGMA ignore_check_constraints = ON; UPDATE store SET store_id = zeroblob(15)",
        "PRAGMA ignore_check_constraints = ON; UPDATE store SET key_check = zeroblob(33)",
        "DELETE FROM store",
    };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct store_identity identity;
        tamper(f,
               "INSERT OR REPLACE INTO store VALUES (1, zeroblob(16), 1, zeroblob(32), 1, 1, 1)");
        ck_ok(f->ops->read_identity(f->store, &identity, &f->fault));
        tamper(f, changes[i]);
        ck_err(f->ops->read_identity(f->store, &identity, &f->fault), ERR_STORE_TAMPERED);
    }
}

/* A writer of the file rewrites what its tables are.  Without a defence the first lets the
 * record of a release vanish without an error, the second a challenge be redeemed twice. */
SQLITE_TEST(wrong_tampered_schema, fixture_make)
{
#define REWRITE(table, from, to)                                                             \
    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, " from ", " to \
    ") WHERE name = '" table "'"
    static const struct {
        const char *plant;
        const char *undo;
        const char *words;
    } cases[] = {
        {REWRITE("audit", "'event      TEXT    NOT NULL'",
                 "'event      TEXT    NOT NULL CHECK (event <> ''x'')'"),
         REWRITE("audit", "' CHECK (event <> ''x'')'", "''"), "see table audit"},
        {REWRITE("audit", "'sequence   INTEGER PRIMARY KEY'",
                 "'sequence   INTEGER PRIMARY KEY ON CONFLICT IGNORE'"),
         REWRITE("audit", "' ON CONFLICT IGNORE'", "''"), "see table audit"},
        {REWRITE("redeemed", "'NOT NULL'", "'NOT NULL ON CONFLICT REPLACE'"),
         REWRITE("redeemed", "' ON CONFLICT REPLACE'", "''"), "see table redeemed"},
        {"CREATE TRIGGER hide AFTER INSERT ON audit BEGIN DELETE FROM audit; END",
         "DROP TRIGGER hide", "see trigger hide"},
        {"CREATE VIEW zzz AS SELECT 1", "DROP VIEW zzz", "see view zzz"},
        {"CREATE UNIQUE INDEX once ON audit (event)", "DROP INDEX once", "see index once"},
        {"CREATE TABLE notes (text TEXT)", "DROP TABLE notes", "see table notes"},
        {"DROP INDEX audit_request", "CREATE INDEX audit_request ON audit (request_id)",
         "see index audit_request"},
        {"CREATE VIRTUAL TABLE spy USING dbstat", "DROP TABLE spy", "see table spy"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fixture_close(f);
        tamper(f, cases[i].plant);
        ck_err(fixture_open(f), ERR_STORE_TAMPERED);
        demand_words(f, cases[i].words);
        tamper(f, cases[i].undo);
        ck_ok(fixture_open(f));
    }
    fixture_close(f);
    tamper(f, "ANALYZE"); /* what an administrator may well do */
    ck_ok(fixture_open(f));
    fixture_close(f);
    tamper(f, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage ="
              " (SELECT rootpage FROM sqlite_schema WHERE name = 'redeemed')"
              " WHERE name = 'quota_use'");
    ck_err(fixture_open(f), ERR_STORE_TAMPERED);
    demand_words(f, "see what shares its pages with quota_use");
#undef REWRITE
}

/* A planted trigger does not run: redeemed stays redeemed, recorded stays recorded. */
SQLITE_TEST(wrong_trigger, fixture_make)
{
    struct decision decision;
    struct store_outcome out = {0};
    tamper(f, "CREATE TRIGGER forget AFTER INSERT ON redeemed BEGIN DELETE FROM redeemed; END;"
              "CREATE TRIGGER hide AFTER INSERT ON audit BEGIN DELETE FROM audit; END");
    decision_make(&decision, f, 1, "i-1");
    ck_ok(decision_commit(f, &decision, &out));
    store_outcome_free(&out);
    ck_err(f->ops->check_redeemed(f->store, decision.d.challenge, &f->fault),
           ERR_CHALLENGE_REDEEMED);
    fixture_holds(f, &f->rows);
}

/* The audit log's table rewritten under an open store, so that its next record would vanish
 * from it without an error: no record, no decision. */
SQLITE_TEST(wrong_schema_while_open, fixture_make)
{
    struct decision decision;
    struct store_outcome out = {0};
    tamper(f, "CREATE TABLE new (sequence INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL,"
              " request_id TEXT NOT NULL, event TEXT NOT NULL, record BLOB NOT NULL,"
              " hash BLOB NOT NULL, UNIQUE (event) ON CONFLICT IGNORE) STRICT;"
              "INSERT INTO new SELECT * FROM audit; DROP TABLE audit;"
              "ALTER TABLE new RENAME TO audit");
    decision_make(&decision, f, 1, "i-1");
    ck_err(decision_commit(f, &decision, &out), ERR_STORE_TAMPERED);
    demand_words(f, "dropped without an error");
    ck_assert_uint_eq(out.sealed_count, 0);
    ck_ok(f->ops->check_redeemed(f->store, decision.d.challenge, &f->fault));
}

/* One prepared statement cannot walk two results. */
SQLITE_TEST(wrong_statement_inside_itself, fixture_make)
{
    static const char text[] = "SELECT id FROM image";
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query outer = {0};
    CLEANUP(sql_finish) struct sql_query inner = {0};
    ck_ok(sql_begin(sqlite_of(f->store)->reader, &t, &f->fault));
    ck_ok(sql_prepare(&t, text, &outer));
    ck_err(sql_prepare(&t, text, &inner), ERR_INTERNAL);
    sql_finish(&outer);
    ck_ok(sql_prepare(&t, text, &inner));
    /* The reader only reads. */
    ck_err(sql_script(&t, "DELETE FROM audit"), ERR_STORE);
    sql_finish(&inner);
    sql_end(&t);
}

UNIT_MAIN("store_schema", valid_migrations, valid_upgrade_from_1, valid_migrations_complete,
          valid_column_order, valid_later_columns, wrong_later_columns, wrong_types,
          wrong_tampered_rows, wrong_tampered_identity, wrong_tampered_schema,
          wrong_schema_while_open, wrong_trigger, wrong_statement_inside_itself)
