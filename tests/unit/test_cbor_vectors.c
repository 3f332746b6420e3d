/* The strict reader and the writer over published CBOR: RFC 8949's appendices A and F,
 * other decoders' malformed inputs, and deterministic items of the dag-cbor fixtures.
 * Of each good item, what DESIGN section 4 calls strict: cut off, with a byte behind it,
 * with its head in a longer form. */
#include "vectors.h"

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"

SHARED_DEMAND("vectors/cbor")

#define DEPTH_MAX 16

/* Integers as doubles: a file holds some that jansson's 64 bits do not. */
static json_t *rows_of(const char *name)
{
    char path[SHARED_PATH_MAX];
    shared_path(name, path);
    json_error_t error;
    json_t *json = json_load_file(path, JSON_DECODE_INT_AS_REAL, &error);
    ck_assert_msg(json != NULL, "%s:%d: %s", path, error.line, error.text);
    return json;
}

/* One whole item and no more, as liberal as the reader can be: the outer map may be
 * of indefinite length. */
static enum err read_item(struct cbor_reader *r)
{
    if (r->in.len == 0 || r->in.ptr[0] != 0xbf) {
        TRY(cbor_reader_skip(r, DEPTH_MAX));
        return cbor_reader_end(r);
    }
    struct cbor_map map = {0};
    TRY(cbor_reader_map(r, true, &map));
    for (bool more = true;;) {
        TRY(cbor_reader_map_more(r, &map, &more));
        if (!more)
            return cbor_reader_end(r);
        TRY(cbor_reader_skip(r, DEPTH_MAX));
        TRY(cbor_reader_skip(r, DEPTH_MAX));
    }
}

static enum err read_whole(struct bytes in)
{
    struct cbor_reader r;
    struct fault fault = FAULT_NONE;
    cbor_reader_init(&r, in, 0, "x", &fault);
    const enum err err = read_item(&r);
    ck_assert_int_eq(fault.code, err);
    return err;
}

/* ---- what is not well-formed ---- */

START_TEST(malformed)
{
    struct vectors v;
    vectors_begin(&v, "cbor_vectors:malformed");
    for (size_t f = 0; f < v.files.gl_pathc; f++) {
        json_auto_t *rows = rows_of(vectors_file(&v, f));
        size_t i = 0;
        json_t *row = NULL;
        json_array_foreach(rows, i, row)
        {
            CLEANUP(buf_free) struct buf in = vectors_member(row, "hex");
            const bool trailing = strcmp(shared_text(row, "class"), "trailing-bytes") == 0;
            char name[VECTORS_NAME_MAX];
            snprintf(name, sizeof name, "%s %s", shared_text(row, "id"), shared_text(row, "hex"));
            vectors_judge(&v, vectors_file(&v, f), name, VECTORS_INVALID,
                          trailing ? ERR_CBOR_TRAILING : ERR_CBOR_MALFORMED,
                          read_whole(bytes_of_buf(&in)));
        }
    }
    vectors_end(&v);
}
END_TEST

/* The next item is that JSON value. */
static void ck_value(struct cbor_reader *r, const json_t *json, const char *id)
{
    struct cbor_item item = {0};
    ck_ok(cbor_reader_next(r, &item));
    const struct bytes text = item.string;
    size_t i = 0;
    json_t *entry = NULL;
    switch (item.kind) {
    case CBOR_KIND_UINT:
        ck_assert_msg((double)item.value == json_real_value(json), "%s", id);
        return;
    case CBOR_KIND_NINT:
        ck_assert_msg(-1.0 - (double)item.value == json_real_value(json), "%s", id);
        return;
    case CBOR_KIND_TEXT:
        ck_assert_msg(json_is_string(json) && bytes_equal_text(text, json_string_value(json)), "%s",
                      id);
        return;
    case CBOR_KIND_TRUE:
        ck_assert_msg(json_is_true(json), "%s", id);
        return;
    case CBOR_KIND_NULL:
        ck_assert_msg(json_is_null(json), "%s", id);
        return;
    case CBOR_KIND_ARRAY:
        ck_assert_msg(json_is_array(json) && json_array_size(json) == item.value, "%s", id);
        json_array_foreach(json, i, entry) ck_value(r, entry, id);
        return;
    case CBOR_KIND_MAP:
        ck_assert_msg(json_is_object(json) && json_object_size(json) == item.value, "%s", id);
        for (; i < item.value; i++) {
            struct bytes key = {0};
            ck_ok(cbor_reader_text(r, &key));
            char name[32] = {0};
            ck_assert_uint_lt(key.len, sizeof name);
            memcpy(name, key.ptr, key.len);
            entry = json_object_get(json, name);
            ck_assert_msg(entry != NULL, "%s: %s", id, name);
            ck_value(r, entry, id);
        }
        return;
    default:
        ck_abort_msg("%s: of a kind that has no JSON", id);
    }
}

/* A tag or a float is recognised and not read: it has no value to compare. */
static bool has_value(const json_t *row, struct bytes in)
{
    return json_object_get(row, "decoded") != NULL && in.ptr[0] >> 5 != 6 &&
           !(in.ptr[0] >= 0xf9 && in.ptr[0] <= 0xfb);
}

/* Writes again what it reads, `count` items; negative integers, floats and other simple
 * values as they are, for nobody writes them. */
