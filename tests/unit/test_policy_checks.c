/* V5: each reason has a test that breaks exactly it (the grant: test_policy_grants.c; debug
 * mode, quotas and what the verdict lists: test_policy_verdict.c). */
#include "policy_fixture.h"

START_TEST(valid_grant)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    expect_granted(&w);
    const struct policy_item *item = &w.verdict.item[0];
    ck_assert_uint_eq(item->secret_id, 1);
    ck_assert_uint_eq(item->version, 2);
    ck_assert_uint_eq(item->grant_id, 1);
    ck_assert_uint_eq(item->measurement_id, 1);
    ck_assert_uint_eq(item->quota, 0);
    ck_assert_uint_eq(item->flags, 0);
    ck_assert_uint_eq(w.verdict.measurement_count, 1);
    ck_assert_str_eq(w.verdict.measurement[0], "payments@1.4.2");
}
END_TEST

START_TEST(no_policy)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    expect_refused(&w, REASON_UNKNOWN_SECRET);
}
END_TEST

START_TEST(no_secret_asked_grants_nothing)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    const struct policy_question question = {.doc = doc, .wanted = &w.wanted, .now_ms = NOW_MS};
    ck_ok(policy_decide(w.policy, &question, &w.verdict, NULL));
    ck_assert(!w.verdict.granted);
    ck_assert_int_eq(w.verdict.reason, REASON_NOT_GRANTED);
}
END_TEST

/* --- The secret --- */

START_TEST(wrong_secret_name)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_want(&w, "db2", 0, 0);
    expect_refused(&w, REASON_UNKNOWN_SECRET);
}
END_TEST

START_TEST(wrong_secret_state)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.secret.state = SECRET_DESTROYED;
    world_load(&w);
    expect_refused(&w, REASON_SECRET_DESTROYED);
}
END_TEST

START_TEST(no_value)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.secret.current_version = 0;
    world_load(&w);
    expect_refused(&w, REASON_NO_VALUE);
}
END_TEST

START_TEST(wrong_version)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_want(&w, "db", 3, 0);
    expect_refused(&w, REASON_VERSION_UNKNOWN);
    ck_assert_uint_eq(w.verdict.item[0].version, 3);
}
END_TEST

START_TEST(destroyed_version)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.version[1].state = SECRET_DESTROYED;
    world_load(&w);
    expect_refused(&w, REASON_VERSION_UNKNOWN);
}
END_TEST

START_TEST(destroyed_version_that_a_grant_names)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.version[0].state = SECRET_DESTROYED;
    w.grant.version_count = 1;
    w.grant.version[0] = 1;
    world_load(&w);
    world_want(&w, "db", 1, 0);
    expect_refused(&w, REASON_VERSION_UNKNOWN);
}
END_TEST

START_TEST(valid_current_version_named)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_want(&w, "db", 2, 2);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].version, 2);
}
END_TEST

START_TEST(older_version_not_granted)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_want(&w, "db", 1, 0);
    expect_refused(&w, REASON_VERSION_NOT_GRANTED);
}
END_TEST

START_TEST(valid_older_version_granted)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.grant.version_count = 2;
    w.grant.version[0] = 7;
    w.grant.version[1] = 1;
    world_load(&w);
    world_want(&w, "db", 1, 0);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].version, 1);
}
END_TEST

START_TEST(older_version_is_never_the_default)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.grant.version_count = 1;
    w.grant.version[0] = 1;
    world_load(&w);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].version, 2);
}
END_TEST

START_TEST(below_minimum)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_want(&w, "db", 0, 3);
    expect_refused(&w, REASON_BELOW_MINIMUM);
}
END_TEST

START_TEST(named_version_below_minimum)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_want(&w, "db", 1, 2);
    expect_refused(&w, REASON_BELOW_MINIMUM);
}
END_TEST

/* --- The grant's existence --- */

START_TEST(no_grant)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    PUT(&w, image, 1, &w.image);
    world_put_measurement(&w, 1);
    PUT(&w, secret, 1, &w.secret);
    PUT(&w, secret_version, 1, &w.version[0]);
    PUT(&w, secret_version, 2, &w.version[1]);
    expect_refused(&w, REASON_NOT_GRANTED);
}
END_TEST

START_TEST(removed_grant)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    expect_granted(&w);
    w.grant.state = POLICY_REMOVED;
    PUT(&w, grant, 1, &w.grant);
    expect_refused(&w, REASON_NOT_GRANTED);
}
END_TEST

START_TEST(grant_of_another_secret)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_secret other = {.current_version = 1, .state = SECRET_USABLE};
    struct policy_secret_version value = {
        .secret_id = 2, .version = 1, .size_bytes = 1, .state = SECRET_USABLE};
    world_begin(&w);
    world_load(&w);
    SET_TEXT(other.name, "other");
    PUT(&w, secret, 2, &other);
    PUT(&w, secret_version, 3, &value);
    world_want(&w, "other", 0, 0);
    expect_refused(&w, REASON_NOT_GRANTED);
}
END_TEST

