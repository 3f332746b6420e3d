#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */
#include "deliver.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/cose_sign1.h"
#include "common/fd_cleanup.h"

#define PATH_TEXT_MAX 4096

void deliver_variable(const char *name, char out[static DELIVER_VARIABLE_MAX])
{
    size_t len = 0;
    if (isdigit((unsigned char)name[0]))
        out[len++] = '_';
    for (; *name != '\0' && len < DELIVER_VARIABLE_MAX - sizeof "_FILE"; name++)
        out[len++] = (char)(isalnum((unsigned char)*name) ? toupper((unsigned char)*name) : '_');
    memcpy(out + len, "_FILE", sizeof "_FILE");
}

enum err deliver_write(int fd, const char *what, const struct secret *value, struct fault *fault)
{
    struct bytes left = secret_view(value);
    while (left.len > 0) {
        const ssize_t done = write(fd, left.ptr, left.len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            FAIL(fault, ERR_DELIVER, "%s: %s", what, strerror(errno));
        left = bytes_of(left.ptr + done, left.len - (size_t)done);
    }
    return ERR_OK;
}

/* A program started with standard descriptors closed must not find a secret in their
 * place, and print into it or close it. */
static enum err move_up(int *fd, struct fault *fault)
{
    if (*fd > STDERR_FILENO)
        return ERR_OK;
    const int moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0)
        FAIL(fault, ERR_DELIVER, "no descriptor: %s", strerror(errno));
    close(*fd);
    *fd = moved;
    return ERR_OK;
}

enum err deliver_memfd(const char *name, const struct secret *value, int *fd, struct fault *fault)
{
    char label[64]; /* shown in /proc; a longer name is cut */
    snprintf(label, sizeof label, "%s", name);
    CLEANUP(fd_close) int memfd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memfd < 0)
        FAIL(fault, ERR_DELIVER, "%.60s: no memory file: %s", name, strerror(errno));
    TRY(move_up(&memfd, fault));
    TRY(deliver_write(memfd, label, value, fault));
    /* Readable for whoever holds it: a program that gives up root after its start opens
     * /proc/self/fd/N as somebody else.  No one but its holders can reach it. */
    if (fchmod(memfd, 0444) != 0 ||
        fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        FAIL(fault, ERR_DELIVER, "%.60s: the memory file cannot be sealed: %s", name,
             strerror(errno));
    /* Whoever reads the descriptor itself, and not its path, begins at the beginning. */
    if (lseek(memfd, 0, SEEK_SET) != 0)
        FAIL(fault, ERR_DELIVER, "%.60s: %s", name, strerror(errno));
    *fd = memfd;
    memfd = -1;
    return ERR_OK;
}

enum err deliver_inherit(int fd, struct fault *fault)
{
    const int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) != 0)
        FAIL(fault, ERR_DELIVER, "a secret's descriptor cannot be inherited: %s", strerror(errno));
    return ERR_OK;
}

/* A regular file is replaced; a link, device or folder of that name is somebody's. */
static enum err check_target(int dir, const char *name, const char *shown, struct fault *fault)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return ERR_OK;
        FAIL(fault, ERR_DELIVER, "%s: %s", shown, strerror(errno));
    }
    if (!S_ISREG(st.st_mode))
        FAIL(fault, ERR_DELIVER, "%s is there and is no regular file", shown);
    return ERR_OK;
}

/* Before the owner can reach it: until then it is the agent's own, and nobody else's. */
static enum err set_access(int fd, const char *shown, const struct deliver_access *access,
                           struct fault *fault)
{
    if (fchmod(fd, access->mode) != 0)
        FAIL(fault, ERR_DELIVER, "%s: %s", shown, strerror(errno));
    if (access->uid == DELIVER_OWN && access->gid == DELIVER_OWN)
        return ERR_OK;
    if (fchown(fd, access->uid, access->gid) != 0)
        FAIL(fault, ERR_DELIVER,
             "%.120s cannot be given to its owner: %s; the agent must be root for that", shown,
             strerror(errno));
    return ERR_OK;
}

