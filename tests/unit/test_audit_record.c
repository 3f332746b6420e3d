/* PROTOCOL section 8: audit records, their chain, checkpoints: one form each.
 *
 * The expected bytes and hashes were made apart from this code, with Python: heads of CBOR
 * put together by hand (major type << 5 | argument), byte strings counting up from a first
 * byte, hashlib.sha384 over b"vouchsafe/1 audit" | previous | record. */
#include "hex.h"

#include <stdio.h>

#include "common/audit_record.h"
#include "common/receipt.h"

#define TIME  "021b000001a1ee565e7b" /* 1795000000123 */
#define SMALL "a40101" TIME "036b73657276652e73746172740601"
#define FULL_HEAD                                                          \
    "ae0119012c" TIME "036f72656c656173652e726566757365640465"             \
    "7265712d3105713230332e302e3131332e373a3431323334061a00011170"         \
    "0763616e6e086772656675736564096b6e6f745f6772616e7465640a6e7061796d65" \
    "6e747340312e342e32"
#define FULL_DOCUMENT                                                  \
    "0baa015830101112131415161718191a1b1c1d1e1f"                       \
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f" \
    "026e692d303132332d656e63343536370367656e636c61766504f4051b000001" \
    "a1ee565e00065820202122232425262728292a2b2c2d2e2f3031323334353637" \
    "38393a3b3c3d3e3f076965752d776573742d3108a40058304041424344454647" \
    "48494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f6061626364656667" \
    "68696a6b6c6d6e6f015830505152535455565758595a5b5c5d5e5f6061626364" \
    "65666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f0258306061" \
    "62636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f8081" \
    "82838485868788898a8b8c8d8e8f181f5830707172737475767778797a7b7c7d" \
    "7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d" \
    "9e9f091a800000170a5820606162636465666768696a6b6c6d6e6f7071727374" \
    "75767778797a7b7c7d7e7f"
#define FULL_TAIL                                                      \
    "0c5838000102030405060708090a0b0c0d0e0f101112131415161718191a"     \
    "1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233343536370d8285" \
    "6764622f6d61696e0700676772616e7465646e7061796d656e747340312e342e" \
    "3285617800016b6e6f745f6772616e746564600e82820005820600"
#define FULL FULL_HEAD FULL_DOCUMENT FULL_TAIL

#define ONE_SECRET "0d8185616100006060"

#define HASH_0                                         \
    "140dddf462f148a4690fc87b79410281902ebec2c124a712" \
    "4cf846eb806eaecc75465ebff582bda7623237561a96ea26"
#define HASH_1                                         \
    "1a9077a503b93661f0465f55f4c2443cf011673dfae2c8c5" \
    "c18149b70ab52693355d85cd1feb0b0c69c562a72e892330"
#define HASH_2                                         \
    "d75ff9b5fa8eb3436084733cd3f43d2fa0bda73b05ede3dc" \
    "51d1ae751cf8c75b722caf0993bc344bf631b0c0c1f6423b"
#define STORE_ID "303132333435363738393a3b3c3d3e3f"

static struct fault fault;

static void fill(uint8_t *out, size_t len, unsigned first)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

/* Everything a record can say. */
struct full {
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    uint8_t digest[SHA384_LEN];
    uint8_t root[SHA256_LEN];
    uint8_t application[SHA256_LEN];
    uint8_t pcr[4][ATTDOC_PCR_LEN];
    uint8_t zero[ATTDOC_PCR_LEN];
    struct attdoc doc;
    struct audit_event event;
};

