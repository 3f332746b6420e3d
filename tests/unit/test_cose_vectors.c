/* Published vectors: the COSE working group's messages, Wycheproof's signatures. */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "common/codec.h"
#include "common/cose_sign1.h"
#include "common/openssl_cleanup.h"
#include "vectors.h"

SHARED_DEMAND("vectors/cose")

/* ---- the COSE working group's ---- */

/* A coordinate of a JWK, in hex or base64url; the caller frees. */
static struct buf coordinate(const json_t *jwk, const char *name)
{
    char member[8];
    snprintf(member, sizeof member, "%s_hex", name);
    if (json_object_get(jwk, member) != NULL)
        return vectors_member(jwk, member);
    char text[128];
    snprintf(text, sizeof text, "%s", shared_text(jwk, name));
    while (strlen(text) % 4 != 0)
        strcat(text, "=");
    for (char *c = text; *c != '\0'; c++)
        *c = (char)(*c == '-' ? '+' : *c == '_' ? '/' : *c);
    struct buf decoded = {0};
    ck_ok(base64_decode(bytes_of_text(text), &decoded));
    return decoded;
}

static EVP_PKEY *ec_key(const json_t *jwk)
{
    CLEANUP(buf_free) struct buf x = coordinate(jwk, "x");
    CLEANUP(buf_free) struct buf y = coordinate(jwk, "y");
    CLEANUP(buf_free) struct buf point = {0};
    ck_ok(buf_append_text(&point, "\x04"));
    ck_ok(buf_append(&point, bytes_of_buf(&x)));
    ck_ok(buf_append(&point, bytes_of_buf(&y)));
    char group[16];
    snprintf(group, sizeof group, "%s", shared_text(jwk, "crv"));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.ptr, point.len),
        OSSL_PARAM_construct_end(),
    };
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    ck_assert_int_eq(EVP_PKEY_fromdata_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    return key;
}

static EVP_PKEY *key_of(const json_t *jwk)
{
    if (strcmp(shared_text(jwk, "kty"), "EC") == 0)
        return ec_key(jwk);
    ck_assert_str_eq(shared_text(jwk, "kty"), "OKP");
    CLEANUP(buf_free) struct buf x = coordinate(jwk, "x");
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key_ex(NULL, shared_text(jwk, "crv"), NULL, x.ptr, x.len);
    ck_assert_ptr_nonnull(key);
    return key;
}

/* The digest that goes with each curve here. */
static enum err verify_over(enum cose_curve curve, EVP_PKEY *key, struct bytes signed_bytes,
                            struct bytes signature)
{
    static const char *const names[COSE_CURVE_COUNT] = {"SHA256", "SHA384", "SHA512"};
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t len = 0;
    ck_assert_int_eq(EVP_Q_digest(NULL, names[curve], NULL,
                                  signed_bytes.len == 0 ? (const void *)"" : signed_bytes.ptr,
                                  signed_bytes.len, digest, &len),
                     1);
    return cose_ecdsa_verify(curve, key, bytes_of(digest, len), signature, NULL);
}

static enum cose_curve curve_of(const char *algorithm)
{
    return strstr(algorithm, "256") != NULL   ? COSE_P256
           : strstr(algorithm, "512") != NULL ? COSE_P521
                                              : COSE_P384;
}

/* The signature of the message as it stands, by `curve`, whatever its header says. */
static enum err verify_as(enum cose_curve curve, EVP_PKEY *key, struct bytes message)
{
    struct cbor_reader r;
    struct cbor_item item;
    struct bytes header, payload, signature;
    cbor_reader_init(&r, message, 0, "", NULL);
    do
        ck_ok(cbor_reader_next(&r, &item));
    while (item.kind == CBOR_KIND_TAG);
    ck_ok(cbor_reader_bytes(&r, &header));
    ck_ok(cbor_reader_skip(&r, 4));
    ck_ok(cbor_reader_bytes(&r, &payload));
    ck_ok(cbor_reader_bytes(&r, &signature));
    CLEANUP(buf_free) struct buf tbs = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &tbs);
    cbor_writer_array(&w, 4);
    cbor_writer_cstr(&w, "Signature1");
    cbor_writer_bytes(&w, header);
    cbor_writer_bytes(&w, bytes_of("", 0));
    cbor_writer_bytes(&w, payload);
    ck_ok(cbor_writer_finish(&w));
    return verify_over(curve, key, bytes_of_buf(&tbs), signature);
}

