/* Images and measurements: what builds there are and which of them count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "admin_change.h"
#include "admin_conflict.h"
#include "admin_list.h"
#include "admin_use.h"
#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "common/codec.h"
#include "common/pcr_text.h"

/* --- Showing --- */

static enum err set_pcrs(json_t *object, struct bytes encoded)
{
    struct pcr_set pcrs;
    json_t *values = json_object();
    TRY(admin_set(object, "pcrs", values));
    TRY(pcr_set_parse(encoded, &pcrs));
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        char key[4];
        if ((pcrs.present >> i & 1) == 0)
            continue;
        snprintf(key, sizeof key, "%u", i);
        TRY(admin_set(values, key, admin_hex(bytes_of(pcrs.value[i], ATTDOC_PCR_LEN))));
    }
    return ERR_OK;
}

static enum err set_labels(json_t *object, struct bytes encoded)
{
    struct cbor_reader r;
    struct cbor_map map;
    bool more;
    json_t *labels = json_object();
    TRY(admin_set(object, "labels", labels));
    cbor_reader_init(&r, encoded, 0, "labels", NULL);
    TRY(cbor_reader_map(&r, false, &map));
    for (;;) {
        struct bytes key;
        struct bytes value;
        char name[POLICY_LABEL_MAX];
        TRY(cbor_reader_map_more(&r, &map, &more));
        if (!more)
            return ERR_OK;
        TRY(cbor_reader_text(&r, &key));
        TRY(cbor_reader_text(&r, &value));
        snprintf(name, sizeof name, "%.*s", (int)key.len, (const char *)key.ptr);
        TRY(admin_set(labels, name, admin_string(value)));
    }
}

static enum err show_measurement(const struct policy *policy, uint64_t id, const void *context,
                                 json_t *object)
{
    const struct policy_measurement *m = policy_measurement_get(policy, id);
    (void)context;
    TRY(admin_set(object, "id", json_integer((json_int_t)id)));
    TRY(admin_set(object, "image", json_string(policy_image_get(policy, m->image_id)->name)));
    TRY(admin_set(object, "version", json_string(m->version)));
    TRY(admin_set(object, "kind", json_string(attdoc_kind_name(m->kind))));
    TRY(admin_set(object, "debug", json_boolean(m->debug)));
    TRY(admin_set(object, "state", json_string(measurement_state_name(m->state))));
    TRY(set_pcrs(object, bytes_of_buf(&m->pcrs)));
    TRY(admin_set(object, "root_sha256", admin_hex(bytes_of(m->root, sizeof m->root))));
    if (m->not_before_ms != POLICY_NO_TIME)
        TRY(admin_set(object, "not_before", admin_time(m->not_before_ms)));
    if (m->not_after_ms != POLICY_NO_TIME)
        TRY(admin_set(object, "not_after", admin_time(m->not_after_ms)));
    TRY(set_labels(object, bytes_of_buf(&m->labels)));
    TRY(admin_set(object, "provenance", admin_string(bytes_of_buf(&m->provenance))));
    if (m->added_by != 0)
        TRY(admin_set(object, "added_by",
                      json_string(policy_person_get(policy, m->added_by)->name)));
    return admin_set(object, "created", admin_time(m->created_ms));
}

enum err admin_build_answer(struct admin_call *call, uint64_t id, const char *result, json_t *out)
{
    uint64_t revision;
    json_t *object = json_object();
    TRY(admin_set(out, "measurement", object));
    TRY(admin_set(out, "result", json_string(result)));
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = show_measurement(policy, id, NULL, object);
    ledger_done(call->warden->ledger);
    return err;
}

/* --- Finding --- */

static enum err read_build(struct admin_call *call, char image[static 64], char version[static 64])
{
    TRY(admin_text(call, "image", ADMIN_REQUIRED, 64, image));
    TRY(admin_text(call, "version", ADMIN_REQUIRED, 64, version));
    if (!protocol_image_valid(bytes_of_text(image)))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "image"), ERR_MALFORMED,
             "an image is 1..63 of a-z 0-9 . _ - and begins with a letter or digit");
    if (!protocol_image_version_valid(bytes_of_text(version)))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "version"), ERR_MALFORMED,
             "a version is 1..63 of A-Z a-z 0-9 . _ + - and begins with a letter or digit");
    return ERR_OK;
}

