#include "delivery_plan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/codec.h"
#include "image_file.h"

#if !defined(__clang__)
/* gcc 12's -fanalyzer takes what moves into a plan's item for lost; AddressSanitizer and memcheck
 * look for leaks here. */
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define MODE_DEFAULT  0400
#define PATH_TEXT_MAX 4096

/* NAME=HOW, as it was written. */
struct wish {
    const char *text;
    const char *rest; /* what follows "KIND:" */
    struct delivery *to;
};

typedef enum err parse_kind(const struct wish *wish, struct fault *fault);
static parse_kind parse_memfd;
static parse_kind parse_file;
static parse_kind parse_template;
static parse_kind parse_env;

static const struct {
    const char *name;
    const char *form; /* for people */
    parse_kind *parse;
    bool is_file; /* can be replaced while the program runs */
} kinds[] = {
    [DELIVERY_MEMFD] = {"memfd", "memfd", parse_memfd, false},
    [DELIVERY_FILE] = {"file", "file:PATH[,mode=0400][,owner=UID[:GID]]", parse_file, true},
    [DELIVERY_TEMPLATE] = {"template", "template:SOURCE:PATH[,mode=0400][,owner=UID[:GID]]",
                           parse_template, true},
    [DELIVERY_ENV] = {"env", "env:VARIABLE", parse_env, false},
};

static void delivery_free(struct delivery *delivery)
{
    free(delivery->place);
    free(delivery->source);
    if (delivery->template_file != NULL)
        template_free(delivery->template_file);
    free(delivery->template_file);
    *delivery = (struct delivery){0};
}

void delivery_plan_free(struct delivery_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        delivery_free(&plan->item[i]);
    *plan = (struct delivery_plan){0};
}

bool delivery_is_file(const struct delivery *delivery)
{
    return kinds[delivery->kind].is_file;
}

const char *delivery_kind_name(enum delivery_kind kind)
{
    return kinds[kind].name;
}

bool delivery_variable(const struct delivery *delivery, char out[static DELIVER_VARIABLE_MAX])
{
    if (delivery->kind == DELIVERY_ENV)
        snprintf(out, DELIVER_VARIABLE_MAX, "%s", delivery->place);
    else
        deliver_variable(delivery->secret, out);
    return delivery->kind != DELIVERY_TEMPLATE;
}

/* --- one wish --- */

static enum err wrong_form(const struct wish *wish, struct fault *fault)
{
    FAIL(fault, ERR_USAGE, "deliver \"%.90s\" is not %.60s=%s", wish->text, wish->to->secret,
         kinds[wish->to->kind].form);
}

