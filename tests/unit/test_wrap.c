/* Sealing and opening in every format; test_wrap_recipient.c has the public keys. */
#include "common/wrap.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/wrap_format.h"
#include "tests/unit/unit.h"

#define INFO bytes_of_text("vouchsafe/1 wrap")
#define AAD  bytes_of_text("a document, a name, a version")

/* ---- what the tests share ---- */

static struct secret *secret_of(const void *ptr, size_t len)
{
    struct secret *s = NULL;
    ck_ok(secret_new(len, &s));
    if (len > 0)
        memcpy(secret_ptr(s), ptr, len);
    return s;
}

static struct wrap_recipient *recipient_of(const struct wrap_key *key)
{
    CLEANUP(buf_free) struct buf spki = {0};
    struct wrap_recipient *recipient = NULL;
    ck_ok(wrap_key_spki(key, &spki));
    ck_ok(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL));
    ck_assert_str_eq(wrap_recipient_format(recipient), wrap_key_format(key));
    return recipient;
}

/* A key, one encapsulation to it and two messages. */
struct sealed {
    struct wrap_key *key;
    struct buf enc;
    struct buf ciphertexts[2];
};

static const char *const messages[] = {"Beauty is truth", "truth beauty"};

static void sealed_free(struct sealed *s)
{
    wrap_key_free(s->key);
    buf_free(&s->enc);
    buf_free(&s->ciphertexts[0]);
    buf_free(&s->ciphertexts[1]);
}

static void sealed_make(const char *format, struct sealed *s)
{
    ck_ok(wrap_key_generate(format, &s->key));
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = recipient_of(s->key);
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    ck_ok(wrap_sealer_new(recipient, INFO, &sealer, &s->enc));
    for (unsigned i = 0; i < 2; i++) {
        CLEANUP(secret_freep) struct secret *text = secret_of(messages[i], strlen(messages[i]));
        ck_ok(wrap_seal(sealer, AAD, text, &s->ciphertexts[i]));
    }
}

static struct wrap_opener *opener_of(const struct sealed *s)
{
    struct wrap_opener *opener = NULL;
    ck_ok(wrap_opener_new(s->key, bytes_of_buf(&s->enc), INFO, &opener));
    return opener;
}

static void ck_opens(struct wrap_opener *opener, const struct buf *ciphertext, const char *text)
{
    CLEANUP(secret_freep) struct secret *plain = NULL;
    ck_ok(wrap_open(opener, AAD, bytes_of_buf(ciphertext), &plain));
    ck_assert(bytes_equal_text(secret_view(plain), text));
}

/* Refused, and nothing given out. */
static void ck_not_opened(struct wrap_opener *opener, struct bytes aad, struct bytes ciphertext)
{
    struct secret *plain = NULL;
    ck_err(wrap_open(opener, aad, ciphertext, &plain), ERR_CRYPTO);
    ck_assert_ptr_null(plain);
}

/* ---- what is accepted ---- */

START_TEST(valid_every_format)
{
    static const size_t enc_len[] = {32, 65, 97, 256};
    static const uint8_t big[65536] = {1, 2, 3};
    static const size_t lens[] = {0, 1, 64, sizeof big};
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
        ck_ok(wrap_key_generate(wrap_formats[f], &key));
        ck_assert_str_eq(wrap_key_format(key), wrap_formats[f]);
        CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = recipient_of(key);
        CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
        CLEANUP(buf_free) struct buf enc = {0};
        ck_ok(buf_append_text(&enc, "before"));
        ck_ok(wrap_sealer_new(recipient, INFO, &sealer, &enc));
        ck_assert_uint_eq(enc.len, 6 + enc_len[f]);
        ck_assert_mem_eq(enc.ptr, "before", 6);
        CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
        ck_ok(wrap_opener_new(key, bytes_of(enc.ptr + 6, enc.len - 6), INFO, &opener));
        for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
            CLEANUP(secret_freep) struct secret *text = secret_of(big, lens[i]);
            CLEANUP(secret_freep) struct secret *got = NULL;
            CLEANUP(buf_free) struct buf out = {0};
            ck_ok(buf_append_text(&out, "x"));
            ck_ok(wrap_seal(sealer, i == 1 ? bytes_of(NULL, 0) : AAD, text, &out));
            ck_assert_uint_eq(out.len, 1 + lens[i] + WRAP_TAG_LEN);
            ck_ok(wrap_open(opener, i == 1 ? bytes_of(NULL, 0) : AAD,
                            bytes_of(out.ptr + 1, out.len - 1), &got));
            ck_assert(bytes_equal(secret_view(got), secret_view(text)));
        }
    }
}
END_TEST

