/* The strict reader: what it takes, what it refuses, and with which error and place. */
#include "unit.h"

#include <stdio.h>

#include "common/cbor_reader.h"
#include "common/codec.h"

/* Bytes from hex, read over a copy of exactly that length, so that a sanitizer sees
 * the first byte too far. */
struct input {
    uint8_t *ptr;
    size_t len;
};

static void input_free(struct input *in)
{
    free(in->ptr);
}

static struct input input_of(const char *hex)
{
    struct input in = {.len = strlen(hex) / 2};
    in.ptr = in.len > 0 ? malloc(in.len) : NULL;
    ck_ok(hex_decode(bytes_of_text(hex), in.ptr, in.len));
    return in;
}

#define READER(r, hex)                                      \
    struct fault fault = FAULT_NONE;                        \
    CLEANUP(input_free) struct input input = input_of(hex); \
    struct cbor_reader r;                                   \
    cbor_reader_init(&r, bytes_of(input.ptr, input.len), 0, "field", &fault)

/* `next` refuses the head at the start of `hex`, and stays where it was. */
static void refused(const char *hex, enum err expected)
{
    READER(r, hex);
    struct cbor_item item = {.offset = 4711};
    enum err got = cbor_reader_next(&r, &item);
    ck_assert_msg(got == expected, "%s: got %s, expected %s", hex, err_wire(got),
                  err_wire(expected));
    ck_err(fault.code, expected);
    ck_assert_uint_eq(fault.offset, 0);
    ck_assert_str_eq(fault.field, "field");
    ck_assert_str_ne(fault.detail, "");
    ck_assert_uint_eq(r.pos, 0);
    ck_assert_uint_eq(item.offset, 4711);
    got = cbor_reader_peek(&r, &item);
    ck_err(got, expected);
}

START_TEST(valid_heads)
{
    static const struct {
        const char *hex;
        enum cbor_kind kind;
        uint64_t value;
        size_t head_len;
    } rows[] = {
        {"00", CBOR_KIND_UINT, 0, 1},
        {"17", CBOR_KIND_UINT, 23, 1},
        {"1818", CBOR_KIND_UINT, 24, 2},
        {"18ff", CBOR_KIND_UINT, 255, 2},
        {"190100", CBOR_KIND_UINT, 256, 3},
        {"19ffff", CBOR_KIND_UINT, 65535, 3},
        {"1a00010000", CBOR_KIND_UINT, 65536, 5},
        {"1affffffff", CBOR_KIND_UINT, UINT32_MAX, 5},
        {"1b0000000100000000", CBOR_KIND_UINT, (uint64_t)UINT32_MAX + 1, 9},
        {"1bffffffffffffffff", CBOR_KIND_UINT, UINT64_MAX, 9},
        {"20", CBOR_KIND_NINT, 0, 1},
        {"37", CBOR_KIND_NINT, 23, 1},
        {"3818", CBOR_KIND_NINT, 24, 2},
        {"390100", CBOR_KIND_NINT, 256, 3},
        {"3a00010000", CBOR_KIND_NINT, 65536, 5},
        {"3bffffffffffffffff", CBOR_KIND_NINT, UINT64_MAX, 9},
        {"80", CBOR_KIND_ARRAY, 0, 1},
        {"820000", CBOR_KIND_ARRAY, 2, 1},
        {"a0", CBOR_KIND_MAP, 0, 1},
        {"a100f6", CBOR_KIND_MAP, 1, 1},
        {"c000", CBOR_KIND_TAG, 0, 1},
        {"c600", CBOR_KIND_TAG, 6, 1},
        {"d200", CBOR_KIND_TAG, 18, 1},
        {"d700", CBOR_KIND_TAG, 23, 1},
        {"d81800", CBOR_KIND_TAG, 24, 2},
        {"d93d7000", CBOR_KIND_TAG, 15728, 3},
        {"dbffffffffffffffff00", CBOR_KIND_TAG, UINT64_MAX, 9},
        {"e0", CBOR_KIND_SIMPLE, 0, 1},
        {"f3", CBOR_KIND_SIMPLE, 19, 1},
        {"f4", CBOR_KIND_FALSE, 20, 1},
        {"f5", CBOR_KIND_TRUE, 21, 1},
        {"f6", CBOR_KIND_NULL, 22, 1},
        {"f7", CBOR_KIND_UNDEFINED, 23, 1},
        {"f820", CBOR_KIND_SIMPLE, 32, 2},
        {"f8ff", CBOR_KIND_SIMPLE, 255, 2},
        {"f93c00", CBOR_KIND_FLOAT, 0, 3},
        {"fa7fc00000", CBOR_KIND_FLOAT, 0, 5},
        {"fbc010666666666666", CBOR_KIND_FLOAT, 0, 9},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        READER(r, rows[i].hex);
        struct cbor_item peeked = {0};
        struct cbor_item item = {0};
        ck_ok(cbor_reader_peek(&r, &peeked));
        ck_assert_uint_eq(r.pos, 0);
        ck_ok(cbor_reader_next(&r, &item));
        ck_assert_msg(item.kind == rows[i].kind && item.value == rows[i].value &&
                          r.pos == rows[i].head_len && !item.indefinite && item.string.len == 0,
                      "%s", rows[i].hex);
        ck_assert_uint_eq(peeked.kind, item.kind);
        ck_assert_uint_eq(peeked.value, item.value);
    }
}
END_TEST

