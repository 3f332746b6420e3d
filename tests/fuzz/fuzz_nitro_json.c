/* What the enclave tools print, as somebody pipes it in: lines of a log, and JSON in them. */
#include "fuzz.h"
#include "verifier/measure/nitro_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    struct fault fault = FAULT_NONE;
    struct nitro_measurements found, again;
    FUZZ_FILL(&found);
    const enum err err = nitro_json_parse(in, &found, &fault);
    FUZZ_CHECK(err, &fault, in, &found);
    FUZZ_HOLDS(nitro_json_parse(in, &again, NULL) == err);
    if (err != ERR_OK)
        return 0;
    const bool enclave = found.kind == ATTDOC_ENCLAVE;
    const uint32_t code = enclave ? 7 : 1u << 4 | 1u << 7;
    FUZZ_HOLDS(enclave || (found.kind == ATTDOC_NITROTPM && (found.present & 7) == 0));
    FUZZ_HOLDS((found.present & code) == code && again.present == found.present);
    FUZZ_HOLDS(again.kind == found.kind);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        const struct bytes value = bytes_of(found.pcr[i], ATTDOC_PCR_LEN);
        if ((found.present >> i & 1) == 0)
            continue;
        FUZZ_HOLDS(bytes_equal(value, bytes_of(again.pcr[i], ATTDOC_PCR_LEN)));
        FUZZ_HOLDS(!bytes_all_zero(value) || (!enclave && (code >> i & 1) == 0));
    }
    FUZZ_HOLDS(strnlen(found.provenance, sizeof found.provenance) < sizeof found.provenance);
    for (const char *c = found.provenance; *c != '\0'; c++)
        FUZZ_HOLDS(*c >= 0x20 && *c <= 0x7e);
    return 0;
}

/* A JSON text as such; or the lines around it. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_json(data, size, max_size, seed);
}
