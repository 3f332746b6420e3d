/* SQLite, as far as the store needs it: the only file that knows <sqlite3.h>.
 *
 * Everything runs inside a transaction, which holds the connection for itself and rolls
 * back unless it was committed: a query cannot be made without one, so none runs
 * unlocked or half.  Statements are prepared once per connection.
 * The file is not trusted: views, triggers and functions of its schema are switched off,
 * sizes are limited, and every column is read as the type it must have.
 *
 * Errors: ERR_STORE with SQLite's words and the statement; ERR_BUSY where another
 * process kept the database locked; ERR_EXISTS for a broken UNIQUE or PRIMARY KEY;
 * ERR_NO_MEMORY; ERR_STORE_TAMPERED for a column of another type or size than this
 * program writes; ERR_INTERNAL for a value that SQLite cannot hold. */
#ifndef VOUCHSAFE_SQL_H
#define VOUCHSAFE_SQL_H

#include "common/bytes.h"

#define SQL_BUSY_TIMEOUT_MS 1000
#define SQL_VALUE_MAX       (16 << 20) /* bytes of one value or row */

struct sql; /* a connection */

enum sql_mode { SQL_READ, SQL_WRITE };

/* Opens an existing file; nothing is read from it yet, and nothing written.  ERR_STORE
 * where it cannot be opened for writing (WAL needs that, to read as well). */
MUST_CHECK enum err sql_open(const char *path, enum sql_mode mode, struct sql **out,
                             struct fault *fault);
void sql_close(struct sql *db);
CLEANUP_PTR(struct sql, sql_close, sql_closep)

/* A text of statements outside any transaction, their rows ignored: for PRAGMAs. */
MUST_CHECK enum err sql_pragma(struct sql *db, const char *text, struct fault *fault);

/* A transaction: CLEANUP(sql_end) struct sql_transaction t = {0}; declared before the
 * queries that use it.  Errors of everything in it go to `fault`. */
struct sql_transaction {
    struct sql *db;
    struct fault *fault;
};
/* Waits for the connection; BEGIN IMMEDIATE when writing, one snapshot when reading. */
MUST_CHECK enum err sql_begin(struct sql *db, struct sql_transaction *t, struct fault *fault);
/* Durable once it returns ERR_OK. */
MUST_CHECK enum err sql_commit(struct sql_transaction *t);
/* Rolls back what was not committed, and lets go of the connection. */
void sql_end(struct sql_transaction *t);
/* A text of statements without parameters or results: migrations. */
MUST_CHECK enum err sql_script(struct sql_transaction *t, const char *text);
/* Rows that the last statement changed. */
uint64_t sql_changes(const struct sql_transaction *t);
/* After a commit that deleted what must not be found again: empties the write-ahead
 * log, as far as no reader is in the way. */
void sql_checkpoint(struct sql_transaction *t);

/* A query: CLEANUP(sql_finish) struct sql_query q = {0};  Prepare, bind in order, step.
 * An error in binding sticks and is returned by the first step.  Bound bytes must live
 * until sql_finish; what is read dies with the next step. */
struct sql_query {
    struct sql_transaction *t;
    struct sql_statement *statement;
    int bound;
    enum err err;
};
/* ERR_INTERNAL where the same text is being stepped through further up. */
MUST_CHECK enum err sql_prepare(struct sql_transaction *t, const char *text,
                                struct sql_query *query);
void sql_finish(struct sql_query *query);

void sql_bind_uint(struct sql_query *query, uint64_t value); /* at most INT64_MAX */
void sql_bind_text(struct sql_query *query, struct bytes value);
void sql_bind_blob(struct sql_query *query, struct bytes value);
void sql_bind_null(struct sql_query *query);

MUST_CHECK enum err sql_step(struct sql_query *query, bool *row);
/* To the end, for a statement that gives no rows (ERR_INTERNAL). */
MUST_CHECK enum err sql_run(struct sql_query *query);
/* The one row that must be there: ERR_STORE_TAMPERED where it is missing. */
MUST_CHECK enum err sql_step_one(struct sql_query *query);

/* Columns of the row, from 0. */
bool sql_column_is_null(const struct sql_query *query, int column);
MUST_CHECK enum err sql_column_uint(const struct sql_query *query, int column, uint64_t max,
                                    uint64_t *out);
MUST_CHECK enum err sql_column_text(const struct sql_query *query, int column, struct bytes *out);
/* As text, and terminated: refused where it holds a NUL. */
MUST_CHECK enum err sql_column_cstr(const struct sql_query *query, int column, const char **out);
MUST_CHECK enum err sql_column_blob(const struct sql_query *query, int column, struct bytes *out);
/* A BLOB of exactly `len` bytes, copied. */
MUST_CHECK enum err sql_column_fixed(const struct sql_query *query, int column, void *out,
                                     size_t len);

#endif
