#include "store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"

/* --- connections --- */

/* One that the schema was checked on.  WAL so that readers and the writer do not wait
 * for each other; FULL so that a commit survives the loss of power: a decision that was
 * answered is on the disk. */
static enum err set_up(struct sql *db, const char *path, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};
    struct bytes mode = {0};

    TRY(sql_pragma(db,
                   "PRAGMA journal_mode = WAL;"
                   "PRAGMA synchronous = FULL;"
                   "PRAGMA temp_store = MEMORY;"
                   "PRAGMA secure_delete = ON;"
                   "PRAGMA cell_size_check = ON",
                   fault));
    TRY(sql_begin(db, &t, fault));
    TRY(sql_prepare(&t, "PRAGMA journal_mode", &q));
    TRY(sql_step_one(&q));
    TRY(sql_column_text(&q, 0, &mode));
    if (!bytes_equal_text(mode, "wal"))
        FAIL(fault, ERR_STORE,
             "%s cannot use a write-ahead log where it lies (a network file system?)", path);
    return ERR_OK;
}

static enum err enforce_foreign_keys(struct sql *db, struct fault *fault)
{
    return sql_pragma(db, "PRAGMA foreign_keys = ON", fault);
}

static void sqlite_close(struct store *store)
{
    struct store_sqlite *s = sqlite_of(store);
    /* The last one out folds the log into the file. */
    sql_close(s->reader);
    sql_close(s->writer);
    free(s);
}

static void close_half(struct store_sqlite **s)
{
    if (*s != NULL)
        sqlite_close(&(*s)->store);
}

static enum err sqlite_open(const char *path, struct store **out, struct fault *fault)
{
    struct stat info;
    if (stat(path, &info) != 0 && errno == ENOENT)
        FAIL(fault, ERR_FILE, "there is no store at %s: `vouchsafe init` makes one", path);
    CLEANUP(close_half) struct store_sqlite *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NO_MEMORY;
    s->store.backend = &store_backend_sqlite;
    s->columns = sqlite_columns;
    TRY(sql_open(path, SQL_WRITE, &s->writer, fault));
    TRY(sqlite_schema_check(s->writer, path, sqlite_migration_count, fault));
    TRY(set_up(s->writer, path, fault));
    TRY(sqlite_schema_migrate(s->writer, sqlite_migrations, sqlite_migration_count, fault));
    TRY(sqlite_schema_compare(s->writer, fault));
    TRY(enforce_foreign_keys(s->writer, fault));
    TRY(sql_open(path, SQL_READ, &s->reader, fault));
    *out = &TAKE(s)->store;
    return ERR_OK;
}

/* --- the identity --- */

static enum err add_identity(struct sql_transaction *t, const struct store_identity *identity)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT INTO store (one, store_id, generation, key_check, challenge_epoch,"
                    " purged_before_ms, created_ms) VALUES (1, ?, ?, ?, ?, ?, ?)",
                    &q));
    sql_bind_blob(&q, bytes_of(identity->store_id, sizeof identity->store_id));
    sql_bind_uint(&q, identity->generation);
    sql_bind_blob(&q, bytes_of(identity->key_check, sizeof identity->key_check));
    sql_bind_uint(&q, identity->challenge_epoch);
    sql_bind_uint(&q, identity->purged_before_ms);
    sql_bind_uint(&q, identity->created_ms);
    return sql_run(&q);
}

static enum err sqlite_read_identity(struct store *store, struct store_identity *out,
                                     struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};
    struct store_identity identity = {0};
    uint64_t generation = 0;
    uint64_t epoch = 0;

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(sql_prepare(&t,
                    "SELECT store_id, generation, key_check, challenge_epoch, purged_before_ms,"
                    " created_ms FROM store WHERE one = 1",
                    &q));
    TRY(sql_step_one(&q));
    TRY(sql_column_fixed(&q, 0, identity.store_id, sizeof identity.store_id));
    TRY(sql_column_uint(&q, 1, UINT32_MAX, &generation));
    TRY(sql_column_fixed(&q, 2, identity.key_check, sizeof identity.key_check));
    TRY(sql_column_uint(&q, 3, UINT32_MAX, &epoch));
    TRY(sql_column_uint(&q, 4, UINT64_MAX, &identity.purged_before_ms));
    TRY(sql_column_uint(&q, 5, UINT64_MAX, &identity.created_ms));
    identity.generation = (uint32_t)generation;
    identity.challenge_epoch = (uint32_t)epoch;
    *out = identity;
    return ERR_OK;
}

/* --- a new file --- */

/* Made before SQLite sees it: it would be readable to the group, for a moment and after,
 * and an existing file would be taken for ours. */
static enum err make_file(const char *path, struct fault *fault)
{
    const int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && errno == EEXIST)
        FAIL(fault, ERR_EXISTS, "%s exists already", path);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s cannot be made: %s", path, strerror(errno));
    close(fd);
    return ERR_OK;
}

static enum err fill_file(const char *path, const struct store_identity *identity,
                          const struct store_change *first, struct fault *fault)
{
    CLEANUP(sql_closep) struct sql *db = NULL;
    CLEANUP(sql_end) struct sql_transaction t = {0};

    TRY(sql_open(path, SQL_WRITE, &db, fault));
    TRY(set_up(db, path, fault));
    TRY(enforce_foreign_keys(db, fault));
    TRY(sql_begin(db, &t, fault));
    TRY(sqlite_schema_create(&t));
    TRY(add_identity(&t, identity));
    TRY(sqlite_change_apply(&t, sqlite_columns, first));
    return sql_commit(&t);
}

static void remove_file(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        CLEANUP(buf_free) struct buf name = {0};
        if (buf_append_format(&name, "%s%s", path, suffixes[i]) != ERR_OK)
            continue;
        const char *text = buf_text(&name);
        if (text != NULL)
            unlink(text);
    }
}

static enum err sqlite_create(const char *path, const struct store_identity *identity,
                              const struct store_change *first, struct fault *fault)
{
    TRY(make_file(path, fault));
    enum err err = fill_file(path, identity, first, fault);
    if (err == ERR_OK) /* a commit makes the content durable, not the name */
        err = file_sync_directory(path, fault);
    if (err != ERR_OK)
        remove_file(path);
    return err;
}

const struct store_backend store_backend_sqlite = {
    .name = "sqlite",
    .scheme = "",
    .create = sqlite_create,
    .open = sqlite_open,
    .close = sqlite_close,
    .ops =
        {
            .read_identity = sqlite_read_identity,
            .scan_policy = sqlite_scan_policy,
            .commit_change = sqlite_commit_change,
            .commit_decision = sqlite_commit_decision,
            .check_redeemed = sqlite_check_redeemed,
            .append_audit = sqlite_append_audit,
            .purge_challenges = sqlite_purge_challenges,
            .read_quota = sqlite_read_quota,
            .read_counted = sqlite_read_counted,
            .read_audit_head = sqlite_read_audit_head,
            .audit_scan = sqlite_audit_scan,
            .audit_find = sqlite_audit_find,
            .put_checkpoint = sqlite_put_checkpoint,
            .checkpoint_scan = sqlite_checkpoint_scan,
            .use_scan = sqlite_use_scan,
            .use_day_scan = sqlite_use_day_scan,
            .enclave_scan = sqlite_enclave_scan,
        },
};
