/* Issuer pins and delegations: who may name a receipt key, and when. */
#include "unit.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "common/receipt.h"

static struct fault fault;

#define FROM_MS  1795000000000
#define UNTIL_MS 1802776000000

static EVP_PKEY *ec_key(const char *curve)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
    ck_assert_ptr_nonnull(key);
    return key;
}

static void append_bio(BIO *bio, struct buf *out)
{
    char *text = NULL;
    const long len = BIO_get_mem_data(bio, &text);
    ck_assert_int_gt(len, 0);
    ck_ok(buf_append(out, bytes_of(text, (size_t)len)));
    BIO_free(bio);
}

static void append_pem(EVP_PKEY *key, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PUBKEY(bio, key), 1);
    append_bio(bio, out);
}

static size_t spki_of(EVP_PKEY *key, uint8_t *out, size_t size)
{
    ck_assert_int_le(i2d_PUBKEY(key, NULL), (int)size);
    uint8_t *end = out;
    return (size_t)i2d_PUBKEY(key, &end);
}

START_TEST(valid_pins)
{
    CLEANUP(buf_free) struct buf pem = {0};
    EVP_PKEY *keys[ISSUER_PINS_MAX];
    for (size_t i = 0; i < ISSUER_PINS_MAX; i++) {
        keys[i] = ec_key("P-384");
        ck_ok(buf_append_text(&pem, i == 1 ? "\r\n \t\n" : ""));
        append_pem(keys[i], &pem);
    }
    CLEANUP(issuer_pins_free) struct issuer_pins pins = {0};
    ck_ok(issuer_pins_parse(bytes_of_buf(&pem), &pins, &fault));
    ck_assert_uint_eq(pins.count, ISSUER_PINS_MAX);
    for (size_t i = 0; i < ISSUER_PINS_MAX; i++) {
        ck_assert_int_eq(EVP_PKEY_eq(pins.key[i], keys[i]), 1);
        uint8_t spki[128];
        uint8_t digest[SHA256_LEN];
        ck_ok(digest_sha256(bytes_of(spki, spki_of(keys[i], spki, sizeof spki)), digest));
        ck_assert_mem_eq(pins.fingerprint[i], digest, SHA256_LEN);
        uint8_t kid[COSE_KID_LEN];
        ck_ok(cose_key_id(keys[i], kid));
        ck_assert_mem_eq(pins.kid[i], kid, COSE_KID_LEN);
        EVP_PKEY_free(keys[i]);
    }
}
END_TEST

static enum err parse_pins(const struct buf *pem)
{
    CLEANUP(issuer_pins_free) struct issuer_pins pins = {0};
    fault = (struct fault)FAULT_NONE;
    const enum err err = issuer_pins_parse(bytes_of_buf(pem), &pins, &fault);
    if (err != ERR_OK) {
        ck_assert_uint_eq(pins.count, 0);
        ck_assert_int_eq(fault.code, err);
    }
    return err;
}

START_TEST(valid_pins_crlf)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = ec_key("P-384");
    CLEANUP(buf_free) struct buf pem = {0};
    append_pem(key, &pem);
    CLEANUP(buf_free) struct buf crlf = {0};
    for (size_t i = 0; i < pem.len; i++) {
        ck_ok(buf_append_text(&crlf, pem.ptr[i] == '\n' ? "\r" : ""));
        ck_ok(buf_append(&crlf, bytes_of(pem.ptr + i, 1)));
    }
    ck_ok(parse_pins(&crlf));
}
END_TEST

START_TEST(no_pins)
{
    CLEANUP(buf_free) struct buf pem = {0};
    ck_err(parse_pins(&pem), ERR_CONFIG);
    ck_ok(buf_append_text(&pem, " \n\r\n"));
    ck_err(parse_pins(&pem), ERR_CONFIG);
    ck_assert_str_eq(fault.detail, "no issuer key");
}
END_TEST

START_TEST(long_pins)
{
    CLEANUP(buf_free) struct buf pem = {0};
    for (size_t i = 0; i <= ISSUER_PINS_MAX; i++) {
        CLEANUP(evp_pkey_freep) EVP_PKEY *key = ec_key("P-384");
        append_pem(key, &pem);
    }
    ck_err(parse_pins(&pem), ERR_CONFIG);
    ck_assert_str_eq(fault.detail, "more than 4 issuer keys");
}
END_TEST

START_TEST(wrong_pins_twice)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = ec_key("P-384");
    CLEANUP(buf_free) struct buf pem = {0};
    append_pem(key, &pem);
    append_pem(key, &pem);
    ck_err(parse_pins(&pem), ERR_CONFIG);
    ck_assert_str_eq(fault.detail, "key 2 is key 1 once more");
}
END_TEST

