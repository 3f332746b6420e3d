#include "http_client.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "codec.h"
#include "http_transport.h"

#define READ_CHUNK 16384
#define HOST_SIZE  (sizeof((struct http_target *)0)->host)

struct http_connection {
    struct http_target target;
    struct http_transport *transport;
    int64_t deadline_ms; /* of the exchange that is going on */
    bool usable;
};

/* --- targets --- */

static enum err parse_number(const char *text, uint64_t max, const char *what, uint64_t *out,
                             struct fault *fault)
{
    if (decimal_parse(bytes_of_text(text), max, out) != ERR_OK)
        FAIL(fault, ERR_USAGE, "%s is not a number up to %llu", what, (unsigned long long)max);
    return ERR_OK;
}

static enum err parse_port(const char *text, uint64_t max, struct http_target *out,
                           struct fault *fault)
{
    uint64_t port = 0;
    TRY(parse_number(text, max, "the port", &port, fault));
    if (port == 0)
        FAIL(fault, ERR_USAGE, "port 0 cannot be connected to");
    memcpy(out->port, text, strlen(text) + 1);
    return ERR_OK;
}

/* Letters, digits, '-', '.', '_'; inside brackets what an IPv6 address is made of. */
static enum err copy_host(const char *from, size_t len, bool brackets, char out[static HOST_SIZE],
                          struct fault *fault)
{
    if (len == 0 || len >= HOST_SIZE)
        FAIL(fault, ERR_USAGE, "the host has %zu bytes, not 1 to %zu", len, HOST_SIZE - 1);
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)from[i];
        const bool fits = brackets ? isxdigit(c) || c == ':' || c == '.'
                                   : isalnum(c) || c == '-' || c == '.' || c == '_';
        if (!fits)
            FAIL(fault, ERR_USAGE, "the host has a character that does not belong there");
    }
    memcpy(out, from, len);
    out[len] = '\0';
    return ERR_OK;
}

static enum err parse_authority(const char *text, const char *default_port, struct http_target *out,
                                struct fault *fault)
{
    const bool brackets = text[0] == '[';
    const char *host = brackets ? text + 1 : text;
    const size_t host_len = strcspn(host, brackets ? "]" : ":/?#");
    const char *rest = host + host_len;
    if (brackets && *rest++ != ']')
        FAIL(fault, ERR_USAGE, "the closing bracket of the address is missing");
    TRY(copy_host(host, host_len, brackets, out->host, fault));
    const char *port = rest[0] == ':' ? rest + 1 : rest[0] == '\0' ? default_port : NULL;
    if (port == NULL || strpbrk(port, "/?#") != NULL)
        FAIL(fault, ERR_USAGE, "nothing may follow host and port: paths are added by the program");
    return parse_port(port, 65535, out, fault);
}

static enum err parse_unix(const char *path, struct http_target *out, struct fault *fault)
{
    const size_t len = strlen(path);
    const size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (path[0] != '/')
        FAIL(fault, ERR_USAGE, "the path of a Unix socket must begin with /");
    if (len > max)
        FAIL(fault, ERR_USAGE, "the path of a Unix socket has at most %zu bytes, this one %zu", max,
             len);
    memcpy(out->host, path, len + 1);
    return ERR_OK;
}

static enum err parse_vsock(const char *text, struct http_target *out, struct fault *fault)
{
    if (strncmp(text, "//", 2) == 0)
        text += 2;
    const size_t len = strcspn(text, ":");
    if (len == 0 || len > 10 || text[len] != ':')
        FAIL(fault, ERR_USAGE, "not vsock://CID:PORT");
    memcpy(out->host, text, len);
    out->host[len] = '\0';
    uint64_t cid = 0;
    TRY(parse_number(out->host, UINT32_MAX - 1, "the CID", &cid, fault));
    return parse_port(text + len + 1, UINT32_MAX - 1, out, fault);
}

enum err http_target_parse(const char *url, struct http_target *out, struct fault *fault)
{
    struct http_target target = {.kind = HTTP_TARGET_TCP};
    if (strncmp(url, "http://", 7) == 0) {
        target.plain = true;
        TRY(parse_authority(url + 7, "80", &target, fault));
    } else if (strncmp(url, "https://", 8) == 0) {
        TRY(parse_authority(url + 8, "443", &target, fault));
        memcpy(target.tls_name, target.host, sizeof target.tls_name);
    } else if (strncmp(url, "unix:", 5) == 0) {
        target.kind = HTTP_TARGET_UNIX;
        TRY(parse_unix(url + 5, &target, fault));
    } else if (strncmp(url, "vsock:", 6) == 0) {
        target.kind = HTTP_TARGET_VSOCK;
        TRY(parse_vsock(url + (strncmp(url + 6, "//", 2) == 0 ? 8 : 6), &target, fault));
    } else {
        FAIL(fault, ERR_USAGE,
             "not http://HOST[:PORT], https://HOST[:PORT], unix:/PATH or vsock://CID:PORT");
    }
    *out = target;
    return ERR_OK;
}

