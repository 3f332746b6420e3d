/* The server over real sockets: every status and its headers, what smuggles is
 * refused, bodies are held to their limits. */
#include "front_fixture.h"

#define POST_RELEASE "POST /v1/release HTTP/1.1\r\nHost: a\r\n"
#define JSON_TYPE    "Content-Type: application/json\r\n"
#define CLOSE        "Connection: close\r\n"
#define BEARER       "Authorization: Bearer " TOKEN_HEX "\r\n"
#define RELEASE_BODY "{\"attestation_document\":\"AQID\",\"secrets\":[{\"name\":\"a\"}]}"

static struct setup setup;

static void start(void)
{
    setup_init(&setup);
    setup_start(&setup);
}

/* A POST with a body of its true length. */
static struct got post(const char *head, const char *body)
{
    char text[4096];
    snprintf(text, sizeof text, "%sContent-Length: %zu\r\n" CLOSE "\r\n%s", head, strlen(body),
             body);
    return exchange_raw(&setup, text);
}

static struct got admin(const char *request)
{
    return exchange_on(dial_admin(&setup), request, strlen(request));
}

static struct problem ck_refused(struct got got, int status, enum err code)
{
    const struct problem problem = ck_problem(&got, status, code);
    got_free(&got);
    return problem;
}

