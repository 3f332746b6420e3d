/* The two maps inside a measurement: its PCRs and its labels, in one encoding each. */
#include "common/cbor_writer.h"
#include "policy_fixture.h"

/* --- Labels --- */

static enum err append_labels(struct bytes given, struct buf *stored)
{
    CLEANUP(world_free) struct world w = {0};
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_measurement again = {0};
    world_begin(&w);
    ck_ok(pcr_set_append(&w.pcrs, &w.measurement.pcrs));
    w.measurement.labels.len = 0;
    ck_ok(buf_append(&w.measurement.labels, given));
    TRY(policy_measurement_append(&w.measurement, &columns));
    ck_ok(policy_measurement_parse(bytes_of_buf(&columns), &again));
    ck_ok(buf_append(stored, bytes_of_buf(&again.labels)));
    policy_measurement_free(&again);
    return ERR_OK;
}

START_TEST(valid_labels_sorted)
{
    CLEANUP(buf_free) struct buf stored = {0};
    ck_ok(append_labels(bytes_of_text("\xa3\x62yy\x61"
                                      "1\x61z\x61"
                                      "2\x61y\x60"),
                        &stored));
    ck_assert(bytes_equal_text(bytes_of_buf(&stored), "\xa3\x61y\x60\x61z\x61"
                                                      "2\x62yy\x61"
                                                      "1"));
}
END_TEST

START_TEST(wrong_labels)
{
    CLEANUP(buf_free) struct buf stored = {0};
    CLEANUP(buf_free) struct buf many = {0};
    ck_err(append_labels(bytes_of_text("\xa2\x61k\x60\x61k\x60"), &stored), ERR_CBOR_DUPLICATE);
    ck_err(append_labels(bytes_of_text("\xa1\x60\x61v"), &stored), ERR_MALFORMED);
    ck_err(append_labels(bytes_of_text("\xa1\x61k"), &stored), ERR_CBOR_MALFORMED);
    ck_err(append_labels(bytes_of("\xa1\x62k\0\x60", 5), &stored), ERR_MALFORMED);
    ck_err(append_labels(bytes_of("\xa0\xa0", 2), &stored), ERR_CBOR_TRAILING);
    ck_assert_uint_eq(stored.len, 0);
    ck_ok(buf_append_text(&many, "\xb8\x40"));
    for (unsigned i = 0; i < 64; i++)
        ck_ok(buf_append_format(&many, "\x62%02u\x60", i));
    ck_ok(append_labels(bytes_of_buf(&many), &stored));
    ck_assert(bytes_equal(bytes_of_buf(&stored), bytes_of_buf(&many)));
    many.ptr[1]++;
    ck_ok(buf_append_text(&many, "\x62zz\x60"));
    ck_err(append_labels(bytes_of_buf(&many), &stored), ERR_TOO_LARGE);
}
END_TEST

/* A name of 127 bytes and a value of 1024 are the longest. */
START_TEST(long_labels)
{
    for (unsigned n = 0; n < 4; n++) {
        CLEANUP(buf_free) struct buf stored = {0};
        CLEANUP(buf_free) struct buf given = {0};
        char name[POLICY_LABEL_MAX + 1] = "";
        char value[1024 + 2] = "";
        struct cbor_writer w;
        memset(name, 'n', POLICY_LABEL_MAX - 1 + n % 2);
        memset(value, 'v', 1024 + n / 2);
        cbor_writer_init(&w, &given);
        cbor_writer_map(&w, 1);
        cbor_writer_cstr(&w, name);
        cbor_writer_cstr(&w, value);
        ck_ok(cbor_writer_finish(&w));
        ck_err(append_labels(bytes_of_buf(&given), &stored), n == 0 ? ERR_OK : ERR_MALFORMED);
    }
}
END_TEST

/* --- Sets of PCRs --- */

START_TEST(valid_pcr_set)
{
    CLEANUP(buf_free) struct buf encoded = {0};
    struct pcr_set set = {0};
    struct pcr_set again = {0};
    set_pcr(&set, 0, ones);
    set_pcr(&set, 24, zeros);
    set_pcr(&set, 31, ones);
    ck_ok(pcr_set_append(&set, &encoded));
    ck_assert_uint_eq(encoded.len, 1 + 3 * 50 + 3 + 2);
    ck_ok(pcr_set_parse(bytes_of_buf(&encoded), &again));
    ck_assert_mem_eq(&set, &again, sizeof set);
}
END_TEST

