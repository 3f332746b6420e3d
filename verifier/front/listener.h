/* Listening sockets: TCP, and Unix sockets with their file. */
#ifndef VOUCHSAFE_FRONT_LISTENER_H
#define VOUCHSAFE_FRONT_LISTENER_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "common/bytes.h"

struct listener {
    int fd; /* non-blocking; -1: handed on or closed */
    bool is_unix;
    uint16_t port; /* 0: a Unix socket */
    struct sockaddr_un path;
    dev_t dev; /* of the socket's file, so that nobody else's is removed */
    ino_t ino; /* 0: none */
};

/* "HOST:PORT" or "unix:/PATH" as front.h has them.  A Unix socket that nobody serves
 * is replaced.  ERR_CONFIG, ERR_BUSY, ERR_FILE. */
MUST_CHECK enum err listener_open(const char *address, struct listener *out, struct fault *fault);
/* Closes the descriptor and removes the Unix socket's file; accepts a closed one. */
void listener_close(struct listener *listener);

#endif
