/* What an administrator can do about a secret that is not released: as commands where there
 * are any, by the policy's reason. */
#ifndef VOUCHSAFE_CLI_EXPLAIN_ADVICE_H
#define VOUCHSAFE_CLI_EXPLAIN_ADVICE_H

#include <jansson.h>

#include "common/err.h"

/* Prints it; nothing for a reason without advice, such as a newer server's.  `answer` is that of
 * POST /v1/admin/explain, `secret` one of its `secrets`.  ERR_NO_MEMORY. */
MUST_CHECK enum err explain_advise(const json_t *answer, const json_t *secret);

#endif
