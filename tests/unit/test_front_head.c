/* The head of a request as it lies on the wire: what libmicrohttpd reads in a way of its own
 * is refused, and nothing behind it is ever taken for a request; what clients really send is
 * taken, in whatever pieces it comes. */
#include "front_fixture.h"

#define HEALTH "GET /v1/health HTTP/1.1\r\nHost: a\r\n"
#define POST   "POST /v1/release HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
#define CLOSE  "Connection: close\r\n"
#define NEXT   HEALTH CLOSE "\r\n" HEALTH CLOSE "\r\n"

static struct setup setup;

static void start(void)
{
    setup_init(&setup);
    setup_start(&setup);
}

/* A literal, with the NULs that are inside. */
#define RAW(text)                                 \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

START_TEST(wrong_lines)
{
    static const struct bytes heads[] = {
        /* a folded line, which is joined to the name: a length that nobody sees ... */
        RAW(POST "Content-Length:\r\n 2\r\n\r\n{}" NEXT),
        RAW(POST "Content-Length: 2\r\n 0\r\n\r\n{}" NEXT),
        RAW(POST "Transfer-Encoding: chunked\r\n\tx\r\n\r\n2\r\n{}\r\n0\r\n\r\n" NEXT),
        /* ... or one that was never there */
        RAW(POST "Content-Lengt: 2\r\n h\r\nX: y\r\n\r\n{}" NEXT),
        RAW(POST "Transfer-Encodin: chunked\r\n g\r\n\r\n0\r\n\r\n" NEXT),
        RAW(HEALTH "X: y\r\n z\r\n\r\n" NEXT),
        RAW(HEALTH "X: y\r\n z\r\nA: b\r\n\r\n" NEXT),
        RAW(HEALTH "X: y\r\n \r\n\r\n" NEXT),
        RAW("GET /v1/health HTTP/1.1\r\nHost: a\r\n b\r\n\r\n" NEXT),
        /* a bare LF */
        RAW(HEALTH "X: y\nA: b\r\n\r\n" NEXT),
        RAW(HEALTH "X: y\n\r\n" NEXT),
        RAW(HEALTH "X: y\r\n\n" NEXT),
        RAW("GET /v1/health HTTP/1.1\nHost: a\r\n\r\n" NEXT),
        /* one for another: as long as if each were right */
        RAW(HEALTH "A: b\nC: d\nE: f\nX: y\r\n z\r\n\r\n" NEXT),
        /* a NUL, where a value is cut */
        RAW(HEALTH "X: y\0z\r\n\r\n" NEXT),
        RAW(HEALTH "X: y\0\r\nA: b\r\n\r\n" NEXT),
        RAW(POST "Content-Length: 2\0"
                 "0\r\n\r\n{}" NEXT),
        /* ... a target or a method */
        RAW("GET /v1/health\0x HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
        RAW("GET /v1/health\0 HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
        RAW("GET\0X /v1/health HTTP/1.1\r\nHost: a\r\n\r\n" NEXT),
        /* a field without a name, where the head is cut */
        RAW(HEALTH ": z\r\n\r\n" NEXT),
        RAW(HEALTH ": z\r\n" NEXT),
    };
    start();
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct got got = exchange_on(dial(&setup), heads[i].ptr, heads[i].len);
        ck_assert_msg(strstr((const char *)got.text.ptr, "\"ok\"") == NULL, "served after %zu:\n%s",
                      i, (const char *)got.text.ptr);
        ck_problem(&got, 400, ERR_HTTP_MALFORMED);
        got_free(&got);
    }
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

/* libmicrohttpd refuses these before it calls anybody, or we for what they are. */
START_TEST(junk_lines)
{
    static const struct bytes heads[] = {
        RAW(HEALTH "X\0A: b\r\n\r\n" NEXT),
        RAW("GET /v1/health HTTP/1.1\0x\r\nHost: a\r\n\r\n" NEXT),
        RAW("GET /v1/health HTTP/1.1\r\n Host: a\r\n\r\n" NEXT),
        RAW(HEALTH "X: b\rY: c\r\n\r\n" NEXT),
        RAW(HEALTH "X\0: b\r\n\r\n" NEXT),
    };
    start();
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct got got = exchange_on(dial(&setup), heads[i].ptr, heads[i].len);
        ck_assert_int_eq(got.status, 400);
        ck_assert_ptr_null(strstr(got.body, "\"ok\""));
        got_free(&got);
    }
    setup_stop(&setup);
}
END_TEST

static const struct bytes good[] = {
    RAW(HEALTH CLOSE "\r\n"),
    RAW("\r\n" HEALTH CLOSE "\r\n"),
    RAW(HEALTH "No-Space:y\r\nTwo:  y\r\nTab:\ty\r\nBehind: y \t\r\nEmpty:\r\nBlank: \r\n" CLOSE
               "\r\n"),
    RAW("GET /v1/health HTTP/1.0\r\n\r\n"),
    RAW(HEALTH "Cookie: a=b; c=\"d\"; e\r\nAccept: */*\r\n" CLOSE "\r\n"),
};

START_TEST(valid_lines)
{
    start();
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct got got = exchange_on(dial(&setup), good[i].ptr, good[i].len);
        ck_json(&got, "{\"status\":\"ok\"}");
        got_free(&got);
    }
    setup_stop(&setup);
}
END_TEST

/* The whole buffer of a head, in pieces of all sizes: it may be moved, its fields may not
 * come apart. */
START_TEST(valid_pieces)
{
    CLEANUP(buf_free) struct buf text = {0};
    ck_ok(buf_append_text(&text, HEALTH));
    for (int i = 0; i < 30; i++)
        ck_ok(buf_append_format(&text, "X-%d: %0400d\r\n", i, i));
    ck_ok(buf_append_text(&text, CLOSE "\r\n"));
    start();
    for (size_t piece = 1; piece <= text.len; piece = piece * 3 + 1) {
        const int fd = dial(&setup);
        for (size_t at = 0; at < text.len; at += piece)
            put(fd, text.ptr + at, piece < text.len - at ? piece : text.len - at);
        struct got got = exchange_on(fd, "", 0);
        ck_json(&got, "{\"status\":\"ok\"}");
        got_free(&got);
    }
    setup_stop(&setup);
}
END_TEST

/* Requests behind one another on one connection, with bodies in between. */
START_TEST(valid_pipeline)
{
    CLEANUP(buf_free) struct buf text = {0};
    for (int i = 0; i < 40; i++) {
        ck_ok(buf_append_format(&text, HEALTH "X: %0*d\r\n\r\n", 1 + 37 * i, i));
        ck_ok(buf_append_text(&text, POST "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n"));
    }
    ck_ok(buf_append_text(&text, HEALTH CLOSE "\r\n"));
    start();
    struct got got = exchange_on(dial(&setup), text.ptr, text.len);
    size_t served = 0, refused = 0;
    for (const char *at = (const char *)got.text.ptr; (at = strstr(at, "\"ok\"")) != NULL; at++)
        served++;
    for (const char *at = (const char *)got.text.ptr;
         (at = strstr(at, "\"code\":\"malformed\"")) != NULL; at++)
        refused++;
    ck_assert_uint_eq(served, 41);
    ck_assert_uint_eq(refused, 40);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

UNIT_MAIN("front_head", wrong_lines, junk_lines, valid_lines, valid_pieces, valid_pipeline)
