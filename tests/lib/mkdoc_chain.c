#include "common/openssl_cleanup.h"
#include "mkdoc.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define SECOND_MS INT64_C(1000)
#define HOUR_MS   (3600 * SECOND_MS)
#define DAY_MS    (24 * HOUR_MS)
#define YEAR_MS   (365 * DAY_MS)

#define SERIAL_LEN   16
#define SKI_LEN      20
#define CA_KEY_USAGE (X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN)

static const char crl_url[] = "URI:http://crl.vouchsafe-test.invalid/crl/test-only.crl";

CLEANUP_PTR(X509_EXTENSION, X509_EXTENSION_free, x509_extension_freep)
CLEANUP_PTR(AUTHORITY_KEYID, AUTHORITY_KEYID_free, authority_keyid_freep)
CLEANUP_PTR(ASN1_OCTET_STRING, ASN1_OCTET_STRING_free, octet_string_freep)
CLEANUP_PTR(ASN1_TIME, ASN1_TIME_free, asn1_time_freep)
CLEANUP_PTR(ASN1_OBJECT, ASN1_OBJECT_free, asn1_object_freep)

void mkdoc_chain_free(struct mkdoc_chain *chain)
{
    for (size_t i = 0; i < MKDOC_CHAIN_MAX; i++) {
        EVP_PKEY_free(chain->key[i]);
        buf_free(&chain->der[i]);
    }
    *chain = (struct mkdoc_chain){0};
}

/* What stands for AWS's random "<hash>" of the regional and zonal names: FNV-1a, so
 * that one module always gets the same names. */
