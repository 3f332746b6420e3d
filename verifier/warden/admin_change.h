/* How an operation changes the policy: decided under the writer's lock, written in one with its
 * audit record, and answered with what then is. */
#ifndef VOUCHSAFE_WARDEN_ADMIN_CHANGE_H
#define VOUCHSAFE_WARDEN_ADMIN_CHANGE_H

#include "admin_list.h"
#include "ledger.h"

/* ledger_begin, for a caller whose token counts even now: it may have been revoked while the
 * request waited for its turn.  ERR_UNAUTHENTICATED, and then nothing was begun. */
MUST_CHECK enum err admin_begin(struct admin_call *call, const struct policy **policy,
                                uint64_t *revision);

struct admin_change {
    struct ledger_change rows; /* none: nothing is to change */
    uint64_t id;               /* of the row that is answered with */
    const char *result;        /* the answer's: "unchanged", unless prepare says otherwise */
    /* For the record: what it is about, and what changed, in words; texts, or empty. */
    struct buf object;
    struct buf detail;
};

/* Fills `change` by what was asked and by `policy`, which cannot change meanwhile. */
typedef enum err admin_prepare_fn(struct admin_call *call, const struct policy *policy, void *asked,
                                  struct admin_change *change);
typedef enum err admin_answer_fn(struct admin_call *call, uint64_t id, const char *result,
                                 json_t *out);

/* On an error of any of them nothing has changed, but that of the answer: it may be over by
 * then, and on record. */
MUST_CHECK enum err admin_change(struct admin_call *call, admin_prepare_fn *prepare, void *asked,
                                 admin_answer_fn *answer, json_t *out);

/* An answer of this kind: `member` with the row as a list shows it, and `result`. */
struct admin_row {
    const char *member;
    admin_show_fn *show;
    const void *context; /* of show */
};
MUST_CHECK enum err admin_answer_row(struct admin_call *call, const struct admin_row *row,
                                     uint64_t id, const char *result, json_t *out);

#endif
