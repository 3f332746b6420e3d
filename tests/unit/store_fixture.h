/* A store in a directory of its own, with one row in every policy table. */
#ifndef VOUCHSAFE_STORE_FIXTURE_H
#define VOUCHSAFE_STORE_FIXTURE_H

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cbor_writer.h"
#include "unit.h"
#include "verifier/store/store_backend.h"

#define FIXTURE_ROWS_MAX 32
#define GRANT_ID         1
#define SECRET_ID        1
#define CREATED_MS       1700000000000u
#define EXPIRY_MS        1700000120000u

struct rows {
    size_t count;
    struct policy_row row[FIXTURE_ROWS_MAX];
    struct buf columns[FIXTURE_ROWS_MAX];
};

struct fixture {
    const struct store_backend *backend;
    char dir[256];
    char path[512];
    struct store *store;
    const struct store_ops *ops;
    struct store_identity identity;
    struct rows rows; /* as stored by the first change */
    struct policy_head head;
    uint64_t sequence; /* of the last audit record */
    struct fault fault;
};

static inline void rows_free(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        buf_free(&rows->columns[i]);
    rows->count = 0;
}

/* Adds a row: u uint64_t, t const char *, b (const char *: one byte, 32 times; "" none), n null. */
static inline void rows_add(struct rows *rows, enum policy_table table, uint64_t id,
                            uint64_t revision, const char *types, ...)
{
    const size_t n = rows->count++;
    struct cbor_writer w;
    va_list args;
    ck_assert_uint_lt(n, FIXTURE_ROWS_MAX);
    rows->columns[n] = (struct buf){0};
    cbor_writer_init(&w, &rows->columns[n]);
    cbor_writer_array(&w, strlen(types));
    va_start(args, types);
    for (const char *type = types; *type != '\0'; type++) {
        uint8_t blob[32];
        if (*type == 'u') {
            cbor_writer_uint(&w, va_arg(args, uint64_t));
        } else if (*type == 't') {
            cbor_writer_cstr(&w, va_arg(args, const char *));
        } else if (*type == 'b') {
            const char *fill = va_arg(args, const char *);
            memset(blob, fill[0], sizeof blob);
            cbor_writer_bytes(&w, bytes_of(blob, fill[0] == '\0' ? 0 : sizeof blob));
        } else {
            cbor_writer_null(&w);
        }
    }
    va_end(args);
    ck_ok(cbor_writer_finish(&w));
    rows->row[n] = (struct policy_row){
        .table = table, .id = id, .revision = revision, .columns = bytes_of_buf(&rows->columns[n])};
    memset(rows->row[n].mac, (int)(0x40 + n), STORE_MAC_LEN);
}

#define U(value) ((uint64_t)(value))

static inline void rows_of_everything(struct rows *rows)
{
    rows_add(rows, POLICY_SETTING, 1, 1, "tt", "kind", "");
    rows_add(rows, POLICY_PERSON, 1, 1, "tuu", "Z\xc3\xbc leika", U(1), U(CREATED_MS));
    rows_add(rows, POLICY_TOKEN, 1, 1, "utbuuunb", U(1), "laptop", "h", U(31), U(1), U(CREATED_MS),
             "i");
    rows_add(rows, POLICY_IMAGE, 1, 1, "tu", "payments", U(CREATED_MS));
    rows_add(rows, POLICY_MEASUREMENT, 1, 1, "utuubbunubtu", U(1), "1.4.2", U(0), U(0), "p", "r",
             U(2), U(INT64_MAX), "", "by hand", U(0));
    rows_add(rows, POLICY_SECRET, 1, 1, "tuuu", "db/main", U(1), U(1), U(CREATED_MS));
    rows_add(rows, POLICY_SECRET_VERSION, 1, 1, "uuuuu", U(1), U(1), U(32), U(1), U(CREATED_MS));
    rows_add(rows, POLICY_GRANT, GRANT_ID, 1, "uunnnnntbbunnuu", U(SECRET_ID), U(1), "", "", "v",
             U(2), U(1), U(CREATED_MS));
    rows_add(rows, POLICY_OWN_KEY, 1, 1, "uubnbuu", U(1), U(1), "k", "d", U(1), U(CREATED_MS));
    rows_add(rows, POLICY_REVOCATION, 1, 1, "unnttuuu", U(2), "i-0123456789abcdef0", "stolen", U(1),
             U(CREATED_MS), U(1));
    rows_add(rows, POLICY_ENROLLED_KEY, 1, 1, "utbbubuu", U(1), "ci", "k", "i", U(7), "f", U(1),
             U(CREATED_MS));
}

