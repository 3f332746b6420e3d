/* Grants through the admin operations. */
#include "release_fixture.h"

static uint8_t pcr[ATTDOC_PCR_LEN] = {1};

#define GRANT_REFUSED(code, field, ...) \
    ADMIN_REFUSED(&f, (code), (field), "grant.add", PARAMS(__VA_ARGS__))
#define MAIN     p_text("secret", "db/main")
#define PAYMENTS p_text("image", "payments")

static void begin(struct warden_fixture *f)
{
    fixture_measurement(f, "payments", "1.4.2", SEED);
    fixture_secret(f, "db/main", "v");
}

START_TEST(valid_add)
{
    FIXTURE(f);
    char hex[2 * ATTDOC_PCR_LEN + 1];
    begin(&f);
    json_auto_t *added =
        admin_do(&f, "grant.add",
                 PARAMS(MAIN, PAYMENTS, p_text("measurement", "1.4.2"),
                        p_bytes("role_pcr3", pcr, sizeof pcr),
                        p_bytes("instance_pcr4", pcr, sizeof pcr), p_text("region", "eu-west-1"),
                        p_bytes("application", "tenant", 6), p_text("versions", "3,1,3"),
                        p_uint("quota", 9), p_text("not_before", "2026-11-23T00:00:00Z"),
                        p_text("not_after", "2026-11-24T00:00:00Z")));
    hex_encode(bytes_of(pcr, sizeof pcr), hex);
    ck_assert_str_eq(text_at(added, "result"), "added");
    ck_assert_uint_eq(uint_at(added, "grant.id"), 1);
    ck_assert_str_eq(text_at(added, "grant.secret"), "db/main");
    ck_assert_str_eq(text_at(added, "grant.image"), "payments");
    ck_assert_str_eq(text_at(added, "grant.measurement"), "1.4.2");
    ck_assert_str_eq(text_at(added, "grant.pcr3"), hex);
    ck_assert_str_eq(text_at(added, "grant.pcr4"), hex);
    ck_assert_str_eq(text_at(added, "grant.region"), "eu-west-1");
    ck_assert_str_eq(text_at(added, "grant.application"), "dGVuYW50");
    ck_assert_uint_eq(uint_at(added, "grant.versions.0"), 1);
    ck_assert_uint_eq(uint_at(added, "grant.versions.1"), 3);
    ck_assert_uint_eq(json_array_size(json_at(added, "grant.versions")), 2);
    ck_assert_uint_eq(uint_at(added, "grant.quota"), 9);
    ck_assert_uint_eq(uint_at(added, "grant.used"), 0);
    ck_assert_str_eq(text_at(added, "grant.not_before"), "2026-11-23T00:00:00Z");
    ck_assert_str_eq(text_at(added, "grant.not_after"), "2026-11-24T00:00:00Z");
    ck_assert_str_eq(text_at(added, "grant.state"), "active");
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "grant.add");
    ck_assert_str_eq(text_at(record, "object"), "1: db/main to image payments");
}
END_TEST

START_TEST(valid_again)
{
    FIXTURE(f);
    begin(&f);
    json_auto_t *first =
        admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, p_text("versions", "2,1")));
    ck_assert_str_eq(text_at(first, "result"), "added");
    advance_ms(1000);
    const uint64_t sequence = audit_sequence(&f);
    json_auto_t *same =
        admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, p_text("versions", "1,2,2")));
    ck_assert_str_eq(text_at(same, "result"), "unchanged");
    ck_assert_uint_eq(uint_at(same, "grant.id"), 1);
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    json_auto_t *other = admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS));
    ck_assert_str_eq(text_at(other, "result"), "added");
    ck_assert_uint_eq(uint_at(other, "grant.id"), 2);
    /* "exactly no application bytes" and "any" differ */
    json_auto_t *empty =
        admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, p_bytes("application", "", 0)));
    ck_assert_str_eq(text_at(empty, "result"), "added");
    ck_assert(json_is_string(json_at(empty, "grant.application")));
    ck_assert_ptr_null(json_at(other, "grant.application"));
}
END_TEST

