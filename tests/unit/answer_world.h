/* For the tests of the agent's answer.c: an honest answer to an honest request, made with
 * the libraries' other halves, every part of which a test may change before finish(). */
#ifndef VOUCHSAFE_ANSWER_WORLD_H
#define VOUCHSAFE_ANSWER_WORLD_H

#include "unit.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "common/codec.h"
#include "enclave-agent/answer.h"

#define TIME_MS UINT64_C(1795000000000) /* of the own document: the hypervisor's */
#define HOUR_MS UINT64_C(3600000)

/* Everything that makes an answer, to be changed before finish(). */
struct world {
    struct wanted_list wanted;
    struct wanted_list held;
    struct issuer_pins pins;
    struct own_document document;
    struct wrap_key *key;
    struct answer_expected expected;

    EVP_PKEY *issuer;
    EVP_PKEY *receipt_key;
    EVP_PKEY *stranger384;
    EVP_PKEY *stranger256;
    struct delegation delegation;
    struct receipt receipt;
    struct release_answer answer;
    EVP_PKEY *delegation_signer; /* NULL: the issuer */
    EVP_PKEY *delegation_kid;    /* whose kid is in the header */
    EVP_PKEY *receipt_signer;
    EVP_PKEY *receipt_kid;
    /* Changes the receipt's payload before it is signed. */
    void (*spoil)(struct buf *payload);
};

static struct world w;
static struct fault fault;
static struct answer_opened opened;

static inline void fill(uint8_t *out, size_t len, unsigned first)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

static inline void spki_of(EVP_PKEY *key, struct buf *out)
{
    uint8_t *der = NULL;
    const int len = i2d_PUBKEY(key, &der);
    ck_assert_int_gt(len, 0);
    ck_ok(buf_append(out, bytes_of(der, (size_t)len)));
    OPENSSL_free(der);
}

static inline struct secret *secret_of(const char *text)
{
    struct secret *secret = NULL;
    ck_ok(secret_new(strlen(text), &secret));
    memcpy(secret_ptr(secret), text, strlen(text));
    return secret;
}

/* SHA-256(enc | ciphertext), as the receipt must have it. */
static inline void digest_contents(void)
{
    for (size_t i = 0; i < w.answer.count; i++) {
        CLEANUP(buf_free) struct buf both = {0};
        ck_ok(buf_append(&both, bytes_of_buf(&w.answer.enc)));
        ck_ok(buf_append(&both, bytes_of_buf(&w.answer.item[i].ciphertext)));
        ck_ok(digest_sha256(bytes_of_buf(&both), w.receipt.item[i].content));
    }
}

static inline void add_secret(struct wrap_sealer *sealer, const char *name, uint32_t version,
                              const char *value)
{
    CLEANUP(secret_freep) struct secret *secret = secret_of(value);
    CLEANUP(buf_free) struct buf aad = {0};
    struct released *item = &w.answer.item[w.answer.count++];
    struct receipt_item *listed = &w.receipt.item[w.receipt.count++];
    snprintf(item->name, sizeof item->name, "%s", name);
    snprintf(listed->name, sizeof listed->name, "%s", name);
    item->version = version;
    listed->version = version;
    ck_ok(protocol_wrap_aad(w.answer.format, w.document.digest, name, version, &aad));
    ck_ok(wrap_seal(sealer, bytes_of_buf(&aad), secret, &item->ciphertext));
}

/* Two secrets under a fresh encapsulation to the agent's key. */
static inline void seal(void)
{
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    ck_ok(wrap_key_spki(w.key, &spki));
    ck_ok(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, &fault));
    snprintf(w.answer.format, sizeof w.answer.format, "%s", wrap_recipient_format(recipient));
    w.answer.enc.len = 0;
    ck_ok(wrap_sealer_new(recipient, bytes_of_text(PROTOCOL_WRAP_INFO), &sealer, &w.answer.enc));
    add_secret(sealer, "db/main", 7, "open sesame");
    add_secret(sealer, "x", 2, "42");
    digest_contents();
}

static inline void make_pins(void)
{
    CLEANUP(buf_free) struct buf spki = {0};
    w.issuer = EVP_EC_gen("P-384");
    spki_of(w.issuer, &spki);
    CLEANUP(buf_free) struct buf pem = {0};
    ck_ok(buf_append_text(&pem, "-----BEGIN PUBLIC KEY-----\n"));
    ck_ok(base64_append(&pem, bytes_of_buf(&spki)));
    ck_ok(buf_append_text(&pem, "\n-----END PUBLIC KEY-----\n"));
    ck_ok(issuer_pins_parse(bytes_of_buf(&pem), &w.pins, &fault));
}

