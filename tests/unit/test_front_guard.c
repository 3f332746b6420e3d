/* The smuggling guard: each deviation alone, with its exact error and place. */
#include "verifier/front/guard.h"

#include "unit.h"

#define FIELD(name_, value_)                              \
    {                                                     \
        {(const uint8_t *)(name_), sizeof(name_) - 1},    \
        {                                                 \
            (const uint8_t *)(value_), sizeof(value_) - 1 \
        }                                                 \
    }

static struct guard_head head_of(void)
{
    return (struct guard_head){
        .method = "POST",
        .target = "/v1/release?a=%20b",
        .version = "HTTP/1.1",
        .whole = true,
        .field_count = 4,
        .field = {FIELD("Host", "verifier.example:8443"), FIELD("User-Agent", "x\ty \xc3\xa9"),
                  FIELD("content-length", "17"), FIELD("CONTENT-TYPE", "application/json")},
    };
}

static void ck_refused(const struct guard_head *head, const char *field)
{
    struct guard_facts facts = {.content_length = 99};
    struct fault fault = FAULT_NONE;
    ck_err(guard_check(head, &facts, &fault), ERR_HTTP_MALFORMED);
    ck_assert_str_eq(fault.field, field);
    ck_assert_uint_eq(facts.content_length, 99);
}

/* A head with one more field. */
static void ck_field_refused(struct guard_field extra, const char *field)
{
    struct guard_head head = head_of();
    head.field[head.field_count++] = extra;
    ck_refused(&head, field);
}

/* A head without a Content-Length and with these instead. */
static struct guard_head head_with(struct guard_field extra)
{
    struct guard_head head = head_of();
    head.field[2] = extra;
    return head;
}

START_TEST(valid_head)
{
    struct guard_head head = head_of();
    struct guard_facts facts = {0};
    struct fault fault = FAULT_NONE;
    head.field[head.field_count++] = (struct guard_field)FIELD("Authorization", "Bearer x");
    ck_ok(guard_check(&head, &facts, &fault));
    ck_assert(facts.has_body && !facts.chunked);
    ck_assert_uint_eq(facts.content_length, 17);
    ck_assert(bytes_equal_text(facts.content_type, "application/json"));
    ck_assert(bytes_equal_text(facts.authorization, "Bearer x"));
    ck_assert_int_eq(fault.code, ERR_OK);
    ck_assert_str_eq(fault.field, "");
}
END_TEST

START_TEST(valid_no_body)
{
    struct guard_head head = head_with((struct guard_field)FIELD("Content-Length", "0"));
    struct guard_facts facts = {.has_body = true};
    ck_ok(guard_check(&head, &facts, NULL));
    ck_assert(!facts.has_body && facts.authorization.ptr == NULL);
    head.field_count = 1;
    ck_ok(guard_check(&head, &facts, NULL));
    ck_assert(!facts.has_body && facts.content_type.ptr == NULL);
}
END_TEST

START_TEST(valid_chunked)
{
    struct guard_head head = head_with((struct guard_field)FIELD("Transfer-Encoding", "Chunked"));
    struct guard_facts facts = {0};
    ck_ok(guard_check(&head, &facts, NULL));
    ck_assert(facts.has_body && facts.chunked);
    ck_assert_uint_eq(facts.content_length, 0);
}
END_TEST

START_TEST(valid_http_1_0)
{
    struct guard_head head = head_of();
    struct guard_facts facts = {0};
    head.version = "HTTP/1.0";
    head.field[0] = (struct guard_field)FIELD("X", "");
    ck_ok(guard_check(&head, &facts, NULL));
}
END_TEST

START_TEST(wrong_method)
{
    static const char *const methods[] = {"", "G(ET", "GE T", "GET\x7f", "G\xc3\xa9T"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct guard_head head = head_of();
        head.method = methods[i];
        ck_refused(&head, "method");
    }
}
END_TEST

START_TEST(wrong_version)
{
    static const char *const versions[] = {"", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.10"};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct guard_head head = head_of();
        head.version = versions[i];
        ck_refused(&head, "version");
    }
}
END_TEST

START_TEST(wrong_target)
{
    static const char *const targets[] = {
        "",
        "*",
        "http://verifier.example/v1/release",
        "verifier.example:443",
        "/v1/a b",
        "/v1/a\tb",
        "/v1/\xc3\xa9",
        "/v1/a#b",
        "/v1/a\x7f",
    };
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct guard_head head = head_of();
        head.target = targets[i];
        ck_refused(&head, "target");
    }
}
END_TEST

