#include "cbor_writer.h"

#include <cbor.h>

#include "codec.h"

#define HEAD_LEN_MAX 9 /* the initial byte and an argument of 64 bits */

static void put(struct cbor_writer *w, struct bytes encoded)
{
    if (w->err == ERR_OK)
        w->err = buf_append(w->out, encoded);
}

/* libcbor's encoders return 0 where the buffer is too small, which it never is. */
static void put_head(struct cbor_writer *w, const uint8_t *head, size_t len)
{
    if (len == 0 && w->err == ERR_OK)
        w->err = ERR_INTERNAL;
    put(w, bytes_of(head, len));
}

void cbor_writer_init(struct cbor_writer *w, struct buf *out)
{
    *w = (struct cbor_writer){.out = out, .start = out->len, .err = ERR_OK};
}

void cbor_writer_uint(struct cbor_writer *w, uint64_t value)
{
    uint8_t head[HEAD_LEN_MAX];
    put_head(w, head, cbor_encode_uint(value, head, sizeof head));
}

void cbor_writer_bytes(struct cbor_writer *w, struct bytes value)
{
    uint8_t head[HEAD_LEN_MAX];
    put_head(w, head, cbor_encode_bytestring_start(value.len, head, sizeof head));
    put(w, value);
}

void cbor_writer_text(struct cbor_writer *w, struct bytes value)
{
    if (w->err == ERR_OK && !utf8_valid(value))
        w->err = ERR_UTF8;
    uint8_t head[HEAD_LEN_MAX];
    put_head(w, head, cbor_encode_string_start(value.len, head, sizeof head));
    put(w, value);
}

void cbor_writer_cstr(struct cbor_writer *w, const char *value)
{
    cbor_writer_text(w, bytes_of_text(value));
}

void cbor_writer_bool(struct cbor_writer *w, bool value)
{
    uint8_t head[HEAD_LEN_MAX];
    put_head(w, head, cbor_encode_bool(value, head, sizeof head));
}

void cbor_writer_null(struct cbor_writer *w)
{
    uint8_t head[HEAD_LEN_MAX];
    put_head(w, head, cbor_encode_null(head, sizeof head));
}

void cbor_writer_array(struct cbor_writer *w, size_t count)
{
    uint8_t head[HEAD_LEN_MAX];
    put_head(w, head, cbor_encode_array_start(count, head, sizeof head));
}

void cbor_writer_map(struct cbor_writer *w, size_t count)
{
    uint8_t head[HEAD_LEN_MAX];
    put_head(w, head, cbor_encode_map_start(count, head, sizeof head));
}

void cbor_writer_tag(struct cbor_writer *w, uint64_t tag)
{
    uint8_t head[HEAD_LEN_MAX];
    put_head(w, head, cbor_encode_tag(tag, head, sizeof head));
}

void cbor_writer_raw(struct cbor_writer *w, struct bytes encoded)
{
    put(w, encoded);
}

enum err cbor_writer_finish(const struct cbor_writer *w)
{
    if (w->err != ERR_OK)
        w->out->len = w->start;
    return w->err;
}
