/* V1 and V2 of a release: syntax, challenge, binding, public key.  Each attempt breaks one
 * thing, meets its exact error, and leaves nothing in the database. */
#include "release_fixture.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/* --- V1 --- */

START_TEST(wrong_size)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    CLEANUP(buf_free) struct buf long_document = {0};
    ck_ok(buf_reserve(&long_document, ATTDOC_LEN_MAX + 1));
    memset(long_document.ptr, 0, ATTDOC_LEN_MAX + 1);
    memcpy(long_document.ptr, a.document.ptr, a.document.len);
    long_document.len = ATTDOC_LEN_MAX + 1;
    buf_free(&a.document);
    buf_move(&a.document, &long_document);
    REJECTED(&f, &a, ERR_TOO_LARGE, "");
    a.document.len = 0;
    REJECTED(&f, &a, ERR_CBOR_MALFORMED, "cose");
}
END_TEST

START_TEST(wrong_cose)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    ck_ok(buf_append(&a.document, bytes_of("", 1)));
    REJECTED(&f, &a, ERR_CBOR_TRAILING, "cose");
    a.document.len -= 2;
    REJECTED(&f, &a, ERR_CBOR_MALFORMED, "cose.signature");
    a.document.len++;
    /* 84 44 a1013822: the header's algorithm becomes -34. */
    ck_assert_uint_eq(a.document.ptr[5], 0x22);
    a.document.ptr[5] = 0x21;
    REJECTED(&f, &a, ERR_COSE_ALG, "cose.protected");
    a.document.ptr[5] = 0x22;
    a.document.ptr[0] = 0x85;
    REJECTED(&f, &a, ERR_COSE_MALFORMED, "cose");
    a.document.ptr[0] = 0x84;
    ck_ok(attempt_send(&f, &a));
}
END_TEST

START_TEST(wrong_payload)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.fields.digest = "SHA256";
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_DOC_MALFORMED, "digest");
    a.fields.digest = "SHA384";
    a.fields.timestamp_ms = 0;
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_DOC_MALFORMED, "timestamp");
    a.fields.timestamp_ms = NOW_MS;
    a.fields.module_id = "";
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_DOC_MALFORMED, "module_id");
    a.fields.module_id = MODULE;
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
}
END_TEST

/* A stranger's key names a field: cut in the middle of a character it is still a reply. */
START_TEST(wrong_unknown_key)
{
    FIXTURE(f);
    ATTEMPT(a);
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf more = {0};
    struct cbor_writer w;
    char name[200];
    fixture_policy(&f);
    attempt_make(&f, &a);
    for (size_t i = 0; i + 1 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    name[198] = '\0';
    ck_ok(mkdoc_payload(&a.fields, &f.chain, &payload));
    cbor_writer_init(&w, &more);
    cbor_writer_cstr(&w, name);
    cbor_writer_uint(&w, 1);
    ck_ok(cbor_writer_finish(&w));
    payload.len--; /* the break of the indefinite map */
    ck_ok(buf_append(&payload, bytes_of_buf(&more)));
    ck_ok(buf_append(&payload, bytes_of("\xff", 1)));
    a.document.len = 0;
    ck_ok(mkdoc_sign(&f.chain, bytes_of_buf(&payload), &a.document));
    ck_err(attempt_send(&f, &a), ERR_DOC_UNKNOWN_FIELD);
    ck_assert_uint_gt(strlen(f.fault.field) + strlen(f.fault.detail), 20);
}
END_TEST

/* --- V2: the challenge --- */

START_TEST(no_nonce)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.fields.nonce = (struct attdoc_optional){.state = ATTDOC_ABSENT};
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_CHALLENGE_UNKNOWN, "nonce");
    a.fields.nonce.state = ATTDOC_NULL;
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_CHALLENGE_UNKNOWN, "nonce");
    a.fields.nonce = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of("", 0)};
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_CHALLENGE_UNKNOWN, "nonce");
    a.fields.nonce = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of(a.challenge.ptr, 55)};
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_CHALLENGE_UNKNOWN, "nonce");
    ck_ok(buf_append(&a.challenge, bytes_of("", 1)));
    a.fields.nonce = present(&a.challenge);
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_CHALLENGE_UNKNOWN, "nonce");
}
END_TEST

START_TEST(wrong_nonce)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.challenge.ptr[20] ^= 1; /* a later expiry */
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_CHALLENGE_UNKNOWN, "nonce");
    a.challenge.ptr[20] ^= 1;
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
}
END_TEST

/* A challenge of another server, whole and fresh. */
START_TEST(wrong_server)
{
    FIXTURE(f);
    FIXTURE(g);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    ask_challenge(&g, &a.challenge);
    a.fields.nonce = present(&a.challenge);
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_CHALLENGE_UNKNOWN, "nonce");
}
END_TEST

