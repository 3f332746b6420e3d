/* V5 end to end: whatever the policy refuses is one coarse word outside and its reason in
 * the audit record; versions and floors; deprecated builds; all or nothing. */
#include "release_fixture.h"

#include "verifier/warden/refusals.h"

/* A request for one secret, by an enclave that `change` (may be NULL) has touched. */
static void attempt_for(struct warden_fixture *f, struct attempt *a, const char *name,
                        uint32_t version, uint32_t min_version)
{
    attempt_begin(f, a, "hpke-x25519");
    want(a, name, version, min_version);
    attempt_bind(a);
    attempt_sign(a);
}

static void refused_for(struct warden_fixture *f, const char *name, uint32_t version,
                        uint32_t min_version, const char *reason, int line)
{
    ATTEMPT(a);
    attempt_for(f, &a, name, version, min_version);
    expect_refused(f, &a, ERR_REFUSED, "", reason, line);
}
#define REFUSED_FOR(f, name, version, min_version, reason) \
    refused_for((f), (name), (version), (min_version), (reason), __LINE__)

static void granted_for(struct warden_fixture *f, const char *name, uint32_t version,
                        uint32_t min_version, uint32_t got, const char *value, uint64_t flags)
{
    ATTEMPT(a);
    TAKEN(t);
    attempt_for(f, &a, name, version, min_version);
    const enum err err = attempt_send(f, &a);
    ck_assert_msg(err == ERR_OK, "%s: %s", name, err_wire(err));
    attempt_take(f, &a, &t);
    ck_assert_uint_eq(t.version[0], got);
    ck_assert_uint_eq(t.receipt.item[0].flags, flags);
    expect_value(&t, 0, value);
}

static void set_state(struct warden_fixture *f, const char *operation, const char *image,
                      const char *version)
{
    json_auto_t *changed =
        admin_do(f, operation, PARAMS(p_text("image", image), p_text("version", version)));
    ck_assert_str_eq(text_at(changed, "result"), "changed");
}

START_TEST(no_policy)
{
    FIXTURE(f);
    REFUSED_FOR(&f, "db/main", 0, 0, "unknown_secret");
    fixture_secret(&f, "db/main", "the first value");
    REFUSED_FOR(&f, "db/main", 0, 0, "not_granted");
    fixture_measurement(&f, "payments", "1.4.2", SEED + 1); /* another build's values */
    REFUSED_FOR(&f, "db/main", 0, 0, "not_granted");
    fixture_grant(&f, "db/main", "payments");
    REFUSED_FOR(&f, "db/main", 0, 0, "no_measurement");
}
END_TEST

START_TEST(wrong_states)
{
    FIXTURE(f);
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    pcr_map(&fields, 7, &pcrs);
    json_decref(admin_do(&f, "measurement.add",
                         PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"),
                                p_bool("draft", true), p_map("pcrs", &pcrs))));
    fixture_secret(&f, "db/main", "the first value");
    const uint64_t grant = fixture_grant(&f, "db/main", "payments");
    REFUSED_FOR(&f, "db/main", 0, 0, "measurement_state");
    set_state(&f, "measurement.activate", "payments", "1.4.2");
    granted_for(&f, "db/main", 0, 0, 1, "the first value", 0);
    set_state(&f, "measurement.deprecate", "payments", "1.4.2");
    granted_for(&f, "db/main", 0, 0, 1, "the first value", RECEIPT_FLAG_DEPRECATED);
    json_decref(admin_do(&f, "grant.remove", PARAMS(p_uint("id", grant))));
    REFUSED_FOR(&f, "db/main", 0, 0, "not_granted");
    fixture_grant(&f, "db/main", "payments");
    set_state(&f, "measurement.revoke", "payments", "1.4.2");
    REFUSED_FOR(&f, "db/main", 0, 0, "measurement_revoked");
}
END_TEST

/* Withdrawn is withdrawn, after a restart too. */
START_TEST(wrong_revoked_restart)
{
    FIXTURE(f);
    fixture_policy(&f);
    granted_for(&f, "db/main", 0, 0, 1, "the first value", 0);
    set_state(&f, "measurement.revoke", "payments", "1.4.2");
    fixture_close(&f);
    fixture_open(&f);
    REFUSED_FOR(&f, "db/main", 0, 0, "measurement_revoked");
}
END_TEST

