/* Documents recorded on real hardware, under AWS's root: the genuine ones verify at
 * their own time and nowhere else, the others are refused by an exact list of errors
 * (tests/reject_classes.json).  What is demanded was found by other tools. */
#include "common/codec.h"
#include "shared.h"
#include "unit.h"
#include "verifier/attest/attest.h"

#define DOCUMENTS  "attestation-docs"
#define PRESENT_MS INT64_C(1795392000000) /* 2026-11-23: every one has expired */

SHARED_DEMAND(DOCUMENTS "/manifest.json")

static struct attest_trust *new_trust(size_t cache_entries)
{
    struct attest_trust *trust = NULL;
    struct fault fault = FAULT_NONE;
    const enum err err = attest_trust_new(NULL, cache_entries, NULL, &trust, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s", err_wire(err), fault.detail);
    return trust;
}

static void read_document(const json_t *entry, struct buf *out)
{
    char name[512];
    ck_assert_int_lt(snprintf(name, sizeof name, DOCUMENTS "/%s", shared_text(entry, "file")),
                     (int)sizeof name);
    shared_read(name, out);
}

static bool is_accepted(const json_t *entry)
{
    const json_t *accept = json_object_get(entry, "expect_accept_at_own_timestamp");
    ck_assert(json_is_boolean(accept));
    return json_is_true(accept);
}

static void expect(struct attest_trust *trust, const json_t *entry, struct bytes document,
                   int64_t now_ms, enum err code, enum attest_check reached)
{
    struct fault fault = FAULT_NONE;
    struct attest_report report;
    const enum err err =
        attest_verify(trust, document, ATTDOC_ENCLAVE, now_ms, NULL, &report, &fault);
    ck_assert_msg(err == code, "%s: %s [%s] %s, expected %s", shared_text(entry, "file"),
                  err_wire(err), fault.field, fault.detail, err_wire(code));
    ck_assert_int_eq(report.reached, reached);
}

static int64_t manifest_time(const json_t *entry, const char *member)
{
    int64_t ms;
    ck_ok(time_parse(shared_text(entry, member), &ms));
    return ms;
}

/* Verifies one at its own time and compares what comes out. */
static void check_genuine(struct attest_trust *trust, const json_t *entry)
{
    const char *file = shared_text(entry, "file");
    CLEANUP(buf_free) struct buf document = {0};
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    struct fault fault = FAULT_NONE;
    struct attest_report report;
    read_document(entry, &document);
    const enum err err = attest_verify(trust, bytes_of_buf(&document), ATTDOC_ENCLAVE,
                                       ATTEST_AT_DOCUMENT, &doc, &report, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s [%s] %s", file, err_wire(err), fault.field, fault.detail);
    ck_assert_int_eq(report.reached, ATTEST_CHECK_COUNT);
    ck_assert_int_eq(report.now_ms, json_integer_value(json_object_get(entry, "timestamp_ms")));
    ck_assert_int_eq(report.validity.from_ms, manifest_time(entry, "all_certs_valid_from"));
    ck_assert_int_eq(report.validity.until_ms, manifest_time(entry, "all_certs_valid_until"));

    buf_free(&document); /* a verified_doc stands on its own */
    const struct attdoc *fields = verified_doc_fields(doc);
    ck_assert_msg(bytes_equal_text(fields->module_id, shared_text(entry, "module_id")), "%s", file);
    ck_assert_int_eq(fields->kind, ATTDOC_ENCLAVE);
    ck_assert_msg(bytes_equal_text(verified_doc_region(doc), shared_text(entry, "region")),
                  "%s: region \"%s\"", file, (const char *)verified_doc_region(doc).ptr);
    ck_assert_msg(verified_doc_is_debug(doc) == json_is_true(json_object_get(entry, "debug")), "%s",
                  file);
    ck_assert_mem_eq(verified_doc_root_sha256(doc), attest_trust_root_sha256(trust), SHA256_LEN);
}

/* The edges of validity, found by the manifest's maker, not by us. */
static void check_edges(struct attest_trust *trust, const json_t *entry)
{
    CLEANUP(buf_free) struct buf document = {0};
    read_document(entry, &document);
    const struct bytes view = bytes_of_buf(&document);
    const int64_t from_ms = manifest_time(entry, "all_certs_valid_from");
    const int64_t until_ms = manifest_time(entry, "all_certs_valid_until");
    expect(trust, entry, view, from_ms - ATTEST_LEEWAY_MS, ERR_OK, ATTEST_CHECK_COUNT);
    expect(trust, entry, view, from_ms - ATTEST_LEEWAY_MS - 1, ERR_CERT_NOT_YET_VALID,
           ATTEST_VALIDITY);
    expect(trust, entry, view, until_ms, ERR_OK, ATTEST_CHECK_COUNT);
    expect(trust, entry, view, until_ms + 1, ERR_CERT_EXPIRED, ATTEST_VALIDITY);
    expect(trust, entry, view, PRESENT_MS, ERR_CERT_EXPIRED, ATTEST_VALIDITY);
}

/* With and without a cache, which fills as the documents go by. */
static void with_every_genuine(void (*check)(struct attest_trust *, const json_t *))
{
    for (size_t cache_entries = 0; cache_entries <= 16; cache_entries += 16) {
        CLEANUP(attest_trust_freep) struct attest_trust *trust = new_trust(cache_entries);
        json_t *manifest = shared_json(DOCUMENTS "/manifest.json");
        size_t i;
        const json_t *entry;
        unsigned seen = 0;
        json_array_foreach(manifest, i, entry)
        {
            if (is_accepted(entry)) {
                check(trust, entry);
                seen++;
            }
        }
        json_decref(manifest);
        ck_assert_uint_ge(seen, 81);
    }
}

START_TEST(valid_recorded)
{
    with_every_genuine(check_genuine);
}
END_TEST

START_TEST(wrong_time_recorded)
{
    with_every_genuine(check_edges);
}
END_TEST

/* ---- those that must be refused ---- */

static json_t *read_classes(void)
{
    const char *source = getenv("VOUCHSAFE_SOURCE");
    ck_assert_msg(source != NULL, "VOUCHSAFE_SOURCE is not set");
    char path[SHARED_PATH_MAX];
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/tests/reject_classes.json", source),
                     (int)sizeof path);
    json_error_t error;
    json_t *classes = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(classes != NULL, "%s:%d: %s", path, error.line, error.text);
    return classes;
}

static bool allows(const json_t *codes, enum err err)
{
    size_t i;
    const json_t *code;
    json_array_foreach(codes, i, code)
    {
        if (strcmp(json_string_value(code), err_wire(err)) == 0)
            return true;
    }
    return false;
}

static enum err verify_quietly(struct attest_trust *trust, struct bytes document, int64_t now_ms,
                               struct fault *fault)
{
    struct verified_doc *doc = NULL;
    const enum err err = attest_verify(trust, document, ATTDOC_ENCLAVE, now_ms, &doc, NULL, fault);
    ck_assert(err == ERR_OK || doc == NULL);
    verified_doc_free(doc);
    return err;
}

START_TEST(wrong_recorded)
{
    CLEANUP(attest_trust_freep) struct attest_trust *trust = new_trust(16);
    json_t *manifest = shared_json(DOCUMENTS "/manifest.json");
    json_t *classes = read_classes();
    size_t i;
    const json_t *entry;
    unsigned seen = 0;
    json_array_foreach(manifest, i, entry)
    {
        if (is_accepted(entry))
            continue;
        seen++;
        const char *file = shared_text(entry, "file");
        const char *class = shared_text(entry, "reject_class");
        const json_t *codes = json_object_get(classes, class);
        ck_assert_msg(json_array_size(codes) > 0, "%s: class %s is not known", file, class);
        CLEANUP(buf_free) struct buf document = {0};
        read_document(entry, &document);
        struct fault fault = FAULT_NONE;
        enum err err = verify_quietly(trust, bytes_of_buf(&document), ATTEST_AT_DOCUMENT, &fault);
        ck_assert_msg(allows(codes, err), "%s (%s): %s [%s] %s", file, class, err_wire(err),
                      fault.field, fault.detail);
        err = verify_quietly(trust, bytes_of_buf(&document), PRESENT_MS, &fault);
        ck_assert_msg(err == ERR_CERT_EXPIRED || allows(codes, err), "%s (%s), today: %s", file,
                      class, err_wire(err));
    }
    ck_assert_uint_ge(seen, 9);
    json_decref(classes);
    json_decref(manifest);
}
END_TEST

/* The list holds errors that exist, few for each class, and never "ok" or expired. */
START_TEST(valid_reject_classes)
{
    json_t *classes = read_classes();
    const char *class;
    json_t *codes;
    json_object_foreach(classes, class, codes)
    {
        ck_assert_msg(json_array_size(codes) >= 1 && json_array_size(codes) <= 2, "%s", class);
        size_t i;
        const json_t *code;
        json_array_foreach(codes, i, code)
        {
            const enum err err = err_from_wire(json_string_value(code));
            ck_assert_msg(err != ERR_OK && err != ERR_CERT_EXPIRED, "%s", class);
        }
    }
    json_decref(classes);
}
END_TEST

START_TEST(valid_nitrotpm)
{
    CLEANUP(attest_trust_freep) struct attest_trust *trust = new_trust(0);
    json_t *manifest = shared_json(DOCUMENTS "/manifest.json");
    size_t i;
    const json_t *entry;
    unsigned seen = 0;
    json_array_foreach(manifest, i, entry)
    {
        const char *class = json_string_value(json_object_get(entry, "reject_class"));
        if (class == NULL || strcmp(class, "nitrotpm_document") != 0)
            continue;
        seen++;
        CLEANUP(buf_free) struct buf document = {0};
        CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
        struct fault fault = FAULT_NONE;
        read_document(entry, &document);
        expect(trust, entry, bytes_of_buf(&document), ATTEST_AT_DOCUMENT, ERR_DOC_KIND,
               ATTEST_KIND);
        const enum err err = attest_verify(trust, bytes_of_buf(&document), ATTDOC_NITROTPM,
                                           ATTEST_AT_DOCUMENT, &doc, NULL, &fault);
        ck_assert_msg(err == ERR_OK, "%s [%s] %s", err_wire(err), fault.field, fault.detail);
        ck_assert_int_eq(verified_doc_fields(doc)->kind, ATTDOC_NITROTPM);
        ck_assert(!verified_doc_is_debug(doc));
        ck_assert(bytes_equal_text(verified_doc_region(doc), "us-west-2"));
    }
    ck_assert_uint_ge(seen, 1);
    json_decref(manifest);
}
END_TEST

/* ---- genuine certificates in another order ---- */

#define ONE "2026-04-21_us-east-1_prod_pcr16_pk130-ud32-nonull_f1f05745.cbor"

struct genuine {
    struct buf document;
    struct cose_sign1 cose;
    struct attdoc doc;
    struct bytes root;
};

static void genuine_free(struct genuine *g)
{
    buf_free(&g->document);
}

static void genuine_read(struct genuine *g)
{
    shared_read(DOCUMENTS "/" ONE, &g->document);
    ck_ok(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(&g->document), &g->cose, NULL));
    ck_ok(attdoc_parse(g->cose.payload, g->cose.payload_offset, NULL, &g->doc, NULL));
    ck_assert_uint_eq(g->doc.cabundle_len, 4);
    g->root = g->doc.cabundle[0];
}

