/* The strict reader and the writer over published CBOR: RFC 8949's appendices A and F,
 * other decoders' malformed inputs, and deterministic items of the dag-cbor fixtures. */
#include "unit.h"

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "common/codec.h"
#include "shared.h"

SHARED_DEMAND("vectors/cbor")

#define DEPTH_MAX 16

/* Integers as doubles: the file holds some that jansson's 64 bits do not. */
static json_t *vectors(const char *name)
{
    char path[SHARED_PATH_MAX];
    shared_path(name, path);
    json_error_t error;
    json_t *json = json_load_file(path, JSON_DECODE_INT_AS_REAL, &error);
    ck_assert_msg(json != NULL, "%s:%d: %s", path, error.line, error.text);
    return json;
}

static void bytes_from_hex(const char *hex, struct buf *out)
{
    ck_ok(buf_reserve(out, strlen(hex) / 2 + 1));
    ck_ok(hex_decode(bytes_of_text(hex), out->ptr, strlen(hex) / 2));
    out->len = strlen(hex) / 2;
}

/* One whole item and no more, as liberal as the reader can be: the outer map may be
 * of indefinite length. */
static enum err read_whole(struct cbor_reader *r)
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

/* What malformed.json's class comes to.  Indefinite strings and arrays end the reading
 * before whatever is wrong inside them. */
static enum err malformed_expected(const char *class, const char *hex)
{
    if (strncmp(hex, "5f", 2) == 0 || strncmp(hex, "7f", 2) == 0 || strncmp(hex, "9f", 2) == 0)
        return ERR_CBOR_NOT_STRICT;
    if (strcmp(class, "trailing-bytes") == 0)
        return ERR_CBOR_TRAILING;
    if (strcmp(hex, "62c328") == 0)
        return ERR_UTF8;
    return ERR_CBOR_MALFORMED;
}

START_TEST(junk_malformed)
{
    json_auto_t *rows = vectors("vectors/cbor/malformed.json");
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(rows, i, row)
    {
        const char *hex = shared_text(row, "hex");
        CLEANUP(buf_free) struct buf in = {0};
        bytes_from_hex(hex, &in);
        struct cbor_reader r;
        cbor_reader_init(&r, bytes_of_buf(&in), 0, "x", NULL);
        const enum err err = read_whole(&r);
        const enum err expected = malformed_expected(shared_text(row, "class"), hex);
        ck_assert_msg(err == expected, "%s %s: got %s, expected %s", shared_text(row, "id"), hex,
                      err_wire(err), err_wire(expected));
    }
    ck_assert_uint_ge(i, 88);
}
END_TEST

/* Appendix A: what we do not read, or not into a JSON value.  `err` is what the reader
 * says to the whole item; `kind` is the head's where there is one. */
static const struct other {
    const char *id;
    enum err err;
    enum cbor_kind kind;
    const char *why;
} others[] = {
    {"a-011", ERR_OK, CBOR_KIND_TAG, "a bignum"},
    {"a-018", ERR_OK, CBOR_KIND_FLOAT, "floats are recognised, not read"},
    {"a-019", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-020", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-025", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-027", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-028", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-029", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-030", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-031", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-035", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-036", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-038", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-039", ERR_OK, CBOR_KIND_FLOAT, ""},
    {"a-043", ERR_OK, CBOR_KIND_UNDEFINED, "has no JSON"},
    {"a-046", ERR_OK, CBOR_KIND_SIMPLE, "has no JSON"},
    {"a-047", ERR_OK, CBOR_KIND_TAG, "a date as text"},
    {"a-049", ERR_OK, CBOR_KIND_TAG, "a date as a float"},
    {"a-050", ERR_OK, CBOR_KIND_TAG, "an expected conversion"},
    {"a-052", ERR_OK, CBOR_KIND_TAG, "a URI"},
    {"a-054", ERR_OK, CBOR_KIND_BYTES, "has no JSON; test_cbor_reader reads it"},
    {"a-067", ERR_OK, CBOR_KIND_MAP, "integer keys have no JSON"},
    {"a-073", ERR_CBOR_NOT_STRICT, CBOR_KIND_ARRAY, "an array of indefinite length"},
    {"a-075", ERR_CBOR_NOT_STRICT, CBOR_KIND_ARRAY, "an array of indefinite length"},
    {"a-077", ERR_CBOR_NOT_STRICT, CBOR_KIND_ARRAY, "an array of indefinite length inside"},
    {"a-079", ERR_CBOR_NOT_STRICT, CBOR_KIND_MAP, "an array of indefinite length inside"},
    {"a-080", ERR_CBOR_NOT_STRICT, CBOR_KIND_ARRAY, "an inner map of indefinite length"},
};

static const struct other *other_of(const char *id)
{
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (strcmp(others[i].id, id) == 0)
            return &others[i];
    }
    return NULL;
}

