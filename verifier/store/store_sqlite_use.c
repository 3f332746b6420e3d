/* How builds are used: counted with the release, in its transaction; and read. */
#include "store_sqlite.h"

/* --- counting --- */

/* Once for each document.  Whether the enclave is a new one is asked before it is noted. */
static enum err count_release(struct sql_transaction *t, uint64_t measurement_id,
                              struct bytes module_id, uint64_t now_ms)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT INTO measurement_use"
                    " (measurement_id, first_ms, last_ms, releases, enclaves)"
                    " VALUES (?1, ?2, ?2, 1, 1)"
                    " ON CONFLICT (measurement_id) DO UPDATE SET"
                    " first_ms = min(coalesce(first_ms, ?2), ?2),"
                    " last_ms = max(coalesce(last_ms, ?2), ?2),"
                    " releases = releases + 1,"
                    " enclaves = enclaves + NOT EXISTS (SELECT 1 FROM enclave_use"
                    " WHERE measurement_id = ?1 AND module_id = ?3)",
                    &q));
    sql_bind_uint(&q, measurement_id);
    sql_bind_uint(&q, now_ms);
    sql_bind_text(&q, module_id);
    return sql_run(&q);
}

static enum err count_day(struct sql_transaction *t, uint64_t measurement_id, uint64_t day)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT INTO measurement_day (measurement_id, day, releases) VALUES (?, ?, 1)"
                    " ON CONFLICT (measurement_id, day) DO UPDATE SET releases = releases + 1",
                    &q));
    sql_bind_uint(&q, measurement_id);
    sql_bind_uint(&q, day);
    return sql_run(&q);
}

/* A range of the primary key that is empty on all but one release of a day. */
static enum err forget_days(struct sql_transaction *t, uint64_t measurement_id, uint64_t day)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    if (day < STORE_USE_DAYS)
        return ERR_OK;
    TRY(sql_prepare(t, "DELETE FROM measurement_day WHERE measurement_id = ? AND day <= ?", &q));
    sql_bind_uint(&q, measurement_id);
    sql_bind_uint(&q, day - STORE_USE_DAYS);
    return sql_run(&q);
}

static enum err note_enclave(struct sql_transaction *t, uint64_t measurement_id,
                             struct bytes module_id, const struct sealed_ref *given,
                             uint64_t now_ms)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT INTO enclave_use"
                    " (measurement_id, module_id, secret_id, version, first_ms, last_ms, releases)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)"
                    " ON CONFLICT (measurement_id, module_id, secret_id, version) DO UPDATE SET"
                    " first_ms = min(first_ms, ?5), last_ms = max(last_ms, ?5),"
                    " releases = releases + 1",
                    &q));
    sql_bind_uint(&q, measurement_id);
    sql_bind_text(&q, module_id);
    sql_bind_uint(&q, given->secret_id);
    sql_bind_uint(&q, given->version);
    sql_bind_uint(&q, now_ms);
    return sql_run(&q);
}

/* Whether an earlier item of the decision was granted by the same build. */
static bool counted_already(const struct store_decision *d, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (d->measurement_id[j] == d->measurement_id[i])
            return true;
    }
    return false;
}

enum err sqlite_use_count(struct sql_transaction *t, const struct store_decision *d)
{
    const uint64_t now_ms = d->audit[0]->time_ms;
    for (size_t i = 0; i < d->sealed_count; i++) {
        if (d->measurement_id[i] == 0 || counted_already(d, i))
            continue;
        TRY(count_release(t, d->measurement_id[i], d->module_id, now_ms));
        TRY(count_day(t, d->measurement_id[i], now_ms / STORE_DAY_MS));
        TRY(forget_days(t, d->measurement_id[i], now_ms / STORE_DAY_MS));
    }
    for (size_t i = 0; i < d->sealed_count; i++) {
        if (d->measurement_id[i] != 0)
            TRY(note_enclave(t, d->measurement_id[i], d->module_id, &d->wanted[i], now_ms));
    }
    return ERR_OK;
}

