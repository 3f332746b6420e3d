/* The payload as a whole: its map, its keys, what is accepted.  Each test breaks one
 * rule and demands its exact error at its exact place. */
#include "attdoc_pieces.h"

/* ---- what is accepted ---- */

START_TEST(valid_maps)
{
    for (int indefinite = 0; indefinite <= 1; indefinite++) {
        PAYLOAD(p);
        p.indefinite = indefinite == 1;
        struct attdoc doc;
        check_accepted(&p, &doc);
        check_fields(&doc);
        ck_assert_int_eq(doc.map_indefinite, indefinite);
    }
}
END_TEST

START_TEST(valid_key_order)
{
    PAYLOAD(p);
    struct attdoc doc;
    ck_ok(attdoc_parse(encode_ordered(&p, true), 0, NULL, &doc, NULL));
    check_fields(&doc);
}
END_TEST

START_TEST(valid_views)
{
    PAYLOAD(p);
    struct attdoc doc;
    check_accepted(&p, &doc);
    const uint8_t *from = p.encoded.ptr;
    const uint8_t *to = from + p.encoded.len;
    ck_assert(doc.module_id.ptr > from && doc.module_id.ptr < to);
    ck_assert(doc.pcr[31] > from && doc.pcr[31] < to);
    ck_assert(doc.cabundle[3].ptr > from && doc.cabundle[3].ptr < to);
}
END_TEST

START_TEST(valid_nitrotpm)
{
    PAYLOAD(p);
    set_pcrs(&p, "nitrotpm_pcrs", some_pcrs, ARRAY_LEN(some_pcrs), ATTDOC_PCR_LEN);
    struct attdoc doc;
    check_accepted(&p, &doc);
    ck_assert_int_eq(doc.kind, ATTDOC_NITROTPM);
    ck_assert_uint_eq(doc.pcr_present, 0x8000001fu);
}
END_TEST

START_TEST(valid_limits)
{
    PAYLOAD(p);
    uint64_t all[ATTDOC_PCR_COUNT];
    for (size_t i = 0; i < ATTDOC_PCR_COUNT; i++)
        all[i] = ATTDOC_PCR_COUNT - 1 - i; /* descending: any order */
    set_pcrs(&p, "pcrs", all, ATTDOC_PCR_COUNT, ATTDOC_PCR_LEN);
    set_uint(&p, TIMESTAMP, "timestamp", INT64_MAX);
    set_bytes(&p, CERT, "certificate", ATTDOC_CERT_MAX);
    set_cabundle(&p, ATTDOC_BUNDLE_MAX, ATTDOC_CERT_MAX);
    set_bytes(&p, PUBLIC_KEY, "public_key", ATTDOC_OPTIONAL_MAX);
    set_bytes(&p, USER_DATA, "user_data", ATTDOC_OPTIONAL_MAX);
    set_bytes(&p, NONCE, "nonce", ATTDOC_OPTIONAL_MAX);
    struct attdoc doc;
    check_accepted(&p, &doc);
    ck_assert_uint_eq(doc.pcr_present, UINT32_MAX);
    ck_assert_uint_eq(doc.cabundle_len, ATTDOC_BUNDLE_MAX);
    ck_assert_uint_eq(doc.nonce.value.len, ATTDOC_OPTIONAL_MAX);

    set_pcrs(&p, "pcrs", &(uint64_t){7}, 1, ATTDOC_PCR_LEN);
    set_uint(&p, TIMESTAMP, "timestamp", 1);
    set_text(&p, MODULE_ID, "module_id", "i");
    set_bytes(&p, CERT, "certificate", 1);
    set_cabundle(&p, 1, 1);
    set_bytes(&p, NONCE, "nonce", 0);
    check_accepted(&p, &doc);
    ck_assert_uint_eq(doc.pcr_present, 0x80);
    ck_assert_int_eq(doc.nonce.state, ATTDOC_PRESENT);
    ck_assert_uint_eq(doc.nonce.value.len, 0);
}
END_TEST

/* What else bounds it is the payload as a whole: test_attest, long_module_id. */
START_TEST(valid_module_id)
{
    static const size_t lens[] = {1, 23, 24, 255, 256, ATTDOC_PAYLOAD_MAX};
    static char id[ATTDOC_PAYLOAD_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        PAYLOAD(p);
        memset(id, 'i', lens[i]);
        id[lens[i]] = '\0';
        set_text(&p, MODULE_ID, "module_id", id);
        struct attdoc doc;
        check_accepted(&p, &doc);
        ck_assert(bytes_equal_text(doc.module_id, id));
    }
}
END_TEST

