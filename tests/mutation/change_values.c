/* The values of a re-signed payload: of another type, in another form, of each length
 * at a limit and one beyond. */
#include <stdarg.h>
#include <stdio.h>

#include "common/cbor_writer.h"
#include "draft.h"

#define PAYLOAD_MAX ATTDOC_PAYLOAD_MAX

static void wrong(struct expectation *e, enum err code, size_t offset, const char *field)
{
    expect_syntax(e, code, ATTEST_PAYLOAD, offset, "%s", field);
}

static void intact(struct expectation *e)
{
    expect_ok(e, bytes_of("", 0));
}

static enum own_type own_type(enum field field)
{
    switch (field) {
    case FIELD_MODULE_ID:
    case FIELD_DIGEST:
        return OWN_TEXT;
    case FIELD_TIMESTAMP:
        return OWN_UINT;
    case FIELD_PCRS:
    case FIELD_NITROTPM_PCRS:
        return OWN_MAP;
    case FIELD_CABUNDLE:
        return OWN_ARRAY;
    default:
        return OWN_BYTES;
    }
}

static void retype_each(struct forge *f, const struct draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const enum field field = d->entry[i].field;
        const size_t at = draft_value_at(d, i);
        struct expectation e;
        for (size_t k = 0; k < odd_items_count; k++) {
            const struct odd_item *odd = &odd_items[k];
            if (odd->own == own_type(field))
                continue;
            if (odd->own == OWN_NULL && field_is_optional(field))
                intact(&e);
            else
                wrong(&e, odd->code, at, field_name(field));
            forge_value(f, d, i, odd->encoded, &e, "%s is %s", field_name(field), odd->what);
        }
        wrong(&e, ERR_CBOR_MALFORMED, at, field_name(field));
        forge_value(f, d, i, bytes_of("\xff", 1), &e, "%s is a break", field_name(field));
    }
}

/* ---- strings ---- */

enum string_kind { STRING_BYTES = 2, STRING_TEXT = 3 };

/* A string of `len` times the same printable byte, with its shortest head. */
static void string_item(struct buf *out, enum string_kind kind, size_t len)
{
    CLEANUP(buf_free) struct buf content = {0};
    struct cbor_writer w;
    MUST(buf_reserve(&content, len + 1));
    memset(content.ptr, 'a', len);
    content.len = len;
    cbor_writer_init(&w, out);
    if (kind == STRING_TEXT)
        cbor_writer_text(&w, bytes_of_buf(&content));
    else
        cbor_writer_bytes(&w, bytes_of_buf(&content));
    MUST(cbor_writer_finish(&w));
}

static void resize(struct forge *f, const struct draft *d, enum field field, size_t len,
                   enum err code)
{
    CLEANUP(buf_free) struct buf value = {0};
    const size_t i = draft_find(d, field);
    struct expectation e;
    string_item(&value, own_type(field) == OWN_TEXT ? STRING_TEXT : STRING_BYTES, len);
    if (code == ERR_OK)
        intact(&e);
    else if (code == ERR_CERT_MALFORMED)
        expect_cert(&e, code, f->s->map.bundle_len, f->s->map.bundle_len);
    else
        wrong(&e, code, draft_value_at(d, i), field_name(field));
    forge_value(f, d, i, bytes_of_buf(&value), &e, "%s of length %zu", field_name(field), len);
}

/* docs/DESIGN.md section 4, "Payload": each limit, and one beyond it. */
static void resize_each(struct forge *f, const struct draft *d)
{
    static const struct {
        enum field field;
        size_t len;
        enum err code;
    } sizes[] = {
        {FIELD_MODULE_ID, 0, ERR_DOC_MALFORMED},
        {FIELD_MODULE_ID, 1, ERR_OK},
        {FIELD_MODULE_ID, 23, ERR_OK},
        {FIELD_MODULE_ID, 24, ERR_OK},
        {FIELD_MODULE_ID, 255, ERR_OK},
        {FIELD_MODULE_ID, 256, ERR_OK},
        {FIELD_MODULE_ID, 4096, ERR_OK},
        {FIELD_DIGEST, 0, ERR_DOC_MALFORMED},
        {FIELD_DIGEST, 1, ERR_DOC_MALFORMED},
        {FIELD_DIGEST, 6, ERR_DOC_MALFORMED},
        {FIELD_DIGEST, 300, ERR_DOC_MALFORMED},
        {FIELD_CERTIFICATE, 0, ERR_DOC_MALFORMED},
        {FIELD_CERTIFICATE, 1, ERR_CERT_MALFORMED},
        {FIELD_CERTIFICATE, ATTDOC_CERT_MAX, ERR_CERT_MALFORMED},
        {FIELD_CERTIFICATE, ATTDOC_CERT_MAX + 1, ERR_DOC_MALFORMED},
    };
    static const size_t optional[] = {0, 1, 23, 24, 255, 256, 512, 513, 1023, ATTDOC_OPTIONAL_MAX};
    for (size_t n = 0; n < ARRAY_LEN(sizes); n++)
        resize(f, d, sizes[n].field, sizes[n].len, sizes[n].code);
    for (size_t i = 0; i < d->count; i++) {
        const enum field field = d->entry[i].field;
        if (!field_is_optional(field))
            continue;
        for (size_t n = 0; n < ARRAY_LEN(optional); n++)
            resize(f, d, field, optional[n], ERR_OK);
        resize(f, d, field, ATTDOC_OPTIONAL_MAX + 1, ERR_DOC_MALFORMED);
        resize(f, d, field, 4 * ATTDOC_OPTIONAL_MAX, ERR_DOC_MALFORMED);
    }
}

