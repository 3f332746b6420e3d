/* The admin operations' common part: who calls, with what right, with which parameters;
 * status and verify. */
#include "admin_fixture.h"

#include "release_fixture.h"

static const struct {
    const char *name;
    uint32_t right; /* of several any one */
} operations[] = {
    {"status", RIGHT_VIEW},
    {"verify", RIGHT_VIEW},
    {"image.list", RIGHT_VIEW},
    {"measurement.add", RIGHT_DRAFT},
    {"measurement.list", RIGHT_VIEW},
    {"measurement.show", RIGHT_VIEW},
    {"measurement.enclaves", RIGHT_VIEW},
    {"measurement.grants", RIGHT_VIEW},
    {"measurement.activate", RIGHT_ACTIVATE},
    {"measurement.deprecate", RIGHT_ACTIVATE},
    {"measurement.revoke", RIGHT_ACTIVATE},
    {"measurement.discard", RIGHT_DRAFT | RIGHT_ACTIVATE},
    {"sealing-key", RIGHT_CUSTODY},
    {"secret.put-challenge", RIGHT_CUSTODY},
    {"secret.put", RIGHT_CUSTODY},
    {"secret.list", RIGHT_VIEW},
    {"grant.add", RIGHT_CUSTODY},
    {"grant.list", RIGHT_VIEW},
    {"grant.remove", RIGHT_CUSTODY},
    {"audit.list", RIGHT_VIEW},
    {"audit.export", RIGHT_VIEW},
    {"explain", RIGHT_VIEW},
    {"issuer.show", RIGHT_VIEW},
    {"issuer.receipt-key", RIGHT_CUSTODY},
    {"issuer.install", RIGHT_CUSTODY},
    {"revocation.add", RIGHT_ACTIVATE},
    {"revocation.list", RIGHT_VIEW},
    {"revocation.remove", RIGHT_PEOPLE},
    {"person.add", RIGHT_PEOPLE},
    {"person.list", RIGHT_PEOPLE},
    {"person.remove", RIGHT_PEOPLE},
    {"token.create", RIGHT_PEOPLE},
    {"token.list", RIGHT_PEOPLE},
    {"token.revoke", RIGHT_PEOPLE},
    {"signer.add", RIGHT_PEOPLE},
    {"signer.list", RIGHT_PEOPLE},
    {"signer.remove", RIGHT_PEOPLE},
    {"registration.submit", RIGHT_DRAFT},
};

/* What a token for some images may besides having the right: of these images alone. */
static bool is_for_confined(const char *name)
{
    static const char *const names[] = {"measurement.add", "measurement.discard",
                                        "measurement.list", "measurement.show"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

START_TEST(wrong_rights)
{
    FIXTURE(f);
    uint8_t all_but[32][WARDEN_TOKEN_LEN];
    uint8_t only[32][WARDEN_TOKEN_LEN];
    for (uint32_t bit = 1; bit <= RIGHT_PEOPLE; bit <<= 1) {
        fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL & ~bit), all_but[bit]);
        fixture_token(&f, TOKEN_OF("eve", bit), only[bit]);
    }
    const uint32_t both = RIGHT_DRAFT | RIGHT_ACTIVATE;
    fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL & ~both), all_but[both]);
    const uint64_t sequence = audit_sequence(&f);
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        const char *name = operations[i].name;
        const uint32_t right = operations[i].right;
        ck_err(admin_as(&f, bytes_of(all_but[right], WARDEN_TOKEN_LEN), name, NO_PARAMS, NULL),
               ERR_FORBIDDEN);
        ck_assert_ptr_nonnull(strstr(f.fault.detail, "bob"));
        for (uint32_t bit = 1; bit <= RIGHT_PEOPLE; bit <<= 1) {
            const enum err err =
                admin_as(&f, bytes_of(only[bit], WARDEN_TOKEN_LEN), name, NO_PARAMS, NULL);
            if (bit == right && strcmp(name, "signer.add") == 0)
                continue; /* and the right that it gives: test_admin_registration.c */
            ck_assert_msg((err == ERR_FORBIDDEN) == ((bit & right) == 0), "%s with right %u: %s",
                          name, bit, err_wire(err));
        }
    }
    ck_assert_uint_eq(audit_sequence(&f), sequence);
}
END_TEST

