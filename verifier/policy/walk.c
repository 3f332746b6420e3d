/* Every candidate in turn, and the verdict on them all: a decision for a release, and the same
 * for whoever wants to look on (explain.c). */
#include "walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explain.h"
#include "snapshot.h"

/* The measurements that match the document, whatever their state. */
struct matches {
    size_t count;
    size_t room;
    uint64_t *id;
    bool revoked; /* one of them */
    /* Of the document itself. */
    bool instance_revoked;
    bool certificate_revoked;
};

/* --- The verdict on one secret --- */

struct outcome {
    const struct policy_observer *observer; /* NULL: nobody looks on */
    size_t number;                          /* of the secret in the request */
    size_t reached;                         /* the furthest check that any candidate came to */
    bool only_deprecated;                   /* of those that passed all */
    struct policy_item item;
};

/* A grant without a quota before any with one, then the largest; a build that is not
 * deprecated; else the older row, so that equal policies decide equally. */
static bool is_better(const struct candidate *c, const struct policy_item *than, bool deprecated)
{
    if (than->reason != REASON_GRANTED)
        return true;
    if (c->grant->quota != than->quota)
        return c->grant->quota == 0 || (than->quota != 0 && c->grant->quota > than->quota);
    const bool than_deprecated = (than->flags & RECEIPT_FLAG_DEPRECATED) != 0;
    if (deprecated != than_deprecated)
        return than_deprecated;
    if (c->grant_id != than->grant_id)
        return c->grant_id < than->grant_id;
    return c->measurement_id < than->measurement_id;
}

static void note_granted(const struct candidate *c, struct outcome *outcome)
{
    const bool deprecated =
        c->measurement != NULL && c->measurement->state == MEASUREMENT_DEPRECATED;
    const bool first = outcome->item.reason != REASON_GRANTED;
    outcome->only_deprecated = deprecated && (first || outcome->only_deprecated);
    if (!is_better(c, &outcome->item, deprecated))
        return;
    outcome->item.reason = REASON_GRANTED;
    outcome->item.grant_id = c->grant_id;
    outcome->item.quota = c->grant->quota;
    outcome->item.measurement_id = c->measurement_id;
    outcome->item.flags = deprecated ? RECEIPT_FLAG_DEPRECATED : 0;
}

/* Sorted, each once; where there is no room the last ones in order are left out. */
static void note_measurement(const struct policy *policy, const struct policy_measurement *m,
                             struct policy_verdict *verdict)
{
    char build[PROTOCOL_BUILD_MAX + 1];
    snprintf(build, sizeof build, "%s@%s", policy_image_get(policy, m->image_id)->name, m->version);
    size_t at = 0;
    while (at < verdict->measurement_count && strcmp(verdict->measurement[at], build) < 0)
        at++;
    if (at == RECEIPT_MEASUREMENTS_MAX ||
        (at < verdict->measurement_count && strcmp(verdict->measurement[at], build) == 0))
        return;
    if (verdict->measurement_count < RECEIPT_MEASUREMENTS_MAX)
        verdict->measurement_count++;
    for (size_t i = verdict->measurement_count - 1; i > at; i--)
        memcpy(verdict->measurement[i], verdict->measurement[i - 1], sizeof build);
    memcpy(verdict->measurement[at], build, sizeof build);
}

static void consider(const struct policy *policy, const struct candidate *c,
                     struct outcome *outcome, struct policy_verdict *verdict)
{
    const size_t reached = candidate_check(c);
    if (outcome->observer != NULL)
        outcome->observer->observe(outcome->observer->context, outcome->number, c->grant_id,
                                   c->measurement_id, reached);
    if (reached > outcome->reached)
        outcome->reached = reached;
    if (reached < policy_check_count())
        return;
    note_granted(c, outcome);
    if (c->measurement != NULL)
        note_measurement(policy, c->measurement, verdict);
}

/* Every candidate of one grant: without a measurement, and with each that matches. */
static void consider_grant(const struct policy *policy, const struct candidate *base,
                           const struct matches *matches, struct outcome *outcome,
                           struct policy_verdict *verdict)
{
    struct candidate c = *base;
    consider(policy, &c, outcome, verdict);
    for (size_t i = 0; i < matches->count && candidate_needs_measurement(c.grant); i++) {
        c.measurement_id = matches->id[i];
        c.measurement = policy_measurement_get(policy, c.measurement_id);
        consider(policy, &c, outcome, verdict);
    }
}

static struct candidate first_candidate(const struct policy *policy, const struct policy_walk *walk,
                                        const struct matches *matches, const struct wanted *wanted)
{
    struct candidate c = {
        .facts = walk->facts,
        .now_ms = walk->now_ms,
        .instance_revoked = matches->instance_revoked,
        .certificate_revoked = matches->certificate_revoked,
        .revoked = matches->revoked,
        .wanted = wanted,
        .secret_id = policy_find_secret(policy, wanted->name),
        .version = wanted->version,
    };
    c.secret = policy_secret_get(policy, c.secret_id);
    if (c.secret == NULL)
        return c;
    if (c.version == 0)
        c.version = c.secret->current_version;
    c.value = policy_secret_version_get(policy,
                                        policy_find_secret_version(policy, c.secret_id, c.version));
    return c;
}