static void make_full(struct full *f)
{
    *f = (struct full){0};
    fill(f->challenge, sizeof f->challenge, 0);
    fill(f->digest, sizeof f->digest, 0x10);
    fill(f->root, sizeof f->root, 0x20);
    fill(f->application, sizeof f->application, 0x60);
    for (unsigned i = 0; i < 4; i++)
        fill(f->pcr[i], ATTDOC_PCR_LEN, 0x40 + 0x10 * i);
    f->doc.module_id = bytes_of_text("i-0123-enc4567");
    f->doc.timestamp_ms = 1795000000000;
    f->doc.pcr[0] = f->pcr[0];
    f->doc.pcr[1] = f->pcr[1];
    f->doc.pcr[2] = f->pcr[2];
    f->doc.pcr[4] = f->zero; /* zero: not worth recording */
    f->doc.pcr[31] = f->pcr[3];
    f->doc.pcr_present = 1u << 31 | 1u << 4 | 7;
    f->event = (struct audit_event){
        .time_ms = 1795000000123,
        .event = "release.refused",
        .request_id = "req-1",
        .peer = "203.0.113.7:41234",
        .policy_revision = 70000,
        .person = "ann",
        .code = "refused",
        .detail = "not_granted",
        .object = "payments@1.4.2",
        .doc = &f->doc,
        .document_digest = f->digest,
        .root_sha256 = f->root,
        .application_sha256 = f->application,
        .region = bytes_of_text("eu-west-1"),
        .challenge = bytes_of(f->challenge, sizeof f->challenge),
        .item_count = 2,
        .item = {{"db/main", 7, 0, "granted", "payments@1.4.2", 0, 5},
                 {"x", 0, RECEIPT_FLAG_DEPRECATED, "not_granted", "", 6, 0}},
    };
}

START_TEST(valid_bytes)
{
    struct full full;
    make_full(&full);
    CLEANUP(buf_free) struct buf record = {0};
    ck_ok(audit_record_append(&full.event, 300, &record));
    ck_hex(bytes_of_buf(&record), FULL);

    /* NULL and empty members are left out; it appends. */
    const struct audit_event small = {
        .time_ms = 1795000000123, .event = "serve.start", .request_id = "", .policy_revision = 1};
    CLEANUP(buf_free) struct buf two = {0};
    ck_ok(buf_append_text(&two, "x"));
    ck_ok(audit_record_append(&small, 1, &two));
    ck_hex(bytes_of_buf(&two), "78" SMALL);
}
END_TEST

START_TEST(valid_absent_texts)
{
    struct full full;
    make_full(&full);
    CLEANUP(buf_free) struct buf empty = {0};
    CLEANUP(buf_free) struct buf absent = {0};
    full.event.item[1].reason = "";
    ck_ok(audit_record_append(&full.event, 1, &empty));
    full.event.item[1].reason = NULL;
    full.event.item[1].build = NULL;
    ck_ok(audit_record_append(&full.event, 1, &absent));
    ck_assert(bytes_equal(bytes_of_buf(&empty), bytes_of_buf(&absent)));
}
END_TEST

static const char json_full[] =
    "{\"sequence\":300,\"time\":\"2026-11-18T11:06:40.123Z\",\"event\":\"release.refused\","
    "\"request_id\":\"req-1\",\"peer\":\"203.0.113.7:41234\",\"policy_revision\":70000,"
    "\"person\":\"ann\",\"code\":\"refused\",\"detail\":\"not_granted\","
    "\"object\":\"payments@1.4.2\",\"document\":{\"digest\":\"101112131415161718191a1b1c1d1e1f"
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\","
    "\"module_id\":\"i-0123-enc4567\",\"kind\":\"enclave\",\"debug\":false,"
    "\"timestamp\":\"2026-11-18T11:06:40Z\",\"root_sha256\":\"202122232425262728292a2b2c2d2e2f"
    "303132333435363738393a3b3c3d3e3f\",\"region\":\"eu-west-1\",\"pcrs\":{"
    "\"0\":\"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
    "606162636465666768696a6b6c6d6e6f\","
    "\"1\":\"505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f"
    "707172737475767778797a7b7c7d7e7f\","
    "\"2\":\"606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
    "808182838485868788898a8b8c8d8e8f\","
    "\"31\":\"707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
    "909192939495969798999a9b9c9d9e9f\"},\"pcr_present\":2147483671,"
    "\"application_sha256\":\"606162636465666768696a6b6c6d6e6f"
    "707172737475767778797a7b7c7d7e7f\"},"
    "\"challenge\":\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "202122232425262728292a2b2c2d2e2f3031323334353637\","
    "\"secrets\":[{\"name\":\"db/main\",\"version\":7,\"flags\":0,\"reason\":\"granted\","
    "\"measurement\":\"payments@1.4.2\",\"asked\":{\"min_version\":5}},"
    "{\"name\":\"x\",\"version\":0,\"flags\":1,\"reason\":\"not_granted\","
    "\"measurement\":\"\",\"asked\":{\"version\":6}}]}";