START_TEST(junk_pcr_set)
{
    CLEANUP(buf_free) struct buf encoded = {0};
    struct pcr_set set = {0};
    struct pcr_set out = {.present = 77};
    set_pcr(&set, 0, ones);
    set_pcr(&set, 1, ones);
    ck_ok(pcr_set_append(&set, &encoded));
    for (size_t len = 0; len < encoded.len; len++)
        ck_err(pcr_set_parse(bytes_of(encoded.ptr, len), &out), ERR_STORE_TAMPERED);
    const size_t second = 1 + 51; /* the second key */
    for (unsigned key = 0; key < 256; key++) {
        encoded.ptr[second] = (uint8_t)key;
        if (key == 0 || key > 23) /* twice, or no key of one byte */
            ck_err(pcr_set_parse(bytes_of_buf(&encoded), &out), ERR_STORE_TAMPERED);
    }
    ck_assert_uint_eq(out.present, 77);
}
END_TEST

START_TEST(long_pcr_set)
{
    static const uint8_t short_value[] = {0xa1, 0x00, 0x58, 0x2f};
    static const uint8_t long_value[] = {0xa1, 0x00, 0x58, 0x31};
    CLEANUP(buf_free) struct buf encoded = {0};
    struct pcr_set set = {0};
    struct pcr_set out;
    set_pcr(&set, 0, ones);
    ck_ok(pcr_set_append(&set, &encoded));
    ck_ok(buf_append(&encoded, bytes_of("\x00", 1)));
    ck_err(pcr_set_parse(bytes_of_buf(&encoded), &out), ERR_STORE_TAMPERED);
    memcpy(encoded.ptr, long_value, sizeof long_value);
    ck_err(pcr_set_parse(bytes_of_buf(&encoded), &out), ERR_STORE_TAMPERED);
    memcpy(encoded.ptr, short_value, sizeof short_value);
    ck_err(pcr_set_parse(bytes_of(encoded.ptr, encoded.len - 2), &out), ERR_STORE_TAMPERED);
}
END_TEST

START_TEST(no_pcr_set)
{
    CLEANUP(buf_free) struct buf encoded = {0};
    const struct pcr_set none = {0};
    struct pcr_set out;
    ck_err(pcr_set_append(&none, &encoded), ERR_INTERNAL);
    ck_assert_uint_eq(encoded.len, 0);
    ck_err(pcr_set_parse(bytes_of("\xa0", 1), &out), ERR_STORE_TAMPERED);
}
END_TEST

/* --- The values that PCRs may have --- */

static void make_choices(struct pcr_choices *choices, unsigned pcr, size_t count)
{
    memset(choices, 0, sizeof *choices);
    choices->count[pcr] = count;
    for (size_t i = 0; i < count && i < PCR_CHOICES_MAX; i++)
        choices->value[pcr][i][0] = (uint8_t)(200 - i); /* descending */
}

START_TEST(valid_choices)
{
    CLEANUP(buf_free) struct buf encoded = {0};
    CLEANUP(buf_free) struct buf again = {0};
    struct pcr_choices choices, read;
    make_choices(&choices, 15, PCR_CHOICES_MAX);
    memcpy(choices.value[15][3], choices.value[15][9], ATTDOC_PCR_LEN); /* twice */
    choices.count[0] = 1;
    memcpy(choices.value[0][0], ones, sizeof ones);
    ck_ok(pcr_choices_append(&choices, &encoded));
    ck_assert(pcr_choices_valid(bytes_of_buf(&encoded)));
    ck_ok(pcr_choices_parse(bytes_of_buf(&encoded), &read));
    ck_assert_uint_eq(read.count[0], 1);
    ck_assert_uint_eq(read.count[1], 0);
    ck_assert_uint_eq(read.count[15], PCR_CHOICES_MAX - 1);
    for (size_t i = 1; i < read.count[15]; i++)
        ck_assert_int_lt(memcmp(read.value[15][i - 1], read.value[15][i], ATTDOC_PCR_LEN), 0);
    ck_ok(pcr_choices_append(&read, &again));
    ck_assert(bytes_equal(bytes_of_buf(&encoded), bytes_of_buf(&again)));
    again.len = 0;
    make_choices(&choices, 0, 0);
    ck_ok(pcr_choices_append(&choices, &again));
    ck_assert_uint_eq(again.len, 0);
}
END_TEST

