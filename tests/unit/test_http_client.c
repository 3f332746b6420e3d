/* The HTTP client over TCP and Unix sockets; TLS is test_http_tls.c's. */
#include "http_peer.h"

START_TEST(valid_target)
{
    static const struct {
        const char *url;
        int kind;
        const char *host;
        const char *port;
        const char *tls_name;
    } cases[] = {
        {"http://a.example:8080", HTTP_TARGET_TCP, "a.example", "8080", ""},
        {"http://10.0.0.1", HTTP_TARGET_TCP, "10.0.0.1", "80", ""},
        {"https://a-b_c", HTTP_TARGET_TCP, "a-b_c", "443", "a-b_c"},
        {"https://[::1]:65535", HTTP_TARGET_TCP, "::1", "65535", "::1"},
        {"https://[fe80::1.2.3.4]", HTTP_TARGET_TCP, "fe80::1.2.3.4", "443", "fe80::1.2.3.4"},
        {"unix:/run/v s.sock", HTTP_TARGET_UNIX, "/run/v s.sock", "", ""},
        {"vsock://3:8443", HTTP_TARGET_VSOCK, "3", "8443", ""},
        {"vsock:3:4294967294", HTTP_TARGET_VSOCK, "3", "4294967294", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct http_target t = target_of(cases[i].url);
        ck_assert_int_eq(t.kind, cases[i].kind);
        ck_assert_str_eq(t.host, cases[i].host);
        ck_assert_str_eq(t.port, cases[i].port);
        ck_assert_str_eq(t.tls_name, cases[i].tls_name);
    }
}
END_TEST

START_TEST(valid_expect)
{
    static const char *const urls[] = {"https://10.0.0.1", "unix:/s", "vsock://3:1"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct http_target t = target_of(urls[i]);
        const struct http_target before = t;
        ck_ok(http_target_expect(&t, "a.example", NULL));
        ck_assert_str_eq(t.tls_name, "a.example");
        ck_assert(t.kind == before.kind && strcmp(t.host, before.host) == 0);
        ck_ok(http_target_expect(&t, "fe80::1", NULL));
        ck_assert_str_eq(t.tls_name, "fe80::1");
    }
}
END_TEST

START_TEST(wrong_expect)
{
    struct fault fault = FAULT_NONE;
    struct http_target t = target_of("http://a");
    ck_err(http_target_expect(&t, "a", &fault), ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(fault.detail, "write https:"));
    ck_assert_str_eq(t.tls_name, "");
    char long_name[257];
    memset(long_name, 'x', 256);
    long_name[256] = '\0';
    const char *const names[] = {"", "a b", "a:443", "[::1]", "*.example", "a/b", long_name};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        t = target_of("vsock://3:1");
        ck_err(http_target_expect(&t, names[i], &fault), ERR_USAGE);
        ck_assert_str_eq(t.tls_name, "");
    }
    long_name[255] = '\0';
    ck_ok(http_target_expect(&t, long_name, &fault));
}
END_TEST

