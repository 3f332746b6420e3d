/* The chain in use: validity, signatures, what runs before what, and the cache of
 * verified prefixes.  The rules of single certificates are in test_chain.c. */
#include <pthread.h>

#include "chain_fixture.h"
#include "unit.h"
#include "verifier/attest/chain_cache.h"

#define SECOND_MS INT64_C(1000)
#define HOUR_MS   (3600 * SECOND_MS)
#define YEAR_MS   (365 * 24 * HOUR_MS)

/* ---- time ---- */

/* Both ends of every certificate, the others being wider. */
START_TEST(wrong_time)
{
    for (size_t i = 0; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        for (size_t other = 0; other < 5; other++) {
            f.spec.cert[other].from_ms = NOW_MS - YEAR_MS;
            f.spec.cert[other].until_ms = NOW_MS + YEAR_MS;
        }
        f.spec.cert[i].from_ms = NOW_MS - HOUR_MS;
        f.spec.cert[i].until_ms = NOW_MS + HOUR_MS;
        fixture_make_spec(&f);

        f.now_ms = NOW_MS + HOUR_MS; /* notAfter is inclusive */
        fixture_expect_ok(&f);
        ck_assert_int_eq(f.validity.from_ms, NOW_MS - HOUR_MS);
        ck_assert_int_eq(f.validity.until_ms, NOW_MS + HOUR_MS);
        f.now_ms = NOW_MS + HOUR_MS + 1; /* and without leeway */
        fixture_expect(&f, ERR_CERT_EXPIRED, fixture_field(i), CHAIN_TIME);
        f.now_ms = NOW_MS - HOUR_MS - LEEWAY_MS;
        fixture_expect_ok(&f);
        f.now_ms = NOW_MS - HOUR_MS - LEEWAY_MS - 1;
        fixture_expect(&f, ERR_CERT_NOT_YET_VALID, fixture_field(i), CHAIN_TIME);
        f.now_ms = INT64_MAX;
        fixture_expect(&f, ERR_CERT_EXPIRED, "cabundle[0]", CHAIN_TIME);
        f.now_ms = -INT64_MAX;
        fixture_expect(&f, ERR_CERT_NOT_YET_VALID, "cabundle[0]", CHAIN_TIME);
    }
}
END_TEST

START_TEST(valid_detail_names_the_times)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[2].from_ms = NOW_MS - 2 * HOUR_MS;
    f.spec.cert[2].until_ms = NOW_MS - HOUR_MS;
    fixture_make_spec(&f);
    struct fault fault = FAULT_NONE;
    enum chain_stage stage;
    ck_err(fixture_verify(&f, &stage, &fault), ERR_CERT_EXPIRED);
    ck_assert_str_eq(fault.detail, "valid from 2026-11-22T22:00:00Z until 2026-11-22T23:00:00Z, "
                                   "and it is 2026-11-23T00:00:00Z");
}
END_TEST

START_TEST(wrong_time_order)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[4].from_ms = NOW_MS + 2 * SECOND_MS;
    f.spec.cert[4].until_ms = NOW_MS + SECOND_MS;
    fixture_refuse(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
}
END_TEST

struct time_text {
    int type;
    const char *text;
};
static struct time_text not_before; /* what set_not_before writes */

static void set_not_before(X509 *x)
{
    ASN1_STRING *time = X509_getm_notBefore(x);
    ASN1_STRING *other = ASN1_STRING_type_new(not_before.type);
    ck_assert(ASN1_STRING_set(other, not_before.text, -1) == 1);
    ck_assert(ASN1_STRING_copy(time, other) == 1);
    ASN1_STRING_free(other);
}

static void with_not_before(int type, const char *text, struct fixture *f)
{
    fixture_make(f);
    not_before = (struct time_text){type, text};
    fixture_remake(f, 4, set_not_before);
}

