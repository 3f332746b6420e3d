/* A release, step by step: V1 to V7 of DESIGN section 3, PROTOCOL sections 2 to 5. */
#include "warden.h"

#include <stdio.h>
#include <string.h>

#include "challenge.h"
#include "common/codec.h"
#include "common/log.h"
#include "common/receipt.h"
#include "common/wrap.h"
#include "refusals.h"

struct release {
    struct warden *warden;
    const struct warden_request *request;
    uint64_t now_ms;
    struct attest_report report;  /* V1 */
    uint64_t challenge_expiry_ms; /* V2 */
    struct bytes application;
    uint8_t application_sha256[SHA256_LEN]; /* for the record */
    struct wrap_recipient *recipient;
    struct verified_doc *doc;      /* V3; nothing below exists without it */
    struct refusals_place place;   /* V5, of a refusal */
    struct policy_verdict verdict; /* V5 */
    /* For the record: the image@version that granted each, or "". */
    char build[PROTOCOL_SECRETS_MAX][PROTOCOL_BUILD_MAX + 1];
    uint64_t revision;
    struct buf delegation;
    struct store_outcome outcome; /* V6 */
    uint64_t sequence;
};

static void release_free(struct release *r)
{
    wrap_recipient_free(r->recipient);
    verified_doc_free(r->doc);
    buf_free(&r->delegation);
    store_outcome_free(&r->outcome);
}

/* V1: size, COSE_Sign1, CBOR, AWS's syntax rules. */
static enum err read_document(struct release *r, struct fault *fault)
{
    return attest_parse(r->warden->trust, r->request->document, &r->report, fault);
}

/* V2: the challenge is ours and fresh, the document names this request, and there is a
 * key to wrap to.  Junk without a challenge dies here, before any elliptic curve. */
static enum err check_binding(struct release *r, struct fault *fault)
{
    const struct warden *w = r->warden;
    const struct attdoc *doc = &r->report.doc;
    const struct store_identity *identity = ledger_identity(w->ledger);

