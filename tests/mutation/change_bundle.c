/* Certificates exchanged: within a re-signed document, for those of foreign chains, and
 * in recorded documents for those of another one. */
#include <stdio.h>

#include "common/cbor_writer.h"
#include "draft.h"

static void remove_cert(struct certs *certs, size_t i)
{
    for (size_t n = i + 1; n < certs->count; n++)
        certs->bundle[n - 1] = certs->bundle[n];
    certs->count--;
}

static void insert_cert(struct certs *certs, size_t i, struct bytes der)
{
    for (size_t n = certs->count; n > i; n--)
        certs->bundle[n] = certs->bundle[n - 1];
    certs->bundle[i] = der;
    certs->count++;
}

/* ---- the same certificates, elsewhere ---- */

/* Without the root there is no trust; without another the next one's issuer is missing. */
static void drop_each(struct forge *f, const struct draft *d, const struct certs *good)
{
    for (size_t i = 0; i < good->count; i++) {
        struct certs changed = *good;
        struct expectation e;
        remove_cert(&changed, i);
        expect_cert(&e, i == 0 ? ERR_UNTRUSTED : ERR_CERT_NAME, changed.count, i);
        forge_certs(f, d, &changed, &e, "without cabundle[%zu]", i);
    }
    struct certs alone = *good;
    struct expectation e;
    alone.count = 1;
    expect_cert(&e, ERR_CERT_NAME, 1, 1);
    forge_certs(f, d, &alone, &e, "the root alone");
    alone.count = 0;
    const size_t i = draft_find(d, FIELD_CABUNDLE);
    expect_syntax(&e, ERR_DOC_MALFORMED, ATTEST_PAYLOAD, draft_value_at(d, i), "cabundle");
    forge_value(f, d, i, bytes_of("\x80", 1), &e, "an empty bundle");
}

/* The root is its own issuer, and yet no certificate may be there twice (RFC 5280 section
 * 6.1); with another one in front of itself the path lengths are too short. */
static void duplicate_each(struct forge *f, const struct draft *d, const struct certs *good)
{
    for (size_t i = 0; i < good->count; i++) {
        struct certs changed = *good;
        struct expectation e;
        insert_cert(&changed, i, good->bundle[i]);
        if (i == 0)
            expect_cert(&e, ERR_CERT_NAME, changed.count, 1);
        else /* the regional one allows two CA certificates behind it, not three */
            expect_cert(&e, ERR_CERT_PATHLEN, changed.count, 1);
        forge_certs(f, d, &changed, &e, "cabundle[%zu] twice", i);
    }
    struct certs changed = *good;
    struct expectation e;
    insert_cert(&changed, good->count, good->leaf);
    expect_cert(&e, ERR_CERT_PATHLEN, changed.count, 1);
    forge_certs(f, d, &changed, &e, "the leaf at the bundle's end");
    /* In the place of the one that signed it, so that no path length is in the way. */
    changed = *good;
    changed.bundle[good->count - 1] = good->leaf;
    expect_cert(&e, ERR_CERT_NAME, good->count, good->count - 1);
    forge_certs(f, d, &changed, &e, "the leaf for the last of the bundle");
    changed = *good;
    changed.leaf = good->bundle[good->count - 1];
    changed.count--;
    expect_cert(&e, ERR_CERT_LEAF_CA, changed.count, changed.count);
    forge_certs(f, d, &changed, &e, "the last of the bundle for the leaf");
}

static void reorder(struct forge *f, const struct draft *d, const struct certs *good)
{
    struct expectation e;
    for (size_t a = 0; a < good->count; a++) {
        for (size_t b = a + 1; b < good->count; b++) {
            struct certs changed = *good;
            changed.bundle[a] = good->bundle[b];
            changed.bundle[b] = good->bundle[a];
            expect_cert(&e, a == 0 ? ERR_UNTRUSTED : ERR_CERT_NAME, good->count, a);
            forge_certs(f, d, &changed, &e, "cabundle[%zu] and [%zu] exchanged", a, b);
        }
    }
    struct certs reversed = *good;
    for (size_t i = 0; i < good->count; i++)
        reversed.bundle[i] = good->bundle[good->count - 1 - i];
    expect_cert(&e, ERR_UNTRUSTED, good->count, 0);
    forge_certs(f, d, &reversed, &e, "the bundle reversed");
}

