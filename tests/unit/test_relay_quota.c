/* What an enclave may use up of the relay. */
#include "unit.h"

#include "enclave-agent/relay/quota.h"

static struct quota_table table;

static struct peer cid(uint32_t number)
{
    return (struct peer){.kind = PEER_CID, .number = number};
}

static unsigned lines(struct quota *quota, unsigned tries, int64_t now_ms)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < tries; i++)
        passed += quota_line(quota, now_ms);
    return passed;
}

START_TEST(valid_connections)
{
    struct quota *first = quota_enter(&table, cid(16), 2, 0);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_eq(quota_enter(&table, cid(16), 2, 0), first);
    ck_assert_ptr_null(quota_enter(&table, cid(16), 2, 0));
    struct quota *second = quota_enter(&table, cid(17), 2, 0);
    ck_assert(second != NULL && second != first);
    const struct peer same_number = {.kind = PEER_IPV4, .number = 16};
    struct quota *third = quota_enter(&table, same_number, 2, 0);
    ck_assert(third != NULL && third != first);
    quota_leave(first);
    ck_assert_ptr_eq(quota_enter(&table, cid(16), 2, 0), first);
    ck_assert_ptr_null(quota_enter(&table, cid(16), 2, 0));
}
END_TEST

START_TEST(valid_lines)
{
    struct quota *quota = quota_enter(&table, cid(16), 9, 1000);
    ck_assert_uint_eq(lines(quota, 1000, 1000), QUOTA_LINES_BURST);
    ck_assert_uint_eq(quota_take_dropped(quota, 1000), 0); /* still too many */
    ck_assert_uint_eq(quota_take_dropped(quota, 2000), 1000 - QUOTA_LINES_BURST);
    ck_assert_uint_eq(quota_take_dropped(quota, 2000), 0);
    ck_assert_uint_eq(lines(quota, 1000, 2000), QUOTA_LINES_PER_S);
    ck_assert_uint_eq(lines(quota, 1000, 2010), 0);
    ck_assert_uint_eq(lines(quota, 1000, 2020), 1);
    /* Time that was long does not pile up. */
    ck_assert_uint_eq(lines(quota, 1000, INT64_MAX / 2), QUOTA_LINES_BURST);
}
END_TEST

/* Coming back makes no new lines; another enclave's are its own. */
START_TEST(no_new_lines)
{
    struct quota *quota = quota_enter(&table, cid(16), 9, 1000);
    ck_assert_uint_eq(lines(quota, 1000, 1000), QUOTA_LINES_BURST);
    quota_leave(quota);
    ck_assert_ptr_eq(quota_enter(&table, cid(16), 9, 1001), quota);
    ck_assert_uint_eq(lines(quota, 1000, 1001), 0);
    ck_assert_uint_eq(lines(quota_enter(&table, cid(17), 9, 1001), 1000, 1001), QUOTA_LINES_BURST);
}
END_TEST

START_TEST(long_table)
{
    struct quota *place[QUOTA_PEERS] = {0};
    for (unsigned i = 0; i < QUOTA_PEERS; i++) {
        place[i] = quota_enter(&table, cid(i), 9, 100 + i);
        ck_assert_ptr_nonnull(place[i]);
    }
    ck_assert_ptr_null(quota_enter(&table, cid(1000), 9, 500));
    ck_assert_ptr_eq(quota_enter(&table, cid(5), 9, 500), place[5]);
    /* Who left longest ago makes room, and only who left. */
    quota_leave(place[7]);
    quota_leave(place[3]);
    ck_assert_ptr_eq(quota_enter(&table, cid(1000), 9, 500), place[3]);
    ck_assert_ptr_eq(quota_enter(&table, cid(1001), 9, 500), place[7]);
    ck_assert_ptr_null(quota_enter(&table, cid(1002), 9, 500));
    ck_assert_uint_eq(lines(place[3], 1000, 500), QUOTA_LINES_BURST);
}
END_TEST

UNIT_MAIN("relay_quota", valid_connections, valid_lines, no_new_lines, long_table)
