/* How builds are used: who would notice the end of one. */
#include "admin_use.h"

#include <string.h>

#include "admin_list.h"
#include "common/codec.h"

#define DAYS_SHOWN 30
#define WEEK_DAYS  7

/* --- Many: for lists --- */

static enum err put_use(const struct store_use *use, void *context)
{
    struct use_view *view = context;
    view->use[use->measurement_id - view->from] = *use;
    return ERR_OK;
}

enum err use_view_get(struct use_view *view, uint64_t id, const struct store_use **out)
{
    struct store *store = view->call->warden->store;
    TRY(view->failed);
    if (view->from == 0 || id < view->from || id - view->from >= view->window ||
        view->revision != view->call->paused_at) {
        memset(view->use, 0, view->window * sizeof view->use[0]);
        view->from = id;
        view->revision = view->call->paused_at;
        view->failed = store_ops(store)->use_scan(store, id, id + view->window - 1, put_use, view,
                                                  view->call->fault);
        TRY(view->failed);
    }
    *out = &view->use[id - view->from];
    return ERR_OK;
}

static uint64_t counted_from(const struct policy_measurement *m, const struct store_use *use)
{
    return use->counted_from_ms > m->created_ms ? use->counted_from_ms : m->created_ms;
}

uint64_t use_idle_since(const struct policy_measurement *m, const struct store_use *use)
{
    const uint64_t from = counted_from(m, use);
    return use->last_ms > from ? use->last_ms : from;
}

/* --- One, with its days --- */

static enum err keep_use(const struct store_use *use, void *context)
{
    *(struct store_use *)context = *use;
    return ERR_OK;
}

struct days {
    uint64_t today;
    uint64_t releases_today;
    uint64_t releases_week; /* today and the six days before */
    json_t *list;
};

static enum err add_day(uint64_t day, uint64_t releases, void *context)
{
    struct days *days = context;
    char text[TIME_TEXT_MAX];
    json_t *entry = json_object();
    if (json_array_append_new(days->list, entry) != 0)
        return ERR_NO_MEMORY;
    if (day == days->today)
        days->releases_today = releases;
    if (day + WEEK_DAYS > days->today)
        days->releases_week += releases;
    time_format((int64_t)(day * STORE_DAY_MS), text);
    text[strcspn(text, "T")] = '\0';
    TRY(admin_set(entry, "day", json_string(text)));
    return admin_set(entry, "releases", json_integer((json_int_t)releases));
}

static enum err set_days(struct admin_call *call, uint64_t id, json_t *object)
{
    struct store *store = call->warden->store;
    struct days days = {.today = call->now_ms / STORE_DAY_MS, .list = json_array()};
    const uint64_t from = days.today < DAYS_SHOWN ? 0 : days.today - (DAYS_SHOWN - 1);
    TRY(admin_set(object, "days", days.list));
    TRY(store_ops(store)->use_day_scan(store, id, from, add_day, &days, call->fault));
    TRY(admin_set(object, "releases_today", json_integer((json_int_t)days.releases_today)));
    return admin_set(object, "releases_7_days", json_integer((json_int_t)days.releases_week));
}

enum err admin_set_use(struct admin_call *call, const struct policy *policy, uint64_t id,
                       json_t *object)
{
    struct store *store = call->warden->store;
    struct store_use use = {0};
    json_t *shown = json_object();
    TRY(admin_set(object, "use", shown));
    TRY(store_ops(store)->use_scan(store, id, id, keep_use, &use, call->fault));
    const uint64_t from = counted_from(policy_measurement_get(policy, id), &use);
    TRY(admin_set(shown, "counted_from", admin_time(from)));
    if (use.last_ms != 0) {
        TRY(admin_set(shown, "first_seen", admin_time(use.first_ms)));
        TRY(admin_set(shown, "last_seen", admin_time(use.last_ms)));
    }
    TRY(admin_set(shown, "releases", json_integer((json_int_t)use.releases)));
    TRY(admin_set(shown, "enclaves", json_integer((json_int_t)use.enclaves)));
    return set_days(call, id, shown);
}

/* --- Which enclaves hold what --- */

struct enclave_page {
    const struct policy *policy;
    json_t *answer;
    json_t *rows;
    uint64_t limit;
    uint64_t last_id;
};

/* One more than the page holds is read: then there is a next one. */
static enum err add_enclave(const struct enclave_use *use, void *context)
{
    struct enclave_page *page = context;
    const struct policy_secret *secret = policy_secret_get(page->policy, use->secret_id);
    if (json_array_size(page->rows) == page->limit)
        return admin_set(page->answer, "next", json_integer((json_int_t)page->last_id));
    if (secret == NULL)
        return ERR_STORE_TAMPERED;
    json_t *row = json_object();
    if (json_array_append_new(page->rows, row) != 0)
        return ERR_NO_MEMORY;
    page->last_id = use->id;
    TRY(admin_set(row, "enclave", admin_string(use->module_id)));
    TRY(admin_set(row, "secret", json_string(secret->name)));
    TRY(admin_set(row, "version", json_integer(use->version)));
    TRY(admin_set(row, "first_seen", admin_time(use->first_ms)));
    TRY(admin_set(row, "last_seen", admin_time(use->last_ms)));
    return admin_set(row, "releases", json_integer((json_int_t)use->releases));
}

