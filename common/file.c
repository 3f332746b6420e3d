#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd_cleanup.h"

#define READ_LEN 65536 /* at a time */

enum err file_read_from(int fd, const char *name, size_t max_len, struct buf *out,
                        struct fault *fault)
{
    CLEANUP(buf_free) struct buf content = {0};
    while (content.len < max_len) {
        const size_t left = max_len - content.len;
        const size_t want = left < READ_LEN ? left : READ_LEN;
        TRY(buf_reserve(&content, want));
        const ssize_t got = read(fd, content.ptr + content.len, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            FAIL(fault, ERR_FILE, "%s: %s", name, strerror(errno));
        if (got == 0)
            break;
        content.len += (size_t)got;
    }
    buf_free(out);
    buf_move(out, &content);
    return ERR_OK;
}

enum err file_read(const char *path, size_t max_len, struct buf *out, struct fault *fault)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    return file_read_from(fd, path, max_len, out, fault);
}

enum err file_sync_directory(const char *path, struct fault *fault)
{
    char *copy = strdup(path); /* dirname writes into it */
    if (copy == NULL)
        return ERR_NO_MEMORY;
    CLEANUP(fd_close) int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int error = fd < 0 || fsync(fd) != 0 ? errno : 0;
    free(copy);
    if (error != 0)
        FAIL(fault, ERR_FILE, "the directory of %s cannot be synced: %s", path, strerror(error));
    return ERR_OK;
}
