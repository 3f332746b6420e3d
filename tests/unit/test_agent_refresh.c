/* When secrets are asked for again, by a clock that the test moves. */
#include <limits.h>

#include "unit.h"

#include "enclave-agent/refresh.h"

#define S 1000 /* ms */

static struct refresh refresh;
static int64_t wait_ms;

static void start(int64_t period_ms, int64_t max_staleness_ms)
{
    const struct refresh_plan plan = {
        .on = true, .period_ms = period_ms, .max_staleness_ms = max_staleness_ms};
    refresh = (struct refresh){0};
    refresh_start(&refresh, &plan, 100 * S, 103 * S); /* the release took three seconds */
}

static enum refresh_due at(int64_t now_ms)
{
    wait_ms = -1;
    return refresh_next(&refresh, now_ms, &wait_ms);
}

#define ck_waits(now_ms, expected_ms)                    \
    do {                                                 \
        ck_assert_int_eq(at(now_ms), REFRESH_WAIT);      \
        ck_assert_int_eq(wait_ms, (int64_t)expected_ms); \
    } while (0)

static void attempt(int64_t began_ms, int64_t ended_ms, bool succeeded)
{
    ck_assert_int_eq(at(began_ms), REFRESH_ASK);
    refresh_begin(&refresh, began_ms);
    refresh_end(&refresh, succeeded, ended_ms);
}

START_TEST(valid_off)
{
    const struct refresh_plan off = {.period_ms = 1, .max_staleness_ms = 1};
    refresh = (struct refresh){0};
    refresh_start(&refresh, &off, 0, 0);
    refresh_request(&refresh);
    ck_waits(1000 * S, INT64_MAX);
}
END_TEST

START_TEST(valid_period)
{
    start(60 * S, 0);
    ck_waits(103 * S, 60 * S);
    ck_waits(162 * S, 1 * S);
    attempt(163 * S, 165 * S, true);
    ck_waits(165 * S, 60 * S);
    ck_assert_int_eq(at(225 * S), REFRESH_ASK);
    refresh_begin(&refresh, 225 * S);
    ck_waits(900 * S, INT64_MAX); /* one at a time */
}
END_TEST

START_TEST(valid_only_when_asked)
{
    start(0, 0);
    ck_waits(1000000 * S, INT64_MAX);
    refresh_request(&refresh);
    attempt(1000000 * S, 1000002 * S, false);
    ck_waits(2000000 * S, INT64_MAX); /* nobody asks again */
}
END_TEST

/* What was put while the first release or another was under way may not be in its answer. */
START_TEST(valid_asked_meanwhile)
{
    const struct refresh_plan plan = {.on = true};
    refresh = (struct refresh){0};
    refresh_request(&refresh);
    refresh_start(&refresh, &plan, 100 * S, 103 * S);
    ck_assert_int_eq(at(103 * S), REFRESH_ASK);
    refresh_begin(&refresh, 103 * S);
    refresh_request(&refresh);
    ck_waits(103 * S, INT64_MAX);
    refresh_end(&refresh, true, 110 * S);
    attempt(110 * S, 111 * S, true);
    ck_waits(111 * S, INT64_MAX);
}
END_TEST

/* Whoever asks all the time gets one a second. */
START_TEST(valid_gap)
{
    start(0, 0);
    refresh_request(&refresh);
    attempt(200 * S, 200 * S + 10, true);
    refresh_request(&refresh);
    ck_waits(200 * S + 10, REFRESH_GAP_MS - 10);
    attempt(201 * S, 201 * S + 10, true);
}
END_TEST

START_TEST(valid_backing_off)
{
    static const int delays_s[] = {15, 30, 60, 120, 240, 480, 600, 600};
    int64_t now_ms = 103 * S + 3600 * S;
    start(3600 * S, 0);
    for (size_t i = 0; i < ARRAY_LEN(delays_s); i++) {
        attempt(now_ms, now_ms + 5 * S, false);
        now_ms += 5 * S;
        ck_waits(now_ms, delays_s[i] * S);
        now_ms += (int64_t)delays_s[i] * S;
    }
    attempt(now_ms, now_ms, true);
    ck_waits(now_ms, 3600 * S);
    attempt(now_ms + 3600 * S, now_ms + 3600 * S, false);
    ck_waits(now_ms + 3600 * S, 15 * S);
}
END_TEST