/* Where the file `name` is written, beside it.  Its own name makes it: what a writer that was
 * killed left there is found again, by the next one and by deliver_remove.  It begins with a dot,
 * which no secret's name does. */
#define BESIDE_PREFIX ".vouchsafe-"
#define BESIDE_DIGITS 16
#define BESIDE_MAX    (sizeof BESIDE_PREFIX + BESIDE_DIGITS)
static enum err beside(const char *name, char out[static BESIDE_MAX], struct fault *fault)
{
    uint8_t digest[SHA256_LEN];
    if (digest_sha256(bytes_of_text(name), digest) != ERR_OK)
        FAIL(fault, ERR_DELIVER, "no digest for a temporary name");
    memcpy(out, BESIDE_PREFIX, sizeof BESIDE_PREFIX);
    hex_encode(bytes_of(digest, BESIDE_DIGITS / 2), out + sizeof BESIDE_PREFIX - 1);
    return ERR_OK;
}

/* One writer at a time, until the folder's descriptor is closed: two of one name would take each
 * other's file away, or put one in its place that is half written.  A file system without locks
 * is no reason to deliver nothing. */
#define LOCK_TRIES 500
static enum err lock_folder(int dir, const char *shown, struct fault *fault)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    for (unsigned i = 0; flock(dir, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; i++) {
        if (i == LOCK_TRIES)
            FAIL(fault, ERR_DELIVER,
                 "%.120s: another process has locked its folder (flock) for 5 s: let it lock "
                 "a file of its own",
                 shown);
        nanosleep(&pause, NULL);
    }
    return ERR_OK;
}

/* Writes beside the target and renames. */
static enum err write_beside(int dir, const char *name, const char *shown,
                             const struct deliver_access *access, const struct secret *value,
                             struct fault *fault)
{
    TRY(check_target(dir, name, shown, fault));
    TRY(lock_folder(dir, shown, fault));
    char temporary[BESIDE_MAX];
    TRY(beside(name, temporary, fault));
    unlinkat(dir, temporary, 0); /* where something stays, O_EXCL sees it */
    CLEANUP(fd_close)
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        FAIL(fault, ERR_DELIVER, "%s: %s", shown, strerror(errno));
    enum err err = deliver_write(fd, shown, value, fault);
    if (err == ERR_OK)
        err = set_access(fd, shown, access, fault);
    if (err == ERR_OK && renameat(dir, temporary, dir, name) != 0)
        err = fault_set(fault, ERR_DELIVER, "%s: %s", shown, strerror(errno));
    if (err != ERR_OK)
        unlinkat(dir, temporary, 0);
    return err;
}

static enum err open_folder(int parent, const char *name, const char *shown, int *out,
                            struct fault *fault)
{
    if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
        FAIL(fault, ERR_DELIVER, "%s: the folder %s cannot be made: %s%s", shown, name,
             strerror(errno), errno == ENOENT ? "; the one above it must be in the image" : "");
    const int nofollow = parent == AT_FDCWD ? 0 : O_NOFOLLOW;
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow);
    if (fd < 0)
        FAIL(fault, ERR_DELIVER, "%s: %s", shown, strerror(errno));
    *out = fd;
    return ERR_OK;
}

enum err deliver_file(const char *dir, const char *name, const struct secret *value,
                      struct fault *fault)
{
    char shown[PATH_TEXT_MAX];
    if (snprintf(shown, sizeof shown, "%s/%s", dir, name) >= (int)sizeof shown)
        FAIL(fault, ERR_DELIVER, "the path of %.60s is too long", name);
    CLEANUP(fd_close) int folder = -1;
    TRY(open_folder(AT_FDCWD, dir, shown, &folder, fault));
    /* The name's segments but the last are folders; none of them can be "..". */
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(name, '/')) {
        char segment[PROTOCOL_NAME_MAX + 1];
        snprintf(segment, sizeof segment, "%.*s", (int)(slash - name), name);
        int inner = -1;
        TRY(open_folder(folder, segment, shown, &inner, fault));
        close(folder);
        folder = inner;
        name = slash + 1;
    }
    static const struct deliver_access own = {.mode = 0400, .uid = DELIVER_OWN, .gid = DELIVER_OWN};
    return write_beside(folder, name, shown, &own, value, fault);
}

