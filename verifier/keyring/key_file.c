#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd_cleanup.h"
#include "common/file.h"

/* The owner first: a file of somebody else's is no key of ours whatever its mode. */
static enum err check_file(const char *what, const char *path, int fd, mode_t forbidden,
                           struct fault *fault)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        FAIL(fault, ERR_FILE, "the %s file cannot be examined (%s): %s", what, strerror(errno),
             path);
    if (!S_ISREG(st.st_mode))
        FAIL(fault, ERR_CONFIG, "the %s is not in a regular file: %s", what, path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        FAIL(fault, ERR_CONFIG,
             "the %s file belongs to user %ju, neither root nor this program's (%ju); chown it: %s",
             what, (uintmax_t)st.st_uid, (uintmax_t)geteuid(), path);
    if ((st.st_mode & forbidden) != 0)
        FAIL(fault, ERR_CONFIG,
             "the %s file has mode %04o, which is open to others than its owner; chmod 600 %s",
             what, (unsigned)(st.st_mode & 07777), path);
    return ERR_OK;
}

enum err key_file_read(const char *what, const char *path, mode_t forbidden, size_t max_len,
                       struct secret **out, struct fault *fault)
{
    /* O_NONBLOCK: a FIFO must not hang the start before it is found to be one. */
    CLEANUP(fd_close)
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP)
        FAIL(fault, ERR_CONFIG, "the %s file is a symbolic link; name the file itself: %s", what,
             path);
    if (fd < 0)
        FAIL(fault, ERR_CONFIG, "the %s file cannot be opened (%s): %s", what, strerror(errno),
             path);
    TRY(check_file(what, path, fd, forbidden, fault));
    const enum err err = secret_new_from_fd(fd, max_len, out);
    if (err == ERR_TOO_LARGE)
        FAIL(fault, ERR_CONFIG, "the %s file has more than %zu bytes: %s", what, max_len, path);
    if (err == ERR_FILE)
        FAIL(fault, ERR_FILE, "the %s file cannot be read (%s): %s", what, strerror(errno), path);
    return err;
}

/* On failure errno tells why. */
static bool write_all(int fd, struct bytes content)
{
    size_t done = 0;
    while (done < content.len) {
        const ssize_t n = write(fd, content.ptr + done, content.len - done);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            done += (size_t)n;
    }
    return true;
}

enum err key_file_create(const char *what, const char *path, struct bytes content,
                         struct fault *fault)
{
    CLEANUP(fd_close)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0 && errno == EEXIST)
        FAIL(fault, ERR_EXISTS, "the %s file exists, and is not overwritten: %s", what, path);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "the %s file cannot be made (%s): %s", what, strerror(errno), path);
    /* fchmod: an odd umask may have taken the owner's bits too. */
    enum err err = ERR_OK;
    if (fchmod(fd, 0600) != 0 || !write_all(fd, content) || fsync(fd) != 0)
        err = fault_set(fault, ERR_FILE, "the %s file cannot be written (%s): %s", what,
                        strerror(errno), path);
    if (err == ERR_OK)
        err = file_sync_directory(path, fault);
    if (err != ERR_OK)
        unlink(path); /* ours: O_EXCL */
    return err;
}
