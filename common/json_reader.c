#include "json_reader.h"

#include <stdlib.h>

#include "cbor_writer.h"
#include "codec.h"
#include "out_of_memory.h"

/* Numbers beyond 2^53-1 mean different things to different parsers. */
#define UINT_MAX_EXACT 9007199254740991

#define MAP_ENTRIES_MAX 256

/* jansson 2.14 passes over a NUL that follows a number or a literal. */
static enum err check_no_nul(struct bytes text, struct fault *fault)
{
    const uint8_t *nul = text.len == 0 ? NULL : memchr(text.ptr, '\0', text.len);
    if (nul != NULL)
        FAIL(fault_at(fault, (size_t)(nul - text.ptr), "%s", ""), ERR_MALFORMED,
             "a NUL byte in JSON");
    return ERR_OK;
}

/* Refuses deep nesting before a recursive parser sees it.  Brackets inside strings do
 * not count; whether the text is JSON at all is the parser's to say. */
static enum err check_depth(struct bytes text, struct fault *fault)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.ptr[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > JSON_DEPTH_MAX)
            FAIL(fault_at(fault, i, "%s", ""), ERR_MALFORMED, "JSON nested deeper than %d",
                 JSON_DEPTH_MAX);
    }
    return ERR_OK;
}

/* Before jansson sees any of it. */
static enum err begin(struct bytes text, struct fault *fault)
{
    TRY(check_no_nul(text, fault));
    TRY(check_depth(text, fault));
    (void)out_of_memory_seen();
    return ERR_OK;
}

/* What jansson made of it: a reference of the caller's, or NULL. */
static enum err end(json_t *made, const json_error_t *error, json_t **out, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *root = made;
    /* Even where it succeeded: jansson's reader goes on without the bytes of a string that
     * it had no room for. */
    if (out_of_memory_seen())
        FAIL(fault, ERR_NO_MEMORY, "out of memory reading JSON");
    if (root == NULL)
        FAIL(fault_at(fault, error->position < 0 ? FAULT_NO_OFFSET : (size_t)error->position, "%s",
                      ""),
             ERR_MALFORMED, "not JSON as required: %s", error->text);
    if (!json_is_object(root))
        FAIL(fault_at(fault, 0, "%s", ""), ERR_MALFORMED, "not a JSON object");
    *out = TAKE(root);
    return ERR_OK;
}

/* Without JSON_ALLOW_NUL jansson refuses \u0000, so that a C string is the whole string. */
#define LOAD_FLAGS JSON_REJECT_DUPLICATES

enum err json_reader_parse(struct bytes text, json_t **out, struct fault *fault)
{
    TRY(begin(text, fault));
    json_error_t error;
    json_t *root =
        json_loadb(text.len == 0 ? "" : (const char *)text.ptr, text.len, LOAD_FLAGS, &error);
    return end(root, &error, out, fault);
}

struct source {
    struct buf *text;
    size_t done; /* bytes of it that jansson has had */
};

/* Drops the first half of the text as soon as it is read, then half of the rest, and so on: that
 * moves each byte once at the most. */
static size_t next_piece(void *to, size_t size, void *context)
{
    struct source *s = context;
    const size_t left = s->text->len - s->done;
    const size_t len = left < size ? left : size;
    if (len > 0)
        memcpy(to, s->text->ptr + s->done, len);
    s->done += len;
    if (s->done > s->text->len / 2) {
        buf_drop(s->text, s->done);
        s->done = 0;
    }
    return len;
}

enum err json_reader_take(struct buf *text, json_t **out, struct fault *fault)
{
    CLEANUP(buf_free) struct buf own = {0};
    buf_move(&own, text);
    TRY(begin(bytes_of_buf(&own), fault));
    json_error_t error;
    struct source source = {.text = &own};
    json_t *root = json_load_callback(next_piece, &source, LOAD_FLAGS, &error);
    return end(root, &error, out, fault);
}

/* Places `fault` at member `name` of the object that `path` names. */
static struct fault *at_member(struct fault *fault, const char *path, const char *name)
{
    return fault_at(fault, FAULT_NO_OFFSET, "%s%s%s", path, path[0] == '\0' ? "" : ".", name);
}

static enum err check_known(json_t *object, const char *path, const struct json_member *members,
                            size_t count, struct fault *fault)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known = known || strcmp(members[i].name, name) == 0;
        if (!known)
            FAIL(at_member(fault, path, name), ERR_UNKNOWN_MEMBER,
                 "this request has no such member");
    }
    return ERR_OK;
}

static const char *type_name(enum json_member_type type)
{
    switch (type) {
    case JSON_MEMBER_TEXT:
        return "a string";
    case JSON_MEMBER_UINT:
        return "an integer of 0..2^53-1";
    case JSON_MEMBER_BOOL:
        return "true or false";
    case JSON_MEMBER_BASE64:
        return "a base64 string";
    case JSON_MEMBER_ARRAY:
        return "an array";
    case JSON_MEMBER_OBJECT:
        return "an object";
    }
    return "of a known type";
}