static enum err decide_item(const struct policy *policy, const struct policy_walk *walk,
                            const struct matches *matches, size_t number,
                            struct policy_verdict *verdict)
{
    enum err trouble = ERR_OK;
    struct candidate c = first_candidate(policy, walk, matches, &walk->wanted->item[number]);
    c.trouble = &trouble;
    struct outcome outcome = {
        .observer = walk->observer,
        .number = number,
        .item = {.secret_id = c.secret_id, .version = c.version, .reason = REASON_COUNT},
    };
    consider(policy, &c, &outcome, verdict);
    c.grant_id = policy_first_grant(policy, c.secret_id);
    while ((c.grant = policy_grant_get(policy, c.grant_id)) != NULL) {
        if (c.grant->state == POLICY_ACTIVE)
            consider_grant(policy, &c, matches, &outcome, verdict);
        c.grant_id = policy_next_grant(policy, c.grant_id);
    }
    if (outcome.item.reason != REASON_GRANTED)
        outcome.item.reason = policy_check_reason(outcome.reached);
    else
        outcome.item.flags = outcome.only_deprecated ? RECEIPT_FLAG_DEPRECATED : 0;
    verdict->item[number] = outcome.item;
    return trouble;
}

/* --- The verdict on the request --- */

static void matches_free(struct matches *matches)
{
    free(matches->id);
}

static enum err matches_add(struct matches *matches, uint64_t id)
{
    if (matches->count == matches->room) {
        const size_t room = matches->room == 0 ? 8 : 2 * matches->room;
        uint64_t *more = realloc(matches->id, room * sizeof *more);
        if (more == NULL)
            return ERR_NO_MEMORY;
        matches->id = more;
        matches->room = room;
    }
    matches->id[matches->count++] = id;
    return ERR_OK;
}

static enum err look_at(const struct policy *policy, const struct policy_walk *walk, uint64_t id,
                        struct matches *out)
{
    const struct policy_measurement *m = policy_measurement_get(policy, id);
    if (!policy_measurement_matches(m, walk->facts))
        return ERR_OK;
    TRY(matches_add(out, id));
    if (m->state == MEASUREMENT_REVOKED)
        out->revoked = true;
    if (walk->observer != NULL)
        walk->observer->match(walk->observer->context, id);
    return ERR_OK;
}

static enum err find_matches(const struct policy *policy, const struct policy_walk *walk,
                             struct matches *out)
{
    size_t position;
    uint64_t id;
    out->instance_revoked = policy_revoked_instance(policy, walk->facts) != NULL;
    out->certificate_revoked = policy_revoked_certificate(policy, walk->facts, &position) != NULL;
    for (id = policy_first_of_code(policy, walk->facts); id != 0;
         id = policy_next_of_code(policy, id))
        TRY(look_at(policy, walk, id, out));
    id = policy_first_draft_of_code(policy, walk->facts);
    for (unsigned i = 0; i < POLICY_DRAFTS_MAX && id != 0; i++) {
        TRY(look_at(policy, walk, id, out));
        id = policy_next_of_code(policy, id);
    }
    return ERR_OK;
}

static enum err decide_all(const struct policy *policy, const struct policy_walk *walk,
                           const struct matches *matches, struct policy_verdict *verdict)
{
    verdict->count = walk->wanted->count;
    verdict->granted = verdict->count > 0;
    verdict->reason = verdict->granted ? REASON_GRANTED : REASON_NOT_GRANTED;
    for (size_t i = 0; i < verdict->count; i++) {
        const struct policy_item *item = &verdict->item[i];
        TRY(decide_item(policy, walk, matches, i, verdict));
        if (item->reason == REASON_GRANTED || !verdict->granted)
            continue;
        verdict->granted = false;
        verdict->reason = item->reason;
        verdict->refused_item = i;
    }
    if (!verdict->granted)
        verdict->measurement_count = 0;
    return ERR_OK;
}

enum err policy_walk(const struct policy *policy, const struct policy_walk *walk,
                     struct policy_verdict *out, struct fault *fault)
{
    CLEANUP(matches_free) struct matches matches = {0};
    struct policy_verdict verdict = {0};
    if (walk->facts->debug && walk->production) /* DEBUG-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "pcrs"), ERR_DEBUG,
             "a debug-mode enclave gets nothing from a production store");
    TRY(find_matches(policy, walk, &matches));
    if (walk->facts->debug && matches.count == 0) /* DEBUG-2 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "pcrs"), ERR_DEBUG,
             "a debug-mode enclave, and no measurement made with --debug matches it");
    TRY(decide_all(policy, walk, &matches, &verdict));
    *out = verdict;
    return ERR_OK;
}

enum err policy_decide(const struct policy *policy, const struct policy_question *question,
                       struct policy_verdict *out, struct fault *fault)
{
    struct policy_facts facts;
    policy_facts_of(question->doc, question->application, &facts);
    const struct policy_walk walk = {
        .facts = &facts,
        .wanted = question->wanted,
        .now_ms = question->now_ms,
        .production = question->production,
    };
    return policy_walk(policy, &walk, out, fault);
}
