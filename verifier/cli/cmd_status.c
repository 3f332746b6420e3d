/* `vouchsafe status`: what the server says about itself. */
#include "api.h"
#include "command.h"
#include "show.h"

static enum err status_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"version", "version"},
        {"kind", "kind"},
        {"store", "store_id"},
        {"started", "started"},
        {"now", "now"},
        {"root (SHA-256)", "root_sha256"},
        {"issuers (SHA-256)", "issuers"},
        {"delegated until", "delegation_not_after"},
        {"policy revision", "policy_revision"},
        {"audit records", "audit_sequence"},
        {"images", "counts.images"},
        {"measurements", "counts.measurements"},
        {"secrets", "counts.secrets"},
        {"grants", "counts.grants"},
        {"challenges given", "counters.challenges"},
        {"releases granted", "counters.granted"},
        {"releases refused", "counters.refused"},
        {"put off", "counters.put_off"},
        {"rejected unread", "counters.rejected"},
    };
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(api_call(&api, "GET", "/v1/admin/status", NULL, &answer, fault));
    if (cli_args_has(args, "json"))
        return cli_print_json(answer);
    return show_object(answer, columns, ARRAY_LEN(columns));
}

static const struct cli_option status_options[] = {API_OPTIONS};

const struct cli_command cmd_status = {
    .name = "status",
    .operands = "",
    .summary = "show a server's state",
    .details =
        "Shows what a running server says about itself: its store, its keys' ends, how much\n"
        "it holds, and what it has decided since it was started.",
    .options = status_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = status_run,
};
