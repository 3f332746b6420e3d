/* OpenSSL 3.0 has no other way to fix its random generator than the deprecated one. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "fixed_keys.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>

#include "common/cbor_writer.h"
#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "common/spki.h"

#define HOUR_MS UINT64_C(3600000)

/* SplitMix64. */
static uint64_t state;

static int random_bytes(unsigned char *out, int len)
{
    for (int i = 0; i < len; i++) {
        uint64_t x = state += UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        out[i] = (unsigned char)(x >> 32);
    }
    return 1;
}

static int random_status(void)
{
    return 1;
}

void fuzz_fix_random(void)
{
    static const RAND_METHOD method = {
        .bytes = random_bytes, .pseudorand = random_bytes, .status = random_status};
    FUZZ_HOLDS(RAND_set_rand_method(&method) == 1);
    state = 0;
}

static void pin(EVP_PKEY *key, struct issuer_pins *out)
{
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(buf_free) struct buf pem = {0};
    FUZZ_OK(spki_append(key, &spki));
    FUZZ_OK(buf_append_text(&pem, "-----BEGIN PUBLIC KEY-----\n"));
    FUZZ_OK(base64_append(&pem, bytes_of_buf(&spki)));
    FUZZ_OK(buf_append_text(&pem, "\n-----END PUBLIC KEY-----\n"));
    FUZZ_OK(issuer_pins_parse(bytes_of_buf(&pem), out, NULL));
}

/* A sequence of its own: what comes after it is as if it had not been made. */
static EVP_PKEY *make_p521(void)
{
    const uint64_t before = state;
    state = 521;
    EVP_PKEY *key = EVP_EC_gen("P-521");
    state = before;
    return key;
}

const struct fuzz_keys *fuzz_keys(void)
{
    static struct fuzz_keys keys;
    if (keys.issuer != NULL)
        return &keys;
    fuzz_fix_random();
    keys.issuer = EVP_EC_gen("P-384");
    keys.receipt = EVP_EC_gen("P-256");
    keys.stranger384 = EVP_EC_gen("P-384");
    keys.stranger256 = EVP_EC_gen("P-256");
    keys.p521 = make_p521();
    FUZZ_HOLDS(keys.issuer != NULL && keys.receipt != NULL && keys.stranger384 != NULL &&
               keys.stranger256 != NULL && keys.p521 != NULL);
    pin(keys.issuer, &keys.pins);
    return &keys;
}

void fuzz_sign(enum cose_profile profile, EVP_PKEY *key, struct bytes payload, struct buf *message)
{
    uint8_t kid[COSE_KID_LEN];
    FUZZ_OK(cose_key_id(key, kid));
    /* A payload that no profile has (empty, too large) leaves the message empty. */
    const bool own = profile >= COSE_RECEIPT && profile <= COSE_SEALING_KEY;
    const enum err err = cose_sign1_sign(profile, own ? kid : NULL, payload, key, message);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_TOO_LARGE || err == ERR_COSE_MALFORMED);
}

bool fuzz_signature_holds(EVP_PKEY *key, const char *digest, struct bytes header,
                          const char *external_aad, struct bytes payload, struct bytes signature)
{
    CLEANUP(buf_free) struct buf message = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &message);
    cbor_writer_array(&w, 4);
    cbor_writer_cstr(&w, "Signature1");
    cbor_writer_bytes(&w, header);
    cbor_writer_bytes(&w, bytes_of_text(external_aad));
    cbor_writer_bytes(&w, payload);
    FUZZ_OK(cbor_writer_finish(&w));
    const int half = (int)(signature.len / 2);
    CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    FUZZ_HOLDS(sig != NULL && ECDSA_SIG_set0(sig, BN_bin2bn(signature.ptr, half, NULL),
                                             BN_bin2bn(signature.ptr + half, half, NULL)) == 1);
    CLEANUP(openssl_freep) uint8_t *der = NULL;
    const int der_len = i2d_ECDSA_SIG(sig, &der);
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    FUZZ_HOLDS(der_len > 0 && ctx != NULL);
    FUZZ_HOLDS(EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) == 1);
    return EVP_DigestVerify(ctx, der, (size_t)der_len, message.ptr, message.len) == 1;
}

const uint8_t fuzz_store_id[PROTOCOL_STORE_ID_LEN] = "0123456789:;<=>?";

void fuzz_delegation(struct buf *message)
{
    CLEANUP(buf_free) struct buf spki = {0};
    FUZZ_OK(spki_append(fuzz_keys()->receipt, &spki));
    FUZZ_OK(delegation_sign(fuzz_keys()->issuer, bytes_of_buf(&spki), fuzz_store_id, FUZZ_TIME_MS,
                            HOUR_MS, message));
}

static void fill(uint8_t *out, size_t len, uint8_t first)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

void fuzz_receipt(struct receipt *out)
{
    *out = (struct receipt){
        .time_ms = FUZZ_TIME_MS + 5, .audit_sequence = 300, .count = 2, .measurement_count = 2};
    fill(out->challenge, sizeof out->challenge, 0);
    fill(out->document_digest, sizeof out->document_digest, 0x10);
    fill(out->root, sizeof out->root, 0x20);
    memcpy(out->store_id, fuzz_store_id, sizeof out->store_id);
    out->item[0] = (struct receipt_item){.name = "db/main", .version = 7};
    out->item[1] = (struct receipt_item){.name = "x", .version = 2, .flags = 1};
    snprintf(out->measurement[0], sizeof out->measurement[0], "payments@1");
    snprintf(out->measurement[1], sizeof out->measurement[1], "payments@2");
}