static enum err copy_text(const char *text, size_t len, char **out, struct fault *fault)
{
    *out = strndup(text, len);
    if (*out == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for what deliver says");
    return ERR_OK;
}

static bool parse_mode(const char *text, size_t len, mode_t *out)
{
    if (len < 3 || len > 4 || strspn(text, "01234567") < len || (len == 4 && text[0] != '0'))
        return false;
    *out = (mode_t)strtoul(text, NULL, 8);
    return true;
}

static bool parse_id(const char *text, size_t len, uint32_t *out)
{
    uint64_t id = 0;
    if (decimal_parse(bytes_of(text, len), UINT32_MAX - 1, &id) != ERR_OK)
        return false;
    *out = (uint32_t)id;
    return true;
}

/* UID[:GID] */
static bool parse_owner(const char *text, size_t len, struct deliver_access *access)
{
    const char *colon = memchr(text, ':', len);
    const size_t uid_len = colon == NULL ? len : (size_t)(colon - text);
    return parse_id(text, uid_len, &access->uid) &&
           (colon == NULL || parse_id(colon + 1, len - uid_len - 1, &access->gid));
}

/* PATH[,mode=...][,owner=...] */
/* Two deliveries to one file must be seen as that. */
static bool is_plain(const char *path)
{
    for (const char *slash = path; slash != NULL; slash = strchr(slash + 1, '/')) {
        const size_t len = strcspn(slash + 1, "/");
        if (len == 0 || (len == 1 && slash[1] == '.') ||
            (len == 2 && slash[1] == '.' && slash[2] == '.'))
            return false;
    }
    return true;
}

static enum err parse_place(const struct wish *wish, const char *text, struct fault *fault)
{
    struct delivery *to = wish->to;
    bool mode = false;
    bool owner = false;
    const size_t path_len = strcspn(text, ",");
    if (text[0] != '/' || path_len < 2 || text[path_len - 1] == '/' || path_len >= PATH_TEXT_MAX)
        FAIL(fault, ERR_USAGE,
             "deliver \"%.90s\": the path of a file begins with / and ends with its "
             "name",
             wish->text);
    TRY(copy_text(text, path_len, &to->place, fault));
    if (!is_plain(to->place))
        FAIL(fault, ERR_USAGE,
             "deliver \"%.90s\": a path without //, /./ and /../, or one file could have two names",
             wish->text);
    for (text += path_len; *text == ',';) {
        const size_t len = strcspn(++text, ",");
        if (strncmp(text, "mode=", 5) == 0 && !mode && len > 5)
            mode = parse_mode(text + 5, len - 5, &to->access.mode);
        else if (strncmp(text, "owner=", 6) == 0 && !owner && len > 6)
            owner = parse_owner(text + 6, len - 6, &to->access);
        else
            return wrong_form(wish, fault);
        if (strncmp(text, "mode=", 5) == 0 ? !mode : !owner)
            FAIL(fault, ERR_USAGE,
                 "deliver \"%.90s\": a mode is octal, such as 0440, an owner a "
                 "number or two, such as 1000:1000",
                 wish->text);
        text += len;
    }
    return ERR_OK;
}

static enum err parse_memfd(const struct wish *wish, struct fault *fault)
{
    return wish->rest == NULL ? ERR_OK : wrong_form(wish, fault);
}

static enum err parse_file(const struct wish *wish, struct fault *fault)
{
    return wish->rest == NULL ? wrong_form(wish, fault) : parse_place(wish, wish->rest, fault);
}

static enum err load_template(struct delivery *to, struct fault *fault)
{
    CLEANUP(buf_free) struct buf source = {0};
    TRY(image_file_read("template", to->source, TEMPLATE_SOURCE_MAX, &source, fault));
    to->template_file = calloc(1, sizeof *to->template_file);
    if (to->template_file == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for a template");
    struct fault inner = FAULT_NONE;
    const enum err err = template_parse(bytes_of_buf(&source), to->template_file, &inner);
    if (err != ERR_OK)
        FAIL(fault, err, "template %.80s: %s: %.140s", to->source, inner.field, inner.detail);
    return ERR_OK;
}

static enum err parse_template(const struct wish *wish, struct fault *fault)
{
    const char *colon = wish->rest == NULL ? NULL : strchr(wish->rest, ':');
    if (colon == NULL || colon == wish->rest)
        return wrong_form(wish, fault);
    TRY(copy_text(wish->rest, (size_t)(colon - wish->rest), &wish->to->source, fault));
    TRY(parse_place(wish, colon + 1, fault));
    return load_template(wish->to, fault);
}

static enum err parse_env(const struct wish *wish, struct fault *fault)
{
    const char *name = wish->rest;
    size_t len = 0;
    while (name != NULL && (isalnum((unsigned char)name[len]) || name[len] == '_'))
        len++;
    if (name == NULL || len == 0 || name[len] != '\0' || isdigit((unsigned char)name[0]) ||
        len >= DELIVER_VARIABLE_MAX)
        return wrong_form(wish, fault);
    return copy_text(name, len, &wish->to->place, fault);
}

/* What a secret that shares a template with others says is to be what they said. */
static bool is_same_template(const struct delivery *a, const struct delivery *b)
{
    return a->kind == DELIVERY_TEMPLATE && b->kind == DELIVERY_TEMPLATE &&
           strcmp(a->source, b->source) == 0 && strcmp(a->place, b->place) == 0 &&
           a->access.mode == b->access.mode && a->access.uid == b->access.uid &&
           a->access.gid == b->access.gid;
}

/* Takes what `from` holds. */
static enum err add(struct delivery_plan *plan, struct delivery *from, struct fault *fault)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (is_same_template(&plan->item[i], from)) {
            plan->item[i].secrets |= from->secrets;
            return ERR_OK;
        }
    }
    if (plan->count == DELIVERIES_MAX)
        FAIL(fault, ERR_USAGE, "more than %d deliveries", DELIVERIES_MAX);
    plan->item[plan->count++] = *from;
    *from = (struct delivery){0};
    return ERR_OK;
}

static const struct deliver_access access_default = {
    .mode = MODE_DEFAULT, .uid = DELIVER_OWN, .gid = DELIVER_OWN};

