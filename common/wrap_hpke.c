/* hpke-x25519, hpke-p256, hpke-p384: RFC 9180, mode base. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include "hkdf.h"
#include "openssl_cleanup.h"
#include "wrap_format.h"

/* ---- HKDF with labels (RFC 9180 section 4) ---- */

/* The hash and the suite_id that every label is bound to. */
struct labelled {
    struct hkdf_hash hash;
    struct bytes suite_id;
};

static enum err labelled_extract(const struct labelled *kdf, struct bytes salt, const char *label,
                                 struct bytes ikm, uint8_t prk[static HKDF_HASH_MAX])
{
    const struct bytes pieces[] = {bytes_of_text("HPKE-v1"), kdf->suite_id, bytes_of_text(label),
                                   ikm};
    return hkdf_extract(&kdf->hash, salt, pieces, ARRAY_LEN(pieces), prk);
}

static enum err labelled_expand(const struct labelled *kdf, const uint8_t *prk, const char *label,
                                struct bytes context, struct bytes info_tail, uint8_t *out,
                                size_t out_len)
{
    const uint8_t length[2] = {(uint8_t)(out_len >> 8), (uint8_t)out_len};
    CLEANUP(buf_free) struct buf info = {0};
    TRY(buf_append(&info, bytes_of(length, sizeof length)));
    TRY(buf_append_text(&info, "HPKE-v1"));
    TRY(buf_append(&info, kdf->suite_id));
    TRY(buf_append_text(&info, label));
    TRY(buf_append(&info, context));
    TRY(buf_append(&info, info_tail));
    return hkdf_expand(&kdf->hash, prk, bytes_of_buf(&info), out, out_len);
}

/* ---- keys ---- */

/* SerializePublicKey: raw for X25519, uncompressed for the curves. */
static enum err point_of(const struct hpke_suite *suite, EVP_PKEY *key, uint8_t out[SPKI_POINT_MAX])
{
    size_t len = 0;
    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, out,
                                        SPKI_POINT_MAX, &len) != 1 ||
        len != suite->point_len)
        return crypto_failed();
    return ERR_OK;
}

/* DeserializePublicKey: the one place where a peer's point enters, and spki_point_to_key
 * takes valid ones only.  wrap_hpke_dh need not check again.  ERR_MALFORMED where it is none. */
static enum err point_parse(const struct hpke_suite *suite, struct bytes point, EVP_PKEY **out)
{
    if (point.len != suite->point_len)
        return ERR_MALFORMED;
    return spki_point_to_key(suite->group, point, out);
}

static enum err hpke_generate(const struct wrap_format *format, EVP_PKEY **out)
{
    const char *group = format->suite->group;
    EVP_PKEY *key = group == NULL ? EVP_PKEY_Q_keygen(NULL, NULL, "X25519")
                                  : EVP_PKEY_Q_keygen(NULL, NULL, "EC", group);
    if (key == NULL)
        return crypto_failed();
    *out = key;
    return ERR_OK;
}

/* ---- DHKEM (RFC 9180 section 4.1) ---- */

/* `peer` comes from point_parse alone: see there why it is not validated again. */
enum err wrap_hpke_dh(const struct hpke_suite *suite, EVP_PKEY *own, EVP_PKEY *peer,
                      uint8_t out[static HKDF_HASH_MAX])
{
    CLEANUP(evp_pkey_ctx_freep)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    size_t len = HKDF_HASH_MAX;
    /* An all-zero X25519 result is refused by EVP_PKEY_derive (RFC 9180 section 7.1.4). */
    if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
        EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) != 1 || EVP_PKEY_derive(ctx, out, &len) != 1 ||
        len != suite->dh_len)
        return crypto_failed();
    return ERR_OK;
}

/* ExtractAndExpand(dh, enc | pkRm). */
static enum err kem_secret(const struct hpke_suite *suite, EVP_PKEY *own, EVP_PKEY *peer,
                           struct bytes enc, struct bytes recipient_point,
                           uint8_t out[static HKDF_HASH_MAX])
{
    const uint8_t suite_id[] = {'K', 'E', 'M', (uint8_t)(suite->kem_id >> 8),
                                (uint8_t)suite->kem_id};
    const struct labelled kdf = {{suite->digest, suite->hash_len},
                                 bytes_of(suite_id, sizeof suite_id)};
    CLEANUP(wipe_48) uint8_t shared[HKDF_HASH_MAX];
    CLEANUP(wipe_48) uint8_t prk[HKDF_HASH_MAX];
    TRY(wrap_hpke_dh(suite, own, peer, shared));
    TRY(labelled_extract(&kdf, bytes_of(NULL, 0), "eae_prk", bytes_of(shared, suite->dh_len), prk));
    return labelled_expand(&kdf, prk, "shared_secret", enc, recipient_point, out, suite->hash_len);
}

