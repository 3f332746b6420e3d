/* The signature section of an enclave image file: verified, never believed.  Each test breaks
 * one thing and demands its exact error. */
#include "unit.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/attdoc.h"
#include "common/cbor_writer.h"
#include "common/cose_sign1.h"
#include "common/openssl_cleanup.h"
#include "tests/lib/mkeif.h"
#include "verifier/attest/der.h"
#include "verifier/measure/eif.h"
#include "verifier/measure/eif_signature.h"

#define BASE 1000 /* where the section begins in the file */

static const uint8_t pcr0[ATTDOC_PCR_LEN] = "what the image's own bytes come to: 48 of them.";

/* What goes into a section; each test changes one part. */
struct parts {
    EVP_PKEY *key;
    struct buf der, pem, payload, message, section;
};

static void parts_free(struct parts *p)
{
    EVP_PKEY_free(p->key);
    buf_free(&p->der);
    buf_free(&p->pem);
    buf_free(&p->payload);
    buf_free(&p->message);
    buf_free(&p->section);
}

static void make_payload(struct parts *p, uint64_t index, struct bytes value)
{
    p->payload.len = p->message.len = 0;
    ck_ok(mkeif_pcr_info(index, value, &p->payload));
    ck_ok(mkeif_message(p->key, bytes_of_buf(&p->payload), &p->message));
}

static void make_section(struct parts *p)
{
    p->section.len = 0;
    ck_ok(mkeif_signature(bytes_of_buf(&p->pem), bytes_of_buf(&p->message), &p->section));
}

static void make_certificate(struct parts *p, int x509_version)
{
    p->der.len = p->pem.len = 0;
    ck_ok(mkeif_certificate(p->key, x509_version, &p->der));
    ck_ok(mkeif_pem(PEM_STRING_X509, bytes_of_buf(&p->der), &p->pem));
}

static void make(struct parts *p, const char *curve)
{
    *p = (struct parts){.key = EVP_EC_gen(curve)};
    ck_assert_ptr_nonnull(p->key);
    make_certificate(p, 3);
    make_payload(p, 0, bytes_of(pcr0, sizeof pcr0));
    make_section(p);
}

#define PARTS(p, curve)                 \
    CLEANUP(parts_free) struct parts p; \
    make(&p, curve)

static void accepted(const struct parts *p)
{
    CLEANUP(buf_free) struct buf certificate = {0};
    struct fault fault = FAULT_NONE;
    const enum err err =
        eif_signature_verify(bytes_of_buf(&p->section), BASE, pcr0, &certificate, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s: %s", err_wire(err), fault.field, fault.detail);
    ck_assert(bytes_equal(bytes_of_buf(&certificate), bytes_of_buf(&p->der)));
}

static void refused(struct bytes section, enum err err, const char *field, const char *says)
{
    CLEANUP(buf_free) struct buf certificate = {0};
    struct fault fault = FAULT_NONE;
    ck_err(eif_signature_verify(section, BASE, pcr0, &certificate, &fault), err);
    ck_assert_int_eq(fault.code, err);
    ck_assert_msg(strcmp(fault.field, field) == 0, "%s: %s", fault.field, fault.detail);
    ck_assert_msg(strstr(fault.detail, says) != NULL, "%s", fault.detail);
    ck_assert_msg(fault.offset >= BASE && fault.offset <= BASE + section.len, "offset %zu",
                  fault.offset);
    ck_assert_uint_eq(certificate.len, 0);
    ck_err(eif_signature_verify(section, BASE, pcr0, &certificate, NULL), err);
}

static void refused_parts(struct parts *p, enum err err, const char *field, const char *says)
{
    make_section(p);
    refused(bytes_of_buf(&p->section), err, field, says);
}

/* ---- what is accepted ---- */

START_TEST(valid_curves)
{
    static const char *const curves[] = {"P-256", "P-384", "P-521"};
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        for (int x509_version = 1; x509_version <= 3; x509_version += 2) {
            PARTS(p, curves[i]);
            make_certificate(&p, x509_version);
            make_section(&p);
            accepted(&p);
        }
    }
}
END_TEST