static uint64_t name_hash(const char *module_id, const char *region, unsigned level)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) + level;
    for (const char *p = module_id; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    for (const char *p = region; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return h;
}

static void ca_defaults(struct mkdoc_cert *cert, int pathlen, int64_t from_ms, int64_t until_ms)
{
    cert->x509_version = 3;
    cert->curve = "P-384";
    cert->digest = "SHA384";
    cert->basic_constraints = true;
    cert->ca = true;
    cert->pathlen = pathlen;
    cert->key_usage = CA_KEY_USAGE;
    cert->key_usage_critical = true;
    cert->from_ms = from_ms;
    cert->until_ms = until_ms;
}

void mkdoc_chain_defaults(struct mkdoc_chain_spec *spec, int64_t now_ms, const char *module_id,
                          const char *region)
{
    *spec = (struct mkdoc_chain_spec){.len = 5};
    struct mkdoc_cert *const c = spec->cert;
    /* AWS's root is of 2019, its certificates of any moment within their lives. */
    ca_defaults(&c[0], -1, now_ms - 7 * YEAR_MS, now_ms + 23 * YEAR_MS);
    ca_defaults(&c[1], 2, now_ms - 2 * DAY_MS, now_ms + 18 * DAY_MS);
    ca_defaults(&c[2], 1, now_ms - DAY_MS, now_ms + 5 * DAY_MS);
    ca_defaults(&c[3], 0, now_ms - 6 * HOUR_MS, now_ms + 18 * HOUR_MS);
    ca_defaults(&c[4], -1, now_ms - 3 * SECOND_MS, now_ms + 3 * HOUR_MS);
    c[3].key_usage = X509v3_KU_KEY_CERT_SIGN;
    c[4].ca = false;
    c[4].key_usage = X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_NON_REPUDIATION;
    c[4].key_usage_critical = false;

    /* The instance's certificate names the instance, the leaf all of the module id. */
    const int instance_len = (int)attdoc_instance(bytes_of_text(module_id)).len;
    snprintf(c[0].subject_cn, sizeof c[0].subject_cn, "vouchsafe-test.nitro-enclaves");
    snprintf(c[1].subject_cn, sizeof c[1].subject_cn, "%016llx.%s.aws.nitro-enclaves",
             (unsigned long long)name_hash("", region, 1), region);
    snprintf(c[2].subject_cn, sizeof c[2].subject_cn, "%016llx.zonal.%s.aws.nitro-enclaves",
             (unsigned long long)name_hash(module_id, region, 2), region);
    snprintf(c[3].subject_cn, sizeof c[3].subject_cn, "%.*s.%s.aws.nitro-enclaves", instance_len,
             module_id, region);
    snprintf(c[4].subject_cn, sizeof c[4].subject_cn, "%s.%s.aws", module_id, region);
}

/* The type is given outright: the MBSTRING way would refuse names past 64 characters,
 * which a test may want. */
static bool name_add(X509_NAME *name, int nid, int type, const char *value)
{
    return X509_NAME_add_entry_by_NID(name, nid, type, (const unsigned char *)value,
                                      (int)strlen(value), -1, 0) == 1;
}

static enum err name_new(const char *cn, X509_NAME **out)
{
    CLEANUP(x509_name_freep) X509_NAME *name = X509_NAME_new();
    if (name == NULL || !name_add(name, NID_countryName, V_ASN1_PRINTABLESTRING, "US") ||
        !name_add(name, NID_organizationName, V_ASN1_UTF8STRING, "Vouchsafe") ||
        !name_add(name, NID_organizationalUnitName, V_ASN1_UTF8STRING, "Test only") ||
        !name_add(name, NID_commonName, V_ASN1_UTF8STRING, cn))
        return ERR_CRYPTO;
    *out = TAKE(name);
    return ERR_OK;
}

static enum err set_names(X509 *x, const struct mkdoc_cert *cert, X509 *parent)
{
    CLEANUP(x509_name_freep) X509_NAME *subject = NULL;
    TRY(name_new(cert->subject_cn, &subject));
    if (X509_set_subject_name(x, subject) != 1)
        return ERR_CRYPTO;
    CLEANUP(x509_name_freep) X509_NAME *other = NULL;
    const X509_NAME *issuer = parent == NULL ? subject : X509_get_subject_name(parent);
    if (cert->issuer_cn != NULL) {
        TRY(name_new(cert->issuer_cn, &other));
        issuer = other;
    }
    return X509_set_issuer_name(x, issuer) == 1 ? ERR_OK : ERR_CRYPTO;
}

static int64_t floor_seconds(int64_t ms)
{
    return ms / 1000 - (ms % 1000 < 0);
}

static enum err set_validity(X509 *x, const struct mkdoc_cert *cert)
{
    CLEANUP(asn1_time_freep) ASN1_TIME *from = ASN1_TIME_set(NULL, floor_seconds(cert->from_ms));
    CLEANUP(asn1_time_freep) ASN1_TIME *until = ASN1_TIME_set(NULL, floor_seconds(cert->until_ms));
    if (from == NULL || until == NULL || X509_set1_notBefore(x, from) != 1 ||
        X509_set1_notAfter(x, until) != 1)
        return ERR_CRYPTO;
    return ERR_OK;
}

static enum err set_serial(X509 *x)
{
    uint8_t serial[SERIAL_LEN];
    if (RAND_bytes(serial, sizeof serial) != 1)
        return ERR_CRYPTO;
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, all 16 bytes used */
    CLEANUP(bn_freep) BIGNUM *bn = BN_bin2bn(serial, sizeof serial, NULL);
    if (bn == NULL || BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) == NULL)
        return ERR_CRYPTO;
    return ERR_OK;
}

static enum err add_basic_constraints(X509 *x, const struct mkdoc_cert *cert)
{
    CLEANUP(basic_constraints_freep) BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
    if (bc == NULL)
        return ERR_CRYPTO;
    bc->ca = cert->ca ? 0xff : 0;
    if (cert->pathlen >= 0) {
        bc->pathlen = ASN1_INTEGER_new();
        if (bc->pathlen == NULL || ASN1_INTEGER_set(bc->pathlen, cert->pathlen) != 1)
            return ERR_CRYPTO;
    }
    return X509_add1_ext_i2d(x, NID_basic_constraints, bc, 1, X509V3_ADD_APPEND) == 1 ? ERR_OK
                                                                                      : ERR_CRYPTO;
}

