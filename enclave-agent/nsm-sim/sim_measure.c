#include "sim_measure.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/fd_cleanup.h"
#include "common/openssl_cleanup.h"

enum err sim_measure_file(const char *path, uint8_t digest[static SHA384_LEN], struct fault *fault)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s cannot be opened: %s", path, strerror(errno));
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) != 1)
        return ERR_CRYPTO;
    uint8_t block[16384];
    for (;;) {
        const ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            FAIL(fault, ERR_FILE, "%s cannot be read: %s", path, strerror(errno));
        if (n == 0)
            break;
        if (EVP_DigestUpdate(ctx, block, (size_t)n) != 1)
            return ERR_CRYPTO;
    }
    return EVP_DigestFinal_ex(ctx, digest, NULL) == 1 ? ERR_OK : ERR_CRYPTO;
}

/* A PCR that was zero, extended once. */
static enum err extend_zero(struct bytes data, uint8_t out[static ATTDOC_PCR_LEN])
{
    static const uint8_t zero[ATTDOC_PCR_LEN];
    CLEANUP(buf_free) struct buf both = {0};
    TRY(buf_append(&both, bytes_of(zero, sizeof zero)));
    TRY(buf_append(&both, data));
    return digest_sha384(bytes_of_buf(&both), out);
}

static enum err extend_zero_by_digest(const char *label, struct bytes more,
                                      uint8_t out[static ATTDOC_PCR_LEN])
{
    uint8_t digest[SHA384_LEN];
    CLEANUP(buf_free) struct buf labelled = {0};
    TRY(buf_append_text(&labelled, label));
    TRY(buf_append(&labelled, more));
    TRY(digest_sha384(bytes_of_buf(&labelled), digest));
    return extend_zero(bytes_of(digest, sizeof digest), out);
}

enum err sim_measure_image(const uint8_t digest[static SHA384_LEN],
                           uint8_t pcr[static 3][ATTDOC_PCR_LEN])
{
    const struct bytes image = bytes_of(digest, SHA384_LEN);
    TRY(extend_zero(image, pcr[0]));
    TRY(extend_zero_by_digest("vouchsafe-nsm-sim kernel", bytes_of("", 0), pcr[1]));
    return extend_zero_by_digest("vouchsafe-nsm-sim application", image, pcr[2]);
}

enum err sim_measure_boot(const uint8_t digest[static SHA384_LEN], uint8_t pcr4[ATTDOC_PCR_LEN],
                          uint8_t pcr7[ATTDOC_PCR_LEN])
{
    TRY(extend_zero(bytes_of(digest, SHA384_LEN), pcr4));
    return extend_zero_by_digest("vouchsafe-nsm-sim secure boot", bytes_of("", 0), pcr7);
}

enum err sim_measure_instance(const char *module_id, uint8_t pcr4[ATTDOC_PCR_LEN])
{
    return extend_zero(attdoc_instance(bytes_of_text(module_id)), pcr4);
}

static enum err append_pcr(struct buf *json, unsigned index, const uint8_t *value)
{
    TRY(buf_append_format(json, ",\n    \"PCR%u\": \"", index));
    TRY(hex_append(json, bytes_of(value, ATTDOC_PCR_LEN)));
    return buf_append_text(json, "\"");
}

enum err sim_measure_json(enum attdoc_kind kind,
                          const uint8_t pcr[static ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN],
                          struct buf *json)
{
    static const unsigned enclave[] = {0, 1, 2};
    static const unsigned boot[] = {4, 7, 12};
    const bool tpm = kind == ATTDOC_NITROTPM;
    TRY(buf_append_format(json, "{\n  \"Measurements\": {\n    \"HashAlgorithm\": \"%s\"",
                          tpm ? "SHA384" : "Sha384 { ... }"));
    for (size_t n = 0; n < ARRAY_LEN(enclave); n++) {
        const unsigned i = tpm ? boot[n] : enclave[n];
        TRY(append_pcr(json, i, pcr[i]));
    }
    if (!tpm && !bytes_all_zero(bytes_of(pcr[8], ATTDOC_PCR_LEN)))
        TRY(append_pcr(json, 8, pcr[8]));
    return buf_append_text(json, "\n  }\n}\n");
}