static enum err find_build(struct admin_call *call, const struct policy *policy, const char *image,
                           const char *version, uint64_t *id)
{
    const uint64_t image_id = policy_find_image(policy, image);
    *id = image_id == 0 ? 0 : policy_find_measurement(policy, image_id, version);
    if (*id == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", image_id == 0 ? "image" : "version"),
             ERR_NOT_FOUND, "there is no measurement %s@%s", image, version);
    return ERR_OK;
}

enum err admin_find_build(struct admin_call *call, const struct policy *policy, uint64_t *id)
{
    char image[64];
    char version[64];
    TRY(read_build(call, image, version));
    return find_build(call, policy, image, version, id);
}

static enum err show_with_use(struct admin_call *call, const struct policy *policy, json_t *object)
{
    uint64_t id;
    TRY(admin_find_build(call, policy, &id));
    TRY(show_measurement(policy, id, NULL, object));
    return admin_set_use(call, policy, id, object);
}

enum err admin_measurement_show(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    json_t *object = json_object();
    TRY(admin_set(out, "measurement", object));
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = show_with_use(call, policy, object);
    ledger_done(call->warden->ledger);
    return err;
}

/* --- Adding --- */

static enum err add_pcr(struct admin_call *call, struct bytes key, struct bytes value,
                        void *context)
{
    struct pcr_set *pcrs = context;
    uint8_t pcr[ATTDOC_PCR_LEN];
    unsigned index = 0;
    TRY(pcr_member_parse(key, value, &index, pcr, call->fault));
    memcpy(pcrs->value[index], pcr, sizeof pcr);
    pcrs->present |= 1u << index;
    return ERR_OK;
}

static enum err check_label(struct admin_call *call, struct bytes key, struct bytes value,
                            void *context)
{
    (void)context;
    if (key.len < 1 || key.len >= POLICY_LABEL_MAX || value.len > 1024)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "labels"), ERR_MALFORMED,
             "a label's name has 1..%d bytes, its value at most 1024", POLICY_LABEL_MAX - 1);
    if (memchr(key.ptr, 0, key.len) != NULL)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "labels"), ERR_MALFORMED,
             "a label's name has no NUL");
    return ERR_OK;
}

static enum err read_labels(struct admin_call *call, struct policy_measurement *m)
{
    static const uint8_t empty_map[] = {0xa0};
    const struct param *labels = admin_param(call, "labels");
    TRY(admin_map(call, "labels", check_label, NULL));
    return buf_append(&m->labels,
                      labels == NULL ? bytes_of(empty_map, sizeof empty_map) : labels->data);
}

static enum err read_kind(struct admin_call *call, struct policy_measurement *m)
{
    char kind[16] = "enclave";
    TRY(admin_text(call, "kind", ADMIN_OPTIONAL, sizeof kind, kind));
    if (strcmp(kind, attdoc_kind_name(ATTDOC_ENCLAVE)) == 0)
        m->kind = ATTDOC_ENCLAVE;
    else if (strcmp(kind, attdoc_kind_name(ATTDOC_NITROTPM)) == 0)
        m->kind = ATTDOC_NITROTPM;
    else
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "kind"), ERR_MALFORMED,
             "enclave or nitrotpm is expected");
    return ERR_OK;
}

/* Everything of the new row but its image; nothing is looked up yet. */
static enum err read_measurement(struct admin_call *call, struct policy_measurement *m)
{
    struct pcr_set pcrs = {0};
    char provenance[4097] = "";
    bool draft = false;

