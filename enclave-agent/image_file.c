#include "image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "common/fd_cleanup.h"
#include "common/file.h"

enum err image_file_read(const char *setting, const char *path, size_t max_len, struct buf *out,
                         struct fault *fault)
{
    char shown[160];
    struct fault inner = FAULT_NONE;
    CLEANUP(buf_free) struct buf content = {0};
    snprintf(shown, sizeof shown, "%s %.120s", setting, path);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    const enum err err = fd < 0 ? fault_set(&inner, ERR_FILE, "%s: %s", shown, strerror(errno))
                                : file_read_from(fd, shown, max_len + 1, &content, &inner);
    if (err == ERR_FILE)
        FAIL(fault, err, "%s: is it in the image, and a file that the agent may read?",
             inner.detail);
    TRY(err);
    if (content.len > max_len)
        FAIL(fault, ERR_CONFIG, "%s is larger than %zu bytes", shown, max_len);
    buf_move(out, &content);
    return ERR_OK;
}
