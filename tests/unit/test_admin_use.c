/* How builds are used, through the admin operations: what is shown, listed as unused, and would
 * be lost. */
#include "release_fixture.h"

#include "verifier/store/store_backend.h"

#define HOUR_MS INT64_C(3600000)

#define BUILD_PARAMS(version_) PARAMS(p_text("image", "payments"), p_text("version", version_))

/* One release of db/main to an enclave of the build that `seed` makes. */
static void release_to(struct warden_fixture *f, unsigned seed)
{
    ATTEMPT(a);
    attempt_begin(f, &a, "hpke-x25519");
    struct mkdoc_fields build;
    mkdoc_fields_defaults(&build, clock_now_ms(), MODULE, seed);
    for (size_t i = 0; i < 3; i++)
        memcpy(a.fields.pcr[i], build.pcr[i], ATTDOC_PCR_LEN);
    want(&a, "db/main", 0, 0);
    attempt_bind(&a);
    attempt_sign(&a);
    const enum err err = attempt_send(f, &a);
    ck_assert_msg(err == ERR_OK, "%s [%s] %s", err_wire(err), f->fault.field, f->fault.detail);
}

static json_t *show(struct warden_fixture *f, const char *version)
{
    return admin_do(f, "measurement.show", BUILD_PARAMS(version));
}

START_TEST(valid_show)
{
    FIXTURE(f);
    fixture_policy(&f);
    json_auto_t *never = show(&f, "1.4.2");
    ck_assert_str_eq(text_at(never, "measurement.use.counted_from"), "2026-11-23T00:00:00Z");
    ck_assert_ptr_null(json_at(never, "measurement.use.last_seen"));
    ck_assert_uint_eq(uint_at(never, "measurement.use.releases"), 0);
    ck_assert_uint_eq(json_array_size(json_at(never, "measurement.use.days")), 0);

    release_to(&f, SEED);
    release_to(&f, SEED);
    advance_ms(2 * HOUR_MS);
    release_to(&f, SEED);
    json_auto_t *one = show(&f, "1.4.2");
    ck_assert_str_eq(text_at(one, "measurement.use.first_seen"), "2026-11-23T00:00:00Z");
    ck_assert_str_eq(text_at(one, "measurement.use.last_seen"), "2026-11-23T02:00:00Z");
    ck_assert_uint_eq(uint_at(one, "measurement.use.releases"), 3);
    ck_assert_uint_eq(uint_at(one, "measurement.use.releases_today"), 3);
    ck_assert_uint_eq(uint_at(one, "measurement.use.enclaves"), 1);
    ck_assert_str_eq(text_at(one, "measurement.use.days.0.day"), "2026-11-23");
    ck_assert_uint_eq(uint_at(one, "measurement.use.days.0.releases"), 3);

    advance_ms(6 * (int64_t)DAY_MS);
    json_auto_t *week = show(&f, "1.4.2"); /* the 29th: the 23rd is the seventh day */
    ck_assert_uint_eq(uint_at(week, "measurement.use.releases_today"), 0);
    ck_assert_uint_eq(uint_at(week, "measurement.use.releases_7_days"), 3);
    advance_ms((int64_t)DAY_MS);
    json_auto_t *later = show(&f, "1.4.2");
    ck_assert_uint_eq(uint_at(later, "measurement.use.releases_7_days"), 0);
    ck_assert_uint_eq(uint_at(later, "measurement.use.releases"), 3);
    ck_assert_uint_eq(json_array_size(json_at(later, "measurement.use.days")), 1);
    advance_ms(23 * (int64_t)DAY_MS); /* thirty days are shown */
    json_auto_t *last = show(&f, "1.4.2");
    ck_assert_uint_eq(json_array_size(json_at(last, "measurement.use.days")), 0);
}
END_TEST

/* A refusal is no use. */
START_TEST(no_use)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    fixture_secret(&f, "db/main", "a value");
    attempt_make(&f, &a);
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    json_auto_t *shown = show(&f, "1.4.2");
    ck_assert_uint_eq(uint_at(shown, "measurement.use.releases"), 0);
}
END_TEST

/* --- what is unused --- */

/* The versions that were not used since `time`, joined. */
static void unused(struct warden_fixture *f, const char *time, char out[static 64])
{
    json_auto_t *list = admin_do(f, "measurement.list", PARAMS(p_text("unused_since", time)));
    const json_t *rows = json_at(list, "measurements");
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const size_t used = strlen(out);
        snprintf(out + used, 64 - used, " %s", text_at(json_array_get(rows, i), "version"));
    }
}
#define UNUSED(f, time, expected)             \
    do {                                      \
        char versions[64];                    \
        unused((f), (time), versions);        \
        ck_assert_str_eq(versions, expected); \
    } while (0)

