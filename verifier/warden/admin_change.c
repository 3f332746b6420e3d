#include "admin_change.h"

enum err admin_begin(struct admin_call *call, const struct policy **policy, uint64_t *revision)
{
    *policy = ledger_begin(call->warden->ledger, revision);
    const struct policy_token *token = policy_token_get(*policy, call->token_id);
    if (token != NULL && policy_token_life(*policy, token, call->now_ms) == TOKEN_COUNTS)
        return ERR_OK;
    ledger_abandon(call->warden->ledger);
    FAIL(call->fault, ERR_UNAUTHENTICATED,
         "token %llu ended while this request waited: --token-file FILE or VOUCHSAFE_TOKEN",
         (unsigned long long)call->token_id);
}

static void change_free(struct admin_change *change)
{
    ledger_change_free(&change->rows);
    buf_free(&change->object);
    buf_free(&change->detail);
}

static enum err prepare_whole(struct admin_call *call, const struct policy *policy,
                              admin_prepare_fn *prepare, void *asked, struct admin_change *change)
{
    TRY(prepare(call, policy, asked, change));
    if (buf_text(&change->object) == NULL || buf_text(&change->detail) == NULL)
        return ERR_NO_MEMORY;
    return ERR_OK;
}

enum err admin_change(struct admin_call *call, admin_prepare_fn *prepare, void *asked,
                      admin_answer_fn *answer, json_t *out)
{
    CLEANUP(change_free) struct admin_change change = {.result = "unchanged"};
    struct ledger *ledger = call->warden->ledger;
    uint64_t revision;
    const struct policy *policy;
    TRY(admin_begin(call, &policy, &revision));
    const enum err err = prepare_whole(call, policy, prepare, asked, &change);
    if (err != ERR_OK || change.rows.count == 0) {
        ledger_abandon(ledger);
        TRY(err);
        return answer(call, change.id, change.result, out);
    }
    const struct audit_event event = admin_event(
        call, revision + 1, (const char *)change.object.ptr, (const char *)change.detail.ptr);
    TRY(ledger_commit_change(ledger, &change.rows, &event, call->fault));
    return answer(call, change.id, change.result, out);
}

enum err admin_answer_row(struct admin_call *call, const struct admin_row *row, uint64_t id,
                          const char *result, json_t *out)
{
    uint64_t revision;
    json_t *object = json_object();
    TRY(admin_set(out, row->member, object));
    TRY(admin_set(out, "result", json_string(result)));
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = row->show(policy, id, row->context, object);
    ledger_done(call->warden->ledger);
    return err;
}
