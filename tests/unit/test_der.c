/* Strict DER: each row is a form that passes, or breaks in one place. */
#include <stdio.h>

#include "common/codec.h"
#include "unit.h"
#include "verifier/attest/der.h"

struct row {
    const char *hex;
    bool good;
};

static void check_rows(bool (*check)(struct bytes), const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_free) struct buf in = {0};
        ck_ok(buf_reserve(&in, strlen(rows[i].hex) / 2 + 1));
        in.len = strlen(rows[i].hex) / 2;
        ck_ok(hex_decode(bytes_of_text(rows[i].hex), in.ptr, in.len));
        ck_assert_msg(check(bytes_of_buf(&in)) == rows[i].good, "%s", rows[i].hex);
    }
}
#define CHECK_ROWS(check, rows) check_rows(check, rows, ARRAY_LEN(rows))

static bool is_octets(struct bytes in)
{
    struct bytes content;
    const bool taken = der_take(&in, DER_OCTET_STRING, NULL, &content);
    return taken && in.len == 0;
}

START_TEST(wrong_element)
{
    static const struct row rows[] = {
        {"0400", true},          {"0401aa", true},  {"0301aa", false},   {"", false},
        {"04", false},           {"0402aa", false}, {"048101aa", false}, {"04820001aa", false},
        {"048001aa0000", false}, {"0481", false},   {"048201", false},   {"0483000001aa", false},
        {"0401aabb", false},
    };
    CHECK_ROWS(is_octets, rows);
    uint8_t in[4 + 0x10000] = {0x04, 0x81, 0x7f};
    struct bytes view = bytes_of(in, 3 + 0x7f);
    ck_assert(!der_take(&view, DER_OCTET_STRING, NULL, NULL));
    in[2] = 0x80; /* the least that takes two bytes */
    struct bytes whole = {0};
    view = bytes_of(in, 3 + 0x80);
    ck_assert(der_take(&view, DER_OCTET_STRING, &whole, NULL));
    ck_assert_uint_eq(whole.len, 3 + 0x80);
    ck_assert_uint_eq(view.len, 0);
    memcpy(in, "\x04\x82\x00\xff", 4);
    view = bytes_of(in, 4 + 0xff);
    ck_assert(!der_take(&view, DER_OCTET_STRING, NULL, NULL));
    memcpy(in, "\x04\x82\x01\x00", 4); /* the least that takes three, and the most */
    view = bytes_of(in, 4 + 0x100);
    ck_assert(der_take(&view, DER_OCTET_STRING, NULL, NULL));
    memcpy(in, "\x04\x82\xff\xff", 4);
    view = bytes_of(in, 4 + 0xffff);
    ck_assert(der_take(&view, DER_OCTET_STRING, NULL, NULL));
    view = bytes_of(in, 4 + 0xfffe); /* a byte is missing */
    ck_assert(!der_take(&view, DER_OCTET_STRING, NULL, NULL));
    in[1] = 0x80; /* indefinite, though so many bytes follow */
    view = bytes_of(in, 2 + 0x80);
    ck_assert(!der_take(&view, DER_OCTET_STRING, NULL, NULL));
}
END_TEST

START_TEST(wrong_name)
{
    static const struct row rows[] = {
        {"", true},
        {"310a30080603550403"
         "0c0141",
         true},
        {"310a30080603550403"
         "130141",
         true},
        {"310a30080603550403"
         "160141",
         true},
        {"310a30080603550403"
         "140141",
         false}, /* T61String */
        {"310a30080603550403"
         "040141",
         false},
        {"310a30080603550403"
         "0c01ff",
         false}, /* not UTF-8 */
        {"310a30080603550403"
         "1301ff",
         true}, /* its alphabet is not looked at */
        {"3114"
         "30080603550403"
         "0c0141"
         "30080603550404"
         "0c0141",
         true},
        {"310a30080603550403"
         "0c0141"
         "310a30080603550404"
         "0c0141",
         true},
        {"300a30080603550403"
         "0c0141",
         false},
        {"310a31080603550403"
         "0c0141",
         false},
        {"310a30080403550403"
         "0c0141",
         false},
        {"310a30080603550483"
         "0c0141",
         false}, /* a number that goes on */
        {"310a30080603558003"
         "0c0141",
         false}, /* one with a leading zero */
        {"310a30080603805504"
         "0c0141",
         false},
        {"310730050600"
         "0c0141",
         false},
        {"3100", false},
        {"310c300a0603550403"
         "0c01410500",
         false}, /* something behind the value */
        {"310c300a0603550403"
         "1301410500",
         false},
        {"310c30080603550403"
         "0c01410500",
         false},
        {"310b30090603550403"
         "0c810141",
         false},
        {"310730050603550403", false},
        {"310a30080603550403"
         "0c014100",
         false},
    };
    CHECK_ROWS(der_is_name, rows);
}
END_TEST

#define UTC         "170d3236313132333030303030305a"
#define GENERALIZED "180f32303236313132333030303030305a"

START_TEST(wrong_validity)
{
    static const struct row rows[] = {
        {UTC UTC, true},
        {UTC GENERALIZED, true},
        {GENERALIZED UTC, true},
        {UTC, false},
        {"", false},
        {UTC UTC UTC, false},
        {UTC UTC "0500", false},
        {"180d3236313132333030303030305a" UTC, false}, /* the length is the other type's */
        {"170f32303236313132333030303030305a" UTC, false},
        {"160d3236313132333030303030305a" UTC, false},
        {"17810d3236313132333030303030305a" UTC, false},
    };
    CHECK_ROWS(der_is_validity, rows);
}
END_TEST

START_TEST(wrong_extensions)
{
    static const struct row rows[] = {
        {"3009"
         "3007"
         "0603551d13"
         "0400",
         true},
        {"300c"
         "300a"
         "0603551d13"
         "0101ff"
         "0400",
         true},
        {"3012"
         "3007"
         "0603551d13"
         "0400"
         "3007"
         "0603551d0f"
         "0400",
         true},
        {"300c"
         "300a"
         "0603551d13"
         "010100"
         "0400",
         false}, /* the default, written */
        {"300c"
         "300a"
         "0603551d13"
         "010101"
         "0400",
         false},
        {"300d"
         "300b"
         "0603551d13"
         "0102ffff"
         "0400",
         false},
        {"300b"
         "3009"
         "0603551d13"
         "0100"
         "0400",
         false},
        {"3000", false},
        {"", false},
        {"3009"
         "3007"
         "0603551d13"
         "0300",
         false},
        {"3009"
         "3107"
         "0603551d13"
         "0400",
         false},
        {"3109"
         "3007"
         "0603551d13"
         "0400",
         false},
        {"3009"
         "3007"
         "0603551d93"
         "0400",
         false},
        {"3007"
         "3005"
         "0603551d13",
         false},
        {"300b"
         "3009"
         "0603551d13"
         "0400"
         "0500",
         false},
        {"300b"
         "3007"
         "0603551d13"
         "0400"
         "0500",
         false},
        {"3009"
         "3007"
         "0603551d13"
         "0400"
         "0500",
         false},
        {"300a"
         "3008"
         "0603551d13"
         "048100",
         false},
    };
    CHECK_ROWS(der_is_extensions, rows);
}
END_TEST

UNIT_MAIN("der", wrong_element, wrong_name, wrong_validity, wrong_extensions)
