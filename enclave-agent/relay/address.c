#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "common/codec.h"
#include "common/fd_cleanup.h"

static enum err parse_port(const char *text, uint64_t max, uint64_t *out, struct fault *fault)
{
    if (decimal_parse(bytes_of_text(text), max, out) != ERR_OK || *out == 0)
        FAIL(fault, ERR_USAGE, "\"%.40s\" is not a port, 1 to %llu", text, (unsigned long long)max);
    return ERR_OK;
}

static enum err parse_unix(const char *path, struct address *out, struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(path);
    if (path[0] != '/' || len >= sizeof address.sun_path)
        FAIL(fault, ERR_USAGE, "the path of a Unix socket begins with / and has at most %zu bytes",
             sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, len);
    *out = (struct address){.len = sizeof address};
    memcpy(&out->sockaddr, &address, sizeof address);
    return ERR_OK;
}

static enum err parse_vsock(const char *port_text, struct address *out, struct fault *fault)
{
    uint64_t port = 0;
    TRY(parse_port(port_text, UINT32_MAX - 1, &port, fault));
    const struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = (unsigned)port};
    *out = (struct address){.len = sizeof address};
    memcpy(&out->sockaddr, &address, sizeof address);
    return ERR_OK;
}

static enum err parse_ipv4(const char *text, struct address *out, struct fault *fault)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[16] = "";
    const char *colon = strchr(text, ':');
    uint64_t port = 0;
    if (colon != NULL && (size_t)(colon - text) < sizeof host)
        memcpy(host, text, (size_t)(colon - text));
    if (colon == NULL || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        FAIL(fault, ERR_USAGE, "not vsock:PORT, unix:/PATH or an IPv4 address with its port");
    TRY(parse_port(colon + 1, UINT16_MAX, &port, fault));
    address.sin_port = htons((uint16_t)port);
    *out = (struct address){.len = sizeof address};
    memcpy(&out->sockaddr, &address, sizeof address);
    return ERR_OK;
}

enum err address_parse_listen(const char *text, struct address *out, struct fault *fault)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out, fault);
    if (strncmp(text, "vsock:", 6) == 0)
        return parse_vsock(text + 6, out, fault);
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0')
        return parse_vsock(text, out, fault);
    return parse_ipv4(text, out, fault);
}

/* What helps, for the errors that people meet. */
static const char *advice(const struct address *address, int error)
{
    const bool vsock = address->sockaddr.ss_family == AF_VSOCK;
    switch (error) {
    case EAFNOSUPPORT:
        return vsock ? "; this kernel has no vsock: is this the parent instance of an enclave? "
                       "Try: modprobe vsock"
                     : "";
    case EADDRINUSE:
        return vsock ? "; another relay or vsock-proxy listens there: ss --vsock -lp shows which"
               : address->sockaddr.ss_family == AF_UNIX
                   ? "; another relay listens there, or one left its socket: then remove it"
                   : "; another program listens there: ss -ltnp shows which";
    case EACCES:
        return address->sockaddr.ss_family == AF_UNIX
                   ? ""
                   : "; a port below 1024 is root's: take a higher one";
    default:
        return "";
    }
}

enum err address_listen(const struct address *address, const char *text, int *out,
                        struct fault *fault)
{
    CLEANUP(fd_close)
    int fd = socket(address->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%.80s: no socket: %s%s", text, strerror(errno),
             advice(address, errno));
    if (address->sockaddr.ss_family == AF_INET &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        FAIL(fault, ERR_FILE, "%.80s: SO_REUSEADDR: %s", text, strerror(errno));
    if (bind(fd, (const struct sockaddr *)&address->sockaddr, address->len) != 0)
        FAIL(fault, ERR_FILE, "cannot listen at %.80s: %s%s", text, strerror(errno),
             advice(address, errno));
    if (listen(fd, SOMAXCONN) != 0) {
        const int error = errno;
        address_unlink(address);
        FAIL(fault, ERR_FILE, "cannot listen at %.80s: %s%s", text, strerror(error),
             advice(address, error));
    }
    *out = fd;
    fd = -1;
    return ERR_OK;
}

void address_unlink(const struct address *address)
{
    struct sockaddr_un of_unix;
    if (address->sockaddr.ss_family != AF_UNIX)
        return;
    memcpy(&of_unix, &address->sockaddr, sizeof of_unix);
    unlink(of_unix.sun_path);
}

/* HOST:PORT; what the host is, the resolver knows better. */
enum err address_parse_target(const char *text, struct address_target *out, struct fault *fault)
{
    struct address_target target = {0};
    if (strncmp(text, "unix:", 5) == 0) {
        target.is_unix = true;
        TRY(parse_unix(text + 5, &target.unix_address, fault));
        *out = target;
        return ERR_OK;
    }
    const bool brackets = text[0] == '[';
    const char *host = brackets ? text + 1 : text;
    const size_t len = strcspn(host, brackets ? "]" : ":");
    const char *rest = host + len + (brackets && host[len] == ']');
    uint64_t port = 0;
    if (len == 0 || len >= sizeof target.host || rest[0] != ':')
        FAIL(fault, ERR_USAGE, "not HOST:PORT or unix:/PATH: the verifier's address and port");
    if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:") < len)
        FAIL(fault, ERR_USAGE, "the host has a character that does not belong there");
    TRY(parse_port(rest + 1, UINT16_MAX, &port, fault));
    memcpy(target.host, host, len);
    snprintf(target.port, sizeof target.port, "%u", (unsigned)port);
    *out = target;
    return ERR_OK;
}

struct peer address_peer(const struct address *address)
{
    struct sockaddr_vm vsock;
    struct sockaddr_in ipv4;
    switch (address->sockaddr.ss_family) {
    case AF_VSOCK:
        memcpy(&vsock, &address->sockaddr, sizeof vsock);
        return (struct peer){.kind = PEER_CID, .number = vsock.svm_cid};
    case AF_INET:
        memcpy(&ipv4, &address->sockaddr, sizeof ipv4);
        return (struct peer){.kind = PEER_IPV4, .number = ntohl(ipv4.sin_addr.s_addr)};
    default:
        return (struct peer){.kind = PEER_LOCAL};
    }
}

const char *peer_text(struct peer peer, char out[static PEER_TEXT_SIZE])
{
    const uint32_t n = peer.number;
    if (peer.kind == PEER_CID)
        snprintf(out, PEER_TEXT_SIZE, "cid=%u", n);
    else if (peer.kind == PEER_IPV4)
        snprintf(out, PEER_TEXT_SIZE, "peer=%u.%u.%u.%u", n >> 24, n >> 16 & 255, n >> 8 & 255,
                 n & 255);
    else
        snprintf(out, PEER_TEXT_SIZE, "peer=local");
    return out;
}
