#include "admin_conflict.h"

#include <stdio.h>
#include <string.h>

#include "common/cbor_reader.h"
#include "common/codec.h"

/* ---- values ---- */

#define DIFFERENCE_MAX 40 /* ", PCR16 is 00112233.., not 44556677.." */
#define MORE_MAX       16 /* ", and 29 more" */

static void shorten(const struct pcr_set *set, unsigned index, char out[static 11])
{
    strcpy(out, "absent");
    if ((set->present >> index & 1) == 0)
        return;
    hex_encode(bytes_of(set->value[index], 4), out);
    strcat(out, "..");
}

/* A text that names the PCRs in which two sets differ, the first few of them. */
static void name_pcrs(struct bytes a, struct bytes b, char *out, size_t size)
{
    struct pcr_set x = {0};
    struct pcr_set y = {0};
    size_t used = 0;
    unsigned more = 0;
    out[0] = '\0';
    if (pcr_set_parse(a, &x) != ERR_OK || pcr_set_parse(b, &y) != ERR_OK)
        return;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        char was[11];
        char is[11];
        if ((x.present >> i & 1) == (y.present >> i & 1) &&
            memcmp(x.value[i], y.value[i], ATTDOC_PCR_LEN) == 0)
            continue;
        if (used + DIFFERENCE_MAX + MORE_MAX > size) {
            more++;
            continue;
        }
        shorten(&x, i, was);
        shorten(&y, i, is);
        const int n = snprintf(out + used, size - used, "%sPCR%u is %s, not %s",
                               used == 0 ? "" : ", ", i, was, is);
        used += n < 0 ? 0 : (size_t)n;
    }
    if (more > 0)
        snprintf(out + used, size - used, ", and %u more", more);
}

/* ---- the rest of a row ---- */

static enum err compare_window(struct admin_call *call, const char *parameter, const char *image,
                               const struct policy_measurement *old, uint64_t was_ms,
                               uint64_t asked_ms)
{
    char was[TIME_TEXT_MAX] = "none";
    char asked[TIME_TEXT_MAX] = "none";
    if (was_ms == asked_ms)
        return ERR_OK;
    if (was_ms != POLICY_NO_TIME)
        time_format((int64_t)was_ms, was);
    if (asked_ms != POLICY_NO_TIME)
        time_format((int64_t)asked_ms, asked);
    FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", parameter), ERR_EXISTS,
         "%s@%s exists with another one: %s, not %s; it never changes", image, old->version, was,
         asked);
}

/* The label at the reader's place, or empty after the last. */
static enum err next_label(struct cbor_reader *r, struct cbor_map *map, struct bytes *name,
                           struct bytes *value)
{
    bool more;
    *name = *value = (struct bytes){0};
    TRY(cbor_reader_map_more(r, map, &more));
    if (!more)
        return ERR_OK;
    TRY(cbor_reader_text(r, name));
    return cbor_reader_text(r, value);
}

/* Shorter names come first in a row's map; an empty one stands for its end. */
static bool comes_first(struct bytes a, struct bytes b)
{
    if (a.len == 0 || b.len == 0)
        return b.len == 0;
    return a.len != b.len ? a.len < b.len : memcmp(a.ptr, b.ptr, a.len) <= 0;
}

/* The first label in which two rows' maps differ. */
static enum err different_label(struct bytes a, struct bytes b, struct bytes *name)
{
    struct cbor_reader x, y;
    struct cbor_map x_map, y_map;
    struct bytes x_name, x_value, y_name, y_value;
    cbor_reader_init(&x, a, 0, "labels", NULL);
    cbor_reader_init(&y, b, 0, "labels", NULL);
    TRY(cbor_reader_map(&x, false, &x_map));
    TRY(cbor_reader_map(&y, false, &y_map));
    do {
        TRY(next_label(&x, &x_map, &x_name, &x_value));
        TRY(next_label(&y, &y_map, &y_name, &y_value));
    } while (x_name.len != 0 && bytes_equal(x_name, y_name) && bytes_equal(x_value, y_value));
    *name = comes_first(x_name, y_name) ? x_name : y_name;
    return ERR_OK;
}

