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

UNIT_MAIN("policy_maps", valid_labels_sorted, wrong_labels, long_labels, valid_pcr_set,
          junk_pcr_set, long_pcr_set, no_pcr_set)
