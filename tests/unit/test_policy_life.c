/* The policy in memory: what of a row may change, and what never does again. */
#include "policy_rows.h"
#include "verifier/policy/snapshot.h"

/* Every table's first rows, so that whatever refers finds what it refers to. */
static void load_world(struct world *w)
{
    struct policy_person person = {.name = "anna", .state = POLICY_ACTIVE};
    struct policy_setting setting = {.name = "kind"};
    world_begin(w);
    world_load(w);
    PUT(w, person, 1, &person);
    PUT(w, setting, 1, &setting);
}

/* What a token may is said once; what was revoked or removed stays so. */
START_TEST(wrong_people_replacement)
{
    CLEANUP(world_free) struct world w = {0};
    CLEANUP(policy_token_free)
    struct policy_token token = {
        .person_id = 1, .rights = RIGHT_VIEW, .state = POLICY_ACTIVE, .expires_ms = NOW_MS};
    struct policy_person person = {.name = "anna", .state = POLICY_REMOVED};
    load_world(&w);
    PUT(&w, token, 1, &token);
    token.rights = RIGHT_VIEW | RIGHT_DRAFT;
    REFUSE(&w, token, 1, &token);
    token.rights = RIGHT_VIEW;
    token.expires_ms = NOW_MS + 1;
    REFUSE(&w, token, 1, &token);
    token.expires_ms = NOW_MS;
    ck_ok(image_set_append(bytes_of_text("payments"), &token.images, NULL));
    REFUSE(&w, token, 1, &token);
    token.hash[0] = 1;
    PUT(&w, token, 2, &token);
    token.images.len = 0;
    REFUSE(&w, token, 2, &token);
    ck_ok(image_set_append(bytes_of_text("payments,refunds"), &token.images, NULL));
    REFUSE(&w, token, 2, &token);
    token.images.len = 0;
    token.hash[0] = 0;
    token.state = POLICY_REMOVED;
    PUT(&w, token, 1, &token);
    PUT(&w, token, 1, &token);
    token.state = POLICY_ACTIVE;
    REFUSE(&w, token, 1, &token);
    PUT(&w, person, 1, &person);
    person.state = POLICY_ACTIVE;
    REFUSE(&w, person, 1, &person);
}
END_TEST

/* A key's serial never falls; whose it is and what for never changes. */
START_TEST(wrong_enrolled_key_replacement)
{
    CLEANUP(world_free) struct world w = {0};
    CLEANUP(policy_enrolled_key_free)
    struct policy_enrolled_key key = {.person_id = 1, .last_serial = 5, .state = POLICY_ACTIVE};
    struct policy_person bob = {.name = "bob", .state = POLICY_ACTIVE};
    load_world(&w);
    PUT(&w, person, 2, &bob);
    ck_ok(image_set_append(bytes_of_text("payments"), &key.images, NULL));
    key.person_id = 3;
    REFUSE(&w, enrolled_key, 1, &key);
    key.person_id = 1;
    PUT(&w, enrolled_key, 1, &key);
    ck_assert_uint_eq(policy_find_enrolled_key(w.policy, key.public_key), 1);
    REFUSE(&w, enrolled_key, 2, &key); /* a key is one signer's */
    key.last_serial = 4;
    REFUSE(&w, enrolled_key, 1, &key);
    key.last_serial = 6;
    PUT(&w, enrolled_key, 1, &key);
    key.person_id = 2;
    REFUSE(&w, enrolled_key, 1, &key);
    key.person_id = 1;
    key.public_key[0] = 1;
    REFUSE(&w, enrolled_key, 1, &key);
    ck_assert_uint_eq(policy_find_enrolled_key(w.policy, key.public_key), 0);
    key.public_key[0] = 0;
    key.images.len = 0;
    ck_ok(image_set_append(bytes_of_text("payments,refunds"), &key.images, NULL));
    REFUSE(&w, enrolled_key, 1, &key);
    key.images.len = 0;
    ck_ok(image_set_append(bytes_of_text("payments"), &key.images, NULL));
    key.state = POLICY_REMOVED;
    PUT(&w, enrolled_key, 1, &key);
    key.state = POLICY_ACTIVE;
    REFUSE(&w, enrolled_key, 1, &key);
}
END_TEST

/* Up to and not including its end; a removed person's do not count, whatever they say. */
START_TEST(valid_token_life)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_token token = {.person_id = 1, .state = POLICY_ACTIVE};
    struct policy_person person = {.name = "anna", .state = POLICY_REMOVED};
    load_world(&w);
    ck_assert_int_eq(policy_token_life(w.policy, &token, UINT64_MAX), TOKEN_COUNTS);
    token.expires_ms = NOW_MS;
    ck_assert_int_eq(policy_token_life(w.policy, &token, NOW_MS - 1), TOKEN_COUNTS);
    ck_assert_int_eq(policy_token_life(w.policy, &token, NOW_MS), TOKEN_EXPIRED);
    token.state = POLICY_REMOVED;
    ck_assert_int_eq(policy_token_life(w.policy, &token, NOW_MS - 1), TOKEN_REVOKED);
    token.person_id = 2;
    ck_assert_int_eq(policy_token_life(w.policy, &token, 0), TOKEN_PERSON_REMOVED);
    token.person_id = 1;
    token.state = POLICY_ACTIVE;
    PUT(&w, person, 1, &person);
    ck_assert_int_eq(policy_token_life(w.policy, &token, 0), TOKEN_PERSON_REMOVED);
}
END_TEST

