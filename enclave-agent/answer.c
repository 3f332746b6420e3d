#include "answer.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "common/codec.h"
#include "common/openssl_cleanup.h"

#define SHOWN_LEN 8 /* bytes of a value that an explanation shows */

void answer_opened_free(struct answer_opened *opened)
{
    for (size_t i = 0; i < opened->count; i++)
        secret_free(opened->item[i].value);
    *opened = (struct answer_opened){0};
}

static struct fault *at(struct fault *fault, const char *part)
{
    return fault_at(fault, FAULT_NO_OFFSET, "%s", part);
}

/* A failure of something that the answer contains: whatever it is called there, here it
 * means that the answer is none. */
static enum err not_authentic(struct fault *fault, const char *part, enum err err,
                              const struct fault *inner)
{
    if (err == ERR_NO_MEMORY)
        FAIL(at(fault, part), err, "no memory to check the answer");
    const bool has_detail = inner->detail[0] != '\0';
    const bool has_field = inner->field[0] != '\0' && strcmp(inner->field, part) != 0;
    FAIL(at(fault, part), ERR_ANSWER, "%s%s%s: %s", has_field ? inner->field : "",
         has_field ? ": " : "", err_wire(err), has_detail ? inner->detail : err_sentence(err));
}

/* --- what the JSON around the receipt says --- */

static enum err check_listing(const struct release_answer *answer,
                              const struct answer_expected *expected, struct fault *fault)
{
    const struct wanted_list *wanted = expected->wanted;
    const char *format = wrap_key_format(expected->key);
    if (strcmp(answer->format, format) != 0)
        FAIL(at(fault, "format"), ERR_ANSWER,
             "expected %s, the format of this agent's key; found %s", format, answer->format);
    if (answer->count != wanted->count)
        FAIL(at(fault, "secrets"), ERR_ANSWER, "expected %zu secret%s, found %zu", wanted->count,
             plural(wanted->count), answer->count);
    for (size_t i = 0; i < wanted->count; i++) {
        const struct wanted *want = &wanted->item[i];
        const struct released *got = &answer->item[i];
        struct fault *place = fault_at(fault, FAULT_NO_OFFSET, "secrets[%zu]", i);
        if (strcmp(got->name, want->name) != 0)
            FAIL(place, ERR_ANSWER, "expected %.60s, found %.60s", want->name, got->name);
        if (want->version != 0 && got->version != want->version)
            FAIL(place, ERR_ANSWER, "expected version %" PRIu32 " of %.60s, found version %" PRIu32,
                 want->version, want->name, got->version);
    }
    return ERR_OK;
}

static uint32_t held_version(const struct wanted_list *held, const char *name)
{
    for (size_t i = 0; held != NULL && i < held->count; i++) {
        if (strcmp(held->item[i].name, name) == 0)
            return held->item[i].version;
    }
    return 0;
}

/* Versions that were left open: at least the floor, and never back to an older one. */
static enum err check_floors(const struct release_answer *answer,
                             const struct answer_expected *expected, struct fault *fault)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct released *got = &answer->item[i];
        const uint32_t floor = expected->wanted->item[i].min_version;
        const uint32_t held = held_version(expected->held, got->name);
        struct fault *place = fault_at(fault, FAULT_NO_OFFSET, "secrets[%zu]", i);
        if (got->version < floor)
            FAIL(place, ERR_ANSWER,
                 "expected version %" PRIu32 " of %.60s or newer, found version %" PRIu32, floor,
                 got->name, got->version);
        if (got->version < held)
            FAIL(place, ERR_ANSWER,
                 "version %" PRIu32 " of %.60s is older than version %" PRIu32
                 ", which this process has held",
                 got->version, got->name, held);
    }
    return ERR_OK;
}

/* --- delegation and receipt --- */

static enum err read_receipt(const struct release_answer *answer, EVP_PKEY *receipt_key,
                             struct cose_sign1 *message, struct receipt *out, struct fault *inner)
{
    uint8_t kid[COSE_KID_LEN];
    TRY(cose_sign1_parse(COSE_RECEIPT, bytes_of_buf(&answer->receipt), message, inner));
    TRY(cose_key_id(receipt_key, kid));
    if (!bytes_equal(message->kid, bytes_of(kid, sizeof kid)))
        FAIL(at(inner, "receipt"), ERR_ANSWER,
             "it is signed under another key than the delegated one");
    TRY(cose_sign1_verify(message, receipt_key, inner));
    return receipt_parse(message->payload, out, inner);
}

