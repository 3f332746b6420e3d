/* What `run` hands to its program: for each secret a sealed memory file or a file, and the
 * variable that names it.  DESIGN section 8. */
#ifndef VOUCHSAFE_AGENT_HANDOVER_H
#define VOUCHSAFE_AGENT_HANDOVER_H

#include "answer.h"
#include "settings.h"

/* What was made; all of it goes where the program does not start. */
struct handover {
    size_t fd_count;
    int fd[PROTOCOL_SECRETS_MAX];
    size_t file_count;
    char *file[PROTOCOL_SECRETS_MAX];
};
/* Nothing stays behind. */
void handover_undo(struct handover *handover);

/* Into descriptors that are inherited or files, and into this process's environment.
 * ERR_DELIVER, ERR_NO_MEMORY; then `handover` holds what was made before. */
MUST_CHECK enum err hand_over(const struct settings *settings, const struct answer_opened *opened,
                              struct handover *handover, struct fault *fault);

/* The same again for a program that runs: each file that does not hold its value is replaced,
 * and `replaced` told (it may fail).  Only with files: settings_load sees to that. */
MUST_CHECK enum err hand_over_again(const struct settings *settings,
                                    const struct answer_opened *opened,
                                    enum err (*replaced)(int to, struct fault *fault), int to,
                                    struct fault *fault);
/* Removes what was delivered as files, by whichever process. */
void handover_withdraw(const struct settings *settings);

#endif