START_TEST(valid_generalized_time)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    with_not_before(V_ASN1_GENERALIZEDTIME, "20261122235900Z", &f);
    fixture_expect_ok(&f);
    ck_assert_int_eq(f.validity.from_ms, NOW_MS - 60 * SECOND_MS);
}
END_TEST

START_TEST(junk_time)
{
    static const struct time_text junk[] = {
        {V_ASN1_UTCTIME, "2611222359Z"},               /* no seconds */
        {V_ASN1_UTCTIME, "261122235900+0000"},         /* an offset */
        {V_ASN1_UTCTIME, "2611222359000"},             /* no Z */
        {V_ASN1_UTCTIME, "26112223590aZ"},             /* no digit */
        {V_ASN1_UTCTIME, "260230235900Z"},             /* 30 February */
        {V_ASN1_UTCTIME, "261322235900Z"},             /* month 13 */
        {V_ASN1_UTCTIME, "261122245900Z"},             /* hour 24 */
        {V_ASN1_UTCTIME, "20261122235900Z"},           /* the other type's form */
        {V_ASN1_GENERALIZEDTIME, "261122235900Z"},     /* and the reverse */
        {V_ASN1_GENERALIZEDTIME, "20261122235900.5Z"}, /* a fraction */
        {V_ASN1_GENERALIZEDTIME, "202611222359.5Z"},
        {V_ASN1_GENERALIZEDTIME, "20261122235900"},  /* local time */
        {V_ASN1_GENERALIZEDTIME, "202611222359005"}, /* no Z */
        {V_ASN1_GENERALIZEDTIME, "20261122235900."},
        {V_ASN1_GENERALIZEDTIME, "2026112223+0000"}, /* offsets of the right length */
        {V_ASN1_GENERALIZEDTIME, "202611222359+00"},
        {V_ASN1_UTCTIME, "26112223+0000"},
        {V_ASN1_UTCTIME, "2611222359+00"},
        {V_ASN1_UTCTIME, " 61122235900Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        with_not_before(junk[i].type, junk[i].text, &f);
        fixture_expect(&f, ERR_CERT_MALFORMED, "certificate", CHAIN_RULES);
    }
}
END_TEST

/* ---- what runs before what ---- */

START_TEST(valid_rules_before_time)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[0].until_ms = NOW_MS - HOUR_MS;
    f.spec.cert[4].key_usage = 0;
    fixture_refuse(&f, ERR_CERT_KEY_USAGE, "certificate", CHAIN_RULES);
}
END_TEST

START_TEST(valid_time_before_signatures)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_spec(&f);
    f.spec.cert[1].break_signature = true;
    f.spec.cert[4].until_ms = NOW_MS - SECOND_MS;
    fixture_refuse(&f, ERR_CERT_EXPIRED, "certificate", CHAIN_TIME);
}
END_TEST

/* ---- signatures ---- */

START_TEST(wrong_signature)
{
    for (size_t i = 1; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].break_signature = true;
        fixture_refuse(&f, ERR_CERT_SIGNATURE, fixture_field(i), CHAIN_SIGNATURES);
    }
}
END_TEST

START_TEST(wrong_signature_by_itself)
{
    for (size_t i = 1; i < 5; i++) {
        CLEANUP(fixture_free) struct fixture f = {0};
        fixture_spec(&f);
        f.spec.cert[i].self_signed = true;
        fixture_refuse(&f, ERR_CERT_SIGNATURE, fixture_field(i), CHAIN_SIGNATURES);
    }
}
END_TEST

/* The signature's place in the certificate, as no signature at all. */
START_TEST(junk_signature)
{
    CLEANUP(fixture_free) struct fixture f = {0};
    fixture_make(&f);
    struct buf *leaf = &f.chain.der[4];
    memset(leaf->ptr + leaf->len - 64, 0, 64);
    fixture_expect(&f, ERR_CERT_SIGNATURE, "certificate", CHAIN_SIGNATURES);
}
END_TEST

/* ---- the cache ---- */

