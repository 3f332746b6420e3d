/* `vouchsafe image list`: the lines of builds and how many count. */
#include "api.h"
#include "command.h"
#include "show.h"

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"IMAGE", "image"},
        {"ACTIVE", "measurements.active"},
        {"DRAFT", "measurements.draft"},
        {"DEPRECATED", "measurements.deprecated"},
        {"REVOKED", "measurements.revoked"},
        {"DISCARDED", "measurements.discarded"},
        {"CREATED", "created"},
    };
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *images = NULL;
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(api_list(&api, "/v1/admin/images", params, "after", "images", &images, fault));
    if (cli_args_has(args, "json"))
        return cli_print_json(images);
    return show_table(images, columns, ARRAY_LEN(columns));
}

static const struct cli_option list_options[] = {API_OPTIONS};

const struct cli_command cmd_image_list = {
    .name = "image list",
    .operands = "",
    .summary = "list images and how many of their measurements count",
    .options = list_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};
