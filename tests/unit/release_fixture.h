/* An enclave before a warden: challenge, key, document, request, and the checks that an
 * agent makes of the answer (PROTOCOL sections 2 to 5).  A test changes one thing. */
#ifndef VOUCHSAFE_RELEASE_FIXTURE_H
#define VOUCHSAFE_RELEASE_FIXTURE_H

#include "warden_fixture.h"

#define SEED 7 /* of the build payments@1.4.2 that the fixture's policy knows */

struct attempt {
    struct mkdoc_fields fields;
    const struct mkdoc_chain *chain;
    struct wanted_list wanted;
    struct bytes application;
    struct wrap_key *key;
    struct buf spki;
    struct buf user_data;
    struct buf challenge;
    struct buf document;
    struct buf answer; /* JSON */
};

static inline void attempt_free(struct attempt *a)
{
    wrap_key_free(a->key);
    buf_free(&a->spki);
    buf_free(&a->user_data);
    buf_free(&a->challenge);
    buf_free(&a->document);
    buf_free(&a->answer);
}

static inline void want(struct attempt *a, const char *name, uint32_t version, uint32_t min_version)
{
    ck_ok(wanted_add(&a->wanted, bytes_of_text(name), version, min_version, NULL));
}

static inline struct attdoc_optional present(const struct buf *value)
{
    return (struct attdoc_optional){.state = ATTDOC_PRESENT, .value = bytes_of_buf(value)};
}

static inline void ask_challenge(struct warden_fixture *f, struct buf *out)
{
    CLEANUP(buf_free) struct buf body = {0};
    struct warden_request request;
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    fixture_request(f, WARDEN_CHALLENGE, &request);
    ck_ok(fixture_send(f, &request, &body));
    ck_ok(challenge_answer_parse(bytes_of_buf(&body), challenge, NULL));
    out->len = 0;
    ck_ok(buf_append(out, bytes_of(challenge, sizeof challenge)));
}

/* What the request binds: to be called again where wanted or application changed. */
static inline void attempt_bind(struct attempt *a)
{
    a->user_data.len = 0;
    ck_ok(protocol_user_data(&a->wanted, a->application, &a->user_data));
    a->fields.user_data = present(&a->user_data);
}

static inline void attempt_sign(struct attempt *a)
{
    a->document.len = 0;
    ck_ok(mkdoc_document(&a->fields, a->chain, &a->document));
}

/* Begins: a fresh challenge and key; what is wanted comes next (want), then attempt_bind
 * and attempt_sign. */
static inline void attempt_begin(struct warden_fixture *f, struct attempt *a, const char *format)
{
    a->chain = &f->chain;
    mkdoc_fields_defaults(&a->fields, clock_now_ms(), MODULE, SEED);
    ask_challenge(f, &a->challenge);
    a->fields.nonce = present(&a->challenge);
    ck_ok(wrap_key_generate(format, &a->key));
    ck_ok(wrap_key_spki(a->key, &a->spki));
    a->fields.public_key = present(&a->spki);
}

static inline enum err attempt_send(struct warden_fixture *f, struct attempt *a)
{
    struct warden_request request;
    fixture_request(f, WARDEN_RELEASE, &request);
    request.document = bytes_of_buf(&a->document);
    request.wanted = a->wanted;
    a->answer.len = 0;
    return fixture_send(f, &request, &a->answer);
}

/* A policy that releases db/main to payments@1.4.2. */
static inline void fixture_policy(struct warden_fixture *f)
{
    fixture_measurement(f, "payments", "1.4.2", SEED);
    fixture_secret(f, "db/main", "the first value");
    fixture_grant(f, "db/main", "payments");
}

/* A whole request for db/main, ready to be sent. */
static inline void attempt_make(struct warden_fixture *f, struct attempt *a)
{
    attempt_begin(f, a, "hpke-x25519");
    want(a, "db/main", 0, 0);
    attempt_bind(a);
    attempt_sign(a);
}
#define ATTEMPT(a) CLEANUP(attempt_free) struct attempt a = {.chain = NULL}

