/* Text encodings: one text for each value, and the other way round. */
#include <stdio.h>

#include "common/codec.h"
#include "fuzz.h"

static void check_hex(struct bytes in)
{
    uint8_t value[64];
    char text[2 * sizeof value + 1];
    const size_t len = in.len / 2 < sizeof value ? in.len / 2 : sizeof value;
    memset(value, 0xa5, sizeof value);
    if (hex_decode(in, value, len) == ERR_OK) {
        FUZZ_HOLDS(in.len == 2 * len);
        hex_encode(bytes_of(value, len), text);
        for (size_t i = 0; i < in.len; i++)
            FUZZ_HOLDS(text[i] ==
                       (in.ptr[i] >= 'A' && in.ptr[i] <= 'F' ? in.ptr[i] | 0x20 : in.ptr[i]));
        fuzz_accepted++;
    }
    /* Any value survives the way there and back. */
    const struct bytes some = bytes_of(in.ptr, in.len < sizeof value ? in.len : sizeof value);
    CLEANUP(buf_free) struct buf appended = {0};
    hex_encode(some, text);
    FUZZ_OK(hex_append(&appended, some));
    FUZZ_HOLDS(bytes_equal_text(bytes_of_buf(&appended), text));
    FUZZ_OK(hex_decode(bytes_of_text(text), value, some.len));
    FUZZ_HOLDS(bytes_equal(bytes_of(value, some.len), some));
    FUZZ_HOLDS(hex_decode(bytes_of_text(text), value, some.len + 1) == ERR_HEX);
}

static void check_base64(struct bytes in)
{
    CLEANUP(buf_free) struct buf value = {0};
    CLEANUP(buf_free) struct buf text = {0};
    FUZZ_OK(buf_append_text(&value, "before"));
    const enum err err = base64_decode(in, &value);
    FUZZ_HOLDS(err == ERR_OK || (err == ERR_BASE64 && value.len == 6));
    if (err == ERR_OK) {
        FUZZ_OK(base64_append(&text, bytes_of(value.ptr + 6, value.len - 6)));
        FUZZ_HOLDS(bytes_equal(bytes_of_buf(&text), in));
        fuzz_accepted++;
    }
    text.len = value.len = 0;
    FUZZ_OK(base64_append(&text, in));
    FUZZ_OK(base64_decode(bytes_of_buf(&text), &value));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&value), in));
}

static void check_numbers(struct bytes in)
{
    uint64_t number = 0;
    char again[32];
    if (decimal_parse(in, UINT64_MAX, &number) == ERR_OK) {
        snprintf(again, sizeof again, "%llu", (unsigned long long)number);
        FUZZ_HOLDS(bytes_equal_text(in, again));
        FUZZ_HOLDS(number == 0 || decimal_parse(in, number - 1, &number) == ERR_MALFORMED);
        fuzz_accepted++;
    }
    char text[TIME_TEXT_MAX + 8] = "";
    char formatted[TIME_TEXT_MAX];
    int64_t time_ms = 0;
    memcpy(text, in.ptr, in.len < sizeof text - 1 ? in.len : sizeof text - 1);
    if (time_parse(text, &time_ms) == ERR_OK) {
        int64_t time_again = 0;
        FUZZ_HOLDS(time_ms >= TIME_MS_MIN && time_ms <= TIME_MS_MAX);
        time_format(time_ms, formatted);
        FUZZ_OK(time_parse(formatted, &time_again));
        FUZZ_HOLDS(time_again == time_ms);
        fuzz_accepted++;
    }
    /* Any moment is written as a text that can be read. */
    memcpy(&time_ms, in.ptr, in.len < sizeof time_ms ? in.len : sizeof time_ms);
    time_format(time_ms, formatted);
    int64_t read_ms = 0;
    FUZZ_OK(time_parse(formatted, &read_ms));
    FUZZ_HOLDS(time_ms < TIME_MS_MIN || time_ms > TIME_MS_MAX || read_ms == time_ms);
}

/* RFC 3629 once more, by decoding instead of by table. */
static bool utf8_by_value(struct bytes in)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < in.len;) {
        const uint8_t lead = in.ptr[i++];
        const unsigned more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if ((lead >= 0x80 && lead < 0xc0) || lead >= 0xf8 || more > in.len - i)
            return false;
        uint32_t value = more == 0 ? lead : lead & (0x3fu >> more);
        for (unsigned k = 0; k < more; k++, i++) {
            if ((in.ptr[i] & 0xc0) != 0x80)
                return false;
            value = value << 6 | (in.ptr[i] & 0x3f);
        }
        if (value < least[more] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    check_hex(in);
    check_base64(in);
    if (size > 0)
        check_numbers(in);
    FUZZ_HOLDS(utf8_valid(in) == utf8_by_value(in));
    return 0;
}
