/* V3 and V4 of a release.  What fails in V3 leaves nothing behind, and its challenge is as
 * good as before; what passes V3 spends its challenge and is on record, whatever comes. */
#include <openssl/ec.h>

#include "release_fixture.h"

/* A chain under the fixture's root whose certificates `change` has touched. */
static void other_chain(const struct warden_fixture *f, void (*change)(struct mkdoc_chain_spec *s),
                        struct mkdoc_chain *out)
{
    struct mkdoc_chain_spec spec = f->spec;
    change(&spec);
    ck_ok(mkdoc_chain_extend(&f->chain, 1, &spec, out));
}

static void chain_rejected(struct warden_fixture *f, void (*change)(struct mkdoc_chain_spec *s),
                           enum err code, const char *field, int line)
{
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    ATTEMPT(a);
    other_chain(f, change, &chain);
    attempt_begin(f, &a, "hpke-x25519");
    want(&a, "db/main", 0, 0);
    attempt_bind(&a);
    a.chain = &chain;
    attempt_sign(&a);
    expect_rejected(f, &a, code, field, line);
    /* The challenge was not spent: the same enclave with its true chain gets through. */
    a.chain = &f->chain;
    attempt_sign(&a);
    ck_ok(attempt_send(f, &a));
}
#define CHAIN_REJECTED(f, change, code, field) \
    chain_rejected((f), (change), (code), (field), __LINE__)

static void unchanged(struct mkdoc_chain_spec *s)
{
    (void)s;
}

START_TEST(valid_other_chain)
{
    FIXTURE(f);
    ATTEMPT(a);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    fixture_policy(&f);
    other_chain(&f, unchanged, &chain);
    attempt_begin(&f, &a, "hpke-x25519");
    want(&a, "db/main", 0, 0);
    attempt_bind(&a);
    a.chain = &chain;
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
}
END_TEST

/* The same names, another root. */
START_TEST(wrong_root)
{
    FIXTURE(f);
    ATTEMPT(a);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    fixture_policy(&f);
    ck_ok(mkdoc_chain_make(&f.spec, &chain));
    attempt_make(&f, &a);
    a.chain = &chain;
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_UNTRUSTED, "cabundle[0]");
    a.chain = &f.chain;
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
}
END_TEST

/* The pinned root in front, what follows signed by another. */
START_TEST(wrong_bundle)
{
    FIXTURE(f);
    ATTEMPT(a);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    fixture_policy(&f);
    ck_ok(mkdoc_chain_make(&f.spec, &chain));
    chain.der[0].len = 0;
    ck_ok(buf_append(&chain.der[0], bytes_of_buf(&f.chain.der[0])));
    attempt_make(&f, &a);
    a.chain = &chain;
    attempt_sign(&a);
    REJECTED(&f, &a, ERR_CERT_SIGNATURE, "cabundle[1]");
}
END_TEST

static void leaf_expired(struct mkdoc_chain_spec *s)
{
    s->cert[4].until_ms = (int64_t)NOW_MS - 1000;
}
static void leaf_not_yet(struct mkdoc_chain_spec *s)
{
    s->cert[4].from_ms = (int64_t)NOW_MS + ATTEST_LEEWAY_MS + 1000;
}
static void zonal_expired(struct mkdoc_chain_spec *s)
{
    s->cert[2].until_ms = (int64_t)NOW_MS - 1000;
}
static void leaf_signature(struct mkdoc_chain_spec *s)
{
    s->cert[4].break_signature = true;
}
static void instance_no_ca(struct mkdoc_chain_spec *s)
{
    s->cert[3].ca = false;
    s->cert[3].pathlen = -1;
}
static void leaf_is_ca(struct mkdoc_chain_spec *s)
{
    s->cert[4].ca = true;
}
static void leaf_issuer(struct mkdoc_chain_spec *s)
{
    s->cert[4].issuer_cn = "somebody.else";
}
static void leaf_curve(struct mkdoc_chain_spec *s)
{
    s->cert[4].curve = "P-256";
}
static void leaf_self_signed(struct mkdoc_chain_spec *s)
{
    s->cert[4].self_signed = true;
}

START_TEST(wrong_validity)
{
    FIXTURE(f);
    fixture_policy(&f);
    CHAIN_REJECTED(&f, leaf_expired, ERR_CERT_EXPIRED, "certificate");
    CHAIN_REJECTED(&f, leaf_not_yet, ERR_CERT_NOT_YET_VALID, "certificate");
    CHAIN_REJECTED(&f, zonal_expired, ERR_CERT_EXPIRED, "cabundle[2]");
}
END_TEST

