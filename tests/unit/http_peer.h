/* For the tests of the HTTP client: a server in a thread that answers canned bytes,
 * over TCP, a Unix socket or TLS, and the client's side of an exchange with it. */
#ifndef VOUCHSAFE_HTTP_PEER_H
#define VOUCHSAFE_HTTP_PEER_H

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/http_transport.h"
#include "stopwatch.h"

#define OK2 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

/* --- the server --- */

struct server {
    const char *answers[4]; /* for each connection, in turn; NULL: close */
    int delay_ms;           /* before an answer, from the request on */
    int dribble_ms;         /* between its bytes */
    bool deaf;              /* answers without reading anything */
    bool hang_up;           /* makes the client's writing fail, well before the answer */
    bool linger;            /* does not close after the last answer: waits for the client,
                             * one that is deaf for server_stop */
    SSL_CTX *tls;
    const char *expect; /* whom the client expects, where the URL does not say it */

    int fd;
    char url[128];
    char path[100];
    pthread_t thread;
    char got[4][4096]; /* the requests of all connections, in turn */
    unsigned count;
    unsigned connections;
    atomic_bool stopping;
};

static inline ssize_t peer_read(int fd, SSL *ssl, void *to, size_t len)
{
    return ssl != NULL ? SSL_read(ssl, to, (int)len) : recv(fd, to, len, 0);
}

static inline ssize_t peer_write(int fd, SSL *ssl, const void *from, size_t len)
{
    return ssl != NULL ? SSL_write(ssl, from, (int)len) : send(fd, from, len, MSG_NOSIGNAL);
}

/* One whole request into `to`; bodies are as long as they say. */
static inline bool read_request(int fd, SSL *ssl, char *to, size_t cap)
{
    size_t len = 0;
    for (;;) {
        const ssize_t n = peer_read(fd, ssl, to + len, cap - 1 - len);
        if (n <= 0)
            return false;
        len += (size_t)n;
        to[len] = '\0';
        const char *end = strstr(to, "\r\n\r\n");
        const char *length = strstr(to, "Content-Length: ");
        const size_t body = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
        if (end != NULL && len >= (size_t)(end + 4 - to) + body)
            return true;
    }
}

static inline void serve_peer(struct server *s, int fd, SSL *ssl)
{
    for (unsigned i = 0; i < ARRAY_LEN(s->answers) && s->answers[i] != NULL; i++) {
        if (!s->deaf && (s->count == ARRAY_LEN(s->got) ||
                         !read_request(fd, ssl, s->got[s->count], sizeof s->got[0])))
            return;
        if (s->deaf && s->delay_ms > 0) /* early, but not before the request was begun */
            (void)poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 30000);
        s->count++;
        sleep_ms(s->delay_ms);
        if (s->hang_up && shutdown(fd, SHUT_RD) == 0)
            sleep_ms(100);
        const size_t len = strlen(s->answers[i]);
        const size_t step = s->dribble_ms > 0 || len == 0 ? 1 : len;
        for (size_t at = 0; at < len; at += step) {
            if (peer_write(fd, ssl, s->answers[i] + at, step) <= 0)
                return;
            sleep_ms(s->dribble_ms);
        }
    }
    char byte = 0;
    if (s->linger && s->deaf)
        for (int waited_ms = 0; !s->stopping && waited_ms < 30000; waited_ms += 10)
            sleep_ms(10); /* reading would make room for the request */
    else if (s->linger)
        (void)peer_read(fd, ssl, &byte, 1);
}

static inline void *server_main(void *arg)
{
    struct server *s = arg;
    for (;;) {
        const int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        s->connections++;
        SSL *ssl = s->tls != NULL ? SSL_new(s->tls) : NULL;
        if (ssl != NULL)
            SSL_set_fd(ssl, fd);
        if (ssl == NULL || SSL_accept(ssl) == 1)
            serve_peer(s, fd, ssl);
        if (ssl != NULL)
            SSL_shutdown(ssl);
        SSL_free(ssl);
        close(fd);
    }
}

