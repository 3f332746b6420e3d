/* Files: reading one to its end, and making a name in a directory durable. */
#ifndef VOUCHSAFE_FILE_H
#define VOUCHSAFE_FILE_H

#include "bytes.h"
#include "err.h"

/* Reads to the end but at most `max_len` bytes; what lies beyond is left unread (`out->len` is
 * then max_len).  What `out` held is freed.  Never for secrets: they are read by secret.h.
 * ERR_FILE, with the system's reason. */
MUST_CHECK enum err file_read(const char *path, size_t max_len, struct buf *out,
                              struct fault *fault);
/* The same from a descriptor of the caller's; errors call it `name`. */
MUST_CHECK enum err file_read_from(int fd, const char *name, size_t max_len, struct buf *out,
                                   struct fault *fault);

/* Forces to the disk the directory that `path` lies in: without this a crash may forget a new
 * name although it kept the content.  ERR_FILE, ERR_NO_MEMORY. */
MUST_CHECK enum err file_sync_directory(const char *path, struct fault *fault);

#endif
