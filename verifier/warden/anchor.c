#include "anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/file.h"

#define ANCHOR_SIZE 160
#define PATH_LEN    4096

static void format_anchor(const struct anchor *a, char text[static ANCHOR_SIZE])
{
    char id[2 * PROTOCOL_STORE_ID_LEN + 1];
    hex_encode(bytes_of(a->store_id, sizeof a->store_id), id);
    snprintf(text, ANCHOR_SIZE, "store %s\nrevision %" PRIu64 "\nsequence %" PRIu64 "\n", id,
             a->revision, a->sequence);
}

static enum err parse_anchor(const char *path, const char *text, struct anchor *out,
                             struct fault *fault)
{
    char id[2 * PROTOCOL_STORE_ID_LEN + 1] = "";
    char again[ANCHOR_SIZE];
    struct anchor a = {0};
    /* Written again it must be the same text: one form, nothing before or after, no number
     * that ran over.  NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(text, "store %32[0-9a-f]\nrevision %" SCNu64 "\nsequence %" SCNu64, id, &a.revision,
               &a.sequence) == 3 &&
        hex_decode(bytes_of_text(id), a.store_id, sizeof a.store_id) == ERR_OK) {
        format_anchor(&a, again);
        if (strcmp(again, text) == 0) {
            *out = a;
            return ERR_OK;
        }
    }
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "anchor_file"), ERR_CONFIG,
         "%s is no anchor file: it is not in the form that this program writes", path);
}

static enum err read_anchor(const char *path, struct anchor *out, struct fault *fault)
{
    char text[ANCHOR_SIZE + 1];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    if (fd < 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "anchor_file"), ERR_FILE, "%s cannot be read: %s",
             path, strerror(errno));
    const ssize_t len = read(fd, text, ANCHOR_SIZE);
    close(fd);
    if (len < 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "anchor_file"), ERR_FILE, "%s cannot be read", path);
    text[len] = '\0';
    return parse_anchor(path, text, out, fault);
}

enum err anchor_check(const char *path, const struct anchor *now, struct fault *fault)
{
    struct anchor kept;
    TRY(read_anchor(path, &kept, fault));
    if (memcmp(kept.store_id, now->store_id, sizeof kept.store_id) != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "anchor_file"), ERR_CONFIG,
             "%s belongs to another store", path);
    if (now->revision < kept.revision || now->sequence < kept.sequence)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "anchor_file"), ERR_STORE_TAMPERED,
             "the database is at revision %" PRIu64 ", record %" PRIu64 "; this server had come "
             "to %" PRIu64 " and %" PRIu64 ": an older copy was put back. If that was you, "
             "remove %.40s",
             now->revision, now->sequence, kept.revision, kept.sequence, path);
    return ERR_OK;
}

static bool write_whole(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    const size_t len = strlen(text);
    const bool written = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    return close(fd) == 0 && written;
}

enum err anchor_write(const char *path, const struct anchor *now, struct fault *fault)
{
    char text[ANCHOR_SIZE];
    char next[PATH_LEN];
    format_anchor(now, text);
    if ((size_t)snprintf(next, sizeof next, "%s.next", path) >= sizeof next)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "anchor_file"), ERR_CONFIG, "the path is too long");
    if (!write_whole(next, text) || rename(next, path) != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "anchor_file"), ERR_FILE, "%s cannot be written: %s",
             path, strerror(errno));
    return file_sync_directory(path, fault_at(fault, FAULT_NO_OFFSET, "anchor_file"));
}
