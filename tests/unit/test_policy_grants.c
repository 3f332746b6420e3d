/* V5, the grant: each thing that it can be narrowed by has a test that breaks exactly it. */
#include "policy_fixture.h"

/* --- What a grant is narrowed by --- */

static void grant_window(uint64_t not_before_ms, uint64_t not_after_ms, bool inside)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.grant.not_before_ms = not_before_ms;
    w.grant.not_after_ms = not_after_ms;
    world_load(&w);
    if (inside)
        expect_granted(&w);
    else
        expect_refused(&w, REASON_GRANT_WINDOW);
}

START_TEST(grant_window_edges)
{
    grant_window(NOW_MS, POLICY_NO_TIME, true);
    grant_window(NOW_MS + 1, POLICY_NO_TIME, false);
    grant_window(POLICY_NO_TIME, NOW_MS, true);
    grant_window(POLICY_NO_TIME, NOW_MS - 1, false);
    grant_window(NOW_MS, NOW_MS, true);
}
END_TEST

START_TEST(wrong_build)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    PUT(&w, image, 1, &w.image);
    world_put_measurement(&w, 1);
    w.pcrs = code_of_seed(2);
    SET_TEXT(w.measurement.version, "1.4.3");
    world_put_measurement(&w, 2);
    PUT(&w, secret, 1, &w.secret);
    PUT(&w, secret_version, 1, &w.version[0]);
    PUT(&w, secret_version, 2, &w.version[1]);
    w.grant.measurement_id = 2;
    PUT(&w, grant, 1, &w.grant);
    expect_refused(&w, REASON_GRANT_BUILD);
    mkdoc_fields_defaults(&w.fields, (int64_t)NOW_MS, MODULE, 2);
    expect_granted(&w);
    ck_assert_str_eq(w.verdict.measurement[0], "payments@1.4.3");
}
END_TEST

/* The role (PCR3) and the instance (PCR4). */
static const unsigned grant_pcr[] = {3, 4};

static void valid_grant_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    memcpy(w.fields.pcr[grant_pcr[n]], ones, sizeof ones);
    set_pcr(&w.grant.pcr, grant_pcr[n], ones);
    world_load(&w);
    expect_granted(&w);
}

START_TEST(valid_grant_pcr)
{
    for (size_t n = 0; n < ARRAY_LEN(grant_pcr); n++)
        valid_grant_pcr_at(n);
}
END_TEST

static void wrong_grant_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    memcpy(w.fields.pcr[grant_pcr[n]], twos, sizeof twos);
    set_pcr(&w.grant.pcr, grant_pcr[n], ones);
    world_load(&w);
    expect_refused(&w, REASON_GRANT_PCR);
}

START_TEST(wrong_grant_pcr)
{
    for (size_t n = 0; n < ARRAY_LEN(grant_pcr); n++)
        wrong_grant_pcr_at(n);
}
END_TEST

static void absent_grant_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.fields.pcr_present &= ~PCR_BIT(grant_pcr[n]);
    set_pcr(&w.grant.pcr, grant_pcr[n], ones);
    world_load(&w);
    expect_refused(&w, REASON_GRANT_PCR);
}

START_TEST(absent_grant_pcr)
{
    for (size_t n = 0; n < ARRAY_LEN(grant_pcr); n++)
        absent_grant_pcr_at(n);
}
END_TEST

static void zero_grant_pcr_at(size_t n)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    memcpy(w.fields.pcr[grant_pcr[n]], zeros, sizeof zeros);
    set_pcr(&w.grant.pcr, grant_pcr[n], zeros);
    world_load(&w);
    expect_refused(&w, REASON_GRANT_PCR);
}

START_TEST(zero_grant_pcr)
{
    for (size_t n = 0; n < ARRAY_LEN(grant_pcr); n++)
        zero_grant_pcr_at(n);
}
END_TEST

START_TEST(valid_region)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    SET_TEXT(w.grant.region, REGION);
    world_load(&w);
    expect_granted(&w);
}
END_TEST

