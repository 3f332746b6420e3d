#include "openssl_opinion.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "common/openssl_cleanup.h"
#include "fuzz.h"

static int issued_by_name(X509_STORE_CTX *ctx, X509 *subject, X509 *issuer)
{
    (void)ctx;
    return X509_NAME_cmp(X509_get_issuer_name(subject), X509_get_subject_name(issuer)) == 0;
}

static X509 *read_certificate(struct bytes der)
{
    const unsigned char *p = der.ptr;
    return d2i_X509(NULL, &p, (long)der.len);
}

static bool unreadable(X509 *x)
{
    return (X509_get_extension_flags(x) & EXFLAG_INVALID) != 0;
}

enum opinion fuzz_openssl_opinion(const struct attdoc *doc, struct bytes root_der, int64_t at_s)
{
    CLEANUP(x509_freep) X509 *root = read_certificate(root_der);
    CLEANUP(x509_freep) X509 *leaf = read_certificate(doc->certificate);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *bundle = sk_X509_new_null();
    FUZZ_HOLDS(root != NULL && store != NULL && ctx != NULL && bundle != NULL);
    bool whole = leaf != NULL;
    bool readable = leaf == NULL || !unreadable(leaf);
    for (size_t i = 1; i < doc->cabundle_len; i++) {
        X509 *ca = read_certificate(doc->cabundle[i]);
        whole = whole && ca != NULL;
        readable = readable && (ca == NULL || !unreadable(ca));
        if (ca != NULL)
            FUZZ_HOLDS(sk_X509_push(bundle, ca) > 0);
    }
    FUZZ_HOLDS(X509_STORE_add_cert(store, root) == 1);
    X509_STORE_set_check_issued(store, issued_by_name);
    enum opinion opinion = whole ? OPINION_NONE : OPINION_INVALID;
    if (whole && readable) {
        FUZZ_HOLDS(X509_STORE_CTX_init(ctx, store, leaf, bundle) == 1);
        X509_STORE_CTX_set_time(ctx, 0, (time_t)at_s);
        opinion = X509_verify_cert(ctx) == 1 ? OPINION_VALID : OPINION_INVALID;
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_pop_free(bundle, X509_free);
    ERR_clear_error();
    return opinion;
}
