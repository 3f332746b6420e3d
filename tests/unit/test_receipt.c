/* PROTOCOL sections 5 and 6: receipts, delegations, sealing keys: one form each.
 *
 * The expected bytes were made apart from this code, with Python: heads of CBOR put
 * together by hand (major type << 5 | argument), byte strings counting up from a
 * first byte, the receipt key's point is P-256's base point. */
#include "hex.h"

#include <stdio.h>

#include "common/codec.h"
#include "common/receipt.h"

static struct fault fault;

#define TIME "021b000001a1ee565e7b" /* 1795000000123 */
#define CHALLENGE                                                            \
    "035838000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" \
    "202122232425262728292a2b2c2d2e2f3031323334353637"
#define DIGEST                                                               \
    "045830101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f" \
    "303132333435363738393a3b3c3d3e3f"
#define ROOT     "055820202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define STORE_ID "50303132333435363738393a3b3c3d3e3f"
#define SEQUENCE "0719012c" /* 300 */
#define ITEM_DB \
    "84676462"  \
    "2f6d61696e075820404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f00"
#define ITEM_X \
    "8461781a7fffffff5820505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f01"
#define BUILD      "6e7061796d656e747340312e342e32"     /* payments@1.4.2 */
#define BUILD_PLUS "707061796d656e747340312e342e322b62" /* payments@1.4.2+b */
#define RECEIPT                                                                      \
    "a90101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0882" ITEM_DB ITEM_X \
    "0982" BUILD BUILD_PLUS

static void fill(uint8_t *out, size_t len, unsigned first)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

static void sample_receipt(struct receipt *r)
{
    *r = (struct receipt){.time_ms = 1795000000123, .audit_sequence = 300, .count = 2};
    fill(r->challenge, sizeof r->challenge, 0);
    fill(r->document_digest, sizeof r->document_digest, 0x10);
    fill(r->root, sizeof r->root, 0x20);
    fill(r->store_id, sizeof r->store_id, 0x30);
    r->item[0] = (struct receipt_item){.name = "db/main", .version = 7};
    fill(r->item[0].content, SHA256_LEN, 0x40);
    r->item[1] = (struct receipt_item){
        .name = "x", .version = PROTOCOL_VERSION_MAX, .flags = RECEIPT_FLAG_DEPRECATED};
    fill(r->item[1].content, SHA256_LEN, 0x50);
    r->measurement_count = 2;
    snprintf(r->measurement[0], sizeof r->measurement[0], "payments@1.4.2");
    snprintf(r->measurement[1], sizeof r->measurement[1], "payments@1.4.2+b");
}

START_TEST(valid_receipt)
{
    struct receipt receipt;
    sample_receipt(&receipt);
    CLEANUP(buf_free) struct buf expected = {0};
    from_hex(RECEIPT, &expected);
    CLEANUP(buf_free) struct buf payload = {0};
    ck_ok(receipt_append(&receipt, &payload));
    ck_assert_uint_eq(payload.len, 304);
    ck_assert(bytes_equal(bytes_of_buf(&payload), bytes_of_buf(&expected)));
    struct receipt back;
    ck_ok(receipt_parse(bytes_of_buf(&payload), &back, &fault));
    ck_assert_uint_eq(back.time_ms, receipt.time_ms);
    ck_assert_uint_eq(back.audit_sequence, 300);
    ck_assert_mem_eq(back.challenge, receipt.challenge, sizeof back.challenge);
    ck_assert_mem_eq(back.document_digest, receipt.document_digest, sizeof back.document_digest);
    ck_assert_mem_eq(back.root, receipt.root, sizeof back.root);
    ck_assert_mem_eq(back.store_id, receipt.store_id, sizeof back.store_id);
    ck_assert_uint_eq(back.count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_str_eq(back.item[i].name, receipt.item[i].name);
        ck_assert_uint_eq(back.item[i].version, receipt.item[i].version);
        ck_assert_mem_eq(back.item[i].content, receipt.item[i].content, SHA256_LEN);
        ck_assert_uint_eq(back.item[i].flags, receipt.item[i].flags);
    }
    ck_assert_uint_eq(back.measurement_count, 2);
    ck_assert_str_eq(back.measurement[0], receipt.measurement[0]);
    ck_assert_str_eq(back.measurement[1], receipt.measurement[1]);
}
END_TEST

