/* What the checks ask of a document, whoever's word it is.
 *
 * A release is decided about a verified document: policy_decide (policy.h) takes a
 * `struct verified_doc` and nothing else, and takes the facts from it itself.  The same facts
 * filled in by somebody else, such as from an audit record, go to policy_explain (explain.h)
 * only, from whose answer no release can be made. */
#ifndef VOUCHSAFE_POLICY_FACTS_H
#define VOUCHSAFE_POLICY_FACTS_H

#include "verifier/attest/attest.h"

/* How much is known of user_data's application bytes. */
enum policy_application {
    POLICY_APPLICATION_UNKNOWN, /* a record that does not say: equal to nothing */
    POLICY_APPLICATION_BYTES,   /* the bytes themselves */
    POLICY_APPLICATION_SHA256,  /* their digest: what a record keeps of them */
};

/* Views: they live as long as what they were taken from. */
struct policy_facts {
    enum attdoc_kind kind;
    bool debug;
    const uint8_t *pcr[ATTDOC_PCR_COUNT]; /* ATTDOC_PCR_LEN bytes, or NULL where absent */
    const uint8_t *root_sha256;           /* SHA256_LEN */
    struct bytes module_id;
    size_t chain_len; /* 0: a record, which does not keep it */
    const struct attest_certificate *chain;
    bool chain_was_revoked; /* a record, of a refusal for a certificate of it */
    struct bytes region;    /* empty: the chain names none */
    enum policy_application application_known;
    struct bytes application;
};

/* The facts of a verified document; `application` is its user_data after the binding. */
void policy_facts_of(const struct verified_doc *doc, struct bytes application,
                     struct policy_facts *out);

#endif
