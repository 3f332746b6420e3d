#define _GNU_SOURCE /* accept4 */
#include "relay.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/fd_cleanup.h"
#include "common/log.h"
#include "traffic.h"

#define SWEEP_MS    1000 /* how exact deadlines are */
#define DRAIN_MS    10000
#define NEVER_MS    INT64_MAX
#define EVENTS_MAX  64
#define ACCEPTS_MAX 16 /* of one listener in a row: others want their turn */
#define OTHER_FILES 16 /* descriptors besides the connections' */

/* Kinds of watches; those of a connection are SIDE_ENCLAVE and SIDE_VERIFIER. */
enum { WATCH_RELAY = SIDES, WATCH_LOG, WATCH_SIGNALS, WATCH_RESOLVER };

struct relay {
    const struct relay_options *options;
    int epoll_fd;
    struct watch listener; /* their descriptors are owned */
    struct watch log_listener;
    struct watch signals;
    struct watch resolved;
    struct traffic traffic;
    int64_t swept_ms;
    int64_t stop_by_ms;  /* NEVER_MS: no signal came */
    bool accepts_paused; /* until the next sweep: this machine had nothing left */
};

static int64_t monotonic_ms(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- new connections --- */

static void accept_some(struct relay *r, struct watch *listener)
{
    for (int i = 0; i < ACCEPTS_MAX && r->traffic.open_count < r->options->connections; i++) {
        struct address from = {.len = sizeof from.sockaddr};
        const int fd = accept4(listener->fd, (struct sockaddr *)&from.sockaddr, &from.len,
                               SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            traffic_take(&r->traffic, fd, address_peer(&from), listener->kind == WATCH_LOG);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            r->accepts_paused = true;
            traffic_exhausted(&r->traffic, "accept", errno);
        }
        return;
    }
}

/* What cannot be taken waits in the backlog. */
static void watch_listeners(struct relay *r)
{
    const bool takes = !r->accepts_paused && r->stop_by_ms == NEVER_MS &&
                       r->traffic.open_count < r->options->connections;
    struct watch *const both[] = {&r->listener, &r->log_listener};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        if (both[i]->fd >= 0 && !watch_set(r->epoll_fd, both[i], takes ? EPOLLIN : 0u))
            traffic_exhausted(&r->traffic, "epoll", errno); /* and again in the next round */
    }
}

/* --- the end --- */

static void on_signal(struct relay *r)
{
    struct signalfd_siginfo info;
    (void)!read(r->signals.fd, &info, sizeof info);
    const bool again = r->stop_by_ms != NEVER_MS;
    r->stop_by_ms = r->traffic.now_ms + (again ? 0 : DRAIN_MS);
    if (again)
        return;
    fd_close(&r->listener.fd);
    fd_close(&r->log_listener.fd);
    log_event(LOG_LEVEL_INFO, "relay.stopping", "open=%u wait_s=%d", r->traffic.relayed_open,
              DRAIN_MS / 1000);
}

static bool must_stop(const struct relay *r)
{
    return r->stop_by_ms != NEVER_MS &&
           (r->traffic.relayed_open == 0 || r->traffic.now_ms >= r->stop_by_ms);
}

/* --- the loop --- */

static void sweep(struct relay *r)
{
    if (r->traffic.now_ms - r->swept_ms < SWEEP_MS)
        return;
    r->swept_ms = r->traffic.now_ms;
    r->accepts_paused = false;
    traffic_sweep(&r->traffic);
}

static void on_event(struct relay *r, struct watch *watch, uint32_t events)
{
    switch (watch->kind) {
    case WATCH_RELAY:
    case WATCH_LOG:
        if (watch->fd >= 0)
            accept_some(r, watch);
        return;
    case WATCH_SIGNALS:
        on_signal(r);
        return;
    case WATCH_RESOLVER:
        traffic_resolved(&r->traffic);
        return;
    default:
        traffic_ready(&r->traffic, watch, events);
    }
}

static enum err serve(struct relay *r, struct fault *fault)
{
    while (!must_stop(r)) {
        struct epoll_event events[EVENTS_MAX];
        watch_listeners(r);
        const bool clocked =
            r->traffic.open_count > 0 || r->accepts_paused || r->stop_by_ms != NEVER_MS;
        const int count = epoll_wait(r->epoll_fd, events, EVENTS_MAX, clocked ? SWEEP_MS : -1);
        if (count < 0 && errno != EINTR)
            FAIL(fault, ERR_INTERNAL, "epoll_wait: %s", strerror(errno));
        r->traffic.now_ms = monotonic_ms();
        for (int i = 0; i < count; i++)
            on_event(r, events[i].data.ptr, events[i].events);
        sweep(r);
        traffic_free_over(&r->traffic);
    }
    return ERR_OK;
}

