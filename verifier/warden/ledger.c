#include "ledger.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec.h"
#include "common/log.h"
#include "ledger_head.h"

struct ledger {
    struct store *store;     /* borrowed */
    struct keyring *keyring; /* borrowed */
    const struct store_ops *ops;
    struct store_identity identity;
    pthread_mutex_t writing; /* held from ledger_begin on, and by decisions */
    pthread_rwlock_t policy_lock;
    struct policy *policy;
    struct ledger_head head;
    uint64_t sequence;        /* of the last audit record */
    uint8_t hash[SHA384_LEN]; /* of the chain up to it */
    uint64_t checkpointed;    /* the sequence of the last checkpoint */
    bool broken;              /* memory no longer mirrors the store: refuse everything */
};

/* What exists once per table, in the order of enum policy_table. */
static const struct {
    enum err (*load)(struct policy *policy, uint64_t id, struct bytes columns);
    uint64_t (*count)(const struct policy *policy);
} tables[POLICY_TABLE_COUNT] = {
    [POLICY_SETTING] = {policy_setting_load, policy_setting_count},
    [POLICY_PERSON] = {policy_person_load, policy_person_count},
    [POLICY_TOKEN] = {policy_token_load, policy_token_count},
    [POLICY_IMAGE] = {policy_image_load, policy_image_count},
    [POLICY_MEASUREMENT] = {policy_measurement_load, policy_measurement_count},
    [POLICY_SECRET] = {policy_secret_load, policy_secret_count},
    [POLICY_SECRET_VERSION] = {policy_secret_version_load, policy_secret_version_count},
    [POLICY_GRANT] = {policy_grant_load, policy_grant_count},
    [POLICY_OWN_KEY] = {policy_own_key_load, policy_own_key_count},
};

struct load_context {
    struct ledger *ledger;
    struct fault *fault;
};

static enum err load_row(const struct policy_row *row, void *context)
{
    struct load_context *c = context;
    struct ledger *l = c->ledger;
    const char *table = policy_table_name(row->table);
    uint8_t mac[STORE_MAC_LEN];

    TRY(ledger_row_mac(l->keyring, row, mac));
    if (!ledger_mac_equal(mac, row->mac))
        FAIL(fault_at(c->fault, FAULT_NO_OFFSET, "%s %llu", table, (unsigned long long)row->id),
             ERR_STORE_TAMPERED, "the row's MAC is wrong: it was not written by this server");
    if (row->id != tables[row->table].count(l->policy) + 1)
        FAIL(fault_at(c->fault, FAULT_NO_OFFSET, "%s %llu", table, (unsigned long long)row->id),
             ERR_STORE_TAMPERED, "row %llu of the table is missing: rows are never deleted",
             (unsigned long long)tables[row->table].count(l->policy) + 1);
    if (tables[row->table].load(l->policy, row->id, row->columns) != ERR_OK)
        FAIL(fault_at(c->fault, FAULT_NO_OFFSET, "%s %llu", table, (unsigned long long)row->id),
             ERR_STORE_TAMPERED, "the row cannot be read by this version of the program");
    return ledger_head_put(&l->head, row->table, row->id, mac, NULL);
}

static enum err revision_of(struct bytes record, uint64_t *revision)
{
    CLEANUP(json_decrefp) json_t *object = NULL;
    TRY(audit_record_to_json(record, &object, NULL));
    *revision = (uint64_t)json_integer_value(json_object_get(object, "policy_revision"));
    return ERR_OK;
}

struct last_link {
    struct ledger *ledger;
    uint8_t before[SHA384_LEN]; /* the hash before the record that comes next */
    bool linked;
    uint64_t revision; /* of the policy, as the last record says */
};

