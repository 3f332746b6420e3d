#include <inttypes.h>
#include <openssl/evp.h>

#include "codec.h"
#include "openssl_cleanup.h"
#include "receipt.h"
#include "spki.h"

void issuer_pins_free(struct issuer_pins *pins)
{
    for (size_t i = 0; i < pins->count; i++)
        EVP_PKEY_free(pins->key[i]);
    *pins = (struct issuer_pins){0};
}

static const char pem_begin[] = "-----BEGIN PUBLIC KEY-----";
static const char pem_end[] = "-----END PUBLIC KEY-----";

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes `text` off the front of `in`, where it is there. */
static bool take_text(struct bytes *in, const char *text)
{
    const size_t len = strlen(text);
    if (in->len < len || memcmp(in->ptr, text, len) != 0)
        return false;
    *in = bytes_of(in->ptr + len, in->len - len);
    return true;
}

static void take_blanks(struct bytes *in)
{
    while (in->len > 0 && is_blank(in->ptr[0]))
        *in = bytes_of(in->ptr + 1, in->len - 1);
}

/* Takes one block off the front of `in` and appends its content.  RFC 7468 section 3,
 * the strict form: lines of base64, no headers.  OpenSSL's reader passes over whatever
 * stands before a block, which a file of pins must not hold. */
static enum err take_block(struct bytes *in, struct buf *der)
{
    if (!take_text(in, pem_begin))
        return ERR_CONFIG;
    CLEANUP(buf_free) struct buf digits = {0};
    while (in->len > 0 && in->ptr[0] != '-') {
        if (in->ptr[0] != '\r' && in->ptr[0] != '\n')
            TRY(buf_append(&digits, bytes_of(in->ptr, 1)));
        *in = bytes_of(in->ptr + 1, in->len - 1);
    }
    if (!take_text(in, pem_end))
        return ERR_CONFIG;
    const enum err err = base64_decode(bytes_of_buf(&digits), der);
    return err == ERR_OK || err == ERR_NO_MEMORY ? err : ERR_CONFIG;
}

static enum err add_pin(struct issuer_pins *pins, struct bytes spki, struct fault *fault)
{
    if (pins->count == ISSUER_PINS_MAX)
        FAIL(fault, ERR_CONFIG, "more than %d issuer keys", ISSUER_PINS_MAX);
    uint8_t fingerprint[SHA256_LEN];
    TRY(digest_sha256(spki, fingerprint));
    for (size_t i = 0; i < pins->count; i++) {
        if (memcmp(pins->fingerprint[i], fingerprint, sizeof fingerprint) == 0)
            FAIL(fault, ERR_CONFIG, "key %zu is key %zu once more", pins->count + 1, i + 1);
    }
    EVP_PKEY *key = NULL;
    const enum err err = spki_to_key(spki, &spki_p384, &key);
    if (err == ERR_MALFORMED)
        FAIL(fault, ERR_CONFIG, "key %zu is not a P-384 key in the usual form", pins->count + 1);
    TRY(err);
    pins->key[pins->count] = key;
    memcpy(pins->fingerprint[pins->count], fingerprint, sizeof fingerprint);
    memcpy(pins->kid[pins->count], fingerprint, COSE_KID_LEN);
    pins->count++;
    return ERR_OK;
}

enum err issuer_pins_parse(struct bytes pem, struct issuer_pins *out, struct fault *fault)
{
    CLEANUP(issuer_pins_free) struct issuer_pins pins = {0};
    struct bytes rest = pem;
    take_blanks(&rest);
    while (rest.len > 0) {
        const size_t offset = pem.len - rest.len;
        CLEANUP(buf_free) struct buf spki = {0};
        const enum err err = take_block(&rest, &spki);
        if (err == ERR_CONFIG)
            FAIL(fault_at(fault, offset, "%s", ""), err,
                 "an issuer file holds PEM blocks of PUBLIC KEY and nothing else");
        TRY(err);
        TRY(add_pin(&pins, bytes_of_buf(&spki), fault));
        take_blanks(&rest);
    }
    if (pins.count == 0)
        FAIL(fault, ERR_CONFIG, "no issuer key");
    *out = pins;
    pins = (struct issuer_pins){0};
    return ERR_OK;
}