/* RFC 5280 section 4.2.1.2, method 1: SHA-1 of the key, as genuine certificates have it. */
static enum err key_identifier(X509 *x, ASN1_OCTET_STRING **out)
{
    uint8_t id[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    CLEANUP(octet_string_freep) ASN1_OCTET_STRING *ski = ASN1_OCTET_STRING_new();
    if (ski == NULL || X509_pubkey_digest(x, EVP_sha1(), id, &len) != 1 || len != SKI_LEN ||
        ASN1_OCTET_STRING_set(ski, id, (int)len) != 1)
        return ERR_CRYPTO;
    *out = TAKE(ski);
    return ERR_OK;
}

static enum err add_authority_key(X509 *x, X509 *parent)
{
    CLEANUP(authority_keyid_freep) AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();
    if (aki == NULL)
        return ERR_CRYPTO;
    TRY(key_identifier(parent, &aki->keyid));
    return X509_add1_ext_i2d(x, NID_authority_key_identifier, aki, 0, X509V3_ADD_APPEND) == 1
               ? ERR_OK
               : ERR_CRYPTO;
}

static enum err add_subject_key(X509 *x)
{
    CLEANUP(octet_string_freep) ASN1_OCTET_STRING *ski = NULL;
    TRY(key_identifier(x, &ski));
    return X509_add1_ext_i2d(x, NID_subject_key_identifier, ski, 0, X509V3_ADD_APPEND) == 1
               ? ERR_OK
               : ERR_CRYPTO;
}

static enum err add_key_usage(X509 *x, const struct mkdoc_cert *cert)
{
    CLEANUP(asn1_bit_string_freep) ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    if (bits == NULL)
        return ERR_CRYPTO;
    for (int i = 0; i < 9; i++) {
        const int bit = i < 8 ? 0x80 >> i : X509v3_KU_DECIPHER_ONLY;
        if ((cert->key_usage & bit) != 0 && ASN1_BIT_STRING_set_bit(bits, i, 1) != 1)
            return ERR_CRYPTO;
    }
    return X509_add1_ext_i2d(x, NID_key_usage, bits, cert->key_usage_critical, X509V3_ADD_APPEND) ==
                   1
               ? ERR_OK
               : ERR_CRYPTO;
}

/* Regional and zonal certificates name where a revocation list would be. */
static enum err add_crl_url(X509 *x)
{
    CLEANUP(x509_extension_freep)
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_crl_distribution_points, crl_url);
    return ext != NULL && X509_add_ext(x, ext, -1) == 1 ? ERR_OK : ERR_CRYPTO;
}

/* 2.999 is the arc that is set aside for examples. */
static enum err add_unknown_critical(X509 *x)
{
    CLEANUP(asn1_object_freep) ASN1_OBJECT *oid = OBJ_txt2obj("2.999.1", 1);
    CLEANUP(octet_string_freep) ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    if (oid == NULL || value == NULL ||
        ASN1_OCTET_STRING_set(value, (const uint8_t *)"\x05", 2) != 1)
        return ERR_CRYPTO;
    CLEANUP(x509_extension_freep)
    X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
    return ext != NULL && X509_add_ext(x, ext, -1) == 1 ? ERR_OK : ERR_CRYPTO;
}

/* The last extension once more, as it is. */
static enum err add_duplicate(X509 *x)
{
    const int count = X509_get_ext_count(x);
    if (count == 0)
        return ERR_CRYPTO;
    return X509_add_ext(x, X509_get_ext(x, count - 1), -1) == 1 ? ERR_OK : ERR_CRYPTO;
}

/* Which certificates carry what beside the constraints: the root has no AKI, the leaf
 * neither AKI nor SKI, and only what stands between root and instance names a CRL. */
static enum err add_extensions(X509 *x, const struct mkdoc_cert *cert, size_t place, size_t len,
                               X509 *parent)
{
    const bool leaf = place + 1 == len;
    if (cert->basic_constraints)
        TRY(add_basic_constraints(x, cert));
    if (parent != NULL && !leaf)
        TRY(add_authority_key(x, parent));
    if (!leaf)
        TRY(add_subject_key(x));
    if (place > 0 && place + 2 < len)
        TRY(add_crl_url(x));
    if (cert->key_usage != 0)
        TRY(add_key_usage(x, cert));
    if (cert->duplicate_extension)
        TRY(add_duplicate(x));
    if (cert->unknown_critical_extension)
        TRY(add_unknown_critical(x));
    return ERR_OK;
}

