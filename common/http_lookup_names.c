#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "cleanup.h"
#include "http_lookup.h"

CLEANUP_PTR(struct addrinfo, freeaddrinfo, freeaddrinfop)

enum err http_lookup_check(const char *host, struct fault *fault)
{
    (void)host;
    (void)fault;
    return ERR_OK;
}

enum err http_lookup(const char *host, const char *port, struct http_addresses *out,
                     struct fault *fault)
{
    CLEANUP(freeaddrinfop) struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    hints.ai_flags |= AI_NUMERICSERV;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc == EAI_NONAME) {
        hints.ai_flags = AI_NUMERICSERV;
        rc = getaddrinfo(host, port, &hints, &list);
    }
    if (rc != 0)
        FAIL(fault, ERR_UNREACHABLE, "the name %s is not known: %s", host,
             rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    struct http_addresses addresses = {0};
    for (const struct addrinfo *ai = list; ai != NULL && addresses.count < HTTP_ADDRESSES_MAX;
         ai = ai->ai_next) {
        memcpy(&addresses.item[addresses.count].address, ai->ai_addr, ai->ai_addrlen);
        addresses.item[addresses.count++].len = ai->ai_addrlen;
    }
    *out = addresses;
    return ERR_OK;
}