/* One whole release of db/main, as a build asks for it that no policy here knows. */
static inline enum err attempt_unregistered(struct warden_fixture *f, const char *module_id)
{
    ATTEMPT(a);
    attempt_begin(f, &a, "hpke-x25519");
    mkdoc_fields_defaults(&a.fields, clock_now_ms(), module_id, SEED + 1);
    a.fields.nonce = present(&a.challenge);
    a.fields.public_key = present(&a.spki);
    want(&a, "db/main", 0, 0);
    attempt_bind(&a);
    attempt_sign(&a);
    return attempt_send(f, &a);
}

/* --- The answer, as an agent takes it --- */

struct taken {
    struct receipt receipt; /* as signed */
    size_t count;
    struct secret *value[PROTOCOL_SECRETS_MAX];
    uint32_t version[PROTOCOL_SECRETS_MAX];
};

static inline void taken_free(struct taken *t)
{
    for (size_t i = 0; i < t->count; i++)
        secret_free(t->value[i]);
}

/* Everything of the payload that is known beforehand; the rest from the signed one. */
static inline void rebuild_receipt(const struct warden_fixture *f, const struct attempt *a,
                                   const struct release_answer *answer, struct receipt *r)
{
    struct cose_sign1 cose;
    memcpy(r->challenge, a->challenge.ptr, sizeof r->challenge);
    ck_ok(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(&a->document), &cose, NULL));
    ck_ok(digest_sha384(cose.payload, r->document_digest));
    ck_ok(digest_sha256(bytes_of_buf(&a->chain->der[0]), r->root));
    memcpy(r->store_id, f->founded.store_id, sizeof r->store_id);
    r->count = a->wanted.count;
    ck_assert_uint_eq(answer->count, a->wanted.count);
    for (size_t i = 0; i < r->count; i++) {
        CLEANUP(buf_free) struct buf content = {0};
        snprintf(r->item[i].name, sizeof r->item[i].name, "%s", a->wanted.item[i].name);
        r->item[i].version = answer->item[i].version;
        ck_ok(buf_append(&content, bytes_of_buf(&answer->enc)));
        ck_ok(buf_append(&content, bytes_of_buf(&answer->item[i].ciphertext)));
        ck_ok(digest_sha256(bytes_of_buf(&content), r->item[i].content));
    }
}

static inline void verify_receipt(const struct warden_fixture *f, const struct attempt *a,
                                  const struct release_answer *answer, struct receipt *signed_)
{
    struct delegation delegation;
    struct cose_sign1 cose;
    CLEANUP(buf_free) struct buf expected = {0};
    EVP_PKEY *key = NULL;
    /* At the document's own time: hypervisor time. */
    ck_ok(delegation_verify(bytes_of_buf(&answer->delegation), &f->pins, a->fields.timestamp_ms,
                            &delegation, &key, NULL));
    ck_assert_mem_eq(delegation.store_id, f->founded.store_id, PROTOCOL_STORE_ID_LEN);
    ck_ok(cose_sign1_parse(COSE_RECEIPT, bytes_of_buf(&answer->receipt), &cose, NULL));
    ck_ok(cose_sign1_verify(&cose, key, NULL));
    EVP_PKEY_free(key);
    ck_ok(receipt_parse(cose.payload, signed_, NULL));
    struct receipt r = {.time_ms = signed_->time_ms, .audit_sequence = signed_->audit_sequence};
    rebuild_receipt(f, a, answer, &r);
    for (size_t i = 0; i < r.count; i++)
        r.item[i].flags = signed_->item[i].flags;
    r.measurement_count = signed_->measurement_count;
    memcpy(r.measurement, signed_->measurement, sizeof r.measurement);
    ck_ok(receipt_append(&r, &expected));
    ck_assert(bytes_equal(cose.payload, bytes_of_buf(&expected)));
}

static inline void unwrap_all(const struct attempt *a, const struct release_answer *answer,
                              const struct receipt *receipt, struct taken *out)
{
    CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
    ck_ok(wrap_opener_new(a->key, bytes_of_buf(&answer->enc), bytes_of_text(PROTOCOL_WRAP_INFO),
                          &opener));
    for (size_t i = 0; i < answer->count; i++) {
        CLEANUP(buf_free) struct buf aad = {0};
        ck_assert_str_eq(answer->item[i].name, a->wanted.item[i].name);
        out->version[i] = answer->item[i].version;
        ck_ok(protocol_wrap_aad(answer->format, receipt->document_digest, answer->item[i].name,
                                answer->item[i].version, &aad));
        ck_ok(wrap_open(opener, bytes_of_buf(&aad), bytes_of_buf(&answer->item[i].ciphertext),
                        &out->value[i]));
        out->count++;
    }
}

