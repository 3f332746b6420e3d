/* V6: one decision, one transaction; and the challenges that were redeemed. */
#include "store_sqlite.h"

#include <inttypes.h>

static enum err read_purged(struct sql_transaction *t, uint64_t *purged_before_ms)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, "SELECT purged_before_ms FROM store WHERE one = 1", &q));
    TRY(sql_step_one(&q));
    return sql_column_uint(&q, 0, UINT64_MAX, purged_before_ms);
}

/* Once only: the primary key decides between two that come at the same time.  What was
 * redeemed may have been forgotten up to purged_before, so nothing that old is taken,
 * whatever the clock says (PROTOCOL section 2). */
static enum err redeem_challenge(struct sql_transaction *t, const struct store_decision *d)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    uint64_t purged_before_ms = 0;

    TRY(read_purged(t, &purged_before_ms));
    if (d->challenge_expiry_ms <= purged_before_ms)
        FAIL(t->fault, ERR_CHALLENGE_EXPIRED,
             "challenges that expired up to %" PRIu64
             " are forgotten, this one expired at %" PRIu64,
             purged_before_ms, d->challenge_expiry_ms);
    TRY(sql_prepare(t, "INSERT OR IGNORE INTO redeemed (challenge, expiry_ms) VALUES (?, ?)", &q));
    sql_bind_blob(&q, bytes_of(d->challenge, sizeof d->challenge));
    sql_bind_uint(&q, d->challenge_expiry_ms);
    TRY(sql_run(&q));
    if (sql_changes(t) == 0)
        FAIL(t->fault, ERR_CHALLENGE_REDEEMED, "another document redeemed this challenge");
    return ERR_OK;
}

static enum err count_modules(struct sql_transaction *t, uint64_t grant_id, uint64_t *used)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, "SELECT count(*) FROM quota_use WHERE grant_id = ?", &q));
    sql_bind_uint(&q, grant_id);
    TRY(sql_step_one(&q));
    return sql_column_uint(&q, 0, UINT64_MAX, used);
}

static enum err find_module(struct sql_transaction *t, uint64_t grant_id, struct bytes module_id,
                            bool *counted)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, "SELECT 1 FROM quota_use WHERE grant_id = ? AND module_id = ?", &q));
    sql_bind_uint(&q, grant_id);
    sql_bind_text(&q, module_id);
    return sql_step(&q, counted);
}

/* Whether the module may use the grant: it did before, or there is room for one more. */
static enum err check_quota(struct sql_transaction *t, const struct quota_use *quota,
                            struct bytes module_id, bool *over)
{
    uint64_t used = 0;
    bool counted = false;

    TRY(find_module(t, quota->grant_id, module_id, &counted));
    if (counted) {
        *over = false;
        return ERR_OK;
    }
    TRY(count_modules(t, quota->grant_id, &used));
    *over = used >= quota->quota;
    return ERR_OK;
}

static enum err use_quota(struct sql_transaction *t, uint64_t grant_id, struct bytes module_id,
                          uint64_t now_ms)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t,
                    "INSERT OR IGNORE INTO quota_use (grant_id, module_id, first_ms)"
                    " VALUES (?, ?, ?)",
                    &q));
    sql_bind_uint(&q, grant_id);
    sql_bind_text(&q, module_id);
    sql_bind_uint(&q, now_ms);
    return sql_run(&q);
}

/* All are looked at before any is counted: a refusal costs nothing. */
static enum err take_quotas(struct sql_transaction *t, const struct store_decision *d, bool *over)
{
    for (size_t i = 0; i < d->quota_count; i++) {
        bool this_over = false;
        TRY(check_quota(t, &d->quota[i], d->module_id, &this_over));
        if (this_over) {
            *over = true;
            return ERR_OK;
        }
    }
    for (size_t i = 0; i < d->quota_count; i++)
        TRY(use_quota(t, d->quota[i].grant_id, d->module_id, d->audit[0]->time_ms));
    *over = false;
    return ERR_OK;
}

static enum err read_sealed(struct sql_transaction *t, const struct sealed_ref *wanted,
                            struct buf *out)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    struct bytes sealed = {0};
    bool found = false;

    TRY(sql_prepare(t, "SELECT sealed FROM sealed_value WHERE secret_id = ? AND version = ?", &q));
    sql_bind_uint(&q, wanted->secret_id);
    sql_bind_uint(&q, wanted->version);
    TRY(sql_step(&q, &found));
    if (!found)
        FAIL(t->fault, ERR_STORE, "the sealed value of secret %" PRIu64 ", version %u is missing",
             wanted->secret_id, (unsigned)wanted->version);
    TRY(sql_column_blob(&q, 0, &sealed));
    return buf_append(out, sealed);
}

