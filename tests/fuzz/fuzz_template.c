/* A template of the image, which is measured and so no stranger's, but a mark that is misread
 * gives a program the wrong password.  What is taken, written again from its pieces, is taken
 * as the same; what is made of it is what a second writer makes. */
#include "enclave-agent/template.h"
#include "fuzz.h"

/* A value, and each form of it. */
#define VALUE "\"\n{{"
static const char *const forms[] = {
    [TEMPLATE_PLAIN] = VALUE,
    [TEMPLATE_JSON] = "\"\\\"\\u000a{{\"",
    [TEMPLATE_BASE64] = "Igp7ew==",
};
static const char *const filters[] = {
    [TEMPLATE_PLAIN] = "", [TEMPLATE_JSON] = " | json", [TEMPLATE_BASE64] = " | base64"};

/* Braces in it can only be those of a mark that stands for them, at its end. */
static void write_text(struct bytes text, struct buf *out)
{
    const bool braces = text.len >= 2 && memcmp(text.ptr + text.len - 2, "{{", 2) == 0;
    FUZZ_OK(buf_append(out, bytes_of(text.ptr, text.len - (braces ? 2 : 0))));
    if (braces)
        FUZZ_OK(buf_append_text(out, "{{\"{{\"}}"));
}

static void check_again(const struct template_file *t)
{
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(template_free) struct template_file again = {0};
    for (size_t i = 0; i < t->count; i++) {
        write_text(t->piece[i].text, &text);
        if (t->piece[i].name.len > 0)
            FUZZ_OK(buf_append_format(&text, "{{secret %.*s%s}}", (int)t->piece[i].name.len,
                                      (const char *)t->piece[i].name.ptr,
                                      filters[t->piece[i].form]));
    }
    FUZZ_OK(template_parse(bytes_of_buf(&text), &again, NULL));
    FUZZ_HOLDS(again.count == t->count);
    for (size_t i = 0; i < t->count; i++) {
        FUZZ_HOLDS(bytes_equal(again.piece[i].text, t->piece[i].text));
        FUZZ_HOLDS(bytes_equal(again.piece[i].name, t->piece[i].name));
        FUZZ_HOLDS(again.piece[i].form == t->piece[i].form);
    }
}

/* The first names, as many as a release can have; true where these are all. */
static bool release(const struct template_file *t, struct answer_opened *opened)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct bytes name = t->piece[i].name;
        size_t k = 0;
        while (k < opened->count && !bytes_equal_text(name, opened->item[k].name))
            k++;
        if (name.len == 0 || k < opened->count)
            continue;
        if (k == PROTOCOL_SECRETS_MAX)
            return false;
        FUZZ_HOLDS(protocol_name_valid(name));
        memcpy(opened->item[k].name, name.ptr, name.len);
        FUZZ_OK(secret_new(sizeof VALUE - 1, &opened->item[k].value));
        memcpy(secret_ptr(opened->item[k].value), VALUE, sizeof VALUE - 1);
        opened->count++;
    }
    return true;
}

/* Values that are no text: no template makes JSON of them. */
static void check_binary(const struct template_file *t, struct answer_opened *opened)
{
    CLEANUP(secret_freep) struct secret *out = NULL;
    bool json = false;
    for (size_t i = 0; i < t->count; i++) {
        json = json || t->piece[i].form == TEMPLATE_JSON;
        FUZZ_HOLDS(t->piece[i].name.len > 0 || t->piece[i].form == TEMPLATE_PLAIN);
    }
    for (size_t i = 0; i < opened->count; i++) {
        FUZZ_HOLDS(template_mentions(t, opened->item[i].name));
        secret_ptr(opened->item[i].value)[0] = 0xff;
    }
    FUZZ_HOLDS(!template_mentions(t, "Not.a-name"));
    FUZZ_HOLDS(template_render(t, opened, &out, NULL) == (json ? ERR_DELIVER : ERR_OK));
}

static void check_rendered(const struct template_file *t)
{
    CLEANUP(answer_opened_free) struct answer_opened opened = {0};
    CLEANUP(secret_freep) struct secret *out = NULL;
    CLEANUP(buf_free) struct buf expected = {0};
    struct fault fault = FAULT_NONE;
    const bool all = release(t, &opened);
    for (size_t i = 0; i < t->count; i++) {
        FUZZ_OK(buf_append(&expected, t->piece[i].text));
        if (t->piece[i].name.len > 0)
            FUZZ_OK(buf_append_text(&expected, forms[t->piece[i].form]));
    }
    const enum err err = template_render(t, &opened, &out, &fault);
    FUZZ_HOLDS(err == (all && expected.len <= TEMPLATE_RENDERED_MAX ? ERR_OK : ERR_DELIVER));
    FUZZ_HOLDS(err != ERR_OK || bytes_equal(secret_view(out), bytes_of_buf(&expected)));
    if (err == ERR_OK)
        check_binary(t, &opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct template_file t;
    struct fault fault = FAULT_NONE;
    FUZZ_FILL(&t);
    const enum err err = template_parse(bytes_of(data, size), &t, &fault);
    FUZZ_CHECK(err, &fault, bytes_of(data, size), &t);
    if (err != ERR_OK)
        return 0;
    for (size_t i = 0; i < t.count; i++) {
        FUZZ_HOLDS(fuzz_within(t.piece[i].text, bytes_of_buf(&t.source)));
        FUZZ_HOLDS(fuzz_within(t.piece[i].name, bytes_of_buf(&t.source)));
    }
    check_again(&t);
    check_rendered(&t);
    template_free(&t);
    return 0;
}