/* A second measurement that matches the same document: the values and PCR4 besides. */
static void narrower_measurement(struct warden_fixture *f, const char *image, const char *version)
{
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    pcr_map(&fields, 7 | 1u << 4, &pcrs);
    json_decref(
        admin_do(f, "measurement.add",
                 PARAMS(p_text("image", image), p_text("version", version), p_map("pcrs", &pcrs))));
}

START_TEST(valid_deny_wins)
{
    FIXTURE(f);
    fixture_policy(&f);
    narrower_measurement(&f, "other", "1");
    granted_for(&f, "db/main", 0, 0, 1, "the first value", 0);
    set_state(&f, "measurement.revoke", "other", "1");
    REFUSED_FOR(&f, "db/main", 0, 0, "measurement_revoked");
}
END_TEST

START_TEST(valid_deprecated)
{
    FIXTURE(f);
    ATTEMPT(a);
    TAKEN(t);
    fixture_policy(&f);
    narrower_measurement(&f, "payments", "1.4.2-here");
    set_state(&f, "measurement.deprecate", "payments", "1.4.2");
    attempt_for(&f, &a, "db/main", 0, 0);
    ck_ok(attempt_send(&f, &a));
    attempt_take(&f, &a, &t);
    ck_assert_uint_eq(t.receipt.item[0].flags, 0); /* one that is active granted it too */
    ck_assert_uint_eq(t.receipt.measurement_count, 2);
    ck_assert_str_eq(t.receipt.measurement[0], "payments@1.4.2");
    ck_assert_str_eq(t.receipt.measurement[1], "payments@1.4.2-here");
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "secrets.0.measurement"), "payments@1.4.2-here");
}
END_TEST

START_TEST(wrong_versions)
{
    FIXTURE(f);
    fixture_policy(&f);
    ck_assert_uint_eq(fixture_secret(&f, "db/main", "the second value"), 2);
    granted_for(&f, "db/main", 0, 0, 2, "the second value", 0);
    granted_for(&f, "db/main", 2, 0, 2, "the second value", 0);
    granted_for(&f, "db/main", 0, 2, 2, "the second value", 0);
    granted_for(&f, "db/main", 2, 1, 2, "the second value", 0);
    REFUSED_FOR(&f, "db/main", 1, 0, "version_not_granted"); /* not the current one */
    REFUSED_FOR(&f, "db/main", 3, 0, "version_unknown");
    REFUSED_FOR(&f, "db/main", 0, 3, "below_minimum");
    REFUSED_FOR(&f, "db/main", 1, 2, "below_minimum");
    json_decref(admin_do(
        &f, "grant.add",
        PARAMS(p_text("secret", "db/main"), p_text("image", "payments"), p_text("versions", "1"))));
    granted_for(&f, "db/main", 1, 0, 1, "the first value", 0);
    granted_for(&f, "db/main", 1, 1, 1, "the first value", 0);
    granted_for(&f, "db/main", 0, 0, 2, "the second value", 0);
    REFUSED_FOR(&f, "db/main", 1, 2, "below_minimum");
}
END_TEST

/* --- What a grant demands --- */

static void narrow_grant(struct warden_fixture *f, struct param condition)
{
    json_auto_t *added =
        admin_do(f, "grant.add",
                 PARAMS(p_text("secret", "db/main"), p_text("image", "payments"), condition));
    ck_assert_str_eq(text_at(added, "result"), "added");
}

static void begin_narrow(struct warden_fixture *f)
{
    fixture_measurement(f, "payments", "1.4.2", SEED);
    fixture_secret(f, "db/main", "the first value");
}

START_TEST(wrong_role)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(b);
    uint8_t role[ATTDOC_PCR_LEN];
    memset(role, 3, sizeof role);
    begin_narrow(&f);
    narrow_grant(&f, p_bytes("role_pcr3", role, sizeof role));
    REFUSED_FOR(&f, "db/main", 0, 0, "grant_pcr"); /* PCR3 zero */
    attempt_make(&f, &a);
    a.fields.pcr_present &= ~(1u << 3);
    attempt_sign(&a);
    REFUSED(&f, &a, ERR_REFUSED, "", "grant_pcr"); /* absent never matches */
    attempt_make(&f, &b);
    memcpy(b.fields.pcr[3], role, sizeof role);
    attempt_sign(&b);
    ck_ok(attempt_send(&f, &b));
}
END_TEST