/* Each operation by a token for some images: forbidden, unless the image is one of them. */
START_TEST(wrong_image)
{
    FIXTURE(f);
    uint8_t token[WARDEN_TOKEN_LEN];
    struct token_spec spec = TOKEN_OF("bob", RIGHTS_OF_IMAGES);
    spec.images = "payments,refunds";
    fixture_token(&f, spec, token);
    const struct bytes bob = bytes_of(token, sizeof token);
    const uint64_t sequence = audit_sequence(&f);
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        const char *name = operations[i].name;
        if (strcmp(name, "registration.submit") == 0) { /* its file is signed: that decides */
            ck_err(admin_as(&f, bob, name, NO_PARAMS, NULL), ERR_MALFORMED);
            continue;
        }
        const bool may = (operations[i].right & RIGHTS_OF_IMAGES) != 0 && is_for_confined(name);
        ck_err(admin_as(&f, bob, name, NO_PARAMS, NULL), ERR_FORBIDDEN);
        ck_err(admin_as(&f, bob, name, PARAMS(p_text("image", "other")), NULL), ERR_FORBIDDEN);
        ck_err(admin_as(&f, bob, name, PARAMS(p_text("image", "payment")), NULL), ERR_FORBIDDEN);
        ck_err(admin_as(&f, bob, name, PARAMS(p_bytes("image", "payments", 8)), NULL),
               ERR_FORBIDDEN);
        ck_err(admin_as(&f, bob, name, PARAMS(p_text("images", "payments")), NULL), ERR_FORBIDDEN);
        const enum err one = admin_as(&f, bob, name, PARAMS(p_text("image", "payments")), NULL);
        const enum err other = admin_as(&f, bob, name, PARAMS(p_text("image", "refunds")), NULL);
        ck_assert_msg((one == ERR_FORBIDDEN) == !may && one == other, "%s: %s, %s", name,
                      err_wire(one), err_wire(other));
    }
    ck_assert_uint_eq(audit_sequence(&f), sequence);
}
END_TEST

static void unauthenticated(struct warden_fixture *f, const uint8_t *token)
{
    const struct bytes view = token == NULL ? bytes_of("", 0) : bytes_of(token, WARDEN_TOKEN_LEN);
    ck_err(admin_as(f, view, "status", NO_PARAMS, NULL), ERR_UNAUTHENTICATED);
    /* Nor does it learn which operations there are, or what they take. */
    ck_err(admin_as(f, view, "no.such", NO_PARAMS, NULL), ERR_UNAUTHENTICATED);
    ck_err(admin_as(f, view, "status", PARAMS(p_uint("nonsense", 1)), NULL), ERR_UNAUTHENTICATED);
}

START_TEST(wrong_token)
{
    FIXTURE(f);
    uint8_t token[WARDEN_TOKEN_LEN];
    struct token_spec spec = TOKEN_OF("bob", RIGHT_ALL);
    unauthenticated(&f, NULL);
    for (unsigned i = 0; i < WARDEN_TOKEN_LEN; i += 31) {
        memcpy(token, f.token, sizeof token);
        token[i] ^= 1;
        unauthenticated(&f, token);
    }
    /* The hash, which the database holds, is no token. */
    ck_ok(digest_sha256(bytes_of(f.token, sizeof f.token), token));
    unauthenticated(&f, token);
    spec.state = POLICY_REMOVED;
    fixture_token(&f, spec, token);
    unauthenticated(&f, token);
    spec = TOKEN_OF("gone", RIGHT_ALL);
    spec.person_state = POLICY_REMOVED;
    fixture_token(&f, spec, token);
    unauthenticated(&f, token);
}
END_TEST

START_TEST(wrong_expired)
{
    FIXTURE(f);
    uint8_t token[WARDEN_TOKEN_LEN];
    struct token_spec spec = TOKEN_OF("bob", RIGHT_ALL);
    spec.expires_ms = NOW_MS + 1000;
    fixture_token(&f, spec, token);
    advance_ms(999);
    ck_ok(admin_as(&f, bytes_of(token, sizeof token), "status", NO_PARAMS, NULL));
    advance_ms(1);
    unauthenticated(&f, token);
}
END_TEST

