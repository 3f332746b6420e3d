#include "verifier/attest/appraisal.h"

#include <jansson.h>

#include "common/codec.h"
#include "tests/lib/mkdoc.h"
#include "unit.h"

#define NOW_MS    INT64_C(1790000000000)
#define MODULE_ID "i-0123456789abcdef0-enc0123456789abcdef"

/* One document under a root of its own, and what trusts that root. */
struct fixture {
    struct mkdoc_chain chain;
    struct mkdoc_fields fields;
    struct attest_trust *trust;
    struct buf document;
    struct appraisal_options options;
    struct appraisal out;
};

static void fixture_free(struct fixture *f)
{
    attest_trust_free(f->trust);
    mkdoc_chain_free(&f->chain);
    buf_free(&f->document);
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.options = APPRAISAL_OPTIONS_DEFAULT};
    struct mkdoc_chain_spec spec;
    mkdoc_chain_defaults(&spec, NOW_MS, MODULE_ID, "eu-west-1");
    ck_ok(mkdoc_chain_make(&spec, &f->chain));
    CLEANUP(buf_free) struct buf pem = {0};
    ck_ok(mkdoc_root_pem(&f->chain, &pem));
    ck_ok(attest_trust_new(buf_text(&pem), 0, NULL, &f->trust, NULL));
    mkdoc_fields_defaults(&f->fields, NOW_MS, MODULE_ID, 7);
    f->options.now_ms = NOW_MS;
}

/* Makes the document from the fields and appraises it. */
static void appraise(struct fixture *f)
{
    buf_free(&f->document);
    ck_ok(mkdoc_document(&f->fields, &f->chain, &f->document));
    ck_ok(appraisal_run(f->trust, bytes_of_buf(&f->document), &f->options, &f->out, NULL));
}

static void expect(const struct fixture *f, enum err code, const char *field)
{
    ck_err(f->out.fault.code, code);
    ck_assert_str_eq(f->out.fault.field, field);
    ck_assert(f->out.valid == (code == ERR_OK));
}

/* The last check in the list, by name and result; those before it passed. */
static void expect_last(const struct fixture *f, const char *name, enum appraisal_result result)
{
    const size_t last = f->out.check_count - 1;
    ck_assert_str_eq(f->out.check[last].name, name);
    ck_assert_int_eq(f->out.check[last].result, result);
    for (size_t i = 0; i < last; i++)
        ck_assert_int_eq(f->out.check[i].result, APPRAISAL_PASSED);
}

static void expect_pcr(struct fixture *f, unsigned i)
{
    f->options.pcr_expected |= UINT32_C(1) << i;
    memcpy(f->options.pcr[i], f->fields.pcr[i], ATTDOC_PCR_LEN);
}

static void give_nonce(struct fixture *f, const char *nonce)
{
    f->fields.nonce = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of_text(nonce)};
}

static void expect_nonce(struct fixture *f, const char *nonce)
{
    f->options.nonce_expected = true;
    f->options.nonce = bytes_of_text(nonce);
}

static json_t *json_of(const struct fixture *f)
{
    CLEANUP(buf_free) struct buf text = {0};
    ck_ok(appraisal_json(&f->out, &text));
    ck_assert_int_eq(text.ptr[text.len - 1], '\n');
    json_t *json = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(json);
    return json;
}

static const char *text_at(json_t *json, const char *outer, const char *inner)
{
    json_t *object = outer == NULL ? json : json_object_get(json, outer);
    return json_string_value(json_object_get(object, inner));
}

#define FIXTURE(f)                          \
    CLEANUP(fixture_free) struct fixture f; \
    fixture_init(&f)

/* ---- verdicts ---- */

START_TEST(valid_production)
{
    FIXTURE(f);
    appraise(&f);
    expect(&f, ERR_OK, "");
    ck_assert(f.out.authentic);
    ck_assert_uint_eq(f.out.check_count, ATTEST_CHECK_COUNT);
    expect_last(&f, attest_check_name(ATTEST_SIGNATURE), APPRAISAL_PASSED);
    ck_assert_str_eq(f.out.region, "eu-west-1");
}
END_TEST

START_TEST(valid_debug_without_demands)
{
    FIXTURE(f);
    mkdoc_fields_debug(&f.fields);
    appraise(&f);
    expect(&f, ERR_OK, "");
}
END_TEST

START_TEST(wrong_debug_with_pcr)
{
    FIXTURE(f);
    mkdoc_fields_debug(&f.fields);
    expect_pcr(&f, 4); /* equal, and yet it proves nothing */
    appraise(&f);
    expect(&f, ERR_DEBUG, "pcrs");
    ck_assert(f.out.authentic);
    const struct appraisal_check *last = &f.out.check[f.out.check_count - 1];
    ck_assert_str_eq(last->name, "pcrs");
    ck_assert_int_eq(last->result, APPRAISAL_NOT_REACHED);
}
END_TEST

