#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/fd_cleanup.h"

#define BACKLOG 1024 /* the kernel cuts it to net.core.somaxconn */

static void addrinfo_free(struct addrinfo **list)
{
    if (*list != NULL)
        freeaddrinfo(*list);
}

void listener_close(struct listener *listener)
{
    struct stat st;
    fd_close(&listener->fd);
    if (listener->ino != 0 && lstat(listener->path.sun_path, &st) == 0 &&
        st.st_dev == listener->dev && st.st_ino == listener->ino)
        unlink(listener->path.sun_path);
    listener->ino = 0;
}

/* --- Unix --- */

static enum err path_set(const char *path, struct sockaddr_un *out, struct fault *fault)
{
    if (path[0] != '/' || strlen(path) >= sizeof out->sun_path)
        FAIL(fault, ERR_CONFIG, "unix: and an absolute path of at most %zu bytes is expected",
             sizeof out->sun_path - 1);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path, path, strlen(path));
    return ERR_OK;
}

/* Makes way: nothing there, or a socket that nobody listens at. */
static enum err remove_stale(const struct sockaddr_un *address, struct fault *fault)
{
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            return ERR_OK;
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode))
        FAIL(fault, ERR_FILE, "%s exists and is no socket", path);
    CLEANUP(fd_close) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        FAIL(fault, ERR_FILE, "no socket: %s", strerror(errno));
    /* Only a refused connection says that nobody listens. */
    if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0 ||
        errno != ECONNREFUSED)
        FAIL(fault, ERR_BUSY, "another program serves %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        FAIL(fault, ERR_FILE, "the stale socket %s cannot be removed: %s", path, strerror(errno));
    return ERR_OK;
}

static enum err open_unix(const char *path, struct listener *out, struct fault *fault)
{
    struct stat st;
    out->is_unix = true;
    TRY(path_set(path, &out->path, fault));
    TRY(remove_stale(&out->path, fault));
    out->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (out->fd < 0)
        FAIL(fault, ERR_FILE, "no socket: %s", strerror(errno));
    /* The mask at bind is what keeps others out: a later chmod would come too late. */
    const mode_t mask = umask(0177);
    const int bound = bind(out->fd, (const struct sockaddr *)&out->path, sizeof out->path);
    const int bind_errno = errno;
    umask(mask);
    if (bound != 0)
        FAIL(fault, bind_errno == EADDRINUSE ? ERR_BUSY : ERR_FILE, "%s: %s", path,
             strerror(bind_errno));
    if (lstat(path, &st) != 0)
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    out->dev = st.st_dev;
    out->ino = st.st_ino;
    if (listen(out->fd, BACKLOG) != 0)
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    return ERR_OK;
}

/* --- TCP --- */

/* "HOST:PORT" or "[HOST]:PORT" in its parts. */
static enum err split(const char *address, char host[static 256], char port[static 6],
                      struct fault *fault)
{
    const char *colon = strrchr(address, ':');
    const size_t host_len = colon == NULL ? 0 : (size_t)(colon - address);
    const bool brackets = host_len > 2 && address[0] == '[' && address[host_len - 1] == ']';
    const char *from = address + (brackets ? 1 : 0);
    const size_t len = host_len - (brackets ? 2 : 0);
    if (host_len == 0 || len >= 256 || (!brackets && memchr(address, ':', host_len) != NULL))
        FAIL(fault, ERR_CONFIG, "HOST:PORT, [IPV6]:PORT or unix:/PATH is expected");
    uint64_t number = 0;
    if (decimal_parse(bytes_of_text(colon + 1), UINT16_MAX, &number) != ERR_OK)
        FAIL(fault, ERR_CONFIG, "a port of 0..65535 is expected after the last colon");
    memcpy(host, from, len);
    host[len] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return ERR_OK;
}

static enum err bind_and_listen(const struct addrinfo *to, struct listener *out,
                                struct fault *fault)
{
    const int on = 1;
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    out->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Else connections of the last run, still in TIME_WAIT, keep the port for a minute. */
    if (out->fd < 0 || setsockopt(out->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        FAIL(fault, ERR_FILE, "no socket: %s", strerror(errno));
    if (bind(out->fd, to->ai_addr, to->ai_addrlen) != 0 || listen(out->fd, BACKLOG) != 0)
        FAIL(fault, errno == EADDRINUSE ? ERR_BUSY : ERR_FILE, "%s", strerror(errno));
    if (getsockname(out->fd, (struct sockaddr *)&bound, &len) != 0)
        FAIL(fault, ERR_FILE, "%s", strerror(errno));
    /* Both kinds of address have the port in the same place (RFC 3493). */
    out->port = ntohs(((const struct sockaddr_in *)&bound)->sin_port);
    return ERR_OK;
}

static enum err open_tcp(const char *address, struct listener *out, struct fault *fault)
{
    char host[256];
    char port[6];
    CLEANUP(addrinfo_free) struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    TRY(split(address, host, port, fault));
    const int looked_up = getaddrinfo(host, port, &hints, &found);
    if (looked_up != 0)
        FAIL(fault, ERR_CONFIG, "%s: %s", address, gai_strerror(looked_up));
    return bind_and_listen(found, out, fault);
}

enum err listener_open(const char *address, struct listener *out, struct fault *fault)
{
    static const char prefix[] = "unix:";
    CLEANUP(listener_close) struct listener listener = {.fd = -1};
    fault_at(fault, FAULT_NO_OFFSET, "%s", address);
    if (strncmp(address, prefix, sizeof prefix - 1) == 0)
        TRY(open_unix(address + sizeof prefix - 1, &listener, fault));
    else
        TRY(open_tcp(address, &listener, fault));
    *out = listener;
    listener = (struct listener){.fd = -1};
    return ERR_OK;
}
