/* Templates: what is a mark, what it becomes, and that nothing else passes for one. */
#include "unit.h"

#include <stdio.h>

#include "enclave-agent/template.h"

static struct fault fault;
static struct answer_opened opened;

static void release(const char *name, struct bytes value)
{
    struct answer_secret *item = &opened.item[opened.count++];
    snprintf(item->name, sizeof item->name, "%s", name);
    ck_ok(secret_new(value.len, &item->value));
    if (value.len > 0)
        memcpy(secret_ptr(item->value), value.ptr, value.len);
}

static void release_text(const char *name, const char *value)
{
    release(name, bytes_of_text(value));
}

static enum err parse(const char *text, struct template_file *out)
{
    fault = (struct fault)FAULT_NONE;
    return template_parse(bytes_of_text(text), out, &fault);
}

static void ck_rendered(const char *text, const char *expected)
{
    CLEANUP(template_free) struct template_file t = {0};
    CLEANUP(secret_freep) struct secret *out = NULL;
    ck_ok(parse(text, &t));
    ck_ok(template_render(&t, &opened, &out, &fault));
    const struct bytes view = secret_view(out);
    ck_assert_msg(bytes_equal_text(view, expected), "%s: %.*s", text, (int)view.len,
                  (const char *)view.ptr);
}

START_TEST(valid_marks)
{
    release_text("db/main", "open\nsesame");
    release_text("b", "\"x\\y\"\t\x1f\x7f\xc3\xa9");
    release_text("c", "sure.");
    ck_rendered("", "");
    ck_rendered("no mark }} {x} {", "no mark }} {x} {");
    ck_rendered("{{secret db/main}}", "open\nsesame");
    ck_rendered("<{{ secret  c }}>\n<{{secret db/main}}>\n", "<sure.>\n<open\nsesame>\n");
    ck_rendered("{{secret c}}{{secret c}}", "sure.sure.");
    ck_rendered("{{secret b | json}},", "\"\\\"x\\\\y\\\"\\u0009\\u001f\x7f\xc3\xa9\",");
    ck_rendered("{{secret db/main | json}}", "\"open\\u000asesame\"");
    ck_rendered("{{secret c | base64}}}", "c3VyZS4=}");
    ck_rendered("{{secret db/main | base64}}{{secret c | base64}}", "b3BlbgpzZXNhbWU=c3VyZS4=");
    ck_rendered("a{{\"{{\"}}secret c}}{{\"{{\"}}{{secret c}}", "a{{secret c}}{{sure.");
    /* What a secret brings is never read as a mark. */
    release_text("d", "{{secret c}}");
    ck_rendered("{{secret d}}", "{{secret c}}");
    answer_opened_free(&opened);
}
END_TEST

START_TEST(valid_bytes)
{
    release("raw", bytes_of("\0\xff\n", 3));
    CLEANUP(template_free) struct template_file t = {0};
    CLEANUP(secret_freep) struct secret *out = NULL;
    ck_ok(template_parse(bytes_of("\0{{secret raw}}\xfe", 16), &t, &fault));
    ck_assert(template_mentions(&t, "raw"));
    ck_assert(!template_mentions(&t, "ra"));
    ck_ok(template_render(&t, &opened, &out, &fault));
    ck_assert(bytes_equal(secret_view(out), bytes_of("\0\0\xff\n\xfe", 5)));
    answer_opened_free(&opened);
}
END_TEST

START_TEST(wrong_marks)
{
    static const char *const rows[][2] = {
        {"{{", "line 1"},
        {"a\n\n {{secret x}\n", "line 3"},
        {"{{secret x}}\n{{ }}", "line 2"},
        {"{{secret}}", "line 1"},
        {"{{secret X}}", "line 1"},
        {"{{secret \"x\"}}", "line 1"},
        {"{{secret x y}}", "line 1"},
        {"{{secret x |}}", "line 1"},
        {"{{secret x | xml}}", "line 1"},
        {"{{secret x | json }}{{secret x | json | base64}}", "line 1"},
        {"{{secret x / json}}", "line 1"},
        {"{{secret\tx}}", "line 1"},
        {"{{secret\nx}}", "line 1"},
        {"{{secretx}}", "line 1"},
        {"{{Secret x}}", "line 1"},
        {"{{{secret x}}}", "line 1"},
        {"{{\"{{\"}", "line 1"},
        {"{{\"}}\"}}", "line 1"},
        {"{{env HOME}}", "line 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct template_file t = {.count = 77};
        ck_assert_msg(parse(rows[i][0], &t) == ERR_CONFIG, "%s", rows[i][0]);
        ck_assert_str_eq(fault.field, rows[i][1]);
        ck_assert_uint_eq(t.count, 77);
    }
    struct template_file t = {0};
    ck_err(parse("ab {{secret X}}", &t), ERR_CONFIG);
    ck_assert_str_eq(fault.detail, "\"{{secret X}}\": a mark is {{secret NAME}}, {{secret NAME | "
                                   "json}} or {{secret NAME | base64}}");
    ck_assert_uint_eq(fault.offset, 3);
    ck_err(parse("{{secret x", &t), ERR_CONFIG);
    ck_assert_str_eq(fault.detail, "{{ and no }} behind it; two braces as text are {{\"{{\"}}");
}
END_TEST

START_TEST(long_marks)
{
    static const char *const marks[] = {"{{secret a}}", "{{\"{{\"}}"};
    for (size_t kind = 0; kind < ARRAY_LEN(marks); kind++) {
        CLEANUP(buf_free) struct buf text = {0};
        struct template_file t = {0};
        for (unsigned i = 0; i < TEMPLATE_MARKS_MAX; i++)
            ck_ok(buf_append_text(&text, marks[kind]));
        ck_ok(template_parse(bytes_of_buf(&text), &t, &fault));
        template_free(&t);
        ck_ok(buf_append_text(&text, marks[kind]));
        ck_err(template_parse(bytes_of_buf(&text), &t, &fault), ERR_CONFIG);
        ck_assert_str_eq(fault.detail, "more than 64 marks");
    }
}
END_TEST

START_TEST(wrong_rendering)
{
    CLEANUP(template_free) struct template_file json = {0};
    CLEANUP(template_free) struct template_file many = {0};
    CLEANUP(template_free) struct template_file other = {0};
    CLEANUP(buf_free) struct buf text = {0};
    static uint8_t large[PROTOCOL_SECRET_MAX];
    struct secret *out = NULL;
    release("a", bytes_of("\xff", 1));
    release("b", bytes_of(large, sizeof large));
    ck_ok(parse("{{secret a | json}}", &json));
    ck_err(template_render(&json, &opened, &out, &fault), ERR_DELIVER);
    ck_assert_str_eq(fault.detail, "a is no UTF-8, which JSON needs: use base64");
    for (unsigned i = 0; i < 8; i++)
        ck_ok(buf_append_text(&text, "{{secret b}}"));
    ck_ok(template_parse(bytes_of_buf(&text), &many, &fault));
    ck_err(template_render(&many, &opened, &out, &fault), ERR_DELIVER);
    ck_assert_str_eq(fault.detail,
                     "a template with its secrets has 524288 bytes, more than 500000");
    ck_ok(parse("{{secret c}}", &other));
    ck_err(template_render(&other, &opened, &out, &fault), ERR_DELIVER);
    ck_assert_str_eq(fault.detail, "a template needs c, which is not there");
    ck_assert_ptr_null(out);
    answer_opened_free(&opened);
}
END_TEST

UNIT_MAIN("agent_template", valid_marks, valid_bytes, wrong_marks, long_marks, wrong_rendering)