START_TEST(wrong_operation)
{
    FIXTURE(f);
    ADMIN_REFUSED(&f, ERR_NO_ROUTE, "", "no.such", NO_PARAMS);
    ADMIN_REFUSED(&f, ERR_NO_ROUTE, "", "", NO_PARAMS);
    ADMIN_REFUSED(&f, ERR_NO_ROUTE, "", "statu", NO_PARAMS);
    ADMIN_REFUSED(&f, ERR_NO_ROUTE, "", "statusx", NO_PARAMS);
}
END_TEST

START_TEST(wrong_parameter)
{
    FIXTURE(f);
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        ADMIN_REFUSED(&f, ERR_UNKNOWN_MEMBER, "nonsense", operations[i].name,
                      PARAMS(p_uint("nonsense", 1)));
        ADMIN_REFUSED(&f, ERR_UNKNOWN_MEMBER, "", operations[i].name, PARAMS(p_uint("", 1)));
    }
    /* However long or strange: a name that was cut is still a reply. */
    char name[300];
    for (size_t i = 0; i + 1 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    name[298] = '\0';
    ck_err(admin_try(&f, "status", PARAMS(p_uint(name, 1)), NULL), ERR_UNKNOWN_MEMBER);
    ck_err(admin_try(&f, "status", PARAMS(p_uint("%s%n\r\n", 1)), NULL), ERR_UNKNOWN_MEMBER);
    ck_assert_str_eq(f.fault.field, "%s%n??");
}
END_TEST

/* A message that is none is answered, not dropped. */
START_TEST(junk_message)
{
    FIXTURE(f);
    for (unsigned value = 0; value < 256; value++) {
        const uint8_t byte = (uint8_t)value;
        CLEANUP(buf_free) struct buf answer = {0};
        CLEANUP(warden_reply_free) struct warden_reply reply = {0};
        ck_ok(warden_handle(f.warden, bytes_of(&byte, 1), &answer));
        ck_ok(warden_reply_parse(bytes_of_buf(&answer), &reply, NULL));
        ck_assert_int_ne(reply.fault.code, ERR_OK);
    }
}
END_TEST

START_TEST(valid_status)
{
    FIXTURE(f);
    char hex[2 * SHA256_LEN + 1];
    fixture_policy(&f);
    advance_ms(5000);
    json_auto_t *s = admin_do(&f, "status", NO_PARAMS);
    ck_assert_str_eq(text_at(s, "version"), VOUCHSAFE_VERSION);
    ck_assert_str_eq(text_at(s, "kind"), "development");
    hex_encode(bytes_of(f.founded.store_id, PROTOCOL_STORE_ID_LEN), hex);
    ck_assert_str_eq(text_at(s, "store_id"), hex);
    hex_encode(bytes_of(f.founded.root_sha256, SHA256_LEN), hex);
    ck_assert_str_eq(text_at(s, "root_sha256"), hex);
    hex_encode(bytes_of(f.founded.issuer_fingerprint, SHA256_LEN), hex);
    ck_assert_str_eq(text_at(s, "issuers.0"), hex);
    ck_assert_str_eq(text_at(s, "started"), "2026-11-23T00:00:00Z");
    ck_assert_str_eq(text_at(s, "now"), "2026-11-23T00:00:05Z");
    ck_assert_str_eq(text_at(s, "delegation_not_after"), "2027-02-21T00:00:00Z");
    ck_assert_uint_eq(uint_at(s, "policy_revision"), 4); /* init, and three changes */
    ck_assert_uint_eq(uint_at(s, "audit_sequence"), 5);  /* and serve.start */
    ck_assert_uint_eq(uint_at(s, "counts.images"), 1);
    ck_assert_uint_eq(uint_at(s, "counts.measurements"), 1);
    ck_assert_uint_eq(uint_at(s, "counts.secrets"), 1);
    ck_assert_uint_eq(uint_at(s, "counts.grants"), 1);
    ck_assert_uint_eq(uint_at(s, "counters.challenges"), 0);
}
END_TEST

/* --- verify --- */

