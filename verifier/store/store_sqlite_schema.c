#include "store_sqlite.h"

#include <inttypes.h>
#include <stdio.h>

#define PRAGMA_TEXT_MAX 64

static enum err read_number(struct sql_transaction *t, const char *text, uint64_t max,
                            uint64_t *out)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, text, &q));
    TRY(sql_step_one(&q));
    return sql_column_uint(&q, 0, max, out);
}

/* PRAGMA takes no parameters. */
static enum err set_pragma(struct sql_transaction *t, const char *name, uint64_t value)
{
    char text[PRAGMA_TEXT_MAX];
    const int len = snprintf(text, sizeof text, "PRAGMA %s = %" PRIu64, name, value);
    if (len < 0 || (size_t)len >= sizeof text)
        return ERR_INTERNAL;
    return sql_script(t, text);
}

enum err sqlite_schema_check(struct sql *db, const char *path, size_t newest, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    uint64_t application = 0;
    uint64_t version = 0;
    uint64_t objects = 0;

    TRY(sql_begin(db, &t, fault));
    TRY(read_number(&t, "SELECT application_id & 0xffffffff FROM pragma_application_id", UINT32_MAX,
                    &application));
    TRY(read_number(&t, "SELECT user_version & 0xffffffff FROM pragma_user_version", UINT32_MAX,
                    &version));
    TRY(read_number(&t, "SELECT count(*) FROM sqlite_schema", INT64_MAX, &objects));
    if (application == 0 && objects == 0)
        FAIL(fault, ERR_STORE,
             "%s is empty: `vouchsafe init` did not finish here; remove the file and run it again",
             path);
    if (application != SQLITE_APPLICATION_ID)
        FAIL(fault, ERR_STORE,
             "%s is a database of another program (application id 0x%08" PRIx64 ", ours is 0x%08x)",
             path, application, SQLITE_APPLICATION_ID);
    if (version > newest)
        FAIL(fault, ERR_STORE_NEWER,
             "%s has schema %" PRIu64 ", this program knows schemas up to %zu", path, version,
             newest);
    return ERR_OK;
}

static enum err apply_migration(struct sql_transaction *t, const struct sqlite_migration *migration,
                                size_t number)
{
    TRY(sql_script(t, migration->sql));
    return set_pragma(t, "user_version", number);
}

/* Foreign keys are not enforced while a migration may rebuild a table; what it leaves
 * behind must satisfy them all the same. */
static enum err check_foreign_keys(struct sql_transaction *t, const char *name)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    bool broken = false;
    TRY(sql_prepare(t, "PRAGMA foreign_key_check", &q));
    TRY(sql_step(&q, &broken));
    if (broken)
        FAIL(t->fault, ERR_STORE, "after migration %s a row refers to one that does not exist",
             name);
    return ERR_OK;
}

/* Reads the version again inside: another process may have migrated meanwhile. */
static enum err migrate_once(struct sql *db, const struct sqlite_migration *migrations,
                             size_t count, bool *done, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    uint64_t version = 0;

    TRY(sql_begin(db, &t, fault));
    TRY(read_number(&t, "SELECT user_version & 0xffffffff FROM pragma_user_version", UINT32_MAX,
                    &version));
    *done = version >= count;
    if (*done)
        return ERR_OK;
    TRY(apply_migration(&t, &migrations[version], (size_t)version + 1));
    TRY(check_foreign_keys(&t, migrations[version].name));
    return sql_commit(&t);
}

enum err sqlite_schema_migrate(struct sql *db, const struct sqlite_migration *migrations,
                               size_t count, struct fault *fault)
{
    bool done = false;
    while (!done)
        TRY(migrate_once(db, migrations, count, &done, fault));
    return ERR_OK;
}

enum err sqlite_schema_create(struct sql_transaction *t)
{
    TRY(set_pragma(t, "application_id", SQLITE_APPLICATION_ID));
    for (size_t i = 0; i < sqlite_migration_count; i++)
        TRY(apply_migration(t, &sqlite_migrations[i], i + 1));
    return ERR_OK;
}

/* --- the schema as it should be --- */

/* To the letter; and two that lie in the same pages, which no text shows.  What ANALYZE
 * leaves is the planner's. */
static enum err list_objects(struct sql_transaction *t, struct sql_query *q)
{
    return sql_prepare(
        t,
        "SELECT type || ' ' || name, tbl_name || coalesce(' ' || sql, '')"
        " FROM sqlite_schema"
        " WHERE NOT (type = 'table' AND name GLOB 'sqlite_stat[0-9]')"
        " UNION ALL SELECT 'what shares its pages with ' || min(name), ''"
        " FROM sqlite_schema WHERE rootpage > 0 GROUP BY rootpage HAVING count(*) > 1"
        " ORDER BY 1, 2",
        q);
}

/* Both are empty after the last one. */
static enum err next_object(struct sql_query *q, struct bytes *name, struct bytes *text)
{
    bool row = false;
    *name = *text = (struct bytes){0};
    TRY(sql_step(q, &row));
    if (!row)
        return ERR_OK;
    TRY(sql_column_text(q, 0, name));
    return sql_column_text(q, 1, text);
}

/* Of two names in a sorted walk: the one that the other side lacks. */
static struct bytes first_of(struct bytes a, struct bytes b)
{
    if (a.len == 0 || b.len == 0)
        return a.len == 0 ? b : a;
    const int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order < 0 || (order == 0 && a.len < b.len) ? a : b;
}

static enum err compare_objects(struct sql_query *found, struct sql_query *expected,
                                struct fault *fault)
{
    struct bytes name, text, expected_name, expected_text;
    do {
        TRY(next_object(found, &name, &text));
        TRY(next_object(expected, &expected_name, &expected_text));
        if (!bytes_equal(name, expected_name) || !bytes_equal(text, expected_text)) {
            const struct bytes shown = first_of(name, expected_name);
            FAIL(fault, ERR_STORE_TAMPERED,
                 "the database's schema is not the one that this program makes: see %.*s",
                 (int)(shown.len < 80 ? shown.len : 80), (const char *)shown.ptr);
        }
    } while (name.len > 0);
    return ERR_OK;
}

/* A writer of the file can rewrite what its tables are, too: "UNIQUE (event) ON CONFLICT
 * IGNORE" in the audit log's would let a record vanish without an error. */
enum err sqlite_schema_compare(struct sql *db, struct fault *fault)
{
    CLEANUP(sql_closep) struct sql *fresh = NULL;
    CLEANUP(sql_end) struct sql_transaction found = {0};
    CLEANUP(sql_end) struct sql_transaction expected = {0};
    CLEANUP(sql_finish) struct sql_query found_objects = {0};
    CLEANUP(sql_finish) struct sql_query expected_objects = {0};

    TRY(sql_open(":memory:", SQL_WRITE, &fresh, fault));
    TRY(sql_begin(fresh, &expected, fault));
    TRY(sqlite_schema_create(&expected));
    TRY(sql_begin(db, &found, fault));
    TRY(list_objects(&expected, &expected_objects));
    TRY(list_objects(&found, &found_objects));
    return compare_objects(&found_objects, &expected_objects, fault);
}
