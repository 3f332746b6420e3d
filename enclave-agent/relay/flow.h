/* One relayed connection: two sockets, and what is on its way between them.
 *
 * Bytes are never looked at.  What one side does not take at once is held, at most one
 * reading's worth, and until then nothing more is read from the other: that is all the
 * memory that a connection can take.  The end of each direction is passed on by itself. */
#ifndef VOUCHSAFE_RELAY_FLOW_H
#define VOUCHSAFE_RELAY_FLOW_H

#include "common/bytes.h"

#define FLOW_READ_MAX 16384

enum { SIDE_ENCLAVE, SIDE_VERIFIER, SIDES };

/* One direction. */
struct flow {
    uint8_t *held; /* owned; NULL: nothing */
    size_t held_len;
    size_t held_at; /* of these so many are gone */
    bool ended;     /* the side that it comes from sends no more */
    bool refused;   /* the side that it goes to takes no more: the rest is read and dropped */
    bool passed_on; /* its end was */
};

struct flows {
    int fd[SIDES]; /* borrowed */
    struct flow from[SIDES];
};

/* Moves what can be moved now, after a socket was seen to be readable, or writable.  False
 * where there was no memory to hold what was read: the connection cannot go on. */
bool flows_readable(struct flows *flows, int side);
void flows_writable(struct flows *flows, int side);
bool flows_wants_read(const struct flows *flows, int side);
bool flows_wants_write(const struct flows *flows, int side);
/* Both directions have ended, and all is passed on. */
bool flows_over(const struct flows *flows);
/* One direction has ended; in the other nobody takes what still comes.  Closing at once
 * would reset the connection, and could take the answer with it that the other side has
 * not read yet: it is given a moment. */
bool flows_lingering(const struct flows *flows);
void flows_free(struct flows *flows);

#endif
