/* The policy head: MACs of rows, and of all rows together (PROTOCOL section 7).
 *
 * A row's MAC covers CBOR [table, id, revision, columns]; the head's covers a digest of all
 * row MACs in two levels, so that a change hashes again what it changed and not all there
 * is: the MACs in chunks of 256, and the chunks' digests with the tables' names and counts.
 * Pure but for the keyring. */
#ifndef VOUCHSAFE_LEDGER_HEAD_H
#define VOUCHSAFE_LEDGER_HEAD_H

#include "verifier/keyring/keyring.h"
#include "verifier/store/store.h"

#define LEDGER_CHUNK_ROWS 256

struct ledger_chunk {
    bool fresh; /* the digest is of the MACs as they are */
    uint8_t digest[SHA256_LEN];
};

struct ledger_head {
    uint64_t revision;
    /* The MACs of all rows, one after another per table: row n stands at (n - 1) * 32. */
    struct buf macs[POLICY_TABLE_COUNT];
    struct buf chunks[POLICY_TABLE_COUNT]; /* of struct ledger_chunk; no fewer than there are */
};
void ledger_head_free(struct ledger_head *head);

/* What ledger_head_put replaced, so that a change that the store refuses leaves
 * nothing behind.  It bounds how many rows one change has (LEDGER_CHANGE_ROWS). */
#define LEDGER_UNDO_MAX 24
struct ledger_head_undo {
    size_t count;
    struct {
        enum policy_table table;
        size_t offset;
        bool appended;
        uint8_t mac[STORE_MAC_LEN];
    } step[LEDGER_UNDO_MAX];
};

MUST_CHECK enum err ledger_row_mac(const struct keyring *keyring, const struct policy_row *row,
                                   uint8_t out[static STORE_MAC_LEN]);
/* Sets the MAC of row `id`, the next one of its table at most (ERR_INTERNAL).
 * `undo` may be NULL; ERR_INTERNAL where it is full.  On an error nothing is set. */
MUST_CHECK enum err ledger_head_put(struct ledger_head *head, enum policy_table table, uint64_t id,
                                    const uint8_t mac[static STORE_MAC_LEN],
                                    struct ledger_head_undo *undo);
void ledger_head_undo(struct ledger_head *head, const struct ledger_head_undo *undo);
/* The head over the MACs as they are, for `revision`. */
MUST_CHECK enum err ledger_head_make(struct ledger_head *head, const struct keyring *keyring,
                                     uint64_t revision, struct policy_head *out);
/* Whether `stored` is the head over the MACs as they are: in this form, or in the first one,
 * which has one digest over all MACs (PROTOCOL section 7). */
MUST_CHECK enum err ledger_head_check(struct ledger_head *head, const struct keyring *keyring,
                                      const struct policy_head *stored, bool *holds);
/* The audit head's: CBOR ["audit_head", sequence, hash], three entries and a text first,
 * so that it is no row's and no policy head's. */
MUST_CHECK enum err ledger_audit_mac(const struct keyring *keyring, uint64_t sequence,
                                     const uint8_t hash[static SHA384_LEN],
                                     uint8_t out[static STORE_MAC_LEN]);
bool ledger_head_equal(const struct policy_head *a, const struct policy_head *b);
bool ledger_mac_equal(const uint8_t a[static STORE_MAC_LEN], const uint8_t b[static STORE_MAC_LEN]);

#endif
