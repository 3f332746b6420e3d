/* How often one instance may be refused: exact, bounded, and not to be got round by enclave
 * ids, by filling the table, or by the clock. */
#include "verifier/warden/refusals.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define NOW_MS   UINT64_C(1795392000000)
#define BURST_MS ((uint64_t)REFUSALS_BURST * REFUSALS_EVERY_MS)
#define ONE      "i-0123456789abcdef0-enc0123456789abcdef"
#define TWO      "i-0fedcba9876543210-enc0123456789abcdef"

static struct refusals_place ask(struct refusals *r, const char *module_id, uint64_t now_ms)
{
    struct refusals_place place;
    ck_ok(refusals_admit(r, bytes_of_text(module_id), now_ms, &place));
    return place;
}

/* A request that ends in a refusal; whether it was decided. */
static bool refuse(struct refusals *r, const char *module_id, uint64_t now_ms)
{
    const struct refusals_place place = ask(r, module_id, now_ms);
    if (place.admitted)
        refusals_settle(r, &place, REFUSALS_REFUSED);
    return place.admitted;
}

static void drain(struct refusals *r, const char *module_id, uint64_t now_ms)
{
    for (unsigned i = 0; i < REFUSALS_BURST; i++)
        ck_assert(refuse(r, module_id, now_ms));
    ck_assert(!refuse(r, module_id, now_ms));
}

#define REFUSALS(r)                                    \
    CLEANUP(refusals_freep) struct refusals *r = NULL; \
    ck_ok(refusals_new(&r))

START_TEST(valid_burst_then_pace)
{
    REFUSALS(r);
    drain(r, ONE, NOW_MS);
    struct refusals_place place = ask(r, ONE, NOW_MS + 1);
    ck_assert(!place.admitted);
    ck_assert_uint_eq(place.wait_ms, REFUSALS_EVERY_MS - 1);
    ck_assert(!refuse(r, ONE, NOW_MS + REFUSALS_EVERY_MS - 1));
    ck_assert(refuse(r, ONE, NOW_MS + REFUSALS_EVERY_MS));
    ck_assert(!refuse(r, ONE, NOW_MS + REFUSALS_EVERY_MS));
    ck_assert(refuse(r, ONE, NOW_MS + 3 * REFUSALS_EVERY_MS));
    ck_assert(refuse(r, ONE, NOW_MS + 3 * REFUSALS_EVERY_MS));
    ck_assert(!refuse(r, ONE, NOW_MS + 3 * REFUSALS_EVERY_MS));
    /* The burst comes back whole, and no more than the burst. */
    drain(r, ONE, NOW_MS + 9 * BURST_MS);
}
END_TEST

/* An enclave is free to whoever has the instance: a new id is no new account. */
START_TEST(wrong_new_enclave_ids)
{
    REFUSALS(r);
    char module_id[64];
    unsigned admitted = 0;
    for (unsigned i = 0; i < 10 * REFUSALS_BURST; i++) {
        snprintf(module_id, sizeof module_id, "i-0123456789abcdef0-enc%016x", i);
        admitted += refuse(r, module_id, NOW_MS);
    }
    ck_assert_uint_eq(admitted, REFUSALS_BURST);
    ck_assert(refuse(r, TWO, NOW_MS));
}
END_TEST

START_TEST(valid_grants_cost_nothing)
{
    REFUSALS(r);
    for (unsigned i = 0; i < 10 * REFUSALS_BURST; i++) {
        const struct refusals_place place = ask(r, ONE, NOW_MS);
        ck_assert(place.admitted);
        refusals_settle(r, &place, i % 2 == 0 ? REFUSALS_GRANTED : REFUSALS_UNDECIDED);
    }
    drain(r, ONE, NOW_MS);
}
END_TEST

/* What is in flight counts: many at once get no more than one after the other. */
START_TEST(wrong_all_at_once)
{
    REFUSALS(r);
    struct refusals_place place[REFUSALS_BURST];
    for (unsigned i = 0; i < REFUSALS_BURST; i++)
        place[i] = ask(r, ONE, NOW_MS);
    ck_assert(!ask(r, ONE, NOW_MS).admitted);
    for (unsigned i = 0; i < REFUSALS_BURST; i++) {
        ck_assert(place[i].admitted);
        refusals_settle(r, &place[i], i == 0 ? REFUSALS_GRANTED : REFUSALS_REFUSED);
    }
    ck_assert(refuse(r, ONE, NOW_MS));
    ck_assert(!refuse(r, ONE, NOW_MS));
}
END_TEST

/* The count goes to exactly one request, and back where that had no record. */
START_TEST(valid_count_of_put_off)
{
    REFUSALS(r);
    drain(r, ONE, NOW_MS); /* one is put off in there */
    for (unsigned i = 2; i < 7; i++)
        ck_assert_uint_eq(ask(r, ONE, NOW_MS).put_off, i);
    struct refusals_place place = ask(r, ONE, NOW_MS + REFUSALS_EVERY_MS);
    ck_assert(place.admitted);
    ck_assert_uint_eq(place.put_off, 6);
    ck_assert_uint_eq(ask(r, ONE, NOW_MS + REFUSALS_EVERY_MS).put_off, 1); /* meanwhile */
    refusals_settle(r, &place, REFUSALS_UNDECIDED);
    place = ask(r, ONE, NOW_MS + REFUSALS_EVERY_MS);
    ck_assert_uint_eq(place.put_off, 7);
    refusals_settle(r, &place, REFUSALS_GRANTED);
    place = ask(r, ONE, NOW_MS + REFUSALS_EVERY_MS);
    ck_assert(place.admitted);
    ck_assert_uint_eq(place.put_off, 0);
    refusals_settle(r, &place, REFUSALS_REFUSED);
    ck_assert_uint_eq(ask(r, ONE, NOW_MS + REFUSALS_EVERY_MS).put_off, 1);
}
END_TEST

