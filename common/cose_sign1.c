#include "cose_sign1.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "attdoc.h"
#include "cbor_reader.h"
#include "cbor_writer.h"
#include "codec.h"
#include "openssl_cleanup.h"
#include "spki.h"

#define COSE_TAG_SIGN1   18  /* RFC 9052 section 2 */
#define COORDINATE_MAX   66  /* P-521 */
#define DIGEST_MAX       64  /* SHA-512 */
#define DER_SIG_MAX      144 /* SEQUENCE of two INTEGERs of at most 67 bytes */
#define HEADER_FIXED_MAX 6
#define HEADER_MAX       (HEADER_FIXED_MAX + COSE_KID_LEN)
#define OWN_PAYLOAD_MAX  (1024 * 1024)
#define EIF_PAYLOAD_MAX  256 /* one PCR's index and value */

/* RFC 9053 section 2.1: the algorithms that exist here, each with its one curve and
 * digest.  RFC 9053 allows other pairs; a profile does not. */
struct curve {
    const char *name;
    const char *group; /* as OpenSSL calls it */
    const EVP_MD *(*digest)(void);
    size_t digest_len;
    size_t len;                    /* of r and of s */
    uint8_t order[COORDINATE_MAX]; /* n, big-endian */
};

static const struct curve curves[COSE_CURVE_COUNT] = {
    [COSE_P256] =
        {
            .name = "P-256",
            .group = "prime256v1",
            .digest = EVP_sha256,
            .digest_len = 32,
            .len = 32,
            .order = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                      0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                      0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51},
        },
    [COSE_P384] =
        {
            .name = "P-384",
            .group = "secp384r1",
            .digest = EVP_sha384,
            .digest_len = 48,
            .len = 48,
            .order = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                      0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2,
                      0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73},
        },
    [COSE_P521] =
        {
            .name = "P-521",
            .group = "secp521r1",
            .digest = EVP_sha512,
            .digest_len = 64,
            .len = 66,
            .order = {0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                      0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc,
                      0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89,
                      0x9c, 0x47, 0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09},
        },
};

/* PROTOCOL section 5.  `header` is the protected header up to the kid's bytes. */
struct profile {
    const char *name;
    const char *external_aad;
    enum cose_curve curve;
    bool own; /* made by us: has a kid and is always tagged */
    size_t payload_max;
    size_t header_len;
    uint8_t header[HEADER_FIXED_MAX];
};

/* {1: -7, 4: h'..16'} and {1: -35, 4: h'..16'} */
#define HEADER_ES256_KID .header_len = 5, .header = {0xa2, 0x01, 0x26, 0x04, 0x50}
#define HEADER_ES384_KID .header_len = 6, .header = {0xa2, 0x01, 0x38, 0x22, 0x04, 0x50}

static const struct profile profiles[COSE_PROFILE_COUNT] = {
    [COSE_ATTESTATION] = {.name = "attestation document",
                          .external_aad = "",
                          .curve = COSE_P384,
                          .own = false,
                          .payload_max = ATTDOC_PAYLOAD_MAX,
                          .header_len = 4,
                          .header = {0xa1, 0x01, 0x38, 0x22}}, /* {1: -35} */
    [COSE_RECEIPT] = {.name = "receipt",
                      .external_aad = "vouchsafe/1 receipt",
                      .curve = COSE_P256,
                      .own = true,
                      .payload_max = OWN_PAYLOAD_MAX,
                      HEADER_ES256_KID},
    [COSE_DELEGATION] = {.name = "delegation",
                         .external_aad = "vouchsafe/1 delegation",
                         .curve = COSE_P384,
                         .own = true,
                         .payload_max = OWN_PAYLOAD_MAX,
                         HEADER_ES384_KID},
    [COSE_CHECKPOINT] = {.name = "checkpoint",
                         .external_aad = "vouchsafe/1 checkpoint",
                         .curve = COSE_P256,
                         .own = true,
                         .payload_max = OWN_PAYLOAD_MAX,
                         HEADER_ES256_KID},
    [COSE_SEALING_KEY] = {.name = "sealing key",
                          .external_aad = "vouchsafe/1 sealing-key",
                          .curve = COSE_P256,
                          .own = true,
                          .payload_max = OWN_PAYLOAD_MAX,
                          HEADER_ES256_KID},
    [COSE_EIF_ES256] = {.name = "image signature",
                        .external_aad = "",
                        .curve = COSE_P256,
                        .own = false,
                        .payload_max = EIF_PAYLOAD_MAX,
                        .header_len = 3,
                        .header = {0xa1, 0x01, 0x26}}, /* {1: -7} */
    [COSE_EIF_ES384] = {.name = "image signature",
                        .external_aad = "",
                        .curve = COSE_P384,
                        .own = false,
                        .payload_max = EIF_PAYLOAD_MAX,
                        .header_len = 4,
                        .header = {0xa1, 0x01, 0x38, 0x22}}, /* {1: -35} */
    [COSE_EIF_ES512] = {.name = "image signature",
                        .external_aad = "",
                        .curve = COSE_P521,
                        .own = false,
                        .payload_max = EIF_PAYLOAD_MAX,
                        .header_len = 4,
                        .header = {0xa1, 0x01, 0x38, 0x23}}, /* {1: -36} */
};

