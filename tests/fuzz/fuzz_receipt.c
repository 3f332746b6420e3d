/* The payloads of our own messages: receipt, delegation, sealing key, checkpoint; the first
 * byte says which.  What is read is written again byte for byte, what cannot be read is
 * never written. */
#include "common/audit_record.h"
#include "fixed_keys.h"

#define READ_AND_WRITE(type, name)                                     \
    static enum err check_##name(struct bytes in, struct fault *fault) \
    {                                                                  \
        struct type value, again;                                      \
        CLEANUP(buf_free) struct buf written = {0};                    \
        FUZZ_FILL(&value);                                             \
        const enum err err = name##_parse(in, &value, fault);          \
        FUZZ_CHECK(err, fault, in, &value);                            \
        FUZZ_HOLDS(name##_parse(in, &again, NULL) == err);             \
        if (err == ERR_OK) {                                           \
            FUZZ_OK(name##_append(&value, &written));                  \
            FUZZ_HOLDS(bytes_equal(bytes_of_buf(&written), in));       \
        }                                                              \
        return err;                                                    \
    }
READ_AND_WRITE(receipt, receipt)
READ_AND_WRITE(delegation, delegation)
READ_AND_WRITE(sealing_key, sealing_key)
READ_AND_WRITE(audit_checkpoint, audit_checkpoint)

static enum err (*const kinds[])(struct bytes, struct fault *) = {
    check_receipt, check_delegation, check_sealing_key, check_audit_checkpoint};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const size_t kind = fuzz_take_byte(&in) % ARRAY_LEN(kinds);
    struct fault fault = FAULT_NONE;
    if (kinds[kind](in, &fault) != ERR_OK)
        return 0;
    for (size_t other = 0; other < ARRAY_LEN(kinds); other++)
        FUZZ_HOLDS(other == kind || kinds[other](in, &fault) != ERR_OK);
    return 0;
}

static void put_sample(uint8_t kind, struct buf *out)
{
    struct receipt receipt;
    struct sealing_key sealing = {.spki_len = SEALING_KEY_SPKI_LEN, .not_after_ms = FUZZ_TIME_MS};
    const struct audit_checkpoint checkpoint = {.sequence = 1000, .time_ms = FUZZ_TIME_MS};
    memcpy(sealing.spki, "\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21", 11);
    fuzz_receipt(&receipt);
    FUZZ_OK(buf_append(out, bytes_of(&kind, 1)));
    if (kind == 0)
        FUZZ_OK(receipt_append(&receipt, out));
    if (kind == 1) {
        CLEANUP(buf_free) struct buf message = {0};
        struct cose_sign1 delegation;
        fuzz_delegation(&message);
        FUZZ_OK(cose_sign1_parse(COSE_DELEGATION, bytes_of_buf(&message), &delegation, NULL));
        FUZZ_OK(buf_append(out, delegation.payload));
    }
    if (kind == 2)
        FUZZ_OK(sealing_key_append(&sealing, out));
    if (kind == 3)
        FUZZ_OK(audit_checkpoint_append(&checkpoint, out));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size > 1 && fuzz_choose(&seed, 64) > 0)
        return 1 + fuzz_mutate_cbor(data + 1, size - 1, max_size - 1, seed);
    CLEANUP(buf_free) struct buf whole = {0};
    put_sample((uint8_t)fuzz_choose(&seed, ARRAY_LEN(kinds)), &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
