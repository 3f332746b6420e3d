/* x509-limbo over the chain's rules.
 *
 * Its certificates are those of web servers: P-256 and SHA-256, which hide whatever else a
 * case is about behind `certificate_algorithm`.  So each case is judged twice: "as it is",
 * and "over P-384", where every P-256 key is replaced by a P-384 one and every certificate
 * signed again, by the same issuer, with SHA-384; nothing else of it changes.  A signature
 * that did not verify stays one that does not.  The second goes through attest_verify, in
 * a document that is genuine but for its chain. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "common/spki.h"
#include "tests/lib/mkdoc.h"
#include "vectors.h"
#include "verifier/attest/attest.h"

SHARED_DEMAND("vectors/x509-limbo")

#define NOW_MS    INT64_C(1795392000000) /* 2026-11-23T00:00:00Z */
#define CERTS_MAX 128

/* Trusted ones, then untrusted ones, then the leaf. */
struct bag {
    size_t len, trusted;
    X509 *cert[CERTS_MAX];
    EVP_PKEY *key[CERTS_MAX]; /* the new one; NULL: it keeps its own */
};

static void bag_free(struct bag *bag)
{
    for (size_t i = 0; i < bag->len; i++) {
        X509_free(bag->cert[i]);
        EVP_PKEY_free(bag->key[i]);
    }
}

static void bag_add(struct bag *bag, const char *pem)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(pem, -1);
    ck_assert_uint_lt(bag->len, CERTS_MAX);
    bag->cert[bag->len] = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(bag->cert[bag->len++]);
}

static void bag_read(struct bag *bag, const json_t *test)
{
    size_t i = 0;
    json_t *pem = NULL;
    json_array_foreach(json_object_get(test, "trusted_certs"), i, pem)
        bag_add(bag, json_string_value(pem));
    bag->trusted = bag->len;
    json_array_foreach(json_object_get(test, "untrusted_intermediates"), i, pem)
        bag_add(bag, json_string_value(pem));
    bag_add(bag, shared_text(test, "peer_certificate"));
}

static bool signed_by(const struct bag *bag, size_t i, size_t issuer)
{
    EVP_PKEY *key = X509_get0_pubkey(bag->cert[issuer]);
    const bool ok = key != NULL && X509_verify(bag->cert[i], key) == 1;
    ERR_clear_error();
    return ok;
}

/* The one that signed `i`, or else has its issuer's name; bag->len where none does. */
static size_t issuer_of(const struct bag *bag, size_t i, const bool *used)
{
    size_t named = bag->len;
    for (size_t k = 0; k + 1 < bag->len; k++) {
        if (used[k] || X509_NAME_cmp(X509_get_issuer_name(bag->cert[i]),
                                     X509_get_subject_name(bag->cert[k])) != 0)
            continue;
        if (signed_by(bag, i, k))
            return k;
        named = named == bag->len ? k : named;
    }
    return named;
}

/* As an honest sender orders them: from the leaf up to the first trusted one.  Root first
 * in `path`; where no trusted one is reached, the first is put on top. */
static size_t find_path(const struct bag *bag, size_t path[CERTS_MAX])
{
    bool used[CERTS_MAX] = {false};
    size_t up[CERTS_MAX], len = 0, at = bag->len - 1;
    for (up[len++] = at; at >= bag->trusted && len < CERTS_MAX;) {
        at = issuer_of(bag, at, used);
        if (at == bag->len)
            break;
        used[at] = true;
        up[len++] = at;
    }
    if (at >= bag->trusted && len < CERTS_MAX)
        up[len++] = 0;
    for (size_t i = 0; i < len; i++)
        path[i] = up[len - 1 - i];
    return len;
}

/* Leaves what is on the path, in its order: who signed what is then to be found there or
 * nowhere.  Of a longer path the root and the lower end, one more than a document holds. */