/* The key, computed apart from the code: SHA-256 over length (4 bytes) and DER of each. */
static void cache_key(const struct fixture *f, uint8_t key[static SHA256_LEN])
{
    CLEANUP(buf_free) struct buf all = {0};
    for (size_t i = 0; i + 1 < f->chain.len; i++) {
        const struct buf *der = &f->chain.der[i];
        const uint8_t len[] = {0, 0, (uint8_t)(der->len >> 8), (uint8_t)der->len};
        ck_ok(buf_append(&all, bytes_of(len, sizeof len)));
        ck_ok(buf_append(&all, bytes_of_buf(der)));
    }
    ck_ok(digest_sha256(bytes_of_buf(&all), key));
}

static bool is_cached(struct fixture *f)
{
    uint8_t key[SHA256_LEN];
    CLEANUP(chain_prefix_free) struct chain_prefix prefix = {0};
    cache_key(f, key);
    return chain_cache_get(f->cache, key, &prefix);
}

START_TEST(valid_cache_hit)
{
    CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
    CLEANUP(fixture_free) struct fixture f = {0};
    ck_ok(chain_cache_new(4, &cache));
    fixture_make(&f);
    f.cache = cache;
    ck_assert(!is_cached(&f));
    fixture_expect_ok(&f);
    const struct chain_validity first = f.validity;
    ck_assert(is_cached(&f));
    for (int again = 0; again < 3; again++) {
        fixture_expect_ok(&f);
        ck_assert_int_eq(f.validity.from_ms, first.from_ms);
        ck_assert_int_eq(f.validity.until_ms, first.until_ms);
    }
    /* A new leaf under the same instance: the common case. */
    CLEANUP(fixture_free) struct fixture next = {.cache = cache};
    fixture_spec(&next);
    ck_ok(mkdoc_chain_extend(&f.chain, 4, &next.spec, &next.chain));
    fixture_view(&next);
    ck_assert(is_cached(&next));
    fixture_expect_ok(&next);
}
END_TEST

START_TEST(wrong_cache_size)
{
    struct chain_cache *cache = NULL;
    ck_err(chain_cache_new(0, &cache), ERR_USAGE);
    ck_err(chain_cache_new(SIZE_MAX / 2, &cache), ERR_NO_MEMORY);
    ck_assert_ptr_null(cache);
}
END_TEST

/* Time passes over what is cached: same error, same field, as without a cache. */
START_TEST(wrong_time_of_a_cached_certificate)
{
    for (size_t i = 0; i < 5; i++) {
        CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
        CLEANUP(fixture_free) struct fixture f = {0};
        ck_ok(chain_cache_new(4, &cache));
        fixture_spec(&f);
        f.cache = cache;
        f.spec.cert[i].from_ms = NOW_MS - SECOND_MS;
        f.spec.cert[i].until_ms = NOW_MS + SECOND_MS;
        f.spec.cert[4].from_ms = NOW_MS - SECOND_MS; /* no later than the others */
        fixture_accept(&f);
        ck_assert(is_cached(&f));
        f.now_ms = NOW_MS + SECOND_MS + 1;
        fixture_expect(&f, ERR_CERT_EXPIRED, fixture_field(i), CHAIN_TIME);
        f.now_ms = NOW_MS - SECOND_MS - LEEWAY_MS - 1;
        fixture_expect(&f, ERR_CERT_NOT_YET_VALID, fixture_field(i), CHAIN_TIME);
        f.now_ms = NOW_MS;
        fixture_expect_ok(&f);
    }
}
END_TEST

