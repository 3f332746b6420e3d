/* The payload of an attestation document: syntax rules only, pure, bytes to views.
 *
 * Source: AWS's attestation_process.md section 3.2.2, corrected by what 131 genuine
 * documents look like (docs/DESIGN.md section 4).  Reading a document says nothing
 * about its authenticity: policy takes a `struct verified_doc` only, which
 * verifier/attest alone can make. */
#ifndef VOUCHSAFE_ATTDOC_H
#define VOUCHSAFE_ATTDOC_H

#include "bytes.h"

#define ATTDOC_LEN_MAX      32768 /* the COSE_Sign1 */
#define ATTDOC_PAYLOAD_MAX  16384 /* its payload */
#define ATTDOC_PCR_LEN      48    /* SHA-384 */
#define ATTDOC_PCR_COUNT    32    /* index 0..31 */
#define ATTDOC_CERT_MAX     1024  /* bytes, each certificate */
#define ATTDOC_BUNDLE_MAX   8     /* certificates besides the leaf */
#define ATTDOC_OPTIONAL_MAX 1024  /* public_key, user_data, nonce */

enum attdoc_kind {
    ATTDOC_ENCLAVE,  /* `pcrs` */
    ATTDOC_NITROTPM, /* `nitrotpm_pcrs`: an EC2 instance */
};

/* public_key, user_data, nonce: absent, null and empty all occur and differ. */
struct attdoc_optional {
    enum { ATTDOC_ABSENT, ATTDOC_NULL, ATTDOC_PRESENT } state;
    struct bytes value;
};

struct attdoc {
    enum attdoc_kind kind;
    bool map_indefinite; /* how the outer map was written */
    struct bytes module_id;
    uint64_t timestamp_ms;
    uint32_t pcr_present;                 /* bit i: PCR i is in the document */
    const uint8_t *pcr[ATTDOC_PCR_COUNT]; /* ATTDOC_PCR_LEN bytes, or NULL where absent */
    struct bytes certificate;
    size_t cabundle_len;
    struct bytes cabundle[ATTDOC_BUNDLE_MAX]; /* root first */
    struct attdoc_optional public_key;
    struct attdoc_optional user_data;
    struct attdoc_optional nonce;
};

/* Names of unknown payload keys to pass over: the operator's `tolerate_payload_keys`.
 * One that looks like PCRs (contains "pcr", in any case) is never tolerated. */
#define ATTDOC_TOLERATE_MAX 64 /* what comes after so many is not looked at */
struct attdoc_tolerate {
    const char *const *keys;
    size_t count;
};

/* `payload` is the content of the COSE payload, `offset` where it begins in the
 * document (for error offsets), `tolerate` may be NULL.  The views in `out` point
 * into `payload`.  Allocates nothing.  ERR_DOC_MALFORMED, ERR_DOC_UNKNOWN_FIELD,
 * ERR_CBOR_DUPLICATE or the reader's errors, each with field path ("payload" for the
 * map itself, "timestamp", "pcrs[3]", "cabundle[1]") and offset. */
MUST_CHECK enum err attdoc_parse(struct bytes payload, size_t offset,
                                 const struct attdoc_tolerate *tolerate, struct attdoc *out,
                                 struct fault *fault);

/* An enclave document whose PCR0, 1 or 2 is zero or absent: debug mode, proves no
 * code.  A NitroTPM document has no such mode: false. */
bool attdoc_is_debug(const struct attdoc *doc);

const char *attdoc_kind_name(enum attdoc_kind kind); /* "enclave", "nitrotpm" */

/* The EC2 instance that a module_id names: what is before "-enc" (an enclave's,
 * "i-0123456789abcdef0-enc0123456789abcdef") or "-tpm" (a NitroTPM's), whichever comes first; all
 * of one that has neither. */
struct bytes attdoc_instance(struct bytes module_id);

#endif
