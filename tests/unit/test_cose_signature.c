/* COSE_Sign1, the signatures: made, verified, and refused for each reason alone. */
#include <openssl/x509.h>

#include "cose_pieces.h"
#include "hex.h"

/* ---- sign and verify ---- */

/* The Sig_structure of RFC 9052 section 4.4 made by the writer, and OpenSSL's own
 * one-call verification: neither is what the module uses. */
static void check_independently(const struct cose_sign1 *msg)
{
    CLEANUP(buf_free) struct buf tbs = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &tbs);
    cbor_writer_array(&w, 4);
    cbor_writer_cstr(&w, "Signature1");
    cbor_writer_bytes(&w, msg->protected_header);
    cbor_writer_bytes(&w, bytes_of_text(specs[msg->profile].aad));
    cbor_writer_bytes(&w, msg->payload);
    ck_ok(cbor_writer_finish(&w));

    const int half = (int)specs[msg->profile].half;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    ck_assert_int_eq(ECDSA_SIG_set0(sig, BN_bin2bn(msg->signature.ptr, half, NULL),
                                    BN_bin2bn(msg->signature.ptr + half, half, NULL)),
                     1);
    uint8_t *der = NULL;
    const int der_len = i2d_ECDSA_SIG(sig, &der);
    ck_assert_int_gt(der_len, 0);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ck_assert_int_eq(EVP_DigestVerifyInit_ex(ctx, NULL, specs[msg->profile].digest, NULL, NULL,
                                             key_of(msg->profile), NULL),
                     1);
    ck_assert_int_eq(EVP_DigestVerify(ctx, der, (size_t)der_len, tbs.ptr, tbs.len), 1);
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
}

START_TEST(valid_round_trip)
{
    static const size_t lens[] = {1, 23, 24, 255, 256, 16384, 65535, 65536, MIB};
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        for (size_t k = 0; k < ARRAY_LEN(lens) && lens[k] <= specs[i].payload_max; k++) {
            CLEANUP(buf_free) struct buf out = {0};
            ck_ok(buf_append_text(&out, "before"));
            sign(i, bytes_of(zeros, lens[k]), &out);
            ck_assert_mem_eq(out.ptr, "before", 6);
            ck_assert_int_eq(out.ptr[6], is_own(i) ? 0xd2 : 0x84);
            struct cose_sign1 msg;
            check_accepted(i, bytes_of(out.ptr + 6, out.len - 6), &msg);
            ck_assert_uint_eq(msg.payload.len, lens[k]);
            ck_ok(cose_sign1_verify(&msg, key_of(i), NULL));
            check_independently(&msg);
        }
    }
}
END_TEST

/* All but the signature is the same each time. */
START_TEST(valid_deterministic)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        CLEANUP(buf_free) struct buf a = {0};
        CLEANUP(buf_free) struct buf b = {0};
        PIECES(p, i);
        sign(i, bytes_of_text("payload"), &a);
        sign(i, bytes_of_text("payload"), &b);
        const struct bytes expected = encode(&p);
        ck_assert_uint_eq(a.len, expected.len);
        ck_assert_uint_eq(b.len, expected.len);
        ck_assert_mem_eq(a.ptr, expected.ptr, expected.len - 2 * specs[i].half);
        ck_assert_mem_eq(b.ptr, expected.ptr, expected.len - 2 * specs[i].half);
    }
}
END_TEST

/* Every bit of a message is under the signature or under the parser's rules. */
START_TEST(wrong_any_bit)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        CLEANUP(buf_free) struct buf out = {0};
        sign(i, bytes_of_text("payload"), &out);
        struct cose_sign1 msg;
        /* AWS's kinds are alike; P-521 is slow. */
        const size_t step = i >= COSE_EIF_ES256 ? 11 : 1;
        for (size_t bit = 0; bit < 8 * out.len; bit += step) {
            out.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            if (cose_sign1_parse(i, bytes_of_buf(&out), &msg, NULL) == ERR_OK)
                ck_err(cose_sign1_verify(&msg, key_of(i), NULL), ERR_SIGNATURE);
            out.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        check_accepted(i, bytes_of_buf(&out), &msg);
        ck_ok(cose_sign1_verify(&msg, key_of(i), NULL));
    }
}
END_TEST

/* One kind never passes for another, though keys are the same and payloads, too. */
START_TEST(wrong_kind_of_message)
{
    for (enum cose_profile made = 0; made < COSE_PROFILE_COUNT; made++) {
        CLEANUP(buf_free) struct buf out = {0};
        sign(made, bytes_of_text("payload"), &out);
        for (enum cose_profile read = 0; read < COSE_PROFILE_COUNT; read++) {
            struct cose_sign1 msg;
            if (read == made) {
                check_accepted(read, bytes_of_buf(&out), &msg);
                ck_ok(cose_sign1_verify(&msg, key_of(read), NULL));
            } else if (is_own(read) && !is_own(made)) {
                check_refused(read, bytes_of_buf(&out), ERR_COSE_MALFORMED, "cose");
            } else if (strcmp(specs[made].aad, "") == 0 &&
                       strcmp(specs[made].header, specs[read].header) == 0) {
                /* Both AWS's: the envelope is the same, payload and signer tell them apart
                 * (test_eif_signature: wrong_kind_of_message). */
                check_accepted(read, bytes_of_buf(&out), &msg);
                ck_ok(cose_sign1_verify(&msg, key_of(read), NULL));
            } else if (strcmp(specs[made].header, specs[read].header) != 0) {
                check_refused(read, bytes_of_buf(&out), ERR_COSE_ALG, "cose.protected");
            } else {
                check_accepted(read, bytes_of_buf(&out), &msg);
                ck_err(cose_sign1_verify(&msg, key_of(read), NULL), ERR_SIGNATURE);
            }
        }
    }
}
END_TEST

