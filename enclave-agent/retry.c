#include "retry.h"

enum err_retry retry_of_problem(const struct problem *problem)
{
    if (problem->code != ERR_OK)
        return err_retry(problem->code);
    const bool later = problem->retryable || problem->status == 429 || problem->status >= 500;
    return later ? ERR_RETRY_BACKOFF : ERR_RETRY_STOP;
}

static int64_t backoff_ms(unsigned before, int64_t retry_after_s, uint32_t random)
{
    int64_t delay_ms = RETRY_DELAY_FIRST_MS;
    for (unsigned i = 0; i < before && delay_ms < RETRY_DELAY_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > RETRY_DELAY_MAX_MS)
        delay_ms = RETRY_DELAY_MAX_MS;
    const int64_t half = delay_ms / 2;
    const int64_t jittered = half + (int64_t)(random % (uint32_t)(half + 1));
    /* The server's word is a minimum; the jitter comes on top, so that all that it turned
     * away do not come back in the same instant. */
    if (retry_after_s <= 0)
        return jittered;
    const int64_t asked_s = retry_after_s < 86400 ? retry_after_s : 86400;
    return asked_s * 1000 + jittered - half;
}

bool retry_next(struct retry *retry, enum err_retry kind, int64_t retry_after_s, uint32_t random,
                int64_t *delay_ms)
{
    *delay_ms = 0;
    switch (kind) {
    case ERR_RETRY_STOP:
        return false;
    case ERR_RETRY_ONCE:
        return retry->once++ < RETRY_ONCE_MAX;
    case ERR_RETRY_RECHALLENGE:
        return retry->rechallenged++ < RETRY_RECHALLENGE_MAX;
    case ERR_RETRY_BACKOFF:
        *delay_ms = backoff_ms(retry->backed_off++, retry_after_s, random);
        return true;
    }
    return false;
}
