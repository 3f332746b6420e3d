/* Any bytes as a sequence of CBOR items.  What is strict has one encoding: written again it
 * is the same.  Peeking and the typed readers agree with cbor_reader_next; skipping a whole
 * item ends where counting its heads ends. */
#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "fuzz.h"

#define BASE  100 /* where the input begins in what is called the input */
#define DEPTH 6

/* How many items are still to come in each container that is open. */
struct nesting {
    uint64_t left[DEPTH + 1];
    unsigned depth;
    bool too_deep;
    size_t end; /* of the first whole item; 0: not yet */
};

static void count_item(struct nesting *n, const struct cbor_item *item, size_t pos)
{
    if (n->end != 0 || n->too_deep || item->kind == CBOR_KIND_TAG)
        return;
    n->left[n->depth]--;
    if (item->kind == CBOR_KIND_ARRAY || item->kind == CBOR_KIND_MAP) {
        n->too_deep = n->depth == DEPTH;
        if (n->too_deep)
            return;
        n->left[++n->depth] = item->kind == CBOR_KIND_MAP ? 2 * item->value : item->value;
    }
    while (n->depth > 0 && n->left[n->depth] == 0)
        n->depth--;
    if (n->depth == 0 && n->left[0] == 0)
        n->end = pos;
}

/* Each typed reader takes exactly the items of its kind, and stands still otherwise. */
static void check_typed(const struct cbor_reader *r, const struct cbor_item *item, size_t next)
{
    struct cbor_reader copy[6] = {*r, *r, *r, *r, *r, *r};
    uint64_t number = 0, count = 0;
    bool flag = false;
    struct bytes bytes = {0}, text = {0};
    struct cbor_map map = {0};
    const bool took[] = {
        cbor_reader_uint(&copy[0], &number) == ERR_OK,
        cbor_reader_bytes(&copy[1], &bytes) == ERR_OK,
        cbor_reader_text(&copy[2], &text) == ERR_OK,
        cbor_reader_array(&copy[3], &count) == ERR_OK,
        cbor_reader_map(&copy[4], false, &map) == ERR_OK,
        cbor_reader_bool(&copy[5], &flag) == ERR_OK,
    };
    const bool expected[] = {
        item->kind == CBOR_KIND_UINT, item->kind == CBOR_KIND_BYTES,
        item->kind == CBOR_KIND_TEXT, item->kind == CBOR_KIND_ARRAY,
        item->kind == CBOR_KIND_MAP,  item->kind == CBOR_KIND_TRUE || item->kind == CBOR_KIND_FALSE,
    };
    for (size_t i = 0; i < ARRAY_LEN(took); i++) {
        FUZZ_HOLDS(took[i] == expected[i]);
        FUZZ_HOLDS(copy[i].pos == (took[i] ? next : r->pos));
    }
    FUZZ_HOLDS(!took[0] || number == item->value);
    FUZZ_HOLDS(!took[1] || bytes_equal(bytes, item->string));
    FUZZ_HOLDS(!took[2] || bytes_equal(text, item->string));
    FUZZ_HOLDS(!took[3] || count == item->value);
    FUZZ_HOLDS(!took[4] || (map.left == item->value && !map.indefinite));
    FUZZ_HOLDS(!took[5] || flag == (item->kind == CBOR_KIND_TRUE));
    copy[0] = copy[1] = *r;
    FUZZ_HOLDS((cbor_reader_expect_uint(&copy[0], item->value) == ERR_OK) == took[0]);
    FUZZ_HOLDS((cbor_reader_expect_array(&copy[1], item->value) == ERR_OK) == took[3]);
}

