#include "eif_digest.h"

#include <openssl/evp.h>

#include "common/cose_sign1.h"
#include "common/openssl_cleanup.h"

static enum err begin(EVP_MD_CTX **out)
{
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL)
        return crypto_no_memory();
    if (EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) != 1)
        return crypto_failed();
    *out = TAKE(ctx);
    return ERR_OK;
}

enum err eif_digest_init(struct eif_digest *digest)
{
    *digest = (struct eif_digest){0};
    TRY(begin(&digest->image));
    return begin(&digest->application);
}

void eif_digest_free(struct eif_digest *digest)
{
    EVP_MD_CTX_free(digest->image);
    EVP_MD_CTX_free(digest->bootstrap);
    EVP_MD_CTX_free(digest->application);
    *digest = (struct eif_digest){0};
}

enum err eif_digest_section(struct eif_digest *digest, enum eif_content content)
{
    digest->current = content;
    if (content != EIF_RAMDISK || ++digest->ramdisks != 2)
        return ERR_OK;
    /* From here on PCR1 is without what PCR0 takes in. */
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (copy == NULL)
        return crypto_no_memory();
    if (EVP_MD_CTX_copy_ex(copy, digest->image) != 1)
        return crypto_failed();
    digest->bootstrap = TAKE(copy);
    return ERR_OK;
}

static enum err update(EVP_MD_CTX *ctx, struct bytes piece)
{
    if (piece.len > 0 && EVP_DigestUpdate(ctx, piece.ptr, piece.len) != 1)
        return crypto_failed();
    return ERR_OK;
}

enum err eif_digest_update(struct eif_digest *digest, struct bytes piece)
{
    TRY(update(digest->image, piece));
    if (digest->current == EIF_RAMDISK && digest->ramdisks > 1)
        return update(digest->application, piece);
    if (digest->bootstrap != NULL) /* a cmdline behind the ramdisks */
        return update(digest->bootstrap, piece);
    return ERR_OK;
}

/* Extends an empty register by a digest. */
static enum err extend(const uint8_t content[static SHA384_LEN], uint8_t out[static ATTDOC_PCR_LEN])
{
    uint8_t both[ATTDOC_PCR_LEN + SHA384_LEN] = {0};
    memcpy(both + ATTDOC_PCR_LEN, content, SHA384_LEN);
    return digest_sha384(bytes_of(both, sizeof both), out);
}

static enum err finish(EVP_MD_CTX *ctx, uint8_t out[static ATTDOC_PCR_LEN])
{
    uint8_t content[SHA384_LEN];
    if (EVP_DigestFinal_ex(ctx, content, NULL) != 1)
        return crypto_failed();
    return extend(content, out);
}

enum err eif_digest_finish(struct eif_digest *digest, uint8_t pcr[3][ATTDOC_PCR_LEN])
{
    TRY(finish(digest->image, pcr[0]));
    if (digest->bootstrap == NULL)
        memcpy(pcr[1], pcr[0], ATTDOC_PCR_LEN);
    else
        TRY(finish(digest->bootstrap, pcr[1]));
    return finish(digest->application, pcr[2]);
}

enum err eif_digest_pcr(struct bytes content, uint8_t out[static ATTDOC_PCR_LEN])
{
    uint8_t digest[SHA384_LEN];
    TRY(digest_sha384(content, digest));
    return extend(digest, out);
}