/* KeySchedule in mode base: no PSK (RFC 9180 section 5.1). */
static enum err key_schedule(const struct hpke_suite *suite, const uint8_t *kem_secret,
                             struct bytes info, struct secret **keys)
{
    const uint8_t suite_id[] = {
        'H',
        'P',
        'K',
        'E',
        (uint8_t)(suite->kem_id >> 8),
        (uint8_t)suite->kem_id,
        (uint8_t)(suite->kdf_id >> 8),
        (uint8_t)suite->kdf_id,
        (uint8_t)(suite->aead_id >> 8),
        (uint8_t)suite->aead_id,
    };
    const struct labelled kdf = {{suite->digest, suite->hash_len},
                                 bytes_of(suite_id, sizeof suite_id)};
    const struct bytes none = bytes_of(NULL, 0);
    const struct bytes mode_base = bytes_of("\0", 1);
    uint8_t hashes[2 * HKDF_HASH_MAX]; /* psk_id_hash | info_hash */
    TRY(labelled_extract(&kdf, none, "psk_id_hash", none, hashes));
    TRY(labelled_extract(&kdf, none, "info_hash", info, hashes + suite->hash_len));
    const struct bytes context = bytes_of(hashes, 2 * suite->hash_len);

    CLEANUP(wipe_48) uint8_t prk[HKDF_HASH_MAX];
    TRY(labelled_extract(&kdf, bytes_of(kem_secret, suite->hash_len), "secret", none, prk));
    CLEANUP(secret_freep) struct secret *derived = NULL;
    TRY(secret_new(suite->key_len + AEAD_NONCE_LEN, &derived));
    uint8_t *key = secret_ptr(derived);
    TRY(labelled_expand(&kdf, prk, "key", mode_base, context, key, suite->key_len));
    TRY(labelled_expand(&kdf, prk, "base_nonce", mode_base, context, key + suite->key_len,
                        AEAD_NONCE_LEN));
    *keys = TAKE(derived);
    return ERR_OK;
}

enum err wrap_hpke_encapsulate_by(const struct hpke_suite *suite, EVP_PKEY *ephemeral,
                                  EVP_PKEY *recipient, struct bytes info, struct secret **keys,
                                  struct buf *enc)
{
    uint8_t enc_point[SPKI_POINT_MAX], recipient_point[SPKI_POINT_MAX];
    TRY(point_of(suite, ephemeral, enc_point));
    TRY(point_of(suite, recipient, recipient_point));
    const struct bytes enc_view = bytes_of(enc_point, suite->point_len);
    CLEANUP(wipe_48) uint8_t shared[HKDF_HASH_MAX];
    TRY(kem_secret(suite, ephemeral, recipient, enc_view,
                   bytes_of(recipient_point, suite->point_len), shared));
    CLEANUP(secret_freep) struct secret *derived = NULL;
    TRY(key_schedule(suite, shared, info, &derived));
    TRY(buf_append(enc, enc_view));
    *keys = TAKE(derived);
    return ERR_OK;
}

enum err wrap_hpke_decapsulate(const struct hpke_suite *suite, EVP_PKEY *key, struct bytes enc,
                               struct bytes info, struct secret **keys)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *ephemeral = NULL;
    const enum err err = point_parse(suite, enc, &ephemeral);
    if (err == ERR_MALFORMED)
        return ERR_CRYPTO;
    TRY(err);
    uint8_t own_point[SPKI_POINT_MAX];
    TRY(point_of(suite, key, own_point));
    CLEANUP(wipe_48) uint8_t shared[HKDF_HASH_MAX];
    TRY(kem_secret(suite, key, ephemeral, enc, bytes_of(own_point, suite->point_len), shared));
    return key_schedule(suite, shared, info, keys);
}

