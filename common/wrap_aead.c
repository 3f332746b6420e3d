#include <limits.h>
#include <openssl/crypto.h>

#include "wrap_format.h"

CLEANUP_PTR(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free, cipher_ctx_freep)

static void wipe_nonce(uint8_t (*nonce)[AEAD_NONCE_LEN])
{
    OPENSSL_cleanse(*nonce, sizeof *nonce);
}

/* What both directions refuse before any key is touched. */
static enum err check_limits(const struct secret *keys, uint64_t sequence, struct bytes aad,
                             size_t text_len)
{
    if (sequence > AEAD_SEQUENCE_MAX)
        return ERR_WRONG_STATE;
    if (secret_len(keys) != AEAD_KEY_LEN + AEAD_NONCE_LEN)
        return ERR_INTERNAL;
    if (aad.len > INT_MAX || text_len > INT_MAX - WRAP_TAG_LEN) /* EVP counts in int */
        return ERR_TOO_LARGE;
    return ERR_OK;
}

/* A context with key, nonce and additional data: nothing enciphered yet. */
static enum err begin(const struct secret *keys, uint64_t sequence, struct bytes aad, int encrypt,
                      EVP_CIPHER_CTX **out)
{
    const uint8_t *key = secret_view(keys).ptr;
    CLEANUP(wipe_nonce) uint8_t nonce[AEAD_NONCE_LEN];
    memcpy(nonce, key + AEAD_KEY_LEN, sizeof nonce);
    for (unsigned i = 0; i < sizeof sequence; i++)
        nonce[AEAD_NONCE_LEN - 1 - i] ^= (uint8_t)(sequence >> (8 * i));

    CLEANUP(cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        return crypto_no_memory();
    /* GCM's own length of IV is 96 bits; without padding or parameters to set. */
    if (EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, encrypt, NULL) != 1)
        return crypto_failed();
    int done = 0;
    if (aad.len > 0 && EVP_CipherUpdate(ctx, NULL, &done, aad.ptr, (int)aad.len) != 1)
        return crypto_failed();
    *out = TAKE(ctx);
    return ERR_OK;
}

enum err wrap_aead_seal(const struct secret *keys, uint64_t sequence, struct bytes aad,
                        const struct secret *plaintext, struct buf *ciphertext)
{
    const struct bytes text = secret_view(plaintext);
    TRY(check_limits(keys, sequence, aad, text.len));
    TRY(buf_reserve(ciphertext, text.len + WRAP_TAG_LEN));
    CLEANUP(cipher_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
    TRY(begin(keys, sequence, aad, 1, &ctx));
    uint8_t *out = ciphertext->ptr + ciphertext->len;
    int done = 0;
    if (text.len > 0 && EVP_CipherUpdate(ctx, out, &done, text.ptr, (int)text.len) != 1)
        return crypto_failed();
    uint8_t *tag = out + text.len;
    if (EVP_CipherFinal_ex(ctx, tag, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, WRAP_TAG_LEN, tag) != 1)
        return crypto_failed();
    ciphertext->len += text.len + WRAP_TAG_LEN;
    return ERR_OK;
}

enum err wrap_aead_open(const struct secret *keys, uint64_t sequence, struct bytes aad,
                        struct bytes ciphertext, struct secret **plaintext)
{
    if (ciphertext.len < WRAP_TAG_LEN)
        return ERR_SIGNATURE;
    const size_t text_len = ciphertext.len - WRAP_TAG_LEN;
    TRY(check_limits(keys, sequence, aad, text_len));
    /* Deciphered before the tag is known to be right: so into the secret that is wiped
     * where it is not, never into the caller's. */
    CLEANUP(secret_freep) struct secret *text = NULL;
    TRY(secret_new(text_len, &text));
    CLEANUP(cipher_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
    TRY(begin(keys, sequence, aad, 0, &ctx));
    uint8_t tag[WRAP_TAG_LEN]; /* OpenSSL takes it by a pointer to non-const */
    memcpy(tag, ciphertext.ptr + text_len, sizeof tag);
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, WRAP_TAG_LEN, tag) != 1)
        return crypto_failed();
    int done = 0;
    if (text_len > 0 &&
        EVP_CipherUpdate(ctx, secret_ptr(text), &done, ciphertext.ptr, (int)text_len) != 1)
        return crypto_failed();
    crypto_begin();
    if (EVP_CipherFinal_ex(ctx, secret_ptr(text) + text_len, &done) != 1) {
        TRY(crypto_own_fault());
        return ERR_SIGNATURE;
    }
    *plaintext = TAKE(text);
    return ERR_OK;
}
