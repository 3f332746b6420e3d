/* Hex, base64, UTF-8 and times: one text for each value, and nothing else is read. */
#include "unit.h"

#include "common/codec.h"

START_TEST(valid_hex)
{
    uint8_t out[4] = {0};
    ck_ok(hex_decode(bytes_of_text("00fFA5b9"), out, sizeof out));
    static const uint8_t expected[] = {0x00, 0xff, 0xa5, 0xb9};
    ck_assert_mem_eq(out, expected, sizeof out);
    char text[9];
    hex_encode(bytes_of(out, sizeof out), text);
    ck_assert_str_eq(text, "00ffa5b9");
    ck_ok(hex_decode(bytes_of_text(""), out, 0));
}
END_TEST

START_TEST(valid_hex_append)
{
    CLEANUP(buf_free) struct buf buf = {0};
    uint8_t all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    ck_ok(buf_append_text(&buf, "0x"));
    ck_ok(hex_append(&buf, bytes_of(all, sizeof all)));
    ck_assert_uint_eq(buf.len, 2 + 512);
    uint8_t back[256];
    ck_ok(hex_decode(bytes_of(buf.ptr + 2, 512), back, sizeof back));
    ck_assert_mem_eq(back, all, sizeof all);
}
END_TEST

START_TEST(junk_hex)
{
    static const char *const texts[] = {"0g", "g0", " 0", "0 ", "0x", "-1", "/0", ":0", "@0", "`0"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        uint8_t out = 0x77;
        ck_err(hex_decode(bytes_of_text(texts[i]), &out, 1), ERR_HEX);
        ck_assert_uint_eq(out, 0x77);
    }
}
END_TEST

START_TEST(wrong_hex_length)
{
    uint8_t out[2] = {0x77, 0x77};
    ck_err(hex_decode(bytes_of_text("000"), out, 2), ERR_HEX);
    ck_err(hex_decode(bytes_of_text("00000"), out, 2), ERR_HEX);
    ck_err(hex_decode(bytes_of_text("000000"), out, 2), ERR_HEX);
    ck_err(hex_decode(bytes_of_text(""), out, 2), ERR_HEX);
    ck_err(hex_decode(bytes_of_text("00"), out, SIZE_MAX / 2 + 2), ERR_HEX);
    ck_assert_uint_eq(out[0], 0x77);
}
END_TEST

/* RFC 4648 section 10. */
START_TEST(valid_base64)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbe", "+/++"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        CLEANUP(buf_free) struct buf plain = {0};
        CLEANUP(buf_free) struct buf text = {0};
        ck_ok(buf_append_text(&plain, ">"));
        ck_ok(base64_decode(bytes_of_text(pairs[i][1]), &plain));
        ck_assert_uint_eq(plain.ptr[0], '>');
        ck_assert(bytes_equal_text(bytes_of(plain.ptr + 1, plain.len - 1), pairs[i][0]));
        ck_ok(base64_append(&text, bytes_of_text(pairs[i][0])));
        ck_assert(bytes_equal_text(bytes_of_buf(&text), pairs[i][1]));
    }
}
END_TEST

START_TEST(valid_base64_round_trip)
{
    uint8_t in[300];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t len = 0; len <= sizeof in; len++) {
        CLEANUP(buf_free) struct buf text = {0};
        CLEANUP(buf_free) struct buf back = {0};
        ck_ok(base64_append(&text, bytes_of(in, len)));
        ck_assert_uint_eq(text.len, (len + 2) / 3 * 4);
        ck_ok(base64_decode(bytes_of_buf(&text), &back));
        ck_assert(bytes_equal(bytes_of_buf(&back), bytes_of(in, len)));
    }
}
END_TEST

static void base64_refused(struct bytes text)
{
    CLEANUP(buf_free) struct buf out = {0};
    ck_ok(buf_append_text(&out, "kept"));
    const enum err err = base64_decode(text, &out);
    ck_assert_msg(err == ERR_BASE64, "\"%.*s\": got %s", (int)text.len, (const char *)text.ptr,
                  err_wire(err));
    ck_assert(bytes_equal_text(bytes_of_buf(&out), "kept"));
}

