/* Is this the answer to what was asked?  PROTOCOL section 5, the agent's half: every
 * check comes before anything is believed or opened.
 *
 * The answer and its refusals crossed the parent: a stranger's bytes.  What is trusted:
 * the pinned issuer keys, the own document's time and digest, what this process sent.
 * The receipt that must have been signed is rebuilt from these and compared whole;
 * answer_open is the only function, so that no caller can leave the checks out. */
#ifndef VOUCHSAFE_AGENT_ANSWER_H
#define VOUCHSAFE_AGENT_ANSWER_H

#include "common/receipt.h"
#include "common/secret.h"
#include "common/wrap.h"
#include "document.h"

/* What this attempt sent, and holds. */
struct answer_expected {
    const struct wanted_list *wanted;
    const struct issuer_pins *pins;
    const struct wrap_key *key; /* the one whose public half the document carries */
    const struct own_document *document;
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    /* Names and versions that this process has held; a version never falls below. */
    const struct wanted_list *held;
};

struct answer_secret {
    char name[PROTOCOL_NAME_MAX + 1];
    uint32_t version;
    bool deprecated; /* only a deprecated measurement granted it */
    struct secret *value;
};

struct answer_opened {
    size_t count;
    struct answer_secret item[PROTOCOL_SECRETS_MAX];
    /* For the log; never to be decided by. */
    uint64_t audit_sequence;
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
};
/* Wipes the values; for CLEANUP. */
void answer_opened_free(struct answer_opened *opened);

/* What earlier releases of a process bind the later ones to. */
struct answer_held {
    bool any;                                /* else there was none */
    uint8_t store_id[PROTOCOL_STORE_ID_LEN]; /* which gave the last one */
    struct wanted_list versions;
};
/* Adds what was opened.  A name that was had before and is not now stays as far as there is
 * room: it may be asked for again. */
void answer_hold(struct answer_held *held, const struct answer_opened *opened);

/* All or nothing: `out` is written only where everything holds, and is the caller's.
 * ERR_ANSWER says which check failed, what was expected and what was found;
 * ERR_NO_MEMORY is the only other error. */
MUST_CHECK enum err answer_open(const struct release_answer *answer,
                                const struct answer_expected *expected, struct answer_opened *out,
                                struct fault *fault);

#endif
