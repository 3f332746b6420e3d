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
#include "connect.h"
#include "line_print.h"
#include "seldom.h"

#define SWEEP_MS       1000 /* how exact deadlines are */
#define DRAIN_MS       10000
#define LINGER_MS      2000
#define NEVER_MS       INT64_MAX
#define EVENTS_MAX     64
#define ACCEPTS_MAX    16 /* of one listener in a row: others want their turn */
#define OTHER_FILES    16 /* descriptors besides the connections' */
#define LAST_WORDS_MAX 65536

/* Kinds of watches; those of a connection are SIDE_ENCLAVE and SIDE_VERIFIER. */
enum { WATCH_RELAY = SIDES, WATCH_LOG, WATCH_SIGNALS, WATCH_RESOLVER };

struct relay {
    const struct relay_options *options;
    int epoll_fd;
    struct watch listener; /* their descriptors are owned */
    struct watch log_listener;
    struct watch signals;
    struct watch resolved;
    struct resolver resolver;
    struct quota_table quotas;
    struct connection open; /* the head of those that are */
    struct connection over; /* and of those to be freed */
    unsigned open_count;    /* of both kinds */
    unsigned relayed_open;
    uint64_t relayed; /* since the start */
    int64_t now_ms;   /* read once a round */
    int64_t swept_ms;
    int64_t stop_by_ms;  /* NEVER_MS: no signal came */
    bool accepts_paused; /* until the next sweep: this machine had nothing left */
    struct seldom unreachable, unresolved, too_many, exhausted, idle;
};