static void bag_keep(struct bag *bag, const size_t *path, size_t len)
{
    const size_t skip = len > MKDOC_CHAIN_MAX ? len - MKDOC_CHAIN_MAX : 0;
    struct bag kept = {.len = len - skip};
    for (size_t i = 0; i < kept.len; i++) {
        kept.cert[i] = bag->cert[path[i == 0 ? 0 : i + skip]];
        ck_assert_int_eq(X509_up_ref(kept.cert[i]), 1);
    }
    bag_free(bag);
    *bag = kept;
}

/* ---- over P-384 ---- */

static bool is_p256(X509 *cert)
{
    CLEANUP(openssl_freep) uint8_t *der = NULL;
    const int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    return len > 0 && spki_has_form(bytes_of(der, (size_t)len), &spki_p256);
}

/* One new key for each old one. */
static void choose_keys(struct bag *bag)
{
    for (size_t i = 0; i < bag->len; i++) {
        if (!is_p256(bag->cert[i]))
            continue;
        for (size_t k = 0; k < i && bag->key[i] == NULL; k++) {
            if (bag->key[k] != NULL &&
                EVP_PKEY_eq(X509_get0_pubkey(bag->cert[i]), X509_get0_pubkey(bag->cert[k])) == 1) {
                bag->key[i] = bag->key[k];
                EVP_PKEY_up_ref(bag->key[i]);
            }
        }
        if (bag->key[i] == NULL)
            bag->key[i] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
        ck_assert_ptr_nonnull(bag->key[i]);
    }
}

/* Who signed `i`, itself before others; bag->len for nobody. */
static size_t signer_of(const struct bag *bag, size_t i)
{
    for (size_t k = 0; k < bag->len; k++) {
        if (signed_by(bag, i, (i + k) % bag->len))
            return (i + k) % bag->len;
    }
    return bag->len;
}

/* Changes every certificate: signers first, while the old keys can still tell them. */
static void transpose(struct bag *bag)
{
    size_t signer[CERTS_MAX];
    CLEANUP(evp_pkey_freep) EVP_PKEY *nobody = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    choose_keys(bag);
    for (size_t i = 0; i < bag->len; i++)
        signer[i] = signer_of(bag, i);
    for (size_t i = 0; i < bag->len; i++) {
        if (bag->key[i] != NULL)
            ck_assert_int_eq(X509_set_pubkey(bag->cert[i], bag->key[i]), 1);
        EVP_PKEY *key = signer[i] == bag->len ? nobody : bag->key[signer[i]];
        if (key != NULL && X509_get_signature_nid(bag->cert[i]) == NID_ecdsa_with_SHA256)
            ck_assert_int_gt(X509_sign(bag->cert[i], key, EVP_sha384()), 0);
    }
}

/* ---- the verdicts ---- */

static void fill_chain(const struct bag *bag, struct mkdoc_chain *chain)
{
    chain->len = bag->len;
    for (size_t i = 0; i < chain->len; i++) {
        CLEANUP(openssl_freep) uint8_t *der = NULL;
        const int der_len = i2d_X509(bag->cert[i], &der);
        ck_assert_int_gt(der_len, 0);
        ck_ok(buf_append(&chain->der[i], bytes_of(der, (size_t)der_len)));
        chain->key[i] = bag->key[i];
        if (chain->key[i] != NULL)
            EVP_PKEY_up_ref(chain->key[i]);
    }
    EVP_PKEY **leaf = &chain->key[chain->len - 1];
    if (*leaf == NULL) /* refused before its signature counts */
        *leaf = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
}

static enum err verdict_of_chain(const struct mkdoc_chain *chain, int64_t now_ms)
{
    struct attdoc doc = {.cabundle_len = chain->len - 1};
    for (size_t i = 0; i < doc.cabundle_len && i < ATTDOC_BUNDLE_MAX; i++)
        doc.cabundle[i] = bytes_of_buf(&chain->der[i]);
    doc.certificate = bytes_of_buf(&chain->der[chain->len - 1]);
    CLEANUP(evp_pkey_freep) EVP_PKEY *leaf_key = NULL;
    struct chain_validity validity;
    enum chain_stage stage;
    return chain_verify(&doc, bytes_of_buf(&chain->der[0]), now_ms, ATTEST_LEEWAY_MS, NULL,
                        &leaf_key, &validity, &stage, NULL);
}

