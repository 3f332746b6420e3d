/* What OpenSSL has said of the very same bytes it is not asked over and over: most of a
 * chain is the same in hundreds of thousands of cases, and decoding its keys and
 * verifying its signatures would be two thirds of the run.
 *
 * The linker puts these in place of d2i_X509 and X509_verify in the libraries under test.
 * They answer only with yes, and only where OpenSSL has said so in this process: of the
 * very bytes of a certificate, and of these under the very point of a key.  All else goes
 * to OpenSSL: a certificate that was changed always does. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"

enum { DIGEST_LEN = 32, POINT_MAX = 133, ENTRIES = 64 };

X509 *__real_d2i_X509(X509 **out, const unsigned char **in, long len);
X509 *__wrap_d2i_X509(X509 **out, const unsigned char **in, long len);
int __real_X509_verify(X509 *cert, EVP_PKEY *key);
int __wrap_X509_verify(X509 *cert, EVP_PKEY *key);

/* What was decoded, the whole input, is kept; who asks again shares it, and only reads it. */
X509 *__wrap_d2i_X509(X509 **out, const unsigned char **in, long len)
{
    static struct {
        unsigned char digest[DIGEST_LEN];
        X509 *cert;
    } known[ENTRIES];
    static size_t next;
    const unsigned char *const der = *in;
    unsigned char now[DIGEST_LEN];
    if (out != NULL || len < 0 || EVP_Digest(der, (size_t)len, now, NULL, EVP_sha256(), NULL) != 1)
        return __real_d2i_X509(out, in, len);
    for (size_t i = 0; i < ENTRIES; i++) {
        if (known[i].cert != NULL && memcmp(known[i].digest, now, DIGEST_LEN) == 0 &&
            X509_up_ref(known[i].cert) == 1) {
            *in = der + len;
            return known[i].cert;
        }
    }
    X509 *cert = __real_d2i_X509(NULL, in, len);
    if (cert != NULL && *in == der + len && X509_up_ref(cert) == 1) {
        X509_free(known[next].cert);
        memcpy(known[next].digest, now, DIGEST_LEN);
        known[next].cert = cert;
        next = (next + 1) % ENTRIES;
    }
    return cert;
}

/* SHA-256 over the certificate's digest and the key's point. */
static bool memo_key(X509 *cert, EVP_PKEY *key, unsigned char out[static DIGEST_LEN])
{
    unsigned char both[DIGEST_LEN + POINT_MAX];
    size_t point_len = 0;
    unsigned char *der = NULL;
    const int der_len = i2d_X509(cert, &der);
    const bool hashed =
        der_len > 0 && EVP_Digest(der, (size_t)der_len, both, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return hashed &&
           EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, both + DIGEST_LEN,
                                           POINT_MAX, &point_len) == 1 &&
           EVP_Digest(both, DIGEST_LEN + point_len, out, NULL, EVP_sha256(), NULL) == 1;
}

int __wrap_X509_verify(X509 *cert, EVP_PKEY *key)
{
    static unsigned char known[ENTRIES][DIGEST_LEN];
    static size_t next;
    unsigned char now[DIGEST_LEN];
    if (!memo_key(cert, key, now))
        return __real_X509_verify(cert, key);
    for (size_t i = 0; i < ENTRIES; i++) {
        if (memcmp(known[i], now, DIGEST_LEN) == 0)
            return 1;
    }
    const int verified = __real_X509_verify(cert, key);
    if (verified == 1)
        memcpy(known[next++ % ENTRIES], now, DIGEST_LEN);
    return verified;
}
