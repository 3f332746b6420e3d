/* What chain.c keeps of a verified prefix, root to last CA: inside attest only.
 *
 * The cache holds verdicts that depend on bytes alone.  Validity is no verdict of that
 * kind: the window of every certificate is kept and judged anew at each use.  The key
 * is a hash over every DER from the root down, so that nothing but the very bytes that
 * were verified finds the entry (attacks: cache poisoning by malleated signatures makes
 * other keys, never other verdicts). */
#ifndef VOUCHSAFE_CHAIN_CACHE_H
#define VOUCHSAFE_CHAIN_CACHE_H

#include <openssl/evp.h>

#include "chain.h"
#include "common/cose_sign1.h"

struct chain_prefix {
    size_t len; /* certificates, root included */
    struct chain_validity window[ATTDOC_BUNDLE_MAX];
    EVP_PKEY *issuer_key; /* the last CA's, one reference owned */
    size_t subject_len;   /* and its whole Name */
    uint8_t subject[ATTDOC_CERT_MAX];
};

/* Accepts an empty one. */
void chain_prefix_free(struct chain_prefix *prefix);

/* On a hit writes a copy to `*out`, freed with chain_prefix_free. */
MUST_CHECK bool chain_cache_get(struct chain_cache *cache, const uint8_t key[static SHA256_LEN],
                                struct chain_prefix *out);
/* Keeps a copy, in place of the entry that was not used for the longest time.  Only for
 * what was verified to the leaf. */
void chain_cache_put(struct chain_cache *cache, const uint8_t key[static SHA256_LEN],
                     const struct chain_prefix *prefix);

#endif