START_TEST(wrong_instance)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(b);
    begin_narrow(&f);
    attempt_make(&f, &a);
    narrow_grant(&f, p_bytes("instance_pcr4", a.fields.pcr[4], ATTDOC_PCR_LEN));
    ck_ok(attempt_send(&f, &a));
    attempt_make(&f, &b);
    b.fields.pcr[4][5] ^= 1;
    attempt_sign(&b);
    REFUSED(&f, &b, ERR_REFUSED, "", "grant_pcr");
}
END_TEST

START_TEST(wrong_region)
{
    FIXTURE(f);
    begin_narrow(&f);
    narrow_grant(&f, p_text("region", "us-east-1"));
    REFUSED_FOR(&f, "db/main", 0, 0, "grant_region");
    narrow_grant(&f, p_text("region", REGION));
    granted_for(&f, "db/main", 0, 0, 1, "the first value", 0);
}
END_TEST

static void attempt_saying(struct warden_fixture *f, struct attempt *a, const char *application)
{
    attempt_begin(f, a, "hpke-x25519");
    want(a, "db/main", 0, 0);
    a->application = bytes_of_text(application);
    attempt_bind(a);
    attempt_sign(a);
}

START_TEST(wrong_application)
{
    FIXTURE(f);
    ATTEMPT(right);
    ATTEMPT(more);
    ATTEMPT(less);
    ATTEMPT(none);
    begin_narrow(&f);
    narrow_grant(&f, p_bytes("application", "tenant-7", 8));
    attempt_saying(&f, &right, "tenant-7");
    ck_ok(attempt_send(&f, &right));
    attempt_saying(&f, &more, "tenant-77");
    REFUSED(&f, &more, ERR_REFUSED, "", "grant_application");
    attempt_saying(&f, &less, "tenant-");
    REFUSED(&f, &less, ERR_REFUSED, "", "grant_application");
    attempt_saying(&f, &none, "");
    REFUSED(&f, &none, ERR_REFUSED, "", "grant_application");
}
END_TEST

/* Exactly no application bytes is a condition too. */
START_TEST(wrong_some_application)
{
    FIXTURE(f);
    ATTEMPT(none);
    ATTEMPT(some);
    begin_narrow(&f);
    narrow_grant(&f, p_bytes("application", "", 0));
    attempt_saying(&f, &none, "");
    ck_ok(attempt_send(&f, &none));
    attempt_saying(&f, &some, "x");
    REFUSED(&f, &some, ERR_REFUSED, "", "grant_application");
}
END_TEST

START_TEST(wrong_build)
{
    FIXTURE(f);
    begin_narrow(&f);
    fixture_measurement(&f, "payments", "1.4.3", SEED + 1);
    narrow_grant(&f, p_text("measurement", "1.4.3"));
    REFUSED_FOR(&f, "db/main", 0, 0, "grant_build");
    narrow_grant(&f, p_text("measurement", "1.4.2"));
    granted_for(&f, "db/main", 0, 0, 1, "the first value", 0);
}
END_TEST

START_TEST(wrong_windows)
{
    FIXTURE(f);
    begin_narrow(&f);
    narrow_grant(&f, p_text("not_before", "2026-11-23T00:00:01Z"));
    REFUSED_FOR(&f, "db/main", 0, 0, "grant_window");
    advance_ms(1000);
    granted_for(&f, "db/main", 0, 0, 1, "the first value", 0);

    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED + 2);
    pcr_map(&fields, 7, &pcrs);
    json_decref(
        admin_do(&f, "measurement.add",
                 PARAMS(p_text("image", "payments"), p_text("version", "2"),
                        p_text("not_after", "2026-11-23T00:00:02Z"), p_map("pcrs", &pcrs))));
    ATTEMPT(edge);
    ATTEMPT(late);
    attempt_make(&f, &edge);
    memcpy(edge.fields.pcr, fields.pcr, sizeof fields.pcr);
    attempt_sign(&edge);
    attempt_make(&f, &late);
    memcpy(late.fields.pcr, fields.pcr, sizeof fields.pcr);
    attempt_sign(&late);
    advance_ms(1000);
    ck_ok(attempt_send(&f, &edge));
    advance_ms(1);
    REFUSED(&f, &late, ERR_REFUSED, "", "measurement_window");
}
END_TEST