    TRY(read_kind(call, m));
    TRY(admin_bool(call, "debug", &m->debug));
    TRY(admin_bool(call, "draft", &draft));
    TRY(admin_map(call, "pcrs", add_pcr, &pcrs));
    TRY(policy_measurement_check(m->kind, m->debug, call->warden->production, &pcrs, call->fault));
    TRY(pcr_set_append(&pcrs, &m->pcrs));
    TRY(read_labels(call, m));
    TRY(admin_text(call, "provenance", ADMIN_OPTIONAL, sizeof provenance, provenance));
    TRY(buf_append_text(&m->provenance, provenance));
    TRY(admin_window(call, &m->not_before_ms, &m->not_after_ms));
    if (!draft && (call->rights & RIGHT_ACTIVATE) == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "draft"), ERR_FORBIDDEN,
             "%s may only draft: add --draft, and have somebody activate it", call->person);
    m->state = draft ? MEASUREMENT_DRAFT : MEASUREMENT_ACTIVE;
    m->created_ms = call->now_ms;
    m->added_by = call->person_id;
    memcpy(m->root, attest_trust_root_sha256(call->warden->trust), sizeof m->root);
    return ERR_OK;
}

static enum err insert_measurement(struct admin_call *call, const struct policy *policy,
                                   const char *image, struct policy_measurement *m,
                                   struct ledger_change *change)
{
    CLEANUP(buf_free) struct buf columns = {0};
    m->image_id = policy_find_image(policy, image);
    if (m->image_id == 0) {
        struct policy_image row = {.created_ms = call->now_ms};
        snprintf(row.name, sizeof row.name, "%s", image);
        m->image_id = policy_image_count(policy) + 1;
        TRY(policy_image_append(&row, &columns));
        TRY(ledger_change_add(change, POLICY_IMAGE, m->image_id, &columns));
    }
    const enum err err = policy_measurement_append(m, &columns);
    if (err == ERR_TOO_LARGE)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "labels"), err, "there are too many labels");
    TRY(err);
    return ledger_change_add(change, POLICY_MEASUREMENT, policy_measurement_count(policy) + 1,
                             &columns);
}

enum err admin_build_prepare(struct admin_call *call, const struct policy *policy,
                             const char *image, struct policy_measurement *m,
                             struct ledger_change *change, uint64_t *id)
{
    const uint64_t image_id = policy_find_image(policy, image);
    const uint64_t same_name =
        image_id == 0 ? 0 : policy_find_measurement(policy, image_id, m->version);
    const uint64_t same_values = policy_find_same_values(policy, m);
    if (same_name != 0 || same_values != 0) {
        *id = same_name;
        return admin_conflict(call, policy, image, m, same_name, same_values);
    }
    *id = policy_measurement_count(policy) + 1;
    return insert_measurement(call, policy, image, m, change);
}

enum err admin_build_read(struct admin_call *call, char image[static 64],
                          struct policy_measurement *m)
{
    TRY(read_build(call, image, m->version));
    return read_measurement(call, m);
}

enum err admin_measurement_add(struct admin_call *call, json_t *out)
{
    CLEANUP(ledger_change_free) struct ledger_change change = {0};
    CLEANUP(policy_measurement_free) struct policy_measurement m = {0};
    char image[64];
    char build[PROTOCOL_BUILD_MAX + 1];
    uint64_t revision;
    uint64_t id = 0;

    TRY(admin_build_read(call, image, &m));
    snprintf(build, sizeof build, "%s@%s", image, m.version);
    const struct policy *policy;
    TRY(admin_begin(call, &policy, &revision));
    const enum err err = admin_build_prepare(call, policy, image, &m, &change, &id);
    if (err != ERR_OK || change.count == 0) {
        ledger_abandon(call->warden->ledger);
        TRY(err);
        return admin_build_answer(call, id, "unchanged", out);
    }
    const struct audit_event event = admin_event(call, revision + 1, build,
                                                 m.debug ? "added, for debug mode"
                                                 : m.state == MEASUREMENT_DRAFT ? "added as a draft"
                                                                                : "added, active");
    TRY(ledger_commit_change(call->warden->ledger, &change, &event, call->fault));
    return admin_build_answer(call, id, "added", out);
}

/* --- Changing its state --- */

/* draft -> active -> deprecated -> revoked (final); deprecated may become active again.  A
 * draft, which nothing was ever released to, may be discarded instead (final). */
