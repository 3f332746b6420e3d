/* The query of a request's target.  Encoded again, with every byte as %XX, it is read as the
 * same pairs. */
#include "common/codec.h"
#include "fuzz.h"
#include "verifier/front/query.h"

static void encode(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        FUZZ_OK(buf_append_text(out, "%"));
        FUZZ_OK(hex_append(out, bytes_of(text.ptr + i, 1)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    CLEANUP(query_free) struct query query = {0};
    CLEANUP(query_free) struct query again = {0};
    CLEANUP(buf_free) struct buf encoded = {0};
    struct fault fault = FAULT_NONE;
    const enum err err = query_parse(in, &query, &fault);
    fuzz_check(err, &fault, 0, size, NULL, 0);
    FUZZ_HOLDS(err == ERR_OK || (err == ERR_MALFORMED && query.count == 0 && query.text.len == 0));
    FUZZ_HOLDS(err == ERR_OK || fault.offset != FAULT_NO_OFFSET);
    for (size_t i = 0; i < query.count; i++) {
        const struct bytes text = bytes_of_buf(&query.text);
        FUZZ_HOLDS(fuzz_within(query.pair[i].name, text) && fuzz_within(query.pair[i].value, text));
        FUZZ_HOLDS(utf8_valid(query.pair[i].name) && utf8_valid(query.pair[i].value));
        FUZZ_HOLDS(text.len == 0 || memchr(text.ptr, '\0', text.len) == NULL);
        for (size_t k = 0; k < i; k++)
            FUZZ_HOLDS(!bytes_equal(query.pair[i].name, query.pair[k].name));
        FUZZ_OK(buf_append_text(&encoded, i == 0 ? "" : "&"));
        encode(&encoded, query.pair[i].name);
        FUZZ_OK(buf_append_text(&encoded, "="));
        encode(&encoded, query.pair[i].value);
    }
    if (query.count == 0)
        return 0;
    FUZZ_OK(query_parse(bytes_of_buf(&encoded), &again, NULL));
    FUZZ_HOLDS(again.count == query.count);
    for (size_t i = 0; i < query.count; i++) {
        FUZZ_HOLDS(bytes_equal(again.pair[i].name, query.pair[i].name));
        FUZZ_HOLDS(bytes_equal(again.pair[i].value, query.pair[i].value));
    }
    return 0;
}