START_TEST(long_choices)
{
    CLEANUP(buf_free) struct buf encoded = {0};
    struct pcr_choices choices;
    make_choices(&choices, 0, PCR_CHOICES_MAX + 1);
    ck_err(pcr_choices_append(&choices, &encoded), ERR_TOO_LARGE);
    make_choices(&choices, 0, PCR_CHOICES_MAX);
    choices.count[1] = PCR_CHOICES_MAX;
    memcpy(choices.value[1], choices.value[0], sizeof choices.value[0]);
    ck_ok(pcr_choices_append(&choices, &encoded));
    ck_assert(pcr_choices_valid(bytes_of_buf(&encoded)));
    choices.count[2] = 1;
    choices.value[2][0][0] = 1;
    ck_err(pcr_choices_append(&choices, &encoded), ERR_TOO_LARGE);
    /* Nor is it read, one PCR behind the 64 values. */
    ck_assert_uint_eq(encoded.ptr[0], 0xa2);
    encoded.ptr[0] = 0xa3;
    ck_ok(buf_append(&encoded, bytes_of("\x12\x81\x58\x30", 4)));
    ck_ok(buf_append(&encoded, bytes_of(ones, sizeof ones)));
    ck_assert(!pcr_choices_valid(bytes_of_buf(&encoded)));
}
END_TEST

START_TEST(wrong_choices_twice)
{
    CLEANUP(buf_free) struct buf encoded = {0};
    struct pcr_choices choices;
    make_choices(&choices, 0, 2);
    ck_ok(pcr_choices_append(&choices, &encoded));
    ck_assert_uint_eq(encoded.len, 3 + 2 * (2 + ATTDOC_PCR_LEN));
    memcpy(encoded.ptr + 3 + 2 + ATTDOC_PCR_LEN + 2, encoded.ptr + 3 + 2, ATTDOC_PCR_LEN);
    ck_assert(!pcr_choices_valid(bytes_of_buf(&encoded)));
}
END_TEST

/* One value of PCR16 and one of PCR17, as bytes to change. */
#define CHOICES_16 2                            /* a2 10 81 58 30 ... */
#define CHOICES_17 (1 + 2 + 2 + ATTDOC_PCR_LEN) /* 11 81 58 30 ... */
static void choices_bytes(struct buf *out)
{
    struct pcr_choices choices = {.count = {1, 1}};
    memcpy(choices.value[0][0], ones, sizeof ones);
    memcpy(choices.value[1][0], ones, sizeof ones);
    out->len = 0;
    ck_ok(pcr_choices_append(&choices, out));
    ck_assert_uint_eq(out->ptr[1], 16);
    ck_assert_uint_eq(out->ptr[CHOICES_17], 17);
}

static void choices_refused(struct buf *encoded, size_t at, uint8_t byte)
{
    choices_bytes(encoded);
    ck_assert_uint_ne(encoded->ptr[at], byte);
    ck_assert(pcr_choices_valid(bytes_of_buf(encoded)));
    encoded->ptr[at] = byte;
    ck_assert(!pcr_choices_valid(bytes_of_buf(encoded)));
}

START_TEST(junk_choices)
{
    CLEANUP(buf_free) struct buf encoded = {0};
    static const uint8_t *const no_pcrs[ATTDOC_PCR_COUNT];
    choices_refused(&encoded, 0, 0xa1);            /* bytes follow */
    choices_refused(&encoded, 0, 0xa3);            /* one is missing */
    choices_refused(&encoded, 1, 15);              /* not the enclave's own */
    choices_refused(&encoded, CHOICES_17, 16);     /* twice */
    choices_refused(&encoded, CHOICES_16, 0x80);   /* no value */
    choices_refused(&encoded, CHOICES_16, 0x82);   /* one is missing */
    choices_refused(&encoded, CHOICES_16 + 2, 47); /* a PCR has 48 bytes */
    choices_bytes(&encoded);
    memset(encoded.ptr + CHOICES_16 + 3, 0, ATTDOC_PCR_LEN);
    ck_assert(!pcr_choices_valid(bytes_of_buf(&encoded)));
    for (size_t len = 0; len < encoded.len; len++)
        ck_assert(!pcr_choices_valid(bytes_of(encoded.ptr, len)));
    /* What cannot be read matches nothing. */
    ck_assert(!pcr_choices_match(bytes_of("\xa0", 1), no_pcrs));
    ck_assert(!pcr_choices_match(bytes_of("", 0), no_pcrs));
}
END_TEST

