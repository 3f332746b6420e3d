#include "ledger_head.h"

#include <openssl/crypto.h>
#include <string.h>

#include "common/cbor_writer.h"
#include "common/openssl_cleanup.h"

void ledger_head_free(struct ledger_head *head)
{
    for (size_t t = 0; t < POLICY_TABLE_COUNT; t++)
        buf_free(&head->macs[t]);
    for (size_t t = 0; t < POLICY_TABLE_COUNT; t++)
        buf_free(&head->chunks[t]);
}

/* --- Chunks --- */

#define CHUNK_LEN ((size_t)LEDGER_CHUNK_ROWS * STORE_MAC_LEN)

/* Bytes alone, so that a buf's memory holds them whatever its alignment. */
_Static_assert(_Alignof(struct ledger_chunk) == 1, "a chunk is read out of a buf");

static struct ledger_chunk *chunk_at(struct ledger_head *head, size_t table, size_t number)
{
    return (struct ledger_chunk *)head->chunks[table].ptr + number;
}

/* Room for the chunk of the MAC at `offset`; one more than is used does no harm. */
static enum err make_chunk(struct ledger_head *head, size_t table, size_t offset)
{
    static const struct ledger_chunk unknown = {.fresh = false};
    if (head->chunks[table].len > offset / CHUNK_LEN * sizeof unknown)
        return ERR_OK;
    return buf_append(&head->chunks[table], bytes_of(&unknown, sizeof unknown));
}

static void touch_chunk(struct ledger_head *head, size_t table, size_t offset)
{
    chunk_at(head, table, offset / CHUNK_LEN)->fresh = false;
}

/* The digests of a table's chunks, one after another; hashes those that are not fresh. */
static enum err append_chunks(struct ledger_head *head, size_t table, struct buf *out)
{
    const struct bytes macs = bytes_of_buf(&head->macs[table]);
    for (size_t offset = 0; offset < macs.len; offset += CHUNK_LEN) {
        struct ledger_chunk *chunk = chunk_at(head, table, offset / CHUNK_LEN);
        const size_t left = macs.len - offset;
        if (!chunk->fresh)
            TRY(digest_sha256(bytes_of(macs.ptr + offset, left < CHUNK_LEN ? left : CHUNK_LEN),
                              chunk->digest));
        chunk->fresh = true;
        TRY(buf_append(out, bytes_of(chunk->digest, sizeof chunk->digest)));
    }
    return ERR_OK;
}

/* --- MACs --- */

enum err ledger_row_mac(const struct keyring *keyring, const struct policy_row *row,
                        uint8_t out[static STORE_MAC_LEN])
{
    CLEANUP(buf_free) struct buf message = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &message);
    cbor_writer_array(&w, 4);
    cbor_writer_cstr(&w, policy_table_name(row->table));
    cbor_writer_uint(&w, row->id);
    cbor_writer_uint(&w, row->revision);
    cbor_writer_raw(&w, row->columns);
    TRY(cbor_writer_finish(&w));
    return keyring_row_mac(keyring, bytes_of_buf(&message), out);
}

enum err ledger_head_put(struct ledger_head *head, enum policy_table table, uint64_t id,
                         const uint8_t mac[static STORE_MAC_LEN], struct ledger_head_undo *undo)
{
    struct buf *macs = &head->macs[table];
    const uint64_t count = macs->len / STORE_MAC_LEN;
    if (id < 1 || id > count + 1)
        return ERR_INTERNAL;
    const size_t offset = (size_t)(id - 1) * STORE_MAC_LEN;
    const bool appended = id == count + 1;
    if (undo != NULL) {
        if (undo->count == LEDGER_UNDO_MAX)
            return ERR_INTERNAL;
        undo->step[undo->count].table = table;
        undo->step[undo->count].offset = offset;
        undo->step[undo->count].appended = appended;
        if (!appended)
            memcpy(undo->step[undo->count].mac, macs->ptr + offset, STORE_MAC_LEN);
    }
    TRY(make_chunk(head, table, offset));
    if (appended)
        TRY(buf_append(macs, bytes_of(mac, STORE_MAC_LEN)));
    else
        memcpy(macs->ptr + offset, mac, STORE_MAC_LEN);
    touch_chunk(head, table, offset);
    if (undo != NULL)
        undo->count++;
    return ERR_OK;
}

void ledger_head_undo(struct ledger_head *head, const struct ledger_head_undo *undo)
{
    for (size_t i = undo->count; i-- > 0;) {
        struct buf *macs = &head->macs[undo->step[i].table];
        if (undo->step[i].appended)
            macs->len = undo->step[i].offset;
        else
            memcpy(macs->ptr + undo->step[i].offset, undo->step[i].mac, STORE_MAC_LEN);
        touch_chunk(head, undo->step[i].table, undo->step[i].offset);
    }
}