/* The array: each entry of each other type and size, and more entries than allowed. */
static void change_entries(struct forge *f, const struct draft *d, const struct certs *good)
{
    const size_t field = draft_find(d, FIELD_CABUNDLE);
    for (size_t i = 0; i < good->count; i++) {
        char place[32];
        subject_cert_field(good->count, i, place);
        size_t at = draft_value_at(d, field) + 1;
        for (size_t n = 0; n < i; n++)
            at += 3 + good->bundle[n].len;
        for (size_t k = 0; k < odd_items_count + 3; k++) {
            static const uint8_t zeros[ATTDOC_CERT_MAX + 1];
            CLEANUP(buf_free) struct buf value = {0};
            struct cbor_writer w;
            struct expectation e;
            const char *what = "another length";
            cbor_writer_init(&w, &value);
            cbor_writer_array(&w, good->count);
            for (size_t n = 0; n < good->count; n++) {
                if (n != i)
                    cbor_writer_bytes(&w, good->bundle[n]);
                else if (k < odd_items_count)
                    cbor_writer_raw(&w, odd_items[k].encoded);
                else if (k == odd_items_count) /* no bytes, one too many, as many as may be */
                    cbor_writer_bytes(&w, bytes_of("", 0));
                else
                    cbor_writer_bytes(&w,
                                      bytes_of(zeros, ATTDOC_CERT_MAX + 2 + odd_items_count - k));
            }
            MUST(cbor_writer_finish(&w));
            if (k < odd_items_count) {
                if (odd_items[k].own == OWN_BYTES)
                    continue;
                what = odd_items[k].what;
                expect_syntax(&e, odd_items[k].code, ATTEST_PAYLOAD, at, "%s", place);
            } else if (k < odd_items_count + 2) {
                expect_syntax(&e, ERR_DOC_MALFORMED, ATTEST_PAYLOAD, at, "%s", place);
            } else {
                expect_cert(&e, i == 0 ? ERR_UNTRUSTED : ERR_CERT_MALFORMED, good->count, i);
            }
            forge_value(f, d, field, bytes_of_buf(&value), &e, "%s is %s %zu", place, what, k);
        }
    }
    for (size_t count = ATTDOC_BUNDLE_MAX; count <= ATTDOC_BUNDLE_MAX + 2; count++) {
        struct certs changed = *good;
        struct expectation e;
        while (changed.count < count)
            insert_cert(&changed, changed.count, good->bundle[good->count - 1]);
        if (count > ATTDOC_BUNDLE_MAX)
            expect_syntax(&e, ERR_DOC_MALFORMED, ATTEST_PAYLOAD, draft_value_at(d, field),
                          "cabundle");
        else
            expect_cert(&e, ERR_CERT_PATHLEN, count, 1);
        forge_certs(f, d, &changed, &e, "%zu certificates", count);
    }
}

/* A byte behind the end of each certificate, and none of its last. */
static void stretch_each(struct forge *f, const struct draft *d, const struct certs *good)
{
    for (size_t i = 0; i <= good->count; i++) {
        for (int by = -1; by <= 1; by += 2) {
            CLEANUP(buf_free) struct buf longer = {0};
            struct certs changed = *good;
            struct expectation e;
            struct bytes *der = i == good->count ? &changed.leaf : &changed.bundle[i];
            MUST(buf_append(&longer, *der));
            MUST(buf_append(&longer, bytes_of("", 1)));
            longer.len = der->len + (size_t)by;
            *der = bytes_of_buf(&longer);
            expect_cert(&e, i == 0 ? ERR_UNTRUSTED : ERR_CERT_MALFORMED, good->count, i);
            forge_certs(f, d, &changed, &e, "certificate %zu longer by %d", i, by);
        }
    }
}

/* X.690 section 10.1: a length in more bytes than it needs.  The serial number's, with
 * those of the two SEQUENCEs around it, which are 82 and two bytes. */
