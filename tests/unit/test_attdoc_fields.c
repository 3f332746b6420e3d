/* The payload field by field: each test breaks one rule and demands its exact error
 * at its exact place. */
#include "attdoc_pieces.h"

START_TEST(wrong_module_id)
{
    PAYLOAD(p);
    set_text(&p, MODULE_ID, "module_id", "");
    check_refused(&p, ERR_DOC_MALFORMED, "module_id");
    set_bytes(&p, MODULE_ID, "module_id", 10);
    check_refused(&p, ERR_CBOR_TYPE, "module_id");
    set_null(&p, MODULE_ID, "module_id");
    check_refused(&p, ERR_CBOR_TYPE, "module_id");
    set_raw(&p, MODULE_ID, "module_id", "\x62i\xff", 3);
    check_refused(&p, ERR_UTF8, "module_id");
    set_raw(&p, MODULE_ID, "module_id", "\x7f\x61i\xff", 4);
    check_refused(&p, ERR_CBOR_NOT_STRICT, "module_id");
}
END_TEST

START_TEST(wrong_digest)
{
    static const char *const digests[] = {"",        "SHA256",  "SHA512", "sha384",
                                          "SHA-384", "SHA3840", "SHA38"};
    PAYLOAD(p);
    for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
        set_text(&p, DIGEST, "digest", digests[i]);
        check_refused(&p, ERR_DOC_MALFORMED, "digest");
    }
    set_raw(&p, DIGEST, "digest", "\x46SHA384", 7);
    check_refused(&p, ERR_CBOR_TYPE, "digest");
}
END_TEST

START_TEST(wrong_timestamp)
{
    PAYLOAD(p);
    set_uint(&p, TIMESTAMP, "timestamp", 0);
    check_refused(&p, ERR_DOC_MALFORMED, "timestamp");
    set_uint(&p, TIMESTAMP, "timestamp", (uint64_t)INT64_MAX + 1);
    check_refused(&p, ERR_DOC_MALFORMED, "timestamp");
    set_raw(&p, TIMESTAMP, "timestamp", "\x20", 1);
    check_refused(&p, ERR_CBOR_TYPE, "timestamp");
    set_raw(&p, TIMESTAMP, "timestamp", "\xfb\x42\x79\xb4\x4f\x00\x00\x00\x00", 9);
    check_refused(&p, ERR_CBOR_TYPE, "timestamp");
    set_raw(&p, TIMESTAMP, "timestamp", "\x18\x01", 2);
    check_refused(&p, ERR_CBOR_NOT_STRICT, "timestamp");
    set_text(&p, TIMESTAMP, "timestamp", "1766620800123");
    check_refused(&p, ERR_CBOR_TYPE, "timestamp");
}
END_TEST

START_TEST(wrong_pcrs)
{
    PAYLOAD(p);
    set_raw(&p, PCRS, "pcrs", "\xa0", 1);
    check_refused(&p, ERR_DOC_MALFORMED, "pcrs");
    set_raw(&p, PCRS, "pcrs", "\x80", 1);
    check_refused(&p, ERR_CBOR_TYPE, "pcrs");
    set_null(&p, PCRS, "pcrs");
    check_refused(&p, ERR_CBOR_TYPE, "pcrs");
    set_raw(&p, PCRS, "pcrs", "\xbf\xff", 2);
    check_refused(&p, ERR_CBOR_NOT_STRICT, "pcrs");
    set_raw(&p, PCRS, "nitrotpm_pcrs", "\xa0", 1);
    check_refused(&p, ERR_DOC_MALFORMED, "nitrotpm_pcrs");
}
END_TEST

START_TEST(long_pcrs)
{
    PAYLOAD(p);
    uint64_t index[ATTDOC_PCR_COUNT + 1];
    for (size_t i = 0; i < ARRAY_LEN(index); i++)
        index[i] = i;
    set_pcrs(&p, "pcrs", index, ARRAY_LEN(index), ATTDOC_PCR_LEN);
    check_refused(&p, ERR_DOC_MALFORMED, "pcrs");
}
END_TEST

START_TEST(wrong_pcr_index)
{
    PAYLOAD(p);
    set_pcrs(&p, "pcrs", (uint64_t[]){0, 32}, 2, ATTDOC_PCR_LEN);
    check_refused(&p, ERR_DOC_MALFORMED, "pcrs[32]");
    set_pcrs(&p, "nitrotpm_pcrs", (uint64_t[]){0, UINT64_MAX}, 2, ATTDOC_PCR_LEN);
    check_refused(&p, ERR_DOC_MALFORMED, "nitrotpm_pcrs[18446744073709551615]");
    set_raw(&p, PCRS, "pcrs", "\xa1\x20\x40", 3);
    check_refused(&p, ERR_CBOR_TYPE, "pcrs");
    set_raw(&p, PCRS, "pcrs", "\xa1\x61\x30\x40", 4);
    check_refused(&p, ERR_CBOR_TYPE, "pcrs");
    set_raw(&p, PCRS, "pcrs", "\xa1\x18\x03\x40", 4);
    check_refused(&p, ERR_CBOR_NOT_STRICT, "pcrs");
    struct cbor_writer w = rewrite(&p, PCRS, "pcrs");
    cbor_writer_map(&w, 2);
    cbor_writer_uint(&w, 0);
    cbor_writer_bytes(&w, bytes_of(blob, ATTDOC_PCR_LEN));
    cbor_writer_cstr(&w, "1"); /* after a good one: the place is the map, not pcrs[0] */
    cbor_writer_bytes(&w, bytes_of(blob, ATTDOC_PCR_LEN));
    ck_ok(cbor_writer_finish(&w));
    check_refused(&p, ERR_CBOR_TYPE, "pcrs");
}
END_TEST