static void expect_chain(const struct genuine *g, enum err code, const char *field)
{
    struct fault fault = FAULT_NONE;
    struct chain_validity validity;
    enum chain_stage stage;
    EVP_PKEY *key = NULL;
    ck_err(chain_verify(&g->doc, g->root, (int64_t)g->doc.timestamp_ms, ATTEST_LEEWAY_MS, NULL,
                        &key, &validity, &stage, &fault),
           code);
    ck_assert_ptr_null(key);
    ck_assert_str_eq(fault.field, field);
}

START_TEST(wrong_order_recorded)
{
    for (size_t i = 1; i < 3; i++) {
        CLEANUP(genuine_free) struct genuine g = {0};
        genuine_read(&g);
        const struct bytes first = g.doc.cabundle[i];
        g.doc.cabundle[i] = g.doc.cabundle[i + 1];
        g.doc.cabundle[i + 1] = first;
        expect_chain(&g, ERR_CERT_NAME, i == 1 ? "cabundle[1]" : "cabundle[2]");
    }
}
END_TEST

START_TEST(no_certificate_recorded)
{
    static const char *const fields[] = {"cabundle[0]", "cabundle[1]", "cabundle[2]",
                                         "certificate"};
    for (size_t gone = 0; gone < 4; gone++) {
        CLEANUP(genuine_free) struct genuine g = {0};
        genuine_read(&g);
        for (size_t i = gone; i < 3; i++)
            g.doc.cabundle[i] = g.doc.cabundle[i + 1];
        g.doc.cabundle_len = 3;
        expect_chain(&g, gone == 0 ? ERR_UNTRUSTED : ERR_CERT_NAME, fields[gone]);
    }
}
END_TEST

