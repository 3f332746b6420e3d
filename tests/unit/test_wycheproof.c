/* Wycheproof over the wrapping: each primitive through the function that the formats call,
 * keys through the parser of attested public keys.  ECDSA is in test_cose_vectors. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "common/hkdf.h"
#include "common/wrap_format.h"
#include "vectors.h"

SHARED_DEMAND("vectors/wycheproof")

static struct secret *secret_of(struct bytes in)
{
    struct secret *s = NULL;
    ck_ok(secret_new(in.len, &s));
    if (in.len > 0)
        memcpy(secret_ptr(s), in.ptr, in.len);
    return s;
}

/* ---- RSA-OAEP ---- */

/* What is decrypted is the message; and it is a key for us where it has a key's length. */
static enum err run_oaep(const json_t *group, const json_t *test)
{
    CLEANUP(buf_free) struct buf pkcs8 = vectors_member(group, "privateKeyPkcs8");
    CLEANUP(buf_free) struct buf msg = vectors_member(test, "msg");
    CLEANUP(buf_free) struct buf ct = vectors_member(test, "ct");
    const uint8_t *at = pkcs8.ptr;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)pkcs8.len);
    ck_assert_ptr_nonnull(key);
    CLEANUP(secret_freep) struct secret *opened = NULL;
    CLEANUP(secret_freep) struct secret *keys = NULL;
    size_t len = 0;
    const enum err err = wrap_rsa_decrypt(key, bytes_of_buf(&ct), &opened, &len);
    ck_assert(err != ERR_OK || bytes_equal(bytes_of(secret_ptr(opened), len), bytes_of_buf(&msg)));
    const enum err as_key = wrap_format_rsa_oaep_256.decapsulate(
        &wrap_format_rsa_oaep_256, key, bytes_of_buf(&ct), bytes_of("", 0), &keys);
    ck_err(as_key, err == ERR_OK && len == AEAD_KEY_LEN ? ERR_OK : ERR_CRYPTO);
    ck_assert(as_key != ERR_OK || memcmp(secret_ptr(keys), msg.ptr, AEAD_KEY_LEN) == 0);
    return err;
}

START_TEST(oaep)
{
    wycheproof_drive("wycheproof:oaep", ERR_CRYPTO, run_oaep);
}
END_TEST

/* ---- AES-GCM ---- */

/* Key and IV as the formats hand them on: one secret of 44 bytes. */
static enum err run_gcm(const json_t *group, const json_t *test)
{
    (void)group;
    CLEANUP(buf_free) struct buf key = vectors_member(test, "key");
    CLEANUP(buf_free) struct buf iv = vectors_member(test, "iv");
    CLEANUP(buf_free) struct buf aad = vectors_member(test, "aad");
    CLEANUP(buf_free) struct buf msg = vectors_member(test, "msg");
    CLEANUP(buf_free) struct buf ct = vectors_member(test, "ct");
    CLEANUP(buf_free) struct buf tag = vectors_member(test, "tag");
    ck_ok(buf_append(&key, bytes_of_buf(&iv)));
    ck_ok(buf_append(&ct, bytes_of_buf(&tag)));
    CLEANUP(secret_freep) struct secret *keys = secret_of(bytes_of_buf(&key));
    CLEANUP(secret_freep) struct secret *plain = secret_of(bytes_of_buf(&msg));
    CLEANUP(secret_freep) struct secret *opened = NULL;
    CLEANUP(buf_free) struct buf sealed = {0};
    const enum err err = wrap_aead_open(keys, 0, bytes_of_buf(&aad), bytes_of_buf(&ct), &opened);
    if (err != ERR_OK) {
        ck_assert_ptr_null(opened);
        return err;
    }
    ck_assert(bytes_equal(secret_view(opened), bytes_of_buf(&msg)));
    ck_ok(wrap_aead_seal(keys, 0, bytes_of_buf(&aad), plain, &sealed));
    ck_assert(bytes_equal(bytes_of_buf(&sealed), bytes_of_buf(&ct)));
    return ERR_OK;
}

START_TEST(gcm)
{
    wycheproof_drive("wycheproof:gcm", ERR_SIGNATURE, run_gcm);
}
END_TEST

