/* Settings of `run` alone: the program, and what an agent does that stays beside it. */
#include <signal.h>
#include <stdlib.h>

#include "common/codec.h"
#include "settings.h"

#define PARENT_CID_DEFAULT 3 /* VMADDR_CID of the parent, as seen from every enclave */

static const struct {
    const char *name;
    int number;
} signal_names[] = {{"HUP", SIGHUP}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"none", 0}};

/* All values under one name, and NULL after them. */
static enum err load_list(const struct cli_args *args, const struct settings_file *file,
                          const char *name, const char ***out, struct fault *fault)
{
    size_t count = 0;
    size_t next = 0;
    while (settings_next(args, file, name, &next) != NULL)
        count++;
    const char **list = calloc(count + 1, sizeof list[0]);
    if (list == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the values of %s", name);
    next = 0;
    for (size_t i = 0; i < count; i++)
        list[i] = settings_next(args, file, name, &next);
    *out = list;
    return ERR_OK;
}

/* What follows `--`; where nothing does, the words of `exec`. */
static enum err load_program(const struct cli_args *args, struct settings *s, struct fault *fault)
{
    /* A word too many behind an option would else be run, with everything that was asked for. */
    if (args->operands_bare > 0)
        FAIL(fault, ERR_USAGE,
             "\"%.60s\" is no option and no option's value; PROGRAM stands behind --",
             args->operands[0]);
    if (args->operand_count == 0) {
        TRY(load_list(args, &s->file, "exec", &s->program, fault));
    } else {
        s->program = calloc(args->operand_count + 1, sizeof s->program[0]);
        if (s->program == NULL)
            FAIL(fault, ERR_NO_MEMORY, "no memory for the program's arguments");
        memcpy(s->program, args->operands, args->operand_count * sizeof s->program[0]);
    }
    if (s->program[0] == NULL)
        FAIL(fault, ERR_USAGE,
             "which program? vouchsafe-agent run [OPTIONS] -- PROGRAM [ARGUMENTS], or exec = WORD "
             "in the settings");
    return ERR_OK;
}

static enum err load_environment(const struct cli_args *args, struct settings *s,
                                 struct fault *fault)
{
    TRY(load_list(args, &s->file, "env", &s->environment, fault));
    for (const char **item = s->environment; *item != NULL; item++) {
        const char *equals = strchr(*item, '=');
        if (equals == NULL || equals == *item)
            FAIL(fault, ERR_USAGE, "env \"%.100s\" is not NAME=VALUE", *item);
    }
    return ERR_OK;
}

static enum err parse_duration(const char *name, const char *text, int64_t *out_ms,
                               struct fault *fault)
{
    uint64_t duration_s = 0;
    if (cli_duration_parse(text, &duration_s) != ERR_OK)
        FAIL(fault, ERR_USAGE, "%s takes a duration such as 90s, 30m, 12h or 7d, not \"%.60s\"",
             name, text);
    *out_ms = (int64_t)duration_s * 1000;
    return ERR_OK;
}

/* "12h", or "hup". */
static enum err load_refresh(const struct cli_args *args, struct settings *s, struct fault *fault)
{
    const char *when = settings_value(args, &s->file, "refresh");
    const char *limit = settings_value(args, &s->file, "max-staleness");
    struct refresh_plan *plan = &s->refresh;
    plan->on = when != NULL;
    if (when != NULL && strcmp(when, "hup") != 0)
        TRY(parse_duration("refresh", when, &plan->period_ms, fault));
    if (limit == NULL)
        return ERR_OK;
    TRY(parse_duration("max-staleness", limit, &plan->max_staleness_ms, fault));
    if (plan->max_staleness_ms <= plan->period_ms || plan->period_ms == 0)
        FAIL(fault, ERR_USAGE,
             "max-staleness %s needs a refresh that is due earlier, such as --refresh 1h", limit);
    return ERR_OK;
}

static enum err load_refresh_signal(const char *name, struct settings *s, struct fault *fault)
{
    s->refresh_signal = SIGHUP;
    if (name == NULL)
        return ERR_OK;
    if (!s->refresh.on)
        FAIL(fault, ERR_USAGE, "refresh-signal %.20s: without --refresh there is none", name);
    for (size_t i = 0; i < ARRAY_LEN(signal_names); i++) {
        if (strcmp(signal_names[i].name, name) == 0) {
            s->refresh_signal = signal_names[i].number;
            return ERR_OK;
        }
    }
    FAIL(fault, ERR_USAGE, "refresh-signal takes HUP, USR1, USR2 or none, not \"%.60s\"", name);
}

static enum err load_parent(const char *text, struct settings *s, struct fault *fault)
{
    uint64_t cid = PARENT_CID_DEFAULT;
    if (text != NULL && decimal_parse(bytes_of_text(text), UINT32_MAX - 1, &cid) != ERR_OK)
        FAIL(fault, ERR_USAGE, "parent-cid takes a CID, a number such as 3, not \"%.60s\"", text);
    s->parent_cid = (uint32_t)cid;
    return ERR_OK;
}

/* What goes into the environment leaves by many doors; nobody opens them by mistake. */
static enum err check_env(const struct cli_args *args, const struct settings *s,
                          struct fault *fault)
{
    const bool allowed = settings_flag(args, &s->file, "allow-env");
    for (size_t i = 0; i < s->deliveries.count; i++) {
        const struct delivery *delivery = &s->deliveries.item[i];
        if (delivery->kind == DELIVERY_ENV && !allowed)
            FAIL(fault, ERR_USAGE,
                 "deliver %.90s=env:%.60s: others can see the environment of a program; "
                 "--allow-env permits it",
                 delivery->secret, delivery->place);
    }
    return ERR_OK;
}

static enum err load_deliveries(const struct cli_args *args, struct settings *s,
                                struct fault *fault)
{
    size_t next = 0;
    const char *value = NULL;
    while ((value = settings_next(args, &s->file, "deliver", &next)) != NULL)
        TRY(delivery_plan_add(&s->deliveries, &s->wanted, value, fault));
    TRY(delivery_plan_finish(&s->deliveries, &s->wanted, s->dir, fault));
    TRY(check_env(args, s, fault));
    next = 0;
    while ((value = settings_next(args, &s->file, "tmpfs", &next)) != NULL) {
        if (s->memory_fs_count == MEMORY_FS_MAX)
            FAIL(fault, ERR_USAGE, "more than %d tmpfs", MEMORY_FS_MAX);
        TRY(memory_fs_parse(value, &s->memory_fs[s->memory_fs_count++], fault));
    }
    return ERR_OK;
}

static enum err check_refresh(const struct settings *s, struct fault *fault)
{
    for (size_t i = 0; s->refresh.on && i < s->deliveries.count; i++) {
        const struct delivery *delivery = &s->deliveries.item[i];
        if (!delivery_is_file(delivery))
            FAIL(fault, ERR_USAGE,
                 "refresh replaces files, and %.80s goes to %s, which a running program keeps: add "
                 "--dir DIR, or --deliver %.80s=file:PATH",
                 delivery->secret, delivery_kind_name(delivery->kind), delivery->secret);
    }
    return ERR_OK;
}

enum err settings_load_run(const struct cli_args *args, struct settings *out, struct fault *fault)
{
    TRY(load_program(args, out, fault));
    TRY(load_environment(args, out, fault));
    TRY(load_deliveries(args, out, fault));
    TRY(load_refresh(args, out, fault));
    TRY(load_refresh_signal(settings_value(args, &out->file, "refresh-signal"), out, fault));
    TRY(load_parent(settings_value(args, &out->file, "parent-cid"), out, fault));
    return check_refresh(out, fault);
}
