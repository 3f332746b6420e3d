/* One byte outside the certificates, by the part that it belongs to.  Where it is a
 * head, item_rule says which rule the new head breaks by itself; else the type or the
 * length that it announces breaks the next one. */
#include <stdio.h>

#include "expect.h"

#define KEY_SHOWN 64 /* of an unknown key, in a fault's field */

/* A byte change with what the rules about it need. */
struct ctx {
    const struct byte_change *c;
    const struct map *map;
    const struct part *part;
    const uint8_t *in; /* the changed document */
    size_t len;        /* of the document */
    size_t end;        /* of the payload */
    struct expectation *e;
};

/* The head of the part's item is looked at again.  True where it breaks a rule of its
 * own, or is not of the major type that is required here: the expectation is made. */
static bool head_breaks(const struct ctx *x, unsigned major, enum attest_check syntax, size_t end,
                        const char *field, struct item *item)
{
    const enum err err = item_rule(x->in, x->part->item, end, item);
    if (err != ERR_OK || item->major != major) {
        expect_syntax(x->e, err != ERR_OK ? err : ERR_CBOR_TYPE, syntax, x->part->item, "%s",
                      field);
        return true;
    }
    return false;
}

static bool payload_head_breaks(const struct ctx *x, unsigned major, const char *field,
                                struct item *item)
{
    return head_breaks(x, major, ATTEST_PAYLOAD, x->end, field, item);
}

static void wrong_here(const struct ctx *x, const char *field)
{
    expect_syntax(x->e, ERR_DOC_MALFORMED, ATTEST_PAYLOAD, x->part->item, "%s", field);
}

static void shifted(const struct ctx *x)
{
    const bool optional = field_is_optional(x->part->field) && x->map->indefinite;
    expect_shifted(x->e, optional ? &set_shifted_optional : &set_shifted_payload, x->part->item + 1,
                   x->map->payload_at);
}

/* ---- the envelope ---- */

static void wrong_cose(const struct ctx *x, size_t offset)
{
    expect_syntax(x->e, ERR_COSE_MALFORMED, ATTEST_COSE, offset, "cose");
}

/* RFC 9052 section 2: tag 18, or the array; either may turn into the other. */
static void on_outer_head(const struct ctx *x)
{
    const size_t at = x->c->at;
    struct item item;
    const enum err err = item_rule(x->in, at, x->len, &item);
    if (err != ERR_OK)
        expect_syntax(x->e, err, ATTEST_COSE, at, "cose");
    else if (at == 0 && item.major == 6 && item.value == 18)
        wrong_cose(x, item.end); /* what follows is no array */
    else if (item.major == 4 && item.value == 4)
        /* What follows is an array, or an array's length: no protected header. */
        expect_syntax(x->e, ERR_CBOR_TYPE, ATTEST_COSE, item.end, "cose.protected");
    else
        wrong_cose(x, at);
}

static void on_protected_head(const struct ctx *x)
{
    struct item item;
    if (!head_breaks(x, 2, ATTEST_COSE, x->len, "cose.protected", &item))
        expect_syntax(x->e, ERR_COSE_ALG, ATTEST_COSE, x->part->item + item.head_len,
                      "cose.protected");
}

static void on_protected(const struct ctx *x)
{
    expect_syntax(x->e, ERR_COSE_ALG, ATTEST_COSE, x->part->at, "cose.protected");
}

static void on_unprotected(const struct ctx *x)
{
    struct item item;
    if (!head_breaks(x, 5, ATTEST_COSE, x->len, "cose.unprotected", &item))
        expect_syntax(x->e, ERR_COSE_MALFORMED, ATTEST_COSE, x->part->item, "cose.unprotected");
}

/* The signature is read at `at`, which is not where it begins, or has another head. */
static void expect_signature_item(const struct ctx *x, size_t at)
{
    struct item item;
    const enum err err = item_rule(x->in, at, x->len, &item);
    if (err != ERR_OK)
        expect_syntax(x->e, err, ATTEST_COSE, at, "cose.signature");
    else if (item.major != 2)
        expect_syntax(x->e, ERR_CBOR_TYPE, ATTEST_COSE, at, "cose.signature");
    else if (item.value != 96)
        expect_syntax(x->e, ERR_COSE_MALFORMED, ATTEST_COSE, at, "cose.signature");
    else
        expect_syntax(x->e, ERR_CBOR_TRAILING, ATTEST_COSE, item.end, "cose");
}

