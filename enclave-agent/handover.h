/* What `run` hands to its program, as its delivery plan has it: memory files, files, and the
 * variables that name them.  DESIGN section 8. */
#ifndef VOUCHSAFE_AGENT_HANDOVER_H
#define VOUCHSAFE_AGENT_HANDOVER_H

#include "answer.h"
#include "settings.h"

/* What was made; all of it goes where the program does not start. */
struct handover {
    size_t fd_count;
    int fd[DELIVERIES_MAX];
    size_t file_count;
    const char *file[DELIVERIES_MAX]; /* the plan's */
    size_t variable_count;
    struct secret *variable[DELIVERIES_MAX]; /* VARIABLE=value, and a NUL */
};
/* Nothing stays behind, or it is said. */
void handover_undo(struct handover *handover);

/* Before anything is asked for: mounts what --tmpfs names, looks for the folders of what becomes
 * files, and says what is less than it could be, at each start.  ERR_DELIVER. */
MUST_CHECK enum err handover_prepare(const struct settings *settings,
                                     void (*say)(const char *sentence), struct fault *fault);

/* Into descriptors that are inherited, files, and variables.  The names of files go into
 * this process's environment; a value never does: see handover_environment.  ERR_DELIVER,
 * ERR_NO_MEMORY; then `handover` holds what was made before. */
MUST_CHECK enum err hand_over(const struct settings *settings, const struct answer_opened *opened,
                              struct handover *handover, struct fault *fault);

/* This process's environment and the variables with values, for the program: NULL at the end.
 * The list is the caller's to free, what it points to is not.  ERR_NO_MEMORY. */
MUST_CHECK enum err handover_environment(const struct handover *handover, const char ***out,
                                         struct fault *fault);

/* The same as hand_over again for a program that runs: each file that does not hold what it
 * should is replaced, and `replaced` told (it may fail).  Only with files: settings_load sees
 * to that. */
MUST_CHECK enum err hand_over_again(const struct settings *settings,
                                    const struct answer_opened *opened,
                                    enum err (*replaced)(int to, struct fault *fault), int to,
                                    struct fault *fault);
/* Removes what was delivered as files, by whichever process, and what one that was killed left
 * half written; says which file it could not remove. */
void handover_withdraw(const struct settings *settings);

#endif
