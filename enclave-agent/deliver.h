/* Handing a secret over: a sealed memfd, or a file.  DESIGN section 8.
 *
 * The value goes from locked memory into the descriptor by write(2), through no other
 * buffer.  Programs find it by the variable <NAME>_FILE.  Errors are ERR_DELIVER. */
#ifndef VOUCHSAFE_AGENT_DELIVER_H
#define VOUCHSAFE_AGENT_DELIVER_H

#include <sys/types.h>

#include "common/protocol.h"
#include "common/secret.h"

#define DELIVER_VARIABLE_MAX (PROTOCOL_NAME_MAX + sizeof "__FILE")

/* "db/main" is DB_MAIN_FILE; "2fa" is _2FA_FILE. */
void deliver_variable(const char *name, char out[static DELIVER_VARIABLE_MAX]);

/* A memfd of exactly the value that nobody can change or resize any more; close-on-exec
 * until deliver_inherit.  Never descriptor 0, 1 or 2.  The caller closes it. */
MUST_CHECK enum err deliver_memfd(const char *name, const struct secret *value, int *fd,
                                  struct fault *fault);
MUST_CHECK enum err deliver_inherit(int fd, struct fault *fault);

/* DIR/NAME, mode 0400; folders that are missing are made, mode 0700.  A reader sees the
 * old file or the new one, never half of one, however many write it; a writer waits 5 s for
 * who holds a lock on the folder (flock). */
MUST_CHECK enum err deliver_file(const char *dir, const char *name, const struct secret *value,
                                 struct fault *fault);
/* Whether `path` is a regular file of exactly that value; false also where that cannot be
 * found out. */
bool deliver_holds(const char *path, const struct secret *value);

/* Before anything is asked for, what would come to light only afterwards: whether deliver_path has
 * a folder for `path`, and no link or device in its place; and whether deliver_file has DIR, or can
 * make it. */
MUST_CHECK enum err deliver_look(const char *path, struct fault *fault);
MUST_CHECK enum err deliver_look_dir(const char *dir, struct fault *fault);

#define DELIVER_OWN ((uint32_t)-1) /* as the agent's own files have it */
struct deliver_access {
    mode_t mode;
    uint32_t uid;
    uint32_t gid;
};
/* The same as deliver_file for any path, whose folder must exist; what stands there must be a
 * regular file or nothing. */
MUST_CHECK enum err deliver_path(const char *path, const struct secret *value,
                                 const struct deliver_access *access, struct fault *fault);
/* The file is gone after that, and with it what a process that was killed left of a newer one;
 * where it is not there, nothing happens. */
MUST_CHECK enum err deliver_remove(const char *path, struct fault *fault);
/* To an open descriptor, such as standard output. */
MUST_CHECK enum err deliver_write(int fd, const char *what, const struct secret *value,
                                  struct fault *fault);

#endif
