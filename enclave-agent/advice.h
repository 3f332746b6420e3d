/* What to do about a failure, where the sentence that names it does not say so itself: one
 * sentence for each way in which an answer, the way to it, or the module's reply can be wrong.
 * docs/man/vouchsafe-agent.1, DIAGNOSTICS, has them all. */
#ifndef VOUCHSAFE_ADVICE_H
#define VOUCHSAFE_ADVICE_H

#include "common/http_client.h"
#include "common/protocol.h"

#define ADVICE_MAX 512 /* of each of them, its end included */

/* Of a failure that ends a release; NULL: its own sentence says it. */
const char *advice_of(enum err code, const struct fault *fault);
/* Of a verifier that gave no decision in time, by the last failure on the way there: short, for
 * it stands behind other words in a fault. */
const char *advice_unreachable(enum err code, const struct fault *fault,
                               const struct http_target *target);
/* Of a refusal for good. */
void advice_refused(const struct problem *problem, char out[static ADVICE_MAX]);

#endif
