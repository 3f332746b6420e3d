#include "api_command.h"

#include "common/codec.h"

enum err api_post(const struct cli_args *args, const char *path, const json_t *params,
                  json_t **answer, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    return api_call(&api, "POST", path, params, answer, fault);
}

enum err api_set_id(json_t *params, const struct cli_args *args, const char *group,
                    struct fault *fault)
{
    uint64_t id;
    if (decimal_parse(bytes_of_text(args->operands[0]), INT64_MAX, &id) != ERR_OK || id == 0)
        FAIL(fault, ERR_USAGE, "a %s's number is expected, as %s list shows it", group, group);
    return api_set(params, "id", json_integer((json_int_t)id));
}

enum err api_print_list(const struct cli_args *args, json_t *params,
                        const struct api_listing *listing, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *rows = NULL;
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(api_list(&api, listing->path, params, "after", listing->member, &rows, fault));
    if (cli_args_has(args, "json"))
        return cli_print_json(rows);
    for (size_t i = 0; listing->describe != NULL && i < json_array_size(rows); i++)
        TRY(listing->describe(json_array_get(rows, i)));
    return show_table(rows, listing->columns, listing->column_count);
}
