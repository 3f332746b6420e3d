/* What explain shows beyond the verdict, which policy_fixture.h compares in every scenario of the
 * policy's tests: which candidates, how far each came, and the measurement that is nearest. */
#include "policy_fixture.h"

static const struct explained_secret *explained(const struct world *w)
{
    return &w->explanation.secret[0];
}

static const char *check_failed(const struct world *w, size_t candidate)
{
    const size_t passed = explained(w)->candidate[candidate].passed;
    return passed < policy_check_count() ? policy_check_name(passed) : "none";
}

/* Another build of the image: PCR0 to PCR2 of another seed, PCR1 as the document has it. */
static void put_near(struct world *w, const char *version, unsigned seed)
{
    w->pcrs = code_of_seed(seed);
    set_pcr(&w->pcrs, 1, w->fields.pcr[1]);
    SET_TEXT(w->measurement.version, version);
    world_put_measurement(w, policy_measurement_count(w->policy) + 1);
}

/* What PCR means what, where the document has `twos`, and where it has none. */
static void expect_meaning(enum attdoc_kind kind, unsigned index, const char *differs,
                           const char *unset)
{
    ck_assert_str_eq(policy_pcr_meaning(kind, index, twos), differs);
    ck_assert_str_eq(policy_pcr_meaning(kind, index, zeros), unset);
    ck_assert_str_eq(policy_pcr_meaning(kind, index, NULL), unset);
}

START_TEST(valid_meanings)
{
    expect_meaning(ATTDOC_ENCLAVE, 0, "another image file", "another image file");
    expect_meaning(ATTDOC_ENCLAVE, 1, "another kernel or boot ramdisk",
                   "another kernel or boot ramdisk");
    expect_meaning(ATTDOC_ENCLAVE, 2, "another application", "another application");
    expect_meaning(ATTDOC_ENCLAVE, 3, "the enclave's parent has another IAM role",
                   "the enclave's parent has no IAM role");
    expect_meaning(ATTDOC_ENCLAVE, 4, "the enclave runs on another parent instance",
                   "the enclave runs on another parent instance");
    expect_meaning(ATTDOC_ENCLAVE, 5, "another value", "another value");
    expect_meaning(ATTDOC_ENCLAVE, 8, "another signer of the image", "the image is not signed");
    for (unsigned i = 16; i < ATTDOC_PCR_COUNT; i++)
        expect_meaning(ATTDOC_ENCLAVE, i, "the enclave's program extended it with something else",
                       "the enclave's program has not extended it");
    expect_meaning(ATTDOC_NITROTPM, 4, "another boot program: another image (AMI)",
                   "another boot program: another image (AMI)");
    /* All that a measurement of either kind can hold has a meaning of its own. */
    for (unsigned i = 0; i < 17; i++)
        ck_assert_str_ne(policy_pcr_meaning(ATTDOC_NITROTPM, i, twos), "another value");
    ck_assert_str_ne(policy_pcr_meaning(ATTDOC_NITROTPM, 12, twos),
                     policy_pcr_meaning(ATTDOC_NITROTPM, 11, twos));
    ck_assert_str_eq(policy_pcr_meaning(ATTDOC_NITROTPM, 17, twos), "another value");
}
END_TEST

START_TEST(every_reason_has_a_sentence)
{
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        const char *sentence = policy_reason_sentence((enum policy_reason)i);
        ck_assert_ptr_nonnull(sentence);
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(sentence, policy_reason_sentence((enum policy_reason)j));
    }
    ck_assert_str_eq(policy_reason_sentence(REASON_COUNT), "unknown");
}
END_TEST

/* Every reason but that of the store's transaction is a check's, and every check has a name. */
START_TEST(every_reason_has_a_check)
{
    bool has[REASON_COUNT] = {[REASON_GRANTED] = true, [REASON_OVER_QUOTA] = true};
    for (size_t i = 0; i < policy_check_count(); i++) {
        has[policy_check_reason(i)] = true;
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(policy_check_name(i), policy_check_name(j));
    }
    for (unsigned i = 0; i < REASON_COUNT; i++)
        ck_assert_msg(has[i], "%s", policy_reason_name((enum policy_reason)i));
}
END_TEST

/* --- Candidates --- */

/* One grant and one measurement: one candidate, and none of those that the walk tries before. */
START_TEST(valid_granted)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    expect_granted(&w);
    ck_assert_uint_eq(explained(&w)->count, 1);
    ck_assert_uint_eq(explained(&w)->candidate[0].grant_id, 1);
    ck_assert_uint_eq(explained(&w)->candidate[0].measurement_id, 1);
    ck_assert_uint_eq(explained(&w)->nearest.measurement_id, 0);
    ck_assert_uint_eq(w.explanation.match_count, 1);
    ck_assert_uint_eq(w.explanation.match[0], 1);
}
END_TEST