    TRY(challenge_check(w->keyring, identity->challenge_epoch, doc->nonce.value, r->now_ms,
                        identity->purged_before_ms, &r->challenge_expiry_ms, fault));
    const enum err redeemed =
        store_ops(w->store)->check_redeemed(w->store, doc->nonce.value.ptr, fault);
    if (redeemed == ERR_CHALLENGE_REDEEMED) /* BIND-6 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "nonce"), ERR_CHALLENGE_REDEEMED,
             "the challenge was redeemed before; ask for a new one");
    TRY(redeemed);
    TRY(protocol_user_data_check(&r->request->wanted, doc->user_data.value, &r->application,
                                 fault));
    TRY(digest_sha256(r->application, r->application_sha256));
    TRY(wrap_recipient_parse(doc->public_key.value, &r->recipient,
                             fault_at(fault, FAULT_NO_OFFSET, "public_key")));
    fault_clear(fault);
    return ERR_OK;
}

/* V3: chain and signatures, as of a document of the kind that it says it is: what an enclave is
 * granted is no instance's, and the reverse, by V5 (a measurement is of one kind). */
static enum err verify_document(struct release *r, struct fault *fault)
{
    return attest_verify(r->warden->trust, r->request->document, r->report.doc.kind,
                         (int64_t)r->now_ms, &r->doc, NULL, fault);
}

enum err release_check_timestamp(uint64_t stamp_ms, uint64_t now_ms, struct fault *fault)
{
    if (stamp_ms > now_ms && stamp_ms - now_ms > WARDEN_DOCUMENT_AHEAD_MS) /* AGE-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "timestamp"), ERR_DOC_FUTURE,
             "the document's timestamp is %llu ms ahead of this server's clock, %d are allowed",
             (unsigned long long)(stamp_ms - now_ms), WARDEN_DOCUMENT_AHEAD_MS);
    if (stamp_ms < now_ms && now_ms - stamp_ms > WARDEN_DOCUMENT_AGE_MS) /* AGE-2 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "timestamp"), ERR_DOC_STALE,
             "the document is %llu ms old by this server's clock, %d allowed",
             (unsigned long long)(now_ms - stamp_ms), WARDEN_DOCUMENT_AGE_MS);
    return ERR_OK;
}

/* A receipt under an expired delegation is one that every agent refuses: better to say
 * so than to record a release that reached nobody. */
static enum err take_delegation(struct release *r, const struct policy *policy, struct fault *fault)
{
    struct cose_sign1 message;
    struct delegation delegation;
    const struct policy_own_key *key =
        policy_own_key_get(policy, policy_find_own_key(policy, OWN_KEY_RECEIPT));
    if (key == NULL)
        FAIL(fault, ERR_STORE_TAMPERED, "the store holds no current receipt key");
    r->delegation.len = 0;
    TRY(buf_append(&r->delegation, bytes_of_buf(&key->delegation)));
    TRY(cose_sign1_parse(COSE_DELEGATION, bytes_of_buf(&r->delegation), &message, fault));
    TRY(delegation_parse(message.payload, &delegation, fault));
    if (r->now_ms < delegation.not_before_ms || r->now_ms > delegation.not_after_ms)
        FAIL(fault, ERR_DELEGATION_EXPIRED,
             "the receipt key's delegation is not valid now; an administrator renews it with "
             "`vouchsafe issuer delegate`");
    return ERR_OK;
}

/* Names are the policy's, and it may change once it is no longer being read. */
static void name_builds(struct release *r, const struct policy *policy)
{
    for (size_t i = 0; i < r->verdict.count; i++) {
        const struct policy_measurement *m =
            policy_measurement_get(policy, r->verdict.item[i].measurement_id);
        const struct policy_image *image = policy_image_get(policy, m == NULL ? 0 : m->image_id);
        r->build[i][0] = '\0';
        if (image != NULL)
            snprintf(r->build[i], sizeof r->build[i], "%s@%s", image->name, m->version);
    }
}

/* V4 and V5 under one reading of the policy. */
static enum err decide(struct release *r, struct fault *fault)
{
    struct warden *w = r->warden;
    const struct policy_question question = {
        .doc = r->doc,
        .wanted = &r->request->wanted,
        .application = r->application,
        .now_ms = r->now_ms,
        .production = w->production,
    };
    const struct policy *policy = ledger_read(w->ledger, &r->revision);
    enum err err =
        release_check_timestamp(verified_doc_fields(r->doc)->timestamp_ms, r->now_ms, fault);
    if (err == ERR_OK)
        err = policy_decide(policy, &question, &r->verdict, fault);
    if (err == ERR_OK)
        name_builds(r, policy);
    if (err == ERR_OK && r->verdict.granted)
        err = take_delegation(r, policy, fault);
    ledger_done(w->ledger);
    return err;
}

static void describe_items(const struct release *r, struct audit_event *event,
                           enum policy_reason override)
{
    event->item_count = r->request->wanted.count;
    for (size_t i = 0; i < event->item_count; i++) {
        const struct policy_item *item = &r->verdict.item[i];
        const bool decided = i < r->verdict.count;
        const bool limited = decided && item->quota != 0 && override == REASON_OVER_QUOTA;
        event->item[i] = (struct audit_item){
            .name = r->request->wanted.item[i].name,
            .version = decided ? item->version : r->request->wanted.item[i].version,
            .flags = decided ? item->flags : 0,
            .reason = decided ? policy_reason_name(limited ? REASON_OVER_QUOTA : item->reason) : "",
            .build = decided ? r->build[i] : "",
            .asked_version = r->request->wanted.item[i].version,
            .asked_minimum = r->request->wanted.item[i].min_version,
        };
    }
}

#define RECORD_DETAIL_MAX (sizeof((struct fault){0}.detail) + 96)

/* The first refusal after some were put off says how many: nothing else does for good.  So
 * does what became a grant because the policy moved meanwhile. */
static void add_put_off(const struct release *r, const char *detail, char out[RECORD_DETAIL_MAX])
{
    const unsigned long long put_off = r->place.put_off;
    if (put_off == 0)
        snprintf(out, RECORD_DETAIL_MAX, "%s", detail);
    else
        snprintf(out, RECORD_DETAIL_MAX, "%s%srequests of this instance put off before: %llu",
                 detail, detail[0] == '\0' ? "" : "; ", put_off);
}

/* The record of what was decided; `code` is ERR_OK for a grant. */
static struct audit_event describe(const struct release *r, enum err code, const char *detail,
                                   enum policy_reason override)
{
    struct audit_event event = {
        .time_ms = r->now_ms,
        .event = code == ERR_OK ? "release.granted" : "release.refused",
        .request_id = r->request->request_id,
        .peer = r->request->peer,
        .policy_revision = r->revision,
        .code = err_wire(code),
        .detail = detail,
        .doc = verified_doc_fields(r->doc),
        .document_digest = verified_doc_digest(r->doc),
        .root_sha256 = verified_doc_root_sha256(r->doc),
        .application_sha256 = r->application_sha256,
        .region = verified_doc_region(r->doc),
        .challenge = verified_doc_fields(r->doc)->nonce.value,
    };
    describe_items(r, &event, override);
    return event;
}

/* V6: one transaction; no durable record, no release. */
static enum err record_decision(struct release *r, enum ledger_turn turn, enum err code,
                                const char *detail, struct fault *fault)
{
    char decided_detail[RECORD_DETAIL_MAX];
    char over_detail[RECORD_DETAIL_MAX];
    add_put_off(r, detail, decided_detail);
    add_put_off(r, "", over_detail);
    const struct audit_event decided = describe(r, code, decided_detail, REASON_GRANTED);
    const struct audit_event over = describe(r, ERR_REFUSED, over_detail, REASON_OVER_QUOTA);
    const struct ledger_decision decision = {
        .turn = turn,
        .revision = r->revision,
        .challenge = verified_doc_fields(r->doc)->nonce.value,
        .challenge_expiry_ms = r->challenge_expiry_ms,
        .verdict = &r->verdict,
        .granted = code == ERR_OK,
        .event = &decided,
        .over_quota = &over,
    };
    store_outcome_free(&r->outcome);
    return ledger_commit_decision(r->warden->ledger, &decision, &r->outcome, &r->sequence, fault);
}

/* Whoever has a genuine enclave can have it refused, and each refusal is a record for good.
 * A refusal that is put off is none: no record, and the challenge is as good as before.
 * Grants never come here, so that an instance's other enclaves lose nothing by it. */
static enum err admit_refusal(struct release *r, struct fault *fault)
{
    struct refusals *refusals = r->warden->refusals;
    const struct bytes module_id = verified_doc_fields(r->doc)->module_id;

