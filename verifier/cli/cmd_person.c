/* `vouchsafe person ...`: who there is. */
#include <stdio.h>

#include "api_command.h"
#include "command.h"
#include "common/codec.h"

#define PATH_PERSONS "/v1/admin/persons"

static enum err change(const struct cli_args *args, const char *path, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(buf_free) struct buf line = {0};
    if (!utf8_valid(bytes_of_text(args->operands[0])))
        return ERR_UTF8;
    TRY(api_set(params, "name", json_string(args->operands[0])));
    TRY(api_post(args, path, params, &answer, fault));
    if (cli_args_has(args, "json"))
        return cli_print_json(answer);
    const json_t *person = json_object_get(answer, "person");
    TRY(buf_append_format(&line, "%s %s (%s)", show_text(answer, "result"),
                          show_text(person, "person"), show_text(person, "state")));
    cli_print_text(bytes_of_buf(&line), stdout);
    putchar('\n');
    return ERR_OK;
}

static enum err add_run(const struct cli_args *args, struct fault *fault)
{
    return change(args, PATH_PERSONS, fault);
}

static enum err remove_run(const struct cli_args *args, struct fault *fault)
{
    return change(args, PATH_PERSONS "/remove", fault);
}

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"PERSON", "person"},
        {"STATE", "state"},
        {"TOKENS", "tokens"},
        {"CREATED", "created"},
    };
    CLEANUP(json_decrefp) json_t *params = json_object();
    const struct api_listing listing = {PATH_PERSONS, "persons", columns, ARRAY_LEN(columns), NULL};
    return api_print_list(args, params, &listing, fault);
}

static const struct cli_option options[] = {API_OPTIONS};

const struct cli_command cmd_person_add = {
    .name = "person add",
    .operands = "NAME",
    .summary = "make a person, who has no token yet",
    .details = "Makes a person; `token create` gives them something to call with. A name is given\n"
               "once: that of a removed person is not free again, because the audit log knows\n"
               "persons by it.",
    .options = options,
    .operands_min = 1,
    .operands_max = 1,
    .run = add_run,
};

const struct cli_command cmd_person_list = {
    .name = "person list",
    .operands = "",
    .summary = "list persons, and how many tokens of theirs count",
    .options = options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};

const struct cli_command cmd_person_remove = {
    .name = "person remove",
    .operands = "NAME",
    .summary = "remove a person: all their tokens are dead at once",
    .details = "Removes a person for good. Their tokens are refused from then on. The person with\n"
               "the last token with every right that does not expire cannot be removed.",
    .options = options,
    .operands_min = 1,
    .operands_max = 1,
    .run = remove_run,
};
