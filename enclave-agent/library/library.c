/* libvouchsafe-agent: a session of the agent's behind functions that say nothing of its insides. */
#include <stdio.h>
#include <stdlib.h>

#include "enclave-agent/outcome.h"
#include "enclave-agent/settings.h"
#include "vouchsafe-agent.h"

#define ROW(name_)                                  \
    {                                               \
        .name = (name_), .arg = "VALUE", .help = "" \
    }
#define ROW_MORE(name_)                                               \
    {                                                                 \
        .name = (name_), .arg = "VALUE", .help = "", .repeated = true \
    }

/* Those of the agent's settings that are about asking; the others of a file are passed over. */
static const struct cli_option names[] = {
    ROW("config"),      ROW("nsm"),         ROW("verifier"),         ROW("issuer"),
    ROW("store"),       ROW_MORE("secret"), ROW_MORE("min-version"), ROW("cacert"),
    ROW("root"),        ROW("format"),      ROW("application"),      ROW("timeout"),
    ROW_MORE("extend"), ROW("cmdline"),     ROW("tls-name"),         {0},
};

struct vouchsafe_agent {
    size_t count;
    char **words; /* "--name=value", each its own */
    struct answer_held held;
    vouchsafe_agent_log *log;
    void *log_context;
};

struct vouchsafe_agent_secrets {
    struct answer_opened opened;
};

/* --- errors --- */

static enum vouchsafe_agent_status tell(enum err code, const struct fault *fault,
                                        const struct problem *problem,
                                        struct vouchsafe_agent_error *error)
{
    static const struct fault none = FAULT_NONE;
    const enum vouchsafe_agent_status status = outcome_library(code);
    if (code == ERR_OK || error == NULL)
        return status;
    const struct fault *said = fault->code == code ? fault : &none;
    const char *detail = said->detail[0] == '\0' ? err_sentence(code) : said->detail;
    *error = (struct vouchsafe_agent_error){.status = status};
    snprintf(error->code, sizeof error->code, "%s", err_wire(code));
    snprintf(error->sentence, sizeof error->sentence, "%s%s%s", said->field,
             said->field[0] == '\0' ? "" : ": ", detail);
    if (code != ERR_REFUSED || problem == NULL)
        return status;
    snprintf(error->code, sizeof error->code, "%s", problem->code_wire);
    snprintf(error->request_id, sizeof error->request_id, "%s", problem->request_id);
    if (problem->code == ERR_REFUSED && problem->request_id[0] != '\0')
        snprintf(error->sentence, sizeof error->sentence,
                 "%s; ask the verifier's admin to run 'vouchsafe explain %s'", problem->detail,
                 problem->request_id);
    return status;
}

/* --- settings --- */

const char *vouchsafe_agent_version(void)
{
    return VOUCHSAFE_VERSION;
}

enum vouchsafe_agent_status vouchsafe_agent_new(struct vouchsafe_agent **out,
                                                struct vouchsafe_agent_error *error)
{
    const struct fault fault = FAULT_NONE;
    struct vouchsafe_agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL)
        return tell(ERR_NO_MEMORY, &fault, NULL, error);
    *out = agent;
    return VOUCHSAFE_AGENT_OK;
}

void vouchsafe_agent_free(struct vouchsafe_agent *agent)
{
    if (agent == NULL)
        return;
    for (size_t i = 0; i < agent->count; i++)
        free(agent->words[i]);
    free(agent->words);
    free(agent);
}

void vouchsafe_agent_set_log(struct vouchsafe_agent *agent, vouchsafe_agent_log *log, void *context)
{
    agent->log = log;
    agent->log_context = context;
}

/* All that was set: words of a command line that nobody typed. */
static enum err parse(const struct vouchsafe_agent *agent, struct cli_args *out,
                      struct fault *fault)
{
    return cli_args_parse(names, (int)agent->count, (const char *const *)agent->words, out, fault);
}

