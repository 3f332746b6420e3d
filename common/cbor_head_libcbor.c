/* Heads as libcbor reads and writes them. */
#include <assert.h>
#include <cbor.h>

#include "cbor_head.h"

/* libcbor hands counts over as size_t: a narrower one would cut them. */
static_assert(sizeof(size_t) == sizeof(uint64_t), "64-bit only");

/* What libcbor calls back with. */
struct decoded {
    bool done;
    enum cbor_major major;
    struct cbor_content content;
};

static void take_value(void *ctx, enum cbor_major major, uint64_t value)
{
    *(struct decoded *)ctx =
        (struct decoded){.done = true, .major = major, .content = {.argument = value}};
}

static void take_string(void *ctx, enum cbor_major major, const uint8_t *ptr, size_t len)
{
    *(struct decoded *)ctx = (struct decoded){
        .done = true, .major = major, .content = {.argument = len, .string = bytes_of(ptr, len)}};
}

static void on_uint8(void *ctx, uint8_t value)
{
    take_value(ctx, CBOR_MAJOR_UINT, value);
}

static void on_uint16(void *ctx, uint16_t value)
{
    take_value(ctx, CBOR_MAJOR_UINT, value);
}

static void on_uint32(void *ctx, uint32_t value)
{
    take_value(ctx, CBOR_MAJOR_UINT, value);
}

static void on_uint64(void *ctx, uint64_t value)
{
    take_value(ctx, CBOR_MAJOR_UINT, value);
}

static void on_negint8(void *ctx, uint8_t value)
{
    take_value(ctx, CBOR_MAJOR_NINT, value);
}

static void on_negint16(void *ctx, uint16_t value)
{
    take_value(ctx, CBOR_MAJOR_NINT, value);
}

static void on_negint32(void *ctx, uint32_t value)
{
    take_value(ctx, CBOR_MAJOR_NINT, value);
}

static void on_negint64(void *ctx, uint64_t value)
{
    take_value(ctx, CBOR_MAJOR_NINT, value);
}

static void on_bytes(void *ctx, cbor_data ptr, size_t len)
{
    take_string(ctx, CBOR_MAJOR_BYTES, ptr, len);
}

static void on_text(void *ctx, cbor_data ptr, size_t len)
{
    take_string(ctx, CBOR_MAJOR_TEXT, ptr, len);
}

static void on_array(void *ctx, size_t count)
{
    take_value(ctx, CBOR_MAJOR_ARRAY, count);
}

static void on_map(void *ctx, size_t count)
{
    take_value(ctx, CBOR_MAJOR_MAP, count);
}

static void on_float(void *ctx, float value)
{
    (void)value; /* nothing that we read holds one */
    take_value(ctx, CBOR_MAJOR_SIMPLE, 0);
}

static void on_double(void *ctx, double value)
{
    (void)value;
    take_value(ctx, CBOR_MAJOR_SIMPLE, 0);
}

/* libcbor's own callbacks, which do nothing, stand where cbor_head_read never hands such a
 * head over: `done` would stay false. */
static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negint64,
    .byte_string_start = cbor_null_byte_string_start_callback,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = cbor_null_string_start_callback,
    .indef_array_start = cbor_null_indef_array_start_callback,
    .array_start = on_array,
    .indef_map_start = cbor_null_indef_map_start_callback,
    .map_start = on_map,
    .tag = cbor_null_tag_callback,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = cbor_null_undefined_callback,
    .null = cbor_null_null_callback,
    .boolean = cbor_null_boolean_callback,
    .indef_break = cbor_null_indef_break_callback,
};

/* libcbor 0.8 refuses tags 6..20 and 24 (of which 18 is COSE_Sign1's) and all simple
 * values but four: their heads go to it as the unsigned integer of the same argument. */
static bool read_as_uint(const struct cbor_head *head)
{
    return head->major == CBOR_MAJOR_TAG ||
           (head->major == CBOR_MAJOR_SIMPLE && head->info <= CBOR_AI_ONE_BYTE);
}

enum cbor_head_result cbor_head_read(struct bytes in, const struct cbor_head *head,
                                     struct cbor_content *out)
{
    struct decoded decoded = {0};
    struct cbor_decoder_result result = {0};
    unsigned major = head->major;
    if (read_as_uint(head)) {
        uint8_t copy[CBOR_HEAD_LEN_MAX];
        memcpy(copy, in.ptr, head->len);
        copy[0] &= 0x1f;
        major = CBOR_MAJOR_UINT;
        result = cbor_stream_decode(copy, head->len, &callbacks, &decoded);
    } else {
        result = cbor_stream_decode(in.ptr, in.len, &callbacks, &decoded);
    }
    if (result.status == CBOR_DECODER_NEDATA)
        return CBOR_HEAD_SHORT;
    if (result.status != CBOR_DECODER_FINISHED || !decoded.done || decoded.major != major ||
        result.read != head->len + decoded.content.string.len)
        return CBOR_HEAD_BAD;
    *out = decoded.content;
    return CBOR_HEAD_READ;
}

size_t cbor_head_write(enum cbor_major major, uint64_t argument,
                       uint8_t out[static CBOR_HEAD_LEN_MAX])
{
    switch (major) {
    case CBOR_MAJOR_UINT:
        return cbor_encode_uint(argument, out, CBOR_HEAD_LEN_MAX);
    case CBOR_MAJOR_BYTES:
        return cbor_encode_bytestring_start(argument, out, CBOR_HEAD_LEN_MAX);
    case CBOR_MAJOR_TEXT:
        return cbor_encode_string_start(argument, out, CBOR_HEAD_LEN_MAX);
    case CBOR_MAJOR_ARRAY:
        return cbor_encode_array_start(argument, out, CBOR_HEAD_LEN_MAX);
    case CBOR_MAJOR_MAP:
        return cbor_encode_map_start(argument, out, CBOR_HEAD_LEN_MAX);
    case CBOR_MAJOR_TAG:
        return cbor_encode_tag(argument, out, CBOR_HEAD_LEN_MAX);
    case CBOR_MAJOR_NINT:
    case CBOR_MAJOR_SIMPLE:
        break;
    }
    return 0;
}

size_t cbor_head_write_bool(bool value, uint8_t out[static CBOR_HEAD_LEN_MAX])
{
    return cbor_encode_bool(value, out, CBOR_HEAD_LEN_MAX);
}

size_t cbor_head_write_null(uint8_t out[static CBOR_HEAD_LEN_MAX])
{
    return cbor_encode_null(out, CBOR_HEAD_LEN_MAX);
}