START_TEST(junk_pins_around)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = ec_key("P-384");
    static const struct {
        const char *before;
        const char *after;
    } rows[] = {
        {"x", ""},
        {"# our issuer\n", ""},
        {"", "x"},
        {"", "-----BEGIN PUBLIC KEY-----"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""},
        {"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", ""},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", ""},
        {"-----BEGIN PUBLIC KEY-----\nAA*A\n-----END PUBLIC KEY-----\n", ""},
        {"-----BEGIN PUBLIC KEY-----\n", ""},
        {"-----BEGIN PUBLIC KEY-----\nA: B\n\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free) struct buf pem = {0};
        ck_ok(buf_append_text(&pem, rows[i].before));
        append_pem(key, &pem);
        ck_ok(buf_append_text(&pem, rows[i].after));
        ck_err(parse_pins(&pem), ERR_CONFIG);
    }
    CLEANUP(buf_free) struct buf pem = {0};
    append_pem(key, &pem);
    ck_ok(buf_append(&pem, bytes_of("\0", 1)));
    ck_err(parse_pins(&pem), ERR_CONFIG);
}
END_TEST

START_TEST(wrong_pins_kind)
{
    static const char *const curves[] = {"P-256", "P-521", "secp256k1"};
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        CLEANUP(evp_pkey_freep) EVP_PKEY *key = ec_key(curves[i]);
        CLEANUP(buf_free) struct buf pem = {0};
        append_pem(key, &pem);
        ck_err(parse_pins(&pem), ERR_CONFIG);
    }
    CLEANUP(evp_pkey_freep) EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    CLEANUP(buf_free) struct buf pem = {0};
    append_pem(ed, &pem);
    ck_err(parse_pins(&pem), ERR_CONFIG);
    /* A private key has no place in an issuer file. */
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = ec_key("P-384");
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    pem.len = 0;
    append_bio(bio, &pem);
    ck_err(parse_pins(&pem), ERR_CONFIG);
}
END_TEST

START_TEST(wrong_pins_form)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = ec_key("P-384");
    ck_assert_int_eq(EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed"), 1);
    CLEANUP(buf_free) struct buf pem = {0};
    append_pem(key, &pem);
    ck_err(parse_pins(&pem), ERR_CONFIG);
    /* A point off the curve: one bit of y. */
    CLEANUP(evp_pkey_freep) EVP_PKEY *other = ec_key("P-384");
    uint8_t spki[120];
    ck_assert_uint_eq(spki_of(other, spki, sizeof spki), sizeof spki);
    spki[sizeof spki - 1] ^= 1;
    uint8_t text[200];
    ck_assert_int_eq(EVP_EncodeBlock(text, spki, sizeof spki), 160);
    pem.len = 0;
    ck_ok(buf_append_format(&pem, "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n",
                            (const char *)text));
    ck_err(parse_pins(&pem), ERR_CONFIG);
    spki[sizeof spki - 1] ^= 1;
    ck_assert_int_eq(EVP_EncodeBlock(text, spki, sizeof spki), 160);
    pem.len = 0;
    ck_ok(buf_append_format(&pem, "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n",
                            (const char *)text));
    ck_ok(parse_pins(&pem));
}
END_TEST

/* An issuer, its pin beside another one, and the delegation to a receipt key. */
struct party {
    EVP_PKEY *issuer;
    EVP_PKEY *receipt_key;
    struct issuer_pins pins;
    struct delegation delegation;
};

static void party_free(struct party *p)
{
    EVP_PKEY_free(p->issuer);
    EVP_PKEY_free(p->receipt_key);
    issuer_pins_free(&p->pins);
}

static void party_make(struct party *p)
{
    *p = (struct party){.issuer = ec_key("P-384"), .receipt_key = ec_key("P-256")};
    CLEANUP(evp_pkey_freep) EVP_PKEY *other = ec_key("P-384");
    CLEANUP(buf_free) struct buf pem = {0};
    append_pem(other, &pem);
    append_pem(p->issuer, &pem);
    ck_ok(issuer_pins_parse(bytes_of_buf(&pem), &p->pins, &fault));
    p->delegation.receipt_key_len =
        spki_of(p->receipt_key, p->delegation.receipt_key, sizeof p->delegation.receipt_key);
    p->delegation.not_before_ms = FROM_MS;
    p->delegation.not_after_ms = UNTIL_MS;
    memset(p->delegation.store_id, 0x33, sizeof p->delegation.store_id);
}

