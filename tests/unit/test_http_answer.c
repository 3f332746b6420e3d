/* The pure half of the HTTP client: what an answer may look like.  Each case is read
 * whole and byte by byte, and both must come to the same end. */
#include "unit.h"

#include "common/http_answer.h"

#define OK    "HTTP/1.1 200 OK\r\n"
#define EMPTY "Content-Length: 0\r\n\r\n"
#define BODY2 OK "Content-Length: 2\r\n\r\n"

static const struct http_answer_rules plain = {.body_max = 100};

static enum err read_in_bytes(struct bytes in, const struct http_answer_rules *rules)
{
    struct http_answer_reader reader;
    http_answer_reader_init(&reader, rules);
    for (size_t n = 1; n <= in.len; n++) {
        /* Exactly the bytes received: a read beyond them is the sanitizer's to see. */
        uint8_t *part = malloc(n);
        ck_assert_ptr_nonnull(part);
        memcpy(part, in.ptr, n);
        const enum err err = http_answer_advance(&reader, bytes_of(part, n), NULL);
        free(part);
        if (err != ERR_OK)
            return err;
    }
    return reader.done ? ERR_OK : ERR_UNREACHABLE;
}

static enum err parse_bytes(struct bytes in, const struct http_answer_rules *rules,
                            struct http_answer *out, struct fault *fault)
{
    const enum err err = http_answer_parse(in, rules, out, fault);
    ck_err(read_in_bytes(in, rules), err);
    return err;
}

static enum err parse(const char *text, struct http_answer *out, struct fault *fault)
{
    return parse_bytes(bytes_of_text(text), &plain, out, fault);
}

START_TEST(valid_answer)
{
    struct http_answer a = {0};
    ck_ok(parse("HTTP/1.1 403 Forbidden\r\nServer: x\r\n"
                "content-TYPE: Application/Problem+JSON ; charset=utf-8\r\n"
                "RETRY-AFTER: \t120 \r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello",
                &a, NULL));
    ck_assert_int_eq(a.status, 403);
    ck_assert_str_eq(a.content_type, "application/problem+json");
    ck_assert_int_eq(a.retry_after_s, 120);
    ck_assert(bytes_equal_text(bytes_of_buf(&a.body), "hello"));
    http_answer_free(&a);
    ck_assert_ptr_null(a.body.ptr);
}
END_TEST

START_TEST(valid_binary_body)
{
    static const char text[] = BODY2 "\0\n";
    struct http_answer a = {0};
    ck_ok(parse_bytes(bytes_of(text, sizeof text - 1), &plain, &a, NULL));
    ck_assert(bytes_equal(bytes_of_buf(&a.body), bytes_of("\0\n", 2)));
    http_answer_free(&a);
}
END_TEST

START_TEST(valid_forms)
{
    static const char *const texts[] = {
        OK EMPTY,
        "HTTP/1.0 200 OK\r\n" EMPTY,
        "HTTP/1.1 200 \r\n" EMPTY, /* no reason */
        "HTTP/1.1 599 caf\xc3\xa9\r\n" EMPTY,
        OK "Content-Length:0\r\n\r\n",
        OK "Content-Length: 000\r\n\r\n",
        OK "Connection: close\r\n" EMPTY,
        OK "!#$%&'*+-.^_`|~09azAZ: x\r\n" EMPTY,
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n" EMPTY,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" OK EMPTY,
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct http_answer a = {0};
        struct fault fault = FAULT_NONE;
        const enum err err = parse(texts[i], &a, &fault);
        ck_assert_msg(err == ERR_OK, "case %zu: %s", i, fault.detail);
        ck_assert_uint_eq(a.body.len, 0);
        ck_assert_int_eq(a.retry_after_s, -1);
        ck_assert_str_eq(a.content_type, "");
        http_answer_free(&a);
    }
}
END_TEST

START_TEST(valid_head_request)
{
    static const struct http_answer_rules head = {.no_body = true, .body_max = 1};
    struct http_answer a = {0};
    ck_ok(parse_bytes(bytes_of_text(BODY2), &head, &a, NULL));
    ck_assert_uint_eq(a.body.len, 0);
    http_answer_free(&a);
    ck_err(parse_bytes(bytes_of_text(BODY2 "xx"), &head, &a, NULL), ERR_HTTP_MALFORMED);
}
END_TEST

