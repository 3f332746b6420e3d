/* Policy rows: one table of columns instead of ten of everything.
 *
 * What a row's MAC covers leaves and enters as one CBOR array in the order of db/; the
 * store gives back exactly the bytes it was given. */
#include "store_sqlite.h"

#include <inttypes.h>

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"

/* The columns between `revision` and `mac`, as db/ has them: append only, and what a
 * migration appends is marked `later`. */
const struct sqlite_column sqlite_columns[POLICY_TABLE_COUNT][SQLITE_COLUMNS_MAX] =
    {
        [POLICY_SETTING] =
            {
                {.name = "name", .type = COLUMN_TEXT},
                {.name = "value", .type = COLUMN_TEXT},
            },
        [POLICY_PERSON] =
            {
                {.name = "name", .type = COLUMN_TEXT},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "created_ms", .type = COLUMN_INTEGER},
            },
        [POLICY_TOKEN] =
            {
                {.name = "person_id", .type = COLUMN_INTEGER},
                {.name = "label", .type = COLUMN_TEXT},
                {.name = "hash", .type = COLUMN_BLOB},
                {.name = "rights", .type = COLUMN_INTEGER},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "created_ms", .type = COLUMN_INTEGER},
                {.name = "expires_ms", .type = COLUMN_INTEGER},
                {.name = "images", .type = COLUMN_BLOB, .later = true},
            },
        [POLICY_IMAGE] =
            {
                {.name = "name", .type = COLUMN_TEXT},
                {.name = "created_ms", .type = COLUMN_INTEGER},
            },
        [POLICY_MEASUREMENT] =
            {
                {.name = "image_id", .type = COLUMN_INTEGER},
                {.name = "version", .type = COLUMN_TEXT},
                {.name = "kind", .type = COLUMN_INTEGER},
                {.name = "debug", .type = COLUMN_INTEGER},
                {.name = "pcrs", .type = COLUMN_BLOB},
                {.name = "root", .type = COLUMN_BLOB},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "not_before_ms", .type = COLUMN_INTEGER},
                {.name = "not_after_ms", .type = COLUMN_INTEGER},
                {.name = "labels", .type = COLUMN_BLOB},
                {.name = "provenance", .type = COLUMN_TEXT},
                {.name = "created_ms", .type = COLUMN_INTEGER},
                {.name = "added_by", .type = COLUMN_INTEGER, .later = true},
            },
        [POLICY_SECRET] =
            {
                {.name = "name", .type = COLUMN_TEXT},
                {.name = "current_version", .type = COLUMN_INTEGER},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "created_ms", .type = COLUMN_INTEGER},
            },
        [POLICY_SECRET_VERSION] =
            {
                {.name = "secret_id", .type = COLUMN_INTEGER},
                {.name = "version", .type = COLUMN_INTEGER},
                {.name = "size", .type = COLUMN_INTEGER},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "created_ms", .type = COLUMN_INTEGER},
            },
        [POLICY_GRANT] =
            {
                {.name = "secret_id", .type = COLUMN_INTEGER},
                {.name = "image_id", .type = COLUMN_INTEGER},
                {.name = "measurement_id", .type = COLUMN_INTEGER},
                {.name = "pcr8", .type = COLUMN_BLOB},
                {.name = "pcr1", .type = COLUMN_BLOB},
                {.name = "pcr3", .type = COLUMN_BLOB},
                {.name = "pcr4", .type = COLUMN_BLOB},
                {.name = "region", .type = COLUMN_TEXT},
                {.name = "application", .type = COLUMN_BLOB},
                {.name = "versions", .type = COLUMN_BLOB},
                {.name = "quota", .type = COLUMN_INTEGER},
                {.name = "not_before_ms", .type = COLUMN_INTEGER},
                {.name = "not_after_ms", .type = COLUMN_INTEGER},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "created_ms", .type = COLUMN_INTEGER},
                {.name = "registered", .type = COLUMN_INTEGER, .later = true},
                {.name = "registered_image_id", .type = COLUMN_INTEGER, .later = true},
                {.name = "accepted", .type = COLUMN_BLOB, .later = true},
            },
        [POLICY_OWN_KEY] =
            {
                {.name = "kind", .type = COLUMN_INTEGER},
                {.name = "version", .type = COLUMN_INTEGER},
                {.name = "spki", .type = COLUMN_BLOB},
                {.name = "sealed", .type = COLUMN_BLOB},
                {.name = "delegation", .type = COLUMN_BLOB},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "created_ms", .type = COLUMN_INTEGER},
            },
        [POLICY_REVOCATION] =
            {
                {.name = "kind", .type = COLUMN_INTEGER},
                {.name = "issuer", .type = COLUMN_BLOB},
                {.name = "serial", .type = COLUMN_BLOB},
                {.name = "instance", .type = COLUMN_TEXT},
                {.name = "reason", .type = COLUMN_TEXT},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "created_ms", .type = COLUMN_INTEGER},
                {.name = "person_id", .type = COLUMN_INTEGER},
            },
        [POLICY_ENROLLED_KEY] =
            {
                {.name = "person_id", .type = COLUMN_INTEGER},
                {.name = "label", .type = COLUMN_TEXT},
                {.name = "public_key", .type = COLUMN_BLOB},
                {.name = "images", .type = COLUMN_BLOB},
                {.name = "last_serial", .type = COLUMN_INTEGER},
                {.name = "last_file", .type = COLUMN_BLOB},
                {.name = "state", .type = COLUMN_INTEGER},
                {.name = "created_ms", .type = COLUMN_INTEGER},
            },
};

