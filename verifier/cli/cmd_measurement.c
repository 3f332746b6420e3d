/* `vouchsafe measurement ...`: which builds there are and which of them count. */
#include <stdio.h>

#include "api_command.h"
#include "approval.h"
#include "build_options.h"
#include "command.h"
#include "common/codec.h"
#include "rollout.h"
#include "verifier/clock.h"

#define PATH_LIST   "/v1/admin/measurements"
#define PATH_REVOKE PATH_LIST "/revoke"
#define PATH_SHOW   "/v1/admin/measurement"

#define BUILDS_MAX 100000 /* that one command changes: what xargs makes of a list fits */

#define WAIT_DEFAULT_S 1800

/* ---- what is shown ---- */

static enum err print_result(const struct cli_args *args, const json_t *answer)
{
    return cli_args_has(args, "json") ? cli_print_json(answer) : rollout_print_result(answer);
}

/* IMAGE@VERSION, one a line: for xargs. */
static enum err print_names(const json_t *rows)
{
    size_t i;
    const json_t *m;
    json_array_foreach(rows, i, m)
    {
        CLEANUP(buf_free) struct buf line = {0};
        TRY(buf_append_format(&line, "%s@%s", show_text(m, "image"), show_text(m, "version")));
        cli_print_text(bytes_of_buf(&line), stdout);
        putchar('\n');
    }
    return ERR_OK;
}

/* What its state means, where it does not simply count. */
static const char *note_of(const json_t *m)
{
    static const struct {
        const char *state;
        const char *note;
    } notes[] = {
        {"draft", "matches nothing yet"},
        {"deprecated", "still releases, with a warning"},
        {"revoked", "refused, whatever else matches"},
        {"discarded", "taken back; its values are free"},
    };
    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        if (strcmp(show_text(m, "state"), notes[i].state) == 0)
            return notes[i].note;
    }
    return "";
}

static enum err print_one(json_t *m)
{
    static const struct show_column columns[] = {
        {"image", "image"},         {"version", "version"},       {"state", "state"},
        {"kind", "kind"},           {"debug", "debug"},           {"not before", "not_before"},
        {"not after", "not_after"}, {"created", "created"},       {"added by", "added_by"},
        {"labels", "labels"},       {"provenance", "provenance"}, {"root (SHA-256)", "root_sha256"},
        {"note", "note"},
    };
    const char *index;
    const json_t *value;
    if (note_of(m)[0] != '\0')
        TRY(api_set(m, "note", json_string(note_of(m))));
    TRY(show_object(m, columns, ARRAY_LEN(columns)));
    json_object_foreach(json_object_get(m, "pcrs"), index, value)
    {
        char name[16];
        char path[16];
        snprintf(name, sizeof name, "PCR%.8s", index);
        snprintf(path, sizeof path, "pcrs.%.8s", index);
        const struct show_column pcr = {name, path};
        TRY(show_object(m, &pcr, 1));
    }
    return rollout_print_use(m);
}

/* ---- the commands ---- */

static enum err set_new(json_t *params, const struct cli_args *args, struct fault *fault)
{
    TRY(build_set(params, args, fault));
    if (cli_args_has(args, "debug"))
        TRY(api_set(params, "debug", json_true()));
    if (cli_args_has(args, "draft"))
        TRY(api_set(params, "draft", json_true()));
    return ERR_OK;
}

static enum err check_wait(const struct cli_args *args, uint64_t *timeout_s, struct fault *fault)
{
    if (cli_args_has(args, "wait") && !cli_args_has(args, "draft"))
        FAIL(fault, ERR_USAGE, "--wait waits until a draft is activated: add --draft");
    if (cli_args_has(args, "timeout") && !cli_args_has(args, "wait"))
        FAIL(fault, ERR_USAGE, "--timeout says how long --wait waits: add --wait");
    return cli_args_duration(args, "timeout", timeout_s, fault);
}

static enum err add_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const bool wait = cli_args_has(args, "wait");
    uint64_t timeout_s = WAIT_DEFAULT_S;
    TRY(check_wait(args, &timeout_s, fault));
    TRY(set_new(params, args, fault));
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    if (wait)
        TRY(approval_check(&api, params, fault));
    TRY(api_call(&api, "POST", PATH_LIST, params, &answer, fault));
    if (wait) {
        json_t *measurement = NULL;
        TRY(approval_wait(&api, params, timeout_s, &measurement, fault));
        TRY(api_set(answer, "measurement", measurement));
    }
    return print_result(args, answer);
}

