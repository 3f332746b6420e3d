/* What the master key becomes: derivation and MACs, seals, the server's own keys. */
#define _GNU_SOURCE /* memmem */
#include "hex.h"

#include "common/codec.h"
#include "verifier/keyring/keyring.h"

/* The master key 01 02 .. 20 and the store id a0 a1 .. af, unless a test says otherwise. */
static uint8_t store_id[PROTOCOL_STORE_ID_LEN];

static struct secret *secret_from(struct bytes value)
{
    struct secret *secret = NULL;
    ck_ok(secret_new(value.len, &secret));
    if (value.len > 0)
        memcpy(secret_ptr(secret), value.ptr, value.len);
    return secret;
}

static struct keyring *open_keyring(uint8_t first_of_master, uint8_t first_of_store,
                                    uint32_t generation)
{
    CLEANUP(secret_freep) struct secret *master = NULL;
    struct keyring *keyring = NULL;
    ck_ok(secret_new(KEYRING_MASTER_LEN, &master));
    for (size_t i = 0; i < KEYRING_MASTER_LEN; i++)
        secret_ptr(master)[i] = (uint8_t)(first_of_master + i);
    for (size_t i = 0; i < sizeof store_id; i++)
        store_id[i] = (uint8_t)(first_of_store + i);
    ck_ok(keyring_open(master, store_id, generation, &keyring));
    return keyring;
}

static struct keyring *default_keyring(void)
{
    return open_keyring(0x01, 0xa0, 1);
}

static void ck_mac(const uint8_t *mac, const char *expected)
{
    char text[2 * KEYRING_MAC_LEN + 1];
    hex_encode(bytes_of(mac, KEYRING_MAC_LEN), text);
    ck_assert_str_eq(text, expected);
}

static void ck_plain(const struct secret *secret, const char *expected)
{
    ck_assert(bytes_equal_text(secret_view(secret), expected));
}

/* ---- derivation ---- */

/* The expected values come from Python's hmac and hashlib alone, as RFC 5869 says:
 *   H = lambda k, m: hmac.new(k, m, hashlib.sha256).digest()
 *   prk = H(store_id, master)
 *   check = H(prk, b"vouchsafe/1 key-check\x01")
 *   row = H(H(prk, b"vouchsafe/1 row-mac\x01"), b"row")
 *   challenge = H(H(prk, b"vouchsafe/1 challenge" + epoch.to_bytes(4, "big") + b"\x01"), b"row") */
START_TEST(valid_check_value)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    uint8_t value[KEYRING_MAC_LEN];
    ck_ok(keyring_check_value(keyring, value));
    ck_mac(value, "b9cd4ca2a4e742470cbe579ffeea64da70ba4027fbfdcfe96cb91e129405cd26");
}
END_TEST

START_TEST(valid_row_mac)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    uint8_t mac[KEYRING_MAC_LEN];
    ck_ok(keyring_row_mac(keyring, bytes_of_text("row"), mac));
    ck_mac(mac, "e5e8158176e8a5e3daaa2d5fca938bbc469df8420c33ffb0b1ed837cfdf171dc");
    ck_ok(keyring_row_mac(keyring, bytes_of(NULL, 0), mac));
    ck_mac(mac, "b3b4064ac253fb759cc47d35d1bb45bd873ed608bf5fe9c89fe302bcd5ccba1b");
}
END_TEST

START_TEST(valid_challenge_mac)
{
    static const struct {
        uint32_t epoch;
        const char *mac;
    } expected[] = {
        {0, "8c21f1deb25f80d28c512d31b7e6dd5e3554b23327fab7cb6d825eb13cd35cb9"},
        {1, "64d6404522fdd6c31ef851ab78e892723f0f3df85c478091551b4759de4d37c0"},
        {0x01020304, "8ab8b63ccbb0e6e011c0c53d5c2966808c25af75e43afdb2bcf4bb11b7b5ab59"},
    };
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        uint8_t mac[KEYRING_MAC_LEN];
        ck_ok(keyring_challenge_mac(keyring, expected[i].epoch, bytes_of_text("row"), mac));
        ck_mac(mac, expected[i].mac);
    }
}
END_TEST

