#include "explain.h"

#include <stdlib.h>
#include <string.h>

#include "snapshot.h"
#include "walk.h"

const char *policy_reason_sentence(enum policy_reason reason)
{
    static const char *const sentences[] = {
        [REASON_GRANTED] = "it is released",
        [REASON_MEASUREMENT_REVOKED] = "the document matches a revoked measurement: deny wins",
        [REASON_UNKNOWN_SECRET] = "there is no secret of this name",
        [REASON_SECRET_DESTROYED] = "the secret was destroyed",
        [REASON_NO_VALUE] = "the secret has no value yet",
        [REASON_VERSION_UNKNOWN] = "the secret has no such version",
        [REASON_VERSION_NOT_GRANTED] = "it is an older version, which no grant names",
        [REASON_BELOW_MINIMUM] = "the version is below the lowest that the enclave accepts",
        [REASON_NOT_GRANTED] = "there is no grant of this secret",
        [REASON_NO_MEASUREMENT] = "no measurement of a granted image matches the document",
        [REASON_MEASUREMENT_STATE] = "the measurement that matches is a draft",
        [REASON_MEASUREMENT_WINDOW] =
            "the measurement that matches is outside its not-before and not-after",
        [REASON_GRANT_WINDOW] = "the grant is outside its not-before and not-after",
        [REASON_GRANT_BUILD] = "the grant is narrowed to another build of the image",
        [REASON_GRANT_PCR] = "the grant demands another role, instance or signer",
        [REASON_GRANT_REGION] = "the grant demands another region",
        [REASON_GRANT_APPLICATION] = "the grant demands other application bytes",
        [REASON_GRANT_REGISTERED] =
            "the grant demands a registered build, and the document matches none",
        [REASON_GRANT_ACCEPTED] =
            "a PCR that the enclave extends has no value that the grant accepts",
        [REASON_INSTANCE_REVOKED] = "the EC2 instance was revoked: deny wins",
        [REASON_CERTIFICATE_REVOKED] = "a certificate of the document was revoked: deny wins",
        [REASON_OVER_QUOTA] = "as many enclaves as the grant allows have had it",
    };
    _Static_assert(ARRAY_LEN(sentences) == REASON_COUNT, "every reason has a sentence");
    return (unsigned)reason < REASON_COUNT ? sentences[reason] : "unknown";
}

/* --- What a PCR means --- */

/* `unset`: said where the document's value is absent or zero; NULL: nothing special. */
struct pcr_meaning {
    unsigned first;
    unsigned last;
    const char *differs;
    const char *unset;
};

/* AWS, "Cryptographic attestation", where to get an enclave's measurements; what is not listed
 * there no measurement can hold (measurement.c). */
static const struct pcr_meaning enclave_meanings[] = {
    {0, 0, "another image file", NULL},
    {1, 1, "another kernel or boot ramdisk", NULL},
    {2, 2, "another application", NULL},
    {3, 3, "the enclave's parent has another IAM role", "the enclave's parent has no IAM role"},
    {4, 4, "the enclave runs on another parent instance", NULL},
    {8, 8, "another signer of the image", "the image is not signed"},
    {16, 31, "the enclave's program extended it with something else",
     "the enclave's program has not extended it"},
};

/* AWS, "NitroTPM Attestation Document contents". */
static const struct pcr_meaning nitrotpm_meanings[] = {
    {0, 0, "another system firmware", NULL},
    {1, 1, "other settings of the system firmware", NULL},
    {2, 2, "other pluggable firmware code", NULL},
    {3, 3, "other data of pluggable firmware", NULL},
    {4, 4, "another boot program: another image (AMI)", NULL},
    {5, 5, "other boot settings, or another partition table", NULL},
    {6, 6, "other specifics of the host platform", NULL},
    {7, 7, "another Secure Boot policy: other keys, or on where it was off", NULL},
    {8, 11, "the operating system's boot measured something else", NULL},
    {12, 12, "another kernel command line was handed to the boot program", NULL},
    {13, 15, "the operating system's boot measured something else", NULL},
    {16, 16, "the debug register was extended with something else", NULL},
    {23, 23, "the instance's program extended it with something else",
     "the instance's program has not extended it"},
};

static const struct pcr_meaning *find_meaning(enum attdoc_kind kind, unsigned index)
{
    const bool nitrotpm = kind == ATTDOC_NITROTPM;
    const struct pcr_meaning *row = nitrotpm ? nitrotpm_meanings : enclave_meanings;
    const size_t count = nitrotpm ? ARRAY_LEN(nitrotpm_meanings) : ARRAY_LEN(enclave_meanings);
    for (size_t i = 0; i < count; i++) {
        if (index >= row[i].first && index <= row[i].last)
            return &row[i];
    }
    return NULL;
}

