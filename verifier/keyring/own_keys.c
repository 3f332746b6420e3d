/* The server's own keys, and what is done with them. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "common/openssl_cleanup.h"
#include "common/spki.h"
#include "keyring_internal.h"

#define P256_POINT_LEN 65 /* uncompressed */

CLEANUP_PTR(BIGNUM, BN_clear_free, bn_clear_freep)
CLEANUP_PTR(EC_GROUP, EC_GROUP_free, group_freep)
CLEANUP_PTR(EC_POINT, EC_POINT_free, point_freep)
CLEANUP_PTR(OSSL_PARAM, OSSL_PARAM_free, params_freep)
CLEANUP_PTR(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free, params_bld_freep)

/* ---- P-256 from its scalar ---- */

/* OpenSSL does not take it: ERR_MALFORMED for the key, but for what is our own failure. */
static enum err not_a_key(void)
{
    TRY(crypto_own_fault());
    return ERR_MALFORMED;
}

/* ERR_MALFORMED where that is the point at infinity: d is 0 or a multiple of the order. */
static enum err point_of(const BIGNUM *d, uint8_t out[static P256_POINT_LEN])
{
    CLEANUP(group_freep) EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    CLEANUP(point_freep) EC_POINT *point = group == NULL ? NULL : EC_POINT_new(group);
    if (point == NULL || EC_POINT_mul(group, point, d, NULL, NULL, NULL) != 1)
        return crypto_failed();
    crypto_begin();
    const size_t len =
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, out, P256_POINT_LEN, NULL);
    return len == P256_POINT_LEN ? ERR_OK : not_a_key();
}

static enum err key_params(const struct secret *scalar, OSSL_PARAM **out)
{
    uint8_t point[P256_POINT_LEN];
    /* The builder puts a number of the secure heap into the secure heap. */
    CLEANUP(bn_clear_freep) BIGNUM *d = BN_secure_new();
    CLEANUP(params_bld_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (d == NULL || bld == NULL || BN_bin2bn(secret_view(scalar).ptr, KEYRING_KEY_LEN, d) == NULL)
        return crypto_failed();
    BN_set_flags(d, BN_FLG_CONSTTIME);
    TRY(point_of(d, point));
    if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1, 0) !=
            1 ||
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d) != 1)
        return crypto_failed();
    *out = OSSL_PARAM_BLD_to_param(bld);
    return *out == NULL ? crypto_failed() : ERR_OK;
}

static enum err receipt_key_from(const struct secret *scalar, EVP_PKEY **out)
{
    if (secret_len(scalar) != KEYRING_KEY_LEN)
        return ERR_MALFORMED;
    CLEANUP(params_freep) OSSL_PARAM *params = NULL;
    TRY(key_params(scalar, &params));
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (maker == NULL || EVP_PKEY_fromdata_init(maker) != 1)
        return crypto_failed();
    crypto_begin();
    if (EVP_PKEY_fromdata(maker, &key, EVP_PKEY_KEYPAIR, params) != 1)
        return not_a_key();
    /* 1 <= d < n, the point on the curve, and d's: the public half of another key would sign
     * what nobody can verify. */
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (check == NULL)
        return crypto_failed();
    crypto_begin();
    if (EVP_PKEY_check(check) != 1)
        return not_a_key();
    *out = TAKE(key);
    return ERR_OK;
}

/* ---- made, loaded ---- */

static enum err receipt_key_spki(const struct secret *raw, struct buf *spki)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    TRY(receipt_key_from(raw, &key));
    return spki_append(key, spki);
}

static enum err sealing_key_spki(const struct secret *raw, struct buf *spki)
{
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    TRY(wrap_key_from_x25519(raw, &key));
    return wrap_key_spki(key, spki);
}

/* A random scalar, or another where it is none (FIPS 186-5 A.2.2, rejection; once in 2^32
 * for P-256, never for X25519). */
static enum err random_own_key(enum keyring_own_key which, struct secret **raw, struct buf *spki)
{
    enum err err = ERR_MALFORMED;
    for (unsigned attempt = 0; attempt < 4 && err == ERR_MALFORMED; attempt++) {
        secret_freep(raw);
        TRY(secret_new_random(KEYRING_KEY_LEN, raw));
        err = which == KEYRING_RECEIPT_KEY ? receipt_key_spki(*raw, spki)
                                           : sealing_key_spki(*raw, spki);
    }
    return err == ERR_MALFORMED ? ERR_CRYPTO : err;
}

enum err keyring_own_key_make(const struct keyring *keyring, enum keyring_own_key which,
                              uint64_t version, struct buf *sealed, struct buf *spki)
{
    CLEANUP(secret_freep) struct secret *raw = NULL;
    CLEANUP(buf_free) struct buf made = {0};
    if (which != KEYRING_RECEIPT_KEY && which != KEYRING_SEALING_KEY)
        return ERR_INTERNAL;
    TRY(random_own_key(which, &raw, &made));
    TRY(buf_reserve(spki, made.len)); /* now, so that nothing fails after the seal */
    TRY(keyring_seal(keyring, KEYRING_OWN_KEY, which, version, raw, sealed));
    return buf_append(spki, bytes_of_buf(&made));
}

static enum err receipt_key_load(struct keyring *keyring, const struct secret *raw)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    uint8_t kid[COSE_KID_LEN];
    TRY(receipt_key_from(raw, &key));
    TRY(cose_key_id(key, kid));
    EVP_PKEY_free(keyring->receipt_key);
    keyring->receipt_key = TAKE(key);
    memcpy(keyring->receipt_kid, kid, sizeof kid);
    return ERR_OK;
}

static enum err sealing_key_load(struct keyring *keyring, const struct secret *raw)
{
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    if (secret_len(raw) != KEYRING_KEY_LEN)
        return ERR_MALFORMED;
    TRY(wrap_key_from_x25519(raw, &key));
    wrap_key_free(keyring->sealing_key);
    keyring->sealing_key = TAKE(key);
    return ERR_OK;
}

enum err keyring_own_key_load(struct keyring *keyring, enum keyring_own_key which, uint64_t version,
                              struct bytes sealed)
{
    CLEANUP(secret_freep) struct secret *raw = NULL;
    if (which != KEYRING_RECEIPT_KEY && which != KEYRING_SEALING_KEY)
        return ERR_INTERNAL;
    TRY(keyring_unseal(keyring, KEYRING_OWN_KEY, which, version, sealed, &raw));
    const enum err err = which == KEYRING_RECEIPT_KEY ? receipt_key_load(keyring, raw)
                                                      : sealing_key_load(keyring, raw);
    return err == ERR_MALFORMED ? ERR_STORE_TAMPERED : err;
}

/* ---- used ---- */

enum err keyring_sign(const struct keyring *keyring, enum cose_profile profile,
                      struct bytes payload, struct buf *message)
{
    if (profile != COSE_RECEIPT && profile != COSE_CHECKPOINT && profile != COSE_SEALING_KEY)
        return ERR_INTERNAL;
    if (keyring->receipt_key == NULL)
        return ERR_WRONG_STATE;
    return cose_sign1_sign(profile, keyring->receipt_kid, payload, keyring->receipt_key, message);
}

enum err keyring_open_put(const struct keyring *keyring, struct bytes enc, struct bytes aad,
                          struct bytes ciphertext, struct secret **plaintext)
{
    CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
    if (keyring->sealing_key == NULL)
        return ERR_WRONG_STATE;
    TRY(wrap_opener_new(keyring->sealing_key, enc, bytes_of_text(PROTOCOL_PUT_INFO), &opener));
    return wrap_open(opener, aad, ciphertext, plaintext);
}