static size_t header_len_of(const struct profile *p)
{
    return p->header_len + (p->own ? COSE_KID_LEN : 0);
}

/* ---- parse ---- */

/* The tag, as the profile demands it, and the array of four. */
static enum err read_head(struct cbor_reader *r, const struct profile *p)
{
    struct cbor_item item;
    TRY(cbor_reader_next(r, &item));
    const bool tagged = item.kind == CBOR_KIND_TAG;
    if (tagged && item.value != COSE_TAG_SIGN1) /* COSE-2 */
        FAIL(fault_at(r->fault, item.offset, "cose"), ERR_COSE_MALFORMED,
             "tag %llu where only tag 18 (COSE_Sign1) is allowed", (unsigned long long)item.value);
    if (!tagged && p->own) /* PROTOCOL 5 */
        FAIL(fault_at(r->fault, item.offset, "cose"), ERR_COSE_MALFORMED,
             "a %s begins with tag 18 (COSE_Sign1)", p->name);
    if (tagged)
        TRY(cbor_reader_next(r, &item));
    if (item.kind != CBOR_KIND_ARRAY || item.value != 4) /* COSE-3 */
        FAIL(fault_at(r->fault, item.offset, "cose"), ERR_COSE_MALFORMED,
             "expected an array of 4 entries, the COSE_Sign1");
    return ERR_OK;
}

static enum err fail_protected(struct cbor_reader *r, const struct profile *p, struct bytes header)
{
    char expected[2 * HEADER_FIXED_MAX + 1];
    char found[2 * 2 * HEADER_MAX + 1]; /* twice the longest: enough to see what it is */
    const size_t shown = header.len < 2 * HEADER_MAX ? header.len : 2 * HEADER_MAX;
    hex_encode(bytes_of(p->header, p->header_len), expected);
    hex_encode(bytes_of(header.ptr, shown), found);
    FAIL(fault_at(r->fault, r->base + r->pos - header.len, "cose.protected"), ERR_COSE_ALG,
         "expected exactly %s%s (%s), found %s%s (%zu bytes)", expected,
         p->own ? " and 16 bytes of kid" : "", p->name, shown == 0 ? "nothing" : found,
         shown < header.len ? "..." : "", header.len);
}

static enum err read_protected(struct cbor_reader *r, const struct profile *p,
                               struct cose_sign1 *msg)
{
    cbor_reader_at(r, "cose.protected");
    struct bytes header;
    TRY(cbor_reader_bytes(r, &header));
    if (header.len != header_len_of(p) ||
        memcmp(header.ptr, p->header, p->header_len) != 0) /* COSE-4 */
        return fail_protected(r, p, header);
    msg->protected_header = header;
    if (p->own)
        msg->kid = bytes_of(header.ptr + p->header_len, COSE_KID_LEN);
    return ERR_OK;
}

/* Nothing unsigned may say how a message is read: RFC 9052 section 4.2 allows
 * unprotected parameters, no genuine document has any. */
