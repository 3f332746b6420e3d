/* Measuring under failure, an image file and what a PCR follows from: whatever fails, no other
 * values come out, and no memory is lost. */
#include "sweep.h"

#include <openssl/ec.h>

#include "tests/lib/mkeif.h"
#include "verifier/measure/eif.h"
#include "verifier/measure/pcr_of.h"

static struct buf file;
static uint8_t pcr[3][ATTDOC_PCR_LEN];
static uint8_t pcr8[ATTDOC_PCR_LEN];
static struct eif_description found;
static json_t *json;

static enum err measure(void)
{
    CLEANUP(eif_freep) struct eif *eif = NULL;
    CLEANUP(eif_description_free) struct eif_description description = {0};
    json_t *described = NULL;
    TRY(eif_new(&eif));
    for (size_t at = 0; at < file.len; at += 1000)
        TRY(eif_feed(eif, bytes_of(file.ptr + at, file.len - at < 1000 ? file.len - at : 1000),
                     NULL));
    TRY(eif_finish(eif, &description, NULL));
    TRY(eif_describe(&description, &described));
    found = description;
    description = (struct eif_description){0};
    json = described;
    return ERR_OK;
}

static void measured(void)
{
    ck_assert_uint_eq(found.measured.present, 0x107);
    for (int i = 0; i < 3; i++)
        ck_assert_mem_eq(found.measured.pcr[i], pcr[i], ATTDOC_PCR_LEN);
    ck_assert_mem_eq(found.measured.pcr[8], pcr8, ATTDOC_PCR_LEN);
    ck_assert_ptr_nonnull(json_object_get(json, "SigningCertificate"));
}

static void not_measured(void)
{
    ck_assert_uint_eq(found.measured.present, 0);
    ck_assert_ptr_null(json);
}

static void forget(void)
{
    eif_description_free(&found);
    json_decref(json);
    json = NULL;
}

START_TEST(images)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf der = {0};
    CLEANUP(buf_free) struct buf section = {0};
    sweep_begin();
    EVP_PKEY *key = EVP_EC_gen("P-384");
    mkeif_defaults(&made, 2);
    ck_ok(mkeif_pcrs(&made, pcr));
    ck_ok(mkeif_certificate(key, 3, &der));
    ck_ok(mkeif_pcr(bytes_of_buf(&der), pcr8));
    ck_ok(mkeif_sign(&made, key, bytes_of_buf(&der), &section));
    mkeif_add(&made, MKEIF_SIGNATURE, bytes_of_buf(&section));
    ck_ok(mkeif_build(&made, &file));
    EVP_PKEY_free(key);
    sweep_run(&(const struct sweep){"image", INJECT_OPENSSL, measure, measured, not_measured,
                                    forget, NULL, 0});
    sweep_run(&(const struct sweep){"image", INJECT_ALLOC, measure, measured, not_measured, forget,
                                    NULL, 4});
    buf_free(&file);
}
END_TEST

/* ---- PCR8 by its certificate, PCR16 by a file ---- */

static uint8_t derived[2][ATTDOC_PCR_LEN];
static const uint8_t unset[ATTDOC_PCR_LEN];

static enum err derive(void)
{
    TRY(pcr_of_certificate(bytes_of_buf(&file), derived[0], NULL));
    return pcr_of_extension(bytes_of_buf(&file), derived[1], NULL);
}

static void derived_both(void)
{
    ck_assert_mem_eq(derived[0], pcr8, ATTDOC_PCR_LEN);
    ck_assert_mem_ne(derived[1], unset, ATTDOC_PCR_LEN);
}

static void derived_less(void)
{
    ck_assert(memcmp(derived[0], unset, ATTDOC_PCR_LEN) == 0 ||
              memcmp(derived[0], pcr8, ATTDOC_PCR_LEN) == 0);
    ck_assert_mem_eq(derived[1], unset, ATTDOC_PCR_LEN);
}

static void derive_again(void)
{
    memset(derived, 0, sizeof derived);
}

START_TEST(derivations)
{
    CLEANUP(buf_free) struct buf der = {0};
    sweep_begin();
    EVP_PKEY *key = EVP_EC_gen("P-384");
    ck_ok(mkeif_certificate(key, 3, &der));
    ck_ok(mkeif_pcr(bytes_of_buf(&der), pcr8));
    ck_ok(mkeif_pem("CERTIFICATE", bytes_of_buf(&der), &file));
    EVP_PKEY_free(key);
    sweep_run(&(const struct sweep){"derived", INJECT_OPENSSL, derive, derived_both, derived_less,
                                    derive_again, NULL, 0});
    sweep_run(&(const struct sweep){"derived", INJECT_ALLOC, derive, derived_both, derived_less,
                                    derive_again, NULL, 4});
    buf_free(&file);
}
END_TEST

UNIT_MAIN("fault_eif", images, derivations)
