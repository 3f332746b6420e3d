/* File systems in memory, where files with secrets belong: `--tmpfs` mounts one, and it can
 * be asked whether a file would lie in one.  DESIGN section 8. */
#ifndef VOUCHSAFE_AGENT_MEMORY_FS_H
#define VOUCHSAFE_AGENT_MEMORY_FS_H

#include "common/err.h"

#define MEMORY_FS_DIR_MAX 255
#define MEMORY_FS_MAX     8 /* that one agent mounts */

struct memory_fs {
    char dir[MEMORY_FS_DIR_MAX + 1];
    char options[48]; /* of the file system: "size=16m,mode=0755" */
};

/* DIR[,size=N[k|m|g]][,mode=OCTAL], DIR absolute.  ERR_USAGE. */
MUST_CHECK enum err memory_fs_parse(const char *text, struct memory_fs *out, struct fault *fault);
/* A tmpfs at DIR, which is made where it is missing; nothing where one is mounted there.
 * ERR_DELIVER says what helps. */
MUST_CHECK enum err memory_fs_mount(const struct memory_fs *fs, struct fault *fault);

/* Whether `path`, or the nearest folder above it that is there, lies in memory; true where it
 * cannot be found out: what comes next will say why. */
bool memory_fs_holds(const char *path);

#endif
