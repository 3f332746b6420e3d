/* The body of POST /v1/release: what is read is written and read again as the same request,
 * bound by the same text. */
#include "common/attdoc.h"
#include "common/protocol.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    CLEANUP(release_request_free) struct release_request again = {0};
    CLEANUP(buf_free) struct buf json = {0};
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf text_again = {0};
    CLEANUP(buf_free) struct buf user_data = {0};
    struct bytes application;
    struct fault fault = FAULT_NONE;
    struct release_request request;
    FUZZ_FILL(&request);
    const enum err err = release_request_parse(in, &request, &fault);
    FUZZ_CHECK(err, &fault, in, &request);
    if (err != ERR_OK)
        return 0;
    FUZZ_HOLDS(request.document.len >= 1 && request.document.len <= ATTDOC_LEN_MAX);
    FUZZ_OK(release_request_append(&request, &json));
    FUZZ_OK(release_request_parse(bytes_of_buf(&json), &again, NULL));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&again.document), bytes_of_buf(&request.document)));
    FUZZ_OK(protocol_request_text(&request.wanted, &text));
    FUZZ_OK(protocol_request_text(&again.wanted, &text_again));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&text), bytes_of_buf(&text_again)));
    FUZZ_OK(protocol_user_data(&request.wanted, bytes_of_text("x"), &user_data));
    FUZZ_OK(protocol_user_data_check(&again.wanted, bytes_of_buf(&user_data), &application, NULL));
    FUZZ_HOLDS(bytes_equal_text(application, "x"));
    user_data.ptr[user_data.len - 2] ^= 1;
    FUZZ_HOLDS(protocol_user_data_check(&again.wanted, bytes_of_buf(&user_data), &application,
                                        NULL) == ERR_NOT_BOUND);
    release_request_free(&request);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_json(data, size, max_size, seed);
}
