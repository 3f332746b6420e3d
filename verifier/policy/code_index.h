/* Which measurements are of which code, so that a decision looks at those of its document and at
 * no others, however many there are: inside policy/ only.
 *
 * Measurements are chained by id; 0 ends a chain.  A debug document names no code: the debug
 * measurements are one chain. */
#ifndef VOUCHSAFE_POLICY_CODE_INDEX_H
#define VOUCHSAFE_POLICY_CODE_INDEX_H

#include "policy.h"

struct code_index {
    void *codes; /* tree of struct code */
    uint64_t first_debug;
    uint64_t room;
    uint64_t *next; /* of measurement id: next[id - 1] */
};
void code_index_free(struct code_index *index);

/* The measurement is added once.  ERR_NO_MEMORY, ERR_STORE_TAMPERED: nothing is changed then. */
MUST_CHECK enum err code_index_add(struct code_index *index, uint64_t id,
                                   const struct policy_measurement *m);
void code_index_remove(struct code_index *index, uint64_t id, const struct policy_measurement *m);

uint64_t code_index_first(const struct code_index *index, const struct policy_facts *facts);
uint64_t code_index_next(const struct code_index *index, uint64_t id);

#endif
