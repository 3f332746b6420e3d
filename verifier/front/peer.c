#define _GNU_SOURCE /* struct ucred */
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

void peer_of_address(const struct sockaddr *address, char out[static WARDEN_PEER_MAX + 1])
{
    char text[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in6 v6 = {0};
    struct sockaddr_in v4 = {0};
    snprintf(out, WARDEN_PEER_MAX + 1, "unknown");
    if (address == NULL)
        return;
    if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof v6);
        if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            if (inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text) != NULL)
                snprintf(out, WARDEN_PEER_MAX + 1, "[%s]:%u", text, ntohs(v6.sin6_port));
            return;
        }
        v4.sin_port = v6.sin6_port;
        memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
    } else if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
    } else {
        return;
    }
    if (inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text) != NULL)
        snprintf(out, WARDEN_PEER_MAX + 1, "%s:%u", text, ntohs(v4.sin_port));
}

void peer_of_unix(int fd, char out[static WARDEN_PEER_MAX + 1])
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && len == sizeof peer)
        snprintf(out, WARDEN_PEER_MAX + 1, "unix:uid=%u", peer.uid);
    else
        snprintf(out, WARDEN_PEER_MAX + 1, "unix");
}
