/* The entries of a re-signed payload: dropped, twice, in another order, under another
 * key, and the map that holds them in another form. */
#include <stdio.h>

#include "common/cbor_writer.h"
#include "draft.h"

static void expect_in_payload(struct expectation *e, enum err code, size_t offset,
                              const char *field)
{
    expect_syntax(e, code, ATTEST_PAYLOAD, offset, "%s", field);
}

static const struct expectation *intact(struct expectation *e)
{
    expect_ok(e, bytes_of("", 0)); /* forge_payload fills in what is signed */
    return e;
}

/* Encoded text, in memory of the caller's. */
static struct bytes text_item(struct buf *out, const char *text)
{
    struct cbor_writer w;
    cbor_writer_init(&w, out);
    cbor_writer_cstr(&w, text);
    MUST(cbor_writer_finish(&w));
    return bytes_of_buf(out);
}

/* A required field is missed at the payload's start; of PCRs one kind must be there. */
static void drop_each(struct forge *f, const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        struct draft changed = *d;
        struct expectation e;
        const enum field field = d->entry[i].field;
        for (size_t n = i + 1; n < d->count; n++)
            changed.entry[n - 1] = d->entry[n];
        changed.count--;
        if (field_is_optional(field))
            intact(&e);
        else
            expect_in_payload(&e, ERR_DOC_MALFORMED, 0,
                              field_is_pcrs(field) ? "pcrs" : field_name(field));
        forge_draft(f, &changed, &e, "without %s", field_name(field));
    }
    struct draft none = *d;
    struct expectation e;
    none.count = 0;
    expect_in_payload(&e, ERR_DOC_MALFORMED, 0, "module_id");
    forge_draft(f, &none, &e, "an empty map");
}

/* A key or a value alone leaves the map with one item too few. */
static void drop_halves(struct forge *f, const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const char *name = field_name(d->entry[i].field);
        struct draft changed = *d;
        struct expectation e;
        changed.entry[i].key.len = 0;
        const uint8_t first = d->entry[i].value.ptr[0];
        if (first >> 5 == 3) { /* the value is a text: taken for a key nobody knows */
            const struct bytes text = bytes_of(d->entry[i].value.ptr + (first == 0x78 ? 2 : 1),
                                               d->entry[i].value.len - (first == 0x78 ? 2 : 1));
            expect_syntax(&e, ERR_DOC_UNKNOWN_FIELD, ATTEST_PAYLOAD, draft_key_at(d, i), "%.*s",
                          (int)(text.len < 64 ? text.len : 64), (const char *)text.ptr);
        } else {
            expect_in_payload(&e, ERR_CBOR_TYPE, draft_key_at(d, i), "payload");
        }
        forge_draft(f, &changed, &e, "%s without its key", name);
    }
}

static void duplicate_each(struct forge *f, const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const char *name = field_name(d->entry[i].field);
        /* Right behind the first, and at the end; with the same value, and with null. */
        for (unsigned form = 0; form < 4; form++) {
            struct draft changed = *d;
            const size_t to = form & 1 ? d->count : i + 1;
            struct expectation e;
            for (size_t n = d->count; n > to; n--)
                changed.entry[n] = d->entry[n - 1];
            changed.entry[to] = d->entry[i];
            if (form & 2)
                changed.entry[to].value = bytes_of("\xf6", 1);
            changed.count++;
            expect_in_payload(&e, ERR_CBOR_DUPLICATE, draft_key_at(&changed, to), name);
            forge_draft(f, &changed, &e, "%s twice, form %u", name, form);
        }
    }
}

static void swap(struct draft *d, size_t a, size_t b)
{
    const struct draft_entry entry = d->entry[a];
    d->entry[a] = d->entry[b];
    d->entry[b] = entry;
}

/* Any order is a good one: each pair exchanged, all reversed, all rotated. */
static void reorder(struct forge *f, const struct draft *d)
{
    struct expectation e;
    for (size_t a = 0; a < d->count; a++) {
        for (size_t b = a + 1; b < d->count; b++) {
            struct draft changed = *d;
            swap(&changed, a, b);
            forge_draft(f, &changed, intact(&e), "entries %zu and %zu exchanged", a, b);
        }
        struct draft rotated = *d;
        for (size_t n = 0; n < d->count; n++)
            rotated.entry[n] = d->entry[(n + a) % d->count];
        forge_draft(f, &rotated, intact(&e), "entries rotated by %zu", a);
    }
    struct draft reversed = *d;
    for (size_t n = 0; n < d->count; n++)
        reversed.entry[n] = d->entry[d->count - 1 - n];
    forge_draft(f, &reversed, intact(&e), "entries reversed");
}

