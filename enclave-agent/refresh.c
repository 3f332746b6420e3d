#include "refresh.h"

#include <limits.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void refresh_start(struct refresh *refresh, const struct refresh_plan *plan, int64_t began_ms,
                   int64_t now_ms)
{
    refresh->plan = *plan;
    refresh->began_ms = began_ms;
    refresh_end(refresh, true, now_ms);
}

enum refresh_due refresh_next(const struct refresh *refresh, int64_t now_ms, int64_t *wait_ms)
{
    const struct refresh_plan *plan = &refresh->plan;
    int64_t next_ms = refresh->under_way ? INT64_MAX : refresh->next_ms;
    *wait_ms = INT64_MAX;
    if (!plan->on)
        return REFRESH_WAIT;
    if (plan->max_staleness_ms != 0 && now_ms - refresh->fresh_ms >= plan->max_staleness_ms)
        return REFRESH_STALE;
    if (refresh->wanted && !refresh->under_way)
        next_ms = least(next_ms, refresh->began_ms + REFRESH_GAP_MS);
    if (now_ms >= next_ms)
        return REFRESH_ASK;
    if (next_ms != INT64_MAX)
        *wait_ms = next_ms - now_ms;
    if (plan->max_staleness_ms != 0)
        *wait_ms = least(*wait_ms, refresh->fresh_ms + plan->max_staleness_ms - now_ms);
    return REFRESH_WAIT;
}

int refresh_poll_ms(int64_t wait_ms)
{
    return wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

void refresh_request(struct refresh *refresh)
{
    refresh->wanted = true;
}

void refresh_begin(struct refresh *refresh, int64_t now_ms)
{
    refresh->began_ms = now_ms;
    refresh->under_way = true;
    refresh->wanted = false;
}

static int64_t again_ms(const struct refresh *refresh)
{
    const int64_t most_ms = least(REFRESH_AGAIN_MAX_MS, refresh->plan.period_ms);
    int64_t delay_ms = REFRESH_AGAIN_FIRST_MS;
    for (unsigned i = 1; i < refresh->failures && delay_ms < most_ms; i++)
        delay_ms *= 2;
    return least(delay_ms, most_ms);
}

void refresh_end(struct refresh *refresh, bool succeeded, int64_t now_ms)
{
    refresh->under_way = false;
    if (succeeded)
        refresh->fresh_ms = refresh->began_ms;
    refresh->failures = succeeded ? 0 : refresh->failures + 1;
    if (refresh->plan.period_ms == 0)
        refresh->next_ms = INT64_MAX;
    else
        refresh->next_ms = now_ms + (succeeded ? refresh->plan.period_ms : again_ms(refresh));
}