START_TEST(wrong_key_check)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(keyring_freep) struct keyring *other_master = open_keyring(0x02, 0xa0, 1);
    CLEANUP(keyring_freep) struct keyring *other_store = open_keyring(0x01, 0xa1, 1);
    uint8_t value[3][KEYRING_MAC_LEN];
    ck_ok(keyring_check_value(keyring, value[0]));
    ck_ok(keyring_check_value(other_master, value[1]));
    ck_ok(keyring_check_value(other_store, value[2]));
    ck_assert_mem_ne(value[0], value[1], KEYRING_MAC_LEN);
    ck_assert_mem_ne(value[0], value[2], KEYRING_MAC_LEN);
}
END_TEST

START_TEST(wrong_open)
{
    static const size_t lengths[] = {0, 31, 33};
    struct keyring *keyring = NULL;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        CLEANUP(secret_freep) struct secret *master = NULL;
        ck_ok(secret_new(lengths[i], &master));
        ck_err(keyring_open(master, store_id, 1, &keyring), ERR_INTERNAL);
    }
    CLEANUP(secret_freep) struct secret *master = NULL;
    ck_ok(secret_new(KEYRING_MASTER_LEN, &master));
    ck_err(keyring_open(master, store_id, 0, &keyring), ERR_STORE_TAMPERED);
    ck_assert_ptr_null(keyring);
    keyring_free(NULL);
}
END_TEST

/* ---- seals ---- */

#define PLAIN  "what must never be seen"
#define OBJECT 300
#define VER    7

static void seal_plain(const struct keyring *keyring, struct buf *sealed)
{
    CLEANUP(secret_freep) struct secret *plain = secret_from(bytes_of_text(PLAIN));
    ck_ok(keyring_seal(keyring, KEYRING_SECRET, OBJECT, VER, plain, sealed));
}

static void ck_unseal(const struct keyring *keyring, enum keyring_purpose purpose, uint64_t object,
                      uint64_t version, struct bytes sealed, enum err expected)
{
    CLEANUP(secret_freep) struct secret *plain = NULL;
    ck_err(keyring_unseal(keyring, purpose, object, version, sealed, &plain), expected);
    ck_assert(expected == ERR_OK || plain == NULL);
}

START_TEST(valid_seal)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    for (int purpose = 0; purpose < KEYRING_PURPOSE_COUNT; purpose++) {
        CLEANUP(secret_freep) struct secret *plain = secret_from(bytes_of_text(PLAIN));
        CLEANUP(secret_freep) struct secret *opened = NULL;
        CLEANUP(buf_free) struct buf sealed = {0};
        ck_ok(buf_append_text(&sealed, "before"));
        ck_ok(keyring_seal(keyring, purpose, UINT64_MAX, 1, plain, &sealed));
        const struct bytes made = bytes_of(sealed.ptr + 6, sealed.len - 6);
        ck_ok(keyring_unseal(keyring, purpose, UINT64_MAX, 1, made, &opened));
        ck_plain(opened, PLAIN);
    }
}
END_TEST

START_TEST(valid_seal_sizes)
{
    static const size_t lengths[] = {0, 1, PROTOCOL_SECRET_MAX};
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        CLEANUP(secret_freep) struct secret *plain = NULL;
        CLEANUP(secret_freep) struct secret *opened = NULL;
        CLEANUP(buf_free) struct buf sealed = {0};
        ck_ok(secret_new_random(lengths[i], &plain));
        ck_ok(keyring_seal(keyring, KEYRING_KMS_KEY, 1, 1, plain, &sealed));
        ck_ok(keyring_unseal(keyring, KEYRING_KMS_KEY, 1, 1, bytes_of_buf(&sealed), &opened));
        ck_assert(bytes_equal(secret_view(plain), secret_view(opened)));
    }
}
END_TEST

