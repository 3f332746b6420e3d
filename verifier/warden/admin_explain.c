/* Why is this not released?  A document, or a recorded decision, goes through what a release
 * goes through, but nothing is released, redeemed, counted or recorded (PROTOCOL section 9). */
#include <stdio.h>
#include <string.h>

#include "admin_list.h"
#include "challenge.h"
#include "common/codec.h"
#include "common/wrap.h"
#include "explain.h"

/* What is being explained, and how far it came. */
struct explaining {
    struct admin_call *call;
    json_t *out; /* the answer */
    struct policy_inquiry inquiry;
    struct policy_facts facts;
    struct fault fault; /* why it would be refused: the first thing that stands against it */
};

static void let_changes_through(void *context)
{
    (void)ledger_pause(context);
}

static enum err judge(struct explaining *x)
{
    struct warden *w = x->call->warden;
    struct policy_explanation e;
    uint64_t revision;
    x->inquiry.pause = let_changes_through;
    x->inquiry.pause_context = w->ledger;
    const struct policy *policy = ledger_read(w->ledger, &revision);
    enum err err = policy_explain(policy, &x->inquiry, &e);
    if (err == ERR_OK)
        err = explain_show(x->call, policy, &x->inquiry, &e, x->out);
    ledger_done(w->ledger);
    TRY(err);
    if (x->fault.code == ERR_OK && e.code != ERR_OK)
        fault_set(&x->fault, e.code, "%s",
                  e.code == ERR_DEBUG ? e.detail : "the policy does not release it");
    return admin_set(x->out, "policy_revision", json_integer((json_int_t)revision));
}

static enum err set_verdict(struct explaining *x)
{
    const struct fault *fault = &x->fault;
    const bool released = fault->code == ERR_OK;
    TRY(admin_set(x->out, "verdict", json_string(released ? "released" : "refused")));
    TRY(admin_set(x->out, "code", json_string(err_wire(fault->code))));
    if (!released)
        TRY(admin_set(x->out, "detail", json_string(fault->detail)));
    if (fault->field[0] != '\0')
        TRY(admin_set(x->out, "field", json_string(fault->field)));
    return ERR_OK;
}

/* --- A document --- */

/* "db/main,web/key@3": as the request has them, in its order. */
static enum err read_secrets(struct admin_call *call, struct wanted_list *wanted)
{
    const struct param *p = admin_param(call, "secrets");
    struct fault *fault = fault_at(call->fault, FAULT_NO_OFFSET, "secrets");
    if (p == NULL || p->type != PARAM_TEXT)
        FAIL(fault, ERR_MALFORMED, "names of secrets, joined by commas, are required");
    for (struct bytes rest = p->data;;) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
        const struct bytes one =
            bytes_of(rest.ptr, comma == NULL ? rest.len : (size_t)(comma - rest.ptr));
        const uint8_t *at = memchr(one.ptr, '@', one.len);
        const struct bytes name = bytes_of(one.ptr, at == NULL ? one.len : (size_t)(at - one.ptr));
        uint64_t version = 0;
        if (at != NULL && (decimal_parse(bytes_of(at + 1, one.len - name.len - 1),
                                         PROTOCOL_VERSION_MAX, &version) != ERR_OK ||
                           version == 0))
            FAIL(fault, ERR_MALFORMED, "NAME or NAME@VERSION is expected, joined by commas");
        TRY(wanted_add(wanted, name, version, 0, fault));
        if (comma == NULL)
            return ERR_OK;
        rest = bytes_of(comma + 1, rest.len - one.len - 1);
    }
}

static enum err add_check(struct explaining *x, const char *list, const char *name,
                          const char *result)
{
    json_t *row = json_object();
    if (json_array_append_new(json_object_get(x->out, list), row) != 0)
        return ERR_NO_MEMORY;
    TRY(admin_set(row, "check", json_string(name)));
    return admin_set(row, "result", json_string(result));
}

