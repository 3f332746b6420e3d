/* Recorded genuine documents: refusing one is as wrong as accepting a forgery.  What
 * the parser reads must be what the manifest, made by other tools, says. */
#include <openssl/x509.h>

#include "common/attdoc.h"
#include "common/codec.h"
#include "common/cose_sign1.h"
#include "shared.h"
#include "unit.h"

#define DOCUMENTS "attestation-docs"

SHARED_DEMAND(DOCUMENTS "/manifest.json")

static enum err parse_document(const char *file, struct buf *document, struct cose_sign1 *cose,
                               struct attdoc *doc, struct fault *fault)
{
    char name[512];
    ck_assert_int_lt(snprintf(name, sizeof name, DOCUMENTS "/%s", file), (int)sizeof name);
    shared_read(name, document);
    TRY(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(document), cose, fault));
    return attdoc_parse(cose->payload, cose->payload_offset, NULL, doc, fault);
}

static void check_hex(struct bytes found, const char *hex, const char *file)
{
    char text[2 * ATTDOC_OPTIONAL_MAX + 1];
    ck_assert_uint_le(found.len, ATTDOC_OPTIONAL_MAX);
    hex_encode(found, text);
    ck_assert_msg(strcmp(text, hex) == 0, "%s: %s is not %s", file, text, hex);
}

static void check_optional(const struct attdoc_optional *found, const json_t *entry,
                           const char *name)
{
    const char *file = shared_text(entry, "file");
    const json_t *expected = json_object_get(entry, name);
    const char *state = shared_text(expected, "state");
    if (strcmp(state, "null") == 0) {
        ck_assert_msg(found->state == ATTDOC_NULL, "%s: %s", file, name);
        return;
    }
    ck_assert_msg(strcmp(state, "present") == 0 || strcmp(state, "empty") == 0, "%s: %s", file,
                  state);
    ck_assert_msg(found->state == ATTDOC_PRESENT, "%s: %s", file, name);
    const json_t *size = json_object_get(expected, "size");
    ck_assert_msg(size == NULL || (json_int_t)found->value.len == json_integer_value(size),
                  "%s: %s has %zu bytes", file, name, found->value.len);
    ck_assert(size != NULL || found->value.len == 0);
    const char *sha256 = json_string_value(json_object_get(expected, "sha256"));
    if (sha256 == NULL)
        return;
    uint8_t digest[SHA256_LEN];
    ck_ok(digest_sha256(found->value, digest));
    check_hex(bytes_of(digest, sizeof digest), sha256, file);
}

static unsigned check_pcrs(const struct attdoc *doc, const json_t *pcrs, const char *file)
{
    unsigned count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)pcrs, key, value)
    {
        const unsigned long index = strtoul(key, NULL, 10);
        ck_assert_uint_lt(index, ATTDOC_PCR_COUNT);
        ck_assert_msg(doc->pcr[index] != NULL, "%s: no PCR%lu", file, index);
        check_hex(bytes_of(doc->pcr[index], ATTDOC_PCR_LEN), json_string_value(value), file);
        count++;
    }
    return count;
}

/* The values of 0-4 and 8 and of what else is not zero are in the manifest. */
static void check_all_pcrs(const struct attdoc *doc, const json_t *entry, const char *file)
{
    ck_assert_uint_ge(check_pcrs(doc, json_object_get(entry, "pcrs"), file), 3);
    check_pcrs(doc, json_object_get(entry, "pcrs_other_nonzero"), file);
    const json_t *nonzero = json_object_get(entry, "pcr_indices_nonzero");
    uint32_t expected = 0;
    for (size_t i = 0; i < json_array_size(nonzero); i++)
        expected |= UINT32_C(1) << json_integer_value(json_array_get(nonzero, i));
    uint32_t found = 0;
    int present = 0;
    for (size_t i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if (doc->pcr[i] == NULL)
            continue;
        present++;
        if (!bytes_all_zero(bytes_of(doc->pcr[i], ATTDOC_PCR_LEN)))
            found |= UINT32_C(1) << i;
    }
    ck_assert_msg(found == expected, "%s: non-zero %08x, expected %08x", file, found, expected);
    ck_assert_int_eq(present, json_integer_value(json_object_get(entry, "pcr_count")));
    ck_assert_int_eq(present, __builtin_popcount(doc->pcr_present));
}