/* Instances number `first` and following. */
static void refuse_others(struct refusals *r, unsigned first, unsigned count, unsigned each,
                          uint64_t now_ms)
{
    for (unsigned i = 0; i < count; i++) {
        char module_id[64];
        snprintf(module_id, sizeof module_id, "i-%08x-enc0", first + i);
        for (unsigned n = 0; n < each; n++)
            ck_assert(refuse(r, module_id, now_ms));
    }
}

/* However many other instances come along, who is at the limit stays in the table: to be
 * forgotten takes as many instances at the limit as it holds. */
START_TEST(wrong_eviction)
{
    REFUSALS(r);
    drain(r, ONE, NOW_MS);
    refuse_others(r, 0, 3 * REFUSALS_INSTANCES, 2, NOW_MS);
    ck_assert(!refuse(r, ONE, NOW_MS));
    /* Among those that are far from it the table still holds as many as it has room for. */
    refuse_others(r, 0, REFUSALS_INSTANCES - 1, REFUSALS_BURST, NOW_MS + BURST_MS);
    ck_assert(refuse(r, ONE, NOW_MS + BURST_MS));
    ck_assert(!refuse(r, "i-00000001-enc7", NOW_MS + BURST_MS));
    /* Who owed much, long ago, makes way for a new one before who owes less today. */
    const uint64_t later_ms = NOW_MS + 3 * BURST_MS;
    for (unsigned i = 1; i < REFUSALS_BURST; i++)
        ck_assert(refuse(r, TWO, later_ms));
    refuse_others(r, REFUSALS_INSTANCES, REFUSALS_INSTANCES / 2, 1, later_ms);
    ck_assert(refuse(r, TWO, later_ms));
    ck_assert(!refuse(r, TWO, later_ms));
}
END_TEST

/* Wherever in the table he stands: the first of all, too. */
START_TEST(wrong_eviction_of_the_first)
{
    REFUSALS(r);
    const uint64_t later_ms = NOW_MS + 2 * BURST_MS;
    drain(r, ONE, NOW_MS);
    refuse_others(r, 0, REFUSALS_INSTANCES - 1, 1, later_ms);
    ck_assert(refuse(r, TWO, later_ms)); /* takes the place of ONE, who owes nothing */
    for (unsigned i = 1; i < REFUSALS_BURST; i++)
        ck_assert(refuse(r, "i-00000000-enc0", later_ms));
    ck_assert(!refuse(r, "i-00000000-enc0", later_ms));
}
END_TEST

/* Who was forgotten while he was decided about owes nothing to begin with. */
START_TEST(valid_settled_when_forgotten)
{
    REFUSALS(r);
    const struct refusals_place place = ask(r, ONE, NOW_MS);
    ck_assert(place.admitted);
    refuse_others(r, 0, REFUSALS_INSTANCES, 2, NOW_MS);
    refusals_settle(r, &place, REFUSALS_UNDECIDED);
    drain(r, ONE, NOW_MS);
    refusals_free(NULL);
}
END_TEST

START_TEST(wrong_clock_back)
{
    REFUSALS(r);
    const uint64_t before = NOW_MS - UINT64_C(86400000) * 365;
    drain(r, ONE, NOW_MS);
    ck_assert(!refuse(r, ONE, before)); /* not a way to begin anew ... */
    ck_assert(!refuse(r, ONE, before + REFUSALS_EVERY_MS - 1));
    ck_assert(refuse(r, ONE, before + REFUSALS_EVERY_MS)); /* ... and nobody waits a year */
    const struct refusals_place place = ask(r, TWO, NOW_MS);
    refusals_settle(r, &place, REFUSALS_GRANTED);
    drain(r, TWO, before); /* who owed nothing owes nothing */
    drain(r, "i-3", 0);    /* the epoch itself */
}
END_TEST

struct flood {
    struct refusals *refusals;
    unsigned admitted;
};

static void *flood(void *arg)
{
    struct flood *f = arg;
    for (unsigned i = 0; i < 200; i++)
        f->admitted += refuse(f->refusals, ONE, NOW_MS);
    return NULL;
}

START_TEST(valid_threads)
{
    REFUSALS(r);
    pthread_t thread[8];
    struct flood work[8];
    unsigned admitted = 0;
    for (unsigned i = 0; i < 8; i++) {
        work[i] = (struct flood){.refusals = r};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, flood, &work[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
        admitted += work[i].admitted;
    }
    ck_assert_uint_eq(admitted, REFUSALS_BURST);
}
END_TEST

UNIT_MAIN("refusals", valid_burst_then_pace, wrong_new_enclave_ids, valid_grants_cost_nothing,
          wrong_all_at_once, valid_count_of_put_off, wrong_eviction, wrong_eviction_of_the_first,
          valid_settled_when_forgotten, wrong_clock_back, valid_threads)
