/* RFC 9180 appendix A, as the RFC's own JSON.  Its AES-256 suite goes through the public
 * interface; the others (no P-256 vector has AES-256) check the KEM and the key schedule,
 * the only places where a suite's numbers enter.  P-384 has no vector: tests/interop
 * checks it against another implementation. */
#define _GNU_SOURCE
#include <jansson.h>
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>
#include <stdio.h>

#include "common/wrap_format.h"
#include "tests/unit/vectors.h"

SHARED_DEMAND("vectors/hpke/rfc9180.json")

enum { KEM_X25519 = 0x20, KEM_P256 = 0x10, AES_128 = 1, AES_256 = 2, CHACHA = 3 };

static json_t *vectors; /* read once, kept till the end */

/* ---- what freed memory may not hold ---- */

static struct {
    uint8_t ptr[32];
    size_t len;
} hunted[4];
static size_t hunted_count, leaks;

static void *count_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(len);
}

static void *count_realloc(void *p, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(p, len);
}

static void count_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    for (size_t i = 0; p != NULL && i < hunted_count; i++)
        leaks += memmem(p, malloc_usable_size(p), hunted[i].ptr, hunted[i].len) != NULL;
    free(p);
}

/* Before main: OpenSSL takes other allocators only while it has allocated nothing. */
__attribute__((constructor)) static void count_at_start(void)
{
    if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
        abort();
}

/* ---- reading them ---- */

static const json_t *vector_of(int kem, int aead)
{
    if (vectors == NULL)
        vectors = shared_json("vectors/hpke/rfc9180.json");
    size_t i = 0;
    const json_t *v = NULL;
    json_array_foreach(vectors, i, v)
    {
        if (json_integer_value(json_object_get(v, "mode")) == 0 &&
            json_integer_value(json_object_get(v, "kem_id")) == kem &&
            json_integer_value(json_object_get(v, "kdf_id")) == 1 &&
            json_integer_value(json_object_get(v, "aead_id")) == aead)
            return v;
    }
    ck_abort_msg("no vector for KEM %#x, AEAD %d", kem, aead);
    return NULL;
}

static EVP_PKEY *x25519_pair(const json_t *v, const char *private_name)
{
    CLEANUP(buf_free) struct buf raw = vectors_member(v, private_name);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, raw.ptr, raw.len);
    ck_assert_ptr_nonnull(key);
    return key;
}

static EVP_PKEY *p256_pair(const json_t *v, const char *private_name, const char *public_name)
{
    CLEANUP(buf_free) struct buf raw = vectors_member(v, private_name);
    CLEANUP(buf_free) struct buf point = vectors_member(v, public_name);
    BIGNUM *scalar = BN_secure_new();
    ck_assert_ptr_nonnull(BN_bin2bn(raw.ptr, (int)raw.len, scalar));
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.ptr, point.len);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    ck_assert_int_eq(EVP_PKEY_fromdata_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_clear_free(scalar);
    return key;
}

static EVP_PKEY *pair(const json_t *v, const struct hpke_suite *suite, bool ephemeral)
{
    if (suite->group == NULL)
        return x25519_pair(v, ephemeral ? "skEm" : "skRm");
    return p256_pair(v, ephemeral ? "skEm" : "skRm", ephemeral ? "pkEm" : "pkRm");
}

/* ---- the tests ---- */

/* By hand what only the vectors have: AES-128-GCM and ChaCha20-Poly1305. */
static void ck_by_hand(const EVP_CIPHER *cipher, const struct secret *keys, uint64_t sequence,
                       struct bytes aad, struct bytes text, struct bytes want)
{
    uint8_t nonce[12], out[256];
    const uint8_t *key = secret_view(keys).ptr;
    const size_t key_len = (size_t)EVP_CIPHER_get_key_length(cipher);
    ck_assert_uint_eq(secret_len(keys), key_len + sizeof nonce);
    ck_assert_uint_le(text.len + 16, sizeof out);
    ck_assert_uint_eq(want.len, text.len + 16);
    memcpy(nonce, key + key_len, sizeof nonce);
    nonce[11] ^= (uint8_t)sequence;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;
    ck_assert_int_eq(EVP_EncryptInit_ex2(ctx, cipher, key, nonce, NULL), 1);
    ck_assert_int_eq(EVP_EncryptUpdate(ctx, NULL, &len, aad.ptr, (int)aad.len), 1);
    ck_assert_int_eq(EVP_EncryptUpdate(ctx, out, &len, text.ptr, (int)text.len), 1);
    ck_assert_int_eq(EVP_EncryptFinal_ex(ctx, out + text.len, &len), 1);
    ck_assert_int_eq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + text.len), 1);
    EVP_CIPHER_CTX_free(ctx);
    ck_assert_mem_eq(out, want.ptr, want.len);
}

