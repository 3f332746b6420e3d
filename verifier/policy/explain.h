/* Why the policy decides as it does: the checks of a release (checks.c), the very same rows over
 * the very same candidates, told one by one; and the measurement that comes nearest.
 *
 * Nothing can be released by it: what it makes is an explanation, and a release wants a
 * `struct policy_verdict` (policy.h), which is made from a verified document only.  So the facts
 * may be anybody's, such as those of an audit record.
 * What it says is for administrators: a caller of a release hears one coarse word. */
#ifndef VOUCHSAFE_POLICY_EXPLAIN_H
#define VOUCHSAFE_POLICY_EXPLAIN_H

#include "policy.h"

/* The rows of checks.c in order, from 0.  A name such as "region_matches" says what is so where
 * the check passes; the reason's sentence what is so where it does not. */
size_t policy_check_count(void);
const char *policy_check_name(size_t check);
enum policy_reason policy_check_reason(size_t check);
/* The facts do not tell what the check asks: a record does not keep everything. */
bool policy_check_not_known(const struct policy_facts *facts, size_t check);
const char *policy_reason_sentence(enum policy_reason reason); /* "there is no such secret" */

/* One way in which a secret might have been released. */
struct explained_candidate {
    uint64_t grant_id;       /* 0: no grant was looked at, as what fails is the secret's own */
    uint64_t measurement_id; /* 0: none of the granted image matches, or a signer grant */
    size_t passed;           /* how many checks; policy_check_count() where it grants */
    bool not_known;          /* the facts do not tell what the next check asks */
};

/* The measurement that has most PCRs of the document's values: of the images that grants of
 * the secret name, or of all where these have none. */
struct explained_nearest {
    uint64_t measurement_id; /* 0: there is none of this kind */
    bool granted;            /* its image is one that a grant of the secret names */
    unsigned equal;
    unsigned different;
};

#define EXPLAIN_CANDIDATES_MAX 16
#define EXPLAIN_MATCHES_MAX    16

struct explained_secret {
    enum policy_reason reason;
    uint64_t secret_id;
    uint32_t version;
    uint64_t flags; /* as in struct policy_item, and so are these three */
    uint64_t grant_id;
    uint64_t quota;
    uint64_t measurement_id;
    uint64_t candidates; /* grants that could release it, each with the measurements that match */
    /* Of these the ones that came furthest, the furthest first; at least one. */
    size_t count;
    struct explained_candidate candidate[EXPLAIN_CANDIDATES_MAX];
    struct explained_nearest nearest; /* looked for where a grant, or a match, is missing */
};

struct policy_explanation {
    /* ERR_OK: it would be released; ERR_REFUSED; ERR_DEBUG with a detail, and no secrets. */
    enum err code;
    char detail[sizeof((struct fault){0}.detail)];
    struct explained_nearest nearest; /* with ERR_DEBUG: of the debug measurements */
    /* The measurements that match the document, whatever their image: of those that decide the
     * newest, then the newest drafts. */
    size_t match_count;
    uint64_t match[EXPLAIN_MATCHES_MAX];
    size_t count; /* in request order */
    struct explained_secret secret[PROTOCOL_SECRETS_MAX];
};

/* Where a quota decides, policy_explain knows only which one: the store counts. */
struct policy_inquiry {
    const struct policy_facts *facts;
    const struct wanted_list *wanted;
    uint64_t now_ms;
    bool production;
    /* Called every EXPLAIN_BUILDS_AT_ONCE builds that are compared, where it is set: rows of the
     * policy may differ after it, none is gone. */
    void (*pause)(void *context);
    void *pause_context;
};
#define EXPLAIN_BUILDS_AT_ONCE 1000 /* some 0.4 ms */
/* ERR_OK with an explanation either way.  ERR_NO_MEMORY, ERR_CRYPTO. */
MUST_CHECK enum err policy_explain(const struct policy *policy,
                                   const struct policy_inquiry *inquiry,
                                   struct policy_explanation *out);

/* What it means that a PCR has another value than the one demanded, in one sentence: "the
 * enclave's parent has another IAM role".  `found` is the document's value, NULL where absent. */
const char *policy_pcr_meaning(enum attdoc_kind kind, unsigned index, const uint8_t *found);

#endif
