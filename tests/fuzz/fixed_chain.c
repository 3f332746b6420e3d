#include "fixed_chain.h"

#include <openssl/evp.h>

#include "common/openssl_cleanup.h"

#define TBS_MAX 2048

const struct mkdoc_chain *fuzz_chain(void)
{
    static struct mkdoc_chain chain;
    struct mkdoc_chain_spec spec;
    if (chain.len > 0)
        return &chain;
    fuzz_fix_random();
    mkdoc_chain_defaults(&spec, (int64_t)FUZZ_TIME_MS, FUZZ_MODULE, FUZZ_REGION);
    FUZZ_OK(mkdoc_chain_make(&spec, &chain));
    return &chain;
}

void fuzz_payload(bool full, struct buf *payload)
{
    static const uint8_t some[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct mkdoc_fields fields;
    mkdoc_fields_defaults(&fields, (int64_t)FUZZ_TIME_MS, FUZZ_MODULE, 1);
    if (full) {
        fields.map_indefinite = false;
        fields.public_key = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of(some, 8)};
        fields.user_data = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of(some, 4)};
        fields.nonce = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of(some, 0)};
    }
    FUZZ_OK(mkdoc_payload(&fields, fuzz_chain(), payload));
}

/* A DER SEQUENCE around the parts. */
static void put_sequence(struct buf *out, struct bytes one, struct bytes two, struct bytes three)
{
    const size_t len = one.len + two.len + three.len;
    const uint8_t head[] = {0x30, 0x82, (uint8_t)(len >> 8), (uint8_t)len};
    FUZZ_HOLDS(len >= 256 && len <= UINT16_MAX);
    FUZZ_OK(buf_append(out, bytes_of(head, sizeof head)));
    FUZZ_OK(buf_append(out, one));
    FUZZ_OK(buf_append(out, two));
    FUZZ_OK(buf_append(out, three));
}

static void put_signature(struct buf *out, EVP_PKEY *key, struct bytes tbs)
{
    uint8_t der[128] = {0x03, 0, 0}; /* BIT STRING, no unused bits */
    size_t len = sizeof der - 3;
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    FUZZ_HOLDS(ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, key) == 1);
    FUZZ_HOLDS(EVP_DigestSign(ctx, der + 3, &len, tbs.ptr, tbs.len) == 1);
    der[1] = (uint8_t)(len + 1);
    FUZZ_OK(buf_append(out, bytes_of(der, len + 3)));
}

/* The TBSCertificate of a certificate with lengths of two bytes, head included. */
static bool find_tbs(struct bytes der, struct bytes *tbs)
{
    if (der.len < 8 || der.ptr[0] != 0x30 || der.ptr[1] != 0x82 || der.ptr[4] != 0x30 ||
        der.ptr[5] != 0x82)
        return false;
    const size_t len = 4 + ((size_t)der.ptr[6] << 8 | der.ptr[7]);
    *tbs = bytes_of(der.ptr + 4, len);
    return len <= der.len - 4 && len <= TBS_MAX;
}

bool fuzz_remake_certificate(struct bytes der, size_t i, unsigned *seed, struct buf *out)
{
    static const uint8_t algorithm[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                        0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
    const struct mkdoc_chain *chain = fuzz_chain();
    struct bytes tbs;
    if (i >= chain->len || !find_tbs(der, &tbs))
        return false;
    CLEANUP(buf_free) struct buf changed = {0};
    CLEANUP(buf_free) struct buf signature = {0};
    fuzz_mutate_der(tbs, seed, &changed);
    if (changed.len < 256 || changed.len > TBS_MAX)
        return false;
    put_signature(&signature, chain->key[i == 0 ? 0 : i - 1], bytes_of_buf(&changed));
    put_sequence(out, bytes_of_buf(&changed), bytes_of(algorithm, sizeof algorithm),
                 bytes_of_buf(&signature));
    return true;
}