START_TEST(wrong_chain)
{
    FIXTURE(f);
    fixture_policy(&f);
    CHAIN_REJECTED(&f, leaf_signature, ERR_CERT_SIGNATURE, "certificate");
    CHAIN_REJECTED(&f, leaf_self_signed, ERR_CERT_SIGNATURE, "certificate");
    CHAIN_REJECTED(&f, instance_no_ca, ERR_CERT_NOT_CA, "cabundle[3]");
    CHAIN_REJECTED(&f, leaf_is_ca, ERR_CERT_LEAF_CA, "certificate");
    CHAIN_REJECTED(&f, leaf_issuer, ERR_CERT_NAME, "certificate");
    CHAIN_REJECTED(&f, leaf_curve, ERR_CERT_ALGORITHM, "certificate");
}
END_TEST

START_TEST(wrong_signature)
{
    FIXTURE(f);
    ATTEMPT(a);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {.len = 0};
    CLEANUP(buf_free) struct buf payload = {0};
    fixture_policy(&f);
    attempt_make(&f, &a);
    a.document.ptr[a.document.len - 1] ^= 1;
    REJECTED(&f, &a, ERR_SIGNATURE, "cose.signature");
    a.document.ptr[a.document.len - 1] ^= 1;
    /* One bit of a PCR: what an attacker would change. */
    for (size_t i = 0; i + ATTDOC_PCR_LEN < a.document.len; i++) {
        if (memcmp(a.document.ptr + i, a.fields.pcr[0], ATTDOC_PCR_LEN) != 0)
            continue;
        a.document.ptr[i] ^= 1;
        REJECTED(&f, &a, ERR_SIGNATURE, "cose.signature");
        a.document.ptr[i] ^= 1;
    }
    /* The true chain inside, signed by a leaf of the same name under it. */
    other_chain(&f, unchanged, &chain);
    ck_ok(mkdoc_payload(&a.fields, &f.chain, &payload));
    a.document.len = 0;
    ck_ok(mkdoc_sign(&chain, bytes_of_buf(&payload), &a.document));
    REJECTED(&f, &a, ERR_SIGNATURE, "cose.signature");
    attempt_sign(&a);
    ck_ok(attempt_send(&f, &a));
}
END_TEST

/* (r, n - s) in the place of (r, s): as good a signature, which anybody can make. */
static void other_signature(struct attempt *a)
{
    uint8_t *s = a->document.ptr + a->document.len - 48;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    BIGNUM *number = BN_bin2bn(s, 48, NULL);
    ck_assert_int_eq(BN_sub(number, EC_GROUP_get0_order(group), number), 1);
    ck_assert_int_eq(BN_bn2binpad(number, s, 48), 48);
    BN_free(number);
    EC_GROUP_free(group);
}

/* Other bytes, the same document: it has had its decision. */
START_TEST(wrong_other_signature)
{
    FIXTURE(f);
    for (unsigned first = 0; first < 2; first++) {
        ATTEMPT(a);
        char digest[2][2 * SHA384_LEN + 1];
        if (first == 0)
            fixture_policy(&f);
        attempt_make(&f, &a);
        if (first == 1)
            other_signature(&a);
        ck_ok(attempt_send(&f, &a));
        json_auto_t *record = audit_newest(&f);
        snprintf(digest[0], sizeof digest[0], "%s", text_at(record, "document.digest"));
        other_signature(&a);
        REJECTED(&f, &a, ERR_CHALLENGE_REDEEMED, "nonce");
        struct cose_sign1 cose;
        uint8_t raw[SHA384_LEN];
        ck_ok(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(&a.document), &cose, NULL));
        ck_ok(digest_sha384(cose.payload, raw));
        hex_encode(bytes_of(raw, sizeof raw), digest[1]);
        ck_assert_str_eq(digest[0], digest[1]);
    }
}
END_TEST

/* --- V4 --- */

static void attempt_at(struct warden_fixture *f, struct attempt *a, uint64_t timestamp_ms)
{
    attempt_make(f, a);
    a->fields.timestamp_ms = timestamp_ms;
    attempt_sign(a);
}

START_TEST(wrong_stale)
{
    FIXTURE(f);
    ATTEMPT(edge);
    ATTEMPT(late);
    fixture_policy(&f);
    attempt_at(&f, &edge, NOW_MS - WARDEN_DOCUMENT_AGE_MS);
    ck_ok(attempt_send(&f, &edge));
    attempt_at(&f, &late, NOW_MS - WARDEN_DOCUMENT_AGE_MS - 1);
    REFUSED(&f, &late, ERR_DOC_STALE, "timestamp", "");
}
END_TEST

