/* libvouchsafe-agent: a session of the agent's behind functions that say nothing of its insides. */
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "enclave-agent/advice.h"
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
    char **words;         /* "--name=value", each its own */
    struct fault refused; /* the first setting that failed */
    struct answer_held held;
    vouchsafe_agent_log *log;
    void *log_context;
};

struct vouchsafe_agent_secrets {
    struct answer_opened opened;
};

/* --- errors --- */

static void tell_sentence(struct vouchsafe_agent_error *error, const char *field,
                          const char *detail)
{
    snprintf(error->sentence, sizeof error->sentence, "%s%s%s", field, field[0] == '\0' ? "" : ": ",
             detail);
}

static void tell_refused(const struct problem *problem, struct vouchsafe_agent_error *error)
{
    _Static_assert(ADVICE_MAX <= sizeof error->advice, "each advice fits");
    snprintf(error->code, sizeof error->code, "%s", problem->code_wire);
    snprintf(error->request_id, sizeof error->request_id, "%s", problem->request_id);
    tell_sentence(error, problem->field,
                  problem->detail[0] == '\0' ? err_sentence(ERR_REFUSED) : problem->detail);
    advice_refused(problem, error->advice);
}

/* Only a program of others keeps what several releases gave. */
static const char *advice_about(enum err code, const struct fault *fault)
{
    if (code == ERR_NO_MEMORY && CRYPTO_secure_malloc_initialized() == 1)
        return "free the secrets of earlier releases that are not needed any more: all of a "
               "process share one locked memory";
    return advice_of(code, fault);
}

static void tell_fault(enum err code, const struct fault *fault,
                       struct vouchsafe_agent_error *error)
{
    static const struct fault none = FAULT_NONE;
    const struct fault *said = fault->code == code ? fault : &none;
    const char *advice = advice_about(code, said);
    snprintf(error->code, sizeof error->code, "%s", err_wire(code));
    tell_sentence(error, said->field, said->detail[0] == '\0' ? err_sentence(code) : said->detail);
    snprintf(error->advice, sizeof error->advice, "%s", advice == NULL ? "" : advice);
}

/* `problem` is what the verifier answered where `code` is ERR_REFUSED. */
static enum vouchsafe_agent_status tell(enum err code, const struct fault *fault,
                                        const struct problem *problem,
                                        struct vouchsafe_agent_error *error)
{
    const enum vouchsafe_agent_status status = outcome_library(code);
    if (code == ERR_OK || error == NULL)
        return status;
    *error = (struct vouchsafe_agent_error){.status = status};
    if (code == ERR_REFUSED)
        tell_refused(problem, error);
    else
        tell_fault(code, fault, error);
    return status;
}

static enum vouchsafe_agent_status tell_null(struct vouchsafe_agent_error *error)
{
    struct fault fault = FAULT_NONE;
    const enum err err = fault_set(&fault, ERR_USAGE, "an argument is NULL that must not be");
    return tell(err, &fault, NULL, error);
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
    if (out == NULL)
        return tell_null(error);
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
    if (agent == NULL)
        return;
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
    /* Such as what getenv gives where there is no such variable. */
    if (name == NULL || value == NULL)
        FAIL(fault, ERR_USAGE, "the %s of a setting is NULL", name == NULL ? "name" : "value");
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
    if (agent == NULL)
        return tell_null(error);
    struct fault fault = FAULT_NONE;
    const enum err err = set(agent, name, value, &fault);
    if (agent->refused.code == ERR_OK)
        agent->refused = fault;
    return tell(err, &fault, NULL, error);
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
    bool debug = false;
    *fault = agent->refused;
    TRY(fault->code);
    TRY(parse(agent, &args, fault));
    TRY(settings_load(&args, NULL, &settings, fault));
    TRY(measure_enclave(&settings.measure, settings.plan.nsm, &debug, fault));
    if (debug && !agent->held.any)
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
    if (agent == NULL || out == NULL)
        return tell_null(error);
    struct fault fault = FAULT_NONE;
    struct problem problem = {.offset = FAULT_NO_OFFSET};
    struct vouchsafe_agent_secrets *secrets = calloc(1, sizeof *secrets);
    if (secrets == NULL)
        return tell(ERR_NO_MEMORY, &fault, NULL, error);
    /* A thread that ended in the middle of it would leave secrets behind that nobody wipes. */
    int cancel = PTHREAD_CANCEL_DISABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    const enum err err = release(agent, &secrets->opened, &problem, &fault);
    (void)pthread_setcancelstate(cancel, NULL);
    if (err == ERR_OK)
        *out = secrets;
    else
        vouchsafe_agent_secrets_free(secrets);
    return tell(err, &fault, &problem, error);
}

/* --- what it gave --- */

size_t vouchsafe_agent_secrets_count(const struct vouchsafe_agent_secrets *secrets)
{
    return secrets == NULL ? 0 : secrets->opened.count;
}

const char *vouchsafe_agent_secrets_name(const struct vouchsafe_agent_secrets *secrets,
                                         size_t index)
{
    const bool there = secrets != NULL && index < secrets->opened.count;
    return there ? secrets->opened.item[index].name : NULL;
}

const void *vouchsafe_agent_secrets_value(const struct vouchsafe_agent_secrets *secrets,
                                          const char *name, size_t *len, uint32_t *version)
{
    if (secrets == NULL || name == NULL || len == NULL)
        return NULL;
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
