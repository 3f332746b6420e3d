/* Certificate signatures that have verified are not verified over and over: most of a
 * chain is the same in hundreds of thousands of cases, and this halves the run.
 *
 * The linker puts this in place of X509_verify in the libraries under test.  It answers
 * for the very bytes of a certificate under the very point of a key, and only with yes,
 * and only after OpenSSL has said so in this process; all else goes to OpenSSL. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"

enum { DIGEST_LEN = 32, POINT_MAX = 133, ENTRIES = 64 };

int __real_X509_verify(X509 *cert, EVP_PKEY *key);
int __wrap_X509_verify(X509 *cert, EVP_PKEY *key);

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
