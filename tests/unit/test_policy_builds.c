/* The builds of each image, and those of each code: their chains, and how many are in which
 * state. */
#include "policy_fixture.h"

#include "verifier/policy/snapshot.h"
#include "verifier/policy/walk.h"

#define IMAGES 7
#define BUILDS 400

/* What the chain of an image's builds says is what a look at every row says. */
static void demand_builds(const struct world *w, uint64_t image_id, uint64_t after)
{
    uint64_t in[MEASUREMENT_STATE_LAST + 1] = {0};
    uint64_t chained = policy_next_build(w->policy, image_id, after);
    for (uint64_t id = 1; id <= policy_measurement_count(w->policy); id++) {
        const struct policy_measurement *m = policy_measurement_get(w->policy, id);
        if (m->image_id != image_id)
            continue;
        in[m->state]++;
        if (id <= after)
            continue;
        ck_assert_uint_eq(chained, id);
        chained = policy_next_build(w->policy, image_id, chained);
    }
    ck_assert_uint_eq(chained, 0);
    for (unsigned s = MEASUREMENT_DRAFT; s <= MEASUREMENT_STATE_LAST; s++)
        ck_assert_uint_eq(policy_count_builds(w->policy, image_id, (enum measurement_state)s),
                          in[s]);
}

/* To begin with any, as rows come from the file; then any that it may have come to. */
static enum measurement_state some_state(const struct policy_measurement *old, unsigned dice)
{
    const enum measurement_state any =
        (enum measurement_state)(MEASUREMENT_DRAFT + dice % MEASUREMENT_STATE_LAST);
    if (old == NULL)
        return any;
    if (old->state == MEASUREMENT_REVOKED || old->state == MEASUREMENT_DISCARDED)
        return old->state;
    return any == MEASUREMENT_DISCARDED && old->state != MEASUREMENT_DRAFT ? MEASUREMENT_REVOKED
                                                                           : any;
}

/* Builds of several images in no order, their states moved about, one image without any. */
START_TEST(valid_builds_of_image)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    for (uint64_t image = 2; image <= IMAGES; image++) {
        snprintf(w.image.name, sizeof w.image.name, "image-%u", (unsigned)image);
        PUT(&w, image, image, &w.image);
    }
    const uint64_t first = policy_measurement_count(w.policy) + 1;
    unsigned dice = 1;
    for (unsigned i = 0; i < 2 * BUILDS; i++) {
        const uint64_t id = first + i % BUILDS; /* each once more, in another state */
        dice = dice * 1103515245 + 12345;
        w.pcrs = code_of_seed(1000 + i % BUILDS);
        snprintf(w.measurement.version, sizeof w.measurement.version, "v%u", i % BUILDS);
        const struct policy_measurement *old = policy_measurement_get(w.policy, id);
        w.measurement.image_id = old == NULL ? 1 + (dice >> 16) % (IMAGES - 1) : old->image_id;
        w.measurement.state = some_state(old, dice >> 20);
        w.measurement.pcrs.len = 0;
        world_put_measurement(&w, id);
    }
    for (uint64_t image = 1; image <= IMAGES; image++) {
        for (uint64_t after = 0; after <= first + BUILDS; after += 13)
            demand_builds(&w, image, after);
        demand_builds(&w, image, UINT64_MAX);
    }
    ck_assert_uint_eq(policy_next_build(w.policy, IMAGES, 0), 0);
    ck_assert_uint_eq(policy_next_build(w.policy, 0, 0), 0);
    ck_assert_uint_eq(policy_next_build(w.policy, IMAGES + 1, 0), 0);
    ck_assert_uint_eq(policy_count_builds(w.policy, IMAGES + 1, MEASUREMENT_ACTIVE), 0);
}
END_TEST

/* --- Of one code --- */

static void facts_of_code(const struct world *w, const struct pcr_set *code,
                          struct policy_facts *facts)
{
    *facts = (struct policy_facts){.root_sha256 = w->measurement.root};
    for (unsigned i = 0; i <= 2; i++)
        facts->pcr[i] = code->value[i];
}

/* A chain is what a look at every row finds, from the newest to the oldest. */
static void demand_chain(const struct world *w, const struct policy_facts *facts, bool drafts)
{
    uint64_t chained = drafts ? policy_first_draft_of_code(w->policy, facts)
                              : policy_first_of_code(w->policy, facts);
    for (uint64_t id = policy_measurement_count(w->policy); id > 0; id--) {
        const struct policy_measurement *m = policy_measurement_get(w->policy, id);
        struct pcr_set pcrs;
        ck_ok(pcr_set_parse(bytes_of_buf(&m->pcrs), &pcrs));
        if (m->state == MEASUREMENT_DISCARDED || (m->state == MEASUREMENT_DRAFT) != drafts ||
            memcmp(pcrs.value[0], facts->pcr[0], ATTDOC_PCR_LEN) != 0)
            continue;
        ck_assert_uint_eq(chained, id);
        chained = policy_next_of_code(w->policy, chained);
    }
    ck_assert_uint_eq(chained, 0);
}

#define CODES         4
#define BUILDS_OF_ALL 60