static void ck_other(const struct other *other, struct bytes in)
{
    struct cbor_reader r;
    cbor_reader_init(&r, in, 0, "x", NULL);
    const enum err err = read_whole(&r);
    ck_assert_msg(err == other->err, "%s (%s): got %s, expected %s", other->id, other->why,
                  err_wire(err), err_wire(other->err));
    if (err != ERR_OK)
        return;
    cbor_reader_init(&r, in, 0, "x", NULL);
    struct cbor_item item = {0};
    ck_ok(cbor_reader_next(&r, &item));
    ck_assert_msg(item.kind == other->kind, "%s (%s)", other->id, other->why);
}

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

START_TEST(valid_appendix_a)
{
    json_auto_t *rows = vectors("vectors/cbor/appendix_a.json");
    size_t i = 0;
    size_t seen_others = 0;
    json_t *row = NULL;
    json_array_foreach(rows, i, row)
    {
        const char *id = shared_text(row, "id");
        CLEANUP(buf_free) struct buf in = {0};
        bytes_from_hex(shared_text(row, "hex"), &in);
        const struct other *other = other_of(id);
        if (other != NULL) {
            seen_others++;
            ck_other(other, bytes_of_buf(&in));
            continue;
        }
        const json_t *decoded = json_object_get(row, "decoded");
        ck_assert_msg(decoded != NULL, "%s has no value", id);
        struct cbor_reader r;
        cbor_reader_init(&r, bytes_of_buf(&in), 0, "x", NULL);
        ck_value(&r, decoded, id);
        ck_ok(cbor_reader_end(&r));
    }
    ck_assert_uint_ge(i, 49);
    ck_assert_uint_eq(seen_others, ARRAY_LEN(others));
}
END_TEST

/* Writes again what it reads, `count` items; floats and negative integers as they are,
 * for nobody writes them. */
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
            ck_assert_uint_eq(item.kind, CBOR_KIND_FLOAT);
            cbor_writer_raw(w, bytes_of(r->in.ptr + start, r->pos - start));
        }
    }
}

START_TEST(valid_deterministic)
{
    json_auto_t *rows = vectors("vectors/cbor/dag_cbor_valid.json");
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(rows, i, row)
    {
        CLEANUP(buf_free) struct buf in = {0};
        bytes_from_hex(shared_text(row, "hex"), &in);
        struct cbor_reader r;
        cbor_reader_init(&r, bytes_of_buf(&in), 0, "x", NULL);
        CLEANUP(buf_free) struct buf out = {0};
        struct cbor_writer w;
        cbor_writer_init(&w, &out);
        transcode(&r, &w, 1);
        ck_ok(cbor_reader_end(&r));
        ck_ok(cbor_writer_finish(&w));
        ck_assert_msg(bytes_equal(bytes_of_buf(&in), bytes_of_buf(&out)), "%s",
                      shared_text(row, "name"));
    }
    ck_assert_uint_ge(i, 41);
}
END_TEST

UNIT_MAIN("cbor_vectors", junk_malformed, valid_appendix_a, valid_deterministic)
