/* The appraisal as a whole: what is trusted, in which order it is judged, what the
 * report says, and what a verified_doc holds. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "common/codec.h"
#include "tests/lib/mkdoc.h"
#include "unit.h"
#include "verifier/attest/attest.h"

#define NOW_MS INT64_C(1795392000000) /* 2026-11-23T00:00:00Z */
#define MODULE "i-0123456789abcdef0-enc0123456789abcdef"
#define REGION "eu-west-1"

/* As AWS publishes it beside the root (certs/aws-nitro-root/README.md). */
#define AWS_ROOT_SHA256 "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"

struct fixture {
    struct mkdoc_chain_spec spec;
    struct mkdoc_chain chain;
    struct mkdoc_fields fields;
    struct buf pem;
    struct buf document;
    struct attest_trust *trust;
};

static void fixture_free(struct fixture *f)
{
    mkdoc_chain_free(&f->chain);
    buf_free(&f->pem);
    buf_free(&f->document);
    attest_trust_free(f->trust);
}

static void fixture_spec(struct fixture *f)
{
    mkdoc_chain_defaults(&f->spec, NOW_MS, MODULE, REGION);
    mkdoc_fields_defaults(&f->fields, NOW_MS, MODULE, 1);
}

static void fixture_trust(struct fixture *f, size_t cache_entries)
{
    struct fault fault = FAULT_NONE;
    ck_ok(mkdoc_root_pem(&f->chain, &f->pem));
    const enum err err =
        attest_trust_new(buf_text(&f->pem), cache_entries, NULL, &f->trust, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s", err_wire(err), fault.detail);
}

static void fixture_build(struct fixture *f)
{
    ck_ok(mkdoc_chain_make(&f->spec, &f->chain));
    ck_ok(mkdoc_document(&f->fields, &f->chain, &f->document));
    fixture_trust(f, 4);
}

static void fixture_make(struct fixture *f)
{
    fixture_spec(f);
    fixture_build(f);
}

/* Refused by exactly this, at exactly that check, and without a verified_doc. */
static void expect(struct fixture *f, enum attdoc_kind kind, int64_t now_ms, enum err code,
                   const char *field, enum attest_check reached)
{
    struct fault fault = FAULT_NONE;
    struct attest_report report;
    struct verified_doc *doc = NULL;
    const enum err err =
        attest_verify(f->trust, bytes_of_buf(&f->document), kind, now_ms, &doc, &report, &fault);
    ck_assert_msg(err == code, "got %s [%s] %s, expected %s", err_wire(err), fault.field,
                  fault.detail, err_wire(code));
    ck_assert_ptr_null(doc);
    ck_assert_str_eq(fault.field, field);
    ck_assert_int_eq(report.reached, reached);
    ck_assert(report.parsed == (reached >= ATTEST_KIND));
}

/* ---- trust ---- */

START_TEST(valid_aws_root)
{
    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    char hex[2 * SHA256_LEN + 1];
    ck_ok(attest_trust_new(NULL, 0, NULL, &trust, NULL));
    hex_encode(bytes_of(attest_trust_root_sha256(trust), SHA256_LEN), hex);
    ck_assert_str_eq(hex, AWS_ROOT_SHA256);
    ck_assert_ptr_nonnull(strstr(attest_aws_root_pem, "-----BEGIN CERTIFICATE-----\n"));
}
END_TEST

static void refuse_root_pem(const char *pem, const char *detail)
{
    struct fault fault = FAULT_NONE;
    struct attest_trust *trust = NULL;
    ck_err(attest_trust_new(pem, 0, NULL, &trust, &fault), ERR_CONFIG);
    ck_assert_ptr_null(trust);
    ck_assert_str_eq(fault.field, "root");
    ck_assert_msg(strstr(fault.detail, detail) != NULL, "\"%s\" lacks \"%s\"", fault.detail,
                  detail);
}

static void refuse_root(const struct mkdoc_chain_spec *spec, const char *detail)
{
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {0};
    CLEANUP(buf_free) struct buf pem = {0};
    ck_ok(mkdoc_chain_make(spec, &chain));
    ck_ok(mkdoc_root_pem(&chain, &pem));
    refuse_root_pem(buf_text(&pem), detail);
}

START_TEST(junk_root)
{
    refuse_root_pem("", "not a PEM certificate");
    refuse_root_pem("junk", "not a PEM certificate");
    refuse_root_pem("-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n",
                    "certificate_malformed");
    refuse_root_pem("-----BEGIN PUBLIC KEY-----\nanVuaw==\n-----END PUBLIC KEY-----\n",
                    "not a PEM certificate");
}
END_TEST

START_TEST(wrong_root_twice)
{
    CLEANUP(buf_free) struct buf pem = {0};
    ck_ok(buf_append_text(&pem, attest_aws_root_pem));
    ck_ok(buf_append_text(&pem, attest_aws_root_pem));
    refuse_root_pem(buf_text(&pem), "more than one");
}
END_TEST

/* A second block that breaks off is no reason to take the first. */
START_TEST(wrong_root_and_junk)
{
    CLEANUP(buf_free) struct buf pem = {0};
    ck_ok(buf_append_text(&pem, attest_aws_root_pem));
    ck_ok(buf_append_text(&pem, "-----BEGIN CERTIFICATE-----\nanVua"));
    refuse_root_pem(buf_text(&pem), "more than one");
}
END_TEST

/* A root with a comment of that length, signed by its own key. */
static void root_with_comment(size_t len, struct buf *pem)
{
    struct mkdoc_chain_spec spec;
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {0};
    char comment[1000] = "";
    uint8_t *again = NULL;
    mkdoc_chain_defaults(&spec, NOW_MS, MODULE, REGION);
    spec.len = 1;
    ck_ok(mkdoc_chain_make(&spec, &chain));
    const uint8_t *der = chain.der[0].ptr;
    X509 *root = d2i_X509(NULL, &der, (long)chain.der[0].len);
    memset(comment, 'x', len);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_netscape_comment, comment);
    ck_assert(root != NULL && ext != NULL && X509_add_ext(root, ext, -1) == 1);
    X509_EXTENSION_free(ext);
    ck_assert_int_gt(X509_sign(root, chain.key[0], EVP_sha384()), 0);
    const int der_len = i2d_X509(root, &again);
    ck_assert_int_gt(der_len, 0);
    chain.der[0].len = 0;
    ck_ok(buf_append(&chain.der[0], bytes_of(again, (size_t)der_len)));
    OPENSSL_free(again);
    X509_free(root);
    ck_ok(mkdoc_root_pem(&chain, pem));
}