/* The first certificate of a chain is the signer's, and text around it is no matter. */
START_TEST(valid_chain)
{
    PARTS(p, "P-384");
    PARTS(ca, "P-256");
    CLEANUP(buf_free) struct buf pem = {0};
    ck_ok(buf_append_text(&pem, "subject=CN = Signer\n"));
    ck_ok(buf_append(&pem, bytes_of_buf(&p.pem)));
    ck_ok(buf_append(&pem, bytes_of_buf(&ca.pem)));
    buf_free(&p.pem);
    buf_move(&p.pem, &pem);
    make_section(&p);
    accepted(&p);
}
END_TEST

/* PCR8 of a whole file is the certificate's, and its description has all members. */
START_TEST(valid_file)
{
    struct mkeif made;
    uint8_t pcr8[ATTDOC_PCR_LEN];
    CLEANUP(parts_free) struct parts p = {.key = EVP_EC_gen("P-384")};
    CLEANUP(buf_free) struct buf file = {0};
    CLEANUP(eif_freep) struct eif *eif = NULL;
    CLEANUP(eif_description_free) struct eif_description found = {0};
    struct fault fault = FAULT_NONE;
    mkeif_defaults(&made, 2);
    make_certificate(&p, 3);
    ck_ok(mkeif_sign(&made, p.key, bytes_of_buf(&p.der), &p.section));
    mkeif_add(&made, MKEIF_SIGNATURE, bytes_of_buf(&p.section));
    ck_ok(mkeif_build(&made, &file));
    ck_ok(eif_new(&eif));
    ck_ok(eif_feed(eif, bytes_of_buf(&file), &fault));
    const enum err err = eif_finish(eif, &found, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s", fault.field, fault.detail);
    ck_ok(mkeif_pcr(bytes_of_buf(&p.der), pcr8));
    ck_assert_uint_eq(found.measured.present, 0x107);
    ck_assert_mem_eq(found.measured.pcr[8], pcr8, sizeof pcr8);
    json_t *json = NULL;
    ck_ok(eif_describe(&found, &json));
    const json_t *cert = json_object_get(json, "SigningCertificate");
    const json_t *issuer = json_object_get(cert, "IssuerName");
    ck_assert_str_eq(json_string_value(json_object_get(issuer, "commonName")), "Signer");
    ck_assert_str_eq(json_string_value(json_object_get(cert, "Algorithm")), "ecdsa-with-SHA384");
    ck_assert_str_eq(json_string_value(json_object_get(cert, "NotBefore")),
                     "Nov 23 00:00:00 2026 GMT");
    ck_assert_str_eq(json_string_value(json_object_get(cert, "NotAfter")),
                     "Dec 23 00:00:00 2026 GMT");
    ck_assert(strncmp(json_string_value(json_object_get(cert, "Signature")), "30:", 3) == 0);
    ck_assert(json_is_true(json_object_get(json, "IsSigned")));
    ck_assert(json_is_true(json_object_get(json, "SignatureCheck")));
    json_decref(json);
}
END_TEST

/* A signature taken over from another image does not make this one signed. */
START_TEST(wrong_file)
{
    struct mkeif made;
    CLEANUP(parts_free) struct parts p = {.key = EVP_EC_gen("P-384")};
    CLEANUP(buf_free) struct buf file = {0};
    CLEANUP(eif_freep) struct eif *eif = NULL;
    struct eif_description found;
    struct fault fault = FAULT_NONE;
    mkeif_defaults(&made, 2);
    make_certificate(&p, 3);
    ck_ok(mkeif_sign(&made, p.key, bytes_of_buf(&p.der), &p.section));
    made.section[4].content = bytes_of_text("Second");
    mkeif_add(&made, MKEIF_SIGNATURE, bytes_of_buf(&p.section));
    ck_ok(mkeif_build(&made, &file));
    ck_ok(eif_new(&eif));
    ck_ok(eif_feed(eif, bytes_of_buf(&file), &fault));
    ck_err(eif_finish(eif, &found, &fault), ERR_PCR_MISMATCH);
    ck_assert_str_eq(fault.field, "sections[5] (signature).signature");
    ck_assert_uint_gt(fault.offset, file.len - p.section.len);
    ck_assert_uint_lt(fault.offset, file.len);
}
END_TEST

/* ---- the section's form ---- */

static void write_octets(struct cbor_writer *w, struct bytes octets)
{
    cbor_writer_array(w, octets.len);
    for (size_t i = 0; i < octets.len; i++)
        cbor_writer_uint(w, octets.ptr[i]);
}

static void write_entry(struct cbor_writer *w, const struct parts *p, const char *first,
                        const char *second)
{
    cbor_writer_map(w, 2);
    cbor_writer_cstr(w, first);
    write_octets(w, bytes_of_buf(&p->pem));
    cbor_writer_cstr(w, second);
    write_octets(w, bytes_of_buf(&p->message));
}

START_TEST(wrong_count_of_signatures)
{
    PARTS(p, "P-384");
    struct cbor_writer w;
    refused(bytes_of_text("\x80"), ERR_EIF, "", "0 signatures where one, of PCR0, is expected");
    p.section.len = 0;
    cbor_writer_init(&w, &p.section);
    cbor_writer_array(&w, 2);
    write_entry(&w, &p, "signing_certificate", "signature");
    write_entry(&w, &p, "signing_certificate", "signature");
    ck_ok(cbor_writer_finish(&w));
    refused(bytes_of_buf(&p.section), ERR_EIF, "", "2 signatures where one");
}
END_TEST

START_TEST(wrong_keys)
{
    static const struct {
        const char *first, *second, *field;
    } rows[] = {
        {"signature", "signing_certificate", "signing_certificate"},
        {"signing_certificate", "signing_certificate", "signature"},
        {"signing_certificate", "signatur", "signature"},
        {"", "signature", "signing_certificate"},
    };
    PARTS(p, "P-384");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cbor_writer w;
        p.section.len = 0;
        cbor_writer_init(&w, &p.section);
        cbor_writer_array(&w, 1);
        write_entry(&w, &p, rows[i].first, rows[i].second);
        ck_ok(cbor_writer_finish(&w));
        refused(bytes_of_buf(&p.section), ERR_EIF, rows[i].field, "another key stands where");
    }
}
END_TEST

