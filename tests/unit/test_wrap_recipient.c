/* Which public keys can be wrapped to: each refusal with its exact sentence. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "common/wrap_format.h"
#include "tests/unit/unit.h"

#define INFO bytes_of_text("vouchsafe/1 wrap")

/* The exact error and the exact sentence. */
static void ck_refused(struct bytes spki, const char *found)
{
    struct fault fault = FAULT_NONE;
    struct wrap_recipient *recipient = NULL;
    char want[sizeof fault.detail];
    snprintf(want, sizeof want, "%s%s", WRAP_EXPECTED, found);
    ck_err(wrap_recipient_parse(spki, &recipient, &fault), ERR_PUBLIC_KEY);
    ck_assert_int_eq(fault.code, ERR_PUBLIC_KEY);
    ck_assert_str_eq(fault.detail, want);
    ck_assert_ptr_null(recipient);
}

static struct buf spki_of(EVP_PKEY *key)
{
    ck_assert_ptr_nonnull(key);
    uint8_t *der = NULL;
    const int len = i2d_PUBKEY(key, &der);
    ck_assert_int_gt(len, 0);
    struct buf spki = {0};
    ck_ok(buf_append(&spki, bytes_of(der, (size_t)len)));
    OPENSSL_free(der);
    return spki;
}

static void ck_key_refused(EVP_PKEY *key, const char *found)
{
    CLEANUP(buf_free) struct buf spki = spki_of(key);
    ck_refused(bytes_of_buf(&spki), found);
    EVP_PKEY_free(key);
}

static struct buf fresh_spki(const char *format)
{
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    ck_ok(wrap_key_generate(format, &key));
    struct buf spki = {0};
    ck_ok(wrap_key_spki(key, &spki));
    return spki;
}

/* A public RSA key of any numbers: no factors are needed to be refused, or sealed to. */
static EVP_PKEY *rsa_of(const char *type, int bits, bool odd, const char *e_dec)
{
    BIGNUM *n = BN_new(), *e = NULL;
    ck_assert_int_eq(
        BN_rand(n, bits, BN_RAND_TOP_ONE, odd ? BN_RAND_BOTTOM_ODD : BN_RAND_BOTTOM_ANY), 1);
    if (!odd)
        ck_assert_int_eq(BN_clear_bit(n, 0), 1);
    ck_assert_int_gt(BN_dec2bn(&e, e_dec), 0);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    ck_assert_int_eq(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n), 1);
    ck_assert_int_eq(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e), 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    ck_assert_int_eq(EVP_PKEY_fromdata_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

/* Public numbers at the edges of what PROTOCOL section 3 allows. */
START_TEST(valid_rsa_sizes)
{
    static const struct {
        int bits;
        const char *e;
    } rows[] = {{2048, "65537"}, {3072, "65537"}, {4096, "65537"}, {2048, "4294967295"}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        EVP_PKEY *key = rsa_of("RSA", rows[i].bits, true, rows[i].e);
        CLEANUP(buf_free) struct buf spki = spki_of(key);
        EVP_PKEY_free(key);
        CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
        CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
        CLEANUP(buf_free) struct buf enc = {0};
        ck_ok(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL));
        ck_assert_str_eq(wrap_recipient_format(recipient), "rsa-oaep-256");
        ck_ok(wrap_sealer_new(recipient, INFO, &sealer, &enc));
        ck_assert_uint_eq(enc.len, (size_t)rows[i].bits / 8);
    }
}
END_TEST

START_TEST(junk_public_key)
{
    static const uint8_t zeros[1025] = {0};
    ck_refused(bytes_of(NULL, 0), "nothing");
    ck_refused(bytes_of(zeros, 32), "32 bytes of something else");
    ck_refused(bytes_of_text("my public key"), "13 bytes of something else");
    ck_refused(bytes_of(zeros, 1024), "1024 bytes of something else");
    ck_refused(bytes_of(zeros, 1025), "1025 bytes");
    /* a SEQUENCE of indefinite length; one without a key */
    ck_refused(bytes_of_text("\x30\x80\x30\x05\x06\x03\x2b\x65\x6e"), "9 bytes of something else");
    ck_refused(bytes_of_text("\x30\x07\x30\x05\x06\x03\x2b\x65\x6e"), "9 bytes of something else");
}
END_TEST

START_TEST(long_and_short_public_key)
{
    for (unsigned f = 0; wrap_formats[f] != NULL; f++) {
        CLEANUP(buf_free) struct buf spki = fresh_spki(wrap_formats[f]);
        for (size_t len = 1; len < spki.len; len++) {
            char found[64];
            snprintf(found, sizeof found, "%zu byte%s of something else", len, plural(len));
            ck_refused(bytes_of(spki.ptr, len), found);
        }
        ck_ok(buf_append(&spki, bytes_of("", 1)));
        ck_refused(bytes_of_buf(&spki), "1 byte after its end");
    }
}
END_TEST