/* ---- HKDF and HMAC ---- */

static enum err hkdf_case(const struct hkdf_hash *hash, const json_t *test)
{
    CLEANUP(buf_free) struct buf ikm = vectors_member(test, "ikm");
    CLEANUP(buf_free) struct buf salt = vectors_member(test, "salt");
    CLEANUP(buf_free) struct buf info = vectors_member(test, "info");
    CLEANUP(buf_free) struct buf okm = vectors_member(test, "okm");
    const struct bytes piece = bytes_of_buf(&ikm);
    const size_t size = (size_t)json_integer_value(json_object_get(test, "size"));
    uint8_t prk[HKDF_HASH_MAX];
    CLEANUP(buf_free) struct buf out = {0};
    ck_ok(buf_reserve(&out, size + 1));
    ck_ok(hkdf_extract(hash, bytes_of_buf(&salt), &piece, 1, prk));
    TRY(hkdf_expand(hash, prk, bytes_of_buf(&info), out.ptr, size));
    ck_assert(bytes_equal(bytes_of(out.ptr, size), bytes_of_buf(&okm)));
    return ERR_OK;
}

static const struct hkdf_hash sha256 = {"SHA256", 32};
static const struct hkdf_hash sha384 = {"SHA384", 48};

static enum err run_hkdf_sha256(const json_t *group, const json_t *test)
{
    (void)group;
    return hkdf_case(&sha256, test);
}

static enum err run_hkdf_sha384(const json_t *group, const json_t *test)
{
    (void)group;
    return hkdf_case(&sha384, test);
}

START_TEST(hkdf)
{
    wycheproof_drive("wycheproof:hkdf_sha256", ERR_CRYPTO, run_hkdf_sha256);
    wycheproof_drive("wycheproof:hkdf_sha384", ERR_CRYPTO, run_hkdf_sha384);
}
END_TEST

/* HKDF-Extract is HMAC, of a message in as many pieces as one likes. */
static enum err run_hmac(const json_t *group, const json_t *test)
{
    CLEANUP(buf_free) struct buf key = vectors_member(test, "key");
    CLEANUP(buf_free) struct buf msg = vectors_member(test, "msg");
    CLEANUP(buf_free) struct buf tag = vectors_member(test, "tag");
    const size_t cut = msg.len / 3;
    const struct bytes pieces[] = {bytes_of(msg.ptr, cut), bytes_of(msg.ptr + cut, msg.len - cut)};
    uint8_t mac[HKDF_HASH_MAX];
    const json_int_t bits = json_integer_value(json_object_get(group, "tagSize"));
    ck_assert_int_eq(bits, (json_int_t)tag.len * 8);
    ck_ok(hkdf_extract(&sha256, bytes_of_buf(&key), pieces, ARRAY_LEN(pieces), mac));
    return memcmp(mac, tag.ptr, tag.len) == 0 ? ERR_OK : ERR_CRYPTO;
}

START_TEST(hmac)
{
    wycheproof_drive("wycheproof:hmac", ERR_CRYPTO, run_hmac);
}
END_TEST

/* ---- Diffie and Hellman ---- */

