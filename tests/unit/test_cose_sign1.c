/* COSE_Sign1, the envelope: each test breaks one thing and demands its exact error. */
#include "common/attdoc.h"
#include "cose_pieces.h"

/* ---- parse: tag and array ---- */

START_TEST(valid_pieces)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        PIECES(p, i);
        struct cose_sign1 msg;
        check_accepted(i, encode(&p), &msg);
        ck_assert_int_eq(msg.profile, i);
        ck_assert(bytes_equal_text(msg.payload, "payload"));
        ck_assert_ptr_eq(msg.payload.ptr, p.encoded.ptr + msg.payload_offset);
        ck_assert_ptr_eq(msg.protected_header.ptr, p.encoded.ptr + p.head.len + 1);
        ck_assert(bytes_equal(msg.kid, bytes_of(kid, is_own(i) ? COSE_KID_LEN : 0)));
        ck_assert_uint_eq(msg.signature.len, 2 * specs[i].half);
    }
}
END_TEST

START_TEST(valid_attestation_tagged)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        if (is_own(i))
            continue;
        PIECES(p, i);
        set_raw(&p.head, "\xd2\x84", 2);
        struct cose_sign1 msg;
        check_accepted(i, encode(&p), &msg);
        ck_assert_ptr_eq(msg.payload.ptr, p.encoded.ptr + msg.payload_offset);
    }
}
END_TEST

START_TEST(no_tag)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        if (!is_own(i))
            continue;
        PIECES(p, i);
        set_raw(&p.head, "\x84", 1);
        check_refused(i, encode(&p), ERR_COSE_MALFORMED, "cose");
    }
}
END_TEST

START_TEST(wrong_head)
{
    static const struct {
        const char *cbor;
        size_t len;
        enum err err;
    } rows[] = {
        {"\xd8\x3d\x84", 3, ERR_COSE_MALFORMED},         /* tag 61, CWT */
        {"\xd8\x3d\xd2\x84", 4, ERR_COSE_MALFORMED},     /* CWT of a COSE_Sign1 */
        {"\xd2\xd2\x84", 3, ERR_COSE_MALFORMED},         /* tag 18 twice */
        {"\xd2\xd8\x3d\x84", 4, ERR_COSE_MALFORMED},     /* 18 of 61 */
        {"\xd1\x84", 2, ERR_COSE_MALFORMED},             /* 17, COSE_Mac0 */
        {"\xd8\x62\x84", 3, ERR_COSE_MALFORMED},         /* 98, COSE_Sign */
        {"\xd9\xd9\xf7\xd2\x84", 5, ERR_COSE_MALFORMED}, /* 55799, self-described */
        {"\xd8\x12\x84", 3, ERR_CBOR_NOT_STRICT},        /* 18, not in its shortest form */
        {"\xd2\x83", 2, ERR_COSE_MALFORMED},             /* array of 3 */
        {"\xd2\x85", 2, ERR_COSE_MALFORMED},             /* array of 5 */
        {"\xd2\x80", 2, ERR_COSE_MALFORMED},
        {"\xd2\xa2", 2, ERR_COSE_MALFORMED},      /* map */
        {"\xd2\x41", 2, ERR_COSE_MALFORMED},      /* byte string */
        {"\xd2\x9f", 2, ERR_CBOR_NOT_STRICT},     /* array of indefinite length */
        {"\xd2\x98\x04", 3, ERR_CBOR_NOT_STRICT}, /* 4, not in its shortest form */
        {"\xd2\xff", 2, ERR_CBOR_MALFORMED},
    };
    for (enum cose_profile k = 0; k < COSE_PROFILE_COUNT; k++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            PIECES(p, k);
            set_raw(&p.head, rows[i].cbor, rows[i].len);
            check_refused(k, encode(&p), rows[i].err, "cose");
        }
    }
}
END_TEST

START_TEST(junk_trailing)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        PIECES(p, i);
        set_raw(&p.tail, "\0", 1);
        check_refused(i, encode(&p), ERR_CBOR_TRAILING, "cose");
    }
}
END_TEST

START_TEST(junk_truncated)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        PIECES(p, i);
        const struct bytes whole = encode(&p);
        struct cose_sign1 msg;
        for (size_t len = 0; len < whole.len; len++)
            ck_err(cose_sign1_parse(i, bytes_of(whole.ptr, len), &msg, NULL), ERR_CBOR_MALFORMED);
        ck_err(cose_sign1_parse(i, (struct bytes){0}, &msg, NULL), ERR_CBOR_MALFORMED);
    }
}
END_TEST