START_TEST(valid_strings)
{
    READER(r, "4401020304"
              "40"
              "6449455446"
              "60"
              "63e6b0b4");
    struct bytes b = {0};
    ck_ok(cbor_reader_bytes(&r, &b));
    ck_assert(bytes_equal(b, bytes_of("\1\2\3\4", 4)));
    ck_assert_ptr_eq(b.ptr, input.ptr + 1); /* a view, no copy */
    ck_ok(cbor_reader_bytes(&r, &b));
    ck_assert_uint_eq(b.len, 0);
    ck_ok(cbor_reader_text(&r, &b));
    ck_assert(bytes_equal_text(b, "IETF"));
    ck_ok(cbor_reader_text(&r, &b));
    ck_assert_uint_eq(b.len, 0);
    struct cbor_item item = {0};
    ck_ok(cbor_reader_next(&r, &item));
    ck_assert_uint_eq(item.kind, CBOR_KIND_TEXT);
    ck_assert_uint_eq(item.offset, 12);
    ck_assert(bytes_equal_text(item.string, "\xe6\xb0\xb4"));
    ck_ok(cbor_reader_end(&r));
}
END_TEST

/* 24, 256 and 65536 bytes: the heads of 2, 3 and 5 bytes. */
START_TEST(valid_long_strings)
{
    static const struct {
        size_t len;
        const char *head;
        size_t head_len;
    } rows[] = {{24, "\x58\x18", 2}, {256, "\x59\1\0", 3}, {65536, "\x5a\0\1\0\0", 5}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t *in = calloc(1, rows[i].head_len + rows[i].len);
        ck_assert_ptr_nonnull(in);
        memcpy(in, rows[i].head, rows[i].head_len);
        struct cbor_reader r;
        cbor_reader_init(&r, bytes_of(in, rows[i].head_len + rows[i].len), 0, "x", NULL);
        struct bytes b = {0};
        ck_ok(cbor_reader_bytes(&r, &b));
        ck_assert_uint_eq(b.len, rows[i].len);
        ck_ok(cbor_reader_end(&r));
        cbor_reader_init(&r, bytes_of(in, rows[i].head_len + rows[i].len - 1), 0, "x", NULL);
        ck_err(cbor_reader_bytes(&r, &b), ERR_CBOR_MALFORMED);
        free(in);
    }
}
END_TEST

START_TEST(junk_reserved)
{
    char hex[3];
    for (unsigned major = 0; major < 8; major++) {
        for (unsigned info = 28; info <= 30; info++) {
            snprintf(hex, sizeof hex, "%02x", major << 5 | info);
            refused(hex, ERR_CBOR_MALFORMED);
        }
    }
    refused("1f", ERR_CBOR_MALFORMED); /* numbers and tags have no indefinite form */
    refused("3f", ERR_CBOR_MALFORMED);
    refused("df00", ERR_CBOR_MALFORMED);
    refused("ff", ERR_CBOR_MALFORMED); /* a break on its own */
}
END_TEST