/* Other words for the digest, none of which names SHA-384 here. */
static void other_digests(struct forge *f, const struct draft *d)
{
    static const char *const words[] = {"SHA256", "SHA512",  "sha384", "SHA-384",
                                        "SHA38",  "SHA3844", "SHA384 "};
    const size_t i = draft_find(d, FIELD_DIGEST);
    for (size_t n = 0; n < ARRAY_LEN(words); n++) {
        CLEANUP(buf_free) struct buf value = {0};
        struct cbor_writer w;
        struct expectation e;
        cbor_writer_init(&w, &value);
        cbor_writer_cstr(&w, words[n]);
        MUST(cbor_writer_finish(&w));
        wrong(&e, ERR_DOC_MALFORMED, draft_value_at(d, i), "digest");
        forge_value(f, d, i, bytes_of_buf(&value), &e, "the digest \"%s\"", words[n]);
    }
    struct expectation e;
    wrong(&e, ERR_DOC_MALFORMED, draft_value_at(d, i), "digest");
    forge_value(f, d, i, bytes_of("\x67SHA384\0", 8), &e, "the digest with a NUL behind it");
}

/* The largest payload, and one byte more; the module's id fills it up. */
static void largest_payload(struct forge *f, const struct draft *d)
{
    CLEANUP(buf_free) struct buf now = {0};
    draft_append(d, &now);
    const size_t i = draft_find(d, FIELD_MODULE_ID);
    const size_t rest = now.len - d->entry[i].value.len;
    for (size_t over = 0; over < 2; over++) {
        CLEANUP(buf_free) struct buf value = {0};
        struct expectation e;
        string_item(&value, STRING_TEXT, PAYLOAD_MAX - rest - 3 + over);
        if (over == 0)
            intact(&e);
        else /* 84 44 a1013822 a0: the payload's head is the eighth byte */
            expect_syntax(&e, ERR_TOO_LARGE, ATTEST_COSE, 7, "cose.payload");
        forge_value(f, d, i, bytes_of_buf(&value), &e, "a payload of %zu bytes",
                    PAYLOAD_MAX + over);
    }
}

static void other_times(struct forge *f, const struct draft *d)
{
    static const struct {
        uint64_t ms;
        enum err code;
    } times[] = {
        {0, ERR_DOC_MALFORMED},
        {1, ERR_OK},
        {UINT32_MAX, ERR_OK},
        {INT64_MAX, ERR_OK}, /* judged at a clock of its own: the time is only told */
        {UINT64_C(1) << 63, ERR_DOC_MALFORMED},
        {UINT64_MAX, ERR_DOC_MALFORMED},
    };
    const size_t i = draft_find(d, FIELD_TIMESTAMP);
    for (size_t n = 0; n < ARRAY_LEN(times); n++) {
        CLEANUP(buf_free) struct buf value = {0};
        struct cbor_writer w;
        struct expectation e;
        cbor_writer_init(&w, &value);
        cbor_writer_uint(&w, times[n].ms);
        MUST(cbor_writer_finish(&w));
        if (times[n].code == ERR_OK)
            intact(&e);
        else
            wrong(&e, times[n].code, draft_value_at(d, i), "timestamp");
        forge_value(f, d, i, bytes_of_buf(&value), &e, "the timestamp %llu",
                    (unsigned long long)times[n].ms);
    }
}

/* ---- PCRs ---- */

