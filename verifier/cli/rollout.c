#include "rollout.h"

#include <stdio.h>

#include "common/protocol.h"
#include "show.h"

#define PATH_LIST "/v1/admin/measurements"
#define PATH_SHOW "/v1/admin/measurement"

#define DAYS_SHOWN 7 /* the others, up to 30, --json has */

static long long number(const json_t *object, const char *member)
{
    return (long long)json_integer_value(json_object_get(object, member));
}

enum err rollout_check_names(const struct cli_args *args, struct fault *fault)
{
    char image[PROTOCOL_IMAGE_MAX + 1];
    char version[PROTOCOL_IMAGE_MAX + 1];
    for (size_t i = 0; i < args->operand_count; i++)
        TRY(protocol_build_split(args->operands[i], image, version, fault));
    return ERR_OK;
}

/* "2026-11-23: 4, 2026-11-22: 7": the last days that had any, the newest first. */
static enum err set_days(const json_t *use, json_t *shown)
{
    CLEANUP(buf_free) struct buf text = {0};
    const json_t *days = json_object_get(use, "days");
    const size_t count = json_array_size(days);
    for (size_t i = count; i > 0 && count - i < DAYS_SHOWN; i--) {
        const json_t *day = json_array_get(days, i - 1);
        TRY(buf_append_format(&text, "%s%s: %lld", text.len == 0 ? "" : ", ", show_text(day, "day"),
                              number(day, "releases")));
    }
    if (text.len == 0)
        return ERR_OK;
    return api_set(shown, "days_text", json_stringn((const char *)text.ptr, text.len));
}

enum err rollout_print_use(const json_t *measurement)
{
    static const struct show_column columns[] = {
        {"counted from", "counted_from"}, {"first seen", "first_seen"}, {"last seen", "last_seen"},
        {"releases", "releases_text"},    {"by day", "days_text"},      {"enclaves", "enclaves"},
    };
    const json_t *use = json_object_get(measurement, "use");
    CLEANUP(json_decrefp) json_t *shown = json_copy((json_t *)(uintptr_t)use);
    if (shown == NULL)
        return use == NULL ? ERR_OK : ERR_NO_MEMORY;
    if (json_object_get(use, "last_seen") == NULL)
        TRY(api_set(shown, "last_seen", json_string("never")));
    TRY(api_set(shown, "releases_text",
                json_sprintf("%lld: %lld today, %lld in 7 days", number(use, "releases"),
                             number(use, "releases_today"), number(use, "releases_7_days"))));
    TRY(set_days(use, shown));
    return show_object(shown, columns, ARRAY_LEN(columns));
}

enum err rollout_print_result(const json_t *answer)
{
    const json_t *m = json_object_get(answer, "measurement");
    CLEANUP(buf_free) struct buf line = {0};
    TRY(buf_append_format(&line, "%s %s@%s (%s)", show_text(answer, "result"),
                          show_text(m, "image"), show_text(m, "version"), show_text(m, "state")));
    cli_print_text(bytes_of_buf(&line), stdout);
    putchar('\n');
    return ERR_OK;
}

/* ---- what would be lost ---- */

static enum err add_list(const struct api *api, const json_t *build, const char *path,
                         const char *member, json_t *answer, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_copy((json_t *)(uintptr_t)build);
    json_t *rows = NULL;
    TRY(api_list(api, path, params, "after", member, &rows, fault));
    return api_set(answer, member, rows);
}

enum err rollout_add_losses(const struct api *api, json_t *params, json_t *answer,
                            struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *shown = NULL;
    CLEANUP(json_decrefp) json_t *build = json_object();
    TRY(api_set(build, "image", json_incref(json_object_get(params, "image"))));
    TRY(api_set(build, "version", json_incref(json_object_get(params, "version"))));
    TRY(api_call(api, "GET", PATH_SHOW, build, &shown, fault));
    TRY(api_set(answer, "measurement", json_incref(json_object_get(shown, "measurement"))));
    TRY(add_list(api, build, PATH_SHOW "/grants", "grants", answer, fault));
    return add_list(api, build, PATH_SHOW "/enclaves", "enclaves", answer, fault);
}

/* A grant that no other build satisfies stops, and says so. */
static json_t *who_else(const json_t *grant)
{
    const long long others = number(grant, "other_builds");
    if (json_is_true(json_object_get(grant, "signer")))
        return json_string("what else this signer signed");
    if (others == 0)
        return json_string("nobody: no other build that counts");
    return json_sprintf("%lld other build%s that count%s", others, others == 1 ? "" : "s",
                        others == 1 ? "s" : "");
}

static enum err print_grants(const json_t *grants)
{
    static const struct show_column columns[] = {
        {"SECRET", "secret"},
        {"VERSION", "version"},
        {"GRANT", "id"},
        {"WHO GETS IT THEN", "then"},
    };
    CLEANUP(json_decrefp) json_t *rows = json_deep_copy(grants);
    size_t i;
    json_t *row;
    if (rows == NULL)
        return ERR_NO_MEMORY;
    json_array_foreach(rows, i, row)
    {
        TRY(api_set(row, "then", who_else(row)));
    }
    return show_table(rows, columns, ARRAY_LEN(columns));
}