    TRY(refusals_admit(refusals, module_id, r->now_ms, &r->place));
    if (r->place.admitted)
        return ERR_OK;
    const unsigned wait_s = (unsigned)((r->place.wait_ms + 999) / 1000);
    fault_set(fault_at(fault, FAULT_NO_OFFSET, "module_id"), ERR_TOO_FAST,
              "enclaves of this instance were refused too often; ask again in %u s", wait_s);
    fault->retry_after_s = wait_s;
    return ERR_TOO_FAST;
}

/* ERR_STORE_CONFLICT: the policy moved before the decision was recorded, and nothing was. */
static enum err decide_once(struct release *r, enum ledger_turn turn, struct fault *fault)
{
    struct fault failure = FAULT_NONE;
    fault_clear(fault);
    r->verdict = (struct policy_verdict){0};
    enum err code = decide(r, fault);
    if (code == ERR_OK && !r->verdict.granted)
        code = fault_set(fault, ERR_REFUSED, "%s", policy_reason_name(r->verdict.reason));
    /* What is our own failure is no decision about the document. */
    if (code != ERR_OK && err_class(code) != ERR_CLASS_DENIED)
        return code;
    if (code != ERR_OK && !r->place.admitted)
        TRY(admit_refusal(r, fault));
    const enum err recorded = record_decision(r, turn, code, fault->detail, &failure);
    if (recorded == ERR_OK && code == ERR_OK && r->outcome.over_quota)
        return fault_set(fault, ERR_REFUSED, "%s", policy_reason_name(REASON_OVER_QUOTA));
    if (recorded == ERR_OK)
        return code;
    *fault = failure;
    return recorded;
}

/* V4 to V6: decided and recorded once.  Where the policy moved between, again, and then it
 * cannot: however many register builds, a release is decided twice at the most. */
static enum err decide_and_record(struct release *r, struct fault *fault)
{
    enum err err = decide_once(r, LEDGER_TURN_TO_TAKE, fault);
    if (err == ERR_STORE_CONFLICT) {
        ledger_take_turn(r->warden->ledger);
        err = decide_once(r, LEDGER_TURN_TAKEN, fault);
        ledger_end_turn(r->warden->ledger);
    }
    return err;
}

/* One secret of the answer: unsealed and wrapped in one step, then described. */
static enum err wrap_item(struct release *r, size_t i, struct wrap_sealer *sealer,
                          struct release_answer *answer, struct receipt *receipt)
{
    CLEANUP(buf_free) struct buf aad = {0};
    CLEANUP(buf_free) struct buf content = {0};
    const struct policy_item *item = &r->verdict.item[i];
    const char *name = r->request->wanted.item[i].name;
    struct released *released = &answer->item[i];
    struct receipt_item *listed = &receipt->item[i];

