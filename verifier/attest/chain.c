#include "chain.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "cert.h"
#include "chain_cache.h"
#include "common/codec.h"
#include "common/openssl_cleanup.h"

#define FIELD_MAX sizeof "cabundle[18446744073709551615]"

/* The CA certificates, root first, while they are read. */
struct cas {
    size_t len;
    struct cert cert[ATTDOC_BUNDLE_MAX];
};

static void cas_free(struct cas *cas)
{
    for (size_t i = 0; i < cas->len; i++)
        cert_free(&cas->cert[i]);
    cas->len = 0;
}

/* The place in the document; `i` of the bundle, or its length for the leaf. */
static struct fault *fault_at_cert(struct fault *fault, const struct attdoc *doc, size_t i)
{
    if (i == doc->cabundle_len)
        return fault_at(fault, FAULT_NO_OFFSET, "certificate");
    return fault_at(fault, FAULT_NO_OFFSET, "cabundle[%zu]", i);
}

/* Before anything is parsed: the first certificate is the pinned root, byte for byte.
 * From here on the document's copy of it is not looked at again. */
static enum err check_root(const struct attdoc *doc, struct bytes root_der, struct fault *fault)
{
    if (doc->cabundle_len == 0 || doc->cabundle_len > ATTDOC_BUNDLE_MAX) /* ROOT-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "cabundle"), ERR_UNTRUSTED,
             "%zu certificates, expected 1..%d", doc->cabundle_len, ATTDOC_BUNDLE_MAX);
    if (!bytes_equal(doc->cabundle[0], root_der)) /* ROOT-2 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "cabundle[0]"), ERR_UNTRUSTED,
             "the first certificate of the bundle is not the pinned root");
    return ERR_OK;
}

/* SHA-256 over length and DER of every certificate from the root to the last CA. */
static enum err prefix_key(const struct attdoc *doc, struct bytes root_der,
                           uint8_t key[static SHA256_LEN])
{
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex2(ctx, EVP_sha256(), NULL) != 1)
        return crypto_failed();
    for (size_t i = 0; i < doc->cabundle_len; i++) {
        const struct bytes der = i == 0 ? root_der : doc->cabundle[i];
        const uint32_t len = (uint32_t)der.len;
        const uint8_t len_be[] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                                  (uint8_t)len};
        if (EVP_DigestUpdate(ctx, len_be, sizeof len_be) != 1 ||
            EVP_DigestUpdate(ctx, der.ptr, der.len) != 1)
            return crypto_failed();
    }
    return EVP_DigestFinal_ex(ctx, key, NULL) == 1 ? ERR_OK : crypto_failed();
}

/* RFC 5280 section 4.2.1.9, without its exception for self-issued certificates: the
 * CA certificates that follow number `follow` at the most. */
static enum err check_ca(const struct cert *cert, size_t follow, const char *field,
                         struct fault *fault)
{
    TRY(cert_check_ca(cert, field, fault));
    if (cert->path_len >= 0 && (uint64_t)cert->path_len < follow) /* CHAIN-5 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_PATHLEN,
             "the path length is %lld, and %zu CA certificates follow", (long long)cert->path_len,
             follow);
    return ERR_OK;
}

static enum err check_leaf(const struct cert *cert, struct fault *fault)
{
    (void)fault_at(fault, FAULT_NO_OFFSET, "certificate");
    if (cert->is_ca) /* CHAIN-6 */
        FAIL(fault, ERR_CERT_LEAF_CA, "basicConstraints says that it is a CA");
    if (cert->path_len >= 0) /* CHAIN-7 */
        FAIL(fault, ERR_CERT_PATHLEN, "a path length, but it is no CA");
    if (!cert->may_sign) /* CHAIN-8 */
        FAIL(fault, ERR_CERT_KEY_USAGE, "keyUsage lacks digitalSignature");
    if (cert->may_sign_certs) /* CHAIN-9 */
        FAIL(fault, ERR_CERT_KEY_USAGE, "keyUsage has keyCertSign, but it is no CA");
    return ERR_OK;
}

/* RFC 5280 section 6.1: no certificate is in a path twice.  A name that must differ from
 * its issuer's sees to that, where bytes would not: a signature has a second form. */