/* The pin that `kid` names; NULL where there is none. */
static EVP_PKEY *pin_of(const struct issuer_pins *pins, struct bytes kid)
{
    for (size_t i = 0; i < pins->count; i++) {
        if (bytes_equal(kid, bytes_of(pins->kid[i], COSE_KID_LEN)))
            return pins->key[i];
    }
    return NULL;
}

static enum err other_store(const struct delegation *delegation, const struct issuer_pins *pins,
                            struct fault *fault)
{
    char found[2 * PROTOCOL_STORE_ID_LEN + 1];
    char pinned[2 * PROTOCOL_STORE_ID_LEN + 1];
    hex_encode(bytes_of(delegation->store_id, sizeof delegation->store_id), found);
    hex_encode(bytes_of(pins->store_id, sizeof pins->store_id), pinned);
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "delegation"), ERR_ANSWER,
         "it is for the store %s, pinned is %s", found, pinned);
}

enum err delegation_verify(struct bytes message, const struct issuer_pins *pins, uint64_t at_ms,
                           struct delegation *out, EVP_PKEY **receipt_key, struct fault *fault)
{
    struct cose_sign1 msg;
    TRY(cose_sign1_parse(COSE_DELEGATION, message, &msg, fault));
    EVP_PKEY *issuer = pin_of(pins, msg.kid);
    if (issuer == NULL)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "delegation"), ERR_ANSWER,
             "the delegation is signed under none of the pinned issuer keys");
    TRY(cose_sign1_verify(&msg, issuer, fault));
    struct delegation delegation;
    TRY(delegation_parse(msg.payload, &delegation, fault));
    if (pins->one_store &&
        memcmp(delegation.store_id, pins->store_id, sizeof delegation.store_id) != 0)
        return other_store(&delegation, pins, fault);
    if (at_ms < delegation.not_before_ms || at_ms > delegation.not_after_ms)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "delegation.validity"), ERR_DELEGATION_EXPIRED,
             "valid %" PRIu64 "..%" PRIu64 " ms, the time is %" PRIu64 " ms",
             delegation.not_before_ms, delegation.not_after_ms, at_ms);
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    const enum err err =
        spki_to_key(bytes_of(delegation.receipt_key, delegation.receipt_key_len), &spki_p256, &key);
    if (err == ERR_MALFORMED)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "delegation"), ERR_ANSWER,
             "the delegated receipt key is not a P-256 key");
    if (err != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "delegation"), err,
             "the delegated receipt key could not be made");
    *out = delegation;
    *receipt_key = TAKE(key);
    return ERR_OK;
}

enum err delegation_sign(EVP_PKEY *issuer, struct bytes receipt_key,
                         const uint8_t store_id[static PROTOCOL_STORE_ID_LEN], uint64_t now_ms,
                         uint64_t lifetime_ms, struct buf *message)
{
    CLEANUP(buf_free) struct buf payload = {0};
    uint8_t kid[COSE_KID_LEN];
    struct delegation delegation = {
        .receipt_key_len = receipt_key.len,
        .not_before_ms = now_ms - DELEGATION_BACKDATE_MS,
        .not_after_ms = now_ms + lifetime_ms,
    };
    if (receipt_key.len != DELEGATION_SPKI_LEN || now_ms < DELEGATION_BACKDATE_MS)
        return ERR_INTERNAL;
    memcpy(delegation.receipt_key, receipt_key.ptr, receipt_key.len);
    memcpy(delegation.store_id, store_id, sizeof delegation.store_id);
    TRY(delegation_append(&delegation, &payload));
    TRY(cose_key_id(issuer, kid));
    return cose_sign1_sign(COSE_DELEGATION, kid, bytes_of_buf(&payload), issuer, message);
}
