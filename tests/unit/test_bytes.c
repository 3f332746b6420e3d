/* Views and growable buffers. */
#include "unit.h"

#include "common/bytes.h"

START_TEST(valid_equal)
{
    ck_assert(bytes_equal(bytes_of("abc", 3), bytes_of_text("abc")));
    ck_assert(!bytes_equal(bytes_of("abc", 2), bytes_of_text("abc")));
    ck_assert(!bytes_equal(bytes_of("abd", 3), bytes_of_text("abc")));
    ck_assert(bytes_equal(bytes_of(NULL, 0), bytes_of_text("")));
    ck_assert(bytes_equal_text(bytes_of("pcrs", 4), "pcrs"));
    ck_assert(!bytes_equal_text(bytes_of("pcrs\0", 5), "pcrs"));
}
END_TEST

START_TEST(valid_all_zero)
{
    static const uint8_t zeros[48] = {0};
    uint8_t last[48] = {0};
    last[47] = 1;
    uint8_t first[48] = {0x80};
    ck_assert(bytes_all_zero(bytes_of(zeros, sizeof zeros)));
    ck_assert(bytes_all_zero(bytes_of(NULL, 0)));
    ck_assert(!bytes_all_zero(bytes_of(last, sizeof last)));
    ck_assert(!bytes_all_zero(bytes_of(first, sizeof first)));
}
END_TEST

START_TEST(valid_append)
{
    CLEANUP(buf_free) struct buf buf = {0};
    for (int i = 0; i < 1000; i++) {
        const uint8_t b = (uint8_t)i;
        ck_ok(buf_append(&buf, bytes_of(&b, 1)));
    }
    ck_assert_uint_eq(buf.len, 1000);
    ck_assert_uint_ge(buf.cap, 1000);
    for (size_t i = 0; i < buf.len; i++)
        ck_assert_uint_eq(buf.ptr[i], (uint8_t)i);
    ck_ok(buf_append(&buf, bytes_of(NULL, 0)));
    ck_assert_uint_eq(buf.len, 1000);
}
END_TEST

START_TEST(valid_append_text)
{
    CLEANUP(buf_free) struct buf buf = {0};
    ck_ok(buf_append_text(&buf, "one"));
    ck_ok(buf_append_format(&buf, " %d %s", 2, "three"));
    ck_assert(bytes_equal_text(bytes_of_buf(&buf), "one 2 three"));
    const char *text = buf_text(&buf);
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, "one 2 three");
    ck_assert_uint_eq(buf.len, strlen("one 2 three"));
}
END_TEST

/* The format's own NUL needs room though it is no content. */
START_TEST(valid_format_fills_exactly)
{
    for (int len = 60; len < 70; len++) {
        CLEANUP(buf_free) struct buf buf = {0};
        ck_ok(buf_append_format(&buf, "%*s", len, "x"));
        ck_assert_uint_eq(buf.len, (size_t)len);
        ck_assert_uint_eq(buf.ptr[len - 1], 'x');
    }
}
END_TEST

START_TEST(valid_text_of_empty)
{
    CLEANUP(buf_free) struct buf buf = {0};
    const char *text = buf_text(&buf);
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, "");
    ck_assert_uint_eq(buf.len, 0);
}
END_TEST

START_TEST(valid_reserve)
{
    CLEANUP(buf_free) struct buf buf = {0};
    ck_ok(buf_reserve(&buf, 100));
    ck_assert_uint_ge(buf.cap, 100);
    ck_assert_uint_eq(buf.len, 0);
    memset(buf.ptr, 0xaa, 100);
    buf.len = 100;
    const uint8_t *before = buf.ptr;
    ck_ok(buf_reserve(&buf, buf.cap - buf.len));
    ck_assert_ptr_eq(buf.ptr, before);
}
END_TEST

START_TEST(long_reserve)
{
    CLEANUP(buf_free) struct buf buf = {0};
    ck_ok(buf_append_text(&buf, "kept"));
    ck_err(buf_reserve(&buf, SIZE_MAX), ERR_NO_MEMORY);
    ck_err(buf_reserve(&buf, SIZE_MAX / 2), ERR_NO_MEMORY);
    ck_assert(bytes_equal_text(bytes_of_buf(&buf), "kept"));
}
END_TEST

/* The memory goes with the bytes. */
START_TEST(valid_drop)
{
    CLEANUP(buf_free) struct buf buf = {0};
    ck_ok(buf_reserve(&buf, 100));
    ck_ok(buf_append_text(&buf, "gone kept"));
    buf_drop(&buf, 5);
    ck_assert(bytes_equal_text(bytes_of_buf(&buf), "kept"));
    ck_assert_uint_eq(buf.cap, 4);
    buf_drop(&buf, 0);
    ck_ok(buf_append_text(&buf, " and more"));
    ck_assert(bytes_equal_text(bytes_of_buf(&buf), "kept and more"));
    buf_drop(&buf, buf.len);
    ck_assert_ptr_null(buf.ptr);
    ck_assert_uint_eq(buf.cap, 0);
    buf_drop(&buf, 0);
}
END_TEST

START_TEST(valid_move)
{
    CLEANUP(buf_free) struct buf from = {0};
    CLEANUP(buf_free) struct buf to = {0};
    ck_ok(buf_append_text(&from, "moved"));
    buf_move(&to, &from);
    ck_assert(bytes_equal_text(bytes_of_buf(&to), "moved"));
    ck_assert_ptr_null(from.ptr);
    ck_assert_uint_eq(from.len, 0);
    ck_assert_uint_eq(from.cap, 0);
}
END_TEST

START_TEST(valid_free)
{
    struct buf buf = {0};
    buf_free(&buf);
    ck_ok(buf_append_text(&buf, "x"));
    buf_free(&buf);
    ck_assert_ptr_null(buf.ptr);
    ck_assert_uint_eq(buf.len, 0);
    buf_free(&buf);
}
END_TEST

UNIT_MAIN("bytes", valid_equal, valid_all_zero, valid_append, valid_append_text,
          valid_format_fills_exactly, valid_text_of_empty, valid_reserve, long_reserve, valid_drop,
          valid_move, valid_free)