/* ---- keys ---- */

/* Keys that are nearly known, or look like it; `shown` is the fault's field. */
static const char *const unknown_keys[] = {
    "",
    "x",
    "Module_id",
    "module_id ",
    "nonces",
    "nonc",
    "user-data",
    "userdata",
    "publicKey",
    "PCRS",
    "pcr",
    "enclave_pcrs",
    "nitrotpm_pcrs2",
    "cabundl",
    "certificates",
    "timestam",
    "digest\xc2\xa0",
};

static void add_unknown(struct forge *f, const struct draft *d)
{
    for (size_t k = 0; k < ARRAY_LEN(unknown_keys); k++) {
        for (size_t to = 0; to <= d->count; to += d->count) {
            CLEANUP(buf_free) struct buf key = {0};
            struct draft changed = *d;
            struct expectation e;
            for (size_t n = d->count; n > to; n--)
                changed.entry[n] = d->entry[n - 1];
            changed.entry[to] = (struct draft_entry){FIELD_COUNT, text_item(&key, unknown_keys[k]),
                                                     bytes_of("\xf6", 1)};
            changed.count++;
            expect_syntax(&e, ERR_DOC_UNKNOWN_FIELD, ATTEST_PAYLOAD, draft_key_at(&changed, to),
                          "%s", unknown_keys[k]);
            forge_draft(f, &changed, &e, "the unknown key \"%s\" as entry %zu", unknown_keys[k],
                        to);
        }
    }
}

static void retype_keys(struct forge *f, const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        for (size_t k = 0; k < odd_items_count; k++) {
            const struct odd_item *odd = &odd_items[k];
            struct draft changed = *d;
            struct expectation e;
            const size_t at = draft_key_at(d, i);
            changed.entry[i].key = odd->encoded;
            if (odd->own == OWN_TEXT)
                expect_in_payload(&e, ERR_DOC_UNKNOWN_FIELD, at, "x");
            else
                expect_in_payload(&e, odd->code, at, "payload");
            forge_draft(f, &changed, &e, "%s in place of the key of %s", odd->what,
                        field_name(d->entry[i].field));
        }
        struct draft changed = *d;
        struct expectation e;
        changed.entry[i].key = bytes_of("\xff", 1);
        if (d->indefinite)
            expect_in_payload(&e, ERR_CBOR_TRAILING, draft_key_at(d, i) + 1, "payload");
        else
            expect_in_payload(&e, ERR_CBOR_MALFORMED, draft_key_at(d, i), "payload");
        forge_draft(f, &changed, &e, "a break in place of key %zu", i);
    }
}

/* Both kinds of PCRs, or those of the other kind of document. */
static void change_kind(struct forge *f, const struct draft *d)
{
    const enum field own = f->s->map.pcrs;
    const enum field other = own == FIELD_PCRS ? FIELD_NITROTPM_PCRS : FIELD_PCRS;
    CLEANUP(buf_free) struct buf key = {0};
    const size_t i = draft_find(d, own);
    struct draft changed = *d;
    struct expectation e;
    changed.entry[i].key = text_item(&key, field_name(other));
    expect_syntax(&e, ERR_DOC_KIND, ATTEST_KIND, FAULT_NO_OFFSET, "%s", field_name(other));
    forge_draft(f, &changed, &e, "%s for %s", field_name(other), field_name(own));
    changed = *d;
    changed.entry[d->count] = (struct draft_entry){other, bytes_of_buf(&key), d->entry[i].value};
    changed.count++;
    expect_in_payload(&e, ERR_DOC_MALFORMED, draft_value_at(&changed, d->count), field_name(other));
    forge_draft(f, &changed, &e, "both kinds of PCRs");
}

/* ---- the map ---- */