/* As many as a document has room for: refused at the second, at no cost. */
START_TEST(long_tags)
{
    static uint8_t tags[ATTDOC_LEN_MAX];
    struct cose_sign1 msg;
    struct fault fault = FAULT_NONE;
    memset(tags, 0xd2, sizeof tags);
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        ck_err(cose_sign1_parse(i, bytes_of(tags, sizeof tags), &msg, &fault), ERR_COSE_MALFORMED);
        ck_assert_uint_le(fault.offset, 1);
    }
}
END_TEST

/* ---- parse: headers ---- */

#define KID "\x04\x50xxxxxxxxxxxxxxxx"

START_TEST(wrong_protected)
{
    static const struct {
        const char *cbor;
        size_t len;
    } rows[] = {
        {"", 0},                     /* alg unprotected, or nowhere */
        {"\xa0", 1},                 /* the same, the long way */
        {"\xa1\x01\x27", 3},         /* EdDSA */
        {"\xa1\x01\x38\x23", 4},     /* ES512 */
        {"\xa1\x01\x26", 3},         /* ES256 without a kid */
        {"\xa1\x01\x38\x22", 4},     /* ES384 without a kid */
        {"\xa1\x01\x05", 3},         /* HMAC */
        {"\xa1\x01\x00", 3},         /* reserved */
        {"\xa1\x01\x39\x03\xe6", 5}, /* -999, unknown */
        {"\xa1\x01\x67unknown", 10},
        {"\xa1\x01\x65"
         "ES384",
         8},                                           /* alg as text */
        {"\xa1\x01\x39\x00\x22", 5},                   /* ES384, not in its shortest form */
        {"\xa2\x01\x38\x22\x03\x00", 6},               /* content type besides */
        {"\xa1\x01\x38\x22\x00", 5},                   /* a byte behind the map */
        {"\xbf\x01\x38\x22\xff", 5},                   /* indefinite */
        {"\xa2\x01\x38\x23" KID, 22},                  /* ES512 and a kid */
        {"\xa2\x01\x27" KID, 21},                      /* EdDSA and a kid */
        {"\xa2" KID "\x01\x26", 21},                   /* the other order */
        {"\xa3\x01\x26" KID "\x03\x00", 23},           /* content type besides */
        {"\xa2\x01\x26\x04\x4fxxxxxxxxxxxxxxx", 20},   /* kid of 15 bytes */
        {"\xa2\x01\x26\x04\x51xxxxxxxxxxxxxxxxx", 22}, /* of 17 */
        {"\xa2\x01\x26\x04\x60xxxxxxxxxxxxxxxx", 21},  /* kid as text */
    };
    for (enum cose_profile k = 0; k < COSE_PROFILE_COUNT; k++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            if (!is_own(k) && bytes_equal(bytes_of(rows[i].cbor, rows[i].len),
                                          bytes_of(specs[k].header, specs[k].header_len)))
                continue; /* the right one */
            PIECES(p, k);
            set_bytes(&p.header, rows[i].cbor, rows[i].len);
            check_refused(k, encode(&p), ERR_COSE_ALG, "cose.protected");
        }
    }
}
END_TEST

START_TEST(wrong_protected_type)
{
    PIECES(p, COSE_ATTESTATION);
    set_raw(&p.header, "\xa1\x01\x38\x22", 4);
    check_refused(COSE_ATTESTATION, encode(&p), ERR_CBOR_TYPE, "cose.protected");
    set_raw(&p.header, "\x60", 1);
    check_refused(COSE_ATTESTATION, encode(&p), ERR_CBOR_TYPE, "cose.protected");
    set_raw(&p.header, "\x58\x04\xa1\x01\x38\x22", 6);
    check_refused(COSE_ATTESTATION, encode(&p), ERR_CBOR_NOT_STRICT, "cose.protected");
}
END_TEST