/* What was not used since then, by this machine's clock. */
static enum err set_unused(json_t *params, const struct cli_args *args, struct fault *fault)
{
    uint64_t unused_s = 0;
    char time[TIME_TEXT_MAX];
    TRY(cli_args_duration(args, "unused-for", &unused_s, fault));
    if (unused_s == 0)
        return ERR_OK;
    time_format(clock_now_ms() - (int64_t)unused_s * 1000, time);
    return api_set(params, "unused_since", json_string(time));
}

static enum err check_output(const struct cli_args *args, struct fault *fault)
{
    const char *output = cli_args_value(args, "output");
    if (output != NULL && strcmp(output, "name") != 0)
        FAIL(fault, ERR_USAGE, "--output takes name, not \"%s\"", output);
    if (output != NULL && cli_args_has(args, "json"))
        FAIL(fault, ERR_USAGE, "give either --output name or --json");
    return ERR_OK;
}

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"IMAGE", "image"},         {"VERSION", "version"}, {"STATE", "state"},
        {"DEBUG", "debug"},         {"KIND", "kind"},       {"CREATED", "created"},
        {"LAST SEEN", "last_seen"}, {"NOTE", "note"},       {"PCR0", "pcrs.0"},
    };
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *rows = NULL;
    TRY(api_set_option(params, "image", args, "image"));
    TRY(api_set_option(params, "state", args, "in-state"));
    TRY(set_unused(params, args, fault));
    TRY(check_output(args, fault));
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(api_list(&api, PATH_LIST, params, "after", "measurements", &rows, fault));
    if (cli_args_has(args, "json"))
        return cli_print_json(rows);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *m = json_array_get(rows, i);
        TRY(api_set(m, "note", json_string(note_of(m))));
    }
    if (cli_args_has(args, "output"))
        return print_names(rows);
    return show_table(rows, columns, ARRAY_LEN(columns));
}

static enum err show_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(build_set_name(params, args->operands[0], fault));
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(api_call(&api, "GET", PATH_SHOW, params, &answer, fault));
    json_t *m = json_object_get(answer, "measurement");
    return cli_args_has(args, "json") ? cli_print_json(m) : print_one(m);
}

static enum err enclaves_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"ENCLAVE", "enclave"},       {"SECRET", "secret"},       {"VERSION", "version"},
        {"FIRST SEEN", "first_seen"}, {"LAST SEEN", "last_seen"}, {"RELEASES", "releases"},
    };
    CLEANUP(json_decrefp) json_t *params = json_object();
    TRY(build_set_name(params, args->operands[0], fault));
    const struct api_listing listing = {PATH_SHOW "/enclaves", "enclaves", columns,
                                        ARRAY_LEN(columns), NULL};
    return api_print_list(args, params, &listing, fault);
}

/* A dry run is judged by the server as the change would be, which it then leaves. */
enum change_mode { CHANGE, DRY_RUN };

static enum change_mode change_mode(const struct cli_args *args)
{
    return cli_args_has(args, "dry-run") ? DRY_RUN : CHANGE;
}

static enum err change_one(const struct cli_args *args, const struct api *api, const char *build,
                           const char *path, enum change_mode mode, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(build_set_name(params, build, fault));
    TRY(api_set_option(params, "reason", args, "reason"));
    if (mode == DRY_RUN)
        TRY(api_set(params, "dry_run", json_true()));
    TRY(api_call(api, "POST", path, params, &answer, fault));
    if (mode == CHANGE || strcmp(path, PATH_REVOKE) != 0)
        return print_result(args, answer);
    TRY(rollout_add_losses(api, params, answer, fault));
    return cli_args_has(args, "json") ? cli_print_json(answer) : rollout_print_losses(answer);
}

/* One by one; the first that is refused ends it, and those before it are done. */
static enum err change_state(const struct cli_args *args, const char *path, enum change_mode mode,
                             struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    TRY(rollout_check_names(args, fault));
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    for (size_t i = 0; i < args->operand_count; i++)
        TRY(change_one(args, &api, args->operands[i], path, mode, fault));
    if (mode == DRY_RUN && strcmp(path, PATH_REVOKE) == 0)
        rollout_note_several(args);
    return ERR_OK;
}

static enum err activate_run(const struct cli_args *args, struct fault *fault)
{
    return change_state(args, PATH_LIST "/activate", CHANGE, fault);
}

static enum err deprecate_old(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    return rollout_deprecate_old(args, &api, fault);
}

static enum err deprecate_run(const struct cli_args *args, struct fault *fault)
{
    const bool old = cli_args_has(args, "all-but-newest");
    if (old != cli_args_has(args, "image") || old != (args->operand_count == 0))
        FAIL(fault, ERR_USAGE,
             "give either IMAGE@VERSION, or --image IMAGE with --all-but-newest N");
    return old ? deprecate_old(args, fault)
               : change_state(args, PATH_LIST "/deprecate", change_mode(args), fault);
}