START_TEST(wrong_expired)
{
    FIXTURE(f);
    ATTEMPT(late);
    ATTEMPT(in_time);
    fixture_policy(&f);
    attempt_make(&f, &late);
    attempt_make(&f, &in_time);
    advance_ms(PROTOCOL_CHALLENGE_TTL_S * 1000 - 1);
    ck_ok(attempt_send(&f, &in_time));
    advance_ms(1);
    REJECTED(&f, &late, ERR_CHALLENGE_EXPIRED, "nonce");
}
END_TEST

START_TEST(wrong_redeemed)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(b);
    fixture_policy(&f);
    attempt_make(&f, &a);
    ck_ok(attempt_send(&f, &a));
    REJECTED(&f, &a, ERR_CHALLENGE_REDEEMED, "nonce"); /* the same document */
    attempt_make(&f, &b);
    b.fields.nonce = present(&a.challenge);
    attempt_sign(&b);
    REJECTED(&f, &b, ERR_CHALLENGE_REDEEMED, "nonce"); /* another one */
    fixture_close(&f);
    fixture_open(&f);
    REJECTED(&f, &a, ERR_CHALLENGE_REDEEMED, "nonce"); /* remembered over a restart */
}
END_TEST

/* Forgotten only once expired; and when the clock then goes back, still refused. */
START_TEST(wrong_purged)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(b);
    fixture_policy(&f);
    attempt_make(&f, &a);
    ck_ok(attempt_send(&f, &a));
    ck_assert_uint_eq(db_number(&f, REDEEMED), 1);
    advance_ms(10 * 60000);
    attempt_make(&f, &b);
    ck_ok(attempt_send(&f, &b)); /* purges on its way */
    ck_assert_uint_eq(db_number(&f, REDEEMED), 1);
    advance_ms(-10 * 60000);
    ck_err(attempt_send(&f, &a), ERR_CHALLENGE_EXPIRED);
    fixture_close(&f);
    fixture_open(&f);
    REJECTED(&f, &a, ERR_CHALLENGE_EXPIRED, "nonce");
}
END_TEST

/* --- V2: what is bound --- */

static void unbound(struct warden_fixture *f, struct attempt *a, int line)
{
    expect_rejected(f, a, ERR_NOT_BOUND, "user_data", line);
}
#define UNBOUND(f, a) unbound((f), (a), __LINE__)

/* The document binds `a`'s request; another one is sent with it. */
START_TEST(wrong_request)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    fixture_secret(&f, "db/other", "another");
    fixture_grant(&f, "db/other", "payments");
    attempt_begin(&f, &a, "hpke-x25519");
    want(&a, "db/main", 1, 1);
    want(&a, "db/other", 0, 0);
    attempt_bind(&a);
    attempt_sign(&a);
    const struct wanted_list bound = a.wanted;

    a.wanted = (struct wanted_list){.count = 0};
    want(&a, "db/mainx", 1, 1);
    want(&a, "db/other", 0, 0);
    UNBOUND(&f, &a); /* a name */
    a.wanted = bound;
    a.wanted.item[0].version = 0;
    UNBOUND(&f, &a);
    a.wanted.item[0].version = 2;
    UNBOUND(&f, &a);
    a.wanted = bound;
    a.wanted.item[0].min_version = 0;
    UNBOUND(&f, &a);
    a.wanted = bound;
    a.wanted.item[1].version = 1; /* even where it means the same */
    UNBOUND(&f, &a);
    a.wanted = bound;
    a.wanted.item[0] = bound.item[1];
    a.wanted.item[1] = bound.item[0];
    UNBOUND(&f, &a); /* the order */
    a.wanted = bound;
    a.wanted.count = 1;
    UNBOUND(&f, &a); /* one dropped */
    a.wanted = bound;
    want(&a, "db/third", 0, 0);
    UNBOUND(&f, &a); /* one more */
    a.wanted = bound;
    ck_ok(attempt_send(&f, &a));
}
END_TEST

START_TEST(wrong_user_data)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.fields.user_data = (struct attdoc_optional){.state = ATTDOC_ABSENT};
    attempt_sign(&a);
    UNBOUND(&f, &a);
    a.fields.user_data.state = ATTDOC_NULL;
    attempt_sign(&a);
    UNBOUND(&f, &a);
    a.fields.user_data = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of("", 0)};
    attempt_sign(&a);
    UNBOUND(&f, &a);
    a.fields.user_data.value = bytes_of(a.user_data.ptr, PROTOCOL_BOUND_LEN - 1);
    attempt_sign(&a);
    UNBOUND(&f, &a);
    for (size_t i = 0; i < PROTOCOL_BOUND_LEN; i += 5) {
        a.user_data.ptr[i] ^= 1; /* the label, the hash */
        a.fields.user_data = present(&a.user_data);
        attempt_sign(&a);
        UNBOUND(&f, &a);
        a.user_data.ptr[i] ^= 1;
    }
}
END_TEST