static void lengthen_each(struct forge *f, const struct draft *d, const struct certs *good)
{
    static const struct {
        const char *what;
        struct bytes more; /* between the tag and the length */
    } forms[] = {{"81", {(const uint8_t *)"\x81", 1}}, {"82 00", {(const uint8_t *)"\x82\0", 2}}};
    for (size_t i = 1; i <= good->count; i++) {
        const struct cert_map *map = &f->s->cert[i];
        size_t serial = 0;
        while (map->part[serial].kind != DER_SERIAL)
            serial++;
        const size_t at = map->part[serial].at - 1; /* its length */
        for (size_t n = 0; n < ARRAY_LEN(forms); n++) {
            CLEANUP(buf_free) struct buf longer = {0};
            struct certs changed = *good;
            struct expectation e;
            struct bytes *der = i == good->count ? &changed.leaf : &changed.bundle[i];
            MUST(buf_append(&longer, bytes_of(der->ptr, at)));
            MUST(buf_append(&longer, forms[n].more));
            MUST(buf_append(&longer, bytes_of(der->ptr + at, der->len - at)));
            for (size_t head = 0; head <= 4; head += 4) {
                const size_t len = (size_t)longer.ptr[head + 2] << 8 | longer.ptr[head + 3];
                longer.ptr[head + 2] = (uint8_t)((len + forms[n].more.len) >> 8);
                longer.ptr[head + 3] = (uint8_t)(len + forms[n].more.len);
            }
            *der = bytes_of_buf(&longer);
            expect_cert(&e, ERR_CERT_MALFORMED, good->count, i);
            forge_certs(f, d, &changed, &e, "certificate %zu, its serial's length after %s", i,
                        forms[n].what);
        }
    }
}

/* ---- foreign certificates ---- */

/* The same names and windows, other keys. */
static void make_foreign(const struct subject *s, const struct mkdoc_chain *base, size_t keep,
                         struct mkdoc_chain *out)
{
    struct mkdoc_chain_spec spec;
    subject_chain_spec(s, &spec);
    if (keep == 0)
        MUST(mkdoc_chain_make(&spec, out));
    else
        MUST(mkdoc_chain_extend(base, keep, &spec, out));
}

/* `own` signs where it is not the leaf that is named in the document. */
static void foreign_chain(struct forge *f, const struct draft *d, const struct certs *good,
                          const struct mkdoc_chain *own)
{
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain foreign = {0};
    struct certs theirs;
    struct expectation e;
    make_foreign(f->s, own, 0, &foreign);
    certs_of_chain(&foreign, &theirs);

    f->signer = &foreign;
    expect_cert(&e, ERR_UNTRUSTED, theirs.count, 0);
    forge_certs(f, d, &theirs, &e, "a foreign chain of the same names, signed by its leaf");
    for (size_t from = 1; from <= theirs.count; from++) { /* ours up to `from` */
        struct certs mixed = theirs;
        for (size_t i = 0; i < from; i++)
            mixed.bundle[i] = good->bundle[i];
        expect_cert(&e, ERR_CERT_SIGNATURE, mixed.count, from);
        forge_certs(f, d, &mixed, &e, "foreign from certificate %zu on, signed by its leaf", from);
    }
    expect_signature(&e);
    forge_certs(f, d, good, &e, "the own chain, signed by a foreign leaf");
    f->signer = own;

    struct certs changed = *good;
    changed.bundle[0] = theirs.bundle[0];
    expect_cert(&e, ERR_UNTRUSTED, good->count, 0);
    forge_certs(f, d, &changed, &e, "a foreign root of the same name");
    changed = *good;
    insert_cert(&changed, 0, theirs.bundle[0]);
    forge_certs(f, d, &changed, &e, "a foreign root in front of the own one");
    changed = *good; /* names fit, but nothing behind the root issued itself */
    insert_cert(&changed, 1, theirs.bundle[0]);
    expect_cert(&e, ERR_CERT_NAME, changed.count, 1);
    forge_certs(f, d, &changed, &e, "a foreign root of the same name behind the own one");
    for (size_t i = 1; i <= good->count; i++) {
        changed = *good;
        if (i == good->count)
            changed.leaf = theirs.leaf;
        else
            changed.bundle[i] = theirs.bundle[i];
        expect_cert(&e, ERR_CERT_SIGNATURE, good->count, i);
        forge_certs(f, d, &changed, &e, "certificate %zu a foreign one of the same name", i);
    }
}