const char *policy_pcr_meaning(enum attdoc_kind kind, unsigned index, const uint8_t *found)
{
    const struct pcr_meaning *row = find_meaning(kind, index);
    const bool unset = found == NULL || bytes_all_zero(bytes_of(found, ATTDOC_PCR_LEN));
    if (row == NULL)
        return "another value";
    return unset && row->unset != NULL ? row->unset : row->differs;
}

/* --- The candidates --- */

struct notes {
    const struct policy_facts *facts;
    struct policy_explanation *explanation;
};

bool policy_check_not_known(const struct policy_facts *facts, size_t check)
{
    if (check >= policy_check_count())
        return false;
    if (policy_check_reason(check) == REASON_CERTIFICATE_REVOKED)
        return facts->chain_len == 0 && !facts->chain_was_revoked;
    return policy_check_reason(check) == REASON_GRANT_APPLICATION &&
           facts->application_known == POLICY_APPLICATION_UNKNOWN;
}

static void drop_candidate(struct explained_secret *s, size_t at)
{
    s->count--;
    for (size_t i = at; i < s->count; i++)
        s->candidate[i] = s->candidate[i + 1];
}

/* Whether `one` says nothing that `other` does not: the walk tries a secret without any grant,
 * and each grant without a measurement, before those with. */
static bool is_covered(const struct explained_candidate *one,
                       const struct explained_candidate *other)
{
    if (one->grant_id == 0)
        return true;
    return one->grant_id == other->grant_id && one->measurement_id == 0 &&
           one->passed <= other->passed;
}

/* The furthest first; of those that came equally far, in the order in which they are met. */
static void insert_candidate(struct explained_secret *s, const struct explained_candidate *c)
{
    size_t at = s->count;
    while (at > 0 && s->candidate[at - 1].passed < c->passed)
        at--;
    if (at == EXPLAIN_CANDIDATES_MAX)
        return;
    if (s->count < EXPLAIN_CANDIDATES_MAX)
        s->count++;
    for (size_t i = s->count - 1; i > at; i--)
        s->candidate[i] = s->candidate[i - 1];
    s->candidate[at] = *c;
}

static void note_candidate(void *context, size_t secret, uint64_t grant_id, uint64_t measurement_id,
                           size_t passed)
{
    const struct notes *notes = context;
    struct explained_secret *s = &notes->explanation->secret[secret];
    const struct explained_candidate c = {
        .grant_id = grant_id,
        .measurement_id = measurement_id,
        .passed = passed,
        .not_known = policy_check_not_known(notes->facts, passed),
    };
    if (grant_id != 0)
        s->candidates++;
    /* A measurement of another image than the granted one: as good as none. */
    if (measurement_id != 0 && passed < policy_check_count() &&
        policy_check_reason(passed) == REASON_NO_MEASUREMENT)
        return;
    for (size_t i = s->count; i-- > 0;) {
        /* What fails before any grant is asked fails alike for all of them. */
        if (s->candidate[i].grant_id == 0 && passed <= s->candidate[i].passed)
            return;
        if (is_covered(&s->candidate[i], &c))
            drop_candidate(s, i);
    }
    insert_candidate(s, &c);
}

/* --- The nearest measurement --- */

/* More equal PCRs; fewer different ones; one that is not revoked; the newest. */
static bool is_nearer(const struct policy *policy, const struct explained_nearest *a,
                      const struct explained_nearest *b)
{
    if (b->measurement_id == 0 || a->measurement_id == 0)
        return a->measurement_id != 0;
    if (a->equal != b->equal)
        return a->equal > b->equal;
    if (a->different != b->different)
        return a->different < b->different;
    const bool a_ended =
        policy_measurement_get(policy, a->measurement_id)->state == MEASUREMENT_REVOKED;
    const bool b_ended =
        policy_measurement_get(policy, b->measurement_id)->state == MEASUREMENT_REVOKED;
    return a_ended != b_ended ? b_ended : a->measurement_id > b->measurement_id;
}

