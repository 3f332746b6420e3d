/* For the tests of front: a warden that stands in for the real one, a front on
 * loopback, and raw exchanges with it. */
#ifndef VOUCHSAFE_FRONT_FIXTURE_H
#define VOUCHSAFE_FRONT_FIXTURE_H

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/http_client.h"
#include "common/protocol.h"
#include "stopwatch.h"
#include "verifier/front/front.h"
#include "verifier/warden/message.h"

#define TOKEN_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define JSON_OK   "{\"it\":\"works\"}"

/* --- The warden's stand-in --- */

struct warden {
    pthread_mutex_t lock;
    unsigned calls;
    unsigned inside; /* calls that run now */
    unsigned most_inside;
    int delay_ms;
    struct fault fault; /* what it answers; ERR_OK: JSON_OK */
    enum err fails;     /* what warden_handle itself returns */
    bool garbage;       /* answers what is no reply */
    struct buf message; /* the last one, and its parts */
    struct warden_request request;
};

/* How long the call is to take. */
static inline int warden_note(struct warden *w, struct bytes message)
{
    struct fault fault = FAULT_NONE;
    pthread_mutex_lock(&w->lock);
    const int delay_ms = w->delay_ms;
    w->calls++;
    w->inside++;
    w->most_inside = w->inside > w->most_inside ? w->inside : w->most_inside;
    w->message.len = 0;
    ck_ok(buf_append(&w->message, message));
    ck_ok(warden_request_parse(bytes_of_buf(&w->message), &w->request, &fault));
    pthread_mutex_unlock(&w->lock);
    return delay_ms;
}

enum err warden_handle(struct warden *w, struct bytes message, struct buf *reply)
{
    sleep_ms(warden_note(w, message));
    pthread_mutex_lock(&w->lock);
    w->inside--;
    pthread_mutex_unlock(&w->lock);
    if (w->fails != ERR_OK)
        return w->fails;
    if (w->garbage)
        return buf_append_text(reply, "\x01");
    CLEANUP(warden_reply_free) struct warden_reply answer = {.fault = w->fault};
    if (w->fault.code == ERR_OK)
        TRY(buf_append_text(&answer.body, JSON_OK));
    return warden_reply_append(&answer, reply);
}

#define WARDEN_STAND_IN                                                          \
    {                                                                            \
        .lock = PTHREAD_MUTEX_INITIALIZER, .fault = {.offset = FAULT_NO_OFFSET } \
    }

static inline void warden_clear(struct warden *w)
{
    buf_free(&w->message);
}

/* The parameter of the last message; it must be there. */
static inline const struct param *param_of(const struct warden *w, const char *name)
{
    for (size_t i = 0; i < w->request.param_count; i++) {
        if (bytes_equal_text(w->request.param[i].name, name))
            return &w->request.param[i];
    }
    ck_abort_msg("no parameter %s", name);
    return NULL;
}

/* --- A front: listener 0 public on TCP, 1 admin on a Unix socket --- */

struct setup {
    struct warden warden;
    struct front_options options;
    struct front *front;
    char dir[32];
    char admin[64]; /* "unix:/tmp/.../admin.sock" */
};