/* The next audit record; `text` is its request id and its content. */
static inline struct audit_entry fixture_audit(const struct fixture *f, const char *text)
{
    struct audit_entry entry = {
        .sequence = f->sequence + 1,
        .time_ms = CREATED_MS + f->sequence,
        .request_id = text,
        .event = "test.event",
        .record = bytes_of_text(text),
    };
    memset(entry.hash, (int)(f->sequence + 1), sizeof entry.hash);
    return entry;
}

static inline struct policy_head fixture_head(uint64_t revision, uint64_t row_count)
{
    struct policy_head head = {.revision = revision, .row_count = row_count};
    memset(head.digest, (int)revision, sizeof head.digest);
    memset(head.mac, (int)revision + 1, sizeof head.mac);
    return head;
}

static inline void fixture_prepare(struct fixture *f, const struct store_backend *backend)
{
    const char *tmp = getenv("TMPDIR");
    *f = (struct fixture){.backend = backend, .fault = FAULT_NONE};
    snprintf(f->dir, sizeof f->dir, "%s/test_store.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/vouchsafe.db", f->dir);
    f->identity = (struct store_identity){
        .generation = 1,
        .challenge_epoch = UINT32_MAX,
        .purged_before_ms = 7,
        .created_ms = CREATED_MS,
    };
    memset(f->identity.store_id, 's', sizeof f->identity.store_id);
    memset(f->identity.key_check, 'k', sizeof f->identity.key_check);
    rows_of_everything(&f->rows);
    f->head = fixture_head(1, f->rows.count);
}

/* What store_create is given; views of the fixture, of `sealed` and of `audit`. */
static inline struct store_change fixture_first(const struct fixture *f,
                                                const struct sealed_value *sealed,
                                                const struct audit_entry *audit)
{
    return (struct store_change){
        .row_count = f->rows.count,
        .row = f->rows.row,
        .sealed_count = 1,
        .sealed = sealed,
        .head = &f->head,
        .audit = audit,
    };
}

static inline enum err fixture_create(struct fixture *f)
{
    const struct audit_entry audit = fixture_audit(f, "first");
    const struct sealed_value sealed = {SECRET_ID, 1, bytes_of_text("sealed bytes of version 1")};
    const struct store_change first = fixture_first(f, &sealed, &audit);
    fault_clear(&f->fault);
    return f->backend->create(f->path, &f->identity, &first, &f->fault);
}

static inline enum err fixture_open(struct fixture *f)
{
    fault_clear(&f->fault);
    const enum err err = store_open(f->path, &f->store, &f->fault);
    if (err == ERR_OK)
        f->ops = store_ops(f->store);
    return err;
}

static inline void fixture_make(struct fixture *f, const struct store_backend *backend)
{
    fixture_prepare(f, backend);
    ck_assert_msg(fixture_create(f) == ERR_OK, "%s", f->fault.detail);
    ck_assert_msg(fixture_open(f) == ERR_OK, "%s", f->fault.detail);
    f->sequence = 1;
}

static inline void fixture_close(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    ck_assert_msg(fixture_open(f) == ERR_OK, "%s", f->fault.detail);
}

static inline size_t fixture_file_count(const struct fixture *f)
{
    size_t count = 0;
    DIR *dir = opendir(f->dir);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static inline void fixture_free(struct fixture *f)
{
    fixture_close(f);
    rows_free(&f->rows);
    DIR *dir = opendir(f->dir);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", f->dir, e->d_name);
        if (e->d_name[0] != '.')
            unlink(name);
    }
    closedir(dir);
    rmdir(f->dir);
}

