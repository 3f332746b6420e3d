#include "cert.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "common/openssl_cleanup.h"
#include "common/spki.h"
#include "der.h"

/* [0] EXPLICIT INTEGER 2: X.509 v3. */
static const uint8_t version_3[] = {0xa0, 0x03, 0x02, 0x01, 0x02};

/* AlgorithmIdentifier ecdsa-with-SHA384, parameters absent: RFC 5758 section 3.2. */
static const uint8_t alg_ecdsa_sha384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                           0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};

/* The fields that are judged as bytes. */
struct fields {
    struct bytes serial;
    struct bytes inner_alg;
    struct bytes issuer;
    struct bytes subject;
    struct bytes spki;
    struct bytes outer_alg;
};

/* RFC 5280 section 4.1.  Unique identifiers, which nothing uses, are not known here. */
static bool take_tbs_fields(struct bytes tbs, struct fields *out)
{
    struct bytes issuer;
    struct bytes validity;
    struct bytes subject;
    struct bytes extensions;
    return der_take(&tbs, DER_INTEGER, NULL, &out->serial) &&
           der_take(&tbs, DER_SEQUENCE, &out->inner_alg, NULL) &&
           der_take(&tbs, DER_SEQUENCE, &out->issuer, &issuer) && der_is_name(issuer) &&
           der_take(&tbs, DER_SEQUENCE, NULL, &validity) && der_is_validity(validity) &&
           der_take(&tbs, DER_SEQUENCE, &out->subject, &subject) && der_is_name(subject) &&
           der_take(&tbs, DER_SEQUENCE, &out->spki, NULL) &&
           (tbs.len == 0 ||
            (der_take(&tbs, DER_EXTENSIONS, NULL, &extensions) && der_is_extensions(extensions))) &&
           tbs.len == 0;
}

/* X.690 section 8.6: whole octets, as an ECDSA signature has them. */
static bool take_signature(struct bytes *in)
{
    struct bytes content;
    return der_take(in, DER_BIT_STRING, NULL, &content) && content.len > 0 && content.ptr[0] == 0;
}

