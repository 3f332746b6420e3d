/* One HTTP/1.1 request over TCP, TLS, a Unix socket or vsock, with limits and one
 * deadline for everything, connecting included.
 *
 * What an answer may look like is http_answer.h's.  OpenSSL's own client hides error
 * bodies, which the agent must show (docs/DESIGN.md, dependencies).  Trusts nothing
 * that it receives; over TLS (1.2 or later) the server's certificate and name are
 * always verified.  No function raises SIGPIPE. */
#ifndef VOUCHSAFE_HTTP_CLIENT_H
#define VOUCHSAFE_HTTP_CLIENT_H

#include "http_answer.h"

/* Where to connect: parsed from "http://host[:port]", "https://host[:port]" (host: a
 * name, an IPv4 address or "[::1]"), "unix:/path/to.sock", "vsock://CID:PORT" (or
 * "vsock:CID:PORT"); a path after the authority is refused. */
struct http_target {
    enum { HTTP_TARGET_TCP, HTTP_TARGET_UNIX, HTTP_TARGET_VSOCK } kind;
    char host[256];     /* without brackets; or the socket's path; or the CID */
    char port[11];      /* decimal */
    char tls_name[256]; /* whose certificate is expected: https's host; "": no TLS */
    bool plain;         /* "http:" said that there is none */
};
/* ERR_USAGE. */
MUST_CHECK enum err http_target_parse(const char *url, struct http_target *out,
                                      struct fault *fault);
/* TLS over whatever the target is, with the server whose certificate names `name`: a host
 * name or an address, in place of the one that https took from the URL.  ERR_USAGE where it
 * is neither, or the URL is http. */
MUST_CHECK enum err http_target_expect(struct http_target *target, const char *name,
                                       struct fault *fault);
static inline bool http_target_is_tls(const struct http_target *target)
{
    return target->tls_name[0] != '\0';
}

/* Fields of faults: how far an exchange came that ended in ERR_UNREACHABLE. */
#define HTTP_FIELD_TLS       "TLS"
#define HTTP_FIELD_NO_ANSWER "request" /* it was sent, or some of it */
#define HTTP_FIELD_ANSWER    "answer"  /* and this began */

struct http_request {
    const char *method;  /* "GET", "POST" */
    const char *path;    /* "/v1/release", with its query */
    const char *bearer;  /* a token for Authorization, or NULL */
    struct bytes body;   /* JSON, or empty */
    const char *ca_file; /* TLS: PEM bundle; NULL: the system's */
    int64_t timeout_ms;  /* > 0: for the whole exchange, connect included */
    size_t answer_max;   /* bytes of body accepted */
};

/* One request on a connection of its own.  `answer` must be empty; any status is a
 * success of this function.  Errors:
 *   ERR_USAGE           method, path or bearer with characters that do not belong
 *                       there, or no time
 *   ERR_FILE            `ca_file` cannot be read
 *   ERR_UNREACHABLE     cannot connect, certificate refused, closed too early; the fault's
 *                       field tells them apart: the target, or one of HTTP_FIELD_...
 *   ERR_TIMEOUT         the deadline passed.  Only looking up a host name is not
 *                       under it: the resolver has its own; numeric addresses need
 *                       no resolver
 *   ERR_TOO_LARGE, ERR_HTTP_MALFORMED   as http_answer_advance
 *   ERR_NO_MEMORY, ERR_CRYPTO, ERR_INTERNAL
 * The copy of the token that this makes is wiped. */
MUST_CHECK enum err http_client_send(const struct http_target *target,
                                     const struct http_request *request, struct http_answer *answer,
                                     struct fault *fault);

/* A kept-alive connection for many requests in a row (benchmarks, paging CLIs), for
 * one thread at a time. */
struct http_connection;
/* `timeout_ms` is for connecting and the TLS handshake.  Errors as above. */
MUST_CHECK enum err http_connection_open(const struct http_target *target, const char *ca_file,
                                         int64_t timeout_ms, struct http_connection **out,
                                         struct fault *fault);
/* As http_client_send; request->ca_file is not used, request->timeout_ms is for this
 * exchange.  ERR_UNREACHABLE where the server has closed the connection, or an earlier
 * exchange broke it: nothing is sent again by itself. */
MUST_CHECK enum err http_connection_send(struct http_connection *connection,
                                         const struct http_request *request,
                                         struct http_answer *answer, struct fault *fault);
/* False after a failure, or an answer that announced the connection's end. */
bool http_connection_usable(const struct http_connection *connection);
void http_connection_close(struct http_connection *connection); /* accepts NULL */
CLEANUP_PTR(struct http_connection, http_connection_close, http_connection_closep)

#endif
