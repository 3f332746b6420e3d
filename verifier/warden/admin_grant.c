/* Grants: which image, or which signer, gets which secret, and under what conditions. */
#include <stdio.h>
#include <string.h>

#include "admin_change.h"
#include "common/codec.h"
#include "common/json_reader.h"
#include "common/pcr_text.h"

/* --- Showing --- */

static enum err set_pcr_condition(json_t *object, const struct policy_grant *g, unsigned index)
{
    char name[16];
    if ((g->pcr.present >> index & 1) == 0)
        return ERR_OK;
    snprintf(name, sizeof name, "pcr%u", index);
    return admin_set(object, name, admin_hex(bytes_of(g->pcr.value[index], ATTDOC_PCR_LEN)));
}

static enum err set_accepted(json_t *object, const struct policy_grant *g)
{
    struct pcr_choices choices;
    json_t *accepted = json_object();
    TRY(admin_set(object, "accepted", accepted));
    TRY(pcr_choices_parse(bytes_of_buf(&g->accepted), &choices));
    for (unsigned i = 0; i < ARRAY_LEN(choices.count); i++) {
        char index[4];
        if (choices.count[i] == 0)
            continue;
        json_t *values = json_array();
        snprintf(index, sizeof index, "%u", PCR_CHOICES_FIRST + i);
        TRY(admin_set(accepted, index, values));
        for (size_t n = 0; n < choices.count[i]; n++) {
            if (json_array_append_new(
                    values, admin_hex(bytes_of(choices.value[i][n], ATTDOC_PCR_LEN))) != 0)
                return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

static enum err set_conditions(json_t *object, const struct policy_grant *g)
{
    json_t *versions = json_array();
    TRY(admin_set(object, "versions", versions));
    for (size_t i = 0; i < g->version_count; i++) {
        if (json_array_append_new(versions, json_integer(g->version[i])) != 0)
            return ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++)
        TRY(set_pcr_condition(object, g, i));
    if (g->registered)
        TRY(admin_set(object, "registered", json_true()));
    if (g->accepted.len != 0)
        TRY(set_accepted(object, g));
    if (g->region[0] != '\0')
        TRY(admin_set(object, "region", json_string(g->region)));
    if (g->has_application)
        TRY(admin_set(object, "application", admin_base64(bytes_of_buf(&g->application))));
    if (g->quota != 0)
        TRY(admin_set(object, "quota", json_integer((json_int_t)g->quota)));
    if (g->not_before_ms != POLICY_NO_TIME)
        TRY(admin_set(object, "not_before", admin_time(g->not_before_ms)));
    if (g->not_after_ms != POLICY_NO_TIME)
        TRY(admin_set(object, "not_after", admin_time(g->not_after_ms)));
    return ERR_OK;
}

/* To which image; for a signer's grant, of which image the build must be. */
static uint64_t image_of(const struct policy_grant *g)
{
    return g->image_id != 0 ? g->image_id : g->registered_image_id;
}

/* Which grants are listed, and who asks: how much of a quota is used, the store knows. */
struct grant_view {
    struct admin_call *call;
    uint64_t secret_id; /* 0: any */
    uint64_t image_id;
};

static enum err set_used(struct admin_call *call, uint64_t id, json_t *object)
{
    uint64_t used;
    struct store *store = call->warden->store;
    TRY(store_ops(store)->read_quota(store, id, &used, call->fault));
    return admin_set(object, "used", json_integer((json_int_t)used));
}

static enum err show_grant(const struct policy *policy, uint64_t id, const void *context,
                           json_t *object)
{
    const struct grant_view *view = context;
    const struct policy_grant *g = policy_grant_get(policy, id);
    const struct policy_image *image = policy_image_get(policy, image_of(g));
    const struct policy_measurement *m = policy_measurement_get(policy, g->measurement_id);
    TRY(admin_set(object, "id", json_integer((json_int_t)id)));
    TRY(admin_set(object, "secret", json_string(policy_secret_get(policy, g->secret_id)->name)));
    if (image != NULL)
        TRY(admin_set(object, "image", json_string(image->name)));
    if (m != NULL)
        TRY(admin_set(object, "measurement", json_string(m->version)));
    TRY(set_conditions(object, g));
    if (g->quota != 0)
        TRY(set_used(view->call, id, object));
    TRY(admin_set(object, "state", json_string(g->state == POLICY_ACTIVE ? "active" : "removed")));
    return admin_set(object, "created", admin_time(g->created_ms));
}

enum err admin_show_grant(struct admin_call *call, const struct policy *policy, uint64_t id,
                          json_t *object)
{
    const struct grant_view view = {.call = call};
    return show_grant(policy, id, &view, object);
}

static enum err answer_grant(struct admin_call *call, uint64_t id, const char *result, json_t *out)
{
    const struct grant_view view = {.call = call};
    return admin_answer_row(call, &(const struct admin_row){"grant", show_grant, &view}, id, result,
                            out);
}

/* --- Adding --- */

static enum err read_pcr(struct admin_call *call, const char *name, unsigned index,
                         struct policy_grant *g)
{
    struct bytes value = {0};
    TRY(admin_bytes(call, name, ADMIN_OPTIONAL, &value));
    if (value.ptr == NULL)
        return ERR_OK;
    if (value.len != ATTDOC_PCR_LEN)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED,
             "a PCR has %d bytes", ATTDOC_PCR_LEN);
    if (bytes_all_zero(value))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", name), ERR_PCRS_ZERO,
             "PCR%u is all zeros: %s", index,
             index == 1 || index == 8 ? "these are the values of a debug enclave"
                                      : "that is an unset one, and can be no condition");
    memcpy(g->pcr.value[index], value.ptr, ATTDOC_PCR_LEN);
    g->pcr.present |= 1u << index;
    return ERR_OK;
}

/* What stands between two commas of a list "HEX,HEX". */
static enum err add_accepted_value(struct admin_call *call, unsigned index, struct bytes hex,
                                   struct pcr_choices *choices)
{
    const size_t i = index - PCR_CHOICES_FIRST;
    (void)fault_at(call->fault, FAULT_NO_OFFSET, "accepted[%u]", index);
    if (choices->count[i] == PCR_CHOICES_MAX)
        FAIL(call->fault, ERR_MALFORMED, "at most %d values are accepted", PCR_CHOICES_MAX);
    uint8_t *value = choices->value[i][choices->count[i]];
    if (hex_decode(hex, value, ATTDOC_PCR_LEN) != ERR_OK)
        FAIL(call->fault, ERR_HEX, "%d hexadecimal digits are expected, %zu character%s found",
             2 * ATTDOC_PCR_LEN, hex.len, plural(hex.len));
    if (bytes_all_zero(bytes_of(value, ATTDOC_PCR_LEN)))
        FAIL(call->fault, ERR_PCRS_ZERO,
             "PCR%u is all zeros until the enclave extends it, and then proves nothing", index);
    choices->count[i]++;
    return ERR_OK;
}

static enum err add_accepted(struct admin_call *call, struct bytes key, struct bytes list,
                             void *context)
{
    unsigned index = 0;
    if (pcr_index_parse(key, &index) != ERR_OK || index < PCR_CHOICES_FIRST)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "accepted"), ERR_MALFORMED,
             "a PCR of %d..%d is expected: what the enclave itself extends", PCR_CHOICES_FIRST,
             ATTDOC_PCR_COUNT - 1);
    for (size_t at = 0;;) {
        size_t end = at;
        while (end < list.len && list.ptr[end] != ',')
            end++;
        TRY(add_accepted_value(call, index, bytes_of(list.ptr + at, end - at), context));
        if (end == list.len)
            return ERR_OK;
        at = end + 1;
    }
}

