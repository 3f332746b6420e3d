/* The walk over all that might release a secret, which a decision and an explanation share:
 * inside policy/ only.  A decision has nobody look on. */
#ifndef VOUCHSAFE_POLICY_WALK_H
#define VOUCHSAFE_POLICY_WALK_H

#include "policy.h"

/* One way in which one secret might be released: through this grant, for this
 * measurement.  Either may be NULL: then the check that needs it refuses. */
struct candidate {
    const struct policy_facts *facts;
    uint64_t now_ms;
    bool instance_revoked;
    bool certificate_revoked; /* any of the chain */
    bool revoked;             /* a measurement that matches */
    const struct wanted *wanted;
    const struct policy_secret *secret;
    uint64_t secret_id;
    uint32_t version; /* asked for, or the current one */
    const struct policy_secret_version *value;
    const struct policy_grant *grant;
    uint64_t grant_id;
    const struct policy_measurement *measurement;
    uint64_t measurement_id;
    enum err *trouble; /* set by a check that could not be made, and so refuses */
};

/* Whether the grant asks for a measurement that matches: an image's does, a signer's only where
 * it says so. */
bool candidate_needs_measurement(const struct policy_grant *grant);

/* How many checks it passes, in order up to the first that it fails; policy_check_count() where
 * it passes all (checks.c). */
size_t candidate_check(const struct candidate *c);

/* Told of each measurement that matches, and then of each candidate in turn: for which secret of
 * the request, by which grant and for which measurement (0: none), and how many of the checks it
 * passed. */
struct policy_observer {
    void (*match)(void *context, uint64_t measurement_id);
    void (*observe)(void *context, size_t secret, uint64_t grant_id, uint64_t measurement_id,
                    size_t passed);
    void *context;
};

struct policy_walk {
    const struct policy_facts *facts;
    const struct wanted_list *wanted;
    uint64_t now_ms;
    bool production;
    const struct policy_observer *observer; /* NULL: nobody looks on */
};

/* As policy_decide; ERR_CRYPTO too, where the application's digest could not be made. */
MUST_CHECK enum err policy_walk(const struct policy *policy, const struct policy_walk *walk,
                                struct policy_verdict *out, struct fault *fault);

#endif
