/* Objects by a table of members: strict in a request, unmoved by strangers' members in
 * an answer. */
#include "unit.h"

#include "common/json_reader.h"

static struct fault fault;

/* Reads the table that all tests share from `text`. */
struct sample {
    const char *name;
    uint64_t count;
    bool flag;
    struct buf data;
    json_t *list;
    json_t *map;
};

static enum err read_sample(const char *text, enum json_mode mode, struct sample *out)
{
    const struct json_member members[] = {
        {"name", JSON_MEMBER_TEXT, true, &out->name},
        {"count", JSON_MEMBER_UINT, false, &out->count},
        {"flag", JSON_MEMBER_BOOL, false, &out->flag},
        {"data", JSON_MEMBER_BASE64, false, &out->data},
        {"list", JSON_MEMBER_ARRAY, false, &out->list},
        {"map", JSON_MEMBER_OBJECT, false, &out->map},
    };
    fault = (struct fault)FAULT_NONE;
    static json_t *root; /* the views in `out` live until the next call */
    json_decrefp(&root);
    TRY(json_reader_parse(bytes_of_text(text), &root, &fault));
    return json_reader_object(root, "", mode, members, ARRAY_LEN(members), &fault);
}

/* What is refused, and the field that the fault must name. */
static void expect(const char *text, enum json_mode mode, enum err code, const char *field)
{
    struct sample s = {0};
    const enum err got = read_sample(text, mode, &s);
    ck_assert_msg(got == code, "%s: got %s, expected %s", text, err_wire(got), err_wire(code));
    ck_assert_int_eq(fault.code, code);
    ck_assert_str_eq(fault.field, field);
    ck_assert_uint_gt(strlen(fault.detail), 0);
    buf_free(&s.data);
}

START_TEST(valid_all_members)
{
    struct sample s = {0};
    ck_ok(read_sample("{\"list\":[1,null],\"name\":\"caf\\u00e9\",\"count\":9007199254740991,"
                      "\"flag\":true,\"data\":\"AAE=\",\"map\":{\"a\":1.5}}",
                      JSON_REQUEST, &s));
    ck_assert_str_eq(s.name, "caf\xc3\xa9");
    ck_assert_uint_eq(s.count, 9007199254740991);
    ck_assert(s.flag);
    ck_assert_uint_eq(s.data.len, 2);
    ck_assert_mem_eq(s.data.ptr, "\x00\x01", 2);
    ck_assert_uint_eq(json_array_size(s.list), 2);
    ck_assert_uint_eq(json_object_size(s.map), 1);
    ck_assert_int_eq(fault.code, ERR_OK);
    buf_free(&s.data);
}
END_TEST

START_TEST(valid_absent_untouched)
{
    struct sample s = {.count = 77, .flag = true};
    ck_ok(read_sample("{\"name\":\"\"}", JSON_REQUEST, &s));
    ck_assert_str_eq(s.name, "");
    ck_assert_uint_eq(s.count, 77);
    ck_assert(s.flag);
    ck_assert_ptr_null(s.list);
    ck_assert_ptr_null(s.map);
    ck_assert_uint_eq(s.data.len, 0);
}
END_TEST

START_TEST(valid_answer_unknown_ignored)
{
    struct sample s = {0};
    ck_ok(read_sample("{\"new\":null,\"name\":\"n\",\"newer\":{\"x\":[1e3]}}", JSON_ANSWER, &s));
    ck_assert_str_eq(s.name, "n");
}
END_TEST

START_TEST(wrong_member_unknown)
{
    expect("{\"name\":\"n\",\"nam\":1}", JSON_REQUEST, ERR_UNKNOWN_MEMBER, "nam");
    expect("{\"name\":\"n\",\"Name\":\"n\"}", JSON_REQUEST, ERR_UNKNOWN_MEMBER, "Name");
    /* A stranger's name cannot forge a log line. */
    expect("{\"name\":\"n\",\"a\\nb\":1}", JSON_REQUEST, ERR_UNKNOWN_MEMBER, "a?b");
}
END_TEST

START_TEST(no_member)
{
    expect("{}", JSON_REQUEST, ERR_MALFORMED, "name");
    expect("{\"count\":1}", JSON_ANSWER, ERR_MALFORMED, "name");
}
END_TEST

START_TEST(wrong_null)
{
    expect("{\"name\":null}", JSON_REQUEST, ERR_MALFORMED, "name");
    expect("{\"name\":\"n\",\"count\":null}", JSON_REQUEST, ERR_MALFORMED, "count");
    expect("{\"name\":\"n\",\"data\":null}", JSON_ANSWER, ERR_MALFORMED, "data");
}
END_TEST

START_TEST(wrong_number)
{
    static const char *const numbers[] = {"1.0",   "1e3",  "0.5", "-1",  "9007199254740992",
                                          "\"1\"", "true", "[1]", "1E0", "9223372036854775807"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"name\":\"n\",\"count\":%s}", numbers[i]);
        expect(text, JSON_REQUEST, ERR_MALFORMED, "count");
    }
}
END_TEST

