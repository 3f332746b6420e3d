/* Which measurements are of which code, so that a decision looks at those of its document and at
 * no others, however many there are: inside policy/ only.
 *
 * Measurements are chained, the newest first; 0 ends a chain.  Drafts have chains of their own:
 * they release and deny nothing, and whoever may draft can register any number of the same code.
 * A debug document names no code: the debug measurements are as those of one code. */
#ifndef VOUCHSAFE_POLICY_CODE_INDEX_H
#define VOUCHSAFE_POLICY_CODE_INDEX_H

#include "policy.h"

struct code_chains {
    uint64_t first; /* of those that decide: active, deprecated, revoked */
    uint64_t first_draft;
};

struct code_index {
    void *codes; /* tree of struct code */
    struct code_chains debug;
    uint64_t room;
    uint64_t *next; /* of measurement id: next[id - 1] */
};
void code_index_free(struct code_index *index);

/* The measurement, which is not discarded, is added once.  ERR_NO_MEMORY, ERR_STORE_TAMPERED:
 * nothing is changed then. */
MUST_CHECK enum err code_index_add(struct code_index *index, uint64_t id,
                                   const struct policy_measurement *m);
/* A measurement that was added has changed its state; a discarded one is in no chain. */
void code_index_move(struct code_index *index, uint64_t id, const struct policy_measurement *before,
                     const struct policy_measurement *after);

struct code_chains code_index_find(const struct code_index *index,
                                   const struct policy_facts *facts);
uint64_t code_index_next(const struct code_index *index, uint64_t id);

#endif