/* V1, V3 and V4, in their order. */
static enum err list_checks(struct explaining *x, const struct attest_report *report,
                            enum err timestamp)
{
    TRY(admin_set(x->out, "checks", json_array()));
    for (unsigned i = 0; i < ATTEST_CHECK_COUNT; i++)
        TRY(add_check(x, "checks", attest_check_name((enum attest_check)i),
                      i < report->reached    ? "ok"
                      : i == report->reached ? "failed"
                                             : "not reached"));
    return add_check(x, "checks", "timestamp",
                     report->reached < ATTEST_CHECK_COUNT ? "not reached"
                     : timestamp == ERR_OK                ? "ok"
                                                          : "failed");
}

/* What a challenge, a binding or a key can be; the rest is our own failure. */
static enum err add_binding(struct explaining *x, const char *name, enum err err)
{
    if (err != ERR_OK && !err_is_verdict(err) && err_class(err) != ERR_CLASS_CONFLICT)
        return err;
    return add_check(x, "binding", name, err_wire(err));
}

static enum err look_at_challenge(const struct warden *w, struct bytes nonce, uint64_t now_ms,
                                  struct fault *fault)
{
    const struct store_identity *identity = ledger_identity(w->ledger);
    uint64_t expiry_ms;
    TRY(challenge_check(w->keyring, identity->challenge_epoch, nonce, now_ms,
                        identity->purged_before_ms, &expiry_ms, fault));
    return store_ops(w->store)->check_redeemed(w->store, nonce.ptr, fault);
}

/* V2, on which a release insists and nothing here depends: the code of each. */
static enum err list_binding(struct explaining *x, const struct attdoc *doc, uint64_t now_ms)
{
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    struct bytes application;
    struct fault fault = FAULT_NONE;
    TRY(admin_set(x->out, "binding", json_array()));
    TRY(add_binding(x, "challenge",
                    look_at_challenge(x->call->warden, doc->nonce.value, now_ms, &fault)));
    TRY(add_binding(
        x, "user_data",
        protocol_user_data_check(x->inquiry.wanted, doc->user_data.value, &application, &fault)));
    return add_binding(x, "public_key",
                       wrap_recipient_parse(doc->public_key.value, &recipient, &fault));
}

/* As an audit record shows it. */
static enum err show_document(struct explaining *x, const struct verified_doc *doc)
{
    const struct policy_facts *facts = &x->facts;
    json_t *object = json_object();
    TRY(admin_set(x->out, "document", object));
    TRY(admin_set(object, "digest", admin_hex(bytes_of(verified_doc_digest(doc), SHA384_LEN))));
    TRY(admin_set(object, "module_id", admin_string(facts->module_id)));
    TRY(admin_set(object, "kind", json_string(attdoc_kind_name(facts->kind))));
    TRY(admin_set(object, "debug", json_boolean(facts->debug)));
    TRY(admin_set(object, "timestamp", admin_time(verified_doc_fields(doc)->timestamp_ms)));
    TRY(admin_set(object, "root_sha256", admin_hex(bytes_of(facts->root_sha256, SHA256_LEN))));
    if (facts->region.len > 0)
        TRY(admin_set(object, "region", admin_string(facts->region)));
    json_t *pcrs = json_object();
    TRY(admin_set(object, "pcrs", pcrs));
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        char name[4];
        if (facts->pcr[i] == NULL || bytes_all_zero(bytes_of(facts->pcr[i], ATTDOC_PCR_LEN)))
            continue;
        snprintf(name, sizeof name, "%u", i);
        TRY(admin_set(pcrs, name, admin_hex(bytes_of(facts->pcr[i], ATTDOC_PCR_LEN))));
    }
    return ERR_OK;
}

/* A document made for no release names no application bytes, not even none. */
static void take_facts(struct explaining *x, const struct verified_doc *doc)
{
    struct bytes application = {0};
    const struct bytes user_data = verified_doc_fields(doc)->user_data.value;
    const bool known = protocol_application(user_data, &application);
    policy_facts_of(doc, application, &x->facts);
    if (!known)
        x->facts.application_known = POLICY_APPLICATION_UNKNOWN;
}