static unsigned count_bits(uint32_t bits)
{
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

static void consider_nearest(const struct policy *policy, const struct policy_facts *facts,
                             uint64_t id, struct explained_nearest *best)
{
    struct pcr_set values;
    uint32_t different;
    if (!policy_measurement_compare(policy_measurement_get(policy, id), facts, &values, &different))
        return;
    const struct explained_nearest found = {
        .measurement_id = id,
        .equal = count_bits(values.present & ~different),
        .different = count_bits(different),
    };
    if (is_nearer(policy, &found, best))
        *best = found;
}

/* Each image is searched once, however many grants and secrets ask. */
struct search {
    const struct policy *policy;
    const struct policy_inquiry *inquiry;
    uint64_t compared;
    uint64_t image_count; /* when it began: a pause may bring more, which are not searched */
    struct nearest_of_image {
        bool known;
        struct explained_nearest nearest;
    } * image; /* by id, the first is not used */
};

static void compare_next(struct search *s, uint64_t id, struct explained_nearest *best)
{
    if (++s->compared % EXPLAIN_BUILDS_AT_ONCE == 0 && s->inquiry->pause != NULL)
        s->inquiry->pause(s->inquiry->pause_context);
    consider_nearest(s->policy, s->inquiry->facts, id, best);
}

static struct explained_nearest nearest_of(struct search *s, uint64_t image_id)
{
    if (image_id > s->image_count)
        return (struct explained_nearest){0};
    struct nearest_of_image *image = &s->image[image_id];
    for (uint64_t id = 0; !image->known && (id = policy_next_build(s->policy, image_id, id)) != 0;)
        compare_next(s, id, &image->nearest);
    image->known = true;
    return image->nearest;
}

static struct explained_nearest nearest_of_granted(struct search *s, uint64_t secret_id)
{
    struct explained_nearest best = {0};
    for (uint64_t id = policy_first_grant(s->policy, secret_id); id != 0;
         id = policy_next_grant(s->policy, id)) {
        const struct policy_grant *grant = policy_grant_get(s->policy, id);
        if (grant->state != POLICY_ACTIVE || grant->image_id == 0)
            continue;
        const struct explained_nearest found = nearest_of(s, grant->image_id);
        if (is_nearer(s->policy, &found, &best))
            best = found;
    }
    best.granted = best.measurement_id != 0;
    return best;
}

static struct explained_nearest nearest_of_all(struct search *s)
{
    struct explained_nearest best = {0};
    for (uint64_t id = 1; id <= s->image_count; id++) {
        const struct explained_nearest found = nearest_of(s, id);
        if (is_nearer(s->policy, &found, &best))
            best = found;
    }
    return best;
}

/* Where the candidate that came furthest has a measurement, that is the one to look at; and
 * what the secret itself lacks, no measurement would mend. */
static bool wants_nearest(const struct explained_secret *s)
{
    return s->reason != REASON_GRANTED && s->candidate[0].measurement_id == 0 &&
           (s->candidate[0].grant_id != 0 || s->reason == REASON_NOT_GRANTED);
}

static enum err find_nearest(const struct policy *policy, const struct policy_inquiry *inquiry,
                             struct policy_explanation *e)
{
    bool wanted = e->code == ERR_DEBUG;
    for (size_t i = 0; i < e->count; i++)
        wanted = wanted || wants_nearest(&e->secret[i]);
    if (!wanted)
        return ERR_OK;
    struct search search = {
        .policy = policy, .inquiry = inquiry, .image_count = policy_image_count(policy)};
    search.image = calloc((size_t)search.image_count + 1, sizeof *search.image);
    if (search.image == NULL)
        return ERR_NO_MEMORY;
    if (e->code == ERR_DEBUG)
        e->nearest = nearest_of_all(&search);
    for (size_t i = 0; i < e->count; i++) {
        struct explained_secret *s = &e->secret[i];
        if (!wants_nearest(s))
            continue;
        s->nearest = nearest_of_granted(&search, s->secret_id);
        if (s->nearest.measurement_id == 0)
            s->nearest = nearest_of_all(&search);
    }
    free(search.image);
    return ERR_OK;
}

/* --- The whole --- */

static void note_match(void *context, uint64_t measurement_id)
{
    struct policy_explanation *e = ((const struct notes *)context)->explanation;
    if (e->match_count < EXPLAIN_MATCHES_MAX)
        e->match[e->match_count++] = measurement_id;
}

static void take_verdict(const struct policy_verdict *verdict, struct policy_explanation *e)
{
    e->code = verdict->granted ? ERR_OK : ERR_REFUSED;
    e->count = verdict->count;
    for (size_t i = 0; i < e->count; i++) {
        const struct policy_item *item = &verdict->item[i];
        struct explained_secret *s = &e->secret[i];
        s->reason = item->reason;
        s->secret_id = item->secret_id;
        s->version = item->version;
        s->flags = item->flags;
        s->grant_id = item->grant_id;
        s->quota = item->quota;
        s->measurement_id = item->measurement_id;
    }
}

enum err policy_explain(const struct policy *policy, const struct policy_inquiry *inquiry,
                        struct policy_explanation *out)
{
    struct policy_verdict verdict;
    struct fault fault = FAULT_NONE;
    struct notes notes = {.facts = inquiry->facts, .explanation = out};
    const struct policy_observer observer = {
        .match = note_match, .observe = note_candidate, .context = &notes};
    const struct policy_walk walk = {
        .facts = inquiry->facts,
        .wanted = inquiry->wanted,
        .now_ms = inquiry->now_ms,
        .production = inquiry->production,
        .observer = &observer,
    };
    *out = (struct policy_explanation){.code = ERR_OK};
    const enum err err = policy_walk(policy, &walk, &verdict, &fault);
    if (err == ERR_DEBUG) {
        out->code = ERR_DEBUG;
        memcpy(out->detail, fault.detail, sizeof out->detail);
    } else {
        TRY(err);
        take_verdict(&verdict, out);
    }
    return find_nearest(policy, inquiry, out);
}