static void expect_json(const char *hex, const char *expected)
{
    CLEANUP(buf_free) struct buf record = {0};
    from_hex(hex, &record);
    json_t *json = NULL;
    const enum err err = audit_record_to_json(bytes_of_buf(&record), &json, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s", err_wire(err), fault.detail);
    char *text = json_dumps(json, JSON_COMPACT);
    ck_assert_str_eq(text, expected);
    free(text);
    json_decref(json);
}

START_TEST(valid_json)
{
    expect_json(FULL, json_full);
    expect_json(SMALL, "{\"sequence\":1,\"time\":\"2026-11-18T11:06:40.123Z\","
                       "\"event\":\"serve.start\",\"policy_revision\":1}");
}
END_TEST

static void refuse_record(struct bytes record, enum err code)
{
    json_t *json = NULL;
    fault = (struct fault)FAULT_NONE;
    ck_err(audit_record_to_json(record, &json, &fault), code);
    ck_assert_ptr_null(json);
}

static void refuse_hex(const char *hex, enum err code)
{
    CLEANUP(buf_free) struct buf record = {0};
    from_hex(hex, &record);
    refuse_record(bytes_of_buf(&record), code);
}

START_TEST(wrong_records)
{
    refuse_hex("a4" TIME "0101036b73657276652e73746172740601", ERR_CBOR_NOT_STRICT); /* order */
    refuse_hex("a501010101" TIME "036b73657276652e73746172740601", ERR_CBOR_NOT_STRICT);
    refuse_hex("a50101" TIME "036b73657276652e737461727406010f01", ERR_CBOR_NOT_STRICT); /* 15 */
    refuse_hex("a500000101" TIME "036b73657276652e73746172740601", ERR_CBOR_NOT_STRICT); /* 0 */
    refuse_hex("a4016131" TIME "036b73657276652e73746172740601", ERR_CBOR_TYPE);         /* text */
    refuse_hex("a4011bffffffffffffffff" TIME "036b73657276652e73746172740601", ERR_CBOR_TYPE);
    refuse_hex("a40101021bffffffffffffffff036b73657276652e73746172740601", ERR_CBOR_TYPE);
    refuse_hex("a401011a0000000200", ERR_CBOR_NOT_STRICT); /* an integer not in shortest form */
    refuse_hex("bf0101" TIME "036b73657276652e73746172740601ff", ERR_CBOR_NOT_STRICT);
    refuse_hex("a40101" TIME "0361ff0601", ERR_UTF8);
    refuse_hex(SMALL "00", ERR_CBOR_TRAILING);
    refuse_hex("80", ERR_CBOR_TYPE);
    refuse_hex("", ERR_CBOR_MALFORMED);
}
END_TEST

START_TEST(no_members)
{
    refuse_hex("a0", ERR_CBOR_MALFORMED);
    refuse_hex("a3" TIME "036b73657276652e73746172740601", ERR_CBOR_MALFORMED);
    ck_assert_str_eq(fault.detail, "the record holds no sequence");
    refuse_hex("a30101036b73657276652e73746172740601", ERR_CBOR_MALFORMED);
    ck_assert_str_eq(fault.detail, "the record holds no time");
    refuse_hex("a30101" TIME "0601", ERR_CBOR_MALFORMED);
    ck_assert_str_eq(fault.detail, "the record holds no event");
    refuse_hex("a30101" TIME "036b73657276652e7374617274", ERR_CBOR_MALFORMED);
    ck_assert_str_eq(fault.detail, "the record holds no policy_revision");
}
END_TEST

START_TEST(wrong_inner)
{
    /* PCRs out of order, twice, beyond 31; an item of four; a document key of eleven. */
    refuse_hex("a50101" TIME "03617806010ba108a2014100004100", ERR_CBOR_NOT_STRICT);
    refuse_hex("a50101" TIME "03617806010ba108a2014100014100", ERR_CBOR_NOT_STRICT);
    refuse_hex("a50101" TIME "03617806010ba108a118204100", ERR_CBOR_NOT_STRICT);
    refuse_hex("a50101" TIME "03617806010ba10b00", ERR_CBOR_NOT_STRICT);
    refuse_hex("a50101" TIME "03617806010d81846161000060", ERR_CBOR_TYPE);
    refuse_hex("a50101" TIME "03617806010d9affffffff", ERR_CBOR_MALFORMED);
    /* Asked of one where there is none, of two where there is one; one number; a text. */
    refuse_hex("a50101" TIME "03617806010e81820000", ERR_CBOR_NOT_STRICT);
    refuse_hex("a60101" TIME "0361780601" ONE_SECRET "0e82820000820000", ERR_CBOR_NOT_STRICT);
    refuse_hex("a60101" TIME "0361780601" ONE_SECRET "0e818100", ERR_CBOR_TYPE);
    refuse_hex("a60101" TIME "0361780601" ONE_SECRET "0e81826000", ERR_CBOR_TYPE);
}
END_TEST

/* From before a record said what was asked, and what application bytes the document has. */
START_TEST(valid_older_record)
{
    expect_json("a60101" TIME "03617806010ba104f4" ONE_SECRET,
                "{\"sequence\":1,\"time\":\"2026-11-18T11:06:40.123Z\",\"event\":\"x\","
                "\"policy_revision\":1,\"document\":{\"debug\":false},\"secrets\":["
                "{\"name\":\"a\",\"version\":0,\"flags\":0,\"reason\":\"\","
                "\"measurement\":\"\"}]}");
}
END_TEST

START_TEST(short_records)
{
    CLEANUP(buf_free) struct buf record = {0};
    from_hex(FULL, &record);
    for (size_t len = 0; len < record.len; len++) {
        /* A copy of exactly that size: the sanitizer sees a byte too far. */
        uint8_t *copy = malloc(len == 0 ? 1 : len);
        ck_assert(copy != NULL);
        memcpy(copy, record.ptr, len);
        refuse_record(bytes_of(copy, len), ERR_CBOR_MALFORMED);
        free(copy);
    }
}
END_TEST

START_TEST(junk_records)
{
    CLEANUP(buf_free) struct buf record = {0};
    from_hex(FULL, &record);
    unsigned refused = 0;
    for (size_t i = 0; i < record.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            json_t *json = NULL;
            record.ptr[i] ^= (uint8_t)(1u << bit);
            const enum err err = audit_record_to_json(bytes_of_buf(&record), &json, &fault);
            ck_assert((err == ERR_OK) == (json != NULL));
            refused += err != ERR_OK;
            json_decref(json);
            record.ptr[i] ^= (uint8_t)(1u << bit);
        }
    }
    ck_assert_uint_gt(refused, 400); /* heads, keys, types: what is left are values */
}
END_TEST

