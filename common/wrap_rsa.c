/* rsa-oaep-256: a fresh AES-256 key under RSAES-OAEP (RFC 8017 section 7.1) with SHA-256,
 * MGF1-SHA-256 and no label.  The IV is the sequence number: a base nonce of zeros. */
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "openssl_cleanup.h"
#include "wrap_format.h"

#define RSA_GENERATED_BITS 2048

/* rsaEncryption, 1.2.840.113549.1.1.1 (RFC 3279 section 2.3.1), and no other RSA: a key
 * that says RSASSA-PSS or RSAES-OAEP restricts its own use. */
static bool rsa_claims(const struct wrap_format *format, const struct spki_view *spki)
{
    (void)format;
    static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    return bytes_equal(spki->algorithm, bytes_of(oid, sizeof oid));
}

static enum err rsa_check_numbers(const EVP_PKEY *key, struct fault *fault)
{
    CLEANUP(bn_freep) BIGNUM *n = NULL;
    CLEANUP(bn_freep) BIGNUM *e = NULL;
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
        return crypto_failed();
    const int bits = BN_num_bits(n);
    if (bits != 2048 && bits != 3072 && bits != 4096) /* KEY-10 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "RSA of %d bit%s", bits, plural((uint64_t)bits));
    if (!BN_is_odd(n)) /* KEY-11 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "RSA with an even modulus");
    if (BN_num_bits(e) > 32) /* KEY-12 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "RSA with a public exponent of %d bits",
             BN_num_bits(e));
    const unsigned long exponent = BN_get_word(e);
    if (exponent < 65537 || exponent % 2 == 0) /* KEY-13 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "RSA with the public exponent %lu", exponent);
    return ERR_OK;
}

static enum err rsa_parse(struct bytes spki, const struct wrap_format *format, EVP_PKEY **out,
                          struct fault *fault)
{
    (void)format;
    const uint8_t *end = spki.ptr;
    CLEANUP(buf_free) struct buf canonical = {0};
    crypto_begin();
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &end, (long)spki.len);
    const bool is_rsa = key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
    if (!is_rsa)
        TRY(crypto_own_fault());
    ERR_clear_error();
    if (!is_rsa) /* KEY-8 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "an RSA key that cannot be read");
    TRY(spki_append(key, &canonical));
    /* One key, one text. */
    if (end != spki.ptr + spki.len || !bytes_equal(bytes_of_buf(&canonical), spki)) /* KEY-9 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "an RSA key in an encoding that is not DER");
    TRY(rsa_check_numbers(key, fault));
    *out = TAKE(key);
    return ERR_OK;
}

static enum err rsa_generate(const struct wrap_format *format, EVP_PKEY **out)
{
    (void)format;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_GENERATED_BITS);
    if (key == NULL)
        return crypto_failed();
    *out = key;
    return ERR_OK;
}

/* Both digests are named: OpenSSL's default for either is SHA-1. */
static enum err oaep_set(EVP_PKEY_CTX *ctx)
{
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) != 1)
        return crypto_failed();
    return ERR_OK;
}

static enum err rsa_encapsulate(const struct wrap_format *format, EVP_PKEY *key, struct bytes info,
                                struct secret **keys, struct buf *enc)
{
    (void)format;
    (void)info;
    CLEANUP(secret_freep) struct secret *fresh = NULL;
    TRY(secret_new(AEAD_KEY_LEN + AEAD_NONCE_LEN, &fresh));
    if (RAND_priv_bytes_ex(NULL, secret_ptr(fresh), AEAD_KEY_LEN, 0) != 1)
        return crypto_failed();
    CLEANUP(evp_pkey_ctx_freep)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1)
        return crypto_failed();
    TRY(oaep_set(ctx));
    uint8_t sealed[WRAP_ENC_MAX];
    size_t len = sizeof sealed;
    if (EVP_PKEY_encrypt(ctx, sealed, &len, secret_ptr(fresh), AEAD_KEY_LEN) != 1)
        return crypto_failed();
    TRY(buf_append(enc, bytes_of(sealed, len)));
    *keys = TAKE(fresh);
    return ERR_OK;
}

enum err wrap_rsa_decrypt(EVP_PKEY *key, struct bytes enc, struct secret **opened, size_t *len)
{
    const int size = EVP_PKEY_get_size(key);
    if (size <= 0 || enc.len != (size_t)size)
        return crypto_failed();
    CLEANUP(evp_pkey_ctx_freep)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (ctx == NULL || EVP_PKEY_decrypt_init(ctx) != 1)
        return crypto_failed();
    TRY(oaep_set(ctx));
    /* OpenSSL wants room for a whole modulus, whatever the padding hides. */
    CLEANUP(secret_freep) struct secret *message = NULL;
    TRY(secret_new(enc.len, &message));
    size_t used = enc.len;
    if (EVP_PKEY_decrypt(ctx, secret_ptr(message), &used, enc.ptr, enc.len) != 1)
        return crypto_failed();
    *opened = TAKE(message);
    *len = used;
    return ERR_OK;
}

static enum err rsa_decapsulate(const struct wrap_format *format, EVP_PKEY *key, struct bytes enc,
                                struct bytes info, struct secret **keys)
{
    (void)format;
    (void)info;
    CLEANUP(secret_freep) struct secret *opened = NULL;
    size_t len = 0;
    TRY(wrap_rsa_decrypt(key, enc, &opened, &len));
    if (len != AEAD_KEY_LEN)
        return ERR_CRYPTO;
    CLEANUP(secret_freep) struct secret *derived = NULL;
    TRY(secret_new(AEAD_KEY_LEN + AEAD_NONCE_LEN, &derived));
    memcpy(secret_ptr(derived), secret_ptr(opened), AEAD_KEY_LEN);
    *keys = TAKE(derived);
    return ERR_OK;
}

const struct wrap_format wrap_format_rsa_oaep_256 = {
    .name = "rsa-oaep-256",
    .suite = NULL,
    .claims = rsa_claims,
    .parse = rsa_parse,
    .generate = rsa_generate,
    .encapsulate = rsa_encapsulate,
    .decapsulate = rsa_decapsulate,
};