bool deliver_holds(const char *path, const struct secret *value)
{
    struct stat st;
    CLEANUP(secret_freep) struct secret *found = NULL;
    const struct bytes expected = secret_view(value);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        secret_new_from_fd(fd, expected.len, &found) != ERR_OK)
        return false;
    const struct bytes view = secret_view(found);
    return view.len == expected.len && CRYPTO_memcmp(view.ptr, expected.ptr, view.len) == 0;
}

/* The folder, with the last slash, and the name in it. */
static enum err split(const char *path, char dir[static PATH_TEXT_MAX], const char **name,
                      struct fault *fault)
{
    const char *slash = strrchr(path, '/');
    *name = slash == NULL ? path : slash + 1;
    if (snprintf(dir, PATH_TEXT_MAX, "%.*s", (int)(*name - path), path) >= PATH_TEXT_MAX)
        FAIL(fault, ERR_DELIVER, "the path is too long");
    if ((*name)[0] == '\0')
        FAIL(fault, ERR_DELIVER, "%s names no file", path);
    return ERR_OK;
}

/* `how`: O_RDONLY, to write in it; O_PATH, to see that it is there. */
static enum err open_folder_of(const char *path, int how, int *out, const char **name,
                               struct fault *fault)
{
    char dir[PATH_TEXT_MAX];
    TRY(split(path, dir, name, fault));
    const int folder = open(dir[0] == '\0' ? "." : dir, how | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        FAIL(fault, ERR_DELIVER,
             "the folder of %.150s: %s: is it in the image, or mounted by --tmpfs?", path,
             strerror(errno));
    *out = folder;
    return ERR_OK;
}

enum err deliver_look(const char *path, struct fault *fault)
{
    const char *name = NULL;
    CLEANUP(fd_close) int folder = -1;
    TRY(open_folder_of(path, O_RDONLY, &folder, &name, fault));
    return check_target(folder, name, path, fault);
}

enum err deliver_look_dir(const char *dir, struct fault *fault)
{
    char path[PATH_TEXT_MAX];
    const char *name = NULL;
    size_t len = strlen(dir);
    CLEANUP(fd_close) int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0)
        return ERR_OK;
    if (errno != ENOENT)
        FAIL(fault, ERR_DELIVER, "dir %.150s: %s: it must be a folder, or not be there", dir,
             strerror(errno));
    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (snprintf(path, sizeof path, "%.*s", (int)len, dir) >= (int)sizeof path)
        FAIL(fault, ERR_DELIVER, "the path of dir is too long");
    return open_folder_of(path, O_PATH, &folder, &name, fault);
}

enum err deliver_path(const char *path, const struct secret *value,
                      const struct deliver_access *access, struct fault *fault)
{
    const char *name = NULL;
    CLEANUP(fd_close) int folder = -1;
    TRY(open_folder_of(path, O_RDONLY, &folder, &name, fault));
    return write_beside(folder, name, path, access, value, fault);
}

static enum err remove_one(const char *path, struct fault *fault)
{
    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
        FAIL(fault, ERR_DELIVER, "%.200s cannot be removed: %s", path, strerror(errno));
    return ERR_OK;
}

enum err deliver_remove(const char *path, struct fault *fault)
{
    const char *name = NULL;
    char dir[PATH_TEXT_MAX];
    char temporary[BESIDE_MAX];
    char left[PATH_TEXT_MAX + BESIDE_MAX];
    const enum err err = remove_one(path, fault);
    TRY(split(path, dir, &name, fault));
    TRY(beside(name, temporary, fault));
    snprintf(left, sizeof left, "%s%s", dir, temporary);
    TRY(remove_one(left, fault));
    return err;
}
