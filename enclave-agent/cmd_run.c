/* vouchsafe-agent run: get the secrets, hand them over, and be gone. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "handover.h"
#include "obtain.h"
#include "program.h"

/* Everything of the release is freed, and so wiped, when this returns. */
static enum err obtain_for_program(const struct settings *settings, struct handover *handover,
                                   struct fault *fault)
{
    CLEANUP(answer_opened_free) struct answer_opened opened = {0};
    TRY(obtain(settings, NULL, &opened, fault));
    return hand_over(settings, &opened, handover, fault);
}

/* Returns only where it fails. */
static enum err become(const struct settings *settings, const char *path, const char *const *argv,
                       struct fault *fault)
{
    CLEANUP(handover_undo) struct handover handover = {0};
    TRY(obtain_for_program(settings, &handover, fault));
    /* The program begins with what programs expect. */
    signal(SIGPIPE, SIG_DFL);
    return program_exec(path, argv, fault);
}

static enum err run_run(const struct cli_args *args, int *status, struct fault *fault)
{
    char path[PATH_MAX];
    CLEANUP(settings_free) struct settings settings = {0};
    TRY(settings_load(args, NULL, &settings, fault));
    TRY(program_find(args->operands[0], path, fault));
    const char **argv = calloc(args->operand_count + 1, sizeof argv[0]);
    if (argv == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the program's arguments");
    memcpy(argv, args->operands, args->operand_count * sizeof argv[0]);
    *status = RUN_NOT_EXECUTABLE;
    const enum err err = become(&settings, path, argv, fault);
    free(argv);
    return err;
}

const struct command command_run = {
    .name = "run",
    .operands = "-- PROGRAM [ARGUMENTS]",
    .summary = "get secrets, then become the program that needs them",
    .details =
        "Proves to a verifier what this enclave runs, receives the secrets that this code is\n"
        "trusted with, and becomes PROGRAM, which finds each in the file that the variable\n"
        "<NAME>_FILE names: memory that nobody can change, or DIR/NAME.\n"
        "Exit status: the program's own, else 120 refused, 121 verifier not reachable in time,\n"
        "122 answer not authentic, 123 NSM failed, 124 could not deliver, 125 wrong usage,\n"
        "126 program not executable, 127 program not found.",
    .options = settings_options_run,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = run_run,
    .exit_of = command_exit_run,
};