/* Longer than what a document can hold. */
START_TEST(long_root)
{
    CLEANUP(buf_free) struct buf good = {0};
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    root_with_comment(300, &good);
    ck_ok(attest_trust_new(buf_text(&good), 0, NULL, &trust, NULL));
    root_with_comment(700, &pem);
    refuse_root_pem(buf_text(&pem), "a document holds at most 1024");
}
END_TEST

START_TEST(wrong_root_rules)
{
    struct mkdoc_chain_spec good;
    mkdoc_chain_defaults(&good, NOW_MS, MODULE, REGION);
    good.len = 1;

    struct mkdoc_chain_spec spec = good;
    spec.cert[0].curve = "P-256";
    refuse_root(&spec, "certificate_algorithm");
    spec = good;
    spec.cert[0].digest = "SHA256";
    refuse_root(&spec, "certificate_algorithm");
    spec = good;
    spec.cert[0].ca = false;
    refuse_root(&spec, "certificate_not_ca");
    spec = good;
    spec.cert[0].key_usage = 0;
    refuse_root(&spec, "certificate_key_usage");
    spec = good;
    spec.cert[0].issuer_cn = "somebody else";
    refuse_root(&spec, "certificate_name");
    spec = good;
    spec.cert[0].break_signature = true;
    refuse_root(&spec, "certificate_signature_invalid");
}
END_TEST

