/* The server's own keys: made, loaded, signing, opening sealed puts. */
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "common/receipt.h"
#include "verifier/keyring/keyring.h"

static const uint8_t store_id[PROTOCOL_STORE_ID_LEN] = "keyring test  id";

static struct keyring *open_keyring(void)
{
    CLEANUP(secret_freep) struct secret *master = NULL;
    struct keyring *keyring = NULL;
    ck_ok(secret_new_random(KEYRING_MASTER_LEN, &master));
    ck_ok(keyring_open(master, store_id, 1, &keyring));
    return keyring;
}

static EVP_PKEY *public_key(const struct buf *spki)
{
    const uint8_t *p = spki->ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki->len);
    ck_assert_ptr_nonnull(key);
    ck_assert_ptr_eq(p, spki->ptr + spki->len);
    return key;
}

/* Signs, parses, verifies under `spki`, whose kid the header must name. */
static void ck_signs(const struct keyring *keyring, enum cose_profile profile,
                     const struct buf *spki)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = public_key(spki);
    CLEANUP(buf_free) struct buf message = {0};
    struct cose_sign1 parsed;
    uint8_t kid[COSE_KID_LEN];
    ck_ok(keyring_sign(keyring, profile, bytes_of_text("\xa0"), &message));
    ck_ok(cose_sign1_parse(profile, bytes_of_buf(&message), &parsed, NULL));
    ck_ok(cose_sign1_verify(&parsed, key, NULL));
    ck_ok(cose_key_id(key, kid));
    ck_assert(bytes_equal(parsed.kid, bytes_of(kid, sizeof kid)));
}

static void make(const struct keyring *keyring, enum keyring_own_key which, uint64_t version,
                 struct buf *sealed, struct buf *spki)
{
    sealed->len = 0;
    spki->len = 0;
    ck_ok(keyring_own_key_make(keyring, which, version, sealed, spki));
}

START_TEST(valid_receipt_key)
{
    CLEANUP(keyring_freep) struct keyring *keyring = open_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    CLEANUP(buf_free) struct buf spki = {0};
    make(keyring, KEYRING_RECEIPT_KEY, 1, &sealed, &spki);
    ck_assert_uint_eq(spki.len, DELEGATION_SPKI_LEN);
    ck_ok(keyring_own_key_load(keyring, KEYRING_RECEIPT_KEY, 1, bytes_of_buf(&sealed)));
    ck_signs(keyring, COSE_RECEIPT, &spki);
    ck_signs(keyring, COSE_CHECKPOINT, &spki);
    ck_signs(keyring, COSE_SEALING_KEY, &spki);
}
END_TEST

/* RFC 6979 A.2.5: the public key of a private one that others computed. */
START_TEST(valid_known_scalar)
{
    static const char x_hex[] = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    static const char u_hex[] = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
                                "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    CLEANUP(keyring_freep) struct keyring *keyring = open_keyring();
    CLEANUP(secret_freep) struct secret *x = NULL;
    CLEANUP(buf_free) struct buf sealed = {0};
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(buf_free) struct buf made = {0};
    ck_ok(secret_new(32, &x));
    ck_ok(hex_decode(bytes_of_text(x_hex), secret_ptr(x), 32));
    ck_ok(keyring_seal(keyring, KEYRING_OWN_KEY, KEYRING_RECEIPT_KEY, 3, x, &sealed));
    ck_ok(keyring_own_key_load(keyring, KEYRING_RECEIPT_KEY, 3, bytes_of_buf(&sealed)));
    /* The head of any P-256 SPKI, with that point. */
    make(keyring, KEYRING_RECEIPT_KEY, 1, &made, &spki);
    ck_ok(hex_decode(bytes_of_text(u_hex), spki.ptr + spki.len - 64, 64));
    ck_signs(keyring, COSE_RECEIPT, &spki);
}
END_TEST

START_TEST(valid_replaced)
{
    CLEANUP(keyring_freep) struct keyring *keyring = open_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    CLEANUP(buf_free) struct buf first = {0};
    CLEANUP(buf_free) struct buf second = {0};
    make(keyring, KEYRING_RECEIPT_KEY, 1, &sealed, &first);
    ck_ok(keyring_own_key_load(keyring, KEYRING_RECEIPT_KEY, 1, bytes_of_buf(&sealed)));
    make(keyring, KEYRING_RECEIPT_KEY, 2, &sealed, &second);
    ck_assert(!bytes_equal(bytes_of_buf(&first), bytes_of_buf(&second)));
    ck_signs(keyring, COSE_RECEIPT, &first); /* making does not load */
    ck_ok(keyring_own_key_load(keyring, KEYRING_RECEIPT_KEY, 2, bytes_of_buf(&sealed)));
    ck_signs(keyring, COSE_RECEIPT, &second);
    /* What does not load leaves the one before. */
    ck_err(keyring_own_key_load(keyring, KEYRING_RECEIPT_KEY, 1, bytes_of_buf(&sealed)),
           ERR_STORE_TAMPERED);
    ck_signs(keyring, COSE_RECEIPT, &second);
}
END_TEST

