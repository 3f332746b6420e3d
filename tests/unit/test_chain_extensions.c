/* One test per rule about a certificate's extensions: who is a CA, of how long a path,
 * and what a key may sign.  The rest of the rules is in test_chain.c and _forms. */
#include <openssl/x509v3.h>

#include "chain_fixture.h"
#include "unit.h"

START_TEST(wrong_unknown_critical_extension)
{
    for (size_t i = 0; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].unknown_critical_extension = true;
        fixture_refuse(&f, ERR_CERT_EXTENSION, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

START_TEST(wrong_duplicate_extension)
{
    for (size_t i = 0; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].duplicate_extension = true;
        fixture_refuse(&f, ERR_CERT_EXTENSION, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

/* Known to OpenSSL, but not judged here: critical means that it must be. */
static void critical_name_constraints(X509 *x)
{
    X509_EXTENSION *ext =
        X509V3_EXT_conf_nid(NULL, NULL, NID_name_constraints, "critical,permitted;DNS:example.com");
    ck_assert(ext != NULL && X509_add_ext(x, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

START_TEST(wrong_name_constraints)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    fixture_remake(&f, 3, critical_name_constraints);
    fixture_expect(&f, ERR_CERT_EXTENSION, "cabundle[3]", CHAIN_RULES);
}
END_TEST

START_TEST(no_basic_constraints)
{
    for (size_t i = 0; i < 4; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].basic_constraints = false;
        fixture_refuse(&f, ERR_CERT_NOT_CA, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

START_TEST(wrong_not_a_ca)
{
    for (size_t i = 0; i < 4; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].ca = false;
        f.spec.cert[i].pathlen = -1;
        fixture_refuse(&f, ERR_CERT_NOT_CA, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

/* Replaces an extension's value and criticality by raw bytes. */
static void set_raw(X509 *x, int nid, int critical, struct bytes value)
{
    ASN1_OCTET_STRING *raw = ASN1_OCTET_STRING_new();
    ck_assert(ASN1_OCTET_STRING_set(raw, value.ptr, (int)value.len) == 1);
    X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, nid, -1)));
    X509_EXTENSION *ext = X509_EXTENSION_create_by_NID(NULL, nid, critical, raw);
    ck_assert(ext != NULL && X509_add_ext(x, ext, -1) == 1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(raw);
}

#define RAW(name, nid, critical, text)                               \
    static void name(X509 *x)                                        \
    {                                                                \
        set_raw(x, nid, critical, bytes_of(text, sizeof(text) - 1)); \
    }
RAW(bc_not_critical, NID_basic_constraints, 0, "\x30\x03\x01\x01\xff")
RAW(bc_trailing, NID_basic_constraints, 1, "\x30\x03\x01\x01\xff\x00")
RAW(bc_true_01, NID_basic_constraints, 1, "\x30\x03\x01\x01\x01")
RAW(bc_false_written, NID_basic_constraints, 1, "\x30\x03\x01\x01\x00")
RAW(bc_ber_length, NID_basic_constraints, 1, "\x30\x81\x03\x01\x01\xff")
RAW(bc_junk, NID_basic_constraints, 1, "junk")
RAW(bc_negative, NID_basic_constraints, 1, "\x30\x06\x01\x01\xff\x02\x01\xff")
RAW(bc_huge, NID_basic_constraints, 1,
    "\x30\x0e\x01\x01\xff\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00")
RAW(ku_junk, NID_key_usage, 1, "junk")
RAW(ku_trailing, NID_key_usage, 1, "\x03\x02\x02\x04\x00")

static void refuse_remade(size_t i, void (*change)(X509 *), enum err code)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    fixture_remake(&f, i, change);
    fixture_expect(&f, code, fixture_field(i), CHAIN_RULES);
}

START_TEST(wrong_basic_constraints_not_critical)
{
    for (size_t i = 1; i < 4; i++)
        refuse_remade(i, bc_not_critical, ERR_CERT_NOT_CA);
}
END_TEST

START_TEST(junk_basic_constraints)
{
    void (*const changes[])(X509 *) = {bc_trailing, bc_true_01, bc_ber_length, bc_junk};
    for (size_t c = 0; c < ARRAY_LEN(changes); c++)
        refuse_remade(3, changes[c], ERR_CERT_MALFORMED);
    refuse_remade(4, bc_false_written, ERR_CERT_MALFORMED);
}
END_TEST

START_TEST(wrong_path_length_number)
{
    refuse_remade(3, bc_negative, ERR_CERT_PATHLEN);
    refuse_remade(3, bc_huge, ERR_CERT_PATHLEN);
}
END_TEST

START_TEST(wrong_path_length)
{
    for (size_t i = 0; i < 3; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].pathlen = 2 - (int)i; /* one less than what follows */
        fixture_refuse(&f, ERR_CERT_PATHLEN, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

START_TEST(wrong_leaf_is_a_ca)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[4].ca = true;
    fixture_refuse(&f, ERR_CERT_LEAF_CA, "certificate", CHAIN_RULES);
}
END_TEST

/* An instance's certificate cannot pass for a leaf. */
START_TEST(wrong_leaf_is_the_instance)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.doc.certificate = f.doc.cabundle[3];
    f.doc.cabundle_len = 3;
    fixture_expect(&f, ERR_CERT_LEAF_CA, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(wrong_leaf_path_length)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[4].pathlen = 0;
    fixture_refuse(&f, ERR_CERT_PATHLEN, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(no_key_usage)
{
    for (size_t i = 0; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].key_usage = 0;
        fixture_refuse(&f, ERR_CERT_KEY_USAGE, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

START_TEST(wrong_key_usage)
{
    for (size_t i = 0; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].key_usage =
            i < 4 ? X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_CRL_SIGN : X509v3_KU_NON_REPUDIATION;
        fixture_refuse(&f, ERR_CERT_KEY_USAGE, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

START_TEST(wrong_key_usage_leaf_signs_certificates)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[4].key_usage |= X509v3_KU_KEY_CERT_SIGN;
    fixture_refuse(&f, ERR_CERT_KEY_USAGE, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(junk_key_usage)
{
    refuse_remade(3, ku_junk, ERR_CERT_MALFORMED);
    refuse_remade(3, ku_trailing, ERR_CERT_MALFORMED);
}
END_TEST

UNIT_MAIN("chain_extensions", wrong_unknown_critical_extension, wrong_duplicate_extension,
          wrong_name_constraints, no_basic_constraints, wrong_not_a_ca,
          wrong_basic_constraints_not_critical, junk_basic_constraints, wrong_path_length_number,
          wrong_path_length, wrong_leaf_is_a_ca, wrong_leaf_is_the_instance, wrong_leaf_path_length,
          no_key_usage, wrong_key_usage, wrong_key_usage_leaf_signs_certificates, junk_key_usage)