/* Another good chain under the same root: the document is its leaf's, or nobody's. */
static void other_chain(struct forge *f, const struct draft *d, const struct certs *good,
                        const struct mkdoc_chain *own)
{
    for (size_t keep = 1; keep < own->len; keep++) {
        CLEANUP(mkdoc_chain_free) struct mkdoc_chain other = {0};
        struct certs theirs;
        struct expectation e;
        make_foreign(f->s, own, keep, &other);
        certs_of_chain(&other, &theirs);
        expect_signature(&e);
        forge_certs(f, d, &theirs, &e, "another chain from %zu on, signed by the own leaf", keep);
        f->signer = &other;
        expect_signature(&e);
        forge_certs(f, d, good, &e, "the own chain, signed by another's leaf from %zu on", keep);
        expect_ok(&e, bytes_of("", 0));
        forge_certs(f, d, &theirs, &e, "another chain from %zu on, signed by its leaf", keep);
        f->signer = own;
    }
}

/* The document signed by a key of the chain that is not the leaf's. */
static void signed_by_ca(struct forge *f, const struct draft *d, const struct mkdoc_chain *own)
{
    for (size_t i = 0; i + 1 < own->len; i++) {
        struct mkdoc_chain signer = *own; /* borrowed, not freed */
        struct expectation e;
        signer.key[own->len - 1] = own->key[i];
        f->signer = &signer;
        expect_signature(&e);
        forge_draft(f, d, &e, "signed by the key of cabundle[%zu]", i);
        f->signer = own;
    }
}

void change_bundle(struct run *run, const struct task *task)
{
    const struct mkdoc_chain *own = &task->s->chain;
    struct forge f = {.run = run, .s = task->s, .signer = own, .group = task->what};
    struct draft d;
    struct certs good;
    draft_of(task->s, &d);
    certs_of_chain(own, &good);
    drop_each(&f, &d, &good);
    duplicate_each(&f, &d, &good);
    reorder(&f, &d, &good);
    change_entries(&f, &d, &good);
    stretch_each(&f, &d, &good);
    lengthen_each(&f, &d, &good);
    foreign_chain(&f, &d, &good, own);
    other_chain(&f, &d, &good, own);
    signed_by_ca(&f, &d, own);
}

/* ---- recorded ones ---- */

/* A certificate of the chain that is not valid at the document's time is met before the
 * signatures; where all are, nobody signed this document with that leaf. */
static void expect_exchanged(struct expectation *e, const struct subject *s,
                             const struct subject *other)
{
    const size_t bundle_len = other->map.bundle_len;
    for (size_t i = 0; i <= bundle_len; i++) {
        const enum err err = expect_window(&other->cert[i], s->now_ms);
        if (err != ERR_OK) {
            expect_cert(e, err, bundle_len, i);
            return;
        }
    }
    expect_signature(e);
}

/* The chain of every other recorded document under the same root, in this one. */
void change_recorded_chain(struct run *run, const struct task *task)
{
    const struct subject *s = task->s;
    struct draft own;
    draft_of(s, &own);
    for (size_t n = 0; n < run->subjects->count; n++) {
        const struct subject *other = run->subjects->subject[n];
        if (other == s || other->trust != s->trust || !run_selects(run, s, task->what, n))
            continue;
        CLEANUP(buf_free) struct buf document = {0};
        CLEANUP(buf_free) struct buf payload = {0};
        struct draft theirs;
        struct draft changed = own;
        struct cbor_writer w;
        struct expectation e;
        draft_of(other, &theirs);
        changed.entry[draft_find(&own, FIELD_CERTIFICATE)].value =
            theirs.entry[draft_find(&theirs, FIELD_CERTIFICATE)].value;
        changed.entry[draft_find(&own, FIELD_CABUNDLE)].value =
            theirs.entry[draft_find(&theirs, FIELD_CABUNDLE)].value;
        draft_append(&changed, &payload);
        cbor_writer_init(&w, &document);
        cbor_writer_array(&w, 4);
        cbor_writer_bytes(&w, bytes_of("\xa1\x01\x38\x22", 4));
        cbor_writer_map(&w, 0);
        cbor_writer_bytes(&w, bytes_of_buf(&payload));
        cbor_writer_bytes(&w, bytes_of(s->document.ptr + s->document.len - 96, 96));
        MUST(cbor_writer_finish(&w));
        if (bytes_equal(subject_cert(s, s->map.bundle_len),
                        subject_cert(other, other->map.bundle_len)))
            continue; /* two documents of one leaf within its three hours */
        expect_exchanged(&e, s, other);
        run_check(run, s, bytes_of_buf(&document), &e, "the chain of %s", other->name);
    }
}
