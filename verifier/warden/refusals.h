/* How often the enclaves of one EC2 instance may be refused: a refusal is a record for good,
 * and anybody's genuine enclave can ask for one (DESIGN section 3).
 *
 * Counted by the parent instance, as the verified document's module_id names it (attdoc_instance),
 * or by the instance itself where the document is its NitroTPM's: enclave ids are free to whoever
 * has an instance, instances cost money. The table has a fixed size and nobody gains by filling it:
 * who is furthest from his limit makes way. */
#ifndef VOUCHSAFE_WARDEN_REFUSALS_H
#define VOUCHSAFE_WARDEN_REFUSALS_H

#include "common/cose_sign1.h"

#define REFUSALS_BURST     60    /* of one instance, at once */
#define REFUSALS_EVERY_MS  10000 /* and then one in so long */
#define REFUSALS_INSTANCES 1024  /* remembered */

struct refusals;

MUST_CHECK enum err refusals_new(struct refusals **out);
void refusals_free(struct refusals *refusals);
CLEANUP_PTR(struct refusals, refusals_free, refusals_freep)

struct refusals_place {
    bool admitted;    /* one refusal is set aside for this request */
    uint64_t put_off; /* of this instance: admitted, since the last that was; else with this one */
    uint64_t wait_ms; /* not admitted: until one will be */
    uint8_t instance[SHA256_LEN];
};
/* Before a refusal is recorded.  Where `admitted`, refusals_settle must follow.  `now_ms` is the
 * clock that decides; one that is set back makes nobody wait longer.  Thread-safe.  ERR_CRYPTO. */
MUST_CHECK enum err refusals_admit(struct refusals *refusals, struct bytes module_id,
                                   uint64_t now_ms, struct refusals_place *out);

enum refusals_outcome {
    REFUSALS_REFUSED,   /* and recorded: the refusal is used up */
    REFUSALS_GRANTED,   /* and recorded: a grant costs nothing */
    REFUSALS_UNDECIDED, /* no record: neither the refusal nor the count is used up */
};
void refusals_settle(struct refusals *refusals, const struct refusals_place *place,
                     enum refusals_outcome outcome);

#endif
