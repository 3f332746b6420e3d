/* The relay on the parent instance: enclaves' connections to the verifier, and their log.
 *
 * One thread and one loop, but for looking names up.  It is trusted with nothing and trusts
 * nobody: what it passes on is authenticated by those at the ends (PROTOCOL), and what
 * enclaves log is bytes of a stranger (line.h).  Everything that a peer can make it hold is
 * bounded: connections in total and of each peer, bytes of a connection, lines of a peer. */
#ifndef VOUCHSAFE_RELAY_RELAY_H
#define VOUCHSAFE_RELAY_RELAY_H

#include "address.h"

struct relay_options {
    const char *listen_text; /* as given; and what it says */
    struct address listen;
    const char *log_text; /* or NULL: no log is taken */
    struct address log;
    const char *to_text;
    struct address_target to;
    unsigned connections;
    unsigned connections_per_peer;
    int64_t idle_ms;    /* a connection on which nothing moves is closed after so long */
    int64_t connect_ms; /* for looking the verifier's name up and connecting */
};

/* Until SIGTERM or SIGINT: then nothing new is taken, and what is open has 10 s to end; a
 * second signal does not wait.  ERR_FILE where it cannot begin, ERR_USAGE where it may not
 * have the descriptors that it needs, ERR_INTERNAL, ERR_NO_MEMORY. */
MUST_CHECK enum err relay_run(const struct relay_options *options, struct fault *fault);

#endif