static enum err check_issuer(const struct cert *cert, struct bytes parent_subject,
                             const char *field, struct fault *fault)
{
    if (!bytes_equal(cert->issuer, parent_subject)) /* CHAIN-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_NAME,
             "the issuer is not the subject of the certificate before it");
    if (bytes_equal(cert->subject, cert->issuer)) /* CHAIN-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_NAME,
             "the subject is its issuer: only the root may have issued itself");
    return ERR_OK;
}

/* What the leaf needs to know, taken from the CAs that were read. */
static enum err fill_prefix(const struct cas *cas, struct chain_prefix *out)
{
    const struct cert *last = &cas->cert[cas->len - 1];
    EVP_PKEY *key = X509_get0_pubkey(last->x509);
    if (last->subject.len > sizeof out->subject || key == NULL || EVP_PKEY_up_ref(key) != 1)
        return crypto_failed();
    out->issuer_key = key;
    out->len = cas->len;
    for (size_t i = 0; i < cas->len; i++)
        out->window[i] = (struct chain_validity){.from_ms = cas->cert[i].from_ms,
                                                 .until_ms = cas->cert[i].until_ms};
    out->subject_len = last->subject.len;
    memcpy(out->subject, last->subject.ptr, last->subject.len);
    return ERR_OK;
}

/* Every rule of every CA certificate, but for time and signatures. */
static enum err read_cas(const struct attdoc *doc, struct bytes root_der, struct cas *cas,
                         struct chain_prefix *prefix, struct fault *fault)
{
    for (size_t i = 0; i < doc->cabundle_len; i++) {
        char field[FIELD_MAX];
        snprintf(field, sizeof field, "cabundle[%zu]", i);
        struct cert *cert = &cas->cert[i];
        TRY(cert_parse(i == 0 ? root_der : doc->cabundle[i], field, cert, fault));
        cas->len = i + 1;
        if (i > 0)
            TRY(check_issuer(cert, cas->cert[i - 1].subject, field, fault));
        TRY(check_ca(cert, doc->cabundle_len - 1 - i, field, fault));
    }
    return fill_prefix(cas, prefix);
}

/* Leeway is for clocks that differ, on not-before only: genuine leaves begin at the
 * moment they are asked for.  RFC 5280 section 4.1.2.5: both ends are inclusive. */
static enum err check_window(const struct chain_validity *window, int64_t now_ms, int64_t leeway_ms,
                             struct fault *fault)
{
    const bool early = now_ms < window->from_ms - leeway_ms;
    if (!early && now_ms <= window->until_ms)
        return ERR_OK;
    char from[TIME_TEXT_MAX];
    char until[TIME_TEXT_MAX];
    char now[TIME_TEXT_MAX];
    time_format(window->from_ms, from);
    time_format(window->until_ms, until);
    time_format(now_ms, now);
    /* TIME-1, TIME-2 */
    FAIL(fault, early ? ERR_CERT_NOT_YET_VALID : ERR_CERT_EXPIRED,
         "valid from %s until %s, and it is %s", from, until, now);
}

static enum err check_times(const struct attdoc *doc, const struct chain_prefix *prefix,
                            const struct cert *leaf, int64_t now_ms, int64_t leeway_ms,
                            struct chain_validity *whole, struct fault *fault)
{
    *whole = (struct chain_validity){.from_ms = leaf->from_ms, .until_ms = leaf->until_ms};
    for (size_t i = 0; i <= prefix->len; i++) {
        const struct chain_validity window =
            i < prefix->len ? prefix->window[i]
                            : (struct chain_validity){leaf->from_ms, leaf->until_ms};
        TRY(check_window(&window, now_ms, leeway_ms, fault_at_cert(fault, doc, i)));
        if (window.from_ms > whole->from_ms)
            whole->from_ms = window.from_ms;
        if (window.until_ms < whole->until_ms)
            whole->until_ms = window.until_ms;
    }
    return ERR_OK;
}

static enum err check_signature(const struct cert *cert, EVP_PKEY *parent_key, struct fault *fault)
{
    crypto_begin();
    if (X509_verify(cert->x509, parent_key) == 1)
        return ERR_OK;
    TRY(crypto_own_fault());
    /* SIG-1 */
    FAIL(fault, ERR_CERT_SIGNATURE, "the certificate before it did not sign this one");
}

/* Root to leaf.  The root itself is trusted for its bytes; where the prefix came from
 * the cache, `cas` is empty and the leaf's signature is the only new one. */
static enum err check_signatures(const struct attdoc *doc, const struct cas *cas,
                                 const struct cert *leaf, const struct chain_prefix *prefix,
                                 struct fault *fault)
{
    for (size_t i = 1; i < cas->len; i++)
        TRY(check_signature(&cas->cert[i], X509_get0_pubkey(cas->cert[i - 1].x509),
                            fault_at_cert(fault, doc, i)));
    return check_signature(leaf, prefix->issuer_key, fault_at_cert(fault, doc, doc->cabundle_len));
}

enum err chain_verify(const struct attdoc *doc, struct bytes root_der, int64_t now_ms,
                      int64_t leeway_ms, struct chain_cache *cache, EVP_PKEY **leaf_key,
                      struct chain_validity *validity, enum chain_stage *stage, struct fault *fault)
{
    CLEANUP(cas_free) struct cas cas = {0};
    CLEANUP(cert_free) struct cert leaf = {0};
    CLEANUP(chain_prefix_free) struct chain_prefix prefix = {0};
    uint8_t key[SHA256_LEN];

    *stage = CHAIN_ROOT;
    TRY(check_root(doc, root_der, fault));

    *stage = CHAIN_RULES;
    TRY(prefix_key(doc, root_der, key));
    const bool known = cache != NULL && chain_cache_get(cache, key, &prefix);
    if (!known)
        TRY(read_cas(doc, root_der, &cas, &prefix, fault));
    TRY(cert_parse(doc->certificate, "certificate", &leaf, fault));
    TRY(check_issuer(&leaf, bytes_of(prefix.subject, prefix.subject_len), "certificate", fault));
    TRY(check_leaf(&leaf, fault));

    *stage = CHAIN_TIME;
    struct chain_validity whole;
    TRY(check_times(doc, &prefix, &leaf, now_ms, leeway_ms, &whole, fault));

    *stage = CHAIN_SIGNATURES;
    TRY(check_signatures(doc, &cas, &leaf, &prefix, fault));

    EVP_PKEY *public_key = X509_get0_pubkey(leaf.x509);
    if (public_key == NULL || EVP_PKEY_up_ref(public_key) != 1)
        return crypto_failed();
    if (cache != NULL && !known)
        chain_cache_put(cache, key, &prefix);
    *stage = CHAIN_DONE;
    *validity = whole;
    *leaf_key = public_key;
    return ERR_OK;
}
