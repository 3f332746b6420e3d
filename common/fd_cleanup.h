/* CLEANUP for file descriptors: `CLEANUP(fd_close) int fd = open(...);`. */
#ifndef VOUCHSAFE_FD_CLEANUP_H
#define VOUCHSAFE_FD_CLEANUP_H

#include <unistd.h>

#include "cleanup.h"

/* Leaves -1; takes -1.  Where a failed close would be lost data, the caller calls close
 * itself and looks at its result. */
static inline void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

#endif