START_TEST(grant_to_another_image)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_image other = {.name = "other"};
    world_begin(&w);
    PUT(&w, image, 1, &w.image);
    PUT(&w, image, 2, &other);
    w.grant.image_id = 2;
    world_put_measurement(&w, 1);
    PUT(&w, secret, 1, &w.secret);
    PUT(&w, secret_version, 1, &w.version[0]);
    PUT(&w, secret_version, 2, &w.version[1]);
    PUT(&w, grant, 1, &w.grant);
    expect_refused(&w, REASON_NO_MEASUREMENT);
}
END_TEST

/* --- The measurement --- */

/* PCR0, PCR1 and PCR2 are compared together: each one alone refuses. */
static void wrong_code_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    w.fields.pcr[n][47] ^= 1;
    expect_refused(&w, REASON_NO_MEASUREMENT);
}

START_TEST(wrong_code_pcr)
{
    for (size_t n = 0; n < 3; n++)
        wrong_code_pcr_at(n);
}
END_TEST

START_TEST(wrong_root)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.root[31] ^= 1;
    world_load(&w);
    expect_refused(&w, REASON_NO_MEASUREMENT);
}
END_TEST

START_TEST(wrong_kind)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    /* Even where the instance's PCRs hold the very values of the enclave. */
    w.fields.nitrotpm = true;
    world_load(&w);
    expect_refused(&w, REASON_NO_MEASUREMENT);
}
END_TEST

START_TEST(valid_nitrotpm)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.fields.nitrotpm = true;
    memcpy(w.fields.pcr[7], ones, sizeof ones);
    w.measurement.kind = ATTDOC_NITROTPM;
    w.pcrs = (struct pcr_set){0};
    set_pcr(&w.pcrs, 4, w.fields.pcr[4]);
    set_pcr(&w.pcrs, 7, ones);
    world_load(&w);
    expect_granted(&w);
    w.fields.pcr[7][0] = 2;
    expect_refused(&w, REASON_NO_MEASUREMENT);
    w.fields.pcr[7][0] = 1;
    w.fields.pcr_present &= ~PCR_BIT(7);
    expect_refused(&w, REASON_NO_MEASUREMENT);
}
END_TEST

/* Whoever holds a measurement and a document may ask, without the policy's indexes. */
START_TEST(valid_match)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    struct policy_facts facts;
    policy_facts_of(doc, w.application, &facts);
    struct policy_measurement *m = &w.measurement;
    ck_ok(pcr_set_append(&w.pcrs, &m->pcrs));
    ck_assert(policy_measurement_matches(m, &facts));
    m->kind = ATTDOC_NITROTPM;
    ck_assert(!policy_measurement_matches(m, &facts));
    m->kind = ATTDOC_ENCLAVE;
    m->debug = true;
    ck_assert(!policy_measurement_matches(m, &facts));
    m->debug = false;
    m->root[0] ^= 1;
    ck_assert(!policy_measurement_matches(m, &facts));
    m->root[0] ^= 1;
    m->pcrs.ptr[m->pcrs.len - 1] ^= 1;
    ck_assert(!policy_measurement_matches(m, &facts));
    m->pcrs.len--;
    ck_assert(!policy_measurement_matches(m, &facts));
}
END_TEST

/* Each PCR that a measurement may hold besides its code. */
static const unsigned optional_pcrs[] = {3, 4, 8, 16, 31};

static void valid_measurement_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    const unsigned i = optional_pcrs[n];
    world_begin(&w);
    set_pcr(&w.pcrs, i, ones);
    memcpy(w.fields.pcr[i], ones, sizeof ones);
    w.fields.pcr_present |= PCR_BIT(i);
    world_load(&w);
    expect_granted(&w);
}

START_TEST(valid_measurement_pcr)
{
    for (size_t n = 0; n < ARRAY_LEN(optional_pcrs); n++)
        valid_measurement_pcr_at(n);
}
END_TEST

static void wrong_measurement_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    const unsigned i = optional_pcrs[n];
    world_begin(&w);
    set_pcr(&w.pcrs, i, ones);
    memcpy(w.fields.pcr[i], ones, sizeof ones);
    w.fields.pcr[i][47] = 2;
    w.fields.pcr_present |= PCR_BIT(i);
    world_load(&w);
    expect_refused(&w, REASON_NO_MEASUREMENT);
}

START_TEST(wrong_measurement_pcr)
{
    for (size_t n = 0; n < ARRAY_LEN(optional_pcrs); n++)
        wrong_measurement_pcr_at(n);
}
END_TEST

static void absent_measurement_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    const unsigned i = optional_pcrs[n];
    world_begin(&w);
    set_pcr(&w.pcrs, i, ones);
    w.fields.pcr_present &= ~PCR_BIT(i);
    world_load(&w);
    expect_refused(&w, REASON_NO_MEASUREMENT);
}

START_TEST(absent_measurement_pcr)
{
    for (size_t n = 0; n < ARRAY_LEN(optional_pcrs); n++)
        absent_measurement_pcr_at(n);
}
END_TEST