START_TEST(wrong_subject)
{
    FIXTURE(f);
    begin(&f);
    const struct param pcr8 = p_bytes("signer_pcr8", pcr, sizeof pcr);
    const struct param pcr1 = p_bytes("signer_pcr1", pcr, sizeof pcr);
    GRANT_REFUSED(ERR_MALFORMED, "secret", PAYMENTS);
    GRANT_REFUSED(ERR_MALFORMED, "image", MAIN);
    GRANT_REFUSED(ERR_MALFORMED, "image", MAIN, PAYMENTS, pcr8, pcr1);
    GRANT_REFUSED(ERR_MALFORMED, "image", MAIN, PAYMENTS, pcr8);
    GRANT_REFUSED(ERR_MALFORMED, "image", MAIN, PAYMENTS, pcr1);
    GRANT_REFUSED(ERR_MALFORMED, "signer_pcr8", MAIN, pcr8);
    GRANT_REFUSED(ERR_MALFORMED, "signer_pcr8", MAIN, pcr1);
    GRANT_REFUSED(ERR_MALFORMED, "measurement", MAIN, pcr8, pcr1, p_text("measurement", "1.4.2"));
    GRANT_REFUSED(ERR_NOT_FOUND, "secret", p_text("secret", "db/none"), PAYMENTS);
    GRANT_REFUSED(ERR_NOT_FOUND, "image", MAIN, p_text("image", "refunds"));
    GRANT_REFUSED(ERR_NOT_FOUND, "measurement", MAIN, PAYMENTS, p_text("measurement", "2"));
    json_auto_t *signer = admin_do(&f, "grant.add", PARAMS(MAIN, pcr8, pcr1));
    ck_assert_ptr_null(json_at(signer, "grant.image"));
    ck_assert_uint_eq(strlen(text_at(signer, "grant.pcr8")), 2 * ATTDOC_PCR_LEN);
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "object"), "1: db/main to a signer");
}
END_TEST

START_TEST(wrong_pcrs)
{
    FIXTURE(f);
    static const char *const names[] = {"role_pcr3", "instance_pcr4", "signer_pcr8", "signer_pcr1"};
    static const uint8_t zero[ATTDOC_PCR_LEN];
    begin(&f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        GRANT_REFUSED(ERR_PCRS_ZERO, names[i], MAIN, PAYMENTS, p_bytes(names[i], zero, 48));
        ck_assert_int_eq(strstr(f.fault.detail, "these are the values of a debug enclave") != NULL,
                         i >= 2);
        GRANT_REFUSED(ERR_MALFORMED, names[i], MAIN, PAYMENTS, p_bytes(names[i], pcr, 47));
        GRANT_REFUSED(ERR_MALFORMED, names[i], MAIN, PAYMENTS, p_bytes(names[i], "", 0));
        GRANT_REFUSED(ERR_MALFORMED, names[i], MAIN, PAYMENTS, p_text(names[i], "00"));
    }
}
END_TEST

