#include "template.h"

#include <openssl/evp.h>

#include "common/codec.h"

#define MARK "a mark is {{secret NAME}}, {{secret NAME | json}} or {{secret NAME | base64}}"

static const struct {
    const char *name;
    enum template_form form;
} forms[] = {{"json", TEMPLATE_JSON}, {"base64", TEMPLATE_BASE64}};

void template_free(struct template_file *t)
{
    buf_free(&t->source);
    *t = (struct template_file){0};
}

/* --- parsing --- */

static size_t find_pair(struct bytes in, uint8_t brace)
{
    for (size_t at = 0; at + 1 < in.len; at++) {
        if (in.ptr[at] == brace && in.ptr[at + 1] == brace)
            return at;
    }
    return in.len;
}

static struct bytes skip(struct bytes in, size_t len)
{
    return bytes_of(in.ptr + len, in.len - len);
}

static struct fault *at_mark(struct fault *fault, const struct template_file *t,
                             const uint8_t *mark)
{
    unsigned line = 1;
    for (const uint8_t *p = t->source.ptr; p < mark; p++)
        line += *p == '\n';
    return fault_at(fault, (size_t)(mark - t->source.ptr), "line %u", line);
}

/* The next word between blanks; empty at the end. */
static struct bytes take_word(struct bytes *in)
{
    while (in->len > 0 && in->ptr[0] == ' ')
        *in = skip(*in, 1);
    size_t len = 0;
    while (len < in->len && in->ptr[len] != ' ')
        len++;
    const struct bytes word = bytes_of(in->ptr, len);
    *in = skip(*in, len);
    return word;
}

static enum err parse_form(struct bytes word, enum template_form *out)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (bytes_equal_text(word, forms[i].name)) {
            *out = forms[i].form;
            return ERR_OK;
        }
    }
    return ERR_CONFIG;
}

/* `secret NAME [| FORM]` */
static enum err parse_mark(struct bytes inner, struct template_piece *piece)
{
    const struct bytes secret = take_word(&inner);
    const struct bytes name = take_word(&inner);
    const struct bytes bar = take_word(&inner);
    const struct bytes form = take_word(&inner);
    if (!bytes_equal_text(secret, "secret") || !protocol_name_valid(name) ||
        take_word(&inner).len != 0)
        return ERR_CONFIG;
    if (bar.len != 0) {
        if (!bytes_equal_text(bar, "|"))
            return ERR_CONFIG;
        TRY(parse_form(form, &piece->form));
    }
    piece->name = name;
    return ERR_OK;
}

/* What begins at `in`, which are two braces: a whole mark, into the last piece.  Two braces as
 * text are those that their mark begins with. */
static enum err take_mark(struct template_file *t, struct bytes *in, struct fault *fault)
{
    static const char braces[] = "{{\"{{\"}}";
    if (t->count == TEMPLATE_MARKS_MAX)
        FAIL(at_mark(fault, t, in->ptr), ERR_CONFIG, "more than %d marks", TEMPLATE_MARKS_MAX);
    struct template_piece *piece = &t->piece[t->count++];
    if (in->len >= sizeof braces - 1 && memcmp(in->ptr, braces, sizeof braces - 1) == 0) {
        piece->text.len += 2;
        *in = skip(*in, sizeof braces - 1);
        return ERR_OK;
    }
    const struct bytes behind = skip(*in, 2);
    const size_t len = find_pair(behind, '}');
    if (len == behind.len)
        FAIL(at_mark(fault, t, in->ptr), ERR_CONFIG,
             "{{ and no }} behind it; two braces as "
             "text are {{\"{{\"}}");
    if (parse_mark(bytes_of(behind.ptr, len), piece) != ERR_OK)
        FAIL(at_mark(fault, t, in->ptr), ERR_CONFIG, "\"{{%.*s}}\": " MARK,
             (int)(len < 60 ? len : 60), (const char *)behind.ptr);
    *in = skip(behind, len + 2);
    return ERR_OK;
}

static enum err parse(struct template_file *t, struct fault *fault)
{
    struct bytes in = bytes_of_buf(&t->source);
    for (;;) {
        const size_t len = find_pair(in, '{');
        t->piece[t->count].text = bytes_of(in.ptr, len);
        in = skip(in, len);
        if (in.len == 0)
            break;
        TRY(take_mark(t, &in, fault));
    }
    t->count++;
    return ERR_OK;
}