/* The constant part is compared whole: no bit of it may differ. */
START_TEST(wrong_prefix)
{
    const struct wrap_format *const rows[] = {&wrap_format_hpke_x25519, &wrap_format_hpke_p256,
                                              &wrap_format_hpke_p384};
    for (unsigned f = 0; f < ARRAY_LEN(rows); f++) {
        CLEANUP(buf_free) struct buf spki = fresh_spki(rows[f]->name);
        for (size_t bit = 0; bit < 8 * rows[f]->form->prefix.len; bit++) {
            struct wrap_recipient *recipient = NULL;
            spki.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_err(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL), ERR_PUBLIC_KEY);
            spki.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        CLEANUP(wrap_recipient_freep) struct wrap_recipient *whole = NULL;
        ck_ok(wrap_recipient_parse(bytes_of_buf(&spki), &whole, NULL));
    }
}
END_TEST

START_TEST(wrong_x25519_encoding)
{
    CLEANUP(buf_free) struct buf spki = fresh_spki("hpke-x25519");
    CLEANUP(buf_free) struct buf ber = {0}; /* the outer length in two bytes */
    ck_ok(buf_append(&ber, bytes_of("\x30\x81", 2)));
    ck_ok(buf_append(&ber, bytes_of(spki.ptr + 1, spki.len - 1)));
    ck_refused(bytes_of_buf(&ber), "X25519 in other DER than RFC 8410's 44 bytes");
}
END_TEST

/* The points u whose multiples by a clamped scalar are zero, both values of bit 255. */
static const char *const low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

START_TEST(wrong_x25519_low_order)
{
    CLEANUP(buf_free) struct buf spki = fresh_spki("hpke-x25519");
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    ck_ok(wrap_key_generate("hpke-x25519", &key));
    for (unsigned i = 0; i < 2 * ARRAY_LEN(low_order); i++) {
        uint8_t *point = spki.ptr + 12;
        size_t len = 0;
        ck_assert_int_eq(OPENSSL_hexstr2buf_ex(point, 32, &len, low_order[i / 2], '\0'), 1);
        point[31] |= (uint8_t)(i % 2 << 7);
        ck_refused(bytes_of_buf(&spki), "an X25519 point of low order");
        /* As an encapsulation it gets as far as the all-zero result. */
        struct wrap_opener *opener = NULL;
        ck_err(wrap_opener_new(key, bytes_of(point, 32), INFO, &opener), ERR_CRYPTO);
        ck_assert_ptr_null(opener);
    }
}
END_TEST

START_TEST(wrong_point)
{
    static const struct {
        const char *format, *group;
        size_t prefix, point;
    } rows[] = {{"hpke-p256", "P-256", 26, 65}, {"hpke-p384", "P-384", 23, 97}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char found[96];
        CLEANUP(buf_free) struct buf spki = fresh_spki(rows[i].format);
        uint8_t *point = spki.ptr + rows[i].prefix;
        snprintf(found, sizeof found, "a %s point that is not on the curve", rows[i].group);
        point[rows[i].point - 1] ^= 1;
        ck_refused(bytes_of_buf(&spki), found);
        point[rows[i].point - 1] ^= 1;
        /* (0, 0), and coordinates beyond the field */
        uint8_t saved[97];
        memcpy(saved, point, rows[i].point);
        memset(point + 1, 0, rows[i].point - 1);
        ck_refused(bytes_of_buf(&spki), found);
        memset(point + 1, 0xff, rows[i].point - 1);
        ck_refused(bytes_of_buf(&spki), found);
        memcpy(point, saved, rows[i].point);
        /* Every other first byte: hybrid (06, 07), compressed, infinity, none. */
        snprintf(found, sizeof found, "a %s point that is not uncompressed", rows[i].group);
        for (unsigned first = 0; first < 256; first++) {
            point[0] = (uint8_t)first;
            if (first != 4)
                ck_refused(bytes_of_buf(&spki), found);
        }
    }
}
END_TEST

/* The SubjectPublicKeyInfo of a P-256 or P-384 key whose BIT STRING holds `point`. */
static struct buf ec_spki(const char *format, const uint8_t *point, size_t len)
{
    struct buf spki = fresh_spki(format);
    const size_t algorithm_end = 2 + 2 + spki.ptr[3];
    spki.len = algorithm_end;
    const uint8_t head[] = {0x03, (uint8_t)(len + 1), 0x00};
    ck_ok(buf_append(&spki, bytes_of(head, sizeof head)));
    ck_ok(buf_append(&spki, bytes_of(point, len)));
    spki.ptr[1] = (uint8_t)(spki.len - 2);
    return spki;
}

/* Well-formed DER that OpenSSL itself would take. */
START_TEST(wrong_point_form)
{
    CLEANUP(buf_free) struct buf whole256 = fresh_spki("hpke-p256");
    CLEANUP(buf_free) struct buf whole384 = fresh_spki("hpke-p384");
    whole256.ptr[26] = (uint8_t)(2 | (whole256.ptr[26 + 64] & 1));
    whole384.ptr[23] = (uint8_t)(2 | (whole384.ptr[23 + 96] & 1));
    CLEANUP(buf_free) struct buf small256 = ec_spki("hpke-p256", whole256.ptr + 26, 33);
    CLEANUP(buf_free) struct buf small384 = ec_spki("hpke-p384", whole384.ptr + 23, 49);
    CLEANUP(buf_free) struct buf infinity = ec_spki("hpke-p256", (const uint8_t *)"", 1);
    ck_refused(bytes_of_buf(&small256),
               "an EC key on prime256v1 of 59 bytes, not the 91 of one uncompressed point");
    ck_refused(bytes_of_buf(&small384),
               "an EC key on secp384r1 of 72 bytes, not the 120 of one uncompressed point");
    ck_refused(bytes_of_buf(&infinity),
               "an EC key on prime256v1 of 27 bytes, not the 91 of one uncompressed point");
}
END_TEST