/* The format, by another implementation: Python's cryptography, AESGCM, keys derived as
 * above, data key 32 times 5a, IVs 00..0b and 0c..17, object 300, version 7, generation 1,
 * plaintext "at rest". */
START_TEST(valid_sealed_elsewhere)
{
#define HEAD "85014c000102030405060708090a0b5830"
#define IV   "4c0c0d0e0f101112131415161757"
    static const char *const sealed_hex[] = {
        [KEYRING_SECRET] = HEAD "ba4c6b3688db966570f1c2b192774af547b58a05109e5e3040ce904dd7154f71"
                                "cb90bb42da73ef59b6caf47d97f1d5aa" IV
                                "3b1c14e3856c06d47929456091266eba13824a35545a93",
        [KEYRING_OWN_KEY] = HEAD "0e1a58a761b15414d90b282d9e4dd179c0aebeab9d371903c021b20324fa27fa"
                                 "f02a9763c397c95a9c52f3e29c78abcc" IV
                                 "3b1c14e3856c06b070978b9fcebf1b3f7bf2d9f36be3cf",
        [KEYRING_KMS_KEY] = HEAD "7b4e3543a5a552ccf207991eaf6c6218e365a81c61327f4294b212afeda0da78"
                                 "b1d11edf4ef52fc39795bedcc3c6d5b9" IV
                                 "3b1c14e3856c06fef2a8abe34b4732979e1da569aeb92b",
        [KEYRING_ACCESS_KEY] = HEAD
        "ec39a055651e286eea65e462da38f01eaf70d94def8e142304a1aaab2b9b88b3"
        "0cba6cc774e9f38d6e699bd4b481800b" IV "3b1c14e3856c069f06c197620ffb508911cd2a7b57841b",
    };
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    for (int purpose = 0; purpose < KEYRING_PURPOSE_COUNT; purpose++) {
        CLEANUP(buf_free) struct buf sealed = {0};
        CLEANUP(secret_freep) struct secret *opened = NULL;
        from_hex(sealed_hex[purpose], &sealed);
        ck_ok(keyring_unseal(keyring, purpose, OBJECT, VER, bytes_of_buf(&sealed), &opened));
        ck_plain(opened, "at rest");
    }
}
END_TEST

START_TEST(valid_sealed_shape)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(buf_free) struct buf a = {0};
    CLEANUP(buf_free) struct buf b = {0};
    seal_plain(keyring, &a);
    seal_plain(keyring, &b);
    /* Array, generation, IV, data key and tag, IV, ciphertext and tag. */
    ck_assert_uint_eq(a.len, 1 + 1 + (1 + 12) + (2 + 48) + (1 + 12) + (2 + strlen(PLAIN) + 16));
    ck_assert_uint_eq(a.len, b.len);
    ck_assert_ptr_null(memmem(a.ptr, a.len, PLAIN, strlen(PLAIN)));
    ck_assert_ptr_null(memmem(a.ptr, a.len, PLAIN, 4));
    /* Nothing random is used twice: IVs, data keys, ciphertexts all differ. */
    ck_assert_mem_ne(a.ptr + 3, b.ptr + 3, 12);
    ck_assert_mem_ne(a.ptr + 17, b.ptr + 17, 48);
    ck_assert_mem_ne(a.ptr + 66, b.ptr + 66, 12);
    ck_assert_mem_ne(a.ptr + 80, b.ptr + 80, strlen(PLAIN) + 16);
    ck_assert_mem_ne(a.ptr + 3, a.ptr + 66, 12);
}
END_TEST

START_TEST(wrong_bit)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    seal_plain(keyring, &sealed);
    for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
        sealed.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ck_unseal(keyring, KEYRING_SECRET, OBJECT, VER, bytes_of_buf(&sealed), ERR_STORE_TAMPERED);
        sealed.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    ck_unseal(keyring, KEYRING_SECRET, OBJECT, VER, bytes_of_buf(&sealed), ERR_OK);
}
END_TEST