/* The delegation, signed by `key` under the pin's kid or that of `kid_of`. */
static void sign_delegation(const struct party *p, EVP_PKEY *key, EVP_PKEY *kid_of,
                            struct buf *message)
{
    CLEANUP(buf_free) struct buf payload = {0};
    ck_ok(delegation_append(&p->delegation, &payload));
    uint8_t kid[COSE_KID_LEN];
    ck_ok(cose_key_id(kid_of, kid));
    message->len = 0;
    ck_ok(cose_sign1_sign(COSE_DELEGATION, kid, bytes_of_buf(&payload), key, message));
}

static enum err verify_at(const struct party *p, const struct buf *message, uint64_t at_ms)
{
    struct delegation out = {.not_before_ms = 7};
    CLEANUP(evp_pkey_freep) EVP_PKEY *receipt_key = NULL;
    fault = (struct fault)FAULT_NONE;
    const enum err err =
        delegation_verify(bytes_of_buf(message), &p->pins, at_ms, &out, &receipt_key, &fault);
    ck_assert_int_eq(fault.code, err);
    ck_assert_int_eq(receipt_key == NULL, err != ERR_OK);
    if (err != ERR_OK) {
        ck_assert_uint_eq(out.not_before_ms, 7);
        return err;
    }
    ck_assert_int_eq(EVP_PKEY_eq(receipt_key, p->receipt_key), 1);
    ck_assert_uint_eq(out.not_before_ms, p->delegation.not_before_ms);
    ck_assert_uint_eq(out.not_after_ms, p->delegation.not_after_ms);
    ck_assert_mem_eq(out.store_id, p->delegation.store_id, sizeof out.store_id);
    ck_assert_mem_eq(out.receipt_key, p->delegation.receipt_key, DELEGATION_SPKI_LEN);
    return ERR_OK;
}

START_TEST(valid_delegation)
{
    CLEANUP(party_free) struct party p;
    party_make(&p);
    CLEANUP(buf_free) struct buf message = {0};
    sign_delegation(&p, p.issuer, p.issuer, &message);
    ck_ok(verify_at(&p, &message, FROM_MS));
    ck_ok(verify_at(&p, &message, FROM_MS + 1));
    ck_ok(verify_at(&p, &message, UNTIL_MS));
}
END_TEST

START_TEST(wrong_delegation_time)
{
    CLEANUP(party_free) struct party p;
    party_make(&p);
    CLEANUP(buf_free) struct buf message = {0};
    sign_delegation(&p, p.issuer, p.issuer, &message);
    ck_err(verify_at(&p, &message, FROM_MS - 1), ERR_DELEGATION_EXPIRED);
    ck_err(verify_at(&p, &message, UNTIL_MS + 1), ERR_DELEGATION_EXPIRED);
    ck_err(verify_at(&p, &message, 0), ERR_DELEGATION_EXPIRED);
    ck_err(verify_at(&p, &message, UINT64_MAX), ERR_DELEGATION_EXPIRED);
}
END_TEST

START_TEST(wrong_delegation_issuer)
{
    CLEANUP(party_free) struct party p;
    party_make(&p);
    CLEANUP(evp_pkey_freep) EVP_PKEY *stranger = ec_key("P-384");
    CLEANUP(buf_free) struct buf message = {0};
    sign_delegation(&p, stranger, stranger, &message);
    ck_err(verify_at(&p, &message, FROM_MS), ERR_ANSWER);
    /* The kid selects a pin, it vouches for nothing; nor do the other pins. */
    sign_delegation(&p, stranger, p.issuer, &message);
    ck_err(verify_at(&p, &message, FROM_MS), ERR_SIGNATURE);
    sign_delegation(&p, p.issuer, p.pins.key[0], &message);
    ck_err(verify_at(&p, &message, FROM_MS), ERR_SIGNATURE);
    CLEANUP(issuer_pins_free) struct issuer_pins none = {0};
    struct delegation out;
    EVP_PKEY *key = NULL;
    sign_delegation(&p, p.issuer, p.issuer, &message);
    ck_err(delegation_verify(bytes_of_buf(&message), &none, FROM_MS, &out, &key, NULL), ERR_ANSWER);
}
END_TEST

