/* A random generator that is none, so that keys, certificates and signatures are the same
 * in every process and a committed corpus stays valid; and what is signed with such keys. */
#ifndef VOUCHSAFE_FIXED_KEYS_H
#define VOUCHSAFE_FIXED_KEYS_H

#include <openssl/types.h>

#include "common/receipt.h"
#include "fuzz.h"

/* From here on OpenSSL's randomness is the same sequence in every run. */
void fuzz_fix_random(void);

/* The issuer's key and the receipt key that it delegates to; a stranger's of each curve.
 * They live as long as the process. */
struct fuzz_keys {
    EVP_PKEY *issuer;  /* P-384 */
    EVP_PKEY *receipt; /* P-256 */
    EVP_PKEY *stranger384;
    EVP_PKEY *stranger256;
    EVP_PKEY *p521;          /* an image's signer's */
    struct issuer_pins pins; /* the issuer alone */
};
const struct fuzz_keys *fuzz_keys(void);

/* Appends the message under the key, with its kid where the profile has one. */
void fuzz_sign(enum cose_profile profile, EVP_PKEY *key, struct bytes payload, struct buf *message);

/* A second opinion: whether r | s is `key`'s signature over the Sig_structure, written out
 * here once more and given to OpenSSL as a whole. */
bool fuzz_signature_holds(EVP_PKEY *key, const char *digest, struct bytes header,
                          const char *external_aad, struct bytes payload, struct bytes signature);

#define FUZZ_TIME_MS UINT64_C(1795392000000) /* 2026-11-23T00:00:00Z */
/* Appends the issuer's delegation of the receipt key, an hour around that time.  Its store
 * is that of the receipt, whose payload is the second. */
void fuzz_delegation(struct buf *message);
extern const uint8_t fuzz_store_id[PROTOCOL_STORE_ID_LEN];
void fuzz_receipt(struct receipt *out);

#endif