/* --- the beginning --- */

static enum err allow_files(const struct relay_options *options, struct fault *fault)
{
    const rlim_t needed = 2 * (rlim_t)options->connections + OTHER_FILES;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        FAIL(fault, ERR_INTERNAL, "getrlimit: %s", strerror(errno));
    if (limit.rlim_cur >= needed)
        return ERR_OK;
    limit.rlim_cur = needed;
    if (needed > limit.rlim_max || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        FAIL(fault, ERR_USAGE,
             "%u connections need %llu open files, and %llu are allowed: raise LimitNOFILE of the "
             "unit (ulimit -n), or give a smaller --connections",
             options->connections, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
    return ERR_OK;
}

static enum err watch_own(struct relay *r, struct watch *watch, struct fault *fault)
{
    if (watch->fd >= 0 && !watch_set(r->epoll_fd, watch, EPOLLIN))
        FAIL(fault, ERR_FILE, "epoll: %s", strerror(errno));
    return ERR_OK;
}

static enum err open_own(struct relay *r, struct fault *fault)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    /* Before there is a thread, which would get them otherwise. */
    if (sigprocmask(SIG_BLOCK, &stop, NULL) != 0)
        FAIL(fault, ERR_INTERNAL, "signals cannot be blocked: %s", strerror(errno));
    r->signals.fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->signals.fd < 0 || r->epoll_fd < 0)
        FAIL(fault, ERR_FILE, "no descriptor: %s", strerror(errno));
    r->traffic.epoll_fd = r->epoll_fd;
    TRY(resolver_init(&r->options->to, &r->traffic.resolver, fault));
    r->resolved.fd = r->traffic.resolver.done_fd;
    TRY(watch_own(r, &r->signals, fault));
    return watch_own(r, &r->resolved, fault);
}

static enum err listen_all(struct relay *r, struct fault *fault)
{
    const struct relay_options *o = r->options;
    TRY(address_listen(&o->listen, o->listen_text, &r->listener.fd, fault));
    if (o->log_text == NULL)
        return ERR_OK;
    const enum err err = address_listen(&o->log, o->log_text, &r->log_listener.fd, fault);
    if (err != ERR_OK)
        address_unlink(&o->listen);
    return err;
}

static enum err begin_and_serve(struct relay *r, struct fault *fault)
{
    const struct relay_options *o = r->options;
    log_never_wait();
    TRY(allow_files(o, fault));
    TRY(open_own(r, fault));
    TRY(listen_all(r, fault));
    log_event(LOG_LEVEL_INFO, "relay.ready", "listen=%s to=%s log=%s connections=%u per_cid=%u",
              o->listen_text, o->to_text, o->log_text != NULL ? o->log_text : "none",
              o->connections, o->connections_per_peer);
    const enum err err = serve(r, fault);
    const unsigned cut = r->traffic.relayed_open;
    traffic_close(&r->traffic);
    address_unlink(&o->listen);
    if (o->log_text != NULL)
        address_unlink(&o->log);
    if (err == ERR_OK)
        log_event(LOG_LEVEL_INFO, "relay.stopped", "relayed=%" PRIu64 " cut=%u", r->traffic.relayed,
                  cut);
    return err;
}

enum err relay_run(const struct relay_options *options, struct fault *fault)
{
    struct relay *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_NO_MEMORY;
    traffic_init(&r->traffic, options);
    r->options = options;
    r->epoll_fd = -1;
    r->listener = (struct watch){.fd = -1, .kind = WATCH_RELAY};
    r->log_listener = (struct watch){.fd = -1, .kind = WATCH_LOG};
    r->signals = (struct watch){.fd = -1, .kind = WATCH_SIGNALS};
    r->resolved = (struct watch){.fd = -1, .kind = WATCH_RESOLVER};
    r->traffic.now_ms = r->swept_ms = monotonic_ms();
    r->stop_by_ms = NEVER_MS;
    const enum err err = begin_and_serve(r, fault);
    fd_close(&r->listener.fd);
    fd_close(&r->log_listener.fd);
    fd_close(&r->signals.fd);
    fd_close(&r->epoll_fd);
    if (r->traffic.resolver.running)
        return err; /* its thread still writes there; the process ends with it */
    fd_close(&r->resolved.fd);
    free(r);
    return err;
}
