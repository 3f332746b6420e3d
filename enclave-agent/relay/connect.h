/* Connecting to the verifier: one address after the other, each with a fair share of the time. */
#ifndef VOUCHSAFE_RELAY_CONNECT_H
#define VOUCHSAFE_RELAY_CONNECT_H

#include "connection.h"
#include "resolver.h"

/* The next address that takes a connection, or may yet: then c->watch[SIDE_VERIFIER].fd is
 * the socket, CONNECTION_CONNECTS the state, c->deadline_ms its time, and the socket is
 * writable when it is decided.  False after the last one; `*error` is why, an errno. */
bool connect_next(struct connection *c, const struct resolver *resolver, int64_t now_ms,
                  int *error);
/* What became of it: 0, or an errno.  The socket of a failure is closed. */
int connect_result(struct connection *c);
/* Closes the socket of an attempt that takes too long. */
void connect_give_up(struct connection *c);

#endif