START_TEST(wrong_leaf_under_a_cached_prefix)
{
    CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
    CLEANUP(fixture_free) struct fixture f = {0};
    ck_ok(chain_cache_new(4, &cache));
    fixture_make(&f);
    f.cache = cache;
    fixture_expect_ok(&f);

    CLEANUP(fixture_free) struct fixture bad = {.cache = cache};
    fixture_spec(&bad);
    bad.spec.cert[4].break_signature = true;
    ck_ok(mkdoc_chain_extend(&f.chain, 4, &bad.spec, &bad.chain));
    fixture_view(&bad);
    fixture_expect(&bad, ERR_CERT_SIGNATURE, "certificate", CHAIN_SIGNATURES);

    CLEANUP(fixture_free) struct fixture stranger = {.cache = cache};
    fixture_spec(&stranger);
    stranger.spec.cert[4].issuer_cn = "somebody else";
    ck_ok(mkdoc_chain_extend(&f.chain, 4, &stranger.spec, &stranger.chain));
    fixture_view(&stranger);
    fixture_expect(&stranger, ERR_CERT_NAME, "certificate", CHAIN_RULES);

    CLEANUP(fixture_free) struct fixture ca = {.cache = cache};
    fixture_spec(&ca);
    ca.spec.cert[4].ca = true;
    ck_ok(mkdoc_chain_extend(&f.chain, 4, &ca.spec, &ca.chain));
    fixture_view(&ca);
    fixture_expect(&ca, ERR_CERT_LEAF_CA, "certificate", CHAIN_RULES);
}
END_TEST

/* Same root, same names, other keys; and a leaf carried over from one to the other. */
START_TEST(wrong_prefix_is_not_confused)
{
    CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
    CLEANUP(fixture_free) struct fixture a = {0};
    CLEANUP(fixture_free) struct fixture b = {0};
    ck_ok(chain_cache_new(4, &cache));
    fixture_make(&a);
    fixture_spec(&b);
    ck_ok(mkdoc_chain_extend(&a.chain, 1, &b.spec, &b.chain));
    fixture_view(&b);
    a.cache = b.cache = cache;
    fixture_expect_ok(&a);
    ck_assert(!is_cached(&b));
    fixture_expect_ok(&b);
    a.doc.certificate = b.doc.certificate;
    fixture_expect(&a, ERR_CERT_SIGNATURE, "certificate", CHAIN_SIGNATURES);
}
END_TEST

/* One byte of a cached CA changed is another prefix: verified, and refused, anew. */
START_TEST(wrong_byte_in_a_cached_prefix)
{
    for (size_t i = 1; i < 4; i++) {
        CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
        CLEANUP(fixture_free) struct fixture f = {0};
        ck_ok(chain_cache_new(4, &cache));
        fixture_make(&f);
        f.cache = cache;
        fixture_expect_ok(&f);
        f.chain.der[i].ptr[f.chain.der[i].len - 1] ^= 1;
        fixture_expect(&f, ERR_CERT_SIGNATURE, fixture_field(i), CHAIN_SIGNATURES);
        ck_assert(!is_cached(&f));
    }
}
END_TEST

/* The bytes of a cached prefix, cut into certificates at another place. */
START_TEST(wrong_border_in_a_cached_prefix)
{
    CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(buf_free) struct buf joined = {0};
    ck_ok(chain_cache_new(4, &cache));
    fixture_make(&f);
    f.cache = cache;
    fixture_expect_ok(&f);
    const size_t first = f.chain.der[2].len;
    ck_ok(buf_append(&joined, bytes_of_buf(&f.chain.der[2])));
    ck_ok(buf_append(&joined, bytes_of_buf(&f.chain.der[3])));
    f.doc.cabundle[2] = bytes_of(joined.ptr, first - 1);
    f.doc.cabundle[3] = bytes_of(joined.ptr + first - 1, joined.len - first + 1);
    fixture_expect(&f, ERR_CERT_MALFORMED, "cabundle[2]", CHAIN_RULES);
    f.doc.cabundle[2] = bytes_of_buf(&joined); /* both in one */
    f.doc.cabundle_len = 3;
    fixture_expect(&f, ERR_CERT_MALFORMED, "cabundle[2]", CHAIN_RULES);
}
END_TEST