START_TEST(junk_texts)
{
    struct full full;
    make_full(&full);
    CLEANUP(buf_free) struct buf record = {0};
    full.event.peer = "\xff";
    ck_err(audit_record_append(&full.event, 1, &record), ERR_UTF8);
}
END_TEST

START_TEST(valid_chain)
{
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint8_t hash[SHA384_LEN];
    CLEANUP(buf_free) struct buf small = {0};
    CLEANUP(buf_free) struct buf full = {0};
    fill(store_id, sizeof store_id, 0x30);
    from_hex(SMALL, &small);
    from_hex(FULL, &full);
    ck_ok(audit_chain_first(store_id, hash));
    ck_hex(bytes_of(hash, sizeof hash), HASH_0);
    ck_ok(audit_chain_next(hash, bytes_of_buf(&small), hash)); /* in place */
    ck_hex(bytes_of(hash, sizeof hash), HASH_1);
    ck_ok(audit_chain_next(hash, bytes_of_buf(&full), hash));
    ck_hex(bytes_of(hash, sizeof hash), HASH_2);
}
END_TEST

#define CHECKPOINT_AFTER_ID "0319012c045830" HASH_2 "051b000001a1ee565fc8061a00011170"
#define CHECKPOINT          "a601010250" STORE_ID CHECKPOINT_AFTER_ID