static void transcode(struct cbor_reader *r, struct cbor_writer *w, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const size_t start = r->pos;
        struct cbor_item item = {0};
        ck_ok(cbor_reader_next(r, &item));
        switch (item.kind) {
        case CBOR_KIND_UINT:
            cbor_writer_uint(w, item.value);
            break;
        case CBOR_KIND_NINT:
            cbor_writer_raw(w, bytes_of(r->in.ptr + start, r->pos - start));
            break;
        case CBOR_KIND_BYTES:
            cbor_writer_bytes(w, item.string);
            break;
        case CBOR_KIND_TEXT:
            cbor_writer_text(w, item.string);
            break;
        case CBOR_KIND_ARRAY:
            cbor_writer_array(w, item.value);
            transcode(r, w, item.value);
            break;
        case CBOR_KIND_MAP:
            cbor_writer_map(w, item.value);
            transcode(r, w, 2 * item.value);
            break;
        case CBOR_KIND_TAG:
            cbor_writer_tag(w, item.value);
            transcode(r, w, 1);
            break;
        case CBOR_KIND_FALSE:
        case CBOR_KIND_TRUE:
            cbor_writer_bool(w, item.kind == CBOR_KIND_TRUE);
            break;
        case CBOR_KIND_NULL:
            cbor_writer_null(w);
            break;
        default:
            cbor_writer_raw(w, bytes_of(r->in.ptr + start, r->pos - start));
        }
    }
}

/* What the reader reads is what the writer writes. */
static void ck_same_again(struct bytes in, const char *name)
{
    struct cbor_reader r;
    cbor_reader_init(&r, in, 0, "x", NULL);
    CLEANUP(buf_free) struct buf out = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &out);
    transcode(&r, &w, 1);
    ck_ok(cbor_reader_end(&r));
    ck_ok(cbor_writer_finish(&w));
    ck_assert_msg(bytes_equal(in, bytes_of_buf(&out)), "%s", name);
}

/* The item with its head in the next longer form; false where it has none (a simple value,
 * a float, eight bytes of head). */
static bool lengthen(struct bytes in, struct buf *out)
{
    const uint8_t major = in.ptr[0] & 0xe0, info = in.ptr[0] & 0x1f;
    const size_t argument = info < 24 ? 0 : (size_t)1 << (info - 24);
    if (major == 0xe0 || argument == 8)
        return false;
    const uint8_t longer[] = {(uint8_t)(major | (info < 24 ? 24 : info + 1))};
    static const uint8_t zeros[4];
    ck_ok(buf_append(out, bytes_of(longer, 1)));
    ck_ok(buf_append(out, bytes_of(zeros, argument)));
    ck_ok(buf_append(out, info < 24 ? bytes_of(&info, 1) : bytes_of(in.ptr + 1, argument)));
    ck_ok(buf_append(out, bytes_of(in.ptr + 1 + argument, in.len - 1 - argument)));
    return true;
}

static void ck_strict(struct bytes in, const char *name)
{
    for (size_t len = 0; len < in.len; len++) {
        const enum err err = read_whole(bytes_of(in.ptr, len));
        ck_assert_msg(err == ERR_CBOR_MALFORMED, "%s, cut off at %zu: %s", name, len,
                      err_wire(err));
    }
    CLEANUP(buf_free) struct buf more = {0};
    ck_ok(buf_append(&more, in));
    ck_ok(buf_append(&more, bytes_of("\0", 1)));
    const enum err trailing = read_whole(bytes_of_buf(&more));
    ck_assert_msg(trailing == ERR_CBOR_TRAILING, "%s and a byte: %s", name, err_wire(trailing));
    CLEANUP(buf_free) struct buf longer = {0};
    if (!lengthen(in, &longer))
        return;
    const enum err err = read_whole(bytes_of_buf(&longer));
    ck_assert_msg(err == ERR_CBOR_NOT_STRICT, "%s, not in its shortest form: %s", name,
                  err_wire(err));
}

static void judge_good(struct vectors *v, const char *file, const json_t *row)
{
    CLEANUP(buf_free) struct buf item = vectors_member(row, "hex");
    const struct bytes in = bytes_of_buf(&item);
    const char *id = json_string_value(json_object_get(row, "id"));
    char name[VECTORS_NAME_MAX];
    snprintf(name, sizeof name, "%s %.64s", id == NULL ? shared_text(row, "name") : id,
             shared_text(row, "hex"));
    const enum err err = read_whole(in);
    vectors_judge(v, file, name, VECTORS_VALID, ERR_OK, err);
    if (err != ERR_OK)
        return;
    ck_same_again(in, name);
    ck_strict(in, name);
    if (!has_value(row, in))
        return;
    struct cbor_reader r;
    cbor_reader_init(&r, in, 0, "x", NULL);
    ck_value(&r, json_object_get(row, "decoded"), name);
    ck_ok(cbor_reader_end(&r));
}

START_TEST(good)
{
    struct vectors v;
    vectors_begin(&v, "cbor_vectors:good");
    for (size_t f = 0; f < v.files.gl_pathc; f++) {
        json_auto_t *rows = rows_of(vectors_file(&v, f));
        size_t i = 0;
        json_t *row = NULL;
        json_array_foreach(rows, i, row) judge_good(&v, vectors_file(&v, f), row);
    }
    vectors_end(&v);
}
END_TEST

UNIT_MAIN("cbor_vectors", malformed, good)