START_TEST(junk_base64)
{
    static const char *const texts[] = {
        "Zg=",     "Zg",       "Z",        "Z===",      "====",       "=",        "==",
        "Zm9v=",   "Zg==Zg==", "Zg==Zm9v", "Z=g=",      "=Zg=",       "Zm=v",     "Zm9vZm==v",
        " Zg==",   "Zg== ",    "Zg==\n",   "Zm9v\nZm9", "Zm9v\r\n==", "Zm 9",     "\tZm9",
        "-_--",    "Zm9_",     "Zm9.",     "Zm9@",      "Zm9[",       "Zm9`",     "Zm9{",
        "Zm9\x7f", "Zm9\xc3",  "Zm9-",     "Zm9,",      "    ",       "Zm9v    ",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        base64_refused(bytes_of_text(texts[i]));
    base64_refused(bytes_of("Zm9\0", 4));
    base64_refused(bytes_of("Zm9v\0\0\0\0", 8));
}
END_TEST

/* The same bytes as "Zg==" and "Zm8=" to a lax decoder. */
START_TEST(wrong_base64_unused_bits)
{
    static const char digits[] = "ghijklmnopqrstuv";
    for (size_t i = 1; digits[i] != '\0'; i++) {
        const char text[] = {'Z', digits[i], '=', '='};
        base64_refused(bytes_of(text, sizeof text));
    }
    base64_refused(bytes_of_text("Zm9="));
    base64_refused(bytes_of_text("Zm+="));
    base64_refused(bytes_of_text("Zm/="));
    base64_refused(bytes_of_text("Zm9vZh=="));
}
END_TEST

START_TEST(valid_utf8)
{
    static const char *const texts[] = {
        "",
        "plain",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xec\xbf\xbf",
        "\xed\x80\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf3\xbf\xbf\xbf",
        "\xf4\x8f\xbf\xbf",
        "a\xc3\xbc\xe6\xb0\xb4\xf0\x90\x85\x91z",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_msg(utf8_valid(bytes_of_text(texts[i])), "row %zu", i);
    ck_assert(utf8_valid(bytes_of("a\0b", 3)));
    ck_assert(utf8_valid(bytes_of(NULL, 0)));
}
END_TEST

START_TEST(junk_utf8)
{
    static const char *const texts[] = {
        "\x80", /* a continuation alone */
        "\xbf",
        "\xc0\x80", /* overlong */
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80", /* surrogates */
        "\xed\xbf\xbf",
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "\xc2", /* cut */
        "\xe1\x80",
        "\xf1\x80\x80",
        "\302a", /* wrong continuation (octal: 'a' is a hex digit) */
        "\xe1\x80\xc0",
        "\xe1\x41\x80",
        "\xf1\x80\x80\x7f",
        "\xf1\x80\x41\x80",
        "ok\xc3\xbc then \xa0", /* late */
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_msg(!utf8_valid(bytes_of_text(texts[i])), "row %zu", i);
    /* The byte that would complete it lies behind the view. */
    ck_assert(!utf8_valid(bytes_of("\xc3\xbc", 1)));
}
END_TEST

static const struct {
    int64_t ms;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00Z"},
    {1, "1970-01-01T00:00:00.001Z"},
    {-1, "1969-12-31T23:59:59.999Z"},
    {-1000, "1969-12-31T23:59:59Z"},
    {951782399120, "2000-02-28T23:59:59.120Z"},
    {951782400000, "2000-02-29T00:00:00Z"},
    {1709164800000, "2024-02-29T00:00:00Z"},
    {4107542400000, "2100-03-01T00:00:00Z"},
    {1795421399000, "2026-11-23T08:09:59Z"},
    {TIME_MS_MAX, "9999-12-31T23:59:59.999Z"},
    {TIME_MS_MIN, "0000-01-01T00:00:00Z"},
};

START_TEST(valid_times)
{
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char text[TIME_TEXT_MAX];
        time_format(times[i].ms, text);
        ck_assert_str_eq(text, times[i].text);
        int64_t ms = 42;
        ck_ok(time_parse(times[i].text, &ms));
        ck_assert_int_eq(ms, times[i].ms);
    }
    int64_t ms = 42;
    ck_ok(time_parse("1970-01-01T00:00:01.000Z", &ms));
    ck_assert_int_eq(ms, 1000);
}
END_TEST

START_TEST(long_time_is_nearest)
{
    char text[TIME_TEXT_MAX];
    time_format(INT64_MAX, text);
    ck_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
    time_format(INT64_MIN, text);
    ck_assert_str_eq(text, "0000-01-01T00:00:00Z");
}
END_TEST

START_TEST(junk_times)
{
    static const char *const texts[] = {
        "",
        "2026-11-23",
        "2026-11-23T08:09:59",
        "2026-11-23t08:09:59Z",
        "2026-11-23T08:09:59z",
        "2026-11-23 08:09:59Z",
        "2026-11-23T08:09:59+00:00",
        "2026-11-23T08:09:59-00:00",
        "2026-11-23T08:09:59ZZ",
        "2026-11-23T08:09:59Z ",
        " 2026-11-23T08:09:59Z",
        "2026-11-23T08:09Z",
        "2026-11-23T08:09:59.Z",
        "2026-11-23T08:09:59.1Z",
        "2026-11-23T08:09:59.1234Z",
        "2026-11-23T08:09:59,123Z",
        "+026-11-23T08:09:59Z",
        "2026-1-23T08:09:59Z",
        "12026-11-23T08:09:59Z",
        "2026-02-29T00:00:00Z", /* no such day */
        "2026-02-30T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-13-10T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-32T00:00:00Z",
        "2026-11-23T24:00:00Z", /* no such time */
        "2026-11-23T08:60:00Z",
        "2026-11-23T08:09:60Z",
        "2016-12-31T23:59:60Z", /* a leap second: ours have none */
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t ms = 42;
        const enum err err = time_parse(texts[i], &ms);
        ck_assert_msg(err == ERR_MALFORMED, "\"%s\": got %s", texts[i], err_wire(err));
        ck_assert_int_eq(ms, 42);
    }
}
END_TEST

START_TEST(valid_decimals)
{
    static const struct {
        const char *text;
        uint64_t max, value;
    } cases[] = {
        {"0", 0, 0},
        {"7", 7, 7},
        {"10", 10, 10},
        {"65535", 65535, 65535},
        {"18446744073709551615", UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value = 42;
        ck_err(decimal_parse(bytes_of_text(cases[i].text), cases[i].max, &value), ERR_OK);
        ck_assert_uint_eq(value, cases[i].value);
    }
}
END_TEST

START_TEST(junk_decimals)
{
    static const char *const texts[] = {
        "", " 1", "1 ", "+1", "-1", "-0", "1.0", "1e1", "0x1", "a", "1a", "1,2", "00", "007",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        uint64_t value = 42;
        const enum err err = decimal_parse(bytes_of_text(texts[i]), UINT64_MAX, &value);
        ck_assert_msg(err == ERR_MALFORMED, "\"%s\": got %s", texts[i], err_wire(err));
        ck_assert_uint_eq(value, 42);
    }
    uint64_t value = 42;
    ck_err(decimal_parse(bytes_of("1\0", 2), UINT64_MAX, &value), ERR_MALFORMED);
    ck_assert_uint_eq(value, 42);
}
END_TEST

START_TEST(long_decimals)
{
    static const struct {
        const char *text;
        uint64_t max;
    } cases[] = {
        {"1", 0},
        {"65536", 65535},
        {"18446744073709551615", UINT64_MAX - 1},
        {"18446744073709551616", UINT64_MAX},
        {"18446744073709551620", UINT64_MAX},
        {"100000000000000000000", UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value = 42;
        ck_err(decimal_parse(bytes_of_text(cases[i].text), cases[i].max, &value), ERR_MALFORMED);
        ck_assert_uint_eq(value, 42);
    }
}
END_TEST

UNIT_MAIN("codec", valid_hex, valid_hex_append, junk_hex, wrong_hex_length, valid_base64,
          valid_base64_round_trip, junk_base64, wrong_base64_unused_bits, valid_utf8, junk_utf8,
          valid_times, long_time_is_nearest, junk_times, valid_decimals, junk_decimals,
          long_decimals)