/* A signer grant: PCR8 and PCR1 of the document, no measurement at all. */
START_TEST(valid_signer)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(b);
    TAKEN(t);
    fixture_secret(&f, "db/main", "the first value");
    attempt_make(&f, &a);
    memset(a.fields.pcr[8], 8, ATTDOC_PCR_LEN);
    attempt_sign(&a);
    json_decref(admin_do(&f, "grant.add",
                         PARAMS(p_text("secret", "db/main"),
                                p_bytes("signer_pcr8", a.fields.pcr[8], ATTDOC_PCR_LEN),
                                p_bytes("signer_pcr1", a.fields.pcr[1], ATTDOC_PCR_LEN))));
    ck_ok(attempt_send(&f, &a));
    attempt_take(&f, &a, &t);
    expect_value(&t, 0, "the first value");
    ck_assert_uint_eq(t.receipt.measurement_count, 0);
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "secrets.0.measurement"), "");
    attempt_make(&f, &b);
    memset(b.fields.pcr[8], 8, ATTDOC_PCR_LEN);
    b.fields.pcr[1][7] ^= 1; /* the same signer, another kernel */
    attempt_sign(&b);
    REFUSED(&f, &b, ERR_REFUSED, "", "grant_pcr");
}
END_TEST

/* --- The one word --- */

/* Whatever the reason, the same bytes come back: a stranger's enclave learns nothing of
 * which secrets, images and builds there are. */
START_TEST(valid_coarse)
{
    FIXTURE(f);
    ATTEMPT(unknown);
    ATTEMPT(no_build);
    ATTEMPT(revoked);
    fixture_policy(&f);
    attempt_for(&f, &unknown, "nothing/here", 0, 0);
    ck_err(attempt_send(&f, &unknown), ERR_REFUSED);
    const struct fault first = f.fault;
    attempt_for(&f, &no_build, "db/main", 0, 0);
    no_build.fields.pcr[0][0] ^= 1;
    attempt_sign(&no_build);
    ck_err(attempt_send(&f, &no_build), ERR_REFUSED);
    ck_assert_mem_eq(&first, &f.fault, sizeof first);
    set_state(&f, "measurement.revoke", "payments", "1.4.2");
    attempt_for(&f, &revoked, "db/main", 0, 0);
    ck_err(attempt_send(&f, &revoked), ERR_REFUSED);
    ck_assert_mem_eq(&first, &f.fault, sizeof first);
    ck_assert_uint_eq(revoked.answer.len, 0);
}
END_TEST

START_TEST(wrong_one_of_several)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    fixture_secret(&f, "db/other", "another"); /* no grant */
    attempt_begin(&f, &a, "hpke-x25519");
    want(&a, "db/main", 0, 0);
    want(&a, "db/other", 0, 0);
    want(&a, "nothing/here", 4, 0);
    attempt_bind(&a);
    attempt_sign(&a);
    REFUSED(&f, &a, ERR_REFUSED, "", "granted");
    ck_assert_uint_eq(a.answer.len, 0);
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "detail"), "not_granted"); /* the first that is refused */
    ck_assert_str_eq(text_at(record, "secrets.1.name"), "db/other");
    ck_assert_str_eq(text_at(record, "secrets.1.reason"), "not_granted");
    ck_assert_str_eq(text_at(record, "secrets.2.reason"), "unknown_secret");
    ck_assert_uint_eq(uint_at(record, "secrets.2.version"), 4);
}
END_TEST

/* --- An EC2 instance with a NitroTPM --- */

#define TPM_MODULE "i-0123456789abcdef0-tpm0000000000000000"

/* What an instance's document and an enclave's of these tests both hold. */
static void instance_fields(struct mkdoc_fields *fields)
{
    mkdoc_fields_defaults(fields, (int64_t)NOW_MS, TPM_MODULE, SEED);
    memset(fields->pcr[7], 7, ATTDOC_PCR_LEN);
    memset(fields->pcr[8], 8, ATTDOC_PCR_LEN);
}

/* A request with them, of the kind that `nitrotpm` says. */
static void attempt_kind(struct warden_fixture *f, struct attempt *a, bool nitrotpm,
                         const char *name)
{
    struct mkdoc_fields fields;
    instance_fields(&fields);
    attempt_begin(f, a, "hpke-x25519");
    want(a, name, 0, 0);
    attempt_bind(a);
    a->fields.nitrotpm = nitrotpm;
    a->fields.module_id = nitrotpm ? TPM_MODULE : MODULE;
    a->fields.pcr_present = 0xffffff;
    memcpy(a->fields.pcr, fields.pcr, sizeof fields.pcr);
    attempt_sign(a);
}