enum err sqlite_use_begin(struct sql_transaction *t, uint64_t measurement_id, uint64_t now_ms)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT INTO measurement_use"
                    " (measurement_id, counted_from_ms, releases, enclaves) VALUES (?, ?, 0, 0)"
                    " ON CONFLICT (measurement_id) DO UPDATE SET"
                    " counted_from_ms = excluded.counted_from_ms",
                    &q));
    sql_bind_uint(&q, measurement_id);
    sql_bind_uint(&q, now_ms);
    return sql_run(&q);
}

/* --- reading --- */

/* NULL is 0: never. */
static enum err column_time(const struct sql_query *q, int column, uint64_t *out)
{
    *out = 0;
    return sql_column_is_null(q, column) ? ERR_OK : sql_column_uint(q, column, INT64_MAX, out);
}

enum err sqlite_use_scan(struct store *store, uint64_t from, uint64_t to, use_fn *fn, void *context,
                         struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(sql_prepare(&t,
                    "SELECT measurement_id, counted_from_ms, first_ms, last_ms, releases, enclaves"
                    " FROM measurement_use WHERE measurement_id BETWEEN ? AND ?"
                    " ORDER BY measurement_id",
                    &q));
    sql_bind_uint(&q, from);
    sql_bind_uint(&q, to);
    for (bool more = true; more;) {
        struct store_use use = {0};
        TRY(sql_step(&q, &more));
        if (!more)
            break;
        TRY(sql_column_uint(&q, 0, INT64_MAX, &use.measurement_id));
        TRY(column_time(&q, 1, &use.counted_from_ms));
        TRY(column_time(&q, 2, &use.first_ms));
        TRY(column_time(&q, 3, &use.last_ms));
        TRY(sql_column_uint(&q, 4, INT64_MAX, &use.releases));
        TRY(sql_column_uint(&q, 5, INT64_MAX, &use.enclaves));
        TRY(fn(&use, context));
    }
    return ERR_OK;
}

enum err sqlite_use_day_scan(struct store *store, uint64_t measurement_id, uint64_t from_day,
                             use_day_fn *fn, void *context, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(sql_prepare(&t,
                    "SELECT day, releases FROM measurement_day"
                    " WHERE measurement_id = ? AND day >= ? ORDER BY day",
                    &q));
    sql_bind_uint(&q, measurement_id);
    sql_bind_uint(&q, from_day);
    for (bool more = true; more;) {
        uint64_t day = 0;
        uint64_t releases = 0;
        TRY(sql_step(&q, &more));
        if (!more)
            break;
        TRY(sql_column_uint(&q, 0, INT64_MAX, &day));
        TRY(sql_column_uint(&q, 1, INT64_MAX, &releases));
        TRY(fn(day, releases, context));
    }
    return ERR_OK;
}

static enum err read_enclave(const struct sql_query *q, struct enclave_use *out)
{
    uint64_t version = 0;
    TRY(sql_column_uint(q, 0, INT64_MAX, &out->id));
    TRY(sql_column_text(q, 1, &out->module_id));
    TRY(sql_column_uint(q, 2, INT64_MAX, &out->secret_id));
    TRY(sql_column_uint(q, 3, UINT32_MAX, &version));
    out->version = (uint32_t)version;
    TRY(sql_column_uint(q, 4, INT64_MAX, &out->first_ms));
    TRY(sql_column_uint(q, 5, INT64_MAX, &out->last_ms));
    return sql_column_uint(q, 6, INT64_MAX, &out->releases);
}

enum err sqlite_enclave_scan(struct store *store, uint64_t measurement_id, uint64_t after,
                             uint64_t limit, enclave_use_fn *fn, void *context, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(sql_prepare(&t,
                    "SELECT id, module_id, secret_id, version, first_ms, last_ms, releases"
                    " FROM enclave_use WHERE measurement_id = ? AND id > ? ORDER BY id LIMIT ?",
                    &q));
    sql_bind_uint(&q, measurement_id);
    sql_bind_uint(&q, after);
    sql_bind_uint(&q, limit);
    for (bool more = true; more;) {
        struct enclave_use use = {0};
        TRY(sql_step(&q, &more));
        if (!more)
            break;
        TRY(read_enclave(&q, &use));
        TRY(fn(&use, context));
    }
    return ERR_OK;
}