/* The record before the last gives its hash; the last must follow from it. */
static enum err check_link(const struct audit_entry *entry, void *context)
{
    struct last_link *link = context;
    const struct ledger *l = link->ledger;
    uint8_t hash[SHA384_LEN];
    if (entry->sequence == l->sequence) {
        TRY(audit_chain_next(link->before, entry->record, hash));
        link->linked = memcmp(hash, l->hash, sizeof hash) == 0;
        return revision_of(entry->record, &link->revision);
    }
    memcpy(link->before, entry->hash, sizeof link->before);
    return ERR_OK;
}

static enum err check_last_record(struct ledger *l, struct fault *fault)
{
    struct last_link link = {.ledger = l};
    TRY(audit_chain_first(l->identity.store_id, link.before));
    if (l->ops->audit_scan(l->store, l->sequence - 1, l->sequence, 2, check_link, &link, fault) !=
            ERR_OK ||
        !link.linked)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "audit %llu", (unsigned long long)l->sequence),
             ERR_STORE_TAMPERED, "the last audit record is not the one this server wrote");
    /* A policy put back whole, rows and head, is older than the last record was made under. */
    if (link.revision > l->head.revision)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "policy_head"), ERR_STORE_TAMPERED,
             "the policy is of revision %llu, the last audit record of %llu: an older policy was "
             "put back",
             (unsigned long long)l->head.revision, (unsigned long long)link.revision);
    return ERR_OK;
}

/* Where the log ends is under the server's MAC; what lies before is under the chain, which
 * `audit verify` recomputes whole. */
static enum err load_audit(struct ledger *l, struct fault *fault)
{
    struct audit_head head;
    uint8_t mac[STORE_MAC_LEN];

    TRY(l->ops->read_audit_head(l->store, &head, fault));
    TRY(ledger_audit_mac(l->keyring, head.sequence, head.hash, mac));
    if (!ledger_mac_equal(mac, head.mac))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "audit_head"), ERR_STORE_TAMPERED,
             "the audit log was cut or rewritten: its end does not carry this server's MAC");
    l->sequence = head.sequence;
    memcpy(l->hash, head.hash, sizeof l->hash);
    return check_last_record(l, fault);
}

static enum err load_policy(struct ledger *l, struct fault *fault)
{
    struct policy_head stored;
    struct policy_head expected;
    struct load_context context = {.ledger = l, .fault = fault};

    TRY(policy_new(&l->policy));
    TRY(l->ops->scan_policy(l->store, &stored, load_row, &context, fault));
    TRY(ledger_head_make(&l->head, l->keyring, stored.revision, &expected));
    if (!ledger_head_equal(&stored, &expected))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "policy_head"), ERR_STORE_TAMPERED,
             "the policy as a whole is not the one this server wrote last: rows were removed, "
             "added or put back to an older state");
    l->head.revision = stored.revision;
    return ERR_OK;
}

static enum err check_identity(struct ledger *l, struct fault *fault)
{
    uint8_t check[KEYRING_MAC_LEN];
    TRY(l->ops->read_identity(l->store, &l->identity, fault));
    TRY(keyring_check_value(l->keyring, check));
    if (!ledger_mac_equal(check, l->identity.key_check))
        FAIL(fault, ERR_KEY_WRONG, "the master key does not belong to this store");
    return ERR_OK;
}

enum err ledger_load(struct store *store, struct keyring *keyring, struct ledger **out,
                     struct fault *fault)
{
    CLEANUP(ledger_freep) struct ledger *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ERR_NO_MEMORY;
    l->store = store;
    l->keyring = keyring;
    l->ops = store_ops(store);
    pthread_mutex_init(&l->writing, NULL);
    pthread_rwlock_init(&l->policy_lock, NULL);
    TRY(check_identity(l, fault));
    TRY(load_policy(l, fault));
    TRY(load_audit(l, fault));
    l->checkpointed = l->sequence;
    *out = TAKE(l);
    return ERR_OK;
}

void ledger_free(struct ledger *l)
{
    if (l == NULL)
        return;
    policy_free(l->policy);
    ledger_head_free(&l->head);
    pthread_mutex_destroy(&l->writing);
    pthread_rwlock_destroy(&l->policy_lock);
    free(l);
}

