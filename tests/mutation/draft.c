#include "draft.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/cbor_writer.h"

#define WHAT_MAX 128

void draft_of(const struct subject *s, struct draft *out)
{
    const struct map *map = &s->map;
    const size_t end = map->indefinite ? map->payload_end - 1 : map->payload_end;
    *out = (struct draft){.indefinite = map->indefinite};
    for (size_t i = 0; i < map->count; i++) {
        const struct part *key = &map->part[i];
        if (key->kind != PART_KEY_HEAD)
            continue;
        const size_t value_at = key[1].at + key[1].len; /* behind PART_KEY */
        size_t next = end;
        for (size_t n = i + 1; n < map->count && next == end; n++) {
            if (map->part[n].kind == PART_KEY_HEAD)
                next = map->part[n].at;
        }
        out->entry[out->count++] = (struct draft_entry){
            key->field, bytes_of(s->document.ptr + key->at, value_at - key->at),
            bytes_of(s->document.ptr + value_at, next - value_at)};
    }
}

size_t draft_find(const struct draft *d, enum field field)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->entry[i].field == field)
            return i;
    }
    die("a draft without %s", field_name(field));
}

size_t draft_key_at(const struct draft *d, size_t i)
{
    size_t at = 1; /* the map's head: fewer than 24 entries */
    for (size_t n = 0; n < i; n++)
        at += d->entry[n].key.len + d->entry[n].value.len;
    return at;
}

size_t draft_value_at(const struct draft *d, size_t i)
{
    return draft_key_at(d, i) + d->entry[i].key.len;
}

void draft_append(const struct draft *d, struct buf *payload)
{
    struct cbor_writer w;
    cbor_writer_init(&w, payload);
    if (d->indefinite)
        cbor_writer_raw(&w, bytes_of("\xbf", 1));
    else
        cbor_writer_map(&w, d->count);
    for (size_t i = 0; i < d->count; i++) {
        cbor_writer_raw(&w, d->entry[i].key);
        cbor_writer_raw(&w, d->entry[i].value);
    }
    if (d->indefinite)
        cbor_writer_raw(&w, bytes_of("\xff", 1));
    MUST(cbor_writer_finish(&w));
}

/* ---- forging ---- */

/* What must fail for its syntax fails before any signature is looked at, and keeps the
 * old one: signing is what takes time.  Were it not refused there, its code would be
 * another one all the same. */
static void put_together(const struct forge *f, struct bytes payload, bool sign,
                         struct buf *document)
{
    if (sign) {
        MUST(mkdoc_sign(f->signer, payload, document));
        return;
    }
    const struct bytes old = bytes_of_buf(&f->s->document);
    struct cbor_writer w;
    cbor_writer_init(&w, document);
    cbor_writer_raw(&w, bytes_of(old.ptr, map_find(&f->s->map, PART_PAYLOAD_HEAD, 0, 0)->at));
    cbor_writer_bytes(&w, payload);
    cbor_writer_raw(&w, bytes_of(old.ptr + f->s->map.payload_end, old.len - f->s->map.payload_end));
    MUST(cbor_writer_finish(&w));
}

static void forge_one(struct forge *f, struct bytes payload, const struct expectation *e,
                      const char *what)
{
    CLEANUP(buf_free) struct buf document = {0};
    if (!run_selects(f->run, f->s, f->group, f->n++))
        return;
    put_together(f, payload, e->syntax == ATTEST_CHECK_COUNT, &document);
    struct expectation placed = *e;
    if (e->code == ERR_OK && e->set == NULL)
        placed.payload = payload;
    /* Behind it the signature and its head of two bytes, and nothing else. */
    const size_t base = document.len - payload.len - 96 - 2;
    if (e->syntax == ATTEST_PAYLOAD) {
        placed.offset_from += base;
        placed.offset_to += base;
    }
    run_check(f->run, f->s, bytes_of_buf(&document), &placed, "%s: %s", f->group, what);
}

void forge_payload(struct forge *f, struct bytes payload, const struct expectation *e,
                   const char *what, ...)
{
    char text[WHAT_MAX];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    forge_one(f, payload, e, text);
}

void forge_draft(struct forge *f, const struct draft *d, const struct expectation *e,
                 const char *what, ...)
{
    CLEANUP(buf_free) struct buf payload = {0};
    char text[WHAT_MAX];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    draft_append(d, &payload);
    forge_one(f, bytes_of_buf(&payload), e, text);
}

void forge_value(struct forge *f, const struct draft *d, size_t i, struct bytes value,
                 const struct expectation *e, const char *what, ...)
{
    CLEANUP(buf_free) struct buf payload = {0};
    struct draft changed = *d;
    char text[WHAT_MAX];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    changed.entry[i].value = value;
    draft_append(&changed, &payload);
    forge_one(f, bytes_of_buf(&payload), e, text);
}

/* ---- certificates ---- */