enum err delivery_plan_add(struct delivery_plan *plan, const struct wanted_list *wanted,
                           const char *text, struct fault *fault)
{
    CLEANUP(delivery_free) struct delivery to = {.access = access_default};
    struct wish wish = {.text = text, .to = &to};
    const size_t name_len = strcspn(text, "=");
    for (size_t i = 0; i < wanted->count; i++) {
        if (bytes_equal_text(bytes_of(text, name_len), wanted->item[i].name)) {
            to.secret = wanted->item[i].name;
            to.secrets = UINT32_C(1) << i;
        }
    }
    if (text[name_len] == '\0')
        FAIL(fault, ERR_USAGE,
             "deliver \"%.90s\" is not NAME=HOW, such as db/main=file:/run/secrets/db", text);
    if (to.secret == NULL)
        FAIL(fault, ERR_USAGE, "deliver \"%.90s\": no such secret is asked for", text);
    const char *how = text + name_len + 1;
    const size_t kind_len = strcspn(how, ":");
    wish.rest = how[kind_len] == '\0' ? NULL : how + kind_len + 1;
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        if (bytes_equal_text(bytes_of(how, kind_len), kinds[kind].name)) {
            to.kind = (enum delivery_kind)kind;
            TRY(kinds[kind].parse(&wish, fault));
            return add(plan, &to, fault);
        }
    }
    FAIL(fault, ERR_USAGE,
         "deliver \"%.90s\": secrets go to memfd, file:, template: or env:", text);
}

/* --- the whole --- */

static enum err add_default(struct delivery_plan *plan, const char *name, uint32_t bit,
                            const char *dir, struct fault *fault)
{
    CLEANUP(delivery_free)
    struct delivery to = {.secret = name, .secrets = bit, .access = access_default};
    if (dir != NULL) {
        char path[PATH_TEXT_MAX];
        const int len = snprintf(path, sizeof path, "%s/%s", dir, name);
        if (len >= (int)sizeof path)
            FAIL(fault, ERR_USAGE, "the path of %.60s is too long", name);
        to.kind = DELIVERY_FILE;
        to.dir = dir;
        TRY(copy_text(path, (size_t)len, &to.place, fault));
    }
    return add(plan, &to, fault);
}

/* Whether `folder` would have to be a folder for `file` to be in it, or is that file. */
static bool is_above(const char *folder, const char *file)
{
    const size_t len = strlen(folder);
    return strncmp(folder, file, len) == 0 && (file[len] == '/' || file[len] == '\0');
}

static enum err check_pair(const struct delivery *a, const struct delivery *b, struct fault *fault)
{
    char variable_a[DELIVER_VARIABLE_MAX];
    char variable_b[DELIVER_VARIABLE_MAX];
    if (delivery_variable(a, variable_a) && delivery_variable(b, variable_b) &&
        strcmp(variable_a, variable_b) == 0)
        FAIL(fault, ERR_USAGE, "%.60s and %.60s give one variable, %.80s", a->secret, b->secret,
             variable_a);
    if (delivery_is_file(a) && delivery_is_file(b) &&
        (is_above(a->place, b->place) || is_above(b->place, a->place)))
        FAIL(fault, ERR_USAGE,
             "%.90s and %.90s cannot both be files: one is the other, or its folder", a->place,
             b->place);
    return ERR_OK;
}

/* Both ways: a mark without delivery would be a secret that goes where nobody said, and a
 * delivery without a mark one that does not arrive. */
static enum err check_template(const struct delivery *delivery, const struct wanted_list *wanted,
                               struct fault *fault)
{
    const struct template_file *t = delivery->template_file;
    for (size_t i = 0; i < wanted->count; i++) {
        if ((delivery->secrets >> i & 1) != 0 && !template_mentions(t, wanted->item[i].name))
            FAIL(fault, ERR_CONFIG, "%.80s has no mark {{secret %.100s}}", delivery->source,
                 wanted->item[i].name);
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct bytes name = t->piece[i].name;
        size_t k = 0;
        while (k < wanted->count &&
               ((delivery->secrets >> k & 1) == 0 || !bytes_equal_text(name, wanted->item[k].name)))
            k++;
        if (name.len > 0 && k == wanted->count)
            FAIL(fault, ERR_CONFIG,
                 "%.60s mentions %.*s: deliver = %.*s=template:... has to say so", delivery->source,
                 (int)name.len, (const char *)name.ptr, (int)name.len, (const char *)name.ptr);
    }
    return ERR_OK;
}

enum err delivery_plan_finish(struct delivery_plan *plan, const struct wanted_list *wanted,
                              const char *dir, struct fault *fault)
{
    uint32_t named = 0;
    for (size_t i = 0; i < plan->count; i++)
        named |= plan->item[i].secrets;
    for (size_t i = 0; i < wanted->count; i++) {
        if ((named >> i & 1) == 0)
            TRY(add_default(plan, wanted->item[i].name, UINT32_C(1) << i, dir, fault));
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->item[i].template_file != NULL)
            TRY(check_template(&plan->item[i], wanted, fault));
        for (size_t k = 0; k < i; k++)
            TRY(check_pair(&plan->item[k], &plan->item[i], fault));
    }
    return ERR_OK;
}
