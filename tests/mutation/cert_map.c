#include "cert_map.h"

#include <time.h>

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_OID = 0x06,
    TAG_UTF8 = 0x0c,
    TAG_UTC_TIME = 0x17,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_EXTENSIONS = 0xa3,
    VERSION_LEN = 5, /* [0] EXPLICIT INTEGER */
    TIME_LEN = 13,
};

struct walker {
    struct bytes in;
    size_t at;
    struct cert_map map;
    bool broken;
};

bool utc_time(const uint8_t text[static 13], int64_t *unix_ms)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int v[6];
    for (int i = 0; i < 6; i++) {
        const int tens = text[2 * i] - '0';
        const int ones = text[2 * i + 1] - '0';
        if (tens < 0 || tens > 9 || ones < 0 || ones > 9)
            return false;
        v[i] = 10 * tens + ones;
    }
    const int year = v[0] < 50 ? 2000 + v[0] : 1900 + v[0];
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (text[12] != 'Z' || v[1] < 1 || v[1] > 12 || v[2] < 1 ||
        v[2] > days[v[1] - 1] + (leap && v[1] == 2) || v[3] > 23 || v[4] > 59 || v[5] > 59)
        return false;
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = v[1] - 1,
                    .tm_mday = v[2],
                    .tm_hour = v[3],
                    .tm_min = v[4],
                    .tm_sec = v[5]};
    *unix_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

static struct der_part *add_part(struct walker *w, enum der_kind kind, size_t len)
{
    static struct der_part nowhere; /* what a broken walk writes to */
    if (w->broken || w->map.count == CERT_PARTS_MAX || len > w->in.len - w->at) {
        w->broken = true;
        return &nowhere;
    }
    struct der_part *part = &w->map.part[w->map.count];
    *part = (struct der_part){.kind = kind, .at = w->at, .len = len};
    w->map.count += len > 0;
    w->at += len;
    return part;
}

/* The length of the next element's content, or 0 and broken where it has another tag. */
static size_t peek(struct walker *w, uint8_t tag, size_t *head_len)
{
    const struct bytes in = w->in;
    *head_len = 0;
    if (w->broken || in.len - w->at < 4 || in.ptr[w->at] != tag) {
        w->broken = true;
        return 0;
    }
    const uint8_t first = in.ptr[w->at + 1];
    *head_len = first < 0x80 ? 2 : (size_t)2 + (first & 0x7f);
    size_t len = first < 0x80 ? first : 0;
    for (size_t i = 2; i < *head_len; i++)
        len = len << 8 | in.ptr[w->at + i];
    if (*head_len > 4 || len > in.len - w->at - *head_len)
        w->broken = true;
    return w->broken ? 0 : len;
}

static size_t add_head(struct walker *w, uint8_t tag)
{
    size_t head_len;
    const size_t len = peek(w, tag, &head_len);
    (void)add_part(w, DER_HEAD, head_len);
    return len;
}

static void add_whole(struct walker *w, uint8_t tag, enum der_kind kind)
{
    const size_t len = add_head(w, tag);
    (void)add_part(w, kind, len);
}

static bool next_is(const struct walker *w, uint8_t tag)
{
    return !w->broken && w->at < w->in.len && w->in.ptr[w->at] == tag;
}

static void add_name(struct walker *w, enum der_kind of)
{
    const size_t len = add_head(w, TAG_SEQUENCE);
    const size_t end = w->at + len;
    while (!w->broken && w->at < end) {
        (void)add_head(w, TAG_SET);
        (void)add_head(w, TAG_SEQUENCE);
        const size_t oid_len = add_head(w, TAG_OID);
        add_part(w, DER_NAME_OID, oid_len)->of = of;
        if (w->broken)
            return;
        const uint8_t tag = w->in.ptr[w->at];
        size_t head_len;
        const size_t value_len = peek(w, tag, &head_len);
        add_part(w, DER_NAME_TAG, 1)->of = of;
        (void)add_part(w, DER_HEAD, head_len - 1);
        add_part(w, of, value_len)->utf8 = tag == TAG_UTF8;
    }
}

static int64_t add_time(struct walker *w, enum der_kind kind, size_t *at)
{
    int64_t ms = 0;
    const size_t len = add_head(w, TAG_UTC_TIME);
    *at = w->at;
    if (len != TIME_LEN || !utc_time(w->in.ptr + w->at, &ms))
        w->broken = true;
    (void)add_part(w, kind, len);
    return ms;
}

static void add_key(struct walker *w)
{
    const size_t len = add_head(w, TAG_SEQUENCE);
    const size_t point = 96;
    if (len < point + 1)
        w->broken = true;
    (void)add_part(w, DER_KEY_PREFIX, len - point - 1);
    (void)add_part(w, DER_POINT_FORM, 1);
    (void)add_part(w, DER_POINT, point);
}

static void add_extension(struct walker *w)
{
    const size_t n = w->map.extensions;
    if (n == CERT_EXTENSIONS_MAX) {
        w->broken = true;
        return;
    }
    const size_t len = add_head(w, TAG_SEQUENCE);
    size_t head_len;
    const size_t oid_len = peek(w, TAG_OID, &head_len);
    (void)add_part(w, DER_HEAD, 1);
    add_part(w, DER_EXT_OID_LEN, 1)->extension = n;
    w->map.extension[n].oid = bytes_of(w->in.ptr + w->at, oid_len);
    w->map.extension[n].rest = len - 2;
    add_part(w, DER_EXT_OID, oid_len)->extension = n;
    if (next_is(w, TAG_BOOLEAN)) {
        (void)add_head(w, TAG_BOOLEAN);
        w->map.extension[n].critical = true;
        add_part(w, DER_EXT_CRITICAL, 1)->extension = n;
    }
    const size_t value_len = add_head(w, TAG_OCTET_STRING);
    add_part(w, DER_EXT_VALUE, value_len)->extension = n;
    w->map.extensions++;
}

bool cert_map_make(struct bytes der, struct cert_map *out)
{
    struct walker w = {.in = der};
    (void)add_head(&w, TAG_SEQUENCE);
    (void)add_head(&w, TAG_SEQUENCE);
    (void)add_part(&w, DER_VERSION, VERSION_LEN);
    add_whole(&w, TAG_INTEGER, DER_SERIAL);
    add_whole(&w, TAG_SEQUENCE, DER_ALGORITHM);
    add_name(&w, DER_ISSUER);
    (void)add_head(&w, TAG_SEQUENCE);
    w.map.from_ms = add_time(&w, DER_FROM, &w.map.from_at);
    w.map.until_ms = add_time(&w, DER_UNTIL, &w.map.until_at);
    add_name(&w, DER_SUBJECT);
    add_key(&w);
    (void)add_head(&w, TAG_EXTENSIONS);
    const size_t len = add_head(&w, TAG_SEQUENCE);
    const size_t end = w.at + len;
    while (!w.broken && w.at < end)
        add_extension(&w);
    add_whole(&w, TAG_SEQUENCE, DER_ALGORITHM);
    const size_t signature_len = add_head(&w, TAG_BIT_STRING);
    if (signature_len < 2)
        return false;
    (void)add_part(&w, DER_SIGNATURE_UNUSED, 1);
    (void)add_part(&w, DER_SIGNATURE, signature_len - 1);
    if (w.broken || w.at != der.len)
        return false;
    *out = w.map;
    return true;
}

const struct der_part *cert_map_part(const struct cert_map *map, size_t at)
{
    size_t i = 0;
    while (at >= map->part[i].at + map->part[i].len)
        i++;
    return &map->part[i];
}