START_TEST(wrong_debug_with_nonce)
{
    FIXTURE(f);
    mkdoc_fields_debug(&f.fields);
    give_nonce(&f, "abc");
    expect_nonce(&f, "abc");
    appraise(&f);
    expect(&f, ERR_DEBUG, "pcrs");
}
END_TEST

START_TEST(valid_pcrs)
{
    FIXTURE(f);
    for (unsigned i = 0; i < 16; i++)
        expect_pcr(&f, i); /* zero ones too */
    appraise(&f);
    expect(&f, ERR_OK, "");
    expect_last(&f, "pcrs", APPRAISAL_PASSED);
}
END_TEST

START_TEST(wrong_pcr)
{
    FIXTURE(f);
    expect_pcr(&f, 0);
    expect_pcr(&f, 2);
    f.options.pcr[2][ATTDOC_PCR_LEN - 1] ^= 1;
    appraise(&f);
    expect(&f, ERR_PCR_MISMATCH, "pcrs[2]");
    expect_last(&f, "pcrs", APPRAISAL_FAILED);
    ck_assert(f.out.authentic);
}
END_TEST

/* Absent never matches, and least of all zeros. */
START_TEST(no_pcr)
{
    FIXTURE(f);
    f.options.pcr_expected = UINT32_C(1) << 16;
    appraise(&f);
    expect(&f, ERR_PCR_MISMATCH, "pcrs[16]");
    f.options.pcr_expected = UINT32_C(1) << 31;
    appraise(&f);
    expect(&f, ERR_PCR_MISMATCH, "pcrs[31]");
}
END_TEST

START_TEST(valid_nonce)
{
    FIXTURE(f);
    give_nonce(&f, "0123456789");
    expect_nonce(&f, "0123456789");
    appraise(&f);
    expect(&f, ERR_OK, "");
    expect_last(&f, "nonce", APPRAISAL_PASSED);
}
END_TEST

START_TEST(wrong_nonce)
{
    FIXTURE(f);
    give_nonce(&f, "0123456789");
    static const char *const wrong[] = {"0123456780", "1123456789", "012345678", "01234567890"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        expect_nonce(&f, wrong[i]);
        appraise(&f);
        expect(&f, ERR_NONCE_MISMATCH, "nonce");
        expect_last(&f, "nonce", APPRAISAL_FAILED);
    }
}
END_TEST

START_TEST(no_nonce)
{
    FIXTURE(f);
    expect_nonce(&f, "0123456789");
    appraise(&f); /* null */
    expect(&f, ERR_NONCE_MISMATCH, "nonce");
    f.fields.nonce.state = ATTDOC_ABSENT;
    appraise(&f);
    expect(&f, ERR_NONCE_MISMATCH, "nonce");
    give_nonce(&f, "");
    appraise(&f);
    expect(&f, ERR_NONCE_MISMATCH, "nonce");
}
END_TEST

/* Null and absent are not the empty nonce. */
START_TEST(no_nonce_is_not_empty)
{
    FIXTURE(f);
    expect_nonce(&f, "");
    appraise(&f);
    expect(&f, ERR_NONCE_MISMATCH, "nonce");
    f.fields.nonce.state = ATTDOC_ABSENT;
    appraise(&f);
    expect(&f, ERR_NONCE_MISMATCH, "nonce");
    give_nonce(&f, "");
    appraise(&f);
    expect(&f, ERR_OK, "");
}
END_TEST

START_TEST(valid_age)
{
    FIXTURE(f);
    f.options.max_age_ms = 60000;
    f.fields.timestamp_ms = (uint64_t)(NOW_MS - 60000);
    appraise(&f);
    expect(&f, ERR_OK, "");
    expect_last(&f, "max_age", APPRAISAL_PASSED);
    f.fields.timestamp_ms = (uint64_t)(NOW_MS + APPRAISAL_SKEW_MS);
    appraise(&f);
    expect(&f, ERR_OK, "");
}
END_TEST

START_TEST(wrong_age)
{
    FIXTURE(f);
    f.options.max_age_ms = 60000;
    f.fields.timestamp_ms = (uint64_t)(NOW_MS - 60001);
    appraise(&f);
    expect(&f, ERR_DOC_STALE, "timestamp");
    f.fields.timestamp_ms = (uint64_t)(NOW_MS + APPRAISAL_SKEW_MS + 1);
    appraise(&f);
    expect(&f, ERR_DOC_FUTURE, "timestamp");
    f.fields.timestamp_ms = INT64_MAX;
    appraise(&f);
    expect(&f, ERR_DOC_FUTURE, "timestamp");
    f.options.max_age_ms = -1; /* not asked for */
    appraise(&f);
    expect(&f, ERR_OK, "");
}
END_TEST

