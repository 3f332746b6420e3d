#include "guard.h"

#include <strings.h>

#define LENGTH_DIGITS_MAX 18 /* fits 64 bits; far beyond every limit */

/* The fields that may come once at most: what the body's end or the caller's
 * authority hangs on. */
enum single { HOST, LENGTH, ENCODING, TYPE, AUTHORIZATION, EXPECT, SINGLE_COUNT };
static const char *const singles[SINGLE_COUNT] = {
    [HOST] = "Host",         [LENGTH] = "Content-Length",       [ENCODING] = "Transfer-Encoding",
    [TYPE] = "Content-Type", [AUTHORIZATION] = "Authorization", [EXPECT] = "Expect",
};

/* RFC 9110 section 5.6.2 */
static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.ptr[i];
        const bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alphanumeric && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

/* RFC 9110 section 5.5: no control character but the tab. */
static bool is_value(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool equal_caseless(struct bytes text, const char *to)
{
    return text.len == strlen(to) && strncasecmp((const char *)text.ptr, to, text.len) == 0;
}

static enum err check_line(const struct guard_head *head, struct fault *fault)
{
    if (!is_token(bytes_of_text(head->method)))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "method"), ERR_HTTP_MALFORMED,
             "the method is no token");
    if (strcmp(head->version, "HTTP/1.1") != 0 && strcmp(head->version, "HTTP/1.0") != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "version"), ERR_HTTP_MALFORMED,
             "HTTP/1.1 or HTTP/1.0 is expected");
    if (head->target[0] != '/')
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "target"), ERR_HTTP_MALFORMED,
             "a path that begins with / is expected");
    for (const char *c = head->target; *c != '\0'; c++) {
        if (*c < 0x21 || *c > 0x7e || *c == '#')
            FAIL(fault_at(fault, (size_t)(c - head->target), "target"), ERR_HTTP_MALFORMED,
                 "a character that must be percent-encoded");
    }
    return ERR_OK;
}

/* Every field well-formed; those of the table found, none of them twice. */
static enum err find_singles(const struct guard_head *head, struct bytes found[SINGLE_COUNT],
                             struct fault *fault)
{
    if (head->field_count > GUARD_FIELDS_MAX)
        FAIL(fault, ERR_HTTP_MALFORMED, "more than %d header fields", GUARD_FIELDS_MAX);
    if (!head->whole)
        FAIL(fault, ERR_HTTP_MALFORMED,
             "a folded line, a line without CR LF, a NUL, or a field without a name");
    for (size_t i = 0; i < head->field_count; i++) {
        const struct guard_field *field = &head->field[i];
        if (!is_token(field->name))
            FAIL(fault, ERR_HTTP_MALFORMED, "the name of header field %zu is no token", i + 1);
        if (!is_value(field->value))
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "%.*s", (int)field->name.len, field->name.ptr),
                 ERR_HTTP_MALFORMED, "a control character in the value");
        for (size_t k = 0; k < SINGLE_COUNT; k++) {
            if (!equal_caseless(field->name, singles[k]))
                continue;
            if (found[k].ptr != NULL)
                FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", singles[k]), ERR_HTTP_MALFORMED,
                     "given twice");
            found[k] = bytes_of(field->value.len == 0 ? (const uint8_t *)"" : field->value.ptr,
                                field->value.len);
        }
    }
    return ERR_OK;
}

/* RFC 9112 section 3.2 */
static enum err check_host(const char *version, struct bytes host, struct fault *fault)
{
    fault_at(fault, FAULT_NO_OFFSET, "%s", singles[HOST]);
    if (host.ptr == NULL) {
        if (strcmp(version, "HTTP/1.1") == 0)
            FAIL(fault, ERR_HTTP_MALFORMED, "HTTP/1.1 requires it");
        return ERR_OK;
    }
    for (size_t i = 0; i < host.len; i++) {
        if (memchr(" \t,/@", host.ptr[i], 5) != NULL)
            FAIL(fault, ERR_HTTP_MALFORMED, "one host name or address is expected");
    }
    return ERR_OK;
}

/* RFC 9112 section 6: the body is as long as one of the two fields says. */
static enum err check_body(const char *version, const struct bytes found[SINGLE_COUNT],
                           struct guard_facts *facts, struct fault *fault)
{
    const struct bytes length = found[LENGTH];
    fault_at(fault, FAULT_NO_OFFSET, "%s", singles[ENCODING]);
    facts->chunked = found[ENCODING].ptr != NULL;
    if (facts->chunked && length.ptr != NULL)
        FAIL(fault, ERR_HTTP_MALFORMED, "given beside a Content-Length");
    if (facts->chunked && strcmp(version, "HTTP/1.1") != 0)
        FAIL(fault, ERR_HTTP_MALFORMED, "HTTP/1.0 does not have it");
    if (facts->chunked && !equal_caseless(found[ENCODING], "chunked"))
        FAIL(fault, ERR_HTTP_MALFORMED, "only \"chunked\" is understood");
    fault_at(fault, FAULT_NO_OFFSET, "%s", singles[LENGTH]);
    if (length.ptr != NULL && (length.len == 0 || length.len > LENGTH_DIGITS_MAX))
        FAIL(fault, ERR_HTTP_MALFORMED, "1 to %d digits are expected", LENGTH_DIGITS_MAX);
    for (size_t i = 0; length.ptr != NULL && i < length.len; i++) {
        if (length.ptr[i] < '0' || length.ptr[i] > '9')
            FAIL(fault, ERR_HTTP_MALFORMED, "only digits are expected");
        facts->content_length = facts->content_length * 10 + (length.ptr[i] - '0');
    }
    facts->has_body = facts->chunked || facts->content_length > 0;
    return ERR_OK;
}

enum err guard_check(const struct guard_head *head, struct guard_facts *out, struct fault *fault)
{
    struct bytes found[SINGLE_COUNT] = {{0}};
    struct guard_facts facts = {0};
    TRY(check_line(head, fault));
    TRY(find_singles(head, found, fault));
    TRY(check_host(head->version, found[HOST], fault));
    TRY(check_body(head->version, found, &facts, fault));
    facts.authorization = found[AUTHORIZATION];
    facts.content_type = found[TYPE];
    fault_clear(fault);
    *out = facts;
    return ERR_OK;
}