/* The path lengths of genuine chains leave no room for one more. */
START_TEST(wrong_certificate_too_many_recorded)
{
    CLEANUP(genuine_free) struct genuine g = {0};
    genuine_read(&g);
    g.doc.cabundle[4] = g.doc.cabundle[3];
    g.doc.cabundle_len = 5;
    expect_chain(&g, ERR_CERT_PATHLEN, "cabundle[1]");
}
END_TEST

START_TEST(wrong_leaf_recorded)
{
    CLEANUP(genuine_free) struct genuine g = {0};
    genuine_read(&g);
    g.doc.certificate = g.doc.cabundle[3];
    g.doc.cabundle_len = 3;
    expect_chain(&g, ERR_CERT_LEAF_CA, "certificate");
}
END_TEST

/* Every certificate, one bit of it: nothing passes, wherever the bit is.  The root's
 * copy is compared whole, so a few of its bytes will do. */
START_TEST(wrong_bit_recorded)
{
    for (size_t i = 0; i < 5; i++) {
        CLEANUP(genuine_free) struct genuine g = {0};
        CLEANUP(buf_free) struct buf copy = {0};
        genuine_read(&g);
        struct bytes *view = i == 4 ? &g.doc.certificate : &g.doc.cabundle[i];
        ck_ok(buf_append(&copy, *view));
        *view = bytes_of_buf(&copy);
        for (size_t at = 0; at < copy.len; at += 7) {
            copy.ptr[at] ^= (uint8_t)(1u << (at & 7));
            struct chain_validity validity;
            enum chain_stage stage;
            EVP_PKEY *key = NULL;
            const enum err err =
                chain_verify(&g.doc, g.root, (int64_t)g.doc.timestamp_ms, ATTEST_LEEWAY_MS, NULL,
                             &key, &validity, &stage, NULL);
            ck_assert_msg(err != ERR_OK, "certificate %zu, byte %zu", i, at);
            ck_assert_int_eq(err_class(err), ERR_CLASS_DENIED);
            ck_assert_ptr_null(key);
            copy.ptr[at] ^= (uint8_t)(1u << (at & 7));
        }
    }
}
END_TEST

UNIT_MAIN("recorded", valid_recorded, wrong_time_recorded, wrong_recorded, valid_reject_classes,
          valid_nitrotpm, wrong_order_recorded, no_certificate_recorded,
          wrong_certificate_too_many_recorded, wrong_leaf_recorded, wrong_bit_recorded)
