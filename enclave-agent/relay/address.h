/* Where the relay listens and where it connects to: texts, sockets and peers.
 *
 * A CID is given by the hypervisor, so that an enclave cannot take another's.  TCP and Unix
 * sockets stand in for vsock where there is none (tests); their peers are told apart by
 * their IPv4 address, or not at all. */
#ifndef VOUCHSAFE_RELAY_ADDRESS_H
#define VOUCHSAFE_RELAY_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

#include "common/bytes.h"

struct address {
    struct sockaddr_storage sockaddr;
    socklen_t len;
};

/* "vsock:PORT" (from any CID), "unix:/PATH", "A.B.C.D:PORT"; a number alone is a vsock port.
 * ERR_USAGE. */
MUST_CHECK enum err address_parse_listen(const char *text, struct address *out,
                                         struct fault *fault);
/* Listens, without blocking.  ERR_FILE says what to do. */
MUST_CHECK enum err address_listen(const struct address *address, const char *text, int *out,
                                   struct fault *fault);
/* Removes the socket of a Unix address; nothing else has one. */
void address_unlink(const struct address *address);

/* "HOST:PORT" (a name, an IPv4 address or "[::1]"), or "unix:/PATH". */
struct address_target {
    bool is_unix;
    struct address unix_address;
    char host[256];
    char port[6];
};
/* ERR_USAGE. */
MUST_CHECK enum err address_parse_target(const char *text, struct address_target *out,
                                         struct fault *fault);

/* Who connected. */
struct peer {
    enum { PEER_CID, PEER_IPV4, PEER_LOCAL } kind;
    uint32_t number; /* the CID, or the address */
};
struct peer address_peer(const struct address *address);
#define PEER_TEXT_SIZE 32
/* "cid=16", "peer=127.0.0.1", "peer=local". */
const char *peer_text(struct peer peer, char out[static PEER_TEXT_SIZE]);

#endif
