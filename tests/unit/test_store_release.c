/* V6 over every backend: decisions, challenges, quotas; and two at once. */
#include "store_fixture.h"

#include <pthread.h>

#define THREAD_ROUNDS 50

/* --- decisions --- */

STORE_TEST(valid_grant)
{
    CLEANUP(store_outcome_free) struct store_outcome out = {0};
    struct decision decision;
    const struct sealed_value empty = {SECRET_ID, 2, bytes_of_text("")};
    ck_ok(fixture_change(f, NULL, &(struct store_change){.sealed_count = 1, .sealed = &empty}));
    decision_make(&decision, f, 1, "i-1");
    decision.d.sealed_count = 2;
    decision.d.wanted[0].version = 2;
    decision.d.wanted[1] = (struct sealed_ref){SECRET_ID, 1};
    ck_ok(f->ops->check_redeemed(f->store, decision.d.challenge, &f->fault));
    ck_ok(decision_commit(f, &decision, &out));
    ck_assert(!out.over_quota);
    ck_assert_uint_eq(out.sealed_count, 2);
    ck_assert_uint_eq(out.sealed[0].len, 0);
    ck_assert(bytes_equal_text(bytes_of_buf(&out.sealed[1]), "sealed bytes of version 1"));
    ck_err(f->ops->check_redeemed(f->store, decision.d.challenge, &f->fault),
           ERR_CHALLENGE_REDEEMED);
    fixture_holds(f, &f->rows);
}

STORE_TEST(valid_refusal)
{
    struct store_outcome out = {0};
    struct decision decision;
    decision_make(&decision, f, 1, "i-1");
    decision.d.granted = false;
    decision.d.quota_count = 1;
    decision.d.quota[0] = (struct quota_use){GRANT_ID, 5};
    decision.d.audit[1] = NULL;
    ck_ok(decision_commit(f, &decision, &out));
    ck_assert(!out.over_quota);
    ck_assert_uint_eq(out.sealed_count, 0);
    uint64_t used = 99;
    ck_ok(f->ops->read_quota(f->store, GRANT_ID, &used, &f->fault));
    ck_assert_uint_eq(used, 0);
    fixture_holds(f, &f->rows);
}

STORE_TEST(wrong_challenge_redeemed)
{
    struct store_outcome out = {0};
    struct decision decision;
    decision_make(&decision, f, 1, "i-1");
    decision.d.granted = false;
    ck_ok(decision_commit(f, &decision, &out));
    decision_make(&decision, f, 1, "i-2");
    ck_err(decision_commit(f, &decision, &out), ERR_CHALLENGE_REDEEMED);
    ck_assert_uint_eq(out.sealed_count, 0);
    fixture_reopen(f);
    ck_err(decision_commit(f, &decision, &out), ERR_CHALLENGE_REDEEMED);
    decision.d.challenge[55] ^= 1; /* all 56 bytes count */
    ck_ok(decision_commit(f, &decision, &out));
    store_outcome_free(&out);
    fixture_holds(f, &f->rows);
}

/* What is refused for another reason than the document's is not redeemed. */
static void demand_untouched(struct fixture *f, const struct decision *decision)
{
    uint64_t used = 99;
    ck_ok(f->ops->check_redeemed(f->store, decision->d.challenge, &f->fault));
    ck_ok(f->ops->read_quota(f->store, GRANT_ID, &used, &f->fault));
    ck_assert_uint_eq(used, 0);
    fixture_holds(f, &f->rows);
}