/* A check that failed leaves those behind it unjudged, though they were asked for. */
START_TEST(wrong_age_first)
{
    FIXTURE(f);
    f.options.max_age_ms = 0;
    f.fields.timestamp_ms = (uint64_t)(NOW_MS - 1);
    expect_pcr(&f, 0);
    expect_nonce(&f, "x");
    appraise(&f);
    expect(&f, ERR_DOC_STALE, "timestamp");
    ck_assert_uint_eq(f.out.check_count, ATTEST_CHECK_COUNT + 4);
    for (size_t i = ATTEST_CHECK_COUNT + 1; i < f.out.check_count; i++)
        ck_assert_int_eq(f.out.check[i].result, APPRAISAL_NOT_REACHED);
}
END_TEST

START_TEST(wrong_time)
{
    FIXTURE(f);
    f.options.now_ms = NOW_MS + INT64_C(86400000) * 365;
    expect_pcr(&f, 0);
    appraise(&f);
    ck_err(f.out.fault.code, ERR_CERT_EXPIRED);
    ck_assert(!f.out.authentic);
    ck_assert_int_eq(f.out.check[ATTEST_CHAIN].result, APPRAISAL_PASSED);
    ck_assert_int_eq(f.out.check[ATTEST_VALIDITY].result, APPRAISAL_FAILED);
    ck_assert_int_eq(f.out.check[ATTEST_SIGNATURE].result, APPRAISAL_NOT_REACHED);
    ck_assert_int_eq(f.out.check[ATTEST_CHECK_COUNT].result, APPRAISAL_NOT_REACHED);
    /* At its own time it is genuine, whatever now_ms says. */
    f.options.time = APPRAISAL_TIME_DOCUMENT;
    appraise(&f);
    expect(&f, ERR_OK, "");
    ck_assert_int_eq(f.out.report.now_ms, NOW_MS);
}
END_TEST

START_TEST(wrong_kind)
{
    FIXTURE(f);
    f.options.kind = ATTDOC_NITROTPM;
    appraise(&f);
    ck_err(f.out.fault.code, ERR_DOC_KIND);
    f.fields.nitrotpm = true;
    appraise(&f);
    expect(&f, ERR_OK, "");
}
END_TEST

START_TEST(junk_input)
{
    FIXTURE(f);
    ck_ok(appraisal_run(f.trust, bytes_of(NULL, 0), &f.options, &f.out, NULL));
    ck_err(f.out.fault.code, ERR_CBOR_MALFORMED);
    ck_assert_int_eq(f.out.check[ATTEST_COSE].result, APPRAISAL_FAILED);
    ck_assert_int_eq(f.out.check[ATTEST_PAYLOAD].result, APPRAISAL_NOT_REACHED);
    static uint8_t much[ATTDOC_LEN_MAX + 1];
    ck_ok(appraisal_run(f.trust, bytes_of(much, sizeof much), &f.options, &f.out, NULL));
    ck_err(f.out.fault.code, ERR_TOO_LARGE);
}
END_TEST

/* ---- the JSON ---- */

START_TEST(valid_json)
{
    FIXTURE(f);
    give_nonce(&f, "nonce");
    f.fields.public_key = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of_text("")};
    f.fields.user_data.state = ATTDOC_ABSENT;
    appraise(&f);
    json_t *json = json_of(&f);
    ck_assert(json_is_true(json_object_get(json, "valid")));
    ck_assert_ptr_null(json_object_get(json, "error"));
    ck_assert(json_is_false(json_object_get(json, "debug")));
    ck_assert_str_eq(text_at(json, NULL, "kind"), "enclave");
    ck_assert_str_eq(text_at(json, NULL, "time_source"), "clock");
    ck_assert_str_eq(text_at(json, NULL, "time"), "2026-09-21T14:13:20Z");
    json_t *document = json_object_get(json, "document");
    ck_assert(json_is_true(json_object_get(document, "verified")));
    ck_assert_str_eq(text_at(json, "document", "module_id"), MODULE_ID);
    ck_assert_str_eq(text_at(json, "document", "timestamp"), "2026-09-21T14:13:20Z");
    ck_assert_int_eq(json_integer_value(json_object_get(document, "timestamp_ms")), NOW_MS);
    ck_assert_str_eq(text_at(json, "document", "public_key"), "");
    ck_assert_ptr_null(json_object_get(document, "user_data"));
    ck_assert_str_eq(text_at(json, "document", "nonce"), "bm9uY2U=");
    ck_assert_str_eq(text_at(json, "document", "region"), "eu-west-1");
    ck_assert_str_eq(text_at(json, "document", "map"), "indefinite");
    ck_assert_uint_eq(json_object_size(json_object_get(document, "pcrs")), 16);
    char pcr4[2 * ATTDOC_PCR_LEN + 1];
    hex_encode(bytes_of(f.fields.pcr[4], ATTDOC_PCR_LEN), pcr4);
    ck_assert_str_eq(text_at(document, "pcrs", "4"), pcr4);
    json_t *certificates = json_object_get(document, "certificates");
    ck_assert_uint_eq(json_array_size(certificates), 5);
    ck_assert_str_eq(text_at(json_array_get(certificates, 0), NULL, "sha256"),
                     text_at(json, NULL, "root_sha256"));
    ck_assert_str_eq(text_at(json_array_get(certificates, 4), NULL, "not_before"),
                     text_at(json, "document", "valid_from"));
    ck_assert_uint_eq(json_array_size(json_object_get(json, "checks")), ATTEST_CHECK_COUNT);
    json_decref(json);
}
END_TEST