static void change(struct warden_fixture *f, const char *operation, const char *version)
{
    json_auto_t *changed = admin_do(f, operation, BUILD_PARAMS(version));
    ck_assert_str_eq(text_at(changed, "result"), "changed");
}

static void draft(struct warden_fixture *f, const char *version, unsigned seed)
{
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, seed);
    pcr_map(&fields, 7, &pcrs);
    json_decref(admin_do(f, "measurement.add",
                         PARAMS(p_text("image", "payments"), p_text("version", version),
                                p_map("pcrs", &pcrs), p_bool("draft", true))));
}

START_TEST(valid_unused)
{
    FIXTURE(f);
    fixture_policy(&f); /* the 23rd */
    fixture_measurement(&f, "payments", "1.4.3", SEED + 1);
    fixture_measurement(&f, "payments", "1.4.4", SEED + 2);
    fixture_measurement(&f, "payments", "1.4.5", SEED + 3);
    draft(&f, "1.4.6", SEED + 4);
    draft(&f, "1.4.7", SEED + 5);
    change(&f, "measurement.revoke", "1.4.4");
    change(&f, "measurement.deprecate", "1.4.5");
    UNUSED(&f, "2026-11-23T00:00:00Z", "");                       /* nothing is older than that */
    UNUSED(&f, "2026-11-23T00:00:00.001Z", " 1.4.2 1.4.3 1.4.5"); /* neither drafts nor revoked */
    advance_ms(2 * HOUR_MS); /* the chain lasts no longer than three */
    release_to(&f, SEED);
    change(&f, "measurement.activate", "1.4.7");
    UNUSED(&f, "2026-11-23T02:00:00Z", " 1.4.3 1.4.5");
    UNUSED(&f, "2026-11-23T02:00:00.001Z", " 1.4.2 1.4.3 1.4.5 1.4.7");
    release_to(&f, SEED + 3); /* a deprecated one releases, too */
    UNUSED(&f, "2026-11-23T02:00:00Z", " 1.4.3");
    json_auto_t *list = admin_do(&f, "measurement.list", PARAMS(p_text("image", "payments")));
    ck_assert_str_eq(text_at(list, "measurements.0.last_seen"), "2026-11-23T02:00:00Z");
    ck_assert_ptr_null(json_at(list, "measurements.1.last_seen"));
    ck_assert_ptr_null(json_at(list, "measurements.0.use"));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "unused_since", "measurement.list",
                  PARAMS(p_text("unused_since", "7d")));
}
END_TEST

/* More of them than are read at a time, and pages that begin anywhere. */
START_TEST(valid_unused_pages)
{
    FIXTURE(f);
    fixture_policy(&f);
    for (unsigned i = 0; i < 300; i++) {
        char version[16];
        struct mkdoc_fields fields;
        CLEANUP(buf_free) struct buf pcrs = {0};
        mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
        memcpy(fields.pcr[0], &i, sizeof i);
        pcr_map(&fields, 7, &pcrs);
        snprintf(version, sizeof version, "2.%u", i);
        json_decref(admin_do(
            &f, "measurement.add",
            PARAMS(p_text("image", "payments"), p_text("version", version), p_map("pcrs", &pcrs))));
    }
    advance_ms(HOUR_MS);
    db_run(&f,
           "INSERT INTO measurement_use VALUES (270, NULL, 1795392000000, 1795395600000, 1, 1)");
    size_t count = 0;
    uint64_t after = 0;
    for (unsigned page = 0; page < 3; page++) {
        json_auto_t *list = admin_do(&f, "measurement.list",
                                     PARAMS(p_text("unused_since", "2026-11-23T01:00:00Z"),
                                            p_uint("after", after), p_uint("limit", 110)));
        const json_t *rows = json_at(list, "measurements");
        for (size_t i = 0; i < json_array_size(rows); i++)
            ck_assert_uint_ne(uint_at(json_array_get(rows, i), "id"), 270);
        count += json_array_size(rows);
        after = page < 2 ? uint_at(list, "next") : 0;
    }
    ck_assert_uint_eq(count, 300);
}
END_TEST

/* The store fails once, and is well again. */
static const struct store_backend *well;

static enum err fail_once(struct store *store, uint64_t from, uint64_t to, use_fn *fn,
                          void *context, struct fault *fault)
{
    (void)from;
    (void)to;
    (void)fn;
    (void)context;
    store->backend = well;
    return fault_set(fault, ERR_BUSY, "not now");
}