START_TEST(valid_closing)
{
    static const struct {
        const char *text;
        bool closing;
    } cases[] = {
        {OK EMPTY, false},
        {OK "Connection: close\r\n" EMPTY, true},
        {OK "connection: x ,\tCLOSE\r\n" EMPTY, true},
        {OK "Connection: keep-alive, closer,,\r\n" EMPTY, false},
        {"HTTP/1.0 200 OK\r\n" EMPTY, true},
        {"HTTP/1.1 100 x\r\nConnection: close\r\n\r\n" OK EMPTY, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_answer_reader reader;
        http_answer_reader_init(&reader, &plain);
        ck_ok(http_answer_advance(&reader, bytes_of_text(cases[i].text), NULL));
        ck_assert(reader.done);
        ck_assert_msg(reader.closing == cases[i].closing, "case %zu", i);
    }
}
END_TEST

START_TEST(odd_values_are_absent)
{
    struct http_answer a = {0};
    ck_ok(parse(OK "Retry-After: Mon, 23 Nov 2026 08:00:00 GMT\r\nContent-Type: a b\r\n" EMPTY, &a,
                NULL));
    ck_assert_int_eq(a.retry_after_s, -1);
    ck_assert_str_eq(a.content_type, "");
    http_answer_free(&a);
    ck_ok(parse(OK "Retry-After: 99999999999999999999\r\nContent-Type: a/"
                   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n" EMPTY,
                &a, NULL));
    ck_assert_int_eq(a.retry_after_s, INT32_MAX);
    ck_assert_str_eq(a.content_type, "");
    http_answer_free(&a);
}
END_TEST

/* Each breaks one thing; `field` says that it was refused for that thing. */
START_TEST(junk_answers)
{
    static const struct {
        const char *text;
        const char *field;
        const char *detail;
    } cases[] = {
        {"HTTP/2.0 200 OK\r\n" EMPTY, "status line", "HTTP/1.1"},
        {"HTTP/1.2 200 OK\r\n" EMPTY, "status line", "HTTP/1.1"},
        {"http/1.1 200 OK\r\n" EMPTY, "status line", "HTTP/1.1"},
        {"HTTP/1.1 200\r\n" EMPTY, "status line", "HTTP/1.1"},
        {"HTTP/1.1  200 OK\r\n" EMPTY, "status line", "HTTP/1.1"},
        {"HTTP/1.1 2000 OK\r\n" EMPTY, "status line", "HTTP/1.1"},
        {"HTTP/1.1\t200 OK\r\n" EMPTY, "status line", "HTTP/1.1"},
        {"\r\n" OK EMPTY, "status line", "HTTP/1.1"},
        {"HTTP/1.1 2x0 OK\r\n" EMPTY, "status line", "100 to 599"},
        {"HTTP/1.1 099 OK\r\n" EMPTY, "status line", "100 to 599"},
        {"HTTP/1.1 600 OK\r\n" EMPTY, "status line", "100 to 599"},
        {"HTTP/1.1 101 Switch\r\n\r\n" OK EMPTY, "head", "protocol"},
        {"HTTP/1.1 100 x\r\n" EMPTY OK EMPTY, "head", "interim answer announces"},
        {"HTTP/1.1 200 OK\n" EMPTY, "head", "CR and LF"},
        {OK "A: b\n" EMPTY, "head", "CR and LF"},
        {OK "\n", "head", "CR and LF"},
        {OK "A: b\rc\r\n" EMPTY, "head", "CR and LF"},
        {OK "A: b\r\r\n" EMPTY, "head", "CR and LF"},
        {OK "A: b\x01\r\n" EMPTY, "head", "control character 0x01"},
        {OK "A: b\x7f\r\n" EMPTY, "head", "control character 0x7f"},
        {OK "A: b\r\n folded\r\n" EMPTY, "head", "header field"},
        {OK "A: b\r\n\tfolded\r\n" EMPTY, "head", "header field"},
        {OK " A: b\r\n" EMPTY, "head", "header field"},
        {OK "A b\r\n" EMPTY, "head", "header field"},
        {OK "A : b\r\n" EMPTY, "head", "header field"},
        {OK ": b\r\n" EMPTY, "head", "header field"},
        {OK "A(: b\r\n" EMPTY, "head", "header field"},
        {OK "\xc3: b\r\n" EMPTY, "head", "header field"},
        {OK "Content-Length : 0\r\n\r\n", "head", "header field"},
        {OK "\r\n", "Content-Length", "no Content-Length"},
        {OK "Connection: close\r\n\r\nbody until the end", "Content-Length", "no Content-Length"},
        {OK "Content-Length: 0\r\n" EMPTY, "Content-Length", "twice"},
        {OK "Content-Length: 5\r\n" EMPTY, "Content-Length", "twice"},
        {OK "Content-Length:\r\n\r\n", "Content-Length", "number"},
        {OK "Content-Length: +0\r\n\r\n", "Content-Length", "number"},
        {OK "Content-Length: -1\r\n\r\n", "Content-Length", "number"},
        {OK "Content-Length: 0x0\r\n\r\n", "Content-Length", "number"},
        {OK "Content-Length: 0, 0\r\n\r\n", "Content-Length", "number"},
        {"HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n", "Content-Length", "204"},
        {OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding", "not supported"},
        {OK "transfer-encoding: identity\r\n" EMPTY, "Transfer-Encoding", "not supported"},
        {OK "Content-Type: a/b\r\nContent-Type: a/b\r\n" EMPTY, "Content-Type", "twice"},
        {OK "Retry-After: 1\r\nRetry-After: 2\r\n" EMPTY, "Retry-After", "twice"},
        {OK EMPTY "x", "body", "bytes follow"},
        {OK EMPTY OK EMPTY, "body", "bytes follow"},
        {BODY2 "abc", "body", "bytes follow"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_answer a = {0};
        struct fault fault = FAULT_NONE;
        const enum err err = parse(cases[i].text, &a, &fault);
        ck_assert_msg(err == ERR_HTTP_MALFORMED, "case %zu: %s", i, err_wire(err));
        ck_assert_msg(strcmp(fault.field, cases[i].field) == 0 &&
                          strstr(fault.detail, cases[i].detail) != NULL,
                      "case %zu: %s: %s", i, fault.field, fault.detail);
        ck_assert_ptr_null(a.body.ptr);
    }
}
END_TEST

START_TEST(junk_nul)
{
    static const char text[] = OK "A: \0\r\n" EMPTY;
    struct http_answer a = {0};
    struct fault fault = FAULT_NONE;
    ck_err(parse_bytes(bytes_of(text, sizeof text - 1), &plain, &a, &fault), ERR_HTTP_MALFORMED);
    ck_assert_uint_eq(fault.offset, strlen(OK "A: "));
}
END_TEST

/* Every true prefix of an answer is an answer that was cut off, never a whole one. */
START_TEST(no_end)
{
    static const char text[] = "HTTP/1.1 100 x\r\n\r\n" BODY2 "ab";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct http_answer a = {0};
        ck_err(http_answer_parse(bytes_of(text, n), &plain, &a, NULL), ERR_UNREACHABLE);
    }
}
END_TEST

START_TEST(long_body)
{
    struct http_answer a = {0};
    struct fault fault = FAULT_NONE;
    ck_err(parse(OK "Content-Length: 101\r\n\r\n", &a, &fault), ERR_TOO_LARGE);
    ck_assert_str_eq(fault.field, "Content-Length");
    ck_err(parse(OK "Content-Length: 18446744073709551616\r\n\r\n", &a, NULL), ERR_TOO_LARGE);
    ck_err(parse(OK "Content-Length: 99999999999999999999999999\r\n\r\n", &a, NULL), ERR_TOO_LARGE);
    ck_err(parse(OK "Content-Length: 100\r\n\r\n", &a, NULL), ERR_UNREACHABLE);
}
END_TEST

/* A head of exactly `len` bytes. */
static struct buf head_of(size_t len)
{
    struct buf buf = {0};
    ck_ok(buf_append_text(&buf, OK "A: "));
    while (buf.len < len - strlen("\r\n" EMPTY))
        ck_ok(buf_append_text(&buf, "b"));
    ck_ok(buf_append_text(&buf, "\r\n" EMPTY));
    return buf;
}

START_TEST(long_head)
{
    struct http_answer a = {0};
    struct buf fits = head_of(HTTP_ANSWER_HEAD_MAX);
    ck_ok(http_answer_parse(bytes_of_buf(&fits), &plain, &a, NULL));
    http_answer_free(&a);
    struct buf over = head_of(HTTP_ANSWER_HEAD_MAX + 1);
    ck_err(http_answer_parse(bytes_of_buf(&over), &plain, &a, NULL), ERR_TOO_LARGE);
    buf_free(&fits);
    buf_free(&over);
}
END_TEST

START_TEST(long_interim)
{
    struct http_answer a = {0};
    struct fault fault = FAULT_NONE;
    struct buf buf = {0};
    for (unsigned i = 0; i < HTTP_ANSWER_INTERIM_MAX; i++)
        ck_ok(buf_append_text(&buf, "HTTP/1.1 102 Processing\r\n\r\n"));
    const size_t len = buf.len;
    ck_ok(buf_append_text(&buf, OK EMPTY));
    ck_ok(http_answer_parse(bytes_of_buf(&buf), &plain, &a, NULL));
    http_answer_free(&a);
    buf.len = len;
    ck_ok(buf_append_text(&buf, "HTTP/1.1 102 Processing\r\n\r\n" OK EMPTY));
    ck_err(http_answer_parse(bytes_of_buf(&buf), &plain, &a, &fault), ERR_HTTP_MALFORMED);
    ck_assert_ptr_nonnull(strstr(fault.detail, "interim"));
    buf_free(&buf);
}
END_TEST

UNIT_MAIN("http_answer", valid_answer, valid_binary_body, valid_forms, valid_head_request,
          valid_closing, odd_values_are_absent, junk_answers, junk_nul, no_end, long_body,
          long_head, long_interim)
