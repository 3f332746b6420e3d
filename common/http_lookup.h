/* From a host and a port to addresses.
 *
 * Two files implement it, of which a program links one.  http_lookup_names.c asks the system's
 * resolver for names.  http_lookup_literal.c takes addresses only: a static program cannot load
 * what glibc's resolver is made of, and in an enclave there is no network to ask; names are
 * resolved on the parent. */
#ifndef VOUCHSAFE_HTTP_LOOKUP_H
#define VOUCHSAFE_HTTP_LOOKUP_H

#include <sys/socket.h>

#include "err.h"

#define HTTP_ADDRESSES_MAX 16 /* of one name; later ones are left out */

struct http_addresses {
    size_t count;
    struct {
        struct sockaddr_storage address;
        socklen_t len;
    } item[HTTP_ADDRESSES_MAX];
};

/* Whether this program can look up such a host at all: ERR_USAGE where it is a name and only
 * addresses are taken. */
MUST_CHECK enum err http_lookup_check(const char *host, struct fault *fault);

/* At least one address: ERR_UNREACHABLE where the name is not known; ERR_USAGE as above. */
MUST_CHECK enum err http_lookup(const char *host, const char *port, struct http_addresses *out,
                                struct fault *fault);

#endif