struct pcrs {
    size_t count;
    struct {
        struct bytes index; /* encoded */
        struct bytes value;
    } pcr[ATTDOC_PCR_COUNT + 8];
};

static void pcrs_of(const struct subject *s, struct pcrs *out)
{
    *out = (struct pcrs){0};
    for (size_t i = 0; i < s->map.count; i++) {
        const struct part *part = &s->map.part[i];
        if (part->kind != PART_PCR_INDEX)
            continue;
        const struct part *value = part + 2; /* behind the index and the value's head */
        out->pcr[out->count].index = bytes_of(s->document.ptr + part->at, part->len);
        out->pcr[out->count].value =
            bytes_of(s->document.ptr + part[1].at, part[1].len + value->len);
        out->count++;
    }
}

/* Where the index of the `n`-th lies in the payload. */
static size_t pcr_at(const struct draft *d, const struct pcrs *pcrs, enum field field, size_t n)
{
    size_t at = draft_value_at(d, draft_find(d, field)) + (pcrs->count < 24 ? 1 : 2);
    for (size_t k = 0; k < n; k++)
        at += pcrs->pcr[k].index.len + pcrs->pcr[k].value.len;
    return at;
}

PRINTF_LIKE(5, 6)
static void forge_pcrs(struct forge *f, const struct draft *d, const struct pcrs *pcrs,
                       const struct expectation *e, const char *what, ...)
{
    CLEANUP(buf_free) struct buf value = {0};
    char text[96];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    struct cbor_writer w;
    cbor_writer_init(&w, &value);
    cbor_writer_map(&w, pcrs->count);
    for (size_t i = 0; i < pcrs->count; i++) {
        cbor_writer_raw(&w, pcrs->pcr[i].index);
        cbor_writer_raw(&w, pcrs->pcr[i].value);
    }
    MUST(cbor_writer_finish(&w));
    forge_value(f, d, draft_find(d, f->s->map.pcrs), bytes_of_buf(&value), e, "%s", text);
}

/* A PCR by place: of each, and what is wrong with it. */
static void break_each_pcr(struct forge *f, const struct draft *d, const struct pcrs *good,
                           enum field field)
{
    static const size_t lens[] = {0, 1, 20, 32, 47, 49, 64, 96};
    const char *name = field_name(field);
    for (size_t n = 0; n < good->count; n++) {
        char place[48];
        struct expectation e;
        struct pcrs changed = *good;
        const size_t at = pcr_at(d, good, field, n);
        struct item index;
        if (item_rule(good->pcr[n].index.ptr, 0, good->pcr[n].index.len, &index) != ERR_OK)
            die("%s: PCR %zu has no index", f->s->name, n);
        snprintf(place, sizeof place, "%s[%u]", name, (unsigned)index.value);

        for (size_t k = n + 1; k < good->count; k++)
            changed.pcr[k - 1] = good->pcr[k];
        changed.count--;
        intact(&e);
        if (changed.count > 0)
            forge_pcrs(f, d, &changed, &e, "without PCR %zu", n);

        changed = *good; /* twice: again at the end */
        if (good->count < ATTDOC_PCR_COUNT) {
            changed.pcr[changed.count++] = good->pcr[n];
            wrong(&e, ERR_CBOR_DUPLICATE, pcr_at(d, &changed, field, good->count), place);
            forge_pcrs(f, d, &changed, &e, "PCR %zu twice", n);
        }
        for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
            CLEANUP(buf_free) struct buf value = {0};
            string_item(&value, STRING_BYTES, lens[k]);
            changed = *good;
            changed.pcr[n].value = bytes_of_buf(&value);
            wrong(&e, ERR_DOC_MALFORMED, at + good->pcr[n].index.len, place);
            forge_pcrs(f, d, &changed, &e, "PCR %zu of %zu bytes", n, lens[k]);
        }
    }
}

static void retype_pcr(struct forge *f, const struct draft *d, const struct pcrs *good,
                       enum field field)
{
    const size_t n = good->count / 2;
    char place[48];
    struct item index;
    if (item_rule(good->pcr[n].index.ptr, 0, good->pcr[n].index.len, &index) != ERR_OK)
        die("%s: PCR %zu has no index", f->s->name, n);
    snprintf(place, sizeof place, "%s[%u]", field_name(field), (unsigned)index.value);
    const size_t at = pcr_at(d, good, field, n);
    for (size_t k = 0; k < odd_items_count; k++) {
        const struct odd_item *odd = &odd_items[k];
        struct pcrs changed = *good;
        struct expectation e;
        if (odd->own != OWN_UINT) {
            changed.pcr[n].index = odd->encoded;
            wrong(&e, odd->code, at, field_name(field));
            forge_pcrs(f, d, &changed, &e, "%s for the index of PCR %zu", odd->what, n);
        }
        if (odd->own != OWN_BYTES) {
            changed = *good;
            changed.pcr[n].value = odd->encoded;
            wrong(&e, odd->code, at + good->pcr[n].index.len, place);
            forge_pcrs(f, d, &changed, &e, "%s for PCR %zu", odd->what, n);
        }
    }
}