STORE_TEST(wrong_decision)
{
    struct store_outcome out = {.sealed_count = 77};
    struct decision decision;
    decision_make(&decision, f, 1, "i-1");
    decision.d.quota_count = 1;
    decision.d.quota[0] = (struct quota_use){GRANT_ID, 5};

    decision.d.expected_revision = 2;
    ck_err(decision_commit(f, &decision, &out), ERR_STORE_CONFLICT);
    demand_untouched(f, &decision);
    decision.d.expected_revision = 1;

    decision.audit[0].sequence = 3;
    ck_err(decision_commit(f, &decision, &out), ERR_STORE_CONFLICT);
    demand_untouched(f, &decision);
    decision.audit[0].sequence = 2;

    decision.d.wanted[0].version = 9;
    ck_err(decision_commit(f, &decision, &out), ERR_STORE);
    demand_untouched(f, &decision);
    decision.d.wanted[0].version = 1;

    decision.d.quota[0].grant_id = 9; /* no such grant */
    ck_err(decision_commit(f, &decision, &out), ERR_STORE);
    demand_untouched(f, &decision);
    decision.d.quota[0].grant_id = GRANT_ID;

    decision.d.audit[1] = NULL;
    ck_err(decision_commit(f, &decision, &out), ERR_INTERNAL);
    demand_untouched(f, &decision);
    ck_assert_uint_eq(out.sealed_count, 77);
}

STORE_TEST(wrong_challenge_purged)
{
    struct store_outcome out = {0};
    struct store_identity identity = {0};
    struct decision old;
    struct decision young;
    decision_make(&old, f, 1, "i-1");
    ck_ok(decision_commit(f, &old, &out));
    store_outcome_free(&out);
    decision_make(&young, f, 2, "i-1");
    young.d.challenge_expiry_ms = EXPIRY_MS + 1;
    ck_ok(decision_commit(f, &young, &out));
    store_outcome_free(&out);

    ck_ok(f->ops->purge_challenges(f->store, EXPIRY_MS, &f->fault));
    ck_ok(f->ops->read_identity(f->store, &identity, &f->fault));
    ck_assert_uint_eq(identity.purged_before_ms, EXPIRY_MS);
    /* Forgotten, and refused all the same; the younger one is remembered. */
    ck_ok(f->ops->check_redeemed(f->store, old.d.challenge, &f->fault));
    ck_err(decision_commit(f, &old, &out), ERR_CHALLENGE_EXPIRED);
    ck_err(decision_commit(f, &young, &out), ERR_CHALLENGE_REDEEMED);
    /* A clock that goes back does not. */
    ck_ok(f->ops->purge_challenges(f->store, EXPIRY_MS - 1, &f->fault));
    ck_err(decision_commit(f, &old, &out), ERR_CHALLENGE_EXPIRED);
    decision_make(&old, f, 3, "i-1");
    old.d.challenge_expiry_ms = EXPIRY_MS + 1;
    ck_ok(decision_commit(f, &old, &out));
    store_outcome_free(&out);
}

/* --- quotas --- */

struct quota_case {
    uint8_t number;
    const char *module_id;
    uint64_t quota[2];
    bool over;
    uint64_t used[2]; /* afterwards */
};

static void try_quota(struct fixture *f, const struct quota_case *c)
{
    CLEANUP(store_outcome_free) struct store_outcome out = {0};
    struct decision decision;
    decision_make(&decision, f, c->number, c->module_id);
    decision.d.quota_count = 2;
    for (size_t i = 0; i < 2; i++)
        decision.d.quota[i] = (struct quota_use){i + 1, c->quota[i]};
    ck_ok(decision_commit(f, &decision, &out));
    ck_assert_int_eq(out.over_quota, c->over);
    ck_assert_uint_eq(out.sealed_count, c->over ? 0 : 1);
    ck_err(f->ops->check_redeemed(f->store, decision.d.challenge, &f->fault),
           ERR_CHALLENGE_REDEEMED);
    for (size_t i = 0; i < 2; i++) {
        uint64_t used = 99;
        ck_ok(f->ops->read_quota(f->store, i + 1, &used, &f->fault));
        ck_assert_uint_eq(used, c->used[i]);
        bool counted = false;
        ck_ok(f->ops->read_counted(f->store, i + 1, bytes_of_text(c->module_id), &counted,
                                   &f->fault));
        ck_assert_int_eq(counted, !c->over);
        ck_ok(f->ops->read_counted(f->store, i + 1, bytes_of_text("i-none"), &counted, &f->fault));
        ck_assert(!counted);
        ck_ok(f->ops->read_counted(f->store, i + 3, bytes_of_text(c->module_id), &counted,
                                   &f->fault));
        ck_assert(!counted);
    }
}

