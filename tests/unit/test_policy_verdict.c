/* V5, the verdict as a whole: all or nothing, debug mode, quotas, deprecated builds, what
 * the receipt will list, and which of several reasons is told. */
#include "policy_fixture.h"

/* A second secret, `key`, with one version and no grant; and a grant to it as grant 2. */
static void put_second_secret(struct world *w, bool granted)
{
    struct policy_secret row = {.current_version = 1, .state = SECRET_USABLE};
    const struct policy_secret_version value = {
        .secret_id = 2, .version = 1, .size_bytes = 1, .state = SECRET_USABLE};
    SET_TEXT(row.name, "key");
    PUT(w, secret, 2, &row);
    PUT(w, secret_version, 3, &value);
    if (!granted)
        return;
    w->grant.secret_id = 2;
    PUT(w, grant, 2, &w->grant);
}

/* --- All or nothing --- */

START_TEST(valid_two_secrets)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    put_second_secret(&w, true);
    world_want(&w, "key", 0, 0);
    world_want(&w, "db", 0, 0);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].secret_id, 2);
    ck_assert_uint_eq(w.verdict.item[0].version, 1);
    ck_assert_uint_eq(w.verdict.item[0].grant_id, 2);
    ck_assert_uint_eq(w.verdict.item[1].secret_id, 1);
    ck_assert_uint_eq(w.verdict.item[1].version, 2);
    ck_assert_uint_eq(w.verdict.measurement_count, 1);
}
END_TEST

START_TEST(one_of_two_refuses_both)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    put_second_secret(&w, false);
    world_want(&w, "db", 0, 0);
    world_want(&w, "key", 0, 0);
    expect_refused(&w, REASON_NOT_GRANTED);
    ck_assert_uint_eq(w.verdict.refused_item, 1);
    ck_assert_int_eq(w.verdict.item[0].reason, REASON_GRANTED);
}
END_TEST

START_TEST(first_refused_item_is_told)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_want(&w, "db", 9, 0);
    world_want(&w, "none", 0, 0);
    expect_refused(&w, REASON_VERSION_UNKNOWN);
    ck_assert_uint_eq(w.verdict.refused_item, 0);
    ck_assert_int_eq(w.verdict.item[1].reason, REASON_UNKNOWN_SECRET);
}
END_TEST

START_TEST(deny_wins_over_every_item)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_REVOKED;
    world_load(&w);
    world_want(&w, "db", 0, 0);
    world_want(&w, "none", 0, 0);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
    ck_assert_int_eq(w.verdict.item[1].reason, REASON_MEASUREMENT_REVOKED);
}
END_TEST

/* --- Debug mode --- */

/* The document is a debug-mode enclave's, w->measurement one made for it: by PCR4. */
static void make_debug(struct world *w)
{
    w->production = false;
    mkdoc_fields_debug(&w->fields);
    w->measurement.debug = true;
    w->pcrs = (struct pcr_set){0};
    set_pcr(&w->pcrs, 4, w->fields.pcr[4]);
}

START_TEST(valid_debug_in_development)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_debug(&w);
    world_load(&w);
    expect_granted(&w);
    ck_assert_str_eq(w.verdict.measurement[0], "payments@1.4.2");
}
END_TEST

START_TEST(debug_in_production)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_debug(&w);
    w.production = true;
    world_load(&w);
    expect_debug_refused(&w);
}
END_TEST

START_TEST(debug_without_its_measurement)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    w.production = false;
    mkdoc_fields_debug(&w.fields);
    expect_debug_refused(&w);
}
END_TEST

/* An absent PCR0, 1 or 2 is debug mode too. */
START_TEST(debug_by_an_absent_pcr)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    w.fields.pcr_present &= ~PCR_BIT(2);
    expect_debug_refused(&w);
    w.production = false;
    expect_debug_refused(&w);
}
END_TEST

START_TEST(debug_of_another_instance)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_debug(&w);
    world_load(&w);
    w.fields.pcr[4][0] ^= 1;
    expect_debug_refused(&w);
}
END_TEST

START_TEST(debug_without_a_role)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_debug(&w);
    set_pcr(&w.pcrs, 3, w.fields.pcr[3]); /* zeros on both sides */
    world_load(&w);
    expect_debug_refused(&w);
}
END_TEST