static size_t column_count(const struct sqlite_column *columns)
{
    size_t count = 0;
    while (count < SQLITE_COLUMNS_MAX && columns[count].type != COLUMN_NONE)
        count++;
    return count;
}

/* --- the head --- */

static enum err read_head(struct sql_transaction *t, struct policy_head *out)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, "SELECT revision, row_count, digest, mac FROM policy_head WHERE one = 1",
                    &q));
    TRY(sql_step_one(&q));
    TRY(sql_column_uint(&q, 0, UINT64_MAX, &out->revision));
    TRY(sql_column_uint(&q, 1, UINT64_MAX, &out->row_count));
    TRY(sql_column_fixed(&q, 2, out->digest, sizeof out->digest));
    return sql_column_fixed(&q, 3, out->mac, sizeof out->mac);
}

static enum err write_head(struct sql_transaction *t, const struct policy_head *head)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT INTO policy_head (one, revision, row_count, digest, mac)"
                    " VALUES (1, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET"
                    " revision = excluded.revision, row_count = excluded.row_count,"
                    " digest = excluded.digest, mac = excluded.mac",
                    &q));
    sql_bind_uint(&q, head->revision);
    sql_bind_uint(&q, head->row_count);
    sql_bind_blob(&q, bytes_of(head->digest, sizeof head->digest));
    sql_bind_blob(&q, bytes_of(head->mac, sizeof head->mac));
    return sql_run(&q);
}

enum err sqlite_revision_check(struct sql_transaction *t, uint64_t expected)
{
    struct policy_head head = {0};
    TRY(read_head(t, &head));
    if (head.revision != expected)
        FAIL(t->fault, ERR_STORE_CONFLICT,
             "the policy is at revision %" PRIu64 ", not at %" PRIu64 " any more", head.revision,
             expected);
    return ERR_OK;
}

/* --- rows out --- */

static enum err encode_column(const struct sql_query *q, int place, enum column_type type,
                              struct cbor_writer *w)
{
    uint64_t number = 0;
    struct bytes value = {0};
    if (sql_column_is_null(q, place)) {
        cbor_writer_null(w);
        return ERR_OK;
    }
    switch (type) {
    case COLUMN_INTEGER:
        TRY(sql_column_uint(q, place, UINT64_MAX, &number));
        cbor_writer_uint(w, number);
        return ERR_OK;
    case COLUMN_TEXT:
        TRY(sql_column_text(q, place, &value));
        cbor_writer_text(w, value);
        return ERR_OK;
    case COLUMN_BLOB:
        TRY(sql_column_blob(q, place, &value));
        cbor_writer_bytes(w, value);
        return ERR_OK;
    case COLUMN_NONE:
        break;
    }
    return ERR_INTERNAL;
}

/* Later columns that are null at the end were not there when the row was MACed, or were
 * left out of it all the same. */
static size_t count_present(const struct sql_query *q, const struct sqlite_column *of)
{
    size_t count = column_count(of);
    while (count > 0 && of[count - 1].later && sql_column_is_null(q, (int)count + 1))
        count--;
    return count;
}