START_TEST(junk_simple_in_two_bytes)
{
    char hex[5];
    for (unsigned value = 0; value < 32; value++) {
        snprintf(hex, sizeof hex, "f8%02x", value);
        refused(hex, ERR_CBOR_MALFORMED);
    }
}
END_TEST

START_TEST(long_truncated)
{
    static const char *const rows[] = {
        "",           "18",       "19",       "1900",         "1a000000",     "1b00000000000000",
        "38",         "3900",     "3a000000", "41",           "420a",         "5818",
        "58",         "5900",     "61",       "6261",         "7818",         "7b00000000000000",
        "f8",         "f9",       "f900",     "fa000000",     "98",           "b8",
        "fb00000000", "d8",       "d900",     "da000000",     "d2",           "5affffffff00",
        "c0",         "79fff000", "5a000000", "1bffffffff00", "7affffffff00",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        refused(rows[i], ERR_CBOR_MALFORMED);
    refused("5bffffffffffffffff010203", ERR_CBOR_MALFORMED); /* head + length overflows */
    refused("5bfffffffffffffff7010203", ERR_CBOR_MALFORMED);
    refused("7b7fffffffffffffff010203", ERR_CBOR_MALFORMED);
}
END_TEST

/* Before any entry is read: what is claimed cannot be there. */
START_TEST(long_counts)
{
    refused("81", ERR_CBOR_MALFORMED);
    refused("8200", ERR_CBOR_MALFORMED);
    refused("9affffffff", ERR_CBOR_MALFORMED);
    refused("9b0203366bfffbde1856bfffff", ERR_CBOR_MALFORMED);
    refused("9bffffffffffffffff00", ERR_CBOR_MALFORMED);
    refused("a100", ERR_CBOR_MALFORMED);
    refused("a2000000", ERR_CBOR_MALFORMED);             /* three bytes for two entries */
    refused("bb800000000000000000", ERR_CBOR_MALFORMED); /* twice the count overflows */
    refused("bbffffffffffffffff0000", ERR_CBOR_MALFORMED);
}
END_TEST

START_TEST(wrong_not_shortest)
{
    static const char *const rows[] = {
        "1800",
        "1817",
        "1900ff",
        "1a0000ffff",
        "1b00000000ffffffff",
        "3800",
        "3817",
        "3900ff",
        "3a0000ffff",
        "3b00000000ffffffff",
        "5800",
        "580100",
        "590001aa",
        "5a00000001aa",
        "5b0000000000000001aa",
        "7800",
        "780161",
        "79000161",
        "9800",
        "980100",
        "9900010000",
        "9b0000000000000000",
        "b800",
        "b8010000",
        "ba000000010000",
        "d80000",
        "d81200", /* tag 18 */
        "d9001200",
        "db000000000000001200",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        refused(rows[i], ERR_CBOR_NOT_STRICT);
}
END_TEST

START_TEST(wrong_indefinite)
{
    refused("5fff", ERR_CBOR_NOT_STRICT);
    refused("5f4100ff", ERR_CBOR_NOT_STRICT);
    refused("7fff", ERR_CBOR_NOT_STRICT);
    refused("7f6161ff", ERR_CBOR_NOT_STRICT);
    refused("9fff", ERR_CBOR_NOT_STRICT);
    refused("bfff", ERR_CBOR_NOT_STRICT);
}
END_TEST

START_TEST(junk_utf8)
{
    refused("62c328", ERR_UTF8);
    refused("61ff", ERR_UTF8);
    refused("63eda080", ERR_UTF8);
    refused("61c3bc", ERR_UTF8); /* the string ends inside the character */
}
END_TEST

START_TEST(valid_typed)
{
    READER(r, "1903e8"
              "f5"
              "f4"
              "820102"
              "a0");
    uint64_t n = 0;
    bool b = false;
    struct cbor_map map = {0};
    ck_ok(cbor_reader_uint(&r, &n));
    ck_assert_uint_eq(n, 1000);
    ck_ok(cbor_reader_bool(&r, &b));
    ck_assert(b);
    ck_ok(cbor_reader_bool(&r, &b));
    ck_assert(!b);
    ck_ok(cbor_reader_array(&r, &n));
    ck_assert_uint_eq(n, 2);
    ck_ok(cbor_reader_expect_uint(&r, 1));
    ck_ok(cbor_reader_expect_uint(&r, 2));
    ck_ok(cbor_reader_map(&r, false, &map));
    ck_assert(!map.indefinite);
    ck_assert_uint_eq(map.left, 0);
    ck_ok(cbor_reader_end(&r));
}
END_TEST

START_TEST(wrong_type)
{
    static const struct {
        const char *hex;
        enum cbor_kind kind;
    } rows[] = {
        {"01", CBOR_KIND_UINT},      {"20", CBOR_KIND_NINT},      {"40", CBOR_KIND_BYTES},
        {"60", CBOR_KIND_TEXT},      {"80", CBOR_KIND_ARRAY},     {"a0", CBOR_KIND_MAP},
        {"d200", CBOR_KIND_TAG},     {"f4", CBOR_KIND_FALSE},     {"f5", CBOR_KIND_TRUE},
        {"f6", CBOR_KIND_NULL},      {"f7", CBOR_KIND_UNDEFINED}, {"e0", CBOR_KIND_SIMPLE},
        {"f90000", CBOR_KIND_FLOAT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const enum cbor_kind kind = rows[i].kind;
        READER(r, rows[i].hex);
        uint64_t n = 4711;
        bool b = true;
        struct bytes s = bytes_of("same", 4);
        struct cbor_map map = {.left = 4711};
        if (kind != CBOR_KIND_UINT)
            ck_err(cbor_reader_uint(&r, &n), ERR_CBOR_TYPE);
        if (kind != CBOR_KIND_TRUE && kind != CBOR_KIND_FALSE)
            ck_err(cbor_reader_bool(&r, &b), ERR_CBOR_TYPE);
        if (kind != CBOR_KIND_BYTES)
            ck_err(cbor_reader_bytes(&r, &s), ERR_CBOR_TYPE);
        if (kind != CBOR_KIND_TEXT)
            ck_err(cbor_reader_text(&r, &s), ERR_CBOR_TYPE);
        if (kind != CBOR_KIND_ARRAY)
            ck_err(cbor_reader_array(&r, &n), ERR_CBOR_TYPE);
        if (kind != CBOR_KIND_MAP)
            ck_err(cbor_reader_map(&r, true, &map), ERR_CBOR_TYPE);
        ck_assert_uint_eq(r.pos, 0);
        ck_assert_uint_eq(n, 4711);
        ck_assert_uint_eq(map.left, 4711);
        ck_assert(b && bytes_equal_text(s, "same"));
        ck_err(fault.code, ERR_CBOR_TYPE);
    }
}
END_TEST

START_TEST(wrong_expected)
{
    READER(r, "830000"
              "00");
    ck_err(cbor_reader_expect_array(&r, 4), ERR_CBOR_TYPE);
    ck_err(cbor_reader_expect_array(&r, 2), ERR_CBOR_TYPE);
    ck_assert_uint_eq(r.pos, 0);
    ck_err(cbor_reader_expect_uint(&r, 3), ERR_CBOR_TYPE);
    ck_ok(cbor_reader_expect_array(&r, 3));
    ck_err(cbor_reader_expect_uint(&r, 1), ERR_CBOR_TYPE);
    ck_assert_uint_eq(r.pos, 1);
    ck_ok(cbor_reader_expect_uint(&r, 0));
    ck_err(cbor_reader_expect_array(&r, 0), ERR_CBOR_TYPE);
}
END_TEST

/* What messages and faults of nested readers rest on. */
START_TEST(valid_offsets)
{
    struct fault fault = FAULT_NONE;
    CLEANUP(input_free) struct input in = input_of("0001f6");
    struct cbor_reader r;
    cbor_reader_init(&r, bytes_of(in.ptr, in.len), 1000, "a", &fault);
    struct cbor_item item = {0};
    ck_ok(cbor_reader_next(&r, &item));
    ck_ok(cbor_reader_next(&r, &item));
    ck_assert_uint_eq(item.offset, 1001);
    r.field = "b[1]";
    uint64_t n = 0;
    ck_err(cbor_reader_uint(&r, &n), ERR_CBOR_TYPE);
    ck_assert_uint_eq(fault.offset, 1002);
    ck_assert_str_eq(fault.field, "b[1]");
    ck_assert_str_eq(fault.detail, "expected an unsigned integer, found null");
    ck_ok(cbor_reader_next(&r, &item));
    ck_err(cbor_reader_next(&r, &item), ERR_CBOR_MALFORMED);
    ck_assert_uint_eq(fault.offset, 1003);
}
END_TEST

START_TEST(no_fault_no_field)
{
    struct cbor_reader r;
    struct cbor_item item = {0};
    cbor_reader_init(&r, bytes_of(NULL, 0), 0, NULL, NULL);
    ck_err(cbor_reader_next(&r, &item), ERR_CBOR_MALFORMED);
    ck_ok(cbor_reader_end(&r));
    struct fault fault = FAULT_NONE;
    cbor_reader_init(&r, bytes_of("\xff", 1), 0, NULL, &fault);
    ck_err(cbor_reader_next(&r, &item), ERR_CBOR_MALFORMED);
    ck_assert_str_eq(fault.field, "");
}
END_TEST

/* Reads a map of unsigned integers to its end; writes how many entries there were. */
static enum err read_map(struct cbor_reader *r, bool allow_indefinite, unsigned *entries)
{
    struct cbor_map map = {0};
    TRY(cbor_reader_map(r, allow_indefinite, &map));
    unsigned count = 0;
    for (;; count++) {
        bool more = false;
        uint64_t n = 0;
        TRY(cbor_reader_map_more(r, &map, &more));
        if (!more)
            break;
        TRY(cbor_reader_uint(r, &n));
        TRY(cbor_reader_uint(r, &n));
    }
    *entries = count;
    return ERR_OK;
}

START_TEST(valid_maps)
{
    static const struct {
        const char *hex;
        unsigned entries;
    } rows[] = {{"a0", 0}, {"a10102", 1}, {"a201020304", 2}, {"bfff", 0}, {"bf01020304ff", 2}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        READER(r, rows[i].hex);
        unsigned entries = 99;
        ck_ok(read_map(&r, true, &entries));
        ck_assert_uint_eq(entries, rows[i].entries);
        ck_ok(cbor_reader_end(&r));
    }
}
END_TEST

START_TEST(wrong_maps)
{
    static const struct {
        const char *hex;
        enum err err;
        size_t offset;
    } rows[] = {
        {"bf", ERR_CBOR_MALFORMED, 1},          {"bf0102", ERR_CBOR_MALFORMED, 3},
        {"bf01ff", ERR_CBOR_MALFORMED, 2}, /* a break instead of a value */
        {"bf01", ERR_CBOR_MALFORMED, 2},        {"a1ff00", ERR_CBOR_MALFORMED, 1},
        {"a101ff", ERR_CBOR_MALFORMED, 2},      {"bfbfffff", ERR_CBOR_NOT_STRICT, 1},
        {"bf019fffff", ERR_CBOR_NOT_STRICT, 2}, {"9fff", ERR_CBOR_NOT_STRICT, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        READER(r, rows[i].hex);
        unsigned entries = 99;
        const enum err err = read_map(&r, true, &entries);
        ck_assert_msg(err == rows[i].err, "%s: %s", rows[i].hex, err_wire(err));
        ck_assert_uint_eq(fault.offset, rows[i].offset);
    }
    READER(r, "bfff");
    unsigned entries = 99;
    ck_err(read_map(&r, false, &entries), ERR_CBOR_NOT_STRICT);
}
END_TEST

START_TEST(valid_skip)
{
    static const struct {
        const char *hex;
        unsigned depth;
    } rows[] = {
        {"00", 0},
        {"43010203", 0},
        {"f6", 0},
        {"fb0000000000000000", 0},
        {"d2d81800", 0},
        {"80", 1},
        {"83010203", 1},
        {"8301820203820405", 2},
        {"a26161016162820203", 2},
        {"a1a0d280", 2},
        {"8181818100", 4},
        {"82818000", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free) struct buf hex = {0};
        ck_ok(buf_append_format(&hex, "%s07", rows[i].hex)); /* and what follows stays */
        READER(r, buf_text(&hex));
        const enum err err = cbor_reader_skip(&r, rows[i].depth);
        ck_assert_msg(err == ERR_OK, "%s: %s", rows[i].hex, err_wire(err));
        ck_ok(cbor_reader_expect_uint(&r, 7));
        ck_ok(cbor_reader_end(&r));
        if (rows[i].depth == 0)
            continue;
        r.pos = 0;
        ck_err(cbor_reader_skip(&r, rows[i].depth - 1), ERR_CBOR_NOT_STRICT);
        ck_assert_uint_eq(r.pos, 0);
    }
}
END_TEST

START_TEST(wrong_skip)
{
    static const struct {
        const char *hex;
        enum err err;
        size_t offset;
    } rows[] = {
        {"", ERR_CBOR_MALFORMED, 0},
        {"81ff", ERR_CBOR_MALFORMED, 1},
        {"82818000", ERR_OK, 0},
        {"82818080", ERR_OK, 0},
        {"828200", ERR_CBOR_MALFORMED, 1},
        {"82820000", ERR_CBOR_MALFORMED, 4},
        {"a1009fff", ERR_CBOR_NOT_STRICT, 2},
        {"8161ff", ERR_UTF8, 1},
        {"811800", ERR_CBOR_NOT_STRICT, 1},
        {"81d2", ERR_CBOR_MALFORMED, 1},
        {"bf0000ff", ERR_CBOR_NOT_STRICT, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        READER(r, rows[i].hex);
        const enum err err = cbor_reader_skip(&r, 8);
        ck_assert_msg(err == rows[i].err, "%s: %s", rows[i].hex, err_wire(err));
        if (err != ERR_OK)
            ck_assert_uint_eq(fault.offset, rows[i].offset);
    }
}
END_TEST

/* 30,000 arrays in one another, and as many tags. */
START_TEST(long_nesting)
{
    static uint8_t in[30000];
    memset(in, 0x81, sizeof in);
    struct fault fault = FAULT_NONE;
    struct cbor_reader r;
    cbor_reader_init(&r, bytes_of(in, sizeof in), 0, "x", &fault);
    ck_err(cbor_reader_skip(&r, 16), ERR_CBOR_NOT_STRICT);
    ck_assert_uint_eq(fault.offset, 16);
    memset(in, 0xd2, sizeof in);
    ck_err(cbor_reader_skip(&r, 0), ERR_CBOR_MALFORMED);
    in[sizeof in - 1] = 0;
    ck_ok(cbor_reader_skip(&r, 0));
    ck_ok(cbor_reader_end(&r));
}
END_TEST

START_TEST(long_trailing)
{
    READER(r, "0001");
    ck_ok(cbor_reader_expect_uint(&r, 0));
    ck_err(cbor_reader_end(&r), ERR_CBOR_TRAILING);
    ck_assert_uint_eq(fault.offset, 1);
    ck_ok(cbor_reader_expect_uint(&r, 1));
    ck_ok(cbor_reader_end(&r));
}
END_TEST

/* Every first byte with every length of what follows: no crash, no read too far
 * (under a sanitizer), and either an error or progress. */
START_TEST(junk_every_head)
{
    for (unsigned initial = 0; initial < 256; initial++) {
        for (size_t len = 1; len <= 10; len++) {
            uint8_t *in = calloc(1, len);
            ck_assert_ptr_nonnull(in);
            in[0] = (uint8_t)initial;
            struct fault fault = FAULT_NONE;
            struct cbor_reader r;
            cbor_reader_init(&r, bytes_of(in, len), 0, "x", &fault);
            struct cbor_item item = {0};
            const enum err err = cbor_reader_next(&r, &item);
            ck_err(err, fault.code);
            ck_assert(err == ERR_OK ? r.pos > 0 && r.pos <= len : r.pos == 0);
            free(in);
        }
    }
}
END_TEST

UNIT_MAIN("cbor_reader", valid_heads, valid_strings, valid_long_strings, junk_reserved,
          junk_simple_in_two_bytes, long_truncated, long_counts, wrong_not_shortest,
          wrong_indefinite, junk_utf8, valid_typed, wrong_type, wrong_expected, valid_offsets,
          no_fault_no_field, valid_maps, wrong_maps, valid_skip, wrong_skip, long_nesting,
          long_trailing, junk_every_head)
