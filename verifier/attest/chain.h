/* The certificate chain of an attestation document, by rules of our own.
 *
 * OpenSSL's strict and CRL flags refuse every genuine document, so the rules are
 * stated here (docs/DESIGN.md section 4): pinned root by whole DER, each issuer in order,
 * P-384 with SHA-384, names, basicConstraints, keyUsage, path lengths, extensions and
 * validity of *every* certificate before the first signature; then signatures from
 * the root to the leaf.  It trusts the pinned root and the caller's clock. */
#ifndef VOUCHSAFE_CHAIN_H
#define VOUCHSAFE_CHAIN_H

#include <openssl/types.h>

#include "common/attdoc.h"

/* Verified prefixes (root..last CA) that were seen before, so that a new document
 * costs two signatures less than a chain.  Key: a hash over every DER from the root
 * down; value: the parsed issuer and the validity of the whole prefix, re-checked
 * against the clock at each use.  Thread-safe, bounded. */
struct chain_cache;
MUST_CHECK enum err chain_cache_new(size_t entries, struct chain_cache **out);
void chain_cache_free(struct chain_cache *cache);
CLEANUP_PTR(struct chain_cache, chain_cache_free, chain_cache_freep)

/* When every certificate of a verified chain is valid, Unix ms, both inclusive. */
struct chain_validity {
    int64_t from_ms;
    int64_t until_ms;
};

/* Where in the rules a chain stands, for the list of checks that `verify` prints.
 * In the order in which they run. */
enum chain_stage {
    CHAIN_ROOT,       /* the bundle begins with the pinned root */
    CHAIN_RULES,      /* forms, names, constraints of every certificate */
    CHAIN_TIME,       /* validity of every certificate */
    CHAIN_SIGNATURES, /* root to leaf */
    CHAIN_DONE,
};

/* Verifies `doc`'s chain at `now_ms` under the pinned `root_der`.
 * `leeway_ms` applies to not-before only.  `cache` may be NULL.
 * On success `*leaf_key` is the leaf's public key, owned by the caller.
 * `*stage` is always written: CHAIN_DONE, or the stage that failed.
 * ERR_UNTRUSTED, ERR_CERT_*; field paths "cabundle[1]", "certificate". */
MUST_CHECK enum err chain_verify(const struct attdoc *doc, struct bytes root_der, int64_t now_ms,
                                 int64_t leeway_ms, struct chain_cache *cache, EVP_PKEY **leaf_key,
                                 struct chain_validity *validity, enum chain_stage *stage,
                                 struct fault *fault);

#endif