START_TEST(wrong_map)
{
    PARTS(p, "P-384");
    p.section.ptr[1] = 0xa1;
    refused(bytes_of_buf(&p.section), ERR_EIF, "", "a map of 1 entries where 2 are expected");
    p.section.ptr[1] = 0xa3;
    refused(bytes_of_buf(&p.section), ERR_EIF, "", "a map of 3 entries");
    p.section.ptr[1] = 0xbf;
    refused(bytes_of_buf(&p.section), ERR_CBOR_NOT_STRICT, "", "");
    p.section.ptr[1] = 0x82;
    refused(bytes_of_buf(&p.section), ERR_CBOR_TYPE, "", "");
    p.section.ptr[0] = 0xa1;
    refused(bytes_of_buf(&p.section), ERR_CBOR_TYPE, "", "");
    p.section.ptr[0] = 0x9f;
    refused(bytes_of_buf(&p.section), ERR_CBOR_NOT_STRICT, "", "");
}
END_TEST

/* Numbers, as AWS's library writes them: of one byte each, none of them huge. */
START_TEST(wrong_octets)
{
    static const struct {
        const char *cbor;
        size_t len;
        enum err err;
        const char *field, *says;
    } rows[] = {
        {"\x81\x19\x01\x00", 4, ERR_EIF, "signing_certificate[0]", "256 is no byte"},
        {"\x82\x00\x20", 3, ERR_CBOR_TYPE, "signing_certificate[1]", ""},
        {"\x82\x00\x41", 3, ERR_CBOR_MALFORMED, "signing_certificate[1]", ""},
        {"\x42-B", 3, ERR_CBOR_TYPE, "signing_certificate", ""}, /* a byte string */
        {"\x9a\xff\xff\xff\xff", 5, ERR_CBOR_MALFORMED, "signing_certificate", ""},
        {"\x80", 1, ERR_CBOR_MALFORMED, "signature", ""}, /* and nothing after it */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free) struct buf section = {0};
        ck_ok(buf_append_text(&section, "\x81\xa2\x73signing_certificate"));
        ck_ok(buf_append(&section, bytes_of(rows[i].cbor, rows[i].len)));
        refused(bytes_of_buf(&section), rows[i].err, rows[i].field, rows[i].says);
    }
}
END_TEST

START_TEST(junk_section)
{
    PARTS(p, "P-256");
    for (size_t len = 0; len < p.section.len; len++) {
        CLEANUP(buf_free) struct buf certificate = {0};
        ck_err(eif_signature_verify(bytes_of(p.section.ptr, len), BASE, pcr0, &certificate, NULL),
               ERR_CBOR_MALFORMED);
    }
    ck_ok(buf_append(&p.section, bytes_of("\0", 1)));
    refused(bytes_of_buf(&p.section), ERR_CBOR_TRAILING, "", "");
}
END_TEST

