/* About the server itself: status, the appraisal of a document, issuers and delegations,
 * the audit log. */
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "admin_change.h"
#include "admin_list.h"
#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "common/pcr_text.h"
#include "common/receipt.h"
#include "verifier/attest/appraisal.h"

/* --- status --- */

static enum err read_delegation(const struct policy *policy, struct delegation *out)
{
    struct cose_sign1 message;
    const struct policy_own_key *key =
        policy_own_key_get(policy, policy_find_own_key(policy, OWN_KEY_RECEIPT));
    if (key == NULL)
        return ERR_STORE_TAMPERED;
    TRY(cose_sign1_parse(COSE_DELEGATION, bytes_of_buf(&key->delegation), &message, NULL));
    return delegation_parse(message.payload, out, NULL);
}

static enum err set_policy_status(const struct policy *policy, json_t *out)
{
    struct delegation delegation;
    json_t *issuers = json_array();
    TRY(admin_set(out, "issuers", issuers));
    json_t *counts = json_object();
    TRY(admin_set(out, "counts", counts));
    TRY(read_delegation(policy, &delegation));
    TRY(admin_set(out, "delegation_not_after", admin_time(delegation.not_after_ms)));
    for (uint64_t id = 1; id <= policy_own_key_count(policy); id++) {
        const struct policy_own_key *key = policy_own_key_get(policy, id);
        uint8_t fingerprint[SHA256_LEN];
        if (key->kind != OWN_KEY_ISSUER || key->state != POLICY_ACTIVE)
            continue;
        TRY(digest_sha256(bytes_of_buf(&key->spki), fingerprint));
        if (json_array_append_new(issuers, admin_hex(bytes_of(fingerprint, sizeof fingerprint))))
            return ERR_NO_MEMORY;
    }
    TRY(admin_set(counts, "images", json_integer((json_int_t)policy_image_count(policy))));
    TRY(admin_set(counts, "measurements",
                  json_integer((json_int_t)policy_measurement_count(policy))));
    TRY(admin_set(counts, "secrets", json_integer((json_int_t)policy_secret_count(policy))));
    return admin_set(counts, "grants", json_integer((json_int_t)policy_grant_count(policy)));
}

static enum err set_counters(struct warden *w, json_t *out)
{
    json_t *counters = json_object();
    TRY(admin_set(out, "counters", counters));
    TRY(admin_set(counters, "challenges", json_integer((json_int_t)atomic_load(&w->challenges))));
    TRY(admin_set(counters, "granted", json_integer((json_int_t)atomic_load(&w->granted))));
    TRY(admin_set(counters, "refused", json_integer((json_int_t)atomic_load(&w->refused))));
    TRY(admin_set(counters, "put_off", json_integer((json_int_t)atomic_load(&w->put_off))));
    return admin_set(counters, "rejected", json_integer((json_int_t)atomic_load(&w->rejected)));
}

enum err admin_status(struct admin_call *call, json_t *out)
{
    struct warden *w = call->warden;
    const struct store_identity *identity = ledger_identity(w->ledger);
    struct audit_head head;
    uint64_t revision;

    TRY(admin_set(out, "version", json_string(VOUCHSAFE_VERSION)));
    TRY(admin_set(out, "kind", json_string(w->production ? "production" : "development")));
    TRY(admin_set(out, "store_id", admin_hex(bytes_of(identity->store_id, PROTOCOL_STORE_ID_LEN))));
    TRY(admin_set(out, "root_sha256",
                  admin_hex(bytes_of(attest_trust_root_sha256(w->trust), SHA256_LEN))));
    TRY(admin_set(out, "started", admin_time(w->started_ms)));
    TRY(admin_set(out, "now", admin_time(call->now_ms)));
    TRY(set_counters(w, out));
    TRY(store_ops(w->store)->read_audit_head(w->store, &head, call->fault));
    TRY(admin_set(out, "audit_sequence", json_integer((json_int_t)head.sequence)));
    const struct policy *policy = ledger_read(w->ledger, &revision);
    const enum err err = set_policy_status(policy, out);
    ledger_done(w->ledger);
    TRY(err);
    return admin_set(out, "policy_revision", json_integer((json_int_t)revision));
}

/* --- verify --- */

static enum err expect_pcr(struct admin_call *call, struct bytes key, struct bytes value,
                           void *context)
{
    struct appraisal_options *options = context;
    uint8_t pcr[ATTDOC_PCR_LEN];
    unsigned index = 0;
    TRY(pcr_member_parse(key, value, &index, pcr, call->fault));
    memcpy(options->pcr[index], pcr, sizeof pcr);
    options->pcr_expected |= 1u << index;
    return ERR_OK;
}

static enum err read_nonce(struct admin_call *call, struct appraisal_options *options,
                           uint8_t nonce[static ATTDOC_OPTIONAL_MAX])
{
    char hex[2 * ATTDOC_OPTIONAL_MAX + 1] = "";
    TRY(admin_text(call, "nonce", ADMIN_OPTIONAL, sizeof hex, hex));
    options->nonce_expected = admin_param(call, "nonce") != NULL;
    options->nonce = bytes_of(nonce, strlen(hex) / 2);
    if (strlen(hex) % 2 != 0 || hex_decode(bytes_of_text(hex), nonce, options->nonce.len) != ERR_OK)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "nonce"), ERR_HEX,
             "hexadecimal digits are expected");
    return ERR_OK;
}