/* A document with its header put in place of a delegation's is none: external_aad. */
START_TEST(wrong_kind_same_key)
{
    CLEANUP(buf_free) struct buf out = {0};
    sign(COSE_ATTESTATION, bytes_of_text("payload"), &out);
    struct cose_sign1 msg;
    check_accepted(COSE_ATTESTATION, bytes_of_buf(&out), &msg);
    msg.profile = COSE_DELEGATION;
    ck_err(cose_sign1_verify(&msg, key_of(COSE_DELEGATION), NULL), ERR_SIGNATURE);
}
END_TEST

START_TEST(wrong_key)
{
    EVP_PKEY *const others[] = {EVP_EC_gen("secp256k1"), EVP_EC_gen("brainpoolP384r1"),
                                EVP_RSA_gen(2048), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
                                EVP_PKEY_Q_keygen(NULL, NULL, "X25519")};
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        CLEANUP(buf_free) struct buf out = {0};
        sign(i, bytes_of_text("payload"), &out);
        struct cose_sign1 msg;
        struct fault fault = FAULT_NONE;
        check_accepted(i, bytes_of_buf(&out), &msg);
        EVP_PKEY *same_curve = EVP_EC_gen(specs[i].curve);
        ck_err(cose_sign1_verify(&msg, same_curve, &fault), ERR_SIGNATURE);
        ck_assert_str_eq(fault.field, "cose.signature");
        EVP_PKEY_free(same_curve);
        for (enum cose_profile k = COSE_EIF_ES256; k <= COSE_EIF_ES512; k++) {
            if (specs[k].half == specs[i].half)
                continue;
            ck_err(cose_sign1_verify(&msg, key_of(k), &fault), ERR_COSE_ALG);
            ck_err(cose_sign1_sign(i, kid_of(i), msg.payload, key_of(k), &out), ERR_COSE_ALG);
        }
        for (size_t k = 0; k < ARRAY_LEN(others); k++) {
            ck_assert_ptr_nonnull(others[k]);
            ck_err(cose_sign1_verify(&msg, others[k], &fault), ERR_COSE_ALG);
            ck_assert_str_eq(fault.field, "cose.signature");
        }
    }
    for (size_t k = 0; k < ARRAY_LEN(others); k++)
        EVP_PKEY_free(others[k]);
}
END_TEST

START_TEST(wrong_sign_arguments)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        CLEANUP(buf_free) struct buf out = {0};
        const struct bytes payload = bytes_of_text("payload");
        const uint8_t *other_kid = is_own(i) ? NULL : kid;
        ck_err(cose_sign1_sign(i, other_kid, payload, key_of(i), &out), ERR_INTERNAL);
        ck_err(cose_sign1_sign(i, kid_of(i), bytes_of("", 0), key_of(i), &out), ERR_COSE_MALFORMED);
        ck_err(cose_sign1_sign(i, kid_of(i), bytes_of(zeros, specs[i].payload_max + 1), key_of(i),
                               &out),
               ERR_TOO_LARGE);
        uint8_t *der = NULL; /* a public key cannot sign */
        const int len = i2d_PUBKEY(key_of(i), &der);
        const uint8_t *at = der;
        EVP_PKEY *public_key = d2i_PUBKEY(NULL, &at, len);
        ck_err(cose_sign1_sign(i, kid_of(i), payload, public_key, &out), ERR_CRYPTO);
        EVP_PKEY_free(public_key);
        OPENSSL_free(der);
        ck_assert_uint_eq(out.len, 0);
    }
}
END_TEST

/* ---- r and s ---- */

static BIGNUM *order_of(enum cose_profile profile)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(EC_curve_nist2nid(specs[profile].curve));
    ck_assert_ptr_nonnull(group);
    BIGNUM *order = BN_dup(EC_GROUP_get0_order(group));
    EC_GROUP_free(group);
    ck_assert_ptr_nonnull(order);
    return order;
}

