#include "http_answer.h"

#include <openssl/crypto.h>
#include <strings.h>

void http_answer_free(struct http_answer *answer)
{
    if (answer->body.ptr != NULL)
        OPENSSL_cleanse(answer->body.ptr, answer->body.cap);
    buf_free(&answer->body);
    *answer = (struct http_answer){0};
}

void http_answer_reader_init(struct http_answer_reader *reader,
                             const struct http_answer_rules *rules)
{
    *reader = (struct http_answer_reader){.rules = *rules, .retry_after_s = -1};
}

static bool text_is(struct bytes text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.ptr, word, text.len) == 0;
}

/* OWS: RFC 9110 section 5.6.3. */
static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* tchar: RFC 9110 section 5.6.2. */
static bool is_token_char(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Digits only; what exceeds the type becomes its greatest value. */
static bool parse_number(struct bytes text, size_t *out)
{
    size_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return false;
        const size_t digit = (size_t)(text.ptr[i] - '0');
        value = value > (SIZE_MAX - digit) / 10 ? SIZE_MAX : value * 10 + digit;
    }
    *out = value;
    return text.len > 0;
}

/* One byte of the head: what may not stand there whatever the line. */
static enum err check_byte(const struct http_answer_reader *r, struct bytes in, size_t at,
                           struct fault *fault)
{
    const uint8_t c = in.ptr[at];
    const bool after_cr = at > r->line && in.ptr[at - 1] == '\r';
    if (at >= HTTP_ANSWER_HEAD_MAX)
        FAIL(fault_at(fault, at, "head"), ERR_TOO_LARGE,
             "the head of the answer is larger than %d bytes", HTTP_ANSWER_HEAD_MAX);
    if ((c == '\n') != after_cr)
        FAIL(fault_at(fault, at, "head"), ERR_HTTP_MALFORMED,
             "CR and LF may only stand together, at the end of a line");
    if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
        FAIL(fault_at(fault, at, "head"), ERR_HTTP_MALFORMED, "control character 0x%02x", c);
    return ERR_OK;
}

/* The next line without its CRLF; `*whole` is false where its end has not come yet. */
static enum err take_line(struct http_answer_reader *r, struct bytes in, struct bytes *line,
                          bool *whole, struct fault *fault)
{
    for (; r->scan < in.len; r->scan++) {
        TRY(check_byte(r, in, r->scan, fault));
        if (in.ptr[r->scan] != '\n')
            continue;
        *line = bytes_of(in.ptr + r->line, r->scan - 1 - r->line);
        *whole = true;
        r->scan++;
        return ERR_OK;
    }
    *whole = false;
    return ERR_OK;
}

/* RFC 9112 section 4: "HTTP/1.1 NNN reason"; the space before the reason is not
 * optional. */
static enum err read_status_line(struct http_answer_reader *r, struct bytes line,
                                 struct fault *fault)
{
    if (line.len < strlen("HTTP/1.1 200 ") || memcmp(line.ptr, "HTTP/1.", 7) != 0 ||
        (line.ptr[7] != '0' && line.ptr[7] != '1') || line.ptr[8] != ' ' || line.ptr[12] != ' ')
        FAIL(fault_at(fault, r->line, "status line"), ERR_HTTP_MALFORMED,
             "not the status line of an HTTP/1.1 answer");
    size_t status = 0;
    if (!parse_number(bytes_of(line.ptr + 9, 3), &status) || status < 100 || status > 599)
        FAIL(fault_at(fault, r->line, "status line"), ERR_HTTP_MALFORMED,
             "not a status from 100 to 599");
    r->status = (int)status;
    r->closing = line.ptr[7] == '0';
    r->in_fields = true;
    return ERR_OK;
}