/* A debug measurement is no way around code: production documents do not match it. */
START_TEST(debug_measurement_matches_nothing_else)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_debug(&w);
    world_load(&w);
    mkdoc_fields_defaults(&w.fields, (int64_t)NOW_MS, MODULE, 1);
    expect_refused(&w, REASON_NO_MEASUREMENT);
}
END_TEST

START_TEST(debug_draft)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_debug(&w);
    w.measurement.state = MEASUREMENT_DRAFT;
    world_load(&w);
    expect_refused(&w, REASON_MEASUREMENT_STATE);
}
END_TEST

START_TEST(debug_revoked)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_debug(&w);
    w.measurement.state = MEASUREMENT_REVOKED;
    world_load(&w);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
}
END_TEST

/* It matches a debug measurement, and PCR8 and PCR1 would be the signer's. */
START_TEST(debug_never_through_a_signer)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_debug(&w);
    memcpy(w.fields.pcr[1], ones, sizeof ones);
    make_signer_grant(&w);
    world_load(&w);
    expect_refused(&w, REASON_GRANT_PCR);
}
END_TEST

START_TEST(valid_production_document_in_development)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.production = false;
    world_load(&w);
    expect_granted(&w);
}
END_TEST

/* --- Deprecated builds --- */

START_TEST(valid_deprecated)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_DEPRECATED;
    world_load(&w);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].flags, RECEIPT_FLAG_DEPRECATED);
}
END_TEST

START_TEST(valid_deprecated_and_active)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_DEPRECATED;
    world_load(&w);
    world_put_second(&w, "1.4.2-here", MEASUREMENT_ACTIVE);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].flags, 0);
    ck_assert_uint_eq(w.verdict.item[0].measurement_id, 2);
}
END_TEST

START_TEST(valid_two_deprecated)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_DEPRECATED;
    world_load(&w);
    world_put_second(&w, "1.4.2-here", MEASUREMENT_DEPRECATED);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].flags, RECEIPT_FLAG_DEPRECATED);
    ck_assert_uint_eq(w.verdict.item[0].measurement_id, 1);
}
END_TEST

START_TEST(valid_deprecated_and_signed)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_DEPRECATED;
    world_load(&w);
    make_signer_grant(&w);
    PUT(&w, grant, 2, &w.grant);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].flags, 0);
    ck_assert_uint_eq(w.verdict.item[0].grant_id, 2);
}
END_TEST

/* --- Quotas --- */

static void put_quota(struct world *w, uint64_t quota)
{
    w->grant.quota = quota;
    PUT(w, grant, policy_grant_count(w->policy) + 1, &w->grant);
}

START_TEST(valid_quota)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.grant.quota = 3;
    world_load(&w);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].quota, 3);
}
END_TEST

START_TEST(largest_quota_first)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.grant.quota = 3;
    world_load(&w);
    put_quota(&w, 10);
    put_quota(&w, 5);
    put_quota(&w, 10);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].grant_id, 2);
    ck_assert_uint_eq(w.verdict.item[0].quota, 10);
}
END_TEST

START_TEST(no_quota_before_any)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.grant.quota = 3;
    world_load(&w);
    put_quota(&w, 0);
    put_quota(&w, 10);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].grant_id, 2);
    ck_assert_uint_eq(w.verdict.item[0].quota, 0);
}
END_TEST

/* A grant without a quota that does not match does not come first. */
START_TEST(largest_quota_of_those_that_match)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.grant.quota = 3;
    world_load(&w);
    SET_TEXT(w.grant.region, "us-east-1");
    put_quota(&w, 0);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].grant_id, 1);
    ck_assert_uint_eq(w.verdict.item[0].quota, 3);
}
END_TEST

/* --- What is listed --- */

START_TEST(measurements_sorted_and_distinct)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_image other = {.name = "aaa"};
    world_begin(&w);
    world_load(&w);
    put_second_secret(&w, true);
    PUT(&w, image, 2, &other);
    world_put_second(&w, "1.4.10", MEASUREMENT_ACTIVE);
    set_pcr(&w.pcrs, 8, ones);
    memcpy(w.fields.pcr[8], ones, sizeof ones);
    w.measurement.image_id = 2;
    world_put_measurement(&w, 3);
    w.grant.image_id = 2;
    PUT(&w, grant, 3, &w.grant);
    world_want(&w, "db", 0, 0);
    world_want(&w, "key", 0, 0);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.measurement_count, 3);
    ck_assert_str_eq(w.verdict.measurement[0], "aaa@1.4.10");
    ck_assert_str_eq(w.verdict.measurement[1], "payments@1.4.10");
    ck_assert_str_eq(w.verdict.measurement[2], "payments@1.4.2");
}
END_TEST