START_TEST(wrong_kind)
{
    CLEANUP(keyring_freep) struct keyring *keyring = open_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    CLEANUP(buf_free) struct buf spki = {0};
    make(keyring, KEYRING_RECEIPT_KEY, 1, &sealed, &spki);
    ck_err(keyring_own_key_load(keyring, KEYRING_SEALING_KEY, 1, bytes_of_buf(&sealed)),
           ERR_STORE_TAMPERED);
    make(keyring, KEYRING_SEALING_KEY, 1, &sealed, &spki);
    ck_assert_uint_eq(spki.len, SEALING_KEY_SPKI_LEN);
    ck_err(keyring_own_key_load(keyring, KEYRING_RECEIPT_KEY, 1, bytes_of_buf(&sealed)),
           ERR_STORE_TAMPERED);
    ck_err(keyring_own_key_load(keyring, 3, 1, bytes_of_buf(&sealed)), ERR_INTERNAL);
    ck_err(keyring_own_key_make(keyring, 3, 1, &sealed, &spki), ERR_INTERNAL);
}
END_TEST

/* Sealed as they should be, but no such key: the scalar's range and length. */
START_TEST(wrong_scalar)
{
    static const struct {
        enum keyring_own_key which;
        const char *hex;
        enum err expected;
    } cases[] = {
        {KEYRING_RECEIPT_KEY, "0000000000000000000000000000000000000000000000000000000000000000",
         ERR_STORE_TAMPERED},
        {KEYRING_RECEIPT_KEY, "0000000000000000000000000000000000000000000000000000000000000001",
         ERR_OK},
        /* n - 1, n, n + 1 (FIPS 186-5, P-256). */
        {KEYRING_RECEIPT_KEY, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550",
         ERR_OK},
        {KEYRING_RECEIPT_KEY, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
         ERR_STORE_TAMPERED},
        {KEYRING_RECEIPT_KEY, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552",
         ERR_STORE_TAMPERED},
        {KEYRING_RECEIPT_KEY, "01010101010101010101010101010101010101010101010101010101010101",
         ERR_STORE_TAMPERED},
        {KEYRING_RECEIPT_KEY, "010101010101010101010101010101010101010101010101010101010101010101",
         ERR_STORE_TAMPERED},
        {KEYRING_SEALING_KEY, "01010101010101010101010101010101010101010101010101010101010101",
         ERR_STORE_TAMPERED},
        {KEYRING_SEALING_KEY, "010101010101010101010101010101010101010101010101010101010101010101",
         ERR_STORE_TAMPERED},
    };
    CLEANUP(keyring_freep) struct keyring *keyring = open_keyring();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(secret_freep) struct secret *raw = NULL;
        CLEANUP(buf_free) struct buf sealed = {0};
        const size_t len = strlen(cases[i].hex) / 2;
        ck_ok(secret_new(len, &raw));
        ck_ok(hex_decode(bytes_of_text(cases[i].hex), secret_ptr(raw), len));
        ck_ok(keyring_seal(keyring, KEYRING_OWN_KEY, cases[i].which, 1, raw, &sealed));
        ck_err(keyring_own_key_load(keyring, cases[i].which, 1, bytes_of_buf(&sealed)),
               cases[i].expected);
    }
}
END_TEST

START_TEST(no_own_key)
{
    CLEANUP(keyring_freep) struct keyring *keyring = open_keyring();
    CLEANUP(buf_free) struct buf message = {0};
    const struct bytes some = bytes_of_text("some");
    struct secret *plain = NULL;
    ck_err(keyring_sign(keyring, COSE_RECEIPT, some, &message), ERR_WRONG_STATE);
    ck_err(keyring_open_put(keyring, some, some, some, &plain), ERR_WRONG_STATE);
    ck_assert_ptr_null(plain);
}
END_TEST

