#include "sql.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>

/* A prepared statement; SQLite keeps its text. */
struct sql_statement {
    struct sql_statement *next;
    sqlite3_stmt *handle;
    bool in_use;
};

struct sql {
    sqlite3 *handle;
    enum sql_mode mode;
    pthread_mutex_t mutex;
    struct sql_statement *statements;
};

/* Which of our errors a result of SQLite is. */
static enum err classify(int result)
{
    if (result == SQLITE_CONSTRAINT_UNIQUE || result == SQLITE_CONSTRAINT_PRIMARYKEY ||
        result == SQLITE_CONSTRAINT_ROWID)
        return ERR_EXISTS;
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    default:
        return ERR_STORE;
    }
}

/* What SQLite's words leave to be guessed. */
static const char *hint_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
        return "; the file and its directory must be writable";
    case SQLITE_NOTADB:
        return "; this is no store";
    case SQLITE_BUSY:
        return "; another program uses it";
    default:
        return "";
    }
}

/* `doing` is a statement or its beginning: constant text, never a value. */
static enum err failed(const struct sql *db, int result, const char *doing, struct fault *fault)
{
    const char *path = sqlite3_db_filename(db->handle, "main");
    FAIL(fault, classify(result), "%s (%d)%s; %.100s, at: %.60s", sqlite3_errmsg(db->handle),
         result, hint_of(result), path == NULL ? "" : path, doing);
}

/* Nothing in the file may run: a writer of it could plant a trigger or a view. */
static enum err distrust(const struct sql *db, struct fault *fault)
{
    static const struct {
        int option;
        int value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},   {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0}, {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},     {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 0}, /* until migrations are done */
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const int result =
            sqlite3_db_config(db->handle, options[i].option, options[i].value, (int *)NULL);
        if (result != SQLITE_OK)
            return failed(db, result, "sqlite3_db_config", fault);
    }
    sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, SQL_VALUE_MAX);
    sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
    return ERR_OK;
}

