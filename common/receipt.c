#include "receipt.h"

#include <inttypes.h>

#include "cbor_reader.h"
#include "cbor_writer.h"
#include "spki.h"

/* Number of keys in each payload: 1..n, ascending, all of them. */
#define RECEIPT_KEYS     9
#define DELEGATION_KEYS  5
#define SEALING_KEY_KEYS 4
#define RECEIPT_ITEM_LEN 4 /* [name, version, content, flags] */

/* As it was before, where writing failed half-way. */
static enum err finish(const struct cbor_writer *w, size_t before)
{
    const enum err err = cbor_writer_finish(w);
    if (err != ERR_OK)
        w->out->len = before;
    return err;
}

/* Places the reader's fault at the field being read, which begins at `pos`. */
static struct fault *at(const struct cbor_reader *r, size_t pos)
{
    return fault_at(r->fault, r->base + pos, "%s", r->field);
}

/* The map's head and its first entry, which all payloads share: 1, the version. */
static enum err read_head(struct cbor_reader *r, uint64_t keys)
{
    struct cbor_map map;
    TRY(cbor_reader_map(r, false, &map));
    if (map.left != keys)
        FAIL(at(r, 0), ERR_CBOR_TYPE, "a map of %" PRIu64 " key%s, must be %" PRIu64, map.left,
             plural(map.left), keys);
    cbor_reader_at(r, "version");
    TRY(cbor_reader_expect_uint(r, 1));
    const size_t start = r->pos;
    uint64_t version = 0;
    TRY(cbor_reader_uint(r, &version));
    if (version != PROTOCOL_VERSION)
        FAIL(at(r, start), ERR_MALFORMED, "version %" PRIu64 " of the protocol is not known",
             version);
    return ERR_OK;
}

static enum err read_key(struct cbor_reader *r, uint64_t key, const char *field)
{
    cbor_reader_at(r, field);
    return cbor_reader_expect_uint(r, key);
}

static enum err read_fixed(struct cbor_reader *r, uint8_t *out, size_t len)
{
    const size_t start = r->pos;
    struct bytes value;
    TRY(cbor_reader_bytes(r, &value));
    if (value.len != len)
        FAIL(at(r, start), ERR_MALFORMED, "must be %zu bytes, is %zu", len, value.len);
    memcpy(out, value.ptr, len);
    return ERR_OK;
}

static bool names_distinct(const struct receipt *receipt)
{
    for (size_t i = 1; i < receipt->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(receipt->item[i].name, receipt->item[k].name) == 0)
                return false;
        }
    }
    return true;
}

static bool measurements_ascend(const struct receipt *receipt)
{
    for (size_t i = 1; i < receipt->measurement_count; i++) {
        if (strcmp(receipt->measurement[i - 1], receipt->measurement[i]) >= 0)
            return false;
    }
    return true;
}

static bool item_valid(struct bytes name, uint64_t version)
{
    return protocol_name_valid(name) && version >= 1 && version <= PROTOCOL_VERSION_MAX;
}

static bool receipt_valid(const struct receipt *receipt)
{
    if (receipt->count == 0 || receipt->count > PROTOCOL_SECRETS_MAX ||
        receipt->measurement_count > RECEIPT_MEASUREMENTS_MAX)
        return false;
    for (size_t i = 0; i < receipt->count; i++) {
        if (!item_valid(bytes_of_text(receipt->item[i].name), receipt->item[i].version))
            return false;
    }
    for (size_t i = 0; i < receipt->measurement_count; i++) {
        if (!protocol_build_valid(bytes_of_text(receipt->measurement[i])))
            return false;
    }
    return names_distinct(receipt) && measurements_ascend(receipt);
}

static void write_items(struct cbor_writer *w, const struct receipt *receipt)
{
    cbor_writer_array(w, receipt->count);
    for (size_t i = 0; i < receipt->count; i++) {
        const struct receipt_item *item = &receipt->item[i];
        cbor_writer_array(w, RECEIPT_ITEM_LEN);
        cbor_writer_cstr(w, item->name);
        cbor_writer_uint(w, item->version);
        cbor_writer_bytes(w, bytes_of(item->content, SHA256_LEN));
        cbor_writer_uint(w, item->flags);
    }
}

