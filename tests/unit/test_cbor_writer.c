/* Deterministic CBOR: shortest forms, and what the strict reader makes of them. */
#include "hex.h"

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"

#define WRITER(w)                           \
    CLEANUP(buf_free) struct buf out = {0}; \
    struct cbor_writer w;                   \
    cbor_writer_init(&w, &out)

START_TEST(valid_uints)
{
    static const struct {
        uint64_t value;
        const char *hex;
    } rows[] = {
        {0, "00"},
        {23, "17"},
        {24, "1818"},
        {255, "18ff"},
        {256, "190100"},
        {65535, "19ffff"},
        {65536, "1a00010000"},
        {UINT32_MAX, "1affffffff"},
        {(uint64_t)UINT32_MAX + 1, "1b0000000100000000"},
        {UINT64_MAX, "1bffffffffffffffff"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        WRITER(w);
        cbor_writer_uint(&w, rows[i].value);
        ck_ok(cbor_writer_finish(&w));
        ck_hex(bytes_of_buf(&out), rows[i].hex);
        struct cbor_reader r;
        cbor_reader_init(&r, bytes_of_buf(&out), 0, "x", NULL);
        ck_ok(cbor_reader_expect_uint(&r, rows[i].value));
        ck_ok(cbor_reader_end(&r));
    }
}
END_TEST

START_TEST(valid_structure)
{
    WRITER(w);
    cbor_writer_tag(&w, 18);
    cbor_writer_array(&w, 4);
    cbor_writer_bytes(&w, bytes_of("\xa1\x01\x38\x22", 4));
    cbor_writer_map(&w, 0);
    cbor_writer_cstr(&w, "a");
    cbor_writer_map(&w, 2);
    cbor_writer_uint(&w, 1);
    cbor_writer_bool(&w, true);
    cbor_writer_uint(&w, 4);
    cbor_writer_bool(&w, false);
    cbor_writer_null(&w);
    cbor_writer_text(&w, bytes_of("bc", 2));
    cbor_writer_bytes(&w, bytes_of(NULL, 0));
    cbor_writer_raw(&w, bytes_of("\x81\x00", 2));
    ck_ok(cbor_writer_finish(&w));
    ck_hex(bytes_of_buf(&out), "d28444a1013822a06161a201f504f4f6626263408100");
}
END_TEST

/* The heads of strings, containers and tags are as short as those of integers. */
START_TEST(valid_long_heads)
{
    static uint8_t zeros[65536];
    WRITER(w);
    cbor_writer_bytes(&w, bytes_of(zeros, 24));
    ck_assert_uint_eq(out.len, 26);
    cbor_writer_text(&w, bytes_of(zeros, 256));
    ck_assert_uint_eq(out.len, 26 + 259);
    cbor_writer_bytes(&w, bytes_of(zeros, 65536));
    ck_assert_uint_eq(out.len, 26 + 259 + 65541);
    cbor_writer_array(&w, 1);
    cbor_writer_tag(&w, 24);
    cbor_writer_null(&w);
    ck_ok(cbor_writer_finish(&w));
    struct cbor_reader r;
    cbor_reader_init(&r, bytes_of_buf(&out), 0, "x", NULL);
    for (int i = 0; i < 4; i++)
        ck_ok(cbor_reader_skip(&r, 1));
    ck_ok(cbor_reader_end(&r));
}
END_TEST

START_TEST(valid_appends)
{
    CLEANUP(buf_free) struct buf out = {0};
    ck_ok(buf_append_text(&out, "label"));
    struct cbor_writer w;
    cbor_writer_init(&w, &out);
    cbor_writer_uint(&w, 1);
    ck_ok(cbor_writer_finish(&w));
    ck_assert(bytes_equal_text(bytes_of_buf(&out), "label\x01"));
}
END_TEST

START_TEST(junk_text)
{
    WRITER(w);
    cbor_writer_text(&w, bytes_of("\xc3", 1));
    cbor_writer_uint(&w, 1);
    ck_err(cbor_writer_finish(&w), ERR_UTF8);
    ck_assert_uint_eq(out.len, 0);
}
END_TEST

/* The first error stays, nothing is written after it, and what was before it goes. */
START_TEST(long_string_sticks)
{
    WRITER(w);
    cbor_writer_uint(&w, 7);
    cbor_writer_bytes(&w, (struct bytes){.ptr = (const uint8_t *)"x", .len = SIZE_MAX / 2});
    cbor_writer_uint(&w, 8);
    cbor_writer_text(&w, bytes_of("\xc3", 1));
    ck_err(cbor_writer_finish(&w), ERR_NO_MEMORY);
    ck_assert_uint_eq(out.len, 0);
}
END_TEST

UNIT_MAIN("cbor_writer", valid_uints, valid_structure, valid_long_heads, valid_appends, junk_text,
          long_string_sticks)
