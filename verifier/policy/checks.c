/* V5: is this released to that document?  One row per check, one candidate after the
 * other: what `explain` shows are these same rows. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "snapshot.h"

const char *policy_reason_name(enum policy_reason reason)
{
    static const char *const names[] = {
        [REASON_GRANTED] = "granted",
        [REASON_MEASUREMENT_REVOKED] = "measurement_revoked",
        [REASON_UNKNOWN_SECRET] = "unknown_secret",
        [REASON_SECRET_DESTROYED] = "secret_destroyed",
        [REASON_NO_VALUE] = "no_value",
        [REASON_VERSION_UNKNOWN] = "version_unknown",
        [REASON_VERSION_NOT_GRANTED] = "version_not_granted",
        [REASON_BELOW_MINIMUM] = "below_minimum",
        [REASON_NOT_GRANTED] = "not_granted",
        [REASON_NO_MEASUREMENT] = "no_measurement",
        [REASON_MEASUREMENT_STATE] = "measurement_state",
        [REASON_MEASUREMENT_WINDOW] = "measurement_window",
        [REASON_GRANT_WINDOW] = "grant_window",
        [REASON_GRANT_BUILD] = "grant_build",
        [REASON_GRANT_PCR] = "grant_pcr",
        [REASON_GRANT_REGION] = "grant_region",
        [REASON_GRANT_APPLICATION] = "grant_application",
        [REASON_OVER_QUOTA] = "over_quota",
    };
    _Static_assert(ARRAY_LEN(names) == REASON_COUNT, "every reason has a name");
    return (unsigned)reason < REASON_COUNT ? names[reason] : "unknown";
}

/* The measurements that match the document, whatever their state. */
struct matches {
    size_t count;
    size_t room;
    uint64_t *id;
    bool revoked; /* one of them */
};

/* One way in which one secret might be released: through this grant, for this
 * measurement.  Either may be NULL: then the check that needs it refuses. */
struct candidate {
    const struct policy_question *question;
    const struct attdoc *doc;
    bool revoked;
    const struct wanted *wanted;
    const struct policy_secret *secret;
    uint64_t secret_id;
    uint32_t version; /* asked for, or the current one */
    const struct policy_secret_version *value;
    const struct policy_grant *grant;
    uint64_t grant_id;
    const struct policy_measurement *measurement;
    uint64_t measurement_id;
};

/* --- The checks --- */

static bool is_signer_grant(const struct policy_grant *grant)
{
    return grant->image_id == 0;
}

/* Both ends are inside. */
static bool within(uint64_t now_ms, uint64_t not_before_ms, uint64_t not_after_ms)
{
    return now_ms >= not_before_ms && (not_after_ms == POLICY_NO_TIME || now_ms <= not_after_ms);
}

/* Absent never matches; zeros are an unset role, instance or signer, and nobody's.  In
 * a NitroTPM document these numbers mean other things. */
static bool has_required_pcrs(const struct candidate *c, uint32_t which)
{
    const struct pcr_set *required = &c->grant->pcr;
    if ((required->present & which) != 0 && c->doc->kind != ATTDOC_ENCLAVE)
        return false;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((required->present & which & PCR_BIT(i)) == 0)
            continue;
        const uint8_t *found = c->doc->pcr[i];
        if (found == NULL || bytes_all_zero(bytes_of(found, ATTDOC_PCR_LEN)) ||
            CRYPTO_memcmp(found, required->value[i], ATTDOC_PCR_LEN) != 0)
            return false;
    }
    return true;
}

/* Deny wins: over every grant, and over every other measurement that matches too. */
static bool nothing_revoked(const struct candidate *c)
{
    return !c->revoked;
}

static bool secret_exists(const struct candidate *c)
{
    return c->secret != NULL;
}

static bool secret_usable(const struct candidate *c)
{
    return c->secret->state == SECRET_USABLE;
}

static bool secret_has_value(const struct candidate *c)
{
    return c->secret->current_version != 0;
}

static bool version_usable(const struct candidate *c)
{
    return c->value != NULL && c->value->state == SECRET_USABLE;
}

static bool version_reaches_minimum(const struct candidate *c)
{
    return c->version >= c->wanted->min_version;
}

static bool grant_exists(const struct candidate *c)
{
    return c->grant != NULL;
}

/* Who signed, and what kernel: a debug enclave has neither in a way that proves code. */
static bool signer_matches(const struct candidate *c)
{
    return !is_signer_grant(c->grant) ||
           (!attdoc_is_debug(c->doc) &&
            (c->grant->pcr.present & PCR_BITS_SIGNER) == PCR_BITS_SIGNER &&
            has_required_pcrs(c, PCR_BITS_SIGNER));
}

static bool image_measured(const struct candidate *c)
{
    return is_signer_grant(c->grant) ||
           (c->measurement != NULL && c->measurement->image_id == c->grant->image_id);
}

static bool build_matches(const struct candidate *c)
{
    return c->grant->measurement_id == 0 || c->grant->measurement_id == c->measurement_id;
}

static bool measurement_counts(const struct candidate *c)
{
    return is_signer_grant(c->grant) || c->measurement->state == MEASUREMENT_ACTIVE ||
           c->measurement->state == MEASUREMENT_DEPRECATED;
}

static bool measurement_in_window(const struct candidate *c)
{
    return is_signer_grant(c->grant) ||
           within(c->question->now_ms, c->measurement->not_before_ms, c->measurement->not_after_ms);
}

static bool grant_in_window(const struct candidate *c)
{
    return within(c->question->now_ms, c->grant->not_before_ms, c->grant->not_after_ms);
}

static bool grant_pcrs_match(const struct candidate *c)
{
    return has_required_pcrs(c, c->grant->pcr.present);
}

