/* Base64 of codec.h, by OpenSSL: in a file of its own, so that what needs numbers and times
 * alone, as the relay does, needs no libcrypto. */
#include <limits.h>
#include <openssl/evp.h>

#include "codec.h"

static bool base64_is_digit(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* OpenSSL's decoder passes over blanks and takes '=' anywhere: what it gets has been
 * looked at first.  Writes how many '=' end the text, 0..2. */
static enum err base64_check(struct bytes text, size_t *padding)
{
    if (text.len % 4 != 0)
        return ERR_BASE64;
    size_t digits = text.len;
    while (digits > 0 && text.len - digits < 2 && text.ptr[digits - 1] == '=')
        digits--;
    for (size_t i = 0; i < digits; i++) {
        if (!base64_is_digit(text.ptr[i]))
            return ERR_BASE64;
    }
    *padding = text.len - digits;
    return ERR_OK;
}

enum err base64_decode(struct bytes text, struct buf *out)
{
    size_t padding = 0;
    TRY(base64_check(text, &padding));
    if (text.len == 0)
        return ERR_OK;
    if (text.len > INT_MAX)
        return ERR_TOO_LARGE;
    const size_t room = text.len / 4 * 3;
    TRY(buf_reserve(out, room));
    uint8_t *to = out->ptr + out->len;
    if (EVP_DecodeBlock(to, text.ptr, (int)text.len) != (int)room)
        return ERR_BASE64;
    /* RFC 4648 section 3.5: the bits that padding leaves unused are zero exactly when
     * the last group is what an encoder makes of its bytes. */
    uint8_t group[5];
    if (EVP_EncodeBlock(group, to + room - 3, (int)(3 - padding)) != 4)
        return ERR_CRYPTO;
    if (memcmp(group, text.ptr + text.len - 4, 4) != 0)
        return ERR_BASE64;
    out->len += room - padding;
    return ERR_OK;
}

enum err base64_append(struct buf *out, struct bytes in)
{
    if (in.len == 0)
        return ERR_OK;
    if (in.len > INT_MAX / 2)
        return ERR_TOO_LARGE;
    const size_t len = (in.len + 2) / 3 * 4;
    TRY(buf_reserve(out, len + 1)); /* the encoder adds a NUL */
    if (EVP_EncodeBlock(out->ptr + out->len, in.ptr, (int)in.len) != (int)len)
        return ERR_CRYPTO;
    out->len += len;
    return ERR_OK;
}
