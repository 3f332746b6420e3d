/* Out of memory at every single allocation: a row is loaded whole or not at all, and
 * what was there stays.  The allocator is replaced for the whole program, libc's trees
 * included, which a sanitizer's own allocator does not allow: there it is skipped. */
#include "policy_rows.h"

#if defined(__SANITIZE_ADDRESS__)
#define SKIPPED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SKIPPED 1
#endif
#endif

#ifdef SKIPPED
int main(void)
{
    fprintf(stderr, "test_policy_memory: skipped: the allocator is the sanitizer's\n");
    return 77;
}
#else

/* How many allocations succeed before the one that fails; negative: all do. */
static long allocations_left = -1;
static unsigned failures;

static bool must_fail(void)
{
    if (allocations_left < 0)
        return false;
    if (allocations_left-- > 0)
        return false;
    allocations_left = -1;
    failures++;
    return true;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __libc_realloc(old, size);
}

/* Nothing is given back: a tree that still pointed at a row which was given up would
 * find it again, empty as it was left. */
void free(void *old)
{
    (void)old;
}

/* Loads with the first allocation failing, then the second, ... until all of them
 * succeed; each failure leaves the count, and the next try finds nothing in its way. */
static unsigned sweep(struct policy *policy, size_t table, uint64_t id, struct bytes columns)
{
    const uint64_t before = rows_of[table].count(policy);
    const uint64_t after = id > before ? id : before;
    for (long n = 0;; n++) {
        allocations_left = n;
        const enum err err = rows_of[table].load(policy, id, columns);
        const bool failed = allocations_left < 0;
        allocations_left = -1;
        if (!failed) {
            ck_ok(err);
            ck_assert_uint_eq(rows_of[table].count(policy), after);
            return (unsigned)n;
        }
        ck_err(err, ERR_NO_MEMORY);
        ck_assert_uint_eq(rows_of[table].count(policy), before);
    }
}

/* Rows enough for the arrays to grow in between. */
#define ROUNDS 40

START_TEST(no_memory_for_a_new_row)
{
    CLEANUP(world_free) struct world w = {0};
    unsigned total = 0;
    world_begin(&w);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        CLEANUP(buf_free) struct buf image = {0};
        CLEANUP(buf_free) struct buf measurement = {0};
        CLEANUP(buf_free) struct buf secret = {0};
        CLEANUP(buf_free) struct buf grant = {0};
        snprintf(w.image.name, sizeof w.image.name, "image-%u", (unsigned)i);
        snprintf(w.secret.name, sizeof w.secret.name, "secret-%u", (unsigned)i);
        w.pcrs = code_of_seed((unsigned)i);
        w.measurement.image_id = i;
        w.measurement.pcrs.len = 0;
        w.grant.image_id = i;
        ck_ok(pcr_set_append(&w.pcrs, &w.measurement.pcrs));
        ck_ok(policy_image_append(&w.image, &image));
        ck_ok(policy_measurement_append(&w.measurement, &measurement));
        ck_ok(policy_secret_append(&w.secret, &secret));
        ck_ok(policy_grant_append(&w.grant, &grant));
        total += sweep(w.policy, ROWS_image, i, bytes_of_buf(&image));
        total += sweep(w.policy, ROWS_measurement, i, bytes_of_buf(&measurement));
        total += sweep(w.policy, ROWS_secret, i, bytes_of_buf(&secret));
        total += sweep(w.policy, ROWS_grant, i, bytes_of_buf(&grant));
        ck_assert_uint_eq(policy_find_image(w.policy, w.image.name), i);
        ck_assert_uint_eq(policy_find_measurement(w.policy, i, w.measurement.version), i);
        ck_assert_uint_eq(policy_find_same_values(w.policy, &w.measurement), i);
        ck_assert_uint_eq(policy_find_secret(w.policy, w.secret.name), i);
    }
    ck_assert_uint_eq(policy_find_image(w.policy, ""), 0);
    ck_assert_uint_eq(policy_find_secret(w.policy, ""), 0);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 0, ""), 0);
    /* A row, its buffers, one node per tree, a code: at least so many can fail. */
    ck_assert_uint_ge(total, ROUNDS * (2 + 6 + 2 + 1));
    ck_assert_uint_eq(total, failures);
}
END_TEST

START_TEST(no_memory_for_a_replacement)
{
    CLEANUP(world_free) struct world w = {0};
    CLEANUP(buf_free) struct buf columns = {0};
    world_begin(&w);
    world_load(&w);
    w.measurement.state = MEASUREMENT_REVOKED;
    ck_ok(policy_measurement_append(&w.measurement, &columns));
    allocations_left = 0;
    ck_err(policy_measurement_load(w.policy, 1, bytes_of_buf(&columns)), ERR_NO_MEMORY);
    ck_assert_int_eq(policy_measurement_get(w.policy, 1)->state, MEASUREMENT_ACTIVE);
    expect_granted(&w);
    ck_assert_uint_ge(sweep(w.policy, ROWS_measurement, 1, bytes_of_buf(&columns)), 3);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
}
END_TEST

/* No memory is no decision: neither a grant nor a refusal. */
START_TEST(no_memory_for_a_decision)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    world_want(&w, "db", 0, 0);
    const struct policy_question question = {.doc = doc, .wanted = &w.wanted, .now_ms = NOW_MS};
    allocations_left = 0;
    ck_err(policy_decide(w.policy, &question, &w.verdict, NULL), ERR_NO_MEMORY);
    ck_assert(!w.verdict.granted);
    ck_ok(policy_decide(w.policy, &question, &w.verdict, NULL));
    ck_assert(w.verdict.granted);
}
END_TEST

START_TEST(no_memory_for_a_policy)
{
    struct policy *policy = NULL;
    allocations_left = 0;
    ck_err(policy_new(&policy), ERR_NO_MEMORY);
    ck_assert_ptr_null(policy);
}
END_TEST

UNIT_MAIN("policy_memory", no_memory_for_a_new_row, no_memory_for_a_replacement,
          no_memory_for_a_decision, no_memory_for_a_policy)
#endif