/* What could not be read is not unused: nobody is told to end it. */
START_TEST(wrong_unread)
{
    FIXTURE(f);
    fixture_policy(&f);
    advance_ms(HOUR_MS);
    release_to(&f, SEED);
    UNUSED(&f, "2026-11-23T01:00:00Z", "");
    struct store *store = f.warden->store;
    well = store->backend;
    struct store_backend ill = *well;
    ill.ops.use_scan = fail_once;
    store->backend = &ill;
    ADMIN_REFUSED(&f, ERR_BUSY, "", "measurement.list",
                  PARAMS(p_text("unused_since", "2026-11-23T01:00:00Z")));
    ck_assert_ptr_eq(store->backend, well);
    UNUSED(&f, "2026-11-23T01:00:00Z", "");
}
END_TEST

/* --- what would be lost --- */

/* Another secret, with a grant that is narrowed to 1.4.2. */
static void narrow(struct warden_fixture *f)
{
    fixture_secret(f, "api/key", "a key");
    json_decref(admin_do(f, "grant.add",
                         PARAMS(p_text("secret", "api/key"), p_text("image", "payments"),
                                p_text("measurement", "1.4.2"))));
}

START_TEST(valid_grants)
{
    FIXTURE(f);
    fixture_policy(&f);
    narrow(&f);
    json_auto_t *alone = admin_do(&f, "measurement.grants", BUILD_PARAMS("1.4.2"));
    ck_assert_uint_eq(json_array_size(json_at(alone, "grants")), 2);
    ck_assert_str_eq(text_at(alone, "grants.0.secret"), "db/main");
    ck_assert_uint_eq(uint_at(alone, "grants.0.version"), 1);
    ck_assert_uint_eq(uint_at(alone, "grants.0.other_builds"), 0);
    fixture_measurement(&f, "payments", "1.4.3", SEED + 1);
    fixture_measurement(&f, "payments", "1.4.4", SEED + 2);
    fixture_measurement(&f, "refunds", "1", SEED + 3);
    draft(&f, "1.4.5", SEED + 4);
    change(&f, "measurement.deprecate", "1.4.4");
    json_auto_t *others = admin_do(&f, "measurement.grants", BUILD_PARAMS("1.4.2"));
    ck_assert_uint_eq(uint_at(others, "grants.0.other_builds"), 2);
    ck_assert(json_is_false(json_at(others, "grants.0.narrowed")));
    ck_assert_str_eq(text_at(others, "grants.1.secret"), "api/key");
    ck_assert_uint_eq(uint_at(others, "grants.1.other_builds"), 0);
    ck_assert(json_is_true(json_at(others, "grants.1.narrowed")));
    fixture_grant(&f, "db/main", "refunds");
    json_auto_t *refunds = admin_do(&f, "measurement.grants",
                                    PARAMS(p_text("image", "refunds"), p_text("version", "1")));
    ck_assert_uint_eq(uint_at(refunds, "grants.0.other_builds"), 0);
    json_auto_t *other = admin_do(&f, "measurement.grants", BUILD_PARAMS("1.4.3"));
    ck_assert_uint_eq(json_array_size(json_at(other, "grants")), 1);
    json_decref(admin_do(&f, "grant.remove", PARAMS(p_uint("id", 1))));
    json_auto_t *removed = admin_do(&f, "measurement.grants", BUILD_PARAMS("1.4.3"));
    ck_assert_uint_eq(json_array_size(json_at(removed, "grants")), 0);
    change(&f, "measurement.revoke", "1.4.2"); /* gets nothing any more */
    json_auto_t *revoked = admin_do(&f, "measurement.grants", BUILD_PARAMS("1.4.2"));
    ck_assert_uint_eq(json_array_size(json_at(revoked, "grants")), 0);
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "version", "measurement.grants", BUILD_PARAMS("9"));
}
END_TEST