static enum err read_unprotected(struct cbor_reader *r)
{
    cbor_reader_at(r, "cose.unprotected");
    const size_t offset = r->base + r->pos;
    struct cbor_map map;
    TRY(cbor_reader_map(r, false, &map));
    if (map.left != 0) /* COSE-5 */
        FAIL(fault_at(r->fault, offset, "cose.unprotected"), ERR_COSE_MALFORMED,
             "expected an empty map, found one of size %llu", (unsigned long long)map.left);
    return ERR_OK;
}

static enum err read_payload(struct cbor_reader *r, const struct profile *p, struct cose_sign1 *msg)
{
    cbor_reader_at(r, "cose.payload");
    struct cbor_item item;
    TRY(cbor_reader_peek(r, &item));
    if (item.kind == CBOR_KIND_NULL) /* COSE-6 */
        FAIL(fault_at(r->fault, item.offset, "cose.payload"), ERR_COSE_MALFORMED,
             "the payload is detached (nil)");
    struct bytes payload;
    TRY(cbor_reader_bytes(r, &payload));
    if (payload.len == 0) /* COSE-7 */
        FAIL(fault_at(r->fault, item.offset, "cose.payload"), ERR_COSE_MALFORMED,
             "the payload is empty");
    if (payload.len > p->payload_max) /* COSE-8 */
        FAIL(fault_at(r->fault, item.offset, "cose.payload"), ERR_TOO_LARGE,
             "the payload has %zu bytes, at most %zu are allowed", payload.len, p->payload_max);
    msg->payload = payload;
    msg->payload_offset = r->base + r->pos - payload.len;
    return ERR_OK;
}

static enum err read_signature(struct cbor_reader *r, const struct profile *p,
                               struct cose_sign1 *msg)
{
    cbor_reader_at(r, "cose.signature");
    const size_t offset = r->base + r->pos;
    const size_t expected = 2 * curves[p->curve].len;
    struct bytes signature;
    TRY(cbor_reader_bytes(r, &signature));
    if (signature.len != expected) /* COSE-9 */
        FAIL(fault_at(r->fault, offset, "cose.signature"), ERR_COSE_MALFORMED,
             "the signature has %zu byte%s, expected %zu (r | s)", signature.len,
             plural(signature.len), expected);
    msg->signature = signature;
    return ERR_OK;
}

enum err cose_sign1_parse(enum cose_profile profile, struct bytes in, struct cose_sign1 *out,
                          struct fault *fault)
{
    const struct profile *p = &profiles[profile];
    struct cose_sign1 msg = {.profile = profile};
    struct cbor_reader r;
    cbor_reader_init(&r, in, 0, "cose", fault);

    TRY(read_head(&r, p));
    TRY(read_protected(&r, p, &msg));
    TRY(read_unprotected(&r));
    TRY(read_payload(&r, p, &msg));
    TRY(read_signature(&r, p, &msg));
    cbor_reader_at(&r, "cose");
    TRY(cbor_reader_end(&r));

    *out = msg;
    return ERR_OK;
}

/* ---- the Sig_structure ---- */

/* A byte string of the Sig_structure, hashed from where it lies.  The lengths are at
 * most OWN_PAYLOAD_MAX, so a four-byte length is the longest (RFC 8949 section 3). */
static bool hash_bytes(EVP_MD_CTX *ctx, struct bytes b)
{
    uint8_t head[5];
    size_t head_len = 0;
    if (b.len < 24) {
        head[head_len++] = (uint8_t)(0x40 | b.len);
    } else if (b.len <= 0xff) {
        head[head_len++] = 0x58;
        head[head_len++] = (uint8_t)b.len;
    } else if (b.len <= 0xffff) {
        head[head_len++] = 0x59;
        head[head_len++] = (uint8_t)(b.len >> 8);
        head[head_len++] = (uint8_t)b.len;
    } else {
        head[head_len++] = 0x5a;
        head[head_len++] = (uint8_t)(b.len >> 24);
        head[head_len++] = (uint8_t)(b.len >> 16);
        head[head_len++] = (uint8_t)(b.len >> 8);
        head[head_len++] = (uint8_t)b.len;
    }
    return EVP_DigestUpdate(ctx, head, head_len) == 1 &&
           (b.len == 0 || EVP_DigestUpdate(ctx, b.ptr, b.len) == 1);
}