static enum err verdict_of_document(const struct mkdoc_chain *chain, int64_t now_ms)
{
    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(buf_free) struct buf document = {0};
    struct mkdoc_fields fields;
    ck_ok(mkdoc_root_pem(chain, &pem));
    TRY(attest_trust_new(buf_text(&pem), 4, NULL, &trust, NULL));
    mkdoc_fields_defaults(&fields, now_ms, "i-0123456789abcdef0-enc0123456789abcdef", 1);
    ck_ok(mkdoc_document(&fields, chain, &document));
    return attest_verify(trust, bytes_of_buf(&document), ATTDOC_ENCLAVE, now_ms, NULL, NULL, NULL);
}

/* What is taken hangs on every signature: one bit of the last byte of each. */
static void ck_every_signature(struct mkdoc_chain *chain, int64_t now_ms, const char *name)
{
    for (size_t i = 1; i < chain->len; i++) {
        uint8_t *last = chain->der[i].ptr + chain->der[i].len - 1;
        *last ^= 1;
        const enum err err = verdict_of_chain(chain, now_ms);
        ck_assert_msg(err == ERR_CERT_SIGNATURE, "%s, signature of certificate %zu changed: %s",
                      name, i, err_wire(err));
        *last ^= 1;
    }
}

static int64_t now_of(const json_t *test)
{
    const char *text = json_string_value(json_object_get(test, "validation_time"));
    if (text == NULL) /* any time will do */
        return NOW_MS;
    char utc[64];
    int64_t now_ms = 0;
    const char *zone = strstr(text, "+00:00");
    ck_assert_msg(zone != NULL && zone[6] == '\0', "%s", text);
    snprintf(utc, sizeof utc, "%.*sZ", (int)(zone - text), text);
    ck_assert_msg(time_parse(utc, &now_ms) == ERR_OK, "%s", utc);
    return now_ms;
}

static void judge(struct vectors *v, const char *file, const json_t *test)
{
    const char *id = shared_text(test, "id");
    const bool success = strcmp(shared_text(test, "expected_result"), "SUCCESS") == 0;
    const enum vectors_theirs theirs = success ? VECTORS_VALID : VECTORS_INVALID;
    const int64_t now_ms = now_of(test);
    char name[VECTORS_NAME_MAX];
    CLEANUP(bag_free) struct bag bag = {0};
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain before = {0};
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain after = {0};
    size_t path[CERTS_MAX];

    bag_read(&bag, test);
    const size_t len = find_path(&bag, path);
    bag_keep(&bag, path, len);
    fill_chain(&bag, &before);
    snprintf(name, sizeof name, "%s as it is", id);
    vectors_judge(v, file, name, theirs, ERR_OK, verdict_of_chain(&before, now_ms));

    transpose(&bag);
    fill_chain(&bag, &after);
    const enum err document = verdict_of_document(&after, now_ms);
    snprintf(name, sizeof name, "%s over P-384", id);
    vectors_judge(v, file, name, theirs, ERR_OK, document);
    /* What is not said before the chain is looked at is the chain's own word. */
    const enum err chain = verdict_of_chain(&after, now_ms);
    ck_assert_msg(chain == document || document == ERR_CONFIG || document == ERR_DOC_MALFORMED,
                  "%s: %s, and of the chain alone %s", name, err_wire(document), err_wire(chain));
    if (document == ERR_OK)
        ck_every_signature(&after, now_ms, name);
}

START_TEST(cases)
{
    struct vectors v;
    vectors_begin(&v, "limbo:cases");
    for (size_t f = 0; f < v.files.gl_pathc; f++) {
        json_t *json = shared_json(vectors_file(&v, f));
        size_t i = 0;
        json_t *test = NULL;
        json_array_foreach(json_object_get(json, "testcases"), i, test)
            judge(&v, vectors_file(&v, f), test);
        json_decref(json);
    }
    vectors_end(&v);
}
END_TEST

UNIT_MAIN("limbo", cases)
