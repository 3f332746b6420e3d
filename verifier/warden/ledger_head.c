#include "ledger_head.h"

#include <openssl/crypto.h>
#include <string.h>

#include "common/cbor_writer.h"
#include "common/openssl_cleanup.h"

void ledger_head_free(struct ledger_head *head)
{
    for (size_t t = 0; t < POLICY_TABLE_COUNT; t++)
        buf_free(&head->macs[t]);
}

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
    if (appended)
        TRY(buf_append(macs, bytes_of(mac, STORE_MAC_LEN)));
    else
        memcpy(macs->ptr + offset, mac, STORE_MAC_LEN);
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
    }
}

static enum err digest_macs(const struct ledger_head *head, uint64_t *row_count,
                            uint8_t out[static STORE_MAC_LEN])
{
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    *row_count = 0;
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        return crypto_failed();
    for (size_t t = 0; t < POLICY_TABLE_COUNT; t++) {
        *row_count += head->macs[t].len / STORE_MAC_LEN;
        if (EVP_DigestUpdate(ctx, head->macs[t].ptr, head->macs[t].len) != 1)
            return crypto_failed();
    }
    return EVP_DigestFinal_ex(ctx, out, NULL) == 1 ? ERR_OK : crypto_failed();
}

enum err ledger_head_make(const struct ledger_head *head, const struct keyring *keyring,
                          uint64_t revision, struct policy_head *out)
{
    CLEANUP(buf_free) struct buf message = {0};
    struct policy_head made = {.revision = revision};
    struct cbor_writer w;
    TRY(digest_macs(head, &made.row_count, made.digest));
    cbor_writer_init(&w, &message);
    cbor_writer_array(&w, 3);
    cbor_writer_uint(&w, made.revision);
    cbor_writer_uint(&w, made.row_count);
    cbor_writer_bytes(&w, bytes_of(made.digest, sizeof made.digest));
    TRY(cbor_writer_finish(&w));
    TRY(keyring_row_mac(keyring, bytes_of_buf(&message), made.mac));
    *out = made;
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
