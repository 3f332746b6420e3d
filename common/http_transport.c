#include "http_transport.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "fd_cleanup.h"
#include "http_lookup.h"

static enum err now_ms(int64_t *out)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
        return ERR_INTERNAL;
    *out = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
    return ERR_OK;
}

enum err http_deadline_after(int64_t timeout_ms, int64_t *deadline_ms, struct fault *fault)
{
    if (timeout_ms <= 0)
        FAIL(fault, ERR_USAGE, "a timeout must be more than 0 ms");
    int64_t now = 0;
    TRY(now_ms(&now));
    *deadline_ms = timeout_ms > INT64_MAX - now ? INT64_MAX : now + timeout_ms;
    return ERR_OK;
}

static enum err time_left(int64_t deadline_ms, int64_t *left_ms, struct fault *fault)
{
    int64_t now = 0;
    TRY(now_ms(&now));
    if (now >= deadline_ms)
        FAIL(fault, ERR_TIMEOUT, "the time allowed for the exchange is over");
    *left_ms = deadline_ms - now;
    return ERR_OK;
}

enum err http_deadline_check(int64_t deadline_ms, struct fault *fault)
{
    int64_t left_ms = 0;
    return time_left(deadline_ms, &left_ms, fault);
}

static enum err wait_for(int fd, short events, int64_t deadline_ms, struct fault *fault)
{
    for (;;) {
        int64_t left_ms = 0;
        TRY(time_left(deadline_ms, &left_ms, fault));
        struct pollfd pollfd = {.fd = fd, .events = events};
        const int ready = poll(&pollfd, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        if (ready > 0)
            return ERR_OK;
        if (ready < 0 && errno != EINTR)
            FAIL(fault, ERR_INTERNAL, "poll: %s", strerror(errno));
    }
}

enum err http_transport_wait(struct http_transport *transport, int64_t deadline_ms,
                             struct fault *fault)
{
    const int events = transport->read_wants | transport->write_wants;
    return wait_for(transport->fd, (short)events, deadline_ms, fault);
}

static enum http_io io_result(struct http_transport *t, ssize_t n, size_t *moved)
{
    if (n > 0) {
        *moved = (size_t)n;
        return HTTP_IO_DONE;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return HTTP_IO_WAIT;
    t->error = n < 0 ? errno : 0;
    return HTTP_IO_CLOSED;
}

enum http_io http_socket_write(struct http_transport *transport, struct bytes from, size_t *moved)
{
    const ssize_t n = send(transport->fd, from.ptr, from.len, MSG_NOSIGNAL);
    return io_result(transport, n, moved);
}

enum http_io http_socket_read(struct http_transport *transport, uint8_t *to, size_t len,
                              size_t *moved)
{
    return io_result(transport, recv(transport->fd, to, len, 0), moved);
}

enum http_io http_transport_write(struct http_transport *transport, struct bytes from,
                                  size_t *moved)
{
    transport->write_wants = 0;
    if (transport->tls != NULL)
        return http_tls_write(transport, from, moved);
    const enum http_io io = http_socket_write(transport, from, moved);
    if (io == HTTP_IO_WAIT)
        transport->write_wants = POLLOUT;
    return io;
}

enum http_io http_transport_read(struct http_transport *transport, uint8_t *to, size_t len,
                                 size_t *moved)
{
    transport->read_wants = 0;
    if (transport->tls != NULL)
        return http_tls_read(transport, to, len, moved);
    const enum http_io io = http_socket_read(transport, to, len, moved);
    if (io == HTTP_IO_WAIT)
        transport->read_wants = POLLIN;
    return io;
}

/* A connected socket; `*out` is the caller's. */
static enum err connect_address(const struct sockaddr *address, socklen_t len, int64_t deadline_ms,
                                int *out, struct fault *fault)
{
    CLEANUP(fd_close)
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        FAIL(fault, ERR_UNREACHABLE, "no socket: %s", strerror(errno));
    /* EAGAIN of a Unix socket is a full backlog, not a connection on its way. */
    if (connect(fd, address, len) != 0) {
        if (errno != EINPROGRESS && errno != EINTR)
            FAIL(fault, ERR_UNREACHABLE, "cannot connect: %s", strerror(errno));
        TRY(wait_for(fd, POLLOUT, deadline_ms, fault));
    }
    int error = 0;
    socklen_t error_len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0)
        error = errno;
    if (error != 0)
        FAIL(fault, ERR_UNREACHABLE, "cannot connect: %s", strerror(error));
    *out = fd;
    fd = -1;
    return ERR_OK;
}

static enum err connect_unix(const struct http_target *target, int64_t deadline_ms, int *out,
                             struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(target->host);
    if (len >= sizeof address.sun_path)
        FAIL(fault, ERR_USAGE, "a socket's path has at most %zu bytes, this one has %zu",
             sizeof address.sun_path - 1, len);
    memcpy(address.sun_path, target->host, len);
    return connect_address((const struct sockaddr *)&address, sizeof address, deadline_ms, out,
                           fault);
}

static enum err connect_vsock(const struct http_target *target, int64_t deadline_ms, int *out,
                              struct fault *fault)
{
    const struct sockaddr_vm address = {
        .svm_family = AF_VSOCK,
        .svm_cid = (unsigned)strtoul(target->host, NULL, 10),
        .svm_port = (unsigned)strtoul(target->port, NULL, 10),
    };
    return connect_address((const struct sockaddr *)&address, sizeof address, deadline_ms, out,
                           fault);
}

static enum err connect_tcp(const struct http_target *target, int64_t deadline_ms, int *out,
                            struct fault *fault)
{
    struct http_addresses list;
    TRY(http_lookup(target->host, target->port, &list, fault));
    enum err err = ERR_UNREACHABLE;
    int fd = -1;
    for (size_t i = 0; i < list.count && fd < 0; i++) {
        const int64_t left = (int64_t)(list.count - i);
        int64_t left_ms = 0;
        TRY(time_left(deadline_ms, &left_ms, fault));
        const int64_t share_ms = deadline_ms - left_ms + (left_ms + left - 1) / left;
        err = connect_address((const struct sockaddr *)&list.item[i].address, list.item[i].len,
                              share_ms, &fd, fault);
    }
    if (fd < 0)
        return err;
    fault_clear(fault); /* what an address before the good one left there */
    /* One write is one request: waiting to fill a segment only costs time. */
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        close(fd);
        FAIL(fault, ERR_INTERNAL, "TCP_NODELAY: %s", strerror(errno));
    }
    *out = fd;
    return ERR_OK;
}