START_TEST(valid_key_from_x25519)
{
    CLEANUP(secret_freep) struct secret *raw = NULL;
    ck_ok(secret_new_random(32, &raw));
    struct sealed s = {0};
    ck_ok(wrap_key_from_x25519(raw, &s.key));
    ck_assert_str_eq(wrap_key_format(s.key), "hpke-x25519");
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = recipient_of(s.key);
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    CLEANUP(secret_freep) struct secret *text = secret_of("put", 3);
    ck_ok(wrap_sealer_new(recipient, INFO, &sealer, &s.enc));
    ck_ok(wrap_seal(sealer, AAD, text, &s.ciphertexts[0]));
    CLEANUP(wrap_opener_freep) struct wrap_opener *opener = opener_of(&s);
    ck_opens(opener, &s.ciphertexts[0], "put");
    sealed_free(&s);
}
END_TEST

/* Two encapsulations to one key have nothing in common. */
START_TEST(valid_fresh_each_time)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
        ck_ok(wrap_key_generate(wrap_formats[f], &key));
        CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = recipient_of(key);
        CLEANUP(secret_freep) struct secret *text = secret_of("same", 4);
        struct buf enc[2] = {{0}, {0}}, out[2] = {{0}, {0}};
        for (unsigned i = 0; i < 2; i++) {
            CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
            ck_ok(wrap_sealer_new(recipient, INFO, &sealer, &enc[i]));
            ck_ok(wrap_seal(sealer, AAD, text, &out[i]));
        }
        ck_assert(!bytes_equal(bytes_of_buf(&enc[0]), bytes_of_buf(&enc[1])));
        ck_assert(!bytes_equal(bytes_of_buf(&out[0]), bytes_of_buf(&out[1])));
        for (unsigned i = 0; i < 2; i++) {
            buf_free(&enc[i]);
            buf_free(&out[i]);
        }
    }
}
END_TEST

/* ---- encapsulations and ciphertexts that are refused ---- */

static void ck_enc_refused(const struct sealed *s, struct bytes enc)
{
    struct wrap_opener *opener = NULL;
    ck_err(wrap_opener_new(s->key, enc, INFO, &opener), ERR_CRYPTO);
    ck_assert_ptr_null(opener);
}

START_TEST(wrong_enc_length)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        struct sealed s = {0};
        sealed_make(wrap_formats[f], &s);
        ck_enc_refused(&s, bytes_of(NULL, 0));
        ck_enc_refused(&s, bytes_of(s.enc.ptr, 1));
        ck_enc_refused(&s, bytes_of(s.enc.ptr, s.enc.len - 1));
        ck_ok(buf_append(&s.enc, bytes_of("", 1)));
        ck_enc_refused(&s, bytes_of_buf(&s.enc));
        sealed_free(&s);
    }
}
END_TEST

START_TEST(wrong_enc_point)
{
    static const char *const rows[] = {"hpke-p256", "hpke-p384"};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct sealed s = {0};
        sealed_make(rows[i], &s);
        const size_t half = s.enc.len / 2;
        uint8_t *point = s.enc.ptr;
        ck_enc_refused(&s, bytes_of("", 1)); /* infinity */
        for (unsigned first = 0; first < 256; first++) {
            point[0] = (uint8_t)first;
            if (first != 4)
                ck_enc_refused(&s, bytes_of_buf(&s.enc));
        }
        point[0] = (uint8_t)(2 | (point[s.enc.len - 1] & 1)); /* compressed: OpenSSL takes it */
        ck_enc_refused(&s, bytes_of(point, 1 + half));
        point[0] = 4;
        point[s.enc.len - 1] ^= 1; /* off the curve */
        ck_enc_refused(&s, bytes_of_buf(&s.enc));
        memset(point + 1, 0xff, s.enc.len - 1); /* out of range */
        ck_enc_refused(&s, bytes_of_buf(&s.enc));
        sealed_free(&s);
    }
}
END_TEST

/* OAEP to `s->key` with the given hash, as another sealer might do it. */
static struct buf oaep_of(const struct sealed *s, const EVP_MD *digest, const EVP_MD *mgf1,
                          size_t key_len)
{
    static const uint8_t key_bytes[64] = {1};
    CLEANUP(buf_free) struct buf spki = {0};
    ck_ok(wrap_key_spki(s->key, &spki));
    const uint8_t *p = spki.ptr;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.len);
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    ck_assert_int_eq(EVP_PKEY_encrypt_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, digest), 1);
    ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf1), 1);
    struct buf enc = {0};
    ck_ok(buf_reserve(&enc, 256));
    enc.len = 256;
    ck_assert_int_eq(EVP_PKEY_encrypt(ctx, enc.ptr, &enc.len, key_bytes, key_len), 1);
    return enc;
}