/* A build that is out of its window is no help now; a grant that is over is no loss. */
START_TEST(valid_grant_windows)
{
    FIXTURE(f);
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    fixture_policy(&f);
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED + 1);
    pcr_map(&fields, 7, &pcrs);
    json_decref(admin_do(&f, "measurement.add",
                         PARAMS(p_text("image", "payments"), p_text("version", "1.4.3"),
                                p_map("pcrs", &pcrs), p_text("not_before", "2026-11-23T01:00:00Z"),
                                p_text("not_after", "2026-11-23T02:00:00Z"))));
    json_decref(admin_do(&f, "grant.add",
                         PARAMS(p_text("secret", "db/main"), p_text("image", "payments"),
                                p_text("not_before", "2026-11-23T01:00:00Z"),
                                p_text("not_after", "2026-11-23T02:00:00Z"))));
    static const struct {
        int64_t advance_ms;
        uint64_t others;
        size_t grants;
    } cases[] = {{0, 0, 2}, {HOUR_MS, 1, 2}, {HOUR_MS, 1, 2}, {1, 0, 1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        advance_ms(cases[i].advance_ms);
        json_auto_t *grants = admin_do(&f, "measurement.grants", BUILD_PARAMS("1.4.2"));
        ck_assert_uint_eq(json_array_size(json_at(grants, "grants")), cases[i].grants);
        ck_assert_uint_eq(uint_at(grants, "grants.0.other_builds"), cases[i].others);
    }
}
END_TEST

