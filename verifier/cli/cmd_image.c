/* `vouchsafe image list`: the lines of builds and how many count. */
#include "api_command.h"
#include "command.h"

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
    CLEANUP(json_decrefp) json_t *params = json_object();
    const struct api_listing listing = {"/v1/admin/images", "images", columns, ARRAY_LEN(columns),
                                        NULL};
    return api_print_list(args, params, &listing, fault);
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