/* ---- verdicts ---- */

START_TEST(valid_document)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    static const uint8_t nonce[] = {1, 2, 3};
    fixture_spec(&f);
    f.fields.nonce = (struct attdoc_optional){ATTDOC_PRESENT, {nonce, sizeof nonce}};
    fixture_build(&f);
    struct fault fault = FAULT_NONE;
    struct attest_report report;
    ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, &doc, &report,
                        &fault));
    ck_assert_int_eq(report.reached, ATTEST_CHECK_COUNT);
    ck_assert(report.parsed);
    ck_assert_int_eq(report.now_ms, NOW_MS);
    ck_assert_int_eq(report.validity.from_ms, f.spec.cert[4].from_ms);
    ck_assert_int_eq(report.validity.until_ms, f.spec.cert[4].until_ms);
    uint8_t digest[SHA384_LEN];
    ck_ok(digest_sha384(report.cose.payload, digest));
    ck_assert_mem_eq(report.digest, digest, SHA384_LEN);
    ck_assert_int_eq(fault.code, ERR_OK);

    /* The input dies, and is overwritten first: the verified_doc keeps what it needs. */
    memset(f.document.ptr, 0xee, f.document.len);
    buf_free(&f.document);
    const struct attdoc *fields = verified_doc_fields(doc);
    ck_assert(bytes_equal_text(fields->module_id, MODULE));
    ck_assert_uint_eq(fields->timestamp_ms, (uint64_t)NOW_MS);
    ck_assert_mem_eq(fields->pcr[0], f.fields.pcr[0], ATTDOC_PCR_LEN);
    ck_assert(bytes_equal(fields->nonce.value, bytes_of(nonce, sizeof nonce)));
    ck_assert(bytes_equal(fields->certificate, bytes_of_buf(&f.chain.der[4])));
    ck_assert_mem_eq(verified_doc_digest(doc), digest, SHA384_LEN);
    ck_assert_mem_eq(verified_doc_root_sha256(doc), attest_trust_root_sha256(f.trust), SHA256_LEN);
    ck_assert(!verified_doc_is_debug(doc));
    ck_assert(bytes_equal_text(verified_doc_region(doc), REGION));
}
END_TEST

START_TEST(valid_without_results)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    for (int again = 0; again < 2; again++) /* the second from the cache */
        ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, NULL, NULL,
                            NULL));
}
END_TEST

START_TEST(valid_debug)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    fixture_spec(&f);
    mkdoc_fields_debug(&f.fields);
    fixture_build(&f);
    ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, &doc, NULL,
                        NULL));
    ck_assert(verified_doc_is_debug(doc));
}
END_TEST

START_TEST(valid_at_document)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    struct attest_report report;
    ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, ATTEST_AT_DOCUMENT,
                        NULL, &report, NULL));
    ck_assert_int_eq(report.now_ms, NOW_MS);
}
END_TEST

/* A document's own time is no way round its certificates'. */
START_TEST(wrong_time_at_document)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.fields.timestamp_ms = (uint64_t)f.spec.cert[4].until_ms + 1;
    fixture_build(&f);
    expect(&f, ATTDOC_ENCLAVE, ATTEST_AT_DOCUMENT, ERR_CERT_EXPIRED, "certificate",
           ATTEST_VALIDITY);
}
END_TEST

START_TEST(long_document)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    while (f.document.len <= ATTDOC_LEN_MAX)
        ck_ok(buf_append(&f.document, bytes_of("", 1)));
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_TOO_LARGE, "", ATTEST_COSE);
}
END_TEST