/* ---- the certificate ---- */

START_TEST(wrong_pem)
{
    static const char *const texts[] = {
        "",
        "no PEM at all",
        "-----BEGIN CERTIFICATE-----\nMIIB\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
    };
    PARTS(p, "P-384");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        p.pem.len = 0;
        ck_ok(buf_append_text(&p.pem, texts[i]));
        refused_parts(&p, ERR_EIF, "signing_certificate",
                      i == 0 ? "empty" : "a PEM certificate is expected, found no PEM block");
    }
    p.pem.len = 0;
    ck_ok(mkeif_pem("EC PRIVATE KEY", bytes_of_text("0123"), &p.pem));
    refused_parts(&p, ERR_EIF, "signing_certificate", "expected, found EC PRIVATE KEY");
    p.pem.len = 0;
    ck_ok(mkeif_pem(PEM_STRING_X509_TRUSTED, bytes_of_buf(&p.der), &p.pem));
    refused_parts(&p, ERR_EIF, "signing_certificate", "expected, found TRUSTED CERTIFICATE");
    /* OpenSSL would ask for the password. */
    p.pem.len = 0;
    ck_ok(buf_append_text(&p.pem, "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
                                  "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                                  "MIIB\n-----END CERTIFICATE-----\n"));
    refused_parts(&p, ERR_EIF, "signing_certificate", "a PEM certificate is expected");
}
END_TEST

/* Any byte changed: not DER, another algorithm, another key; and the rest, which the signature
 * of the image does not cover, is another certificate and another PCR8. */
START_TEST(wrong_certificate)
{
    PARTS(p, "P-256");
    size_t other = 0;
    for (size_t i = 0; i < p.der.len; i++) {
        CLEANUP(buf_free) struct buf certificate = {0};
        p.der.ptr[i] ^= 0x11;
        p.pem.len = 0;
        ck_ok(mkeif_pem(PEM_STRING_X509, bytes_of_buf(&p.der), &p.pem));
        make_section(&p);
        const enum err err =
            eif_signature_verify(bytes_of_buf(&p.section), BASE, pcr0, &certificate, NULL);
        ck_assert_msg(err == ERR_OK || err == ERR_CERT_MALFORMED || err == ERR_CERT_ALGORITHM ||
                          err == ERR_SIGNATURE,
                      "byte %zu: %s", i, err_wire(err));
        if (err == ERR_OK) {
            other++;
            ck_assert(bytes_equal(bytes_of_buf(&certificate), bytes_of_buf(&p.der)));
        }
        p.der.ptr[i] ^= 0x11;
    }
    ck_assert_uint_gt(other, 0); /* the issuer's signature over it, for one */
}
END_TEST

static void check_der(struct parts *p, struct bytes der, enum err err, const char *says)
{
    p->pem.len = 0;
    ck_ok(mkeif_pem(PEM_STRING_X509, der, &p->pem));
    refused_parts(p, err, "signing_certificate", says);
}

START_TEST(wrong_der)
{
    PARTS(p, "P-384");
    CLEANUP(buf_free) struct buf der = {0};
    check_der(&p, bytes_of(p.der.ptr, p.der.len - 1), ERR_CERT_MALFORMED, "not the DER");
    check_der(&p, bytes_of_text("0"), ERR_CERT_MALFORMED, "not the DER");
    ck_ok(buf_append(&der, bytes_of_buf(&p.der)));
    ck_ok(buf_append(&der, bytes_of("\0", 1)));
    check_der(&p, bytes_of_buf(&der), ERR_CERT_MALFORMED, "not the DER");
    /* BER: the outer length in three bytes.  OpenSSL reads it and writes another. */
    der.len = 0;
    ck_ok(buf_append(&der, bytes_of("\x30\x83\x00", 3)));
    ck_ok(buf_append(&der, bytes_of(p.der.ptr + 2, p.der.len - 2)));
    check_der(&p, bytes_of_buf(&der), ERR_CERT_MALFORMED, "not the DER");
    /* The issuer's signature's length in two bytes: the certificate is the same one, and
     * OpenSSL would measure other bytes than stand here. */
    struct bytes rest = bytes_of_buf(&p.der);
    struct bytes content;
    ck_assert(der_take(&rest, DER_SEQUENCE, NULL, &content));
    ck_assert(der_take(&content, DER_SEQUENCE, NULL, NULL));
    ck_assert(der_take(&content, DER_SEQUENCE, NULL, NULL));
    const size_t at = (size_t)(content.ptr - p.der.ptr) + 1;
    der.len = 0;
    ck_ok(buf_append(&der, bytes_of(p.der.ptr, at)));
    ck_ok(buf_append(&der, bytes_of("\x81", 1)));
    ck_ok(buf_append(&der, bytes_of(p.der.ptr + at, p.der.len - at)));
    der.ptr[3]++;
    check_der(&p, bytes_of_buf(&der), ERR_CERT_MALFORMED, "or is not in DER");
}
END_TEST

START_TEST(wrong_key)
{
    PARTS(p, "P-384");
    EVP_PKEY *const others[] = {EVP_EC_gen("secp256k1"), EVP_EC_gen("brainpoolP384r1"),
                                EVP_RSA_gen(2048)};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        p.der.len = 0;
        ck_ok(mkeif_certificate(others[i], 3, &p.der));
        check_der(&p, bytes_of_buf(&p.der), ERR_CERT_ALGORITHM, "none on P-256, P-384 or P-521");
        EVP_PKEY_free(others[i]);
    }
    /* Half a point: to find the rest is work. */
    EVP_PKEY_set_utf8_string_param(p.key, "point-format", "compressed");
    p.der.len = 0;
    ck_ok(mkeif_certificate(p.key, 3, &p.der));
    check_der(&p, bytes_of_buf(&p.der), ERR_CERT_ALGORITHM, "the point uncompressed");
    EVP_PKEY_set_utf8_string_param(p.key, "point-format", "uncompressed");
    /* A point that is none, in a certificate that is one otherwise. */
    p.der.len = 0;
    ck_ok(mkeif_certificate(p.key, 1, &p.der));
    size_t point = 0;
    while (memcmp(p.der.ptr + point, "\x81\x04\x00\x22\x03\x62\x00\x04", 8) != 0)
        point++;
    memset(p.der.ptr + point + 8, 0xff, 48);
    check_der(&p, bytes_of_buf(&p.der), ERR_CERT_MALFORMED, "no point on P-384");
    /* The same curve by its numbers: CVE-2022-0778 and CVE-2020-0601 come that way. */
    EVP_PKEY_set_utf8_string_param(p.key, "encoding", "explicit");
    p.der.len = 0;
    ck_ok(mkeif_certificate(p.key, 3, &p.der));
    check_der(&p, bytes_of_buf(&p.der), ERR_CERT_ALGORITHM, "none on P-256, P-384 or P-521");
}
END_TEST

