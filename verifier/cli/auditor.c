#include "auditor.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "common/codec.h"
#include "common/json_reader.h"
#include "common/openssl_cleanup.h"

void auditor_init(struct auditor *auditor, const struct issuer_pins *pins)
{
    *auditor = (struct auditor){.pins = pins};
}

void auditor_free(struct auditor *auditor)
{
    for (size_t i = 0; i < auditor->key_count; i++)
        EVP_PKEY_free(auditor->key[i].key);
    auditor->key_count = 0;
}

/* ---- the server's keys ---- */

/* Whether the issuer delegated it is asked at a time when it would be valid: at which
 * times it counts is each checkpoint's question. */
static enum err take_delegation(struct auditor *a, struct bytes message, struct fault *fault)
{
    struct cose_sign1 parsed;
    struct delegation claimed;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    if (cose_sign1_parse(COSE_DELEGATION, message, &parsed, NULL) != ERR_OK ||
        delegation_parse(parsed.payload, &claimed, NULL) != ERR_OK)
        return ERR_OK;
    /* One of another issuer's, or of another store's, gives no key that counts. */
    const enum err err =
        delegation_verify(message, a->pins, claimed.not_before_ms, &claimed, &key, NULL);
    if (err == ERR_NO_MEMORY || err == ERR_CRYPTO)
        return err;
    if (err != ERR_OK || memcmp(claimed.store_id, a->store_id, sizeof a->store_id) != 0)
        return ERR_OK;
    /* Left out, it would make its checkpoints look like an intruder's. */
    if (a->key_count == AUDITOR_KEYS_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "delegations"), ERR_TOO_LARGE,
             "more than %d of this store's", AUDITOR_KEYS_MAX);
    struct auditor_key *slot = &a->key[a->key_count];
    TRY(cose_key_id(key, slot->kid));
    slot->delegation = claimed;
    slot->key = TAKE(key);
    a->key_count++;
    return ERR_OK;
}

static enum err take_delegations(struct auditor *a, const json_t *delegations, struct fault *fault)
{
    for (size_t i = 0; i < json_array_size(delegations); i++) {
        CLEANUP(buf_free) struct buf message = {0};
        const char *text = json_string_value(json_array_get(delegations, i));
        if (text != NULL && base64_decode(bytes_of_text(text), &message) == ERR_OK)
            TRY(take_delegation(a, bytes_of_buf(&message), fault));
    }
    if (a->key_count == 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "delegations"), ERR_ANSWER,
             "none is signed by a pinned issuer key for this store");
    return ERR_OK;
}

/* ---- checkpoints ---- */

struct checkpoint_check {
    struct audit_checkpoint content;
    bool in_time; /* a delegation of its key was valid when it was made */
};

/* Reads a checkpoint and verifies its signature under a key that was delegated. */
static enum err read_checkpoint(const struct auditor *a, struct bytes message,
                                struct checkpoint_check *out, struct fault *fault)
{
    struct cose_sign1 parsed;
    struct fault why = FAULT_NONE;
    EVP_PKEY *key = NULL;
    if (cose_sign1_parse(COSE_CHECKPOINT, message, &parsed, &why) != ERR_OK ||
        audit_checkpoint_parse(parsed.payload, &out->content, &why) != ERR_OK)
        FAIL(fault, ERR_ANSWER, "not a checkpoint: %s", why.detail);
    out->in_time = false;
    for (size_t i = 0; i < a->key_count; i++) {
        const struct auditor_key *k = &a->key[i];
        if (!bytes_equal(parsed.kid, bytes_of(k->kid, sizeof k->kid)))
            continue;
        key = k->key;
        out->in_time = out->in_time || (out->content.time_ms >= k->delegation.not_before_ms &&
                                        out->content.time_ms <= k->delegation.not_after_ms);
    }
    if (key == NULL)
        FAIL(fault, ERR_ANSWER, "signed by a key that no pinned issuer key delegated");
    if (cose_sign1_verify(&parsed, key, &why) != ERR_OK)
        FAIL(fault, ERR_SIGNATURE, "its signature does not verify");
    if (memcmp(out->content.store_id, a->store_id, sizeof a->store_id) != 0)
        FAIL(fault, ERR_ANSWER, "of another store");
    return ERR_OK;
}

static enum err compare_hash(const struct auditor *a, const struct audit_checkpoint *checkpoint,
                             struct fault *fault)
{
    if (CRYPTO_memcmp(checkpoint->hash, a->hash, sizeof a->hash) != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "checkpoint %llu", (unsigned long long)a->sequence),
             ERR_ANSWER, "the log up to here is not the one that was signed: it was altered");
    return ERR_OK;
}

static enum err take_checkpoint(struct auditor *a, const struct checkpoint_check *checkpoint,
                                struct fault *fault)
{
    TRY(compare_hash(a, &checkpoint->content, fault));
    if (!checkpoint->in_time) {
        a->out_of_time++;
        return ERR_OK;
    }
    a->checkpoints++;
    a->complete_to = a->sequence;
    a->complete_time = (int64_t)checkpoint->content.time_ms;
    return ERR_OK;
}

enum err auditor_expect(struct auditor *a, struct bytes message, struct fault *fault)
{
    struct cose_sign1 parsed;
    fault_at(fault, FAULT_NO_OFFSET, "expected checkpoint");
    TRY(cose_sign1_parse(COSE_CHECKPOINT, message, &parsed, fault));
    TRY(audit_checkpoint_parse(parsed.payload, &a->expected, fault));
    fault_clear(fault);
    a->expecting = true;
    a->expected_message = message;
    return ERR_OK;
}

