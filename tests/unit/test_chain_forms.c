/* One test per rule about the form of a certificate: strict DER, version, serial number,
 * algorithm and key. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

#include "chain_fixture.h"
#include "unit.h"

/* Patterns to look for in a certificate: AlgorithmIdentifier, SPKI head. */
static const uint8_t alg_oid[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
static const uint8_t spki_head[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00};

/* The n-th place of the pattern in certificate `i`. */
static uint8_t *find(struct fixture *f, size_t i, struct bytes pattern, unsigned n)
{
    struct buf *der = &f->chain.der[i];
    for (size_t at = 0; at + pattern.len <= der->len; at++) {
        if (memcmp(der->ptr + at, pattern.ptr, pattern.len) == 0 && n-- == 0)
            return der->ptr + at;
    }
    ck_abort_msg("no such pattern in certificate %zu", i);
    return NULL;
}

/* ---- form ---- */

START_TEST(junk_certificate)
{
    for (size_t i = 1; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_make(&f);
        *(i == 4 ? &f.doc.certificate : &f.doc.cabundle[i]) = bytes_of_text("junk");
        fixture_expect(&f, ERR_CERT_MALFORMED, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

START_TEST(no_certificate)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.doc.certificate = bytes_of(NULL, 0);
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

/* Every shorter piece of a certificate is no certificate. */
START_TEST(junk_truncated)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    const struct bytes whole = f.doc.certificate;
    for (size_t len = 0; len < whole.len; len++) {
        /* A copy of exactly that size, so that a sanitizer sees a read past it. */
        CLEANUP(buf_free) struct buf piece = {0};
        ck_ok(buf_append(&piece, bytes_of(whole.ptr, len)));
        f.doc.certificate = bytes_of_buf(&piece);
        fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
    }
}
END_TEST

START_TEST(junk_trailing_byte)
{
    for (size_t i = 1; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_make(&f);
        ck_ok(buf_append(&f.chain.der[i], bytes_of("", 1)));
        fixture_view(&f);
        fixture_expect(&f, ERR_CERT_MALFORMED, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

/* 30 82 xx xx written as BER's 30 83 00 xx xx: OpenSSL alone would take it. */
START_TEST(junk_length_not_shortest)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(buf_free) struct buf ber = {0};
    fixture_make(&f);
    const struct buf *der = &f.chain.der[4];
    ck_assert_uint_eq(der->ptr[1], 0x82);
    ck_ok(buf_append(&ber, bytes_of("\x30\x83\x00", 3)));
    ck_ok(buf_append(&ber, bytes_of(der->ptr + 2, der->len - 2)));
    f.doc.certificate = bytes_of_buf(&ber);
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

/* The same inside, where OpenSSL would not mind either: the serial's 02 10 as 02 81 10 and
 * 02 82 00 10, the notBefore's 17 0d as 17 81 0d; all lengths around it put right. */
START_TEST(junk_inner_length_not_shortest)
{
    static const struct {
        struct bytes pattern; /* up to the length */
        struct bytes head;
        bool in_sequence; /* whose length is the pattern's second byte */
    } rows[] = {
        {{(const uint8_t *)"\x02\x01\x02\x02", 4}, {(const uint8_t *)"\x81", 1}, false},
        {{(const uint8_t *)"\x02\x01\x02\x02", 4}, {(const uint8_t *)"\x82\x00", 2}, false},
        {{(const uint8_t *)"\x30\x1e\x17", 3}, {(const uint8_t *)"\x81", 1}, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        CLEANUP(buf_free) struct buf ber = {0};
        fixture_make(&f);
        const struct buf *der = &f.chain.der[4];
        const size_t before =
            (size_t)(find(&f, 4, rows[i].pattern, 0) - der->ptr) + rows[i].pattern.len;
        ck_ok(buf_append(&ber, bytes_of(der->ptr, before)));
        ck_ok(buf_append(&ber, rows[i].head));
        ck_ok(buf_append(&ber, bytes_of(der->ptr + before, der->len - before)));
        if (rows[i].in_sequence)
            ber.ptr[before - rows[i].pattern.len + 1] += (uint8_t)rows[i].head.len;
        for (size_t at = 0; at <= 4; at += 4) { /* Certificate, TBSCertificate: 30 82 xx xx */
            ck_assert_uint_eq(ber.ptr[at + 1], 0x82);
            const unsigned len =
                (unsigned)(ber.ptr[at + 2] << 8 | ber.ptr[at + 3]) + (unsigned)rows[i].head.len;
            ber.ptr[at + 2] = (uint8_t)(len >> 8);
            ber.ptr[at + 3] = (uint8_t)len;
        }
        const uint8_t *end = ber.ptr;
        X509 *x = d2i_X509(NULL, &end, (long)ber.len);
        ck_assert_msg(x != NULL, "OpenSSL refuses it: the test tests nothing");
        X509_free(x);
        f.doc.certificate = bytes_of_buf(&ber);
        fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
    }
}
END_TEST

/* What OpenSSL takes inside a certificate and DER does not write, in place: TRUE as 01, a
 * string of a type that no Name here has, a bit string with unused bits. */
START_TEST(junk_inner_form)
{
    static const struct {
        const char *pattern;
        size_t len, at;
        uint8_t value;
        bool last; /* of two that match */
    } rows[] = {
        {"\x06\x03\x55\x1d\x13\x01\x01\xff", 8, 7, 0x01, false},
        {"\x06\x03\x55\x04\x03\x0c", 6, 5, 0x14, false}, /* the issuer's CN, T61String */
        {"\x06\x03\x55\x04\x03\x0c", 6, 5, 0x14, true},  /* the subject's */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_make(&f);
        const struct bytes pattern = bytes_of(rows[i].pattern, rows[i].len);
        find(&f, 4, pattern, rows[i].last ? 1 : 0)[rows[i].at] = rows[i].value;
        const uint8_t *end = f.chain.der[4].ptr;
        X509 *x = d2i_X509(NULL, &end, (long)f.chain.der[4].len);
        ck_assert_msg(x != NULL, "OpenSSL refuses it: the test tests nothing");
        X509_free(x);
        fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
    }
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    uint8_t *signature = find(&f, 4, bytes_of(alg_oid, sizeof alg_oid), 1) + sizeof alg_oid;
    ck_assert_uint_eq(signature[0], 0x03);
    ck_assert_uint_eq(signature[2], 0);
    signature[2] = 1;
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(wrong_serial_padded)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    uint8_t *serial = find(&f, 4, bytes_of("\x02\x01\x02\x02\x10", 5), 0) + 5;
    serial[0] = 0;
    serial[1] = 0x7f;
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

/* A length that reaches past the end; only a sanitizer sees the read that follows. */
START_TEST(long_inner_length)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    const size_t len = f.chain.der[4].len;
    uint8_t *exact = malloc(len);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, f.chain.der[4].ptr, len);
    f.doc.certificate = bytes_of(exact, len);
    static const struct {
        size_t at;
        uint8_t value;
    } lengths[] = {{6, 0xff}, {14, 0x7f}}; /* of the TBSCertificate, of the serial */
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        const uint8_t before = exact[lengths[i].at];
        exact[lengths[i].at] = lengths[i].value;
        fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
        exact[lengths[i].at] = before;
    }
    fixture_expect_ok(&f);
    free(exact);
}
END_TEST

START_TEST(junk_indefinite_length)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(buf_free) struct buf ber = {0};
    fixture_make(&f);
    const struct buf *der = &f.chain.der[4];
    ck_ok(buf_append(&ber, bytes_of("\x30\x80", 2)));
    ck_ok(buf_append(&ber, bytes_of(der->ptr + 4, der->len - 4)));
    ck_ok(buf_append(&ber, bytes_of("\0\0", 2)));
    f.doc.certificate = bytes_of_buf(&ber);
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(wrong_version)
{
    for (int version = 1; version <= 2; version++) {
        for (size_t i = 1; i < 5; i++) {
            CLEANUP(fixture_free) struct fixture f = {0};
            fixture_spec(&f);
            f.spec.cert[i].x509_version = version;
            fixture_refuse(&f, ERR_CERT_VERSION, fixture_field(i), CHAIN_RULES);
        }
    }
}
END_TEST

START_TEST(wrong_serial_negative)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    uint8_t *serial = find(&f, 4, bytes_of("\x02\x01\x02\x02\x10", 5), 0) + 5;
    *serial |= 0x80;
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

static void set_serial_22(X509 *x)
{
    BIGNUM *bn = NULL;
    ck_assert(BN_hex2bn(&bn, "01DEFECB6C0720EE694834E6767A557848A9BC8EB2FF") > 0);
    ck_assert(BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL);
    BN_free(bn);
}

START_TEST(long_serial)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    fixture_remake(&f, 4, set_serial_22);
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

/* ---- algorithm and key ---- */

START_TEST(wrong_curve)
{
    static const char *const curves[] = {"P-256", "P-521", "secp256k1"};
    for (size_t c = 0; c < ARRAY_LEN(curves); c++) {
        for (size_t i = 0; i < 5; i++) {
            CLEANUP(fixture_free) struct fixture f = {0};
            fixture_spec(&f);
            f.spec.cert[i].curve = curves[c];
            fixture_refuse(&f, ERR_CERT_ALGORITHM, fixture_field(i), CHAIN_RULES);
        }
    }
}
END_TEST

START_TEST(wrong_digest)
{
    static const char *const digests[] = {"SHA256", "SHA512", "SHA1"};
    for (size_t d = 0; d < ARRAY_LEN(digests); d++) {
        for (size_t i = 1; i < 5; i++) {
            CLEANUP(fixture_free) struct fixture f = {0};
            fixture_spec(&f);
            f.spec.cert[i].digest = digests[d];
            fixture_refuse(&f, ERR_CERT_ALGORITHM, fixture_field(i), CHAIN_RULES);
        }
    }
}
END_TEST

/* ecdsa-with-SHA256 outside the signed part, SHA-384 inside; then the other way. */
START_TEST(wrong_algorithm_outside_or_inside)
{
    for (unsigned place = 0; place < 2; place++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_make(&f);
        find(&f, 4, bytes_of(alg_oid, sizeof alg_oid), place)[sizeof alg_oid - 1] = 0x02;
        fixture_expect(&f, ERR_CERT_ALGORITHM, "certificate", CHAIN_RULES);
    }
}
END_TEST

static void explicit_parameters(X509 *x)
{
    EVP_PKEY *key = EVP_EC_gen("P-384");
    ck_assert(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING,
                                             OSSL_PKEY_EC_ENCODING_EXPLICIT) == 1);
    ck_assert(X509_set_pubkey(x, key) == 1);
    EVP_PKEY_free(key);
}

/* The curve itself, spelled out: a stranger's parameters never reach arithmetic. */
START_TEST(wrong_curve_explicit)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    fixture_remake(&f, 4, explicit_parameters);
    fixture_expect(&f, ERR_CERT_ALGORITHM, "certificate", CHAIN_RULES);
}
END_TEST

static void compressed_point(X509 *x)
{
    EVP_PKEY *key = EVP_EC_gen("P-384");
    ck_assert(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                             OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED) == 1);
    ck_assert(X509_set_pubkey(x, key) == 1);
    EVP_PKEY_free(key);
}

START_TEST(wrong_point_compressed)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    fixture_remake(&f, 4, compressed_point);
    fixture_expect(&f, ERR_CERT_ALGORITHM, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(wrong_point_hybrid)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    find(&f, 4, bytes_of(spki_head, sizeof spki_head), 0)[sizeof spki_head] = 0x06;
    fixture_expect(&f, ERR_CERT_ALGORITHM, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(junk_point_off_the_curve)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    find(&f, 4, bytes_of(spki_head, sizeof spki_head), 0)[sizeof spki_head + 96] ^= 1;
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

/* A point of the curve whose x, plus the field's prime, still fits 48 bytes. */
static void small_point(uint8_t x[static 48], uint8_t x_and_p[static 48], uint8_t y[static 48])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *p = BN_new(), *bx = BN_new(), *by = BN_new();
    ck_assert_int_eq(EC_GROUP_get_curve(group, p, NULL, NULL, NULL), 1);
    do
        ck_assert_int_eq(BN_add_word(bx, 1), 1);
    while (EC_POINT_set_compressed_coordinates(group, point, bx, 0, NULL) != 1);
    ck_assert_int_eq(EC_POINT_get_affine_coordinates(group, point, bx, by, NULL), 1);
    ck_assert_int_eq(BN_bn2binpad(bx, x, 48), 48);
    ck_assert_int_eq(BN_bn2binpad(by, y, 48), 48);
    ck_assert_int_eq(BN_add(bx, bx, p), 1);
    ck_assert_int_eq(BN_bn2binpad(bx, x_and_p, 48), 48);
    BN_free(by);
    BN_free(bx);
    BN_free(p);
    EC_POINT_free(point);
    EC_GROUP_free(group);
}

/* The same point written another way: one key, two certificates. */
START_TEST(junk_point_not_reduced)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    uint8_t x_and_p[48];
    fixture_make(&f);
    uint8_t *point = find(&f, 4, bytes_of(spki_head, sizeof spki_head), 0) + sizeof spki_head;
    small_point(point + 1, x_and_p, point + 49);
    fixture_expect(&f, ERR_CERT_SIGNATURE, "certificate", CHAIN_SIGNATURES); /* a key as any */
    memcpy(point + 1, x_and_p, sizeof x_and_p);
    fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

UNIT_MAIN("chain_forms", junk_certificate, no_certificate, junk_truncated, junk_trailing_byte,
          junk_length_not_shortest, junk_inner_length_not_shortest, junk_inner_form,
          wrong_serial_padded, long_inner_length, junk_indefinite_length, wrong_version,
          wrong_serial_negative, long_serial, wrong_curve, wrong_digest,
          wrong_algorithm_outside_or_inside, wrong_curve_explicit, wrong_point_compressed,
          wrong_point_hybrid, junk_point_off_the_curve, junk_point_not_reduced)