/* As a release does: of the kind that the document says it is. */
static enum err verify_document(struct explaining *x, struct bytes document, int64_t at_ms,
                                struct attest_report *report, struct verified_doc **doc)
{
    struct attest_trust *trust = x->call->warden->trust;
    TRY(attest_parse(trust, document, report, &x->fault));
    return attest_verify(trust, document, report->doc.kind, at_ms, doc, report, &x->fault);
}

static enum err explain_document(struct explaining *x, struct wanted_list *wanted)
{
    struct admin_call *call = x->call;
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    struct attest_report report;
    struct bytes document = {0};
    int64_t at_ms;
    enum err timestamp = ERR_OK;

    TRY(admin_bytes(call, "attestation_document", ADMIN_REQUIRED, &document));
    TRY(read_secrets(call, wanted));
    TRY(admin_at(call, &at_ms));
    const enum err verified = verify_document(x, document, at_ms, &report, &doc);
    if (verified != ERR_OK && !err_is_verdict(verified)) {
        *call->fault = x->fault;
        return verified;
    }
    const bool time_known = at_ms != ATTEST_AT_DOCUMENT || report.parsed;
    const uint64_t now_ms = at_ms != ATTEST_AT_DOCUMENT ? (uint64_t)at_ms
                            : report.parsed             ? report.doc.timestamp_ms
                                                        : 0;
    x->inquiry.now_ms = now_ms;
    if (doc != NULL)
        timestamp =
            release_check_timestamp(verified_doc_fields(doc)->timestamp_ms, now_ms, &x->fault);
    if (time_known)
        TRY(admin_set(x->out, "judged_at", admin_time(now_ms)));
    TRY(list_checks(x, &report, timestamp));
    if (report.parsed)
        TRY(list_binding(x, &report.doc, now_ms));
    if (doc == NULL)
        return set_verdict(x);
    /* What the policy says, too, of a document that is only too old. */
    take_facts(x, doc);
    TRY(show_document(x, doc));
    TRY(judge(x));
    return set_verdict(x);
}

/* --- A recorded decision --- */

/* The last decision among a request's records; there is one, unless ids were ever used twice. */
static enum err keep_decision(const struct audit_entry *entry, void *context)
{
    json_t **decision = context;
    json_t *record = NULL;
    if (strncmp(entry->event, "release.", sizeof "release." - 1) != 0)
        return ERR_OK;
    TRY(audit_record_to_json(entry->record, &record, NULL));
    json_decref(*decision);
    *decision = record;
    return ERR_OK;
}

static enum err find_decision(struct admin_call *call, json_t **decision)
{
    struct store *store = call->warden->store;
    char request[PROTOCOL_REQUEST_ID_MAX + 1] = "";
    TRY(admin_text(call, "request", ADMIN_REQUIRED, sizeof request, request));
    const enum err err =
        store_ops(store)->audit_find(store, request, keep_decision, decision, call->fault);
    (void)fault_at(call->fault, FAULT_NO_OFFSET, "request");
    if (err == ERR_NOT_FOUND)
        FAIL(call->fault, err,
             "no record of it: refused before the document was verified (the caller was told "
             "exactly why), or put off as too_fast, or not of this store; the server's log may "
             "have it as req=%s",
             request);
    if (err != ERR_OK && err_is_verdict(err)) /* on the record's bytes */
        FAIL(call->fault, ERR_STORE_TAMPERED, "its audit record cannot be read: %s", err_wire(err));
    TRY(err);
    if (*decision == NULL)
        FAIL(call->fault, ERR_NOT_FOUND,
             "its record is of an administrator's action, not of a decision: `vouchsafe audit list "
             "--request %s`",
             request);
    return ERR_OK;
}

/* A record does not keep the chain, but says where it was refused for a certificate of it. */
static bool chain_was_revoked(const json_t *record)
{
    const char *revoked = policy_reason_name(REASON_CERTIFICATE_REVOKED);
    size_t i;
    const json_t *secret;
    json_array_foreach(json_object_get(record, "secrets"), i, secret)
    {
        const char *reason = json_string_value(json_object_get(secret, "reason"));
        if (reason != NULL && strcmp(reason, revoked) == 0)
            return true;
    }
    return false;
}