enum err receipt_append(const struct receipt *receipt, struct buf *payload)
{
    if (!receipt_valid(receipt))
        return ERR_INTERNAL;
    const size_t before = payload->len;
    struct cbor_writer w;
    cbor_writer_init(&w, payload);
    cbor_writer_map(&w, RECEIPT_KEYS);
    cbor_writer_uint(&w, 1);
    cbor_writer_uint(&w, PROTOCOL_VERSION);
    cbor_writer_uint(&w, 2);
    cbor_writer_uint(&w, receipt->time_ms);
    cbor_writer_uint(&w, 3);
    cbor_writer_bytes(&w, bytes_of(receipt->challenge, sizeof receipt->challenge));
    cbor_writer_uint(&w, 4);
    cbor_writer_bytes(&w, bytes_of(receipt->document_digest, sizeof receipt->document_digest));
    cbor_writer_uint(&w, 5);
    cbor_writer_bytes(&w, bytes_of(receipt->root, sizeof receipt->root));
    cbor_writer_uint(&w, 6);
    cbor_writer_bytes(&w, bytes_of(receipt->store_id, sizeof receipt->store_id));
    cbor_writer_uint(&w, 7);
    cbor_writer_uint(&w, receipt->audit_sequence);
    cbor_writer_uint(&w, 8);
    write_items(&w, receipt);
    cbor_writer_uint(&w, 9);
    cbor_writer_array(&w, receipt->measurement_count);
    for (size_t i = 0; i < receipt->measurement_count; i++)
        cbor_writer_cstr(&w, receipt->measurement[i]);
    return finish(&w, before);
}

static enum err read_item(struct cbor_reader *r, struct receipt_item *item)
{
    const size_t start = r->pos;
    TRY(cbor_reader_expect_array(r, RECEIPT_ITEM_LEN));
    struct bytes name;
    TRY(cbor_reader_text(r, &name));
    uint64_t version = 0;
    TRY(cbor_reader_uint(r, &version));
    if (!item_valid(name, version))
        FAIL(at(r, start), ERR_MALFORMED, "name or version is none that a secret can have");
    memcpy(item->name, name.ptr, name.len);
    item->version = (uint32_t)version;
    TRY(read_fixed(r, item->content, sizeof item->content));
    return cbor_reader_uint(r, &item->flags);
}

static enum err read_items(struct cbor_reader *r, struct receipt *out)
{
    const size_t start = r->pos;
    uint64_t count = 0;
    TRY(cbor_reader_array(r, &count));
    if (count == 0 || count > PROTOCOL_SECRETS_MAX)
        FAIL(at(r, start), ERR_MALFORMED, "%" PRIu64 " secrets; a receipt has 1..%d", count,
             PROTOCOL_SECRETS_MAX);
    out->count = (size_t)count;
    for (size_t i = 0; i < out->count; i++)
        TRY(read_item(r, &out->item[i]));
    if (!names_distinct(out))
        FAIL(at(r, start), ERR_MALFORMED, "a secret is listed twice");
    return ERR_OK;
}

static enum err read_measurements(struct cbor_reader *r, struct receipt *out)
{
    const size_t start = r->pos;
    uint64_t count = 0;
    TRY(cbor_reader_array(r, &count));
    if (count > RECEIPT_MEASUREMENTS_MAX)
        FAIL(at(r, start), ERR_MALFORMED, "%" PRIu64 " measurements, more than %d", count,
             RECEIPT_MEASUREMENTS_MAX);
    out->measurement_count = (size_t)count;
    for (size_t i = 0; i < out->measurement_count; i++) {
        const size_t build_start = r->pos;
        struct bytes build;
        TRY(cbor_reader_text(r, &build));
        if (!protocol_build_valid(build))
            FAIL(at(r, build_start), ERR_MALFORMED, "not image@version");
        memcpy(out->measurement[i], build.ptr, build.len);
    }
    if (!measurements_ascend(out))
        FAIL(at(r, start), ERR_MALFORMED, "the measurements are not in ascending order");
    return ERR_OK;
}

enum err receipt_parse(struct bytes payload, struct receipt *out, struct fault *fault)
{
    struct receipt receipt = {0};
    struct cbor_reader r;
    cbor_reader_init(&r, payload, 0, "receipt", fault);
    TRY(read_head(&r, RECEIPT_KEYS));
    TRY(read_key(&r, 2, "time"));
    TRY(cbor_reader_uint(&r, &receipt.time_ms));
    TRY(read_key(&r, 3, "challenge"));
    TRY(read_fixed(&r, receipt.challenge, sizeof receipt.challenge));
    TRY(read_key(&r, 4, "document_digest"));
    TRY(read_fixed(&r, receipt.document_digest, sizeof receipt.document_digest));
    TRY(read_key(&r, 5, "root"));
    TRY(read_fixed(&r, receipt.root, sizeof receipt.root));
    TRY(read_key(&r, 6, "store_id"));
    TRY(read_fixed(&r, receipt.store_id, sizeof receipt.store_id));
    TRY(read_key(&r, 7, "audit_sequence"));
    TRY(cbor_reader_uint(&r, &receipt.audit_sequence));
    TRY(read_key(&r, 8, "secrets"));
    TRY(read_items(&r, &receipt));
    TRY(read_key(&r, 9, "measurements"));
    TRY(read_measurements(&r, &receipt));
    TRY(cbor_reader_end(&r));
    *out = receipt;
    return ERR_OK;
}