START_TEST(junk_target)
{
    static const struct {
        const char *url;
        const char *detail;
    } cases[] = {
        {"", "not http://"},
        {"a.example:80", "not http://"},
        {"HTTP://a", "not http://"},
        {"ftp://a", "not http://"},
        {"http://", "the host has 0 bytes"},
        {"http://:80", "the host has 0 bytes"},
        {"http://[]:80", "the host has 0 bytes"},
        {"http://u@h", "does not belong"},
        {"http://a b", "does not belong"},
        {"http://a\r\nX: y", "does not belong"},
        {"http://[::1%lo]", "does not belong"},
        {"http://[::1", "closing bracket"},
        {"http://[::1]80", "nothing may follow"},
        {"http://a/", "nothing may follow"},
        {"http://a:80/v1", "nothing may follow"},
        {"http://a?x", "nothing may follow"},
        {"http://a:", "not a number"},
        {"http://a:0", "port 0"},
        {"http://a:65536", "not a number up to 65535"},
        {"http://a:080", "not a number up to 65535"},
        {"http://a:99999999999999999999", "not a number up to 65535"},
        {"http://a:+80", "not a number"},
        {"http://a:80:81", "not a number"},
        {"unix:", "begin with /"},
        {"unix:s.sock", "begin with /"},
        {"vsock:3", "not vsock:"},
        {"vsock://3", "not vsock:"},
        {"vsock:///3:1", "the CID is not a number"},
        {"vsock:/3:1", "the CID is not a number"},
        {"vsock://3:1/", "the port is not a number"},
        {"vsock::5", "not vsock:"},
        {"vsock:a:5", "the CID is not a number"},
        {"vsock:4294967295:5", "the CID is not a number up to"},
        {"vsock:3:0", "port 0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_target t;
        struct fault fault = FAULT_NONE;
        const enum err err = http_target_parse(cases[i].url, &t, &fault);
        ck_assert_msg(err == ERR_USAGE && strstr(fault.detail, cases[i].detail) != NULL,
                      "case %zu: %s: %s", i, err_wire(err), fault.detail);
    }
}
END_TEST

START_TEST(long_target)
{
    char url[400] = "unix:/";
    struct http_target t;
    struct fault fault = FAULT_NONE;
    memset(url + 6, 'x', 106);
    ck_ok(http_target_parse(url, &t, &fault));
    url[112] = 'x';
    ck_err(http_target_parse(url, &t, &fault), ERR_USAGE);
    ck_detail(fault, "at most 107 bytes, this one 108");
    memset(url, 'x', 300);
    memcpy(url, "http://", 7);
    ck_err(http_target_parse(url, &t, &fault), ERR_USAGE);
    ck_detail(fault, "the host has 293 bytes");
}
END_TEST

START_TEST(valid_exchange)
{
    struct server s = {.answers = {"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Type: "
                                   "application/problem+json\r\nContent-Length: 3\r\n\r\n{ }"}};
    server_start(&s, "127.0.0.1");
    const struct http_target target = target_of(s.url);
    struct http_request request = request_of();
    request.bearer = "tok~en";
    struct http_answer a = {0};
    ck_ok(http_client_send(&target, &request, &a, NULL));
    ck_assert_int_eq(a.status, 503);
    ck_assert_int_eq(a.retry_after_s, 7);
    ck_assert_str_eq(a.content_type, "application/problem+json");
    ck_assert(bytes_equal_text(bytes_of_buf(&a.body), "{ }"));
    http_answer_free(&a);
    char expected[512];
    snprintf(expected, sizeof expected,
             "POST /v1/release?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n"
             "User-Agent: vouchsafe/" VOUCHSAFE_VERSION "\r\nAuthorization: Bearer tok~en\r\n"
             "Content-Type: application/json\r\nContent-Length: 3\r\n"
             "Connection: close\r\n\r\n[1]",
             target.port);
    server_stop(&s);
    ck_assert_str_eq(s.got[0], expected);
}
END_TEST

START_TEST(valid_empty_bodies)
{
    struct server s = {.answers = {OK2}};
    server_start(&s, "localhost");
    struct http_request request = request_of();
    struct fault fault;
    request.body = (struct bytes){0};
    ck_ok(send_to(&s, &request, &fault));
    request.method = "GET";
    ck_ok(send_to(&s, &request, &fault));
    server_stop(&s);
    ck_assert_ptr_nonnull(strstr(s.got[0], "\r\nHost: localhost:"));
    ck_assert_ptr_nonnull(strstr(s.got[0], "Content-Length: 0\r\n"));
    ck_assert_ptr_null(strstr(s.got[0], "Content-Type"));
    ck_assert_ptr_null(strstr(s.got[1], "Content-"));
    ck_assert_ptr_null(strstr(s.got[1], "Authorization"));
}
END_TEST

START_TEST(valid_unix)
{
    struct server s = {.answers = {OK2}, .dribble_ms = 1};
    server_start_unix(&s);
    struct http_request request = request_of();
    struct fault fault;
    ck_ok(send_to(&s, &request, &fault));
    server_stop(&s);
    ck_assert_ptr_nonnull(strstr(s.got[0], "\r\nHost: localhost\r\n"));
}
END_TEST

START_TEST(junk_request)
{
    static const char *const paths[] = {"", "v1", "/a b", "/a\r\nX: y", "/\t", "/#x", "/\x80"};
    static const char *const bearers[] = {"", "a b", "a\r\nX: y", "a\n", "\x7f"};
    static const char *const methods[] = {"", "post", "GET /", "GET\r\n"};
    const struct server s = {.url = "http://127.0.0.1:1"};
    struct fault fault;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct http_request request = request_of();
        request.path = paths[i];
        ck_err(send_to(&s, &request, &fault), ERR_USAGE);
        ck_detail(fault, "a path");
    }
    for (size_t i = 0; i < ARRAY_LEN(bearers); i++) {
        struct http_request request = request_of();
        request.bearer = bearers[i];
        ck_err(send_to(&s, &request, &fault), ERR_USAGE);
        ck_detail(fault, "a token");
    }
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct http_request request = request_of();
        request.method = methods[i];
        ck_err(send_to(&s, &request, &fault), ERR_USAGE);
        ck_detail(fault, "a method");
    }
    struct http_request request = request_of();
    request.timeout_ms = 0;
    ck_err(send_to(&s, &request, &fault), ERR_USAGE);
}
END_TEST

