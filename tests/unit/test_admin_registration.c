/* Signers and their registration files: whose word makes a draft, and only once. */
#include "admin_fixture.h"

#include "common/openssl_cleanup.h"
#include "registration_fixture.h"

static void signer_add(struct warden_fixture *f, const struct signer *signer, const char *images)
{
    json_auto_t *added =
        admin_do(f, "signer.add",
                 PARAMS(p_text("person", "ci"), p_bytes("key", signer->public_key, SSHSIG_KEY_LEN),
                        p_text("images", images), p_text("label", "runner")));
    ck_assert_str_eq(text_at(added, "result"), "added");
}

static enum err submit_text(struct warden_fixture *f, const struct signer *signer,
                            struct bytes text, json_t **out)
{
    CLEANUP(buf_free) struct buf signature = {0};
    ck_ok(sshsig_sign(signer->key, REGISTRATION_NAMESPACE, text, &signature));
    return admin_try(f, "registration.submit",
                     PARAMS(p_bytes("file", text.ptr, text.len), p_buf("signature", &signature)),
                     out);
}

static enum err submit(struct warden_fixture *f, const struct signer *signer, struct spec spec,
                       json_t **out)
{
    CLEANUP(buf_free) struct buf text = {0};
    file_text(f, &spec, &text);
    return submit_text(f, signer, bytes_of_buf(&text), out);
}

static void expect_added(struct warden_fixture *f, const struct signer *signer, struct spec spec,
                         const char *result)
{
    json_t *out = NULL;
    const enum err err = submit(f, signer, spec, &out);
    ck_assert_msg(err == ERR_OK, "%s [%s] %s", err_wire(err), f->fault.field, f->fault.detail);
    ck_assert_str_eq(text_at(out, "result"), result);
    json_decref(out);
}

static void expect_refused(struct warden_fixture *f, const struct signer *signer, struct spec spec,
                           enum err code, const char *field, int line)
{
    const uint64_t sequence = audit_sequence(f);
    const enum err err = submit(f, signer, spec, NULL);
    ck_assert_msg(err == code && strcmp(f->fault.field, field) == 0, "line %d: %s [%s] %s", line,
                  err_wire(err), f->fault.field, f->fault.detail);
    ck_assert_uint_eq(audit_sequence(f), sequence);
}
#define REFUSED(signer, spec, code, field) \
    expect_refused(&f, (signer), (spec), (code), (field), __LINE__)

#define SIGNERS                                                            \
    FIXTURE(f);                                                            \
    CLEANUP(signer_free) struct signer ci = {0};                           \
    signer_make(&ci);                                                      \
    json_decref(admin_do(&f, "person.add", PARAMS(p_text("name", "ci")))); \
    signer_add(&f, &ci, "payments")

START_TEST(valid_registration)
{
    SIGNERS;
    json_t *out = NULL;
    struct spec spec = SPEC(7, "1", 1);
    spec.more = ",\"labels\":{\"commit\":\"5d5eab0\",\"a\":\"b\"},\"provenance\":\"by ci\","
                "\"kind\":\"enclave\",\"not_after\":\"2027-01-01T00:00:00Z\"";
    ck_ok(submit(&f, &ci, spec, &out));
    ck_assert_str_eq(text_at(out, "result"), "added");
    ck_assert_str_eq(text_at(out, "measurement.state"), "draft");
    ck_assert_str_eq(text_at(out, "measurement.added_by"), "ci");
    ck_assert_str_eq(text_at(out, "measurement.labels.commit"), "5d5eab0");
    ck_assert_str_eq(text_at(out, "measurement.provenance"), "by ci");
    ck_assert_str_eq(text_at(out, "measurement.not_after"), "2027-01-01T00:00:00Z");
    json_decref(out);
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "registration.submit");
    ck_assert_str_eq(text_at(record, "person"), "ann");
    ck_assert_str_eq(text_at(record, "object"), "payments@1");
    ck_assert_str_eq(text_at(record, "detail"), "added as a draft, signed by ci, serial 7");
    const uint64_t sequence = audit_sequence(&f);
    expect_added(&f, &ci, spec, "unchanged");
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    json_auto_t *list = admin_do(&f, "signer.list", NO_PARAMS);
    ck_assert_uint_eq(uint_at(list, "signers.0.last_serial"), 7);
    ck_assert_str_eq(text_at(list, "signers.0.label"), "runner");
    ck_assert_str_eq(text_at(list, "signers.0.images.0"), "payments");
}
END_TEST