enum err delegation_append(const struct delegation *delegation, struct buf *payload)
{
    if (delegation->receipt_key_len != DELEGATION_SPKI_LEN)
        return ERR_INTERNAL;
    const size_t before = payload->len;
    struct cbor_writer w;
    cbor_writer_init(&w, payload);
    cbor_writer_map(&w, DELEGATION_KEYS);
    cbor_writer_uint(&w, 1);
    cbor_writer_uint(&w, PROTOCOL_VERSION);
    cbor_writer_uint(&w, 2);
    cbor_writer_bytes(&w, bytes_of(delegation->receipt_key, delegation->receipt_key_len));
    cbor_writer_uint(&w, 3);
    cbor_writer_uint(&w, delegation->not_before_ms);
    cbor_writer_uint(&w, 4);
    cbor_writer_uint(&w, delegation->not_after_ms);
    cbor_writer_uint(&w, 5);
    cbor_writer_bytes(&w, bytes_of(delegation->store_id, sizeof delegation->store_id));
    return finish(&w, before);
}

enum err delegation_parse(struct bytes payload, struct delegation *out, struct fault *fault)
{
    struct delegation delegation = {.receipt_key_len = DELEGATION_SPKI_LEN};
    struct cbor_reader r;
    cbor_reader_init(&r, payload, 0, "delegation", fault);
    TRY(read_head(&r, DELEGATION_KEYS));
    TRY(read_key(&r, 2, "receipt_key"));
    TRY(read_fixed(&r, delegation.receipt_key, DELEGATION_SPKI_LEN));
    TRY(read_key(&r, 3, "not_before"));
    TRY(cbor_reader_uint(&r, &delegation.not_before_ms));
    TRY(read_key(&r, 4, "not_after"));
    TRY(cbor_reader_uint(&r, &delegation.not_after_ms));
    TRY(read_key(&r, 5, "store_id"));
    TRY(read_fixed(&r, delegation.store_id, sizeof delegation.store_id));
    TRY(cbor_reader_end(&r));
    *out = delegation;
    return ERR_OK;
}

enum err sealing_key_append(const struct sealing_key *key, struct buf *payload)
{
    if (!spki_has_form(bytes_of(key->spki, key->spki_len), &spki_x25519))
        return ERR_INTERNAL;
    const size_t before = payload->len;
    struct cbor_writer w;
    cbor_writer_init(&w, payload);
    cbor_writer_map(&w, SEALING_KEY_KEYS);
    cbor_writer_uint(&w, 1);
    cbor_writer_uint(&w, PROTOCOL_VERSION);
    cbor_writer_uint(&w, 2);
    cbor_writer_bytes(&w, bytes_of(key->spki, key->spki_len));
    cbor_writer_uint(&w, 3);
    cbor_writer_bytes(&w, bytes_of(key->store_id, sizeof key->store_id));
    cbor_writer_uint(&w, 4);
    cbor_writer_uint(&w, key->not_after_ms);
    return finish(&w, before);
}

enum err sealing_key_parse(struct bytes payload, struct sealing_key *out, struct fault *fault)
{
    struct sealing_key key = {.spki_len = SEALING_KEY_SPKI_LEN};
    struct cbor_reader r;
    cbor_reader_init(&r, payload, 0, "sealing_key", fault);
    TRY(read_head(&r, SEALING_KEY_KEYS));
    TRY(read_key(&r, 2, "key"));
    const size_t start = r.pos;
    TRY(read_fixed(&r, key.spki, SEALING_KEY_SPKI_LEN));
    if (!spki_has_form(bytes_of(key.spki, key.spki_len), &spki_x25519))
        FAIL(at(&r, start), ERR_MALFORMED, "not an X25519 key");
    TRY(read_key(&r, 3, "store_id"));
    TRY(read_fixed(&r, key.store_id, sizeof key.store_id));
    TRY(read_key(&r, 4, "not_after"));
    TRY(cbor_reader_uint(&r, &key.not_after_ms));
    TRY(cbor_reader_end(&r));
    *out = key;
    return ERR_OK;
}
