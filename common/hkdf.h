/* HKDF (RFC 5869) in its two steps, for HPKE (wrap_hpke.c) and the keyring.  The outputs
 * are secret: the caller wipes them. */
#ifndef VOUCHSAFE_HKDF_H
#define VOUCHSAFE_HKDF_H

#include "bytes.h"

#define HKDF_HASH_MAX 48 /* SHA-384; what wipe_48 wipes */

struct hkdf_hash {
    const char *name; /* OpenSSL's */
    size_t len;       /* HashLen: at most HKDF_HASH_MAX */
};

/* HMAC(salt, IKM), which is HKDF-Extract (section 2.2); the IKM is the `count` pieces one
 * after another, so that no secret is copied to be joined to its label.  No salt is
 * HashLen zeros.  Writes HashLen bytes.  ERR_CRYPTO. */
MUST_CHECK enum err hkdf_extract(const struct hkdf_hash *hash, struct bytes salt,
                                 const struct bytes *pieces, size_t count, uint8_t *prk);

/* HKDF-Expand (section 2.3) of a `prk` of HashLen bytes.  ERR_CRYPTO, also beyond
 * 255 * HashLen bytes of output. */
MUST_CHECK enum err hkdf_expand(const struct hkdf_hash *hash, const uint8_t *prk, struct bytes info,
                                uint8_t *out, size_t out_len);

#endif