static void write_again(struct cbor_writer *w, const struct cbor_item *item, struct bytes head)
{
    switch (item->kind) {
    case CBOR_KIND_UINT:
        cbor_writer_uint(w, item->value);
        break;
    case CBOR_KIND_BYTES:
        cbor_writer_bytes(w, item->string);
        break;
    case CBOR_KIND_TEXT:
        cbor_writer_text(w, item->string);
        break;
    case CBOR_KIND_ARRAY:
        cbor_writer_array(w, item->value);
        break;
    case CBOR_KIND_MAP:
        cbor_writer_map(w, item->value);
        break;
    case CBOR_KIND_TAG:
        cbor_writer_tag(w, item->value);
        break;
    case CBOR_KIND_FALSE:
    case CBOR_KIND_TRUE:
        cbor_writer_bool(w, item->kind == CBOR_KIND_TRUE);
        break;
    case CBOR_KIND_NULL:
        cbor_writer_null(w);
        break;
    default: /* the writer has none of these */
        cbor_writer_raw(w, head);
        break;
    }
}

static void walk(struct bytes in, struct nesting *nesting)
{
    struct fault fault = FAULT_NONE;
    struct cbor_reader r;
    struct cbor_writer w;
    CLEANUP(buf_free) struct buf again = {0};
    cbor_reader_init(&r, in, BASE, "item", &fault);
    cbor_writer_init(&w, &again);
    enum err err = ERR_OK;
    while (r.pos < in.len && err == ERR_OK) {
        const struct cbor_reader before = r;
        struct cbor_item item, peeked;
        FUZZ_FILL(&item);
        err = cbor_reader_next(&r, &item);
        fuzz_check(err, &fault, BASE, in.len, &item, sizeof item);
        FUZZ_HOLDS(err == ERR_OK ? r.pos > before.pos : r.pos == before.pos);
        if (err != ERR_OK)
            break;
        struct cbor_reader same = before;
        same.fault = NULL;
        FUZZ_OK(cbor_reader_peek(&same, &peeked));
        FUZZ_HOLDS(same.pos == before.pos && peeked.kind == item.kind &&
                   peeked.value == item.value);
        FUZZ_HOLDS(item.offset == BASE + before.pos && !item.indefinite);
        FUZZ_HOLDS(fuzz_within(item.string, in));
        check_typed(&same, &item, r.pos);
        write_again(&w, &item, bytes_of(in.ptr + before.pos, r.pos - before.pos));
        count_item(nesting, &item, r.pos);
    }
    FUZZ_OK(cbor_writer_finish(&w));
    FUZZ_HOLDS(again.len == r.pos && (r.pos == 0 || memcmp(again.ptr, in.ptr, r.pos) == 0));
    FUZZ_HOLDS((cbor_reader_end(&r) == ERR_OK) == (r.pos == in.len));
}

/* A map up to its end, where it may be indefinite: as many entries as were announced. */
static void read_map(struct bytes in)
{
    struct fault fault = FAULT_NONE;
    struct cbor_reader r;
    struct cbor_map map;
    cbor_reader_init(&r, in, 0, "map", &fault);
    if (cbor_reader_map(&r, true, &map) != ERR_OK)
        return;
    const uint64_t announced = map.left;
    uint64_t entries = 0;
    bool more = false;
    enum err err = cbor_reader_map_more(&r, &map, &more);
    while (err == ERR_OK && more) {
        err = cbor_reader_skip(&r, DEPTH);
        if (err == ERR_OK)
            err = cbor_reader_skip(&r, DEPTH);
        if (err == ERR_OK)
            err = cbor_reader_map_more(&r, &map, &more);
        entries++;
    }
    fuzz_check(err, &fault, 0, in.len, NULL, 0);
    FUZZ_HOLDS(err != ERR_OK || map.indefinite || entries == announced);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    struct nesting nesting = {.left = {1}};
    walk(in, &nesting);
    read_map(in);
    struct cbor_reader r;
    cbor_reader_init(&r, in, 0, "skip", NULL);
    const bool skipped = cbor_reader_skip(&r, DEPTH) == ERR_OK;
    FUZZ_HOLDS(skipped == (nesting.end != 0));
    FUZZ_HOLDS(r.pos == nesting.end);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_cbor(data, size, max_size, seed);
}