static void on_payload_head(const struct ctx *x)
{
    struct item item;
    if (x->in[x->part->item] == INITIAL_NULL)
        expect_syntax(x->e, ERR_COSE_MALFORMED, ATTEST_COSE, x->part->item, "cose.payload");
    else if (!head_breaks(x, 2, ATTEST_COSE, x->len, "cose.payload", &item)) {
        if (item.value == 0)
            expect_syntax(x->e, ERR_COSE_MALFORMED, ATTEST_COSE, x->part->item, "cose.payload");
        else
            expect_signature_item(x, item.end);
    }
}

static void on_signature_head(const struct ctx *x)
{
    expect_signature_item(x, x->part->item);
}

static void on_signed(const struct ctx *x)
{
    expect_signature(x->e);
}

/* ---- the outer map ---- */

/* The `n`-th key's part; NULL behind the last. */
static const struct part *nth_key(const struct map *map, uint64_t n)
{
    for (size_t i = 0; i < map->count; i++) {
        if (map->part[i].kind == PART_KEY_HEAD && n-- == 0)
            return &map->part[i];
    }
    return NULL;
}

static void on_map_head(const struct ctx *x)
{
    struct item item;
    if (x->c->value == 0xbf) { /* a definite map has no break at its end */
        expect_syntax(x->e, ERR_CBOR_MALFORMED, ATTEST_PAYLOAD, x->end, "payload");
        return;
    }
    if (payload_head_breaks(x, 5, "payload", &item))
        return;
    if (item.head_len > 1) {
        shifted(x);
        return;
    }
    const struct part *next = nth_key(x->map, item.value);
    const size_t last = x->map->indefinite ? x->end - 1 : x->end;
    if (next != NULL)
        expect_syntax(x->e, ERR_CBOR_TRAILING, ATTEST_PAYLOAD, next->at, "payload");
    else if (item.value == x->map->entries) /* from indefinite: the break is left over */
        expect_syntax(x->e, ERR_CBOR_TRAILING, ATTEST_PAYLOAD, last, "payload");
    else
        expect_syntax(x->e, ERR_CBOR_MALFORMED, ATTEST_PAYLOAD, last, "payload");
}

/* The field is the key itself. */
static void unknown_key(const struct ctx *x, const struct item *key)
{
    const size_t shown = key->value < KEY_SHOWN ? (size_t)key->value : KEY_SHOWN;
    char text[KEY_SHOWN + 1] = {0};
    memcpy(text, x->in + x->part->item + key->head_len, shown);
    for (size_t i = 0; i < shown; i++) {
        if (text[i] == '\0') /* hides nothing that follows */
            text[i] = '?';
    }
    expect_syntax(x->e, ERR_DOC_UNKNOWN_FIELD, ATTEST_PAYLOAD, x->part->item, "%s", text);
}

/* No key is another's beginning, and no two differ in one byte: map_make would not know. */
static void on_key(const struct ctx *x)
{
    struct item key;
    if (x->map->indefinite && x->in[x->part->item] == INITIAL_BREAK)
        expect_syntax(x->e, ERR_CBOR_TRAILING, ATTEST_PAYLOAD, x->part->item + 1, "payload");
    else if (!payload_head_breaks(x, 3, "payload", &key))
        unknown_key(x, &key);
}

static void on_break(const struct ctx *x)
{
    struct item key;
    if (!payload_head_breaks(x, 3, "payload", &key))
        unknown_key(x, &key);
}

/* ---- values ---- */

static void on_text(const struct ctx *x)
{
    const enum field field = x->part->field;
    struct item item;
    if (payload_head_breaks(x, 3, field_name(field), &item))
        return;
    if (field == FIELD_DIGEST || item.value == 0)
        wrong_here(x, field_name(field));
    else if (x->part->kind == PART_TEXT_HEAD)
        shifted(x);
    else
        expect_signature(x->e);
}