START_TEST(valid_receipt_extremes)
{
    struct receipt receipt;
    sample_receipt(&receipt);
    receipt.time_ms = UINT64_MAX;
    receipt.audit_sequence = 0;
    receipt.count = PROTOCOL_SECRETS_MAX;
    for (size_t i = 0; i < receipt.count; i++) {
        snprintf(receipt.item[i].name, sizeof receipt.item[i].name, "%0128zu", i);
        receipt.item[i].version = 1;
        receipt.item[i].flags = UINT64_MAX;
    }
    receipt.measurement_count = RECEIPT_MEASUREMENTS_MAX;
    for (size_t i = 0; i < receipt.measurement_count; i++)
        snprintf(receipt.measurement[i], sizeof receipt.measurement[i], "%063zu@%063zu", i, i);
    CLEANUP(buf_free) struct buf payload = {0};
    ck_ok(receipt_append(&receipt, &payload));
    struct receipt back;
    ck_ok(receipt_parse(bytes_of_buf(&payload), &back, &fault));
    ck_assert_str_eq(back.item[15].name, receipt.item[15].name);
    ck_assert_str_eq(back.measurement[15], receipt.measurement[15]);
    receipt.measurement_count = 0; /* only signer grants */
    payload.len = 0;
    ck_ok(receipt_append(&receipt, &payload));
    ck_ok(receipt_parse(bytes_of_buf(&payload), &back, &fault));
    ck_assert_uint_eq(back.measurement_count, 0);
}
END_TEST

/* What `parse` took of `in`, written again. */
typedef enum err again_fn(struct bytes in, struct buf *out);

static enum err receipt_again(struct bytes in, struct buf *out)
{
    struct receipt receipt;
    TRY(receipt_parse(in, &receipt, NULL));
    ck_ok(receipt_append(&receipt, out));
    return ERR_OK;
}

static enum err delegation_again(struct bytes in, struct buf *out)
{
    struct delegation delegation;
    TRY(delegation_parse(in, &delegation, NULL));
    ck_ok(delegation_append(&delegation, out));
    return ERR_OK;
}

static enum err sealing_key_again(struct bytes in, struct buf *out)
{
    struct sealing_key key;
    TRY(sealing_key_parse(in, &key, NULL));
    ck_ok(sealing_key_append(&key, out));
    return ERR_OK;
}

/* Every byte set to every value, every cut and a byte too many: refused, or another
 * value in its one form. */
static void ck_one_form(const char *hex, again_fn *again)
{
    CLEANUP(buf_free) struct buf in = {0};
    from_hex(hex, &in);
    size_t taken = 0;
    for (size_t i = 0; i < in.len; i++) {
        const uint8_t was = in.ptr[i];
        for (unsigned value = 0; value < 256; value++) {
            in.ptr[i] = (uint8_t)value;
            CLEANUP(buf_free) struct buf out = {0};
            if (again(bytes_of_buf(&in), &out) != ERR_OK)
                continue;
            taken++;
            ck_assert_msg(bytes_equal(bytes_of_buf(&in), bytes_of_buf(&out)), "byte %zu: %02x", i,
                          value);
        }
        in.ptr[i] = was;
        CLEANUP(buf_free) struct buf out = {0};
        ck_assert(again(bytes_of(in.ptr, i), &out) != ERR_OK);
    }
    ck_assert_uint_gt(taken, 256);
    in.ptr[in.len++] = 0;
    CLEANUP(buf_free) struct buf out = {0};
    ck_err(again(bytes_of_buf(&in), &out), ERR_CBOR_TRAILING);
}

START_TEST(junk_receipt)
{
    ck_one_form(RECEIPT, receipt_again);
}
END_TEST

