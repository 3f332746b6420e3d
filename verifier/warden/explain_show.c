/* The policy's explanation as JSON. */
#include "explain.h"

#include <stdio.h>
#include <string.h>

#include "admin_list.h"

struct view {
    struct admin_call *call;
    const struct policy *policy;
    const struct policy_inquiry *inquiry;
};

/* --- Measurements, and PCRs that differ --- */

static enum err set_build(const struct view *v, uint64_t measurement_id, json_t *object)
{
    const struct policy_measurement *m = policy_measurement_get(v->policy, measurement_id);
    char build[PROTOCOL_BUILD_MAX + 1];
    snprintf(build, sizeof build, "%s@%s", policy_image_get(v->policy, m->image_id)->name,
             m->version);
    TRY(admin_set(object, "measurement", json_string(build)));
    TRY(admin_set(object, "state", json_string(measurement_state_name(m->state))));
    if (m->not_before_ms != POLICY_NO_TIME)
        TRY(admin_set(object, "not_before", admin_time(m->not_before_ms)));
    if (m->not_after_ms != POLICY_NO_TIME)
        TRY(admin_set(object, "not_after", admin_time(m->not_after_ms)));
    return ERR_OK;
}

static enum err add_difference(const struct view *v, unsigned index, const uint8_t *demanded,
                               json_t *list)
{
    const struct policy_facts *facts = v->inquiry->facts;
    const uint8_t *found = facts->pcr[index];
    json_t *object = json_object();
    if (json_array_append_new(list, object) != 0)
        return ERR_NO_MEMORY;
    TRY(admin_set(object, "pcr", json_integer(index)));
    if (found != NULL)
        TRY(admin_set(object, "document", admin_hex(bytes_of(found, ATTDOC_PCR_LEN))));
    TRY(admin_set(object, "demanded", admin_hex(bytes_of(demanded, ATTDOC_PCR_LEN))));
    return admin_set(object, "meaning", json_string(policy_pcr_meaning(facts->kind, index, found)));
}

static enum err set_differences(const struct view *v, const struct pcr_set *demanded,
                                uint32_t different, json_t *object)
{
    json_t *list = json_array();
    TRY(admin_set(object, "different", list));
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((different & PCR_BIT(i)) != 0)
            TRY(add_difference(v, i, demanded->value[i], list));
    }
    return ERR_OK;
}

static enum err set_nearest(const struct view *v, const struct explained_nearest *nearest,
                            json_t *secret)
{
    const struct policy_measurement *m = policy_measurement_get(v->policy, nearest->measurement_id);
    json_t *object = json_object();
    struct pcr_set values;
    uint32_t different;
    TRY(admin_set(secret, "nearest", object));
    TRY(set_build(v, nearest->measurement_id, object));
    TRY(admin_set(object, "granted", json_boolean(nearest->granted)));
    TRY(admin_set(object, "equal", json_integer(nearest->equal)));
    if (!policy_measurement_compare(m, v->inquiry->facts, &values, &different))
        return ERR_INTERNAL; /* it was compared to be found */
    return set_differences(v, &values, different, object);
}

/* --- What was tried --- */

static const char *result_name(const struct view *v, const struct explained_candidate *c,
                               size_t check)
{
    if (check > c->passed)
        return "not reached";
    if (policy_check_not_known(v->inquiry->facts, check))
        return "not known";
    return check < c->passed ? "ok" : "failed";
}

static enum err set_checks(const struct view *v, const struct explained_candidate *c, json_t *tried)
{
    json_t *checks = json_array();
    TRY(admin_set(tried, "checks", checks));
    for (size_t i = 0; i < policy_check_count(); i++) {
        json_t *row = json_object();
        if (json_array_append_new(checks, row) != 0)
            return ERR_NO_MEMORY;
        TRY(admin_set(row, "check", json_string(policy_check_name(i))));
        TRY(admin_set(row, "result", json_string(result_name(v, c, i))));
    }
    return ERR_OK;
}

/* Which of the grant's PCRs the document does not have; zeros are nobody's role or signer. */
static uint32_t grant_differences(const struct policy_facts *facts, const struct policy_grant *g)
{
    uint32_t different = 0;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((g->pcr.present & PCR_BIT(i)) == 0)
            continue;
        if (facts->pcr[i] == NULL || bytes_all_zero(bytes_of(facts->pcr[i], ATTDOC_PCR_LEN)) ||
            memcmp(facts->pcr[i], g->pcr.value[i], ATTDOC_PCR_LEN) != 0)
            different |= PCR_BIT(i);
    }
    return different;
}

