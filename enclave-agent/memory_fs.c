#include "memory_fs.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define SIZE_DEFAULT  "16m" /* all that one release can bring, several times */
#define MODE_DEFAULT  "0755"
#define DIGITS_MAX    9
#define PATH_TEXT_MAX 4096

/* What follows `key=` in one of the words between commas; NULL: none does. */
static const char *option(const char *words, const char *key, size_t *len)
{
    const size_t key_len = strlen(key);
    while (*words == ',') {
        words++;
        *len = strcspn(words, ",");
        if (strncmp(words, key, key_len) == 0) {
            *len -= key_len;
            return words + key_len;
        }
        words += *len;
    }
    return NULL;
}

static size_t count_options(const char *words)
{
    size_t count = 0;
    for (; *words != '\0'; words++)
        count += *words == ',';
    return count;
}

static bool is_size(const char *text, size_t len)
{
    const size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= DIGITS_MAX && text[0] != '0' &&
           (digits == len || (digits + 1 == len && strchr("kmg", text[digits]) != NULL));
}

static bool is_mode(const char *text, size_t len)
{
    return strspn(text, "01234567") == len && len >= 3 && len <= 5;
}

enum err memory_fs_parse(const char *text, struct memory_fs *out, struct fault *fault)
{
    const size_t dir_len = strcspn(text, ",");
    if (text[0] != '/' || dir_len < 2 || dir_len > MEMORY_FS_DIR_MAX)
        FAIL(fault, ERR_USAGE, "tmpfs \"%.100s\": a folder begins with / and has up to %d bytes",
             text, MEMORY_FS_DIR_MAX);
    const char *words = text + dir_len;
    size_t size_len = sizeof SIZE_DEFAULT - 1;
    size_t mode_len = sizeof MODE_DEFAULT - 1;
    const char *size = option(words, "size=", &size_len);
    const char *mode = option(words, "mode=", &mode_len);
    if ((size_t)(size != NULL) + (mode != NULL) != count_options(words) ||
        (size != NULL && !is_size(size, size_len)) || (mode != NULL && !is_mode(mode, mode_len)))
        FAIL(fault, ERR_USAGE, "tmpfs \"%.100s\" is not DIR[,size=16m][,mode=0755]", text);
    struct memory_fs fs = {0};
    snprintf(fs.dir, sizeof fs.dir, "%.*s", (int)dir_len, text);
    snprintf(fs.options, sizeof fs.options, "size=%.*s,mode=%.*s",
             size == NULL ? (int)sizeof SIZE_DEFAULT - 1 : (int)size_len,
             size == NULL ? SIZE_DEFAULT : size,
             mode == NULL ? (int)sizeof MODE_DEFAULT - 1 : (int)mode_len,
             mode == NULL ? MODE_DEFAULT : mode);
    *out = fs;
    return ERR_OK;
}

static bool in_memory(const char *path, int *error)
{
    struct statfs fs;
    *error = statfs(path, &fs) == 0 ? 0 : errno;
    return *error == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* A mount point: on another device than the folder above it. */
static bool is_mounted(const char *dir)
{
    char above[MEMORY_FS_DIR_MAX + sizeof "/.."];
    struct stat here;
    struct stat there;
    int error = 0;
    snprintf(above, sizeof above, "%s/..", dir);
    return in_memory(dir, &error) && stat(dir, &here) == 0 && stat(above, &there) == 0 &&
           here.st_dev != there.st_dev;
}

enum err memory_fs_mount(const struct memory_fs *fs, struct fault *fault)
{
    if (is_mounted(fs->dir))
        return ERR_OK;
    if (mkdir(fs->dir, 0755) != 0 && errno != EEXIST)
        FAIL(fault, ERR_DELIVER, "the folder %.120s for a tmpfs cannot be made: %s", fs->dir,
             strerror(errno));
    if (mount("tmpfs", fs->dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, fs->options) == 0)
        return ERR_OK;
    FAIL(fault, ERR_DELIVER,
         "no tmpfs can be mounted on %.80s: %s; it needs CAP_SYS_ADMIN: start the agent as root, "
         "or leave --tmpfs away where something else has mounted it",
         fs->dir, strerror(errno));
}

bool memory_fs_holds(const char *path)
{
    char folder[PATH_TEXT_MAX];
    int error = 0;
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return true;
    for (;;) {
        if (in_memory(folder, &error))
            return true;
        if (error != ENOENT)
            return error != 0;
        char *slash = strrchr(folder, '/');
        if (slash == NULL)
            return in_memory(".", &error) || error != 0;
        slash[slash == folder ? 1 : 0] = '\0';
    }
}