/* Only what a receipt key is for: no delegation can come out of a server. */
START_TEST(wrong_profile)
{
    CLEANUP(keyring_freep) struct keyring *keyring = open_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(buf_free) struct buf message = {0};
    make(keyring, KEYRING_RECEIPT_KEY, 1, &sealed, &spki);
    ck_ok(keyring_own_key_load(keyring, KEYRING_RECEIPT_KEY, 1, bytes_of_buf(&sealed)));
    ck_err(keyring_sign(keyring, COSE_DELEGATION, bytes_of_text("x"), &message), ERR_INTERNAL);
    ck_err(keyring_sign(keyring, COSE_ATTESTATION, bytes_of_text("x"), &message), ERR_INTERNAL);
    ck_assert_uint_eq(message.len, 0);
}
END_TEST

/* ---- sealed puts ---- */

struct put {
    struct keyring *keyring;
    struct buf enc;
    struct buf aad;
    struct buf ciphertext;
};

static void put_free(struct put *put)
{
    keyring_free(put->keyring);
    buf_free(&put->enc);
    buf_free(&put->aad);
    buf_free(&put->ciphertext);
}

/* What a client sends: sealed to the SPKI that keyring_own_key_make gave. */
static void put_make(const char *info, struct put *put)
{
    CLEANUP(buf_free) struct buf sealed = {0};
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    CLEANUP(secret_freep) struct secret *plain = NULL;
    const uint8_t challenge[PROTOCOL_PUT_CHALLENGE_LEN] = {1};
    put->keyring = open_keyring();
    make(put->keyring, KEYRING_SEALING_KEY, 4, &sealed, &spki);
    ck_ok(keyring_own_key_load(put->keyring, KEYRING_SEALING_KEY, 4, bytes_of_buf(&sealed)));
    ck_ok(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL));
    ck_assert_str_eq(wrap_recipient_format(recipient), "hpke-x25519");
    ck_ok(wrap_sealer_new(recipient, bytes_of_text(info), &sealer, &put->enc));
    ck_ok(protocol_put_aad(store_id, "db/main", 2, challenge, &put->aad));
    ck_ok(secret_new(5, &plain));
    memcpy(secret_ptr(plain), "value", 5);
    ck_ok(wrap_seal(sealer, bytes_of_buf(&put->aad), plain, &put->ciphertext));
}

static void ck_put(const struct put *put, enum err expected)
{
    CLEANUP(secret_freep) struct secret *plain = NULL;
    ck_err(keyring_open_put(put->keyring, bytes_of_buf(&put->enc), bytes_of_buf(&put->aad),
                            bytes_of_buf(&put->ciphertext), &plain),
           expected);
    if (expected == ERR_OK)
        ck_assert(bytes_equal_text(secret_view(plain), "value"));
    else
        ck_assert_ptr_null(plain);
}

START_TEST(valid_put)
{
    CLEANUP(put_free) struct put put = {0};
    put_make(PROTOCOL_PUT_INFO, &put);
    ck_put(&put, ERR_OK);
}
END_TEST

START_TEST(wrong_put_info)
{
    CLEANUP(put_free) struct put put = {0};
    put_make(PROTOCOL_WRAP_INFO, &put);
    ck_put(&put, ERR_CRYPTO);
}
END_TEST

START_TEST(wrong_put_parts)
{
    CLEANUP(put_free) struct put put = {0};
    put_make(PROTOCOL_PUT_INFO, &put);
    struct buf *const parts[] = {&put.enc, &put.aad, &put.ciphertext};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        parts[i]->ptr[parts[i]->len / 2] ^= 1;
        ck_put(&put, ERR_CRYPTO);
        parts[i]->ptr[parts[i]->len / 2] ^= 1;
        parts[i]->len--;
        ck_put(&put, ERR_CRYPTO);
        parts[i]->len++;
    }
    ck_put(&put, ERR_OK);
}
END_TEST

START_TEST(wrong_put_key)
{
    CLEANUP(put_free) struct put put = {0};
    CLEANUP(buf_free) struct buf sealed = {0};
    CLEANUP(buf_free) struct buf spki = {0};
    put_make(PROTOCOL_PUT_INFO, &put);
    make(put.keyring, KEYRING_SEALING_KEY, 5, &sealed, &spki);
    ck_put(&put, ERR_OK); /* making does not load */
    ck_ok(keyring_own_key_load(put.keyring, KEYRING_SEALING_KEY, 5, bytes_of_buf(&sealed)));
    ck_put(&put, ERR_CRYPTO);
}
END_TEST

UNIT_MAIN("keyring_keys", valid_receipt_key, valid_known_scalar, valid_replaced, wrong_kind,
          wrong_scalar, no_own_key, wrong_profile, valid_put, wrong_put_info, wrong_put_parts,
          wrong_put_key)
