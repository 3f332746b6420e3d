/* `vouchsafe grant ...`: which image, or which signer, gets which secret. */
#include <stdio.h>

#include "api_command.h"
#include "command.h"
#include "common/codec.h"
#include "common/pcr_text.h"
#include "common/protocol.h"
#include "pcr_values.h"
#include "verifier/measure/pcr_of.h"

#define PATH_GRANTS "/v1/admin/grants"

/* ---- what is asked ---- */

static enum err take_pcr(struct pcr_values *values, unsigned index, const struct cli_args *args,
                         const char *option, const char *source, struct fault *fault)
{
    uint8_t value[ATTDOC_PCR_LEN];
    const char *hex = cli_args_value(args, option);
    if (hex == NULL)
        return ERR_OK;
    if (hex_decode(bytes_of_text(hex), value, sizeof value) != ERR_OK)
        FAIL(fault, ERR_USAGE, "%s takes exactly %d hex digits", source, 2 * ATTDOC_PCR_LEN);
    return pcr_values_set(values, index, value, source, fault);
}

/* Each by its value, or by what it follows from. */
static enum err take_pcrs(struct pcr_values *values, const struct cli_args *args,
                          struct fault *fault)
{
    TRY(take_pcr(values, 1, args, "signer-pcr1", "--signer-pcr1", fault));
    TRY(take_pcr(values, 8, args, "signer-pcr8", "--signer-pcr8", fault));
    TRY(take_pcr(values, 3, args, "role-pcr3", "--role-pcr3", fault));
    TRY(take_pcr(values, 4, args, "instance-pcr4", "--instance-pcr4", fault));
    return pcr_values_derive(values, args, fault);
}

static enum err set_pcrs(json_t *params, const struct pcr_values *values)
{
    static const struct {
        unsigned index;
        const char *param;
    } known[] = {{1, "signer_pcr1"}, {8, "signer_pcr8"}, {3, "role_pcr3"}, {4, "instance_pcr4"}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if ((values->present >> known[i].index & 1) != 0)
            TRY(api_set_base64(params, known[i].param,
                               bytes_of(values->value[known[i].index], ATTDOC_PCR_LEN)));
    }
    return ERR_OK;
}

static enum err set_application(json_t *params, const struct cli_args *args, struct fault *fault)
{
    uint8_t value[PROTOCOL_APPLICATION_MAX];
    const char *hex = cli_args_value(args, "application");
    if (hex == NULL)
        return ERR_OK;
    const size_t len = strlen(hex) / 2;
    if (len < 1 || len > sizeof value || hex_decode(bytes_of_text(hex), value, len) != ERR_OK)
        FAIL(fault, ERR_USAGE, "--application takes 1 to %zu bytes of hex", sizeof value);
    return api_set_base64(params, "application", bytes_of(value, len));
}

static enum err set_versions(json_t *params, const struct cli_args *args, struct fault *fault)
{
    CLEANUP(buf_free) struct buf text = {0};
    size_t next = 0;
    for (const char *version; (version = cli_args_next(args, "allow-version", &next)) != NULL;) {
        uint64_t number;
        if (decimal_parse(bytes_of_text(version), PROTOCOL_VERSION_MAX, &number) != ERR_OK ||
            number == 0)
            FAIL(fault, ERR_USAGE, "--allow-version takes a version number, not \"%s\"", version);
        TRY(buf_append_format(&text, "%s%llu", text.len == 0 ? "" : ",",
                              (unsigned long long)number));
    }
    if (text.len == 0)
        return ERR_OK;
    return api_set(params, "versions", json_stringn((const char *)text.ptr, text.len));
}

/* Adds to the list of values of a PCR: accepted is {"16": "HEX,HEX"}. */
static enum err add_accepted(json_t *accepted, struct bytes index, const char *list)
{
    CLEANUP(buf_free) struct buf text = {0};
    char name[4];
    snprintf(name, sizeof name, "%.*s", index.len < 3 ? (int)index.len : 3, index.ptr);
    const char *before = json_string_value(json_object_get(accepted, name));
    if (before != NULL)
        TRY(buf_append_format(&text, "%s,", before));
    TRY(buf_append_text(&text, list));
    return api_set(accepted, name, json_stringn((const char *)text.ptr, text.len));
}

/* "16=" before a value or a file. */
static enum err split_pcr(const char *text, const char *form, struct bytes *index,
                          const char **rest, struct fault *fault)
{
    const size_t len = strcspn(text, "=");
    unsigned number = 0;
    *index = bytes_of(text, len);
    if (text[len] != '=' || text[len + 1] == '\0' || pcr_index_parse(*index, &number) != ERR_OK ||
        number < PCR_OF_EXTENSION_FIRST)
        FAIL(fault, ERR_USAGE, "--%s with N from %d to %d is expected, not \"%s\"", form,
             PCR_OF_EXTENSION_FIRST, ATTDOC_PCR_COUNT - 1, text);
    *rest = text + len + 1;
    return ERR_OK;
}

