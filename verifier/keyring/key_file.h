/* Files that hold a key: what they must be before one is read from them, and how they
 * are made.
 *
 * Trusts a file's owner and mode, as the kernel tells them about the file that was
 * opened.  `what` names the key in messages: "master key".  No content is ever in one. */
#ifndef VOUCHSAFE_KEY_FILE_H
#define VOUCHSAFE_KEY_FILE_H

#include <sys/types.h>

#include "common/secret.h"

#define KEY_FILE_PRIVATE    0077 /* mode bits that must be clear: all but the owner's */
#define KEY_FILE_CREDENTIAL 0037 /* systemd's: the group may read */

/* A regular file, no symbolic link, owned by us or root, with no bit of `forbidden` in
 * its mode, of at most `max_len` bytes: ERR_CONFIG says what is not so and what to do.
 * ERR_FILE where reading fails. */
MUST_CHECK enum err key_file_read(const char *what, const char *path, mode_t forbidden,
                                  size_t max_len, struct secret **out, struct fault *fault);

/* A new file of mode 0600, durable together with its name.  ERR_EXISTS where there is
 * something of that name already; ERR_FILE, and then nothing is left behind. */
MUST_CHECK enum err key_file_create(const char *what, const char *path, struct bytes content,
                                    struct fault *fault);

#endif
