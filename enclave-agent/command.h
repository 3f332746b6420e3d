/* The commands of `vouchsafe-agent`, and what they have in common: what is said, through the
 * journal.  main.c dispatches. */
#ifndef VOUCHSAFE_AGENT_COMMAND_H
#define VOUCHSAFE_AGENT_COMMAND_H

#include "outcome.h"
#include "settings.h"

struct command {
    const char *name;
    const char *operands;
    const char *summary;
    const char *details;
    const struct cli_option *options;
    size_t operands_min;
    size_t operands_max;
    /* `*status` is the exit status where it did not fail; else exit_of gives it. */
    enum err (*run)(const struct cli_args *args, int *status, struct fault *fault);
    int (*exit_of)(enum err code);
};

extern const struct command command_run;
extern const struct command command_fetch;
extern const struct command command_pcrs;

/* Before any command: memory that goes back when it is freed, standard descriptors, no death by
 * SIGPIPE, no dumps, and the crypto library. */
MUST_CHECK enum err command_prepare(struct fault *fault);

/* One line of the journal. */
void command_say(const char *sentence);
/* The failure's line. */
void command_say_fault(enum err code, const struct fault *fault);
/* The same for what a command or one of its processes ended with: nothing where it is ERR_OK,
 * or a refusal, of which obtain() has told with all that helps. */
void command_say_end(enum err code, const struct fault *fault);

/* The program that `settings` name, with its secrets.  In this process's place, and then it
 * returns only where it fails; or beside it, with its exit status. */
enum command_stays { COMMAND_IS_REPLACED, COMMAND_STAYS };
MUST_CHECK enum err command_run_program(const struct settings *settings, enum command_stays stays,
                                        int *status, struct fault *fault);

/* What the first process of a machine does (init.c); it ends with the machine. */
_Noreturn void command_run_machine(void);

/* First of all, so that whatever else is wrong is seen from outside: the journal, where the
 * settings name one. */
MUST_CHECK enum err command_open_journal(const struct cli_args *args, struct fault *fault);
/* A refusal is where somebody has to do something: who it was, and what helps. */
void command_say_refused(const struct session_plan *plan, const struct problem *problem);
/* Before anything is asked: what the settings say of this enclave is measured and compared. */
MUST_CHECK enum err command_measure(const struct settings *settings, struct fault *fault);

#endif