START_TEST(wrong_versions)
{
    FIXTURE(f);
    begin(&f);
    static const char *const bad[] = {
        "",
        ",",
        "1,",
        ",1",
        "1,,2",
        "0",
        "1;2",
        "1 ",
        " 1",
        "-1",
        "2147483648",
        "x",
        "99999999999999999999",
        "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
        "1.5",
        "0x1",
        "01",
        "1,02",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        GRANT_REFUSED(ERR_MALFORMED, "versions", MAIN, PAYMENTS, p_text("versions", bad[i]));
    GRANT_REFUSED(ERR_MALFORMED, "versions", MAIN, PAYMENTS, p_uint("versions", 1));
    json_decref(admin_do(
        &f, "grant.add",
        PARAMS(MAIN, PAYMENTS, p_text("versions", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"))));
    json_decref(
        admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, p_text("versions", "2147483647"))));
}
END_TEST

START_TEST(wrong_rest)
{
    FIXTURE(f);
    static const uint8_t application[PROTOCOL_APPLICATION_MAX + 1] = {1};
    char region[33];
    begin(&f);
    memset(region, 'r', sizeof region);
    region[32] = '\0';
    GRANT_REFUSED(ERR_MALFORMED, "region", MAIN, PAYMENTS, p_text("region", region));
    GRANT_REFUSED(ERR_MALFORMED, "region", MAIN, PAYMENTS, p_text("region", ""));
    GRANT_REFUSED(ERR_MALFORMED, "application", MAIN, PAYMENTS,
                  p_bytes("application", application, sizeof application));
    GRANT_REFUSED(ERR_MALFORMED, "application", MAIN, PAYMENTS, p_text("application", "x"));
    GRANT_REFUSED(ERR_MALFORMED, "quota", MAIN, PAYMENTS, p_uint("quota", 0));
    GRANT_REFUSED(ERR_MALFORMED, "quota", MAIN, PAYMENTS, p_uint("quota", UINT64_C(1) << 31));
    GRANT_REFUSED(ERR_MALFORMED, "quota", MAIN, PAYMENTS, p_text("quota", "1"));
    GRANT_REFUSED(ERR_MALFORMED, "not_before", MAIN, PAYMENTS, p_text("not_before", "now"));
    GRANT_REFUSED(ERR_MALFORMED, "not_after", MAIN, PAYMENTS, p_text("not_after", "2026-11-23"));
    GRANT_REFUSED(ERR_MALFORMED, "not_after", MAIN, PAYMENTS,
                  p_text("not_before", "2026-11-23T00:00:01Z"),
                  p_text("not_after", "2026-11-23T00:00:00Z"));
    json_auto_t *list = admin_do(&f, "grant.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "grants")), 0);
}
END_TEST

/* --- Signers whose builds are registered, and what the enclave extends --- */

START_TEST(valid_registered)
{
    FIXTURE(f);
    begin(&f);
    const struct param pcr8 = p_bytes("signer_pcr8", pcr, sizeof pcr);
    const struct param pcr1 = p_bytes("signer_pcr1", pcr, sizeof pcr);
    const struct param registered = p_bool("registered", true);
    json_auto_t *any = admin_do(&f, "grant.add", PARAMS(MAIN, pcr8, pcr1, registered));
    ck_assert(json_is_true(json_at(any, "grant.registered")));
    ck_assert_ptr_null(json_at(any, "grant.image"));
    json_auto_t *record = audit_newest(&f);
    ck_assert_ptr_nonnull(strstr(text_at(record, "detail"), "\"registered\":true"));
    json_auto_t *of = admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, pcr8, pcr1, registered));
    ck_assert_str_eq(text_at(of, "result"), "added");
    ck_assert_str_eq(text_at(of, "grant.image"), "payments");
    json_auto_t *of_record = audit_newest(&f);
    ck_assert_str_eq(text_at(of_record, "object"), "2: db/main to a signer");
    ck_assert_ptr_nonnull(strstr(text_at(of_record, "detail"), "\"image\":\"payments\""));
    json_auto_t *again = admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, pcr8, pcr1, registered));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    json_auto_t *plain =
        admin_do(&f, "grant.add", PARAMS(MAIN, pcr8, pcr1, p_bool("registered", false)));
    ck_assert_str_eq(text_at(plain, "result"), "added");
    ck_assert_ptr_null(json_at(plain, "grant.registered"));
    json_auto_t *list = admin_do(&f, "grant.list", PARAMS(PAYMENTS));
    ck_assert_uint_eq(json_array_size(json_at(list, "grants")), 1);
    ck_assert_uint_eq(uint_at(list, "grants.0.id"), 2);
    GRANT_REFUSED(ERR_MALFORMED, "registered", MAIN, PAYMENTS, registered);
    GRANT_REFUSED(ERR_MALFORMED, "registered", MAIN, registered);
    GRANT_REFUSED(ERR_MALFORMED, "registered", MAIN, pcr8, pcr1, p_text("registered", "true"));
    GRANT_REFUSED(ERR_MALFORMED, "signer_pcr8", MAIN, pcr8, registered);
    GRANT_REFUSED(ERR_MALFORMED, "measurement", MAIN, PAYMENTS, pcr8, pcr1, registered,
                  p_text("measurement", "1.4.2"));
    GRANT_REFUSED(ERR_NOT_FOUND, "image", MAIN, p_text("image", "none"), pcr8, pcr1, registered);
}
END_TEST