static enum err compare_labels(struct admin_call *call, const char *image,
                               const struct policy_measurement *old,
                               const struct policy_measurement *asked)
{
    struct bytes name = {0};
    if (admin_param(call, "labels") == NULL ||
        bytes_equal(bytes_of_buf(&old->labels), bytes_of_buf(&asked->labels)))
        return ERR_OK;
    TRY(different_label(bytes_of_buf(&old->labels), bytes_of_buf(&asked->labels), &name));
    FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "labels"), ERR_EXISTS,
         "%s@%s exists with other labels: \"%.*s\" differs; labels never change: give the same "
         "ones, or register a new build",
         image, old->version, name.len < 64 ? (int)name.len : 64,
         name.len == 0 ? "" : (const char *)name.ptr);
}

/* The same values under the same name: no change, if what was asked for is what is there. */
static enum err compare_rest(struct admin_call *call, const char *image,
                             const struct policy_measurement *old,
                             const struct policy_measurement *asked)
{
    TRY(compare_window(call, "not_before", image, old, old->not_before_ms, asked->not_before_ms));
    TRY(compare_window(call, "not_after", image, old, old->not_after_ms, asked->not_after_ms));
    TRY(compare_labels(call, image, old, asked));
    if (old->state == MEASUREMENT_REVOKED || /* a draft of it would never count */
        (asked->state == MEASUREMENT_ACTIVE && old->state != MEASUREMENT_ACTIVE))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "state"), ERR_WRONG_STATE,
             "%s@%s exists and is %s%s", image, asked->version, measurement_state_name(old->state),
             old->state == MEASUREMENT_REVOKED ? " for good"
                                               : "; `measurement activate` makes it count");
    return ERR_OK;
}

/* ---- the whole ---- */

/* Other values under that name. */
static enum err refuse_name(struct admin_call *call, const char *image,
                            const struct policy_measurement *old,
                            const struct policy_measurement *asked)
{
    char differences[DIFFERENCE_MAX * 3 + MORE_MAX];
    if (old->state == MEASUREMENT_DISCARDED)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "version"), ERR_EXISTS,
             "%s@%s was a draft and was discarded; its name stays used: a new build needs a new "
             "version",
             image, asked->version);
    if (old->kind != asked->kind)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "kind"), ERR_EXISTS,
             "%s@%s exists and is of kind %s", image, asked->version, attdoc_kind_name(old->kind));
    if (old->debug != asked->debug)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "debug"), ERR_EXISTS,
             "%s@%s exists and is %sfor debug mode", image, asked->version,
             old->debug ? "" : "not ");
    name_pcrs(bytes_of_buf(&old->pcrs), bytes_of_buf(&asked->pcrs), differences,
              sizeof differences);
    FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "pcrs"), ERR_EXISTS,
         "%s@%s is registered with other values: %s; a new build needs a new version", image,
         asked->version, differences);
}

enum err admin_conflict(struct admin_call *call, const struct policy *policy, const char *image,
                        const struct policy_measurement *asked, uint64_t same_name,
                        uint64_t same_values)
{
    const struct policy_measurement *old = policy_measurement_get(policy, same_name);
    if (old != NULL && same_name == same_values)
        return compare_rest(call, image, old, asked);
    if (old != NULL)
        return refuse_name(call, image, old, asked);
    old = policy_measurement_get(policy, same_values);
    if (!admin_may_see(call, policy_image_get(policy, old->image_id)->name))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "pcrs"), ERR_EXISTS,
             "another image has exactly these values already: one build, one measurement");
    FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "pcrs"), ERR_EXISTS,
         "%s@%s (%s) has exactly these values already: one build, one measurement",
         policy_image_get(policy, old->image_id)->name, old->version,
         measurement_state_name(old->state));
}
