/* The socket of the simulator: AF_UNIX, SOCK_SEQPACKET, one packet a request, one
 * packet its reply; many clients, many requests on each connection.
 *
 * One thread and one poll loop.  A client that does not read its replies, or sends an
 * empty packet (which cannot be told from its end), is let go. */
#ifndef VOUCHSAFE_SIM_SERVER_H
#define VOUCHSAFE_SIM_SERVER_H

#include <sys/types.h>

#include "sim_nsm.h"

#define SIM_CLIENTS_MAX 128 /* more wait in the backlog until one leaves */

struct sim_server {
    int listener;
    int signals; /* SIGTERM and SIGINT, as a descriptor */
    const char *path;
    dev_t dev; /* of the socket that is ours, so that no other is removed */
    ino_t ino;
};

/* Listens at `path` (mode 0600), which is borrowed.  A socket that nobody listens at is
 * replaced; one that answers, or anything that is no socket, is not: ERR_EXISTS.
 * ERR_USAGE where the path is too long for a socket, ERR_FILE for the rest.  Blocks
 * SIGTERM and SIGINT, which sim_server_run then takes. */
MUST_CHECK enum err sim_server_listen(const char *path, struct sim_server *out,
                                      struct fault *fault);
/* Serves until SIGTERM or SIGINT. */
MUST_CHECK enum err sim_server_run(struct sim_server *server, struct sim_nsm *nsm,
                                   struct fault *fault);
/* Unix time: the one place where the simulator reads a clock. */
int64_t sim_server_now_ms(void);
/* Removes the socket; for CLEANUP, accepts {.listener = -1, .signals = -1}. */
void sim_server_close(struct sim_server *server);

#endif