START_TEST(wrong_oaep)
{
    struct sealed s = {0};
    sealed_make("rsa-oaep-256", &s);
    const struct {
        const EVP_MD *digest, *mgf1;
        size_t key_len;
        enum err err;
    } rows[] = {
        {EVP_sha256(), EVP_sha256(), 32, ERR_OK},     {EVP_sha256(), EVP_sha256(), 31, ERR_CRYPTO},
        {EVP_sha256(), EVP_sha256(), 33, ERR_CRYPTO}, {EVP_sha256(), EVP_sha256(), 0, ERR_CRYPTO},
        {EVP_sha1(), EVP_sha256(), 32, ERR_CRYPTO},   {EVP_sha256(), EVP_sha1(), 32, ERR_CRYPTO},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free)
        struct buf enc = oaep_of(&s, rows[i].digest, rows[i].mgf1, rows[i].key_len);
        CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
        ck_err(wrap_opener_new(s.key, bytes_of_buf(&enc), INFO, &opener), rows[i].err);
    }
    sealed_free(&s);
}
END_TEST

/* An altered X25519 point is another point, an altered OAEP block none: either way
 * nothing opens. */
START_TEST(wrong_enc_bit)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        struct sealed s = {0};
        sealed_make(wrap_formats[f], &s);
        const size_t step = f == 3 ? 61 : 3; /* an RSA decryption is dear */
        for (size_t bit = 0; bit < 8 * s.enc.len; bit += step) {
            CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
            s.enc.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
            const enum err err = wrap_opener_new(s.key, bytes_of_buf(&s.enc), INFO, &opener);
            if (err == ERR_OK && f == 0)
                ck_not_opened(opener, AAD, bytes_of_buf(&s.ciphertexts[0]));
            else
                ck_err(err, ERR_CRYPTO);
            s.enc.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        sealed_free(&s);
    }
}
END_TEST

START_TEST(wrong_ciphertext_bit)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        struct sealed s = {0};
        sealed_make(wrap_formats[f], &s);
        CLEANUP(wrap_opener_freep) struct wrap_opener *opener = opener_of(&s);
        struct buf *c = &s.ciphertexts[0];
        for (size_t bit = 0; bit < 8 * c->len; bit++) {
            c->ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_not_opened(opener, AAD, bytes_of_buf(c));
            c->ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t len = 0; len < c->len; len++)
            ck_not_opened(opener, AAD, bytes_of(c->ptr, len));
        ck_opens(opener, c, messages[0]); /* and the sequence has not moved */
        sealed_free(&s);
    }
}
END_TEST

START_TEST(wrong_aad)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        struct sealed s = {0};
        sealed_make(wrap_formats[f], &s);
        CLEANUP(wrap_opener_freep) struct wrap_opener *opener = opener_of(&s);
        uint8_t aad[64];
        const size_t len = AAD.len;
        memcpy(aad, AAD.ptr, len);
        const struct bytes ciphertext = bytes_of_buf(&s.ciphertexts[0]);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            aad[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_not_opened(opener, bytes_of(aad, len), ciphertext);
            aad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        ck_not_opened(opener, bytes_of(NULL, 0), ciphertext);
        ck_not_opened(opener, bytes_of(aad, len - 1), ciphertext);
        ck_opens(opener, &s.ciphertexts[0], messages[0]);
        sealed_free(&s);
    }
}
END_TEST

/* RSA has no info: there the context is in the AAD alone. */
START_TEST(wrong_info)
{
    for (unsigned f = 0; f < 3; f++) {
        struct sealed s = {0};
        sealed_make(wrap_formats[f], &s);
        uint8_t info[32];
        const size_t len = INFO.len;
        memcpy(info, INFO.ptr, len);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
            info[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_ok(wrap_opener_new(s.key, bytes_of_buf(&s.enc), bytes_of(info, len), &opener));
            ck_not_opened(opener, AAD, bytes_of_buf(&s.ciphertexts[0]));
            info[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        CLEANUP(wrap_opener_freep) struct wrap_opener *none = NULL;
        ck_ok(wrap_opener_new(s.key, bytes_of_buf(&s.enc), bytes_of(NULL, 0), &none));
        ck_not_opened(none, AAD, bytes_of_buf(&s.ciphertexts[0]));
        sealed_free(&s);
    }
}
END_TEST

START_TEST(wrong_key)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        struct sealed s = {0}, other = {0};
        sealed_make(wrap_formats[f], &s);
        sealed_make(wrap_formats[f], &other);
        CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
        const enum err err = wrap_opener_new(other.key, bytes_of_buf(&s.enc), INFO, &opener);
        if (err == ERR_OK && f != 3)
            ck_not_opened(opener, AAD, bytes_of_buf(&s.ciphertexts[0]));
        else
            ck_err(err, ERR_CRYPTO); /* OAEP fails */
        sealed_free(&s);
        sealed_free(&other);
    }
}
END_TEST

