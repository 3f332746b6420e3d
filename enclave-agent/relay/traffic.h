/* The connections that are open, and what is done with each from its first moment to its end:
 * the verifier's address and connecting to it, bytes both ways, lines of a log, deadlines.
 * Whoever runs the loop takes them, says which are ready, and what time it is. */
#ifndef VOUCHSAFE_RELAY_TRAFFIC_H
#define VOUCHSAFE_RELAY_TRAFFIC_H

#include "connection.h"
#include "relay.h"
#include "resolver.h"
#include "seldom.h"

struct traffic {
    const struct relay_options *options;
    int epoll_fd;   /* borrowed: the loop's */
    int64_t now_ms; /* the loop's, once a round */
    struct resolver resolver;
    struct quota_table quotas;
    struct connection open; /* the head of those that are */
    struct connection over; /* and of those to be freed */
    unsigned open_count;    /* of both kinds */
    unsigned relayed_open;
    uint64_t relayed; /* since the start */
    struct seldom unreachable, unresolved, too_many, exhausted, idle;
};

/* `options` are borrowed.  Then epoll_fd, now_ms and the resolver are to be set. */
void traffic_init(struct traffic *traffic, const struct relay_options *options);

/* A new connection, which is closed at once where its peer has too many; takes the descriptor
 * over.  Its watches are of the kinds SIDE_ENCLAVE and SIDE_VERIFIER. */
void traffic_take(struct traffic *traffic, int fd, struct peer peer, bool logs);
/* One of these watches is ready; also one whose connection ended earlier in the same round. */
void traffic_ready(struct traffic *traffic, const struct watch *watch, uint32_t events);
/* The resolver is done. */
void traffic_resolved(struct traffic *traffic);
/* What is due by the clock, to be called every second or so. */
void traffic_sweep(struct traffic *traffic);
/* At the end of a round: frees those that ended in it. */
void traffic_free_over(struct traffic *traffic);
/* Ends and frees all, after the last words of the logs that have come already. */
void traffic_close(struct traffic *traffic);

/* Says that this machine has no descriptor, memory or epoll place left for `what`. */
void traffic_exhausted(struct traffic *traffic, const char *what, int error);

#endif