START_TEST(long_module_id)
{
    static char id[ATTDOC_PAYLOAD_MAX];
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(buf_free) struct buf payload = {0};
    fixture_make(&f);
    f.fields.module_id = memset(id, 'i', 256); /* from there on the string's head keeps its size */
    ck_ok(mkdoc_payload(&f.fields, &f.chain, &payload));
    memset(id, 'i', 256 + ATTDOC_PAYLOAD_MAX - payload.len);
    f.document.len = 0;
    ck_ok(mkdoc_document(&f.fields, &f.chain, &f.document));
    ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, NULL, NULL,
                        NULL));
    id[strlen(id)] = 'i';
    f.document.len = 0;
    ck_ok(mkdoc_document(&f.fields, &f.chain, &f.document));
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_TOO_LARGE, "cose.payload", ATTEST_COSE);
}
END_TEST

START_TEST(no_document)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.document.len = 0;
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_CBOR_MALFORMED, "cose", ATTEST_COSE);
}
END_TEST

START_TEST(junk_payload)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.document.len = 0;
    ck_ok(mkdoc_sign(&f.chain, bytes_of_text("\xa0"), &f.document)); /* an empty map */
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_DOC_MALFORMED, "module_id", ATTEST_PAYLOAD);
}
END_TEST

START_TEST(wrong_kind)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    expect(&f, ATTDOC_NITROTPM, NOW_MS, ERR_DOC_KIND, "pcrs", ATTEST_KIND);

    CLEANUP(fixture_free) struct fixture tpm = {0};
    fixture_spec(&tpm);
    tpm.fields.nitrotpm = true;
    fixture_build(&tpm);
    expect(&tpm, ATTDOC_ENCLAVE, NOW_MS, ERR_DOC_KIND, "nitrotpm_pcrs", ATTEST_KIND);
    ck_ok(attest_verify(tpm.trust, bytes_of_buf(&tpm.document), ATTDOC_NITROTPM, NOW_MS, NULL, NULL,
                        NULL));
}
END_TEST

START_TEST(wrong_root)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    attest_trust_free(f.trust);
    f.trust = NULL;
    ck_ok(attest_trust_new(NULL, 4, NULL, &f.trust, NULL)); /* AWS's */
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_UNTRUSTED, "cabundle[0]", ATTEST_ROOT);
}
END_TEST

/* The chain's root under the very name of AWS's, signed by itself. */
static void take_awss_name(struct mkdoc_chain *chain)
{
    BIO *pem = BIO_new_mem_buf(attest_aws_root_pem, -1);
    X509 *aws = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    const uint8_t *der = chain->der[0].ptr;
    X509 *ours = d2i_X509(NULL, &der, (long)chain->der[0].len);
    uint8_t *again = NULL;
    ck_assert(aws != NULL && ours != NULL);
    ck_assert_int_eq(X509_set_subject_name(ours, X509_get_subject_name(aws)), 1);
    ck_assert_int_eq(X509_set_issuer_name(ours, X509_get_subject_name(aws)), 1);
    ck_assert_int_gt(X509_sign(ours, chain->key[0], EVP_sha384()), 0);
    const int len = i2d_X509(ours, &again);
    ck_assert_int_gt(len, 0);
    chain->der[0].len = 0;
    ck_ok(buf_append(&chain->der[0], bytes_of(again, (size_t)len)));
    OPENSSL_free(again);
    X509_free(ours);
    X509_free(aws);
    BIO_free(pem);
}

/* A root that differs from AWS's in its key alone, with a chain below it that is good. */
START_TEST(wrong_root_of_awss_name)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain root = {.len = 0};
    fixture_spec(&f);
    ck_ok(mkdoc_chain_make(&f.spec, &root));
    take_awss_name(&root);
    ck_ok(mkdoc_chain_extend(&root, 1, &f.spec, &f.chain));
    ck_ok(mkdoc_document(&f.fields, &f.chain, &f.document));
    fixture_trust(&f, 4);
    ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, NULL, NULL,
                        NULL));
    attest_trust_free(f.trust);
    f.trust = NULL;
    ck_ok(attest_trust_new(NULL, 4, NULL, &f.trust, NULL)); /* AWS's */
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_UNTRUSTED, "cabundle[0]", ATTEST_ROOT);
}
END_TEST

