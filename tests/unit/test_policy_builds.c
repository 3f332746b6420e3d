/* The builds of each image: their chain, and how many are in which state. */
#include "policy_fixture.h"

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

UNIT_MAIN("policy_builds", valid_builds_of_image)
