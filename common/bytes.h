/* Two of the three memory types: `struct bytes`, a borrowed view, and `struct buf`,
 * owned and growable.  What is secret lives in `struct secret` (secret.h) only.
 *
 * A view dies with its backing.  Nothing here is secret, so nothing is wiped. */
#ifndef VOUCHSAFE_BYTES_H
#define VOUCHSAFE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "err.h"

struct bytes {
    const uint8_t *ptr;
    size_t len;
};

struct buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
};

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
    return (struct bytes){.ptr = ptr, .len = len};
}

/* The text without its terminator. */
static inline struct bytes bytes_of_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

static inline struct bytes bytes_of_buf(const struct buf *buf)
{
    return bytes_of(buf->ptr, buf->len);
}

/* Not constant-time: for what an attacker may know.  CRYPTO_memcmp for the rest. */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool bytes_equal_text(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of_text(text));
}

/* True for any length of zeros, none included. */
bool bytes_all_zero(struct bytes b);

/* Appends; ERR_NO_MEMORY leaves the buffer as it was. */
MUST_CHECK enum err buf_append(struct buf *buf, struct bytes more);
MUST_CHECK enum err buf_append_text(struct buf *buf, const char *text);
PRINTF_LIKE(2, 3)
MUST_CHECK enum err buf_append_format(struct buf *buf, const char *fmt, ...);
/* Room for `len` bytes at the end: the caller writes them and adds to buf->len. */
MUST_CHECK enum err buf_reserve(struct buf *buf, size_t len);
/* Terminates with a NUL that does not count as content; NULL when out of memory. */
MUST_CHECK const char *buf_text(struct buf *buf);
/* Forgets the first `len` bytes, and gives back the memory that it needs no longer. */
void buf_drop(struct buf *buf, size_t len);
/* Releases; accepts an empty buffer.  For CLEANUP. */
void buf_free(struct buf *buf);
/* Moves the content out of `from`, which is left empty; `to` must be empty. */
void buf_move(struct buf *to, struct buf *from);

#endif
