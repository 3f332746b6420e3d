/* CLEANUP for OpenSSL's objects: one name for each type, wherever one is owned by a
 * function; and what a failed call of OpenSSL's leaves behind.  Not for public headers:
 * OpenSSL's come with it. */
#ifndef VOUCHSAFE_OPENSSL_CLEANUP_H
#define VOUCHSAFE_OPENSSL_CLEANUP_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/x509v3.h>
#include <stdint.h>

#include "err.h"
#include "out_of_memory.h"

CLEANUP_PTR(BIGNUM, BN_free, bn_freep)
CLEANUP_PTR(BIO, BIO_free_all, bio_freep)
CLEANUP_PTR(ECDSA_SIG, ECDSA_SIG_free, ecdsa_sig_freep)
CLEANUP_PTR(EVP_KDF, EVP_KDF_free, evp_kdf_freep)
CLEANUP_PTR(EVP_KDF_CTX, EVP_KDF_CTX_free, evp_kdf_ctx_freep)
CLEANUP_PTR(EVP_MD_CTX, EVP_MD_CTX_free, evp_md_ctx_freep)
CLEANUP_PTR(EVP_PKEY, EVP_PKEY_free, evp_pkey_freep)
CLEANUP_PTR(EVP_PKEY_CTX, EVP_PKEY_CTX_free, evp_pkey_ctx_freep)
CLEANUP_PTR(X509, X509_free, x509_freep)
CLEANUP_PTR(X509_NAME, X509_NAME_free, x509_name_freep)
CLEANUP_PTR(ASN1_BIT_STRING, ASN1_BIT_STRING_free, asn1_bit_string_freep)
CLEANUP_PTR(BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free, basic_constraints_freep)
/* What an i2d function or EVP_PKEY_get1_* has allocated. */
CLEANUP_PTR(uint8_t, OPENSSL_free, openssl_freep)

/* Before a call whose failure crypto_own_fault is to judge: forgets what was before. */
static inline void crypto_begin(void)
{
    ERR_clear_error();
    (void)out_of_memory_seen();
}

/* Whether a call that failed over a stranger's bytes failed for reasons of our own: that
 * memory was refused, whether or not OpenSSL says so, or what it calls fatal, which is no
 * input's doing.  Gives ERR_NO_MEMORY, ERR_CRYPTO for the rest of them, or ERR_OK where there
 * was nothing of the kind: then it is the input.  The queue is emptied: what is left there
 * would be taken for a later failure of somebody else's, TLS's for one.  So it was to be
 * empty before the call, too: crypto_begin. */
static inline MUST_CHECK enum err crypto_own_fault(void)
{
    enum err own = out_of_memory_seen() ? ERR_NO_MEMORY : ERR_OK;
    for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
            own = ERR_NO_MEMORY;
        else if (ERR_FATAL_ERROR(code) && own == ERR_OK)
            own = ERR_CRYPTO;
    }
    return own;
}

/* For a call to OpenSSL that does not fail for its input: gives ERR_NO_MEMORY where the
 * queue says so, else ERR_CRYPTO, and empties it. */
static inline enum err crypto_failed(void)
{
    return crypto_own_fault() == ERR_NO_MEMORY ? ERR_NO_MEMORY : ERR_CRYPTO;
}

/* The same for one that fails for want of memory alone: gives ERR_NO_MEMORY. */
static inline enum err crypto_no_memory(void)
{
    crypto_begin();
    return ERR_NO_MEMORY;
}

#endif