static enum err check_expected_signature(const struct auditor *a, struct fault *fault)
{
    struct checkpoint_check checkpoint;
    if (!a->expecting)
        return ERR_OK;
    fault_at(fault, FAULT_NO_OFFSET, "expected checkpoint");
    TRY(read_checkpoint(a, a->expected_message, &checkpoint, fault));
    fault_clear(fault);
    return ERR_OK;
}

/* ---- records ---- */

static enum err take_record(struct auditor *a, struct bytes record, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *shown = NULL;
    struct fault why = FAULT_NONE;
    const uint64_t expected = a->sequence + 1;
    fault_at(fault, FAULT_NO_OFFSET, "record %llu", (unsigned long long)expected);
    if (audit_record_to_json(record, &shown, &why) != ERR_OK)
        FAIL(fault, ERR_ANSWER, "not a record: %s", why.detail);
    const json_int_t sequence = json_integer_value(json_object_get(shown, "sequence"));
    if ((uint64_t)sequence != expected)
        FAIL(fault, ERR_ANSWER, "number %lld stands here: records are missing or out of order",
             (long long)sequence);
    fault_clear(fault);
    TRY(audit_chain_next(a->hash, record, a->hash));
    a->sequence = expected;
    if (a->expecting && a->expected.sequence == expected) {
        TRY(compare_hash(a, &a->expected, fault));
        a->expected_met = true;
    }
    return ERR_OK;
}

/* The checkpoints of the record that was just taken. */
static enum err take_checkpoints(struct auditor *a, const struct checkpoint_check *checkpoints,
                                 size_t count, size_t *taken, struct fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        if (checkpoints[i].content.sequence != a->sequence)
            continue;
        TRY(take_checkpoint(a, &checkpoints[i], fault));
        ++*taken;
    }
    return ERR_OK;
}

static enum err decode_entry(const json_t *text, const char *what, size_t index, struct buf *out,
                             struct fault *fault)
{
    const char *base64 = json_string_value(text);
    if (base64 == NULL || base64_decode(bytes_of_text(base64), out) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s[%zu]", what, index), ERR_ANSWER, "not base64");
    return ERR_OK;
}

static enum err read_checkpoints(const struct auditor *a, const json_t *entries, struct buf *out,
                                 struct fault *fault)
{
    for (size_t i = 0; i < json_array_size(entries); i++) {
        CLEANUP(buf_free) struct buf message = {0};
        struct checkpoint_check checkpoint = {0};
        const json_t *entry = json_array_get(entries, i);
        TRY(decode_entry(json_object_get(entry, "message"), "checkpoints", i, &message, fault));
        fault_at(fault, FAULT_NO_OFFSET, "checkpoint %lld",
                 (long long)json_integer_value(json_object_get(entry, "sequence")));
        TRY(read_checkpoint(a, bytes_of_buf(&message), &checkpoint, fault));
        fault_clear(fault);
        TRY(buf_append(out, bytes_of(&checkpoint, sizeof checkpoint)));
    }
    return ERR_OK;
}

static enum err begin(struct auditor *a, const json_t *page, struct fault *fault)
{
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    const char *text = json_string_value(json_object_get(page, "store_id"));
    if (text == NULL || hex_decode(bytes_of_text(text), store_id, sizeof store_id) != ERR_OK ||
        (a->begun && memcmp(store_id, a->store_id, sizeof store_id) != 0))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "store_id"), ERR_ANSWER,
             "absent, or another than on the page before");
    if (a->begun)
        return ERR_OK;
    memcpy(a->store_id, store_id, sizeof store_id);
    a->begun = true;
    TRY(audit_chain_first(a->store_id, a->hash));
    TRY(take_delegations(a, json_object_get(page, "delegations"), fault));
    return check_expected_signature(a, fault);
}

enum err auditor_page(struct auditor *a, const json_t *page, struct fault *fault)
{
    CLEANUP(buf_free) struct buf checkpoints = {0};
    const json_t *records = json_object_get(page, "records");
    TRY(begin(a, page, fault));
    TRY(read_checkpoints(a, json_object_get(page, "checkpoints"), &checkpoints, fault));
    const size_t count = checkpoints.len / sizeof(struct checkpoint_check);
    size_t taken = 0;
    for (size_t i = 0; i < json_array_size(records); i++) {
        CLEANUP(buf_free) struct buf record = {0};
        TRY(decode_entry(json_array_get(records, i), "records", i, &record, fault));
        TRY(take_record(a, bytes_of_buf(&record), fault));
        TRY(take_checkpoints(a, (const struct checkpoint_check *)(void *)checkpoints.ptr, count,
                             &taken, fault));
    }
    if (taken != count)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "checkpoints"), ERR_ANSWER,
             "one is of a record that is not on its page, near number %llu",
             (unsigned long long)a->sequence);
    return ERR_OK;
}

enum err auditor_finish(const struct auditor *a, struct fault *fault)
{
    if (a->expecting && !a->expected_met)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "record %llu", (unsigned long long)a->sequence + 1),
             ERR_ANSWER,
             "the log ends before it, and the expected checkpoint is of record %llu: records were "
             "removed",
             (unsigned long long)a->expected.sequence);
    return ERR_OK;
}
