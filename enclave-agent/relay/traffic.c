#include "traffic.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "common/fd_cleanup.h"
#include "common/log.h"
#include "connect.h"
#include "line_print.h"

#define LINGER_MS      2000
#define NEVER_MS       INT64_MAX
#define LAST_WORDS_MAX 65536

void traffic_exhausted(struct traffic *t, const char *what, int error)
{
    if (seldom_may(&t->exhausted, t->now_ms))
        log_event(LOG_LEVEL_ERROR, "relay.exhausted", "what=%s error=%s unsaid=%u", what,
                  LOG_Q(strerror(error)), t->exhausted.before);
}

void traffic_init(struct traffic *t, const struct relay_options *options)
{
    *t = (struct traffic){.options = options, .epoll_fd = -1, .resolver = {.done_fd = -1}};
    t->open.next = t->open.previous = &t->open;
    t->over.next = t->over.previous = &t->over;
}

/* --- each of them --- */

static void finish(struct traffic *t, struct connection *c)
{
    if (c->state == CONNECTION_OVER)
        return;
    if (c->state == CONNECTION_LOGS)
        line_print_rest(c->line, c->quota, t->now_ms);
    else
        t->relayed_open--;
    t->open_count--;
    c->state = CONNECTION_OVER;
    quota_leave(c->quota);
    fd_close(&c->watch[SIDE_ENCLAVE].fd);
    fd_close(&c->watch[SIDE_VERIFIER].fd);
    connection_unlink(c);
    connection_link(&t->over, c);
}

static void watch_flows(struct traffic *t, struct connection *c)
{
    for (int side = 0; side < SIDES; side++) {
        const uint32_t events = (flows_wants_read(&c->flows, side) ? EPOLLIN : 0u) |
                                (flows_wants_write(&c->flows, side) ? EPOLLOUT : 0u);
        if (!watch_set(t->epoll_fd, &c->watch[side], events)) {
            traffic_exhausted(t, "epoll", errno);
            finish(t, c);
            return;
        }
    }
}

static void begin_relaying(struct traffic *t, struct connection *c)
{
    c->state = CONNECTION_RELAYS;
    c->deadline_ms = t->now_ms + t->options->idle_ms;
    c->flows.fd[SIDE_ENCLAVE] = c->watch[SIDE_ENCLAVE].fd;
    c->flows.fd[SIDE_VERIFIER] = c->watch[SIDE_VERIFIER].fd;
    t->relayed++;
    watch_flows(t, c);
}

/* To the next address; after the last one this connection is lost. */
static void connect_on(struct traffic *t, struct connection *c, int error)
{
    char who[PEER_TEXT_SIZE];
    if (connect_next(c, &t->resolver, t->now_ms, &error)) {
        if (!watch_set(t->epoll_fd, &c->watch[SIDE_VERIFIER], EPOLLOUT)) {
            traffic_exhausted(t, "epoll", errno);
            finish(t, c);
        }
        return;
    }
    if (t->resolver.count > 0 && seldom_may(&t->unreachable, t->now_ms))
        log_event(LOG_LEVEL_WARN, "relay.unreachable", "to=%s error=%s for=%s unsaid=%u do=%s",
                  t->options->to_text, LOG_Q(strerror(error)), peer_text(c->quota->peer, who),
                  t->unreachable.before,
                  LOG_Q("is the verifier up, and may this machine connect to it?"));
    finish(t, c);
}

static void on_connect(struct traffic *t, struct connection *c)
{
    const int error = connect_result(c);
    if (error == 0)
        begin_relaying(t, c);
    else
        connect_on(t, c, error);
}

static void on_flow(struct traffic *t, struct connection *c, int side, uint32_t events)
{
    if ((events & ~(uint32_t)EPOLLIN) != 0) /* an error is found by writing, too */
        flows_writable(&c->flows, side);
    if ((events & ~(uint32_t)EPOLLOUT) != 0 && !flows_readable(&c->flows, side)) {
        traffic_exhausted(t, "memory", ENOMEM);
        finish(t, c);
        return;
    }
    if (flows_over(&c->flows)) {
        finish(t, c);
        return;
    }
    if (!flows_lingering(&c->flows))
        c->deadline_ms = t->now_ms + t->options->idle_ms;
    else if (c->deadline_ms > t->now_ms + LINGER_MS) /* once: what still comes gives no more */
        c->deadline_ms = t->now_ms + LINGER_MS;
    watch_flows(t, c);
}