static bool region_matches(const struct candidate *c)
{
    return c->grant->region[0] == '\0' ||
           bytes_equal_text(verified_doc_region(c->question->doc), c->grant->region);
}

static bool application_matches(const struct candidate *c)
{
    return !c->grant->has_application ||
           bytes_equal(c->question->application, bytes_of_buf(&c->grant->application));
}

/* The current version, and no other unless the grant names it. */
static bool version_granted(const struct candidate *c)
{
    if (c->version == c->secret->current_version)
        return true;
    for (size_t i = 0; i < c->grant->version_count; i++) {
        if (c->grant->version[i] == c->version)
            return true;
    }
    return false;
}

/* In this order: each may rely on those before it, and of several candidates that fail
 * the one that came furthest says why. */
static const struct check {
    enum policy_reason reason;
    bool (*passes)(const struct candidate *c);
} checks[] = {
    {REASON_MEASUREMENT_REVOKED, nothing_revoked},
    {REASON_UNKNOWN_SECRET, secret_exists},
    {REASON_SECRET_DESTROYED, secret_usable},
    {REASON_NO_VALUE, secret_has_value},
    {REASON_VERSION_UNKNOWN, version_usable},
    {REASON_BELOW_MINIMUM, version_reaches_minimum},
    {REASON_NOT_GRANTED, grant_exists},
    {REASON_GRANT_PCR, signer_matches},
    {REASON_NO_MEASUREMENT, image_measured},
    {REASON_GRANT_BUILD, build_matches},
    {REASON_MEASUREMENT_STATE, measurement_counts},
    {REASON_MEASUREMENT_WINDOW, measurement_in_window},
    {REASON_GRANT_WINDOW, grant_in_window},
    {REASON_GRANT_PCR, grant_pcrs_match},
    {REASON_GRANT_REGION, region_matches},
    {REASON_GRANT_APPLICATION, application_matches},
    {REASON_VERSION_NOT_GRANTED, version_granted},
};

/* The first check that the candidate fails; ARRAY_LEN(checks) where it passes all. */
static size_t run_checks(const struct candidate *c)
{
    size_t i = 0;
    while (i < ARRAY_LEN(checks) && checks[i].passes(c))
        i++;
    return i;
}

/* --- The verdict on one secret --- */

struct outcome {
    size_t reached;       /* the furthest check that any candidate came to */
    bool only_deprecated; /* of those that passed all */
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
    const size_t reached = run_checks(c);
    if (reached > outcome->reached)
        outcome->reached = reached;
    if (reached < ARRAY_LEN(checks))
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
    for (size_t i = 0; i < matches->count && !is_signer_grant(c.grant); i++) {
        c.measurement_id = matches->id[i];
        c.measurement = policy_measurement_get(policy, c.measurement_id);
        consider(policy, &c, outcome, verdict);
    }
}

static struct candidate first_candidate(const struct policy *policy,
                                        const struct policy_question *question,
                                        const struct matches *matches, const struct wanted *wanted)
{
    struct candidate c = {
        .question = question,
        .doc = verified_doc_fields(question->doc),
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

static void decide_item(const struct policy *policy, const struct policy_question *question,
                        const struct matches *matches, const struct wanted *wanted,
                        struct policy_item *item, struct policy_verdict *verdict)
{
    struct candidate c = first_candidate(policy, question, matches, wanted);
    struct outcome outcome = {
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
        outcome.item.reason = checks[outcome.reached].reason;
    else
        outcome.item.flags = outcome.only_deprecated ? RECEIPT_FLAG_DEPRECATED : 0;
    *item = outcome.item;
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

static enum err find_matches(const struct policy *policy, const struct verified_doc *doc,
                             struct matches *out)
{
    for (uint64_t id = policy_first_of_code(policy, doc); id != 0;
         id = policy_next_of_code(policy, id)) {
        const struct policy_measurement *m = policy_measurement_get(policy, id);
        if (!policy_measurement_matches(m, doc))
            continue;
        TRY(matches_add(out, id));
        if (m->state == MEASUREMENT_REVOKED)
            out->revoked = true;
    }
    return ERR_OK;
}

static void decide_all(const struct policy *policy, const struct policy_question *question,
                       const struct matches *matches, struct policy_verdict *verdict)
{
    verdict->count = question->wanted->count;
    verdict->granted = verdict->count > 0;
    verdict->reason = verdict->granted ? REASON_GRANTED : REASON_NOT_GRANTED;
    for (size_t i = 0; i < verdict->count; i++) {
        struct policy_item *item = &verdict->item[i];
        decide_item(policy, question, matches, &question->wanted->item[i], item, verdict);
        if (item->reason == REASON_GRANTED || !verdict->granted)
            continue;
        verdict->granted = false;
        verdict->reason = item->reason;
        verdict->refused_item = i;
    }
    if (!verdict->granted)
        verdict->measurement_count = 0;
}

enum err policy_decide(const struct policy *policy, const struct policy_question *question,
                       struct policy_verdict *out, struct fault *fault)
{
    CLEANUP(matches_free) struct matches matches = {0};
    struct policy_verdict verdict = {0};
    const bool debug = verified_doc_is_debug(question->doc);
    if (debug && question->production) /* DEBUG-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "pcrs"), ERR_DEBUG,
             "a debug-mode enclave gets nothing from a production store");
    TRY(find_matches(policy, question->doc, &matches));
    if (debug && matches.count == 0) /* DEBUG-2 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "pcrs"), ERR_DEBUG,
             "a debug-mode enclave, and no measurement made with --debug matches it");
    decide_all(policy, question, &matches, &verdict);
    *out = verdict;
    return ERR_OK;
}