/* PROTOCOL section 5, key 8: SHA-256(enc | ciphertext). */
static enum err content_digest(const struct release_answer *answer, size_t i,
                               uint8_t out[static SHA256_LEN])
{
    CLEANUP(buf_free) struct buf both = {0};
    TRY(buf_append(&both, bytes_of_buf(&answer->enc)));
    TRY(buf_append(&both, bytes_of_buf(&answer->item[i].ciphertext)));
    return digest_sha256(bytes_of_buf(&both), out);
}

/* The receipt that must have been signed.  Only what no agent can know comes from the
 * signed one: its time, the audit sequence, the measurements, the flags. */
static enum err expect_receipt(const struct release_answer *answer,
                               const struct answer_expected *expected,
                               const struct delegation *delegation, const struct receipt *found,
                               struct receipt *out)
{
    *out = (struct receipt){
        .time_ms = found->time_ms,
        .audit_sequence = found->audit_sequence,
        .count = expected->wanted->count,
        .measurement_count = found->measurement_count,
    };
    memcpy(out->measurement, found->measurement, sizeof out->measurement);
    memcpy(out->challenge, expected->challenge, sizeof out->challenge);
    memcpy(out->document_digest, expected->document->digest, sizeof out->document_digest);
    memcpy(out->root, expected->document->root, sizeof out->root);
    memcpy(out->store_id, delegation->store_id, sizeof out->store_id);
    for (size_t i = 0; i < out->count; i++) {
        struct receipt_item *item = &out->item[i];
        snprintf(item->name, sizeof item->name, "%s", expected->wanted->item[i].name);
        /* As listed: check_listing has compared it where a version was asked for. */
        item->version = answer->item[i].version;
        item->flags = i < found->count ? found->item[i].flags : 0;
        TRY(content_digest(answer, i, item->content));
    }
    return ERR_OK;
}