static void check_entry(const json_t *entry, enum attdoc_kind kind)
{
    const char *file = shared_text(entry, "file");
    CLEANUP(buf_free) struct buf document = {0};
    struct cose_sign1 cose;
    struct attdoc doc;
    struct fault fault = FAULT_NONE;
    const enum err err = parse_document(file, &document, &cose, &doc, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s %s: %s", file, err_wire(err), fault.field, fault.detail);

    ck_assert_int_eq(doc.kind, kind);
    ck_assert_msg(bytes_equal_text(doc.module_id, shared_text(entry, "module_id")), "%s", file);
    ck_assert_int_eq((json_int_t)doc.timestamp_ms,
                     json_integer_value(json_object_get(entry, "timestamp_ms")));
    ck_assert_int_eq((json_int_t)doc.cabundle_len,
                     json_integer_value(json_object_get(entry, "cabundle_len")));
    const json_t *bundle = json_object_get(entry, "cabundle");
    for (size_t i = 0; i < doc.cabundle_len; i++)
        ck_assert_int_eq((json_int_t)doc.cabundle[i].len,
                         json_integer_value(json_object_get(json_array_get(bundle, i), "size")));
    ck_assert_msg(doc.map_indefinite ==
                      (strcmp(shared_text(entry, "payload_map_encoding"), "indefinite") == 0),
                  "%s: map encoding", file);
    check_all_pcrs(&doc, entry, file);
    check_optional(&doc.public_key, entry, "public_key");
    check_optional(&doc.user_data, entry, "user_data");
    check_optional(&doc.nonce, entry, "nonce");
    if (kind == ATTDOC_ENCLAVE)
        ck_assert_msg(attdoc_is_debug(&doc) == json_is_true(json_object_get(entry, "debug")),
                      "%s: debug", file);
    ck_assert(doc.certificate.ptr > document.ptr);
    ck_assert(document.ptr + cose.payload_offset == cose.payload.ptr);
}

START_TEST(valid_genuine)
{
    json_t *manifest = shared_json(DOCUMENTS "/manifest.json");
    unsigned count = 0;
    for (size_t i = 0; i < json_array_size(manifest); i++) {
        const json_t *entry = json_array_get(manifest, i);
        if (!json_is_true(json_object_get(entry, "expect_accept_at_own_timestamp")))
            continue;
        check_entry(entry, ATTDOC_ENCLAVE);
        count++;
    }
    json_decref(manifest);
    ck_assert_uint_ge(count, 81); /* the whole of it was looked at */
}
END_TEST

START_TEST(valid_genuine_nitrotpm)
{
    CLEANUP(buf_free) struct buf document = {0};
    struct cose_sign1 cose;
    struct attdoc doc;
    ck_ok(parse_document("invalid_nitrotpm_dd6d8af2.cbor", &document, &cose, &doc, NULL));
    ck_assert_int_eq(doc.kind, ATTDOC_NITROTPM);
    ck_assert_int_eq(__builtin_popcount(doc.pcr_present), 24);
    ck_assert(!attdoc_is_debug(&doc));
}
END_TEST

/* What the first two layers refuse; the others' faults lie in chain or signature. */
START_TEST(wrong_recorded)
{
    static const struct {
        const char *file;
        enum err err;
        const char *field;
    } rows[] = {
        {"invalid_malformed_payload_8a02f2ff.cbor", ERR_UTF8, "module_id"},
        {"invalid_truncated_f75ee568.cbor", ERR_CBOR_MALFORMED, "cose.payload"},
        {"invalid_not_nitro_profile_0286b03c.cbor", ERR_COSE_MALFORMED, "cose.unprotected"},
        {"invalid_not_nitro_profile_7f0ee604.cbor", ERR_CBOR_TYPE, "payload"},
        {"invalid_untrusted_root_b689637d.cbor", ERR_CBOR_TYPE, "cose.unprotected"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free) struct buf document = {0};
        struct cose_sign1 cose;
        struct attdoc doc;
        struct fault fault = FAULT_NONE;
        ck_err(parse_document(rows[i].file, &document, &cose, &doc, &fault), rows[i].err);
        ck_assert_str_eq(fault.field, rows[i].field);
    }
}
END_TEST

/* The leaf's key is taken on trust here: chain.c is another module's test. */
START_TEST(valid_genuine_signatures)
{
    json_t *manifest = shared_json(DOCUMENTS "/manifest.json");
    unsigned high_s = 0;
    for (size_t i = 0; i < json_array_size(manifest); i++) {
        const json_t *entry = json_array_get(manifest, i);
        if (!json_is_true(json_object_get(entry, "expect_accept_at_own_timestamp")))
            continue;
        CLEANUP(buf_free) struct buf document = {0};
        struct cose_sign1 cose;
        struct attdoc doc;
        ck_ok(parse_document(shared_text(entry, "file"), &document, &cose, &doc, NULL));
        const uint8_t *der = doc.certificate.ptr;
        X509 *leaf = d2i_X509(NULL, &der, (long)doc.certificate.len);
        ck_assert_ptr_nonnull(leaf);
        ck_ok(cose_sign1_verify(&cose, X509_get0_pubkey(leaf), NULL));
        X509_free(leaf);
        high_s += json_is_true(json_object_get(entry, "signature_high_s"));
    }
    json_decref(manifest);
    ck_assert_uint_gt(high_s, 10);
}
END_TEST

START_TEST(wrong_signature_recorded)
{
    CLEANUP(buf_free) struct buf document = {0};
    struct cose_sign1 cose;
    struct attdoc doc;
    struct fault fault = FAULT_NONE;
    ck_ok(parse_document("invalid_cose_signature_7df2cdc0.cbor", &document, &cose, &doc, NULL));
    const uint8_t *der = doc.certificate.ptr;
    X509 *leaf = d2i_X509(NULL, &der, (long)doc.certificate.len);
    ck_assert_ptr_nonnull(leaf);
    ck_err(cose_sign1_verify(&cose, X509_get0_pubkey(leaf), &fault), ERR_SIGNATURE);
    ck_assert_str_eq(fault.field, "cose.signature");
    X509_free(leaf);
}
END_TEST

UNIT_MAIN("attdoc_genuine", valid_genuine, valid_genuine_nitrotpm, wrong_recorded,
          valid_genuine_signatures, wrong_signature_recorded)
