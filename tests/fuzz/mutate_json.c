/* The mutator of JSON: one value in a document that jansson can read is changed. */
#include <jansson.h>
#include <stdlib.h>

#include "common/codec.h"
#include "fuzz.h"

#define VALUES_MAX 512
#define DEPTH_MAX  24

CLEANUP_PTR(json_t, json_decref, json_decref_p)

/* A value, and where it stands. */
struct value {
    json_t *parent;
    const char *key; /* NULL: in an array */
    size_t index;
    json_t *json;
};

struct values {
    size_t count;
    struct value value[VALUES_MAX];
};

static void collect(struct values *values, json_t *json, unsigned depth)
{
    const char *key;
    size_t index;
    json_t *inner;
    if (depth == 0)
        return;
    json_object_foreach(json, key, inner)
    {
        if (values->count < VALUES_MAX)
            values->value[values->count++] = (struct value){json, key, 0, inner};
        collect(values, inner, depth - 1);
    }
    json_array_foreach(json, index, inner)
    {
        if (values->count < VALUES_MAX)
            values->value[values->count++] = (struct value){json, NULL, index, inner};
        collect(values, inner, depth - 1);
    }
}

static json_t *edge_value(unsigned *seed)
{
    static const json_int_t numbers[] = {0,
                                         1,
                                         -1,
                                         2,
                                         15,
                                         16,
                                         17,
                                         255,
                                         256,
                                         2147483647,
                                         2147483648,
                                         4294967296,
                                         9007199254740991,
                                         9007199254740992,
                                         INT64_MAX};
    static const char *const texts[] = {
        "",    "a",       "db/main", "payments@1.4.2", "AA==", "AAAA", "2026-11-23T00:00:00Z",
        "1,2", "enclave", "\xc3\xbc"};
    switch (fuzz_choose(seed, 8)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(fuzz_choose(seed, 2));
    case 2:
        return json_real(1.5);
    case 3:
        return json_object();
    case 4:
        return json_array();
    case 5:
        return json_string(texts[fuzz_choose(seed, ARRAY_LEN(texts))]);
    default:
        return json_integer(numbers[fuzz_choose(seed, ARRAY_LEN(numbers))]);
    }
}

/* The text, or the bytes that it is the base64 of, changed by libFuzzer. */
static json_t *changed_text(const json_t *json, unsigned *seed)
{
    uint8_t content[4096];
    CLEANUP(buf_free) struct buf value = {0};
    CLEANUP(buf_free) struct buf text = {0};
    const struct bytes old = bytes_of(json_string_value(json), json_string_length(json));
    const bool binary = fuzz_choose(seed, 2) == 0 && base64_decode(old, &value) == ERR_OK;
    const struct bytes from = binary ? bytes_of_buf(&value) : old;
    if (from.len > sizeof content - 64)
        return json_string("");
    if (from.len > 0)
        memcpy(content, from.ptr, from.len);
    const size_t len = LLVMFuzzerMutate(content, from.len, from.len + 64);
    if (binary)
        FUZZ_OK(base64_append(&text, bytes_of(content, len)));
    else
        FUZZ_OK(buf_append(&text, bytes_of(content, len)));
    return json_stringn(text.len == 0 ? "" : (const char *)text.ptr, text.len);
}

static void put(const struct value *at, json_t *json)
{
    if (at->key != NULL)
        (void)json_object_set_new(at->parent, at->key, json);
    else
        (void)json_array_set_new(at->parent, at->index, json);
}

static void change(struct values *values, unsigned *seed)
{
    const struct value *at = &values->value[fuzz_choose(seed, (uint32_t)values->count)];
    const struct value *other = &values->value[fuzz_choose(seed, (uint32_t)values->count)];
    switch (fuzz_choose(seed, 8)) {
    case 0:
        put(at, edge_value(seed));
        return;
    case 1:
        if (at->key != NULL)
            (void)json_object_del(at->parent, at->key);
        else
            (void)json_array_remove(at->parent, at->index);
        return;
    case 2:
        put(at, json_deep_copy(other->json));
        return;
    case 3: /* once more: an entry of its array, or a member of another object */
        if (at->key == NULL)
            (void)json_array_append_new(at->parent, json_deep_copy(at->json));
        else if (json_is_object(other->parent))
            (void)json_object_set_new(other->parent, at->key, json_deep_copy(at->json));
        return;
    case 4:
        if (json_is_object(at->parent))
            (void)json_object_set_new(at->parent, fuzz_choose(seed, 2) == 0 ? "version" : "junk",
                                      edge_value(seed));
        return;
    default:
        if (json_is_string(at->json))
            put(at, changed_text(at->json, seed));
        else if (json_is_integer(at->json))
            put(at, json_integer(json_integer_value(at->json) + fuzz_choose(seed, 5) - 2));
        else
            put(at, edge_value(seed));
        return;
    }
}

size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static struct values values;
    CLEANUP(buf_free) struct buf whole = {0};
    CLEANUP(json_decref_p) json_t *json = NULL;
    if (fuzz_choose(&seed, 4) > 0)
        json = json_loadb((const char *)data, size, 0, NULL);
    values.count = 0;
    collect(&values, json, DEPTH_MAX);
    if (values.count == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    change(&values, &seed);
    char *text = json_dumps(json, JSON_COMPACT);
    if (text == NULL)
        return size;
    FUZZ_OK(buf_append_text(&whole, text));
    free(text);
    return fuzz_replace(data, size, max_size, &whole);
}
