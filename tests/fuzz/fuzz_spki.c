/* A public key that a document carries: what is taken is written again byte for byte, and
 * a secret wrapped to it can be wrapped at all. */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/openssl_cleanup.h"
#include "common/spki.h"
#include "common/wrap.h"
#include "fixed_keys.h"

static void check_wrap(const struct wrap_recipient *recipient)
{
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    CLEANUP(secret_freep) struct secret *secret = NULL;
    CLEANUP(buf_free) struct buf enc = {0};
    CLEANUP(buf_free) struct buf ciphertext = {0};
    FUZZ_OK(secret_new(5, &secret));
    FUZZ_OK(wrap_sealer_new(recipient, bytes_of_text("info"), &sealer, &enc));
    FUZZ_OK(wrap_seal(sealer, bytes_of_text("aad"), secret, &ciphertext));
    FUZZ_HOLDS(enc.len > 0 && enc.len <= WRAP_ENC_MAX && ciphertext.len == 5 + WRAP_TAG_LEN);
}

/* OpenSSL reads the same key, and all of it. */
static void check_against_openssl(struct bytes spki, const char *format)
{
    const unsigned char *p = spki.ptr;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.len);
    FUZZ_HOLDS(key != NULL && p == spki.ptr + spki.len);
    CLEANUP(openssl_freep) uint8_t *again = NULL;
    FUZZ_HOLDS(i2d_PUBKEY(key, &again) == (int)spki.len && memcmp(again, spki.ptr, spki.len) == 0);
    if (strcmp(format, "rsa-oaep-256") == 0) {
        const int bits = EVP_PKEY_get_bits(key);
        FUZZ_HOLDS(EVP_PKEY_is_a(key, "RSA") && (bits == 2048 || bits == 3072 || bits == 4096));
    }
}

static void check_form(struct bytes in, const struct spki_form *form)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    CLEANUP(buf_free) struct buf again = {0};
    const enum err err = spki_to_key(in, form, &key);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_MALFORMED);
    FUZZ_HOLDS((err == ERR_OK) == (key != NULL));
    if (err != ERR_OK)
        return;
    FUZZ_HOLDS(spki_has_form(in, form));
    FUZZ_OK(spki_append(key, &again));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&again), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    struct fault fault = FAULT_NONE;
    (void)fuzz_keys();
    const enum err err = wrap_recipient_parse(in, &recipient, &fault);
    fuzz_check(err, &fault, 0, size, NULL, 0);
    FUZZ_HOLDS(ERR_peek_error() == 0);
    FUZZ_HOLDS((err == ERR_OK) == (recipient != NULL));
    FUZZ_HOLDS(err == ERR_OK || err == ERR_PUBLIC_KEY);
    check_form(in, &spki_x25519);
    check_form(in, &spki_p256);
    check_form(in, &spki_p384);
    FUZZ_HOLDS(ERR_peek_error() == 0);
    if (err == ERR_OK) {
        check_wrap(recipient);
        check_against_openssl(in, wrap_recipient_format(recipient));
    }
    return 0;
}

static void put_rsa(unsigned bits, uint32_t exponent, struct buf *out)
{
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    CLEANUP(openssl_freep) uint8_t *der = NULL;
    uint8_t modulus[512];
    memset(modulus, 0xc5, sizeof modulus); /* odd; nobody factors it here */
    uint32_t e = exponent;
    OSSL_PARAM params[] = {
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, modulus, bits / 8),
        OSSL_PARAM_uint32(OSSL_PKEY_PARAM_RSA_E, &e),
        OSSL_PARAM_END,
    };
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return;
    const int len = i2d_PUBKEY(key, &der);
    FUZZ_HOLDS(len > 0);
    FUZZ_OK(buf_append(out, bytes_of(der, (size_t)len)));
}

static void put_sample(unsigned *seed, struct buf *out)
{
    static const uint32_t exponents[] = {3, 65537, 65539, 4294967295, 65536};
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    const uint32_t choice = fuzz_choose(seed, 8);
    if (choice < 3) {
        FUZZ_OK(wrap_key_generate(wrap_formats[choice], &key));
        FUZZ_OK(wrap_key_spki(key, out));
    } else {
        put_rsa(1024 * (1 + fuzz_choose(seed, 4)), exponents[fuzz_choose(seed, 5)], out);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    CLEANUP(buf_free) struct buf whole = {0};
    const uint32_t choice = fuzz_choose(&seed, 16);
    (void)fuzz_keys();
    if (choice == 0 || size == 0)
        put_sample(&seed, &whole);
    else if (choice < 8)
        fuzz_mutate_der(bytes_of(data, size), &seed, &whole);
    ERR_clear_error();
    if (whole.len == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    return fuzz_replace(data, size, max_size, &whole);
}