START_TEST(valid_never_longer_than_the_period)
{
    start(20 * S, 0);
    attempt(123 * S, 123 * S, false);
    ck_waits(123 * S, 15 * S);
    attempt(138 * S, 138 * S, false);
    ck_waits(138 * S, 20 * S);
}
END_TEST

/* Counted from the beginning of the attempt that succeeded: later changes are not in it. */
START_TEST(valid_stale)
{
    start(60 * S, 90 * S);
    ck_waits(103 * S, 60 * S);
    attempt(163 * S, 164 * S, false);
    ck_waits(164 * S, 15 * S);
    attempt(179 * S, 180 * S, false);
    ck_waits(189 * S + 999, 1);
    ck_assert_int_eq(at(190 * S), REFRESH_STALE);
    ck_assert_int_eq(at(INT64_MAX / 2), REFRESH_STALE);

    start(60 * S, 90 * S);
    ck_assert_int_eq(at(163 * S), REFRESH_ASK);
    refresh_begin(&refresh, 163 * S);
    ck_waits(189 * S, 1 * S); /* an attempt that hangs puts nothing off */
    ck_assert_int_eq(at(190 * S), REFRESH_STALE);

    start(60 * S, 90 * S);
    attempt(163 * S, 189 * S, true);
    ck_waits(190 * S, 59 * S);
    ck_assert_int_eq(at(163 * S + 90 * S - 1), REFRESH_ASK);
    ck_assert_int_eq(at(163 * S + 90 * S), REFRESH_STALE);
}
END_TEST

static void ck_kept(int64_t now_ms, const char *expected)
{
    char sentence[REFRESH_SENTENCE_MAX];
    refresh_describe_kept(&refresh, now_ms, sentence);
    ck_assert_str_eq(sentence, expected);
}
#define KEPT "not refreshed: the program keeps what it got "

START_TEST(valid_kept)
{
    start(60 * S, 0);
    attempt(163 * S, 165 * S, false);
    ck_kept(165 * S, KEPT "65 s ago; asking again in 15 s");
    start(0, 0);
    refresh_request(&refresh);
    attempt(163 * S, 165 * S, false);
    ck_kept(165 * S, KEPT "65 s ago; a further SIGHUP asks again");
    start(0, 90 * S);
    refresh_request(&refresh);
    attempt(163 * S, 165 * S, false);
    ck_kept(165 * S, KEPT "65 s ago, for 25 s more at most; a further SIGHUP asks again");
}
END_TEST

/* The nearer the end, the less the agent promises. */
START_TEST(valid_kept_to_the_end)
{
    start(60 * S, 90 * S);
    attempt(163 * S, 165 * S, false);
    ck_kept(165 * S, KEPT "65 s ago, for 25 s more at most; asking again in 15 s");
    attempt(180 * S, 181 * S, false);
    ck_kept(181 * S, KEPT "81 s ago, for 9 s more at most; that ends before the agent asks again");
    ck_kept(190 * S - 1,
            KEPT "89 s ago, for 1 s more at most; that ends before the agent asks again");
    ck_kept(190 * S, "not refreshed: what the program got 90 s ago serves no longer");
    refresh_request(&refresh);
    ck_kept(181 * S, KEPT "81 s ago, for 9 s more at most; asking again in 1 s");

    start(60 * S, 80 * S);
    attempt(163 * S, 165 * S, false); /* the next would begin with the end */
    ck_kept(165 * S, KEPT "65 s ago, for 15 s more at most; that ends before the agent asks again");
}
END_TEST

/* A period of a month is longer than poll can wait, and ends all the same. */
START_TEST(long_wait)
{
    start(30 * (int64_t)86400 * S, 60 * (int64_t)86400 * S);
    ck_waits(103 * S, 30 * (int64_t)86400 * S);
    ck_assert_int_eq(refresh_poll_ms(30 * (int64_t)86400 * S), INT_MAX);
    ck_assert_int_eq(refresh_poll_ms(INT64_MAX), INT_MAX);
    ck_assert_int_eq(refresh_poll_ms(INT_MAX), INT_MAX);
    ck_assert_int_eq(refresh_poll_ms(1), 1);
    ck_assert_int_eq(refresh_poll_ms(0), 0);
}
END_TEST

UNIT_MAIN("agent_refresh", valid_off, valid_period, valid_only_when_asked, valid_asked_meanwhile,
          valid_gap, valid_backing_off, valid_never_longer_than_the_period, valid_stale, valid_kept,
          valid_kept_to_the_end, long_wait)