START_TEST(wrong_types)
{
    expect("{\"name\":1}", JSON_REQUEST, ERR_MALFORMED, "name");
    expect("{\"name\":\"n\",\"flag\":1}", JSON_REQUEST, ERR_MALFORMED, "flag");
    expect("{\"name\":\"n\",\"data\":[]}", JSON_REQUEST, ERR_MALFORMED, "data");
    expect("{\"name\":\"n\",\"list\":{}}", JSON_REQUEST, ERR_MALFORMED, "list");
    expect("{\"name\":\"n\",\"map\":[]}", JSON_REQUEST, ERR_MALFORMED, "map");
}
END_TEST

START_TEST(junk_base64)
{
    expect("{\"name\":\"n\",\"data\":\"AAE\"}", JSON_REQUEST, ERR_BASE64, "data");
    expect("{\"name\":\"n\",\"data\":\"AAF=\"}", JSON_REQUEST, ERR_BASE64, "data");
    expect("{\"name\":\"n\",\"data\":\"A_E=\"}", JSON_ANSWER, ERR_BASE64, "data");
}
END_TEST

START_TEST(wrong_object_kind)
{
    CLEANUP(json_decrefp) json_t *array = json_array();
    fault = (struct fault)FAULT_NONE;
    ck_err(json_reader_object(array, "secrets[2]", JSON_REQUEST, NULL, 0, &fault), ERR_MALFORMED);
    ck_assert_str_eq(fault.field, "secrets[2]");
    ck_err(json_reader_object(NULL, "x", JSON_REQUEST, NULL, 0, NULL), ERR_MALFORMED);
}
END_TEST

START_TEST(wrong_member_in_path)
{
    CLEANUP(json_decrefp) json_t *object = json_object();
    const char *name = NULL;
    const struct json_member members[] = {{"name", JSON_MEMBER_TEXT, true, &name}};
    ck_err(json_reader_object(object, "secrets[2]", JSON_REQUEST, members, 1, &fault),
           ERR_MALFORMED);
    ck_assert_str_eq(fault.field, "secrets[2].name");
}
END_TEST

START_TEST(junk_text)
{
    static const char *const texts[] = {
        "",
        " ",
        "[]",
        "1",
        "null",
        "{",
        "{}}",
        "{} x",
        "{\"name\":\"n\"}{}",
        "{'name':\"n\"}",
        "{\"name\":\"n\",}",
        "{\"name\":\"a\",\"name\":\"a\"}",
        "{\"name\":\"a\",\"n\\u0061me\":\"b\"}", /* the same name, escaped */
        "{\"map\":{\"a\":1,\"a\":2}}",
        "{\"name\":\"a\\u0000b\"}",
        "{\"a\\u0000b\":1}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":\"\xff\"}",
        "{\"name\":\"\xc0\x80\"}",
        "{\"name\":\"\xed\xa0\x80\"}",
        "{\"name\":\"a\nb\"}",
        "{\"name\":\"n\",\"count\":99999999999999999999}",
        "{\"name\":\"n\",\"count\":01}",
        "{\"name\":NaN}",
        "\xef\xbb\xbf{\"name\":\"n\"}",
        "/**/{\"name\":\"n\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        fault = (struct fault)FAULT_NONE;
        json_t *root = NULL;
        const enum err got = json_reader_parse(bytes_of_text(texts[i]), &root, &fault);
        ck_assert_msg(got == ERR_MALFORMED, "%s: %s", texts[i], err_wire(got));
        ck_assert_ptr_null(root);
        ck_assert_uint_ne(fault.offset, FAULT_NO_OFFSET);
    }
}
END_TEST

START_TEST(junk_nul_bytes)
{
    json_t *root = NULL;
    ck_err(json_reader_parse(bytes_of("{}\0", 3), &root, NULL), ERR_MALFORMED);
    ck_err(json_reader_parse(bytes_of("{\"a\":\"b\0c\"}", 11), &root, NULL), ERR_MALFORMED);
    ck_err(json_reader_parse(bytes_of("{\"a\":123\0}", 10), &root, NULL), ERR_MALFORMED);
    ck_err(json_reader_parse(bytes_of(NULL, 0), &root, NULL), ERR_MALFORMED);
    /* Without a terminator: the length alone says where the text ends. */
    ck_err(json_reader_parse(bytes_of("{}}", 2), &root, NULL), ERR_OK);
    json_decref(root);
}
END_TEST

/* Taken over: whatever its length, the text is the same to its last byte, and so is what is wrong
 * with it; and nothing of it stays. */
