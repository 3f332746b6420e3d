/* Revocations: added, listed, removed, each by its right; and what they stop, a chain that the
 * cache knows included. */
#include "admin_fixture.h"

#include "release_fixture.h"
#include "verifier/attest/cert.h"

#define INSTANCE "i-0123456789abcdef0"

/* Issuer and serial of the fixture's certificate at `at`, 4 being the leaf. */
struct named {
    struct bytes issuer;
    char serial[2 * CERT_SERIAL_MAX + 1];
};

static struct named name_of(const struct warden_fixture *f, size_t at)
{
    struct named n;
    struct bytes serial;
    ck_assert(cert_find_issuer(bytes_of_buf(&f->chain.der[at]), &n.issuer, &serial));
    hex_encode(serial, n.serial);
    return n;
}

static uint64_t revoke_certificate(struct warden_fixture *f, size_t at, const char *result)
{
    const struct named n = name_of(f, at);
    json_auto_t *added =
        admin_do(f, "revocation.add",
                 PARAMS(p_bytes("issuer", n.issuer.ptr, n.issuer.len), p_text("serial", n.serial),
                        p_text("reason", "the key leaked")));
    ck_assert_str_eq(text_at(added, "result"), result);
    ck_assert_str_eq(text_at(added, "revocation.kind"), "certificate");
    ck_assert_str_eq(text_at(added, "revocation.state"), "active");
    return uint_at(added, "revocation.id");
}

static uint64_t revoke_instance(struct warden_fixture *f, const char *id, const char *result)
{
    json_auto_t *added = admin_do(f, "revocation.add",
                                  PARAMS(p_text("instance_id", id), p_text("reason", "stolen")));
    ck_assert_str_eq(text_at(added, "result"), result);
    ck_assert_str_eq(text_at(added, "revocation.instance_id"), id);
    return uint_at(added, "revocation.id");
}

static void take_back(struct warden_fixture *f, uint64_t id, const char *result)
{
    json_auto_t *removed = admin_do(f, "revocation.remove",
                                    PARAMS(p_uint("id", id), p_text("reason", "a false alarm")));
    ck_assert_str_eq(text_at(removed, "result"), result);
    ck_assert_str_eq(text_at(removed, "revocation.state"), "removed");
}

static void released(struct warden_fixture *f)
{
    ATTEMPT(a);
    attempt_make(f, &a);
    ck_ok(attempt_send(f, &a));
}

static void refused_with(struct warden_fixture *f, const char *reason, int line)
{
    ATTEMPT(a);
    attempt_make(f, &a);
    expect_refused(f, &a, ERR_REFUSED, "", reason, line);
}
#define REFUSED_AS(f, reason) refused_with((f), (reason), __LINE__)

/* --- What it stops --- */

/* The first release fills the cache with the chain's CA certificates, and each verdict that
 * follows uses it; the chain is verified all the same, as its signatures are still good. */
START_TEST(wrong_cached_chain)
{
    FIXTURE(f);
    fixture_policy(&f);
    released(&f);
    for (size_t at = 1; at < 5; at++) {
        const uint64_t id = revoke_certificate(&f, at, "added");
        REFUSED_AS(&f, "certificate_revoked");
        take_back(&f, id, "removed");
        released(&f);
    }
    const uint64_t id = revoke_instance(&f, INSTANCE, "added");
    REFUSED_AS(&f, "instance_revoked");
    take_back(&f, id, "removed");
    released(&f);
}
END_TEST

START_TEST(wrong_after_restart)
{
    FIXTURE(f);
    fixture_policy(&f);
    revoke_certificate(&f, 1, "added");
    fixture_close(&f);
    fixture_open(&f);
    REFUSED_AS(&f, "certificate_revoked");
    db_run(&f, "UPDATE revocation SET state = 2");
    fixture_close(&f);
    ck_err(fixture_try_open(&f), ERR_STORE_TAMPERED);
    ck_assert_str_eq(f.fault.field, "revocation 1");
}
END_TEST

static void verify_is(struct warden_fixture *f, const struct attempt *a, const char *code,
                      const char *field)
{
    json_auto_t *verdict =
        admin_do(f, "verify", PARAMS(p_buf("attestation_document", &a->document)));
    const bool valid = code[0] == '\0';
    ck_assert_int_eq(json_is_true(json_at(verdict, "valid")), valid);
    ck_assert(json_is_true(json_at(verdict, "document.verified")));
    ck_assert_str_eq(text_at(verdict, "error.code"), code);
    ck_assert_str_eq(text_at(verdict, "error.field"), field);
    char path[40];
    snprintf(path, sizeof path, "checks.%d.name", ATTEST_CHECK_COUNT);
    ck_assert_str_eq(text_at(verdict, path), valid ? "" : "revocation");
    snprintf(path, sizeof path, "checks.%d.result", ATTEST_CHECK_COUNT);
    ck_assert_str_eq(text_at(verdict, path), valid ? "" : "failed");
}

