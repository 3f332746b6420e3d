/* One release, from the enclave's side: steps E1 to E4 of DESIGN section 3, and trying
 * again as PROTOCOL section 1 says.
 *
 * Each attempt has a challenge, a key pair and a document of its own; what is left of a
 * failed one is wiped.  Everything that comes over the network crossed the parent.  The
 * only clock that decides here is the monotonic one, for the deadline; how far the wall clock
 * is off is said, once.
 *
 * Whoever asks for it locks memory first (secret_init or secret_share), SESSION_LOCKED_LEN. */
#ifndef VOUCHSAFE_AGENT_SESSION_H
#define VOUCHSAFE_AGENT_SESSION_H

#include "answer.h"
#include "common/http_client.h"

#define SESSION_TIMEOUT_S 120
/* 16 secrets of 64 KiB, each in a block of twice its size, and the keys. */
#define SESSION_LOCKED_LEN (4u << 20)

/* Progress and warnings, one sentence each: "the verifier says busy; trying again in 0.6 s". */
typedef void session_say(void *context, const char *sentence);

/* What is asked of whom, and who hears of it; all borrowed. */
struct session_plan {
    struct http_target verifier;
    const char *ca_file; /* or NULL */
    const char *nsm;     /* as nsm_open */
    const char *format;  /* of the key */
    const struct issuer_pins *pins;
    const uint8_t *trusted_root; /* SHA256_LEN bytes */
    const struct wanted_list *wanted;
    /* No version may fall below one of these, and where `pins` name no store, no other one may
     * answer than the one that did; NULL: this is the first release. */
    const struct answer_held *held;
    struct bytes application; /* into user_data */
    int64_t timeout_ms;       /* for everything */
    session_say *say;         /* never NULL */
    void *say_context;
};

/* Errors:
 *   ERR_REFUSED      the verifier refused for good; `problem` says what it answered
 *   ERR_UNREACHABLE  no decision within the time
 *   ERR_ANSWER       an answer that is no authentic answer to this request
 *   ERR_NSM          the NSM failed
 *   others           this machine: ERR_USAGE, ERR_FILE, ERR_CRYPTO, ERR_NO_MEMORY
 * `opened` is the caller's. */
MUST_CHECK enum err session_run(const struct session_plan *plan, struct answer_opened *opened,
                                struct problem *problem, struct fault *fault);

#endif
