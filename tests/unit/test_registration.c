/* Registration files: the object around the build. */
#include "common/registration.h"

#include "common/codec.h"
#include "unit.h"

#define STORE "00112233445566778899aabbccddeeff"
#define BUILD "{\"image\": \"payments\", \"version\": \"1\"}"

static enum err parse(const char *text, struct fault *fault)
{
    struct registration file = {.serial = 77};
    const enum err err = registration_parse(bytes_of_text(text), &file, fault);
    if (err != ERR_OK)
        ck_assert_uint_eq(file.serial, 77); /* written only on success */
    else
        registration_free(&file);
    return err;
}

START_TEST(valid_file)
{
    CLEANUP(registration_free) struct registration file = {0};
    CLEANUP(registration_free) struct registration again = {0};
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf second = {0};
    ck_ok(registration_parse(bytes_of_text("{\"store\": \"" STORE "\", \"serial\": 7, \"expires\": "
                                           "\"2026-11-23T08:00:00Z\", \"measurement\": " BUILD "}"),
                             &file, NULL));
    ck_assert_uint_eq(file.store_id[1], 0x11);
    ck_assert_uint_eq(file.serial, 7);
    ck_assert_int_eq(file.expires_ms, INT64_C(1795420800000));
    ck_assert_str_eq(json_string_value(json_object_get(file.measurement, "image")), "payments");
    ck_ok(registration_append(&file, &text));
    ck_assert_int_eq(text.ptr[text.len - 1], '\n');
    ck_ok(registration_parse(bytes_of_buf(&text), &again, NULL));
    ck_ok(registration_append(&again, &second));
    ck_assert(bytes_equal(bytes_of_buf(&text), bytes_of_buf(&second)));
}
END_TEST

START_TEST(wrong_file)
{
    static const struct {
        enum err code;
        const char *field;
        const char *text;
    } cases[] = {
#define FILE_OF(store, serial, expires, measurement)                       \
    "{\"store\": " store ", \"serial\": " serial ", \"expires\": " expires \
    ", \"measurement\": " measurement "}"
        {ERR_MALFORMED, "", ""},
        {ERR_MALFORMED, "", "[]"},
        {ERR_MALFORMED, "store", "{}"},
        {ERR_HEX, "store", FILE_OF("\"0011\"", "7", "\"2026-11-23T08:00:00Z\"", BUILD)},
        {ERR_HEX, "store", FILE_OF("\"" STORE "00\"", "7", "\"2026-11-23T08:00:00Z\"", BUILD)},
        {ERR_MALFORMED, "serial", FILE_OF("\"" STORE "\"", "0", "\"2026-11-23T08:00:00Z\"", BUILD)},
        {ERR_MALFORMED, "serial",
         FILE_OF("\"" STORE "\"", "-1", "\"2026-11-23T08:00:00Z\"", BUILD)},
        {ERR_MALFORMED, "serial",
         FILE_OF("\"" STORE "\"", "1.0", "\"2026-11-23T08:00:00Z\"", BUILD)},
        {ERR_MALFORMED, "serial",
         FILE_OF("\"" STORE "\"", "\"1\"", "\"2026-11-23T08:00:00Z\"", BUILD)},
        {ERR_MALFORMED, "expires", FILE_OF("\"" STORE "\"", "7", "\"soon\"", BUILD)},
        {ERR_MALFORMED, "expires", FILE_OF("\"" STORE "\"", "7", "1795420800", BUILD)},
        {ERR_MALFORMED, "measurement",
         FILE_OF("\"" STORE "\"", "7", "\"2026-11-23T08:00:00Z\"", "[]")},
        {ERR_UNKNOWN_MEMBER, "more",
         "{\"more\": 1, \"store\": \"" STORE "\", \"serial\": 7, \"expires\": "
         "\"2026-11-23T08:00:00Z\", \"measurement\": " BUILD "}"},
        {ERR_MALFORMED, "",
         "{\"serial\": 8, \"store\": \"" STORE "\", \"serial\": 7, \"expires\": "
         "\"2026-11-23T08:00:00Z\", \"measurement\": " BUILD "}"},
        {ERR_MALFORMED, "", FILE_OF("\"" STORE "\"", "7", "\"2026-11-23T08:00:00Z\"", BUILD) " x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault = FAULT_NONE;
        ck_err(parse(cases[i].text, &fault), cases[i].code);
        ck_assert_msg(strcmp(fault.field, cases[i].field) == 0, "case %zu: field \"%s\"", i,
                      fault.field);
    }
}
END_TEST

START_TEST(long_file)
{
    CLEANUP(buf_free) struct buf text = {0};
    struct registration file;
    ck_ok(buf_append_text(&text, FILE_OF("\"" STORE "\"", "7", "\"2026-11-23T08:00:00Z\"", BUILD)));
    while (text.len < REGISTRATION_LEN_MAX)
        ck_ok(buf_append_text(&text, "\n"));
    ck_ok(registration_parse(bytes_of_buf(&text), &file, NULL));
    registration_free(&file);
    ck_ok(buf_append_text(&text, "\n"));
    ck_err(registration_parse(bytes_of_buf(&text), &file, NULL), ERR_TOO_LARGE);
}
END_TEST

UNIT_MAIN("registration", valid_file, wrong_file, long_file)
