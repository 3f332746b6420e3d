#include "audit_record.h"

#include <openssl/evp.h>
#include <string.h>

#include "cbor_writer.h"
#include "openssl_cleanup.h"

/* A record is a map with integer keys, ascending; absent ones are left out:
 *   1 sequence         2 time (ms)       3 event           4 request id
 *   5 peer             6 policy revision 7 person          8 code
 *   9 detail          10 object         11 document       12 challenge
 *  13 secrets: array of [name, version, flags, reason, build]
 *  14 what was asked of each: array of [version, min_version]
 * A document is a map: 1 digest, 2 module_id, 3 kind, 4 debug, 5 timestamp (ms),
 *   6 root, 7 region, 8 PCRs that are not zero: map index -> value,
 *   9 which PCRs it has, 10 SHA-256 of its application bytes.
 * audit_json.c reads what is written here. */

static bool has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static void member_text(struct cbor_writer *w, unsigned key, const char *text)
{
    if (has_text(text)) {
        cbor_writer_uint(w, key);
        cbor_writer_cstr(w, text);
    }
}

static size_t count_members(const struct audit_event *e)
{
    return 3 + (size_t)has_text(e->request_id) + has_text(e->peer) + 1 + has_text(e->person) +
           has_text(e->code) + has_text(e->detail) + has_text(e->object) + (e->doc != NULL) +
           (e->challenge.len > 0) + (e->item_count > 0 ? 2 : 0);
}

static bool pcr_worth_recording(const struct attdoc *doc, unsigned i)
{
    return doc->pcr[i] != NULL && !bytes_all_zero(bytes_of(doc->pcr[i], ATTDOC_PCR_LEN));
}

static void write_pcrs(struct cbor_writer *w, const struct attdoc *doc)
{
    size_t count = 0;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++)
        count += pcr_worth_recording(doc, i);
    cbor_writer_map(w, count);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if (!pcr_worth_recording(doc, i))
            continue;
        cbor_writer_uint(w, i);
        cbor_writer_bytes(w, bytes_of(doc->pcr[i], ATTDOC_PCR_LEN));
    }
}

static void write_document(struct cbor_writer *w, const struct audit_event *e)
{
    cbor_writer_uint(w, 11);
    cbor_writer_map(w, e->region.len > 0 ? 10 : 9);
    cbor_writer_uint(w, 1);
    cbor_writer_bytes(w, bytes_of(e->document_digest, SHA384_LEN));
    cbor_writer_uint(w, 2);
    cbor_writer_text(w, e->doc->module_id);
    cbor_writer_uint(w, 3);
    cbor_writer_cstr(w, attdoc_kind_name(e->doc->kind));
    cbor_writer_uint(w, 4);
    cbor_writer_bool(w, attdoc_is_debug(e->doc));
    cbor_writer_uint(w, 5);
    cbor_writer_uint(w, e->doc->timestamp_ms);
    cbor_writer_uint(w, 6);
    cbor_writer_bytes(w, bytes_of(e->root_sha256, SHA256_LEN));
    if (e->region.len > 0) {
        cbor_writer_uint(w, 7);
        cbor_writer_text(w, e->region);
    }
    cbor_writer_uint(w, 8);
    write_pcrs(w, e->doc);
    cbor_writer_uint(w, 9);
    cbor_writer_uint(w, e->doc->pcr_present);
    cbor_writer_uint(w, 10);
    cbor_writer_bytes(w, bytes_of(e->application_sha256, SHA256_LEN));
}

static void write_text(struct cbor_writer *w, const char *text)
{
    cbor_writer_cstr(w, text == NULL ? "" : text);
}