/* A change of these rows on top of what is there, with a record of its own. */
static inline enum err fixture_change(struct fixture *f, const struct rows *rows,
                                      const struct store_change *more)
{
    const struct audit_entry audit = fixture_audit(f, "change");
    const struct policy_head head = fixture_head(f->head.revision + 1, f->head.row_count);
    struct store_change change = {0};
    if (more != NULL)
        change = *more;
    change.expected_revision = f->head.revision;
    change.row_count = rows == NULL ? 0 : rows->count;
    change.row = rows == NULL ? NULL : rows->row;
    change.head = &head;
    change.audit = &audit;
    fault_clear(&f->fault);
    const enum err err = f->ops->commit_change(f->store, &change, &f->fault);
    if (err == ERR_OK) {
        f->head = head;
        f->sequence++;
    }
    return err;
}

static inline enum err rows_collect(const struct policy_row *row, void *context)
{
    struct rows *rows = context;
    const size_t n = rows->count++;
    ck_assert_uint_lt(n, FIXTURE_ROWS_MAX);
    rows->columns[n] = (struct buf){0};
    ck_ok(buf_append(&rows->columns[n], row->columns));
    rows->row[n] = *row;
    rows->row[n].columns = bytes_of_buf(&rows->columns[n]);
    return ERR_OK;
}

static inline void rows_equal(const struct rows *a, const struct rows *b)
{
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        ck_assert_int_eq(a->row[i].table, b->row[i].table);
        ck_assert_uint_eq(a->row[i].id, b->row[i].id);
        ck_assert_uint_eq(a->row[i].revision, b->row[i].revision);
        ck_assert(bytes_equal(a->row[i].columns, b->row[i].columns));
        ck_assert_mem_eq(a->row[i].mac, b->row[i].mac, STORE_MAC_LEN);
    }
}

/* That the store holds exactly these rows and the head, and that many audit records. */
static inline void fixture_holds(struct fixture *f, const struct rows *expected)
{
    CLEANUP(rows_free) struct rows found = {0};
    struct policy_head head = {0};
    struct audit_head tail = {0};
    ck_ok(f->ops->scan_policy(f->store, &head, rows_collect, &found, &f->fault));
    rows_equal(&found, expected);
    ck_assert_uint_eq(head.revision, f->head.revision);
    ck_assert_uint_eq(head.row_count, f->head.row_count);
    ck_assert_mem_eq(head.digest, f->head.digest, sizeof head.digest);
    ck_assert_mem_eq(head.mac, f->head.mac, sizeof head.mac);
    ck_ok(f->ops->read_audit_head(f->store, &tail, &f->fault));
    ck_assert_uint_eq(tail.sequence, f->sequence);
    ck_assert_uint_eq(tail.hash[0], (uint8_t)f->sequence);
}

/* --- decisions --- */

struct decision {
    struct store_decision d;
    struct audit_entry audit[2];
};

/* A grant of version 1 with no quota; `number` makes the challenge. */
static inline void decision_make(struct decision *out, const struct fixture *f, uint8_t number,
                                 const char *module_id)
{
    out->audit[0] = fixture_audit(f, "decided");
    out->audit[1] = fixture_audit(f, "over quota");
    out->d = (struct store_decision){
        .expected_revision = f->head.revision,
        .challenge_expiry_ms = EXPIRY_MS,
        .module_id = bytes_of_text(module_id),
        .granted = true,
        .audit = {&out->audit[0], &out->audit[1]},
        .sealed_count = 1,
        .wanted = {{SECRET_ID, 1}},
    };
    memset(out->d.challenge, number, sizeof out->d.challenge);
}

static inline enum err decision_commit(struct fixture *f, const struct decision *decision,
                                       struct store_outcome *out)
{
    fault_clear(&f->fault);
    const enum err err = f->ops->commit_decision(f->store, &decision->d, out, &f->fault);
    f->sequence += err == ERR_OK;
    return err;
}

/* START_TEST for a store of every backend. */
#define STORE_TEST(name)                                     \
    static void name##_on(struct fixture *f);                \
    START_TEST(name)                                         \
    {                                                        \
        for (size_t i = 0; store_backends[i] != NULL; i++) { \
            struct fixture fixture;                          \
            fixture_make(&fixture, store_backends[i]);       \
            name##_on(&fixture);                             \
            fixture_free(&fixture);                          \
        }                                                    \
    }                                                        \
    END_TEST                                                 \
    static void name##_on(struct fixture *f)

#endif
