/* A file that a setting names: the issuer's keys, a template, what is measured.  It is the image's,
 * and trusted; where it is not there, the setting is named, and what to look at. */
#ifndef VOUCHSAFE_AGENT_IMAGE_FILE_H
#define VOUCHSAFE_AGENT_IMAGE_FILE_H

#include "common/bytes.h"
#include "common/err.h"

/* A whole file, at most `max_len` bytes: ERR_FILE, ERR_CONFIG where it is larger. */
MUST_CHECK enum err image_file_read(const char *setting, const char *path, size_t max_len,
                                    struct buf *out, struct fault *fault);

#endif
