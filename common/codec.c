#include "codec.h"

#include <time.h>

static const char hex_digits[] = "0123456789abcdef";

/* 0..15, or 16 for what is no digit. */
static unsigned hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10u;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10u;
    return 16;
}

enum err hex_decode(struct bytes text, uint8_t *out, size_t len)
{
    if (len > SIZE_MAX / 2 || text.len != 2 * len)
        return ERR_HEX;
    for (size_t i = 0; i < text.len; i++) {
        if (hex_value(text.ptr[i]) > 15)
            return ERR_HEX;
    }
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(hex_value(text.ptr[2 * i]) << 4 | hex_value(text.ptr[2 * i + 1]));
    return ERR_OK;
}

void hex_encode(struct bytes in, char *out)
{
    for (size_t i = 0; i < in.len; i++) {
        out[2 * i] = hex_digits[in.ptr[i] >> 4];
        out[2 * i + 1] = hex_digits[in.ptr[i] & 0xf];
    }
    out[2 * in.len] = '\0';
}

enum err hex_append(struct buf *out, struct bytes in)
{
    if (in.len > SIZE_MAX / 4)
        return ERR_NO_MEMORY;
    TRY(buf_reserve(out, 2 * in.len + 1));
    hex_encode(in, (char *)out->ptr + out->len);
    out->len += 2 * in.len;
    return ERR_OK;
}

/* RFC 3629 section 4, one row per line of its grammar: what the second byte may be
 * depends on the first, all later ones are 80..BF. */
static const struct utf8_row {
    uint8_t first_min, first_max, second_min, second_max;
    size_t len;
} utf8_rows[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* The length of the character that `p` begins with, 0 where it is none. */
static size_t utf8_char_len(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) /* most are */
        return 1;
    const struct utf8_row *row = NULL;
    for (size_t i = 0; i < ARRAY_LEN(utf8_rows); i++) {
        if (p[0] >= utf8_rows[i].first_min && p[0] <= utf8_rows[i].first_max)
            row = &utf8_rows[i];
    }
    if (row == NULL || row->len > left)
        return 0;
    if (p[1] < row->second_min || p[1] > row->second_max)
        return 0;
    for (size_t i = 2; i < row->len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return row->len;
}

bool utf8_valid(struct bytes text)
{
    for (size_t pos = 0; pos < text.len;) {
        const size_t len = utf8_char_len(text.ptr + pos, text.len - pos);
        if (len == 0)
            return false;
        pos += len;
    }
    return true;
}

enum err decimal_parse(struct bytes text, uint64_t max, uint64_t *out)
{
    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0'))
        return ERR_MALFORMED;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return ERR_MALFORMED;
        const unsigned digit = text.ptr[i] - (unsigned)'0';
        if (value > (UINT64_MAX - digit) / 10)
            return ERR_MALFORMED;
        value = value * 10 + digit;
    }
    if (value > max)
        return ERR_MALFORMED;
    *out = value;
    return ERR_OK;
}

/* `value` in `count` digits at `out` (strftime's %Y is not always four), and what
 * follows them. */
static char *time_put(char *out, size_t count, int64_t value, char then)
{
    for (size_t i = count; i > 0; i--, value /= 10)
        out[i - 1] = (char)('0' + value % 10);
    out[count] = then;
    return out + count + 1;
}

void time_format(int64_t unix_ms, char out[static TIME_TEXT_MAX])
{
    if (unix_ms < TIME_MS_MIN)
        unix_ms = TIME_MS_MIN;
    if (unix_ms > TIME_MS_MAX)
        unix_ms = TIME_MS_MAX;
    int64_t ms = unix_ms % 1000;
    if (ms < 0) /* `%` rounds towards zero, time does not */
        ms += 1000;
    const time_t seconds = (time_t)((unix_ms - ms) / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm); /* cannot fail within TIME_MS_MIN..TIME_MS_MAX */
    out = time_put(out, 4, tm.tm_year + 1900, '-');
    out = time_put(out, 2, tm.tm_mon + 1, '-');
    out = time_put(out, 2, tm.tm_mday, 'T');
    out = time_put(out, 2, tm.tm_hour, ':');
    out = time_put(out, 2, tm.tm_min, ':');
    out = time_put(out, 2, tm.tm_sec, ms == 0 ? 'Z' : '.');
    if (ms != 0)
        out = time_put(out, 3, ms, 'Z');
    *out = '\0';
}

/* `text` against a pattern in which 'd' is a digit and everything else itself. */
static bool time_has_form(const char *text, const char *pattern)
{
    if (strlen(text) != strlen(pattern))
        return false;
    for (; *pattern != '\0'; text++, pattern++) {
        const bool fits = *pattern == 'd' ? *text >= '0' && *text <= '9' : *text == *pattern;
        if (!fits)
            return false;
    }
    return true;
}

static int time_digits(const char *text, size_t count)
{
    int value = 0;
    for (size_t i = 0; i < count; i++)
        value = value * 10 + (text[i] - '0');
    return value;
}

enum err time_parse(const char *text, int64_t *unix_ms)
{
    const bool whole = time_has_form(text, "dddd-dd-ddTdd:dd:ddZ");
    if (!whole && !time_has_form(text, "dddd-dd-ddTdd:dd:dd.dddZ"))
        return ERR_MALFORMED;
    const struct tm asked = {
        .tm_year = time_digits(text, 4) - 1900,
        .tm_mon = time_digits(text + 5, 2) - 1,
        .tm_mday = time_digits(text + 8, 2),
        .tm_hour = time_digits(text + 11, 2),
        .tm_min = time_digits(text + 14, 2),
        .tm_sec = time_digits(text + 17, 2),
    };
    struct tm tm = asked;
    const time_t seconds = timegm(&tm);
    /* timegm makes 2 March of 30 February, and writes back what it made. */
    if (tm.tm_year != asked.tm_year || tm.tm_mon != asked.tm_mon || tm.tm_mday != asked.tm_mday ||
        tm.tm_hour != asked.tm_hour || tm.tm_min != asked.tm_min || tm.tm_sec != asked.tm_sec)
        return ERR_MALFORMED;
    *unix_ms = (int64_t)seconds * 1000 + (whole ? 0 : time_digits(text + 20, 3));
    return ERR_OK;
}