/* What the secret itself lacks fails for every grant: it is said once. */
START_TEST(secret_without_a_value)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.secret.current_version = 0;
    world_load(&w);
    PUT(&w, grant, 2, &w.grant);
    expect_refused(&w, REASON_NO_VALUE);
    ck_assert_uint_eq(explained(&w)->count, 1);
    ck_assert_uint_eq(explained(&w)->candidate[0].grant_id, 0);
    ck_assert_str_eq(check_failed(&w, 0), "secret_has_value");
    ck_assert_uint_eq(explained(&w)->nearest.measurement_id, 0);
}
END_TEST

/* The furthest first; a grant that no measurement matches is there by itself. */
START_TEST(valid_candidates)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_image other = {.name = "other"};
    world_begin(&w);
    world_load(&w);
    SET_TEXT(w.grant.region, "us-east-1");
    PUT(&w, grant, 1, &w.grant);
    w.grant.not_after_ms = 1;
    PUT(&w, grant, 2, &w.grant);
    PUT(&w, image, 2, &other);
    w.grant.image_id = 2;
    PUT(&w, grant, 3, &w.grant);
    expect_refused(&w, REASON_GRANT_REGION);
    const struct explained_secret *s = explained(&w);
    ck_assert_uint_eq(s->count, 3);
    ck_assert_uint_eq(s->candidate[0].grant_id, 1);
    ck_assert_uint_eq(s->candidate[0].measurement_id, 1);
    ck_assert_str_eq(check_failed(&w, 0), "region_matches");
    ck_assert_uint_eq(s->candidate[1].grant_id, 2);
    ck_assert_str_eq(check_failed(&w, 1), "grant_in_window");
    ck_assert_uint_eq(s->candidate[2].grant_id, 3);
    ck_assert_uint_eq(s->candidate[2].measurement_id, 0);
    ck_assert_str_eq(check_failed(&w, 2), "image_measured");
    ck_assert_uint_eq(s->candidates, 6); /* each grant, without and with the measurement */
    ck_assert_uint_eq(s->nearest.measurement_id, 0);
}
END_TEST

/* However many grants there are, the one that came furthest is shown. */
START_TEST(many_candidates)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    SET_TEXT(w.grant.region, "us-east-1");
    world_load(&w); /* the oldest: met last */
    w.grant.not_after_ms = 1;
    for (uint64_t id = 2; id <= 2 * EXPLAIN_CANDIDATES_MAX; id++)
        PUT(&w, grant, id, &w.grant);
    expect_refused(&w, REASON_GRANT_REGION);
    ck_assert_uint_eq(explained(&w)->count, EXPLAIN_CANDIDATES_MAX);
    ck_assert_uint_eq(explained(&w)->candidates, 4 * EXPLAIN_CANDIDATES_MAX);
    ck_assert_uint_eq(explained(&w)->candidate[0].grant_id, 1);
    for (size_t i = 1; i < EXPLAIN_CANDIDATES_MAX; i++)
        ck_assert_uint_eq(explained(&w)->candidate[i].grant_id, 2 * EXPLAIN_CANDIDATES_MAX + 1 - i);
}
END_TEST

/* A record keeps no chain: whether a certificate was revoked since, it does not say. */
START_TEST(unknown_chain)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_facts facts;
    size_t check = 0;
    world_begin(&w);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    policy_facts_of(doc, bytes_of("", 0), &facts);
    while (policy_check_reason(check) != REASON_CERTIFICATE_REVOKED)
        check++;
    ck_assert(!policy_check_not_known(&facts, check));
    facts.chain_len = 0;
    ck_assert(policy_check_not_known(&facts, check));
    ck_assert(!policy_check_not_known(&facts, check - 1)); /* the instance is on record */
}
END_TEST

/* From a record that does not say: no match, and told from one that says something else. */
START_TEST(unknown_application)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_facts facts;
    world_begin(&w);
    w.grant.has_application = true;
    w.application = bytes_of_text("tenant-2");
    world_load(&w);
    expect_refused(&w, REASON_GRANT_APPLICATION);
    ck_assert(!explained(&w)->candidate[0].not_known);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    policy_facts_of(doc, bytes_of("", 0), &facts);
    facts.application_known = POLICY_APPLICATION_UNKNOWN; /* though the grant demands none */
    explain_facts(&w, &facts);
    ck_assert_int_eq(explained(&w)->reason, REASON_GRANT_APPLICATION);
    ck_assert(explained(&w)->candidate[0].not_known);
    /* Where no grant asks, it does not matter. */
    w.grant.has_application = false;
    PUT(&w, grant, 1, &w.grant);
    explain_facts(&w, &facts);
    ck_assert_int_eq(w.explanation.code, ERR_OK);
}
END_TEST

/* --- The nearest measurement --- */