/* --- Sets of images, and rights --- */

static void image_set(const char *list, const char *encoded, size_t len)
{
    CLEANUP(buf_free) struct buf out = {0};
    struct image_set set;
    ck_ok(image_set_append(bytes_of_text(list), &out, NULL));
    ck_assert(bytes_equal(bytes_of_buf(&out), bytes_of(encoded, len)));
    ck_ok(image_set_parse(bytes_of_buf(&out), &set));
    for (size_t i = 0; i < set.count; i++)
        ck_assert(image_set_has(bytes_of_buf(&out), set.name[i]));
}
#define IMAGE_SET(list, encoded) image_set((list), (encoded), sizeof(encoded) - 1)

START_TEST(valid_image_set)
{
    IMAGE_SET("a", "\x81\x61"
                   "a");
    IMAGE_SET("b,a,b", "\x82\x61"
                       "a\x61"
                       "b");
    IMAGE_SET("ab,a,b", "\x83\x61"
                        "a\x62"
                        "ab\x61"
                        "b"); /* by bytes, not by length */
    CLEANUP(buf_free) struct buf out = {0};
    ck_ok(image_set_append(bytes_of_text("payments,pay"), &out, NULL));
    ck_assert(!image_set_has(bytes_of_buf(&out), bytes_of_text("paymen")));
    ck_assert(!image_set_has(bytes_of_buf(&out), bytes_of_text("paymentss")));
    ck_assert(!image_set_has(bytes_of_buf(&out), bytes_of_text("")));
    /* What cannot be read has nothing in it. */
    ck_assert(!image_set_has(bytes_of("", 0), bytes_of_text("pay")));
    ck_assert(!image_set_has(bytes_of(out.ptr, out.len - 1), bytes_of_text("pay")));
}
END_TEST

START_TEST(wrong_image_set)
{
    static const char *const lists[] = {"", ",", "a,", ",a", "a,,b", "A", "a b", "a, b", "-a"};
    CLEANUP(buf_free) struct buf many = {0};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct fault fault = FAULT_NONE;
        CLEANUP(buf_free) struct buf out = {0};
        ck_err(image_set_append(bytes_of_text(lists[i]), &out, &fault), ERR_MALFORMED);
        ck_assert_str_eq(fault.field, "images");
        ck_assert_uint_eq(out.len, 0);
    }
    for (unsigned i = 0; i <= IMAGE_SET_MAX; i++) {
        CLEANUP(buf_free) struct buf out = {0};
        ck_ok(buf_append_format(&many, "%simage-%u", i == 0 ? "" : ",", i));
        ck_err(image_set_append(bytes_of_buf(&many), &out, NULL),
               i < IMAGE_SET_MAX ? ERR_OK : ERR_MALFORMED);
    }
}
END_TEST

START_TEST(valid_rights)
{
    uint32_t rights = 0;
    ck_ok(policy_rights_parse(bytes_of_text("draft,view,view"), &rights, NULL));
    ck_assert_uint_eq(rights, RIGHT_VIEW | RIGHT_DRAFT);
    ck_ok(policy_rights_parse(bytes_of_text("view,draft,activate,custody,people"), &rights, NULL));
    ck_assert_uint_eq(rights, RIGHT_ALL);
    static const char *const wrong[] = {"",    ",",    "view,",      "views",
                                        "vie", "View", "view draft", "31"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_err(policy_rights_parse(bytes_of_text(wrong[i]), &rights, NULL), ERR_MALFORMED);
    ck_assert_uint_eq(rights, RIGHT_ALL);
}
END_TEST

UNIT_MAIN("policy_maps", valid_labels_sorted, wrong_labels, long_labels, valid_pcr_set,
          junk_pcr_set, long_pcr_set, no_pcr_set, valid_choices, long_choices, wrong_choices_twice,
          junk_choices, valid_image_set, wrong_image_set, valid_rights)
