/* Between the files of the SQLite backend; private.
 *
 * Two connections to one file: a writer, and a reader that never waits for it (WAL).
 * store_sqlite.c: the file's life and the store's identity; store_sqlite_schema.c: whose
 * file it is and which schema; _policy.c, _release.c, _audit.c, _use.c: the operations,
 * one transaction each. */
#ifndef VOUCHSAFE_STORE_SQLITE_H
#define VOUCHSAFE_STORE_SQLITE_H

#include "sql.h"
#include "store_backend.h"

/* --- what of a policy table its rows' MACs cover (store_sqlite_policy.c) --- */

#define SQLITE_COLUMNS_MAX 24

enum column_type { COLUMN_NONE, COLUMN_INTEGER, COLUMN_TEXT, COLUMN_BLOB };

struct sqlite_column {
    const char *name;
    enum column_type type;
    bool later; /* added by a migration: see the top of db/0001_initial.sql */
};
/* Each to the first COLUMN_NONE. */
extern const struct sqlite_column sqlite_columns[POLICY_TABLE_COUNT][SQLITE_COLUMNS_MAX];

struct store_sqlite {
    struct store store; /* first: struct store * is converted to this */
    struct sql *writer;
    struct sql *reader;
    const struct sqlite_column (*columns)[SQLITE_COLUMNS_MAX]; /* sqlite_columns */
};

static inline struct store_sqlite *sqlite_of(struct store *store)
{
    return (struct store_sqlite *)store;
}

/* --- schema: migrations are db/NNNN_*.sql, number = place + 1 --- */

#define SQLITE_APPLICATION_ID 0x56636873 /* "Vchs": in the file's header, for good */

struct sqlite_migration {
    const char *name;
    const char *sql;
};
extern const struct sqlite_migration sqlite_migrations[]; /* made by scripts/embed-sql */
extern const size_t sqlite_migration_count;

/* That the file is a store, finished, and of a schema up to `newest`.  ERR_STORE says
 * what it is instead, ERR_STORE_NEWER both numbers.  Writes nothing. */
MUST_CHECK enum err sqlite_schema_check(struct sql *db, const char *path, size_t newest,
                                        struct fault *fault);
/* The migrations that it has not had, one transaction each. */
MUST_CHECK enum err sqlite_schema_migrate(struct sql *db, const struct sqlite_migration *migrations,
                                          size_t count, struct fault *fault);
/* That the schema is the one that all the migrations make, to the letter: tables, indices,
 * constraints, and nothing besides but ANALYZE's statistics.  ERR_STORE_TAMPERED names what
 * differs. */
MUST_CHECK enum err sqlite_schema_compare(struct sql *db, struct fault *fault);
/* All of them in a transaction that the caller commits. */
MUST_CHECK enum err sqlite_schema_create(struct sql_transaction *t);

/* --- pieces of transactions --- */

MUST_CHECK enum err sqlite_change_apply(struct sql_transaction *t,
                                        const struct sqlite_column (*columns)[SQLITE_COLUMNS_MAX],
                                        const struct store_change *change);
MUST_CHECK enum err sqlite_revision_check(struct sql_transaction *t, uint64_t expected);
/* ERR_STORE_CONFLICT unless it is the next one. */
MUST_CHECK enum err sqlite_audit_add(struct sql_transaction *t, const struct audit_entry *entry);
/* Counts what a granted decision was granted by. */
MUST_CHECK enum err sqlite_use_count(struct sql_transaction *t, const struct store_decision *d);
/* From when on a measurement counts. */
MUST_CHECK enum err sqlite_use_begin(struct sql_transaction *t, uint64_t measurement_id,
                                     uint64_t now_ms);

/* --- operations, as in store.h --- */

enum err sqlite_scan_policy(struct store *store, struct policy_head *head, policy_row_fn *fn,
                            void *context, struct fault *fault);
enum err sqlite_commit_change(struct store *store, const struct store_change *change,
                              struct fault *fault);

enum err sqlite_commit_decision(struct store *store, const struct store_decision *decision,
                                struct store_outcome *out, struct fault *fault);
enum err sqlite_check_redeemed(struct store *store, const uint8_t challenge[PROTOCOL_CHALLENGE_LEN],
                               struct fault *fault);
enum err sqlite_purge_challenges(struct store *store, uint64_t before_ms, struct fault *fault);
enum err sqlite_read_counted(struct store *store, uint64_t grant_id, struct bytes module_id,
                             bool *counted, struct fault *fault);
enum err sqlite_read_quota(struct store *store, uint64_t grant_id, uint64_t *used,
                           struct fault *fault);

enum err sqlite_append_audit(struct store *store, const struct audit_entry *entry,
                             struct fault *fault);
enum err sqlite_read_audit_head(struct store *store, struct audit_head *out, struct fault *fault);
enum err sqlite_audit_scan(struct store *store, uint64_t from, uint64_t to, uint64_t limit,
                           audit_entry_fn *fn, void *context, struct fault *fault);
enum err sqlite_audit_find(struct store *store, const char *request_id, audit_entry_fn *fn,
                           void *context, struct fault *fault);
enum err sqlite_put_checkpoint(struct store *store, uint64_t sequence, struct bytes message,
                               struct fault *fault);
enum err sqlite_checkpoint_scan(struct store *store, uint64_t from, uint64_t to, checkpoint_fn *fn,
                                void *context, struct fault *fault);

enum err sqlite_use_scan(struct store *store, uint64_t from, uint64_t to, use_fn *fn, void *context,
                         struct fault *fault);
enum err sqlite_use_day_scan(struct store *store, uint64_t measurement_id, uint64_t from_day,
                             use_day_fn *fn, void *context, struct fault *fault);
enum err sqlite_enclave_scan(struct store *store, uint64_t measurement_id, uint64_t after,
                             uint64_t limit, enclave_use_fn *fn, void *context,
                             struct fault *fault);

#endif