/* Before whom it is no secret: the exact code, and why. */
START_TEST(wrong_verify)
{
    FIXTURE(f);
    ATTEMPT(a);
    attempt_make(&f, &a);
    verify_is(&f, &a, "", "");
    revoke_certificate(&f, 4, "added");
    verify_is(&f, &a, "certificate_revoked", "certificate");
    const uint64_t zonal = revoke_certificate(&f, 2, "added");
    verify_is(&f, &a, "certificate_revoked", "cabundle[2]");
    take_back(&f, zonal, "removed");
    revoke_instance(&f, INSTANCE, "added");
    verify_is(&f, &a, "instance_revoked", "module_id");
    a.document.ptr[a.document.len - 1] ^= 1; /* a forgery is one, whatever is revoked */
    json_auto_t *forged =
        admin_do(&f, "verify", PARAMS(p_buf("attestation_document", &a.document)));
    ck_assert_str_eq(text_at(forged, "error.code"), "signature_invalid");
}
END_TEST

/* Of the newest decision on record: a record does not keep the chain. */
static void explained_as(struct warden_fixture *f, const char *request, const char *verdict,
                         const char *reason, const char *result)
{
    json_auto_t *answer = admin_do(f, "explain", PARAMS(p_text("request", request)));
    ck_assert_str_eq(text_at(answer, "verdict"), verdict);
    ck_assert_str_eq(text_at(answer, "secrets.0.reason"), reason);
    ck_assert_str_eq(text_at(answer, "secrets.0.tried.0.checks.1.check"),
                     "certificates_not_revoked");
    ck_assert_str_eq(text_at(answer, "secrets.0.tried.0.checks.1.result"), result);
}

/* Which certificate it was is not on record: while one is revoked, it may still be that one. */
START_TEST(wrong_explained)
{
    FIXTURE(f);
    fixture_policy(&f);
    released(&f);
    json_auto_t *granted = audit_newest(&f);
    const uint64_t leaf = revoke_certificate(&f, 4, "added");
    REFUSED_AS(&f, "certificate_revoked");
    json_auto_t *refused = audit_newest(&f);
    const char *request = text_at(refused, "request_id");
    explained_as(&f, request, "refused", "certificate_revoked", "failed");
    explained_as(&f, text_at(granted, "request_id"), "released", "granted", "not known");
    const uint64_t zonal = revoke_certificate(&f, 3, "added");
    take_back(&f, leaf, "removed");
    explained_as(&f, request, "refused", "certificate_revoked", "failed");
    revoke_instance(&f, "i-0123456789abcdef1", "added"); /* no certificate, and not this one */
    take_back(&f, zonal, "removed");
    explained_as(&f, request, "released", "granted", "ok");
}
END_TEST

/* --- Adding, listing, removing --- */

START_TEST(valid_story)
{
    FIXTURE(f);
    const uint64_t first = revoke_instance(&f, INSTANCE, "added");
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "revocation.add");
    ck_assert_str_eq(text_at(record, "object"), "instance " INSTANCE);
    ck_assert_str_eq(text_at(record, "detail"), "stolen");
    const uint64_t sequence = audit_sequence(&f);
    ck_assert_uint_eq(revoke_instance(&f, INSTANCE, "unchanged"), first);
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    const uint64_t second = revoke_certificate(&f, 3, "added");
    take_back(&f, first, "removed");
    take_back(&f, first, "unchanged");
    json_auto_t *gone = audit_newest(&f);
    ck_assert_str_eq(text_at(gone, "event"), "revocation.remove");
    ck_assert_str_eq(text_at(gone, "detail"), "a false alarm");
    json_auto_t *list = admin_do(&f, "revocation.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "revocations")), 2);
    ck_assert_str_eq(text_at(list, "revocations.0.state"), "removed");
    ck_assert_str_eq(text_at(list, "revocations.0.reason"), "stolen");
    ck_assert_uint_eq(uint_at(list, "revocations.1.id"), second);
    ck_assert_ptr_nonnull(strstr(text_at(list, "revocations.1.issuer_cn"), "zonal." REGION));
    ck_assert_str_ne(text_at(list, "revocations.1.person"), "");
    ck_assert_uint_eq(revoke_instance(&f, INSTANCE, "added"), first); /* again */
}
END_TEST