enum err rollout_print_losses(const json_t *answer)
{
    static const struct show_column enclaves[] = {
        {"ENCLAVE", "enclave"},
        {"SECRET", "secret"},
        {"VERSION", "version"},
        {"LAST SEEN", "last_seen"},
    };
    const json_t *grants = json_object_get(answer, "grants");
    const json_t *holders = json_object_get(answer, "enclaves");
    TRY(rollout_print_result(answer));
    TRY(rollout_print_use(json_object_get(answer, "measurement")));
    if (json_array_size(grants) == 0) {
        puts("\nIt gets nothing now, by any grant.");
    } else {
        puts("\nWhat it gets now, and would get no more:");
        TRY(print_grants(grants));
    }
    if (json_array_size(holders) == 0) {
        puts("\nNo enclave of this build was given a secret.");
        return ERR_OK;
    }
    puts("\nEnclaves that were given secrets:");
    TRY(show_table(holders, enclaves, ARRAY_LEN(enclaves)));
    puts("\nRevoking does not take these back: an enclave keeps what it was given until it ends.\n"
         "If the build cannot be trusted, end its enclaves, change each value where it is used,\n"
         "and put the new one with `vouchsafe secret put NAME`.");
    return ERR_OK;
}

void rollout_note_several(const struct cli_args *args)
{
    if (args->operand_count > 1 && !cli_args_has(args, "json"))
        puts("\nEach build was looked at by itself: whoever gets a secret then may be one of the\n"
             "others that are named here.");
}

/* ---- all but the newest ---- */

struct rollout {
    const struct cli_args *args;
    const struct api *api;
    uint64_t keep;
    json_t *active; /* the oldest registered first */
    json_t *done;
    json_t *kept;
};

static void rollout_free(struct rollout *r)
{
    json_decref(r->active);
    json_decref(r->done);
    json_decref(r->kept);
}

static enum err list_active(struct rollout *r, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    r->done = json_array();
    r->kept = json_array();
    if (r->done == NULL || r->kept == NULL)
        return ERR_NO_MEMORY;
    TRY(api_set_option(params, "image", r->args, "image"));
    TRY(api_set(params, "state", json_string("active")));
    return api_list(r->api, PATH_LIST, params, "after", "measurements", &r->active, fault);
}

static enum err deprecate_one(struct rollout *r, const json_t *measurement, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    json_t *answer = NULL;
    TRY(api_set(params, "image", json_incref(json_object_get(measurement, "image"))));
    TRY(api_set(params, "version", json_incref(json_object_get(measurement, "version"))));
    TRY(api_set(params, "reason",
                json_sprintf("not among the newest %llu", (unsigned long long)r->keep)));
    TRY(api_set_option(params, "reason", r->args, "reason"));
    if (cli_args_has(r->args, "dry-run"))
        TRY(api_set(params, "dry_run", json_true()));
    TRY(api_call(r->api, "POST", PATH_LIST "/deprecate", params, &answer, fault));
    if (json_array_append_new(r->done, answer) != 0)
        return ERR_NO_MEMORY;
    return cli_args_has(r->args, "json") ? ERR_OK : rollout_print_result(answer);
}

static enum err keep_one(struct rollout *r, json_t *measurement)
{
    CLEANUP(json_decrefp) json_t *answer = json_object();
    TRY(api_set(answer, "result", json_string("kept")));
    TRY(api_set(answer, "measurement", json_incref(measurement)));
    if (json_array_append(r->kept, measurement) != 0)
        return ERR_NO_MEMORY;
    return cli_args_has(r->args, "json") ? ERR_OK : rollout_print_result(answer);
}

/* One at a time: each is a change of its own on record, and whoever is interrupted does the
 * same again. */
enum err rollout_deprecate_old(const struct cli_args *args, const struct api *api,
                               struct fault *fault)
{
    CLEANUP(rollout_free) struct rollout r = {.args = args, .api = api};
    TRY(cli_args_uint(args, "all-but-newest", 1, INT32_MAX, &r.keep, fault));
    TRY(list_active(&r, fault));
    const size_t count = json_array_size(r.active);
    const size_t old = count > r.keep ? count - (size_t)r.keep : 0;
    for (size_t i = 0; i < old; i++)
        TRY(deprecate_one(&r, json_array_get(r.active, i), fault));
    for (size_t i = old; i < count; i++)
        TRY(keep_one(&r, json_array_get(r.active, i)));
    if (!cli_args_has(args, "json")) {
        if (old == 0)
            puts("nothing to deprecate");
        return ERR_OK;
    }
    CLEANUP(json_decrefp) json_t *answer = json_object();
    TRY(api_set(answer, "deprecated", json_incref(r.done)));
    TRY(api_set(answer, "kept", json_incref(r.kept)));
    return cli_print_json(answer);
}