static enum err connect_target(const struct http_target *target, int64_t deadline_ms, int *out,
                               struct fault *fault)
{
    switch (target->kind) {
    case HTTP_TARGET_UNIX:
        return connect_unix(target, deadline_ms, out, fault);
    case HTTP_TARGET_VSOCK:
        return connect_vsock(target, deadline_ms, out, fault);
    case HTTP_TARGET_TCP:
        break;
    }
    return connect_tcp(target, deadline_ms, out, fault);
}

/* Whoever reads "connection refused" asks: by whom? */
static void name_target(const struct http_target *target, struct fault *fault)
{
    const bool has_port = target->kind != HTTP_TARGET_UNIX;
    fault_at(fault, FAULT_NO_OFFSET, "%.84s%s%s", target->host, has_port ? ":" : "",
             has_port ? target->port : "");
}

enum err http_transport_open(const struct http_target *target, const char *ca_file,
                             int64_t deadline_ms, struct http_transport **out, struct fault *fault)
{
    CLEANUP(http_transport_freep) struct http_transport *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_NO_MEMORY;
    t->fd = -1;
    const enum err err = connect_target(target, deadline_ms, &t->fd, fault);
    if (err == ERR_UNREACHABLE)
        name_target(target, fault);
    TRY(err);
    if (http_target_is_tls(target))
        TRY(http_tls_connect(t, target, ca_file, deadline_ms, fault));
    *out = TAKE(t);
    return ERR_OK;
}

void http_transport_free(struct http_transport *transport)
{
    if (transport == NULL)
        return;
    http_tls_free(transport->tls);
    fd_close(&transport->fd);
    free(transport);
}
