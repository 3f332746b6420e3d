/* The audit chain's records and checkpoints.  The store keeps them in order and without
 * gaps; whether the hashes chain is for the ledger, and for auditors, to say. */
#include "store_sqlite.h"

/* What a caller means by a bound beyond SQLite's integers is "to the end". */
static uint64_t clamp(uint64_t bound)
{
    return bound > INT64_MAX ? INT64_MAX : bound;
}

static enum err last_sequence(struct sql_transaction *t, uint64_t *sequence)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    bool found = false;

    TRY(sql_prepare(t, "SELECT sequence FROM audit ORDER BY sequence DESC LIMIT 1", &q));
    TRY(sql_step(&q, &found));
    if (found)
        return sql_column_uint(&q, 0, UINT64_MAX, sequence);
    *sequence = 0;
    return ERR_OK;
}

static enum err read_head(struct sql_transaction *t, struct audit_head *out)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    bool found = false;

    TRY(sql_prepare(t, "SELECT sequence, hash, mac FROM audit_head", &q));
    TRY(sql_step(&q, &found));
    if (!found)
        FAIL(t->fault, ERR_STORE_TAMPERED, "the audit log's head is missing");
    TRY(sql_column_fixed(&q, 1, out->hash, sizeof out->hash));
    TRY(sql_column_fixed(&q, 2, out->mac, sizeof out->mac));
    return sql_column_uint(&q, 0, UINT64_MAX, &out->sequence);
}

static enum err write_head(struct sql_transaction *t, const struct audit_entry *entry)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT INTO audit_head (one, sequence, hash, mac) VALUES (1, ?, ?, ?)"
                    " ON CONFLICT (one) DO UPDATE SET sequence = excluded.sequence,"
                    " hash = excluded.hash, mac = excluded.mac",
                    &q));
    sql_bind_uint(&q, entry->sequence);
    sql_bind_blob(&q, bytes_of(entry->hash, sizeof entry->hash));
    sql_bind_blob(&q, bytes_of(entry->head_mac, sizeof entry->head_mac));
    return sql_run(&q);
}

static enum err insert_record(struct sql_transaction *t, const struct audit_entry *entry)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT INTO audit (sequence, time_ms, request_id, event, record, hash)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    &q));
    sql_bind_uint(&q, entry->sequence);
    sql_bind_uint(&q, entry->time_ms);
    sql_bind_text(&q, bytes_of_text(entry->request_id));
    sql_bind_text(&q, bytes_of_text(entry->event));
    sql_bind_blob(&q, entry->record);
    sql_bind_blob(&q, bytes_of(entry->hash, sizeof entry->hash));
    TRY(sql_run(&q));
    /* The schema was compared at the start; somebody may have rewritten it since. */
    if (sql_changes(t) != 1)
        FAIL(t->fault, ERR_STORE_TAMPERED,
             "audit record %llu was dropped without an error: the table was rewritten from outside",
             (unsigned long long)entry->sequence);
    return ERR_OK;
}

enum err sqlite_audit_add(struct sql_transaction *t, const struct audit_entry *entry)
{
    uint64_t last = 0;

    TRY(last_sequence(t, &last));
    if (entry->sequence != last + 1)
        FAIL(t->fault, ERR_STORE_CONFLICT,
             "audit record %llu does not follow the last one, %llu: another process writes here",
             (unsigned long long)entry->sequence, (unsigned long long)last);
    TRY(insert_record(t, entry));
    return write_head(t, entry);
}

enum err sqlite_append_audit(struct store *store, const struct audit_entry *entry,
                             struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    TRY(sql_begin(sqlite_of(store)->writer, &t, fault));
    TRY(sqlite_audit_add(&t, entry));
    return sql_commit(&t);
}