/* On a free port of 127.0.0.1; `host` is how the URL names it. */
static inline void server_start(struct server *s, const char *host)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(s->fd, 8), 0);
    ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    snprintf(s->url, sizeof s->url, "%s://%s:%u", s->tls != NULL ? "https" : "http", host,
             ntohs(a.sin_port));
    ck_assert_int_eq(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static inline void server_start_unix(struct server *s)
{
    char dir[] = "/tmp/vouchsafe-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(s->path, sizeof s->path, "%s/s", dir);
    memcpy(a.sun_path, s->path, strlen(s->path));
    s->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(s->fd, 8), 0);
    snprintf(s->url, sizeof s->url, "unix:%s", s->path);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static inline void server_stop(struct server *s)
{
    s->stopping = true;
    shutdown(s->fd, SHUT_RDWR); /* ends accept */
    pthread_join(s->thread, NULL);
    close(s->fd);
    SSL_CTX_free(s->tls);
    if (s->path[0] != '\0') {
        unlink(s->path);
        *strrchr(s->path, '/') = '\0';
        rmdir(s->path);
    }
}

/* --- the client's side --- */

static inline struct http_target target_of(const char *url)
{
    struct http_target target;
    ck_ok(http_target_parse(url, &target, NULL));
    return target;
}

static inline struct http_request request_of(void)
{
    return (struct http_request){
        .method = "POST",
        .path = "/v1/release?x=1",
        .body = bytes_of_text("[1]"),
        .timeout_ms = 5000,
        .answer_max = 1000,
    };
}

/* One request; what it came to, with its detail. */
static inline enum err send_to(const struct server *s, const struct http_request *request,
                               struct fault *fault)
{
    struct http_target target = target_of(s->url);
    struct http_answer answer = {0};
    *fault = (struct fault)FAULT_NONE;
    if (s->expect != NULL)
        ck_ok(http_target_expect(&target, s->expect, NULL));
    const enum err err = http_client_send(&target, request, &answer, fault);
    if (err == ERR_OK)
        ck_assert(bytes_equal_text(bytes_of_buf(&answer.body), "{}"));
    else
        ck_assert_ptr_null(answer.body.ptr);
    http_answer_free(&answer);
    return err;
}

#define ck_detail(fault, part) \
    ck_assert_msg(strstr((fault).detail, (part)) != NULL, "detail: %s", (fault).detail)

static inline enum err send_on(struct http_connection *connection, struct fault *fault)
{
    const struct http_request request = request_of();
    struct http_answer answer = {0};
    const enum err err = http_connection_send(connection, &request, &answer, fault);
    if (err == ERR_OK)
        ck_assert(bytes_equal_text(bytes_of_buf(&answer.body), "{}"));
    http_answer_free(&answer);
    return err;
}

static inline struct http_connection *open_to(const struct server *s, const char *ca_file)
{
    const struct http_target target = target_of(s->url);
    struct http_connection *connection = NULL;
    ck_ok(http_connection_open(&target, ca_file, 5000, &connection, NULL));
    return connection;
}

static inline void check_timeout(struct server *s, const char *ca_file)
{
    struct http_request request = request_of();
    struct fault fault;
    request.timeout_ms = 300;
    request.ca_file = ca_file;
    const int64_t from_ms = now_ms();
    ck_err(send_to(s, &request, &fault), ERR_TIMEOUT);
    const int64_t took_ms = now_ms() - from_ms;
    ck_assert_msg(took_ms >= 300 && took_ms < 1000, "%lld ms", (long long)took_ms);
}

/* Writing to a connection that is gone is an error, not a SIGPIPE, which nobody has
 * blocked here.  The first write still goes out and brings back the reset. */
static inline void check_no_signal(const struct server *s, const char *ca_file)
{
    const struct http_target target = target_of(s->url);
    struct http_transport *t = NULL;
    size_t moved = 0;
    ck_ok(http_transport_open(&target, ca_file, now_ms() + 5000, &t, NULL));
    sleep_ms(100);
    (void)http_transport_write(t, bytes_of("x", 1), &moved);
    sleep_ms(100);
    ck_assert_int_eq(http_transport_write(t, bytes_of("x", 1), &moved), HTTP_IO_CLOSED);
    ck_assert(t->error == EPIPE || t->error == ECONNRESET);
    http_transport_free(t);
}

static inline uint8_t *large_body(struct http_request *request)
{
    const size_t len = 16 << 20; /* more than the socket buffers hold */
    uint8_t *body = calloc(1, len);
    ck_assert_ptr_nonnull(body);
    request->body = bytes_of(body, len);
    return body;
}

#endif
