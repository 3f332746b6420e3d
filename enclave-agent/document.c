#include "document.h"

#include "common/codec.h"

#define UNKNOWN_MAX 8 /* keys of a payload that are passed over */

const uint8_t own_document_aws_root[SHA256_LEN] = {
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31,
    0x7e, 0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
};

static enum err check_says(const char *member, const struct attdoc_optional *found,
                           struct bytes asked, struct fault *fault)
{
    if (found->state == ATTDOC_PRESENT && bytes_equal(found->value, asked))
        return ERR_OK;
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "document.%s", member), ERR_NSM,
         "the NSM's document does not say what it was asked to");
}

static enum err check_root(const uint8_t found[static SHA256_LEN],
                           const uint8_t trusted[static SHA256_LEN], struct fault *fault)
{
    if (memcmp(found, trusted, SHA256_LEN) == 0)
        return ERR_OK;
    char hex[2 * SHA256_LEN + 1];
    hex_encode(bytes_of(found, SHA256_LEN), hex);
    const bool aws = memcmp(trusted, own_document_aws_root, SHA256_LEN) == 0;
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "document"), ERR_NSM,
         "this NSM's documents stand under root %s, and this agent trusts %s", hex,
         aws ? "AWS's only; a simulator's is named with --root" : "only that of --root");
}

/* The payload, with keys that this version does not know passed over, but never one that
 * looks like PCRs: images are pinned for years, AWS adds fields, and whether a document
 * is good is the verifier's to say.  Each round names one such key. */
static enum err parse_payload(const struct cose_sign1 *message, struct attdoc *doc,
                              struct fault *inner)
{
    char names[UNKNOWN_MAX][sizeof inner->field];
    const char *keys[UNKNOWN_MAX];
    struct attdoc_tolerate tolerate = {.keys = keys};
    for (;;) {
        fault_clear(inner);
        const enum err err =
            attdoc_parse(message->payload, message->payload_offset, &tolerate, doc, inner);
        if (err != ERR_DOC_UNKNOWN_FIELD || tolerate.count == UNKNOWN_MAX)
            return err;
        for (size_t i = 0; i < tolerate.count; i++) {
            if (strcmp(keys[i], inner->field) == 0)
                return err;
        }
        memcpy(names[tolerate.count], inner->field, sizeof inner->field);
        keys[tolerate.count] = names[tolerate.count];
        tolerate.count++;
    }
}

static enum err parse(struct bytes document, struct cose_sign1 *message, struct attdoc *doc,
                      struct fault *fault)
{
    struct fault inner = FAULT_NONE;
    enum err err = cose_sign1_parse(COSE_ATTESTATION, document, message, &inner);
    if (err == ERR_OK)
        err = parse_payload(message, doc, &inner);
    if (err != ERR_OK)
        FAIL(fault_at(fault, inner.offset, "document: %.70s", inner.field), ERR_NSM,
             "the NSM's own document cannot be read: %s", inner.detail);
    return ERR_OK;
}

enum err own_document_read(struct bytes document, const struct nsm_question *asked,
                           const uint8_t trusted_root[static SHA256_LEN], struct own_document *out,
                           struct fault *fault)
{
    struct cose_sign1 message;
    struct attdoc doc;
    struct own_document own;
    TRY(parse(document, &message, &doc, fault));
    TRY(check_says("nonce", &doc.nonce, asked->nonce, fault));
    TRY(check_says("user_data", &doc.user_data, asked->user_data, fault));
    TRY(check_says("public_key", &doc.public_key, asked->public_key, fault));
    own.time_ms = doc.timestamp_ms;
    TRY(digest_sha384(message.payload, own.digest));
    TRY(digest_sha256(doc.cabundle[0], own.root));
    TRY(check_root(own.root, trusted_root, fault));
    *out = own;
    return ERR_OK;
}