/* Each message as every kind of ours, then its signature alone. */
START_TEST(messages)
{
    static const char *const kinds[COSE_PROFILE_COUNT] = {
        "as an attestation",     "as a receipt",         "as a delegation",
        "as a checkpoint",       "as a sealing key",     "image signature ES256",
        "image signature ES384", "image signature ES512"};
    struct vectors v;
    vectors_begin(&v, "cose_vectors:messages");
    for (size_t i = 0; i < v.files.gl_pathc; i++) {
        const char *file = vectors_file(&v, i);
        json_t *json = shared_json(file);
        const json_t *input = json_object_get(json_object_get(json, "input"), "sign0");
        const enum vectors_theirs theirs =
            json_is_true(json_object_get(json, "fail")) ? VECTORS_INVALID : VECTORS_VALID;
        CLEANUP(buf_free)
        struct buf message = vectors_member(json_object_get(json, "output"), "cbor");
        struct cose_sign1 msg;
        for (enum cose_profile p = 0; p < COSE_PROFILE_COUNT; p++)
            vectors_judge(&v, file, kinds[p], theirs, ERR_COSE_ALG,
                          cose_sign1_parse(p, bytes_of_buf(&message), &msg, NULL));
        CLEANUP(evp_pkey_freep) EVP_PKEY *key = key_of(json_object_get(input, "key"));
        vectors_judge(&v, file, "signature", theirs, ERR_SIGNATURE,
                      verify_as(curve_of(shared_text(input, "alg")), key, bytes_of_buf(&message)));
        json_decref(json);
    }
    vectors_end(&v);
}
END_TEST

/* ---- Wycheproof's ---- */

static EVP_PKEY *group_key(const json_t *group)
{
    CLEANUP(buf_free) struct buf der = vectors_member(group, "publicKeyDer");
    const uint8_t *at = der.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.len);
    ck_assert_ptr_nonnull(key);
    return key;
}

/* r | s, as COSE has it; under another curve's algorithm the key is refused. */
static enum err run_p1363(const json_t *group, const json_t *test)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = group_key(group);
    CLEANUP(buf_free) struct buf msg = vectors_member(test, "msg");
    CLEANUP(buf_free) struct buf sig = vectors_member(test, "sig");
    const enum cose_curve own = curve_of(shared_text(group, "sha"));
    for (enum cose_curve curve = 0; curve < COSE_CURVE_COUNT; curve++) {
        if (curve != own)
            ck_err(verify_over(curve, key, bytes_of_buf(&msg), bytes_of_buf(&sig)), ERR_COSE_ALG);
    }
    return verify_over(own, key, bytes_of_buf(&msg), bytes_of_buf(&sig));
}

START_TEST(wycheproof_p1363)
{
    wycheproof_drive("cose_vectors:wycheproof_p1363", ERR_SIGNATURE, run_p1363);
}
END_TEST

/* DER, as certificates have it: a certificate's signature is verified by X509_verify, and
 * that comes to this call with the same key and digest.  The rule is OpenSSL's; the test
 * is that the one we run on keeps it. */
static enum err run_der(const json_t *group, const json_t *test)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = group_key(group);
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CLEANUP(buf_free) struct buf msg = vectors_member(test, "msg");
    CLEANUP(buf_free) struct buf sig = vectors_member(test, "sig");
    ck_assert_str_eq(shared_text(group, "sha"), "SHA-384");
    ck_assert_int_eq(EVP_DigestVerifyInit_ex(ctx, NULL, "SHA384", NULL, NULL, key, NULL), 1);
    const int verified = EVP_DigestVerify(ctx, sig.ptr, sig.len, msg.ptr, msg.len);
    ERR_clear_error();
    return verified == 1 ? ERR_OK : ERR_CERT_SIGNATURE;
}

START_TEST(wycheproof_der)
{
    wycheproof_drive("cose_vectors:wycheproof_der", ERR_CERT_SIGNATURE, run_der);
}
END_TEST

UNIT_MAIN("cose_vectors", messages, wycheproof_p1363, wycheproof_der)
