#include "watch.h"

bool watch_set(int epoll_fd, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    const int operation = events == 0          ? EPOLL_CTL_DEL
                          : watch->events == 0 ? EPOLL_CTL_ADD
                                               : EPOLL_CTL_MOD;
    if (events == watch->events)
        return true;
    if (epoll_ctl(epoll_fd, operation, watch->fd, &event) != 0 && events != 0)
        return false;
    watch->events = events;
    return true;
}
