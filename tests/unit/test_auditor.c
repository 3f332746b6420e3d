/* The auditor against a server that holds its own receipt key: what it could sign and
 * must not get away with.  What others could do to an honest server's export is tested
 * on whole programs, in tests/e2e/audit.py. */
#include "unit.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/codec.h"
#include "verifier/cli/auditor.h"

#define NOW_MS 1795421399000u
#define DAY_MS 86400000u

static const uint8_t store_id[PROTOCOL_STORE_ID_LEN] = "0123456789abcde";

static EVP_PKEY *issuer;
static EVP_PKEY *receipt;
static uint8_t receipt_kid[COSE_KID_LEN];
static struct issuer_pins pins;
static struct audit_checkpoint honest;
static size_t delegation_count;
static struct fault fault;

static json_t *base64_json(struct bytes value)
{
    CLEANUP(buf_free) struct buf text = {0};
    ck_ok(base64_append(&text, value));
    return json_stringn((const char *)text.ptr, text.len);
}

static void make_keys(void)
{
    issuer = EVP_EC_gen("P-384");
    receipt = EVP_EC_gen("P-256");
    ck_assert(issuer != NULL && receipt != NULL);
    ck_ok(cose_key_id(receipt, receipt_kid));
    pins = (struct issuer_pins){.count = 1, .key = {issuer}};
    ck_ok(cose_key_id(issuer, pins.kid[0]));
}

static json_t *delegations(void)
{
    uint8_t *spki = NULL;
    CLEANUP(buf_free) struct buf message = {0};
    json_t *array = json_array();
    const int len = i2d_PUBKEY(receipt, &spki);
    ck_assert_int_eq(len, DELEGATION_SPKI_LEN);
    ck_ok(delegation_sign(issuer, bytes_of(spki, (size_t)len), store_id, NOW_MS, DAY_MS, &message));
    for (size_t i = 0; i < delegation_count; i++)
        ck_assert_int_eq(json_array_append_new(array, base64_json(bytes_of_buf(&message))), 0);
    OPENSSL_free(spki);
    return array;
}

static void make_checkpoint(const struct audit_checkpoint *checkpoint, struct buf *message)
{
    CLEANUP(buf_free) struct buf payload = {0};
    ck_ok(audit_checkpoint_append(checkpoint, &payload));
    ck_ok(cose_sign1_sign(COSE_CHECKPOINT, receipt_kid, bytes_of_buf(&payload), receipt, message));
}

/* A page of one record, and its checkpoint as `honest` says. */
static json_t *make_page(void)
{
    const struct audit_event event = {.time_ms = NOW_MS, .event = "store.init"};
    CLEANUP(buf_free) struct buf record = {0};
    CLEANUP(buf_free) struct buf message = {0};
    char hex[2 * PROTOCOL_STORE_ID_LEN + 1];
    hex_encode(bytes_of(store_id, sizeof store_id), hex);
    make_checkpoint(&honest, &message);
    ck_ok(audit_record_append(&event, 1, &record));
    json_t *page =
        json_pack("{s:s, s:o, s:[o], s:[{s:i, s:o}]}", "store_id", hex, "delegations",
                  delegations(), "records", base64_json(bytes_of_buf(&record)), "checkpoints",
                  "sequence", 1, "message", base64_json(bytes_of_buf(&message)));
    ck_assert_ptr_nonnull(page);
    return page;
}

static void set_up(void)
{
    const struct audit_event event = {.time_ms = NOW_MS, .event = "store.init"};
    CLEANUP(buf_free) struct buf record = {0};
    if (issuer == NULL)
        make_keys();
    ck_ok(audit_record_append(&event, 1, &record));
    delegation_count = 1;
    honest = (struct audit_checkpoint){.sequence = 1, .time_ms = NOW_MS, .policy_revision = 1};
    memcpy(honest.store_id, store_id, sizeof store_id);
    ck_ok(audit_chain_first(store_id, honest.hash));
    ck_ok(audit_chain_next(honest.hash, bytes_of_buf(&record), honest.hash));
}

static enum err audit(struct auditor *out)
{
    CLEANUP(json_decrefp) json_t *page = make_page();
    CLEANUP(auditor_free) struct auditor auditor;
    fault = (struct fault)FAULT_NONE;
    auditor_init(&auditor, &pins);
    const enum err err = auditor_page(&auditor, page, &fault);
    *out = auditor;
    return err;
}

START_TEST(valid_page)
{
    struct auditor auditor;
    set_up();
    ck_ok(audit(&auditor));
    ck_assert_uint_eq(auditor.sequence, 1);
    ck_assert_uint_eq(auditor.checkpoints, 1);
    ck_assert_uint_eq(auditor.complete_to, 1);
    ck_assert_int_eq(auditor.complete_time, NOW_MS);
}
END_TEST

START_TEST(wrong_store)
{
    struct auditor auditor;
    set_up();
    honest.store_id[0] ^= 1;
    ck_err(audit(&auditor), ERR_ANSWER);
    ck_assert_str_eq(fault.field, "checkpoint 1");
    ck_assert_str_eq(fault.detail, "of another store");
}
END_TEST

START_TEST(wrong_hash)
{
    struct auditor auditor;
    set_up();
    honest.hash[47] ^= 1;
    ck_err(audit(&auditor), ERR_ANSWER);
    ck_assert_str_eq(fault.field, "checkpoint 1");
}
END_TEST

/* Both ends of the delegation count, what lies outside shows nothing. */
START_TEST(wrong_time)
{
    static const struct {
        uint64_t time_ms;
        bool in_time;
    } cases[] = {
        {NOW_MS - DELEGATION_BACKDATE_MS, true},
        {NOW_MS - DELEGATION_BACKDATE_MS - 1, false},
        {NOW_MS + DAY_MS, true},
        {NOW_MS + DAY_MS + 1, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct auditor auditor;
        set_up();
        honest.time_ms = cases[i].time_ms;
        ck_ok(audit(&auditor));
        ck_assert_uint_eq(auditor.checkpoints, cases[i].in_time);
        ck_assert_uint_eq(auditor.out_of_time, !cases[i].in_time);
        ck_assert_uint_eq(auditor.complete_to, cases[i].in_time);
    }
}
END_TEST

START_TEST(long_delegations)
{
    struct auditor auditor;
    set_up();
    delegation_count = AUDITOR_KEYS_MAX;
    ck_ok(audit(&auditor));
    delegation_count = AUDITOR_KEYS_MAX + 1;
    ck_err(audit(&auditor), ERR_TOO_LARGE);
    ck_assert_str_eq(fault.field, "delegations");
}
END_TEST

UNIT_MAIN("auditor", valid_page, wrong_store, wrong_hash, wrong_time, long_delegations)
