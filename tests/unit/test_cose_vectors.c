/* Published vectors: the COSE working group's messages, Wycheproof's signatures. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "common/codec.h"
#include "common/cose_sign1.h"
#include "shared.h"
#include "unit.h"

SHARED_DEMAND("vectors/cose")

static void hex_to_buf(const char *hex, struct buf *out)
{
    const size_t len = strlen(hex) / 2;
    ck_ok(buf_reserve(out, len + 1));
    ck_ok(hex_decode(bytes_of_text(hex), out->ptr, len));
    out->len = len;
}

/* ---- the COSE working group's ---- */

/* What each is to a verifier whose table knows none of these kinds of message.
 * `signature`: whether ES256 over the message as it stands verifies. */
static const struct {
    const char *file;
    enum err as_attestation;
    enum err as_receipt;
    enum err signature;
    bool es256;
} vectors[] = {
    {"CWT__A_3", ERR_COSE_ALG, ERR_COSE_ALG, ERR_OK, true},
    {"RFC8152__Appendix_C_2_1", ERR_COSE_ALG, ERR_COSE_ALG, ERR_OK, true},
    {"countersign1__signed1-01", ERR_COSE_ALG, ERR_COSE_ALG, ERR_OK, false},
    {"countersign__signed1-01", ERR_COSE_ALG, ERR_COSE_ALG, ERR_OK, false},
    {"ecdsa-examples__ecdsa-sig-03", ERR_COSE_ALG, ERR_COSE_ALG, ERR_OK, false},
    {"ecdsa-examples__ecdsa-sig-04", ERR_COSE_ALG, ERR_COSE_ALG, ERR_OK, false},
    {"eddsa-examples__eddsa-sig-02", ERR_COSE_ALG, ERR_COSE_ALG, ERR_OK, false},
    /* tag 998 */
    {"sign1-tests__sign-fail-01", ERR_COSE_MALFORMED, ERR_COSE_MALFORMED, ERR_OK, true},
    {"sign1-tests__sign-fail-02", ERR_COSE_ALG, ERR_COSE_ALG, ERR_SIGNATURE, true},
    {"sign1-tests__sign-fail-06", ERR_COSE_ALG, ERR_COSE_ALG, ERR_SIGNATURE, true},
    {"sign1-tests__sign-fail-07", ERR_COSE_ALG, ERR_COSE_ALG, ERR_SIGNATURE, true},
    /* untagged */
    {"sign1-tests__sign-pass-03", ERR_COSE_ALG, ERR_COSE_MALFORMED, ERR_OK, true},
};

static json_t *load(size_t i, struct buf *message)
{
    char name[256];
    snprintf(name, sizeof name, "vectors/cose/%s.json", vectors[i].file);
    json_t *json = shared_json(name);
    hex_to_buf(shared_text(json_object_get(json, "output"), "cbor"), message);
    return json;
}

START_TEST(wrong_profile_of_vectors)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP(buf_free) struct buf message = {0};
        json_t *json = load(i, &message);
        struct cose_sign1 msg;
        for (enum cose_profile p = 0; p < COSE_PROFILE_COUNT; p++) {
            const enum err expected =
                p == COSE_ATTESTATION ? vectors[i].as_attestation : vectors[i].as_receipt;
            const enum err got = cose_sign1_parse(p, bytes_of_buf(&message), &msg, NULL);
            ck_assert_msg(got == expected, "%s: got %s, expected %s", vectors[i].file,
                          err_wire(got), err_wire(expected));
        }
        json_decref(json);
    }
}
END_TEST

/* A coordinate of a JWK, in hex or base64url. */
static void coordinate(const json_t *jwk, const char *name, uint8_t out[static 32])
{
    char member[8];
    snprintf(member, sizeof member, "%s_hex", name);
    const char *hex = json_string_value(json_object_get(jwk, member));
    if (hex != NULL) {
        ck_ok(hex_decode(bytes_of_text(hex), out, 32));
        return;
    }
    char text[64];
    snprintf(text, sizeof text, "%s=", shared_text(jwk, name)); /* 43 digits for 32 bytes */
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    CLEANUP(buf_free) struct buf decoded = {0};
    ck_ok(base64_decode(bytes_of_text(text), &decoded));
    ck_assert_uint_eq(decoded.len, 32);
    memcpy(out, decoded.ptr, 32);
}

