/* Trying again: PROTOCOL section 1's table. */
#include "unit.h"

#include "enclave-agent/retry.h"

static enum err_retry kind(enum err code, int status, bool retryable)
{
    const struct problem problem = {.code = code, .status = status, .retryable = retryable};
    return retry_of_problem(&problem);
}

START_TEST(valid_kinds)
{
    ck_assert_int_eq(kind(ERR_REFUSED, 403, true), ERR_RETRY_STOP);
    ck_assert_int_eq(kind(ERR_NOT_BOUND, 400, false), ERR_RETRY_STOP);
    ck_assert_int_eq(kind(ERR_PUBLIC_KEY, 400, false), ERR_RETRY_STOP);
    ck_assert_int_eq(kind(ERR_DEBUG, 403, false), ERR_RETRY_STOP);
    ck_assert_int_eq(kind(ERR_TOO_LARGE, 413, false), ERR_RETRY_STOP);
    ck_assert_int_eq(kind(ERR_CHALLENGE_EXPIRED, 409, false), ERR_RETRY_RECHALLENGE);
    ck_assert_int_eq(kind(ERR_CHALLENGE_UNKNOWN, 409, false), ERR_RETRY_RECHALLENGE);
    ck_assert_int_eq(kind(ERR_CHALLENGE_REDEEMED, 409, false), ERR_RETRY_RECHALLENGE);
    ck_assert_int_eq(kind(ERR_CERT_EXPIRED, 403, false), ERR_RETRY_ONCE);
    ck_assert_int_eq(kind(ERR_DOC_STALE, 403, false), ERR_RETRY_ONCE);
    ck_assert_int_eq(kind(ERR_TOO_FAST, 429, false), ERR_RETRY_BACKOFF);
    ck_assert_int_eq(kind(ERR_BUSY, 503, false), ERR_RETRY_BACKOFF);
    ck_assert_int_eq(kind(ERR_INTERNAL, 500, false), ERR_RETRY_BACKOFF);
}
END_TEST

/* A newer server's code, or a proxy's page. */
START_TEST(valid_unknown_codes)
{
    ck_assert_int_eq(kind(ERR_OK, 403, false), ERR_RETRY_STOP);
    ck_assert_int_eq(kind(ERR_OK, 404, false), ERR_RETRY_STOP);
    ck_assert_int_eq(kind(ERR_OK, 403, true), ERR_RETRY_BACKOFF);
    ck_assert_int_eq(kind(ERR_OK, 429, false), ERR_RETRY_BACKOFF);
    ck_assert_int_eq(kind(ERR_OK, 502, false), ERR_RETRY_BACKOFF);
}
END_TEST

START_TEST(valid_counts)
{
    struct retry retry = {0};
    int64_t delay_ms = -1;
    ck_assert(!retry_next(&retry, ERR_RETRY_STOP, -1, 0, &delay_ms));
    ck_assert(retry_next(&retry, ERR_RETRY_ONCE, 9, 0, &delay_ms));
    ck_assert_int_eq(delay_ms, 0);
    ck_assert(!retry_next(&retry, ERR_RETRY_ONCE, -1, 0, &delay_ms));
    for (int i = 0; i < 3; i++)
        ck_assert(retry_next(&retry, ERR_RETRY_RECHALLENGE, -1, 0, &delay_ms));
    ck_assert(!retry_next(&retry, ERR_RETRY_RECHALLENGE, -1, 0, &delay_ms));
}
END_TEST

static int64_t delay_of(unsigned before, int64_t retry_after_s, uint32_t random)
{
    struct retry retry = {.backed_off = before};
    int64_t delay_ms = -1;
    ck_assert(retry_next(&retry, ERR_RETRY_BACKOFF, retry_after_s, random, &delay_ms));
    ck_assert_uint_eq(retry.backed_off, before + 1);
    return delay_ms;
}

START_TEST(valid_delays)
{
    ck_assert_int_eq(delay_of(0, -1, 0), 250);
    ck_assert_int_eq(delay_of(0, -1, 250), 500); /* 0..250 on top */
    ck_assert_int_eq(delay_of(0, -1, 251), 250);
    ck_assert_int_eq(delay_of(1, -1, 0), 500);
    ck_assert_int_eq(delay_of(4, -1, 0), 4000);
    ck_assert_int_eq(delay_of(5, -1, 0), 7500);
    ck_assert_int_eq(delay_of(4000000000u, -1, 7500), 15000);
    ck_assert_int_eq(delay_of(0, 7, 0), 7000); /* never sooner than asked */
    ck_assert_int_eq(delay_of(0, 7, 100), 7100);
    ck_assert_int_eq(delay_of(0, 0, 0), 250);
    ck_assert_int_eq(delay_of(0, INT64_MAX, 0), 86400000);
}
END_TEST

UNIT_MAIN("agent_retry", valid_kinds, valid_unknown_codes, valid_counts, valid_delays)
