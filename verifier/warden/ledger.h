/* The ledger: the policy with its MACs, the policy head, and the audit chain; what the
 * warden believes of the store, and the only way in which it writes to it.
 *
 * At start every row's MAC, the gapless ids and the head over all of them are checked;
 * from then on the policy in memory decides, and every change goes to the store first,
 * in one transaction with its audit record (PROTOCOL sections 7 and 8).
 * Thread-safe: many readers of the policy, one writer. */
#ifndef VOUCHSAFE_LEDGER_H
#define VOUCHSAFE_LEDGER_H

#include "common/audit_record.h"
#include "ledger_head.h"
#include "verifier/keyring/keyring.h"
#include "verifier/policy/policy.h"
#include "verifier/store/store.h"

#define LEDGER_CHECKPOINT_EVERY 1000 /* records */

struct ledger;

/* Borrows all three; `anchor_path` may be NULL (none is kept).  ERR_STORE_TAMPERED names
 * the row that is wrong; ERR_CONFIG and ERR_FILE an anchor file that is. */
MUST_CHECK enum err ledger_load(struct store *store, struct keyring *keyring,
                                const char *anchor_path, struct ledger **out, struct fault *fault);
void ledger_free(struct ledger *ledger);
CLEANUP_PTR(struct ledger, ledger_free, ledger_freep)

const struct store_identity *ledger_identity(const struct ledger *ledger);

/* The policy, to read until ledger_done.  *revision: what a decision quotes. */
const struct policy *ledger_read(struct ledger *ledger, uint64_t *revision);
void ledger_done(struct ledger *ledger);
/* Between ledger_read and ledger_done: lets a change through that waits, and with it whoever
 * waits behind that.  Rows may differ then, none is gone.  For who reads many.  The revision
 * that holds from then on. */
uint64_t ledger_pause(struct ledger *ledger);

/* --- A change by an administrator --- */

#define LEDGER_CHANGE_ROWS LEDGER_UNDO_MAX /* what can be undone again */

struct ledger_change {
    size_t count;
    struct {
        enum policy_table table;
        uint64_t id;
        struct buf columns;
    } row[LEDGER_CHANGE_ROWS];
    size_t sealed_count; /* 0 or 1 */
    struct sealed_value sealed;
    size_t erased_count;
    const struct sealed_ref *erased; /* borrowed: sealed values that go, for good */
    uint64_t activated_id;           /* a measurement that counts from now on; 0: none */
};
void ledger_change_free(struct ledger_change *change);

/* Puts a row into the change: `id` of an existing row, or of the next one of its
 * table (count + 1; several new ones count on).  Takes over `columns`. */
MUST_CHECK enum err ledger_change_add(struct ledger_change *change, enum policy_table table,
                                      uint64_t id, struct buf *columns);

/* The policy cannot change until ledger_commit_change or ledger_abandon; for deciding on what
 * is there and changing it in one.  Decisions go on meanwhile: one waits for the transaction of
 * one change at the most, and whoever changes waits for the decisions that came before. */
const struct policy *ledger_begin(struct ledger *ledger, uint64_t *revision);
void ledger_abandon(struct ledger *ledger);
/* Writes rows, head and audit record, then applies the rows; ends what ledger_begin
 * began, whatever the outcome.  A change of no rows writes its record only. */
MUST_CHECK enum err ledger_commit_change(struct ledger *ledger, const struct ledger_change *change,
                                         const struct audit_event *event, struct fault *fault);

/* --- A decision about a document (V6) --- */

/* Between these nobody else writes, and the policy stays as it is: for a decision that shall
 * not be overtaken.  The policy is read as ever. */
void ledger_take_turn(struct ledger *ledger);
void ledger_end_turn(struct ledger *ledger);
enum ledger_turn { LEDGER_TURN_TO_TAKE, LEDGER_TURN_TAKEN };

struct ledger_decision {
    enum ledger_turn turn;
    uint64_t revision; /* as read; ERR_STORE_CONFLICT where it is no longer the one */
    struct bytes challenge;
    uint64_t challenge_expiry_ms;
    const struct policy_verdict *verdict; /* NULL for a refusal before V5 */
    bool granted;
    const struct audit_event *event;      /* as decided */
    const struct audit_event *over_quota; /* what is recorded where a quota is used up */
};
/* On ERR_OK `*sequence` is the record's; outcome->over_quota says which was written. */
MUST_CHECK enum err ledger_commit_decision(struct ledger *ledger,
                                           const struct ledger_decision *decision,
                                           struct store_outcome *outcome, uint64_t *sequence,
                                           struct fault *fault);

/* Signs and stores a checkpoint of the chain as it is now, and logs it. */
MUST_CHECK enum err ledger_checkpoint(struct ledger *ledger, uint64_t now_ms, struct fault *fault);

/* The first change of a new store, before there is a ledger: MACs and head over the
 * rows of `change` at revision 1, its audit record as number 1. */
MUST_CHECK enum err ledger_create(const char *path, const struct store_identity *identity,
                                  const struct keyring *keyring, const struct ledger_change *change,
                                  const struct audit_event *event, struct fault *fault);

#endif