START_TEST(valid_verify)
{
    FIXTURE(f);
    ATTEMPT(a);
    char hex[2 * PROTOCOL_CHALLENGE_LEN + 1];
    CLEANUP(buf_free) struct buf pcrs = {0};
    attempt_make(&f, &a);
    pcr_map(&a.fields, 7, &pcrs);
    hex_encode(bytes_of_buf(&a.challenge), hex);
    const uint64_t sequence = audit_sequence(&f);
    json_auto_t *yes =
        admin_do(&f, "verify",
                 PARAMS(p_buf("attestation_document", &a.document), p_text("nonce", hex),
                        p_map("pcrs", &pcrs), p_uint("max_age_s", 60), p_text("kind", "enclave")));
    ck_assert(json_is_true(json_at(yes, "valid")));
    json_auto_t *late = admin_do(
        &f, "verify",
        PARAMS(p_buf("attestation_document", &a.document), p_text("at", "2026-11-25T00:00:00Z")));
    ck_assert(json_is_false(json_at(late, "valid")));
    ck_assert_str_eq(text_at(late, "error.code"), "certificate_expired");
    json_auto_t *then = admin_do(
        &f, "verify", PARAMS(p_buf("attestation_document", &a.document), p_text("at", "document")));
    ck_assert(json_is_true(json_at(then, "valid")));
    json_auto_t *none = admin_do(&f, "verify", PARAMS(p_bytes("attestation_document", "", 0)));
    ck_assert(json_is_false(json_at(none, "valid")));
    ck_assert_uint_eq(audit_sequence(&f), sequence); /* it releases and records nothing */
    ck_assert_uint_eq(db_number(&f, REDEEMED), 0);
}
END_TEST

START_TEST(wrong_verify)
{
    FIXTURE(f);
    CLEANUP(buf_free) struct buf pcrs = {0};
    struct cbor_writer w;
#define DOCUMENT p_bytes("attestation_document", "x", 1)
#define VERIFY_REFUSED(code, field, param) \
    ADMIN_REFUSED(&f, (code), (field), "verify", PARAMS(DOCUMENT, (param)))
    ADMIN_REFUSED(&f, ERR_MALFORMED, "attestation_document", "verify", NO_PARAMS);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "attestation_document", "verify",
                  PARAMS(p_text("attestation_document", "x")));
    VERIFY_REFUSED(ERR_MALFORMED, "at", p_text("at", "yesterday"));
    VERIFY_REFUSED(ERR_MALFORMED, "at", p_text("at", ""));
    VERIFY_REFUSED(ERR_MALFORMED, "at", p_uint("at", 1));
    VERIFY_REFUSED(ERR_MALFORMED, "kind", p_text("kind", "tpm"));
    VERIFY_REFUSED(ERR_HEX, "nonce", p_text("nonce", "0"));
    VERIFY_REFUSED(ERR_HEX, "nonce", p_text("nonce", "0g"));
    VERIFY_REFUSED(ERR_MALFORMED, "max_age_s", p_text("max_age_s", "1"));
    VERIFY_REFUSED(ERR_MALFORMED, "max_age_s", p_uint("max_age_s", UINT64_C(1) << 32));
    VERIFY_REFUSED(ERR_MALFORMED, "pcrs", p_text("pcrs", "1"));
    static const char *const keys[] = {"32", "01", "x", "", "-1", "100"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        pcrs.len = 0;
        cbor_writer_init(&w, &pcrs);
        cbor_writer_map(&w, 1);
        cbor_writer_cstr(&w, keys[i]);
        cbor_writer_cstr(&w, "00");
        VERIFY_REFUSED(ERR_MALFORMED, "pcrs", p_map("pcrs", &pcrs));
    }
    pcrs.len = 0;
    cbor_writer_init(&w, &pcrs);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, "31");
    cbor_writer_cstr(&w, "00");
    VERIFY_REFUSED(ERR_HEX, "pcrs[31]", p_map("pcrs", &pcrs));
}
END_TEST

UNIT_MAIN("admin", wrong_rights, wrong_image, wrong_token, wrong_expired, wrong_operation,
          wrong_parameter, junk_message, valid_status, valid_verify, wrong_verify)