static void write_items(struct cbor_writer *w, const struct audit_event *e)
{
    cbor_writer_uint(w, 13);
    cbor_writer_array(w, e->item_count);
    for (size_t i = 0; i < e->item_count; i++) {
        const struct audit_item *item = &e->item[i];
        cbor_writer_array(w, 5);
        cbor_writer_cstr(w, item->name);
        cbor_writer_uint(w, item->version);
        cbor_writer_uint(w, item->flags);
        write_text(w, item->reason);
        write_text(w, item->build);
    }
}

static void write_asked(struct cbor_writer *w, const struct audit_event *e)
{
    cbor_writer_uint(w, 14);
    cbor_writer_array(w, e->item_count);
    for (size_t i = 0; i < e->item_count; i++) {
        cbor_writer_array(w, 2);
        cbor_writer_uint(w, e->item[i].asked_version);
        cbor_writer_uint(w, e->item[i].asked_minimum);
    }
}

enum err audit_record_append(const struct audit_event *e, uint64_t sequence, struct buf *record)
{
    struct cbor_writer w;
    cbor_writer_init(&w, record);
    cbor_writer_map(&w, count_members(e));
    cbor_writer_uint(&w, 1);
    cbor_writer_uint(&w, sequence);
    cbor_writer_uint(&w, 2);
    cbor_writer_uint(&w, e->time_ms);
    cbor_writer_uint(&w, 3);
    cbor_writer_cstr(&w, e->event);
    member_text(&w, 4, e->request_id);
    member_text(&w, 5, e->peer);
    cbor_writer_uint(&w, 6);
    cbor_writer_uint(&w, e->policy_revision);
    member_text(&w, 7, e->person);
    member_text(&w, 8, e->code);
    member_text(&w, 9, e->detail);
    member_text(&w, 10, e->object);
    if (e->doc != NULL)
        write_document(&w, e);
    if (e->challenge.len > 0) {
        cbor_writer_uint(&w, 12);
        cbor_writer_bytes(&w, e->challenge);
    }
    if (e->item_count > 0) {
        write_items(&w, e);
        write_asked(&w, e);
    }
    return cbor_writer_finish(&w);
}

static const char chain_label[] = "vouchsafe/1 audit";

/* SHA-384(label | a | b). */
static enum err chain_hash(struct bytes a, struct bytes b, uint8_t out[static SHA384_LEN])
{
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, chain_label, sizeof chain_label - 1) != 1 ||
        EVP_DigestUpdate(ctx, a.ptr, a.len) != 1 || EVP_DigestUpdate(ctx, b.ptr, b.len) != 1 ||
        EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        return crypto_failed();
    return ERR_OK;
}

enum err audit_chain_first(const uint8_t store_id[static PROTOCOL_STORE_ID_LEN],
                           uint8_t hash[static SHA384_LEN])
{
    return chain_hash(bytes_of(store_id, PROTOCOL_STORE_ID_LEN), bytes_of("", 0), hash);
}

enum err audit_chain_next(const uint8_t before[static SHA384_LEN], struct bytes record,
                          uint8_t hash[static SHA384_LEN])
{
    return chain_hash(bytes_of(before, SHA384_LEN), record, hash);
}

enum err audit_checkpoint_append(const struct audit_checkpoint *c, struct buf *payload)
{
    struct cbor_writer w;
    cbor_writer_init(&w, payload);
    cbor_writer_map(&w, 6);
    cbor_writer_uint(&w, 1);
    cbor_writer_uint(&w, PROTOCOL_VERSION);
    cbor_writer_uint(&w, 2);
    cbor_writer_bytes(&w, bytes_of(c->store_id, sizeof c->store_id));
    cbor_writer_uint(&w, 3);
    cbor_writer_uint(&w, c->sequence);
    cbor_writer_uint(&w, 4);
    cbor_writer_bytes(&w, bytes_of(c->hash, sizeof c->hash));
    cbor_writer_uint(&w, 5);
    cbor_writer_uint(&w, c->time_ms);
    cbor_writer_uint(&w, 6);
    cbor_writer_uint(&w, c->policy_revision);
    return cbor_writer_finish(&w);
}