START_TEST(wrong_chain)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[2].key_usage = 0;
    fixture_build(&f);
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_CERT_KEY_USAGE, "cabundle[2]", ATTEST_CHAIN);
}
END_TEST

START_TEST(wrong_validity)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    expect(&f, ATTDOC_ENCLAVE, f.spec.cert[4].until_ms + 1, ERR_CERT_EXPIRED, "certificate",
           ATTEST_VALIDITY);
    expect(&f, ATTDOC_ENCLAVE, f.spec.cert[4].from_ms - ATTEST_LEEWAY_MS - 1,
           ERR_CERT_NOT_YET_VALID, "certificate", ATTEST_VALIDITY);
    ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE,
                        f.spec.cert[4].from_ms - ATTEST_LEEWAY_MS, NULL, NULL, NULL));
}
END_TEST

START_TEST(wrong_chain_signature)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[3].break_signature = true;
    fixture_build(&f);
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_CERT_SIGNATURE, "cabundle[3]", ATTEST_CHAIN_SIGNATURES);
}
END_TEST

/* A good chain proves nothing about a document that its leaf did not sign; twice,
 * because the chain is cached the second time. */
START_TEST(wrong_signature)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.document.ptr[f.document.len - 1] ^= 1;
    for (int again = 0; again < 2; again++)
        expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_SIGNATURE, "cose.signature", ATTEST_SIGNATURE);
}
END_TEST

START_TEST(wrong_signature_of_another_leaf)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain other = {0};
    CLEANUP(buf_free) struct buf payload = {0};
    fixture_make(&f);
    ck_ok(mkdoc_chain_extend(&f.chain, 4, &f.spec, &other));
    ck_ok(mkdoc_payload(&f.fields, &f.chain, &payload));
    f.document.len = 0;
    ck_ok(mkdoc_sign(&other, bytes_of_buf(&payload), &f.document));
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_SIGNATURE, "cose.signature", ATTEST_SIGNATURE);
}
END_TEST

/* One bit of any signed byte: never accepted. */
START_TEST(wrong_bit_anywhere)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    for (size_t at = 0; at < f.document.len; at += 11) {
        const uint8_t bit = (uint8_t)(1u << (at & 7));
        f.document.ptr[at] ^= bit;
        ck_assert_msg(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS,
                                    NULL, NULL, NULL) != ERR_OK,
                      "byte %zu", at);
        f.document.ptr[at] ^= bit;
    }
    ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, NULL, NULL,
                        NULL));
}
END_TEST

/* ---- what else the module says ---- */

START_TEST(valid_parse_only)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    struct attest_report report;
    f.document.ptr[f.document.len - 1] ^= 1; /* no signature is looked at */
    ck_ok(attest_parse(f.trust, bytes_of_buf(&f.document), &report, NULL));
    ck_assert_int_eq(report.reached, ATTEST_KIND);
    ck_assert(report.parsed);
    ck_assert(bytes_equal_text(report.doc.module_id, MODULE));
    ck_assert_int_eq(report.doc.kind, ATTDOC_ENCLAVE);
}
END_TEST