START_TEST(valid_taken)
{
    for (size_t len = 0; len < 5000; len += len < 40 ? 1 : 331) {
        CLEANUP(buf_free) struct buf text = {0};
        CLEANUP(buf_free) struct buf copy = {0};
        CLEANUP(json_decrefp) json_t *lent = NULL;
        CLEANUP(json_decrefp) json_t *taken = NULL;
        ck_ok(buf_append_format(&text, "{\"a\":[%zu,true],\"b\":\"%*s\"}", len, (int)len, "x"));
        ck_ok(buf_append(&copy, bytes_of_buf(&text)));
        ck_ok(json_reader_parse(bytes_of_buf(&text), &lent, NULL));
        ck_ok(json_reader_take(&copy, &taken, NULL));
        ck_assert_int_eq(json_equal(lent, taken), 1);
        ck_assert_ptr_null(copy.ptr);
    }
}
END_TEST

START_TEST(junk_taken)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{}{}",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"a\":tru}",
                                        "[[[[[[[[[[[[[[[[[[",
                                        "{\"a\":\"\\u0000\"}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(buf_free) struct buf text = {0};
        struct fault lent = FAULT_NONE;
        json_t *root = NULL;
        fault = (struct fault)FAULT_NONE;
        ck_ok(buf_append_text(&text, texts[i]));
        ck_err(json_reader_parse(bytes_of_buf(&text), &root, &lent), ERR_MALFORMED);
        ck_err(json_reader_take(&text, &root, &fault), ERR_MALFORMED);
        ck_assert_str_eq(fault.detail, lent.detail);
        ck_assert_uint_eq(fault.offset, lent.offset);
        ck_assert_ptr_null(root);
        ck_assert_ptr_null(text.ptr);
    }
}
END_TEST

/* `levels` containers in each other: an object, and arrays in it. */
static enum err parse_nested(size_t levels)
{
    CLEANUP(buf_free) struct buf text = {0};
    ck_ok(buf_append_text(&text, "{\"[[[[[[[[[[[[[[[[[[[[\\\"[[[\":"));
    for (size_t i = 1; i < levels; i++)
        ck_ok(buf_append_text(&text, "["));
    ck_ok(buf_append_text(&text, levels == 1 ? "1" : ""));
    for (size_t i = 1; i < levels; i++)
        ck_ok(buf_append_text(&text, "]"));
    ck_ok(buf_append_text(&text, "}"));
    CLEANUP(json_decrefp) json_t *root = NULL;
    fault = (struct fault)FAULT_NONE;
    return json_reader_parse(bytes_of_buf(&text), &root, &fault);
}

START_TEST(valid_depth)
{
    ck_ok(parse_nested(1));
    ck_ok(parse_nested(JSON_DEPTH_MAX));
}
END_TEST

START_TEST(long_depth)
{
    ck_err(parse_nested(JSON_DEPTH_MAX + 1), ERR_MALFORMED);
    ck_assert_str_eq(fault.detail, "JSON nested deeper than 16");
    ck_err(parse_nested(100000), ERR_MALFORMED);
}
END_TEST

/* What a terminal would obey cannot be in it, whoever prints the answer. */
START_TEST(valid_append_ascii)
{
    CLEANUP(buf_free) struct buf out = {0};
    /* NOLINTNEXTLINE(misc-misleading-bidirectional): as escapes they mislead nobody */
    json_t *value = json_pack("{s:s}", "a", "\xc2\x9b\xe2\x80\xae\x1b\x7f\x7f\xc3\xa9\x7f");
    ck_ok(json_append(&out, value));
    json_decref(value);
    ck_assert(bytes_equal_text(bytes_of_buf(&out),
                               "{\"a\":\"\\u009B\\u202E\\u001B\\u007F\\u007F\\u00E9\\u007F\"}"));
}
END_TEST

START_TEST(valid_append)
{
    CLEANUP(json_decrefp) json_t *object = json_object();
    ck_assert_int_eq(json_object_set_new(object, "z", json_string("a\"\n")), 0);
    ck_assert_int_eq(json_object_set_new(object, "a", json_integer(1)), 0);
    CLEANUP(buf_free) struct buf out = {0};
    ck_ok(buf_append_text(&out, ">"));
    ck_ok(json_append(&out, object));
    static const char expected[] = ">{\"z\":\"a\\\"\\n\",\"a\":1}";
    ck_assert_uint_eq(out.len, sizeof expected - 1);
    ck_assert_mem_eq(out.ptr, expected, out.len);
    ck_err(json_append(&out, NULL), ERR_NO_MEMORY);
    ck_assert_uint_eq(out.len, sizeof expected - 1);
}
END_TEST

/* Else a text that there was no memory for would pass for another one. */
START_TEST(valid_memory_is_watched)
{
    json_malloc_t take = NULL;
    json_free_t give = NULL;
    json_get_alloc_funcs(&take, &give);
    ck_assert(take != malloc);
}
END_TEST

UNIT_MAIN("json_reader", valid_memory_is_watched, valid_all_members, valid_absent_untouched,
          valid_answer_unknown_ignored, wrong_member_unknown, no_member, wrong_null, wrong_number,
          wrong_types, junk_base64, wrong_object_kind, wrong_member_in_path, junk_text,
          junk_nul_bytes, valid_taken, junk_taken, valid_depth, long_depth, valid_append_ascii,
          valid_append)