    snprintf(released->name, sizeof released->name, "%s", name);
    released->version = item->version;
    TRY(protocol_wrap_aad(answer->format, verified_doc_digest(r->doc), name, item->version, &aad));
    TRY(keyring_unseal_and_wrap(r->warden->keyring, item->secret_id, item->version,
                                bytes_of_buf(&r->outcome.sealed[i]), sealer, bytes_of_buf(&aad),
                                &released->ciphertext));
    snprintf(listed->name, sizeof listed->name, "%s", name);
    listed->version = item->version;
    listed->flags = item->flags;
    TRY(buf_append(&content, bytes_of_buf(&answer->enc)));
    TRY(buf_append(&content, bytes_of_buf(&released->ciphertext)));
    return digest_sha256(bytes_of_buf(&content), listed->content);
}

static void begin_receipt(const struct release *r, struct receipt *receipt)
{
    const struct store_identity *identity = ledger_identity(r->warden->ledger);
    receipt->time_ms = r->now_ms;
    receipt->audit_sequence = r->sequence;
    receipt->count = r->verdict.count;
    memcpy(receipt->challenge, verified_doc_fields(r->doc)->nonce.value.ptr,
           sizeof receipt->challenge);
    memcpy(receipt->document_digest, verified_doc_digest(r->doc), sizeof receipt->document_digest);
    memcpy(receipt->root, verified_doc_root_sha256(r->doc), sizeof receipt->root);
    memcpy(receipt->store_id, identity->store_id, sizeof receipt->store_id);
    receipt->measurement_count = r->verdict.measurement_count;
    memcpy(receipt->measurement, r->verdict.measurement, sizeof receipt->measurement);
}

/* V7: unseal, wrap, wipe; sign the receipt; answer. */
static enum err answer_release(struct release *r, struct buf *body)
{
    CLEANUP(release_answer_free) struct release_answer answer = {.count = r->verdict.count};
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    CLEANUP(buf_free) struct buf payload = {0};
    struct receipt receipt = {0};