START_TEST(wrong_length)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    seal_plain(keyring, &sealed);
    for (size_t len = 0; len < sealed.len; len++)
        ck_unseal(keyring, KEYRING_SECRET, OBJECT, VER, bytes_of(sealed.ptr, len),
                  ERR_STORE_TAMPERED);
    ck_ok(buf_append_text(&sealed, "\x01"));
    ck_unseal(keyring, KEYRING_SECRET, OBJECT, VER, bytes_of_buf(&sealed), ERR_STORE_TAMPERED);
}
END_TEST

/* The same parts in another array or with a longer generation. */
START_TEST(wrong_encoding)
{
    static const char *const heads[] = {"\x85\x18\x01", "\x86\x01", "\x84\x01", "\x9f\x01"};
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    seal_plain(keyring, &sealed);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        CLEANUP(buf_free) struct buf other = {0};
        ck_ok(buf_append_text(&other, heads[i]));
        ck_ok(buf_append(&other, bytes_of(sealed.ptr + 2, sealed.len - 2)));
        if (i == 1)
            ck_ok(buf_append_text(&other, "\x01"));
        if (i == 3)
            ck_ok(buf_append_text(&other, "\xff"));
        ck_unseal(keyring, KEYRING_SECRET, OBJECT, VER, bytes_of_buf(&other), ERR_STORE_TAMPERED);
    }
}
END_TEST

START_TEST(wrong_subject)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    seal_plain(keyring, &sealed);
    const struct bytes in = bytes_of_buf(&sealed);
    ck_unseal(keyring, KEYRING_SECRET, OBJECT + 1, VER, in, ERR_STORE_TAMPERED);
    ck_unseal(keyring, KEYRING_SECRET, OBJECT, VER + 1, in, ERR_STORE_TAMPERED);
    ck_unseal(keyring, KEYRING_SECRET, VER, OBJECT, in, ERR_STORE_TAMPERED);
    ck_unseal(keyring, KEYRING_OWN_KEY, OBJECT, VER, in, ERR_STORE_TAMPERED);
    ck_unseal(keyring, KEYRING_KMS_KEY, OBJECT, VER, in, ERR_STORE_TAMPERED);
    ck_unseal(keyring, KEYRING_ACCESS_KEY, OBJECT, VER, in, ERR_STORE_TAMPERED);
    ck_unseal(keyring, KEYRING_PURPOSE_COUNT, OBJECT, VER, in, ERR_INTERNAL);
    ck_unseal(keyring, KEYRING_SECRET, OBJECT, VER, in, ERR_OK);
}
END_TEST

START_TEST(wrong_keyring)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(keyring_freep) struct keyring *other_master = open_keyring(0x02, 0xa0, 1);
    CLEANUP(keyring_freep) struct keyring *other_store = open_keyring(0x01, 0xa1, 1);
    CLEANUP(keyring_freep) struct keyring *same = default_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    seal_plain(keyring, &sealed);
    const struct bytes in = bytes_of_buf(&sealed);
    ck_unseal(other_master, KEYRING_SECRET, OBJECT, VER, in, ERR_STORE_TAMPERED);
    ck_unseal(other_store, KEYRING_SECRET, OBJECT, VER, in, ERR_STORE_TAMPERED);
    ck_unseal(same, KEYRING_SECRET, OBJECT, VER, in, ERR_OK);
}
END_TEST

START_TEST(wrong_generation)
{
    CLEANUP(keyring_freep) struct keyring *first = default_keyring();
    CLEANUP(keyring_freep) struct keyring *second = open_keyring(0x01, 0xa0, 2);
    CLEANUP(buf_free) struct buf sealed = {0};
    seal_plain(first, &sealed);
    ck_unseal(second, KEYRING_SECRET, OBJECT, VER, bytes_of_buf(&sealed), ERR_STORE_TAMPERED);
    /* Written over, so that it parses: the data key is bound to the one it was sealed in. */
    ck_assert_uint_eq(sealed.ptr[1], 1);
    sealed.ptr[1] = 2;
    ck_unseal(second, KEYRING_SECRET, OBJECT, VER, bytes_of_buf(&sealed), ERR_STORE_TAMPERED);
}
END_TEST

