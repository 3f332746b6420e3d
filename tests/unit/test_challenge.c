/* PROTOCOL section 2: challenges.
 *
 * The known one was made apart from this code, with Python's hmac: HKDF-SHA-256 of the
 * master key 00..1f, salt the store id 30..3f, info "vouchsafe/1 challenge" | 00000007;
 * random a0..af, expiring 120 s after 2026-11-23T00:00:00Z. */
#include "unit.h"

#include "common/codec.h"
#include "verifier/warden/challenge.h"

#define NOW_MS UINT64_C(1795392000000)
#define TTL_MS UINT64_C(120000)
#define EPOCH  7
#define KNOWN                                          \
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf000001a205b5a4c0" \
    "bbcb1d0dccb8d68c189ebfa9cd3ec3f7931f51631e5b933f50f66a2609492d28"

static struct fault fault;

static void open_keyring(unsigned master_first, unsigned store_first, struct keyring **out)
{
    CLEANUP(secret_freep) struct secret *master = NULL;
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    ck_ok(secret_new(KEYRING_MASTER_LEN, &master));
    for (unsigned i = 0; i < KEYRING_MASTER_LEN; i++)
        secret_ptr(master)[i] = (uint8_t)(master_first + i);
    for (unsigned i = 0; i < sizeof store_id; i++)
        store_id[i] = (uint8_t)(store_first + i);
    ck_ok(keyring_open(master, store_id, 1, out));
}
#define KEYRING(k)                                     \
    CLEANUP(keyring_freep) struct keyring *(k) = NULL; \
    open_keyring(0, 0x30, &(k))

static enum err check(const struct keyring *keyring, const uint8_t *challenge, uint64_t now_ms,
                      uint64_t purged_ms)
{
    uint64_t expiry_ms = 0;
    fault = (struct fault)FAULT_NONE;
    const enum err err =
        challenge_check(keyring, EPOCH, bytes_of(challenge, PROTOCOL_CHALLENGE_LEN), now_ms,
                        purged_ms, &expiry_ms, &fault);
    ck_assert_uint_eq(expiry_ms, err == ERR_OK ? NOW_MS + TTL_MS : 0);
    ck_assert_str_eq(fault.field, err == ERR_OK ? "" : "nonce");
    return err;
}

START_TEST(valid_known)
{
    KEYRING(k);
    uint8_t known[PROTOCOL_CHALLENGE_LEN];
    ck_ok(hex_decode(bytes_of_text(KNOWN), known, sizeof known));
    ck_ok(check(k, known, NOW_MS, 0));
}
END_TEST

START_TEST(valid_made)
{
    KEYRING(k);
    uint8_t a[PROTOCOL_CHALLENGE_LEN];
    uint8_t b[PROTOCOL_CHALLENGE_LEN];
    uint8_t expiry[8];
    ck_ok(challenge_make(k, EPOCH, NOW_MS, a));
    ck_ok(challenge_make(k, EPOCH, NOW_MS, b));
    ck_ok(check(k, a, NOW_MS, 0));
    ck_ok(check(k, b, NOW_MS, 0));
    ck_assert_mem_ne(a, b, 16); /* the random part */
    ck_ok(hex_decode(bytes_of_text("000001a205b5a4c0"), expiry, sizeof expiry));
    ck_assert_mem_eq(a + 16, expiry, sizeof expiry);
}
END_TEST

START_TEST(wrong_length)
{
    KEYRING(k);
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN + 1] = {0};
    uint64_t expiry_ms = 0;
    ck_ok(challenge_make(k, EPOCH, NOW_MS, challenge));
    for (size_t len = 0; len <= sizeof challenge; len++) {
        if (len == PROTOCOL_CHALLENGE_LEN)
            continue;
        ck_err(challenge_check(k, EPOCH, bytes_of(challenge, len), NOW_MS, 0, &expiry_ms, &fault),
               ERR_CHALLENGE_UNKNOWN);
        ck_assert_str_eq(fault.field, "nonce");
    }
    ck_err(challenge_check(k, EPOCH, (struct bytes){0}, NOW_MS, 0, &expiry_ms, &fault),
           ERR_CHALLENGE_UNKNOWN); /* an absent nonce */
    ck_assert_uint_eq(expiry_ms, 0);
}
END_TEST