static const struct refused {
    const char *hex;
    enum err code;
    const char *field;
} wrong_receipts[] = {
    {"80", ERR_CBOR_TYPE, "receipt"},
    {"a80101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0881" ITEM_DB, ERR_CBOR_TYPE,
     "receipt"},
    /* A tenth key; the ninth instead of it twice; an outer map of indefinite length. */
    {"aa0101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0881" ITEM_DB "09800a00",
     ERR_CBOR_TYPE, "receipt"},
    {"a90101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0881" ITEM_DB "0881" ITEM_DB,
     ERR_CBOR_TYPE, "measurements"},
    {"bf0101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0881" ITEM_DB "0980ff",
     ERR_CBOR_NOT_STRICT, "receipt"},
    {"a90102" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0881" ITEM_DB "0980",
     ERR_MALFORMED, "version"},
    {"a9010101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0881" ITEM_DB "0980",
     ERR_CBOR_TYPE, "time"},
    /* 3 before 2; a time that is not in its shortest form; a text for bytes. */
    {"a90101" CHALLENGE TIME DIGEST ROOT "06" STORE_ID SEQUENCE "0881" ITEM_DB "0980",
     ERR_CBOR_TYPE, "time"},
    {"a90101021801" CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0881" ITEM_DB "0980",
     ERR_CBOR_NOT_STRICT, "time"},
    {"a90101" TIME "0360" DIGEST, ERR_CBOR_TYPE, "challenge"},
    {"a90101" TIME "034100" DIGEST, ERR_MALFORMED, "challenge"},
    {"a90101" TIME CHALLENGE "044100" ROOT, ERR_MALFORMED, "document_digest"},
    {"a90101" TIME CHALLENGE DIGEST "0540", ERR_MALFORMED, "root"},
    {"a90101" TIME CHALLENGE DIGEST ROOT "064100", ERR_MALFORMED, "store_id"},
    {"a90101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID "0720", ERR_CBOR_TYPE, "audit_sequence"},
};

/* What follows the sequence: the secrets and the measurements. */
static const struct refused wrong_lists[] = {
    {"08800980", ERR_MALFORMED, "secrets"},
    {"0882" ITEM_DB ITEM_DB "0980", ERR_MALFORMED, "secrets"},
    {"0891", ERR_CBOR_MALFORMED, "secrets"}, /* more than the bytes that are left */
    {"088183617801" STORE_ID "0980", ERR_CBOR_TYPE, "secrets"},
    /* [ "X", ... ], version 0, version 2^31, content of 16 bytes, a negative flag */
    {"0881846158015820404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f000980",
     ERR_MALFORMED, "secrets"},
    {"0881846178005820404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f000980",
     ERR_MALFORMED, "secrets"},
    {"08818461781a800000005820404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f00"
     "0980",
     ERR_MALFORMED, "secrets"},
    {"088184617801" STORE_ID "000980", ERR_MALFORMED, "secrets"},
    {"0881846178015820404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f200980",
     ERR_CBOR_TYPE, "secrets"},
    {"0881" ITEM_DB "0982" BUILD_PLUS BUILD, ERR_MALFORMED, "measurements"},
    {"0881" ITEM_DB "0982" BUILD BUILD, ERR_MALFORMED, "measurements"},
    {"0881" ITEM_DB "09816161", ERR_MALFORMED, "measurements"},
    {"0881" ITEM_DB "09814161", ERR_CBOR_TYPE, "measurements"},
    {"0881" ITEM_DB "099f" BUILD "ff", ERR_CBOR_NOT_STRICT, "measurements"},
};

static void ck_refused_receipt(const char *hex, enum err code, const char *field)
{
    CLEANUP(buf_free) struct buf in = {0};
    from_hex(hex, &in);
    struct receipt out = {.count = 77};
    fault = (struct fault)FAULT_NONE;
    const enum err got = receipt_parse(bytes_of_buf(&in), &out, &fault);
    ck_assert_msg(got == code, "%s: got %s, expected %s", hex, err_wire(got), err_wire(code));
    ck_assert_str_eq(fault.field, field);
    ck_assert_uint_le(fault.offset, in.len);
    ck_assert_uint_eq(out.count, 77);
}

START_TEST(wrong_receipt)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong_receipts); i++)
        ck_refused_receipt(wrong_receipts[i].hex, wrong_receipts[i].code, wrong_receipts[i].field);
    for (size_t i = 0; i < ARRAY_LEN(wrong_lists); i++) {
        char hex[1024];
        snprintf(hex, sizeof hex, "%s%s",
                 "a90101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE, wrong_lists[i].hex);
        ck_refused_receipt(hex, wrong_lists[i].code, wrong_lists[i].field);
    }
}
END_TEST