enum err sqlite_read_audit_head(struct store *store, struct audit_head *out, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    struct audit_head head;
    uint64_t last = 0;

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(read_head(&t, &head));
    TRY(last_sequence(&t, &last));
    if (last != head.sequence)
        FAIL(fault, ERR_STORE_TAMPERED,
             "the audit log ends with record %llu, and its head says %llu",
             (unsigned long long)last, (unsigned long long)head.sequence);
    *out = head;
    return ERR_OK;
}

#define ENTRY_COLUMNS "sequence, time_ms, request_id, event, record, hash"

static enum err read_entry(const struct sql_query *q, struct audit_entry *out)
{
    TRY(sql_column_uint(q, 0, UINT64_MAX, &out->sequence));
    TRY(sql_column_uint(q, 1, UINT64_MAX, &out->time_ms));
    TRY(sql_column_cstr(q, 2, &out->request_id));
    TRY(sql_column_cstr(q, 3, &out->event));
    TRY(sql_column_blob(q, 4, &out->record));
    return sql_column_fixed(q, 5, out->hash, sizeof out->hash);
}

static enum err hand_over(struct sql_query *q, audit_entry_fn *fn, void *context, uint64_t *count)
{
    for (bool more = true; more;) {
        struct audit_entry entry = {0};
        TRY(sql_step(q, &more));
        if (!more)
            break;
        TRY(read_entry(q, &entry));
        TRY(fn(&entry, context));
        ++*count;
    }
    return ERR_OK;
}

enum err sqlite_audit_scan(struct store *store, uint64_t from, uint64_t to, uint64_t limit,
                           audit_entry_fn *fn, void *context, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};
    uint64_t count = 0;

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(sql_prepare(&t,
                    "SELECT " ENTRY_COLUMNS " FROM audit WHERE sequence BETWEEN ? AND ?"
                    " ORDER BY sequence LIMIT ?",
                    &q));
    sql_bind_uint(&q, clamp(from));
    sql_bind_uint(&q, clamp(to));
    sql_bind_uint(&q, clamp(limit));
    return hand_over(&q, fn, context, &count);
}

enum err sqlite_audit_find(struct store *store, const char *request_id, audit_entry_fn *fn,
                           void *context, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};
    uint64_t count = 0;

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(sql_prepare(
        &t, "SELECT " ENTRY_COLUMNS " FROM audit WHERE request_id = ? ORDER BY sequence", &q));
    sql_bind_text(&q, bytes_of_text(request_id));
    TRY(hand_over(&q, fn, context, &count));
    if (count == 0)
        FAIL(fault, ERR_NOT_FOUND, "no audit record has request id %s", request_id);
    return ERR_OK;
}

enum err sqlite_put_checkpoint(struct store *store, uint64_t sequence, struct bytes message,
                               struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_begin(sqlite_of(store)->writer, &t, fault));
    TRY(sql_prepare(&t,
                    "INSERT INTO checkpoint (sequence, message) VALUES (?, ?)"
                    " ON CONFLICT (sequence) DO UPDATE SET message = excluded.message",
                    &q));
    sql_bind_uint(&q, sequence);
    sql_bind_blob(&q, message);
    TRY(sql_run(&q));
    return sql_commit(&t);
}

enum err sqlite_checkpoint_scan(struct store *store, uint64_t from, uint64_t to, checkpoint_fn *fn,
                                void *context, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(sql_prepare(&t,
                    "SELECT sequence, message FROM checkpoint WHERE sequence BETWEEN ? AND ?"
                    " ORDER BY sequence",
                    &q));
    sql_bind_uint(&q, clamp(from));
    sql_bind_uint(&q, clamp(to));
    for (bool more = true; more;) {
        uint64_t sequence = 0;
        struct bytes message = {0};
        TRY(sql_step(&q, &more));
        if (!more)
            break;
        TRY(sql_column_uint(&q, 0, UINT64_MAX, &sequence));
        TRY(sql_column_blob(&q, 1, &message));
        TRY(fn(sequence, message, context));
    }
    return ERR_OK;
}
