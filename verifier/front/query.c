#include "query.h"

#include "common/codec.h"

void query_free(struct query *query)
{
    buf_free(&query->text);
    query->count = 0;
}

/* Decodes `raw` to the end of `text`, where there is room for all of it. */
static enum err decode(struct bytes raw, size_t at, struct buf *text, struct bytes *out,
                       struct fault *fault)
{
    const size_t from = text->len;
    for (size_t i = 0; i < raw.len; i++) {
        const size_t place = at + i;
        uint8_t byte = raw.ptr[i];
        if (byte == '%') {
            if (raw.len - i < 3 || hex_decode(bytes_of(raw.ptr + i + 1, 2), &byte, 1) != ERR_OK)
                FAIL(fault_at(fault, place, "query"), ERR_MALFORMED,
                     "two hexadecimal digits are expected after %%");
            i += 2;
        }
        if (byte == '\0')
            FAIL(fault_at(fault, place, "query"), ERR_MALFORMED, "a NUL");
        text->ptr[text->len++] = byte;
    }
    *out = bytes_of(text->ptr + from, text->len - from);
    if (!utf8_valid(*out))
        FAIL(fault_at(fault, at, "query"), ERR_MALFORMED, "not UTF-8");
    return ERR_OK;
}

static enum err add_pair(struct bytes raw, size_t at, struct query *query, struct fault *fault)
{
    const uint8_t *equals = raw.len == 0 ? NULL : memchr(raw.ptr, '=', raw.len);
    if (equals == NULL)
        FAIL(fault_at(fault, at, "query"), ERR_MALFORMED, "NAME=VALUE is expected");
    if (query->count == QUERY_PAIRS_MAX)
        FAIL(fault_at(fault, at, "query"), ERR_MALFORMED, "more than %d parameters",
             QUERY_PAIRS_MAX);
    const size_t name_len = (size_t)(equals - raw.ptr);
    struct query_pair *pair = &query->pair[query->count];
    TRY(decode(bytes_of(raw.ptr, name_len), at, &query->text, &pair->name, fault));
    TRY(decode(bytes_of(equals + 1, raw.len - name_len - 1), at + name_len + 1, &query->text,
               &pair->value, fault));
    for (size_t i = 0; i < query->count; i++) {
        if (bytes_equal(query->pair[i].name, pair->name))
            FAIL(fault_at(fault, at, "query"), ERR_MALFORMED, "a parameter is given twice");
    }
    query->count++;
    return ERR_OK;
}

enum err query_parse(struct bytes raw, struct query *out, struct fault *fault)
{
    CLEANUP(query_free) struct query query = {0};
    if (raw.len == 0)
        return ERR_OK;
    TRY(buf_reserve(&query.text, raw.len));
    for (size_t at = 0; at <= raw.len;) {
        const uint8_t *end = at == raw.len ? NULL : memchr(raw.ptr + at, '&', raw.len - at);
        const size_t len = end == NULL ? raw.len - at : (size_t)(end - raw.ptr) - at;
        TRY(add_pair(bytes_of(raw.ptr + at, len), at, &query, fault));
        at += len + 1;
    }
    *out = query;
    query = (struct query){0};
    return ERR_OK;
}