/* False at its end. */
static bool read_log(struct traffic *t, struct connection *c)
{
    uint8_t bytes[4096];
    const ssize_t n = recv(c->watch[SIDE_ENCLAVE].fd, bytes, sizeof bytes, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    line_print_whole(c->line, c->quota, bytes_of(bytes, (size_t)n), t->now_ms);
    return n > 0;
}

void traffic_ready(struct traffic *t, const struct watch *watch, uint32_t events)
{
    struct connection *c = watch->owner;
    switch (c->state) {
    case CONNECTION_CONNECTS:
        on_connect(t, c);
        return;
    case CONNECTION_RELAYS:
        on_flow(t, c, watch->kind, events);
        return;
    case CONNECTION_LOGS:
        if (!read_log(t, c))
            finish(t, c);
        return;
    case CONNECTION_WAITS:
    case CONNECTION_OVER: /* an event of the same round as its end */
        return;
    }
}

/* --- new ones --- */

static void begin_connection(struct traffic *t, struct connection *c)
{
    t->relayed_open++;
    c->state = CONNECTION_WAITS;
    c->connect_by_ms = t->now_ms + t->options->connect_ms;
    /* A resolver that hangs gets half of it, where there are addresses from before. */
    c->deadline_ms =
        t->resolver.count == 0 ? c->connect_by_ms : t->now_ms + t->options->connect_ms / 2;
    if (resolver_is_fresh(&t->resolver, t->now_ms)) {
        connect_on(t, c, 0);
    } else if (!resolver_begin(&t->resolver)) {
        traffic_exhausted(t, "thread", EAGAIN);
        connect_on(t, c, EAGAIN);
    }
}

void traffic_take(struct traffic *t, int fd, struct peer peer, bool logs)
{
    char who[PEER_TEXT_SIZE];
    struct quota *quota =
        quota_enter(&t->quotas, peer, t->options->connections_per_peer, t->now_ms);
    if (quota == NULL) {
        close(fd);
        if (seldom_may(&t->too_many, t->now_ms))
            log_event(LOG_LEVEL_WARN, "relay.too_many", "%s max=%u unsaid=%u", peer_text(peer, who),
                      t->options->connections_per_peer, t->too_many.before);
        return;
    }
    struct connection *c = connection_new(fd, quota, logs);
    if (c == NULL) {
        quota_leave(quota);
        traffic_exhausted(t, "memory", ENOMEM);
        return;
    }
    t->open_count++;
    connection_link(&t->open, c);
    if (!logs) {
        begin_connection(t, c);
        return;
    }
    c->state = CONNECTION_LOGS;
    c->deadline_ms = NEVER_MS; /* an enclave that has nothing to say is well */
    if (!watch_set(t->epoll_fd, &c->watch[SIDE_ENCLAVE], EPOLLIN)) {
        traffic_exhausted(t, "epoll", errno);
        finish(t, c);
    }
}

static void say_unresolved(struct traffic *t, const char *error, const char *advice)
{
    if (seldom_may(&t->unresolved, t->now_ms))
        log_event(LOG_LEVEL_WARN, "relay.unresolved", "to=%s error=%s unsaid=%u do=%s",
                  t->options->to_text, LOG_Q(error), t->unresolved.before, LOG_Q(advice));
}

void traffic_resolved(struct traffic *t)
{
    const char *failure = resolver_finish(&t->resolver, t->now_ms);
    if (failure != NULL)
        say_unresolved(t, failure, "does this machine's resolver know the name?");
    struct connection *next = NULL;
    for (struct connection *c = t->open.next; c != &t->open; c = next) {
        next = c->next;
        if (c->state == CONNECTION_WAITS)
            connect_on(t, c, EHOSTUNREACH);
    }
}

/* --- time --- */

static void on_deadline(struct traffic *t, struct connection *c)
{
    char who[PEER_TEXT_SIZE];
    if (c->state == CONNECTION_WAITS) {
        say_unresolved(t, "no answer", "does this machine's resolver work?");
        connect_on(t, c, ETIMEDOUT);
        return;
    }
    if (c->state == CONNECTION_CONNECTS) {
        connect_give_up(c);
        connect_on(t, c, ETIMEDOUT);
        return;
    }
    if (c->state == CONNECTION_RELAYS && !flows_lingering(&c->flows) &&
        seldom_may(&t->idle, t->now_ms))
        log_event(LOG_LEVEL_INFO, "relay.idle", "%s after_s=%" PRId64 " unsaid=%u",
                  peer_text(c->quota->peer, who), t->options->idle_ms / 1000, t->idle.before);
    finish(t, c);
}

void traffic_sweep(struct traffic *t)
{
    char who[PEER_TEXT_SIZE];
    struct connection *next = NULL;
    for (struct connection *c = t->open.next; c != &t->open; c = next) {
        next = c->next;
        if (t->now_ms >= c->deadline_ms)
            on_deadline(t, c);
    }
    for (size_t i = 0; i < QUOTA_PEERS; i++) {
        struct quota *quota = &t->quotas.place[i];
        const uint64_t dropped = quota->dropped > 0 ? quota_take_dropped(quota, t->now_ms) : 0;
        if (dropped > 0)
            log_event(LOG_LEVEL_WARN, "relay.lines_dropped", "%s lines=%" PRIu64 " why=%s",
                      peer_text(quota->peer, who), dropped,
                      LOG_Q("too many in too short a time, or nobody reads standard output"));
    }
}

/* --- the end --- */

void traffic_free_over(struct traffic *t)
{
    while (t->over.next != &t->over) {
        struct connection *c = t->over.next;
        connection_unlink(c);
        connection_free(c);
    }
}

void traffic_close(struct traffic *t)
{
    while (t->open.next != &t->open) {
        struct connection *c = t->open.next;
        uint8_t byte = 0;
        for (int i = 0; c->state == CONNECTION_LOGS && i < LAST_WORDS_MAX / 4096 &&
                        recv(c->watch[SIDE_ENCLAVE].fd, &byte, 1, MSG_PEEK) == 1;
             i++)
            (void)read_log(t, c);
        finish(t, c);
    }
    traffic_free_over(t);
}