START_TEST(valid_absent_optionals)
{
    PAYLOAD(p);
    omit(&p, PUBLIC_KEY);
    omit(&p, USER_DATA);
    omit(&p, NONCE);
    struct attdoc doc;
    check_accepted(&p, &doc);
    ck_assert_int_eq(doc.public_key.state, ATTDOC_ABSENT);
    ck_assert_int_eq(doc.user_data.state, ATTDOC_ABSENT);
    ck_assert_int_eq(doc.nonce.state, ATTDOC_ABSENT);
}
END_TEST

/* ---- the map ---- */

START_TEST(wrong_map)
{
    static const struct {
        const char *cbor;
        size_t len;
        enum err err;
    } rows[] = {
        {"", 0, ERR_CBOR_MALFORMED},        {"\x80", 1, ERR_CBOR_TYPE},
        {"\x40", 1, ERR_CBOR_TYPE},         {"\xf6", 1, ERR_CBOR_TYPE},
        {"\xd2\xa0", 2, ERR_CBOR_TYPE},     {"\xb8\x00", 2, ERR_CBOR_NOT_STRICT},
        {"\xbf", 1, ERR_CBOR_MALFORMED},    {"\xff", 1, ERR_CBOR_MALFORMED},
        {"\xa1\x01\x01", 3, ERR_CBOR_TYPE}, {"\xa1\x41k\x01", 4, ERR_CBOR_TYPE},
        {"\xa1\xf6\x01", 3, ERR_CBOR_TYPE}, {"\xa1\x61\xff\x01", 4, ERR_UTF8},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_refused_with(bytes_of(rows[i].cbor, rows[i].len), NULL, rows[i].err, "payload");
}
END_TEST

START_TEST(no_entries)
{
    check_refused_with(bytes_of("\xa0", 1), NULL, ERR_DOC_MALFORMED, "module_id");
    check_refused_with(bytes_of("\xbf\xff", 2), NULL, ERR_DOC_MALFORMED, "module_id");
}
END_TEST

START_TEST(junk_trailing)
{
    for (int indefinite = 0; indefinite <= 1; indefinite++) {
        PAYLOAD(p);
        p.indefinite = indefinite == 1;
        encode(&p);
        ck_ok(buf_append(&p.encoded, bytes_of("\0", 1)));
        check_refused_with(bytes_of_buf(&p.encoded), NULL, ERR_CBOR_TRAILING, "payload");
    }
}
END_TEST

START_TEST(junk_truncated)
{
    for (int indefinite = 0; indefinite <= 1; indefinite++) {
        PAYLOAD(p);
        p.indefinite = indefinite == 1;
        const struct bytes whole = encode(&p);
        struct attdoc doc;
        for (size_t len = 0; len < whole.len; len++)
            ck_err(attdoc_parse(bytes_of(whole.ptr, len), 0, NULL, &doc, NULL), ERR_CBOR_MALFORMED);
    }
}
END_TEST

START_TEST(no_value_before_break)
{
    PAYLOAD(p);
    p.indefinite = true;
    set_raw(&p, EXTRA, "nonce", "", 0);
    omit(&p, NONCE);
    check_refused(&p, ERR_CBOR_MALFORMED, "nonce");
}
END_TEST

/* A break that no indefinite map is waiting for. */
START_TEST(wrong_break)
{
    check_refused_with(bytes_of("\xa1\xff\xf6", 3), NULL, ERR_CBOR_MALFORMED, "payload");
    PAYLOAD(p);
    set_raw(&p, MODULE_ID, "module_id", "\xff", 1);
    check_refused(&p, ERR_CBOR_MALFORMED, "module_id");
    p.indefinite = true;
    check_refused(&p, ERR_CBOR_MALFORMED, "module_id");
    payload_free(&p);
    payload_init(&p);
    encode(&p);
    ck_ok(buf_append(&p.encoded, bytes_of("\xff", 1)));
    check_refused_with(bytes_of_buf(&p.encoded), NULL, ERR_CBOR_TRAILING, "payload");
    p.indefinite = true;
    encode(&p);
    ck_ok(buf_append(&p.encoded, bytes_of("\xff", 1))); /* one more than there are maps */
    check_refused_with(bytes_of_buf(&p.encoded), NULL, ERR_CBOR_TRAILING, "payload");
}
END_TEST

/* ---- keys ---- */

START_TEST(no_required_field)
{
    static const int required[] = {MODULE_ID, DIGEST, TIMESTAMP, PCRS, CERT, CABUNDLE};
    for (size_t i = 0; i < ARRAY_LEN(required); i++) {
        PAYLOAD(p);
        omit(&p, required[i]);
        check_refused(&p, ERR_DOC_MALFORMED, known_keys[required[i]]);
    }
}
END_TEST

START_TEST(wrong_duplicate_key)
{
    for (int i = 0; i < EXTRA; i++) {
        PAYLOAD(p);
        p.piece[EXTRA].key = known_keys[i];
        ck_ok(buf_append(&p.piece[EXTRA].value, bytes_of_buf(&p.piece[i].value)));
        check_refused(&p, ERR_CBOR_DUPLICATE, known_keys[i]);
        p.indefinite = true;
        check_refused(&p, ERR_CBOR_DUPLICATE, known_keys[i]);
    }
}
END_TEST

START_TEST(wrong_both_kinds)
{
    PAYLOAD(p);
    p.piece[EXTRA].key = "nitrotpm_pcrs";
    ck_ok(buf_append(&p.piece[EXTRA].value, bytes_of_buf(&p.piece[PCRS].value)));
    check_refused(&p, ERR_DOC_MALFORMED, "nitrotpm_pcrs");
    check_refused_with(encode_ordered(&p, true), NULL, ERR_DOC_MALFORMED, "pcrs");
}
END_TEST

START_TEST(wrong_unknown_key)
{
    static const char *const unknown[] = {"future", "Digest", "module_id ", "pcr", "", "tpm_PCRs"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        PAYLOAD(p);
        set_uint(&p, EXTRA, unknown[i], 1);
        check_refused(&p, ERR_DOC_UNKNOWN_FIELD, unknown[i]);
    }
}
END_TEST

START_TEST(long_unknown_key)
{
    PAYLOAD(p);
    char key[301];
    memset(key, 'x', sizeof key);
    key[300] = '\0';
    set_uint(&p, EXTRA, key, 1);
    char shown[65];
    memcpy(shown, key, 64);
    shown[64] = '\0';
    check_refused(&p, ERR_DOC_UNKNOWN_FIELD, shown);
}
END_TEST

/* What no line of a log can hold is a question mark in it, a NUL as well. */
START_TEST(junk_unknown_key)
{
    static const char payload[] = "\xa1\x66"
                                  "a\0b\xc3\xbc"
                                  "c\x01";
    check_refused_with(bytes_of(payload, sizeof payload - 1), NULL, ERR_DOC_UNKNOWN_FIELD,
                       "a?b??c");
}
END_TEST

/* ---- tolerated keys ---- */

static const char *const tolerated[] = {"future", "other", "pcrs_v2", "nonce"};
static const struct attdoc_tolerate tolerate = {.keys = tolerated, .count = ARRAY_LEN(tolerated)};

START_TEST(valid_tolerated)
{
    PAYLOAD(p);
    set_raw(&p, EXTRA, "future", "\xa1\x61k\x82\x01\x41z", 7);
    struct attdoc doc;
    ck_ok(attdoc_parse(encode(&p), 0, &tolerate, &doc, NULL));
    check_fields(&doc);
    check_refused_with(bytes_of_buf(&p.encoded), NULL, ERR_DOC_UNKNOWN_FIELD, "future");
}
END_TEST

START_TEST(wrong_tolerated)
{
    PAYLOAD(p);
    set_uint(&p, EXTRA, "third", 1);
    check_refused_with(encode(&p), &tolerate, ERR_DOC_UNKNOWN_FIELD, "third");
    set_raw(&p, EXTRA, "future", "\x9f\xff", 2);
    check_refused_with(encode(&p), &tolerate, ERR_CBOR_NOT_STRICT, "future");
    set_raw(&p, EXTRA, "future", "\x81\x81\x81\x81\x80", 5);
    check_refused_with(encode(&p), &tolerate, ERR_CBOR_NOT_STRICT, "future");
    set_raw(&p, EXTRA, "future", "\x81\x81\x81\x80", 4);
    struct attdoc doc;
    ck_ok(attdoc_parse(encode(&p), 0, &tolerate, &doc, NULL));
}
END_TEST

START_TEST(wrong_tolerated_pcrs)
{
    static const char *const keys[] = {"pcrs_v2", "PCRs", "my_Pcr", "xpCrx"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct attdoc_tolerate all = {.keys = keys, .count = ARRAY_LEN(keys)};
        PAYLOAD(p);
        set_uint(&p, EXTRA, keys[i], 1);
        check_refused_with(encode(&p), &all, ERR_DOC_UNKNOWN_FIELD, keys[i]);
    }
}
END_TEST

START_TEST(wrong_tolerated_duplicate)
{
    PAYLOAD(p);
    set_uint(&p, EXTRA, "future", 1);
    set_uint(&p, NONCE, "future", 1);
    check_refused_with(encode(&p), &tolerate, ERR_CBOR_DUPLICATE, "future");
    set_uint(&p, NONCE, "other", 1);
    struct attdoc doc;
    ck_ok(attdoc_parse(encode(&p), 0, &tolerate, &doc, NULL));
}
END_TEST

/* A known key stays what it is, whoever tolerates it. */
START_TEST(wrong_tolerated_known)
{
    PAYLOAD(p);
    set_uint(&p, NONCE, "nonce", 1);
    check_refused_with(encode(&p), &tolerate, ERR_CBOR_TYPE, "nonce");
}
END_TEST

/* ---- where it was ---- */

START_TEST(valid_fault_offset)
{
    PAYLOAD(p);
    set_text(&p, MODULE_ID, "module_id", "");
    struct attdoc doc;
    struct fault fault = FAULT_NONE;
    ck_err(attdoc_parse(encode(&p), PAYLOAD_OFFSET, NULL, &doc, &fault), ERR_DOC_MALFORMED);
    /* After the map's head and the first key. */
    ck_assert_uint_eq(fault.offset, PAYLOAD_OFFSET + 1 + 1 + strlen("module_id"));

    payload_free(&p);
    payload_init(&p);
    set_raw(&p, PCRS, "pcrs", "\xa2\x00\x41z\x01\x41z", 7);
    ck_err(attdoc_parse(encode(&p), PAYLOAD_OFFSET, NULL, &doc, &fault), ERR_DOC_MALFORMED);
    ck_assert_str_eq(fault.field, "pcrs[0]");
    const uint8_t *at = p.encoded.ptr + (fault.offset - PAYLOAD_OFFSET);
    ck_assert_mem_eq(at, "\x41z", 2);
}
END_TEST

/* ---- debug mode ---- */

START_TEST(valid_is_debug)
{
    static const uint8_t zero[ATTDOC_PCR_LEN];
    static const uint8_t some[ATTDOC_PCR_LEN] = {[ATTDOC_PCR_LEN - 1] = 1};
    for (size_t i = 0; i <= 4; i++) {
        struct attdoc doc = {.kind = ATTDOC_ENCLAVE};
        for (size_t k = 0; k <= 4; k++)
            doc.pcr[k] = some;
        ck_assert(!attdoc_is_debug(&doc));
        doc.pcr[i] = zero;
        ck_assert_int_eq(attdoc_is_debug(&doc), i <= 2);
        doc.pcr[i] = NULL;
        ck_assert_int_eq(attdoc_is_debug(&doc), i <= 2);
        doc.kind = ATTDOC_NITROTPM;
        ck_assert(!attdoc_is_debug(&doc));
    }
    ck_assert_str_eq(attdoc_kind_name(ATTDOC_ENCLAVE), "enclave");
    ck_assert_str_eq(attdoc_kind_name(ATTDOC_NITROTPM), "nitrotpm");
}
END_TEST

START_TEST(valid_instance)
{
    static const struct {
        const char *module_id;
        const char *instance;
    } rows[] = {
        {"i-0123456789abcdef0-enc0123456789abcdef", "i-0123456789abcdef0"},
        {"i-0-enc1-enc2", "i-0"}, /* the first mark ends it: nothing behind it counts */
        {"i-0-enc", "i-0"},
        {"i-000fa553dad58a9f1-tpm0000000000000000", "i-000fa553dad58a9f1"},
        {"i-0-tpm1-enc2", "i-0"},
        {"i-0-enc1-tpm2", "i-0"},
        {"-tpm1", "-tpm1"},
        {"i-0-tp", "i-0-tp"},
        {"i-enc0", "i"},
        {"i-e", "i-e"},
        {"i-enc", "i"},
        {"i-0-en", "i-0-en"},
        {"-enc1", "-enc1"}, /* no instance at all is not the empty one */
        {"x", "x"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_msg(
            bytes_equal_text(attdoc_instance(bytes_of_text(rows[i].module_id)), rows[i].instance),
            "%s", rows[i].module_id);
}
END_TEST

UNIT_MAIN("attdoc", valid_maps, valid_key_order, valid_views, valid_nitrotpm, valid_limits,
          valid_module_id, valid_absent_optionals, wrong_map, no_entries, junk_trailing,
          junk_truncated, no_value_before_break, no_required_field, wrong_duplicate_key,
          wrong_both_kinds, wrong_unknown_key, long_unknown_key, junk_unknown_key, valid_tolerated,
          wrong_tolerated, wrong_tolerated_pcrs, wrong_tolerated_duplicate, wrong_tolerated_known,
          valid_fault_offset, valid_is_debug, valid_instance, wrong_break)
