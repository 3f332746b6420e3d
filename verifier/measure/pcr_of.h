/* PCRs that follow from what is known without an image: pure.
 *
 * AWS's words are those of the Nitro Enclaves User Guide, "Cryptographic attestation": PCR3 and
 * PCR4 are SHA-384 over 48 zero bytes and a text, PCR8 is the same over the SHA-384 of the signing
 * certificate's DER (aws-nitro-enclaves-image-format, EifBuilder::measure).  A mistyped text
 * has a hash as good as any other, which no enclave will ever show: so the forms are strict. */
#ifndef VOUCHSAFE_PCR_OF_H
#define VOUCHSAFE_PCR_OF_H

#include "common/attdoc.h"

#define PCR_OF_CERTIFICATE_MAX 65536
#define PCR_OF_EXTENSION_MAX   (1024 * 1024)
#define PCR_OF_EXTENSION_FIRST 16 /* the lower ones are the hypervisor's */

/* PCR3, by the ARN of the IAM role that the parent instance has:
 * arn:PARTITION:iam::ACCOUNT:role/PATH/NAME.  ERR_USAGE says what it is instead. */
MUST_CHECK enum err pcr_of_role(const char *arn, uint8_t out[static ATTDOC_PCR_LEN],
                                struct fault *fault);

/* PCR4, by the parent's instance id: "i-" and 8 or 17 digits.  ERR_USAGE. */
MUST_CHECK enum err pcr_of_instance(const char *id, uint8_t out[static ATTDOC_PCR_LEN],
                                    struct fault *fault);

/* PCR8, by the certificate that signed the image: PEM, of which the first certificate counts, as
 * for nitro-cli; or DER.  ERR_MEASUREMENT_INPUT, ERR_TOO_LARGE; ERR_CRYPTO, ERR_NO_MEMORY. */
MUST_CHECK enum err pcr_of_certificate(struct bytes file, uint8_t out[static ATTDOC_PCR_LEN],
                                       struct fault *fault);

/* One of PCR16..31, which was zero and is extended once by the file (PROTOCOL section 3): what it
 * is then.  ERR_MEASUREMENT_INPUT for an empty file, ERR_TOO_LARGE. */
MUST_CHECK enum err pcr_of_extension(struct bytes file, uint8_t out[static ATTDOC_PCR_LEN],
                                     struct fault *fault);

#endif
