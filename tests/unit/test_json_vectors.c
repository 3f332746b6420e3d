/* JSONTestSuite over the reader: what must be refused is, what must parse does unless
 * verdicts.tsv has the rule of ours that forbids it.
 *
 * Most of its texts are arrays, which no message of ours is; so each also runs as the
 * value of a member, where its own content decides. */
#include "vectors.h"

#include "common/json_reader.h"

SHARED_DEMAND("vectors/json-parsing")

static enum err parse(struct bytes text)
{
    CLEANUP(json_decrefp) json_t *root = NULL;
    struct fault fault = FAULT_NONE;
    const enum err err = json_reader_parse(text, &root, &fault);
    ck_assert_int_eq(fault.code, err);
    ck_assert_int_eq(root == NULL, err != ERR_OK);
    return err;
}

/* Read as a number, it is the number that its digits say, or none. */
static void ck_number(json_t *root, struct bytes text)
{
    uint64_t number = 0;
    const struct json_member member = {"a", JSON_MEMBER_UINT, true, &number};
    if (json_reader_object(root, "", JSON_REQUEST, &member, 1, NULL) != ERR_OK)
        return;
    char digits[32];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    while (text.len > 0 && strchr(" \n", text.ptr[0]) != NULL)
        text = bytes_of(text.ptr + 1, text.len - 1);
    while (text.len > 0 && strchr(" \n", text.ptr[text.len - 1]) != NULL)
        text.len--;
    ck_assert_msg(bytes_equal_text(text, digits), "%.*s is read as %s", (int)text.len, text.ptr,
                  digits);
}

static enum err parse_wrapped(struct bytes text)
{
    CLEANUP(buf_free) struct buf wrapped = {0};
    CLEANUP(json_decrefp) json_t *root = NULL;
    ck_ok(buf_append_text(&wrapped, "{\"a\":"));
    ck_ok(buf_append(&wrapped, text));
    ck_ok(buf_append_text(&wrapped, "}"));
    TRY(json_reader_parse(bytes_of_buf(&wrapped), &root, NULL));
    ck_number(root, text);
    return ERR_OK;
}

/* By the first letter of the file's name, in one of the two folders. */
static enum vectors_theirs theirs_of(const char *file)
{
    const char *name = strrchr(file, '/') + 1;
    if (strstr(file, "/test_transform/") != NULL)
        return VECTORS_EITHER;
    ck_assert_msg(name[0] != '\0' && name[1] == '_' && strchr("yni", name[0]) != NULL,
                  "%s: neither y_, n_ nor i_", file);
    return name[0] == 'y' ? VECTORS_VALID : name[0] == 'n' ? VECTORS_INVALID : VECTORS_EITHER;
}

START_TEST(reader)
{
    struct vectors v;
    vectors_begin(&v, "json_vectors:reader");
    for (size_t i = 0; i < v.files.gl_pathc; i++) {
        const char *file = vectors_file(&v, i);
        const enum vectors_theirs theirs = theirs_of(file);
        CLEANUP(buf_free) struct buf text = {0};
        shared_read(file, &text);
        vectors_judge(&v, file, "alone", theirs, ERR_MALFORMED, parse(bytes_of_buf(&text)));
        vectors_judge(&v, file, "member", theirs, ERR_MALFORMED,
                      parse_wrapped(bytes_of_buf(&text)));
    }
    vectors_end(&v);
}
END_TEST

UNIT_MAIN("json_vectors", reader)
