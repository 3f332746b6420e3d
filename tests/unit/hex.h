/* Hexadecimal digits in tests: what stands in their tables, and what came out. */
#ifndef VOUCHSAFE_HEX_H
#define VOUCHSAFE_HEX_H

#include <string.h>

#include "common/codec.h"
#include "unit.h"

/* Appends the bytes; the caller frees. */
static inline void from_hex(const char *hex, struct buf *out)
{
    const size_t len = strlen(hex) / 2;
    ck_ok(buf_reserve(out, len + 1));
    ck_ok(hex_decode(bytes_of_text(hex), out->ptr + out->len, len));
    out->len += len;
}

/* Lower case, as hex_encode writes it. */
static inline void ck_hex(struct bytes found, const char *expected)
{
    CLEANUP(buf_free) struct buf text = {0};
    ck_ok(hex_append(&text, found));
    ck_assert_str_eq(buf_text(&text), expected);
}

#endif
