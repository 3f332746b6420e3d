/* A store as an SQLite file, and SQL spoken to it from outside. */
#ifndef VOUCHSAFE_STORE_SQLITE_FIXTURE_H
#define VOUCHSAFE_STORE_SQLITE_FIXTURE_H

#include <sqlite3.h>

#include "store_fixture.h"
#include "verifier/store/store_sqlite.h"

#define SQLITE_TEST(name, prepare)                \
    static void name##_on(struct fixture *f);     \
    START_TEST(name)                              \
    {                                             \
        struct fixture fixture;                   \
        prepare(&fixture, &store_backend_sqlite); \
        name##_on(&fixture);                      \
        fixture_free(&fixture);                   \
    }                                             \
    END_TEST                                      \
    static void name##_on(struct fixture *f)

/* As anyone who may write the file. */
static inline int tamper_result(const struct fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
    const int result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return result;
}

static inline void tamper(const struct fixture *f, const char *sql)
{
    ck_assert_int_eq(tamper_result(f, sql), SQLITE_OK);
}

static inline void demand_words(const struct fixture *f, const char *words)
{
    ck_assert_msg(strstr(f->fault.detail, words) != NULL, "\"%s\" does not say \"%s\"",
                  f->fault.detail, words);
}

static inline enum err read_everything(struct fixture *f)
{
    CLEANUP(rows_free) struct rows found = {0};
    struct policy_head head;
    TRY(fixture_open(f));
    return f->ops->scan_policy(f->store, &head, rows_collect, &found, &f->fault);
}

#endif