/* Only what was verified to the leaf is kept. */
START_TEST(no_failure_is_cached)
{
    for (size_t i = 1; i < 5; i++) {
        CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
        CLEANUP(fixture_free) struct fixture f = {0};
        ck_ok(chain_cache_new(4, &cache));
        fixture_spec(&f);
        f.cache = cache;
        f.spec.cert[i].break_signature = true;
        fixture_refuse(&f, ERR_CERT_SIGNATURE, fixture_field(i), CHAIN_SIGNATURES);
        ck_assert(!is_cached(&f));
        fixture_expect(&f, ERR_CERT_SIGNATURE, fixture_field(i), CHAIN_SIGNATURES);
    }
}
END_TEST

START_TEST(valid_cache_forgets_the_oldest)
{
    CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
    ck_ok(chain_cache_new(2, &cache));
    struct fixture f[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        fixture_make(&f[i]);
        f[i].cache = cache;
    }
    fixture_expect_ok(&f[0]);
    fixture_expect_ok(&f[1]);
    fixture_expect_ok(&f[0]); /* now 1 is the oldest */
    fixture_expect_ok(&f[2]);
    ck_assert(is_cached(&f[0]));
    ck_assert(!is_cached(&f[1]));
    ck_assert(is_cached(&f[2]));
    fixture_expect_ok(&f[1]);
    for (size_t i = 0; i < 3; i++)
        fixture_free(&f[i]);
}
END_TEST

/* Two threads that verified the same at once put it twice: it takes one place. */
START_TEST(valid_cache_holds_each_once)
{
    CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
    CLEANUP(fixture_free) struct fixture f = {0};
    CLEANUP(chain_prefix_free) struct chain_prefix got = {0};
    CLEANUP(chain_prefix_free) struct chain_prefix other = {0};
    static const uint8_t one[SHA256_LEN] = {1};
    static const uint8_t two[SHA256_LEN] = {2};
    ck_ok(chain_cache_new(2, &cache));
    fixture_make(&f);
    struct chain_prefix prefix = {.len = 1, .issuer_key = f.chain.key[0]}; /* borrowed */
    chain_cache_put(cache, one, &prefix);
    chain_cache_put(cache, two, &prefix);
    chain_cache_put(cache, two, &prefix);
    ck_assert(chain_cache_get(cache, one, &got));
    ck_assert(chain_cache_get(cache, two, &other));
}
END_TEST

static void *verify_often(void *arg)
{
    const struct fixture *all = arg;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 3; i++) {
            struct fixture mine = all[i];
            EVP_PKEY *key = NULL;
            enum chain_stage stage;
            if (chain_verify(&mine.doc, mine.root, mine.now_ms, LEEWAY_MS, mine.cache, &key,
                             &mine.validity, &stage, NULL) != ERR_OK)
                return arg;
            EVP_PKEY_free(key);
        }
    }
    return NULL;
}

/* Four threads, three prefixes, room for two. */
START_TEST(valid_cache_under_threads)
{
    CLEANUP(chain_cache_freep) struct chain_cache *cache = NULL;
    ck_ok(chain_cache_new(2, &cache));
    struct fixture f[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        fixture_make(&f[i]);
        f[i].cache = cache;
    }
    pthread_t thread[4];
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, verify_often, f), 0);
    for (size_t i = 0; i < ARRAY_LEN(thread); i++) {
        void *failed = NULL;
        ck_assert_int_eq(pthread_join(thread[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    for (size_t i = 0; i < 3; i++)
        fixture_free(&f[i]);
}
END_TEST

UNIT_MAIN("chain_use", wrong_time, valid_detail_names_the_times, wrong_time_order,
          valid_generalized_time, junk_time, valid_rules_before_time, valid_time_before_signatures,
          wrong_signature, wrong_signature_by_itself, junk_signature, valid_cache_hit,
          wrong_cache_size, wrong_time_of_a_cached_certificate, wrong_leaf_under_a_cached_prefix,
          wrong_prefix_is_not_confused, wrong_byte_in_a_cached_prefix, no_failure_is_cached,
          valid_cache_forgets_the_oldest, valid_cache_holds_each_once, valid_cache_under_threads,
          wrong_border_in_a_cached_prefix)