static void expect_nearest(const struct world *w, uint64_t id, bool granted, unsigned equal,
                           unsigned different)
{
    const struct explained_nearest *n = &explained(w)->nearest;
    ck_assert_uint_eq(n->measurement_id, id);
    ck_assert_int_eq(n->granted, granted);
    ck_assert_uint_eq(n->equal, equal);
    ck_assert_uint_eq(n->different, different);
}

START_TEST(most_equal_pcrs)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    set_pcr(&w.pcrs, 3, twos); /* another role: three of four */
    world_load(&w);
    put_near(&w, "1.4.3", 3); /* one of three, and newer */
    expect_refused(&w, REASON_NO_MEASUREMENT);
    expect_nearest(&w, 1, true, 3, 1);
    ck_assert_uint_eq(w.explanation.match_count, 0);
    w.pcrs.present &= ~PCR_BIT(3);
}
END_TEST

/* Equally near: fewer that differ, then one that is not revoked, then the newest. */
START_TEST(equally_near)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.pcrs = code_of_seed(9);
    set_pcr(&w.pcrs, 1, w.fields.pcr[1]);
    world_load(&w);
    put_near(&w, "2", 10);
    expect_refused(&w, REASON_NO_MEASUREMENT);
    expect_nearest(&w, 2, true, 1, 2);
    w.measurement.state = MEASUREMENT_REVOKED;
    put_near(&w, "3", 11);
    expect_refused(&w, REASON_NO_MEASUREMENT);
    expect_nearest(&w, 2, true, 1, 2);
    w.measurement.state = MEASUREMENT_ACTIVE;
    w.pcrs = code_of_seed(12);
    set_pcr(&w.pcrs, 1, w.fields.pcr[1]);
    set_pcr(&w.pcrs, 8, twos);
    SET_TEXT(w.measurement.version, "4");
    world_put_measurement(&w, 4);
    expect_refused(&w, REASON_NO_MEASUREMENT);
    expect_nearest(&w, 2, true, 1, 2);
}
END_TEST

/* One of a granted image before one of another, however near; else any. */
START_TEST(nearest_of_granted_images)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_image other = {.name = "other"};
    world_begin(&w);
    w.pcrs = code_of_seed(5); /* nothing in common */
    world_load(&w);
    PUT(&w, image, 2, &other);
    w.measurement.image_id = 2;
    put_near(&w, "1", 6);
    expect_refused(&w, REASON_NO_MEASUREMENT);
    expect_nearest(&w, 1, true, 0, 3);
    w.grant.state = POLICY_REMOVED;
    PUT(&w, grant, 1, &w.grant);
    expect_refused(&w, REASON_NOT_GRANTED);
    expect_nearest(&w, 2, false, 1, 2);
    /* Of a signer's grant there is no image. */
    w.grant.state = POLICY_ACTIVE;
    make_signer_grant(&w);
    memcpy(w.fields.pcr[8], twos, sizeof twos);
    PUT(&w, grant, 2, &w.grant);
    expect_refused(&w, REASON_GRANT_PCR);
    expect_nearest(&w, 2, false, 1, 2);
}
END_TEST

/* Another kind, a debug build or another root are never near. */
START_TEST(nothing_near)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.measurement.root[0] ^= 1;
    world_load(&w);
    expect_refused(&w, REASON_NO_MEASUREMENT);
    expect_nearest(&w, 0, false, 0, 0);
    w.measurement.root[0] ^= 1;
    w.measurement.debug = true;
    w.pcrs = (struct pcr_set){0};
    world_put_second(&w, "2", MEASUREMENT_ACTIVE);
    expect_refused(&w, REASON_NO_MEASUREMENT);
    expect_nearest(&w, 0, false, 0, 0);
    w.measurement.debug = false;
    w.measurement.kind = ATTDOC_NITROTPM;
    w.pcrs = (struct pcr_set){0};
    set_pcr(&w.pcrs, 7, ones);
    world_put_second(&w, "3", MEASUREMENT_ACTIVE);
    expect_refused(&w, REASON_NO_MEASUREMENT);
    expect_nearest(&w, 0, false, 0, 0);
}
END_TEST

/* In debug mode there is no candidate to look at, but there may be a measurement. */
START_TEST(nearest_debug)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    w.production = false;
    world_load(&w);
    w.measurement.debug = true;
    w.pcrs = (struct pcr_set){0};
    set_pcr(&w.pcrs, 3, ones);
    world_put_second(&w, "debug", MEASUREMENT_ACTIVE);
    mkdoc_fields_debug(&w.fields);
    expect_debug_refused(&w);
    ck_assert_uint_eq(w.explanation.nearest.measurement_id, 2);
    ck_assert_uint_eq(w.explanation.nearest.equal, 1);
    ck_assert_uint_eq(w.explanation.nearest.different, 1);
    memcpy(w.fields.pcr[3], ones, sizeof ones);
    expect_granted(&w);
    ck_assert_uint_eq(w.explanation.nearest.measurement_id, 0);
}
END_TEST

