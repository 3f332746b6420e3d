/* The signature section of an enclave image file, verified.
 *
 * EIF Specification, "EifSectionSignature": a CBOR array of maps with the signer's certificate
 * (PEM) and a COSE_Sign1 over a register's index and value, each as an array of numbers.  One
 * entry, over PCR0, is all that AWS's tools write and all that is taken: which certificate
 * PCR8 measures would otherwise be a matter of opinion.
 *
 * The section proves nothing by being there.  It is verified under the certificate's key, and
 * the value that it signs is compared with the PCR0 of the image's own bytes.  Who the signer
 * is, whether the certificate has expired, and who issued it is not judged: PCR8 pins that one
 * certificate, byte for byte, and its value never changes. */
#ifndef VOUCHSAFE_EIF_SIGNATURE_H
#define VOUCHSAFE_EIF_SIGNATURE_H

#include "common/attdoc.h"

/* Appends the signer's certificate in DER: what PCR8 measures.  `base` is where `section`
 * begins in the file.
 * ERR_CBOR_*, ERR_EIF for another form of the section or the certificate's PEM,
 * ERR_CERT_MALFORMED, ERR_CERT_ALGORITHM for a key on none of P-256, P-384 and P-521,
 * ERR_COSE_*, ERR_SIGNATURE where it does not verify, ERR_PCR_MISMATCH where it is another
 * register's or another image's; ERR_NO_MEMORY, ERR_CRYPTO. */
MUST_CHECK enum err eif_signature_verify(struct bytes section, size_t base,
                                         const uint8_t pcr0[static ATTDOC_PCR_LEN],
                                         struct buf *certificate, struct fault *fault);

#endif