static EVP_PKEY *key_from_jwk(const json_t *jwk)
{
    ck_assert_str_eq(shared_text(jwk, "crv"), "P-256");
    uint8_t point[65] = {4};
    coordinate(jwk, "x", point + 1);
    coordinate(jwk, "y", point + 33);
    char group[] = "prime256v1";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    ck_assert_int_eq(EVP_PKEY_fromdata_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* SHA-256 of the Sig_structure of a message as it stands; its signature. */
static void digest_of(struct bytes message, uint8_t digest[static SHA256_LEN],
                      struct bytes *signature)
{
    struct cbor_reader r;
    struct cbor_item item;
    struct bytes header, payload;
    cbor_reader_init(&r, message, 0, "", NULL);
    do
        ck_ok(cbor_reader_next(&r, &item));
    while (item.kind == CBOR_KIND_TAG);
    ck_ok(cbor_reader_bytes(&r, &header));
    ck_ok(cbor_reader_skip(&r, 4));
    ck_ok(cbor_reader_bytes(&r, &payload));
    ck_ok(cbor_reader_bytes(&r, signature));
    CLEANUP(buf_free) struct buf tbs = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &tbs);
    cbor_writer_array(&w, 4);
    cbor_writer_cstr(&w, "Signature1");
    cbor_writer_bytes(&w, header);
    cbor_writer_bytes(&w, bytes_of("", 0));
    cbor_writer_bytes(&w, payload);
    ck_ok(cbor_writer_finish(&w));
    ck_ok(digest_sha256(bytes_of_buf(&tbs), digest));
}

START_TEST(valid_and_wrong_signatures_of_vectors)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        if (!vectors[i].es256)
            continue;
        CLEANUP(buf_free) struct buf message = {0};
        json_t *json = load(i, &message);
        const json_t *input = json_object_get(json_object_get(json, "input"), "sign0");
        EVP_PKEY *key = key_from_jwk(json_object_get(input, "key"));
        uint8_t digest[SHA256_LEN];
        struct bytes signature;
        digest_of(bytes_of_buf(&message), digest, &signature);
        const enum err got =
            cose_ecdsa_verify(COSE_P256, key, bytes_of(digest, sizeof digest), signature, NULL);
        ck_assert_msg(got == vectors[i].signature, "%s: %s", vectors[i].file, err_wire(got));
        EVP_PKEY_free(key);
        json_decref(json);
    }
}
END_TEST

/* ---- Wycheproof's ---- */

static bool verify_case(enum cose_curve curve, EVP_PKEY *key, const json_t *test)
{
    CLEANUP(buf_free) struct buf msg = {0};
    CLEANUP(buf_free) struct buf sig = {0};
    hex_to_buf(shared_text(test, "msg"), &msg);
    hex_to_buf(shared_text(test, "sig"), &sig);
    uint8_t digest[SHA384_LEN];
    const size_t len = curve == COSE_P384 ? SHA384_LEN : SHA256_LEN;
    if (curve == COSE_P384)
        ck_ok(digest_sha384(bytes_of_buf(&msg), digest));
    else
        ck_ok(digest_sha256(bytes_of_buf(&msg), digest));
    const enum err got =
        cose_ecdsa_verify(curve, key, bytes_of(digest, len), bytes_of_buf(&sig), NULL);
    ck_assert_msg(got == ERR_OK || got == ERR_SIGNATURE, "%s", err_wire(got));
    return got == ERR_OK;
}

static void check_wycheproof(const char *file, enum cose_curve curve, unsigned valid_min,
                             unsigned invalid_min)
{
    json_t *json = shared_json(file);
    const json_t *groups = json_object_get(json, "testGroups");
    unsigned valid = 0, invalid = 0;
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        CLEANUP(buf_free) struct buf der = {0};
        hex_to_buf(shared_text(group, "publicKeyDer"), &der);
        const uint8_t *at = der.ptr;
        EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.len);
        ck_assert_ptr_nonnull(key);
        const json_t *tests = json_object_get(group, "tests");
        for (size_t k = 0; k < json_array_size(tests); k++) {
            const json_t *test = json_array_get(tests, k);
            const bool expected = strcmp(shared_text(test, "result"), "valid") == 0;
            ck_assert_msg(verify_case(curve, key, test) == expected, "%s: tcId %lld: %s", file,
                          json_integer_value(json_object_get(test, "tcId")),
                          shared_text(test, "comment"));
            valid += expected;
            invalid += !expected;
        }
        EVP_PKEY_free(key);
    }
    json_decref(json);
    ck_assert_uint_ge(valid, valid_min);
    ck_assert_uint_ge(invalid, invalid_min);
}

START_TEST(valid_and_wrong_wycheproof_p384)
{
    check_wycheproof("vectors/wycheproof/ecdsa_secp384r1_sha384_p1363_test.json", COSE_P384, 100,
                     50);
}
END_TEST

START_TEST(valid_and_wrong_wycheproof_p256)
{
    check_wycheproof("vectors/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json", COSE_P256, 100,
                     50);
}
END_TEST

UNIT_MAIN("cose_vectors", wrong_profile_of_vectors, valid_and_wrong_signatures_of_vectors,
          valid_and_wrong_wycheproof_p384, valid_and_wrong_wycheproof_p256)