static void wrong_region_at(size_t n)
{
    static const char *const regions[] = {"eu-west-10", "eu-west-", "us-east-1"};
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    SET_TEXT(w.grant.region, regions[n]);
    world_load(&w);
    expect_refused(&w, REASON_GRANT_REGION);
}

START_TEST(wrong_region)
{
    for (size_t n = 0; n < 3; n++)
        wrong_region_at(n);
}
END_TEST

static void application(const char *granted, const char *sent, bool equal)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.grant.has_application = true;
    ck_ok(buf_append_text(&w.grant.application, granted));
    w.application = bytes_of_text(sent);
    world_load(&w);
    if (equal)
        expect_granted(&w);
    else
        expect_refused(&w, REASON_GRANT_APPLICATION);
}

START_TEST(application_bytes_exactly)
{
    application("tenant-1", "tenant-1", true);
    application("tenant-1", "tenant-12", false);
    application("tenant-1", "tenant-", false);
    application("tenant-1", "", false);
    application("", "", true);
    application("", "x", false);
}
END_TEST

START_TEST(valid_any_application)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.application = bytes_of_text("whatever");
    world_load(&w);
    expect_granted(&w);
}
END_TEST

/* Of three versions the grant names one older; the other older one is not granted by it. */
static void named_version(uint64_t asked, enum policy_reason reason)
{
    CLEANUP(world_free) struct world w = {0};
    const struct policy_secret_version third = {
        .secret_id = 1, .version = 3, .size_bytes = 32, .state = SECRET_USABLE};
    world_begin(&w);
    w.secret.current_version = 3;
    w.grant.version_count = 1;
    w.grant.version[0] = 1;
    world_load(&w);
    PUT(&w, secret_version, 3, &third);
    world_want(&w, "db", asked, 0);
    if (reason == REASON_GRANTED)
        expect_granted(&w);
    else
        expect_refused(&w, reason);
}

START_TEST(wrong_version)
{
    named_version(1, REASON_GRANTED);
    named_version(2, REASON_VERSION_NOT_GRANTED);
    named_version(3, REASON_GRANTED);
}
END_TEST

/* --- Signers --- */

START_TEST(valid_signer)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    w.pcrs = code_of_seed(2); /* no measurement of this build is needed */
    world_load(&w);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.item[0].measurement_id, 0);
    ck_assert_uint_eq(w.verdict.measurement_count, 0);
}
END_TEST

START_TEST(wrong_signer)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    world_load(&w);
    memcpy(w.fields.pcr[8], twos, sizeof twos);
    expect_refused(&w, REASON_GRANT_PCR);
}
END_TEST

START_TEST(wrong_signer_kernel)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    world_load(&w);
    memcpy(w.fields.pcr[1], twos, sizeof twos);
    expect_refused(&w, REASON_GRANT_PCR);
}
END_TEST

START_TEST(absent_signer)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    world_load(&w);
    w.fields.pcr_present &= ~PCR_BIT(8);
    expect_refused(&w, REASON_GRANT_PCR);
}
END_TEST

START_TEST(zero_signer)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    memcpy(w.grant.pcr.value[8], zeros, sizeof zeros);
    memcpy(w.fields.pcr[8], zeros, sizeof zeros);
    world_load(&w);
    expect_refused(&w, REASON_GRANT_PCR);
}
END_TEST

START_TEST(signer_of_another_kind)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    w.fields.nitrotpm = true;
    world_load(&w);
    expect_refused(&w, REASON_GRANT_PCR);
}
END_TEST

START_TEST(signer_narrowed_to_a_role)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    set_pcr(&w.grant.pcr, 3, ones);
    world_load(&w);
    expect_refused(&w, REASON_GRANT_PCR);
    memcpy(w.fields.pcr[3], ones, sizeof ones);
    expect_granted(&w);
}
END_TEST

/* --- Signers whose builds must be registered --- */