static enum err read_time(struct admin_call *call, struct appraisal_options *options)
{
    int64_t now_ms = 0;
    TRY(admin_at(call, &now_ms));
    if (now_ms == ATTEST_AT_DOCUMENT) {
        options->time = APPRAISAL_TIME_DOCUMENT;
        return ERR_OK;
    }
    options->time = admin_param(call, "at") == NULL ? APPRAISAL_TIME_CLOCK : APPRAISAL_TIME_GIVEN;
    options->now_ms = now_ms;
    return ERR_OK;
}

static enum err read_options(struct admin_call *call, struct appraisal_options *options,
                             uint8_t nonce[static ATTDOC_OPTIONAL_MAX])
{
    char kind[16] = "enclave";
    uint64_t max_age_s = 0;
    TRY(admin_text(call, "kind", ADMIN_OPTIONAL, sizeof kind, kind));
    TRY(admin_one_of(call, "kind", kind, "enclave", "nitrotpm"));
    options->kind = strcmp(kind, "nitrotpm") == 0 ? ATTDOC_NITROTPM : ATTDOC_ENCLAVE;
    TRY(admin_uint(call, "max_age_s", ADMIN_OPTIONAL, UINT32_MAX, &max_age_s));
    if (admin_param(call, "max_age_s") != NULL)
        options->max_age_ms = (int64_t)max_age_s * 1000;
    TRY(admin_map(call, "pcrs", expect_pcr, options));
    TRY(read_nonce(call, options, nonce));
    return read_time(call, options);
}

static enum err check_revocation(const void *context, const struct verified_doc *doc,
                                 struct fault *fault)
{
    struct ledger *const *ledger = context;
    uint64_t revision;
    const struct policy *policy = ledger_read(*ledger, &revision);
    const enum err err = policy_revocation_check(policy, doc, fault);
    ledger_done(*ledger);
    return err;
}

enum err admin_verify(struct admin_call *call, json_t *out)
{
    struct appraisal_options options = APPRAISAL_OPTIONS_DEFAULT;
    struct appraisal appraisal;
    uint8_t nonce[ATTDOC_OPTIONAL_MAX];
    struct bytes document = {0};
    (void)out; /* the appraisal's own text is the answer, byte for byte the CLI's */
    TRY(admin_bytes(call, "attestation_document", ADMIN_REQUIRED, &document));
    TRY(read_options(call, &options, nonce));
    options.revocation = check_revocation;
    options.revocation_context = &call->warden->ledger;
    TRY(appraisal_run(call->warden->trust, document, &options, &appraisal, call->fault));
    return appraisal_json(&appraisal, &call->text);
}

/* --- issuers and delegations --- */

static enum err append_pem(struct bytes spki, struct buf *pem)
{
    const uint8_t *p = spki.ptr;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.len);
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    if (key == NULL || bio == NULL || PEM_write_bio_PUBKEY(bio, key) != 1)
        return crypto_failed();
    const long len = BIO_get_mem_data(bio, &text);
    return buf_append(pem, bytes_of(text, (size_t)len));
}

static bool is_active_issuer(const struct policy_own_key *key)
{
    return key->kind == OWN_KEY_ISSUER && key->state == POLICY_ACTIVE;
}

static enum err show_issuer(const struct policy_own_key *key, json_t *issuers)
{
    CLEANUP(buf_free) struct buf pem = {0};
    uint8_t fingerprint[SHA256_LEN];
    json_t *issuer = json_object();
    if (json_array_append_new(issuers, issuer) != 0)
        return ERR_NO_MEMORY;
    TRY(digest_sha256(bytes_of_buf(&key->spki), fingerprint));
    TRY(append_pem(bytes_of_buf(&key->spki), &pem));
    TRY(admin_set(issuer, "fingerprint", admin_hex(bytes_of(fingerprint, sizeof fingerprint))));
    return admin_set(issuer, "pem", admin_string(bytes_of_buf(&pem)));
}

static enum err show_issuers(const struct policy *policy, json_t *issuers)
{
    for (uint64_t id = 1; id <= policy_own_key_count(policy); id++) {
        const struct policy_own_key *key = policy_own_key_get(policy, id);
        if (is_active_issuer(key))
            TRY(show_issuer(key, issuers));
    }
    return ERR_OK;
}

enum err admin_issuer_show(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    json_t *issuers = json_array();
    TRY(admin_set(out, "issuers", issuers));
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = show_issuers(policy, issuers);
    ledger_done(call->warden->ledger);
    return err;
}