static void change_map(struct forge *f, const struct draft *d)
{
    struct expectation e;
    struct draft changed = *d;
    changed.indefinite = !d->indefinite;
    forge_draft(f, &changed, intact(&e), "the map in its other form");

    CLEANUP(buf_free) struct buf payload = {0};
    changed.indefinite = false;
    draft_append(&changed, &payload);
    const size_t count = d->count;
    const size_t end = payload.len;
    /* One entry too many or too few announced. */
    payload.ptr[0] = (uint8_t)(0xa0 | (count + 1));
    expect_in_payload(&e, ERR_CBOR_MALFORMED, end, "payload");
    forge_payload(f, bytes_of_buf(&payload), &e, "one entry fewer than the map announces");
    payload.ptr[0] = (uint8_t)(0xa0 | (count - 1));
    expect_in_payload(&e, ERR_CBOR_TRAILING, draft_key_at(&changed, count - 1), "payload");
    forge_payload(f, bytes_of_buf(&payload), &e, "one entry more than the map announces");
    payload.ptr[0] = 0xbf;
    expect_in_payload(&e, ERR_CBOR_MALFORMED, end, "payload");
    forge_payload(f, bytes_of_buf(&payload), &e, "an indefinite map without a break");
    payload.ptr[0] = (uint8_t)(0xa0 | count);
    MUST(buf_append(&payload, bytes_of("\xff", 1)));
    expect_in_payload(&e, ERR_CBOR_TRAILING, end, "payload");
    forge_payload(f, bytes_of_buf(&payload), &e, "a break behind a definite map");
    payload.ptr[0] = 0xbf;
    for (unsigned byte = 0; byte <= 0xff; byte += 0x33) {
        const uint8_t more = (uint8_t)byte;
        MUST(buf_append(&payload, bytes_of(&more, 1)));
        expect_in_payload(&e, ERR_CBOR_TRAILING, end + 1, "payload");
        forge_payload(f, bytes_of_buf(&payload), &e, "bytes up to %02x behind the break", more);
    }
}

/* The map's head in a longer form, in a tag, in an array; no map at all. */
static void wrap_map(struct forge *f, const struct draft *d)
{
    static const struct {
        const char *what;
        struct bytes head;
        enum err code;
    } heads[] = {
        {"a tagged map", {(const uint8_t *)"\xd9\xd9\xf7", 3}, ERR_CBOR_TYPE},
        {"a map in an array", {(const uint8_t *)"\x81", 1}, ERR_CBOR_TYPE},
        {"a map in an indefinite array", {(const uint8_t *)"\x9f", 1}, ERR_CBOR_NOT_STRICT},
        {"a map behind a null", {(const uint8_t *)"\xf6", 1}, ERR_CBOR_TYPE},
        {"a map behind a break", {(const uint8_t *)"\xff", 1}, ERR_CBOR_MALFORMED},
    };
    CLEANUP(buf_free) struct buf map = {0};
    struct expectation e;
    draft_append(d, &map);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        CLEANUP(buf_free) struct buf payload = {0};
        MUST(buf_append(&payload, heads[i].head));
        MUST(buf_append(&payload, bytes_of_buf(&map)));
        expect_in_payload(&e, heads[i].code, 0, "payload");
        forge_payload(f, bytes_of_buf(&payload), &e, "%s", heads[i].what);
    }
    for (size_t k = 0; k < odd_items_count; k++) {
        if (odd_items[k].own == OWN_MAP || odd_items[k].encoded.ptr[0] == 0xbf)
            continue;
        expect_in_payload(&e, odd_items[k].code, 0, "payload");
        forge_payload(f, odd_items[k].encoded, &e, "%s for the map", odd_items[k].what);
    }
    CLEANUP(buf_free) struct buf longer = {0};
    MUST(buf_append(&longer, bytes_of("\xb8", 1)));
    const uint8_t count = (uint8_t)d->count;
    MUST(buf_append(&longer, bytes_of(&count, 1)));
    MUST(buf_append(&longer, bytes_of(map.ptr + 1, map.len - 1)));
    expect_in_payload(&e, ERR_CBOR_NOT_STRICT, 0, "payload");
    forge_payload(f, bytes_of_buf(&longer), &e, "the map's count in two bytes");
}

void change_fields(struct run *run, const struct task *task)
{
    struct forge f = {.run = run, .s = task->s, .signer = &task->s->chain, .group = task->what};
    struct draft d;
    draft_of(task->s, &d);
    drop_each(&f, &d);
    drop_halves(&f, &d);
    duplicate_each(&f, &d);
    reorder(&f, &d);
    add_unknown(&f, &d);
    retype_keys(&f, &d);
    change_kind(&f, &d);
    change_map(&f, &d);
    wrap_map(&f, &d);
}