/* ami@1, of PCR4 and PCR7 and of the kind nitrotpm. */
static void measure_instance(struct warden_fixture *f)
{
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    instance_fields(&fields);
    pcr_map(&fields, PCR_BITS_NITROTPM, &pcrs);
    json_decref(admin_do(f, "measurement.add",
                         PARAMS(p_text("image", "ami"), p_text("version", "1"),
                                p_text("kind", "nitrotpm"), p_map("pcrs", &pcrs))));
}

START_TEST(valid_instance)
{
    FIXTURE(f);
    ATTEMPT(a);
    TAKEN(t);
    measure_instance(&f);
    fixture_secret(&f, "db/main", "the first value");
    fixture_grant(&f, "db/main", "ami");
    attempt_kind(&f, &a, true, "db/main");
    ck_ok(attempt_send(&f, &a));
    attempt_take(&f, &a, &t);
    expect_value(&t, 0, "the first value");
    ck_assert_uint_eq(t.receipt.measurement_count, 1);
    ck_assert_str_eq(t.receipt.measurement[0], "ami@1");
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "document.kind"), "nitrotpm");
    ck_assert_str_eq(text_at(record, "document.module_id"), TPM_MODULE);
}
END_TEST

/* Each document holds the values of the other's measurement: the kind alone tells them apart.
 * Whoever is root on an instance has it attest what he likes. */
START_TEST(wrong_kind)
{
    FIXTURE(f);
    ATTEMPT(instance);
    ATTEMPT(enclave);
    fixture_policy(&f); /* db/main to an enclave's PCR0, PCR1 and PCR2 */
    measure_instance(&f);
    fixture_secret(&f, "db/ami", "of the instance");
    fixture_grant(&f, "db/ami", "ami");
    attempt_kind(&f, &instance, true, "db/main");
    REFUSED(&f, &instance, ERR_REFUSED, "", "no_measurement");
    attempt_kind(&f, &enclave, false, "db/ami");
    REFUSED(&f, &enclave, ERR_REFUSED, "", "no_measurement");
}
END_TEST

/* Role, instance and signer are conditions on enclaves: in an instance's document these PCRs
 * are something else, whatever they hold. */
START_TEST(wrong_kind_of_condition)
{
    FIXTURE(f);
    ATTEMPT(pinned);
    ATTEMPT(signed_by);
    struct mkdoc_fields fields;
    instance_fields(&fields);
    measure_instance(&f);
    fixture_secret(&f, "db/pinned", "the first value");
    json_decref(admin_do(&f, "grant.add",
                         PARAMS(p_text("secret", "db/pinned"), p_text("image", "ami"),
                                p_bytes("instance_pcr4", fields.pcr[4], ATTDOC_PCR_LEN))));
    fixture_secret(&f, "db/signed", "the first value");
    json_decref(admin_do(&f, "grant.add",
                         PARAMS(p_text("secret", "db/signed"),
                                p_bytes("signer_pcr8", fields.pcr[8], ATTDOC_PCR_LEN),
                                p_bytes("signer_pcr1", fields.pcr[1], ATTDOC_PCR_LEN))));
    attempt_kind(&f, &pinned, true, "db/pinned");
    REFUSED(&f, &pinned, ERR_REFUSED, "", "grant_pcr");
    attempt_kind(&f, &signed_by, true, "db/signed");
    REFUSED(&f, &signed_by, ERR_REFUSED, "", "grant_pcr");
}
END_TEST

/* Its refusals count against the same instance as those of its enclaves. */
START_TEST(valid_instance_refusals)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    for (unsigned i = 0; i < REFUSALS_BURST; i++)
        ck_err(attempt_unregistered(&f, MODULE), ERR_REFUSED);
    attempt_kind(&f, &a, true, "db/main");
    ck_err(attempt_send(&f, &a), ERR_TOO_FAST);
    ck_assert_str_eq(f.fault.field, "module_id");
}
END_TEST

UNIT_MAIN("release_policy", no_policy, wrong_states, wrong_revoked_restart, valid_deny_wins,
          valid_deprecated, wrong_versions, wrong_role, wrong_instance, wrong_region,
          wrong_application, wrong_some_application, wrong_build, wrong_windows, valid_signer,
          valid_coarse, wrong_one_of_several, valid_instance, wrong_kind, wrong_kind_of_condition,
          valid_instance_refusals)