static bool same(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

/* Where two values first differ, as far as a terminal's line goes. */
static enum err differs(struct fault *fault, const char *what, const uint8_t *expected,
                        const uint8_t *found, size_t len)
{
    size_t from = 0;
    while (from < len && expected[from] == found[from])
        from++;
    const size_t shown = len - from < SHOWN_LEN ? len - from : SHOWN_LEN;
    char expected_hex[2 * SHOWN_LEN + 1];
    char found_hex[2 * SHOWN_LEN + 1];
    hex_encode(bytes_of(expected + from, shown), expected_hex);
    hex_encode(bytes_of(found + from, shown), found_hex);
    FAIL(at(fault, "receipt"), ERR_ANSWER, "%s: expected %s, found %s (from byte %zu on)", what,
         expected_hex, found_hex, from);
}

static enum err explain_item(size_t i, const struct receipt_item *expected,
                             const struct receipt_item *found, struct fault *fault)
{
    struct fault *place = fault_at(fault, FAULT_NO_OFFSET, "receipt: secrets[%zu]", i);
    if (strcmp(expected->name, found->name) != 0)
        FAIL(place, ERR_ANSWER, "expected %.60s, found %.60s", expected->name, found->name);
    if (expected->version != found->version)
        FAIL(place, ERR_ANSWER, "expected version %" PRIu32 " of %.60s, found version %" PRIu32,
             expected->version, expected->name, found->version);
    char what[48];
    snprintf(what, sizeof what, "secrets[%zu] content", i);
    return differs(fault, what, expected->content, found->content, SHA256_LEN);
}

/* Says why the two are not the same; that they are not is decided already. */
static enum err explain(const struct receipt *expected, const struct receipt *found,
                        struct fault *fault)
{
    if (!same(expected->challenge, found->challenge, sizeof found->challenge))
        return differs(fault, "challenge", expected->challenge, found->challenge,
                       sizeof found->challenge);
    if (!same(expected->document_digest, found->document_digest, sizeof found->document_digest))
        return differs(fault, "document digest", expected->document_digest, found->document_digest,
                       sizeof found->document_digest);
    if (!same(expected->root, found->root, sizeof found->root))
        return differs(fault, "root", expected->root, found->root, sizeof found->root);
    if (!same(expected->store_id, found->store_id, sizeof found->store_id))
        return differs(fault, "store id", expected->store_id, found->store_id,
                       sizeof found->store_id);
    if (expected->count != found->count)
        FAIL(at(fault, "receipt"), ERR_ANSWER, "expected %zu secret%s, found %zu", expected->count,
             plural(expected->count), found->count);
    for (size_t i = 0; i < expected->count; i++) {
        const struct receipt_item *a = &expected->item[i];
        const struct receipt_item *b = &found->item[i];
        if (strcmp(a->name, b->name) != 0 || a->version != b->version ||
            !same(a->content, b->content, SHA256_LEN))
            return explain_item(i, a, b, fault);
    }
    FAIL(at(fault, "receipt"), ERR_ANSWER, "it is not the one that this request must have");
}

static enum err compare_whole(const struct receipt *expected, const struct receipt *found,
                              struct bytes payload, struct fault *fault)
{
    CLEANUP(buf_free) struct buf bytes = {0};
    TRY(receipt_append(expected, &bytes));
    if (bytes.len == payload.len && same(bytes.ptr, payload.ptr, payload.len))
        return ERR_OK;
    return explain(expected, found, fault);
}

static enum err verify(const struct release_answer *answer, const struct answer_expected *expected,
                       struct receipt *out, struct fault *fault)
{
    struct fault inner = FAULT_NONE;
    struct delegation delegation;
    CLEANUP(evp_pkey_freep) EVP_PKEY *receipt_key = NULL;
    enum err err =
        delegation_verify(bytes_of_buf(&answer->delegation), expected->pins,
                          expected->document->time_ms, &delegation, &receipt_key, &inner);
    if (err == ERR_DELEGATION_EXPIRED) /* the right store, at the wrong time: advice.c */
        return not_authentic(fault, inner.field, err, &inner);
    if (err != ERR_OK)
        return not_authentic(fault, "delegation", err, &inner);
    struct cose_sign1 message;
    struct receipt found;
    err = read_receipt(answer, receipt_key, &message, &found, &inner);
    if (err != ERR_OK)
        return not_authentic(fault, "receipt", err, &inner);
    TRY(check_listing(answer, expected, fault));
    struct receipt whole;
    err = expect_receipt(answer, expected, &delegation, &found, &whole);
    if (err != ERR_OK)
        return not_authentic(fault, "receipt", err, &inner);
    TRY(compare_whole(&whole, &found, message.payload, fault));
    TRY(check_floors(answer, expected, fault));
    *out = whole;
    return ERR_OK;
}

/* --- opening --- */

static enum err open_item(struct wrap_opener *opener, const struct answer_expected *expected,
                          const struct receipt_item *item, struct bytes ciphertext,
                          struct secret **out)
{
    CLEANUP(buf_free) struct buf aad = {0};
    TRY(protocol_wrap_aad(wrap_key_format(expected->key), expected->document->digest, item->name,
                          item->version, &aad));
    return wrap_open(opener, bytes_of_buf(&aad), ciphertext, out);
}

enum err answer_open(const struct release_answer *answer, const struct answer_expected *expected,
                     struct answer_opened *out, struct fault *fault)
{
    struct receipt receipt;
    TRY(verify(answer, expected, &receipt, fault));
    const struct fault none = FAULT_NONE;
    CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
    enum err err = wrap_opener_new(expected->key, bytes_of_buf(&answer->enc),
                                   bytes_of_text(PROTOCOL_WRAP_INFO), &opener);
    if (err != ERR_OK)
        return not_authentic(fault, "enc", err, &none);
    CLEANUP(answer_opened_free)
    struct answer_opened opened = {.audit_sequence = receipt.audit_sequence};
    memcpy(opened.store_id, receipt.store_id, sizeof opened.store_id);
    for (size_t i = 0; i < receipt.count; i++) {
        const struct receipt_item *from = &receipt.item[i];
        struct answer_secret *to = &opened.item[opened.count++];
        memcpy(to->name, from->name, sizeof to->name);
        to->version = from->version;
        to->deprecated = (from->flags & RECEIPT_FLAG_DEPRECATED) != 0;
        err = open_item(opener, expected, from, bytes_of_buf(&answer->item[i].ciphertext),
                        &to->value);
        if (err == ERR_NO_MEMORY)
            return not_authentic(fault, "secrets", err, &none);
        if (err != ERR_OK)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "secrets[%zu]", i), ERR_ANSWER,
                 "the ciphertext of %.60s does not open under this document, name and version",
                 from->name);
    }
    *out = opened;
    opened = (struct answer_opened){0};
    return ERR_OK;
}

void answer_hold(struct answer_held *held, const struct answer_opened *opened)
{
    struct answer_held now = {.any = true, .versions = {.count = opened->count}};
    struct wanted_list *versions = &now.versions;
    memcpy(now.store_id, opened->store_id, sizeof now.store_id);
    for (size_t i = 0; i < opened->count; i++) {
        memcpy(versions->item[i].name, opened->item[i].name, sizeof versions->item[i].name);
        versions->item[i].version = opened->item[i].version;
    }
    for (size_t i = 0; i < held->versions.count && versions->count < PROTOCOL_SECRETS_MAX; i++) {
        const struct wanted *before = &held->versions.item[i];
        size_t n = 0;
        while (n < opened->count && strcmp(versions->item[n].name, before->name) != 0)
            n++;
        if (n == opened->count)
            versions->item[versions->count++] = *before;
    }
    *held = now;
}
