#include "common/hkdf.h"
#include "common/openssl_cleanup.h"
#include "keyring_internal.h"

#include <openssl/evp.h>
#include <stdlib.h>

static const struct hkdf_hash hkdf_sha256 = {"SHA256", KEYRING_KEY_LEN};

enum err keyring_derive(const struct keyring *keyring, const char *label, struct bytes suffix,
                        struct secret **out)
{
    CLEANUP(buf_free) struct buf info = {0};
    TRY(buf_append_text(&info, "vouchsafe/1 "));
    TRY(buf_append_text(&info, label));
    TRY(buf_append(&info, suffix));
    CLEANUP(secret_freep) struct secret *derived = NULL;
    TRY(secret_new(KEYRING_KEY_LEN, &derived));
    TRY(hkdf_expand(&hkdf_sha256, secret_view(keyring->prk).ptr, bytes_of_buf(&info),
                    secret_ptr(derived), KEYRING_KEY_LEN));
    *out = TAKE(derived);
    return ERR_OK;
}

enum err keyring_open(const struct secret *master,
                      const uint8_t store_id[static PROTOCOL_STORE_ID_LEN], uint32_t generation,
                      struct keyring **out)
{
    if (secret_len(master) != KEYRING_MASTER_LEN)
        return ERR_INTERNAL;
    if (generation == 0)
        return ERR_STORE_TAMPERED;
    CLEANUP(keyring_freep) struct keyring *keyring = calloc(1, sizeof *keyring);
    if (keyring == NULL)
        return ERR_NO_MEMORY;
    memcpy(keyring->store_id, store_id, sizeof keyring->store_id);
    keyring->generation = generation;
    const struct bytes ikm = secret_view(master);
    TRY(secret_new(KEYRING_KEY_LEN, &keyring->prk));
    TRY(hkdf_extract(&hkdf_sha256, bytes_of(store_id, PROTOCOL_STORE_ID_LEN), &ikm, 1,
                     secret_ptr(keyring->prk)));
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