/* The data key of one seal before the value of another of the same subject. */
START_TEST(wrong_data_key)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(buf_free) struct buf a = {0};
    CLEANUP(buf_free) struct buf b = {0};
    seal_plain(keyring, &a);
    seal_plain(keyring, &b);
    memcpy(a.ptr, b.ptr, 65);
    ck_unseal(keyring, KEYRING_SECRET, OBJECT, VER, bytes_of_buf(&a), ERR_STORE_TAMPERED);
}
END_TEST

/* ---- unsealed and wrapped ---- */

static void sealer_to(const struct wrap_key *key, const char *info, struct wrap_sealer **out,
                      struct buf *enc)
{
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    ck_ok(wrap_key_spki(key, &spki));
    ck_ok(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL));
    ck_ok(wrap_sealer_new(recipient, bytes_of_text(info), out, enc));
}

START_TEST(valid_unseal_and_wrap)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(buf_free) struct buf sealed = {0};
    seal_plain(keyring, &sealed);
    for (size_t i = 0; wrap_formats[i] != NULL; i++) {
        CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
        CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
        CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
        CLEANUP(buf_free) struct buf enc = {0};
        CLEANUP(buf_free) struct buf ciphertext = {0};
        CLEANUP(secret_freep) struct secret *plain = NULL;
        const struct bytes aad = bytes_of_text("the document and the name");
        const struct bytes info = bytes_of_text(PROTOCOL_WRAP_INFO);
        ck_ok(wrap_key_generate(wrap_formats[i], &key));
        sealer_to(key, PROTOCOL_WRAP_INFO, &sealer, &enc);
        ck_ok(keyring_unseal_and_wrap(keyring, OBJECT, VER, bytes_of_buf(&sealed), sealer, aad,
                                      &ciphertext));
        ck_ok(wrap_opener_new(key, bytes_of_buf(&enc), info, &opener));
        ck_ok(wrap_open(opener, aad, bytes_of_buf(&ciphertext), &plain));
        ck_plain(plain, PLAIN);
    }
}
END_TEST

START_TEST(wrong_unseal_and_wrap)
{
    CLEANUP(keyring_freep) struct keyring *keyring = default_keyring();
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    CLEANUP(buf_free) struct buf enc = {0};
    CLEANUP(buf_free) struct buf sealed = {0};
    CLEANUP(buf_free) struct buf ciphertext = {0};
    CLEANUP(secret_freep) struct secret *plain = secret_from(bytes_of_text(PLAIN));
    ck_ok(wrap_key_generate("hpke-x25519", &key));
    sealer_to(key, PROTOCOL_WRAP_INFO, &sealer, &enc);
    seal_plain(keyring, &sealed);
    ck_err(keyring_unseal_and_wrap(keyring, OBJECT + 1, VER, bytes_of_buf(&sealed), sealer,
                                   bytes_of(NULL, 0), &ciphertext),
           ERR_STORE_TAMPERED);
    /* No other purpose leaves this way. */
    sealed.len = 0;
    ck_ok(keyring_seal(keyring, KEYRING_OWN_KEY, OBJECT, VER, plain, &sealed));
    ck_err(keyring_unseal_and_wrap(keyring, OBJECT, VER, bytes_of_buf(&sealed), sealer,
                                   bytes_of(NULL, 0), &ciphertext),
           ERR_STORE_TAMPERED);
    ck_assert_uint_eq(ciphertext.len, 0);
}
END_TEST

UNIT_MAIN("keyring", valid_check_value, valid_row_mac, valid_challenge_mac, wrong_key_check,
          wrong_open, valid_seal, valid_seal_sizes, valid_sealed_elsewhere, valid_sealed_shape,
          wrong_bit, wrong_length, wrong_encoding, wrong_subject, wrong_keyring, wrong_generation,
          wrong_data_key, valid_unseal_and_wrap, wrong_unseal_and_wrap)