const struct store_identity *ledger_identity(const struct ledger *l)
{
    return &l->identity;
}

const struct policy *ledger_read(struct ledger *l, uint64_t *revision)
{
    pthread_rwlock_rdlock(&l->policy_lock);
    *revision = l->head.revision;
    return l->policy;
}

void ledger_done(struct ledger *l)
{
    pthread_rwlock_unlock(&l->policy_lock);
}

const struct policy *ledger_begin(struct ledger *l, uint64_t *revision)
{
    pthread_mutex_lock(&l->writing);
    *revision = l->head.revision;
    return l->policy;
}

void ledger_abandon(struct ledger *l)
{
    pthread_mutex_unlock(&l->writing);
}

void ledger_change_free(struct ledger_change *change)
{
    for (size_t i = 0; i < change->count; i++)
        buf_free(&change->row[i].columns);
    change->count = 0;
}

enum err ledger_change_add(struct ledger_change *change, enum policy_table table, uint64_t id,
                           struct buf *columns)
{
    if (change->count == LEDGER_CHANGE_ROWS)
        return ERR_INTERNAL;
    change->row[change->count].table = table;
    change->row[change->count].id = id;
    change->row[change->count].columns = (struct buf){0};
    buf_move(&change->row[change->count].columns, columns);
    change->count++;
    return ERR_OK;
}

/* A record in its chain: what the store is given to append. */
struct chained {
    struct buf record;
    struct audit_entry entry;
};

static void chained_free(struct chained *c)
{
    buf_free(&c->record);
}

static enum err chain_event(const struct keyring *keyring, const struct audit_event *event,
                            uint64_t last, const uint8_t before[static SHA384_LEN],
                            struct chained *out)
{
    TRY(audit_record_append(event, last + 1, &out->record));
    out->entry = (struct audit_entry){
        .sequence = last + 1,
        .time_ms = event->time_ms,
        .request_id = event->request_id,
        .event = event->event,
        .record = bytes_of_buf(&out->record),
    };
    TRY(audit_chain_next(before, out->entry.record, out->entry.hash));
    return ledger_audit_mac(keyring, out->entry.sequence, out->entry.hash, out->entry.head_mac);
}

static void chain_advance(struct ledger *l, const struct audit_entry *entry)
{
    l->sequence = entry->sequence;
    memcpy(l->hash, entry->hash, sizeof l->hash);
}

static enum err refuse_if_broken(const struct ledger *l, struct fault *fault)
{
    if (l->broken)
        FAIL(fault, ERR_STORE,
             "the policy in memory is no longer the stored one after an earlier failure; restart "
             "the server");
    return ERR_OK;
}

/* The change's rows with their MACs, as the store takes them; `head` gets the MACs. */
static enum err mac_rows(const struct keyring *keyring, struct ledger_head *head,
                         const struct ledger_change *change, uint64_t revision,
                         struct policy_row rows[static LEDGER_CHANGE_ROWS],
                         struct ledger_head_undo *undo)
{
    for (size_t i = 0; i < change->count; i++) {
        rows[i] = (struct policy_row){
            .table = change->row[i].table,
            .id = change->row[i].id,
            .revision = revision,
            .columns = bytes_of_buf(&change->row[i].columns),
        };
        TRY(ledger_row_mac(keyring, &rows[i], rows[i].mac));
        TRY(ledger_head_put(head, rows[i].table, rows[i].id, rows[i].mac, undo));
    }
    return ERR_OK;
}

static enum err commit_rows(struct ledger *l, const struct ledger_change *change,
                            const struct chained *record, struct ledger_head_undo *undo,
                            struct fault *fault)
{
    struct policy_row rows[LEDGER_CHANGE_ROWS];
    struct policy_head head;
    const uint64_t revision = l->head.revision + 1;

