/* What explain (admin_explain.c) is made of: the facts that an audit record holds, and the
 * policy's explanation as JSON (docs/man/vouchsafe-explain.1 lists the members). */
#ifndef VOUCHSAFE_WARDEN_EXPLAIN_H
#define VOUCHSAFE_WARDEN_EXPLAIN_H

#include "admin.h"
#include "verifier/policy/explain.h"

/* A recorded decision, as far as it can be judged again.  `facts` points into this. */
struct explain_record {
    json_t *json; /* the record as the audit API shows it */
    struct wanted_list wanted;
    struct policy_facts facts;
    uint8_t root_sha256[SHA256_LEN];
    uint8_t application_sha256[SHA256_LEN];
    uint8_t pcr[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN];
};
void explain_record_free(struct explain_record *record);

/* Takes over the record.  Nothing of it carries a MAC of its own and nothing is released by it;
 * ERR_STORE_TAMPERED for what this program never wrote.  A record from before it said so leaves
 * the application bytes unknown, and the versions asked for open. */
MUST_CHECK enum err explain_record_read(json_t *taken, struct explain_record *out,
                                        struct fault *fault);

/* Sets what the policy says: `matches`, `nearest`, `secrets`.  Looks up how much of a quota is
 * used, and counts nothing; a quota that is used up makes of a release a refusal, in `explanation`
 * too. Under ledger_read of `policy`. */
MUST_CHECK enum err explain_show(struct admin_call *call, const struct policy *policy,
                                 const struct policy_inquiry *inquiry,
                                 struct policy_explanation *explanation, json_t *out);

#endif