static void on_timestamp(const struct ctx *x)
{
    const size_t old_len = 1 + map_find(x->map, PART_TIMESTAMP, FIELD_TIMESTAMP, 0)->len;
    struct item item;
    if (payload_head_breaks(x, 0, "timestamp", &item))
        return;
    if (item.value == 0 || item.value > INT64_MAX)
        wrong_here(x, "timestamp");
    else if (item.head_len != old_len)
        shifted(x);
    else
        expect_signature(x->e);
}

static void on_pcrs_head(const struct ctx *x)
{
    const enum field field = x->part->field;
    struct item item;
    if (payload_head_breaks(x, 5, field_name(field), &item))
        return;
    if (item.value < 1 || item.value > ATTDOC_PCR_COUNT) {
        wrong_here(x, field_name(field));
        return;
    }
    /* Where the first index is, and where one too many, or the next key, is read. */
    size_t n = 0;
    for (size_t i = 0; i < x->map->count; i++) {
        const struct part *part = &x->map->part[i];
        if (part->kind == PART_PCR_INDEX && n++ == item.value) {
            if (item.head_len != x->part->len)
                break;
            expect_syntax(x->e, ERR_CBOR_TYPE, ATTEST_PAYLOAD, part->at, "payload");
            return;
        }
    }
    const struct part *next = map_find(x->map, PART_KEY_HEAD, FIELD_CERTIFICATE, 0);
    if (item.head_len != x->part->len || next == NULL)
        shifted(x);
    else
        expect_syntax(x->e, ERR_CBOR_TYPE, ATTEST_PAYLOAD, next->at, "%s", field_name(field));
}

static void on_pcr_index(const struct ctx *x)
{
    const enum field field = x->part->field;
    const char *name = field_name(field);
    struct item item;
    if (payload_head_breaks(x, 0, name, &item))
        return;
    const unsigned index = (unsigned)item.value;
    if (item.value >= ATTDOC_PCR_COUNT) {
        expect_syntax(x->e, ERR_DOC_MALFORMED, ATTEST_PAYLOAD, x->part->item, "%s[%llu]", name,
                      (unsigned long long)item.value);
        return;
    }
    const struct part *twin = map_find(x->map, PART_PCR_INDEX, field, index);
    if (twin != NULL && twin->at < x->part->at) {
        expect_syntax(x->e, ERR_CBOR_DUPLICATE, ATTEST_PAYLOAD, x->part->item, "%s[%u]", name,
                      index);
        return;
    }
    if (item.head_len != x->part->len) { /* what was the index's second byte is the value */
        struct item value;
        const enum err err = item_rule(x->in, item.end, x->end, &value);
        expect_syntax(x->e, err != ERR_OK ? err : ERR_CBOR_TYPE, ATTEST_PAYLOAD, item.end, "%s[%u]",
                      name, index);
        return;
    }
    if (twin != NULL)
        expect_syntax(x->e, ERR_CBOR_DUPLICATE, ATTEST_PAYLOAD, twin->at, "%s[%u]", name, index);
    else
        expect_signature(x->e);
}

static void on_pcr_head(const struct ctx *x)
{
    char field[32];
    struct item item;
    snprintf(field, sizeof field, "%s[%zu]", field_name(x->part->field), x->part->index);
    if (!payload_head_breaks(x, 2, field, &item))
        wrong_here(x, field); /* not 48 bytes */
}

static void on_bundle_head(const struct ctx *x)
{
    struct item item;
    if (payload_head_breaks(x, 4, "cabundle", &item))
        return;
    if (item.value < 1 || item.value > ATTDOC_BUNDLE_MAX) {
        wrong_here(x, "cabundle");
        return;
    }
    const struct part *cut = map_find(x->map, PART_CERT_HEAD, FIELD_CABUNDLE, (size_t)item.value);
    const struct part *next = map_find(x->map, PART_KEY_HEAD, FIELD_PUBLIC_KEY, 0);
    if (item.head_len != x->part->len || (cut == NULL && next == NULL))
        shifted(x);
    else if (cut != NULL)
        expect_syntax(x->e, ERR_CBOR_TYPE, ATTEST_PAYLOAD, cut->at, "payload");
    else
        expect_syntax(x->e, ERR_CBOR_TYPE, ATTEST_PAYLOAD, next->at, "cabundle[%zu]",
                      x->map->bundle_len);
}