START_TEST(valid_tolerated_key)
{
    static const char *const keys[] = {"new_field"};
    static const struct attdoc_tolerate tolerate = {keys, 1};
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(buf_free) struct buf payload = {0};
    fixture_make(&f);
    ck_ok(mkdoc_payload(&f.fields, &f.chain, &payload));
    ck_assert_uint_eq(payload.ptr[payload.len - 1], 0xff); /* the indefinite map's break */
    payload.len--;
    ck_ok(buf_append_text(&payload, "\x69new_field\xf6\xff"));
    f.document.len = 0;
    ck_ok(mkdoc_sign(&f.chain, bytes_of_buf(&payload), &f.document));
    expect(&f, ATTDOC_ENCLAVE, NOW_MS, ERR_DOC_UNKNOWN_FIELD, "new_field", ATTEST_PAYLOAD);

    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    ck_ok(attest_trust_new(buf_text(&f.pem), 0, &tolerate, &trust, NULL));
    ck_ok(
        attest_verify(trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, &doc, NULL, NULL));
}
END_TEST

/* The region, or nothing, for each name of the regional certificate. */
START_TEST(wrong_region_names)
{
    static const struct {
        const char *cn;
        const char *region;
    } names[] = {
        {"0123456789abcdef.ap-southeast-1.aws.nitro-enclaves", "ap-southeast-1"},
        {"0123456789abcdef.us-gov-east-1.aws.nitro-enclaves", "us-gov-east-1"},
        {"0123456789abcdef.zonal.eu-west-1.aws.nitro-enclaves", ""},
        {"i-0123456789abcdef0.eu-west-1.aws.nitro-enclaves", ""},
        {"eu-west-1.aws.nitro-enclaves", ""},
        {".eu-west-1.aws.nitro-enclaves", ""},
        {"0123456789abcdef..aws.nitro-enclaves", ""},
        {"0123456789abcdef.aws.nitro-enclaves", ""},
        {"0123456789abcdef.EU-WEST-1.aws.nitro-enclaves", ""},
        {"0123456789abcdef.eu-west-1.aws.nitro-enclaves.example", ""},
        {"0123456789abcdef.eu-west-1.aws.nitro-enclavez", ""},
        {"0123456789abcdef.eu-west-1", ""},
        {".aws.nitro-enclaves", ""},
        {"0123456789abcdef.abcdefghijklmnopqrstuvwxyz-abcde-1.aws.nitro-enclaves", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
        fixture_spec(&f);
        snprintf(f.spec.cert[1].subject_cn, sizeof f.spec.cert[1].subject_cn, "%s", names[i].cn);
        fixture_build(&f);
        ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, &doc, NULL,
                            NULL));
        ck_assert_msg(bytes_equal_text(verified_doc_region(doc), names[i].region), "%s: %s",
                      names[i].cn, (const char *)verified_doc_region(doc).ptr);
    }
}
END_TEST

START_TEST(no_region_without_a_regional_certificate)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    fixture_spec(&f);
    f.spec.cert[1] = f.spec.cert[4];
    f.spec.len = 2;
    fixture_build(&f);
    ck_ok(attest_verify(f.trust, bytes_of_buf(&f.document), ATTDOC_ENCLAVE, NOW_MS, &doc, NULL,
                        NULL));
    ck_assert_uint_eq(verified_doc_region(doc).len, 0);
}
END_TEST

START_TEST(valid_check_names)
{
    for (unsigned i = 0; i < ATTEST_CHECK_COUNT; i++) {
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(attest_check_name((enum attest_check)i),
                             attest_check_name((enum attest_check)j));
    }
    ck_assert_str_eq(attest_check_name(ATTEST_VALIDITY), "certificate_validity");
}
END_TEST

UNIT_MAIN("attest", valid_aws_root, junk_root, wrong_root_twice, wrong_root_and_junk, long_root,
          wrong_root_rules, valid_document, valid_without_results, valid_debug, valid_at_document,
          wrong_time_at_document, long_document, long_module_id, no_document, junk_payload,
          wrong_kind, wrong_root, wrong_chain, wrong_validity, wrong_chain_signature,
          wrong_signature, wrong_signature_of_another_leaf, wrong_bit_anywhere, valid_parse_only,
          valid_tolerated_key, wrong_region_names, no_region_without_a_regional_certificate,
          valid_check_names, wrong_root_of_awss_name)
