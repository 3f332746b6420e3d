/* Verifies an audit log as its server exports it (PROTOCOL section 8): the chain is
 * computed again here, and the checkpoints' signatures say how far it is complete.
 *
 * Trusts the pinned issuer keys and nothing of the server's.  Pure: the pages come in
 * order, one by one; nothing is kept of them but the checkpoints' meaning. */
#ifndef VOUCHSAFE_CLI_AUDITOR_H
#define VOUCHSAFE_CLI_AUDITOR_H

#include <jansson.h>

#include "common/audit_record.h"
#include "common/receipt.h"

#define AUDITOR_KEYS_MAX 64 /* receipt keys that a store has had, with their delegations */

/* A receipt key and when the issuer let it sign. */
struct auditor_key {
    struct delegation delegation;
    uint8_t kid[COSE_KID_LEN];
    EVP_PKEY *key;
};

struct auditor {
    const struct issuer_pins *pins;
    bool begun;
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    size_t key_count;
    struct auditor_key key[AUDITOR_KEYS_MAX];
    uint64_t sequence; /* of the last record that was taken */
    uint8_t hash[SHA384_LEN];
    uint64_t checkpoints;          /* that hold: signature, time of delegation, hash */
    uint64_t out_of_time;          /* whose hash holds, under a key not delegated at that time */
    uint64_t complete_to;          /* sequence of the newest one that holds; 0: none */
    int64_t complete_time;         /* and when it was made */
    bool expecting;                /* the auditor's own checkpoint, from the log */
    struct bytes expected_message; /* borrowed */
    struct audit_checkpoint expected;
    bool expected_met;
};

void auditor_init(struct auditor *auditor, const struct issuer_pins *pins);
void auditor_free(struct auditor *auditor);

/* A checkpoint that the auditor kept: the log must hold exactly it.  Its signature is
 * checked when the first page has brought the delegations.  `message` is borrowed. */
MUST_CHECK enum err auditor_expect(struct auditor *auditor, struct bytes message,
                                   struct fault *fault);

/* Takes the next page, an answer of GET /v1/admin/audit/export.  ERR_ANSWER with the
 * field "record 17" or "checkpoint 17" for the first that does not hold; ERR_SIGNATURE
 * likewise.  ERR_TOO_LARGE where more than AUDITOR_KEYS_MAX delegations count. */
MUST_CHECK enum err auditor_page(struct auditor *auditor, const json_t *page, struct fault *fault);
/* After the last page: ERR_ANSWER where the expected checkpoint was not met. */
MUST_CHECK enum err auditor_finish(const struct auditor *auditor, struct fault *fault);

#endif
