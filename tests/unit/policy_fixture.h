/* A small policy, a genuine document that it grants something to, and what
 * policy_decide is to say: shared by the tests of verifier/policy.
 *
 * The world as it comes: payments@1.4.2, active, made from the document's PCR0, PCR1
 * and PCR2; the secret `db` with versions 1 and 2 (current); a grant of it to payments.
 * A test changes one thing, and loads. */
#ifndef VOUCHSAFE_POLICY_FIXTURE_H
#define VOUCHSAFE_POLICY_FIXTURE_H

#include <stdio.h>

#include "tests/lib/mkdoc.h"
#include "unit.h"
#include "verifier/policy/explain.h"

#define NOW_MS UINT64_C(1795392000000) /* 2026-11-23T00:00:00Z */
#define MODULE "i-0123456789abcdef0-enc0123456789abcdef"
#define REGION "eu-west-1"

static const uint8_t no_labels[] = {0xa0};
/* Values of PCRs. */
static const uint8_t zeros[ATTDOC_PCR_LEN];
static const uint8_t ones[ATTDOC_PCR_LEN] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                             1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                             1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const uint8_t twos[ATTDOC_PCR_LEN] = {2, 2, 2, 2};

struct world {
    struct mkdoc_chain chain;
    struct attest_trust *trust;
    struct mkdoc_fields fields; /* of the document that is made */
    struct policy *policy;
    struct policy_image image;
    struct policy_measurement measurement;
    struct pcr_set pcrs; /* of `measurement` */
    struct policy_secret secret;
    struct policy_secret_version version[2];
    struct policy_grant grant;
    struct wanted_list wanted;
    struct bytes application;
    bool production;
    struct policy_verdict verdict;
    struct policy_explanation explanation; /* of the same */
    struct fault fault;
};

static inline void world_free(struct world *w)
{
    mkdoc_chain_free(&w->chain);
    attest_trust_free(w->trust);
    policy_free(w->policy);
    policy_measurement_free(&w->measurement);
    policy_grant_free(&w->grant);
}