static enum err take_fields(struct bytes der, const char *field, struct fields *out,
                            struct fault *fault)
{
    struct bytes in = der;
    struct bytes cert;
    struct bytes tbs;
    if (!der_take(&in, DER_SEQUENCE, NULL, &cert) || in.len != 0 ||
        !der_take(&cert, DER_SEQUENCE, NULL, &tbs) ||
        !der_take(&cert, DER_SEQUENCE, &out->outer_alg, NULL) || !take_signature(&cert) ||
        cert.len != 0) /* CERT-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_MALFORMED,
             "not one whole DER certificate in %zu byte%s", der.len, plural(der.len));
    if (tbs.len < sizeof version_3 ||
        memcmp(tbs.ptr, version_3, sizeof version_3) != 0) /* CERT-2 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_VERSION,
             "the version is not 3");
    tbs = bytes_of(tbs.ptr + sizeof version_3, tbs.len - sizeof version_3);
    if (!take_tbs_fields(tbs, out)) /* CERT-3 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_MALFORMED,
             "not the fields of an X.509 v3 certificate in strict DER");
    return ERR_OK;
}

/* X.690 section 8.3.2: a zero in front only where the number would be negative without. */
bool cert_serial_has_form(struct bytes serial)
{
    if (serial.len == 0 || serial.len > CERT_SERIAL_MAX || serial.ptr[0] >= 0x80)
        return false;
    return serial.len == 1 || serial.ptr[0] != 0 || serial.ptr[1] >= 0x80;
}

static enum err check_fields(const struct fields *fields, const char *field, struct fault *fault)
{
    (void)fault_at(fault, FAULT_NO_OFFSET, "%s", field);
    const struct bytes alg = bytes_of(alg_ecdsa_sha384, sizeof alg_ecdsa_sha384);
    if (!bytes_equal(fields->inner_alg, alg) || !bytes_equal(fields->outer_alg, alg)) /* CERT-4 */
        FAIL(fault, ERR_CERT_ALGORITHM,
             "the signature algorithm is not ecdsa-with-SHA384 without parameters, "
             "inside and outside");
    if (!spki_has_form(fields->spki, &spki_p384) ||
        fields->spki.ptr[spki_p384.prefix.len] != 0x04) /* CERT-5 */
        FAIL(fault, ERR_CERT_ALGORITHM,
             "the public key is not an uncompressed point on the named curve P-384");
    if (!cert_serial_has_form(fields->serial)) /* CERT-6 */
        FAIL(fault, ERR_CERT_MALFORMED,
             "the serial number is negative, not in its shortest form or longer than %d bytes",
             CERT_SERIAL_MAX);
    /* 30 00 is a Name of no parts. */
    if (fields->issuer.len <= 2 || fields->subject.len <= 2) /* CERT-7 */
        FAIL(fault, ERR_CERT_NAME, "the issuer or the subject is empty");
    return ERR_OK;
}

/* RFC 5280 section 4.1.2.5: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ.  OpenSSL alone would take
 * times without seconds, with fractions and with offsets; at exactly these lengths
 * nothing but digits and the Z is left, and it checks the calendar. */
static bool read_time(const ASN1_TIME *time, int64_t *unix_ms)
{
    const int type = ASN1_STRING_type(time);
    const int len = ASN1_STRING_length(time);
    struct tm tm = {0};
    if (!(type == V_ASN1_UTCTIME && len == 13) && !(type == V_ASN1_GENERALIZEDTIME && len == 15))
        return false;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return false;
    *unix_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

static enum err read_validity(struct cert *cert, const char *field, struct fault *fault)
{
    if (!read_time(X509_get0_notBefore(cert->x509), &cert->from_ms) ||
        !read_time(X509_get0_notAfter(cert->x509), &cert->until_ms) ||
        cert->from_ms > cert->until_ms) /* CERT-10 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_MALFORMED,
             "the validity is not two UTC times in order, to the second, with Z");
    return ERR_OK;
}

/* Text for a fault, made only once one is certain: long object identifiers are slow. */
static enum err fail_extension(const ASN1_OBJECT *oid, const char *what, struct fault *fault)
{
    char name[64];
    if (OBJ_obj2txt(name, sizeof name, oid, 0) <= 0)
        name[0] = '\0';
    FAIL(fault, ERR_CERT_EXTENSION, "the extension '%s' %s", name, what);
}

static enum err check_extensions(const X509 *x509, const char *field, struct fault *fault)
{
    (void)fault_at(fault, FAULT_NO_OFFSET, "%s", field);
    for (int i = 0; i < X509_get_ext_count(x509); i++) {
        X509_EXTENSION *ext = X509_get_ext(x509, i);
        const ASN1_OBJECT *oid = X509_EXTENSION_get_object(ext);
        for (int j = 0; j < i; j++) {
            if (OBJ_cmp(oid, X509_EXTENSION_get_object(X509_get_ext(x509, j))) == 0) /* CERT-11 */
                return fail_extension(oid, "is there twice", fault);
        }
        /* Critical: whoever does not process it must refuse it (RFC 5280 section 4.2). */
        const int nid = OBJ_obj2nid(oid);
        if (X509_EXTENSION_get_critical(ext) && nid != NID_basic_constraints &&
            nid != NID_key_usage) /* CERT-12 */
            return fail_extension(oid, "is critical and not known", fault);
    }
    return ERR_OK;
}

/* The extension of that kind, decoded, or NULL.  X509V3_EXT_d2i passes over trailing
 * bytes and reads BER: `*strict` says that the value is what DER would write. */
static void *decode_extension(const X509 *x509, int nid, const ASN1_ITEM *item, bool *present,
                              bool *critical, bool *strict)
{
    *present = *critical = *strict = false;
    const int i = X509_get_ext_by_NID(x509, nid, -1);
    if (i < 0)
        return NULL;
    X509_EXTENSION *ext = X509_get_ext(x509, i);
    *present = true;
    *critical = X509_EXTENSION_get_critical(ext) != 0;
    void *value = X509V3_EXT_d2i(ext);
    if (value == NULL)
        return NULL;
    unsigned char *again = NULL;
    const int len = ASN1_item_i2d(value, &again, item);
    const ASN1_OCTET_STRING *raw = X509_EXTENSION_get_data(ext);
    *strict = len > 0 && len == ASN1_STRING_length(raw) &&
              memcmp(again, ASN1_STRING_get0_data(raw), (size_t)len) == 0;
    OPENSSL_free(again);
    return value;
}

static enum err read_basic_constraints(struct cert *cert, const char *field, struct fault *fault)
{
    (void)fault_at(fault, FAULT_NO_OFFSET, "%s", field);
    cert->path_len = -1;
    bool strict;
    CLEANUP(basic_constraints_freep)
    BASIC_CONSTRAINTS *value =
        decode_extension(cert->x509, NID_basic_constraints, ASN1_ITEM_rptr(BASIC_CONSTRAINTS),
                         &cert->has_basic_constraints, &cert->basic_constraints_critical, &strict);
    if (!cert->has_basic_constraints)
        return ERR_OK;
    if (value == NULL || !strict)
        TRY(crypto_own_fault());
    /* DER's TRUE is FF; OpenSSL keeps what it read. */
    if (value == NULL || !strict || (value->ca != 0 && value->ca != 0xff)) /* CERT-13 */
        FAIL(fault, ERR_CERT_MALFORMED, "basicConstraints is not strict DER");
    cert->is_ca = value->ca != 0;
    if (value->pathlen == NULL)
        return ERR_OK;
    int64_t path_len;
    if (ASN1_INTEGER_get_int64(&path_len, value->pathlen) != 1 || path_len < 0) /* CERT-14 */
        FAIL(fault, ERR_CERT_PATHLEN, "the path length is negative or huge");
    cert->path_len = path_len;
    return ERR_OK;
}

static enum err read_key_usage(struct cert *cert, const char *field, struct fault *fault)
{
    enum { BIT_DIGITAL_SIGNATURE = 0, BIT_KEY_CERT_SIGN = 5 }; /* RFC 5280 section 4.2.1.3 */
    bool critical; /* genuine leaves have it not critical, CAs critical: both will do */
    bool strict;
    CLEANUP(asn1_bit_string_freep)
    ASN1_BIT_STRING *value =
        decode_extension(cert->x509, NID_key_usage, ASN1_ITEM_rptr(ASN1_BIT_STRING),
                         &cert->has_key_usage, &critical, &strict);
    if (!cert->has_key_usage)
        return ERR_OK;
    if (value == NULL || !strict) { /* CERT-15 */
        TRY(crypto_own_fault());
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_MALFORMED,
             "keyUsage is not strict DER");
    }
    cert->may_sign = ASN1_BIT_STRING_get_bit(value, BIT_DIGITAL_SIGNATURE) != 0;
    cert->may_sign_certs = ASN1_BIT_STRING_get_bit(value, BIT_KEY_CERT_SIGN) != 0;
    return ERR_OK;
}

/* The key is missing, and OpenSSL does not always say why.  Where the point is one after all,
 * reading it has failed for want of memory. */
static enum err check_no_key(struct bytes spki)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    TRY(crypto_own_fault());
    const enum err err = spki_to_key(spki, &spki_p384, &key);
    if (err == ERR_MALFORMED)
        return ERR_OK;
    return err == ERR_OK ? ERR_NO_MEMORY : err;
}

static enum err read_x509(struct bytes der, struct bytes spki, struct cert *cert, const char *field,
                          struct fault *fault)
{
    const unsigned char *end = der.ptr;
    cert->x509 = d2i_X509(NULL, &end, (long)der.len);
    /* d2i keeps quiet about a point that is off the curve; the key is then missing. */
    const bool whole = cert->x509 != NULL && end == der.ptr + der.len;
    const bool keyed = whole && X509_get0_pubkey(cert->x509) != NULL;
    if (!whole)
        TRY(crypto_own_fault());
    if (whole && !keyed)
        TRY(check_no_key(spki));
    if (!whole) /* CERT-8 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_MALFORMED,
             "not a readable X.509 certificate");
    if (!keyed) /* CERT-9 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", field), ERR_CERT_MALFORMED,
             "the public key is not a point on P-384");
    return ERR_OK;
}

static enum err read_contents(struct bytes der, struct bytes spki, struct cert *cert,
                              const char *field, struct fault *fault)
{
    TRY(read_x509(der, spki, cert, field, fault));
    TRY(read_validity(cert, field, fault));
    TRY(check_extensions(cert->x509, field, fault));
    TRY(read_basic_constraints(cert, field, fault));
    return read_key_usage(cert, field, fault);
}

enum err cert_parse(struct bytes der, const char *field, struct cert *out, struct fault *fault)
{
    struct fields fields;
    TRY(take_fields(der, field, &fields, fault));
    TRY(check_fields(&fields, field, fault));
    CLEANUP(cert_free)
    struct cert cert = {
        .serial = fields.serial, .issuer = fields.issuer, .subject = fields.subject};
    crypto_begin();
    const enum err err = read_contents(der, fields.spki, &cert, field, fault);
    ERR_clear_error(); /* a stranger's junk is no news for whoever looks there next */
    TRY(err);
    *out = cert;
    cert.x509 = NULL; /* moved */
    return ERR_OK;
}

void cert_free(struct cert *cert)
{
    X509_free(cert->x509);
    *cert = (struct cert){0};
}

enum err cert_check_ca(const struct cert *cert, const char *field, struct fault *fault)
{
    (void)fault_at(fault, FAULT_NO_OFFSET, "%s", field);
    if (!cert->is_ca) /* CHAIN-2 */
        FAIL(fault, ERR_CERT_NOT_CA, "basicConstraints does not say that it is a CA");
    if (!cert->basic_constraints_critical) /* CHAIN-3 */
        FAIL(fault, ERR_CERT_NOT_CA, "basicConstraints is not critical");
    if (!cert->may_sign_certs) /* CHAIN-4 */
        FAIL(fault, ERR_CERT_KEY_USAGE, "keyUsage lacks keyCertSign");
    return ERR_OK;
}

bool cert_find_issuer(struct bytes der, struct bytes *issuer, struct bytes *serial)
{
    struct fields fields;
    if (take_fields(der, "", &fields, NULL) != ERR_OK || !cert_serial_has_form(fields.serial))
        return false;
    *issuer = fields.issuer;
    *serial = fields.serial;
    return true;
}

bool cert_find_subject(struct bytes der, struct bytes *subject)
{
    struct fields fields;
    if (take_fields(der, "", &fields, NULL) != ERR_OK)
        return false;
    *subject = fields.subject;
    return true;
}

enum err cert_name_cn(struct bytes name, char *out, size_t size)
{
    const unsigned char *end = name.ptr;
    crypto_begin();
    CLEANUP(x509_name_freep) X509_NAME *parsed = d2i_X509_NAME(NULL, &end, (long)name.len);
    if (parsed == NULL || end != name.ptr + name.len) {
        TRY(crypto_own_fault());
        return ERR_NOT_FOUND;
    }
    const int at = X509_NAME_get_index_by_NID(parsed, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(parsed, NID_commonName, at) >= 0)
        return ERR_NOT_FOUND;
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(parsed, at));
    const size_t len = (size_t)ASN1_STRING_length(value);
    const unsigned char *text = ASN1_STRING_get0_data(value);
    if (len >= size || memchr(text, '\0', len) != NULL)
        return ERR_NOT_FOUND;
    memcpy(out, text, len);
    out[len] = '\0';
    return ERR_OK;
}