/* The signature is the last thing in a certificate, so the last byte is the low end
 * of s: it stays well-formed DER and a number in range. */
static enum err append_der(X509 *x, bool break_signature, struct buf *out)
{
    CLEANUP(openssl_freep) uint8_t *der = NULL;
    const int len = i2d_X509(x, &der);
    if (len <= 0)
        return ERR_CRYPTO;
    if (break_signature)
        der[len - 1] ^= 0x01;
    return buf_append(out, bytes_of(der, (size_t)len));
}

static enum err make_cert(const struct mkdoc_chain_spec *spec, size_t place,
                          struct mkdoc_chain *chain)
{
    const struct mkdoc_cert *cert = &spec->cert[place];
    CLEANUP(x509_freep) X509 *parent = NULL;
    if (place > 0) {
        const uint8_t *der = chain->der[place - 1].ptr;
        parent = d2i_X509(NULL, &der, (long)chain->der[place - 1].len);
        if (parent == NULL)
            return ERR_CRYPTO;
    }
    CLEANUP(x509_freep) X509 *x = X509_new();
    EVP_PKEY *key = EVP_EC_gen(cert->curve);
    if (x == NULL || key == NULL) {
        EVP_PKEY_free(key);
        return ERR_CRYPTO;
    }
    chain->key[place] = key; /* the chain owns it from here on */
    /* X.509 counts versions from zero. */
    if (X509_set_version(x, cert->x509_version - 1) != 1 || X509_set_pubkey(x, key) != 1)
        return ERR_CRYPTO;
    TRY(set_serial(x));
    TRY(set_names(x, cert, parent));
    TRY(set_validity(x, cert));
    TRY(add_extensions(x, cert, place, spec->len, parent));
    EVP_PKEY *signer = place == 0 || cert->self_signed ? key : chain->key[place - 1];
    const EVP_MD *md = EVP_get_digestbyname(cert->digest);
    if (md == NULL || X509_sign(x, signer, md) <= 0)
        return ERR_CRYPTO;
    return append_der(x, cert->break_signature, &chain->der[place]);
}

enum err mkdoc_chain_extend(const struct mkdoc_chain *base, size_t keep,
                            const struct mkdoc_chain_spec *spec, struct mkdoc_chain *out)
{
    if (spec->len > MKDOC_CHAIN_MAX || keep > spec->len || (keep > 0 && keep > base->len))
        return ERR_USAGE;
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = spec->len};
    for (size_t i = 0; i < keep; i++) {
        if (EVP_PKEY_up_ref(base->key[i]) != 1)
            return ERR_CRYPTO;
        chain.key[i] = base->key[i];
        TRY(buf_append(&chain.der[i], bytes_of_buf(&base->der[i])));
    }
    for (size_t i = keep; i < spec->len; i++)
        TRY(make_cert(spec, i, &chain));
    *out = chain;
    chain = (struct mkdoc_chain){0};
    return ERR_OK;
}

enum err mkdoc_chain_make(const struct mkdoc_chain_spec *spec, struct mkdoc_chain *out)
{
    return mkdoc_chain_extend(NULL, 0, spec, out);
}

enum err mkdoc_root_pem(const struct mkdoc_chain *chain, struct buf *pem)
{
    if (chain->len == 0)
        return ERR_USAGE;
    const uint8_t *der = chain->der[0].ptr;
    CLEANUP(x509_freep) X509 *root = d2i_X509(NULL, &der, (long)chain->der[0].len);
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (root == NULL || bio == NULL || PEM_write_bio_X509(bio, root) != 1)
        return ERR_CRYPTO;
    char *text = NULL;
    const long len = BIO_get_mem_data(bio, &text);
    if (len <= 0)
        return ERR_CRYPTO;
    return buf_append(pem, bytes_of(text, (size_t)len));
}