static enum err add_word(struct vouchsafe_agent *agent, const char *name, const char *value,
                         struct fault *fault)
{
    char **words = realloc(agent->words, (agent->count + 1) * sizeof words[0]);
    if (words == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the settings");
    agent->words = words;
    const size_t size = strlen(name) + strlen(value) + sizeof "--=";
    words[agent->count] = malloc(size);
    if (words[agent->count] == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the settings");
    snprintf(words[agent->count++], size, "--%s=%s", name, value);
    return ERR_OK;
}

static enum err set(struct vouchsafe_agent *agent, const char *name, const char *value,
                    struct fault *fault)
{
    if (agent->count == SETTINGS_ENTRIES_MAX)
        FAIL(fault, ERR_USAGE, "more than %d settings", SETTINGS_ENTRIES_MAX);
    if (name[0] == '\0' || strchr(name, '=') != NULL)
        FAIL(fault, ERR_USAGE, "\"%.60s\" is no name of a setting", name);
    TRY(add_word(agent, name, value, fault));
    CLEANUP(cli_args_free) struct cli_args args = {0};
    const enum err err = parse(agent, &args, fault);
    if (err != ERR_OK)
        free(agent->words[--agent->count]);
    return err;
}

enum vouchsafe_agent_status vouchsafe_agent_set(struct vouchsafe_agent *agent, const char *name,
                                                const char *value,
                                                struct vouchsafe_agent_error *error)
{
    struct fault fault = FAULT_NONE;
    return tell(set(agent, name, value, &fault), &fault, NULL, error);
}

/* --- the release --- */

static void say(void *context, const char *sentence)
{
    const struct vouchsafe_agent *agent = context;
    if (agent->log != NULL)
        agent->log(agent->log_context, sentence);
}

static enum err release(struct vouchsafe_agent *agent, struct answer_opened *opened,
                        struct problem *problem, struct fault *fault)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    CLEANUP(settings_free) struct settings settings = {0};
    TRY(parse(agent, &args, fault));
    TRY(settings_load(&args, NULL, &settings, fault));
    bool debug = false;
    TRY(measure_enclave(&settings.measure, settings.plan.nsm, &debug, fault));
    if (debug)
        say(agent, MEASURE_DEBUG_SENTENCE);
    TRY(secret_share(SESSION_LOCKED_LEN, fault));
    settings.plan.held = &agent->held;
    settings.plan.say = say;
    settings.plan.say_context = agent;
    TRY(session_run(&settings.plan, opened, problem, fault));
    answer_hold(&agent->held, opened);
    return ERR_OK;
}

enum vouchsafe_agent_status vouchsafe_agent_release(struct vouchsafe_agent *agent,
                                                    struct vouchsafe_agent_secrets **out,
                                                    struct vouchsafe_agent_error *error)
{
    struct fault fault = FAULT_NONE;
    struct problem problem = {.offset = FAULT_NO_OFFSET};
    struct vouchsafe_agent_secrets *secrets = calloc(1, sizeof *secrets);
    if (secrets == NULL)
        return tell(ERR_NO_MEMORY, &fault, NULL, error);
    const enum err err = release(agent, &secrets->opened, &problem, &fault);
    if (err == ERR_OK)
        *out = secrets;
    else
        vouchsafe_agent_secrets_free(secrets);
    return tell(err, &fault, &problem, error);
}

/* --- what it gave --- */

size_t vouchsafe_agent_secrets_count(const struct vouchsafe_agent_secrets *secrets)
{
    return secrets->opened.count;
}

const char *vouchsafe_agent_secrets_name(const struct vouchsafe_agent_secrets *secrets,
                                         size_t index)
{
    return index < secrets->opened.count ? secrets->opened.item[index].name : NULL;
}

const void *vouchsafe_agent_secrets_value(const struct vouchsafe_agent_secrets *secrets,
                                          const char *name, size_t *len, uint32_t *version)
{
    for (size_t i = 0; i < secrets->opened.count; i++) {
        const struct answer_secret *item = &secrets->opened.item[i];
        if (strcmp(item->name, name) != 0)
            continue;
        const struct bytes value = secret_view(item->value);
        *len = value.len;
        if (version != NULL)
            *version = item->version;
        return value.ptr;
    }
    return NULL;
}

void vouchsafe_agent_secrets_free(struct vouchsafe_agent_secrets *secrets)
{
    if (secrets == NULL)
        return;
    answer_opened_free(&secrets->opened);
    free(secrets);
}