static inline void make_delegation(void)
{
    CLEANUP(buf_free) struct buf spki = {0};
    w.receipt_key = EVP_EC_gen("P-256");
    spki_of(w.receipt_key, &spki);
    w.delegation = (struct delegation){.receipt_key_len = spki.len,
                                       .not_before_ms = TIME_MS - HOUR_MS,
                                       .not_after_ms = TIME_MS + HOUR_MS};
    memcpy(w.delegation.receipt_key, spki.ptr, spki.len);
    fill(w.delegation.store_id, sizeof w.delegation.store_id, 0x30);
}

/* An honest verifier's answer to an honest request. */
static inline void begin_with(const char *format)
{
    w = (struct world){0};
    fault = (struct fault)FAULT_NONE;
    ck_ok(wanted_add(&w.wanted, bytes_of_text("db/main"), 0, 0, NULL));
    ck_ok(wanted_add(&w.wanted, bytes_of_text("x"), 2, 0, NULL));
    w.document.time_ms = TIME_MS;
    fill(w.document.digest, sizeof w.document.digest, 0x10);
    fill(w.document.root, sizeof w.document.root, 0x20);
    ck_ok(wrap_key_generate(format, &w.key));
    make_pins();
    make_delegation();
    w.stranger384 = EVP_EC_gen("P-384");
    w.stranger256 = EVP_EC_gen("P-256");
    w.expected = (struct answer_expected){.wanted = &w.wanted,
                                          .pins = &w.pins,
                                          .key = w.key,
                                          .document = &w.document,
                                          .held = &w.held};
    fill(w.expected.challenge, sizeof w.expected.challenge, 0);
    w.receipt = (struct receipt){.time_ms = TIME_MS + 5, .audit_sequence = 300};
    memcpy(w.receipt.challenge, w.expected.challenge, sizeof w.receipt.challenge);
    memcpy(w.receipt.document_digest, w.document.digest, sizeof w.receipt.document_digest);
    memcpy(w.receipt.root, w.document.root, sizeof w.receipt.root);
    memcpy(w.receipt.store_id, w.delegation.store_id, sizeof w.receipt.store_id);
    w.receipt.measurement_count = 2;
    snprintf(w.receipt.measurement[0], sizeof w.receipt.measurement[0], "payments@1");
    snprintf(w.receipt.measurement[1], sizeof w.receipt.measurement[1], "payments@2");
    seal();
    w.delegation_signer = w.delegation_kid = w.issuer;
    w.receipt_signer = w.receipt_kid = w.receipt_key;
}

static inline void begin(void)
{
    begin_with("hpke-x25519");
}

static inline void sign_all(void)
{
    uint8_t kid[COSE_KID_LEN];
    CLEANUP(buf_free) struct buf delegation = {0};
    CLEANUP(buf_free) struct buf receipt = {0};
    ck_ok(delegation_append(&w.delegation, &delegation));
    ck_ok(cose_key_id(w.delegation_kid, kid));
    ck_ok(cose_sign1_sign(COSE_DELEGATION, kid, bytes_of_buf(&delegation), w.delegation_signer,
                          &w.answer.delegation));
    ck_ok(receipt_append(&w.receipt, &receipt));
    if (w.spoil != NULL)
        w.spoil(&receipt);
    ck_ok(cose_key_id(w.receipt_kid, kid));
    ck_ok(cose_sign1_sign(COSE_RECEIPT, kid, bytes_of_buf(&receipt), w.receipt_signer,
                          &w.answer.receipt));
}

static inline void end(void)
{
    answer_opened_free(&opened);
    release_answer_free(&w.answer);
    issuer_pins_free(&w.pins);
    wrap_key_free(w.key);
    EVP_PKEY_free(w.issuer);
    EVP_PKEY_free(w.receipt_key);
    EVP_PKEY_free(w.stranger384);
    EVP_PKEY_free(w.stranger256);
}

static inline enum err finish(void)
{
    sign_all();
    return answer_open(&w.answer, &w.expected, &opened, &fault);
}

static inline void ck_refusal(enum err got, const char *field, const char *detail)
{
    ck_err(got, ERR_ANSWER);
    ck_assert_int_eq(fault.code, ERR_ANSWER);
    ck_assert_str_eq(fault.field, field);
    ck_assert_str_eq(fault.detail, detail);
    ck_assert_uint_eq(opened.count, 0); /* all or nothing */
    end();
}

static inline void ck_refused(const char *field, const char *detail)
{
    ck_refusal(finish(), field, detail);
}

static inline void ck_opened(void)
{
    const enum err err = finish();
    ck_assert_msg(err == ERR_OK, "%s: %s", fault.field, fault.detail);
    ck_assert_uint_eq(opened.count, 2);
    ck_assert_str_eq(opened.item[0].name, "db/main");
    ck_assert_uint_eq(opened.item[0].version, 7);
    ck_assert(bytes_equal_text(secret_view(opened.item[0].value), "open sesame"));
    ck_assert_str_eq(opened.item[1].name, "x");
    ck_assert_uint_eq(opened.item[1].version, 2);
    ck_assert(bytes_equal_text(secret_view(opened.item[1].value), "42"));
}

#endif