/* RFC 9052 section 4.4: ["Signature1", protected, external_aad, payload], streamed. */
static enum err sig_structure_digest(const struct profile *p, struct bytes header,
                                     struct bytes payload, uint8_t out[static DIGEST_MAX])
{
    static const char context[] = "\x84\x6aSignature1";
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL)
        return crypto_no_memory();
    if (EVP_DigestInit_ex(ctx, curves[p->curve].digest(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, context, sizeof context - 1) != 1 || !hash_bytes(ctx, header) ||
        !hash_bytes(ctx, bytes_of_text(p->external_aad)) || !hash_bytes(ctx, payload) ||
        EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        return crypto_failed();
    return ERR_OK;
}

/* ---- verify ---- */

/* The group, not only the type: ES384 under a key on another curve is another
 * algorithm. */
static enum err check_curve(const struct curve *curve, EVP_PKEY *key, struct fault *fault)
{
    char group[64] = "";
    crypto_begin();
    const bool is_ec = EVP_PKEY_is_a(key, "EC") == 1;
    if (is_ec && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
        strcmp(group, curve->group) == 0)
        return ERR_OK;
    TRY(crypto_own_fault());
    /* SIG-2 */
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "cose.signature"), ERR_COSE_ALG,
         "the key is not an EC key on %s (%s)", curve->name, is_ec ? group : "not EC");
}

/* 1..n-1 */
static bool in_range(const struct curve *curve, const uint8_t *number)
{
    return !bytes_all_zero(bytes_of(number, curve->len)) &&
           memcmp(number, curve->order, curve->len) < 0;
}

/* r | s (RFC 9053 section 2.1) to the DER that OpenSSL takes. */
static enum err der_of_signature(struct bytes signature, uint8_t der[static DER_SIG_MAX],
                                 size_t *der_len)
{
    const int half = (int)(signature.len / 2);
    CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    CLEANUP(bn_freep) BIGNUM *r = BN_bin2bn(signature.ptr, half, NULL);
    CLEANUP(bn_freep) BIGNUM *s = BN_bin2bn(signature.ptr + half, half, NULL);
    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1)
        return crypto_no_memory();
    r = NULL; /* the signature owns both now */
    s = NULL;
    const int len = i2d_ECDSA_SIG(sig, NULL);
    if (len <= 0 || len > DER_SIG_MAX || i2d_ECDSA_SIG(sig, &der) != len)
        return crypto_failed();
    *der_len = (size_t)len;
    return ERR_OK;
}

enum err cose_ecdsa_verify(enum cose_curve curve, EVP_PKEY *key, struct bytes digest,
                           struct bytes signature, struct fault *fault)
{
    const struct curve *c = &curves[curve];
    TRY(check_curve(c, key, fault));
    fault_at(fault, FAULT_NO_OFFSET, "cose.signature");
    if (signature.len != 2 * c->len) /* SIG-3 */
        FAIL(fault, ERR_SIGNATURE, "the signature has %zu byte%s, expected %zu (r | s)",
             signature.len, plural(signature.len), 2 * c->len);
    if (digest.len != c->digest_len)
        FAIL(fault, ERR_INTERNAL, "a digest of %zu bytes with %s", digest.len, c->name);
    if (!in_range(c, signature.ptr) || !in_range(c, signature.ptr + c->len)) /* SIG-4 */
        FAIL(fault, ERR_SIGNATURE, "r or s is zero or not below the order of %s", c->name);

    uint8_t der[DER_SIG_MAX];
    size_t der_len;
    const enum err err = der_of_signature(signature, der, &der_len);
    if (err != ERR_OK)
        FAIL(fault, err, "the signature could not be encoded");
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1)
        FAIL(fault, crypto_failed(), "the verification could not be set up");
    crypto_begin();
    /* Negative results count as forged, too: OpenSSL returns one where the sum of
     * points is the point at infinity, which the signer can bring about. */
    if (EVP_PKEY_verify(ctx, der, der_len, digest.ptr, digest.len) != 1) { /* SIG-5 */
        TRY(crypto_own_fault());
        FAIL(fault, ERR_SIGNATURE, "the ECDSA signature does not verify under the %s key", c->name);
    }
    return ERR_OK;
}