START_TEST(no_host)
{
    struct guard_head head = head_of();
    head.field[0] = (struct guard_field)FIELD("X", "y");
    ck_refused(&head, "Host");
}
END_TEST

START_TEST(wrong_host)
{
    struct guard_head head = head_of();
    head.field[0] = (struct guard_field)FIELD("Host", "a, b");
    ck_refused(&head, "Host");
    head.field[0] = (struct guard_field)FIELD("Host", "user@a");
    ck_refused(&head, "Host");
}
END_TEST

START_TEST(wrong_twice)
{
    ck_field_refused((struct guard_field)FIELD("host", "verifier.example:8443"), "Host");
    ck_field_refused((struct guard_field)FIELD("Content-Length", "17"), "Content-Length");
    ck_field_refused((struct guard_field)FIELD("Content-Length", "18"), "Content-Length");
    ck_field_refused((struct guard_field)FIELD("Content-Type", "text/plain"), "Content-Type");
    static const char *const names[] = {"Authorization", "Expect"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct guard_head head = head_of();
        const struct guard_field field = {bytes_of_text(names[i]), bytes_of(NULL, 0)};
        head.field[head.field_count++] = field;
        head.field[head.field_count++] = field;
        ck_refused(&head, names[i]);
    }
}
END_TEST

START_TEST(wrong_both_lengths)
{
    ck_field_refused((struct guard_field)FIELD("Transfer-Encoding", "chunked"),
                     "Transfer-Encoding");
    ck_field_refused((struct guard_field)FIELD("Transfer-Encoding", ""), "Transfer-Encoding");
}
END_TEST

START_TEST(wrong_transfer_encoding)
{
    static const char *const codings[] = {
        "", "gzip", "gzip, chunked", "chunked, chunked", "identity", "chunked ", "xchunked",
    };
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        struct guard_head head = head_of();
        head.field[2] =
            (struct guard_field){bytes_of_text("Transfer-Encoding"), bytes_of_text(codings[i])};
        ck_refused(&head, "Transfer-Encoding");
    }
    struct guard_head head = head_with((struct guard_field)FIELD("Transfer-Encoding", "identity"));
    head.field[head.field_count++] = (struct guard_field)FIELD("Transfer-Encoding", "chunked");
    ck_refused(&head, "Transfer-Encoding");
    head = head_with((struct guard_field)FIELD("Transfer-Encoding", "chunked"));
    head.version = "HTTP/1.0";
    ck_refused(&head, "Transfer-Encoding");
}
END_TEST

START_TEST(wrong_content_length)
{
    static const char *const lengths[] = {
        "", "5x", "+5", "-1", "5, 5", " 5", "0x5", "5.0", "1234567890123456789",
    };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct guard_head head = head_of();
        head.field[2].value = bytes_of_text(lengths[i]);
        ck_refused(&head, "Content-Length");
    }
}
END_TEST

START_TEST(wrong_field_name)
{
    ck_field_refused((struct guard_field)FIELD("", "x"), "");
    ck_field_refused((struct guard_field)FIELD("Content-Length ", "5"), "");
    ck_field_refused((struct guard_field)FIELD("A\0B", "x"), "");
    ck_field_refused((struct guard_field)FIELD("A(B", "x"), "");
}
END_TEST

START_TEST(wrong_field_value)
{
    ck_field_refused((struct guard_field)FIELD("X-A", "a\0b"), "X-A");
    ck_field_refused((struct guard_field)FIELD("X-A", "a\rb"), "X-A");
    ck_field_refused((struct guard_field)FIELD("X-A", "a\nb"), "X-A");
    ck_field_refused((struct guard_field)FIELD("X-A", "\x7f"), "X-A");
}
END_TEST

/* Something came that the fields do not show: test_front_head has what. */
START_TEST(wrong_not_whole)
{
    struct guard_head head = head_of();
    head.whole = false;
    ck_refused(&head, "");
}
END_TEST

START_TEST(long_head)
{
    struct guard_head head = head_of();
    struct guard_facts facts;
    while (head.field_count < GUARD_FIELDS_MAX)
        head.field[head.field_count++] = (struct guard_field)FIELD("X", "y");
    ck_ok(guard_check(&head, &facts, NULL));
    head.field_count++;
    ck_refused(&head, "");
}
END_TEST

UNIT_MAIN("front_guard", valid_head, valid_no_body, valid_chunked, valid_http_1_0, wrong_method,
          wrong_version, wrong_target, no_host, wrong_host, wrong_twice, wrong_both_lengths,
          wrong_transfer_encoding, wrong_content_length, wrong_field_name, wrong_field_value,
          wrong_not_whole, long_head)
