/* PROTOCOL section 5, the agent's half: an honest answer is opened, and each test that
 * follows breaks exactly one thing in its delegation or receipt and demands the sentence
 * that says so. */
#include "answer_world.h"

/* --- what must be taken --- */

START_TEST(valid_answer)
{
    for (const char *const *format = wrap_formats; *format != NULL; format++) {
        begin_with(*format);
        ck_opened();
        ck_assert(!opened.item[0].deprecated);
        ck_assert_uint_eq(opened.audit_sequence, 300);
        ck_assert_mem_eq(opened.store_id, w.delegation.store_id, PROTOCOL_STORE_ID_LEN);
        end();
    }
}
END_TEST

/* Time, sequence, flags and measurements are the verifier's to say. */
START_TEST(valid_free_fields)
{
    begin();
    w.receipt.time_ms = 1;
    w.receipt.audit_sequence = UINT64_MAX;
    w.receipt.measurement_count = 0;
    w.receipt.item[1].flags = RECEIPT_FLAG_DEPRECATED | 0x80;
    ck_opened();
    ck_assert(!opened.item[0].deprecated);
    ck_assert(opened.item[1].deprecated);
    end();
}
END_TEST

START_TEST(valid_at_the_edges)
{
    begin();
    w.delegation.not_before_ms = TIME_MS;
    w.delegation.not_after_ms = TIME_MS;
    w.wanted.item[0].min_version = 7;
    ck_ok(wanted_add(&w.held, bytes_of_text("db/main"), 7, 0, NULL));
    ck_ok(wanted_add(&w.held, bytes_of_text("other"), 99, 0, NULL));
    ck_opened();
    end();
}
END_TEST

START_TEST(valid_second_pin)
{
    begin();
    EVP_PKEY *const first = w.pins.key[0];
    w.pins.key[1] = first;
    memcpy(w.pins.kid[1], w.pins.kid[0], COSE_KID_LEN);
    w.pins.key[0] = w.stranger384;
    ck_ok(cose_key_id(w.stranger384, w.pins.kid[0]));
    EVP_PKEY_up_ref(w.stranger384);
    w.pins.count = 2;
    ck_opened();
    end();
}
END_TEST

/* --- delegation --- */

START_TEST(wrong_issuer)
{
    begin();
    w.delegation_signer = w.delegation_kid = w.stranger384;
    ck_refused("delegation", "answer_not_authentic: the delegation is signed under none of the "
                             "pinned issuer keys");
}
END_TEST

/* The pinned key's name over another's signature. */
START_TEST(wrong_issuer_signature)
{
    begin();
    w.delegation_signer = w.stranger384;
    ck_err(finish(), ERR_ANSWER);
    ck_assert_str_eq(fault.field, "delegation");
    ck_assert_msg(strstr(fault.detail, "signature_invalid") != NULL, "%s", fault.detail);
    end();
}
END_TEST

START_TEST(expired_delegation)
{
    begin();
    w.delegation.not_after_ms = TIME_MS - 1;
    ck_refused("delegation.validity",
               "delegation_expired: valid 1794996400000..1794999999999 ms, the time is "
               "1795000000000 ms");
}
END_TEST

START_TEST(early_delegation)
{
    begin();
    w.delegation.not_before_ms = TIME_MS + 1;
    ck_refused("delegation.validity",
               "delegation_expired: valid 1795000000001..1795003600000 ms, the time is "
               "1795000000000 ms");
}
END_TEST

START_TEST(wrong_delegation_key)
{
    begin();
    memset(w.delegation.receipt_key + 27, 0xff, 64); /* no point of the curve */
    ck_refused("delegation", "answer_not_authentic: the delegated receipt key is not a P-256 key");
}
END_TEST

START_TEST(wrong_delegation_store)
{
    begin();
    w.delegation.store_id[15] ^= 1;
    ck_refused("receipt", "store id: expected 3e, found 3f (from byte 15 on)");
}
END_TEST

static void ck_part(struct buf *part, struct bytes content, const char *field, const char *wire)
{
    part->len = 0;
    ck_ok(buf_append(part, content));
    ck_err(answer_open(&w.answer, &w.expected, &opened, &fault), ERR_ANSWER);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.detail, wire) != NULL, "%s", fault.detail);
}

START_TEST(junk_delegation)
{
    begin();
    sign_all();
    ck_part(&w.answer.delegation, bytes_of_text("junk"), "delegation", "cbor_");
    end();
}
END_TEST