    TRY(mac_rows(l->keyring, &l->head, change, revision, rows, undo));
    TRY(ledger_head_make(&l->head, l->keyring, revision, &head));
    const struct store_change stored = {
        .expected_revision = l->head.revision,
        .row_count = change->count,
        .row = rows,
        .sealed_count = change->sealed_count,
        .sealed = &change->sealed,
        .head = &head,
        .audit = &record->entry,
    };
    return l->ops->commit_change(l->store, &stored, fault);
}

/* After the store has it: the policy in memory follows, or nothing goes on. */
static enum err apply_rows(struct ledger *l, const struct ledger_change *change,
                           struct fault *fault)
{
    enum err err = ERR_OK;
    pthread_rwlock_wrlock(&l->policy_lock);
    for (size_t i = 0; i < change->count && err == ERR_OK; i++)
        err = tables[change->row[i].table].load(l->policy, change->row[i].id,
                                                bytes_of_buf(&change->row[i].columns));
    l->head.revision++;
    l->broken = err != ERR_OK;
    pthread_rwlock_unlock(&l->policy_lock);
    return err == ERR_OK ? ERR_OK : refuse_if_broken(l, fault);
}

static enum err commit_change_locked(struct ledger *l, const struct ledger_change *change,
                                     const struct audit_event *event, struct fault *fault)
{
    CLEANUP(chained_free) struct chained record = {0};
    TRY(refuse_if_broken(l, fault));
    TRY(chain_event(l->keyring, event, l->sequence, l->hash, &record));
    if (change->count == 0) {
        TRY(l->ops->append_audit(l->store, &record.entry, fault));
        chain_advance(l, &record.entry);
        return ERR_OK;
    }
    struct ledger_head_undo undo = {0};
    const enum err err = commit_rows(l, change, &record, &undo, fault);
    if (err != ERR_OK) {
        ledger_head_undo(&l->head, &undo);
        return err;
    }
    chain_advance(l, &record.entry);
    return apply_rows(l, change, fault);
}

static bool checkpoint_due(const struct ledger *l)
{
    return l->sequence - l->checkpointed >= LEDGER_CHECKPOINT_EVERY;
}

static enum err checkpoint_locked(struct ledger *l, uint64_t now_ms, struct fault *fault)
{
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf message = {0};
    CLEANUP(buf_free) struct buf hex = {0};
    struct audit_checkpoint checkpoint = {
        .sequence = l->sequence,
        .time_ms = now_ms,
        .policy_revision = l->head.revision,
    };
    memcpy(checkpoint.store_id, l->identity.store_id, sizeof checkpoint.store_id);
    memcpy(checkpoint.hash, l->hash, sizeof checkpoint.hash);
    TRY(audit_checkpoint_append(&checkpoint, &payload));
    TRY(keyring_sign(l->keyring, COSE_CHECKPOINT, bytes_of_buf(&payload), &message));
    TRY(l->ops->put_checkpoint(l->store, l->sequence, bytes_of_buf(&message), fault));
    l->checkpointed = l->sequence;
    /* The log is the copy held elsewhere: completeness is shown up to the newest one. */
    TRY(hex_append(&hex, bytes_of_buf(&message)));
    const char *text = buf_text(&hex);
    log_event(LOG_LEVEL_INFO, "audit.checkpoint", "sequence=%llu message=%s",
              (unsigned long long)l->sequence, text == NULL ? "" : text);
    return ERR_OK;
}

/* A checkpoint that fails costs no release: the chain itself is durable already. */
static void checkpoint_if_due(struct ledger *l, uint64_t now_ms)
{
    struct fault fault = FAULT_NONE;
    if (checkpoint_due(l) && checkpoint_locked(l, now_ms, &fault) != ERR_OK)
        log_fault(LOG_LEVEL_WARN, "audit.checkpoint_failed", &fault, "sequence=%llu",
                  (unsigned long long)l->sequence);
}

