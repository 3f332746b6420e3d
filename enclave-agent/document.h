/* The agent reads its own attestation document: for the hypervisor's time, the digest
 * that names it, and the root it stands under.  PROTOCOL section 5.
 *
 * The document comes from the NSM, which the agent trusts: nothing is verified here, and
 * need not be.  What is checked is that it says what it was asked to say, and that its
 * root is the one that the measured configuration trusts.  Failures are ERR_NSM. */
#ifndef VOUCHSAFE_AGENT_DOCUMENT_H
#define VOUCHSAFE_AGENT_DOCUMENT_H

#include "common/cose_sign1.h"
#include "nsm.h"

struct own_document {
    uint64_t time_ms; /* the hypervisor's: the parent cannot move it */
    uint8_t digest[SHA384_LEN];
    uint8_t root[SHA256_LEN]; /* of the DER of its first certificate */
};

/* SHA-256 of the DER of AWS's root, certs/aws-nitro-root. */
extern const uint8_t own_document_aws_root[SHA256_LEN];

MUST_CHECK enum err own_document_read(struct bytes document, const struct nsm_question *asked,
                                      const uint8_t trusted_root[static SHA256_LEN],
                                      struct own_document *out, struct fault *fault);

#endif