/* Takes the answer in a->answer apart as E4 does: any flaw fails the test. */
static inline void attempt_take(const struct warden_fixture *f, const struct attempt *a,
                                struct taken *out)
{
    CLEANUP(release_answer_free) struct release_answer answer = {.count = 0};
    CLEANUP(buf_free) struct buf json = {0};
    ck_ok(buf_append(&json, bytes_of_buf(&a->answer)));
    ck_ok(release_answer_parse(&json, &answer, NULL));
    ck_assert_str_eq(answer.format, wrap_key_format(a->key));
    verify_receipt(f, a, &answer, &out->receipt);
    unwrap_all(a, &answer, &out->receipt, out);
}
#define TAKEN(t) CLEANUP(taken_free) struct taken t = {.count = 0}

static inline void expect_value(const struct taken *t, size_t i, const char *value)
{
    ck_assert_uint_lt(i, t->count);
    ck_assert(bytes_equal_text(secret_view(t->value[i]), value));
}

/* --- What a refusal leaves behind --- */

#define REDEEMED "SELECT count(*) FROM redeemed"

/* Before V3 is over: the exact error, and nothing written. */
static inline void expect_rejected(struct warden_fixture *f, struct attempt *a, enum err code,
                                   const char *field, int line)
{
    const uint64_t sequence = audit_sequence(f);
    const uint64_t redeemed = db_number(f, REDEEMED);
    const uint64_t rejected = atomic_load(&f->warden->rejected);
    const enum err err = attempt_send(f, a);
    ck_assert_msg(err == code, "line %d: got %s [%s] %s, expected %s", line, err_wire(err),
                  f->fault.field, f->fault.detail, err_wire(code));
    ck_assert_msg(strcmp(f->fault.field, field) == 0, "line %d: field \"%s\": %s", line,
                  f->fault.field, f->fault.detail);
    ck_assert_uint_eq(audit_sequence(f), sequence);
    ck_assert_uint_eq(db_number(f, REDEEMED), redeemed);
    ck_assert_uint_eq(atomic_load(&f->warden->rejected), rejected + 1);
}
#define REJECTED(f, a, code, field) expect_rejected((f), (a), (code), (field), __LINE__)

/* Past V3: the caller sees `code`; one record, which says `reason`; the challenge is spent. */
static inline void expect_refused(struct warden_fixture *f, struct attempt *a, enum err code,
                                  const char *field, const char *reason, int line)
{
    const uint64_t sequence = audit_sequence(f);
    const uint64_t redeemed = db_number(f, REDEEMED);
    const uint64_t refused = atomic_load(&f->warden->refused);
    const enum err err = attempt_send(f, a);
    ck_assert_msg(err == code, "line %d: got %s [%s] %s, expected %s", line, err_wire(err),
                  f->fault.field, f->fault.detail, err_wire(code));
    ck_assert_msg(strcmp(f->fault.field, field) == 0, "line %d: field \"%s\"", line,
                  f->fault.field);
    ck_assert_uint_eq(audit_sequence(f), sequence + 1);
    ck_assert_uint_eq(db_number(f, REDEEMED), redeemed + 1);
    ck_assert_uint_eq(atomic_load(&f->warden->refused), refused + 1);
    json_auto_t *record = audit_newest(f);
    ck_assert_str_eq(text_at(record, "event"), "release.refused");
    ck_assert_str_eq(text_at(record, "code"), err_wire(code));
    if (code == ERR_REFUSED) {
        ck_assert_msg(strcmp(text_at(record, "secrets.0.reason"), reason) == 0,
                      "line %d: the record's reason is %s", line,
                      text_at(record, "secrets.0.reason"));
        /* One coarse word outside: no reason, name, version or build. */
        ck_assert_ptr_null(strstr(f->fault.detail, reason));
        ck_assert_ptr_null(strstr(f->fault.detail, a->wanted.item[0].name));
    }
    ck_err(attempt_send(f, a), ERR_CHALLENGE_REDEEMED);
    ck_assert_uint_eq(audit_sequence(f), sequence + 1);
}
#define REFUSED(f, a, code, field, reason) \
    expect_refused((f), (a), (code), (field), (reason), __LINE__)

#endif
