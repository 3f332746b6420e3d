/* A delegation under the pinned issuer key, at a time that the first two bytes choose.  It
 * counts exactly where the issuer signed it (a second opinion), it is well-formed, and the
 * time is within. */
#include <openssl/evp.h>

#include "common/openssl_cleanup.h"
#include "common/spki.h"
#include "fixed_keys.h"

static bool must_count(struct bytes message, uint64_t at_ms)
{
    const struct fuzz_keys *keys = fuzz_keys();
    struct cose_sign1 msg;
    struct delegation content;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    uint8_t kid[COSE_KID_LEN];
    FUZZ_OK(cose_key_id(keys->issuer, kid));
    return cose_sign1_parse(COSE_DELEGATION, message, &msg, NULL) == ERR_OK &&
           bytes_equal(msg.kid, bytes_of(kid, sizeof kid)) &&
           fuzz_signature_holds(keys->issuer, "SHA384", msg.protected_header,
                                "vouchsafe/1 delegation", msg.payload, msg.signature) &&
           delegation_parse(msg.payload, &content, NULL) == ERR_OK &&
           content.not_before_ms <= at_ms && at_ms <= content.not_after_ms &&
           spki_to_key(bytes_of(content.receipt_key, content.receipt_key_len), &spki_p256, &key) ==
               ERR_OK;
}

/* Where the store is pinned, too, only its own delegations count. */
static void check_pinned_store(struct bytes in, uint64_t at_ms, enum err any,
                               const struct delegation *found)
{
    struct issuer_pins pins = fuzz_keys()->pins; /* its keys stay the original's */
    struct fault fault = FAULT_NONE;
    struct delegation out;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    pins.one_store = true;
    memcpy(pins.store_id, fuzz_store_id, sizeof pins.store_id);
    FUZZ_FILL(&out);
    const enum err err = delegation_verify(in, &pins, at_ms, &out, &key, &fault);
    FUZZ_CHECK(err, &fault, in, &out);
    const bool own =
        any == ERR_OK && memcmp(found->store_id, fuzz_store_id, sizeof fuzz_store_id) == 0;
    FUZZ_HOLDS((err == ERR_OK) == own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const struct fuzz_keys *keys = fuzz_keys();
    const int minutes = fuzz_take_byte(&in) - 128;
    const uint64_t at_ms = FUZZ_TIME_MS + (uint64_t)(60000 * (int64_t)minutes);
    struct fault fault = FAULT_NONE;
    struct delegation out;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    FUZZ_FILL(&out);
    const enum err err = delegation_verify(in, &keys->pins, at_ms, &out, &key, &fault);
    FUZZ_CHECK(err, &fault, in, &out);
    FUZZ_HOLDS((err == ERR_OK) == (key != NULL));
    FUZZ_HOLDS((err == ERR_OK) == must_count(in, at_ms));
    check_pinned_store(in, at_ms, err, &out);
    return 0;
}

/* An honest one; or for another store. */
static void put_sample(bool foreign, struct buf *out)
{
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    CLEANUP(buf_free) struct buf spki = {0};
    memcpy(store_id, fuzz_store_id, sizeof store_id);
    store_id[0] ^= foreign;
    FUZZ_OK(spki_append(fuzz_keys()->receipt, &spki));
    FUZZ_OK(delegation_sign(fuzz_keys()->issuer, bytes_of_buf(&spki), store_id, FUZZ_TIME_MS,
                            3600000, out));
}

/* Its content changed and signed again, now and then by somebody else. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const struct fuzz_keys *keys = fuzz_keys();
    struct bytes in = bytes_of(data, size);
    const uint8_t minutes = fuzz_take_byte(&in);
    struct cose_sign1 msg;
    uint8_t payload[1024];
    CLEANUP(buf_free) struct buf whole = {0};
    if (size > 1 && fuzz_choose(&seed, 4) == 0)
        return 1 + fuzz_mutate_cbor(data + 1, size - 1, max_size - 1, seed);
    FUZZ_OK(buf_append(&whole, bytes_of(&minutes, 1)));
    if (cose_sign1_parse(COSE_DELEGATION, in, &msg, NULL) != ERR_OK ||
        msg.payload.len > sizeof payload || fuzz_choose(&seed, 16) == 0) {
        put_sample(fuzz_choose(&seed, 4) == 0, &whole);
        return fuzz_replace(data, size, max_size, &whole);
    }
    memcpy(payload, msg.payload.ptr, msg.payload.len);
    size_t len = msg.payload.len;
    if (fuzz_choose(&seed, 8) > 0)
        len = fuzz_mutate_cbor(payload, len, sizeof payload, seed);
    fuzz_sign(COSE_DELEGATION, fuzz_choose(&seed, 16) == 0 ? keys->stranger384 : keys->issuer,
              bytes_of(payload, len), &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
