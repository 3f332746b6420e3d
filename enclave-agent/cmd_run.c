/* vouchsafe-agent run: get the secrets, hand them over, and be gone; or stay, where that is
 * asked for or this is the first process of a machine. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "handover.h"
#include "harden.h"
#include "journal.h"
#include "obtain.h"
#include "program.h"
#include "supervisor.h"

struct job {
    const struct settings *settings;
    char path[PATH_MAX]; /* the program's */
};

/* As if whoever started the agent had said so: for the program, and where it is looked for. */
static enum err set_environment(const struct settings *settings, struct fault *fault)
{
    for (const char **item = settings->environment; *item != NULL; item++) {
        const size_t len = strcspn(*item, "=");
        char *name = strndup(*item, len);
        const bool set = name != NULL && setenv(name, *item + len + 1, 1) == 0;
        free(name);
        if (!set)
            FAIL(fault, ERR_NO_MEMORY, "the variable %.60s could not be set", *item);
    }
    return ERR_OK;
}

static enum err report_held(int report, const struct answer_opened *opened, struct fault *fault)
{
    struct answer_held held = {0};
    answer_hold(&held, opened);
    return supervisor_report_held(report, &held, fault);
}

/* Everything of the release is freed, and so wiped, when this returns.  `report` is -1 where
 * nobody stays. */
static enum err obtain_for_program(const struct settings *settings, int report,
                                   struct handover *handover, struct fault *fault)
{
    CLEANUP(answer_opened_free) struct answer_opened opened = {0};
    TRY(obtain(settings, NULL, &opened, fault));
    if (report >= 0)
        TRY(report_held(report, &opened, fault));
    return hand_over(settings, &opened, handover, fault);
}

static void list_free(const char ***list)
{
    free(*list);
}

/* Returns only where it fails. */
static enum err become(const struct job *job, int report, struct fault *fault)
{
    CLEANUP(handover_undo) struct handover handover = {0};
    TRY(obtain_for_program(job->settings, report, &handover, fault));
    CLEANUP(list_free) const char **environment = NULL;
    TRY(handover_environment(&handover, &environment, fault));
    TRY(journal_lend(fault));
    journal_flush();
    /* The program begins with what programs expect. */
    signal(SIGPIPE, SIG_DFL);
    return program_exec(job->path, job->settings->program, environment, fault);
}

/* --- what is done for a supervisor, in children --- */

static int start(void *context, int report)
{
    struct fault fault = FAULT_NONE;
    const enum err err = become(context, report, &fault);
    command_say_end(err, &fault);
    journal_end();
    return outcome_run(err);
}

static enum err obtain_again(const struct settings *settings, const struct answer_held *held,
                             int report, struct fault *fault)
{
    CLEANUP(answer_opened_free) struct answer_opened opened = {0};
    TRY(obtain(settings, held, &opened, fault));
    TRY(report_held(report, &opened, fault));
    return hand_over_again(settings, &opened, supervisor_report_replaced, report, fault);
}

static enum err renew(void *context, const struct answer_held *held, int report)
{
    const struct job *job = context;
    struct fault fault = FAULT_NONE;
    enum err err = harden_calls(HARDEN_COURIER, command_say, &fault);
    if (err == ERR_OK)
        err = obtain_again(job->settings, held, report, &fault);
    command_say_end(err, &fault);
    journal_end();
    return err;
}

/* The program's process has begun by then, and is not bound by it. */
static enum err confine(void *context, struct fault *fault)
{
    (void)context;
    return harden_calls(HARDEN_SUPERVISOR, command_say, fault);
}

static void withdraw(void *context)
{
    const struct job *job = context;
    handover_withdraw(job->settings);
}

/* --- */

static enum err stay(struct job *job, int *status, struct fault *fault)
{
    const struct supervisor_plan plan = {
        .refresh = job->settings->refresh,
        .program_signal = job->settings->refresh_signal,
        .now_ms = supervisor_clock_ms,
        .grace_ms = SUPERVISOR_GRACE_MS,
    };
    const struct supervisor_work work = {
        .context = job,
        .start = start,
        .renew = renew,
        .confine = confine,
        .withdraw = withdraw,
        .say = command_say,
    };
    return supervisor_run(&plan, &work, status, fault);
}

enum err command_run_program(const struct settings *settings, enum command_stays stays, int *status,
                             struct fault *fault)
{
    struct job job = {.settings = settings};
    TRY(set_environment(settings, fault));
    TRY(program_find(settings->program[0], job.path, fault));
    TRY(handover_prepare(settings, command_say, fault));
    if (stays == COMMAND_STAYS || settings->refresh.on)
        return stay(&job, status, fault);
    return become(&job, -1, fault);
}

static enum err run_run(const struct cli_args *args, int *status, struct fault *fault)
{
    CLEANUP(settings_free) struct settings settings = {0};
    TRY(settings_load(args, NULL, &settings, fault));
    return command_run_program(&settings, COMMAND_IS_REPLACED, status, fault);
}

const struct command command_run = {
    .name = "run",
    .operands = "[-- PROGRAM [ARGUMENTS]]",
    .summary = "get secrets, then become the program that needs them",
    .details =
        "Proves to a verifier what this enclave runs, receives the secrets that this code is\n"
        "trusted with, and becomes PROGRAM, which finds each in the file that the variable\n"
        "<NAME>_FILE names: memory that nobody can change, DIR/NAME, or as --deliver says.\n"
        "With --refresh, and as /init of an enclave, it stays beside PROGRAM.\n"
        "Exit status: the program's own, else 120 refused, 121 verifier not reachable in time,\n"
        "122 answer not authentic, 123 NSM failed, 124 could not deliver, 125 wrong usage,\n"
        "126 program not executable, 127 program not found.",
    .options = settings_options_run,
    .operands_min = 0,
    .operands_max = SIZE_MAX,
    .run = run_run,
    .exit_of = outcome_run,
};