/* The value of this part now ends at `end`.  True where only optional entries lie between
 * the two and an indefinite map goes on, or ends: it lost them, and is whole. */
static bool swallows_optional_entries(const struct ctx *x, size_t end)
{
    if (!x->map->indefinite)
        return false;
    for (size_t i = 0; i < x->map->count; i++) {
        const struct part *part = &x->map->part[i];
        if (part->at <= x->part->at || (part->kind != PART_KEY_HEAD && part->kind != PART_BREAK))
            continue;
        if (part->at == end)
            return true;
        if (part->at > end || !field_is_optional(part->field))
            return false;
    }
    return false;
}

static void on_cert_head(const struct ctx *x)
{
    const bool leaf = x->part->field == FIELD_CERTIFICATE;
    const size_t i = leaf ? x->map->bundle_len : x->part->index;
    const bool last = leaf || i + 1 == x->map->bundle_len; /* no array expects more behind it */
    char field[32];
    struct item item;
    subject_cert_field(x->map->bundle_len, i, field);
    if (payload_head_breaks(x, 2, field, &item))
        return;
    if (item.value < 1 || item.value > ATTDOC_CERT_MAX)
        wrong_here(x, field);
    else if (last && swallows_optional_entries(x, item.end))
        /* The entries are bytes behind the certificate's DER. */
        expect_cert(x->e, i == 0 ? ERR_UNTRUSTED : ERR_CERT_MALFORMED, x->map->bundle_len, i);
    else
        shifted(x);
}

static void on_optional_head(const struct ctx *x)
{
    const char *field = field_name(x->part->field);
    const bool was_empty = map_find(x->map, PART_OPTIONAL, x->part->field, 0) == NULL;
    struct item item;
    if (x->in[x->part->item] == INITIAL_NULL) {
        if (was_empty)
            expect_signature(x->e);
        else
            shifted(x);
        return;
    }
    if (payload_head_breaks(x, 2, field, &item))
        return;
    if (item.value > ATTDOC_OPTIONAL_MAX)
        wrong_here(x, field);
    else if (was_empty && item.value == 0)
        expect_signature(x->e);
    else
        shifted(x);
}

static void on_cert(const struct ctx *x)
{
    const size_t i = x->part->field == FIELD_CERTIFICATE ? x->map->bundle_len : x->part->index;
    expect_cert_byte(x->c, i, x->c->at - x->part->at, x->e);
}

static void (*const rules[PART_KIND_COUNT])(const struct ctx *x) = {
    [PART_TAG] = on_outer_head,
    [PART_ARRAY_HEAD] = on_outer_head,
    [PART_PROTECTED_HEAD] = on_protected_head,
    [PART_PROTECTED] = on_protected,
    [PART_UNPROTECTED] = on_unprotected,
    [PART_PAYLOAD_HEAD] = on_payload_head,
    [PART_MAP_HEAD] = on_map_head,
    [PART_KEY_HEAD] = on_key,
    [PART_KEY] = on_key,
    [PART_TEXT_HEAD] = on_text,
    [PART_TEXT] = on_text,
    [PART_TIMESTAMP_HEAD] = on_timestamp,
    [PART_TIMESTAMP] = on_timestamp,
    [PART_PCRS_HEAD] = on_pcrs_head,
    [PART_PCR_INDEX] = on_pcr_index,
    [PART_PCR_HEAD] = on_pcr_head,
    [PART_PCR] = on_signed,
    [PART_BUNDLE_HEAD] = on_bundle_head,
    [PART_CERT_HEAD] = on_cert_head,
    [PART_CERT] = on_cert,
    [PART_OPTIONAL_HEAD] = on_optional_head,
    [PART_OPTIONAL] = on_signed,
    [PART_BREAK] = on_break,
    [PART_SIGNATURE_HEAD] = on_signature_head,
    [PART_R] = on_signed,
    [PART_S] = on_signed,
};

void expect_byte(const struct byte_change *c, struct expectation *e)
{
    const struct map *map = &c->s->map;
    const struct part *part = map_part(map, c->at);
    const struct ctx x = {.c = c,
                          .map = map,
                          .part = part,
                          .in = c->changed,
                          .len = c->s->document.len,
                          .end = map->payload_end,
                          .e = e};
    rules[part->kind](&x);
}