enum err http_target_expect(struct http_target *target, const char *name, struct fault *fault)
{
    char checked[HOST_SIZE];
    struct in6_addr scratch;
    const bool address = inet_pton(AF_INET6, name, &scratch) == 1;
    TRY(copy_host(name, strlen(name), address, checked, fault));
    if (target->plain)
        FAIL(fault, ERR_USAGE, "http: is without TLS; write https: to have it");
    memcpy(target->tls_name, checked, sizeof checked);
    return ERR_OK;
}

/* --- the request --- */

/* Visible ASCII: nothing in it can end a line or a word of the head. */
static bool is_visible(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return false;
    }
    return text[0] != '\0';
}

static enum err check_request(const struct http_request *request, struct fault *fault)
{
    if (request->method[0] == '\0' ||
        request->method[strspn(request->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0')
        FAIL(fault, ERR_USAGE, "a method is a word in capitals");
    if (request->path[0] != '/' || !is_visible(request->path) || strchr(request->path, '#') != NULL)
        FAIL(fault, ERR_USAGE, "a path begins with / and has no spaces or control characters");
    if (request->bearer != NULL && !is_visible(request->bearer))
        FAIL(fault, ERR_USAGE, "a token has no spaces or control characters, and is not empty");
    return ERR_OK;
}

/* RFC 9110 section 7.2: the port where it is not the scheme's own.  Over a Unix socket or
 * vsock a name alone, that of the certificate if there is one: the port is not the server's. */
static enum err append_host(struct buf *out, const struct http_target *target)
{
    const bool tls = http_target_is_tls(target);
    const bool tcp = target->kind == HTTP_TARGET_TCP;
    const char *host = tls ? target->tls_name : tcp ? target->host : "localhost";
    const bool brackets = strchr(host, ':') != NULL;
    TRY(buf_append_format(out, "Host: %s%s%s", brackets ? "[" : "", host, brackets ? "]" : ""));
    if (tcp && strcmp(target->port, tls ? "443" : "80") != 0)
        TRY(buf_append_format(out, ":%s", target->port));
    return buf_append_text(out, "\r\n");
}

/* Head and body in one piece: one write, one segment or record where they fit. */
static enum err build_request(const struct http_target *target, const struct http_request *request,
                              bool keep, struct buf *out)
{
    const bool bodiless = strcmp(request->method, "GET") == 0 ||
                          strcmp(request->method, "HEAD") == 0 ||
                          strcmp(request->method, "DELETE") == 0;
    const char *bearer = request->bearer != NULL ? request->bearer : "";
    /* All at once, so that growing leaves no copy of the token behind unwiped. */
    TRY(buf_reserve(out, strlen(request->method) + strlen(request->path) + strlen(bearer) +
                             sizeof target->host + request->body.len + 512));
    TRY(buf_append_format(out, "%s %s HTTP/1.1\r\n", request->method, request->path));
    TRY(append_host(out, target));
    TRY(buf_append_text(out, "User-Agent: vouchsafe/" VOUCHSAFE_VERSION "\r\n"));
    if (request->bearer != NULL)
        TRY(buf_append_format(out, "Authorization: Bearer %s\r\n", bearer));
    if (request->body.len > 0)
        TRY(buf_append_text(out, "Content-Type: application/json\r\n"));
    if (request->body.len > 0 || !bodiless)
        TRY(buf_append_format(out, "Content-Length: %zu\r\n", request->body.len));
    TRY(buf_append_text(out,
                        keep ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n"));
    return buf_append(out, request->body);
}

/* --- the exchange --- */

static void wipe_buf(struct buf *buf)
{
    if (buf->ptr != NULL)
        OPENSSL_cleanse(buf->ptr, buf->cap);
    buf_free(buf);
}

/* Both directions at once: a server may answer (413, say) before it has read all of
 * the request, and the answer is worth more than the error of writing on. */
static enum err exchange(struct http_connection *connection, struct bytes out,
                         struct http_answer_reader *reader, struct buf *in, struct fault *fault)
{
    struct http_transport *t = connection->transport;
    bool writing = true;
    while (!reader->done) {
        TRY(http_deadline_check(connection->deadline_ms, fault));
        size_t sent = 0;
        size_t got = 0;
        if (writing && out.len > 0) {
            writing = http_transport_write(t, out, &sent) != HTTP_IO_CLOSED;
            out = bytes_of(out.ptr + sent, out.len - sent);
        }
        TRY(buf_reserve(in, READ_CHUNK));
        if (http_transport_read(t, in->ptr + in->len, READ_CHUNK, &got) == HTTP_IO_CLOSED)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s",
                          in->len == 0 ? HTTP_FIELD_NO_ANSWER : HTTP_FIELD_ANSWER),
                 ERR_UNREACHABLE, "the server ended the connection %s: %s",
                 in->len == 0 ? "without an answer" : "in the middle of its answer",
                 t->error != 0 ? strerror(t->error) : "closed");
        in->len += got;
        if (got > 0)
            TRY(http_answer_advance(reader, bytes_of_buf(in), fault));
        else if (sent == 0)
            TRY(http_transport_wait(t, connection->deadline_ms, fault));
    }
    connection->usable = writing && out.len == 0 && !reader->closing;
    return ERR_OK;
}

/* Before each request nothing may be there to read: bytes would be taken for the
 * answer to it, and a server that has closed is told apart from one that fails. */
static enum err check_idle(struct http_transport *transport, struct fault *fault)
{
    uint8_t byte = 0;
    size_t got = 0;
    switch (http_transport_read(transport, &byte, 1, &got)) {
    case HTTP_IO_WAIT:
        return ERR_OK;
    case HTTP_IO_DONE:
        FAIL(fault, ERR_HTTP_MALFORMED, "the server sent bytes that answer no request");
    case HTTP_IO_CLOSED:
        break;
    }
    FAIL(fault, ERR_UNREACHABLE,
         "the server has closed the connection before the request was sent");
}

static enum err send_by(struct http_connection *connection, const struct http_request *request,
                        bool keep, struct http_answer *answer, struct fault *fault)
{
    if (!connection->usable)
        FAIL(fault, ERR_UNREACHABLE,
             "the connection was ended by an earlier answer or failure; open a new one");
    CLEANUP(wipe_buf) struct buf out = {0};
    CLEANUP(wipe_buf) struct buf in = {0};
    TRY(build_request(&connection->target, request, keep, &out));
    connection->usable = false;
    TRY(check_idle(connection->transport, fault));
    struct http_answer_reader reader;
    http_answer_reader_init(&reader, &(struct http_answer_rules){
                                         .no_body = strcmp(request->method, "HEAD") == 0,
                                         .body_max = request->answer_max,
                                     });
    TRY(exchange(connection, bytes_of_buf(&out), &reader, &in, fault));
    http_answer_take(&reader, &in, answer);
    return ERR_OK;
}

enum err http_connection_open(const struct http_target *target, const char *ca_file,
                              int64_t timeout_ms, struct http_connection **out, struct fault *fault)
{
    CLEANUP(http_connection_closep) struct http_connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ERR_NO_MEMORY;
    c->target = *target;
    TRY(http_deadline_after(timeout_ms, &c->deadline_ms, fault));
    TRY(http_transport_open(target, ca_file, c->deadline_ms, &c->transport, fault));
    c->usable = true;
    *out = TAKE(c);
    return ERR_OK;
}

enum err http_connection_send(struct http_connection *connection,
                              const struct http_request *request, struct http_answer *answer,
                              struct fault *fault)
{
    TRY(check_request(request, fault));
    TRY(http_deadline_after(request->timeout_ms, &connection->deadline_ms, fault));
    return send_by(connection, request, true, answer, fault);
}

bool http_connection_usable(const struct http_connection *connection)
{
    return connection->usable;
}

void http_connection_close(struct http_connection *connection)
{
    if (connection == NULL)
        return;
    http_transport_free(connection->transport);
    free(connection);
}

enum err http_client_send(const struct http_target *target, const struct http_request *request,
                          struct http_answer *answer, struct fault *fault)
{
    TRY(check_request(request, fault));
    CLEANUP(http_connection_closep) struct http_connection *connection = NULL;
    /* The deadline that opening sets stays: it is that of the whole. */
    TRY(http_connection_open(target, request->ca_file, request->timeout_ms, &connection, fault));
    return send_by(connection, request, false, answer, fault);
}
