/* A registration file: what is read is written again as a file that says the same. */
#include "common/registration.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    struct fault fault = FAULT_NONE;
    struct registration file;
    CLEANUP(registration_free) struct registration again = {0};
    CLEANUP(buf_free) struct buf text = {0};
    FUZZ_FILL(&file);
    const enum err err = registration_parse(in, &file, &fault);
    FUZZ_CHECK(err, &fault, in, &file);
    if (err != ERR_OK)
        return 0;
    FUZZ_HOLDS(file.serial >= 1 && file.serial <= 9007199254740991 &&
               json_is_object(file.measurement));
    FUZZ_OK(registration_append(&file, &text));
    if (text.len <= REGISTRATION_LEN_MAX) { /* escapes may have made it longer */
        FUZZ_OK(registration_parse(bytes_of_buf(&text), &again, NULL));
        FUZZ_HOLDS(again.serial == file.serial && again.expires_ms == file.expires_ms);
        FUZZ_HOLDS(memcmp(again.store_id, file.store_id, sizeof file.store_id) == 0);
        FUZZ_HOLDS(json_equal(again.measurement, file.measurement));
    }
    registration_free(&file);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_json(data, size, max_size, seed);
}
