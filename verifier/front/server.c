#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd_cleanup.h"
#include "common/log.h"
#include "common/secret.h"
#include "exchange.h"

#define PEM_MAX           65536
#define MEMORY_LIMIT      32768 /* of one connection: its header lines and read buffer */
#define ADMIN_THREADS     2
#define ADMIN_CONNECTIONS 64
#define OPTIONS_MAX       20
/* TLS 1.2 and 1.3 with at least 128 bits.  The daemon offers http/1.1 by ALPN itself. */
#define TLS_PRIORITY "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct server {
    struct door door;
    struct listener listener;
    struct MHD_Daemon *daemon;
    bool quiet; /* the daemon takes no connections any more */
    pthread_t starter;
    char said[160]; /* libmicrohttpd's first complaint to who starts it */
};

/* A whole file with a NUL at its end. */
static enum err load_pem(const char *path, struct secret **out, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *content = NULL;
    CLEANUP(secret_freep) struct secret *text = NULL;
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), ERR_FILE, "%s", strerror(errno));
    const enum err err = secret_new_from_fd(fd, PEM_MAX, &content);
    if (err != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), err == ERR_TOO_LARGE ? ERR_FILE : err,
             "not to be read, or more than %d bytes", PEM_MAX);
    TRY(secret_new(secret_len(content) + 1, &text));
    memcpy(secret_ptr(text), secret_ptr(content), secret_len(content));
    *out = TAKE(text);
    return ERR_OK;
}

/* libmicrohttpd's own words: why it does not start; afterwards what strangers do to
 * it, which is worth a line only to who debugs. */
__attribute__((format(printf, 2, 0))) static void take_log(void *cls, const char *fmt, va_list args)
{
    struct server *server = cls;
    char text[sizeof server->said];
    vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\n")] = '\0';
    if (pthread_equal(server->starter, pthread_self()) && server->said[0] == '\0')
        memcpy(server->said, text, sizeof text);
    log_event(LOG_LEVEL_DEBUG, "http.libmicrohttpd", "said=%s", LOG_Q(text));
}

struct options {
    size_t count;
    struct MHD_OptionItem item[OPTIONS_MAX];
};

static void add(struct options *options, enum MHD_OPTION option, intptr_t value, void *pointer)
{
    options->item[options->count++] = (struct MHD_OptionItem){option, value, pointer};
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static void add_limits(struct options *options, const struct server *server)
{
    const struct front_options *limits = &server->door.serving->limits;
    const bool is_public = server->door.audience == FRONT_PUBLIC;
    const unsigned threads = is_public ? limits->threads : ADMIN_THREADS;
    const unsigned connections =
        is_public ? limits->connections : smaller(limits->connections, ADMIN_CONNECTIONS);
    /* Only a second line behind the reaper's deadlines: of inactivity. */
    const unsigned longest_ms = limits->header_timeout_ms + limits->body_timeout_ms +
                                limits->answer_timeout_ms + limits->idle_timeout_ms;
    add(options, MHD_OPTION_THREAD_POOL_SIZE, threads, NULL);
    add(options, MHD_OPTION_CONNECTION_LIMIT, connections < threads ? threads : connections, NULL);
    add(options, MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_LIMIT, NULL);
    add(options, MHD_OPTION_CONNECTION_TIMEOUT, longest_ms / 1000 + 1, NULL);
    if (limits->connections_per_address > 0 && !server->door.is_unix)
        add(options, MHD_OPTION_PER_IP_CONNECTION_LIMIT, limits->connections_per_address, NULL);
}

/* After a failed start libmicrohttpd has closed the socket that it was given, or has
 * not: closed here if the number still means the same socket as `own`. */
static void close_if_same(int fd, int own)
{
    struct stat given;
    struct stat ours;
    if (fstat(fd, &given) == 0 && fstat(own, &ours) == 0 && given.st_dev == ours.st_dev &&
        given.st_ino == ours.st_ino)
        close(fd);
}

static enum err start_daemon(struct server *server, const struct secret *certificate,
                             const struct secret *key, struct fault *fault)
{
    /* Not epoll: edge-triggered, it misses the end of a connection that arrives together
     * with data, which then holds its place until a deadline.  ITC: without it a thread
     * pool cannot be quiesced. */
    unsigned flags =
        MHD_USE_POLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC;
    struct options options = {0};
    const int fd = fcntl(server->listener.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "no descriptor: %s", strerror(errno));
    add(&options, MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)take_log, server);
    add(&options, MHD_OPTION_LISTEN_SOCKET, fd, NULL);
    add(&options, MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)exchange_begin, &server->door);
    add(&options, MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)exchange_end, &server->door);
    add(&options, MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)exchange_connection, &server->door);
    add_limits(&options, server);
    if (certificate != NULL) {
        flags |= MHD_USE_TLS;
        /* Read while it starts, and not afterwards. */
        add(&options, MHD_OPTION_HTTPS_MEM_CERT, 0,
            (void *)(uintptr_t)secret_view(certificate).ptr);
        add(&options, MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)secret_view(key).ptr);
        add(&options, MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITY);
    }
    add(&options, MHD_OPTION_END, 0, NULL);
    server->starter = pthread_self();
    server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, exchange_handle, &server->door,
                                      MHD_OPTION_ARRAY, options.item, MHD_OPTION_END);
    if (server->daemon == NULL) {
        close_if_same(fd, server->listener.fd);
        FAIL(fault, certificate == NULL ? ERR_INTERNAL : ERR_FILE,
             "the HTTP server does not start%s: %s",
             certificate == NULL ? "" : " with this certificate and key", server->said);
    }
    return ERR_OK;
}

enum err server_start(struct serving *serving, const struct front_listener *listener,
                      struct server **out, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *certificate = NULL;
    CLEANUP(secret_freep) struct secret *key = NULL;
    CLEANUP(server_freep) struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return ERR_NO_MEMORY;
    server->listener.fd = -1;
    if (listener->tls_certificate != NULL) {
        TRY(load_pem(listener->tls_certificate, &certificate, fault));
        TRY(load_pem(listener->tls_key, &key, fault));
    }
    TRY(listener_open(listener->address, &server->listener, fault));
    server->door = (struct door){serving, listener->audience, server->listener.is_unix};
    TRY(start_daemon(server, certificate, key, fault));
    *out = TAKE(server);
    return ERR_OK;
}

uint16_t server_port(const struct server *server)
{
    return server->listener.port;
}

void server_quiesce(struct server *server)
{
    if (server->quiet)
        return;
    server->quiet = true;
    /* -1 where it failed: stopping the daemon then closes that descriptor. */
    int fd = MHD_quiesce_daemon(server->daemon);
    fd_close(&fd);
    listener_close(&server->listener);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    if (server->daemon != NULL) {
        server_quiesce(server);
        MHD_stop_daemon(server->daemon);
    }
    listener_close(&server->listener);
    free(server);
}
