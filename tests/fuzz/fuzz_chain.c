/* A chain of certificates: pieces of DER with their lengths, the leaf last; the pinned root
 * is the first certificate of the test's chain.  OpenSSL has nothing against what
 * chain_verify takes, and each certificate is signed by the test key of its place: nobody else's,
 * however the bytes came about. */
#include <openssl/evp.h>

#include "common/openssl_cleanup.h"
#include "fixed_chain.h"
#include "openssl_opinion.h"
#include "verifier/attest/chain.h"

/* Half a second past: OpenSSL's ends of validity are not inclusive, ours are. */
#define NOW_MS ((int64_t)FUZZ_TIME_MS + 500)

static void split(struct bytes in, struct attdoc *doc)
{
    struct bytes piece[ATTDOC_BUNDLE_MAX + 1] = {0};
    size_t count = 0;
    while (in.len > 0 && count < ARRAY_LEN(piece))
        piece[count++] = fuzz_take_chunk(&in);
    *doc = (struct attdoc){.cabundle_len = count == 0 ? 0 : count - 1};
    if (count > 0)
        doc->certificate = piece[count - 1];
    for (size_t i = 0; i < doc->cabundle_len; i++)
        doc->cabundle[i] = piece[i];
}

static void check_signed_here(struct bytes der, size_t place)
{
    const struct mkdoc_chain *chain = fuzz_chain();
    const unsigned char *p = der.ptr;
    CLEANUP(x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.len);
    bool any = false;
    FUZZ_HOLDS(x != NULL && place > 0);
    for (size_t i = 0; i + 1 < chain->len; i++)
        any = any || X509_verify(x, chain->key[i]) == 1;
    FUZZ_HOLDS(any);
}

static void check_valid(const struct attdoc *doc, struct bytes root, const EVP_PKEY *leaf_key,
                        const struct chain_validity *validity)
{
    FUZZ_HOLDS(leaf_key != NULL && bytes_equal(doc->cabundle[0], root));
    FUZZ_HOLDS(validity->from_ms <= NOW_MS && validity->until_ms >= NOW_MS);
    FUZZ_HOLDS(fuzz_openssl_opinion(doc, root, NOW_MS / 1000) != OPINION_INVALID);
    for (size_t i = 1; i < doc->cabundle_len; i++)
        check_signed_here(doc->cabundle[i], i);
    check_signed_here(doc->certificate, doc->cabundle_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct chain_cache *cache;
    const struct bytes root = bytes_of_buf(&fuzz_chain()->der[0]);
    struct attdoc doc;
    struct fault fault = FAULT_NONE;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key_again = NULL;
    struct chain_validity validity, again;
    enum chain_stage stage, stage_again;
    if (cache == NULL)
        FUZZ_OK(chain_cache_new(4, &cache));
    split(bytes_of(data, size), &doc);
    FUZZ_FILL(&validity);
    const enum err err = chain_verify(&doc, root, NOW_MS, 0, NULL, &key, &validity, &stage, &fault);
    FUZZ_CHECK(err, &fault, bytes_of(data, 0), &validity);
    FUZZ_HOLDS((err == ERR_OK) == (stage == CHAIN_DONE));
    /* What is kept of earlier chains changes no verdict. */
    FUZZ_HOLDS(chain_verify(&doc, root, NOW_MS, 0, cache, &key_again, &again, &stage_again, NULL) ==
               err);
    FUZZ_HOLDS(stage_again == stage);
    if (err == ERR_OK)
        check_valid(&doc, root, key, &validity);
    return 0;
}

/* One certificate remade under the key of its place, left out, doubled or exchanged. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const struct mkdoc_chain *chain = fuzz_chain();
    struct bytes in = bytes_of(data, size);
    struct bytes piece[MKDOC_CHAIN_MAX];
    size_t count = 0;
    CLEANUP(buf_free) struct buf whole = {0};
    CLEANUP(buf_free) struct buf remade = {0};
    while (in.len > 0 && count < ARRAY_LEN(piece))
        piece[count++] = fuzz_take_chunk(&in);
    if (count < 2 || fuzz_choose(&seed, 16) == 0) {
        for (count = 0; count < chain->len; count++)
            piece[count] = bytes_of_buf(&chain->der[count]);
    }
    const size_t at = fuzz_choose(&seed, (uint32_t)count);
    const size_t other = fuzz_choose(&seed, (uint32_t)count);
    const uint32_t choice = fuzz_choose(&seed, 16);
    if (choice == 0) {
        const struct bytes swap = piece[at];
        piece[at] = piece[other];
        piece[other] = swap;
    } else if (choice == 1) {
        piece[at] = bytes_of(NULL, 0);
    } else if (choice == 2) {
        piece[at] = piece[other];
    } else if (choice == 3) {
        return LLVMFuzzerMutate(data, size, max_size);
    } else if (fuzz_remake_certificate(piece[at], at, &seed, &remade)) {
        piece[at] = bytes_of_buf(&remade);
    }
    for (size_t i = 0; i < count; i++) {
        if (piece[i].len > 0)
            fuzz_put_chunk(&whole, piece[i]);
    }
    return fuzz_replace(data, size, max_size, &whole);
}