static enum err read_content_length(struct http_answer_reader *r, struct bytes value,
                                    struct fault *fault)
{
    if (r->length_seen)
        FAIL(fault_at(fault, r->line, "Content-Length"), ERR_HTTP_MALFORMED,
             "Content-Length twice");
    if (!parse_number(value, &r->body_len))
        FAIL(fault_at(fault, r->line, "Content-Length"), ERR_HTTP_MALFORMED,
             "Content-Length is not a number");
    r->length_seen = true;
    return ERR_OK;
}

static enum err read_content_type(struct http_answer_reader *r, struct bytes value,
                                  struct fault *fault)
{
    if (r->type_seen)
        FAIL(fault_at(fault, r->line, "Content-Type"), ERR_HTTP_MALFORMED, "Content-Type twice");
    r->type_seen = true;
    const uint8_t *semicolon = value.len > 0 ? memchr(value.ptr, ';', value.len) : NULL;
    if (semicolon != NULL)
        value = trim(bytes_of(value.ptr, (size_t)(semicolon - value.ptr)));
    char type[sizeof r->content_type] = "";
    for (size_t i = 0; i < value.len; i++) {
        const uint8_t c = value.ptr[i];
        if (i == sizeof type - 1 || (!is_token_char(c) && c != '/'))
            return ERR_OK; /* none that this project knows: as good as absent */
        type[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    memcpy(r->content_type, type, sizeof type);
    return ERR_OK;
}

static enum err read_retry_after(struct http_answer_reader *r, struct bytes value,
                                 struct fault *fault)
{
    if (r->retry_seen)
        FAIL(fault_at(fault, r->line, "Retry-After"), ERR_HTTP_MALFORMED, "Retry-After twice");
    r->retry_seen = true;
    /* A date is as good as absent: there is no clock here, and our servers send none. */
    size_t seconds = 0;
    if (parse_number(value, &seconds))
        r->retry_after_s = seconds > INT32_MAX ? INT32_MAX : (int64_t)seconds;
    return ERR_OK;
}

static enum err read_connection(struct http_answer_reader *r, struct bytes value,
                                struct fault *fault)
{
    (void)fault;
    while (value.len > 0) {
        const uint8_t *comma = memchr(value.ptr, ',', value.len);
        const size_t len = comma != NULL ? (size_t)(comma - value.ptr) : value.len;
        if (text_is(trim(bytes_of(value.ptr, len)), "close"))
            r->closing = true;
        const size_t used = comma != NULL ? len + 1 : len;
        value = bytes_of(value.ptr + used, value.len - used);
    }
    return ERR_OK;
}

static enum err read_transfer_encoding(struct http_answer_reader *r, struct bytes value,
                                       struct fault *fault)
{
    (void)value;
    FAIL(fault_at(fault, r->line, "Transfer-Encoding"), ERR_HTTP_MALFORMED,
         "Transfer-Encoding is not supported");
}

static const struct {
    const char *name;
    enum err (*read)(struct http_answer_reader *r, struct bytes value, struct fault *fault);
} fields[] = {
    {"Content-Length", read_content_length},
    {"Content-Type", read_content_type},
    {"Retry-After", read_retry_after},
    {"Connection", read_connection},
    {"Transfer-Encoding", read_transfer_encoding},
};

static enum err read_field(struct http_answer_reader *r, struct bytes line, struct fault *fault)
{
    size_t name_len = 0;
    while (name_len < line.len && is_token_char(line.ptr[name_len]))
        name_len++;
    /* Folded lines (RFC 9112 section 5.2) and white space before the colon end here. */
    if (name_len == 0 || name_len == line.len || line.ptr[name_len] != ':')
        FAIL(fault_at(fault, r->line + name_len, "head"), ERR_HTTP_MALFORMED,
             "not a header field: a name and a colon");
    const struct bytes name = bytes_of(line.ptr, name_len);
    const struct bytes value = trim(bytes_of(line.ptr + name_len + 1, line.len - name_len - 1));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (text_is(name, fields[i].name))
            return fields[i].read(r, value, fault);
    }
    return ERR_OK;
}

/* An interim answer: RFC 9110 section 15.2.  What follows is a new head. */
static enum err end_interim(struct http_answer_reader *r, struct fault *fault)
{
    if (r->status == 101)
        FAIL(fault_at(fault, r->line, "head"), ERR_HTTP_MALFORMED,
             "the server changes to a protocol nobody asked for");
    if (r->length_seen)
        FAIL(fault_at(fault, r->line, "head"), ERR_HTTP_MALFORMED,
             "an interim answer announces a body");
    if (r->interim == HTTP_ANSWER_INTERIM_MAX)
        FAIL(fault_at(fault, r->line, "head"), ERR_HTTP_MALFORMED, "more than %d interim answers",
             HTTP_ANSWER_INTERIM_MAX);
    const struct http_answer_reader old = *r;
    http_answer_reader_init(r, &old.rules);
    r->interim = old.interim + 1;
    r->line = r->scan = old.scan;
    return ERR_OK;
}

/* The empty line: what body follows is RFC 9112 section 6.3, with the choices of the
 * header. */
static enum err end_head(struct http_answer_reader *r, struct fault *fault)
{
    if (r->status < 200)
        return end_interim(r, fault);
    if (r->status == 204 && r->body_len > 0)
        FAIL(fault_at(fault, r->line, "Content-Length"), ERR_HTTP_MALFORMED,
             "status 204 with a body");
    if (r->rules.no_body || r->status == 204 || r->status == 304)
        r->body_len = 0;
    else if (!r->length_seen)
        FAIL(fault_at(fault, r->line, "Content-Length"), ERR_HTTP_MALFORMED,
             "the answer has no Content-Length");
    if (r->body_len > r->rules.body_max)
        FAIL(fault_at(fault, r->line, "Content-Length"), ERR_TOO_LARGE,
             "the answer has a body of %zu bytes; at most %zu are accepted", r->body_len,
             r->rules.body_max);
    r->body_at = r->scan;
    r->in_body = true;
    return ERR_OK;
}

enum err http_answer_advance(struct http_answer_reader *reader, struct bytes in,
                             struct fault *fault)
{
    while (!reader->in_body) {
        struct bytes line = {0};
        bool whole = false;
        TRY(take_line(reader, in, &line, &whole, fault));
        if (!whole)
            return ERR_OK;
        if (!reader->in_fields)
            TRY(read_status_line(reader, line, fault));
        else if (line.len > 0)
            TRY(read_field(reader, line, fault));
        else
            TRY(end_head(reader, fault));
        reader->line = reader->scan;
    }
    const size_t got = in.len - reader->body_at;
    if (got > reader->body_len)
        FAIL(fault_at(fault, reader->body_at + reader->body_len, "body"), ERR_HTTP_MALFORMED,
             "bytes follow the end of the answer");
    reader->done = got == reader->body_len;
    return ERR_OK;
}

void http_answer_take(const struct http_answer_reader *reader, struct buf *in,
                      struct http_answer *out)
{
    if (reader->body_len > 0)
        memmove(in->ptr, in->ptr + reader->body_at, reader->body_len);
    in->len = reader->body_len;
    out->status = reader->status;
    out->retry_after_s = reader->retry_after_s;
    memcpy(out->content_type, reader->content_type, sizeof out->content_type);
    buf_move(&out->body, in);
}

enum err http_answer_parse(struct bytes in, const struct http_answer_rules *rules,
                           struct http_answer *out, struct fault *fault)
{
    struct http_answer_reader reader;
    http_answer_reader_init(&reader, rules);
    TRY(http_answer_advance(&reader, in, fault));
    if (!reader.done)
        FAIL(fault_at(fault, in.len, "%s", reader.in_body ? "body" : "head"), ERR_UNREACHABLE,
             "the connection closed before the answer was complete");
    CLEANUP(buf_free) struct buf copy = {0};
    TRY(buf_append(&copy, in));
    http_answer_take(&reader, &copy, out);
    return ERR_OK;
}