static enum err list_enclaves(struct admin_call *call, const struct policy *policy, uint64_t after,
                              uint64_t limit, json_t *out)
{
    struct store *store = call->warden->store;
    struct enclave_page page = {.policy = policy, .answer = out, .limit = limit};
    uint64_t id;
    page.rows = json_array();
    TRY(admin_set(out, "enclaves", page.rows));
    TRY(admin_find_build(call, policy, &id));
    return store_ops(store)->enclave_scan(store, id, after, limit + 1, add_enclave, &page,
                                          call->fault);
}

enum err admin_measurement_enclaves(struct admin_call *call, json_t *out)
{
    uint64_t after;
    uint64_t limit;
    uint64_t revision;
    TRY(admin_page(call, &after, &limit));
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = list_enclaves(call, policy, after, limit, out);
    ledger_done(call->warden->ledger);
    return err;
}

/* --- What a build gets, and who else does --- */

struct build_view {
    uint64_t id;
    const struct policy_measurement *measurement;
    struct pcr_set pcrs;
    uint64_t now_ms;
    uint64_t others; /* builds of its image that count now, besides it */
};

static bool counts(const struct policy_measurement *m)
{
    return m->state == MEASUREMENT_ACTIVE || m->state == MEASUREMENT_DEPRECATED;
}

static bool counts_now(const struct policy_measurement *m, uint64_t now_ms)
{
    return counts(m) && now_ms >= m->not_before_ms &&
           (m->not_after_ms == POLICY_NO_TIME || now_ms <= m->not_after_ms);
}

static uint64_t count_others(const struct policy *policy, const struct build_view *build)
{
    uint64_t others = 0;
    for (uint64_t id = 0; (id = policy_next_build(policy, build->measurement->image_id, id)) != 0;)
        others += id != build->id && counts_now(policy_measurement_get(policy, id), build->now_ms);
    return others;
}

static bool has_pcr_of(const struct pcr_set *pcrs, unsigned index, const struct policy_grant *g)
{
    return (pcrs->present & PCR_BIT(index)) != 0 &&
           memcmp(pcrs->value[index], g->pcr.value[index], ATTDOC_PCR_LEN) == 0;
}

/* What is revoked gets nothing by its signer either: where it is registered with that one, or
 * where the grant demands that it be registered, and whoever signed it is not on record. */
static bool may_name_signer_of(const struct policy_grant *g, const struct build_view *build)
{
    const bool of_image =
        g->registered_image_id == 0 || g->registered_image_id == build->measurement->image_id;
    const bool unknown = g->registered && (build->pcrs.present & PCR_BIT(8)) == 0;
    return build->measurement->kind == ATTDOC_ENCLAVE && of_image &&
           has_pcr_of(&build->pcrs, 1, g) && (unknown || has_pcr_of(&build->pcrs, 8, g));
}

static bool grant_names_build(const struct policy *policy, uint64_t id, const void *context)
{
    const struct build_view *build = context;
    const struct policy_grant *g = policy_grant_get(policy, id);
    if (!counts(build->measurement) || g->state != POLICY_ACTIVE ||
        (g->not_after_ms != POLICY_NO_TIME && build->now_ms > g->not_after_ms))
        return false;
    if (g->image_id == 0)
        return may_name_signer_of(g, build);
    return g->image_id == build->measurement->image_id &&
           (g->measurement_id == 0 || g->measurement_id == build->id);
}

static enum err show_grant_of_build(const struct policy *policy, uint64_t id, const void *context,
                                    json_t *object)
{
    const struct build_view *build = context;
    const struct policy_grant *g = policy_grant_get(policy, id);
    const struct policy_secret *secret = policy_secret_get(policy, g->secret_id);
    const uint64_t others = g->measurement_id != 0 ? 0 : build->others;
    TRY(admin_set(object, "id", json_integer((json_int_t)id)));
    TRY(admin_set(object, "secret", json_string(secret->name)));
    TRY(admin_set(object, "version", json_integer(secret->current_version)));
    TRY(admin_set(object, "signer", json_boolean(g->image_id == 0)));
    TRY(admin_set(object, "narrowed", json_boolean(g->measurement_id != 0)));
    if (g->image_id == 0) /* which builds a signer signed, nobody knows */
        return ERR_OK;
    return admin_set(object, "other_builds", json_integer((json_int_t)others));
}

static enum err list_grants_of_build(struct admin_call *call, const struct policy *policy,
                                     json_t *out)
{
    struct build_view build = {.now_ms = call->now_ms};
    TRY(admin_find_build(call, policy, &build.id));
    build.measurement = policy_measurement_get(policy, build.id);
    TRY(pcr_set_parse(bytes_of_buf(&build.measurement->pcrs), &build.pcrs));
    build.others = count_others(policy, &build);
    return admin_list(call, policy, "grants", policy_grant_count(policy), grant_names_build,
                      show_grant_of_build, &build, out);
}

enum err admin_measurement_grants(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = list_grants_of_build(call, policy, out);
    ledger_done(call->warden->ledger);
    return err;
}