START_TEST(wrong_pcr_duplicate)
{
    PAYLOAD(p);
    set_pcrs(&p, "pcrs", (uint64_t[]){0, 3, 1, 3}, 4, ATTDOC_PCR_LEN);
    check_refused(&p, ERR_CBOR_DUPLICATE, "pcrs[3]");
    set_pcrs(&p, "pcrs", (uint64_t[]){31, 31}, 2, ATTDOC_PCR_LEN);
    check_refused(&p, ERR_CBOR_DUPLICATE, "pcrs[31]");
}
END_TEST

START_TEST(wrong_pcr_value)
{
    static const size_t lens[] = {0, 20, 32, ATTDOC_PCR_LEN - 1, ATTDOC_PCR_LEN + 1};
    PAYLOAD(p);
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        set_pcrs(&p, "pcrs", (uint64_t[]){3}, 1, lens[i]);
        check_refused(&p, ERR_DOC_MALFORMED, "pcrs[3]");
    }
    set_raw(&p, PCRS, "pcrs", "\xa1\x03\xf6", 3);
    check_refused(&p, ERR_CBOR_TYPE, "pcrs[3]");
    set_raw(&p, PCRS, "pcrs", "\xa1\x03\x5f\x41z\xff", 6);
    check_refused(&p, ERR_CBOR_NOT_STRICT, "pcrs[3]");
    set_raw(&p, PCRS, "pcrs", "\xa1\x03\x60", 3);
    check_refused(&p, ERR_CBOR_TYPE, "pcrs[3]");
}
END_TEST

START_TEST(wrong_certificate)
{
    PAYLOAD(p);
    set_bytes(&p, CERT, "certificate", 0);
    check_refused(&p, ERR_DOC_MALFORMED, "certificate");
    set_bytes(&p, CERT, "certificate", ATTDOC_CERT_MAX + 1);
    check_refused(&p, ERR_DOC_MALFORMED, "certificate");
    set_null(&p, CERT, "certificate");
    check_refused(&p, ERR_CBOR_TYPE, "certificate");
    set_raw(&p, CERT, "certificate", "\x5f\x41z\xff", 4); /* in chunks */
    check_refused(&p, ERR_CBOR_NOT_STRICT, "certificate");
    set_text(&p, CERT, "certificate", "-----BEGIN CERTIFICATE-----");
    check_refused(&p, ERR_CBOR_TYPE, "certificate");
}
END_TEST

START_TEST(wrong_cabundle)
{
    PAYLOAD(p);
    set_cabundle(&p, 0, 0);
    check_refused(&p, ERR_DOC_MALFORMED, "cabundle");
    set_cabundle(&p, ATTDOC_BUNDLE_MAX + 1, 1);
    check_refused(&p, ERR_DOC_MALFORMED, "cabundle");
    set_bytes(&p, CABUNDLE, "cabundle", 700);
    check_refused(&p, ERR_CBOR_TYPE, "cabundle");
    set_null(&p, CABUNDLE, "cabundle");
    check_refused(&p, ERR_CBOR_TYPE, "cabundle");
    set_raw(&p, CABUNDLE, "cabundle", "\x9f\x41z\xff", 4);
    check_refused(&p, ERR_CBOR_NOT_STRICT, "cabundle");
    set_raw(&p, CABUNDLE, "cabundle", "\xa1\x00\x41z", 4); /* a map */
    check_refused(&p, ERR_CBOR_TYPE, "cabundle");
}
END_TEST

START_TEST(wrong_cabundle_entry)
{
    PAYLOAD(p);
    set_raw(&p, CABUNDLE, "cabundle", "\x82\x41z\x40", 4);
    check_refused(&p, ERR_DOC_MALFORMED, "cabundle[1]");
    set_raw(&p, CABUNDLE, "cabundle", "\x82\x41z\x61z", 5);
    check_refused(&p, ERR_CBOR_TYPE, "cabundle[1]");
    set_raw(&p, CABUNDLE, "cabundle", "\x83\x41z\x41z\xf6", 6);
    check_refused(&p, ERR_CBOR_TYPE, "cabundle[2]");
    set_cabundle(&p, 3, ATTDOC_CERT_MAX + 1);
    check_refused(&p, ERR_DOC_MALFORMED, "cabundle[0]");
}
END_TEST

START_TEST(wrong_optional)
{
    for (int i = PUBLIC_KEY; i <= NONCE; i++) {
        const char *key = known_keys[i];
        PAYLOAD(p);
        set_text(&p, i, key, "text");
        check_refused(&p, ERR_CBOR_TYPE, key);
        set_raw(&p, i, key, "\xf7", 1); /* undefined is not null */
        check_refused(&p, ERR_CBOR_TYPE, key);
        set_raw(&p, i, key, "\xf4", 1);
        check_refused(&p, ERR_CBOR_TYPE, key);
        set_raw(&p, i, key, "\x5f\x41z\xff", 4);
        check_refused(&p, ERR_CBOR_NOT_STRICT, key);
        set_bytes(&p, i, key, ATTDOC_OPTIONAL_MAX + 1);
        check_refused(&p, ERR_DOC_MALFORMED, key);
    }
}
END_TEST

UNIT_MAIN("attdoc_fields", wrong_module_id, wrong_digest, wrong_timestamp, wrong_pcrs, long_pcrs,
          wrong_pcr_index, wrong_pcr_duplicate, wrong_pcr_value, wrong_certificate, wrong_cabundle,
          wrong_cabundle_entry, wrong_optional)