static void ck_message(const struct secret *keys, uint64_t sequence, const json_t *row,
                       unsigned aead)
{
    CLEANUP(buf_free) struct buf aad = vectors_member(row, "aad");
    CLEANUP(buf_free) struct buf text = vectors_member(row, "pt");
    CLEANUP(buf_free) struct buf want = vectors_member(row, "ct");
    if (aead != AES_256) {
        ck_by_hand(aead == AES_128 ? EVP_aes_128_gcm() : EVP_chacha20_poly1305(), keys, sequence,
                   bytes_of_buf(&aad), bytes_of_buf(&text), bytes_of_buf(&want));
        return;
    }
    CLEANUP(secret_freep) struct secret *plain = NULL;
    CLEANUP(secret_freep) struct secret *opened = NULL;
    CLEANUP(buf_free) struct buf got = {0};
    ck_ok(secret_new(text.len, &plain));
    memcpy(secret_ptr(plain), text.ptr, text.len);
    ck_ok(wrap_aead_seal(keys, sequence, bytes_of_buf(&aad), plain, &got));
    ck_assert(bytes_equal(bytes_of_buf(&got), bytes_of_buf(&want)));
    ck_ok(wrap_aead_open(keys, sequence, bytes_of_buf(&aad), bytes_of_buf(&want), &opened));
    ck_assert(bytes_equal(secret_view(opened), bytes_of_buf(&text)));
}

/* Both sides derive the same keys, the vector's where it names them, and every message
 * has the vector's ciphertext. */
static void ck_suite(const struct hpke_suite *suite, const json_t *v)
{
    CLEANUP(buf_free) struct buf info = vectors_member(v, "info");
    CLEANUP(buf_free) struct buf want_enc = vectors_member(v, "pkEm");
    CLEANUP(evp_pkey_freep) EVP_PKEY *recipient = pair(v, suite, false);
    CLEANUP(evp_pkey_freep) EVP_PKEY *ephemeral = pair(v, suite, true);
    CLEANUP(secret_freep) struct secret *sender = NULL;
    CLEANUP(secret_freep) struct secret *receiver = NULL;
    CLEANUP(buf_free) struct buf enc = {0};
    const struct bytes info_view = bytes_of_buf(&info);
    ck_ok(wrap_hpke_encapsulate_by(suite, ephemeral, recipient, info_view, &sender, &enc));
    ck_assert(bytes_equal(bytes_of_buf(&enc), bytes_of_buf(&want_enc)));
    ck_ok(wrap_hpke_decapsulate(suite, recipient, bytes_of_buf(&enc), info_view, &receiver));
    ck_assert(bytes_equal(secret_view(sender), secret_view(receiver)));
    if (json_object_get(v, "key") != NULL) {
        CLEANUP(buf_free) struct buf key = vectors_member(v, "key");
        CLEANUP(buf_free) struct buf nonce = vectors_member(v, "base_nonce");
        ck_ok(buf_append(&key, bytes_of_buf(&nonce)));
        ck_assert(bytes_equal(secret_view(sender), bytes_of_buf(&key)));
    }
    const json_t *rows = json_object_get(v, "encryptions");
    ck_assert_uint_ge(json_array_size(rows), 1);
    for (size_t i = 0; i < json_array_size(rows); i++)
        ck_message(sender, i, json_array_get(rows, i), suite->aead_id);
}

static json_int_t number(const json_t *v, const char *name)
{
    return json_integer_value(json_object_get(v, name));
}

static enum err run_vector(const json_t *v)
{
    if (number(v, "mode") != 0 || number(v, "kdf_id") != 1)
        return ERR_USAGE;
    if (number(v, "kem_id") != KEM_X25519 && number(v, "kem_id") != KEM_P256)
        return ERR_USAGE;
    struct hpke_suite suite = number(v, "kem_id") == KEM_X25519 ? *wrap_format_hpke_x25519.suite
                                                                : *wrap_format_hpke_p256.suite;
    ck_assert_uint_eq(suite.kem_id, number(v, "kem_id"));
    ck_assert_uint_eq(suite.aead_id, AES_256);
    suite.aead_id = (uint16_t)number(v, "aead_id");
    suite.key_len = suite.aead_id == AES_128 ? 16 : 32;
    if (suite.aead_id > CHACHA)
        return ERR_USAGE;
    ck_suite(&suite, v);
    return ERR_OK;
}