static enum err add_accepted_file(json_t *accepted, struct bytes index, const char *path,
                                  struct fault *fault)
{
    CLEANUP(buf_free) struct buf file = {0};
    uint8_t pcr[ATTDOC_PCR_LEN];
    char hex[2 * ATTDOC_PCR_LEN + 1];
    TRY(cli_read_file(path, PCR_OF_EXTENSION_MAX + 1, &file, fault));
    TRY(pcr_of_extension(bytes_of_buf(&file), pcr,
                         fault_at(fault, FAULT_NO_OFFSET, "accept-file")));
    hex_encode(bytes_of(pcr, sizeof pcr), hex);
    return add_accepted(accepted, index, hex);
}

/* What the agent extends from its measured configuration: --accept-pcr and --accept-file. */
static enum err set_accepted(json_t *params, const struct cli_args *args, struct fault *fault)
{
    json_t *accepted = json_object();
    struct bytes index;
    const char *rest;
    size_t next = 0;
    TRY(api_set(params, "accepted", accepted));
    for (const char *pcr; (pcr = cli_args_next(args, "accept-pcr", &next)) != NULL;) {
        TRY(split_pcr(pcr, "accept-pcr N=HEX,HEX", &index, &rest, fault));
        TRY(add_accepted(accepted, index, rest));
    }
    next = 0;
    for (const char *file; (file = cli_args_next(args, "accept-file", &next)) != NULL;) {
        TRY(split_pcr(file, "accept-file N=FILE", &index, &rest, fault));
        TRY(add_accepted_file(accepted, index, rest, fault));
    }
    if (json_object_size(accepted) == 0 && json_object_del(params, "accepted") != 0)
        return ERR_INTERNAL;
    return ERR_OK;
}

/* To an image or to a signer: whoever signed with PCR8's certificate, if PCR1's kernel boots. */
static enum err set_subject(json_t *params, const struct cli_args *args,
                            const struct pcr_values *values, struct fault *fault)
{
    const bool pcr1 = (values->present >> 1 & 1) != 0;
    const bool pcr8 = (values->present >> 8 & 1) != 0;
    const bool registered = cli_args_has(args, "registered");
    if (registered && !pcr1 && !pcr8)
        FAIL(fault, ERR_USAGE,
             "--registered narrows a grant to a signer; one to an image always demands a "
             "measurement");
    if (!registered && cli_args_has(args, "image") == (pcr1 || pcr8))
        FAIL(fault, ERR_USAGE,
             "give either --image IMAGE, or --signing-cert FILE (or --signer-pcr8 HEX) and "
             "--signer-pcr1 HEX; both only with --registered");
    if (pcr1 != pcr8)
        FAIL(fault, ERR_USAGE,
             "PCR8 and --signer-pcr1 belong together: PCR8 alone says who signed, not which "
             "kernel runs");
    if (registered)
        TRY(api_set(params, "registered", json_true()));
    TRY(api_set_option(params, "image", args, "image"));
    TRY(api_set_option(params, "measurement", args, "measurement"));
    return set_pcrs(params, values);
}

static enum err set_grant(json_t *params, const struct cli_args *args, struct fault *fault)
{
    CLEANUP(pcr_values_free) struct pcr_values values = {0};
    uint64_t quota = 0;
    TRY(api_set(params, "secret", json_string(args->operands[0])));
    TRY(take_pcrs(&values, args, fault));
    TRY(set_subject(params, args, &values, fault));
    TRY(set_accepted(params, args, fault));
    TRY(set_application(params, args, fault));
    TRY(set_versions(params, args, fault));
    TRY(api_set_option(params, "region", args, "region"));
    TRY(api_set_option(params, "not_before", args, "not-before"));
    TRY(api_set_option(params, "not_after", args, "not-after"));
    TRY(cli_args_uint(args, "quota", 1, UINT32_MAX, &quota, fault));
    return quota == 0 ? ERR_OK : api_set(params, "quota", json_integer((json_int_t)quota));
}

/* ---- what is shown ---- */

/* "PCR16: 2 values" */
static enum err describe_accepted(const json_t *accepted, json_t *conditions)
{
    CLEANUP(buf_free) struct buf text = {0};
    const char *index;
    json_t *values;
    json_object_foreach((json_t *)(uintptr_t)accepted, index, values)
    {
        const size_t count = json_array_size(values);
        TRY(buf_append_format(&text, "%sPCR%.4s: %zu value%s", text.len == 0 ? "" : ", ", index,
                              count, plural(count)));
    }
    return text.len == 0
               ? ERR_OK
               : api_set(conditions, "accepted", json_stringn((const char *)text.ptr, text.len));
}