/* Only from a row that no check would let in: zeros satisfy nothing all the same. */
static void zero_measurement_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    const unsigned i = optional_pcrs[n];
    world_begin(&w);
    set_pcr(&w.pcrs, i, zeros);
    memcpy(w.fields.pcr[i], zeros, sizeof zeros);
    world_load(&w);
    expect_refused(&w, REASON_NO_MEASUREMENT);
}

START_TEST(zero_measurement_pcr)
{
    for (size_t n = 0; n < 3; n++)
        zero_measurement_pcr_at(n);
}
END_TEST

/* What the enclave itself may extend is zero until it does, and that can be demanded. */
START_TEST(valid_zero_pcr16)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    set_pcr(&w.pcrs, 16, zeros);
    w.fields.pcr_present |= PCR_BIT(16);
    world_load(&w);
    expect_granted(&w);
}
END_TEST

START_TEST(draft)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_DRAFT;
    world_load(&w);
    expect_refused(&w, REASON_MEASUREMENT_STATE);
}
END_TEST

static void measurement_window(uint64_t not_before_ms, uint64_t not_after_ms, bool inside)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.not_before_ms = not_before_ms;
    w.measurement.not_after_ms = not_after_ms;
    world_load(&w);
    if (inside)
        expect_granted(&w);
    else
        expect_refused(&w, REASON_MEASUREMENT_WINDOW);
}

START_TEST(measurement_window_edges)
{
    measurement_window(NOW_MS, POLICY_NO_TIME, true);
    measurement_window(NOW_MS + 1, POLICY_NO_TIME, false);
    measurement_window(POLICY_NO_TIME, NOW_MS, true);
    measurement_window(POLICY_NO_TIME, NOW_MS - 1, false);
    measurement_window(NOW_MS, NOW_MS, true);
}
END_TEST

START_TEST(revoked)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    expect_granted(&w);
    w.measurement.state = MEASUREMENT_REVOKED;
    world_put_measurement(&w, 1);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
}
END_TEST

/* An active measurement matches and its image is granted; so does a revoked one. */
START_TEST(deny_wins)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_put_second(&w, "1.4.2-bad-instance", MEASUREMENT_REVOKED);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
    w.fields.pcr[4][0] ^= 1;
    expect_granted(&w);
}
END_TEST

/* The revoked measurement is of an image that nothing was ever granted to. */
START_TEST(deny_wins_over_another_image)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_image other = {.name = "other"};
    world_begin(&w);
    world_load(&w);
    PUT(&w, image, 2, &other);
    w.measurement.image_id = 2;
    world_put_second(&w, "1", MEASUREMENT_REVOKED);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
}
END_TEST

/* A window that has passed does not bring a revoked build back. */
START_TEST(deny_wins_outside_its_window)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    w.measurement.not_after_ms = NOW_MS - 1;
    world_put_second(&w, "1", MEASUREMENT_REVOKED);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
}
END_TEST

/* A draft that was taken back neither matches nor denies, beside another or alone. */
START_TEST(discarded)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_DRAFT;
    world_load(&w);
    expect_refused(&w, REASON_MEASUREMENT_STATE);
    w.measurement.state = MEASUREMENT_DISCARDED;
    world_put_measurement(&w, 1);
    expect_refused(&w, REASON_NO_MEASUREMENT);
    SET_TEXT(w.measurement.version, "1.4.3");
    w.measurement.state = MEASUREMENT_ACTIVE;
    world_put_measurement(&w, 2);
    expect_granted(&w);
    ck_assert_str_eq(w.verdict.measurement[0], "payments@1.4.3");
}
END_TEST

/* Whoever holds the row may ask, without the policy's indexes. */
START_TEST(no_match_of_discarded)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    struct policy_facts facts;
    policy_facts_of(doc, bytes_of("", 0), &facts);
    ck_ok(pcr_set_append(&w.pcrs, &w.measurement.pcrs));
    ck_assert(policy_measurement_matches(&w.measurement, &facts));
    w.measurement.state = MEASUREMENT_DISCARDED;
    ck_assert(!policy_measurement_matches(&w.measurement, &facts));
}
END_TEST

START_TEST(deny_wins_over_a_signer)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    w.measurement.state = MEASUREMENT_REVOKED;
    world_load(&w);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
}
END_TEST

UNIT_MAIN("policy_checks", valid_grant, no_policy, no_secret_asked_grants_nothing,
          wrong_secret_name, wrong_secret_state, no_value, wrong_version, destroyed_version,
          destroyed_version_that_a_grant_names, valid_current_version_named,
          older_version_not_granted, valid_older_version_granted,
          older_version_is_never_the_default, below_minimum, named_version_below_minimum, no_grant,
          removed_grant, grant_of_another_secret, grant_to_another_image, wrong_code_pcr,
          wrong_root, wrong_kind, valid_nitrotpm, valid_match, valid_measurement_pcr,
          wrong_measurement_pcr, absent_measurement_pcr, zero_measurement_pcr, valid_zero_pcr16,
          draft, measurement_window_edges, revoked, deny_wins, deny_wins_over_another_image,
          deny_wins_outside_its_window, discarded, no_match_of_discarded, deny_wins_over_a_signer)