/* `id, revision, columns..., mac` of the row; `columns` is the caller's, and reused. */
static enum err read_row(const struct sql_query *q, const struct sqlite_column *of,
                         enum policy_table table, struct buf *columns, struct policy_row *out)
{
    const size_t count = count_present(q, of);
    struct cbor_writer w;

    out->table = table;
    TRY(sql_column_uint(q, 0, UINT64_MAX, &out->id));
    TRY(sql_column_uint(q, 1, UINT64_MAX, &out->revision));
    columns->len = 0;
    cbor_writer_init(&w, columns);
    cbor_writer_array(&w, count);
    for (size_t i = 0; i < count; i++)
        TRY(encode_column(q, (int)i + 2, of[i].type, &w));
    const enum err err = cbor_writer_finish(&w);
    if (err == ERR_UTF8)
        FAIL(fault_at(q->t->fault, FAULT_NO_OFFSET, "%s %" PRIu64, policy_table_name(table),
                      out->id),
             ERR_STORE_TAMPERED, "a text is not UTF-8");
    TRY(err);
    out->columns = bytes_of_buf(columns);
    return sql_column_fixed(q, (int)column_count(of) + 2, out->mac, sizeof out->mac);
}

/* The names are constants of this file. */
static enum err scan_text(const struct sqlite_column *of, enum policy_table table, struct buf *out)
{
    TRY(buf_append_text(out, "SELECT id, revision"));
    for (size_t i = 0; i < column_count(of); i++)
        TRY(buf_append_format(out, ", %s", of[i].name));
    return buf_append_format(out, ", mac FROM %s ORDER BY id", policy_table_name(table));
}

static enum err scan_table(struct sql_transaction *t, const struct sqlite_column *of,
                           enum policy_table table, policy_row_fn *fn, void *context)
{
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf columns = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};

    TRY(scan_text(of, table, &text));
    const char *sql = buf_text(&text);
    if (sql == NULL)
        return ERR_NO_MEMORY;
    TRY(sql_prepare(t, sql, &q));
    for (bool more = true; more;) {
        struct policy_row row = {0};
        TRY(sql_step(&q, &more));
        if (!more)
            break;
        TRY(read_row(&q, of, table, &columns, &row));
        TRY(fn(&row, context));
    }
    return ERR_OK;
}

enum err sqlite_scan_policy(struct store *store, struct policy_head *head, policy_row_fn *fn,
                            void *context, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    struct policy_head found = {0};
    const struct sqlite_column(*columns)[SQLITE_COLUMNS_MAX] = sqlite_of(store)->columns;

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(read_head(&t, &found));
    for (unsigned table = 0; table < POLICY_TABLE_COUNT; table++)
        TRY(scan_table(&t, columns[table], (enum policy_table)table, fn, context));
    *head = found;
    return ERR_OK;
}

/* --- rows in --- */

/* An update, not a replacement: REPLACE would delete the row that others refer to. */
static enum err upsert_text(const struct sqlite_column *of, enum policy_table table,
                            struct buf *out)
{
    const size_t count = column_count(of);

    TRY(buf_append_format(out, "INSERT INTO %s (id, revision", policy_table_name(table)));
    for (size_t i = 0; i < count; i++)
        TRY(buf_append_format(out, ", %s", of[i].name));
    TRY(buf_append_text(out, ", mac) VALUES (?, ?"));
    for (size_t i = 0; i < count; i++)
        TRY(buf_append_text(out, ", ?"));
    TRY(buf_append_text(out, ", ?) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision"));
    for (size_t i = 0; i < count; i++)
        TRY(buf_append_format(out, ", %s = excluded.%s", of[i].name, of[i].name));
    return buf_append_text(out, ", mac = excluded.mac");
}

/* A column takes its own type or null: STRICT alone would turn a text of digits into a
 * number, and the MAC would no longer be over what is there. */