/* One kind of message never passes for another. */
START_TEST(wrong_profiles)
{
    begin();
    sign_all();
    CLEANUP(buf_free) struct buf delegation = {0};
    CLEANUP(buf_free) struct buf receipt = {0};
    ck_ok(buf_append(&delegation, bytes_of_buf(&w.answer.delegation)));
    ck_ok(buf_append(&receipt, bytes_of_buf(&w.answer.receipt)));
    ck_part(&w.answer.receipt, bytes_of_buf(&delegation), "receipt", "unsupported_algorithm");
    ck_part(&w.answer.delegation, bytes_of_buf(&receipt), "delegation", "unsupported_algorithm");
    end();
}
END_TEST

/* A checkpoint is signed with the same key and algorithm; only external_aad differs. */
START_TEST(wrong_aad)
{
    begin();
    sign_all();
    uint8_t kid[COSE_KID_LEN];
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf checkpoint = {0};
    ck_ok(receipt_append(&w.receipt, &payload));
    ck_ok(cose_key_id(w.receipt_key, kid));
    ck_ok(
        cose_sign1_sign(COSE_CHECKPOINT, kid, bytes_of_buf(&payload), w.receipt_key, &checkpoint));
    ck_part(&w.answer.receipt, bytes_of_buf(&checkpoint), "receipt", "signature_invalid");
    end();
}
END_TEST

/* --- receipt --- */

START_TEST(wrong_receipt_key)
{
    begin();
    w.receipt_signer = w.receipt_kid = w.stranger256;
    ck_refused("receipt",
               "answer_not_authentic: it is signed under another key than the delegated one");
}
END_TEST

START_TEST(wrong_receipt_signature)
{
    begin();
    w.receipt_signer = w.stranger256;
    ck_err(finish(), ERR_ANSWER);
    ck_assert_str_eq(fault.field, "receipt");
    ck_assert_msg(strstr(fault.detail, "signature_invalid") != NULL, "%s", fault.detail);
    end();
}
END_TEST

START_TEST(junk_receipt)
{
    begin();
    sign_all();
    ck_part(&w.answer.receipt, bytes_of_text("junk"), "receipt", "cbor_");
    end();
}
END_TEST

static void spoil_version(struct buf *payload)
{
    ck_assert_uint_eq(payload->ptr[2], 1);
    payload->ptr[2] = 2;
}

START_TEST(wrong_protocol_version)
{
    begin();
    w.spoil = spoil_version;
    ck_refused("receipt", "version: malformed: version 2 of the protocol is not known");
}
END_TEST

/* Swaps the last digits of payments@1 and payments@2, which end the payload. */
static void spoil_order(struct buf *payload)
{
    payload->ptr[payload->len - 1] = '1';
    payload->ptr[payload->len - 12] = '2';
}

START_TEST(unsorted_measurements)
{
    begin();
    w.spoil = spoil_order;
    ck_refused("receipt", "measurements: malformed: the measurements are not in ascending order");
}
END_TEST

static void spoil_end(struct buf *payload)
{
    ck_ok(buf_append(payload, bytes_of("\x00", 1)));
}

START_TEST(long_receipt)
{
    begin();
    w.spoil = spoil_end;
    ck_err(finish(), ERR_ANSWER);
    ck_assert_msg(strstr(fault.detail, "cbor_trailing_bytes") != NULL, "%s", fault.detail);
    end();
}
END_TEST

START_TEST(wrong_challenge)
{
    begin();
    w.receipt.challenge[0] ^= 0xff;
    ck_refused("receipt", "challenge: expected 0001020304050607, found ff01020304050607 (from "
                          "byte 0 on)");
}
END_TEST

START_TEST(wrong_challenge_end)
{
    begin();
    w.receipt.challenge[55] ^= 1;
    ck_refused("receipt", "challenge: expected 37, found 36 (from byte 55 on)");
}
END_TEST

START_TEST(wrong_document)
{
    begin();
    w.receipt.document_digest[47] ^= 1;
    ck_refused("receipt", "document digest: expected 3f, found 3e (from byte 47 on)");
}
END_TEST

START_TEST(wrong_root)
{
    begin();
    w.receipt.root[31] ^= 1;
    ck_refused("receipt", "root: expected 3f, found 3e (from byte 31 on)");
}
END_TEST

START_TEST(wrong_store)
{
    begin();
    w.receipt.store_id[0] ^= 1;
    ck_refused("receipt", "store id: expected 3031323334353637, found 3131323334353637 (from "
                          "byte 0 on)");
}
END_TEST

UNIT_MAIN("agent_answer", valid_answer, valid_free_fields, valid_at_the_edges, valid_second_pin,
          wrong_issuer, wrong_issuer_signature, expired_delegation, early_delegation,
          wrong_delegation_key, wrong_delegation_store, junk_delegation, wrong_profiles, wrong_aad,
          wrong_receipt_key, wrong_receipt_signature, junk_receipt, wrong_protocol_version,
          unsorted_measurements, long_receipt, wrong_challenge, wrong_challenge_end, wrong_document,
          wrong_root, wrong_store)