static void begin_registered(struct world *w, enum measurement_state state)
{
    world_begin(w);
    make_signer_grant(w);
    w->grant.registered = true;
    w->measurement.state = state;
}

START_TEST(valid_registered)
{
    static const enum measurement_state states[] = {MEASUREMENT_ACTIVE, MEASUREMENT_DEPRECATED};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        CLEANUP(world_free) struct world w = {0};
        begin_registered(&w, states[i]);
        world_load(&w);
        expect_granted(&w);
        ck_assert_uint_eq(w.verdict.item[0].measurement_id, 1);
        ck_assert_uint_eq(w.verdict.item[0].flags,
                          states[i] == MEASUREMENT_DEPRECATED ? RECEIPT_FLAG_DEPRECATED : 0);
        ck_assert_str_eq(w.verdict.measurement[0], "payments@1.4.2");
    }
}
END_TEST

START_TEST(no_registered)
{
    CLEANUP(world_free) struct world w = {0};
    begin_registered(&w, MEASUREMENT_ACTIVE);
    w.pcrs = code_of_seed(2); /* another build */
    world_load(&w);
    expect_refused(&w, REASON_GRANT_REGISTERED);
}
END_TEST

static void wrong_registered_state(enum measurement_state state, enum policy_reason reason)
{
    CLEANUP(world_free) struct world w = {0};
    begin_registered(&w, state);
    world_load(&w);
    expect_refused(&w, reason);
}

START_TEST(wrong_registered)
{
    wrong_registered_state(MEASUREMENT_DRAFT, REASON_MEASUREMENT_STATE);
    wrong_registered_state(MEASUREMENT_REVOKED, REASON_MEASUREMENT_REVOKED);
    wrong_registered_state(MEASUREMENT_DISCARDED, REASON_GRANT_REGISTERED);
}
END_TEST

START_TEST(wrong_registered_window)
{
    CLEANUP(world_free) struct world w = {0};
    begin_registered(&w, MEASUREMENT_ACTIVE);
    w.measurement.not_after_ms = NOW_MS - 1;
    world_load(&w);
    expect_refused(&w, REASON_MEASUREMENT_WINDOW);
}
END_TEST

/* Being registered does not stand in for the signature. */
START_TEST(wrong_registered_signer)
{
    CLEANUP(world_free) struct world w = {0};
    begin_registered(&w, MEASUREMENT_ACTIVE);
    world_load(&w);
    memcpy(w.fields.pcr[8], twos, sizeof twos);
    expect_refused(&w, REASON_GRANT_PCR);
}
END_TEST

static void registered_image(uint64_t image_id, bool granted)
{
    CLEANUP(world_free) struct world w = {0};
    const struct policy_image other = {.name = "other"};
    begin_registered(&w, MEASUREMENT_ACTIVE);
    PUT(&w, image, 1, &w.image);
    PUT(&w, image, 2, &other);
    w.grant.registered_image_id = image_id;
    world_put_measurement(&w, 1);
    PUT(&w, secret, 1, &w.secret);
    for (uint64_t i = 0; i < 2; i++)
        PUT(&w, secret_version, i + 1, &w.version[i]);
    PUT(&w, grant, 1, &w.grant);
    if (granted)
        expect_granted(&w);
    else
        expect_refused(&w, REASON_GRANT_REGISTERED);
}

START_TEST(wrong_registered_image)
{
    registered_image(0, true);
    registered_image(1, true);
    registered_image(2, false);
}
END_TEST

/* Whose build must be registered says so; and only a signer's grant can. */
START_TEST(wrong_registered_row)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_grant grant = {.secret_id = 1, .state = POLICY_ACTIVE};
    set_pcr(&grant.pcr, 8, ones);
    set_pcr(&grant.pcr, 1, ones);
    ck_ok(policy_grant_append(&grant, &columns));
    grant.registered_image_id = 1;
    ck_err(policy_grant_append(&grant, &columns), ERR_INTERNAL);
    grant.registered = true;
    ck_ok(policy_grant_append(&grant, &columns));
    grant.pcr.present = 0;
    grant.image_id = 1;
    ck_err(policy_grant_append(&grant, &columns), ERR_INTERNAL);
    grant.registered = false;
    ck_err(policy_grant_append(&grant, &columns), ERR_INTERNAL);
    grant.registered_image_id = 0;
    ck_ok(policy_grant_append(&grant, &columns));
}
END_TEST