static enum err count_event(const struct audit_entry *entry, void *context)
{
    (void)entry;
    ++*(unsigned *)context;
    return ERR_OK;
}

STORE_TEST(valid_quotas)
{
    static const struct quota_case cases[] = {
        {1, "i-1", {2, 3}, false, {1, 1}},
        {2, "i-1", {2, 3}, false, {1, 1}}, /* counted before: costs nothing */
        {3, "i-2", {2, 3}, false, {2, 2}},
        {4, "i-3", {2, 3}, true, {2, 2}}, /* the second has room, and is not counted */
        {5, "i-2", {2, 3}, false, {2, 2}},
        {6, "i-2", {1, 1}, false, {2, 2}}, /* lowered later: those who had it keep it */
        {7, "i-3", {3, 2}, true, {2, 2}},  /* the first has room, and is not counted */
        {8, "i-3", {3, 3}, false, {3, 3}},
    };
    CLEANUP(rows_free) struct rows change = {0};
    rows_add(&change, POLICY_GRANT, 2, 2, "uunnnnntbbunnuu", U(SECRET_ID), U(1), "", "", "v", U(3),
             U(1), U(CREATED_MS));
    ck_ok(fixture_change(f, &change, NULL));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        try_quota(f, &cases[i]);
    unsigned decided = 0;
    unsigned over = 0;
    ck_ok(f->ops->audit_find(f->store, "decided", count_event, &decided, &f->fault));
    ck_ok(f->ops->audit_find(f->store, "over quota", count_event, &over, &f->fault));
    ck_assert_uint_eq(decided, 6);
    ck_assert_uint_eq(over, 2);
}

/* --- two at once --- */

struct racer {
    pthread_barrier_t *start;
    struct store *store;
    struct decision decision;
    enum err result;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    CLEANUP(store_outcome_free) struct store_outcome out = {0};
    pthread_barrier_wait(racer->start);
    racer->result =
        store_ops(racer->store)->commit_decision(racer->store, &racer->decision.d, &out, NULL);
    return NULL;
}

/* The same challenge twice at the same time: one wins, the other is told so. */
static void race_rounds(struct fixture *f, struct store *other)
{
    for (unsigned round = 0; round < THREAD_ROUNDS; round++) {
        pthread_barrier_t start;
        pthread_t thread[2];
        struct racer racer[2];
        pthread_barrier_init(&start, NULL, 2);
        for (size_t i = 0; i < 2; i++) {
            racer[i] = (struct racer){.start = &start, .store = i == 0 ? f->store : other};
            decision_make(&racer[i].decision, f, (uint8_t)round, i == 0 ? "i-1" : "i-2");
            racer[i].decision.d.audit[0] = &racer[i].decision.audit[0];
            ck_assert_int_eq(pthread_create(&thread[i], NULL, race, &racer[i]), 0);
        }
        for (size_t i = 0; i < 2; i++)
            pthread_join(thread[i], NULL);
        pthread_barrier_destroy(&start);
        const size_t loser = racer[0].result == ERR_OK ? 1 : 0;
        ck_err(racer[1 - loser].result, ERR_OK);
        ck_err(racer[loser].result, ERR_CHALLENGE_REDEEMED);
        f->sequence++;
    }
    fixture_holds(f, &f->rows);
}

STORE_TEST(valid_race_of_threads)
{
    race_rounds(f, f->store);
}

STORE_TEST(valid_race_of_stores)
{
    struct store *other = NULL;
    ck_ok(store_open(f->path, &other, &f->fault));
    race_rounds(f, other);
    store_close(other);
}

UNIT_MAIN("store_release", valid_grant, valid_refusal, wrong_challenge_redeemed, wrong_decision,
          wrong_challenge_purged, valid_quotas, valid_race_of_threads, valid_race_of_stores)