START_TEST(valid_health)
{
    start();
    struct got got = exchange_raw(&setup, "GET /v1/health HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n");
    ck_json(&got, "{\"status\":\"ok\"}");
    got_free(&got);
    got = admin("GET /v1/health HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n");
    ck_json(&got, "{\"status\":\"ok\"}");
    got_free(&got);
    got = exchange_raw(&setup, "GET /v1/health HTTP/1.0\r\n\r\n");
    ck_json(&got, "{\"status\":\"ok\"}");
    got_free(&got);
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

START_TEST(valid_release)
{
    start();
    struct got got = post(POST_RELEASE JSON_TYPE, RELEASE_BODY);
    ck_json(&got, JSON_OK);
    const struct warden_request *r = &setup.warden.request;
    ck_assert_int_eq(r->op, WARDEN_RELEASE);
    ck_assert_str_eq(r->request_id, got.request_id);
    ck_assert_uint_eq(strncmp(r->peer, "127.0.0.1:", 10), 0);
    ck_assert(bytes_equal(r->document, bytes_of("\1\2\3", 3)));
    got_free(&got);
    got = post(POST_RELEASE "Content-Type: Application/JSON; charset=utf-8\r\n", RELEASE_BODY);
    ck_json(&got, JSON_OK);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

START_TEST(valid_challenge)
{
    start();
    struct got got = post("POST /v1/challenge HTTP/1.1\r\nHost: a\r\n", "");
    ck_json(&got, JSON_OK);
    ck_assert_int_eq(setup.warden.request.op, WARDEN_CHALLENGE);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

START_TEST(valid_admin)
{
    char peer[32];
    start();
    struct got got = admin(
        "GET /v1/admin/measurements?image=a&limit=7 HTTP/1.1\r\nHost: a\r\n" BEARER CLOSE "\r\n");
    ck_json(&got, JSON_OK);
    const struct warden_request *r = &setup.warden.request;
    ck_assert(bytes_equal_text(r->operation, "measurement.list"));
    ck_assert_uint_eq(r->token.len, WARDEN_TOKEN_LEN);
    for (size_t i = 0; i < WARDEN_TOKEN_LEN; i++)
        ck_assert_uint_eq(r->token.ptr[i], i);
    snprintf(peer, sizeof peer, "unix:uid=%u", getuid());
    ck_assert_str_eq(r->peer, peer);
    ck_assert_uint_eq(param_of(&setup.warden, "limit")->uint, 7);
    got_free(&got);
    got = admin("POST /v1/admin/grants/remove HTTP/1.1\r\nHost: a\r\n" BEARER CLOSE JSON_TYPE
                "Content-Length: 8\r\n\r\n{\"id\":3}");
    ck_json(&got, JSON_OK);
    ck_assert_uint_eq(param_of(&setup.warden, "id")->uint, 3);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

/* The project's own client, on one connection that is kept alive. */
START_TEST(valid_client)
{
    struct http_target target;
    CLEANUP(http_connection_closep) struct http_connection *connection = NULL;
    start();
    ck_ok(http_target_parse(setup.admin, &target, NULL));
    ck_ok(http_connection_open(&target, NULL, 5000, &connection, NULL));
    for (int i = 0; i < 3; i++) {
        CLEANUP(http_answer_free) struct http_answer answer = {0};
        const struct http_request request = {
            .method = "POST",
            .path = i == 1 ? "/v1/nothing" : "/v1/admin/grants/remove",
            .bearer = TOKEN_HEX,
            .body = bytes_of_text("{\"id\":3}"),
            .timeout_ms = 5000,
            .answer_max = 10000,
        };
        if (!http_connection_usable(connection)) {
            http_connection_closep(&connection);
            ck_ok(http_connection_open(&target, NULL, 5000, &connection, NULL));
        }
        ck_ok(http_connection_send(connection, &request, &answer, NULL));
        ck_assert_int_eq(answer.status, i == 1 ? 404 : 200);
        ck_assert_str_eq(answer.content_type,
                         i == 1 ? "application/problem+json" : "application/json");
    }
    http_connection_closep(&connection);
    setup_stop(&setup);
}
END_TEST

/* What the warden says arrives with its status, code, place and words. */
START_TEST(valid_warden_faults)
{
    static const struct {
        enum err code;
        int status;
    } cases[] = {
        {ERR_DOC_MALFORMED, 400}, {ERR_CHALLENGE_EXPIRED, 409},
        {ERR_REFUSED, 403},       {ERR_TOO_LARGE, 413},
        {ERR_BUSY, 503},          {ERR_STORE, 500},
    };
    start();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char retry[8] = "";
        setup.warden.fault = (struct fault)FAULT_NONE;
        fault_set(fault_at(&setup.warden.fault, 5, "pcrs[3]"), cases[i].code, "a \"detail\" \\ %%");
        struct got got = post(POST_RELEASE JSON_TYPE, RELEASE_BODY);
        const struct problem problem = ck_problem(&got, cases[i].status, cases[i].code);
        ck_assert_str_eq(problem.detail, cases[i].status >= 500 ? err_sentence(cases[i].code)
                                                                : "a \"detail\" \\ %");
        ck_assert_str_eq(problem.field, cases[i].status >= 500 ? "" : "pcrs[3]");
        ck_assert_int_eq(header_of(&got, "Retry-After", retry, sizeof retry),
                         cases[i].status == 503);
        got_free(&got);
    }
    setup.warden.fails = ERR_NO_MEMORY;
    ck_refused(post(POST_RELEASE JSON_TYPE, RELEASE_BODY), 503, ERR_NO_MEMORY);
    setup.warden.fails = ERR_OK;
    setup.warden.garbage = true;
    ck_refused(post(POST_RELEASE JSON_TYPE, RELEASE_BODY), 500, ERR_INTERNAL);
    setup_stop(&setup);
}
END_TEST

START_TEST(no_route)
{
    start();
    ck_refused(post("POST /v1/nothing HTTP/1.1\r\nHost: a\r\n" JSON_TYPE, "{}"), 404, ERR_NO_ROUTE);
    ck_refused(post("POST /v1/%72elease HTTP/1.1\r\nHost: a\r\n" JSON_TYPE, "{}"), 404,
               ERR_NO_ROUTE);
    ck_refused(
        exchange_raw(&setup, "GET /v1/admin/status HTTP/1.1\r\nHost: a\r\n" BEARER CLOSE "\r\n"),
        404, ERR_NO_ROUTE);
    ck_refused(admin("POST /v1/challenge HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n"), 404, ERR_NO_ROUTE);
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_method)
{
    start();
    struct got got = exchange_raw(&setup, "DELETE /v1/health HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n");
    ck_problem(&got, 405, ERR_METHOD);
    ck_header(&got, "Allow", "GET");
    got_free(&got);
    /* An answer to HEAD has no body. */
    got = exchange_raw(&setup, "HEAD /v1/health HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n");
    ck_assert_int_eq(got.status, 405);
    ck_assert_str_eq(got.body, "");
    got_free(&got);
    got = admin("PUT /v1/admin/secrets HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n");
    ck_problem(&got, 405, ERR_METHOD);
    ck_header(&got, "Allow", "POST, GET");
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

/* Who has no token of the right shape is not heard, nor is the body awaited. */
START_TEST(no_token)
{
    static const char *const values[] = {
        "",
        "Authorization: \r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Basic " TOKEN_HEX "\r\n",
        "Authorization: Bearer " TOKEN_HEX "0\r\n",
        "Authorization: Bearer 0" TOKEN_HEX "\r\n",
        "Authorization: Bearer  " TOKEN_HEX "\r\n",
        "Authorization: Bearer " TOKEN_HEX ", Bearer " TOKEN_HEX "\r\n",
        ("Authorization: Bearer x"
         "00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\r\n"),
    };
    start();
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "POST /v1/admin/secrets HTTP/1.1\r\nHost: a\r\n%s" JSON_TYPE
                 "Content-Length: 100000\r\n\r\n",
                 values[i]);
        struct got got = admin(text);
        ck_problem(&got, 401, ERR_UNAUTHENTICATED);
        ck_header(&got, "WWW-Authenticate", "Bearer");
        got_free(&got);
    }
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_content_type)
{
    static const char *const types[] = {
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: \r\n",
        "Content-Type: application/jsonx\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    };
    start();
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        char head[256];
        snprintf(head, sizeof head, POST_RELEASE "%s", types[i]);
        const struct problem problem = ck_refused(post(head, RELEASE_BODY), 400, ERR_MALFORMED);
        ck_assert_str_eq(problem.field, "Content-Type");
    }
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_body)
{
    start();
    ck_refused(post("POST /v1/challenge HTTP/1.1\r\nHost: a\r\n" JSON_TYPE, "{}"), 400,
               ERR_MALFORMED);
    ck_refused(admin("GET /v1/admin/status HTTP/1.1\r\nHost: a\r\n" BEARER JSON_TYPE
                     "Content-Length: 2\r\n\r\n{}"),
               400, ERR_MALFORMED);
    ck_refused(post(POST_RELEASE, ""), 400, ERR_MALFORMED);
    ck_refused(post(POST_RELEASE JSON_TYPE, "{"), 400, ERR_MALFORMED);
    struct problem problem =
        ck_refused(post("POST /v1/release?x=1 HTTP/1.1\r\nHost: a\r\n" JSON_TYPE, RELEASE_BODY),
                   400, ERR_MALFORMED);
    ck_assert_str_eq(problem.field, "query");
    problem =
        ck_refused(exchange_raw(&setup, "GET /v1/health? HTTP/1.1\r\nHost: a\r\n\r\n" /* kept */
                                        "GET /v1/health? HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n"),
                   400, ERR_MALFORMED);
    ck_assert_str_eq(problem.field, "query");
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

/* --- Smuggling --- */

#define VICTIM "GET /v1/health HTTP/1.1\r\nHost: a\r\nX-Victim: y\r\n\r\n"

/* Refused, and what follows on the connection is never taken for a request: one
 * answer, then the end.  With `own` libmicrohttpd answers by itself. */
static void ck_no_smuggling(const char *head, bool own)
{
    char text[2048];
    snprintf(text, sizeof text, "%s" VICTIM VICTIM, head);
    struct got got = exchange_raw(&setup, text);
    ck_assert_msg(strstr((const char *)got.text.ptr, "\"ok\"") == NULL, "served after:\n%s\n%s",
                  head, (const char *)got.text.ptr);
    if (own)
        ck_assert_msg(got.status == 400, "%s", (const char *)got.text.ptr);
    else
        ck_problem(&got, 400, ERR_HTTP_MALFORMED);
    got_free(&got);
}

START_TEST(wrong_framing)
{
    static const char *const heads[] = {
        POST_RELEASE JSON_TYPE "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        POST_RELEASE JSON_TYPE "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        POST_RELEASE JSON_TYPE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST_RELEASE JSON_TYPE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST_RELEASE JSON_TYPE "Transfer-Encoding: gzip\r\n\r\n",
        POST_RELEASE JSON_TYPE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST_RELEASE JSON_TYPE
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/release HTTP/1.0\r\n" JSON_TYPE "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST_RELEASE JSON_TYPE "Content-Length : 5\r\n\r\nhello",
        POST_RELEASE JSON_TYPE "X\x01: 5\r\n\r\n",
        POST_RELEASE "Host: b\r\n\r\n",
        POST_RELEASE BEARER BEARER "\r\n",
        "POST /v1/release HTTP/1.1\r\n\r\n",
        "G(ET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/v1/health HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v1/health x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v1/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        POST_RELEASE "X-A: b\x7f\r\n\r\n",
        POST_RELEASE "X-A: b\x1b[2J\r\n\r\n",
    };
    start();
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        ck_no_smuggling(heads[i], false);
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

/* libmicrohttpd refuses these before it calls anybody. */
START_TEST(wrong_framing_own)
{
    static const char *const heads[] = {
        POST_RELEASE JSON_TYPE "Content-Length: 5x\r\n\r\nhello",
        POST_RELEASE JSON_TYPE "Content-Length: +5\r\n\r\nhello",
        POST_RELEASE JSON_TYPE "Content-Length: -1\r\n\r\n",
        POST_RELEASE JSON_TYPE "Content-Length: 5, 5\r\n\r\nhello",
        POST_RELEASE JSON_TYPE "Content-Length: \r\n\r\n",
        POST_RELEASE JSON_TYPE "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        POST_RELEASE "no colon\r\n\r\n",
    };
    start();
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        ck_no_smuggling(heads[i], true);
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

/* --- Sizes --- */

START_TEST(long_declared)
{
    char text[512];
    start();
    /* Answered at once: nothing of the body is awaited. */
    snprintf(text, sizeof text, POST_RELEASE JSON_TYPE "Content-Length: %d\r\n\r\n",
             PROTOCOL_BODY_RELEASE + 1);
    const int64_t from_ms = now_ms();
    struct problem problem = ck_refused(exchange_raw(&setup, text), 413, ERR_TOO_LARGE);
    ck_assert_int_lt(now_ms() - from_ms, 2000);
    ck_assert_str_eq(problem.field, "Content-Length");
    snprintf(text, sizeof text,
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\n" BEARER JSON_TYPE
             "Content-Length: %d\r\n\r\n",
             PROTOCOL_BODY_ADMIN + 1);
    ck_refused(admin(text), 413, ERR_TOO_LARGE);
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

/* `len` bytes of body in one chunk. */
static struct got send_chunked(int fd, const char *head, const char *body, size_t len)
{
    char line[32];
    put_text(fd, head);
    put_text(fd, "Transfer-Encoding: chunked\r\n" JSON_TYPE CLOSE "\r\n");
    snprintf(line, sizeof line, "%zx\r\n", len);
    put_text(fd, line);
    put(fd, body, len);
    return exchange_on(fd, "\r\n0\r\n\r\n", 7);
}

/* A release request padded to a length with spaces. */
static char *padded(size_t len)
{
    char *body = malloc(len + 1);
    ck_assert_ptr_nonnull(body);
    memset(body, ' ', len);
    body[len] = '\0';
    memcpy(body, RELEASE_BODY, strlen(RELEASE_BODY));
    return body;
}

START_TEST(long_streamed)
{
    char *body = padded(PROTOCOL_BODY_RELEASE + 1);
    start();
    struct got got = send_chunked(dial(&setup), POST_RELEASE, body, PROTOCOL_BODY_RELEASE);
    ck_json(&got, JSON_OK);
    got_free(&got);
    ck_assert_uint_eq(setup.warden.calls, 1);
    ck_refused(send_chunked(dial(&setup), POST_RELEASE, body, PROTOCOL_BODY_RELEASE + 1), 413,
               ERR_TOO_LARGE);
    ck_assert_uint_eq(setup.warden.calls, 1);
    free(body);
    setup_stop(&setup);
}
END_TEST

START_TEST(valid_largest)
{
    char *body = padded(PROTOCOL_BODY_RELEASE);
    char head[256];
    start();
    snprintf(head, sizeof head, POST_RELEASE JSON_TYPE CLOSE "Content-Length: %d\r\n\r\n",
             PROTOCOL_BODY_RELEASE);
    const int fd = dial(&setup);
    put_text(fd, head);
    struct got got = exchange_on(fd, body, PROTOCOL_BODY_RELEASE);
    ck_json(&got, JSON_OK);
    got_free(&got);
    free(body);
    setup_stop(&setup);
}
END_TEST

/* Far beyond the limit nobody listens any more. */
START_TEST(long_streamed_cut)
{
    enum { PIECE = 65536 };
    static char piece[PIECE];
    size_t sent = 0;
    start();
    const int fd = dial(&setup);
    put_text(fd, POST_RELEASE JSON_TYPE "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n");
    memset(piece, ' ', sizeof piece);
    while (sent < 64 << 20 && send(fd, piece, sizeof piece, MSG_NOSIGNAL) > 0)
        sent += sizeof piece;
    ck_assert_uint_lt(sent, 64 << 20);
    close(fd);
    setup_stop(&setup);
}
END_TEST

START_TEST(long_head)
{
    CLEANUP(buf_free) struct buf text = {0};
    start();
    ck_ok(buf_append_text(&text, "GET /v1/health HTTP/1.1\r\nHost: a\r\n" CLOSE));
    for (int i = 0; i < 62; i++)
        ck_ok(buf_append_text(&text, "X: y\r\n"));
    const size_t at = text.len;
    ck_ok(buf_append_text(&text, "\r\n"));
    struct got got = exchange_raw(&setup, buf_text(&text));
    ck_json(&got, "{\"status\":\"ok\"}");
    got_free(&got);
    text.len = at;
    ck_ok(buf_append_text(&text, "X: y\r\n\r\n"));
    ck_refused(exchange_raw(&setup, buf_text(&text)), 400, ERR_HTTP_MALFORMED);
    text.len = at;
    for (int i = 0; i < 40000; i++)
        ck_ok(buf_append_text(&text, "z"));
    got = exchange_raw(&setup, buf_text(&text));
    ck_assert_int_eq(got.status, 431);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

UNIT_MAIN("front_server", valid_health, valid_release, valid_challenge, valid_admin, valid_client,
          valid_warden_faults, no_route, wrong_method, no_token, wrong_content_type, wrong_body,
          wrong_framing, wrong_framing_own, long_declared, long_streamed, valid_largest,
          long_streamed_cut, long_head)