START_TEST(wrong_algorithm)
{
    ck_key_refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "a key of ED25519");
    ck_key_refused(EVP_PKEY_Q_keygen(NULL, NULL, "X448"), "a key of X448");
    ck_key_refused(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521"), "an EC key on secp521r1");
    ck_key_refused(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"), "an EC key on secp256k1");
    ck_key_refused(rsa_of("RSA-PSS", 2048, true, "65537"), "a key of rsassaPss");
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    ck_assert_int_eq(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"),
                     1);
    ck_key_refused(key, "an EC key on a curve without a name");
}
END_TEST

START_TEST(wrong_rsa_numbers)
{
    ck_key_refused(rsa_of("RSA", 1024, true, "65537"), "RSA of 1024 bits");
    ck_key_refused(rsa_of("RSA", 2047, true, "65537"), "RSA of 2047 bits");
    ck_key_refused(rsa_of("RSA", 2049, true, "65537"), "RSA of 2049 bits");
    ck_key_refused(rsa_of("RSA", 2056, true, "65537"), "RSA of 2056 bits");
    ck_key_refused(rsa_of("RSA", 4104, true, "65537"), "RSA of 4104 bits");
    ck_key_refused(rsa_of("RSA", 2048, false, "65537"), "RSA with an even modulus");
    ck_key_refused(rsa_of("RSA", 2048, true, "1"), "RSA with the public exponent 1");
    ck_key_refused(rsa_of("RSA", 2048, true, "3"), "RSA with the public exponent 3");
    ck_key_refused(rsa_of("RSA", 2048, true, "65535"), "RSA with the public exponent 65535");
    ck_key_refused(rsa_of("RSA", 2048, true, "65538"), "RSA with the public exponent 65538");
    ck_key_refused(rsa_of("RSA", 2048, true, "4294967297"),
                   "RSA with a public exponent of 33 bits");
}
END_TEST

/* 30 82 LL LL | 30 0d rsaEncryption NULL | 03 82 .. 00 | 30 82 .. | 02 82 01 01 00 n | 02 03 e */
START_TEST(wrong_rsa_encoding)
{
    EVP_PKEY *key = rsa_of("RSA", 2048, true, "65537");
    CLEANUP(buf_free) struct buf spki = spki_of(key);
    EVP_PKEY_free(key);
    ck_assert_uint_eq(spki.len, 294);
    CLEANUP(buf_free) struct buf other = {0};

    /* the modulus without its leading zero: negative, but read as positive */
    ck_ok(buf_append(&other, bytes_of_buf(&spki)));
    memmove(other.ptr + 32, other.ptr + 33, other.len - 33);
    other.len--;
    other.ptr[3]--;
    other.ptr[22]--;
    other.ptr[27]--;
    other.ptr[31]--;
    ck_refused(bytes_of_buf(&other), "an RSA key in an encoding that is not DER");

    /* algorithm parameters left out */
    other.len = 0;
    ck_ok(buf_append(&other, bytes_of_buf(&spki)));
    memmove(other.ptr + 17, other.ptr + 19, other.len - 19);
    other.len -= 2;
    other.ptr[3] = (uint8_t)(other.ptr[3] - 2);
    other.ptr[5] = (uint8_t)(other.ptr[5] - 2);
    ck_refused(bytes_of_buf(&other), "an RSA key in an encoding that is not DER");

    /* the length of the BIT STRING in three bytes */
    other.len = 0;
    ck_ok(buf_append(&other, bytes_of_buf(&spki)));
    ck_ok(buf_append(&other, bytes_of("", 1)));
    memmove(other.ptr + 22, other.ptr + 21, other.len - 22);
    other.ptr[20] = 0x83;
    other.ptr[21] = 0;
    other.ptr[3]++;
    ck_refused(bytes_of_buf(&other), "an RSA key in an encoding that is not DER");

    /* PKCS #1's RSAPublicKey alone, where an SPKI belongs */
    ck_refused(bytes_of(spki.ptr + 24, spki.len - 24), "270 bytes of something else");

    /* no RSAPublicKey inside */
    spki.ptr[24] = 0x31;
    ck_refused(bytes_of_buf(&spki), "an RSA key that cannot be read");
}
END_TEST

UNIT_MAIN("wrap_recipient", valid_rsa_sizes, junk_public_key, long_and_short_public_key,
          wrong_prefix, wrong_x25519_encoding, wrong_x25519_low_order, wrong_point,
          wrong_point_form, wrong_algorithm, wrong_rsa_numbers, wrong_rsa_encoding)
