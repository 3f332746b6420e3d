/* Waiting for somebody else to activate a draft. */
#ifndef VOUCHSAFE_CLI_APPROVAL_H
#define VOUCHSAFE_CLI_APPROVAL_H

#include "api.h"

/* Whether this token may look at that build, before anything is registered: ERR_FORBIDDEN where
 * it may not.  `build` has `image` and `version`. */
MUST_CHECK enum err approval_check(const struct api *api, const json_t *build, struct fault *fault);
/* Asks until the build counts: `*measurement` is then the caller's.  ERR_WRONG_STATE where it
 * never will; ERR_TIMEOUT where it is still a draft at the end of the time.  A server that is
 * away for a while is asked again.  Says on a terminal how far it is, elsewhere once what it waits
 * for. */
MUST_CHECK enum err approval_wait(const struct api *api, const json_t *build, uint64_t timeout_s,
                                  json_t **measurement, struct fault *fault);

#endif