/* Revoked is revoked: also what its signer was granted stops, where the signer is registered. */
START_TEST(valid_signer_grants)
{
    FIXTURE(f);
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    uint8_t other[ATTDOC_PCR_LEN];
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    memset(fields.pcr[8], 8, ATTDOC_PCR_LEN);
    memset(other, 9, sizeof other);
    pcr_map(&fields, 7 | 1u << 8, &pcrs);
    json_decref(admin_do(
        &f, "measurement.add",
        PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"), p_map("pcrs", &pcrs))));
    fixture_measurement(&f, "payments", "1.4.3", SEED + 1);
    fixture_secret(&f, "db/main", "a value");
    const uint8_t *const pairs[][2] = {
        {fields.pcr[8], fields.pcr[1]}, {other, fields.pcr[1]}, {fields.pcr[8], other}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        json_decref(admin_do(&f, "grant.add",
                             PARAMS(p_text("secret", "db/main"),
                                    p_bytes("signer_pcr8", pairs[i][0], ATTDOC_PCR_LEN),
                                    p_bytes("signer_pcr1", pairs[i][1], ATTDOC_PCR_LEN))));
    json_auto_t *grants = admin_do(&f, "measurement.grants", BUILD_PARAMS("1.4.2"));
    ck_assert_uint_eq(json_array_size(json_at(grants, "grants")), 1);
    ck_assert_uint_eq(uint_at(grants, "grants.0.id"), 1);
    ck_assert(json_is_true(json_at(grants, "grants.0.signer")));
    ck_assert_ptr_null(json_at(grants, "grants.0.other_builds"));
    json_auto_t *unsigned_build = admin_do(&f, "measurement.grants", BUILD_PARAMS("1.4.3"));
    ck_assert_uint_eq(json_array_size(json_at(unsigned_build, "grants")), 0);
}
END_TEST

static size_t signer_grants(struct warden_fixture *f, const char *version)
{
    json_auto_t *grants = admin_do(f, "measurement.grants", BUILD_PARAMS(version));
    return json_array_size(json_at(grants, "grants"));
}

static void grant_signer(struct warden_fixture *f, const uint8_t *pcr8, const uint8_t *pcr1,
                         const char *image)
{
    const struct param params[] = {p_text("secret", "db/main"),
                                   p_bytes("signer_pcr8", pcr8, ATTDOC_PCR_LEN),
                                   p_bytes("signer_pcr1", pcr1, ATTDOC_PCR_LEN),
                                   p_bool("registered", true), p_text("image", image)};
    json_decref(admin_do(f, "grant.add", params, image[0] == '\0' ? 4 : 5));
}

/* A grant that demands a registered build stops with it, also where the build is registered
 * without its signer; one that demands a build of another image does not. */
START_TEST(valid_registered_signer_grants)
{
    FIXTURE(f);
    struct mkdoc_fields fields;
    uint8_t pcr8[ATTDOC_PCR_LEN];
    uint8_t other[ATTDOC_PCR_LEN];
    memset(pcr8, 8, sizeof pcr8);
    memset(other, 9, sizeof other);
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    fixture_measurement(&f, "refunds", "1", SEED + 1);
    fixture_secret(&f, "db/main", "a value");
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    grant_signer(&f, pcr8, fields.pcr[1], "refunds");
    grant_signer(&f, pcr8, other, "payments");
    json_decref(
        admin_do(&f, "grant.add",
                 PARAMS(p_text("secret", "db/main"), p_bytes("signer_pcr8", pcr8, ATTDOC_PCR_LEN),
                        p_bytes("signer_pcr1", fields.pcr[1], ATTDOC_PCR_LEN))));
    ck_assert_uint_eq(signer_grants(&f, "1.4.2"), 0);
    grant_signer(&f, pcr8, fields.pcr[1], "");
    ck_assert_uint_eq(signer_grants(&f, "1.4.2"), 1);
    grant_signer(&f, pcr8, fields.pcr[1], "payments");
    ck_assert_uint_eq(signer_grants(&f, "1.4.2"), 2);
    /* Registered with its signer, it is that one's or nobody's. */
    CLEANUP(buf_free) struct buf pcrs = {0};
    memcpy(fields.pcr[8], other, sizeof other);
    pcr_map(&fields, 7 | 1u << 8, &pcrs);
    json_decref(admin_do(
        &f, "measurement.add",
        PARAMS(p_text("image", "payments"), p_text("version", "1.4.3"), p_map("pcrs", &pcrs))));
    ck_assert_uint_eq(signer_grants(&f, "1.4.3"), 0);
    grant_signer(&f, other, fields.pcr[1], "payments");
    ck_assert_uint_eq(signer_grants(&f, "1.4.3"), 1);
}
END_TEST

START_TEST(valid_enclaves)
{
    FIXTURE(f);
    fixture_policy(&f);
    release_to(&f, SEED);
    advance_ms(HOUR_MS);
    fixture_secret(&f, "db/main", "the second value");
    release_to(&f, SEED);
    json_auto_t *all = admin_do(&f, "measurement.enclaves", BUILD_PARAMS("1.4.2"));
    ck_assert_uint_eq(json_array_size(json_at(all, "enclaves")), 2);
    ck_assert_ptr_null(json_at(all, "next"));
    ck_assert_str_eq(text_at(all, "enclaves.0.enclave"), MODULE);
    ck_assert_str_eq(text_at(all, "enclaves.0.secret"), "db/main");
    ck_assert_uint_eq(uint_at(all, "enclaves.0.version"), 1);
    ck_assert_str_eq(text_at(all, "enclaves.0.last_seen"), "2026-11-23T00:00:00Z");
    ck_assert_uint_eq(uint_at(all, "enclaves.1.version"), 2);
    ck_assert_str_eq(text_at(all, "enclaves.1.first_seen"), "2026-11-23T01:00:00Z");
    json_auto_t *first = admin_do(
        &f, "measurement.enclaves",
        PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"), p_uint("limit", 1)));
    ck_assert_uint_eq(json_array_size(json_at(first, "enclaves")), 1);
    json_auto_t *second =
        admin_do(&f, "measurement.enclaves",
                 PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"), p_uint("limit", 1),
                        p_uint("after", uint_at(first, "next"))));
    ck_assert_uint_eq(uint_at(second, "enclaves.0.version"), 2);
    ck_assert_ptr_null(json_at(second, "next"));
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "version", "measurement.enclaves", BUILD_PARAMS("9"));
    ADMIN_REFUSED(
        &f, ERR_MALFORMED, "limit", "measurement.enclaves",
        PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"), p_uint("limit", 0)));
}
END_TEST

START_TEST(valid_dry_run)
{
    FIXTURE(f);
    fixture_policy(&f);
    draft(&f, "1.4.3", SEED + 1);
    const uint64_t sequence = audit_sequence(&f);
    const struct param dry[] = {p_text("image", "payments"), p_text("version", "1.4.2"),
                                p_bool("dry_run", true)};
    json_auto_t *revoke = admin_do(&f, "measurement.revoke", dry, 3);
    ck_assert_str_eq(text_at(revoke, "result"), "would change");
    ck_assert_str_eq(text_at(revoke, "measurement.state"), "active");
    json_auto_t *deprecate = admin_do(&f, "measurement.deprecate", dry, 3);
    ck_assert_str_eq(text_at(deprecate, "result"), "would change");
    /* What would be refused is refused. */
    ADMIN_REFUSED(
        &f, ERR_WRONG_STATE, "state", "measurement.deprecate",
        PARAMS(p_text("image", "payments"), p_text("version", "1.4.3"), p_bool("dry_run", true)));
    json_auto_t *status = admin_do(&f, "status", NO_PARAMS);
    ck_assert_uint_eq(uint_at(status, "audit_sequence"), sequence);
    release_to(&f, SEED);
    change(&f, "measurement.revoke", "1.4.2");
    json_auto_t *again = admin_do(&f, "measurement.revoke", dry, 3);
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
}
END_TEST

UNIT_MAIN("admin_use", valid_show, no_use, valid_unused, valid_unused_pages, valid_grants,
          valid_grant_windows, valid_signer_grants, valid_registered_signer_grants, wrong_unread,
          valid_enclaves, valid_dry_run)