START_TEST(no_server)
{
    struct server s = {0};
    struct http_request request = request_of();
    struct fault fault;
    server_start(&s, "127.0.0.1");
    server_stop(&s); /* the port is closed now */
    ck_err(send_to(&s, &request, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "refused");
    strcpy(s.url, "unix:/nonexistent/socket");
    ck_err(send_to(&s, &request, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "No such file");
    strcpy(s.url, "http://no-such-host.invalid");
    ck_err(send_to(&s, &request, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "no-such-host.invalid");
}
END_TEST

START_TEST(wrong_answers)
{
    static const struct {
        const char *answer;
        enum err err;
        const char *detail;
    } cases[] = {
        {"", ERR_UNREACHABLE, "without an answer"},
        {"HTTP/1.1 200 OK\r\nConte", ERR_UNREACHABLE, "in the middle"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", ERR_UNREACHABLE, "in the middle"},
        {"HTTP/1.1 200 OK\r\n\r\n{}", ERR_HTTP_MALFORMED, "no Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", ERR_TOO_LARGE, "1001 bytes"},
        {"SSH-2.0-x\r\n", ERR_HTTP_MALFORMED, "status line"},
        {OK2 "x", ERR_HTTP_MALFORMED, "bytes follow"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct server s = {.answers = {cases[i].answer}};
        struct http_request request = request_of();
        struct fault fault;
        server_start(&s, "127.0.0.1");
        ck_err(send_to(&s, &request, &fault), cases[i].err);
        ck_detail(fault, cases[i].detail);
        server_stop(&s);
    }
}
END_TEST

START_TEST(slow_answer)
{
    struct server s = {.answers = {OK2}, .delay_ms = 1200};
    server_start(&s, "127.0.0.1");
    check_timeout(&s, NULL);
    server_stop(&s);
}
END_TEST

/* Every byte comes well within the time allowed, all of them do not. */
START_TEST(slow_bytes)
{
    struct server s = {.answers = {OK2}, .dribble_ms = 20};
    server_start(&s, "127.0.0.1");
    check_timeout(&s, NULL);
    server_stop(&s);
}
END_TEST

/* A full backlog: on loopback the connection request is dropped, and nobody answers. */
START_TEST(slow_connect)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct server s = {0};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    int others[4];
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(others[i], (struct sockaddr *)&a, sizeof a);
    }
    snprintf(s.url, sizeof s.url, "http://127.0.0.1:%u", ntohs(a.sin_port));
    check_timeout(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        close(others[i]);
    close(fd);
}
END_TEST

/* The server answers and reads nothing: the answer arrives all the same. */
START_TEST(early_answer)
{
    struct server s = {.answers = {OK2}, .delay_ms = 100, .deaf = true, .linger = true};
    server_start(&s, "127.0.0.1");
    struct http_request request = request_of();
    struct fault fault;
    uint8_t *body = large_body(&request);
    ck_ok(send_to(&s, &request, &fault));
    free(body);
    server_stop(&s);
}
END_TEST

/* As above, but writing fails before the answer comes: the client still waits for it. */
START_TEST(early_answer_no_reader)
{
    struct server s = {.answers = {OK2}, .delay_ms = 100, .deaf = true, .hang_up = true};
    server_start_unix(&s);
    struct http_request request = request_of();
    struct fault fault;
    uint8_t *body = large_body(&request);
    ck_ok(send_to(&s, &request, &fault));
    free(body);
    server_stop(&s);
}
END_TEST

START_TEST(early_close)
{
    struct server s = {.answers = {NULL}};
    server_start(&s, "127.0.0.1");
    struct http_request request = request_of();
    struct fault fault;
    uint8_t *body = large_body(&request);
    ck_err(send_to(&s, &request, &fault), ERR_UNREACHABLE);
    free(body);
    check_no_signal(&s, NULL);
    server_stop(&s);
}
END_TEST

START_TEST(valid_keep_alive)
{
    struct server s = {.answers = {OK2, OK2}};
    server_start(&s, "127.0.0.1");
    struct fault fault = FAULT_NONE;
    struct http_connection *connection = open_to(&s, NULL);
    ck_ok(send_on(connection, &fault));
    ck_ok(send_on(connection, &fault));
    sleep_ms(50); /* the server has closed by now */
    ck_assert(http_connection_usable(connection));
    ck_err(send_on(connection, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "has closed the connection");
    ck_assert(!http_connection_usable(connection));
    ck_err(send_on(connection, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "open a new one");
    http_connection_close(connection);
    server_stop(&s);
    ck_assert_uint_eq(s.connections, 1);
    ck_assert_ptr_nonnull(strstr(s.got[1], "Connection: keep-alive\r\n"));
}
END_TEST

START_TEST(no_keep_alive)
{
    struct server s = {
        .answers = {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"},
        .linger = true};
    server_start(&s, "127.0.0.1");
    struct fault fault = FAULT_NONE;
    struct http_connection *connection = open_to(&s, NULL);
    ck_ok(send_on(connection, &fault));
    ck_assert(!http_connection_usable(connection));
    ck_err(send_on(connection, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "open a new one");
    http_connection_close(connection);
    server_stop(&s);
}
END_TEST

/* An answer that nobody asked for must not become the next request's. */
START_TEST(junk_between_answers)
{
    struct server s = {.answers = {OK2}, .deaf = true};
    server_start(&s, "127.0.0.1");
    struct fault fault = FAULT_NONE;
    struct http_connection *connection = open_to(&s, NULL);
    sleep_ms(100); /* the answer is there before the question */
    ck_err(send_on(connection, &fault), ERR_HTTP_MALFORMED);
    ck_detail(fault, "answer no request");
    ck_assert(!http_connection_usable(connection));
    http_connection_close(connection);
    server_stop(&s);
}
END_TEST

UNIT_MAIN("http_client", valid_target, valid_expect, wrong_expect, junk_target, long_target,
          valid_exchange, valid_empty_bodies, valid_unix, junk_request, no_server, wrong_answers,
          slow_answer, slow_bytes, slow_connect, early_answer, early_answer_no_reader, early_close,
          valid_keep_alive, no_keep_alive, junk_between_answers)
