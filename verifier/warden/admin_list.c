#include "admin_list.h"

#include <stdio.h>
#include <string.h>

#include "common/codec.h"

static enum err append_row(const struct policy *policy, uint64_t id, admin_show_fn *show,
                           const void *context, json_t *rows)
{
    json_t *object = json_object();
    if (json_array_append_new(rows, object) != 0)
        return ERR_NO_MEMORY;
    return show(policy, id, context, object);
}

enum err admin_page(struct admin_call *call, uint64_t *after, uint64_t *limit)
{
    *after = 0;
    *limit = ADMIN_LIMIT_DEFAULT;
    TRY(admin_uint(call, "after", ADMIN_OPTIONAL, INT64_MAX, after));
    TRY(admin_uint(call, "limit", ADMIN_OPTIONAL, ADMIN_LIMIT_MAX, limit));
    if (*limit == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "limit"), ERR_MALFORMED,
             "an integer of 1..%d is expected", ADMIN_LIMIT_MAX);
    return ERR_OK;
}

/* A row shown costs some microseconds; a change that waits shall not wait for a page. */
#define ROWS_AT_ONCE 16

static uint64_t next_row(const struct policy *policy, const struct admin_rows *rows, uint64_t after)
{
    if (rows->next != NULL)
        return rows->next(policy, after, rows->context);
    return after < rows->count ? after + 1 : 0;
}

enum err admin_list_rows(struct admin_call *call, const struct policy *policy,
                         const struct admin_rows *rows, json_t *out)
{
    uint64_t after;
    uint64_t limit;
    uint64_t looked = 0;
    json_t *shown = json_array();
    TRY(admin_set(out, rows->member, shown));
    TRY(admin_page(call, &after, &limit));
    for (uint64_t id; (id = next_row(policy, rows, after)) != 0; after = id) {
        if (looked == ADMIN_LOOK_MAX)
            return admin_set(out, "next", json_integer((json_int_t)after));
        if (looked++ % ROWS_AT_ONCE == ROWS_AT_ONCE - 1)
            call->paused_at = ledger_pause(call->warden->ledger);
        if (rows->wanted != NULL && !rows->wanted(policy, id, rows->context))
            continue;
        if (json_array_size(shown) == limit)
            return admin_set(out, "next", json_integer((json_int_t)after));
        TRY(append_row(policy, id, rows->show, rows->context, shown));
    }
    return ERR_OK;
}

enum err admin_list(struct admin_call *call, const struct policy *policy, const char *member,
                    uint64_t count, admin_wanted_fn *wanted, admin_show_fn *show,
                    const void *context, json_t *out)
{
    const struct admin_rows rows = {
        .member = member, .count = count, .wanted = wanted, .show = show, .context = context};
    return admin_list_rows(call, policy, &rows, out);
}

enum err admin_read_time(struct admin_call *call, const char *name, uint64_t *out)
{
    char text[40] = "";
    int64_t ms;
    TRY(admin_text(call, name, ADMIN_OPTIONAL, sizeof text, text));
    if (text[0] == '\0')
        return ERR_OK;
    if (time_parse(text, &ms) != ERR_OK || ms <= 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED,
             "a time such as 2026-11-23T08:00:00Z is expected");
    *out = (uint64_t)ms;
    return ERR_OK;
}

enum err admin_window(struct admin_call *call, uint64_t *not_before_ms, uint64_t *not_after_ms)
{
    TRY(admin_read_time(call, "not_before", not_before_ms));
    TRY(admin_read_time(call, "not_after", not_after_ms));
    if (*not_after_ms != POLICY_NO_TIME && *not_after_ms < *not_before_ms)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "not_after"), ERR_MALFORMED,
             "the end lies before the beginning");
    return ERR_OK;
}

enum err admin_at(struct admin_call *call, int64_t *now_ms)
{
    char at[40] = "";
    int64_t given_ms = (int64_t)call->now_ms;
    TRY(admin_text(call, "at", ADMIN_OPTIONAL, sizeof at, at));
    if (strcmp(at, "document") == 0)
        given_ms = ATTEST_AT_DOCUMENT;
    else if (at[0] != '\0' && (time_parse(at, &given_ms) != ERR_OK || given_ms < 0))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "at"), ERR_MALFORMED,
             "a time such as 2026-11-23T08:00:00Z, from 1970 on, or \"document\", is expected");
    *now_ms = given_ms;
    return ERR_OK;
}

enum err admin_one_of_list(struct admin_call *call, const char *name, const char *value,
                           const char *const *texts)
{
    char known[128] = "";
    size_t used = 0;
    for (const char *const *text = texts; *text != NULL; text++) {
        if (strcmp(*text, value) == 0)
            return ERR_OK;
        const int n =
            snprintf(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ", *text);
        used += n < 0 || (size_t)n >= sizeof known - used ? 0 : (size_t)n;
    }
    FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED, "one of %s is expected",
         known);
}