/* Conditions besides the image, in words. */
static enum err describe_row(json_t *grant)
{
    static const char *const shown[] = {"measurement", "region",     "application", "versions",
                                        "quota",       "not_before", "not_after",   "pcr1",
                                        "pcr3",        "pcr4",       "pcr8",        "registered"};
    CLEANUP(json_decrefp) json_t *conditions = json_object();
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        json_t *value = json_object_get(grant, shown[i]);
        const char *text = json_string_value(value);
        char cut[24];
        if (value == NULL || (json_is_array(value) && json_array_size(value) == 0))
            continue;
        if (text != NULL && strlen(text) == 2 * ATTDOC_PCR_LEN) {
            snprintf(cut, sizeof cut, "%.12s...", text);
            TRY(api_set(conditions, shown[i], json_string(cut)));
            continue;
        }
        TRY(api_set(conditions, shown[i], json_incref(value)));
    }
    TRY(describe_accepted(json_object_get(grant, "accepted"), conditions));
    return api_set(grant, "conditions", TAKE(conditions));
}

static enum err print_result(const struct cli_args *args, const json_t *answer)
{
    if (cli_args_has(args, "json"))
        return cli_print_json(answer);
    json_t *grant = json_object_get(answer, "grant");
    const bool signer = json_object_get(grant, "pcr8") != NULL;
    CLEANUP(buf_free) struct buf line = {0};
    TRY(buf_append_format(&line, "%s grant %lld: %s to %s%s", show_text(answer, "result"),
                          (long long)json_integer_value(json_object_get(grant, "id")),
                          show_text(grant, "secret"), signer ? "a signer" : "image ",
                          signer ? "" : show_text(grant, "image")));
    cli_print_text(bytes_of_buf(&line), stdout);
    putchar('\n');
    return ERR_OK;
}

/* ---- the commands ---- */

static enum err add_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(set_grant(params, args, fault));
    TRY(api_post(args, PATH_GRANTS, params, &answer, fault));
    return print_result(args, answer);
}

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"ID", "id"},           {"SECRET", "secret"},
        {"IMAGE", "image"},     {"CONDITIONS", "conditions"},
        {"CREATED", "created"},
    };
    CLEANUP(json_decrefp) json_t *params = json_object();
    TRY(api_set_option(params, "secret", args, "secret"));
    TRY(api_set_option(params, "image", args, "image"));
    const struct api_listing listing = {PATH_GRANTS, "grants", columns, ARRAY_LEN(columns),
                                        describe_row};
    return api_print_list(args, params, &listing, fault);
}

static enum err remove_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(api_set_id(params, args, "grant", fault));
    TRY(api_post(args, PATH_GRANTS "/remove", params, &answer, fault));
    return print_result(args, answer);
}

static const struct cli_option add_options[] = {
    {.name = "image", .arg = "IMAGE", .help = "to every measurement of this image that counts"},
    {.name = "measurement", .arg = "VERSION", .help = "to this one build of the image only"},
    PCR_VALUES_OPTIONS,
    {.name = "role-pcr3", .arg = "HEX", .help = "PCR3 as a value"},
    {.name = "instance-pcr4", .arg = "HEX", .help = "PCR4 as a value"},
    {.name = "signer-pcr8", .arg = "HEX", .help = "PCR8 as a value"},
    {.name = "signer-pcr1",
     .arg = "HEX",
     .help = "with PCR8, instead of an image: to what this signer signed, if this kernel boots"},
    {.name = "registered",
     .help = "a signer's build must match a measurement as well, of --image where that is named"},
    {.name = "accept-pcr",
     .arg = "N=HEX,...",
     .help = "PCR N, 16 to 31, has one of these values; may be repeated",
     .repeated = true},
    {.name = "accept-file",
     .arg = "N=FILE",
     .help = "... or the value that it has once the agent extended it by this file",
     .repeated = true},
    {.name = "region", .arg = "REGION", .help = "in this AWS region"},
    {.name = "application", .arg = "HEX", .help = "with these application bytes in user_data"},
    {.name = "quota", .arg = "N", .help = "for at most N enclaves"},
    {.name = "allow-version",
     .arg = "N",
     .help = "of this older version too, besides the current one; may be repeated",
     .repeated = true},
    {.name = "not-before", .arg = "TIME", .help = "not before (RFC 3339, UTC)"},
    {.name = "not-after", .arg = "TIME", .help = "not after (RFC 3339, UTC)"},
    API_OPTIONS};

static const struct cli_option list_options[] = {
    {.name = "secret", .arg = "SECRET", .help = "of this secret only"},
    {.name = "image", .arg = "IMAGE", .help = "to this image only"},
    API_OPTIONS};

static const struct cli_option remove_options[] = {API_OPTIONS};

const struct cli_command cmd_grant_add = {
    .name = "grant add",
    .operands = "SECRET",
    .summary = "give a secret to an image",
    .details = "Gives a secret to the enclaves of an image, under all conditions that are named.\n"
               "Without a grant nobody gets a secret. The same grant again changes nothing.",
    .options = add_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = add_run,
};

const struct cli_command cmd_grant_list = {
    .name = "grant list",
    .operands = "",
    .summary = "list grants that are in force",
    .options = list_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};

const struct cli_command cmd_grant_remove = {
    .name = "grant remove",
    .operands = "ID",
    .summary = "take a grant back",
    .options = remove_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = remove_run,
};
