/* Front: the HTTP side of `vouchsafe serve`: sockets, TLS, HTTP, JSON.
 *
 * It parses strangers' bytes and holds no keys but its TLS keys, no store and no
 * policy: what it understood becomes one message to the warden, whose reply becomes
 * the answer (DESIGN section 2; the wire is PROTOCOL sections 1 to 4 and 6).  Routes
 * are routes.c's, statuses problem.c's.  libmicrohttpd is met in server.c and
 * exchange.c alone.
 *
 * libmicrohttpd answers a request that it cannot even split into lines by itself, in
 * HTML and without a request id: the one exception to problem+json.  What it takes
 * too leniently in a head is refused (guard.h); what it takes so between chunks (a bare
 * LF, an empty extension) matters only behind a proxy that shares one connection among
 * several clients: put none there. */
#ifndef VOUCHSAFE_FRONT_H
#define VOUCHSAFE_FRONT_H

#include <stdint.h>

#include "common/bytes.h"
#include "verifier/config.h"

struct warden;
struct front;

#define FRONT_LISTENERS_MAX 4

/* Who comes in by a listener, hence which routes it has: bits of a mask. */
enum front_audience { FRONT_PUBLIC = 1, FRONT_ADMIN = 2 };

struct front_listener {
    enum front_audience audience;
    /* "127.0.0.1:8443", "[::1]:8443", "0.0.0.0:8443", port 0 for any; or a Unix
     * socket, "unix:/run/vouchsafe/admin.sock", made with mode 0600. */
    const char *address;
    /* PEM files, both or neither (plain HTTP).  An admin listener on TCP needs them:
     * its tokens would travel in the clear. */
    const char *tls_certificate;
    const char *tls_key;
};

struct front_options {
    size_t listener_count;
    struct front_listener listener[FRONT_LISTENERS_MAX];
    unsigned threads;                 /* of a public listener, at least 2; an admin one has 2 */
    unsigned connections;             /* of one listener; further ones wait in the backlog */
    unsigned connections_per_address; /* TCP; 0: no limit */
    unsigned rate_per_s;              /* requests per source address, public; 0: no limit */
    unsigned rate_burst;
    /* Absolute, however slowly the bytes trickle in: for the head of a request (TLS
     * handshake included), for its body, for taking the answer, and for a connection
     * between two requests. */
    unsigned header_timeout_ms;
    unsigned body_timeout_ms;
    unsigned answer_timeout_ms;
    unsigned idle_timeout_ms;
};
#define FRONT_OPTIONS_DEFAULT                                                             \
    {                                                                                     \
        .threads = CONFIG_THREADS_DEFAULT, .connections = CONFIG_CONNECTIONS_DEFAULT,     \
        .connections_per_address = CONFIG_PER_ADDRESS_DEFAULT,                            \
        .rate_per_s = CONFIG_RATE_PER_S_DEFAULT, .rate_burst = CONFIG_RATE_BURST_DEFAULT, \
        .header_timeout_ms = 10000, .body_timeout_ms = 30000, .answer_timeout_ms = 30000, \
        .idle_timeout_ms = 60000,                                                         \
    }

/* Opens every listener and serves until front_stop; `warden` must outlive it.  What
 * the options point to is not needed afterwards.  Errors: ERR_CONFIG (options),
 * ERR_FILE (socket, certificate), ERR_BUSY (the address or the socket is served
 * already), ERR_NO_MEMORY, ERR_CRYPTO, ERR_INTERNAL. */
MUST_CHECK enum err front_start(const struct front_options *options, struct warden *warden,
                                struct front **out, struct fault *fault);
/* The port of a TCP listener, in the order of the options; 0 for a Unix socket. */
uint16_t front_port(const struct front *front, size_t listener);
/* Takes no new connection, lets running requests finish and announces the end to
 * kept-alive ones; then closes all, removes its Unix sockets and frees `front`.
 * ERR_TIMEOUT where requests were still running after `deadline_ms`: their answers
 * are lost.  A call that is inside the warden is waited for in any case. */
MUST_CHECK enum err front_stop(struct front *front, unsigned deadline_ms);

#endif