/* --- Changes beside the search --- */

#define MANY (2 * EXPLAIN_BUILDS_AT_ONCE + 500)

struct pausing {
    struct world *w;
    unsigned pauses;
};

/* PCR0 to PCR2 of `seed`, and a PCR16 of its own. */
static struct pcr_set build_of(unsigned seed, uint64_t id)
{
    struct pcr_set set = code_of_seed(seed);
    set_pcr(&set, 16, ones);
    memcpy(set.value[16], &id, sizeof id);
    return set;
}

static void change_much(struct world *w)
{
    struct policy_image image = {.name = "other"};
    struct policy_grant grant = w->grant;
    grant.state = POLICY_REMOVED; /* the one that is being searched for */
    PUT(w, grant, 1, &grant);
    grant.state = POLICY_ACTIVE;
    w->measurement.state = MEASUREMENT_REVOKED; /* the one that is compared next */
    w->pcrs = build_of(5, EXPLAIN_BUILDS_AT_ONCE);
    SET_TEXT(w->measurement.version, "1000");
    world_put_measurement(w, EXPLAIN_BUILDS_AT_ONCE);
    w->measurement.state = MEASUREMENT_ACTIVE;
    /* Many images, the last one granted, each with a build that is nearer than all others. */
    for (uint64_t id = 2; id <= 100; id++) {
        snprintf(image.name, sizeof image.name, "other%u", (unsigned)id);
        PUT(w, image, id, &image);
        w->measurement.image_id = id;
        w->pcrs = build_of(1, id);
        world_put_measurement(w, policy_measurement_count(w->policy) + 1);
    }
    grant.secret_id = 2;
    grant.image_id = 100;
    PUT(w, grant, 3, &grant);
}

static void pause(void *context)
{
    struct pausing *p = context;
    if (p->pauses++ == 0)
        change_much(p->w);
}

/* The search lets changes through, and goes on with what was there when it began. */
START_TEST(valid_change_beside_the_search)
{
    CLEANUP(world_free) struct world w = {0};
    struct pausing pausing = {.w = &w};
    struct policy_facts facts;
    world_begin(&w);
    w.pcrs = code_of_seed(5);
    world_load(&w);
    for (uint64_t id = 2; id <= MANY; id++) {
        w.pcrs = build_of(5, id);
        if (id == EXPLAIN_BUILDS_AT_ONCE + 1) /* behind the pause */
            set_pcr(&w.pcrs, 1, w.fields.pcr[1]);
        snprintf(w.measurement.version, sizeof w.measurement.version, "%u", (unsigned)id);
        world_put_measurement(&w, id);
    }
    SET_TEXT(w.secret.name, "second");
    w.secret.current_version = 1;
    PUT(&w, secret, 2, &w.secret);
    w.version[0].secret_id = 2;
    PUT(&w, secret_version, 3, &w.version[0]);
    w.grant.secret_id = 2;
    PUT(&w, grant, 2, &w.grant);
    w.grant.secret_id = 1;
    world_want(&w, "db", 0, 0);
    world_want(&w, "second", 0, 0);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    policy_facts_of(doc, bytes_of("", 0), &facts);
    const struct policy_inquiry inquiry = {.facts = &facts,
                                           .wanted = &w.wanted,
                                           .now_ms = NOW_MS,
                                           .production = true,
                                           .pause = pause,
                                           .pause_context = &pausing};
    ck_ok(policy_explain(w.policy, &inquiry, &w.explanation));
    ck_assert_uint_eq(pausing.pauses, MANY / EXPLAIN_BUILDS_AT_ONCE); /* one search for both */
    ck_assert_uint_eq(policy_image_count(w.policy), 100);
    ck_assert_int_eq(w.explanation.code, ERR_REFUSED);
    for (size_t i = 0; i < 2; i++) {
        const struct explained_secret *s = &w.explanation.secret[i];
        ck_assert_int_eq(s->reason, REASON_NO_MEASUREMENT);
        ck_assert_uint_eq(s->nearest.measurement_id, EXPLAIN_BUILDS_AT_ONCE + 1);
        ck_assert(s->nearest.granted);
        ck_assert_uint_eq(s->nearest.equal, 1);
        ck_assert_uint_eq(s->nearest.different, 3);
    }
}
END_TEST

UNIT_MAIN("policy_explain", valid_meanings, every_reason_has_a_sentence, every_reason_has_a_check,
          valid_granted, secret_without_a_value, valid_candidates, many_candidates, unknown_chain,
          unknown_application, most_equal_pcrs, equally_near, nearest_of_granted_images,
          nothing_near, nearest_debug, valid_change_beside_the_search)
