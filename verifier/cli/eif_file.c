#include "eif_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/fd_cleanup.h"
#include "common/openssl_cleanup.h"
#include "verifier/clock.h"

#define PIECE_LEN     (256 * 1024)
#define PROGRESS_STEP (UINT64_C(64) * 1024 * 1024)

/* ---- progress, for people who wait ---- */

struct progress {
    bool shown;
    uint64_t read;
    uint64_t next;
};

static void progress_add(struct progress *progress, size_t len)
{
    progress->read += len;
    if (progress->read < progress->next || isatty(STDERR_FILENO) == 0)
        return;
    fprintf(stderr, "\rread %" PRIu64 " MiB ", progress->read / (1024 * 1024));
    progress->shown = true;
    progress->next = progress->read + PROGRESS_STEP;
}

static void progress_end(struct progress *progress)
{
    if (progress->shown)
        fputs("\r                         \r", stderr);
}

/* ---- the file ---- */

static enum err read_piece(int fd, const char *name, struct buf *piece, struct fault *fault)
{
    ssize_t got = 0;
    do
        got = read(fd, piece->ptr, PIECE_LEN);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        FAIL(fault, ERR_FILE, "%s: %s", name, strerror(errno));
    piece->len = (size_t)got;
    return ERR_OK;
}

static enum err read_all(int fd, const char *name, struct eif *eif, EVP_MD_CTX *digest,
                         struct fault *fault)
{
    CLEANUP(buf_free) struct buf piece = {0};
    CLEANUP(progress_end) struct progress progress = {.next = PROGRESS_STEP};
    TRY(buf_reserve(&piece, PIECE_LEN));
    for (;;) {
        TRY(read_piece(fd, name, &piece, fault));
        if (piece.len == 0)
            return ERR_OK;
        TRY(eif_feed(eif, bytes_of_buf(&piece), fault));
        if (digest != NULL && EVP_DigestUpdate(digest, piece.ptr, piece.len) != 1)
            return crypto_failed();
        progress_add(&progress, piece.len);
    }
}

static enum err begin_sha256(EVP_MD_CTX **out)
{
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (digest == NULL)
        return crypto_no_memory();
    if (EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
        return crypto_failed();
    *out = TAKE(digest);
    return ERR_OK;
}

/* The values are right, whatever the time; but such an image does not start any more. */
static void warn_of_expiry(const struct eif_description *description)
{
    if (eif_signer_expired(description, clock_now_ms()))
        fputs("vouchsafe: warning: the signing certificate has expired: nitro-cli run-enclave does "
              "not start this image; PCR8 is the same\n",
              stderr);
}

enum err eif_file_read(const char *path, struct eif_description *out, uint8_t *sha256,
                       struct fault *fault)
{
    const bool from_stdin = strcmp(path, "-") == 0;
    const char *name = from_stdin ? "standard input" : path;
    CLEANUP(fd_close) int opened = from_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    const int fd = from_stdin ? STDIN_FILENO : opened;
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s: %s", name, strerror(errno));
    CLEANUP(eif_freep) struct eif *eif = NULL;
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *digest = NULL;
    TRY(eif_new(&eif));
    if (sha256 != NULL)
        TRY(begin_sha256(&digest));
    TRY(read_all(fd, name, eif, digest, fault));
    TRY(eif_finish(eif, out, fault));
    if (sha256 != NULL && EVP_DigestFinal_ex(digest, sha256, NULL) != 1) {
        eif_description_free(out);
        return crypto_failed();
    }
    warn_of_expiry(out);
    return ERR_OK;
}