enum err template_parse(struct bytes source, struct template_file *out, struct fault *fault)
{
    CLEANUP(template_free) struct template_file t = {0};
    TRY(buf_append(&t.source, source));
    TRY(parse(&t, fault));
    *out = t;
    t = (struct template_file){0};
    return ERR_OK;
}

bool template_mentions(const struct template_file *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (bytes_equal_text(t->piece[i].name, name))
            return true;
    }
    return false;
}

/* --- rendering: twice, first to learn how long it is --- */

struct sink {
    uint8_t *to; /* NULL: only counted */
    size_t len;
};

static void put(struct sink *sink, const void *bytes, size_t len)
{
    if (sink->to != NULL)
        secret_copy(sink->to + sink->len, bytes_of(bytes, len));
    sink->len += len;
}

/* Byte by byte from where it lies: no part of it is copied to the stack. */
static void put_json(struct sink *sink, struct bytes value)
{
    static const char digits[] = "0123456789abcdef";
    put(sink, "\"", 1);
    for (const uint8_t *p = value.ptr; p < value.ptr + value.len; p++) {
        if (*p < 0x20) {
            put(sink, "\\u00", 4);
            put(sink, &digits[*p >> 4], 1);
            put(sink, &digits[*p & 15], 1);
            continue;
        }
        if (*p == '"' || *p == '\\')
            put(sink, "\\", 1);
        put(sink, p, 1);
    }
    put(sink, "\"", 1);
}

/* Behind it OpenSSL writes a NUL, for which there must be room. */
static void put_base64(struct sink *sink, struct bytes value)
{
    if (sink->to != NULL)
        EVP_EncodeBlock(sink->to + sink->len, value.ptr, (int)value.len);
    sink->len += (value.len + 2) / 3 * 4;
}

static enum err put_piece(const struct template_piece *piece, struct bytes value, struct sink *sink,
                          struct fault *fault)
{
    switch (piece->form) {
    case TEMPLATE_PLAIN:
        put(sink, value.ptr, value.len);
        return ERR_OK;
    case TEMPLATE_JSON:
        if (!utf8_valid(value))
            FAIL(fault, ERR_DELIVER, "%.*s is no UTF-8, which JSON needs: use base64",
                 (int)piece->name.len, (const char *)piece->name.ptr);
        put_json(sink, value);
        return ERR_OK;
    case TEMPLATE_BASE64:
        put_base64(sink, value);
        return ERR_OK;
    }
    return ERR_OK;
}

static enum err put_all(const struct template_file *t, const struct answer_opened *opened,
                        struct sink *sink, struct fault *fault)
{
    for (const struct template_piece *piece = t->piece; piece < t->piece + t->count; piece++) {
        put(sink, piece->text.ptr, piece->text.len);
        size_t i = 0;
        while (i < opened->count && !bytes_equal_text(piece->name, opened->item[i].name))
            i++;
        if (piece->name.len == 0)
            continue;
        if (i == opened->count)
            FAIL(fault, ERR_DELIVER, "a template needs %.*s, which is not there",
                 (int)piece->name.len, (const char *)piece->name.ptr);
        TRY(put_piece(piece, secret_view(opened->item[i].value), sink, fault));
    }
    return ERR_OK;
}

enum err template_render(const struct template_file *file, const struct answer_opened *opened,
                         struct secret **out, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *rendered = NULL;
    struct sink sink = {0};
    TRY(put_all(file, opened, &sink, fault));
    if (sink.len > TEMPLATE_RENDERED_MAX)
        FAIL(fault, ERR_DELIVER, "a template with its secrets has %zu bytes, more than %d",
             sink.len, TEMPLATE_RENDERED_MAX);
    const size_t len = sink.len;
    if (secret_new(len + 1, &rendered) != ERR_OK)
        FAIL(fault, ERR_NO_MEMORY, "no locked memory for a template of %zu bytes", len);
    sink = (struct sink){.to = secret_ptr(rendered)};
    TRY(put_all(file, opened, &sink, fault));
    secret_truncate(rendered, len);
    *out = TAKE(rendered);
    return ERR_OK;
}
