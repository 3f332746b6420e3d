#include "hkdf.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "openssl_cleanup.h"

#define NAME_MAX_LEN 16

CLEANUP_PTR(EVP_MAC, EVP_MAC_free, mac_freep)
CLEANUP_PTR(EVP_MAC_CTX, EVP_MAC_CTX_free, mac_ctx_freep)

/* By HMAC and not by OpenSSL's HKDF: that of 3.0 frees its copy of the salt unwiped, and
 * HPKE's last extraction has the shared secret for salt. */
enum err hkdf_extract(const struct hkdf_hash *hash, struct bytes salt, const struct bytes *pieces,
                      size_t count, uint8_t *prk)
{
    static const uint8_t no_salt[HKDF_HASH_MAX];
    if (salt.len == 0)
        salt = bytes_of(no_salt, hash->len);
    CLEANUP(mac_freep) EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    CLEANUP(mac_ctx_freep) EVP_MAC_CTX *ctx = mac == NULL ? NULL : EVP_MAC_CTX_new(mac);
    char name[NAME_MAX_LEN]; /* OSSL_PARAM has no const */
    OPENSSL_strlcpy(name, hash->name, sizeof name);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    if (ctx == NULL || EVP_MAC_init(ctx, salt.ptr, salt.len, params) != 1)
        return crypto_failed();
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len > 0 && EVP_MAC_update(ctx, pieces[i].ptr, pieces[i].len) != 1)
            return crypto_failed();
    }
    size_t len = 0;
    if (EVP_MAC_final(ctx, prk, &len, hash->len) != 1 || len != hash->len)
        return crypto_failed();
    return ERR_OK;
}

enum err hkdf_expand(const struct hkdf_hash *hash, const uint8_t *prk, struct bytes info,
                     uint8_t *out, size_t out_len)
{
    CLEANUP(evp_kdf_freep) EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    CLEANUP(evp_kdf_ctx_freep) EVP_KDF_CTX *ctx = hkdf == NULL ? NULL : EVP_KDF_CTX_new(hkdf);
    char name[NAME_MAX_LEN];
    OPENSSL_strlcpy(name, hash->name, sizeof name);
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    /* OSSL_PARAM has no const: HKDF only reads these. */
    void *key = (void *)(uintptr_t)prk;
    void *context = (void *)(uintptr_t)info.ptr;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, hash->len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, context, info.len),
        OSSL_PARAM_construct_end(),
    };
    if (ctx == NULL || EVP_KDF_derive(ctx, out, out_len, params) != 1)
        return crypto_failed();
    return ERR_OK;
}