START_TEST(long_application)
{
    FIXTURE(f);
    ATTEMPT(a);
    static const uint8_t application[PROTOCOL_APPLICATION_MAX + 1] = {1};
    fixture_policy(&f);
    attempt_make(&f, &a);
    ck_ok(buf_append(&a.user_data, bytes_of(application, sizeof application)));
    a.fields.user_data = present(&a.user_data);
    attempt_sign(&a);
    UNBOUND(&f, &a);
    a.user_data.len--;
    a.fields.user_data = present(&a.user_data);
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
}
END_TEST

/* --- V2: the public key --- */

static void spki_of(EVP_PKEY *key, struct buf *out)
{
    uint8_t *der = NULL;
    ck_assert_ptr_nonnull(key);
    const int len = i2d_PUBKEY(key, &der);
    ck_assert_int_gt(len, 0);
    out->len = 0;
    ck_ok(buf_append(out, bytes_of(der, (size_t)len)));
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

static void unsupported(struct warden_fixture *f, struct attempt *a, int line)
{
    a->fields.public_key = present(&a->spki);
    attempt_sign(a);
    expect_rejected(f, a, ERR_PUBLIC_KEY, "public_key", line);
}
#define UNSUPPORTED(f, a) unsupported((f), (a), __LINE__)

START_TEST(no_public_key)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.fields.public_key = (struct attdoc_optional){.state = ATTDOC_ABSENT};
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_PUBLIC_KEY, "public_key");
    a.fields.public_key.state = ATTDOC_NULL;
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_PUBLIC_KEY, "public_key");
    a.fields.public_key = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of("", 0)};
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_PUBLIC_KEY, "public_key");
}
END_TEST

START_TEST(wrong_public_key)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    ck_ok(buf_append(&a.spki, bytes_of("", 1)));
    UNSUPPORTED(&f, &a); /* a byte after it */
    a.spki.len -= 2;
    UNSUPPORTED(&f, &a); /* one short */
    a.spki.len++;
    memset(a.spki.ptr + a.spki.len - 32, 0, 32);
    UNSUPPORTED(&f, &a); /* X25519, all zero: low order */
    spki_of(EVP_EC_gen("P-521"), &a.spki);
    UNSUPPORTED(&f, &a);
    spki_of(EVP_EC_gen("secp256k1"), &a.spki);
    UNSUPPORTED(&f, &a);
    spki_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &a.spki);
    UNSUPPORTED(&f, &a);
    spki_of(EVP_PKEY_Q_keygen(NULL, NULL, "X448"), &a.spki);
    UNSUPPORTED(&f, &a);
    spki_of(EVP_RSA_gen(1024), &a.spki);
    UNSUPPORTED(&f, &a);
    spki_of(EVP_RSA_gen(2560), &a.spki);
    UNSUPPORTED(&f, &a);
    spki_of(EVP_EC_gen("P-256"), &a.spki);
    a.spki.ptr[a.spki.len - 1] ^= 1;
    UNSUPPORTED(&f, &a); /* off the curve */
    a.spki.ptr[a.spki.len - 1] ^= 1;
    a.fields.public_key = present(&a.spki);
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
}
END_TEST

/* Junk without a challenge dies before anything of the chain is looked at; a challenge
 * that is not ours before the binding; the binding before the key. */
START_TEST(valid_order)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.document.ptr[a.document.len - 1] ^= 1; /* the signature */
    a.fields.nonce.state = ATTDOC_NULL;
    a.fields.user_data.state = ATTDOC_NULL;
    a.fields.public_key.state = ATTDOC_NULL;
    attempt_sign(&a);
    a.document.ptr[a.document.len - 1] ^= 1;
    REJECTED(&f, &a, ERR_CHALLENGE_UNKNOWN, "nonce");
    a.fields.nonce = present(&a.challenge);
    attempt_sign(&a);
    a.document.ptr[a.document.len - 1] ^= 1;
    REJECTED(&f, &a, ERR_NOT_BOUND, "user_data");
    a.fields.user_data = present(&a.user_data);
    attempt_sign(&a);
    a.document.ptr[a.document.len - 1] ^= 1;
    REJECTED(&f, &a, ERR_PUBLIC_KEY, "public_key");
    a.fields.public_key = present(&a.spki);
    attempt_sign(&a);
    a.document.ptr[a.document.len - 1] ^= 1;
    REJECTED(&f, &a, ERR_SIGNATURE, "cose.signature");
}
END_TEST

UNIT_MAIN("release_binding", wrong_size, wrong_cose, wrong_payload, wrong_unknown_key, no_nonce,
          wrong_nonce, wrong_server, wrong_expired, wrong_redeemed, wrong_purged, wrong_request,
          wrong_user_data, long_application, no_public_key, wrong_public_key, valid_order)
