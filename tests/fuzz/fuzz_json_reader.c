/* Any text as one JSON object, read by a table of members as a request and as an answer.
 * What is read is written and read again as the same. */
#include <stdlib.h>

#include "common/json_reader.h"
#include "fuzz.h"

CLEANUP_PTR(json_t, json_decref, json_decref_p)

static unsigned depth_of(json_t *json)
{
    unsigned deepest = 0;
    const char *key;
    size_t index;
    json_t *inner;
    json_object_foreach(json, key, inner)
    {
        const unsigned depth = depth_of(inner);
        deepest = depth > deepest ? depth : deepest;
    }
    json_array_foreach(json, index, inner)
    {
        const unsigned depth = depth_of(inner);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (json_is_object(json) || json_is_array(json));
}

static enum err read_members(json_t *json, enum json_mode mode, struct fault *fault)
{
    const char *text = NULL;
    uint64_t number = UINT64_MAX;
    bool flag = false;
    CLEANUP(buf_free) struct buf binary = {0};
    json_t *array = NULL, *object = NULL;
    const struct json_member members[] = {
        {"text", JSON_MEMBER_TEXT, false, &text},    {"uint", JSON_MEMBER_UINT, true, &number},
        {"bool", JSON_MEMBER_BOOL, false, &flag},    {"bytes", JSON_MEMBER_BASE64, false, &binary},
        {"array", JSON_MEMBER_ARRAY, false, &array}, {"object", JSON_MEMBER_OBJECT, false, &object},
    };
    TRY(json_reader_object(json, "path", mode, members, ARRAY_LEN(members), fault));
    FUZZ_HOLDS(number <= UINT64_C(9007199254740991));
    FUZZ_HOLDS(text == NULL || strlen(text) == json_string_length(json_object_get(json, "text")));
    FUZZ_HOLDS(array == NULL || json_is_array(array));
    FUZZ_HOLDS(object == NULL || json_is_object(object));
    return ERR_OK;
}

/* Taken over, a text is what it is when it is only lent. */
static void check_taken(struct bytes in, enum err expected, const struct fault *lent, json_t *json)
{
    CLEANUP(json_decref_p) json_t *taken = NULL;
    CLEANUP(buf_free) struct buf text = {0};
    struct fault fault = FAULT_NONE;
    FUZZ_OK(buf_append(&text, in));
    FUZZ_HOLDS(json_reader_take(&text, &taken, &fault) == expected && text.ptr == NULL);
    FUZZ_HOLDS(fault.offset == lent->offset && strcmp(fault.detail, lent->detail) == 0);
    FUZZ_HOLDS(json == NULL ? taken == NULL : json_equal(json, taken) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    CLEANUP(json_decref_p) json_t *again = NULL;
    CLEANUP(json_decref_p) json_t *json = NULL;
    CLEANUP(buf_free) struct buf text = {0};
    struct fault fault = FAULT_NONE;
    enum err err = json_reader_parse(in, &json, &fault);
    fuzz_check(err, &fault, 0, size, NULL, 0);
    FUZZ_HOLDS((err == ERR_OK) == (json != NULL));
    check_taken(in, err, &fault, json);
    if (err != ERR_OK)
        return 0;
    FUZZ_HOLDS(json_is_object(json) && depth_of(json) <= JSON_DEPTH_MAX);
    FUZZ_OK(json_append(&text, json));
    FUZZ_OK(json_reader_parse(bytes_of_buf(&text), &again, NULL));
    FUZZ_HOLDS(json_equal(json, again) == 1);
    err = read_members(json, JSON_REQUEST, &fault);
    fuzz_check(err, &fault, 0, size, NULL, 0);
    /* An answer may hold more than we know, never less. */
    const enum err lenient = read_members(json, JSON_ANSWER, &fault);
    FUZZ_HOLDS(lenient == err || err == ERR_UNKNOWN_MEMBER);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_json(data, size, max_size, seed);
}
