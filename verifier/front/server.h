/* One listener's daemon: libmicrohttpd's life cycle, TLS, threads.  For front.c. */
#ifndef VOUCHSAFE_FRONT_SERVER_H
#define VOUCHSAFE_FRONT_SERVER_H

#include "front.h"
#include "listener.h"
#include "serving.h"

struct server;

/* Opens the listener and serves.  Errors as front_start's. */
MUST_CHECK enum err server_start(struct serving *serving, const struct front_listener *listener,
                                 struct server **out, struct fault *fault);
uint16_t server_port(const struct server *server);
/* No new connection any more; the Unix socket's file is gone. */
void server_quiesce(struct server *server);
/* Ends every connection and frees; accepts NULL. */
void server_free(struct server *server);
CLEANUP_PTR(struct server, server_free, server_freep)

#endif
