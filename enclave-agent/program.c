#include "program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_DEFAULT "/usr/local/bin:/bin:/usr/bin" /* where $PATH is not set */

static bool is_runnable(const char *path, bool *exists)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        *exists = *exists || errno == EACCES;
        return false;
    }
    *exists = true;
    return S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static enum err not_found(const char *name, bool exists, struct fault *fault)
{
    if (exists)
        FAIL(fault, ERR_WRONG_STATE,
             "%.120s is not executable: a file of the image with execute permission is needed "
             "(chmod +x)",
             name);
    FAIL(fault, ERR_NOT_FOUND, "%.120s is not found: is it in the image, and its folder in PATH?",
         name);
}

/* `name` in each folder of $PATH; an empty folder is the current one. */
static bool search(const char *name, char out[static PATH_MAX], bool *exists)
{
    const char *folders = getenv("PATH");
    if (folders == NULL)
        folders = PATH_DEFAULT;
    for (;;) {
        const int len = (int)strcspn(folders, ":");
        const int made =
            snprintf(out, PATH_MAX, "%.*s%s%s", len, folders, len == 0 ? "" : "/", name);
        if (made > 0 && made < PATH_MAX && is_runnable(out, exists))
            return true;
        if (folders[len] == '\0')
            return false;
        folders += len + 1;
    }
}

enum err program_find(const char *name, char path[static PATH_MAX], struct fault *fault)
{
    bool exists = false;
    bool found = false;
    if (strchr(name, '/') != NULL)
        found = snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && is_runnable(path, &exists);
    else if (name[0] != '\0')
        found = search(name, path, &exists);
    return found ? ERR_OK : not_found(name, exists, fault);
}

enum err program_exec(const char *path, const char *const *argv, const char *const *environment,
                      struct fault *fault)
{
    /* execve takes no const for reasons of C's history; it changes nothing. */
    union constant {
        const char *const *given;
        char *const *taken;
    };
    const union constant arguments = {.given = argv};
    const union constant variables = {.given = environment};
    execve(path, arguments.taken, variables.taken);
    const bool missing = errno == ENOENT;
    FAIL(fault, missing ? ERR_NOT_FOUND : ERR_WRONG_STATE, "%.100s cannot be executed: %s: %s",
         path, strerror(errno),
         missing ? "is its interpreter or loader (ldd, or its first line) in the image?"
                 : "is it a program for this machine, on a file system that lets it run?");
}