START_TEST(rfc9180)
{
    struct vectors files;
    vectors_begin(&files, "wrap_vectors:rfc9180");
    for (size_t f = 0; f < files.files.gl_pathc; f++) {
        json_t *rows = shared_json(vectors_file(&files, f));
        size_t i = 0;
        json_t *v = NULL;
        json_array_foreach(rows, i, v)
        {
            char name[VECTORS_NAME_MAX];
            snprintf(name, sizeof name, "mode=%lld kem=%lld kdf=%lld aead=%lld", number(v, "mode"),
                     number(v, "kem_id"), number(v, "kdf_id"), number(v, "aead_id"));
            vectors_judge(&files, vectors_file(&files, f), name, VECTORS_VALID, ERR_OK,
                          run_vector(v));
        }
        json_decref(rows);
    }
    vectors_end(&files);
}
END_TEST

/* The same AES-256 messages as an enclave would open them. */
START_TEST(valid_by_the_public_interface)
{
    const json_t *v = vector_of(KEM_X25519, AES_256);
    CLEANUP(buf_free) struct buf info = vectors_member(v, "info");
    CLEANUP(buf_free) struct buf enc = vectors_member(v, "pkEm");
    CLEANUP(buf_free) struct buf raw = vectors_member(v, "skRm");
    CLEANUP(secret_freep) struct secret *scalar = NULL;
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
    ck_ok(secret_new(raw.len, &scalar));
    memcpy(secret_ptr(scalar), raw.ptr, raw.len);
    ck_ok(wrap_key_from_x25519(scalar, &key));
    ck_ok(wrap_opener_new(key, bytes_of_buf(&enc), bytes_of_buf(&info), &opener));
    const json_t *rows = json_object_get(v, "encryptions");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        CLEANUP(buf_free) struct buf aad = vectors_member(json_array_get(rows, i), "aad");
        CLEANUP(buf_free) struct buf text = vectors_member(json_array_get(rows, i), "pt");
        CLEANUP(buf_free) struct buf ciphertext = vectors_member(json_array_get(rows, i), "ct");
        CLEANUP(secret_freep) struct secret *got = NULL;
        ck_ok(wrap_open(opener, bytes_of_buf(&aad), bytes_of_buf(&ciphertext), &got));
        ck_assert(bytes_equal(secret_view(got), bytes_of_buf(&text)));
    }
}
END_TEST

static void hunt(const json_t *v, const char *name)
{
    CLEANUP(buf_free) struct buf value = vectors_member(v, name);
    ck_assert_uint_le(value.len, sizeof hunted[0].ptr);
    memcpy(hunted[hunted_count].ptr, value.ptr, value.len);
    hunted[hunted_count++].len = value.len;
}

/* No block that the library gives back to the heap still holds what the vector lets us
 * recognise: OpenSSL's copies as much as ours. */
START_TEST(no_secret_in_freed_memory)
{
    struct hpke_suite suite = *wrap_format_hpke_p256.suite;
    suite.aead_id = AES_128;
    suite.key_len = 16;
    const json_t *v = vector_of(KEM_P256, AES_128);
    CLEANUP(buf_free) struct buf info = vectors_member(v, "info");
    CLEANUP(buf_free) struct buf enc = vectors_member(v, "pkEm");
    EVP_PKEY *recipient = pair(v, &suite, false);
    struct secret *keys = NULL;
    hunt(v, "shared_secret");
    hunt(v, "key");
    hunt(v, "base_nonce");

    void *bait = OPENSSL_malloc(hunted[0].len); /* the hunt itself works */
    ck_assert_ptr_nonnull(bait);
    memcpy(bait, hunted[0].ptr, hunted[0].len);
    OPENSSL_free(bait);
    ck_assert_uint_eq(leaks, 1);

    leaks = 0;
    ck_ok(wrap_hpke_decapsulate(&suite, recipient, bytes_of_buf(&enc), bytes_of_buf(&info), &keys));
    secret_free(keys);
    EVP_PKEY_free(recipient);
    ck_assert_uint_eq(leaks, 0);
    hunted_count = 0;
}
END_TEST

UNIT_MAIN("wrap_vectors", rfc9180, valid_by_the_public_interface, no_secret_in_freed_memory)