    begin_receipt(r, &receipt);
    snprintf(answer.format, sizeof answer.format, "%s", wrap_recipient_format(r->recipient));
    TRY(wrap_sealer_new(r->recipient, bytes_of_text(PROTOCOL_WRAP_INFO), &sealer, &answer.enc));
    for (size_t i = 0; i < r->verdict.count; i++)
        TRY(wrap_item(r, i, sealer, &answer, &receipt));
    TRY(receipt_append(&receipt, &payload));
    TRY(keyring_sign(r->warden->keyring, COSE_RECEIPT, bytes_of_buf(&payload), &answer.receipt));
    buf_move(&answer.delegation, &r->delegation);
    return release_answer_append(&answer, body);
}

static enum err release_steps(struct release *r, struct buf *body, struct fault *fault)
{
    TRY(read_document(r, fault));     /* V1 */
    TRY(check_binding(r, fault));     /* V2 */
    TRY(verify_document(r, fault));   /* V3 */
    TRY(decide_and_record(r, fault)); /* V4, V5, V6 */
    return answer_release(r, body);   /* V7 */
}

/* The first of each burst has a line: at most one for each refusal that is recorded. */
static void log_put_off(const struct release *r, const struct fault *fault)
{
    const struct bytes module_id = verified_doc_fields(r->doc)->module_id;
    atomic_fetch_add(&r->warden->put_off, 1);
    if (r->place.put_off == 1)
        log_fault(LOG_LEVEL_WARN, "release.put_off", fault, "req=%s peer=%s instance=%s",
                  LOG_Q(r->request->request_id), LOG_Q(r->request->peer),
                  LOG_QB(attdoc_instance(module_id)));
}

/* Whether a secret was granted by a deprecated measurement alone: the build is to be replaced. */
static bool is_deprecated(const struct policy_verdict *verdict)
{
    for (size_t i = 0; i < verdict->count; i++) {
        if ((verdict->item[i].flags & RECEIPT_FLAG_DEPRECATED) != 0)
            return true;
    }
    return false;
}

static void log_outcome(const struct release *r, enum err err, const struct fault *fault)
{
    struct warden *w = r->warden;
    const char *id = LOG_Q(r->request->request_id);
    const char *peer = LOG_Q(r->request->peer);
    char digest[2 * SHA384_LEN + 1] = "";

    if (r->doc == NULL) {
        atomic_fetch_add(&w->rejected, 1);
        if (warden_may_log_rejection(w, r->now_ms))
            log_fault(LOG_LEVEL_INFO, "release.rejected", fault, "req=%s peer=%s", id, peer);
        return;
    }
    if (err == ERR_TOO_FAST) {
        log_put_off(r, fault);
        return;
    }
    hex_encode(bytes_of(verified_doc_digest(r->doc), SHA384_LEN), digest);
    if (err == ERR_OK) {
        atomic_fetch_add(&w->granted, 1);
        log_event(LOG_LEVEL_INFO, "release.granted", "req=%s peer=%s doc=%s sequence=%llu%s", id,
                  peer, digest, (unsigned long long)r->sequence,
                  is_deprecated(&r->verdict) ? " deprecated=true" : "");
        return;
    }
    if (r->sequence != 0)
        atomic_fetch_add(&w->refused, 1);
    const bool ours = err_class(err) != ERR_CLASS_DENIED && err_class(err) != ERR_CLASS_CONFLICT;
    log_fault(ours ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "release.refused", fault,
              "req=%s peer=%s doc=%s", id, peer, digest);
}

/* What becomes of the refusal that was set aside. */
static enum refusals_outcome outcome_of(const struct release *r, enum err err)
{
    if (r->sequence == 0)
        return REFUSALS_UNDECIDED;
    return err != ERR_OK && err_class(err) == ERR_CLASS_DENIED ? REFUSALS_REFUSED
                                                               : REFUSALS_GRANTED;
}

/* Redeemed challenges are kept until they expire; now and then the expired ones go.  Only
 * a genuine document gets this far: an anonymous sender cannot make us write. */
static void purge_if_due(struct warden *w, uint64_t now_ms)
{
    struct fault fault = FAULT_NONE;
    uint64_t last = atomic_load(&w->purged_ms);
    if (now_ms < last + WARDEN_PURGE_EVERY_MS ||
        !atomic_compare_exchange_strong(&w->purged_ms, &last, now_ms))
        return;
    if (store_ops(w->store)->purge_challenges(w->store, now_ms, &fault) != ERR_OK)
        log_fault(LOG_LEVEL_WARN, "challenge.purge_failed", &fault, "%s", "");
}

enum err release_handle(struct warden *warden, const struct warden_request *request, int64_t now_ms,
                        struct buf *body, struct fault *fault)
{
    CLEANUP(release_free)
    struct release r = {
        .warden = warden,
        .request = request,
        .now_ms = (uint64_t)now_ms,
    };
    const enum err err = release_steps(&r, body, fault);
    if (err != ERR_OK && fault->code != err)
        fault_set(fault, err, "%s", err_sentence(err));
    log_outcome(&r, err, fault);
    if (r.place.admitted)
        refusals_settle(warden->refusals, &r.place, outcome_of(&r, err));
    if (r.doc != NULL)
        purge_if_due(warden, r.now_ms);
    /* V5 tells the caller one coarse word; the request id leads an admin to the reason. */
    if (err == ERR_REFUSED)
        fault_set(fault_at(fault, FAULT_NO_OFFSET, "%s", ""), err,
                  "the policy does not release this to that enclave; with this request id an "
                  "administrator of the verifier finds the reason in the audit log");
    return err;
}