/* Found and expected are both told, the found one not without limit. */
START_TEST(wrong_protected_detail)
{
    PIECES(p, COSE_ATTESTATION);
    struct cose_sign1 msg;
    struct fault fault = FAULT_NONE;
    set_bytes(&p.header, "\xa1\x01\x26", 3);
    ck_err(cose_sign1_parse(COSE_ATTESTATION, encode(&p), &msg, &fault), ERR_COSE_ALG);
    ck_assert_ptr_nonnull(strstr(fault.detail, "expected exactly a1013822 "));
    ck_assert_ptr_nonnull(strstr(fault.detail, "found a10126 (3 bytes)"));
    ck_assert_uint_eq(fault.offset, 2);
    set_bytes(&p.header, zeros, 5000);
    ck_err(cose_sign1_parse(COSE_ATTESTATION, encode(&p), &msg, &fault), ERR_COSE_ALG);
    ck_assert_ptr_nonnull(strstr(fault.detail, "000... (5000 bytes)"));
    set_bytes(&p.header, "", 0);
    ck_err(cose_sign1_parse(COSE_RECEIPT, encode(&p), &msg, &fault), ERR_COSE_MALFORMED);
    set_raw(&p.head, "\xd2\x84", 2);
    ck_err(cose_sign1_parse(COSE_RECEIPT, encode(&p), &msg, &fault), ERR_COSE_ALG);
    ck_assert_ptr_nonnull(strstr(fault.detail, "a201260450 and 16 bytes of kid"));
    ck_assert_ptr_nonnull(strstr(fault.detail, "found nothing"));
}
END_TEST

START_TEST(wrong_unprotected)
{
    static const struct {
        const char *cbor;
        size_t len;
        enum err err;
    } rows[] = {
        {"\xa1\x01\x38\x22", 4, ERR_COSE_MALFORMED}, /* alg */
        {"\xa1\x04\x41k", 4, ERR_COSE_MALFORMED},    /* kid */
        {"\xf6", 1, ERR_CBOR_TYPE},                  /* null */
        {"\x80", 1, ERR_CBOR_TYPE},
        {"\x41\xa0", 2, ERR_CBOR_TYPE},
        {"\xbf\xff", 2, ERR_CBOR_NOT_STRICT},
        {"\xb8\x00", 2, ERR_CBOR_NOT_STRICT},
    };
    for (enum cose_profile k = 0; k < COSE_PROFILE_COUNT; k++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            PIECES(p, k);
            set_raw(&p.unprotected, rows[i].cbor, rows[i].len);
            check_refused(k, encode(&p), rows[i].err, "cose.unprotected");
        }
    }
}
END_TEST

/* ---- parse: payload and signature ---- */

START_TEST(wrong_payload)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        PIECES(p, i);
        set_raw(&p.payload, "\xf6", 1); /* detached */
        check_refused(i, encode(&p), ERR_COSE_MALFORMED, "cose.payload");
        set_raw(&p.payload, "\x40", 1);
        check_refused(i, encode(&p), ERR_COSE_MALFORMED, "cose.payload");
        set_raw(&p.payload, "\x67payload", 8);
        check_refused(i, encode(&p), ERR_CBOR_TYPE, "cose.payload");
        set_raw(&p.payload, "\xa0", 1);
        check_refused(i, encode(&p), ERR_CBOR_TYPE, "cose.payload");
        set_raw(&p.payload, "\x5f\x41p\xff", 4);
        check_refused(i, encode(&p), ERR_CBOR_NOT_STRICT, "cose.payload");
        set_raw(&p.payload, "\x58\x01p", 3);
        check_refused(i, encode(&p), ERR_CBOR_NOT_STRICT, "cose.payload");
    }
}
END_TEST

START_TEST(long_payload)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        PIECES(p, i);
        struct cose_sign1 msg;
        set_bytes(&p.payload, zeros, specs[i].payload_max);
        check_accepted(i, encode(&p), &msg);
        ck_assert_uint_eq(msg.payload.len, specs[i].payload_max);
        set_bytes(&p.payload, zeros, specs[i].payload_max + 1);
        check_refused(i, encode(&p), ERR_TOO_LARGE, "cose.payload");
    }
}
END_TEST

START_TEST(wrong_signature_form)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        const size_t right = 2 * specs[i].half;
        const size_t lens[] = {
            0, 1, right - 1, right + 1, right == 64 ? 96 : 64, right == 132 ? 128 : 132};
        PIECES(p, i);
        for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
            set_bytes(&p.signature, zeros, lens[k]);
            check_refused(i, encode(&p), ERR_COSE_MALFORMED, "cose.signature");
        }
        set_raw(&p.signature, "\xf6", 1);
        check_refused(i, encode(&p), ERR_CBOR_TYPE, "cose.signature");
        set_raw(&p.signature, "\x60", 1);
        check_refused(i, encode(&p), ERR_CBOR_TYPE, "cose.signature");
    }
}
END_TEST

UNIT_MAIN("cose_sign1", valid_pieces, valid_attestation_tagged, no_tag, wrong_head, junk_trailing,
          junk_truncated, wrong_protected, wrong_protected_type, wrong_protected_detail,
          wrong_unprotected, wrong_payload, long_payload, wrong_signature_form, long_tags)
