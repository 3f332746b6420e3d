/* The chain as a whole: the root, the order, the names.  Each test breaks exactly one
 * rule and demands its error, the certificate that is named, and the stage.  Single
 * certificates are in test_chain_forms.c and test_chain_extensions.c; times, signatures
 * and the cache in test_chain_use.c. */
#include <openssl/x509.h>

#include "chain_fixture.h"
#include "unit.h"

/* ---- genuine shapes ---- */

START_TEST(valid_chain)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    fixture_accept(&f);
}
END_TEST

START_TEST(valid_root_and_leaf)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[1] = f.spec.cert[4];
    f.spec.len = 2;
    fixture_accept(&f);
}
END_TEST

START_TEST(valid_longest_bundle)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.len = ATTDOC_BUNDLE_MAX + 1;
    f.spec.cert[ATTDOC_BUNDLE_MAX] = f.spec.cert[4];
    f.spec.cert[1].pathlen = -1;
    for (size_t i = 2; i < ATTDOC_BUNDLE_MAX; i++) {
        f.spec.cert[i] = f.spec.cert[1];
        snprintf(f.spec.cert[i].subject_cn, sizeof f.spec.cert[i].subject_cn, "ca %zu", i);
    }
    f.spec.cert[1].pathlen = ATTDOC_BUNDLE_MAX - 2;
    fixture_accept(&f);
}
END_TEST

START_TEST(valid_leaf_without_basic_constraints)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[4].basic_constraints = false;
    fixture_accept(&f);
}
END_TEST

START_TEST(valid_root_path_length)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[0].pathlen = 3;
    fixture_accept(&f);
}
END_TEST

static void add_unknown_extension(X509 *x)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("2.999.7", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ck_assert(ASN1_OCTET_STRING_set(value, (const uint8_t *)"x", 1) == 1);
    X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    ck_assert(X509_add_ext(x, ext, -1) == 1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
}

START_TEST(valid_unknown_extension_not_critical)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    fixture_remake(&f, 3, add_unknown_extension);
    fixture_expect_ok(&f);
}
END_TEST

/* 160 random bits and the zero that keeps them positive, as instance certificates have. */
static void set_serial_21(X509 *x)
{
    BIGNUM *bn = NULL;
    ck_assert(BN_hex2bn(&bn, "DEFECB6C0720EE694834E6767A557848A9BC8EB2") > 0);
    ck_assert(BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL);
    BN_free(bn);
}

START_TEST(valid_serial_of_160_bits)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    fixture_remake(&f, 3, set_serial_21);
    fixture_expect_ok(&f);
}
END_TEST

/* ---- the root ---- */

START_TEST(no_bundle)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.doc.cabundle_len = 0;
    fixture_expect(&f, ERR_UNTRUSTED, "cabundle", CHAIN_ROOT);
}
END_TEST

START_TEST(long_bundle)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.doc.cabundle_len = ATTDOC_BUNDLE_MAX + 1;
    fixture_expect(&f, ERR_UNTRUSTED, "cabundle", CHAIN_ROOT);
}
END_TEST

START_TEST(no_root)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    for (size_t i = 0; i < 3; i++)
        f.doc.cabundle[i] = f.doc.cabundle[i + 1];
    f.doc.cabundle_len = 3;
    fixture_expect(&f, ERR_UNTRUSTED, "cabundle[0]", CHAIN_ROOT);
}
END_TEST

START_TEST(wrong_root_at_the_end)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    for (size_t i = 0; i < 4; i++)
        f.doc.cabundle[i] = bytes_of_buf(&f.chain.der[3 - i]);
    fixture_expect(&f, ERR_UNTRUSTED, "cabundle[0]", CHAIN_ROOT);
}
END_TEST

/* Another key under the same name, and a chain below it that is good in itself. */
START_TEST(wrong_root_of_the_same_name)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(fixture_free) struct fixture other = {0};
    fixture_make(&f);
    fixture_make(&other);
    fixture_expect_ok(&other);
    other.root = f.root;
    fixture_expect(&other, ERR_UNTRUSTED, "cabundle[0]", CHAIN_ROOT);
}
END_TEST

/* The pinned root inside, the rest of another chain of the same names. */
START_TEST(wrong_root_above_another_chain)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(fixture_free) struct fixture other = {0};
    fixture_make(&f);
    fixture_make(&other);
    other.root = f.root;
    other.doc.cabundle[0] = f.root;
    fixture_expect(&other, ERR_CERT_SIGNATURE, "cabundle[1]", CHAIN_SIGNATURES);
}
END_TEST

/* One bit of the root's own signature: every other field is the pinned one's. */
START_TEST(wrong_root_bytes)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(buf_free) struct buf copy = {0};
    fixture_make(&f);
    ck_ok(buf_append(&copy, f.root));
    copy.ptr[copy.len - 1] ^= 1;
    f.doc.cabundle[0] = bytes_of_buf(&copy);
    fixture_expect(&f, ERR_UNTRUSTED, "cabundle[0]", CHAIN_ROOT);
}
END_TEST