START_TEST(wrong_bits)
{
    KEYRING(k);
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    ck_ok(challenge_make(k, EPOCH, NOW_MS, challenge));
    for (size_t bit = 0; bit < 8 * sizeof challenge; bit++) {
        challenge[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_err(check(k, challenge, NOW_MS, 0), ERR_CHALLENGE_UNKNOWN);
        challenge[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_ok(check(k, challenge, NOW_MS, 0));
}
END_TEST

START_TEST(wrong_key)
{
    KEYRING(k);
    CLEANUP(keyring_freep) struct keyring *other_master = NULL;
    CLEANUP(keyring_freep) struct keyring *other_store = NULL;
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    uint64_t expiry_ms;
    open_keyring(1, 0x30, &other_master);
    open_keyring(0, 0x31, &other_store);
    ck_ok(challenge_make(k, EPOCH, NOW_MS, challenge));
    ck_err(check(other_master, challenge, NOW_MS, 0), ERR_CHALLENGE_UNKNOWN);
    ck_err(check(other_store, challenge, NOW_MS, 0), ERR_CHALLENGE_UNKNOWN);
    ck_err(challenge_check(k, EPOCH + 1, bytes_of(challenge, sizeof challenge), NOW_MS, 0,
                           &expiry_ms, &fault),
           ERR_CHALLENGE_UNKNOWN);
}
END_TEST

/* Another MAC of the same keyring is no challenge: each purpose has a key of its own. */
START_TEST(wrong_purpose)
{
    KEYRING(k);
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    CLEANUP(buf_free) struct buf message = {0};
    ck_ok(challenge_make(k, EPOCH, NOW_MS, challenge));
    ck_ok(buf_append_text(&message, "vouchsafe/1 challenge"));
    ck_ok(buf_append(&message, bytes_of(challenge, 24)));
    ck_ok(keyring_row_mac(k, bytes_of_buf(&message), challenge + 24));
    ck_err(check(k, challenge, NOW_MS, 0), ERR_CHALLENGE_UNKNOWN);
}
END_TEST

START_TEST(wrong_expired)
{
    KEYRING(k);
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    ck_ok(challenge_make(k, EPOCH, NOW_MS, challenge));
    ck_ok(check(k, challenge, NOW_MS + TTL_MS - 1, 0));
    ck_err(check(k, challenge, NOW_MS + TTL_MS, 0), ERR_CHALLENGE_EXPIRED);
    ck_err(check(k, challenge, NOW_MS + 1000 * TTL_MS, 0), ERR_CHALLENGE_EXPIRED);
}
END_TEST

START_TEST(wrong_purged)
{
    KEYRING(k);
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    ck_ok(challenge_make(k, EPOCH, NOW_MS, challenge));
    ck_ok(check(k, challenge, NOW_MS, NOW_MS + TTL_MS - 1));
    ck_err(check(k, challenge, NOW_MS, NOW_MS + TTL_MS), ERR_CHALLENGE_EXPIRED);
    ck_err(check(k, challenge, NOW_MS, UINT64_MAX), ERR_CHALLENGE_EXPIRED);
}
END_TEST

START_TEST(wrong_clock_back)
{
    KEYRING(k);
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    ck_ok(challenge_make(k, EPOCH, NOW_MS, challenge));
    ck_ok(check(k, challenge, NOW_MS - TTL_MS, 0));
    ck_err(check(k, challenge, NOW_MS - TTL_MS - 1, 0), ERR_CHALLENGE_EXPIRED);
    ck_err(check(k, challenge, 0, 0), ERR_CHALLENGE_EXPIRED);
}
END_TEST

UNIT_MAIN("challenge", valid_known, valid_made, wrong_length, wrong_bits, wrong_key, wrong_purpose,
          wrong_expired, wrong_purged, wrong_clock_back)