static bool may_become(enum measurement_state from, enum measurement_state to)
{
    static const bool may[][MEASUREMENT_DISCARDED + 1] = {
        [MEASUREMENT_DRAFT] = {[MEASUREMENT_ACTIVE] = true,
                               [MEASUREMENT_REVOKED] = true,
                               [MEASUREMENT_DISCARDED] = true},
        [MEASUREMENT_ACTIVE] = {[MEASUREMENT_DEPRECATED] = true, [MEASUREMENT_REVOKED] = true},
        [MEASUREMENT_DEPRECATED] = {[MEASUREMENT_ACTIVE] = true, [MEASUREMENT_REVOKED] = true},
        [MEASUREMENT_REVOKED] = {false},
        [MEASUREMENT_DISCARDED] = {false},
    };
    return may[from][to];
}

/* A pipeline of some images takes back its own mistakes, not what others are about to approve. */
static enum err check_own_draft(struct admin_call *call, const struct policy_measurement *m)
{
    if (call->images.len > 0 && m->added_by != call->person_id)
        FAIL(call->fault, ERR_FORBIDDEN,
             "%s's token is for some images only, and takes back no drafts but %s's own",
             call->person, call->person);
    return ERR_OK;
}

static enum err prepare_state(struct admin_call *call, const struct policy *policy,
                              const char *image, const char *version, enum measurement_state to,
                              struct ledger_change *change, uint64_t *id)
{
    CLEANUP(policy_measurement_free) struct policy_measurement m = {0};
    CLEANUP(buf_free) struct buf columns = {0};
    TRY(find_build(call, policy, image, version, id));
    const struct policy_measurement *old = policy_measurement_get(policy, *id);
    TRY(check_own_draft(call, old));
    if (old->state == to)
        return ERR_OK;
    if (!may_become(old->state, to))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "state"), ERR_WRONG_STATE,
             "%s@%s is %s and cannot become %s%s", image, version,
             measurement_state_name(old->state), measurement_state_name(to),
             to == MEASUREMENT_DISCARDED ? ": only a draft is taken back, others are revoked" : "");
    TRY(policy_measurement_append(old, &columns));
    TRY(policy_measurement_parse(bytes_of_buf(&columns), &m));
    m.state = to;
    columns.len = 0;
    TRY(policy_measurement_append(&m, &columns));
    if (to == MEASUREMENT_ACTIVE)
        change->activated_id = *id;
    return ledger_change_add(change, POLICY_MEASUREMENT, *id, &columns);
}

static enum err change_state(struct admin_call *call, enum measurement_state to, json_t *out)
{
    CLEANUP(ledger_change_free) struct ledger_change change = {0};
    char image[64];
    char version[64];
    char reason[256] = "";
    char build[PROTOCOL_BUILD_MAX + 1];
    bool dry_run = false;
    uint64_t revision;
    uint64_t id = 0;

    TRY(read_build(call, image, version));
    TRY(admin_text(call, "reason", ADMIN_OPTIONAL, sizeof reason, reason));
    TRY(admin_bool(call, "dry_run", &dry_run));
    snprintf(build, sizeof build, "%s@%s", image, version);
    const struct policy *policy;
    TRY(admin_begin(call, &policy, &revision));
    const enum err err = prepare_state(call, policy, image, version, to, &change, &id);
    if (err != ERR_OK || change.count == 0 || dry_run) {
        ledger_abandon(call->warden->ledger);
        TRY(err);
        return admin_build_answer(call, id, change.count == 0 ? "unchanged" : "would change", out);
    }
    const struct audit_event event = admin_event(call, revision + 1, build, reason);
    TRY(ledger_commit_change(call->warden->ledger, &change, &event, call->fault));
    return admin_build_answer(call, id, "changed", out);
}

enum err admin_measurement_activate(struct admin_call *call, json_t *out)
{
    return change_state(call, MEASUREMENT_ACTIVE, out);
}

enum err admin_measurement_deprecate(struct admin_call *call, json_t *out)
{
    return change_state(call, MEASUREMENT_DEPRECATED, out);
}

enum err admin_measurement_revoke(struct admin_call *call, json_t *out)
{
    return change_state(call, MEASUREMENT_REVOKED, out);
}

/* A draft takes the values of a build, so that nobody else can register them, and revoking it
 * would deny that build for ever: whoever may only draft must be able to take it back. */
enum err admin_measurement_discard(struct admin_call *call, json_t *out)
{
    return change_state(call, MEASUREMENT_DISCARDED, out);
}

/* --- Listing --- */