/* Whoever hands in a file for other images than the token's is told what the file says, and not
 * what became of its build. */
START_TEST(valid_confined)
{
    SIGNERS;
    static const char *const seen[] = {"refunds", "payments"};
    uint8_t token[ARRAY_LEN(seen)][WARDEN_TOKEN_LEN];
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf signature = {0};
    const struct spec spec = SPEC(1, "1", 1);
    file_text(&f, &spec, &text);
    ck_ok(sshsig_sign(ci.key, REGISTRATION_NAMESPACE, bytes_of_buf(&text), &signature));
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        struct token_spec gate = TOKEN_OF("gate", RIGHTS_OF_IMAGES);
        gate.images = seen[i];
        fixture_token(&f, gate, token[i]);
    }
#define HAND_IN(i, out)                                                             \
    ck_ok(admin_as(&f, bytes_of(token[i], WARDEN_TOKEN_LEN), "registration.submit", \
                   PARAMS(p_buf("file", &text), p_buf("signature", &signature)), (out)))
    json_t *out = NULL;
    HAND_IN(0, &out);
    ck_assert_str_eq(text_at(out, "result"), "added");
    ck_assert_str_eq(text_at(out, "measurement.state"), "draft");
    json_decref(out);
    json_decref(admin_do(&f, "measurement.activate",
                         PARAMS(p_text("image", "payments"), p_text("version", "1"))));
    HAND_IN(0, &out);
    ck_assert_str_eq(text_at(out, "result"), "unchanged");
    ck_assert_str_eq(text_at(out, "measurement.image"), "payments");
    ck_assert_str_eq(text_at(out, "measurement.version"), "1");
    ck_assert_uint_eq(json_object_size(json_at(out, "measurement")), 2);
    ck_assert_uint_eq(json_object_size(out), 2);
    json_decref(out);
    HAND_IN(1, &out);
    ck_assert_str_eq(text_at(out, "result"), "unchanged");
    ck_assert_str_eq(text_at(out, "measurement.state"), "active");
    json_decref(out);
}
END_TEST

/* The serial only rises, for each key by itself, and across a restart. */
START_TEST(wrong_serial)
{
    SIGNERS;
    CLEANUP(signer_free) struct signer other = {0};
    signer_make(&other);
    signer_add(&f, &other, "payments,refunds");
    expect_added(&f, &ci, SPEC(7, "1", 1), "added");
    REFUSED(&ci, SPEC(7, "2", 2), ERR_SERIAL, "serial");
    REFUSED(&ci, SPEC(6, "2", 2), ERR_SERIAL, "serial");
    REFUSED(&ci, SPEC(6, "1", 1), ERR_SERIAL, "serial"); /* the same build, an older number */
    struct spec longer = SPEC(7, "1", 1);
    longer.expires_ms++; /* nearly the same file */
    REFUSED(&ci, longer, ERR_SERIAL, "serial");
    expect_added(&f, &other, SPEC(1, "2", 2), "added");
    expect_added(&f, &ci, SPEC(8, "3", 3), "added");
    REFUSED(&ci, SPEC(7, "1", 1), ERR_SERIAL, "serial"); /* not the last any more */
    fixture_close(&f);
    fixture_open(&f);
    REFUSED(&ci, SPEC(8, "4", 4), ERR_SERIAL, "serial");
    expect_added(&f, &ci, SPEC(8, "3", 3), "unchanged");
    /* What is there already uses the number up all the same. */
    expect_added(&f, &ci, SPEC(9, "3", 3), "unchanged");
    REFUSED(&ci, SPEC(9, "4", 4), ERR_SERIAL, "serial");
    expect_added(&f, &ci, SPEC(9007199254740991, "4", 4), "added");
    REFUSED(&ci, SPEC(9007199254740991, "5", 5), ERR_SERIAL, "serial");
}
END_TEST

/* What was taken back is not there because the file comes again. */
START_TEST(wrong_discarded)
{
    SIGNERS;
    expect_added(&f, &ci, SPEC(1, "1", 1), "added");
    ck_ok(admin_try(&f, "measurement.discard",
                    PARAMS(p_text("image", "payments"), p_text("version", "1")), NULL));
    REFUSED(&ci, SPEC(1, "1", 1), ERR_WRONG_STATE, "state");
}
END_TEST

