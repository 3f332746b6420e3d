#include "common/openssl_cleanup.h"
#include "keyring_internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>

/* ---- HKDF-SHA-256 (RFC 5869) ---- */

/* One of its two steps: `name` is the parameter that goes with the key, salt or info. */
static enum err hkdf_step(int mode, struct secret *key, const char *name, uint8_t *value,
                          size_t value_len, struct secret **out)
{
    CLEANUP(secret_freep) struct secret *derived = NULL;
    TRY(secret_new(KEYRING_KEY_LEN, &derived));
    char digest[] = "SHA256"; /* OSSL_PARAM has no const members */
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret_ptr(key), secret_len(key)),
        OSSL_PARAM_construct_octet_string(name, value, value_len),
        OSSL_PARAM_construct_end(),
    };
    CLEANUP(evp_kdf_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    CLEANUP(evp_kdf_ctx_freep) EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    if (ctx == NULL || EVP_KDF_derive(ctx, secret_ptr(derived), secret_len(derived), params) != 1)
        return crypto_failed();
    *out = TAKE(derived);
    return ERR_OK;
}

enum err keyring_derive(const struct keyring *keyring, const char *label, struct bytes suffix,
                        struct secret **out)
{
    CLEANUP(buf_free) struct buf info = {0};
    TRY(buf_append_text(&info, "vouchsafe/1 "));
    TRY(buf_append_text(&info, label));
    TRY(buf_append(&info, suffix));
    return hkdf_step(EVP_KDF_HKDF_MODE_EXPAND_ONLY, keyring->prk, OSSL_KDF_PARAM_INFO, info.ptr,
                     info.len, out);
}

/* ---- the keyring ---- */

enum err keyring_open(const struct secret *master,
                      const uint8_t store_id[static PROTOCOL_STORE_ID_LEN], uint32_t generation,
                      struct keyring **out)
{
    if (secret_len(master) != KEYRING_MASTER_LEN)
        return ERR_INTERNAL;
    if (generation == 0)
        return ERR_STORE_TAMPERED;
    CLEANUP(secret_freep) struct secret *key = NULL; /* OpenSSL's parameters are not const */
    TRY(secret_new(KEYRING_MASTER_LEN, &key));
    memcpy(secret_ptr(key), secret_view(master).ptr, KEYRING_MASTER_LEN);
    CLEANUP(keyring_freep) struct keyring *keyring = calloc(1, sizeof *keyring);
    if (keyring == NULL)
        return ERR_NO_MEMORY;
    memcpy(keyring->store_id, store_id, sizeof keyring->store_id);
    keyring->generation = generation;
    TRY(hkdf_step(EVP_KDF_HKDF_MODE_EXTRACT_ONLY, key, OSSL_KDF_PARAM_SALT, keyring->store_id,
                  sizeof keyring->store_id, &keyring->prk));
    *out = TAKE(keyring);
    return ERR_OK;
}

void keyring_free(struct keyring *keyring)
{
    if (keyring == NULL)
        return;
    secret_free(keyring->prk);
    EVP_PKEY_free(keyring->receipt_key);
    wrap_key_free(keyring->sealing_key);
    free(keyring);
}

enum err keyring_check_value(const struct keyring *keyring, uint8_t out[static KEYRING_MAC_LEN])
{
    CLEANUP(secret_freep) struct secret *value = NULL;
    TRY(keyring_derive(keyring, "key-check", bytes_of(NULL, 0), &value));
    memcpy(out, secret_view(value).ptr, KEYRING_MAC_LEN);
    return ERR_OK;
}

/* ---- MACs ---- */

static enum err mac_under(const struct keyring *keyring, const char *label, struct bytes suffix,
                          struct bytes message, uint8_t out[static KEYRING_MAC_LEN])
{
    CLEANUP(secret_freep) struct secret *key = NULL;
    TRY(keyring_derive(keyring, label, suffix, &key));
    uint8_t mac[KEYRING_MAC_LEN];
    size_t len = 0;
    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret_ptr(key), secret_len(key), message.ptr,
                  message.len, mac, sizeof mac, &len) == NULL ||
        len != sizeof mac)
        return crypto_failed();
    memcpy(out, mac, sizeof mac);
    return ERR_OK;
}

enum err keyring_row_mac(const struct keyring *keyring, struct bytes message,
                         uint8_t out[static KEYRING_MAC_LEN])
{
    return mac_under(keyring, "row-mac", bytes_of(NULL, 0), message, out);
}

enum err keyring_challenge_mac(const struct keyring *keyring, uint32_t epoch, struct bytes message,
                               uint8_t out[static KEYRING_MAC_LEN])
{
    const uint8_t epoch_be[4] = {(uint8_t)(epoch >> 24), (uint8_t)(epoch >> 16),
                                 (uint8_t)(epoch >> 8), (uint8_t)epoch};
    return mac_under(keyring, "challenge", bytes_of(epoch_be, sizeof epoch_be), message, out);
}