/* Beside what is so now, what was decided then. */
static enum err set_then(const json_t *record, json_t *secrets)
{
    size_t i;
    json_t *secret;
    json_array_foreach(secrets, i, secret)
    {
        json_t *then = json_array_get(json_object_get(record, "secrets"), i);
        TRY(admin_set(secret, "then", json_incref(then)));
    }
    return ERR_OK;
}

struct changes {
    json_t *list;
    uint64_t last; /* the record that was looked at last */
};

/* What changed the policy: everything but decisions and the server's own. */
static enum err keep_change(const struct audit_entry *entry, void *context)
{
    static const char *const members[] = {"sequence", "time", "event", "person", "object"};
    struct changes *changes = context;
    CLEANUP(json_decrefp) json_t *record = NULL;
    changes->last = entry->sequence;
    if (strncmp(entry->event, "release.", sizeof "release." - 1) == 0 ||
        strncmp(entry->event, "serve.", sizeof "serve." - 1) == 0)
        return ERR_OK;
    TRY(audit_record_to_json(entry->record, &record, NULL));
    json_t *change = json_object();
    if (json_array_append_new(changes->list, change) != 0)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        json_t *value = json_object_get(record, members[i]);
        if (value != NULL)
            TRY(admin_set(change, members[i], json_incref(value)));
    }
    return ERR_OK;
}

/* What has been done to the policy since, among the records that one page of the log holds. */
static enum err set_changes(struct explaining *x, const json_t *record)
{
    struct store *store = x->call->warden->store;
    struct changes changes = {.list = json_array()};
    const json_int_t sequence = json_integer_value(json_object_get(record, "sequence"));
    struct audit_head head;
    TRY(admin_set(x->out, "changes", changes.list));
    TRY(store_ops(store)->read_audit_head(store, &head, x->call->fault));
    TRY(store_ops(store)->audit_scan(store, (uint64_t)sequence + 1, head.sequence, ADMIN_LIMIT_MAX,
                                     keep_change, &changes, x->call->fault));
    if (changes.last != 0 && changes.last < head.sequence)
        return admin_set(x->out, "changes_next", json_integer((json_int_t)changes.last + 1));
    return ERR_OK;
}

static enum err explain_request(struct explaining *x, struct explain_record *record)
{
    json_t *decision = NULL;
    const enum err found = find_decision(x->call, &decision);
    if (found != ERR_OK) {
        json_decref(decision);
        return found;
    }
    TRY(explain_record_read(decision, record, x->call->fault));
    TRY(admin_set(x->out, "record", json_incref(record->json)));
    TRY(admin_set(x->out, "judged_at", admin_time(x->call->now_ms)));
    x->facts = record->facts;
    x->facts.chain_was_revoked = chain_was_revoked(record->json);
    x->inquiry.wanted = &record->wanted;
    TRY(judge(x));
    TRY(set_then(record->json, json_object_get(x->out, "secrets")));
    TRY(set_changes(x, record->json));
    return set_verdict(x);
}

enum err admin_explain(struct admin_call *call, json_t *out)
{
    CLEANUP(explain_record_free) struct explain_record record = {.json = NULL};
    struct wanted_list wanted = {.count = 0};
    struct explaining x = {
        .call = call,
        .out = out,
        .inquiry = {.wanted = &wanted,
                    .now_ms = call->now_ms,
                    .production = call->warden->production},
        .fault = FAULT_NONE,
    };
    x.inquiry.facts = &x.facts;
    TRY(set_verdict(&x)); /* the first members of the answer, as they are in the end */
    if (admin_param(call, "request") == NULL)
        return explain_document(&x, &wanted);
    if (call->request->param_count > 1)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "request"), ERR_MALFORMED,
             "a recorded request says itself what was asked for: nothing else is given with it");
    return explain_request(&x, &record);
}
