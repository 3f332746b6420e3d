/* A release as both `run` and `fetch` ask for it: locked memory, a session, and what there
 * is to say about them. */
#ifndef VOUCHSAFE_AGENT_OBTAIN_H
#define VOUCHSAFE_AGENT_OBTAIN_H

#include "answer.h"
#include "settings.h"

/* All steps up to the opened secrets, which are the caller's.  `held` is what an
 * earlier release binds this one to; NULL: there was none.  Tells of a refusal
 * itself, with all that helps; and of what was received.  Errors are session_run's, and
 * ERR_NO_MEMORY where no memory can be locked. */
MUST_CHECK enum err obtain(const struct settings *settings, const struct answer_held *held,
                           struct answer_opened *opened, struct fault *fault);

#endif