void certs_of_chain(const struct mkdoc_chain *chain, struct certs *out)
{
    *out =
        (struct certs){.count = chain->len - 1, .leaf = bytes_of_buf(&chain->der[chain->len - 1])};
    for (size_t i = 0; i < out->count; i++)
        out->bundle[i] = bytes_of_buf(&chain->der[i]);
}

static void put_certs(const struct certs *certs, struct draft *d, struct buf *leaf,
                      struct buf *bundle)
{
    struct cbor_writer w;
    cbor_writer_init(&w, leaf);
    cbor_writer_bytes(&w, certs->leaf);
    MUST(cbor_writer_finish(&w));
    cbor_writer_init(&w, bundle);
    cbor_writer_array(&w, certs->count);
    for (size_t i = 0; i < certs->count; i++)
        cbor_writer_bytes(&w, certs->bundle[i]);
    MUST(cbor_writer_finish(&w));
    d->entry[draft_find(d, FIELD_CERTIFICATE)].value = bytes_of_buf(leaf);
    d->entry[draft_find(d, FIELD_CABUNDLE)].value = bytes_of_buf(bundle);
}

void forge_certs(struct forge *f, const struct draft *d, const struct certs *certs,
                 const struct expectation *e, const char *what, ...)
{
    CLEANUP(buf_free) struct buf leaf = {0};
    CLEANUP(buf_free) struct buf bundle = {0};
    struct draft changed = *d;
    char text[96];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    put_certs(certs, &changed, &leaf, &bundle);
    forge_draft(f, &changed, e, "%s", text);
}

/* ---- other types and forms ---- */

#define ITEM(what, text, own, code)                                  \
    {                                                                \
        what, {(const uint8_t *)(text), sizeof(text) - 1}, own, code \
    }

const struct odd_item odd_items[] = {
    ITEM("an unsigned integer", "\x01", OWN_UINT, ERR_CBOR_TYPE),
    ITEM("a negative integer", "\x20", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("a byte string", "\x41\x01", OWN_BYTES, ERR_CBOR_TYPE),
    ITEM("a text string", "\x61x", OWN_TEXT, ERR_CBOR_TYPE),
    ITEM("an array", "\x81\x01", OWN_ARRAY, ERR_CBOR_TYPE),
    ITEM("an empty array", "\x80", OWN_ARRAY, ERR_CBOR_TYPE),
    ITEM("a map", "\xa1\x01\x02", OWN_MAP, ERR_CBOR_TYPE),
    ITEM("an empty map", "\xa0", OWN_MAP, ERR_CBOR_TYPE),
    ITEM("a tagged integer", "\xc1\x01", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("a tagged byte string", "\xc2\x41\x01", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("a tagged null", "\xc1\xf6", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("false", "\xf4", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("true", "\xf5", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("null", "\xf6", OWN_NULL, ERR_CBOR_TYPE),
    ITEM("undefined", "\xf7", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("an unassigned simple value", "\xf8\xff", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("a half-precision float", "\xf9\x3c\x00", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("a single-precision float", "\xfa\x3f\x80\x00\x00", OWN_NONE, ERR_CBOR_TYPE),
    ITEM("a double-precision float", "\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00", OWN_NONE,
         ERR_CBOR_TYPE),
    ITEM("a byte string in chunks", "\x5f\x41\x01\xff", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("a text string in chunks", "\x7f\x61x\xff", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("an array of indefinite length", "\x9f\xff", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("a map of indefinite length", "\xbf\xff", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("an integer in two bytes instead of one", "\x18\x01", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("an integer in nine bytes instead of one", "\x1b\x00\x00\x00\x00\x00\x00\x00\x01",
         OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("a longer length of bytes", "\x58\x01\x01", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("a longer length of text", "\x78\x01x", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("a longer count of an array", "\x98\x01\x01", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("a longer count of a map", "\xb8\x01\x01\x02", OWN_NONE, ERR_CBOR_NOT_STRICT),
    ITEM("a text that is no UTF-8", "\x62\xc3\x28", OWN_NONE, ERR_UTF8),
    ITEM("a text with a surrogate", "\x63\xed\xa0\x80", OWN_NONE, ERR_UTF8),
    ITEM("null in two bytes", "\xf8\x16", OWN_NONE, ERR_CBOR_MALFORMED),
    ITEM("a reserved initial byte", "\x1c", OWN_NONE, ERR_CBOR_MALFORMED),
    ITEM("an integer of indefinite length", "\x1f", OWN_NONE, ERR_CBOR_MALFORMED),
    ITEM("a byte string of more bytes than there are", "\x5a\x7f\xff\xff\xff", OWN_NONE,
         ERR_CBOR_MALFORMED),
    ITEM("an array of more entries than there are bytes", "\x9a\xff\xff\xff\xff", OWN_NONE,
         ERR_CBOR_MALFORMED),
    ITEM("a map of 2^64-1 entries", "\xbb\xff\xff\xff\xff\xff\xff\xff\xff", OWN_NONE,
         ERR_CBOR_MALFORMED),
};
const size_t odd_items_count = ARRAY_LEN(odd_items);
