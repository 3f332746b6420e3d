/* One chain of certificates, the same in every process, and documents under it. */
#ifndef VOUCHSAFE_FIXED_CHAIN_H
#define VOUCHSAFE_FIXED_CHAIN_H

#include <openssl/x509.h>

#include "fixed_keys.h"
#include "tests/lib/mkdoc.h"

#define FUZZ_MODULE "i-0123456789abcdef0-enc0123456789abcdef"
#define FUZZ_REGION "eu-west-1"

/* AWS's shape around FUZZ_TIME_MS; lives as long as the process. */
const struct mkdoc_chain *fuzz_chain(void);

/* Appends the payload of a production enclave's document; with user_data, nonce and
 * public_key where `full`. */
void fuzz_payload(bool full, struct buf *payload);

/* Appends the certificate with one element of its TBSCertificate changed, signed again by
 * the key that signed place `i` of the chain.  False where `der` is no certificate. */
bool fuzz_remake_certificate(struct bytes der, size_t i, unsigned *seed, struct buf *out);

#endif
