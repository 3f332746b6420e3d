/* Audit records: deterministic CBOR, hash-chained (PROTOCOL section 8).
 *
 * Made by the warden, read by the CLI and by auditors; the chain is computed here for
 * both, so that the one who verifies does not take the server's word.  Never holds a
 * secret: names, versions, digests, measurements, reasons. */
#ifndef VOUCHSAFE_AUDIT_RECORD_H
#define VOUCHSAFE_AUDIT_RECORD_H

#include <jansson.h>

#include "attdoc.h"
#include "protocol.h"

/* One secret of a decision; a text that is NULL is written as the empty one. */
struct audit_item {
    const char *name;
    uint32_t version;   /* 0: none was chosen */
    uint64_t flags;     /* RECEIPT_FLAG_* */
    const char *reason; /* policy_reason_name; "granted" */
    const char *build;  /* image@version that granted it, or "" */
    /* What was asked, so that a refusal can be judged again; 0: left open. */
    uint32_t asked_version;
    uint32_t asked_minimum;
};

/* What happened.  NULL and empty members are left out of the record. */
struct audit_event {
    uint64_t time_ms;
    const char *event; /* "release.granted", "measurement.add", "serve.start" */
    const char *request_id;
    const char *peer;
    uint64_t policy_revision; /* under which it was decided */
    const char *person;       /* of an administrator's action */
    const char *code;         /* wire name: "ok", "refused", ... */
    const char *detail;
    const char *object;                /* what an action was about: "payments@1.4.2" */
    const struct attdoc *doc;          /* of a decision, with the five below */
    const uint8_t *document_digest;    /* SHA384_LEN */
    const uint8_t *root_sha256;        /* SHA256_LEN */
    const uint8_t *application_sha256; /* SHA256_LEN: of user_data's application bytes */
    struct bytes region;
    struct bytes challenge;
    size_t item_count;
    struct audit_item item[PROTOCOL_SECRETS_MAX];
};

/* Appends record number `sequence`.  ERR_UTF8 where a text is none, ERR_NO_MEMORY; what was
 * appended is then incomplete. */
MUST_CHECK enum err audit_record_append(const struct audit_event *event, uint64_t sequence,
                                        struct buf *record);
/* The record as a JSON object for people and programs: names instead of numbers,
 * times as RFC 3339, digests in hex.  ERR_CBOR_* where it is none. */
MUST_CHECK enum err audit_record_to_json(struct bytes record, json_t **out, struct fault *fault);

/* hash_0 = SHA-384(label | store id); hash_n = SHA-384(label | hash_(n-1) | record_n). */
MUST_CHECK enum err audit_chain_first(const uint8_t store_id[static PROTOCOL_STORE_ID_LEN],
                                      uint8_t hash[static SHA384_LEN]);
MUST_CHECK enum err audit_chain_next(const uint8_t before[static SHA384_LEN], struct bytes record,
                                     uint8_t hash[static SHA384_LEN]);

/* A checkpoint's payload: {1 version, 2 store id, 3 sequence, 4 hash, 5 time, 6 policy
 * revision}; the message is COSE_CHECKPOINT under the receipt key. */
struct audit_checkpoint {
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint64_t sequence;
    uint8_t hash[SHA384_LEN];
    uint64_t time_ms;
    uint64_t policy_revision;
};
MUST_CHECK enum err audit_checkpoint_append(const struct audit_checkpoint *checkpoint,
                                            struct buf *payload);
MUST_CHECK enum err audit_checkpoint_parse(struct bytes payload, struct audit_checkpoint *out,
                                           struct fault *fault);

#endif