enum err cose_sign1_verify(const struct cose_sign1 *msg, EVP_PKEY *key, struct fault *fault)
{
    const struct profile *p = &profiles[msg->profile];
    /* Before the payload is hashed: a key of the wrong kind costs nothing. */
    TRY(check_curve(&curves[p->curve], key, fault));
    uint8_t digest[DIGEST_MAX];
    const enum err err = sig_structure_digest(p, msg->protected_header, msg->payload, digest);
    if (err != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "cose.signature"), err,
             "the Sig_structure could not be hashed");
    return cose_ecdsa_verify(p->curve, key, bytes_of(digest, curves[p->curve].digest_len),
                             msg->signature, fault);
}

/* ---- sign ---- */

/* r | s of a fresh signature over `digest`; ECDSA's randomness is OpenSSL's. */
static enum err ecdsa_sign(const struct curve *c, EVP_PKEY *key, const uint8_t *digest,
                           uint8_t out[static 2 * COORDINATE_MAX])
{
    uint8_t der[DER_SIG_MAX];
    size_t der_len = sizeof der;
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
        EVP_PKEY_sign(ctx, der, &der_len, digest, c->digest_len) != 1)
        return crypto_failed();
    const uint8_t *at = der;
    CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
    if (sig == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)c->len) != (int)c->len ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + c->len, (int)c->len) != (int)c->len)
        return crypto_failed();
    return ERR_OK;
}

static enum err write_message(const struct profile *p, struct bytes header, struct bytes payload,
                              struct bytes signature, struct buf *out)
{
    struct cbor_writer w;
    cbor_writer_init(&w, out);
    if (p->own)
        cbor_writer_tag(&w, COSE_TAG_SIGN1);
    cbor_writer_array(&w, 4);
    cbor_writer_bytes(&w, header);
    cbor_writer_map(&w, 0);
    cbor_writer_bytes(&w, payload);
    cbor_writer_bytes(&w, signature);
    return cbor_writer_finish(&w);
}

enum err cose_sign1_sign(enum cose_profile profile, const uint8_t *kid, struct bytes payload,
                         EVP_PKEY *key, struct buf *out)
{
    const struct profile *p = &profiles[profile];
    const struct curve *c = &curves[p->curve];
    if (payload.len == 0)
        return ERR_COSE_MALFORMED;
    if (payload.len > p->payload_max)
        return ERR_TOO_LARGE;
    if (p->own != (kid != NULL))
        return ERR_INTERNAL;
    TRY(check_curve(c, key, NULL));

    uint8_t header[HEADER_MAX];
    memcpy(header, p->header, p->header_len);
    if (kid != NULL)
        memcpy(header + p->header_len, kid, COSE_KID_LEN);
    const struct bytes header_view = bytes_of(header, header_len_of(p));

    uint8_t digest[DIGEST_MAX];
    uint8_t signature[2 * COORDINATE_MAX];
    TRY(sig_structure_digest(p, header_view, payload, digest));
    TRY(ecdsa_sign(c, key, digest, signature));
    const size_t len_before = out->len;
    const enum err err =
        write_message(p, header_view, payload, bytes_of(signature, 2 * c->len), out);
    if (err != ERR_OK)
        out->len = len_before;
    return err;
}

/* ---- digests and key ids ---- */

static enum err digest_with(const EVP_MD *md, struct bytes in, uint8_t *out)
{
    if (EVP_Digest(in.len == 0 ? (const void *)"" : in.ptr, in.len, out, NULL, md, NULL) == 1)
        return ERR_OK;
    return crypto_failed();
}

enum err digest_sha384(struct bytes in, uint8_t out[static SHA384_LEN])
{
    return digest_with(EVP_sha384(), in, out);
}

enum err digest_sha256(struct bytes in, uint8_t out[static SHA256_LEN])
{
    return digest_with(EVP_sha256(), in, out);
}

enum err cose_key_id(EVP_PKEY *key, uint8_t out[static COSE_KID_LEN])
{
    CLEANUP(buf_free) struct buf spki = {0};
    uint8_t digest[SHA256_LEN];
    TRY(spki_append(key, &spki));
    TRY(digest_sha256(bytes_of_buf(&spki), digest));
    memcpy(out, digest, COSE_KID_LEN);
    return ERR_OK;
}
