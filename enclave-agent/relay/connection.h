/* One connection that an enclave has opened: relayed to the verifier, or with lines of a log.
 * What is done with each is traffic.c's; here is what there is of them. */
#ifndef VOUCHSAFE_RELAY_CONNECTION_H
#define VOUCHSAFE_RELAY_CONNECTION_H

#include "flow.h"
#include "line.h"
#include "quota.h"
#include "watch.h"

struct connection {
    struct connection *next;
    struct connection *previous;
    struct quota *quota; /* its peer's */
    enum {
        CONNECTION_WAITS,    /* for the verifier's address */
        CONNECTION_CONNECTS, /* to the address before next_address */
        CONNECTION_RELAYS,
        CONNECTION_LOGS,
        CONNECTION_OVER, /* freed once no event of this round can name it */
    } state;
    int64_t deadline_ms;   /* of the state */
    int64_t connect_by_ms; /* of all addresses */
    size_t next_address;
    struct watch watch[SIDES]; /* their descriptors are owned: -1 where there is none */
    struct flows flows;
    struct line *line; /* of a log */
};

/* Takes the descriptor over, also where there is no memory: NULL. */
struct connection *connection_new(int fd, struct quota *quota, bool logs);
void connection_free(struct connection *connection); /* accepts NULL */

/* A list of them, from a head that is linked to itself. */
void connection_link(struct connection *head, struct connection *connection);
void connection_unlink(struct connection *connection);

#endif