struct measurement_filter {
    uint64_t image_id;
    char state[16];
    uint64_t unused_since_ms; /* 0: used or not */
    struct use_view *use;
};

/* What could be ended because nobody needs it: it counts, and was not used for long.  Where the
 * store fails it is for show_row to say so. */
static bool is_unused(const struct measurement_filter *filter, uint64_t id,
                      const struct policy_measurement *m)
{
    const struct store_use *use;
    if (m->state != MEASUREMENT_ACTIVE && m->state != MEASUREMENT_DEPRECATED)
        return false;
    return use_view_get(filter->use, id, &use) != ERR_OK ||
           use_idle_since(m, use) < filter->unused_since_ms;
}

static bool measurement_wanted(const struct policy *policy, uint64_t id, const void *context)
{
    const struct measurement_filter *filter = context;
    const struct policy_measurement *m = policy_measurement_get(policy, id);
    if (filter->unused_since_ms != 0 && !is_unused(filter, id, m))
        return false;
    if (filter->state[0] == '\0') /* what was taken back is shown to those who ask for it */
        return m->state != MEASUREMENT_DISCARDED;
    return strcmp(filter->state, measurement_state_name(m->state)) == 0;
}

static enum err show_row(const struct policy *policy, uint64_t id, const void *context,
                         json_t *object)
{
    const struct measurement_filter *filter = context;
    const struct store_use *use;
    TRY(use_view_get(filter->use, id, &use));
    TRY(show_measurement(policy, id, NULL, object));
    return use->last_ms == 0 ? ERR_OK : admin_set(object, "last_seen", admin_time(use->last_ms));
}

static uint64_t next_of_image(const struct policy *policy, uint64_t after, const void *context)
{
    const struct measurement_filter *filter = context;
    return policy_next_build(policy, filter->image_id, after);
}

enum err admin_measurement_list(struct admin_call *call, json_t *out)
{
    struct use_view use = {.call = call, .window = USE_WINDOW};
    struct measurement_filter filter = {.use = &use};
    char image[64] = "";
    uint64_t revision;
    TRY(admin_text(call, "image", ADMIN_OPTIONAL, sizeof image, image));
    TRY(admin_text(call, "state", ADMIN_OPTIONAL, sizeof filter.state, filter.state));
    if (filter.state[0] != '\0')
        TRY(admin_one_of(call, "state", filter.state, "draft", "active", "deprecated", "revoked",
                         "discarded"));
    TRY(admin_read_time(call, "unused_since", &filter.unused_since_ms));
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    filter.image_id = image[0] == '\0' ? 0 : policy_find_image(policy, image);
    if (filter.image_id != 0)
        use.window = USE_WINDOW_OF_IMAGE;
    const struct admin_rows rows = {.member = "measurements",
                                    .count = policy_measurement_count(policy),
                                    .next = filter.image_id == 0 ? NULL : next_of_image,
                                    .wanted = measurement_wanted,
                                    .show = show_row,
                                    .context = &filter};
    enum err err;
    if (image[0] != '\0' && filter.image_id == 0)
        err = fault_set(fault_at(call->fault, FAULT_NO_OFFSET, "image"), ERR_NOT_FOUND,
                        "there is no image %s", image);
    else
        err = admin_list_rows(call, policy, &rows, out);
    ledger_done(call->warden->ledger);
    return err;
}

static enum err show_image(const struct policy *policy, uint64_t id, const void *context,
                           json_t *object)
{
    const struct policy_image *image = policy_image_get(policy, id);
    json_t *states = json_object();
    (void)context;
    TRY(admin_set(object, "measurements", states));
    for (enum measurement_state s = MEASUREMENT_DRAFT; s <= MEASUREMENT_STATE_LAST; s++)
        TRY(admin_set(states, measurement_state_name(s),
                      json_integer((json_int_t)policy_count_builds(policy, id, s))));
    TRY(admin_set(object, "image", json_string(image->name)));
    return admin_set(object, "created", admin_time(image->created_ms));
}

enum err admin_image_list(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err =
        admin_list(call, policy, "images", policy_image_count(policy), NULL, show_image, NULL, out);
    ledger_done(call->warden->ledger);
    return err;
}