static bool type_fits(const json_t *value, enum json_member_type type)
{
    switch (type) {
    case JSON_MEMBER_TEXT:
    case JSON_MEMBER_BASE64:
        return json_is_string(value);
    case JSON_MEMBER_UINT:
        return json_is_integer(value) && json_integer_value(value) >= 0 &&
               json_integer_value(value) <= UINT_MAX_EXACT;
    case JSON_MEMBER_BOOL:
        return json_is_boolean(value);
    case JSON_MEMBER_ARRAY:
        return json_is_array(value);
    case JSON_MEMBER_OBJECT:
        return json_is_object(value);
    }
    return false;
}

static enum err read_member(json_t *value, const char *path, const struct json_member *member,
                            struct fault *fault)
{
    if (!type_fits(value, member->type))
        FAIL(at_member(fault, path, member->name), ERR_MALFORMED, "must be %s%s",
             type_name(member->type), json_is_null(value) ? "; absent, never null" : "");
    switch (member->type) {
    case JSON_MEMBER_TEXT:
        *(const char **)member->out = json_string_value(value);
        return ERR_OK;
    case JSON_MEMBER_UINT:
        *(uint64_t *)member->out = (uint64_t)json_integer_value(value);
        return ERR_OK;
    case JSON_MEMBER_BOOL:
        *(bool *)member->out = json_is_true(value);
        return ERR_OK;
    case JSON_MEMBER_ARRAY:
    case JSON_MEMBER_OBJECT:
        *(json_t **)member->out = value;
        return ERR_OK;
    case JSON_MEMBER_BASE64:
        break;
    }
    const struct bytes text = bytes_of(json_string_value(value), json_string_length(value));
    const enum err err = base64_decode(text, member->out);
    if (err != ERR_OK)
        FAIL(at_member(fault, path, member->name), err, "%s", err_sentence(err));
    return ERR_OK;
}

enum err json_reader_object(json_t *object, const char *path, enum json_mode mode,
                            const struct json_member *members, size_t count, struct fault *fault)
{
    if (!json_is_object(object))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), ERR_MALFORMED, "must be an object");
    if (mode == JSON_REQUEST)
        TRY(check_known(object, path, members, count, fault));
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(object, members[i].name);
        if (value != NULL)
            TRY(read_member(value, path, &members[i], fault));
        else if (members[i].required)
            FAIL(at_member(fault, path, members[i].name), ERR_MALFORMED, "this member is required");
    }
    return ERR_OK;
}

/* Where a text goes.  jansson does not ask what became of a key, and goes on: so it is kept. */
struct sink {
    struct buf *out;
    enum err err; /* the first */
};

/* jansson writes DEL as it is. */
static enum err append_escaped(struct buf *out, struct bytes text)
{
    while (text.len > 0) {
        const uint8_t *del = memchr(text.ptr, 0x7f, text.len);
        const size_t before = del == NULL ? text.len : (size_t)(del - text.ptr);
        TRY(buf_append(out, bytes_of(text.ptr, before)));
        if (del == NULL)
            return ERR_OK;
        TRY(buf_append_text(out, "\\u007F"));
        text = bytes_of(del + 1, text.len - before - 1);
    }
    return ERR_OK;
}

static int append_chunk(const char *text, size_t len, void *context)
{
    struct sink *sink = context;
    if (sink->err == ERR_OK)
        sink->err = append_escaped(sink->out, bytes_of(text, len));
    return sink->err == ERR_OK ? 0 : -1;
}

static enum err append(struct buf *out, const json_t *value, size_t flags)
{
    const size_t before = out->len;
    struct sink sink = {.out = out, .err = ERR_OK};
    if (json_dump_callback(value, append_chunk, &sink, flags | JSON_ENSURE_ASCII) == 0 &&
        sink.err == ERR_OK)
        return ERR_OK;
    out->len = before;
    return ERR_NO_MEMORY;
}

enum err json_append(struct buf *out, const json_t *value)
{
    return append(out, value, JSON_COMPACT | JSON_ENCODE_ANY);
}

enum err json_append_lines(struct buf *out, const json_t *value)
{
    return append(out, value, JSON_INDENT(2));
}

/* --- Objects of texts --- */

struct entry {
    struct bytes key;
    struct bytes value;
};

/* RFC 8949 section 4.2.1: by the encoded bytes, so by length first. */
static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    if (left->key.len != right->key.len)
        return left->key.len < right->key.len ? -1 : 1;
    return memcmp(left->key.ptr, right->key.ptr, left->key.len);
}

/* An object of texts as deterministic CBOR. */
enum err json_map_append(const char *name, json_t *object, struct buf *out, struct fault *fault)
{
    struct entry entry[MAP_ENTRIES_MAX];
    struct cbor_writer w;
    size_t count = 0;
    const char *key = NULL;
    json_t *value = NULL;
    if (json_object_size(object) > MAP_ENTRIES_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED, "more than %d entries",
             MAP_ENTRIES_MAX);
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s.%s", name, key), ERR_MALFORMED,
                 "must be a string");
        entry[count++] = (struct entry){
            bytes_of_text(key), bytes_of(json_string_value(value), json_string_length(value))};
    }
    qsort(entry, count, sizeof entry[0], compare_entries);
    cbor_writer_init(&w, out);
    cbor_writer_map(&w, count);
    for (size_t i = 0; i < count; i++) {
        cbor_writer_text(&w, entry[i].key);
        cbor_writer_text(&w, entry[i].value);
    }
    return cbor_writer_finish(&w);
}