static enum err read_accepted(struct admin_call *call, struct policy_grant *g)
{
    struct pcr_choices choices;
    memset(choices.count, 0, sizeof choices.count);
    TRY(admin_map(call, "accepted", add_accepted, &choices));
    const enum err err = pcr_choices_append(&choices, &g->accepted);
    if (err == ERR_TOO_LARGE)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "accepted"), ERR_MALFORMED,
             "at most %d values are accepted, over all PCRs", PCR_CHOICES_ALL);
    TRY(err);
    if (admin_param(call, "accepted") != NULL && g->accepted.len == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "accepted"), ERR_MALFORMED,
             "no PCR is named: leave it out where any value is accepted");
    return ERR_OK;
}

/* "1,2,5": older versions that this grant allows besides the current one. */
static enum err read_versions(struct admin_call *call, struct policy_grant *g)
{
    char text[256] = "";
    TRY(admin_text(call, "versions", ADMIN_OPTIONAL, sizeof text, text));
    for (const char *p = text, *next; *text != '\0'; p = next + 1) {
        uint64_t value = 0;
        next = p + strcspn(p, ",");
        const struct bytes number = bytes_of(p, (size_t)(next - p));
        if (decimal_parse(number, PROTOCOL_VERSION_MAX, &value) != ERR_OK || value == 0 ||
            g->version_count == GRANT_VERSIONS_MAX)
            FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "versions"), ERR_MALFORMED,
                 "at most %d version numbers joined by commas are expected", GRANT_VERSIONS_MAX);
        g->version[g->version_count++] = (uint32_t)value;
        if (*next == '\0')
            break;
    }
    return ERR_OK;
}