/* Nor is what was revoked: neither by the file again, nor by a newer one of the same build. */
START_TEST(wrong_revoked)
{
    SIGNERS;
    expect_added(&f, &ci, SPEC(1, "1", 1), "added");
    ck_ok(admin_try(&f, "measurement.revoke",
                    PARAMS(p_text("image", "payments"), p_text("version", "1")), NULL));
    REFUSED(&ci, SPEC(1, "1", 1), ERR_WRONG_STATE, "state");
    REFUSED(&ci, SPEC(2, "1", 1), ERR_WRONG_STATE, "state");
    expect_added(&f, &ci, SPEC(2, "2", 2), "added"); /* the refused one used no number up */
}
END_TEST

START_TEST(wrong_authority)
{
    SIGNERS;
    CLEANUP(signer_free) struct signer eve = {0};
    signer_make(&eve);
    REFUSED(&eve, SPEC(1, "1", 1), ERR_REGISTRATION, "signature");
    struct spec spec = SPEC(1, "1", 1);
    spec.store_flip = 1;
    REFUSED(&ci, spec, ERR_REGISTRATION, "store");
    spec = SPEC(1, "1", 1);
    spec.expires_ms = (int64_t)NOW_MS;
    REFUSED(&ci, spec, ERR_REGISTRATION, "expires");
    spec = SPEC(1, "1", 1);
    spec.image = "refunds";
    REFUSED(&ci, spec, ERR_REGISTRATION, "measurement.image");
    spec.image = "payment";
    REFUSED(&ci, spec, ERR_REGISTRATION, "measurement.image");
    expect_added(&f, &ci, SPEC(1, "1", 1), "added"); /* none of these used the number up */
    advance_ms((int64_t)DAY_MS);
    REFUSED(&ci, SPEC(1, "1", 1), ERR_REGISTRATION, "expires"); /* not even again */
}
END_TEST

START_TEST(wrong_build)
{
    SIGNERS;
    struct spec spec = SPEC(1, "1", 1);
#define MORE(members, code, field)           \
    do {                                     \
        spec.more = (members);               \
        REFUSED(&ci, spec, (code), (field)); \
    } while (0)
    MORE(",\"draft\":false", ERR_UNKNOWN_MEMBER, "measurement.draft");
    MORE(",\"draft\":true", ERR_UNKNOWN_MEMBER, "measurement.draft");
    MORE(",\"debug\":true", ERR_UNKNOWN_MEMBER, "measurement.debug");
    MORE(",\"state\":\"active\"", ERR_UNKNOWN_MEMBER, "state");
    MORE(",\"kind\":null", ERR_MALFORMED, "measurement.kind");
    MORE(",\"kind\":[]", ERR_MALFORMED, "measurement.kind");
    MORE(",\"kind\":1", ERR_MALFORMED, "kind");
    MORE(",\"kind\":-1", ERR_MALFORMED, "measurement.kind");
    MORE(",\"kind\":\"tpm\"", ERR_MALFORMED, "kind");
    MORE(",\"labels\":{\"a\":1}", ERR_MALFORMED, "labels.a");
    MORE(",\"not_after\":\"soon\"", ERR_MALFORMED, "not_after");
    spec.more = "";
    spec.version = "no version";
    REFUSED(&ci, spec, ERR_MALFORMED, "version");
    fixture_measurement(&f, "payments", "1", 2);
    fixture_measurement(&f, "secretproject", "9.9", 3);
    REFUSED(&ci, SPEC(1, "1", 1), ERR_EXISTS, "pcrs"); /* other values under the name */
    REFUSED(&ci, SPEC(1, "2", 3), ERR_EXISTS, "pcrs");
    ck_assert_ptr_null(strstr(f.fault.detail, "secretproject")); /* which is none of its images */
    expect_added(&f, &ci, SPEC(1, "1", 2), "unchanged"); /* active already, by somebody else */
}
END_TEST