static int64_t monotonic_ms(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- connections --- */

static void finish(struct relay *r, struct connection *c)
{
    if (c->state == CONNECTION_OVER)
        return;
    if (c->state == CONNECTION_LOGS)
        line_print_rest(c->line, c->quota, r->now_ms);
    else
        r->relayed_open--;
    r->open_count--;
    c->state = CONNECTION_OVER;
    quota_leave(c->quota);
    fd_close(&c->watch[SIDE_ENCLAVE].fd);
    fd_close(&c->watch[SIDE_VERIFIER].fd);
    connection_unlink(c);
    connection_link(&r->over, c);
}

static void free_list(struct connection *head)
{
    while (head->next != head) {
        struct connection *c = head->next;
        connection_unlink(c);
        connection_free(c);
    }
}

/* This machine has no descriptor, memory or epoll place left: the connection is lost. */
static void exhausted(struct relay *r, const char *what, int error)
{
    if (seldom_may(&r->exhausted, r->now_ms))
        log_event(LOG_LEVEL_ERROR, "relay.exhausted", "what=%s error=%s unsaid=%u", what,
                  LOG_Q(strerror(error)), r->exhausted.before);
}

static void watch_flows(struct relay *r, struct connection *c)
{
    for (int side = 0; side < SIDES; side++) {
        const uint32_t events = (flows_wants_read(&c->flows, side) ? EPOLLIN : 0u) |
                                (flows_wants_write(&c->flows, side) ? EPOLLOUT : 0u);
        if (!watch_set(r->epoll_fd, &c->watch[side], events)) {
            exhausted(r, "epoll", errno);
            finish(r, c);
            return;
        }
    }
}

static void begin_relaying(struct relay *r, struct connection *c)
{
    c->state = CONNECTION_RELAYS;
    c->deadline_ms = r->now_ms + r->options->idle_ms;
    c->flows.fd[SIDE_ENCLAVE] = c->watch[SIDE_ENCLAVE].fd;
    c->flows.fd[SIDE_VERIFIER] = c->watch[SIDE_VERIFIER].fd;
    r->relayed++;
    watch_flows(r, c);
}

/* To the next address; after the last one this connection is lost. */
static void connect_on(struct relay *r, struct connection *c, int error)
{
    char who[PEER_TEXT_SIZE];
    if (connect_next(c, &r->resolver, r->now_ms, &error)) {
        if (!watch_set(r->epoll_fd, &c->watch[SIDE_VERIFIER], EPOLLOUT)) {
            exhausted(r, "epoll", errno);
            finish(r, c);
        }
        return;
    }
    if (r->resolver.count > 0 && seldom_may(&r->unreachable, r->now_ms))
        log_event(LOG_LEVEL_WARN, "relay.unreachable", "to=%s error=%s for=%s unsaid=%u do=%s",
                  r->options->to_text, LOG_Q(strerror(error)), peer_text(c->quota->peer, who),
                  r->unreachable.before,
                  LOG_Q("is the verifier up, and may this machine connect to it?"));
    finish(r, c);
}

static void on_connect(struct relay *r, struct connection *c)
{
    const int error = connect_result(c);
    if (error == 0)
        begin_relaying(r, c);
    else
        connect_on(r, c, error);
}

static void on_flow(struct relay *r, struct connection *c, int side, uint32_t events)
{
    if ((events & ~(uint32_t)EPOLLIN) != 0) /* an error is found by writing, too */
        flows_writable(&c->flows, side);
    if ((events & ~(uint32_t)EPOLLOUT) != 0 && !flows_readable(&c->flows, side)) {
        exhausted(r, "memory", ENOMEM);
        finish(r, c);
        return;
    }
    if (flows_over(&c->flows)) {
        finish(r, c);
        return;
    }
    if (!flows_lingering(&c->flows))
        c->deadline_ms = r->now_ms + r->options->idle_ms;
    else if (c->deadline_ms > r->now_ms + LINGER_MS) /* once: what still comes gives no more */
        c->deadline_ms = r->now_ms + LINGER_MS;
    watch_flows(r, c);
}

/* False at its end. */
static bool read_log(struct relay *r, struct connection *c)
{
    uint8_t bytes[4096];
    const ssize_t n = recv(c->watch[SIDE_ENCLAVE].fd, bytes, sizeof bytes, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    line_print_whole(c->line, c->quota, bytes_of(bytes, (size_t)n), r->now_ms);
    return n > 0;
}

static void on_connection(struct relay *r, struct connection *c, int side, uint32_t events)
{
    switch (c->state) {
    case CONNECTION_CONNECTS:
        on_connect(r, c);
        return;
    case CONNECTION_RELAYS:
        on_flow(r, c, side, events);
        return;
    case CONNECTION_LOGS:
        if (!read_log(r, c))
            finish(r, c);
        return;
    case CONNECTION_WAITS:
    case CONNECTION_OVER: /* an event of the same round as its end */
        return;
    }
}

/* --- new ones --- */

static void begin_connection(struct relay *r, struct connection *c)
{
    r->relayed_open++;
    c->state = CONNECTION_WAITS;
    c->connect_by_ms = c->deadline_ms = r->now_ms + r->options->connect_ms;
    if (resolver_is_fresh(&r->resolver, r->now_ms)) {
        connect_on(r, c, 0);
    } else if (!resolver_begin(&r->resolver)) {
        exhausted(r, "thread", EAGAIN);
        connect_on(r, c, EAGAIN);
    }
}

static void take(struct relay *r, int fd, struct peer peer, bool logs)
{
    char who[PEER_TEXT_SIZE];
    struct quota *quota =
        quota_enter(&r->quotas, peer, r->options->connections_per_peer, r->now_ms);
    if (quota == NULL) {
        close(fd);
        if (seldom_may(&r->too_many, r->now_ms))
            log_event(LOG_LEVEL_WARN, "relay.too_many", "%s max=%u unsaid=%u", peer_text(peer, who),
                      r->options->connections_per_peer, r->too_many.before);
        return;
    }
    struct connection *c = connection_new(fd, quota, logs);
    if (c == NULL) {
        quota_leave(quota);
        exhausted(r, "memory", ENOMEM);
        return;
    }
    r->open_count++;
    connection_link(&r->open, c);
    if (!logs) {
        begin_connection(r, c);
        return;
    }
    c->state = CONNECTION_LOGS;
    c->deadline_ms = NEVER_MS; /* an enclave that has nothing to say is well */
    if (!watch_set(r->epoll_fd, &c->watch[SIDE_ENCLAVE], EPOLLIN)) {
        exhausted(r, "epoll", errno);
        finish(r, c);
    }
}

static void accept_some(struct relay *r, struct watch *listener)
{
    for (int i = 0; i < ACCEPTS_MAX && r->open_count < r->options->connections; i++) {
        struct address from = {.len = sizeof from.sockaddr};
        const int fd = accept4(listener->fd, (struct sockaddr *)&from.sockaddr, &from.len,
                               SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take(r, fd, address_peer(&from), listener->kind == WATCH_LOG);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            r->accepts_paused = true;
            exhausted(r, "accept", errno);
        }
        return;
    }
}

/* What cannot be taken waits in the backlog. */
static void watch_listeners(struct relay *r)
{
    const bool takes =
        !r->accepts_paused && r->stop_by_ms == NEVER_MS && r->open_count < r->options->connections;
    struct watch *const both[] = {&r->listener, &r->log_listener};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        if (both[i]->fd >= 0 && !watch_set(r->epoll_fd, both[i], takes ? EPOLLIN : 0u))
            exhausted(r, "epoll", errno); /* and again in the next round */
    }
}

static void on_resolved(struct relay *r)
{
    const char *failure = resolver_finish(&r->resolver, r->now_ms);
    if (failure != NULL && seldom_may(&r->unresolved, r->now_ms))
        log_event(LOG_LEVEL_WARN, "relay.unresolved", "to=%s error=%s unsaid=%u do=%s",
                  r->options->to_text, LOG_Q(failure), r->unresolved.before,
                  LOG_Q("does this machine's resolver know the name?"));
    struct connection *next = NULL;
    for (struct connection *c = r->open.next; c != &r->open; c = next) {
        next = c->next;
        if (c->state == CONNECTION_WAITS)
            connect_on(r, c, EHOSTUNREACH);
    }
}

/* --- time --- */

static void on_deadline(struct relay *r, struct connection *c)
{
    char who[PEER_TEXT_SIZE];
    if (c->state == CONNECTION_CONNECTS) {
        connect_give_up(c);
        connect_on(r, c, ETIMEDOUT);
        return;
    }
    if (c->state == CONNECTION_RELAYS && !flows_lingering(&c->flows) &&
        seldom_may(&r->idle, r->now_ms))
        log_event(LOG_LEVEL_INFO, "relay.idle", "%s after_s=%" PRId64 " unsaid=%u",
                  peer_text(c->quota->peer, who), r->options->idle_ms / 1000, r->idle.before);
    if (c->state == CONNECTION_WAITS && seldom_may(&r->unresolved, r->now_ms))
        log_event(LOG_LEVEL_WARN, "relay.unresolved", "to=%s error=%s unsaid=%u do=%s",
                  r->options->to_text, LOG_Q("no answer"), r->unresolved.before,
                  LOG_Q("does this machine's resolver work?"));
    finish(r, c);
}

static void sweep(struct relay *r)
{
    char who[PEER_TEXT_SIZE];
    if (r->now_ms - r->swept_ms < SWEEP_MS)
        return;
    r->swept_ms = r->now_ms;
    r->accepts_paused = false;
    struct connection *next = NULL;
    for (struct connection *c = r->open.next; c != &r->open; c = next) {
        next = c->next;
        if (r->now_ms >= c->deadline_ms)
            on_deadline(r, c);
    }
    for (size_t i = 0; i < QUOTA_PEERS; i++) {
        struct quota *quota = &r->quotas.place[i];
        const uint64_t dropped = quota->dropped > 0 ? quota_take_dropped(quota, r->now_ms) : 0;
        if (dropped > 0)
            log_event(LOG_LEVEL_WARN, "relay.lines_dropped", "%s lines=%" PRIu64 " why=%s",
                      peer_text(quota->peer, who), dropped,
                      LOG_Q("too many in too short a time, or nobody reads standard output"));
    }
}

/* --- the end --- */

static void on_signal(struct relay *r)
{
    struct signalfd_siginfo info;
    (void)!read(r->signals.fd, &info, sizeof info);
    const bool again = r->stop_by_ms != NEVER_MS;
    r->stop_by_ms = r->now_ms + (again ? 0 : DRAIN_MS);
    if (again)
        return;
    fd_close(&r->listener.fd);
    fd_close(&r->log_listener.fd);
    log_event(LOG_LEVEL_INFO, "relay.stopping", "open=%u wait_s=%d", r->relayed_open,
              DRAIN_MS / 1000);
}

static bool must_stop(const struct relay *r)
{
    return r->stop_by_ms != NEVER_MS && (r->relayed_open == 0 || r->now_ms >= r->stop_by_ms);
}

/* The logs' last words that have come already, and the end of all that is open. */
static void close_all(struct relay *r)
{
    while (r->open.next != &r->open) {
        struct connection *c = r->open.next;
        uint8_t byte = 0;
        for (int i = 0; c->state == CONNECTION_LOGS && i < LAST_WORDS_MAX / 4096 &&
                        recv(c->watch[SIDE_ENCLAVE].fd, &byte, 1, MSG_PEEK) == 1;
             i++)
            (void)read_log(r, c);
        finish(r, c);
    }
}

/* --- the loop --- */

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
        on_resolved(r);
        return;
    default:
        on_connection(r, watch->owner, watch->kind, events);
    }
}