START_TEST(wrong_order)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        struct sealed s = {0};
        sealed_make(wrap_formats[f], &s);
        CLEANUP(wrap_opener_freep) struct wrap_opener *opener = opener_of(&s);
        ck_not_opened(opener, AAD, bytes_of_buf(&s.ciphertexts[1]));
        ck_opens(opener, &s.ciphertexts[0], messages[0]);
        ck_not_opened(opener, AAD, bytes_of_buf(&s.ciphertexts[0]));
        ck_opens(opener, &s.ciphertexts[1], messages[1]);
        sealed_free(&s);
    }
}
END_TEST

START_TEST(long_sequence)
{
    CLEANUP(secret_freep) struct secret *keys = NULL;
    CLEANUP(secret_freep) struct secret *text = secret_of("last", 4);
    CLEANUP(secret_freep) struct secret *got = NULL;
    CLEANUP(buf_free) struct buf out = {0};
    ck_ok(secret_new_random(AEAD_KEY_LEN + AEAD_NONCE_LEN, &keys));
    const uint64_t last = AEAD_SEQUENCE_MAX;
    ck_ok(wrap_aead_seal(keys, last, AAD, text, &out));
    ck_assert_uint_eq(out.len, 4 + WRAP_TAG_LEN);
    ck_err(wrap_aead_seal(keys, last + 1, AAD, text, &out), ERR_WRONG_STATE);
    ck_assert_uint_eq(out.len, 4 + WRAP_TAG_LEN);
    ck_err(wrap_aead_open(keys, last + 1, AAD, bytes_of_buf(&out), &got), ERR_WRONG_STATE);
    ck_assert_ptr_null(got);
    ck_ok(wrap_aead_open(keys, last, AAD, bytes_of_buf(&out), &got));
    ck_assert(bytes_equal_text(secret_view(got), "last"));
}
END_TEST

START_TEST(wrong_key_arguments)
{
    struct wrap_key *key = NULL;
    ck_err(wrap_key_generate("hpke-p521", &key), ERR_USAGE);
    ck_err(wrap_key_generate("", &key), ERR_USAGE);
    CLEANUP(secret_freep) struct secret *raw = NULL;
    ck_ok(secret_new_random(33, &raw));
    ck_err(wrap_key_from_x25519(raw, &key), ERR_CRYPTO);
    secret_truncate(raw, 31);
    ck_err(wrap_key_from_x25519(raw, &key), ERR_CRYPTO);
    ck_assert_ptr_null(key);
}
END_TEST

/* What is left in OpenSSL's queue would be taken for a later failure of TLS's. */
START_TEST(no_errors_left_behind)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        struct sealed s = {0};
        sealed_make(wrap_formats[f], &s);
        CLEANUP(wrap_opener_freep) struct wrap_opener *opener = opener_of(&s);
        ck_not_opened(opener, AAD, bytes_of_buf(&s.ciphertexts[1]));
        ck_assert_uint_eq(ERR_peek_error(), 0);
        memset(s.enc.ptr + 1, 0, s.enc.len - 1);
        s.enc.ptr[0] = f == 0 ? 0 : 4;
        ck_enc_refused(&s, bytes_of_buf(&s.enc));
        ck_assert_uint_eq(ERR_peek_error(), 0);
        CLEANUP(buf_free) struct buf spki = {0};
        ck_ok(wrap_key_spki(s.key, &spki));
        spki.ptr[f == 3 ? 24 : spki.len - 1] ^= 1; /* no key, or another point */
        struct wrap_recipient *recipient = NULL;
        if (wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL) == ERR_OK)
            wrap_recipient_free(recipient);
        ck_assert_uint_eq(ERR_peek_error(), 0);
        sealed_free(&s);
    }
    struct wrap_recipient *none = NULL;
    ck_err(wrap_recipient_parse(bytes_of_text("\x30\xff\xff\xff\xff"), &none, NULL),
           ERR_PUBLIC_KEY);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

UNIT_MAIN("wrap", valid_every_format, valid_key_from_x25519, valid_fresh_each_time,
          wrong_enc_length, wrong_enc_point, wrong_oaep, wrong_enc_bit, wrong_ciphertext_bit,
          wrong_aad, wrong_info, wrong_key, wrong_order, long_sequence, wrong_key_arguments,
          no_errors_left_behind)
