/* An issuer file: what is taken holds one to four distinct keys, and written as PEM again
 * gives the same pins. */
#include <openssl/evp.h>

#include "common/codec.h"
#include "common/spki.h"
#include "fixed_keys.h"

static void append_pem(EVP_PKEY *key, struct buf *out)
{
    CLEANUP(buf_free) struct buf spki = {0};
    FUZZ_OK(spki_append(key, &spki));
    FUZZ_OK(buf_append_text(out, "-----BEGIN PUBLIC KEY-----\n"));
    FUZZ_OK(base64_append(out, bytes_of_buf(&spki)));
    FUZZ_OK(buf_append_text(out, "\n-----END PUBLIC KEY-----\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(issuer_pins_free) struct issuer_pins again = {0};
    struct fault fault = FAULT_NONE;
    struct issuer_pins pins;
    (void)fuzz_keys();
    FUZZ_FILL(&pins);
    const enum err err = issuer_pins_parse(in, &pins, &fault);
    FUZZ_CHECK(err, &fault, in, &pins);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_CONFIG);
    if (err != ERR_OK)
        return 0;
    FUZZ_HOLDS(pins.count >= 1 && pins.count <= ISSUER_PINS_MAX);
    for (size_t i = 0; i < pins.count; i++) {
        append_pem(pins.key[i], &pem);
        for (size_t k = 0; k < i; k++)
            FUZZ_HOLDS(EVP_PKEY_eq(pins.key[i], pins.key[k]) != 1);
    }
    FUZZ_OK(issuer_pins_parse(bytes_of_buf(&pem), &again, NULL));
    FUZZ_HOLDS(again.count == pins.count &&
               memcmp(again.fingerprint, pins.fingerprint, sizeof pins.fingerprint) == 0);
    issuer_pins_free(&pins);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    CLEANUP(buf_free) struct buf whole = {0};
    const struct fuzz_keys *keys = fuzz_keys();
    if (size > 1 && fuzz_choose(&seed, 16) > 0)
        return LLVMFuzzerMutate(data, size, max_size);
    append_pem(keys->issuer, &whole);
    if (fuzz_choose(&seed, 2) == 0)
        append_pem(keys->stranger384, &whole);
    if (fuzz_choose(&seed, 8) == 0)
        append_pem(keys->stranger256, &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