/* One number, however many zeros stand before it. */
START_TEST(valid_serial_forms)
{
    FIXTURE(f);
    const struct named n = name_of(&f, 3);
    static const struct {
        const char *given;
        const char *shown;
    } rows[] = {{"0080", "80"},   {"80", "80"}, {"000080", "80"}, {"7f", "7f"},
                {"01ff", "01ff"}, {"00", "00"}, {"0000", "00"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_auto_t *added =
            admin_do(&f, "revocation.add",
                     PARAMS(p_bytes("issuer", n.issuer.ptr, n.issuer.len),
                            p_text("serial", rows[i].given), p_text("reason", "r")));
        ck_assert_str_eq(text_at(added, "revocation.serial"), rows[i].shown);
    }
    json_auto_t *list = admin_do(&f, "revocation.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "revocations")), 4);
}
END_TEST

START_TEST(wrong_input)
{
    FIXTURE(f);
    const struct named n = name_of(&f, 4);
    const struct param issuer = p_bytes("issuer", n.issuer.ptr, n.issuer.len);
    const struct param serial = p_text("serial", n.serial);
    const struct param reason = p_text("reason", "r");
    const struct param instance = p_text("instance_id", INSTANCE);
    const uint64_t sequence = audit_sequence(&f);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "instance_id", "revocation.add", PARAMS(reason));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "instance_id", "revocation.add",
                  PARAMS(instance, serial, reason));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "issuer", "revocation.add", PARAMS(serial, reason));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "serial", "revocation.add", PARAMS(issuer, reason));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "reason", "revocation.add", PARAMS(issuer, serial));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "reason", "revocation.add", PARAMS(instance));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "reason", "revocation.add",
                  PARAMS(instance, p_text("reason", "")));
    for (size_t cut = 0; cut < n.issuer.len; cut++)
        ADMIN_REFUSED(&f, ERR_MALFORMED, "issuer", "revocation.add",
                      PARAMS(p_bytes("issuer", n.issuer.ptr, cut), serial, reason));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "issuer", "revocation.add",
                  PARAMS(p_bytes("issuer", "0\0", 2), serial, reason)); /* an empty name */
    static const char *const ids[] = {"i-", "i-0123456", "i-0123456789ABCDEF0", "0123456789abcdef0",
                                      "i-0123456789abcdef0-enc0"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ADMIN_REFUSED(&f, ERR_MALFORMED, "instance_id", "revocation.add",
                      PARAMS(p_text("instance_id", ids[i]), reason));
    static const char *const numbers[] = {"0", "0g", "123"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        ADMIN_REFUSED(&f, ERR_HEX, "serial", "revocation.add",
                      PARAMS(issuer, p_text("serial", numbers[i]), reason));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "serial", "revocation.add",
                  PARAMS(issuer, p_text("serial", "80aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                         reason)); /* 21 bytes, and a zero before them */
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "id", "revocation.remove", PARAMS(p_uint("id", 1), reason));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "reason", "revocation.remove", PARAMS(p_uint("id", 1)));
    ck_assert_uint_eq(audit_sequence(&f), sequence);
}
END_TEST

START_TEST(wrong_root)
{
    FIXTURE(f);
    const struct named n = name_of(&f, 0);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "serial", "revocation.add",
                  PARAMS(p_bytes("issuer", n.issuer.ptr, n.issuer.len), p_text("serial", n.serial),
                         p_text("reason", "r")));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "pinned root"));
}
END_TEST

/* Whoever may revoke in an emergency may not undo it. */
START_TEST(wrong_right_to_remove)
{
    FIXTURE(f);
    uint8_t token[WARDEN_TOKEN_LEN];
    fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL & ~(uint32_t)RIGHT_PEOPLE), token);
    const struct bytes bob = bytes_of(token, sizeof token);
    ck_ok(admin_as(&f, bob, "revocation.add",
                   PARAMS(p_text("instance_id", INSTANCE), p_text("reason", "stolen")), NULL));
    ck_err(admin_as(&f, bob, "revocation.remove", PARAMS(p_uint("id", 1), p_text("reason", "mine")),
                    NULL),
           ERR_FORBIDDEN);
    json_auto_t *list = admin_do(&f, "revocation.list", NO_PARAMS);
    ck_assert_str_eq(text_at(list, "revocations.0.state"), "active");
    ck_assert_str_eq(text_at(list, "revocations.0.person"), "bob");
}
END_TEST

UNIT_MAIN("admin_revocation", wrong_cached_chain, wrong_after_restart, wrong_verify,
          wrong_explained, valid_story, valid_serial_forms, wrong_input, wrong_root,
          wrong_right_to_remove)
