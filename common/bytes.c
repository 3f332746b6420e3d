#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool bytes_all_zero(struct bytes b)
{
    uint8_t any = 0;
    for (size_t i = 0; i < b.len; i++)
        any |= b.ptr[i];
    return any == 0;
}

enum err buf_reserve(struct buf *buf, size_t len)
{
    if (len <= buf->cap - buf->len)
        return ERR_OK;
    if (len > SIZE_MAX / 2 - buf->len)
        return ERR_NO_MEMORY;
    size_t cap = buf->cap < 64 ? 64 : buf->cap;
    while (cap < buf->len + len)
        cap *= 2;
    uint8_t *ptr = realloc(buf->ptr, cap);
    if (ptr == NULL)
        return ERR_NO_MEMORY;
    buf->ptr = ptr;
    buf->cap = cap;
    return ERR_OK;
}

enum err buf_append(struct buf *buf, struct bytes more)
{
    if (more.len == 0)
        return ERR_OK;
    TRY(buf_reserve(buf, more.len));
    memcpy(buf->ptr + buf->len, more.ptr, more.len);
    buf->len += more.len;
    return ERR_OK;
}

enum err buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, bytes_of_text(text));
}

enum err buf_append_format(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    const int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    enum err err = len < 0 ? ERR_INTERNAL : buf_reserve(buf, (size_t)len + 1);
    if (err == ERR_OK) {
        vsnprintf((char *)buf->ptr + buf->len, (size_t)len + 1, fmt, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return err;
}

const char *buf_text(struct buf *buf)
{
    if (buf_reserve(buf, 1) != ERR_OK)
        return NULL;
    buf->ptr[buf->len] = '\0';
    return (const char *)buf->ptr;
}

void buf_drop(struct buf *buf, size_t len)
{
    const size_t left = buf->len - len;
    if (left == 0) {
        buf_free(buf);
        return;
    }
    memmove(buf->ptr, buf->ptr + len, left);
    buf->len = left;
    uint8_t *ptr = realloc(buf->ptr, left);
    if (ptr == NULL)
        return; /* all of it is there still */
    buf->ptr = ptr;
    buf->cap = left;
}

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){0};
}

void buf_move(struct buf *to, struct buf *from)
{
    *to = *from;
    *from = (struct buf){0};
}
