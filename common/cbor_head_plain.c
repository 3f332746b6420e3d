/* Heads without a library: for a program that must hold everything it needs. */
#include "cbor_head.h"

/* RFC 8949 section 3.3. */
#define SIMPLE_FALSE 20
#define SIMPLE_TRUE  21
#define SIMPLE_NULL  22

static uint8_t initial_byte(unsigned major, unsigned info)
{
    return (uint8_t)(major << 5 | info);
}

enum cbor_head_result cbor_head_read(struct bytes in, const struct cbor_head *head,
                                     struct cbor_content *out)
{
    struct cbor_content content = {.argument = head->len == 1 ? head->info : 0};
    for (size_t i = 1; i < head->len; i++)
        content.argument = content.argument << 8 | in.ptr[i];
    if (head->major == CBOR_MAJOR_SIMPLE && head->info > CBOR_AI_ONE_BYTE)
        content.argument = 0;
    if (head->major == CBOR_MAJOR_BYTES || head->major == CBOR_MAJOR_TEXT) {
        if (content.argument > in.len - head->len)
            return CBOR_HEAD_SHORT;
        content.string = bytes_of(in.ptr + head->len, content.argument);
    }
    *out = content;
    return CBOR_HEAD_READ;
}

size_t cbor_head_write(enum cbor_major major, uint64_t argument,
                       uint8_t out[static CBOR_HEAD_LEN_MAX])
{
    if (argument < CBOR_AI_ONE_BYTE) {
        out[0] = initial_byte(major, (unsigned)argument);
        return 1;
    }
    unsigned info = CBOR_AI_ONE_BYTE;
    size_t len = 1; /* of the argument */
    while (len < sizeof argument && argument >> 8 * len != 0) {
        info++;
        len *= 2;
    }
    out[0] = initial_byte(major, info);
    for (size_t i = 0; i < len; i++)
        out[1 + i] = (uint8_t)(argument >> 8 * (len - 1 - i));
    return 1 + len;
}

size_t cbor_head_write_bool(bool value, uint8_t out[static CBOR_HEAD_LEN_MAX])
{
    out[0] = initial_byte(CBOR_MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
    return 1;
}

size_t cbor_head_write_null(uint8_t out[static CBOR_HEAD_LEN_MAX])
{
    out[0] = initial_byte(CBOR_MAJOR_SIMPLE, SIMPLE_NULL);
    return 1;
}
