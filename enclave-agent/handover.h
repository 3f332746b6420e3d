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

#endif
