/* What enclaves log, made into lines: whatever they send, a line is printable, bounded, and
 * nobody else's. */
#include "unit.h"

#include "enclave-agent/relay/line.h"

/* Everything that comes out of `bytes`, one line after the other, joined by '|'; `step` bytes
 * at a time. */
static void lines_of(struct bytes bytes, size_t step, char *out, size_t size)
{
    struct line line = {0};
    out[0] = '\0';
    while (bytes.len > 0) {
        struct bytes part = bytes_of(bytes.ptr, bytes.len < step ? bytes.len : step);
        bytes = bytes_of(bytes.ptr + part.len, bytes.len - part.len);
        while (line_take(&line, &part)) {
            ck_assert_uint_lt(strlen(out) + line.len + 2, size);
            ck_assert_uint_eq(strlen(line.text), line.len);
            strcat(strcat(out, line.text), "|");
            line_begin(&line);
        }
        ck_assert_uint_eq(part.len, 0);
    }
    if (line_end(&line))
        strcat(out, line.text);
}

static void check(const void *bytes, size_t len, const char *expected)
{
    char out[4096];
    for (size_t step = 1; step <= len; step++) {
        lines_of(bytes_of(bytes, len), step, out, sizeof out);
        ck_assert_str_eq(out, expected);
    }
}

#define CHECK(text, expected) check(text, sizeof(text) - 1, expected)

START_TEST(valid_lines)
{
    CHECK("one\ntwo\n", "one|two|");
    CHECK("one\r\ntwo\r\n", "one|two|");
    CHECK("one\n\n\r\n\ntwo", "one|two");
    CHECK("a\tb\n", "a b|");
    CHECK("\n", "");
}
END_TEST

START_TEST(junk_bytes)
{
    CHECK("a\rcid=3 forged\n", "a?cid=3 forged|");
    CHECK("a\r\r\nb", "a?|b");
    CHECK("\x1b[2J\x1b]0;title\x07\n", "?[2J?]0;title?|");
    CHECK("a\0b\x7f\x80\xff\n", "a?b???|");
    CHECK("\xe2\x80\xa8\xc2\x85x\n", "?????x|"); /* line separators of Unicode */
    CHECK("end\r", "end");
    char all[256];
    char out[1024];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    for (size_t step = 1; step <= sizeof all; step++) {
        lines_of(bytes_of(all, sizeof all), step, out, sizeof out);
        for (const char *c = out; *c != '\0'; c++)
            ck_assert(*c >= 0x20 && *c < 0x7f);
        ck_assert_uint_eq(strlen(out), 256); /* one is the end of a line, shown as '|' */
    }
}
END_TEST

START_TEST(long_line)
{
    static char text[3 * LINE_MAX_LEN + 8];
    char out[4096];
    const size_t steps[] = {1, 7, LINE_MAX_LEN, sizeof text};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        memset(text, 'x', sizeof text);
        text[LINE_MAX_LEN] = '\n'; /* it just fits */
        text[sizeof text - 3] = '\n';
        memcpy(text + sizeof text - 2, "y\n", 2);
        lines_of(bytes_of(text, sizeof text), steps[i], out, sizeof out);
        ck_assert_uint_eq(strlen(out), 2 * (LINE_MAX_LEN + 1) + 2);
        ck_assert_uint_eq(strspn(out, "x"), LINE_MAX_LEN);
        ck_assert_str_eq(out + 2 * LINE_MAX_LEN - 3, "x...|y|");
    }
    /* Without any end it stays one line, however much comes. */
    memset(text, 'x', sizeof text);
    lines_of(bytes_of(text, sizeof text), 5, out, sizeof out);
    ck_assert_uint_eq(strlen(out), LINE_MAX_LEN);
    ck_assert_str_eq(out + LINE_MAX_LEN - 4, "x...");
}
END_TEST

UNIT_MAIN("relay_line", valid_lines, junk_bytes, long_line)
