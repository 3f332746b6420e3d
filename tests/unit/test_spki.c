/* SubjectPublicKeyInfo by comparison: common/spki.h.  The prefixes are held against what
 * OpenSSL writes. */
#include "unit.h"

#include "common/openssl_cleanup.h"
#include "common/spki.h"

static const struct spki_form *const forms[] = {&spki_x25519, &spki_p256, &spki_p384, &spki_p521};

static void make_spki(const struct spki_form *form, struct buf *spki)
{
    CLEANUP(evp_pkey_freep)
    EVP_PKEY *key = form->group == NULL ? EVP_PKEY_Q_keygen(NULL, NULL, "X25519")
                                        : EVP_PKEY_Q_keygen(NULL, NULL, "EC", form->group);
    ck_assert_ptr_nonnull(key);
    ck_err(spki_append(key, spki), ERR_OK);
}

static void ck_none(struct bytes spki, const struct spki_form *form)
{
    EVP_PKEY *key = NULL;
    ck_err(spki_to_key(spki, form, &key), ERR_MALFORMED);
    ck_assert_ptr_null(key);
}

START_TEST(valid_round_trip)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP(buf_free) struct buf spki = {0};
        CLEANUP(buf_free) struct buf again = {0};
        CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
        make_spki(forms[i], &spki);
        ck_err(spki_to_key(bytes_of_buf(&spki), forms[i], &key), ERR_OK);
        ck_err(buf_append_text(&again, "kept"), ERR_OK);
        ck_err(spki_append(key, &again), ERR_OK);
        ck_assert(bytes_equal(bytes_of(again.ptr + 4, again.len - 4), bytes_of_buf(&spki)));
    }
}
END_TEST

START_TEST(wrong_form)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP(buf_free) struct buf spki = {0};
        make_spki(forms[i], &spki);
        for (size_t j = 0; j < ARRAY_LEN(forms); j++) {
            ck_assert_int_eq(spki_has_form(bytes_of_buf(&spki), forms[j]), i == j);
            if (i != j)
                ck_none(bytes_of_buf(&spki), forms[j]);
        }
    }
}
END_TEST

START_TEST(wrong_length)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP(buf_free) struct buf spki = {0};
        make_spki(forms[i], &spki);
        ck_none(bytes_of(spki.ptr, 0), forms[i]);
        ck_none(bytes_of(spki.ptr, spki.len - 1), forms[i]);
        ck_err(buf_append(&spki, bytes_of("", 1)), ERR_OK);
        ck_none(bytes_of_buf(&spki), forms[i]);
    }
}
END_TEST

START_TEST(wrong_prefix_byte)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP(buf_free) struct buf spki = {0};
        make_spki(forms[i], &spki);
        for (size_t at = 0; at < forms[i]->prefix.len; at++) {
            spki.ptr[at] ^= 1;
            ck_none(bytes_of_buf(&spki), forms[i]);
            spki.ptr[at] ^= 1;
        }
    }
}
END_TEST

START_TEST(wrong_point)
{
    for (size_t i = 1; i < ARRAY_LEN(forms); i++) {
        CLEANUP(buf_free) struct buf spki = {0};
        make_spki(forms[i], &spki);
        spki.ptr[spki.len - 1] ^= 1; /* off the curve */
        ck_none(bytes_of_buf(&spki), forms[i]);
        spki.ptr[spki.len - 1] ^= 1;
        spki.ptr[forms[i]->prefix.len] = 0x02 | (spki.ptr[spki.len - 1] & 1); /* compressed */
        ck_none(bytes_of_buf(&spki), forms[i]);
        EVP_PKEY *key = NULL;
        const struct bytes point = bytes_of(spki.ptr + forms[i]->prefix.len, forms[i]->point_len);
        ck_err(spki_point_to_key(forms[i]->group, bytes_of(point.ptr, 1 + point.len / 2), &key),
               ERR_MALFORMED);
        ck_err(spki_point_to_key(forms[i]->group, bytes_of("", 1), &key), ERR_MALFORMED);
        ck_err(spki_point_to_key(forms[i]->group, bytes_of("", 0), &key), ERR_MALFORMED);
    }
}
END_TEST

UNIT_MAIN("spki", valid_round_trip, wrong_form, wrong_length, wrong_prefix_byte, wrong_point)