START_TEST(valid_chains_of_code)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    PUT(&w, image, 1, &w.image);
    unsigned dice = 7;
    for (unsigned i = 0; i < 6 * BUILDS_OF_ALL; i++) {
        struct policy_facts facts;
        const unsigned n = i % BUILDS_OF_ALL;
        dice = dice * 1103515245 + 12345;
        w.pcrs = code_of_seed(1 + n % CODES);
        facts_of_code(&w, &w.pcrs, &facts);
        set_pcr(&w.pcrs, 4, ones);
        w.pcrs.value[4][1] = (uint8_t)n;
        snprintf(w.measurement.version, sizeof w.measurement.version, "v%u", n);
        w.measurement.state =
            some_state(policy_measurement_get(w.policy, n + 1), i < BUILDS_OF_ALL ? 5 : dice >> 20);
        world_put_measurement(&w, n + 1);
        demand_chain(&w, &facts, false);
        demand_chain(&w, &facts, true);
    }
}
END_TEST

/* Drafts of the document's code, all of which match it: they demand of PCR16..23 what it has there,
 * in every combination. */
static void put_drafts(struct world *w, unsigned count)
{
    struct policy_measurement *m = &w->measurement;
    w->fields.pcr_present |= UINT32_C(0x00ff0000);
    m->state = MEASUREMENT_DRAFT;
    for (unsigned n = 1; n <= count; n++) {
        w->pcrs = code_of_seed(1);
        for (unsigned bit = 0; bit < 8; bit++) {
            if ((n >> bit & 1) != 0)
                set_pcr(&w->pcrs, 16 + bit, w->fields.pcr[16 + bit]);
        }
        snprintf(m->version, sizeof m->version, "draft-%u", n);
        world_put_measurement(w, policy_measurement_count(w->policy) + 1);
    }
}

struct seen {
    size_t matches;
    size_t candidates;
};

static void count_match(void *context, uint64_t measurement_id)
{
    (void)measurement_id;
    ((struct seen *)context)->matches++;
}

static void count_candidate(void *context, size_t secret, uint64_t grant_id,
                            uint64_t measurement_id, size_t passed)
{
    (void)secret, (void)grant_id, (void)measurement_id, (void)passed;
    ((struct seen *)context)->candidates++;
}

static struct seen walk(struct world *w)
{
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(w);
    struct seen seen = {.matches = 0};
    struct policy_facts facts;
    const struct policy_observer observer = {
        .match = count_match, .observe = count_candidate, .context = &seen};
    const struct policy_walk question = {.facts = &facts,
                                         .wanted = &w->wanted,
                                         .now_ms = NOW_MS,
                                         .production = true,
                                         .observer = &observer};
    policy_facts_of(doc, bytes_of("", 0), &facts);
    ck_ok(policy_walk(w->policy, &question, &w->verdict, &w->fault));
    return seen;
}

#define FLOOD 200
_Static_assert(FLOOD > 2 * POLICY_DRAFTS_MAX, "more than a decision looks at");

/* However many drafts of its code there are, a release looks at so many, and they change nothing.
 */
START_TEST(valid_drafts_are_few)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    put_drafts(&w, FLOOD);
    expect_granted(&w);
    ck_assert_str_eq(w.verdict.measurement[0], "payments@1.4.2");
    const struct seen seen = walk(&w);
    ck_assert_uint_eq(seen.matches, 1 + POLICY_DRAFTS_MAX);
    /* Without a grant, by the grant without a measurement, and by it with each that matches. */
    ck_assert_uint_eq(seen.candidates, 2 + seen.matches);
    ck_assert_uint_eq(w.explanation.match_count, EXPLAIN_MATCHES_MAX);
    ck_assert_uint_eq(w.explanation.match[0], 1); /* before any draft */
    ck_assert_uint_eq(w.explanation.match[1], 1 + FLOOD);
}
END_TEST

/* A refusal says that what matches is a draft, if one of the newest is. */
START_TEST(no_measurement_but_drafts)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_DRAFT;
    world_load(&w);
    expect_refused(&w, REASON_MEASUREMENT_STATE);
    put_drafts(&w, FLOOD);
    expect_refused(&w, REASON_MEASUREMENT_STATE);
    ck_assert_uint_eq(walk(&w).matches, POLICY_DRAFTS_MAX);
}
END_TEST

/* What was a draft, behind ever so many others: once it is active it releases, and once it is
 * revoked it denies. */
START_TEST(wrong_revoked_behind_drafts)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    put_drafts(&w, FLOOD);
    const enum measurement_state life[] = {MEASUREMENT_ACTIVE, MEASUREMENT_DEPRECATED,
                                           MEASUREMENT_REVOKED};
    w.pcrs = code_of_seed(1);
    set_pcr(&w.pcrs, 16, w.fields.pcr[16]); /* draft-1 */
    SET_TEXT(w.measurement.version, "draft-1");
    for (size_t i = 0; i < ARRAY_LEN(life); i++) {
        w.measurement.state = life[i];
        world_put_measurement(&w, 2);
        if (life[i] == MEASUREMENT_REVOKED) {
            expect_refused(&w, REASON_MEASUREMENT_REVOKED);
            continue;
        }
        expect_granted(&w);
        ck_assert_uint_eq(w.verdict.measurement_count, 2);
        ck_assert_uint_eq(walk(&w).matches, 2 + POLICY_DRAFTS_MAX);
    }
}
END_TEST

UNIT_MAIN("policy_builds", valid_builds_of_image, valid_chains_of_code, valid_drafts_are_few,
          no_measurement_but_drafts, wrong_revoked_behind_drafts)
