/* The ledger's start: identity, every row's MAC, the head over all of them, the audit log's
 * end, the anchor.  Nothing is believed before all of it has passed. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ledger_internal.h"

/* From the policy's own list, which is in the order of enum policy_table and as long. */
#define X(T) +1 /* NOLINT(bugprone-macro-parentheses): a term of the sum below */
_Static_assert(POLICY_TABLES(X) == POLICY_TABLE_COUNT, "every table of the store is the policy's");
#undef X
#define X(T) {policy_##T##_load, policy_##T##_count},
const struct ledger_table ledger_tables[POLICY_TABLE_COUNT] = {POLICY_TABLES(X)};
#undef X

struct anchor ledger_anchor(const struct ledger *l)
{
    struct anchor now = {.revision = l->head.revision, .sequence = l->sequence};
    memcpy(now.store_id, l->identity.store_id, sizeof now.store_id);
    return now;
}

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
    if (row->id != ledger_tables[row->table].count(l->policy) + 1)
        FAIL(fault_at(c->fault, FAULT_NO_OFFSET, "%s %llu", table, (unsigned long long)row->id),
             ERR_STORE_TAMPERED, "row %llu of the table is missing: rows are never deleted",
             (unsigned long long)ledger_tables[row->table].count(l->policy) + 1);
    const enum err err = ledger_tables[row->table].load(l->policy, row->id, row->columns);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err != ERR_OK)
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
    const enum err err =
        l->ops->audit_scan(l->store, l->sequence - 1, l->sequence, 2, check_link, &link, fault);
    if (err != ERR_OK && !err_is_verdict(err)) /* not looked at is not tampered with */
        return err;
    if (err != ERR_OK || !link.linked)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "audit %llu", (unsigned long long)l->sequence),
             ERR_STORE_TAMPERED, "the last audit record is not the one this server wrote");
    /* Every record names the revision that holds once it is written: a policy put back
     * whole, rows and head, or a log put back alone, disagrees with the other. */
    if (link.revision != l->head.revision)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "policy_head"), ERR_STORE_TAMPERED,
             "the policy is of revision %llu, the last audit record of %llu: one of them was put "
             "back to an older state",
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
    bool holds;
    struct load_context context = {.ledger = l, .fault = fault};

    TRY(policy_new(&l->policy));
    TRY(l->ops->scan_policy(l->store, &stored, load_row, &context, fault));
    TRY(ledger_head_check(&l->head, l->keyring, &stored, &holds));
    if (!holds)
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

/* The first start with an anchor file makes it; from then on it is the judge. */
static enum err check_anchor(struct ledger *l, struct fault *fault)
{
    const struct anchor now = ledger_anchor(l);
    if (l->anchor_path == NULL)
        return ERR_OK;
    const enum err err = anchor_check(l->anchor_path, &now, fault);
    if (err != ERR_NOT_FOUND)
        return err;
    log_event(LOG_LEVEL_WARN, "anchor.new", "path=%s revision=%llu", LOG_Q(l->anchor_path),
              (unsigned long long)now.revision);
    return anchor_write(l->anchor_path, &now, fault);
}

/* A change waits for the readers that are there, not for those that come after it: glibc
 * would let these pass, for as long as some reader always is.  No thread reads twice at once. */
static void init_policy_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
#ifdef __GLIBC__
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

enum err ledger_load(struct store *store, struct keyring *keyring, const char *anchor_path,
                     struct ledger **out, struct fault *fault)
{
    CLEANUP(ledger_freep) struct ledger *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ERR_NO_MEMORY;
    l->store = store;
    l->keyring = keyring;
    l->anchor_path = anchor_path;
    l->ops = store_ops(store);
    pthread_mutex_init(&l->changing, NULL);
    turn_init(&l->writing);
    pthread_mutex_init(&l->anchoring, NULL);
    init_policy_lock(&l->policy_lock);
    TRY(check_identity(l, fault));
    TRY(load_policy(l, fault));
    TRY(load_audit(l, fault));
    TRY(check_anchor(l, fault));
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
    pthread_mutex_destroy(&l->changing);
    turn_destroy(&l->writing);
    pthread_mutex_destroy(&l->anchoring);
    pthread_rwlock_destroy(&l->policy_lock);
    free(l);
}

const struct store_identity *ledger_identity(const struct ledger *l)
{
    return &l->identity;
}
