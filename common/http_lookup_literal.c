#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "http_lookup.h"

static bool parse(const char *host, in_port_t port, struct http_addresses *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    const bool is_v4 = inet_pton(AF_INET, host, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
        return false;
    *out = (struct http_addresses){.count = 1};
    out->item[0].len = is_v4 ? sizeof v4 : sizeof v6;
    if (is_v4)
        memcpy(&out->item[0].address, &v4, sizeof v4);
    else
        memcpy(&out->item[0].address, &v6, sizeof v6);
    return true;
}

enum err http_lookup_check(const char *host, struct fault *fault)
{
    struct http_addresses scratch;
    if (!parse(host, 0, &scratch))
        FAIL(fault, ERR_USAGE,
             "this static agent resolves no names: give vsock://CID:PORT, unix:/PATH or an IP "
             "address, and let the relay on the parent find the name");
    return ERR_OK;
}

enum err http_lookup(const char *host, const char *port, struct http_addresses *out,
                     struct fault *fault)
{
    TRY(http_lookup_check(host, fault));
    (void)parse(host, htons((in_port_t)strtoul(port, NULL, 10)), out);
    return ERR_OK;
}
