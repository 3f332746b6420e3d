/* JSONTestSuite over the reader: what must be refused is, what must parse does unless
 * a rule of ours forbids it.
 *
 * Most of its texts are arrays, which no message of ours is; so each also runs as the
 * value of a member, where its own content decides. */
#include "unit.h"

#include <dirent.h>

#include "common/json_reader.h"
#include "shared.h"

#define FOLDER "vectors/json-parsing/test_parsing"

SHARED_DEMAND(FOLDER)

/* Cases of `y_` that the reader refuses all the same, wherever they stand. */
static const struct stricter {
    const char *name;
    const char *why;
} stricter[] = {
    {"y_object_duplicated_key.json", "a member twice"},
    {"y_object_duplicated_key_and_value.json", "a member twice"},
    {"y_string_null_escape.json", "NUL in a string"},
};

static bool is_stricter(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(stricter); i++) {
        if (strcmp(stricter[i].name, name) == 0)
            return true;
    }
    return false;
}

static enum err parse(struct bytes text)
{
    CLEANUP(json_decrefp) json_t *root = NULL;
    struct fault fault = FAULT_NONE;
    const enum err err = json_reader_parse(text, &root, &fault);
    ck_assert_int_eq(fault.code, err);
    ck_assert_int_eq(root == NULL, err != ERR_OK);
    return err;
}

static enum err parse_wrapped(struct bytes text)
{
    CLEANUP(buf_free) struct buf wrapped = {0};
    ck_ok(buf_append_text(&wrapped, "{\"a\":"));
    ck_ok(buf_append(&wrapped, text));
    ck_ok(buf_append_text(&wrapped, "}"));
    return parse(bytes_of_buf(&wrapped));
}

static bool begins_object(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(" \t\r\n", text.ptr[i]) == NULL)
            return text.ptr[i] == '{';
    }
    return false;
}

static void judge(const char *name)
{
    char path[SHARED_PATH_MAX];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    CLEANUP(buf_free) struct buf text = {0};
    shared_read(path, &text);
    const enum err plain = parse(bytes_of_buf(&text));
    const enum err wrapped = parse_wrapped(bytes_of_buf(&text));
    const bool valid = name[0] == 'y' && !is_stricter(name);
    enum err expected = valid && begins_object(bytes_of_buf(&text)) ? ERR_OK : ERR_MALFORMED;
    /* `i_`: either way, without a crash, and in one of the two words. */
    if (name[0] == 'i')
        expected = plain == ERR_OK ? ERR_OK : ERR_MALFORMED;
    ck_assert_msg(plain == expected, "%s: got %s, expected %s", name, err_wire(plain),
                  err_wire(expected));
    expected = valid || (name[0] == 'i' && wrapped == ERR_OK) ? ERR_OK : ERR_MALFORMED;
    ck_assert_msg(wrapped == expected, "%s as a member: got %s, expected %s", name,
                  err_wire(wrapped), err_wire(expected));
}

START_TEST(valid_and_junk_suite)
{
    char path[SHARED_PATH_MAX];
    shared_path(FOLDER, path);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    size_t count = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        judge(entry->d_name);
        count++;
    }
    closedir(dir);
    ck_assert_uint_ge(count, 191);
}
END_TEST

/* Other readers give these two meanings, or a wrong one; this one gives none. */
START_TEST(wrong_ambiguous)
{
    static const char *const refused[] = {
        "object_same_key_different_values.json",   "object_same_key_same_value.json",
        "string_1_escaped_invalid_codepoint.json", "string_2_escaped_invalid_codepoints.json",
        "string_3_invalid_codepoints.json",        "string_with_escaped_NULL.json",
        "number_9223372036854775808.json",         "number_-9223372036854775809.json",
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        char path[SHARED_PATH_MAX];
        snprintf(path, sizeof path, "vectors/json-parsing/test_transform/%s", refused[i]);
        CLEANUP(buf_free) struct buf text = {0};
        shared_read(path, &text);
        const enum err got = parse_wrapped(bytes_of_buf(&text));
        ck_assert_msg(got == ERR_MALFORMED, "%s: %s", refused[i], err_wire(got));
    }
}
END_TEST

UNIT_MAIN("json_vectors", valid_and_junk_suite, wrong_ambiguous)