/* --- What the enclave extends by itself --- */

static void accepted(unsigned index, const uint8_t *found, bool granted)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    set_choices(&w.grant, index, ones, twos);
    w.fields.pcr_present &= ~PCR_BIT(index);
    if (found != NULL) {
        memcpy(w.fields.pcr[index], found, ATTDOC_PCR_LEN);
        w.fields.pcr_present |= PCR_BIT(index);
    }
    world_load(&w);
    if (granted)
        expect_granted(&w);
    else
        expect_refused(&w, REASON_GRANT_ACCEPTED);
}

START_TEST(accepted_values)
{
    static const uint8_t threes[ATTDOC_PCR_LEN] = {3};
    static const unsigned index[] = {16, 31};
    for (size_t i = 0; i < ARRAY_LEN(index); i++) {
        accepted(index[i], ones, true);
        accepted(index[i], twos, true);
        accepted(index[i], threes, false);
        accepted(index[i], zeros, false);
        accepted(index[i], NULL, false);
    }
}
END_TEST

/* Each PCR that is named must have one of its own values. */
START_TEST(accepted_of_two_pcrs)
{
    CLEANUP(world_free) struct world w = {0};
    struct pcr_choices choices = {.count = {1, 1}};
    world_begin(&w);
    memcpy(choices.value[0][0], ones, sizeof ones);
    memcpy(choices.value[1][0], twos, sizeof twos);
    ck_ok(pcr_choices_append(&choices, &w.grant.accepted));
    memcpy(w.fields.pcr[16], ones, sizeof ones);
    memcpy(w.fields.pcr[17], twos, sizeof twos);
    w.fields.pcr_present |= PCR_BIT(16) | PCR_BIT(17);
    world_load(&w);
    expect_granted(&w);
    memcpy(w.fields.pcr[17], ones, sizeof ones);
    expect_refused(&w, REASON_GRANT_ACCEPTED);
    memcpy(w.fields.pcr[17], twos, sizeof twos);
    memcpy(w.fields.pcr[16], twos, sizeof twos);
    expect_refused(&w, REASON_GRANT_ACCEPTED);
}
END_TEST

/* A TPM's PCR16 is a debugger's. */
START_TEST(accepted_of_another_kind)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    set_choices(&w.grant, 16, ones, twos);
    w.fields.nitrotpm = true;
    memcpy(w.fields.pcr[7], ones, sizeof ones);
    memcpy(w.fields.pcr[16], ones, sizeof ones);
    w.fields.pcr_present |= PCR_BIT(16);
    w.measurement.kind = ATTDOC_NITROTPM;
    w.pcrs = (struct pcr_set){0};
    set_pcr(&w.pcrs, 4, w.fields.pcr[4]);
    set_pcr(&w.pcrs, 7, ones);
    world_load(&w);
    expect_refused(&w, REASON_GRANT_ACCEPTED);
}
END_TEST

UNIT_MAIN("policy_grants", grant_window_edges, wrong_build, valid_grant_pcr, wrong_grant_pcr,
          absent_grant_pcr, zero_grant_pcr, valid_region, wrong_region, application_bytes_exactly,
          valid_any_application, wrong_version, valid_signer, wrong_signer, wrong_signer_kernel,
          absent_signer, zero_signer, signer_of_another_kind, signer_narrowed_to_a_role,
          valid_registered, no_registered, wrong_registered, wrong_registered_window,
          wrong_registered_signer, wrong_registered_image, wrong_registered_row, accepted_values,
          accepted_of_two_pcrs, accepted_of_another_kind)