/* The same issuer has delegated to two stores; one of them is pinned. */
START_TEST(wrong_delegation_store)
{
    CLEANUP(party_free) struct party p;
    party_make(&p);
    CLEANUP(buf_free) struct buf message = {0};
    sign_delegation(&p, p.issuer, p.issuer, &message);
    p.pins.one_store = true;
    memcpy(p.pins.store_id, p.delegation.store_id, sizeof p.pins.store_id);
    ck_ok(verify_at(&p, &message, FROM_MS));
    p.pins.store_id[PROTOCOL_STORE_ID_LEN - 1] ^= 1;
    ck_err(verify_at(&p, &message, FROM_MS), ERR_ANSWER);
    char found[2 * PROTOCOL_STORE_ID_LEN + 1];
    char pinned[2 * PROTOCOL_STORE_ID_LEN + 1];
    char detail[sizeof fault.detail];
    hex_encode(bytes_of(p.delegation.store_id, PROTOCOL_STORE_ID_LEN), found);
    hex_encode(bytes_of(p.pins.store_id, PROTOCOL_STORE_ID_LEN), pinned);
    snprintf(detail, sizeof detail, "it is for the store %s, pinned is %s", found, pinned);
    ck_assert_str_eq(fault.detail, detail);
    p.pins.one_store = false;
    ck_ok(verify_at(&p, &message, FROM_MS));
}
END_TEST

START_TEST(wrong_delegation_signature)
{
    CLEANUP(party_free) struct party p;
    party_make(&p);
    CLEANUP(buf_free) struct buf message = {0};
    sign_delegation(&p, p.issuer, p.issuer, &message);
    message.ptr[message.len - 1] ^= 1;
    ck_err(verify_at(&p, &message, FROM_MS), ERR_SIGNATURE);
    message.ptr[message.len - 1] ^= 1;
    message.ptr[message.len - 120] ^= 1; /* in the payload's store id */
    ck_err(verify_at(&p, &message, FROM_MS), ERR_SIGNATURE);
}
END_TEST

/* A checkpoint or a receipt never passes for a delegation, whoever signed it. */
START_TEST(wrong_delegation_profile)
{
    CLEANUP(party_free) struct party p;
    party_make(&p);
    CLEANUP(buf_free) struct buf payload = {0};
    ck_ok(delegation_append(&p.delegation, &payload));
    CLEANUP(buf_free) struct buf message = {0};
    ck_ok(cose_sign1_sign(COSE_RECEIPT, p.pins.kid[1], bytes_of_buf(&payload), p.receipt_key,
                          &message));
    ck_err(verify_at(&p, &message, FROM_MS), ERR_COSE_ALG);
    message.len = 0;
    ck_ok(cose_sign1_sign(COSE_ATTESTATION, NULL, bytes_of_buf(&payload), p.issuer, &message));
    ck_assert_int_ne(verify_at(&p, &message, FROM_MS), ERR_OK);
}
END_TEST

START_TEST(junk_delegation_payload)
{
    CLEANUP(party_free) struct party p;
    party_make(&p);
    CLEANUP(buf_free) struct buf message = {0};
    ck_ok(cose_sign1_sign(COSE_DELEGATION, p.pins.kid[1], bytes_of("\xa0", 1), p.issuer, &message));
    ck_err(verify_at(&p, &message, FROM_MS), ERR_CBOR_TYPE);
}
END_TEST

START_TEST(wrong_delegation_receipt_key)
{
    CLEANUP(party_free) struct party p;
    party_make(&p);
    CLEANUP(buf_free) struct buf message = {0};
    uint8_t *const spki = p.delegation.receipt_key;
    spki[DELEGATION_SPKI_LEN - 1] ^= 1; /* off the curve */
    sign_delegation(&p, p.issuer, p.issuer, &message);
    ck_err(verify_at(&p, &message, FROM_MS), ERR_ANSWER);
    spki[DELEGATION_SPKI_LEN - 1] ^= 1;
    spki[22] ^= 1; /* another curve's name */
    sign_delegation(&p, p.issuer, p.issuer, &message);
    ck_err(verify_at(&p, &message, FROM_MS), ERR_ANSWER);
    spki[22] ^= 1;
    spki[26] = (uint8_t)(6 + (spki[DELEGATION_SPKI_LEN - 1] & 1)); /* RFC 5480: hybrid */
    sign_delegation(&p, p.issuer, p.issuer, &message);
    ck_err(verify_at(&p, &message, FROM_MS), ERR_ANSWER);
    spki[26] = 4;
    sign_delegation(&p, p.issuer, p.issuer, &message);
    ck_ok(verify_at(&p, &message, FROM_MS));
}
END_TEST

UNIT_MAIN("issuer", valid_pins, valid_pins_crlf, no_pins, long_pins, wrong_pins_twice,
          junk_pins_around, wrong_pins_kind, wrong_pins_form, valid_delegation,
          wrong_delegation_time, wrong_delegation_issuer, wrong_delegation_store,
          wrong_delegation_signature, wrong_delegation_profile, junk_delegation_payload,
          wrong_delegation_receipt_key)
