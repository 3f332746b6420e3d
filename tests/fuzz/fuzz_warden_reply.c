/* What the warden answers to front: read and written again it is the same. */
#include "fuzz.h"
#include "verifier/warden/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    CLEANUP(buf_free) struct buf again = {0};
    struct warden_reply reply;
    struct fault fault = FAULT_NONE;
    FUZZ_FILL(&reply);
    const enum err err = warden_reply_parse(in, &reply, &fault);
    FUZZ_CHECK(err, &fault, in, &reply);
    if (err != ERR_OK)
        return 0;
    FUZZ_OK(warden_reply_append(&reply, &again));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&again), in));
    warden_reply_free(&reply);
    return 0;
}

static void put_sample(bool refusal, struct buf *out)
{
    CLEANUP(warden_reply_free) struct warden_reply reply = {.fault = FAULT_NONE};
    if (refusal)
        (void)fault_set(fault_at(&reply.fault, 17, "pcrs[%d]", 3), ERR_REFUSED, "not granted");
    else
        FUZZ_OK(buf_append_text(&reply.body, "{\"status\":\"ok\"}"));
    FUZZ_OK(warden_reply_append(&reply, out));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size > 1 && fuzz_choose(&seed, 64) > 0)
        return fuzz_mutate_cbor(data, size, max_size, seed);
    CLEANUP(buf_free) struct buf whole = {0};
    put_sample(fuzz_choose(&seed, 2) == 0, &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