/* Nothing of a bundle under another root is looked at. */
START_TEST(junk_under_a_wrong_root)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    for (size_t i = 0; i < 4; i++)
        f.doc.cabundle[i] = bytes_of_text("junk");
    f.doc.certificate = bytes_of_text("junk");
    fixture_expect(&f, ERR_UNTRUSTED, "cabundle[0]", CHAIN_ROOT);
}
END_TEST

/* ---- order and names ---- */

START_TEST(wrong_order)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.doc.cabundle[1] = bytes_of_buf(&f.chain.der[2]);
    f.doc.cabundle[2] = bytes_of_buf(&f.chain.der[1]);
    fixture_expect(&f, ERR_CERT_NAME, "cabundle[1]", CHAIN_RULES);
}
END_TEST

START_TEST(no_instance_certificate)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.doc.cabundle_len = 3;
    fixture_expect(&f, ERR_CERT_NAME, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(no_zonal_certificate)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    f.doc.cabundle[2] = f.doc.cabundle[3];
    f.doc.cabundle_len = 3;
    fixture_expect(&f, ERR_CERT_NAME, "cabundle[2]", CHAIN_RULES);
}
END_TEST

START_TEST(wrong_certificate_too_many)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    for (size_t i = 1; i < 4; i++)
        f.spec.cert[i].pathlen = -1; /* or that would be the first to break */
    fixture_make_spec(&f);
    f.doc.cabundle[4] = f.doc.cabundle[3];
    f.doc.cabundle_len = 5;
    fixture_expect(&f, ERR_CERT_NAME, "cabundle[4]", CHAIN_RULES);
}
END_TEST

/* Neither the chain of names nor a signature is in its way, nor has it a path length. */
START_TEST(wrong_root_twice)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    for (size_t i = f.doc.cabundle_len++; i > 0; i--)
        f.doc.cabundle[i] = f.doc.cabundle[i - 1];
    fixture_expect(&f, ERR_CERT_NAME, "cabundle[1]", CHAIN_RULES);
}
END_TEST

/* Not the root's bytes: an intermediate or a leaf of its issuer's name. */
START_TEST(wrong_self_issued)
{
    for (size_t i = 1; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        memcpy(f.spec.cert[i].subject_cn, f.spec.cert[i - 1].subject_cn,
               sizeof f.spec.cert[i].subject_cn);
        fixture_refuse(&f, ERR_CERT_NAME, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

START_TEST(wrong_issuer)
{
    for (size_t i = 1; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].issuer_cn = "somebody else";
        fixture_refuse(&f, ERR_CERT_NAME, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

/* The same text in another string type: names are compared as bytes. */
static void issuer_as_printable(X509 *x)
{
    X509_NAME *name = X509_NAME_dup(X509_get_issuer_name(x));
    const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    char cn[128];
    ck_assert_int_lt(snprintf(cn, sizeof cn, "%.*s", ASN1_STRING_length(value),
                              (const char *)ASN1_STRING_get0_data(value)),
                     (int)sizeof cn);
    X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, at));
    ck_assert(X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_PRINTABLESTRING,
                                         (const uint8_t *)cn, -1, -1, 0) == 1);
    ck_assert(X509_set_issuer_name(x, name) == 1);
    X509_NAME_free(name);
}

START_TEST(wrong_issuer_encoding)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    fixture_remake(&f, 4, issuer_as_printable);
    fixture_expect(&f, ERR_CERT_NAME, "certificate", CHAIN_RULES);
}
END_TEST

static void empty_subject(X509 *x)
{
    X509_NAME *name = X509_NAME_new();
    ck_assert(X509_set_subject_name(x, name) == 1);
    X509_NAME_free(name);
}

START_TEST(no_subject)
{
    for (size_t i = 1; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_make(&f);
        fixture_remake(&f, i, empty_subject);
        fixture_expect(&f, ERR_CERT_NAME, fixture_field(i), CHAIN_RULES);
    }
}
END_TEST

UNIT_MAIN("chain", valid_chain, valid_root_and_leaf, valid_longest_bundle,
          valid_leaf_without_basic_constraints, valid_root_path_length,
          valid_unknown_extension_not_critical, valid_serial_of_160_bits, no_bundle, long_bundle,
          no_root, wrong_root_at_the_end, wrong_root_of_the_same_name,
          wrong_root_above_another_chain, wrong_root_bytes, junk_under_a_wrong_root, wrong_order,
          no_instance_certificate, no_zonal_certificate, wrong_certificate_too_many,
          wrong_root_twice, wrong_self_issued, wrong_issuer, wrong_issuer_encoding, no_subject)