struct grant_names {
    char secret[PROTOCOL_NAME_MAX + 1];
    char image[64];
    char measurement[64];
};

struct new_grant {
    struct grant_names names;
    struct policy_grant g;
};

static void new_grant_free(struct new_grant *new)
{
    policy_grant_free(&new->g);
}

/* To an image or to a signer; PCR8 says who signed, so PCR1 (kernel) goes with it. */
static enum err check_subject(struct admin_call *call, const struct grant_names *names,
                              const struct policy_grant *g)
{
    const bool signer = (g->pcr.present & PCR_BITS_SIGNER) != 0;
    const bool image = names->image[0] != '\0';
    if (g->registered && !signer)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "registered"), ERR_MALFORMED,
             "it narrows a grant to a signer; a grant to an image always demands a measurement");
    if (signer == image && !g->registered)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "image"), ERR_MALFORMED,
             "a grant is to an image, or to a signer (signer_pcr8 and signer_pcr1): exactly one, "
             "unless the signer's builds have to be registered");
    if (signer && (g->pcr.present & PCR_BITS_SIGNER) != PCR_BITS_SIGNER)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "signer_pcr8"), ERR_MALFORMED,
             "a signer grant needs signer_pcr8 and signer_pcr1: a signature alone says nothing of "
             "what was signed");
    if (names->measurement[0] != '\0' && signer)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "measurement"), ERR_MALFORMED,
             "only a grant to an image can be narrowed to one of its builds");
    return ERR_OK;
}

static enum err read_grant(struct admin_call *call, struct grant_names *names,
                           struct policy_grant *g)
{
    struct bytes application = {0};
    TRY(admin_text(call, "secret", ADMIN_REQUIRED, sizeof names->secret, names->secret));
    TRY(admin_text(call, "image", ADMIN_OPTIONAL, sizeof names->image, names->image));
    TRY(admin_text(call, "measurement", ADMIN_OPTIONAL, sizeof names->measurement,
                   names->measurement));
    TRY(read_pcr(call, "role_pcr3", 3, g));
    TRY(read_pcr(call, "instance_pcr4", 4, g));
    TRY(read_pcr(call, "signer_pcr8", 8, g));
    TRY(read_pcr(call, "signer_pcr1", 1, g));
    TRY(admin_bool(call, "registered", &g->registered));
    TRY(check_subject(call, names, g));
    TRY(read_accepted(call, g));
    TRY(admin_text(call, "region", ADMIN_OPTIONAL, sizeof g->region, g->region));
    TRY(admin_bytes(call, "application", ADMIN_OPTIONAL, &application));
    g->has_application = application.ptr != NULL;
    if (application.len > PROTOCOL_APPLICATION_MAX)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "application"), ERR_MALFORMED,
             "at most %d bytes are expected", PROTOCOL_APPLICATION_MAX);
    TRY(buf_append(&g->application, application));
    TRY(read_versions(call, g));
    TRY(admin_uint(call, "quota", ADMIN_OPTIONAL, INT32_MAX, &g->quota));
    if (admin_param(call, "quota") != NULL && g->quota == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "quota"), ERR_MALFORMED,
             "at least 1 is expected; `grant remove` ends a grant");
    TRY(admin_window(call, &g->not_before_ms, &g->not_after_ms));
    g->state = POLICY_ACTIVE;
    g->created_ms = call->now_ms;
    return ERR_OK;
}

