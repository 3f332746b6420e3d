#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>

#include "common/openssl_cleanup.h"
#include "key_file.h"
#include "keyring.h"

static const char what[] = "issuer key";
static const char pem_begin[] = "-----BEGIN PRIVATE KEY-----";

#define FILE_MAX 4096 /* bytes; ours has 306 */

enum err issuer_key_create(const char *path, EVP_PKEY **out, struct fault *fault)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    CLEANUP(bio_freep) BIO *pem = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
    if (key == NULL || pem == NULL ||
        PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1) {
        ERR_clear_error();
        FAIL(fault, ERR_CRYPTO, "an issuer key could not be made");
    }
    char *text = NULL;
    const long len = BIO_get_mem_data(pem, &text);
    if (len <= 0)
        FAIL(fault, crypto_failed(), "an issuer key could not be made");
    TRY(key_file_create(what, path, bytes_of(text, (size_t)len), fault));
    *out = TAKE(key);
    return ERR_OK;
}

/* OpenSSL would otherwise ask for a password on the terminal.
 * NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's pem_password_cb */
static int no_password(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static bool is_good_p384(EVP_PKEY *key)
{
    char group[32] = {0};
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    return EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           strcmp(group, SN_secp384r1) == 0 && ctx != NULL && EVP_PKEY_check(ctx) == 1;
}

enum err issuer_key_load(const char *path, EVP_PKEY **out, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *file = NULL;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    TRY(key_file_read(what, path, KEY_FILE_PRIVATE, FILE_MAX, &file, fault));
    const struct bytes text = secret_view(file);
    if (text.len < sizeof pem_begin || memcmp(text.ptr, pem_begin, sizeof pem_begin - 1) != 0)
        FAIL(fault, ERR_CONFIG, "an issuer key file begins with %s (openssl pkcs8 -topk8): %s",
             pem_begin, path);
    CLEANUP(bio_freep) BIO *pem = BIO_new_mem_buf(text.ptr, (int)text.len);
    if (pem == NULL)
        return crypto_no_memory();
    crypto_begin();
    key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
    const bool good = key != NULL && is_good_p384(key);
    if (!good)
        TRY(crypto_own_fault());
    ERR_clear_error();
    if (!good)
        FAIL(fault, ERR_CONFIG, "there is no good P-384 private key in the issuer key file: %s",
             path);
    if (BIO_pending(pem) != 0)
        FAIL(fault, ERR_CONFIG, "an issuer key file holds one key and nothing after it: %s", path);
    *out = TAKE(key);
    return ERR_OK;
}
