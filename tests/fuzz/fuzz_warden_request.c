/* What front sends to the warden, taken for a stranger's: read and written again it is the
 * same, byte for byte. */
#include <stdio.h>

#include "fuzz.h"
#include "verifier/warden/message.h"

static void check_views(const struct warden_request *request, struct bytes in)
{
    FUZZ_HOLDS(fuzz_within(request->document, in) && fuzz_within(request->operation, in));
    FUZZ_HOLDS(fuzz_within(request->token, in) && request->param_count <= WARDEN_PARAMS_MAX);
    FUZZ_HOLDS(request->token.len == 0 || request->token.len == WARDEN_TOKEN_LEN);
    for (size_t i = 0; i < request->param_count; i++) {
        const struct param *param = &request->param[i];
        FUZZ_HOLDS(fuzz_within(param->name, in) && fuzz_within(param->data, in));
        FUZZ_HOLDS(param->type != PARAM_BOOL || param->uint <= 1);
        for (size_t k = 0; k < i; k++)
            FUZZ_HOLDS(!bytes_equal(param->name, request->param[k].name));
    }
    FUZZ_HOLDS(request->op != WARDEN_RELEASE ||
               (request->wanted.count >= 1 && request->wanted.count <= PROTOCOL_SECRETS_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    CLEANUP(buf_free) struct buf again = {0};
    struct warden_request request, second;
    struct fault fault = FAULT_NONE;
    FUZZ_FILL(&request);
    const enum err err = warden_request_parse(in, &request, &fault);
    FUZZ_CHECK(err, &fault, in, &request);
    FUZZ_HOLDS(warden_request_parse(in, &second, NULL) == err);
    if (err != ERR_OK)
        return 0;
    check_views(&request, in);
    FUZZ_OK(warden_request_append(&request, &again));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&again), in));
    return 0;
}

static void put_sample(uint32_t kind, struct buf *out)
{
    static const uint8_t bytes[WARDEN_TOKEN_LEN] = {7};
    struct warden_request request = {.op = (enum warden_op)(1 + kind % 3),
                                     .request_id = "0123456789ABCDEF",
                                     .peer = "203.0.113.7:41234",
                                     .document = {bytes, 20}};
    FUZZ_OK(wanted_add(&request.wanted, bytes_of_text("db/main"), 0, 3, NULL));
    FUZZ_OK(wanted_add(&request.wanted, bytes_of_text("x"), 2, 0, NULL));
    request.operation = bytes_of_text("measurement.add");
    request.token = bytes_of(bytes, kind < 3 ? sizeof bytes : 0);
    const struct param params[] = {
        {bytes_of_text("image"), PARAM_TEXT, 0, bytes_of_text("payments")},
        {bytes_of_text("after"), PARAM_UINT, 300, {0}},
        {bytes_of_text("debug"), PARAM_BOOL, 1, {0}},
        {bytes_of_text("enc"), PARAM_BYTES, 0, {bytes, 9}},
        {bytes_of_text("pcrs"), PARAM_TEXT_MAP, 0, bytes_of("\xa2\x61\x30\x60\x61\x31\x60", 7)},
    };
    request.param_count = ARRAY_LEN(params);
    memcpy(request.param, params, sizeof params);
    FUZZ_OK(warden_request_append(&request, out));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size > 1 && fuzz_choose(&seed, 64) > 0)
        return fuzz_mutate_cbor(data, size, max_size, seed);
    CLEANUP(buf_free) struct buf whole = {0};
    put_sample(fuzz_choose(&seed, 6), &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