/* ---- the message ---- */

START_TEST(wrong_signature)
{
    PARTS(p, "P-384");
    PARTS(other, "P-384");
    /* Under another key than the certificate's. */
    make_payload(&other, 0, bytes_of(pcr0, sizeof pcr0));
    ck_ok(mkeif_signature(bytes_of_buf(&p.pem), bytes_of_buf(&other.message), &other.der));
    other.section.len = 0;
    ck_ok(mkeif_signature(bytes_of_buf(&p.pem), bytes_of_buf(&other.message), &other.section));
    refused(bytes_of_buf(&other.section), ERR_SIGNATURE, "cose.signature", "does not verify");
    /* The value changed, the signature kept. */
    p.message.ptr[p.message.len - 100] ^= 1;
    refused_parts(&p, ERR_SIGNATURE, "cose.signature", "does not verify");
}
END_TEST

/* The certificate's curve decides the algorithm, whatever the message says. */
START_TEST(wrong_algorithm)
{
    static const char *const curves[] = {"P-256", "P-384", "P-521"};
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        for (size_t k = 0; k < ARRAY_LEN(curves); k++) {
            PARTS(p, curves[i]);
            PARTS(other, curves[k]);
            if (i == k)
                continue;
            p.message.len = 0;
            ck_ok(buf_append(&p.message, bytes_of_buf(&other.message)));
            refused_parts(&p, ERR_COSE_ALG, "cose.protected", "(image signature)");
        }
    }
}
END_TEST

START_TEST(wrong_message)
{
    PARTS(p, "P-384");
    p.message.ptr[0] = 0x83;
    refused_parts(&p, ERR_COSE_MALFORMED, "cose", "an array of 4 entries");
    p.message.ptr[0] = 0x84;
    ck_ok(buf_append(&p.message, bytes_of("\0", 1)));
    refused_parts(&p, ERR_CBOR_TRAILING, "cose", "");
    p.message.len = 0;
    refused_parts(&p, ERR_CBOR_MALFORMED, "cose", "");
}
END_TEST