/* ---- the rows ---- */

static enum err hpke_encapsulate(const struct wrap_format *format, EVP_PKEY *key, struct bytes info,
                                 struct secret **keys, struct buf *enc)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *ephemeral = NULL;
    TRY(hpke_generate(format, &ephemeral));
    return wrap_hpke_encapsulate_by(format->suite, ephemeral, key, info, keys, enc);
}

static enum err hpke_decapsulate(const struct wrap_format *format, EVP_PKEY *key, struct bytes enc,
                                 struct bytes info, struct secret **keys)
{
    return wrap_hpke_decapsulate(format->suite, key, enc, info, keys);
}

/* DER is canonical and all but the point is constant: compared whole, nothing parsed. */
static bool hpke_claims(const struct wrap_format *format, const struct spki_view *spki)
{
    return spki_has_form(spki->whole, format->form);
}

/* The u of the points of order 1, 2, 4 and 8 on Curve25519 and its twist, and their
 * second encodings, little-endian without bit 255, which X25519 ignores.  A shared
 * secret with one of them is zero whoever computes it.  wrap_hpke_dh would refuse it
 * too, but only when the secrets are wrapped, after the decision: here it is V2's to refuse. */
static bool x25519_low_order(const uint8_t *u)
{
    static const uint8_t points[][32] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
        {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
         0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
         0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
        /* p - 1, p, p + 1 */
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    };
    uint8_t masked[32];
    memcpy(masked, u, sizeof masked);
    masked[31] &= 0x7f;
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        if (memcmp(masked, points[i], sizeof masked) == 0)
            return true;
    }
    return false;
}

static enum err hpke_parse(struct bytes spki, const struct wrap_format *format, EVP_PKEY **out,
                           struct fault *fault)
{
    const struct hpke_suite *suite = format->suite;
    const struct bytes point = bytes_of(spki.ptr + format->form->prefix.len, suite->point_len);
    if (suite->group == NULL && x25519_low_order(point.ptr)) /* KEY-5 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "an X25519 point of low order");
    if (suite->group != NULL && point.ptr[0] != 0x04) /* KEY-6 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "a %s point that is not uncompressed",
             suite->group);
    const enum err err = point_parse(suite, point, out);
    if (err == ERR_MALFORMED) /* KEY-7 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "a %s point that is not on the curve",
             suite->group == NULL ? "X25519" : suite->group);
    return err;
}

#define HPKE_OPS                                                           \
    .claims = hpke_claims, .parse = hpke_parse, .generate = hpke_generate, \
    .encapsulate = hpke_encapsulate, .decapsulate = hpke_decapsulate

static const struct hpke_suite suite_x25519 = {.group = NULL,
                                               .digest = "SHA256",
                                               .point_len = 32,
                                               .dh_len = 32,
                                               .hash_len = 32,
                                               .key_len = AEAD_KEY_LEN,
                                               .kem_id = 0x0020,
                                               .kdf_id = 0x0001,
                                               .aead_id = 0x0002};
static const struct hpke_suite suite_p256 = {.group = "P-256",
                                             .digest = "SHA256",
                                             .point_len = 65,
                                             .dh_len = 32,
                                             .hash_len = 32,
                                             .key_len = AEAD_KEY_LEN,
                                             .kem_id = 0x0010,
                                             .kdf_id = 0x0001,
                                             .aead_id = 0x0002};
static const struct hpke_suite suite_p384 = {.group = "P-384",
                                             .digest = "SHA384",
                                             .point_len = 97,
                                             .dh_len = 48,
                                             .hash_len = 48,
                                             .key_len = AEAD_KEY_LEN,
                                             .kem_id = 0x0011,
                                             .kdf_id = 0x0002,
                                             .aead_id = 0x0002};

const struct wrap_format wrap_format_hpke_x25519 = {
    .name = "hpke-x25519",
    .suite = &suite_x25519,
    .form = &spki_x25519,
    HPKE_OPS,
};
const struct wrap_format wrap_format_hpke_p256 = {
    .name = "hpke-p256",
    .suite = &suite_p256,
    .form = &spki_p256,
    HPKE_OPS,
};
const struct wrap_format wrap_format_hpke_p384 = {
    .name = "hpke-p384",
    .suite = &suite_p384,
    .form = &spki_p384,
    HPKE_OPS,
};