START_TEST(wrong_signature)
{
    SIGNERS;
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf signature = {0};
    const struct spec spec = SPEC(1, "1", 1);
    file_text(&f, &spec, &text);
    ck_ok(sshsig_sign(ci.key, REGISTRATION_NAMESPACE, bytes_of_buf(&text), &signature));
#define SUBMIT PARAMS(p_buf("file", &text), p_buf("signature", &signature))
    for (size_t i = 0; i < text.len; i += 7) {
        text.ptr[i] ^= 1;
        ADMIN_REFUSED(&f, ERR_SIGNATURE, "signature", "registration.submit", SUBMIT);
        text.ptr[i] ^= 1;
    }
    signature.len = 0;
    ck_ok(sshsig_sign(ci.key, "file", bytes_of_buf(&text), &signature));
    ADMIN_REFUSED(&f, ERR_SSHSIG, "signature", "registration.submit", SUBMIT);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "signature", "registration.submit",
                  PARAMS(p_buf("file", &text)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "file", "registration.submit",
                  PARAMS(p_buf("signature", &signature)));
    /* Signed, but no file. */
    ck_err(submit_text(&f, &ci, bytes_of_text("{}"), NULL), ERR_MALFORMED);
    ck_assert_str_eq(f.fault.field, "store");
}
END_TEST

START_TEST(valid_signer)
{
    SIGNERS;
#define ADD(...) \
    PARAMS(p_text("person", "ci"), p_bytes("key", ci.public_key, SSHSIG_KEY_LEN), __VA_ARGS__)
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "signer.add");
    ck_assert_str_eq(text_at(record, "object"), "1: of ci");
    json_auto_t *again =
        admin_do(&f, "signer.add", ADD(p_text("images", "payments"), p_text("label", "runner")));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    ADMIN_REFUSED(&f, ERR_EXISTS, "key", "signer.add",
                  ADD(p_text("images", "payments,refunds"), p_text("label", "runner")));
    expect_added(&f, &ci, SPEC(1, "1", 1), "added");
    json_auto_t *removed = admin_do(&f, "signer.remove", PARAMS(p_uint("id", 1)));
    ck_assert_str_eq(text_at(removed, "result"), "removed");
    ck_assert_str_eq(text_at(removed, "signer.state"), "removed");
    json_auto_t *twice = admin_do(&f, "signer.remove", PARAMS(p_uint("id", 1)));
    ck_assert_str_eq(text_at(twice, "result"), "unchanged");
    REFUSED(&ci, SPEC(2, "2", 2), ERR_REGISTRATION, "signature");
    REFUSED(&ci, SPEC(1, "1", 1), ERR_REGISTRATION, "signature");
    ADMIN_REFUSED(&f, ERR_EXISTS, "key", "signer.add",
                  ADD(p_text("images", "payments"), p_text("label", "runner")));
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "id", "signer.remove", PARAMS(p_uint("id", 2)));
}
END_TEST

START_TEST(wrong_signer)
{
    SIGNERS;
    uint8_t token[WARDEN_TOKEN_LEN];
    CLEANUP(signer_free) struct signer new_key = {0};
    signer_make(&new_key);
#define NEW_KEY p_bytes("key", new_key.public_key, SSHSIG_KEY_LEN)
    ADMIN_REFUSED(&f, ERR_MALFORMED, "images", "signer.add",
                  PARAMS(p_text("person", "ci"), NEW_KEY));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "key", "signer.add",
                  PARAMS(p_text("person", "ci"), p_bytes("key", new_key.public_key, 31),
                         p_text("images", "payments")));
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "person", "signer.add",
                  PARAMS(p_text("person", "eve"), NEW_KEY, p_text("images", "payments")));
    /* It gives the right to draft: whoever does not have it cannot. */
    fixture_token(&f, TOKEN_OF("hr", RIGHT_PEOPLE), token);
    ck_err(admin_as(&f, bytes_of(token, sizeof token), "signer.add",
                    PARAMS(p_text("person", "ci"), NEW_KEY, p_text("images", "payments")), NULL),
           ERR_FORBIDDEN);
    json_decref(admin_do(&f, "person.remove", PARAMS(p_text("name", "ci"))));
    REFUSED(&ci, SPEC(1, "1", 1), ERR_REGISTRATION, "signature");
    ADMIN_REFUSED(&f, ERR_WRONG_STATE, "person", "signer.add",
                  PARAMS(p_text("person", "ci"), NEW_KEY, p_text("images", "payments")));
}
END_TEST

UNIT_MAIN("admin_registration", valid_registration, valid_confined, wrong_serial, wrong_discarded,
          wrong_revoked, wrong_authority, wrong_build, wrong_signature, valid_signer, wrong_signer)
