#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>

#include "codec.h"
#include "receipt.h"

CLEANUP_PTR(EVP_PKEY_CTX, EVP_PKEY_CTX_free, pkey_ctx_freep)
CLEANUP_PTR(EVP_PKEY, EVP_PKEY_free, pkey_freep)

/* RFC 5480 section 2: the SubjectPublicKeyInfo of a curve has one DER form up to the
 * point.  Comparing it whole and building the key from the point takes no other form
 * (explicit parameters, compressed points) and is far cheaper than d2i_PUBKEY. */
static const uint8_t p256_prefix[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
static const uint8_t p384_prefix[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                      0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                                      0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00};

static const struct spki_form {
    const char *group;
    struct bytes prefix;
    size_t point_len; /* uncompressed: 04 | x | y */
} p256_form = {SN_X9_62_prime256v1, {p256_prefix, sizeof p256_prefix}, 65},
  p384_form = {SN_secp384r1, {p384_prefix, sizeof p384_prefix}, 97};

_Static_assert(sizeof p256_prefix + 65 == DELEGATION_SPKI_LEN, "a P-256 SPKI has 91 bytes");

/* ERR_MALFORMED unless `spki` has exactly this form and its point is on the curve. */
static enum err key_from_spki(struct bytes spki, const struct spki_form *form, EVP_PKEY **out)
{
    if (spki.len != form->prefix.len + form->point_len ||
        !bytes_equal(bytes_of(spki.ptr, form->prefix.len), form->prefix) ||
        spki.ptr[form->prefix.len] != POINT_CONVERSION_UNCOMPRESSED)
        return ERR_MALFORMED;
    /* OSSL_PARAM has no const members; OpenSSL reads from these only. */
    uint8_t point[97];
    memcpy(point, spki.ptr + form->prefix.len, form->point_len);
    char group[32] = {0};
    memcpy(group, form->group, strlen(form->group));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, form->point_len),
        OSSL_PARAM_construct_end(),
    };
    CLEANUP(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1)
        return ERR_CRYPTO;
    /* Importing a point checks that it is on the curve, and these curves' cofactor is 1. */
    return EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) == 1 ? ERR_OK : ERR_MALFORMED;
}

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
    return base64_decode(bytes_of_buf(&digits), der) == ERR_OK ? ERR_OK : ERR_CONFIG;
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
    const enum err err = key_from_spki(spki, &p384_form, &key);
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
        if (err != ERR_OK)
            FAIL(fault_at(fault, offset, "%s", ""), err,
                 "an issuer file holds PEM blocks of PUBLIC KEY and nothing else");
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
    if (at_ms < delegation.not_before_ms || at_ms > delegation.not_after_ms)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "delegation"), ERR_DELEGATION_EXPIRED,
             "valid %" PRIu64 "..%" PRIu64 " ms, the time is %" PRIu64 " ms",
             delegation.not_before_ms, delegation.not_after_ms, at_ms);
    CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
    const enum err err = key_from_spki(bytes_of(delegation.receipt_key, delegation.receipt_key_len),
                                       &p256_form, &key);
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
