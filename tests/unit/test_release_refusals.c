/* A genuine enclave of anybody's that asks to be refused for ever: each refusal is a record
 * for good, so an instance has so many and no more, and what is put off is no decision. */
#include <signal.h>
#include <sys/resource.h>

#include "release_fixture.h"
#include "verifier/warden/refusals.h"

#define OTHER_INSTANCE "i-0fedcba9876543210-enc0123456789abcdef"

/* One more refusal (the image is not registered), from an enclave of its own each time. */
static enum err stranger(struct warden_fixture *f, unsigned number)
{
    char module_id[64];
    snprintf(module_id, sizeof module_id, "i-0123456789abcdef0-enc%016x", number);
    return attempt_unregistered(f, module_id);
}

static void flood(struct warden_fixture *f)
{
    for (unsigned i = 0; i < REFUSALS_BURST; i++)
        ck_err(stranger(f, i), ERR_REFUSED);
}

static uint64_t put_off(struct warden_fixture *f)
{
    return atomic_load(&f->warden->put_off);
}

/* Refused as often as that, an instance leaves no further trace in the database: its
 * challenges are not redeemed, nothing is recorded, whoever asks and for whatever. */
START_TEST(wrong_flood)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    flood(&f);
    const uint64_t sequence = audit_sequence(&f);
    const uint64_t redeemed = db_number(&f, REDEEMED);
    for (unsigned i = 0; i < 100; i++) {
        ck_err(stranger(&f, 1000 + i), ERR_TOO_FAST);
        ck_assert_str_eq(f.fault.field, "module_id");
        ck_assert_uint_eq(f.fault.retry_after_s, REFUSALS_EVERY_MS / 1000);
    }
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    ck_assert_uint_eq(db_number(&f, REDEEMED), redeemed);
    ck_assert_uint_eq(put_off(&f), 100);
    ck_assert_uint_eq(atomic_load(&f.warden->refused), REFUSALS_BURST);
    json_auto_t *status = admin_do(&f, "status", NO_PARAMS);
    ck_assert_uint_eq(uint_at(status, "counters.put_off"), 100);
    attempt_make(&f, &a); /* a known image, on the same instance: nothing is in its way */
    ck_ok(attempt_send(&f, &a));
    ck_assert_uint_eq(audit_sequence(&f), sequence + 1);
    ck_err(stranger(&f, 2000), ERR_TOO_FAST);
}
END_TEST

/* What was put off is as good as before, and the next refusal says how many there were. */
START_TEST(valid_after_the_wait)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(next);
    fixture_policy(&f);
    flood(&f);
    for (unsigned i = 0; i < 4; i++)
        ck_err(stranger(&f, 1000 + i), ERR_TOO_FAST);
    attempt_make(&f, &a);
    a.fields.pcr[0][0] ^= 1;
    attempt_sign(&a);
    ck_err(attempt_send(&f, &a), ERR_TOO_FAST);
    attempt_make(&f, &next); /* a grant uses up nothing, and tells nothing */
    ck_ok(attempt_send(&f, &next));
    json_auto_t *granted = audit_newest(&f);
    ck_assert_str_eq(text_at(granted, "event"), "release.granted");
    ck_assert_ptr_null(json_object_get(granted, "detail"));
    advance_ms(REFUSALS_EVERY_MS);
    ck_err(attempt_send(&f, &a), ERR_REFUSED); /* the same challenge, the same document */
    json_auto_t *told = audit_newest(&f);
    ck_assert_str_eq(text_at(told, "detail"),
                     "no_measurement; requests of this instance put off before: 5");
    ck_err(stranger(&f, 2001), ERR_TOO_FAST);
    advance_ms(REFUSALS_EVERY_MS);
    ck_err(stranger(&f, 2002), ERR_REFUSED);
    json_auto_t *refused = audit_newest(&f);
    ck_assert_str_eq(text_at(refused, "detail"),
                     "no_measurement; requests of this instance put off before: 1");
}
END_TEST

START_TEST(valid_other_instance)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(refused);
    fixture_policy(&f);
    flood(&f);
    ck_err(stranger(&f, 1000), ERR_TOO_FAST);
    attempt_make(&f, &a);
    a.fields.module_id = OTHER_INSTANCE;
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
    attempt_make(&f, &refused);
    refused.fields.module_id = OTHER_INSTANCE;
    refused.fields.pcr[0][0] ^= 1;
    attempt_sign(&refused);
    REFUSED(&f, &refused, ERR_REFUSED, "", "no_measurement");
}
END_TEST

/* Whoever cannot sign a document uses up nobody's refusals. */
START_TEST(wrong_forgeries_in_the_name_of_another)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(true_one);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    fixture_policy(&f);
    ck_ok(mkdoc_chain_make(&f.spec, &chain));
    attempt_make(&f, &a);
    a.chain = &chain;
    a.fields.pcr[0][0] ^= 1;
    attempt_sign(&a);
    for (unsigned i = 0; i < 2 * REFUSALS_BURST; i++)
        ck_err(attempt_send(&f, &a), ERR_UNTRUSTED);
    attempt_make(&f, &true_one);
    ck_ok(attempt_send(&f, &true_one));
    flood(&f); /* all of them are still there */
}
END_TEST

/* A decision that cannot be written is none: it counts against nobody. */
START_TEST(valid_full_disk)
{
    FIXTURE(f);
    struct rlimit was;
    fixture_policy(&f);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = was.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    for (unsigned i = 0; i <= REFUSALS_BURST; i++)
        ck_err(stranger(&f, i), ERR_STORE);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
    ck_assert_uint_eq(put_off(&f), 0);
    flood(&f);
    ck_err(stranger(&f, 1000), ERR_TOO_FAST);
    /* How many were put off is for the next refusal that can be written. */
    advance_ms(REFUSALS_EVERY_MS);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    ck_err(stranger(&f, 1001), ERR_STORE);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
    ck_err(stranger(&f, 1002), ERR_REFUSED);
    json_auto_t *told = audit_newest(&f);
    ck_assert_str_eq(text_at(told, "detail"),
                     "no_measurement; requests of this instance put off before: 1");
}
END_TEST

UNIT_MAIN("release_refusals", wrong_flood, valid_after_the_wait, valid_other_instance,
          wrong_forgeries_in_the_name_of_another, valid_full_disk)