static void other_indexes(struct forge *f, const struct draft *d, const struct pcrs *good,
                          enum field field)
{
    static const uint64_t beyond[] = {32, 33, 255, 256, 65536, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t k = 0; k < ARRAY_LEN(beyond); k++) {
        CLEANUP(buf_free) struct buf index = {0};
        struct cbor_writer w;
        struct pcrs changed = *good;
        struct expectation e;
        cbor_writer_init(&w, &index);
        cbor_writer_uint(&w, beyond[k]);
        MUST(cbor_writer_finish(&w));
        changed.pcr[good->count - 1].index = bytes_of_buf(&index);
        expect_syntax(&e, ERR_DOC_MALFORMED, ATTEST_PAYLOAD,
                      pcr_at(d, good, field, good->count - 1), "%s[%llu]", field_name(field),
                      (unsigned long long)beyond[k]);
        forge_pcrs(f, d, &changed, &e, "the index %llu", (unsigned long long)beyond[k]);
    }
}

/* Any order; 1 to 32 of them, with gaps. */
static void count_pcrs(struct forge *f, const struct draft *d, const struct pcrs *good,
                       enum field field)
{
    struct pcrs changed = *good;
    struct expectation e;
    intact(&e);
    for (size_t n = 0; n < good->count; n++)
        changed.pcr[n] = good->pcr[good->count - 1 - n];
    forge_pcrs(f, d, &changed, &e, "PCRs in descending order");
    for (size_t n = 0; n < good->count; n++)
        changed.pcr[n] = good->pcr[(n * 5 + 3) % good->count];
    if (good->count % 5 != 0)
        forge_pcrs(f, d, &changed, &e, "PCRs in disorder");

    changed = *good;
    changed.count = 1;
    forge_pcrs(f, d, &changed, &e, "one PCR");

    uint8_t encoded[ATTDOC_PCR_COUNT + 1][2];
    for (size_t n = 0; n <= ATTDOC_PCR_COUNT; n++) {
        encoded[n][0] = n < 24 ? (uint8_t)n : 0x18;
        encoded[n][1] = (uint8_t)n;
        changed.pcr[n].index = bytes_of(encoded[n], n < 24 ? 1 : 2);
        changed.pcr[n].value = good->pcr[0].value;
    }
    changed.count = ATTDOC_PCR_COUNT;
    forge_pcrs(f, d, &changed, &e, "32 PCRs");
    changed.pcr[0] = changed.pcr[31];
    changed.count = 1;
    forge_pcrs(f, d, &changed, &e, "PCR 31 alone");

    changed = *good;
    wrong(&e, ERR_DOC_MALFORMED, draft_value_at(d, draft_find(d, field)), field_name(field));
    changed.count = 0;
    forge_pcrs(f, d, &changed, &e, "no PCRs");
    changed.count = ATTDOC_PCR_COUNT + 1;
    for (size_t n = 0; n < changed.count; n++) {
        changed.pcr[n].index = bytes_of(encoded[n], n < 24 ? 1 : 2);
        changed.pcr[n].value = good->pcr[0].value;
    }
    forge_pcrs(f, d, &changed, &e, "33 PCRs");
}

void change_values(struct run *run, const struct task *task)
{
    struct forge f = {.run = run, .s = task->s, .signer = &task->s->chain, .group = task->what};
    struct draft d;
    struct pcrs pcrs;
    draft_of(task->s, &d);
    pcrs_of(task->s, &pcrs);
    const enum field field = task->s->map.pcrs;
    retype_each(&f, &d);
    resize_each(&f, &d);
    other_digests(&f, &d);
    largest_payload(&f, &d);
    other_times(&f, &d);
    break_each_pcr(&f, &d, &pcrs, field);
    retype_pcr(&f, &d, &pcrs, field);
    other_indexes(&f, &d, &pcrs, field);
    count_pcrs(&f, &d, &pcrs, field);
}