/* A map of one list: as many values as asked for, each another, in descending order. */
static void one_list(struct buf *out, const char *index, unsigned count)
{
    CLEANUP(buf_free) struct buf list = {0};
    struct cbor_writer w;
    for (unsigned i = 0; i < count; i++) {
        uint8_t value[ATTDOC_PCR_LEN] = {(uint8_t)(255 - i)};
        if (i > 0)
            ck_ok(buf_append_text(&list, ","));
        ck_ok(hex_append(&list, bytes_of(value, sizeof value)));
    }
    out->len = 0;
    cbor_writer_init(&w, out);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, index);
    cbor_writer_text(&w, bytes_of_buf(&list));
    ck_ok(cbor_writer_finish(&w));
}

START_TEST(valid_accepted)
{
    FIXTURE(f);
    CLEANUP(buf_free) struct buf map = {0};
    begin(&f);
    one_list(&map, "16", 2);
    const struct param two = p_map("accepted", &map);
    json_auto_t *added = admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, two));
    ck_assert_uint_eq(json_array_size(json_at(added, "grant.accepted.16")), 2);
    ck_assert_int_eq(strncmp(text_at(added, "grant.accepted.16.0"), "fe00", 4), 0); /* sorted */
    ck_assert_int_eq(strncmp(text_at(added, "grant.accepted.16.1"), "ff00", 4), 0);
    json_auto_t *record = audit_newest(&f);
    ck_assert_ptr_nonnull(strstr(text_at(record, "detail"), "\"accepted\":{\"16\":[\"fe00"));
    json_auto_t *again = admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, two));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    one_list(&map, "31", PCR_CHOICES_MAX);
    json_auto_t *most = admin_do(&f, "grant.add", PARAMS(MAIN, PAYMENTS, p_map("accepted", &map)));
    ck_assert_uint_eq(json_array_size(json_at(most, "grant.accepted.31")), PCR_CHOICES_MAX);
    fixture_close(&f);
    fixture_open(&f);
    json_auto_t *list = admin_do(&f, "grant.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "grants.1.accepted.31")), PCR_CHOICES_MAX);
}
END_TEST

static void one_text(struct buf *out, const char *index, const char *text)
{
    struct cbor_writer w;
    out->len = 0;
    cbor_writer_init(&w, out);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, index);
    cbor_writer_cstr(&w, text);
    ck_ok(cbor_writer_finish(&w));
}

START_TEST(wrong_accepted)
{
    FIXTURE(f);
    CLEANUP(buf_free) struct buf map = {0};
    static const char *const indexes[] = {"15", "0", "8", "32", "016", "x", ""};
    char zero[2 * ATTDOC_PCR_LEN + 1];
    char text[4 * ATTDOC_PCR_LEN + 3];
    begin(&f);
    memset(zero, '0', sizeof zero - 1);
    zero[sizeof zero - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(indexes); i++) {
        one_list(&map, indexes[i], 1);
        GRANT_REFUSED(ERR_MALFORMED, "accepted", MAIN, PAYMENTS, p_map("accepted", &map));
    }
    one_list(&map, "16", PCR_CHOICES_MAX + 1);
    GRANT_REFUSED(ERR_MALFORMED, "accepted[16]", MAIN, PAYMENTS, p_map("accepted", &map));
    one_text(&map, "17", zero);
    GRANT_REFUSED(ERR_PCRS_ZERO, "accepted[17]", MAIN, PAYMENTS, p_map("accepted", &map));
    zero[0] = '1';
    static const struct {
        const char *before;
        int digits;
        const char *after;
    } forms[] = {{"", 96, ","}, {",", 96, ""}, {"", 96, ",,"}, {"", 96, " "}, {" ", 96, ""},
                 {"", 95, ""},  {"", 96, "0"}, {"x", 95, ""},  {"", 0, ""},   {"0x", 94, ""}};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        snprintf(text, sizeof text, "%s%.*s%s", forms[i].before, forms[i].digits, zero,
                 forms[i].after);
        one_text(&map, "17", text);
        GRANT_REFUSED(ERR_HEX, "accepted[17]", MAIN, PAYMENTS, p_map("accepted", &map));
    }
    map.len = 0;
    ck_ok(buf_append(&map, bytes_of("\xa0", 1)));
    GRANT_REFUSED(ERR_MALFORMED, "accepted", MAIN, PAYMENTS, p_map("accepted", &map));
    GRANT_REFUSED(ERR_MALFORMED, "accepted", MAIN, PAYMENTS, p_text("accepted", "16"));
    json_auto_t *list = admin_do(&f, "grant.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "grants")), 0);
}
END_TEST

