#include "ledger.h"

#include <string.h>

#include "common/codec.h"
#include "common/log.h"
#include "ledger_internal.h"

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

uint64_t ledger_pause(struct ledger *l)
{
    uint64_t revision;
    ledger_done(l);
    (void)ledger_read(l, &revision);
    return revision;
}

const struct policy *ledger_begin(struct ledger *l, uint64_t *revision)
{
    pthread_mutex_lock(&l->changing);
    *revision = l->head.revision;
    return l->policy;
}

void ledger_abandon(struct ledger *l)
{
    pthread_mutex_unlock(&l->changing);
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

/* What is written of a change besides its record: made before its turn. */
struct prepared {
    struct policy_row rows[LEDGER_CHANGE_ROWS];
    struct policy_head head;
    struct ledger_head_undo undo;
};

static enum err prepare(struct ledger *l, const struct ledger_change *change, struct prepared *out)
{
    const uint64_t revision = l->head.revision + 1;
    TRY(mac_rows(l->keyring, &l->head, change, revision, out->rows, &out->undo));
    return ledger_head_make(&l->head, l->keyring, revision, &out->head);
}

static enum err write_rows(struct ledger *l, const struct ledger_change *change,
                           const struct prepared *prepared, const struct audit_entry *record,
                           struct fault *fault)
{
    const struct store_change stored = {
        .expected_revision = l->head.revision,
        .row_count = change->count,
        .row = prepared->rows,
        .sealed_count = change->sealed_count,
        .sealed = &change->sealed,
        .erased_count = change->erased_count,
        .erased = change->erased,
        .activated_id = change->activated_id,
        .head = &prepared->head,
        .audit = record,
    };
    return l->ops->commit_change(l->store, &stored, fault);
}

/* Behind the database it does no harm, so a failure costs no change: it is told. */
static void move_anchor(struct ledger *l, const struct anchor *now)
{
    struct fault fault = FAULT_NONE;
    if (l->anchor_path == NULL)
        return;
    pthread_mutex_lock(&l->anchoring);
    if (now->sequence > l->anchored) { /* else a later turn was faster */
        if (anchor_write(l->anchor_path, now, &fault) == ERR_OK)
            l->anchored = now->sequence;
        else
            log_fault(LOG_LEVEL_ERROR, "anchor.failed", &fault, "revision=%llu",
                      (unsigned long long)now->revision);
    }
    pthread_mutex_unlock(&l->anchoring);
}

void ledger_take_turn(struct ledger *l)
{
    turn_take(&l->writing);
}

/* The file waits for the disk as well: nobody else waits for it. */
void ledger_end_turn(struct ledger *l)
{
    const struct anchor now = ledger_anchor(l);
    const bool due = l->anchor_due;
    l->anchor_due = false;
    turn_end(&l->writing);
    if (due)
        move_anchor(l, &now);
}

/* After the store has it: the policy in memory follows, or nothing goes on. */
static enum err apply_rows(struct ledger *l, const struct ledger_change *change,
                           struct fault *fault)
{
    enum err err = ERR_OK;
    pthread_rwlock_wrlock(&l->policy_lock);
    for (size_t i = 0; i < change->count && err == ERR_OK; i++)
        err = ledger_tables[change->row[i].table].load(l->policy, change->row[i].id,
                                                       bytes_of_buf(&change->row[i].columns));
    l->head.revision++;
    l->broken = err != ERR_OK;
    pthread_rwlock_unlock(&l->policy_lock);
    return err == ERR_OK ? ERR_OK : refuse_if_broken(l, fault);
}

static enum err commit_record(struct ledger *l, const struct chained *record, struct fault *fault)
{
    TRY(l->ops->append_audit(l->store, &record->entry, fault));
    chain_advance(l, &record->entry);
    return ERR_OK;
}

static enum err commit_rows(struct ledger *l, const struct ledger_change *change,
                            const struct prepared *prepared, const struct chained *record,
                            struct fault *fault)
{
    TRY(write_rows(l, change, prepared, &record->entry, fault));
    chain_advance(l, &record->entry);
    l->anchor_due = true;
    return apply_rows(l, change, fault);
}

static bool checkpoint_due(const struct ledger *l)
{
    return l->sequence - l->checkpointed >= LEDGER_CHECKPOINT_EVERY;
}

static enum err checkpoint_in_turn(struct ledger *l, uint64_t now_ms, struct fault *fault)
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
    l->anchor_due = true;
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
    if (checkpoint_due(l) && checkpoint_in_turn(l, now_ms, &fault) != ERR_OK)
        log_fault(LOG_LEVEL_WARN, "audit.checkpoint_failed", &fault, "sequence=%llu",
                  (unsigned long long)l->sequence);
}

