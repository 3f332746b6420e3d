/* Heads of CBOR by libcbor and without it: the two may not differ in anything.
 *
 * Every head whose argument has at most two bytes, and a seeded choice of longer ones, each with
 * its whole content, a byte less and none. */
#include "unit.h"

#include <inttypes.h>

#include "common/cbor_head.h"

/* The other implementation, under other names. */
#define cbor_head_read       plain_head_read
#define cbor_head_write      plain_head_write
#define cbor_head_write_bool plain_head_write_bool
#define cbor_head_write_null plain_head_write_null
static enum cbor_head_result plain_head_read(struct bytes in, const struct cbor_head *head,
                                             struct cbor_content *out);
static size_t plain_head_write(enum cbor_major major, uint64_t argument,
                               uint8_t out[static CBOR_HEAD_LEN_MAX]);
static size_t plain_head_write_bool(bool value, uint8_t out[static CBOR_HEAD_LEN_MAX]);
static size_t plain_head_write_null(uint8_t out[static CBOR_HEAD_LEN_MAX]);
#include "common/cbor_head_plain.c" /* NOLINT(bugprone-suspicious-include): that is the point */
#undef cbor_head_read
#undef cbor_head_write
#undef cbor_head_write_bool
#undef cbor_head_write_null

#define CONTENT_MAX  70000 /* more than any argument of two bytes */
#define SEED_DEFAULT 20260101

static uint8_t input[CBOR_HEAD_LEN_MAX + CONTENT_MAX];
static size_t compared;

static void read_both(const struct cbor_head *head, size_t len)
{
    struct cbor_content libcbor = {.argument = 4711};
    struct cbor_content plain = {.argument = 4711};
    const struct bytes in = bytes_of(input, len);
    const enum cbor_head_result expected = cbor_head_read(in, head, &libcbor);
    const enum cbor_head_result found = plain_head_read(in, head, &plain);
    compared++;
    if (found != expected || plain.argument != libcbor.argument ||
        plain.string.ptr != libcbor.string.ptr || plain.string.len != libcbor.string.len)
        ck_abort_msg("major %u, information %u, %zu bytes: %d and %d, %" PRIu64 " and %" PRIu64,
                     head->major, head->info, len, expected, found, libcbor.argument,
                     plain.argument);
}

/* With all of the content that fits, the end of it missing, and the head alone. */
static void head_of(unsigned major, unsigned info, uint64_t argument)
{
    struct cbor_head head = {.len = 1, .major = major, .info = info};
    if (info >= CBOR_AI_ONE_BYTE)
        head.len += (size_t)1 << (info - CBOR_AI_ONE_BYTE);
    input[0] = (uint8_t)(major << 5 | info);
    for (size_t i = 1; i < head.len; i++)
        input[i] = (uint8_t)(argument >> 8 * (head.len - 1 - i));
    const uint64_t content = info < CBOR_AI_ONE_BYTE ? info : argument;
    if (content <= CONTENT_MAX && content > 0) {
        read_both(&head, head.len + content - 1);
        read_both(&head, head.len + content);
    }
    read_both(&head, head.len);
}

START_TEST(valid_short_heads)
{
    for (unsigned major = 0; major < 8; major++) {
        for (unsigned info = 0; info < CBOR_AI_ONE_BYTE; info++)
            head_of(major, info, 0);
        for (uint64_t argument = 0; argument <= UINT8_MAX; argument++)
            head_of(major, CBOR_AI_ONE_BYTE, argument);
        for (uint64_t argument = 0; argument <= UINT16_MAX; argument++)
            head_of(major, CBOR_AI_ONE_BYTE + 1, argument);
    }
}
END_TEST

/* xorshift64*: the same choice each time, unless SEED says otherwise. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("SEED");
    return text == NULL ? SEED_DEFAULT : strtoull(text, NULL, 10) | 1;
}

START_TEST(valid_long_heads)
{
    uint64_t state = seed_of_run();
    for (unsigned i = 0; i < 200000; i++) {
        const unsigned major = (unsigned)(draw(&state) % 8);
        const unsigned width = (unsigned)(draw(&state) % 64); /* small ones as often as large */
        const uint64_t argument = draw(&state) >> width;
        head_of(major, CBOR_AI_EIGHT_BYTES, argument);
        head_of(major, CBOR_AI_EIGHT_BYTES - 1, argument & UINT32_MAX);
    }
    ck_assert_uint_gt(compared, 400000);
}
END_TEST

static void write_both(enum cbor_major major, uint64_t argument)
{
    uint8_t libcbor[CBOR_HEAD_LEN_MAX];
    uint8_t plain[CBOR_HEAD_LEN_MAX];
    const size_t len = cbor_head_write(major, argument, libcbor);
    ck_assert_uint_gt(len, 0);
    ck_assert_uint_eq(plain_head_write(major, argument, plain), len);
    ck_assert_mem_eq(plain, libcbor, len);
}

START_TEST(valid_written)
{
    static const enum cbor_major majors[] = {CBOR_MAJOR_UINT,  CBOR_MAJOR_BYTES, CBOR_MAJOR_TEXT,
                                             CBOR_MAJOR_ARRAY, CBOR_MAJOR_MAP,   CBOR_MAJOR_TAG};
    uint64_t state = seed_of_run();
    for (size_t m = 0; m < ARRAY_LEN(majors); m++) {
        for (uint64_t argument = 0; argument <= UINT16_MAX + 2; argument++)
            write_both(majors[m], argument);
        for (uint64_t argument = UINT32_MAX - 2; argument <= (uint64_t)UINT32_MAX + 2; argument++)
            write_both(majors[m], argument);
        for (unsigned width = 0; width < 64; width++)
            write_both(majors[m], draw(&state) >> width);
        write_both(majors[m], UINT64_MAX);
    }
}
END_TEST

START_TEST(valid_simple)
{
    uint8_t libcbor[CBOR_HEAD_LEN_MAX];
    uint8_t plain[CBOR_HEAD_LEN_MAX];
    for (unsigned value = 0; value < 2; value++) {
        ck_assert_uint_eq(cbor_head_write_bool(value == 1, libcbor), 1);
        ck_assert_uint_eq(plain_head_write_bool(value == 1, plain), 1);
        ck_assert_uint_eq(plain[0], libcbor[0]);
    }
    ck_assert_uint_eq(cbor_head_write_null(libcbor), 1);
    ck_assert_uint_eq(plain_head_write_null(plain), 1);
    ck_assert_uint_eq(plain[0], libcbor[0]);
}
END_TEST

UNIT_MAIN("cbor_head", valid_short_heads, valid_long_heads, valid_written, valid_simple)