static enum err revoke_run(const struct cli_args *args, struct fault *fault)
{
    return change_state(args, PATH_REVOKE, change_mode(args), fault);
}

static enum err discard_run(const struct cli_args *args, struct fault *fault)
{
    return change_state(args, PATH_LIST "/discard", CHANGE, fault);
}

static const struct cli_option add_options[] = {
    BUILD_OPTIONS,
    {.name = "draft", .help = "make it a draft, which matches nothing until it is activated"},
    {.name = "wait", .help = "with --draft: wait until somebody activates it"},
    {.name = "timeout",
     .arg = "DURATION",
     .help = "how long to wait, such as 90s or 2h (default: 30m)"},
    {.name = "debug",
     .help = "for debug-mode enclaves, in a development store: PCR3 or PCR4 only, by --pcr"},
    API_OPTIONS};

static const struct cli_option list_options[] = {
    {.name = "image", .arg = "IMAGE", .help = "of this image only"},
    {.name = "in-state",
     .arg = "STATE",
     .help = "draft, active, deprecated, revoked or discarded (which are not listed otherwise)"},
    {.name = "unused-for",
     .arg = "DURATION",
     .help = "that count, but were not released to for so long, such as 7d or 12h"},
    {.name = "output", .letter = 'o', .arg = "name", .help = "IMAGE@VERSION alone, one a line"},
    API_OPTIONS};

static const struct cli_option show_options[] = {API_OPTIONS};

static const struct cli_option state_options[] = {
    {.name = "reason", .arg = "TEXT", .help = "goes into the audit record"}, API_OPTIONS};

static const struct cli_option deprecate_options[] = {
    {.name = "image", .arg = "IMAGE", .help = "with --all-but-newest: the builds of this image"},
    {.name = "all-but-newest",
     .arg = "N",
     .help = "of the active builds of --image all but the N registered last"},
    {.name = "dry-run", .help = "change nothing, and say what would change"},
    {.name = "reason", .arg = "TEXT", .help = "goes into the audit record"},
    API_OPTIONS};

static const struct cli_option revoke_options[] = {
    {.name = "dry-run",
     .help = "change nothing, and say what would stop and which enclaves hold secrets already"},
    {.name = "reason", .arg = "TEXT", .help = "goes into the audit record"},
    API_OPTIONS};

const struct cli_command cmd_measurement_add = {
    .name = "measurement add",
    .operands = "IMAGE@VERSION",
    .summary = "register a build by its PCRs",
    .details = "Registers one build of an image: its PCR0, PCR1 and PCR2 together, which never\n"
               "change afterwards. Registering the same again changes nothing and succeeds.",
    .options = add_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = add_run,
};

const struct cli_command cmd_measurement_list = {
    .name = "measurement list",
    .operands = "",
    .summary = "list measurements",
    .options = list_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};

const struct cli_command cmd_measurement_show = {
    .name = "measurement show",
    .operands = "IMAGE@VERSION",
    .summary = "show one measurement whole",
    .options = show_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = show_run,
};

const struct cli_command cmd_measurement_enclaves = {
    .name = "measurement enclaves",
    .operands = "IMAGE@VERSION",
    .summary = "list the enclaves of a build and what they hold",
    .options = show_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = enclaves_run,
};

const struct cli_command cmd_measurement_activate = {
    .name = "measurement activate",
    .operands = "IMAGE@VERSION...",
    .summary = "make a draft or deprecated measurement count",
    .options = state_options,
    .operands_min = 1,
    .operands_max = BUILDS_MAX,
    .run = activate_run,
};

const struct cli_command cmd_measurement_deprecate = {
    .name = "measurement deprecate",
    .operands = "[IMAGE@VERSION...]",
    .summary = "let a measurement work on, with a warning",
    .options = deprecate_options,
    .operands_min = 0,
    .operands_max = BUILDS_MAX,
    .run = deprecate_run,
};

const struct cli_command cmd_measurement_revoke = {
    .name = "measurement revoke",
    .operands = "IMAGE@VERSION...",
    .summary = "refuse a measurement for good, whatever else matches",
    .options = revoke_options,
    .operands_min = 1,
    .operands_max = BUILDS_MAX,
    .run = revoke_run,
};

const struct cli_command cmd_measurement_discard = {
    .name = "measurement discard",
    .operands = "IMAGE@VERSION",
    .summary = "take a draft back, and free its values",
    .details =
        "Takes a draft back for good. Unlike a revoked measurement it denies nothing, and its\n"
        "values may be registered again, under another version.",
    .options = state_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = discard_run,
};