/* A measurement is immutable, and what was revoked stays revoked. */
START_TEST(wrong_measurement_replacement)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    struct policy_measurement *m = &w.measurement;
    m->pcrs.ptr[m->pcrs.len - 1] ^= 1;
    REFUSE(&w, measurement, 1, m);
    m->pcrs.ptr[m->pcrs.len - 1] ^= 1;
    m->root[0] ^= 1;
    REFUSE(&w, measurement, 1, m);
    m->root[0] ^= 1;
    SET_TEXT(m->version, "1.4.3");
    REFUSE(&w, measurement, 1, m);
    SET_TEXT(m->version, "1.4.2");
    m->added_by = 1; /* whoever it was */
    REFUSE(&w, measurement, 1, m);
    m->added_by = 0;
    m->state = MEASUREMENT_REVOKED;
    PUT(&w, measurement, 1, m);
    PUT(&w, measurement, 1, m);
    m->state = MEASUREMENT_ACTIVE;
    REFUSE(&w, measurement, 1, m);
    ck_assert_int_eq(policy_measurement_get(w.policy, 1)->state, MEASUREMENT_REVOKED);
}
END_TEST

/* Only a draft is discarded, and for good. */
START_TEST(wrong_discarding)
{
    static const enum measurement_state others[] = {MEASUREMENT_ACTIVE, MEASUREMENT_DEPRECATED,
                                                    MEASUREMENT_REVOKED};
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    struct policy_measurement *m = &w.measurement;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        m->state = others[i];
        PUT(&w, measurement, 1, m);
        m->state = MEASUREMENT_DISCARDED;
        REFUSE(&w, measurement, 1, m);
    }
    w.pcrs = code_of_seed(2);
    SET_TEXT(m->version, "2");
    m->state = MEASUREMENT_DRAFT;
    world_put_measurement(&w, 2);
    m->state = MEASUREMENT_DISCARDED;
    PUT(&w, measurement, 2, m);
    PUT(&w, measurement, 2, m);
    for (unsigned state = MEASUREMENT_DRAFT; state < MEASUREMENT_DISCARDED; state++) {
        m->state = state;
        REFUSE(&w, measurement, 2, m);
    }
}
END_TEST

/* Its values are free, its name is not; others of its code are found as before, whichever of
 * the chain it is, and so it is after a restart. */
static void discard_one_of_three(uint64_t gone, bool debug)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    PUT(&w, image, 1, &w.image);
    struct policy_measurement *m = &w.measurement;
    m->debug = debug;
    for (uint64_t id = 1; id <= 3; id++) {
        w.pcrs = code_of_seed(1);
        if (debug)
            w.pcrs = (struct pcr_set){0};
        set_pcr(&w.pcrs, 3, ones);
        w.pcrs.value[3][0] = (uint8_t)id;
        snprintf(m->version, sizeof m->version, "%u", (unsigned)id);
        m->state = MEASUREMENT_DRAFT;
        world_put_measurement(&w, id);
        if (id != gone)
            continue;
        ck_assert_uint_eq(policy_find_same_values(w.policy, m), id);
    }
    w.pcrs.value[3][0] = (uint8_t)gone;
    snprintf(m->version, sizeof m->version, "%u", (unsigned)gone);
    m->state = MEASUREMENT_DISCARDED;
    world_put_measurement(&w, gone);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 1, m->version), gone);
    ck_assert_uint_eq(policy_find_same_values(w.policy, m), 0);
    if (debug)
        mkdoc_fields_debug(&w.fields);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    struct policy_facts facts;
    policy_facts_of(doc, bytes_of("", 0), &facts);
    uint64_t left = 6 - gone; /* of 1 + 2 + 3 */
    size_t count = 0;
    ck_assert_uint_eq(policy_first_of_code(w.policy, &facts), 0);
    for (uint64_t id = policy_first_draft_of_code(w.policy, &facts); id != 0;
         id = policy_next_of_code(w.policy, id), count++)
        left -= id;
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(left, 0);
    REFUSE(&w, measurement, 4, m); /* the name */
    SET_TEXT(m->version, "4");
    m->state = MEASUREMENT_ACTIVE;
    world_put_measurement(&w, 4);
    ck_assert_uint_eq(policy_find_same_values(w.policy, m), 4);
    ck_assert_uint_eq(policy_first_of_code(w.policy, &facts), 4);
}

START_TEST(valid_discarded)
{
    for (uint64_t gone = 1; gone <= 3; gone++) {
        discard_one_of_three(gone, false);
        discard_one_of_three(gone, true);
    }
}
END_TEST

/* As rows come from the file: discarded already. */
START_TEST(valid_discarded_at_start)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    PUT(&w, image, 1, &w.image);
    w.measurement.state = MEASUREMENT_DISCARDED;
    world_put_measurement(&w, 1);
    SET_TEXT(w.measurement.version, "2");
    world_put_measurement(&w, 2);
    w.measurement.state = MEASUREMENT_ACTIVE;
    SET_TEXT(w.measurement.version, "3");
    world_put_measurement(&w, 3);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    struct policy_facts facts;
    policy_facts_of(doc, bytes_of("", 0), &facts);
    ck_assert_uint_eq(policy_first_of_code(w.policy, &facts), 3);
    ck_assert_uint_eq(policy_next_of_code(w.policy, 3), 0);
    ck_assert_uint_eq(policy_find_same_values(w.policy, &w.measurement), 3);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 1, "2"), 2);
}
END_TEST

UNIT_MAIN("policy_life", wrong_people_replacement, wrong_enrolled_key_replacement, valid_token_life,
          wrong_measurement_replacement, wrong_discarding, valid_discarded,
          valid_discarded_at_start)
