#include "connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/fd_cleanup.h"

/* A socket that is connected, or on its way: 0, or an errno.  EAGAIN of a Unix socket is a
 * full backlog, not a connection on its way. */
static int begin(const struct address *address, int *out)
{
    CLEANUP(fd_close)
    int fd = socket(address->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)&address->sockaddr, address->len) != 0 &&
        errno != EINPROGRESS && errno != EINTR)
        return errno;
    *out = fd;
    fd = -1;
    return 0;
}

bool connect_next(struct connection *c, const struct resolver *resolver, int64_t now_ms, int *error)
{
    while (c->next_address < resolver->count && now_ms < c->connect_by_ms) {
        const int64_t left = (int64_t)(resolver->count - c->next_address);
        c->deadline_ms = now_ms + (c->connect_by_ms - now_ms + left - 1) / left;
        *error = begin(&resolver->found[c->next_address++], &c->watch[SIDE_VERIFIER].fd);
        if (*error == 0) {
            c->state = CONNECTION_CONNECTS;
            return true;
        }
    }
    return false;
}

void connect_give_up(struct connection *c)
{
    fd_close(&c->watch[SIDE_VERIFIER].fd); /* which takes it out of epoll */
    c->watch[SIDE_VERIFIER].events = 0;
}

int connect_result(struct connection *c)
{
    const int fd = c->watch[SIDE_VERIFIER].fd;
    const int on = 1;
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error != 0) {
        connect_give_up(c);
        return error;
    }
    /* What comes in one piece goes out in one.  A Unix socket knows nothing of it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return 0;
}