static inline void setup_init(struct setup *s)
{
    *s = (struct setup){.warden = WARDEN_STAND_IN, .options = FRONT_OPTIONS_DEFAULT};
    strcpy(s->dir, "/tmp/vouchsafe-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    snprintf(s->admin, sizeof s->admin, "unix:%s/admin.sock", s->dir);
    s->options.threads = 2;
    s->options.rate_per_s = 0;
    s->options.listener_count = 2;
    s->options.listener[0] = (struct front_listener){FRONT_PUBLIC, "127.0.0.1:0", NULL, NULL};
    s->options.listener[1] = (struct front_listener){FRONT_ADMIN, s->admin, NULL, NULL};
}

static inline void setup_start(struct setup *s)
{
    struct fault fault = FAULT_NONE;
    const enum err err = front_start(&s->options, &s->warden, &s->front, &fault);
    ck_assert_msg(err == ERR_OK, "%s %s: %s", err_wire(err), fault.field, fault.detail);
}

static inline void setup_stop(struct setup *s)
{
    if (s->front != NULL)
        ck_ok(front_stop(s->front, 5000));
    warden_clear(&s->warden);
    ck_assert_int_eq(rmdir(s->dir), 0); /* nothing has been left behind */
}

/* --- Raw connections --- */

static inline int dial(const struct setup *s)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(front_port(s->front, 0)),
    };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline int dial_admin(const struct setup *s)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strcpy(to.sun_path, s->admin + 5);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void put(int fd, const void *data, size_t len)
{
    ck_assert_int_eq(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void put_text(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* Everything up to the end of the connection, which must come in time. */
static inline void read_all(int fd, struct buf *out)
{
    const struct timeval limit = {.tv_sec = 10};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    for (;;) {
        ck_ok(buf_reserve(out, 65536));
        const ssize_t n = recv(fd, out->ptr + out->len, 65536, 0);
        ck_assert_msg(n >= 0 || errno == ECONNRESET, "recv: %s", strerror(errno));
        if (n <= 0)
            return;
        out->len += (size_t)n;
    }
}

/* --- Answers --- */

struct got {
    struct buf text; /* the whole, NUL-terminated */
    int status;      /* 0: no answer */
    const char *body;
    char request_id[64];
};

static inline void got_free(struct got *got)
{
    buf_free(&got->text);
}

/* The value of a header of the first answer into `out`; false where there is none. */
static inline bool header_of(const struct got *got, const char *name, char *out, size_t size)
{
    char needle[64];
    snprintf(needle, sizeof needle, "\r\n%s: ", name);
    const char *at = strstr((const char *)got->text.ptr, needle);
    if (at == NULL || at > got->body)
        return false;
    at += strlen(needle);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\r"), at);
    return true;
}

static inline void ck_header(const struct got *got, const char *name, const char *value)
{
    char found[128] = "(absent)";
    header_of(got, name, found, sizeof found);
    ck_assert_msg(strcmp(found, value) == 0, "%s: \"%s\", expected \"%s\"", name, found, value);
}

static inline void got_parse(struct got *got)
{
    const char *text = buf_text(&got->text);
    ck_assert_ptr_nonnull(text);
    got->body = strstr(text, "\r\n\r\n");
    if (got->body == NULL)
        return;
    ck_assert_int_eq(sscanf(text, "HTTP/1.1 %3d", &got->status), 1);
    got->body += 4;
    header_of(got, "Vouchsafe-Request-Id", got->request_id, sizeof got->request_id);
}

/* Sends and reads to the end of the connection. */
static inline struct got exchange_on(int fd, const void *request, size_t len)
{
    struct got got = {0};
    put(fd, request, len);
    read_all(fd, &got.text);
    close(fd);
    got_parse(&got);
    return got;
}

static inline struct got exchange_raw(const struct setup *s, const char *request)
{
    return exchange_on(dial(s), request, strlen(request));
}

/* Every answer has these, whatever it says. */
static inline void ck_common_headers(const struct got *got)
{
    ck_header(got, "Cache-Control", "no-store");
    ck_assert_uint_eq(strlen(got->request_id), 16);
    ck_assert_uint_eq(strspn(got->request_id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 16);
}

static inline void ck_json(const struct got *got, const char *body)
{
    ck_assert_msg(got->status == 200, "%s", (const char *)got->text.ptr);
    ck_header(got, "Content-Type", "application/json");
    ck_common_headers(got);
    ck_assert_str_eq(got->body, body);
}

static inline struct problem ck_problem(const struct got *got, int status, enum err code)
{
    struct problem problem = {0};
    struct fault fault = FAULT_NONE;
    ck_assert_msg(got->status == status, "expected %d: %s", status,
                  got->text.ptr == NULL ? "" : (const char *)got->text.ptr);
    ck_header(got, "Content-Type", "application/problem+json");
    ck_common_headers(got);
    ck_assert_msg(problem_parse(bytes_of_text(got->body), &problem, &fault) == ERR_OK, "%s: %s",
                  fault.detail, got->body);
    ck_assert_msg(problem.code == code, "%s, expected %s: %s", err_wire(problem.code),
                  err_wire(code), problem.detail);
    ck_assert_int_eq(problem.status, status);
    ck_assert_str_eq(problem.request_id, got->request_id);
    return problem;
}

#endif