/* It matched, but granted nothing. */
START_TEST(measurement_that_granted_nothing)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    world_put_second(&w, "1.4.3", MEASUREMENT_DRAFT);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.measurement_count, 1);
    ck_assert_str_eq(w.verdict.measurement[0], "payments@1.4.2");
}
END_TEST

/* Of 21 the 16 that come first in order, in whatever order they are met. */
START_TEST(measurements_bounded)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    for (unsigned i = 20; i-- > 0;) {
        char version[16];
        snprintf(version, sizeof version, "0.%02u", i);
        SET_TEXT(w.measurement.version, version);
        memset(w.fields.pcr[16 + i % 5], 1 + (int)i % 5, ATTDOC_PCR_LEN);
        w.fields.pcr_present |= PCR_BIT(16 + i % 5);
        w.pcrs = code_of_seed(1);
        for (unsigned bit = 0; bit < 5; bit++) {
            uint8_t value[ATTDOC_PCR_LEN];
            memset(value, 1 + (int)bit, sizeof value);
            if (((i + 1) >> bit & 1) != 0)
                set_pcr(&w.pcrs, 16 + bit, value);
        }
        world_put_measurement(&w, policy_measurement_count(w.policy) + 1);
    }
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.measurement_count, RECEIPT_MEASUREMENTS_MAX);
    for (unsigned i = 0; i < RECEIPT_MEASUREMENTS_MAX; i++) {
        char build[24];
        snprintf(build, sizeof build, "payments@0.%02u", i);
        ck_assert_str_eq(w.verdict.measurement[i], build);
    }
}
END_TEST

/* --- Which reason --- */

/* Of several grants the one that came furthest says why. */
START_TEST(furthest_reason_is_told)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    SET_TEXT(w.grant.region, "us-east-1");
    world_load(&w);
    w.grant.not_after_ms = 1;
    PUT(&w, grant, 2, &w.grant);
    expect_refused(&w, REASON_GRANT_REGION);
}
END_TEST

START_TEST(furthest_reason_before_a_signer)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.state = MEASUREMENT_DRAFT;
    world_load(&w);
    make_signer_grant(&w);
    w.fields.pcr[8][0] ^= 1;
    PUT(&w, grant, 2, &w.grant);
    expect_refused(&w, REASON_MEASUREMENT_STATE);
}
END_TEST

START_TEST(every_reason_has_a_name)
{
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        ck_assert_ptr_nonnull(policy_reason_name((enum policy_reason)i));
        ck_assert_str_ne(policy_reason_name((enum policy_reason)i), "unknown");
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(policy_reason_name((enum policy_reason)i),
                             policy_reason_name((enum policy_reason)j));
    }
    ck_assert_str_eq(policy_reason_name(REASON_GRANTED), "granted");
    ck_assert_str_eq(policy_reason_name(REASON_OVER_QUOTA), "over_quota");
    ck_assert_str_eq(policy_reason_name(REASON_COUNT), "unknown");
}
END_TEST

UNIT_MAIN("policy_verdict", valid_two_secrets, one_of_two_refuses_both, first_refused_item_is_told,
          deny_wins_over_every_item, valid_debug_in_development, debug_in_production,
          debug_without_its_measurement, debug_by_an_absent_pcr, debug_of_another_instance,
          debug_without_a_role, debug_measurement_matches_nothing_else, debug_draft, debug_revoked,
          debug_never_through_a_signer, valid_production_document_in_development, valid_deprecated,
          valid_deprecated_and_active, valid_two_deprecated, valid_deprecated_and_signed,
          valid_quota, largest_quota_first, no_quota_before_any, largest_quota_of_those_that_match,
          measurements_sorted_and_distinct, measurement_that_granted_nothing, measurements_bounded,
          furthest_reason_is_told, furthest_reason_before_a_signer, every_reason_has_a_name)