static enum err show_receipt_key(struct admin_call *call, const struct policy *policy, json_t *out)
{
    struct delegation delegation;
    const uint8_t *store_id = ledger_identity(call->warden->ledger)->store_id;
    TRY(read_delegation(policy, &delegation));
    TRY(admin_set(out, "receipt_key",
                  admin_base64(bytes_of(delegation.receipt_key, delegation.receipt_key_len))));
    TRY(admin_set(out, "store_id", admin_hex(bytes_of(store_id, PROTOCOL_STORE_ID_LEN))));
    return admin_set(out, "not_after", admin_time(delegation.not_after_ms));
}

enum err admin_issuer_receipt_key(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = show_receipt_key(call, policy, out);
    ledger_done(call->warden->ledger);
    return err;
}

/* The active issuers, as an agent would have them pinned. */
static enum err read_pins(const struct policy *policy, struct issuer_pins *pins,
                          struct fault *fault)
{
    CLEANUP(buf_free) struct buf pem = {0};
    for (uint64_t id = 1; id <= policy_own_key_count(policy); id++) {
        const struct policy_own_key *key = policy_own_key_get(policy, id);
        if (is_active_issuer(key))
            TRY(append_pem(bytes_of_buf(&key->spki), &pem));
    }
    return issuer_pins_parse(bytes_of_buf(&pem), pins, fault);
}

/* Whatever is installed must be what an agent would accept: under an issuer of this
 * store, valid now, for this store and for the very key that signs receipts. */
static enum err check_delegation(struct admin_call *call, const struct policy *policy,
                                 struct bytes message, const struct policy_own_key *current,
                                 struct delegation *out)
{
    CLEANUP(issuer_pins_free) struct issuer_pins pins = {0};
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    TRY(read_pins(policy, &pins, call->fault));
    TRY(delegation_verify(message, &pins, call->now_ms, out, &key, call->fault));
    if (!bytes_equal(bytes_of(out->receipt_key, out->receipt_key_len),
                     bytes_of_buf(&current->spki)) ||
        memcmp(out->store_id, ledger_identity(call->warden->ledger)->store_id,
               sizeof out->store_id) != 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "delegation"), ERR_MALFORMED,
             "the delegation is for another receipt key or another store");
    return ERR_OK;
}

/* The delegation that is replaced stays on record: checkpoints were signed under it. */
static enum err keep_past(const struct policy *policy, const struct policy_own_key *current,
                          uint64_t now_ms, struct ledger_change *change)
{
    CLEANUP(policy_own_key_free)
    struct policy_own_key past = {
        .kind = OWN_KEY_PAST_DELEGATION,
        .version = 1,
        .state = POLICY_REMOVED,
        .created_ms = now_ms,
    };
    CLEANUP(buf_free) struct buf columns = {0};
    const uint64_t count = policy_own_key_count(policy);
    for (uint64_t id = 1; id <= count; id++)
        past.version += policy_own_key_get(policy, id)->kind == OWN_KEY_PAST_DELEGATION;
    TRY(buf_append(&past.spki, bytes_of_buf(&current->spki)));
    TRY(buf_append(&past.delegation, bytes_of_buf(&current->delegation)));
    TRY(policy_own_key_append(&past, &columns));
    return ledger_change_add(change, POLICY_OWN_KEY, count + 1, &columns);
}

static enum err prepare_install(struct admin_call *call, const struct policy *policy,
                                struct bytes message, struct delegation *delegation,
                                struct ledger_change *change)
{
    CLEANUP(policy_own_key_free) struct policy_own_key row = {0};
    CLEANUP(buf_free) struct buf columns = {0};
    const uint64_t id = policy_find_own_key(policy, OWN_KEY_RECEIPT);
    const struct policy_own_key *current = policy_own_key_get(policy, id);
    if (current == NULL)
        return ERR_STORE_TAMPERED;
    TRY(check_delegation(call, policy, message, current, delegation));
    TRY(policy_own_key_append(current, &columns));
    TRY(policy_own_key_parse(bytes_of_buf(&columns), &row));
    row.delegation.len = 0;
    columns.len = 0;
    TRY(buf_append(&row.delegation, message));
    TRY(policy_own_key_append(&row, &columns));
    TRY(ledger_change_add(change, POLICY_OWN_KEY, id, &columns));
    return keep_past(policy, current, call->now_ms, change);
}

enum err admin_issuer_install(struct admin_call *call, json_t *out)
{
    CLEANUP(ledger_change_free) struct ledger_change change = {0};
    struct delegation delegation;
    struct bytes message = {0};
    char until[TIME_TEXT_MAX];
    char detail[64];
    uint64_t revision;

    TRY(admin_bytes(call, "delegation", ADMIN_REQUIRED, &message));
    const struct policy *policy;
    TRY(admin_begin(call, &policy, &revision));
    const enum err err = prepare_install(call, policy, message, &delegation, &change);
    if (err != ERR_OK) {
        ledger_abandon(call->warden->ledger);
        return err;
    }
    time_format((int64_t)delegation.not_after_ms, until);
    snprintf(detail, sizeof detail, "valid until %s", until);
    const struct audit_event event = admin_event(call, revision + 1, "delegation", detail);
    TRY(ledger_commit_change(call->warden->ledger, &change, &event, call->fault));
    TRY(admin_set(out, "result", json_string("installed")));
    return admin_set(out, "not_after", json_string(until));
}