START_TEST(long_receipt)
{
    CLEANUP(buf_free) struct buf hex = {0};
    ck_ok(buf_append_text(&hex, "a90101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE "0891"));
    for (unsigned i = 0; i <= PROTOCOL_SECRETS_MAX; i++)
        ck_ok(buf_append_text(&hex, ITEM_DB));
    ck_refused_receipt(buf_text(&hex), ERR_MALFORMED, "secrets");
    hex.len = 0;
    ck_ok(buf_append_text(&hex, "a90101" TIME CHALLENGE DIGEST ROOT "06" STORE_ID SEQUENCE
                                "0881" ITEM_DB "0991"));
    for (unsigned i = 0; i <= RECEIPT_MEASUREMENTS_MAX; i++)
        ck_ok(buf_append_text(&hex, BUILD));
    ck_refused_receipt(buf_text(&hex), ERR_MALFORMED, "measurements");
}
END_TEST

START_TEST(wrong_receipt_append)
{
    struct receipt receipt;
    CLEANUP(buf_free) struct buf out = {0};
    sample_receipt(&receipt);
    receipt.count = 0;
    ck_err(receipt_append(&receipt, &out), ERR_INTERNAL);
    receipt.count = PROTOCOL_SECRETS_MAX + 1;
    ck_err(receipt_append(&receipt, &out), ERR_INTERNAL);
    sample_receipt(&receipt);
    receipt.item[1] = receipt.item[0];
    ck_err(receipt_append(&receipt, &out), ERR_INTERNAL);
    sample_receipt(&receipt);
    receipt.item[1].version = 0;
    ck_err(receipt_append(&receipt, &out), ERR_INTERNAL);
    sample_receipt(&receipt);
    receipt.item[0].name[0] = 'D';
    ck_err(receipt_append(&receipt, &out), ERR_INTERNAL);
    sample_receipt(&receipt);
    receipt.measurement[0][0] = 'z';
    ck_err(receipt_append(&receipt, &out), ERR_INTERNAL);
    sample_receipt(&receipt);
    receipt.measurement[1][8] = '-';
    ck_err(receipt_append(&receipt, &out), ERR_INTERNAL);
    sample_receipt(&receipt);
    receipt.measurement_count = RECEIPT_MEASUREMENTS_MAX + 1;
    ck_err(receipt_append(&receipt, &out), ERR_INTERNAL);
    ck_assert_uint_eq(out.len, 0);
}
END_TEST

#define RECEIPT_KEY                                                                                \
    "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277"     \
    "037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51" \
    "f5"
/* 1795000000000 and 90 days later */
#define DELEGATION "a5010102585b" RECEIPT_KEY "031b000001a1ee565e00041b000001a3bdd2b60005" STORE_ID

START_TEST(valid_delegation)
{
    struct delegation delegation = {
        .receipt_key_len = DELEGATION_SPKI_LEN,
        .not_before_ms = 1795000000000,
        .not_after_ms = 1795000000000 + 90ull * 86400000,
    };
    ck_ok(hex_decode(bytes_of_text(RECEIPT_KEY), delegation.receipt_key, DELEGATION_SPKI_LEN));
    fill(delegation.store_id, sizeof delegation.store_id, 0x30);
    CLEANUP(buf_free) struct buf expected = {0};
    from_hex(DELEGATION, &expected);
    CLEANUP(buf_free) struct buf payload = {0};
    ck_ok(delegation_append(&delegation, &payload));
    ck_assert_uint_eq(payload.len, 135);
    ck_assert(bytes_equal(bytes_of_buf(&payload), bytes_of_buf(&expected)));
    struct delegation back;
    ck_ok(delegation_parse(bytes_of_buf(&payload), &back, &fault));
    ck_assert_uint_eq(back.receipt_key_len, DELEGATION_SPKI_LEN);
    ck_assert_mem_eq(back.receipt_key, delegation.receipt_key, sizeof back.receipt_key);
    ck_assert_uint_eq(back.not_before_ms, delegation.not_before_ms);
    ck_assert_uint_eq(back.not_after_ms, delegation.not_after_ms);
    ck_assert_mem_eq(back.store_id, delegation.store_id, sizeof back.store_id);
    payload.len = 0;
    delegation.receipt_key_len--;
    ck_err(delegation_append(&delegation, &payload), ERR_INTERNAL);
    ck_assert_uint_eq(payload.len, 0);
}
END_TEST

START_TEST(junk_delegation)
{
    ck_one_form(DELEGATION, delegation_again);
}
END_TEST

static void ck_refused_delegation(const char *hex, enum err code, const char *field)
{
    CLEANUP(buf_free) struct buf in = {0};
    from_hex(hex, &in);
    struct delegation out;
    fault = (struct fault)FAULT_NONE;
    ck_err(delegation_parse(bytes_of_buf(&in), &out, &fault), code);
    ck_assert_str_eq(fault.field, field);
}

START_TEST(wrong_delegation)
{
    ck_refused_delegation("a4010102585b" RECEIPT_KEY "03000401", ERR_CBOR_TYPE, "delegation");
    ck_refused_delegation("a5010202585b" RECEIPT_KEY "0300040105" STORE_ID, ERR_MALFORMED,
                          "version");
    ck_refused_delegation("a501010241000300040105" STORE_ID, ERR_MALFORMED, "receipt_key");
    ck_refused_delegation("a5010102585b" RECEIPT_KEY "0400030105" STORE_ID, ERR_CBOR_TYPE,
                          "not_before");
    ck_refused_delegation("a5010102585b" RECEIPT_KEY "0300042005" STORE_ID, ERR_CBOR_TYPE,
                          "not_after");
    ck_refused_delegation("a5010102585b" RECEIPT_KEY "03000401054100", ERR_MALFORMED, "store_id");
}
END_TEST

#define X25519 \
    "302a300506032b656e032100606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
#define SEALING_KEY "a4010102582c" X25519 "03" STORE_ID "041b000001a1ee565e00"

START_TEST(valid_sealing_key)
{
    struct sealing_key key = {.spki_len = SEALING_KEY_SPKI_LEN, .not_after_ms = 1795000000000};
    ck_ok(hex_decode(bytes_of_text(X25519), key.spki, SEALING_KEY_SPKI_LEN));
    fill(key.store_id, sizeof key.store_id, 0x30);
    CLEANUP(buf_free) struct buf expected = {0};
    from_hex(SEALING_KEY, &expected);
    CLEANUP(buf_free) struct buf payload = {0};
    ck_ok(sealing_key_append(&key, &payload));
    ck_assert(bytes_equal(bytes_of_buf(&payload), bytes_of_buf(&expected)));
    struct sealing_key back;
    ck_ok(sealing_key_parse(bytes_of_buf(&payload), &back, &fault));
    ck_assert_mem_eq(&back, &key, sizeof back);
    payload.len = 0;
    key.spki[8] ^= 1; /* X448 */
    ck_err(sealing_key_append(&key, &payload), ERR_INTERNAL);
}
END_TEST

START_TEST(junk_sealing_key)
{
    ck_one_form(SEALING_KEY, sealing_key_again);
}
END_TEST

START_TEST(wrong_sealing_key)
{
    CLEANUP(buf_free) struct buf in = {0};
    from_hex(SEALING_KEY, &in);
    struct sealing_key out;
    in.ptr[6 + 8] ^= 1;
    fault = (struct fault)FAULT_NONE;
    ck_err(sealing_key_parse(bytes_of_buf(&in), &out, &fault), ERR_MALFORMED);
    ck_assert_str_eq(fault.field, "key");
    ck_assert_uint_eq(fault.offset, 4);
}
END_TEST

UNIT_MAIN("receipt", valid_receipt, valid_receipt_extremes, junk_receipt, wrong_receipt,
          long_receipt, wrong_receipt_append, valid_delegation, junk_delegation, wrong_delegation,
          valid_sealing_key, junk_sealing_key, wrong_sealing_key)