enum err sql_open(const char *path, enum sql_mode mode, struct sql **out, struct fault *fault)
{
    CLEANUP(sql_closep) struct sql *db = calloc(1, sizeof *db);
    if (db == NULL)
        return ERR_NO_MEMORY;
    db->mode = mode;
    if (pthread_mutex_init(&db->mutex, NULL) != 0) {
        free(TAKE(db));
        return ERR_NO_MEMORY;
    }
    /* One mutex of ours around whole transactions makes SQLite's own superfluous. */
    const int result =
        sqlite3_open_v2(path, &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (result != SQLITE_OK)
        FAIL(fault, classify(result), "%s cannot be opened: %s%s", path, sqlite3_errstr(result),
             hint_of(result));
    if (sqlite3_db_readonly(db->handle, "main") != 0)
        FAIL(fault, ERR_STORE, "%s cannot be opened for writing", path);
    sqlite3_busy_timeout(db->handle, SQL_BUSY_TIMEOUT_MS);
    TRY(distrust(db, fault));
    if (mode == SQL_READ)
        TRY(sql_pragma(db, "PRAGMA query_only = ON", fault));
    *out = TAKE(db);
    return ERR_OK;
}

void sql_close(struct sql *db)
{
    if (db == NULL)
        return;
    while (db->statements != NULL) {
        struct sql_statement *statement = db->statements;
        db->statements = statement->next;
        sqlite3_finalize(statement->handle);
        free(statement);
    }
    sqlite3_close(db->handle);
    pthread_mutex_destroy(&db->mutex);
    free(db);
}

static enum err execute(struct sql *db, const char *text, struct fault *fault)
{
    const int result = sqlite3_exec(db->handle, text, NULL, NULL, NULL);
    return result == SQLITE_OK ? ERR_OK : failed(db, result, text, fault);
}

enum err sql_pragma(struct sql *db, const char *text, struct fault *fault)
{
    pthread_mutex_lock(&db->mutex);
    const enum err err = execute(db, text, fault);
    pthread_mutex_unlock(&db->mutex);
    return err;
}

/* Nothing where none is open: some failures (a full disk) have rolled back already. */
static enum err roll_back(struct sql *db, struct fault *fault)
{
    return sqlite3_get_autocommit(db->handle) != 0 ? ERR_OK : execute(db, "ROLLBACK", fault);
}

enum err sql_begin(struct sql *db, struct sql_transaction *t, struct fault *fault)
{
    pthread_mutex_lock(&db->mutex);
    enum err err = roll_back(db, fault); /* one that sql_end could not */
    if (err == ERR_OK)
        err = execute(db, db->mode == SQL_WRITE ? "BEGIN IMMEDIATE" : "BEGIN", fault);
    if (err != ERR_OK) {
        pthread_mutex_unlock(&db->mutex);
        return err;
    }
    *t = (struct sql_transaction){.db = db, .fault = fault};
    return ERR_OK;
}

enum err sql_commit(struct sql_transaction *t)
{
    return execute(t->db, "COMMIT", t->fault);
}

void sql_end(struct sql_transaction *t)
{
    if (t->db == NULL)
        return;
    /* Even a rollback can fail, for want of memory: it is then made up for before the next
     * transaction begins. */
    const enum err err = roll_back(t->db, NULL);
    (void)err;
    pthread_mutex_unlock(&t->db->mutex);
    t->db = NULL;
}

enum err sql_script(struct sql_transaction *t, const char *text)
{
    return execute(t->db, text, t->fault);
}

uint64_t sql_changes(const struct sql_transaction *t)
{
    return (uint64_t)sqlite3_changes64(t->db->handle);
}

void sql_checkpoint(struct sql_transaction *t)
{
    sqlite3_wal_checkpoint_v2(t->db->handle, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

static struct sql_statement *find_statement(struct sql *db, const char *text)
{
    for (struct sql_statement *s = db->statements; s != NULL; s = s->next) {
        if (strcmp(sqlite3_sql(s->handle), text) == 0)
            return s;
    }
    return NULL;
}

static enum err add_statement(struct sql *db, const char *text, struct sql_statement **out,
                              struct fault *fault)
{
    sqlite3_stmt *handle = NULL;
    const int result =
        sqlite3_prepare_v3(db->handle, text, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL);
    if (result != SQLITE_OK)
        return failed(db, result, text, fault);
    struct sql_statement *statement = calloc(1, sizeof *statement);
    if (statement == NULL || handle == NULL) {
        sqlite3_finalize(handle);
        free(statement);
        return ERR_NO_MEMORY;
    }
    *statement = (struct sql_statement){.next = db->statements, .handle = handle};
    db->statements = statement;
    *out = statement;
    return ERR_OK;
}

enum err sql_prepare(struct sql_transaction *t, const char *text, struct sql_query *query)
{
    struct sql_statement *statement = find_statement(t->db, text);
    if (statement == NULL)
        TRY(add_statement(t->db, text, &statement, t->fault));
    if (statement->in_use)
        FAIL(t->fault, ERR_INTERNAL, "a statement is used inside itself: %.120s", text);
    statement->in_use = true;
    *query = (struct sql_query){.t = t, .statement = statement};
    return ERR_OK;
}

void sql_finish(struct sql_query *query)
{
    if (query->statement == NULL)
        return;
    sqlite3_reset(query->statement->handle);
    sqlite3_clear_bindings(query->statement->handle);
    query->statement->in_use = false;
    query->statement = NULL;
}

static enum err query_failed(const struct sql_query *query, int result)
{
    return failed(query->t->db, result, sqlite3_sql(query->statement->handle), query->t->fault);
}

static void note_bind(struct sql_query *query, int result)
{
    if (result != SQLITE_OK && query->err == ERR_OK)
        query->err = query_failed(query, result);
}

void sql_bind_uint(struct sql_query *query, uint64_t value)
{
    const int place = ++query->bound;
    if (value <= INT64_MAX)
        note_bind(query, sqlite3_bind_int64(query->statement->handle, place, (sqlite3_int64)value));
    else if (query->err == ERR_OK)
        query->err =
            fault_set(query->t->fault, ERR_INTERNAL, "a number beyond 2^63 - 1, at: %.120s",
                      sqlite3_sql(query->statement->handle));
}

void sql_bind_text(struct sql_query *query, struct bytes value)
{
    /* A null pointer would be NULL, not the empty text. */
    const char *ptr = value.len > 0 ? (const char *)value.ptr : "";
    note_bind(query, sqlite3_bind_text64(query->statement->handle, ++query->bound, ptr, value.len,
                                         SQLITE_STATIC, SQLITE_UTF8));
}

void sql_bind_blob(struct sql_query *query, struct bytes value)
{
    const void *ptr = value.len > 0 ? (const void *)value.ptr : "";
    note_bind(query, sqlite3_bind_blob64(query->statement->handle, ++query->bound, ptr, value.len,
                                         SQLITE_STATIC));
}

void sql_bind_null(struct sql_query *query)
{
    note_bind(query, sqlite3_bind_null(query->statement->handle, ++query->bound));
}

enum err sql_step(struct sql_query *query, bool *row)
{
    TRY(query->err);
    const int result = sqlite3_step(query->statement->handle);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return query_failed(query, result);
    *row = result == SQLITE_ROW;
    return ERR_OK;
}

enum err sql_run(struct sql_query *query)
{
    bool row = false;
    TRY(sql_step(query, &row));
    if (row)
        FAIL(query->t->fault, ERR_INTERNAL, "a row nobody asked for, at: %.120s",
             sqlite3_sql(query->statement->handle));
    return ERR_OK;
}

enum err sql_step_one(struct sql_query *query)
{
    bool row = false;
    TRY(sql_step(query, &row));
    if (!row)
        FAIL(query->t->fault, ERR_STORE_TAMPERED, "a row is missing that is never deleted: %.120s",
             sqlite3_sql(query->statement->handle));
    return ERR_OK;
}

static enum err wrong_column(const struct sql_query *query, int column, const char *expected)
{
    FAIL(query->t->fault, ERR_STORE_TAMPERED, "column %s is not %s, at: %.120s",
         sqlite3_column_name(query->statement->handle, column), expected,
         sqlite3_sql(query->statement->handle));
}

bool sql_column_is_null(const struct sql_query *query, int column)
{
    return sqlite3_column_type(query->statement->handle, column) == SQLITE_NULL;
}

enum err sql_column_uint(const struct sql_query *query, int column, uint64_t max, uint64_t *out)
{
    sqlite3_stmt *handle = query->statement->handle;
    if (sqlite3_column_type(handle, column) != SQLITE_INTEGER)
        return wrong_column(query, column, "a number");
    const sqlite3_int64 value = sqlite3_column_int64(handle, column);
    if (value < 0 || (uint64_t)value > max)
        return wrong_column(query, column, "in its range");
    *out = (uint64_t)value;
    return ERR_OK;
}

/* SQLite gives a null pointer for no bytes, and for want of memory. */
static enum err take_bytes(const struct sql_query *query, const void *ptr, int len,
                           struct bytes *out)
{
    if (ptr == NULL && (len != 0 || sqlite3_errcode(query->t->db->handle) == SQLITE_NOMEM))
        return ERR_NO_MEMORY;
    *out = bytes_of(ptr == NULL ? "" : ptr, (size_t)len);
    return ERR_OK;
}

enum err sql_column_text(const struct sql_query *query, int column, struct bytes *out)
{
    sqlite3_stmt *handle = query->statement->handle;
    if (sqlite3_column_type(handle, column) != SQLITE_TEXT)
        return wrong_column(query, column, "a text");
    const void *ptr = sqlite3_column_text(handle, column);
    return take_bytes(query, ptr, sqlite3_column_bytes(handle, column), out);
}

enum err sql_column_cstr(const struct sql_query *query, int column, const char **out)
{
    struct bytes text = {0};
    TRY(sql_column_text(query, column, &text));
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        return wrong_column(query, column, "a text without a NUL");
    *out = (const char *)text.ptr; /* SQLite's texts are terminated */
    return ERR_OK;
}

enum err sql_column_blob(const struct sql_query *query, int column, struct bytes *out)
{
    sqlite3_stmt *handle = query->statement->handle;
    if (sqlite3_column_type(handle, column) != SQLITE_BLOB)
        return wrong_column(query, column, "a byte string");
    const void *ptr = sqlite3_column_blob(handle, column);
    return take_bytes(query, ptr, sqlite3_column_bytes(handle, column), out);
}

enum err sql_column_fixed(const struct sql_query *query, int column, void *out, size_t len)
{
    struct bytes blob = {0};
    TRY(sql_column_blob(query, column, &blob));
    if (blob.len != len)
        return wrong_column(query, column, "a byte string of its size");
    memcpy(out, blob.ptr, len);
    return ERR_OK;
}