START_TEST(valid_checkpoint)
{
    struct audit_checkpoint c = {
        .sequence = 300, .time_ms = 1795000000456, .policy_revision = 70000};
    struct audit_checkpoint back;
    CLEANUP(buf_free) struct buf hash = {0};
    CLEANUP(buf_free) struct buf payload = {0};
    from_hex(HASH_2, &hash);
    memcpy(c.hash, hash.ptr, sizeof c.hash);
    fill(c.store_id, sizeof c.store_id, 0x30);
    ck_ok(audit_checkpoint_append(&c, &payload));
    ck_hex(bytes_of_buf(&payload), CHECKPOINT);
    ck_ok(audit_checkpoint_parse(bytes_of_buf(&payload), &back, &fault));
    ck_assert_mem_eq(back.store_id, c.store_id, sizeof c.store_id);
    ck_assert_mem_eq(back.hash, c.hash, sizeof c.hash);
    ck_assert_uint_eq(back.sequence, 300);
    ck_assert_uint_eq(back.time_ms, 1795000000456);
    ck_assert_uint_eq(back.policy_revision, 70000);
}
END_TEST

static void refuse_checkpoint(const char *hex, enum err code)
{
    CLEANUP(buf_free) struct buf payload = {0};
    struct audit_checkpoint c;
    from_hex(hex, &payload);
    ck_err(audit_checkpoint_parse(bytes_of_buf(&payload), &c, &fault), code);
}

START_TEST(wrong_checkpoints)
{
    refuse_checkpoint("a601020250" STORE_ID CHECKPOINT_AFTER_ID, ERR_CBOR_TYPE); /* version 2 */
    refuse_checkpoint("a60101024f303132333435363738393a3b3c3d3e" CHECKPOINT_AFTER_ID,
                      ERR_MALFORMED); /* 15 bytes */
    refuse_checkpoint("a601010250" STORE_ID "0319012c04583100" HASH_2
                      "051b000001a1ee565fc8061a00011170",
                      ERR_MALFORMED); /* 49 bytes */
    refuse_checkpoint("a501010250" STORE_ID "0319012c045830" HASH_2 "051b000001a1ee565fc8",
                      ERR_MALFORMED); /* no revision */
    refuse_checkpoint("a701010250" STORE_ID CHECKPOINT_AFTER_ID "0700", ERR_MALFORMED);
    refuse_checkpoint("a60250" STORE_ID "0101" CHECKPOINT_AFTER_ID, ERR_CBOR_TYPE); /* order */
    refuse_checkpoint("bf01010250" STORE_ID CHECKPOINT_AFTER_ID "ff", ERR_CBOR_NOT_STRICT);
    refuse_checkpoint(CHECKPOINT "00", ERR_CBOR_TRAILING);
    refuse_checkpoint("", ERR_CBOR_MALFORMED);
}
END_TEST

START_TEST(short_checkpoints)
{
    CLEANUP(buf_free) struct buf payload = {0};
    struct audit_checkpoint c;
    from_hex(CHECKPOINT, &payload);
    for (size_t len = 0; len < payload.len; len++) {
        uint8_t *copy = malloc(len == 0 ? 1 : len);
        ck_assert(copy != NULL);
        memcpy(copy, payload.ptr, len);
        ck_err(audit_checkpoint_parse(bytes_of(copy, len), &c, &fault), ERR_CBOR_MALFORMED);
        free(copy);
    }
}
END_TEST

UNIT_MAIN("audit_record", valid_bytes, valid_absent_texts, valid_json, wrong_records, no_members,
          wrong_inner, valid_older_record, short_records, junk_records, junk_texts, valid_chain,
          valid_checkpoint, wrong_checkpoints, short_checkpoints)
