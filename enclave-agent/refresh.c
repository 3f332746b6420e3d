#include "refresh.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

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

/* When the next attempt begins; INT64_MAX where none is due by itself. */
static int64_t next_attempt_ms(const struct refresh *refresh)
{
    if (refresh->under_way)
        return INT64_MAX;
    if (refresh->wanted)
        return least(refresh->next_ms, refresh->began_ms + REFRESH_GAP_MS);
    return refresh->next_ms;
}

/* When what there is serves no longer; INT64_MAX: never. */
static int64_t stale_ms(const struct refresh *refresh)
{
    const int64_t most_ms = refresh->plan.max_staleness_ms;
    return most_ms == 0 ? INT64_MAX : refresh->fresh_ms + most_ms;
}

enum refresh_due refresh_next(const struct refresh *refresh, int64_t now_ms, int64_t *wait_ms)
{
    *wait_ms = INT64_MAX;
    if (!refresh->plan.on)
        return REFRESH_WAIT;
    if (now_ms >= stale_ms(refresh))
        return REFRESH_STALE;
    if (now_ms >= next_attempt_ms(refresh))
        return REFRESH_ASK;
    const int64_t until_ms = least(next_attempt_ms(refresh), stale_ms(refresh));
    if (until_ms != INT64_MAX)
        *wait_ms = until_ms - now_ms;
    return REFRESH_WAIT;
}

/* Rounded up, and at least 1: what is still to come is never in 0 s. */
static int64_t seconds_until(int64_t then_ms, int64_t now_ms)
{
    return then_ms <= now_ms ? 1 : (then_ms - now_ms + 999) / 1000;
}

void refresh_describe_kept(const struct refresh *refresh, int64_t now_ms,
                           char out[static REFRESH_SENTENCE_MAX])
{
    const int64_t age_s = (now_ms - refresh->fresh_ms) / 1000;
    const int64_t next_ms = next_attempt_ms(refresh);
    const int64_t end_ms = stale_ms(refresh);
    char until[64] = "";
    char again[64] = "a further SIGHUP asks again";
    if (now_ms >= end_ms) {
        snprintf(out, REFRESH_SENTENCE_MAX,
                 "not refreshed: what the program got %" PRId64 " s ago serves no longer", age_s);
        return;
    }
    if (end_ms != INT64_MAX)
        snprintf(until, sizeof until, ", for %" PRId64 " s more at most",
                 seconds_until(end_ms, now_ms));
    if (next_ms != INT64_MAX && next_ms >= end_ms)
        snprintf(again, sizeof again, "that ends before the agent asks again");
    else if (next_ms != INT64_MAX)
        snprintf(again, sizeof again, "asking again in %" PRId64 " s",
                 seconds_until(next_ms, now_ms));
    snprintf(out, REFRESH_SENTENCE_MAX,
             "not refreshed: the program keeps what it got %" PRId64 " s ago%s; %s", age_s, until,
             again);
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