START_TEST(wrong_discarded_build)
{
    FIXTURE(f);
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    begin(&f);
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED + 1);
    pcr_map(&fields, 7, &pcrs);
    json_decref(admin_do(
        &f, "measurement.add",
        PARAMS(PAYMENTS, p_text("version", "2"), p_map("pcrs", &pcrs), p_bool("draft", true))));
    json_decref(admin_do(&f, "measurement.discard", PARAMS(PAYMENTS, p_text("version", "2"))));
    GRANT_REFUSED(ERR_WRONG_STATE, "measurement", MAIN, PAYMENTS, p_text("measurement", "2"));
}
END_TEST

START_TEST(valid_remove)
{
    FIXTURE(f);
    begin(&f);
    const uint64_t id = fixture_grant(&f, "db/main", "payments");
    json_auto_t *removed = admin_do(&f, "grant.remove", PARAMS(p_uint("id", id)));
    ck_assert_str_eq(text_at(removed, "result"), "removed");
    ck_assert_str_eq(text_at(removed, "grant.state"), "removed");
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "grant.remove");
    const uint64_t sequence = audit_sequence(&f);
    json_auto_t *again = admin_do(&f, "grant.remove", PARAMS(p_uint("id", id)));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    ck_assert_uint_eq(fixture_grant(&f, "db/main", "payments"), id + 1); /* a new one */
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "id", "grant.remove", PARAMS(p_uint("id", 0)));
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "id", "grant.remove", PARAMS(p_uint("id", 99)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "id", "grant.remove", PARAMS(p_uint("id", UINT64_MAX)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "id", "grant.remove", PARAMS(p_text("id", "1")));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "id", "grant.remove", NO_PARAMS);
}
END_TEST

START_TEST(valid_list)
{
    FIXTURE(f);
    begin(&f);
    fixture_measurement(&f, "refunds", "1", SEED + 1);
    fixture_secret(&f, "db/other", "v");
    fixture_grant(&f, "db/main", "payments");
    fixture_grant(&f, "db/main", "refunds");
    const uint64_t gone = fixture_grant(&f, "db/other", "payments");
    fixture_grant(&f, "db/other", "refunds");
    json_decref(admin_do(&f, "grant.remove", PARAMS(p_uint("id", gone))));
    json_auto_t *all = admin_do(&f, "grant.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(all, "grants")), 3);
    json_auto_t *of_main = admin_do(&f, "grant.list", PARAMS(MAIN));
    ck_assert_uint_eq(json_array_size(json_at(of_main, "grants")), 2);
    json_auto_t *to_refunds = admin_do(&f, "grant.list", PARAMS(p_text("image", "refunds")));
    ck_assert_uint_eq(json_array_size(json_at(to_refunds, "grants")), 2);
    json_auto_t *both = admin_do(&f, "grant.list",
                                 PARAMS(p_text("image", "refunds"), p_text("secret", "db/other")));
    ck_assert_uint_eq(json_array_size(json_at(both, "grants")), 1);
    ck_assert_uint_eq(uint_at(both, "grants.0.id"), 4);
    json_auto_t *page = admin_do(&f, "grant.list", PARAMS(p_uint("limit", 2)));
    ck_assert_uint_eq(json_array_size(json_at(page, "grants")), 2);
    json_auto_t *next = admin_do(&f, "grant.list", PARAMS(p_uint("after", uint_at(page, "next"))));
    ck_assert_uint_eq(json_array_size(json_at(next, "grants")), 1);
    ck_assert_uint_eq(uint_at(next, "grants.0.id"), 4);
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "secret", "grant.list", PARAMS(p_text("secret", "none")));
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "image", "grant.list", PARAMS(p_text("image", "none")));
}
END_TEST

UNIT_MAIN("admin_grant", valid_add, valid_again, wrong_subject, wrong_pcrs, wrong_versions,
          wrong_rest, valid_registered, valid_accepted, wrong_accepted, wrong_discarded_build,
          valid_remove, valid_list)
