/* An encapsulation and two ciphertexts, in pieces, opened with a key of each format: the
 * first byte says which.  Nothing opens but what was sealed, in its order, under its AAD; and
 * what was sealed does.  (The mutator knows the public key, as everybody does.) */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/openssl_cleanup.h"
#include "common/wrap.h"
#include "fixed_keys.h"

#define FORMATS 4

static const char *const values[] = {"open sesame", ""};

static struct wrap_key *key_of(unsigned format)
{
    static struct wrap_key *keys[FORMATS];
    if (keys[0] == NULL) {
        fuzz_fix_random();
        for (unsigned i = 1; i < FORMATS; i++)
            FUZZ_OK(wrap_key_generate(wrap_formats[i], &keys[i]));
        /* As the server's sealing key is. */
        CLEANUP(secret_freep) struct secret *raw = NULL;
        FUZZ_OK(secret_new_random(32, &raw));
        FUZZ_OK(wrap_key_from_x25519(raw, &keys[0]));
        FUZZ_HOLDS(strcmp(wrap_key_format(keys[0]), wrap_formats[0]) == 0);
    }
    return keys[format];
}

/* Appends an honest message. */
static void seal(unsigned format, struct buf *out)
{
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(buf_free) struct buf enc = {0};
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    const uint8_t first = (uint8_t)format;
    FUZZ_OK(wrap_key_spki(key_of(format), &spki));
    FUZZ_OK(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL));
    FUZZ_OK(wrap_sealer_new(recipient, bytes_of_text("info"), &sealer, &enc));
    FUZZ_OK(buf_append(out, bytes_of(&first, 1)));
    fuzz_put_chunk(out, bytes_of_buf(&enc));
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        CLEANUP(secret_freep) struct secret *secret = NULL;
        CLEANUP(buf_free) struct buf ciphertext = {0};
        FUZZ_OK(secret_new(strlen(values[i]), &secret));
        memcpy(secret_ptr(secret), values[i], strlen(values[i]));
        FUZZ_OK(wrap_seal(sealer, bytes_of_text("aad"), secret, &ciphertext));
        fuzz_put_chunk(out, bytes_of_buf(&ciphertext));
    }
}

/* OAEP of so many bytes under the RSA key, which anybody can make: no key is of this length. */
static void seal_other_length(size_t len, struct buf *out)
{
    static const uint8_t zeros[64];
    unsigned format = 1;
    while (strncmp(wrap_formats[format], "rsa", 3) != 0)
        format++;
    CLEANUP(buf_free) struct buf spki = {0};
    FUZZ_OK(wrap_key_spki(key_of(format), &spki));
    const uint8_t *p = spki.ptr;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.len);
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    uint8_t enc[512];
    size_t enc_len = sizeof enc;
    FUZZ_HOLDS(ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
               EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
               EVP_PKEY_encrypt(ctx, enc, &enc_len, zeros, len) == 1);
    const uint8_t first = (uint8_t)format;
    FUZZ_OK(buf_append(out, bytes_of(&first, 1)));
    fuzz_put_chunk(out, bytes_of(enc, enc_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const unsigned format = fuzz_take_byte(&in) % FORMATS;
    const struct bytes enc = fuzz_take_chunk(&in);
    CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
    const enum err err = wrap_opener_new(key_of(format), enc, bytes_of_text("info"), &opener);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_CRYPTO);
    FUZZ_HOLDS((err == ERR_OK) == (opener != NULL));
    for (size_t i = 0; i < ARRAY_LEN(values) && err == ERR_OK; i++) {
        CLEANUP(secret_freep) struct secret *secret = NULL;
        const struct bytes ciphertext = fuzz_take_chunk(&in);
        FUZZ_HOLDS(wrap_open(opener, bytes_of_text("other"), ciphertext, &secret) == ERR_CRYPTO);
        FUZZ_HOLDS(secret == NULL);
        if (wrap_open(opener, bytes_of_text("aad"), ciphertext, &secret) != ERR_OK)
            break;
        FUZZ_HOLDS(bytes_equal_text(secret_view(secret), values[i]));
        fuzz_accepted++;
    }
    FUZZ_HOLDS(ERR_peek_error() == 0);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    CLEANUP(buf_free) struct buf whole = {0};
    if (size > 1 && fuzz_choose(&seed, 8) > 0)
        return 1 + LLVMFuzzerMutate(data + 1, size - 1, max_size - 1);
    if (fuzz_choose(&seed, 4) == 0)
        seal_other_length(fuzz_choose(&seed, 32), &whole);
    else
        seal(fuzz_choose(&seed, FORMATS), &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