/* Encodes a row and loads it as `id`. */
#define PUT(w, T, id, row)                                                    \
    do {                                                                      \
        CLEANUP(buf_free) struct buf columns_ = {0};                          \
        ck_ok(policy_##T##_append((row), &columns_));                         \
        ck_ok(policy_##T##_load((w)->policy, (id), bytes_of_buf(&columns_))); \
    } while (0)

/* It cannot be loaded as `id`, and nothing of it is. */
#define REFUSE(w, T, id, row)                                                                      \
    do {                                                                                           \
        CLEANUP(buf_free) struct buf columns_ = {0};                                               \
        const uint64_t count_ = policy_##T##_count((w)->policy);                                   \
        ck_ok(policy_##T##_append((row), &columns_));                                              \
        ck_err(policy_##T##_load((w)->policy, (id), bytes_of_buf(&columns_)), ERR_STORE_TAMPERED); \
        ck_assert_uint_eq(policy_##T##_count((w)->policy), count_);                                \
    } while (0)

static inline void set_pcr(struct pcr_set *set, unsigned index, const uint8_t *value)
{
    ck_assert_uint_lt(index, ATTDOC_PCR_COUNT);
    set->present |= PCR_BIT(index);
    memcpy(set->value[index], value, ATTDOC_PCR_LEN);
}

/* The grant accepts two values of a PCR. */
static inline void set_choices(struct policy_grant *grant, unsigned index, const uint8_t *one,
                               const uint8_t *other)
{
    struct pcr_choices choices = {.count = {0}};
    ck_assert_uint_ge(index, PCR_CHOICES_FIRST);
    choices.count[index - PCR_CHOICES_FIRST] = 2;
    memcpy(choices.value[index - PCR_CHOICES_FIRST][0], one, ATTDOC_PCR_LEN);
    memcpy(choices.value[index - PCR_CHOICES_FIRST][1], other, ATTDOC_PCR_LEN);
    grant->accepted.len = 0;
    ck_ok(pcr_choices_append(&choices, &grant->accepted));
}

/* PCR0, PCR1 and PCR2 of what mkdoc makes from `seed`. */
static inline struct pcr_set code_of_seed(unsigned seed)
{
    struct mkdoc_fields fields;
    struct pcr_set set = {0};
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, seed);
    for (unsigned i = 0; i <= 2; i++)
        set_pcr(&set, i, fields.pcr[i]);
    return set;
}

static inline void set_text(char *out, size_t size, const char *text)
{
    ck_assert_uint_lt(strlen(text), size);
    memcpy(out, text, strlen(text) + 1);
}
#define SET_TEXT(array, text) set_text((array), sizeof(array), (text))

static inline void world_want(struct world *w, const char *name, uint64_t version,
                              uint64_t min_version)
{
    ck_ok(wanted_add(&w->wanted, bytes_of_text(name), version, min_version, NULL));
}

/* Everything but what is in the policy and what is asked for. */
static inline void world_begin(struct world *w)
{
    CLEANUP(buf_free) struct buf pem = {0};
    struct mkdoc_chain_spec spec;
    mkdoc_chain_defaults(&spec, (int64_t)NOW_MS, MODULE, REGION);
    ck_ok(mkdoc_chain_make(&spec, &w->chain));
    ck_ok(mkdoc_root_pem(&w->chain, &pem));
    ck_ok(attest_trust_new(buf_text(&pem), 0, NULL, &w->trust, NULL));
    mkdoc_fields_defaults(&w->fields, (int64_t)NOW_MS, MODULE, 1);
    ck_ok(policy_new(&w->policy));
    w->production = true;
    w->pcrs = code_of_seed(1);
    SET_TEXT(w->image.name, "payments");
    w->measurement.image_id = 1;
    SET_TEXT(w->measurement.version, "1.4.2");
    w->measurement.state = MEASUREMENT_ACTIVE;
    memcpy(w->measurement.root, attest_trust_root_sha256(w->trust), SHA256_LEN);
    ck_ok(buf_append(&w->measurement.labels, bytes_of(no_labels, sizeof no_labels)));
    SET_TEXT(w->secret.name, "db");
    w->secret.current_version = 2;
    w->secret.state = SECRET_USABLE;
    for (uint32_t i = 0; i < 2; i++)
        w->version[i] = (struct policy_secret_version){
            .secret_id = 1, .version = i + 1, .size_bytes = 32, .state = SECRET_USABLE};
    w->grant.secret_id = 1;
    w->grant.image_id = 1;
    w->grant.state = POLICY_ACTIVE;
}

/* Loads w->measurement, with w->pcrs, as `id`. */
static inline void world_put_measurement(struct world *w, uint64_t id)
{
    w->measurement.pcrs.len = 0;
    ck_ok(pcr_set_append(&w->pcrs, &w->measurement.pcrs));
    PUT(w, measurement, id, &w->measurement);
}

/* Another measurement of the same code, told apart by the document's PCR4. */
static inline void world_put_second(struct world *w, const char *version,
                                    enum measurement_state state)
{
    set_pcr(&w->pcrs, 4, w->fields.pcr[4]);
    SET_TEXT(w->measurement.version, version);
    w->measurement.state = state;
    world_put_measurement(w, policy_measurement_count(w->policy) + 1);
}

static inline void world_load(struct world *w)
{
    PUT(w, image, 1, &w->image);
    world_put_measurement(w, 1);
    PUT(w, secret, 1, &w->secret);
    for (uint64_t i = 0; i < 2; i++)
        PUT(w, secret_version, i + 1, &w->version[i]);
    PUT(w, grant, 1, &w->grant);
}

/* Makes the grant one to a signer, whose PCR8 is all ones, and the document that one's. */
static inline void make_signer_grant(struct world *w)
{
    w->grant.image_id = 0;
    set_pcr(&w->grant.pcr, 8, ones);
    set_pcr(&w->grant.pcr, 1, w->fields.pcr[1]);
    memcpy(w->fields.pcr[8], ones, sizeof ones);
}

/* The document as w->fields say, verified. */
static inline struct verified_doc *world_document(struct world *w)
{
    CLEANUP(buf_free) struct buf document = {0};
    struct verified_doc *doc = NULL;
    struct fault fault = FAULT_NONE;
    ck_ok(mkdoc_document(&w->fields, &w->chain, &document));
    const enum attdoc_kind kind = w->fields.nitrotpm ? ATTDOC_NITROTPM : ATTDOC_ENCLAVE;
    const enum err err =
        attest_verify(w->trust, bytes_of_buf(&document), kind, (int64_t)NOW_MS, &doc, NULL, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s", err_wire(err), fault.detail);
    return doc;
}

/* The explanation says what the decision says, of every scenario that a test of the policy
 * makes: the same verdict, the same reasons, by the same grants and measurements. */
static inline void expect_explained(const struct world *w, enum err decided)
{
    const struct policy_explanation *e = &w->explanation;
    if (decided == ERR_DEBUG) {
        ck_assert_int_eq(e->code, ERR_DEBUG);
        ck_assert_str_eq(e->detail, w->fault.detail);
        ck_assert_uint_eq(e->count, 0);
        return;
    }
    ck_assert_int_eq(e->code, w->verdict.granted ? ERR_OK : ERR_REFUSED);
    ck_assert_uint_eq(e->count, w->verdict.count);
    for (size_t i = 0; i < e->count; i++) {
        const struct policy_item *item = &w->verdict.item[i];
        const struct explained_secret *s = &e->secret[i];
        ck_assert_int_eq(s->reason, item->reason);
        ck_assert_uint_eq(s->secret_id, item->secret_id);
        ck_assert_uint_eq(s->version, item->version);
        ck_assert_uint_eq(s->flags, item->flags);
        ck_assert_uint_eq(s->grant_id, item->grant_id);
        ck_assert_uint_eq(s->quota, item->quota);
        ck_assert_uint_eq(s->measurement_id, item->measurement_id);
        /* The candidate that came furthest is shown, and it is the one that says why. */
        ck_assert_uint_ge(s->count, 1);
        const size_t passed = s->candidate[0].passed;
        ck_assert_int_eq(s->reason, passed < policy_check_count() ? policy_check_reason(passed)
                                                                  : REASON_GRANTED);
        for (size_t n = 1; n < s->count; n++)
            ck_assert_uint_le(s->candidate[n].passed, s->candidate[n - 1].passed);
    }
}

static inline void explain_facts(struct world *w, const struct policy_facts *facts)
{
    const struct policy_inquiry inquiry = {
        .facts = facts, .wanted = &w->wanted, .now_ms = NOW_MS, .production = w->production};
    ck_ok(policy_explain(w->policy, &inquiry, &w->explanation));
}

static inline void world_explain(struct world *w, const struct verified_doc *doc, enum err decided)
{
    uint8_t hash[SHA256_LEN];
    struct policy_facts facts;
    policy_facts_of(doc, w->application, &facts);
    explain_facts(w, &facts);
    expect_explained(w, decided);
    /* And as a record keeps it. */
    ck_ok(digest_sha256(w->application, hash));
    facts.application_known = POLICY_APPLICATION_SHA256;
    facts.application = bytes_of(hash, sizeof hash);
    explain_facts(w, &facts);
    expect_explained(w, decided);
}

static inline enum err world_decide(struct world *w)
{
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(w);
    if (w->wanted.count == 0)
        world_want(w, "db", 0, 0);
    const struct policy_question question = {
        .doc = doc,
        .wanted = &w->wanted,
        .application = w->application,
        .now_ms = NOW_MS,
        .production = w->production,
    };
    w->fault = (struct fault)FAULT_NONE;
    const enum err err = policy_decide(w->policy, &question, &w->verdict, &w->fault);
    world_explain(w, doc, err);
    return err;
}

static inline void expect_granted(struct world *w)
{
    ck_ok(world_decide(w));
    ck_assert_msg(w->verdict.granted, "refused: %s", policy_reason_name(w->verdict.reason));
    ck_assert_int_eq(w->verdict.reason, REASON_GRANTED);
    ck_assert_uint_eq(w->verdict.count, w->wanted.count);
    for (size_t i = 0; i < w->verdict.count; i++)
        ck_assert_int_eq(w->verdict.item[i].reason, REASON_GRANTED);
}

/* For this reason and no other, and nothing is said to have been granted. */
static inline void expect_refused(struct world *w, enum policy_reason reason)
{
    ck_ok(world_decide(w));
    ck_assert(!w->verdict.granted);
    ck_assert_msg(w->verdict.reason == reason, "got %s, expected %s",
                  policy_reason_name(w->verdict.reason), policy_reason_name(reason));
    ck_assert_int_eq(w->verdict.item[w->verdict.refused_item].reason, reason);
    ck_assert_uint_eq(w->verdict.measurement_count, 0);
}

static inline void expect_debug_refused(struct world *w)
{
    w->verdict.count = 99; /* results are written only on success */
    ck_err(world_decide(w), ERR_DEBUG);
    ck_assert_uint_eq(w->verdict.count, 99);
    ck_assert_int_eq(w->fault.code, ERR_DEBUG);
    ck_assert_str_eq(w->fault.field, "pcrs");
    ck_assert_str_ne(w->fault.detail, "");
}

#endif
