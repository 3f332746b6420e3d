#define _GNU_SOURCE /* accept4 */
#include "sim_server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/fd_cleanup.h"

enum { SLOT_SIGNALS, SLOT_LISTENER, SLOT_CLIENTS };

struct clients {
    struct pollfd fds[SLOT_CLIENTS + SIM_CLIENTS_MAX];
    size_t count; /* slots in use */
};

int64_t sim_server_now_ms(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static enum err address_of(const char *path, struct sockaddr_un *out, struct fault *fault)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path)
        FAIL(fault, ERR_USAGE, "the socket's path is longer than %zu bytes",
             sizeof addr.sun_path - 1);
    memcpy(addr.sun_path, path, strlen(path));
    *out = addr;
    return ERR_OK;
}

/* Makes way for a new socket: nothing there, or a socket that nobody listens at. */
static enum err remove_stale(const char *path, const struct sockaddr_un *addr, struct fault *fault)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            return ERR_OK;
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode))
        FAIL(fault, ERR_EXISTS, "%s exists and is no socket", path);
    CLEANUP(fd_close) int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (probe < 0)
        FAIL(fault, ERR_FILE, "no socket: %s", strerror(errno));
    /* Only a refused connection says that nobody listens; a socket of another type is
     * somebody's. */
    if (connect(probe, (const struct sockaddr *)addr, sizeof *addr) == 0 || errno != ECONNREFUSED)
        FAIL(fault, ERR_EXISTS, "another program serves the socket %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        FAIL(fault, ERR_FILE, "the stale socket %s cannot be removed: %s", path, strerror(errno));
    return ERR_OK;
}

static enum err bind_and_listen(struct sim_server *server, const struct sockaddr_un *addr,
                                struct fault *fault)
{
    /* The mask at bind is what keeps others out: a later chmod would come too late. */
    const mode_t mask = umask(0177);
    const int bound = bind(server->listener, (const struct sockaddr *)addr, sizeof *addr);
    const int bind_errno = errno;
    umask(mask);
    if (bound != 0)
        FAIL(fault, ERR_FILE, "no socket can be made at %s: %s", server->path,
             strerror(bind_errno));
    struct stat st;
    if (lstat(server->path, &st) != 0 || listen(server->listener, SOMAXCONN) != 0)
        FAIL(fault, ERR_FILE, "%s: %s", server->path, strerror(errno));
    server->dev = st.st_dev;
    server->ino = st.st_ino;
    return ERR_OK;
}

enum err sim_server_listen(const char *path, struct sim_server *out, struct fault *fault)
{
    struct sockaddr_un addr;
    TRY(address_of(path, &addr, fault));
    TRY(remove_stale(path, &addr, fault));
    CLEANUP(sim_server_close)
    struct sim_server server = {.listener = -1, .signals = -1, .path = path};
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    if (sigprocmask(SIG_BLOCK, &stop, NULL) != 0)
        FAIL(fault, ERR_INTERNAL, "signals cannot be blocked: %s", strerror(errno));
    server.signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    server.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server.signals < 0 || server.listener < 0)
        FAIL(fault, ERR_FILE, "no descriptor: %s", strerror(errno));
    TRY(bind_and_listen(&server, &addr, fault));
    *out = server;
    server = (struct sim_server){.listener = -1, .signals = -1};
    return ERR_OK;
}

void sim_server_close(struct sim_server *server)
{
    struct stat st;
    if (server->ino != 0 && lstat(server->path, &st) == 0 && st.st_dev == server->dev &&
        st.st_ino == server->ino)
        unlink(server->path);
    server->ino = 0;
    fd_close(&server->listener);
    fd_close(&server->signals);
}

/* One request and its reply; false where the client is to be let go. */
static bool serve_client(int fd, struct sim_nsm *nsm)
{
    uint8_t packet[SIM_REQUEST_MAX + 1]; /* one more tells "too large" from "just fits" */
    const ssize_t got = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    CLEANUP(buf_free) struct buf reply = {0};
    if (sim_nsm_handle(nsm, sim_server_now_ms(), bytes_of(packet, (size_t)got), &reply) != ERR_OK)
        return false;
    return send(fd, reply.ptr, reply.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)reply.len;
}

/* At the maximum the listener is not polled: poll passes over a negative descriptor. */
static void watch_listener(struct clients *clients, const struct sim_server *server)
{
    const bool full = clients->count == ARRAY_LEN(clients->fds);
    clients->fds[SLOT_LISTENER].fd = full ? -1 : server->listener;
}

static void accept_client(struct clients *clients, const struct sim_server *server)
{
    const int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        clients->fds[clients->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

/* From the last to the first, so that the one that takes a leaver's slot was served. */
static void serve_clients(struct clients *clients, struct sim_nsm *nsm)
{
    for (size_t i = clients->count; i > SLOT_CLIENTS; i--) {
        struct pollfd *const client = &clients->fds[i - 1];
        if (client->revents == 0)
            continue;
        if (!serve_client(client->fd, nsm)) {
            close(client->fd);
            *client = clients->fds[--clients->count];
        }
    }
}

enum err sim_server_run(struct sim_server *server, struct sim_nsm *nsm, struct fault *fault)
{
    struct clients clients = {.count = SLOT_CLIENTS};
    clients.fds[SLOT_SIGNALS] = (struct pollfd){.fd = server->signals, .events = POLLIN};
    clients.fds[SLOT_LISTENER] = (struct pollfd){.fd = server->listener, .events = POLLIN};
    enum err err = ERR_OK;
    for (;;) {
        watch_listener(&clients, server);
        if (poll(clients.fds, clients.count, -1) < 0) {
            if (errno == EINTR)
                continue;
            err = fault_set(fault, ERR_INTERNAL, "poll: %s", strerror(errno));
            break;
        }
        if (clients.fds[SLOT_SIGNALS].revents != 0)
            break;
        serve_clients(&clients, nsm);
        if (clients.fds[SLOT_LISTENER].revents != 0)
            accept_client(&clients, server);
    }
    for (size_t i = SLOT_CLIENTS; i < clients.count; i++)
        close(clients.fds[i].fd);
    return err;
}
