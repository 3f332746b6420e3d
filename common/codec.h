/* Text encodings, strict in both directions: exactly one text for each value.
 *
 * Base64 is RFC 4648 section 4: standard alphabet, padded, no whitespace, unused bits
 * zero (PROTOCOL section 1: "canonical").  Hex is read in either case and written in
 * lower case.  UTF-8 is RFC 3629: no surrogates, no overlong forms. */
#ifndef VOUCHSAFE_CODEC_H
#define VOUCHSAFE_CODEC_H

#include "bytes.h"

/* ERR_HEX unless `text` is exactly 2 * len digits. */
MUST_CHECK enum err hex_decode(struct bytes text, uint8_t *out, size_t len);
/* Writes 2 * in.len digits and a NUL. */
void hex_encode(struct bytes in, char *out);
MUST_CHECK enum err hex_append(struct buf *out, struct bytes in);

/* Appends the decoded bytes; ERR_BASE64, or ERR_TOO_LARGE from 2 GiB on. */
MUST_CHECK enum err base64_decode(struct bytes text, struct buf *out);
/* Appends the text; ERR_TOO_LARGE from 1 GiB on. */
MUST_CHECK enum err base64_append(struct buf *out, struct bytes in);

bool utf8_valid(struct bytes text);

/* A decimal number of 0..max: digits only, no sign, no leading zero.  ERR_MALFORMED. */
MUST_CHECK enum err decimal_parse(struct bytes text, uint64_t max, uint64_t *out);

/* RFC 3339 UTC, "2026-11-23T08:09:59Z" or with ".123"; Unix milliseconds.  Written
 * with a fraction only where there is one; read with three digits of it or none, 'T'
 * and 'Z' in upper case, no leap second.  What lies outside the years 0000..9999 is
 * written as the nearest that does not.  Parsing: ERR_MALFORMED. */
#define TIME_TEXT_MAX sizeof "9999-12-31T23:59:59.999Z"
#define TIME_MS_MIN   (-62167219200000)
#define TIME_MS_MAX   253402300799999
void time_format(int64_t unix_ms, char out[static TIME_TEXT_MAX]);
MUST_CHECK enum err time_parse(const char *text, int64_t *unix_ms);

#endif