static enum err check_decision(const struct store_decision *d)
{
    const bool needs_refusal = d->granted && d->quota_count > 0;
    if (d->quota_count > PROTOCOL_SECRETS_MAX || d->sealed_count > PROTOCOL_SECRETS_MAX ||
        d->audit[0] == NULL || (needs_refusal && d->audit[1] == NULL))
        return ERR_INTERNAL;
    return ERR_OK;
}

enum err sqlite_commit_decision(struct store *store, const struct store_decision *d,
                                struct store_outcome *out, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(store_outcome_free) struct store_outcome outcome = {0};

    TRY(check_decision(d));
    TRY(sql_begin(sqlite_of(store)->writer, &t, fault));
    TRY(sqlite_revision_check(&t, d->expected_revision));
    TRY(redeem_challenge(&t, d));
    if (d->granted)
        TRY(take_quotas(&t, d, &outcome.over_quota));
    TRY(sqlite_audit_add(&t, d->audit[outcome.over_quota ? 1 : 0]));
    if (d->granted && !outcome.over_quota) {
        TRY(sqlite_use_count(&t, d));
        outcome.sealed_count = d->sealed_count;
        for (size_t i = 0; i < d->sealed_count; i++)
            TRY(read_sealed(&t, &d->wanted[i], &outcome.sealed[i]));
    }
    TRY(sql_commit(&t));
    *out = outcome;
    outcome = (struct store_outcome){0};
    return ERR_OK;
}

enum err sqlite_check_redeemed(struct store *store, const uint8_t challenge[PROTOCOL_CHALLENGE_LEN],
                               struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    CLEANUP(sql_finish) struct sql_query q = {0};
    bool redeemed = false;

    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    TRY(sql_prepare(&t, "SELECT 1 FROM redeemed WHERE challenge = ?", &q));
    sql_bind_blob(&q, bytes_of(challenge, PROTOCOL_CHALLENGE_LEN));
    TRY(sql_step(&q, &redeemed));
    if (redeemed)
        FAIL(fault, ERR_CHALLENGE_REDEEMED, "another document redeemed this challenge");
    return ERR_OK;
}

static enum err remember_purge(struct sql_transaction *t, uint64_t before_ms)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, "UPDATE store SET purged_before_ms = ? WHERE one = 1", &q));
    sql_bind_uint(&q, before_ms);
    return sql_run(&q);
}

static enum err forget_redeemed(struct sql_transaction *t, uint64_t before_ms)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    TRY(sql_prepare(t, "DELETE FROM redeemed WHERE expiry_ms <= ?", &q));
    sql_bind_uint(&q, before_ms);
    return sql_run(&q);
}

/* The latest expiry among those to be forgotten; 0 where there are none. */
static enum err latest_expired(struct sql_transaction *t, uint64_t before_ms, uint64_t *out)
{
    CLEANUP(sql_finish) struct sql_query q = {0};
    bool found = false;

    TRY(sql_prepare(t,
                    "SELECT expiry_ms FROM redeemed WHERE expiry_ms <= ?"
                    " ORDER BY expiry_ms DESC LIMIT 1",
                    &q));
    sql_bind_uint(&q, before_ms);
    TRY(sql_step(&q, &found));
    *out = 0;
    return found ? sql_column_uint(&q, 0, UINT64_MAX, out) : ERR_OK;
}

/* A clock that went back takes nothing back: what was forgotten stays refused.  One that
 * ran ahead for a while refuses nothing but what was redeemed then. */
enum err sqlite_purge_challenges(struct store *store, uint64_t before_ms, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    uint64_t purged_before_ms = 0;
    uint64_t latest_ms = 0;

    TRY(sql_begin(sqlite_of(store)->writer, &t, fault));
    TRY(latest_expired(&t, before_ms, &latest_ms));
    if (latest_ms == 0)
        return ERR_OK;
    TRY(read_purged(&t, &purged_before_ms));
    if (latest_ms > purged_before_ms)
        TRY(remember_purge(&t, latest_ms));
    TRY(forget_redeemed(&t, before_ms));
    return sql_commit(&t);
}

enum err sqlite_read_quota(struct store *store, uint64_t grant_id, uint64_t *used,
                           struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    return count_modules(&t, grant_id, used);
}

enum err sqlite_read_counted(struct store *store, uint64_t grant_id, struct bytes module_id,
                             bool *counted, struct fault *fault)
{
    CLEANUP(sql_end) struct sql_transaction t = {0};
    TRY(sql_begin(sqlite_of(store)->reader, &t, fault));
    return find_module(&t, grant_id, module_id, counted);
}