static enum err bind_column(struct sql_query *q, struct cbor_reader *r, enum column_type type,
                            bool must_say)
{
    struct cbor_item item = {0};
    TRY(cbor_reader_next(r, &item));
    if (item.kind == CBOR_KIND_NULL && !must_say) {
        sql_bind_null(q);
        return ERR_OK;
    }
    if (type == COLUMN_INTEGER && item.kind == CBOR_KIND_UINT)
        sql_bind_uint(q, item.value);
    else if (type == COLUMN_TEXT && item.kind == CBOR_KIND_TEXT)
        sql_bind_text(q, item.string);
    else if (type == COLUMN_BLOB && item.kind == CBOR_KIND_BYTES)
        sql_bind_blob(q, item.string);
    else
        return ERR_CBOR_TYPE;
    return ERR_OK;
}

/* Later columns that are not given become null; one that ends the array is not null itself,
 * or the row would come back shorter than its MAC's. */
static enum err bind_columns(struct sql_query *q, const struct sqlite_column *of,
                             const struct policy_row *row)
{
    const size_t count = column_count(of);
    struct cbor_reader r;
    uint64_t given;
    cbor_reader_init(&r, row->columns, 0, "", NULL);
    TRY(cbor_reader_array(&r, &given));
    for (size_t i = 0; i < count; i++) {
        const struct sqlite_column *column = &of[i];
        if (i < given)
            TRY(bind_column(q, &r, column->type, column->later && i + 1 == given));
        else if (column->later)
            sql_bind_null(q);
        else
            return ERR_CBOR_TYPE;
    }
    return cbor_reader_end(&r);
}

static enum err write_row(struct sql_transaction *t, const struct sqlite_column *of,
                          const struct policy_row *row)
{
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};

    TRY(upsert_text(of, row->table, &text));
    const char *sql = buf_text(&text);
    if (sql == NULL)
        return ERR_NO_MEMORY;
    TRY(sql_prepare(t, sql, &q));
    sql_bind_uint(&q, row->id);
    sql_bind_uint(&q, row->revision);
    const enum err err = bind_columns(&q, of, row);
    if (err != ERR_OK)
        FAIL(fault_at(t->fault, FAULT_NO_OFFSET, "%s %" PRIu64, policy_table_name(row->table),
                      row->id),
             ERR_INTERNAL, "these are not the columns of the table (%s)", err_wire(err));
    sql_bind_blob(&q, bytes_of(row->mac, sizeof row->mac));
    return sql_run(&q);
}

static enum err write_sealed(struct sql_transaction *t, const struct sealed_value *value)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, "INSERT INTO sealed_value (secret_id, version, sealed) VALUES (?, ?, ?)",
                    &q));
    sql_bind_uint(&q, value->secret_id);
    sql_bind_uint(&q, value->version);
    sql_bind_blob(&q, value->sealed);
    return sql_run(&q);
}

static enum err erase_sealed(struct sql_transaction *t, const struct sealed_ref *ref)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, "DELETE FROM sealed_value WHERE secret_id = ? AND version = ?", &q));
    sql_bind_uint(&q, ref->secret_id);
    sql_bind_uint(&q, ref->version);
    return sql_run(&q);
}

enum err sqlite_change_apply(struct sql_transaction *t,
                             const struct sqlite_column (*columns)[SQLITE_COLUMNS_MAX],
                             const struct store_change *change)
{
    for (size_t i = 0; i < change->row_count; i++) {
        if ((unsigned)change->row[i].table >= POLICY_TABLE_COUNT)
            return ERR_INTERNAL;
        TRY(write_row(t, columns[change->row[i].table], &change->row[i]));
    }
    for (size_t i = 0; i < change->sealed_count; i++)
        TRY(write_sealed(t, &change->sealed[i]));
    for (size_t i = 0; i < change->erased_count; i++)
        TRY(erase_sealed(t, &change->erased[i]));
    if (change->activated_id != 0)
        TRY(sqlite_use_begin(t, change->activated_id, change->audit->time_ms));
    TRY(write_head(t, change->head));
    return sqlite_audit_add(t, change->audit);
}

enum err sqlite_commit_change(struct store *store, const struct store_change *change,
                              struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    TRY(sql_begin(sqlite_of(store)->writer, &t, fault));
    TRY(sqlite_revision_check(&t, change->expected_revision));
    TRY(sqlite_change_apply(&t, sqlite_of(store)->columns, change));
    TRY(sql_commit(&t));
    /* secure_delete overwrote the pages; older copies of them are in the log. */
    if (change->erased_count > 0)
        sql_checkpoint(&t);
    return ERR_OK;
}