START_TEST(valid_high_and_low_s)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        const int half = (int)specs[i].half;
        CLEANUP(buf_free) struct buf out = {0};
        sign(i, bytes_of_text("payload"), &out);
        struct cose_sign1 msg;
        check_accepted(i, bytes_of_buf(&out), &msg);
        BIGNUM *order = order_of(i);
        BIGNUM *s = BN_bin2bn(msg.signature.ptr + half, half, NULL);
        uint8_t before[HALF_MAX];
        memcpy(before, msg.signature.ptr + half, (size_t)half);
        ck_assert_int_eq(BN_sub(s, order, s), 1);
        ck_assert_int_eq(BN_bn2binpad(s, out.ptr + out.len - half, half), half);
        ck_assert_mem_ne(before, msg.signature.ptr + half, (size_t)half);
        ck_ok(cose_sign1_verify(&msg, key_of(i), NULL));
        BN_free(s);
        BN_free(order);
    }
}
END_TEST

static void check_number(enum cose_profile profile, const struct cose_sign1 *msg, size_t at,
                         const uint8_t *number, const char *why)
{
    uint8_t signature[2 * HALF_MAX];
    const size_t half = specs[profile].half;
    memcpy(signature, msg->signature.ptr, 2 * half);
    memcpy(signature + at, number, half);
    struct cose_sign1 changed = *msg;
    changed.signature = bytes_of(signature, 2 * half);
    struct fault fault = FAULT_NONE;
    ck_err(cose_sign1_verify(&changed, key_of(profile), &fault), ERR_SIGNATURE);
    ck_assert_msg(strstr(fault.detail, why) != NULL, "%s", fault.detail);
}

START_TEST(wrong_numbers)
{
    for (enum cose_profile i = 0; i < COSE_PROFILE_COUNT; i++) {
        const int half = (int)specs[i].half;
        CLEANUP(buf_free) struct buf out = {0};
        sign(i, bytes_of_text("payload"), &out);
        struct cose_sign1 msg;
        check_accepted(i, bytes_of_buf(&out), &msg);
        BIGNUM *order = order_of(i);
        uint8_t n[HALF_MAX], n_less_1[HALF_MAX], one[HALF_MAX] = {0}, ones[HALF_MAX];
        one[half - 1] = 1;
        memset(ones, 0xff, sizeof ones);
        ck_assert_int_eq(BN_bn2binpad(order, n, half), half);
        ck_assert_int_eq(BN_sub_word(order, 1), 1);
        ck_assert_int_eq(BN_bn2binpad(order, n_less_1, half), half);
        for (size_t at = 0; at <= (size_t)half; at += (size_t)half) {
            check_number(i, &msg, at, zeros, "r or s");
            check_number(i, &msg, at, n, "r or s");
            check_number(i, &msg, at, ones, "r or s");
            check_number(i, &msg, at, n_less_1, "does not verify");
            check_number(i, &msg, at, one, "does not verify");
        }
        BN_free(order);
    }
}
END_TEST

START_TEST(wrong_ecdsa_sizes)
{
    EVP_PKEY *key = key_of(COSE_ATTESTATION);
    uint8_t signature[97];
    memset(signature, 1, sizeof signature);
    for (size_t len = 0; len <= sizeof signature; len++)
        ck_err(
            cose_ecdsa_verify(COSE_P384, key, bytes_of(zeros, 48), bytes_of(signature, len), NULL),
            ERR_SIGNATURE);
    ck_err(cose_ecdsa_verify(COSE_P384, key, bytes_of(zeros, 32), bytes_of(signature, 96), NULL),
           ERR_INTERNAL);
    ck_err(cose_ecdsa_verify(COSE_P256, key, bytes_of(zeros, 32), bytes_of(signature, 64), NULL),
           ERR_COSE_ALG);
}
END_TEST

/* ---- digests and key ids ---- */

/* FIPS 180-4's examples. */
START_TEST(valid_digests)
{
    uint8_t out[SHA384_LEN];
    ck_ok(digest_sha384(bytes_of_text("abc"), out));
    ck_hex(bytes_of(out, SHA384_LEN),
           "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
           "8086072ba1e7cc2358baeca134c825a7");
    ck_ok(digest_sha256(bytes_of_text("abc"), out));
    ck_hex(bytes_of(out, SHA256_LEN),
           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ck_ok(digest_sha256((struct bytes){0}, out));
    ck_hex(bytes_of(out, SHA256_LEN),
           "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(valid_key_id)
{
    for (enum cose_profile i = COSE_RECEIPT; i <= COSE_DELEGATION; i++) {
        uint8_t *der = NULL;
        const int len = i2d_PUBKEY(key_of(i), &der);
        ck_assert_int_gt(len, 0);
        uint8_t digest[SHA256_LEN];
        size_t digest_len = sizeof digest;
        ck_assert_int_eq(EVP_Q_digest(NULL, "SHA256", NULL, der, (size_t)len, digest, &digest_len),
                         1);
        uint8_t id[COSE_KID_LEN];
        ck_ok(cose_key_id(key_of(i), id));
        ck_assert_mem_eq(id, digest, COSE_KID_LEN);
        OPENSSL_free(der);
    }
}
END_TEST

UNIT_MAIN("cose_signature", valid_round_trip, valid_deterministic, wrong_any_bit,
          wrong_kind_of_message, wrong_kind_same_key, wrong_key, wrong_sign_arguments,
          valid_high_and_low_s, wrong_numbers, wrong_ecdsa_sizes, valid_digests, valid_key_id)