START_TEST(wrong_future)
{
    FIXTURE(f);
    ATTEMPT(edge);
    ATTEMPT(early);
    ATTEMPT(far);
    fixture_policy(&f);
    attempt_at(&f, &edge, NOW_MS + WARDEN_DOCUMENT_AHEAD_MS);
    ck_ok(attempt_send(&f, &edge));
    attempt_at(&f, &early, NOW_MS + WARDEN_DOCUMENT_AHEAD_MS + 1);
    REFUSED(&f, &early, ERR_DOC_FUTURE, "timestamp", "");
    attempt_at(&f, &far, INT64_MAX);
    REFUSED(&f, &far, ERR_DOC_FUTURE, "timestamp", "");
}
END_TEST

/* Seconds for milliseconds, and the reverse. */
START_TEST(wrong_unit)
{
    FIXTURE(f);
    ATTEMPT(seconds);
    ATTEMPT(microseconds);
    fixture_policy(&f);
    attempt_at(&f, &seconds, NOW_MS / 1000);
    REFUSED(&f, &seconds, ERR_DOC_STALE, "timestamp", "");
    attempt_at(&f, &microseconds, NOW_MS * 1000);
    REFUSED(&f, &microseconds, ERR_DOC_FUTURE, "timestamp", "");
}
END_TEST

/* Whoever would be refused by the policy learns of the clock first: it depends on the
 * document alone. */
START_TEST(wrong_stale_stranger)
{
    FIXTURE(f);
    ATTEMPT(a);
    attempt_at(&f, &a, NOW_MS - WARDEN_DOCUMENT_AGE_MS - 1);
    REFUSED(&f, &a, ERR_DOC_STALE, "timestamp", "");
}
END_TEST

static void attempt_debug(struct warden_fixture *f, struct attempt *a)
{
    attempt_make(f, a);
    mkdoc_fields_debug(&a->fields);
    attempt_sign(a);
}

/* In a development store; a production store's refusal is policy_decide's (see the
 * fixture). */
START_TEST(wrong_debug)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(part);
    ATTEMPT(sparse);
    fixture_policy(&f);
    attempt_debug(&f, &a);
    REFUSED(&f, &a, ERR_DEBUG, "pcrs", "");
    json_auto_t *record = audit_newest(&f);
    ck_assert(json_is_true(json_at(record, "document.debug")));
    attempt_make(&f, &part);
    memset(part.fields.pcr[1], 0, ATTDOC_PCR_LEN);
    attempt_sign(&part);
    REFUSED(&f, &part, ERR_DEBUG, "pcrs", "");
    attempt_make(&f, &sparse);
    sparse.fields.pcr_present &= ~UINT32_C(1);
    attempt_sign(&sparse);
    REFUSED(&f, &sparse, ERR_DEBUG, "pcrs", "");
}
END_TEST

START_TEST(valid_debug)
{
    FIXTURE(f);
    ATTEMPT(a);
    ATTEMPT(other);
    TAKEN(t);
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    fixture_secret(&f, "db/main", "the first value");
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    pcr_map(&fields, 1u << 4, &pcrs);
    json_auto_t *added = admin_do(&f, "measurement.add",
                                  PARAMS(p_text("image", "bench"), p_text("version", "debug"),
                                         p_bool("debug", true), p_map("pcrs", &pcrs)));
    ck_assert(json_is_true(json_at(added, "measurement.debug")));
    fixture_grant(&f, "db/main", "bench");
    attempt_debug(&f, &a);
    ck_ok(attempt_send(&f, &a));
    attempt_take(&f, &a, &t);
    expect_value(&t, 0, "the first value");
    attempt_debug(&f, &other); /* on another instance */
    other.fields.pcr[4][0] ^= 1;
    attempt_sign(&other);
    REFUSED(&f, &other, ERR_DEBUG, "pcrs", "");
    ATTEMPT(real); /* a production enclave of that instance is not covered */
    attempt_make(&f, &real);
    REFUSED(&f, &real, ERR_REFUSED, "", "no_measurement");
}
END_TEST

UNIT_MAIN("release_document", valid_other_chain, wrong_root, wrong_bundle, wrong_validity,
          wrong_chain, wrong_signature, wrong_stale, wrong_future, wrong_stale_stranger,
          wrong_debug, valid_debug, wrong_unit, wrong_other_signature)
