/* One certificate.  What cert_parse takes is DER to OpenSSL as well, which writes the same
 * bytes again; names, serial and times are the ones that OpenSSL reads. */
#include <openssl/err.h>

#include "common/openssl_cleanup.h"
#include "fixed_chain.h"
#include "verifier/attest/cert.h"

static void check_extensions(const struct cert *cert, X509 *x)
{
    FUZZ_HOLDS(cert->is_ca == ((X509_get_extension_flags(x) & EXFLAG_CA) != 0));
    FUZZ_HOLDS(!cert->is_ca || cert->has_basic_constraints);
    FUZZ_HOLDS(cert->path_len == X509_get_pathlen(x) || cert->path_len > LONG_MAX);
    const uint32_t usage = X509_get_key_usage(x);
    FUZZ_HOLDS(!cert->has_key_usage || cert->may_sign == ((usage & KU_DIGITAL_SIGNATURE) != 0));
    FUZZ_HOLDS(!cert->has_key_usage || cert->may_sign_certs == ((usage & KU_KEY_CERT_SIGN) != 0));
}

static void check_against_openssl(const struct cert *cert, struct bytes der)
{
    CLEANUP(openssl_freep) uint8_t *again = NULL;
    CLEANUP(openssl_freep) uint8_t *subject = NULL;
    CLEANUP(openssl_freep) uint8_t *issuer = NULL;
    const unsigned char *p = der.ptr;
    CLEANUP(x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.len);
    FUZZ_HOLDS(x != NULL && p == der.ptr + der.len);
    FUZZ_HOLDS(X509_get_version(x) == X509_VERSION_3);
    FUZZ_HOLDS(X509_get_signature_nid(x) == NID_ecdsa_with_SHA384);
    const int subject_len = i2d_X509_NAME(X509_get_subject_name(x), &subject);
    const int issuer_len = i2d_X509_NAME(X509_get_issuer_name(x), &issuer);
    FUZZ_HOLDS(subject_len > 2 && bytes_equal(cert->subject, bytes_of(subject, subject_len)));
    FUZZ_HOLDS(issuer_len > 2 && bytes_equal(cert->issuer, bytes_of(issuer, issuer_len)));
    const time_t from = cert->from_ms / 1000;
    const time_t until = cert->until_ms / 1000;
    FUZZ_HOLDS(ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), from) == 0);
    FUZZ_HOLDS(ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), until) == 0);
    FUZZ_HOLDS(cert->from_ms <= cert->until_ms);
    /* Where OpenSSL cannot read another extension, it does not say what the two hold. */
    if ((X509_get_extension_flags(x) & EXFLAG_INVALID) == 0)
        check_extensions(cert, x);
    FUZZ_HOLDS(i2d_X509(x, &again) == (int)der.len && memcmp(again, der.ptr, der.len) == 0);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    struct fault fault = FAULT_NONE;
    struct cert cert;
    struct bytes subject;
    char cn[64];
    FUZZ_FILL(&cert);
    const enum err err = cert_parse(in, "certificate", &cert, &fault);
    FUZZ_CHECK(err, &fault, in, &cert);
    FUZZ_HOLDS(ERR_peek_error() == 0);
    const enum err named = cert_name_cn(in, cn, sizeof cn);
    FUZZ_HOLDS(named == ERR_OK || named == ERR_NOT_FOUND);
    const bool found = cert_find_subject(in, &subject);
    FUZZ_HOLDS(!found || fuzz_within(subject, in));
    if (err != ERR_OK) {
        FUZZ_HOLDS(strcmp(fault.field, "certificate") == 0);
        return 0;
    }
    FUZZ_HOLDS(found && bytes_equal(subject, cert.subject));
    FUZZ_HOLDS(fuzz_within(cert.serial, in) && cert.serial.len <= CERT_SERIAL_MAX);
    FUZZ_HOLDS(fuzz_within(cert.subject, in) && fuzz_within(cert.issuer, in));
    const enum err ca = cert_check_ca(&cert, "certificate", &fault);
    FUZZ_HOLDS(ca == ERR_OK ? cert.is_ca && cert.may_sign_certs : fault.code == ca);
    if (cert_name_cn(cert.subject, cn, sizeof cn) == ERR_OK)
        FUZZ_HOLDS(strlen(cn) < sizeof cn);
    check_against_openssl(&cert, in);
    cert_free(&cert);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const struct mkdoc_chain *chain = fuzz_chain();
    CLEANUP(buf_free) struct buf whole = {0};
    const uint32_t choice = fuzz_choose(&seed, 32);
    if (choice == 0)
        FUZZ_OK(buf_append(&whole,
                           bytes_of_buf(&chain->der[fuzz_choose(&seed, (uint32_t)chain->len)])));
    else if (choice < 24)
        fuzz_mutate_der(bytes_of(data, size), &seed, &whole);
    if (whole.len == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    return fuzz_replace(data, size, max_size, &whole);
}
