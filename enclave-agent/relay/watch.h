/* Descriptors that are waited for, by epoll: level-triggered, and one that nothing is
 * wanted of is not in it, so that a peer's hanging up cannot keep the relay busy. */
#ifndef VOUCHSAFE_RELAY_WATCH_H
#define VOUCHSAFE_RELAY_WATCH_H

#include <sys/epoll.h>

#include "common/err.h"

struct watch {
    int fd;          /* borrowed */
    uint32_t events; /* EPOLLIN, EPOLLOUT: what is waited for now; 0: not watched */
    int kind;        /* the caller's, with `owner`: what to do */
    void *owner;
};

/* Waits for `events` of it from now on, and for nothing else.  False where the kernel has no
 * room for it. */
bool watch_set(int epoll_fd, struct watch *watch, uint32_t events);

#endif
