/* The clock's drift: what is said, and from when on. */
#include "unit.h"

#include "enclave-agent/drift.h"

#define NOW_MS INT64_C(1795000000000)

static char said[DRIFT_SENTENCE_MAX];

START_TEST(no_drift)
{
    ck_assert(!drift_describe(NOW_MS, NOW_MS, NOW_MS, said));
    ck_assert(!drift_describe(NOW_MS + 5000, NOW_MS, NOW_MS, said));
    ck_assert(!drift_describe(NOW_MS - 5000, NOW_MS, NOW_MS, said));
    /* A slow module is no drift. */
    ck_assert(!drift_describe(NOW_MS + 50000, NOW_MS, NOW_MS + 100000, said));
}
END_TEST

START_TEST(valid_drift)
{
    ck_assert(drift_describe(NOW_MS + 5001, NOW_MS - 9, NOW_MS, said));
    ck_assert_str_eq(said, "this enclave's clock is 5.0 s behind the hypervisor's; nothing here "
                           "depends on it, a program's logic may");
    ck_assert(drift_describe(NOW_MS - 61250, NOW_MS, NOW_MS + 9, said));
    ck_assert_str_eq(said, "this enclave's clock is 61.2 s ahead of the hypervisor's; nothing here "
                           "depends on it, a program's logic may");
}
END_TEST

START_TEST(wrong_clocks)
{
    ck_assert(drift_describe(NOW_MS, -5, -1, said));
    ck_assert_ptr_nonnull(strstr(said, "1795000000.0 s behind"));
    ck_assert(!drift_describe(NOW_MS, -5, NOW_MS, said));
    ck_assert(drift_describe(UINT64_MAX, 0, INT64_MAX, said));
    ck_assert(drift_describe(1, INT64_MAX, INT64_MAX, said));
    ck_assert_ptr_nonnull(strstr(said, " ahead of "));
}
END_TEST

UNIT_MAIN("agent_drift", no_drift, valid_drift, wrong_clocks)