static enum err serve(struct relay *r, struct fault *fault)
{
    while (!must_stop(r)) {
        struct epoll_event events[EVENTS_MAX];
        watch_listeners(r);
        const bool clocked = r->open_count > 0 || r->accepts_paused || r->stop_by_ms != NEVER_MS;
        const int count = epoll_wait(r->epoll_fd, events, EVENTS_MAX, clocked ? SWEEP_MS : -1);
        if (count < 0 && errno != EINTR)
            FAIL(fault, ERR_INTERNAL, "epoll_wait: %s", strerror(errno));
        r->now_ms = monotonic_ms();
        for (int i = 0; i < count; i++)
            on_event(r, events[i].data.ptr, events[i].events);
        sweep(r);
        free_list(&r->over);
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
    TRY(resolver_init(&r->options->to, &r->resolver, fault));
    r->resolved.fd = r->resolver.done_fd;
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
    TRY(allow_files(o, fault));
    TRY(open_own(r, fault));
    TRY(listen_all(r, fault));
    log_event(LOG_LEVEL_INFO, "relay.ready", "listen=%s to=%s log=%s connections=%u per_cid=%u",
              o->listen_text, o->to_text, o->log_text != NULL ? o->log_text : "none",
              o->connections, o->connections_per_peer);
    const enum err err = serve(r, fault);
    const unsigned cut = r->relayed_open;
    close_all(r);
    free_list(&r->over);
    address_unlink(&o->listen);
    if (o->log_text != NULL)
        address_unlink(&o->log);
    if (err == ERR_OK)
        log_event(LOG_LEVEL_INFO, "relay.stopped", "relayed=%" PRIu64 " cut=%u", r->relayed, cut);
    return err;
}

enum err relay_run(const struct relay_options *options, struct fault *fault)
{
    struct relay *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_NO_MEMORY;
    r->options = options;
    r->epoll_fd = r->resolver.done_fd = -1;
    r->listener = (struct watch){.fd = -1, .kind = WATCH_RELAY};
    r->log_listener = (struct watch){.fd = -1, .kind = WATCH_LOG};
    r->signals = (struct watch){.fd = -1, .kind = WATCH_SIGNALS};
    r->resolved = (struct watch){.fd = -1, .kind = WATCH_RESOLVER};
    r->open.next = r->open.previous = &r->open;
    r->over.next = r->over.previous = &r->over;
    r->now_ms = r->swept_ms = monotonic_ms();
    r->stop_by_ms = NEVER_MS;
    const enum err err = begin_and_serve(r, fault);
    fd_close(&r->listener.fd);
    fd_close(&r->log_listener.fd);
    fd_close(&r->signals.fd);
    fd_close(&r->epoll_fd);
    if (r->resolver.running)
        return err; /* its thread still writes there; the process ends with it */
    fd_close(&r->resolved.fd);
    free(r);
    return err;
}