/* --- The head --- */

static uint64_t count_rows(const struct ledger_head *head)
{
    uint64_t count = 0;
    for (size_t t = 0; t < POLICY_TABLE_COUNT; t++)
        count += head->macs[t].len / STORE_MAC_LEN;
    return count;
}

/* Name and count say to which table a chunk belongs, and where the last one ends.  A table
 * without rows is left out: one that a later version adds changes no head before it is used. */
static enum err digest_chunks(struct ledger_head *head, uint8_t out[static SHA256_LEN])
{
    CLEANUP(buf_free) struct buf message = {0};
    CLEANUP(buf_free) struct buf digests = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &message);
    for (size_t t = 0; t < POLICY_TABLE_COUNT; t++) {
        if (head->macs[t].len == 0)
            continue;
        digests.len = 0;
        TRY(append_chunks(head, t, &digests));
        cbor_writer_array(&w, 3);
        cbor_writer_cstr(&w, policy_table_name((enum policy_table)t));
        cbor_writer_uint(&w, head->macs[t].len / STORE_MAC_LEN);
        cbor_writer_bytes(&w, bytes_of_buf(&digests));
    }
    TRY(cbor_writer_finish(&w));
    return digest_sha256(bytes_of_buf(&message), out);
}

static enum err digest_macs(const struct ledger_head *head, uint8_t out[static SHA256_LEN])
{
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        return crypto_failed();
    for (size_t t = 0; t < POLICY_TABLE_COUNT; t++) {
        if (EVP_DigestUpdate(ctx, head->macs[t].ptr, head->macs[t].len) != 1)
            return crypto_failed();
    }
    return EVP_DigestFinal_ex(ctx, out, NULL) == 1 ? ERR_OK : crypto_failed();
}

/* The first builds wrote CBOR [revision, row count, SHA-256 over all row MACs]. */
enum head_form { HEAD_FIRST_FORM, HEAD_CHUNKS };

static enum err make_head(struct ledger_head *head, const struct keyring *keyring,
                          enum head_form form, uint64_t revision, struct policy_head *out)
{
    CLEANUP(buf_free) struct buf message = {0};
    struct policy_head made = {.revision = revision, .row_count = count_rows(head)};
    struct cbor_writer w;
    TRY(form == HEAD_CHUNKS ? digest_chunks(head, made.digest) : digest_macs(head, made.digest));
    cbor_writer_init(&w, &message);
    cbor_writer_array(&w, form == HEAD_CHUNKS ? 4 : 3);
    if (form == HEAD_CHUNKS)
        cbor_writer_cstr(&w, "policy_head");
    cbor_writer_uint(&w, made.revision);
    cbor_writer_uint(&w, made.row_count);
    cbor_writer_bytes(&w, bytes_of(made.digest, sizeof made.digest));
    TRY(cbor_writer_finish(&w));
    TRY(keyring_row_mac(keyring, bytes_of_buf(&message), made.mac));
    *out = made;
    return ERR_OK;
}

enum err ledger_head_make(struct ledger_head *head, const struct keyring *keyring,
                          uint64_t revision, struct policy_head *out)
{
    return make_head(head, keyring, HEAD_CHUNKS, revision, out);
}

enum err ledger_head_check(struct ledger_head *head, const struct keyring *keyring,
                           const struct policy_head *stored, bool *holds)
{
    struct policy_head made;
    struct policy_head first_form;
    TRY(make_head(head, keyring, HEAD_CHUNKS, stored->revision, &made));
    TRY(make_head(head, keyring, HEAD_FIRST_FORM, stored->revision, &first_form));
    *holds = ledger_head_equal(stored, &made) || ledger_head_equal(stored, &first_form);
    return ERR_OK;
}

enum err ledger_audit_mac(const struct keyring *keyring, uint64_t sequence,
                          const uint8_t hash[static SHA384_LEN], uint8_t out[static STORE_MAC_LEN])
{
    CLEANUP(buf_free) struct buf message = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &message);
    cbor_writer_array(&w, 3);
    cbor_writer_cstr(&w, "audit_head");
    cbor_writer_uint(&w, sequence);
    cbor_writer_bytes(&w, bytes_of(hash, SHA384_LEN));
    TRY(cbor_writer_finish(&w));
    return keyring_row_mac(keyring, bytes_of_buf(&message), out);
}

bool ledger_head_equal(const struct policy_head *a, const struct policy_head *b)
{
    return a->revision == b->revision && a->row_count == b->row_count &&
           ledger_mac_equal(a->digest, b->digest) && ledger_mac_equal(a->mac, b->mac);
}

bool ledger_mac_equal(const uint8_t a[static STORE_MAC_LEN], const uint8_t b[static STORE_MAC_LEN])
{
    return CRYPTO_memcmp(a, b, STORE_MAC_LEN) == 0;
}