START_TEST(wrong_register)
{
    static const uint64_t indexes[] = {1, 2, 8, 31, UINT64_MAX};
    PARTS(p, "P-384");
    for (size_t i = 0; i < ARRAY_LEN(indexes); i++) {
        make_payload(&p, indexes[i], bytes_of(pcr0, sizeof pcr0));
        refused_parts(&p, ERR_PCR_MISMATCH, "signature", "PCR0 is expected");
    }
}
END_TEST

/* Both values are told. */
START_TEST(wrong_value)
{
    uint8_t other[ATTDOC_PCR_LEN + 1];
    memset(other, 0xab, sizeof other);
    PARTS(p, "P-384");
    make_payload(&p, 0, bytes_of(other, ATTDOC_PCR_LEN));
    refused_parts(&p, ERR_PCR_MISMATCH, "signature",
                  "it signs PCR0 abababababababababababababababababababababababababababababababab"
                  "abababababababababababababababab, this image has 77686174207468652069");
    memcpy(other, pcr0, ATTDOC_PCR_LEN);
    other[ATTDOC_PCR_LEN - 1] ^= 1;
    make_payload(&p, 0, bytes_of(other, ATTDOC_PCR_LEN));
    refused_parts(&p, ERR_PCR_MISMATCH, "signature", "this image has");
    make_payload(&p, 0, bytes_of(other, ATTDOC_PCR_LEN - 1));
    refused_parts(&p, ERR_PCR_MISMATCH, "signature", "a value of 47 bytes, a PCR has 48");
    make_payload(&p, 0, bytes_of(other, ATTDOC_PCR_LEN + 1));
    refused_parts(&p, ERR_PCR_MISMATCH, "signature", "a value of 49 bytes");
    make_payload(&p, 0, bytes_of(other, 0));
    refused_parts(&p, ERR_PCR_MISMATCH, "signature", "a value of 0 bytes");
}
END_TEST

/* What is signed names no PCR, though the signature holds. */
START_TEST(wrong_payload)
{
    static const struct {
        const char *cbor;
        size_t len;
        enum err err;
        const char *field;
    } rows[] = {
        {"\xa1\x01\x02", 3, ERR_EIF, "signature"}, /* a CWT, for one */
        {"\xa2\x66issuer\x01", 9, ERR_EIF, "register_index"},
        {"\xa2\x6eregister_index\x20", 17, ERR_CBOR_TYPE, "register_index"},
        {"\xa2\x6eregister_index\x00\x6eregister_index\x00", 33, ERR_EIF, "register_value"},
        {"\xa2\x6eregister_index\x00\x6eregister_value\x41x", 34, ERR_CBOR_TYPE, "register_value"},
        {"\x80", 1, ERR_CBOR_TYPE, "signature"},
    };
    PARTS(p, "P-384");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        p.message.len = 0;
        ck_ok(mkeif_message(p.key, bytes_of(rows[i].cbor, rows[i].len), &p.message));
        refused_parts(&p, rows[i].err, rows[i].field, "");
    }
    p.message.len = 0;
    ck_ok(buf_append(&p.payload, bytes_of("\0", 1)));
    ck_ok(mkeif_message(p.key, bytes_of_buf(&p.payload), &p.message));
    refused_parts(&p, ERR_CBOR_TRAILING, "signature", "");
}
END_TEST

/* AWS's two kinds of message have one envelope: neither payload is the other's. */
START_TEST(wrong_kind_of_message)
{
    PARTS(p, "P-384");
    struct attdoc doc;
    struct cose_sign1 msg;
    struct fault fault = FAULT_NONE;
    ck_ok(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(&p.message), &msg, NULL));
    ck_ok(cose_sign1_verify(&msg, p.key, NULL));
    ck_err(attdoc_parse(msg.payload, 0, NULL, &doc, &fault), ERR_DOC_UNKNOWN_FIELD);
}
END_TEST

UNIT_MAIN("eif_signature", valid_curves, valid_chain, valid_file, wrong_file,
          wrong_count_of_signatures, wrong_keys, wrong_map, wrong_octets, junk_section, wrong_pem,
          wrong_certificate, wrong_der, wrong_key, wrong_signature, wrong_algorithm, wrong_message,
          wrong_register, wrong_value, wrong_payload, wrong_kind_of_message)