START_TEST(wrong_signature_json)
{
    FIXTURE(f);
    appraise(&f);
    f.document.ptr[f.document.len - 1] ^= 1;
    ck_ok(appraisal_run(f.trust, bytes_of_buf(&f.document), &f.options, &f.out, NULL));
    json_t *json = json_of(&f);
    ck_assert(json_is_false(json_object_get(json, "valid")));
    ck_assert_str_eq(text_at(json, "error", "code"), "signature_invalid");
    json_t *document = json_object_get(json, "document");
    ck_assert(json_is_false(json_object_get(document, "verified")));
    ck_assert_ptr_null(json_object_get(document, "region"));
    ck_assert_ptr_null(json_object_get(document, "valid_from"));
    ck_assert(json_is_null(json_object_get(document, "nonce")));
    json_t *last = json_array_get(json_object_get(json, "checks"), ATTEST_SIGNATURE);
    ck_assert_str_eq(text_at(last, NULL, "result"), "failed");
    ck_assert_ptr_nonnull(text_at(last, NULL, "detail"));
    json_decref(json);
}
END_TEST

/* The caller's demands failed, not the signature: the fields are verified. */
START_TEST(wrong_nonce_json)
{
    FIXTURE(f);
    expect_nonce(&f, "x");
    appraise(&f);
    json_t *json = json_of(&f);
    ck_assert(json_is_false(json_object_get(json, "valid")));
    ck_assert_str_eq(text_at(json, "error", "field"), "nonce");
    ck_assert(json_is_true(json_object_get(json_object_get(json, "document"), "verified")));
    json_decref(json);
}
END_TEST

START_TEST(junk_json)
{
    FIXTURE(f);
    f.options.time = APPRAISAL_TIME_DOCUMENT;
    ck_ok(appraisal_run(f.trust, bytes_of_text("\x84"), &f.options, &f.out, NULL));
    json_t *json = json_of(&f);
    ck_assert_str_eq(text_at(json, "error", "code"), "cbor_malformed");
    ck_assert_ptr_nonnull(json_object_get(json_object_get(json, "error"), "offset"));
    ck_assert_ptr_null(json_object_get(json, "document"));
    ck_assert_ptr_null(json_object_get(json, "debug"));
    ck_assert_ptr_null(json_object_get(json, "kind"));
    ck_assert_ptr_null(json_object_get(json, "time"));
    ck_assert_str_eq(text_at(json, NULL, "time_source"), "document");
    json_decref(json);
}
END_TEST

START_TEST(junk_certificate_json)
{
    FIXTURE(f);
    f.chain.der[4].len -= 1;
    appraise(&f);
    f.chain.der[4].len += 1;
    ck_err(f.out.fault.code, ERR_CERT_MALFORMED);
    json_t *json = json_of(&f);
    json_t *leaf =
        json_array_get(json_object_get(json_object_get(json, "document"), "certificates"), 4);
    ck_assert_str_eq(text_at(leaf, NULL, "error"), "certificate_malformed");
    ck_assert_ptr_nonnull(text_at(leaf, NULL, "sha256"));
    ck_assert_ptr_null(json_object_get(leaf, "subject"));
    json_decref(json);
}
END_TEST

UNIT_MAIN("appraisal", valid_production, valid_debug_without_demands, wrong_debug_with_pcr,
          wrong_debug_with_nonce, valid_pcrs, wrong_pcr, no_pcr, valid_nonce, wrong_nonce, no_nonce,
          no_nonce_is_not_empty, valid_age, wrong_age, wrong_age_first, wrong_time, wrong_kind,
          junk_input, valid_json, wrong_signature_json, wrong_nonce_json, junk_json,
          junk_certificate_json)