/* Names to ids. */
static enum err resolve(struct admin_call *call, const struct policy *policy,
                        const struct grant_names *names, struct policy_grant *g)
{
    g->secret_id = policy_find_secret(policy, names->secret);
    if (g->secret_id == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "secret"), ERR_NOT_FOUND,
             "there is no secret %s", names->secret);
    if (names->image[0] == '\0')
        return ERR_OK;
    const uint64_t image_id = policy_find_image(policy, names->image);
    if (image_id == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "image"), ERR_NOT_FOUND,
             "there is no image %s; `measurement add` makes one", names->image);
    if (g->registered)
        g->registered_image_id = image_id;
    else
        g->image_id = image_id;
    if (names->measurement[0] == '\0')
        return ERR_OK;
    g->measurement_id = policy_find_measurement(policy, g->image_id, names->measurement);
    if (g->measurement_id == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "measurement"), ERR_NOT_FOUND,
             "there is no measurement %s@%s", names->image, names->measurement);
    if (policy_measurement_get(policy, g->measurement_id)->state == MEASUREMENT_DISCARDED)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "measurement"), ERR_WRONG_STATE,
             "%s@%s was discarded, and matches nothing", names->image, names->measurement);
    return ERR_OK;
}

/* An active grant that says the same, whenever it was made. */
static enum err find_same(const struct policy *policy, const struct policy_grant *g, uint64_t *id)
{
    CLEANUP(buf_free) struct buf wanted = {0};
    CLEANUP(buf_free) struct buf columns = {0};
    *id = 0;
    TRY(policy_grant_append(g, &wanted));
    for (uint64_t i = 1; i <= policy_grant_count(policy); i++) {
        struct policy_grant other = *policy_grant_get(policy, i);
        if (other.secret_id != g->secret_id || other.image_id != g->image_id)
            continue;
        other.created_ms = g->created_ms;
        columns.len = 0;
        TRY(policy_grant_append(&other, &columns));
        if (bytes_equal(bytes_of_buf(&columns), bytes_of_buf(&wanted))) {
            *id = i;
            return ERR_OK;
        }
    }
    return ERR_OK;
}

/* For the record: what the grant demands, as the API shows it, so that an auditor can tell
 * a narrow grant from an open one. */
static enum err describe_conditions(const struct grant_names *names, const struct policy_grant *g,
                                    struct buf *text)
{
    CLEANUP(json_decrefp) json_t *conditions = json_object();
    if (conditions == NULL)
        return ERR_NO_MEMORY;
    TRY(set_conditions(conditions, g));
    if (g->registered && names->image[0] != '\0')
        TRY(admin_set(conditions, "image", json_string(names->image)));
    if (names->measurement[0] != '\0')
        TRY(admin_set(conditions, "measurement", json_string(names->measurement)));
    if (g->version_count == 0 && json_object_del(conditions, "versions") != 0)
        return ERR_INTERNAL;
    if (json_object_size(conditions) > 0)
        TRY(json_append(text, conditions));
    return ERR_OK;
}

