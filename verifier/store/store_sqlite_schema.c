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
