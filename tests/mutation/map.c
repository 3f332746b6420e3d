#include "map.h"

const char *field_name(enum field field)
{
    static const char *const names[FIELD_COUNT] = {
        [FIELD_MODULE_ID] = "module_id",         [FIELD_DIGEST] = "digest",
        [FIELD_TIMESTAMP] = "timestamp",         [FIELD_PCRS] = "pcrs",
        [FIELD_NITROTPM_PCRS] = "nitrotpm_pcrs", [FIELD_CERTIFICATE] = "certificate",
        [FIELD_CABUNDLE] = "cabundle",           [FIELD_PUBLIC_KEY] = "public_key",
        [FIELD_USER_DATA] = "user_data",         [FIELD_NONCE] = "nonce",
    };
    return names[field];
}

bool field_is_pcrs(enum field field)
{
    return field == FIELD_PCRS || field == FIELD_NITROTPM_PCRS;
}

bool field_is_optional(enum field field)
{
    return field >= FIELD_PUBLIC_KEY;
}

/* ---- one item ---- */

/* RFC 3629 section 4, by its table of byte ranges. */
static bool is_utf8(const uint8_t *p, size_t len)
{
    static const struct range {
        uint8_t first_from, first_to, second_from, second_to;
        size_t more;
    } ranges[] = {
        {0x00, 0x7f, 0x00, 0x00, 0}, {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
        {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
        {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
    };
    for (size_t i = 0; i < len;) {
        const struct range *r = NULL;
        for (size_t n = 0; n < ARRAY_LEN(ranges) && r == NULL; n++) {
            if (p[i] >= ranges[n].first_from && p[i] <= ranges[n].first_to)
                r = &ranges[n];
        }
        if (r == NULL || r->more > len - i - 1)
            return false;
        for (size_t k = 1; k <= r->more; k++) {
            if (p[i + k] < (k == 1 ? r->second_from : 0x80) ||
                p[i + k] > (k == 1 ? r->second_to : 0xbf))
                return false;
        }
        i += 1 + r->more;
    }
    return true;
}

/* RFC 8949 section 3.2: what may be of indefinite length, by major type. */
static enum err indefinite_rule(unsigned major)
{
    return major >= 2 && major <= 5 ? ERR_CBOR_NOT_STRICT : ERR_CBOR_MALFORMED;
}

enum err item_rule(const uint8_t *in, size_t at, size_t end, struct item *out)
{
    if (at >= end)
        return ERR_CBOR_MALFORMED;
    struct item item = {.major = in[at] >> 5, .info = in[at] & 0x1f, .head_len = 1};
    if (item.info >= 28 && item.info <= 30)
        return ERR_CBOR_MALFORMED;
    const size_t argument = item.info >= 24 && item.info <= 27 ? (size_t)1 << (item.info - 24) : 0;
    item.head_len += argument;
    if (item.head_len > end - at)
        return ERR_CBOR_MALFORMED;
    if (item.info == INFO_INDEFINITE)
        return indefinite_rule(item.major);
    item.value = argument == 0 ? item.info : 0;
    for (size_t i = 1; i <= argument; i++)
        item.value = item.value << 8 | in[at + i];

    const size_t left = end - at - item.head_len;
    const bool is_string = item.major == 2 || item.major == 3;
    if ((is_string || item.major == 4) && item.value > left)
        return ERR_CBOR_MALFORMED;
    if (item.major == 5 && item.value > left / 2)
        return ERR_CBOR_MALFORMED;
    if (item.major == 6 && left == 0)
        return ERR_CBOR_MALFORMED;
    if (item.major == 7 && item.info == 24 && item.value < 32)
        return ERR_CBOR_MALFORMED;
    /* A longer argument than needed: it would have fitted into half, or into the head. */
    if (item.major != 7 && argument == 1 && item.value < 24)
        return ERR_CBOR_NOT_STRICT;
    if (item.major != 7 && argument > 1 && item.value >> (4 * argument) == 0)
        return ERR_CBOR_NOT_STRICT;
    item.end = at + item.head_len + (is_string ? (size_t)item.value : 0);
    if (item.major == 3 && !is_utf8(in + at + item.head_len, (size_t)item.value))
        return ERR_UTF8;
    *out = item;
    return ERR_OK;
}

/* ---- the map ---- */

struct walker {
    struct bytes in;
    size_t at;
    size_t end; /* of the document, or of the payload */
    struct map map;
    bool broken;
};

static void add_part(struct walker *w, enum part_kind kind, enum field field, size_t index,
                     size_t len, size_t item)
{
    if (w->map.count == PARTS_MAX || len > w->end - w->at) {
        w->broken = true;
        return;
    }
    if (len == 0)
        return;
    w->map.part[w->map.count++] = (struct part){kind, field, index, w->at, len, item};
    w->at += len;
}

/* The head of the next item, which must be of that major type. */
static struct item add_head(struct walker *w, unsigned major, enum part_kind kind, enum field field,
                            size_t index)
{
    struct item item = {0};
    if (w->broken || item_rule(w->in.ptr, w->at, w->end, &item) != ERR_OK || item.major != major) {
        w->broken = true;
        return (struct item){0};
    }
    add_part(w, kind, field, index, item.head_len, w->at);
    return item;
}

static void add_string(struct walker *w, unsigned major, enum part_kind head,
                       enum part_kind content, enum field field, size_t index)
{
    const size_t at = w->at;
    const struct item item = add_head(w, major, head, field, index);
    add_part(w, content, field, index, (size_t)item.value, at);
}

static void add_pcrs(struct walker *w, enum field field)
{
    w->map.pcrs = field;
    const struct item map = add_head(w, 5, PART_PCRS_HEAD, field, 0);
    for (size_t i = 0; i < map.value && !w->broken; i++) {
        struct item index = {0};
        if (item_rule(w->in.ptr, w->at, w->end, &index) != ERR_OK)
            w->broken = true;
        (void)add_head(w, 0, PART_PCR_INDEX, field, (size_t)index.value);
        add_string(w, 2, PART_PCR_HEAD, PART_PCR, field, (size_t)index.value);
    }
}

static void add_value(struct walker *w, enum field field)
{
    const size_t at = w->at;
    if (field == FIELD_MODULE_ID || field == FIELD_DIGEST) {
        add_string(w, 3, PART_TEXT_HEAD, PART_TEXT, field, 0);
    } else if (field == FIELD_TIMESTAMP) {
        struct item item = {0};
        if (item_rule(w->in.ptr, at, w->end, &item) != ERR_OK || item.major != 0)
            w->broken = true;
        add_part(w, PART_TIMESTAMP_HEAD, field, 0, 1, at);
        add_part(w, PART_TIMESTAMP, field, 0, item.head_len - 1, at);
    } else if (field_is_pcrs(field)) {
        add_pcrs(w, field);
    } else if (field == FIELD_CERTIFICATE) {
        add_string(w, 2, PART_CERT_HEAD, PART_CERT, field, 0);
    } else if (field == FIELD_CABUNDLE) {
        w->map.bundle_len = (size_t)add_head(w, 4, PART_BUNDLE_HEAD, field, 0).value;
        for (size_t i = 0; i < w->map.bundle_len; i++)
            add_string(w, 2, PART_CERT_HEAD, PART_CERT, field, i);
    } else if (w->in.ptr[at] == INITIAL_NULL) {
        add_part(w, PART_OPTIONAL_HEAD, field, 0, 1, at);
    } else {
        add_string(w, 2, PART_OPTIONAL_HEAD, PART_OPTIONAL, field, 0);
    }
}

static void add_entry(struct walker *w)
{
    struct item key = {0};
    if (item_rule(w->in.ptr, w->at, w->end, &key) != ERR_OK || key.major != 3) {
        w->broken = true;
        return;
    }
    const struct bytes text = bytes_of(w->in.ptr + w->at + key.head_len, (size_t)key.value);
    enum field field = FIELD_MODULE_ID;
    while (field < FIELD_COUNT && !bytes_equal_text(text, field_name(field)))
        field++;
    if (field == FIELD_COUNT) {
        w->broken = true;
        return;
    }
    w->map.entries++;
    add_string(w, 3, PART_KEY_HEAD, PART_KEY, field, 0);
    add_value(w, field);
}

static void add_payload(struct walker *w)
{
    w->map.indefinite = w->in.ptr[w->at] == 0xbf;
    struct item map = {.value = 0};
    if (w->map.indefinite)
        add_part(w, PART_MAP_HEAD, 0, 0, 1, w->at);
    else
        map = add_head(w, 5, PART_MAP_HEAD, 0, 0);
    while (!w->broken && w->at < w->end &&
           (w->map.indefinite ? w->in.ptr[w->at] != INITIAL_BREAK : w->map.entries < map.value))
        add_entry(w);
    if (w->map.indefinite)
        add_part(w, PART_BREAK, 0, 0, 1, w->at);
}

bool map_make(struct bytes document, struct map *out)
{
    struct walker w = {.in = document, .end = document.len};
    if (document.len == 0)
        return false;
    if (document.ptr[0] == 0xd2)
        add_part(&w, PART_TAG, 0, 0, 1, 0);
    (void)add_head(&w, 4, PART_ARRAY_HEAD, 0, 0);
    add_string(&w, 2, PART_PROTECTED_HEAD, PART_PROTECTED, 0, 0);
    (void)add_head(&w, 5, PART_UNPROTECTED, 0, 0);
    const struct item payload = add_head(&w, 2, PART_PAYLOAD_HEAD, 0, 0);
    if (w.broken || payload.value == 0)
        return false;
    w.map.payload_at = w.at;
    w.map.payload_end = w.end = w.at + (size_t)payload.value;
    add_payload(&w);
    if (w.broken || w.at != w.end)
        return false;
    w.end = document.len;
    const size_t at = w.at;
    const struct item signature = add_head(&w, 2, PART_SIGNATURE_HEAD, 0, 0);
    add_part(&w, PART_R, 0, 0, (size_t)signature.value / 2, at);
    add_part(&w, PART_S, 0, 0, (size_t)signature.value / 2, at);
    if (w.broken || w.at != w.end)
        return false;
    *out = w.map;
    return true;
}

const struct part *map_part(const struct map *map, size_t at)
{
    size_t i = 0;
    while (at >= map->part[i].at + map->part[i].len)
        i++;
    return &map->part[i];
}

const struct part *map_find(const struct map *map, enum part_kind kind, enum field field,
                            size_t index)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct part *part = &map->part[i];
        if (part->kind == kind && part->field == field && part->index == index)
            return part;
    }
    return NULL;
}
