/* A root as `--root` names it: PEM.  What is taken is one certificate that OpenSSL reads there
 * as well, a CA signed by its own key on P-384; and its digest is the one that is told. */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/openssl_cleanup.h"
#include "fixed_chain.h"
#include "verifier/attest/attest.h"

static size_t count(const char *text, const char *word)
{
    size_t found = 0;
    for (; (text = strstr(text, word)) != NULL; text++)
        found++;
    return found;
}

/* Nobody is asked on a terminal.
 * NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's pem_password_cb */
static int no_passphrase(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static void check_against_openssl(const char *pem, const struct attest_trust *trust)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(pem, -1);
    CLEANUP(openssl_freep) uint8_t *der = NULL;
    uint8_t digest[SHA256_LEN];
    char group[16] = "";
    FUZZ_HOLDS(bio != NULL);
    CLEANUP(x509_freep) X509 *x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    FUZZ_HOLDS(x != NULL && X509_verify(x, X509_get0_pubkey(x)) == 1);
    FUZZ_HOLDS(X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0);
    /* Where OpenSSL cannot read another extension, it has no opinion on this one. */
    FUZZ_HOLDS((X509_get_extension_flags(x) & EXFLAG_INVALID) != 0 || X509_check_ca(x) == 1);
    FUZZ_HOLDS(EVP_PKEY_get_group_name(X509_get0_pubkey(x), group, sizeof group, NULL) == 1);
    FUZZ_HOLDS(strcmp(group, "secp384r1") == 0);
    const int len = i2d_X509(x, &der);
    FUZZ_HOLDS(len > 0 && len <= ATTDOC_CERT_MAX);
    FUZZ_OK(digest_sha256(bytes_of(der, (size_t)len), digest));
    FUZZ_HOLDS(memcmp(attest_trust_root_sha256(trust), digest, sizeof digest) == 0);
    FUZZ_HOLDS(count(pem, "-----BEGIN CERTIFICATE-----") == 1);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    struct fault fault = FAULT_NONE;
    FUZZ_OK(buf_append(&pem, bytes_of(data, size)));
    const char *text = buf_text(&pem); /* up to a NUL, as an operator's file would be */
    FUZZ_HOLDS(text != NULL);
    const enum err err = attest_trust_new(text, 0, NULL, &trust, &fault);
    fuzz_check(err, &fault, 0, size, NULL, 0);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_CONFIG);
    FUZZ_HOLDS((err == ERR_OK) == (trust != NULL) && ERR_peek_error() == 0);
    if (err == ERR_OK)
        check_against_openssl(text, trust);
    else
        FUZZ_HOLDS(strcmp(fault.field, "root") == 0);
    return 0;
}

static void put_pem(struct bytes der, struct buf *out)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    FUZZ_HOLDS(bio != NULL && PEM_write_bio(bio, PEM_STRING_X509, "", der.ptr, (long)der.len) > 0);
    const long len = BIO_get_mem_data(bio, &text);
    FUZZ_HOLDS(len > 0);
    FUZZ_OK(buf_append(out, bytes_of(text, (size_t)len)));
}

/* The test's root, or what stands there, changed and signed again by its own key. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    CLEANUP(buf_free) struct buf whole = {0};
    CLEANUP(buf_free) struct buf remade = {0};
    CLEANUP(openssl_freep) uint8_t *der = NULL;
    long len = 0;
    if (size > 1 && fuzz_choose(&seed, 4) == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(data, (int)size);
    struct bytes root = bytes_of_buf(&fuzz_chain()->der[0]);
    if (bio != NULL && fuzz_choose(&seed, 8) > 0 &&
        PEM_bytes_read_bio(&der, &len, NULL, PEM_STRING_X509, bio, no_passphrase, NULL) == 1)
        root = bytes_of(der, (size_t)len);
    ERR_clear_error();
    if (fuzz_remake_certificate(root, 0, &seed, &remade))
        root = bytes_of_buf(&remade);
    put_pem(root, &whole);
    if (fuzz_choose(&seed, 16) == 0)
        put_pem(root, &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
