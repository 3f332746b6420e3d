/* What ledger.c (changes and decisions) and ledger_load.c (the checks at start) share. */
#ifndef VOUCHSAFE_LEDGER_INTERNAL_H
#define VOUCHSAFE_LEDGER_INTERNAL_H

#include <pthread.h>

#include "anchor.h"
#include "ledger.h"
#include "ledger_head.h"
#include "turn.h"

struct ledger {
    struct store *store;     /* borrowed */
    struct keyring *keyring; /* borrowed */
    const char *anchor_path; /* borrowed; NULL: none is kept */
    const struct store_ops *ops;
    struct store_identity identity;
    /* Taken in this order.  One change at a time has `changing`, from ledger_begin on: policy and
     * head are its own to read and to prepare.  A transaction has `writing`, whoever's it is:
     * the log and what is below is its own.  So a decision waits for one change at the most, and
     * of that for the transaction alone. */
    pthread_mutex_t changing;
    struct turn writing;
    pthread_rwlock_t policy_lock; /* written with both of these held */
    struct policy *policy;
    struct ledger_head head;
    uint64_t sequence;         /* of the last audit record */
    uint8_t hash[SHA384_LEN];  /* of the chain up to it */
    uint64_t checkpointed;     /* the sequence of the last checkpoint */
    bool anchor_due;           /* since this turn began */
    bool broken;               /* memory no longer mirrors the store: refuse everything */
    pthread_mutex_t anchoring; /* the anchor file, and what is in it */
    uint64_t anchored;         /* sequence */
};

/* What exists once per table, by enum policy_table (ledger_load.c). */
struct ledger_table {
    enum err (*load)(struct policy *policy, uint64_t id, struct bytes columns);
    uint64_t (*count)(const struct policy *policy);
};
extern const struct ledger_table ledger_tables[POLICY_TABLE_COUNT];

/* How far the ledger has come, for the anchor file. */
struct anchor ledger_anchor(const struct ledger *l);

#endif