/* `prepared` is NULL for a change of no rows. */
static enum err commit_change_in_turn(struct ledger *l, const struct ledger_change *change,
                                      const struct prepared *prepared,
                                      const struct audit_event *event, struct fault *fault)
{
    CLEANUP(chained_free) struct chained record = {0};
    TRY(chain_event(l->keyring, event, l->sequence, l->hash, &record));
    TRY(prepared == NULL ? commit_record(l, &record, fault)
                         : commit_rows(l, change, prepared, &record, fault));
    checkpoint_if_due(l, event->time_ms);
    return ERR_OK;
}

static enum err commit_change(struct ledger *l, const struct ledger_change *change,
                              const struct audit_event *event, struct fault *fault)
{
    struct prepared prepared = {.undo = {0}};
    const uint64_t before = l->head.revision;
    TRY(refuse_if_broken(l, fault));
    enum err err = change->count == 0 ? ERR_OK : prepare(l, change, &prepared);
    if (err == ERR_OK) {
        ledger_take_turn(l);
        err = commit_change_in_turn(l, change, change->count == 0 ? NULL : &prepared, event, fault);
        ledger_end_turn(l);
    }
    if (l->head.revision == before) /* the store does not have it */
        ledger_head_undo(&l->head, &prepared.undo);
    return err;
}

enum err ledger_commit_change(struct ledger *l, const struct ledger_change *change,
                              const struct audit_event *event, struct fault *fault)
{
    const enum err err = commit_change(l, change, event, fault);
    pthread_mutex_unlock(&l->changing);
    return err;
}

/* What is read, and what is counted. */
static void uses_of(const struct policy_verdict *verdict, struct store_decision *out)
{
    for (size_t i = 0; i < verdict->count; i++) {
        const struct policy_item *item = &verdict->item[i];
        out->wanted[i].secret_id = item->secret_id;
        out->wanted[i].version = item->version;
        out->measurement_id[i] = item->measurement_id;
        if (item->quota == 0)
            continue;
        out->quota[out->quota_count].grant_id = item->grant_id;
        out->quota[out->quota_count].quota = item->quota;
        out->quota_count++;
    }
    out->sealed_count = verdict->count;
}

static enum err commit_decision_in_turn(struct ledger *l, const struct ledger_decision *d,
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
        uses_of(d->verdict, &stored);
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
    if (decision->turn == LEDGER_TURN_TO_TAKE)
        ledger_take_turn(l);
    const enum err err = commit_decision_in_turn(l, decision, outcome, sequence, fault);
    if (err == ERR_OK)
        checkpoint_if_due(l, decision->event->time_ms);
    if (decision->turn == LEDGER_TURN_TO_TAKE)
        ledger_end_turn(l);
    return err;
}

enum err ledger_checkpoint(struct ledger *l, uint64_t now_ms, struct fault *fault)
{
    ledger_take_turn(l);
    const enum err err =
        l->sequence == l->checkpointed ? ERR_OK : checkpoint_in_turn(l, now_ms, fault);
    ledger_end_turn(l);
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