enum err ledger_commit_change(struct ledger *l, const struct ledger_change *change,
                              const struct audit_event *event, struct fault *fault)
{
    const enum err err = commit_change_locked(l, change, event, fault);
    if (err == ERR_OK)
        checkpoint_if_due(l, event->time_ms);
    pthread_mutex_unlock(&l->writing);
    return err;
}

static void quotas_of(const struct policy_verdict *verdict, struct store_decision *out)
{
    for (size_t i = 0; i < verdict->count; i++) {
        const struct policy_item *item = &verdict->item[i];
        out->wanted[i].secret_id = item->secret_id;
        out->wanted[i].version = item->version;
        if (item->quota == 0)
            continue;
        out->quota[out->quota_count].grant_id = item->grant_id;
        out->quota[out->quota_count].quota = item->quota;
        out->quota_count++;
    }
    out->sealed_count = verdict->count;
}

static enum err commit_decision_locked(struct ledger *l, const struct ledger_decision *d,
                                       struct store_outcome *outcome, uint64_t *sequence,
                                       struct fault *fault)
{
    CLEANUP(chained_free) struct chained decided = {0};
    CLEANUP(chained_free) struct chained refused = {0};
    struct store_decision stored = {
        .expected_revision = d->revision,
        .challenge_expiry_ms = d->challenge_expiry_ms,
        .module_id = d->event->doc->module_id,
        .granted = d->granted,
        .audit = {&decided.entry, &refused.entry},
    };
    TRY(refuse_if_broken(l, fault));
    if (d->revision != l->head.revision)
        FAIL(fault, ERR_STORE_CONFLICT, "the policy changed while the request was being decided");
    if (d->challenge.len != sizeof stored.challenge)
        return ERR_INTERNAL;
    memcpy(stored.challenge, d->challenge.ptr, sizeof stored.challenge);
    TRY(chain_event(l->keyring, d->event, l->sequence, l->hash, &decided));
    if (d->granted) {
        quotas_of(d->verdict, &stored);
        TRY(chain_event(l->keyring, d->over_quota, l->sequence, l->hash, &refused));
    }
    TRY(l->ops->commit_decision(l->store, &stored, outcome, fault));
    chain_advance(l, outcome->over_quota ? &refused.entry : &decided.entry);
    *sequence = l->sequence;
    return ERR_OK;
}

enum err ledger_commit_decision(struct ledger *l, const struct ledger_decision *decision,
                                struct store_outcome *outcome, uint64_t *sequence,
                                struct fault *fault)
{
    pthread_mutex_lock(&l->writing);
    const enum err err = commit_decision_locked(l, decision, outcome, sequence, fault);
    if (err == ERR_OK)
        checkpoint_if_due(l, decision->event->time_ms);
    pthread_mutex_unlock(&l->writing);
    return err;
}

enum err ledger_checkpoint(struct ledger *l, uint64_t now_ms, struct fault *fault)
{
    pthread_mutex_lock(&l->writing);
    const enum err err =
        l->sequence == l->checkpointed ? ERR_OK : checkpoint_locked(l, now_ms, fault);
    pthread_mutex_unlock(&l->writing);
    return err;
}

enum err ledger_create(const char *path, const struct store_identity *identity,
                       const struct keyring *keyring, const struct ledger_change *change,
                       const struct audit_event *event, struct fault *fault)
{
    CLEANUP(ledger_head_free) struct ledger_head macs = {0};
    CLEANUP(chained_free) struct chained record = {0};
    struct policy_row rows[LEDGER_CHANGE_ROWS];
    struct policy_head head;
    uint8_t start[SHA384_LEN];

    TRY(audit_chain_first(identity->store_id, start));
    TRY(chain_event(keyring, event, 0, start, &record));
    TRY(mac_rows(keyring, &macs, change, 1, rows, NULL));
    TRY(ledger_head_make(&macs, keyring, 1, &head));
    const struct store_change first = {
        .row_count = change->count,
        .row = rows,
        .head = &head,
        .audit = &record.entry,
    };
    return store_create(path, identity, &first, fault);
}
