/* PCRs as text: common/pcr_text.h. */
#include "unit.h"

#include "common/pcr_text.h"

#define HEX48                                                          \
    "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f" \
    "202122232425262728292a2b2c2d2e2f"

static void ck_value(const uint8_t value[static ATTDOC_PCR_LEN])
{
    for (unsigned i = 0; i < ATTDOC_PCR_LEN; i++)
        ck_assert_uint_eq(value[i], i);
}

START_TEST(valid_index)
{
    unsigned index = 42;
    ck_err(pcr_index_parse(bytes_of_text("0"), &index), ERR_OK);
    ck_assert_uint_eq(index, 0);
    ck_err(pcr_index_parse(bytes_of_text("31"), &index), ERR_OK);
    ck_assert_uint_eq(index, 31);
}
END_TEST

START_TEST(junk_index)
{
    static const char *const texts[] = {"", "32", "01", "-1", "1 ", "x", "4294967296"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        unsigned index = 42;
        ck_err(pcr_index_parse(bytes_of_text(texts[i]), &index), ERR_MALFORMED);
        ck_assert_uint_eq(index, 42);
    }
}
END_TEST

START_TEST(valid_member)
{
    uint8_t value[ATTDOC_PCR_LEN] = {0};
    unsigned index = 42;
    ck_err(pcr_member_parse(bytes_of_text("8"), bytes_of_text(HEX48), &index, value, NULL), ERR_OK);
    ck_assert_uint_eq(index, 8);
    ck_value(value);
}
END_TEST

START_TEST(wrong_member)
{
    uint8_t value[ATTDOC_PCR_LEN] = {0};
    unsigned index = 42;
    struct fault fault = {0};
    ck_err(pcr_member_parse(bytes_of_text("08"), bytes_of_text(HEX48), &index, value, &fault),
           ERR_MALFORMED);
    ck_assert_str_eq(fault.field, "pcrs");
    ck_err(pcr_member_parse(bytes_of_text("8"), bytes_of_text(HEX48 "0"), &index, value, &fault),
           ERR_HEX);
    ck_assert_str_eq(fault.field, "pcrs[8]");
    ck_assert_uint_eq(index, 42);
    ck_assert(bytes_all_zero(bytes_of(value, sizeof value)));
}
END_TEST

START_TEST(valid_assignment)
{
    uint8_t value[ATTDOC_PCR_LEN] = {0};
    unsigned index = 42;
    ck_err(pcr_assignment_parse("16=" HEX48, &index, value, NULL), ERR_OK);
    ck_assert_uint_eq(index, 16);
    ck_value(value);
}
END_TEST

START_TEST(junk_assignment)
{
    static const char *const texts[] = {
        "",          "=",         "1",  "=" HEX48,       "32=" HEX48,
        "01=" HEX48, "1 =" HEX48, "1=", "1=" HEX48 "00", "1== " HEX48,
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        uint8_t value[ATTDOC_PCR_LEN] = {0};
        unsigned index = 42;
        ck_err(pcr_assignment_parse(texts[i], &index, value, NULL), ERR_USAGE);
        ck_assert_uint_eq(index, 42);
        ck_assert(bytes_all_zero(bytes_of(value, sizeof value)));
    }
}
END_TEST

UNIT_MAIN("pcr_text", valid_index, junk_index, valid_member, wrong_member, valid_assignment,
          junk_assignment)
