/* What is done after a refusal or a failure to reach the verifier: PROTOCOL section 1's
 * table, by the `retry` column of common/err.def.  Pure: no clock, no sleep.
 *
 * A refusal is unsigned advice: whoever forges one can cost time, and no more of it than
 * the caller's deadline. */
#ifndef VOUCHSAFE_AGENT_RETRY_H
#define VOUCHSAFE_AGENT_RETRY_H

#include "common/protocol.h"

#define RETRY_RECHALLENGE_MAX 3
#define RETRY_ONCE_MAX        1
#define RETRY_DELAY_FIRST_MS  500
#define RETRY_DELAY_MAX_MS    15000

/* How often each kind was used so far. */
struct retry {
    unsigned rechallenged;
    unsigned once;
    unsigned backed_off;
};

/* What a refusal asks for.  A code that is not known here (a newer server's) goes by the
 * server's own word and the status. */
enum err_retry retry_of_problem(const struct problem *problem);

/* Whether to try again, from a new challenge, and after how long.  `retry_after_s` is
 * the server's, -1 where it gave none; `random` is the jitter: half of a delay is fixed,
 * half of it is spread. */
bool retry_next(struct retry *retry, enum err_retry kind, int64_t retry_after_s, uint32_t random,
                int64_t *delay_ms);

#endif