static enum err set_grant(const struct view *v, const struct explained_candidate *c,
                          enum policy_reason reason, json_t *tried)
{
    const struct policy_grant *g = policy_grant_get(v->policy, c->grant_id);
    json_t *grant = json_object();
    TRY(admin_set(tried, "grant", grant));
    TRY(admin_show_grant(v->call, v->policy, c->grant_id, grant));
    if (reason != REASON_GRANT_PCR)
        return ERR_OK;
    return set_differences(v, &g->pcr, grant_differences(v->inquiry->facts, g), tried);
}

static enum err add_tried(const struct view *v, const struct explained_candidate *c, json_t *list)
{
    const enum policy_reason reason =
        c->passed < policy_check_count() ? policy_check_reason(c->passed) : REASON_GRANTED;
    json_t *tried = json_object();
    if (json_array_append_new(list, tried) != 0)
        return ERR_NO_MEMORY;
    TRY(admin_set(tried, "reason", json_string(policy_reason_name(reason))));
    if (c->grant_id != 0)
        TRY(set_grant(v, c, reason, tried));
    if (c->measurement_id != 0)
        TRY(set_build(v, c->measurement_id, tried));
    return set_checks(v, c, tried);
}

/* --- Quotas --- */

/* As V6 would find it; without V6 nothing is counted. */
static enum err set_quota(const struct view *v, struct explained_secret *s, json_t *secret)
{
    struct store *store = v->call->warden->store;
    json_t *quota = json_object();
    uint64_t used = 0;
    bool counted = false;
    TRY(admin_set(secret, "quota", quota));
    TRY(store_ops(store)->read_quota(store, s->grant_id, &used, v->call->fault));
    TRY(store_ops(store)->read_counted(store, s->grant_id, v->inquiry->facts->module_id, &counted,
                                       v->call->fault));
    if (!counted && used >= s->quota)
        s->reason = REASON_OVER_QUOTA;
    TRY(admin_set(quota, "grant", json_integer((json_int_t)s->grant_id)));
    TRY(admin_set(quota, "limit", json_integer((json_int_t)s->quota)));
    TRY(admin_set(quota, "used", json_integer((json_int_t)used)));
    return admin_set(quota, "counted", json_boolean(counted));
}

/* --- The whole --- */

static enum err show_secret(const struct view *v, const struct wanted *wanted,
                            struct explained_secret *s, json_t *secret)
{
    TRY(admin_set(secret, "name", json_string(wanted->name)));
    if (s->version != 0)
        TRY(admin_set(secret, "version", json_integer(s->version)));
    if (s->quota != 0)
        TRY(set_quota(v, s, secret));
    TRY(admin_set(secret, "reason", json_string(policy_reason_name(s->reason))));
    TRY(admin_set(secret, "sentence", json_string(policy_reason_sentence(s->reason))));
    if (s->measurement_id != 0)
        TRY(set_build(v, s->measurement_id, secret));
    if (s->nearest.measurement_id != 0)
        TRY(set_nearest(v, &s->nearest, secret));
    TRY(admin_set(secret, "candidates", json_integer((json_int_t)s->candidates)));
    json_t *tried = json_array();
    TRY(admin_set(secret, "tried", tried));
    for (size_t i = 0; i < s->count; i++)
        TRY(add_tried(v, &s->candidate[i], tried));
    return ERR_OK;
}

static enum err show_matches(const struct view *v, const struct policy_explanation *e, json_t *out)
{
    json_t *list = json_array();
    TRY(admin_set(out, "matches", list));
    for (size_t i = 0; i < e->match_count; i++) {
        json_t *object = json_object();
        if (json_array_append_new(list, object) != 0)
            return ERR_NO_MEMORY;
        TRY(set_build(v, e->match[i], object));
    }
    return ERR_OK;
}

enum err explain_show(struct admin_call *call, const struct policy *policy,
                      const struct policy_inquiry *inquiry, struct policy_explanation *explanation,
                      json_t *out)
{
    const struct view view = {.call = call, .policy = policy, .inquiry = inquiry};
    TRY(show_matches(&view, explanation, out));
    if (explanation->nearest.measurement_id != 0)
        TRY(set_nearest(&view, &explanation->nearest, out));
    json_t *secrets = json_array();
    TRY(admin_set(out, "secrets", secrets));
    for (size_t i = 0; i < explanation->count; i++) {
        json_t *secret = json_object();
        struct explained_secret *s = &explanation->secret[i];
        if (json_array_append_new(secrets, secret) != 0)
            return ERR_NO_MEMORY;
        TRY(show_secret(&view, &inquiry->wanted->item[i], s, secret));
        if (s->reason == REASON_OVER_QUOTA)
            explanation->code = ERR_REFUSED;
    }
    return ERR_OK;
}