static EVP_PKEY *p384_private(const json_t *test)
{
    CLEANUP(buf_free) struct buf raw = vectors_member(test, "private");
    CLEANUP(bn_freep) BIGNUM *scalar = BN_bin2bn(raw.ptr, (int)raw.len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-384", 0);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    ck_assert_int_eq(EVP_PKEY_fromdata_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static void ck_shared(const struct hpke_suite *suite, EVP_PKEY *own, EVP_PKEY *peer,
                      const json_t *test)
{
    CLEANUP(buf_free) struct buf shared = vectors_member(test, "shared");
    uint8_t out[HKDF_HASH_MAX];
    ck_ok(wrap_hpke_dh(suite, own, peer, out));
    ck_assert(bytes_equal(bytes_of(out, suite->dh_len), bytes_of_buf(&shared)));
}

/* The attested key: what another format takes is none for this one. */
static enum err parse_as(const char *format, struct bytes spki)
{
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    TRY(wrap_recipient_parse(spki, &recipient, NULL));
    return strcmp(wrap_recipient_format(recipient), format) == 0 ? ERR_OK : ERR_PUBLIC_KEY;
}

static enum err run_ecdh_spki(const json_t *group, const json_t *test)
{
    (void)group;
    CLEANUP(buf_free) struct buf spki = vectors_member(test, "public");
    CLEANUP(evp_pkey_freep) EVP_PKEY *peer = NULL;
    const enum err err = parse_as("hpke-p384", bytes_of_buf(&spki));
    const enum err key = spki_to_key(bytes_of_buf(&spki), &spki_p384, &peer);
    ck_assert_msg((err == ERR_OK) == (key == ERR_OK), "%s, and %s", err_wire(err), err_wire(key));
    if (err != ERR_OK)
        return err;
    CLEANUP(evp_pkey_freep) EVP_PKEY *own = p384_private(test);
    ck_shared(wrap_format_hpke_p384.suite, own, peer, test);
    return ERR_OK;
}

START_TEST(ecdh_spki)
{
    wycheproof_drive("wycheproof:ecdh_spki", ERR_PUBLIC_KEY, run_ecdh_spki);
}
END_TEST

/* A point alone is what an encapsulation is. */
static enum err run_ecdh_point(const json_t *group, const json_t *test)
{
    (void)group;
    static EVP_PKEY *any; /* an enclave's, whole: made once */
    if (any == NULL)
        any = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    CLEANUP(buf_free) struct buf point = vectors_member(test, "public");
    CLEANUP(secret_freep) struct secret *keys = NULL;
    const enum err err = wrap_hpke_decapsulate(wrap_format_hpke_p384.suite, any,
                                               bytes_of_buf(&point), bytes_of_text("info"), &keys);
    if (err != ERR_OK)
        return err;
    CLEANUP(evp_pkey_freep) EVP_PKEY *own = p384_private(test);
    CLEANUP(evp_pkey_freep) EVP_PKEY *peer = NULL;
    ck_ok(spki_point_to_key("P-384", bytes_of_buf(&point), &peer));
    ck_shared(wrap_format_hpke_p384.suite, own, peer, test);
    return ERR_OK;
}

START_TEST(ecdh_point)
{
    wycheproof_drive("wycheproof:ecdh_point", ERR_CRYPTO, run_ecdh_point);
}
END_TEST

/* Refused as a key where the result is zeros; and if it came that far, DH refuses it too. */
static enum err run_x25519(const json_t *group, const json_t *test)
{
    (void)group;
    CLEANUP(buf_free) struct buf point = vectors_member(test, "public");
    CLEANUP(buf_free) struct buf raw = vectors_member(test, "private");
    CLEANUP(buf_free) struct buf shared = vectors_member(test, "shared");
    CLEANUP(buf_free) struct buf spki = {0};
    ck_ok(buf_append(&spki, spki_x25519.prefix));
    ck_ok(buf_append(&spki, bytes_of_buf(&point)));
    CLEANUP(evp_pkey_freep) EVP_PKEY *peer = NULL;
    CLEANUP(evp_pkey_freep)
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, raw.ptr, raw.len);
    ck_ok(spki_point_to_key(NULL, bytes_of_buf(&point), &peer));
    const struct hpke_suite *suite = wrap_format_hpke_x25519.suite;
    const enum err err = parse_as("hpke-x25519", bytes_of_buf(&spki));
    uint8_t out[HKDF_HASH_MAX];
    ck_assert_int_eq(err == ERR_OK, !bytes_all_zero(bytes_of_buf(&shared)));
    if (err == ERR_OK)
        ck_shared(suite, own, peer, test);
    else
        ck_err(wrap_hpke_dh(suite, own, peer, out), ERR_CRYPTO);
    return err;
}

START_TEST(x25519)
{
    wycheproof_drive("wycheproof:x25519", ERR_PUBLIC_KEY, run_x25519);
}
END_TEST

UNIT_MAIN("wycheproof", oaep, gcm, hkdf, hmac, ecdh_spki, ecdh_point, x25519)
