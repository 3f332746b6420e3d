#include "cbor_writer.h"

#include "cbor_head.h"
#include "codec.h"

static void put(struct cbor_writer *w, struct bytes encoded)
{
    if (w->err == ERR_OK)
        w->err = buf_append(w->out, encoded);
}

static void put_encoded(struct cbor_writer *w, const uint8_t *head, size_t len)
{
    if (len == 0 && w->err == ERR_OK)
        w->err = ERR_INTERNAL;
    put(w, bytes_of(head, len));
}

static void put_head(struct cbor_writer *w, enum cbor_major major, uint64_t argument)
{
    uint8_t head[CBOR_HEAD_LEN_MAX];
    put_encoded(w, head, cbor_head_write(major, argument, head));
}

void cbor_writer_init(struct cbor_writer *w, struct buf *out)
{
    *w = (struct cbor_writer){.out = out, .start = out->len, .err = ERR_OK};
}

void cbor_writer_uint(struct cbor_writer *w, uint64_t value)
{
    put_head(w, CBOR_MAJOR_UINT, value);
}

void cbor_writer_bytes(struct cbor_writer *w, struct bytes value)
{
    put_head(w, CBOR_MAJOR_BYTES, value.len);
    put(w, value);
}

void cbor_writer_text(struct cbor_writer *w, struct bytes value)
{
    if (w->err == ERR_OK && !utf8_valid(value))
        w->err = ERR_UTF8;
    put_head(w, CBOR_MAJOR_TEXT, value.len);
    put(w, value);
}

void cbor_writer_cstr(struct cbor_writer *w, const char *value)
{
    cbor_writer_text(w, bytes_of_text(value));
}

void cbor_writer_bool(struct cbor_writer *w, bool value)
{
    uint8_t head[CBOR_HEAD_LEN_MAX];
    put_encoded(w, head, cbor_head_write_bool(value, head));
}

void cbor_writer_null(struct cbor_writer *w)
{
    uint8_t head[CBOR_HEAD_LEN_MAX];
    put_encoded(w, head, cbor_head_write_null(head));
}

void cbor_writer_array(struct cbor_writer *w, size_t count)
{
    put_head(w, CBOR_MAJOR_ARRAY, count);
}

void cbor_writer_map(struct cbor_writer *w, size_t count)
{
    put_head(w, CBOR_MAJOR_MAP, count);
}

void cbor_writer_tag(struct cbor_writer *w, uint64_t tag)
{
    put_head(w, CBOR_MAJOR_TAG, tag);
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