static enum err prepare_add(struct admin_call *call, const struct policy *policy, void *asked,
                            struct admin_change *change)
{
    struct new_grant *new = asked;
    struct policy_grant *g = &new->g;
    CLEANUP(buf_free) struct buf columns = {0};
    TRY(resolve(call, policy, &new->names, g));
    TRY(find_same(policy, g, &change->id));
    if (change->id != 0)
        return ERR_OK;
    change->id = policy_grant_count(policy) + 1;
    change->result = "added";
    TRY(buf_append_format(&change->object, "%llu: %s to %s%s", (unsigned long long)change->id,
                          new->names.secret, g->image_id == 0 ? "a signer" : "image ",
                          g->image_id == 0 ? "" : new->names.image));
    TRY(describe_conditions(&new->names, g, &change->detail));
    TRY(policy_grant_append(g, &columns));
    return ledger_change_add(&change->rows, POLICY_GRANT, change->id, &columns);
}

enum err admin_grant_add(struct admin_call *call, json_t *out)
{
    CLEANUP(new_grant_free) struct new_grant new = {0};
    TRY(read_grant(call, &new.names, &new.g));
    return admin_change(call, prepare_add, &new, answer_grant, out);
}

/* --- Removing --- */

static enum err prepare_remove(struct admin_call *call, const struct policy *policy, void *asked,
                               struct admin_change *change)
{
    const uint64_t *id = asked;
    CLEANUP(buf_free) struct buf columns = {0};
    const struct policy_grant *old = policy_grant_get(policy, *id);
    if (old == NULL)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "id"), ERR_NOT_FOUND, "there is no grant %llu",
             (unsigned long long)*id);
    change->id = *id;
    if (old->state == POLICY_REMOVED)
        return ERR_OK;
    struct policy_grant removed = *old; /* borrows old's buffers for the encoding only */
    removed.state = POLICY_REMOVED;
    change->result = "removed";
    TRY(buf_append_format(&change->object, "%llu", (unsigned long long)*id));
    TRY(policy_grant_append(&removed, &columns));
    return ledger_change_add(&change->rows, POLICY_GRANT, *id, &columns);
}

enum err admin_grant_remove(struct admin_call *call, json_t *out)
{
    uint64_t id = 0;
    TRY(admin_uint(call, "id", ADMIN_REQUIRED, INT64_MAX, &id));
    return admin_change(call, prepare_remove, &id, answer_grant, out);
}

/* --- Listing --- */

static bool grant_wanted(const struct policy *policy, uint64_t id, const void *context)
{
    const struct grant_view *view = context;
    const struct policy_grant *g = policy_grant_get(policy, id);
    return g->state == POLICY_ACTIVE && (view->secret_id == 0 || view->secret_id == g->secret_id) &&
           (view->image_id == 0 || view->image_id == image_of(g));
}

static enum err list_grants(struct admin_call *call, const struct policy *policy,
                            const struct grant_names *names, json_t *out)
{
    const struct grant_view view = {
        .call = call,
        .secret_id = policy_find_secret(policy, names->secret),
        .image_id = policy_find_image(policy, names->image),
    };
    if (names->secret[0] != '\0' && view.secret_id == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "secret"), ERR_NOT_FOUND,
             "there is no secret %s", names->secret);
    if (names->image[0] != '\0' && view.image_id == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "image"), ERR_NOT_FOUND, "there is no image %s",
             names->image);
    return admin_list(call, policy, "grants", policy_grant_count(policy), grant_wanted, show_grant,
                      &view, out);
}

enum err admin_grant_list(struct admin_call *call, json_t *out)
{
    struct grant_names names = {0};
    uint64_t revision;
    TRY(admin_text(call, "secret", ADMIN_OPTIONAL, sizeof names.secret, names.secret));
    TRY(admin_text(call, "image", ADMIN_OPTIONAL, sizeof names.image, names.image));
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = list_grants(call, policy, &names, out);
    ledger_done(call->warden->ledger);
    return err;
}
