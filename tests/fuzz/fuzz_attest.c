/* A whole document, from the first byte to the verdict.  What verifies bears the signature
 * of the test's leaf key, or of a certificate that the test's keys signed: a second decoding
 * and OpenSSL say so.  The other way round, what these find signed and valid is refused only
 * for its syntax, never for a signature. */
#include <ctype.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "common/cose_sign1.h"
#include "common/openssl_cleanup.h"
#include "fixed_chain.h"
#include "openssl_opinion.h"
#include "verifier/attest/appraisal.h"

#define NOW_MS ((int64_t)FUZZ_TIME_MS + 500)

static struct attest_trust *new_trust(size_t cache_entries)
{
    struct attest_trust *trust = NULL;
    CLEANUP(buf_free) struct buf pem = {0};
    FUZZ_OK(mkdoc_root_pem(fuzz_chain(), &pem));
    FUZZ_OK(attest_trust_new(buf_text(&pem), cache_entries, NULL, &trust, NULL));
    return trust;
}

/* Under the key of the leaf that the document brings. */
static bool signature_holds(const struct attest_report *report)
{
    static const uint8_t header[] = {0xa1, 0x01, 0x38, 0x22};
    const unsigned char *p = report->doc.certificate.ptr;
    CLEANUP(x509_freep) X509 *leaf = d2i_X509(NULL, &p, (long)report->doc.certificate.len);
    return leaf != NULL && X509_get0_pubkey(leaf) != NULL &&
           fuzz_signature_holds(X509_get0_pubkey(leaf), "SHA384", bytes_of(header, sizeof header),
                                "", report->cose.payload, report->cose.signature);
}

static void check_verdict(enum err err, const struct attest_report *report,
                          const struct verified_doc *doc, struct bytes in)
{
    static const enum attest_check order[] = {ATTEST_CHAIN_SIGNATURES, ATTEST_SIGNATURE};
    const struct bytes root = bytes_of_buf(&fuzz_chain()->der[0]);
    FUZZ_HOLDS((err == ERR_OK) == (doc != NULL));
    FUZZ_HOLDS((err == ERR_OK) == (report->reached == ATTEST_CHECK_COUNT));
    FUZZ_HOLDS(!report->parsed || fuzz_within(report->cose.payload, in));
    if (report->reached < order[0])
        return;
    /* All rules hold, the two kinds of signatures are open. */
    FUZZ_HOLDS(bytes_equal(report->doc.cabundle[0], root));
    const enum opinion opinion = fuzz_openssl_opinion(&report->doc, root, NOW_MS / 1000);
    FUZZ_HOLDS(opinion == OPINION_NONE ||
               (opinion == OPINION_VALID) == (report->reached > order[0]));
    if (report->reached >= order[1])
        FUZZ_HOLDS((err == ERR_OK) == signature_holds(report));
    if (err != ERR_OK)
        return;
    uint8_t digest[SHA384_LEN];
    FUZZ_OK(digest_sha384(report->cose.payload, digest));
    FUZZ_HOLDS(memcmp(verified_doc_digest(doc), digest, sizeof digest) == 0);
    FUZZ_HOLDS(bytes_equal(verified_doc_fields(doc)->module_id, report->doc.module_id));
    FUZZ_HOLDS(verified_doc_is_debug(doc) == attdoc_is_debug(&report->doc));
    FUZZ_OK(digest_sha256(root, digest));
    FUZZ_HOLDS(memcmp(verified_doc_root_sha256(doc), digest, SHA256_LEN) == 0);
    const struct bytes region = verified_doc_region(doc);
    for (size_t i = 0; i < region.len; i++)
        FUZZ_HOLDS(region.ptr[i] == '-' || isalnum(region.ptr[i]));
}

/* Other ways to ask: only parsed, as the other kind, at the document's own time. */
static void check_askings(struct attest_trust *trust, struct bytes in, enum err err,
                          const struct attest_report *report)
{
    struct attest_report again;
    const bool parses = report->reached >= ATTEST_KIND;
    FUZZ_HOLDS((attest_parse(trust, in, &again, NULL) == ERR_OK) == parses);
    FUZZ_HOLDS(again.reached == (parses ? ATTEST_KIND : report->reached));
    FUZZ_HOLDS(!parses || (again.doc.kind == ATTDOC_ENCLAVE) == (report->reached > ATTEST_KIND));
    const enum err other =
        attest_verify(trust, in, ATTDOC_NITROTPM, ATTEST_AT_DOCUMENT, NULL, &again, NULL);
    FUZZ_HOLDS((report->reached > ATTEST_KIND) == (parses && other == ERR_DOC_KIND));
    const enum err at =
        attest_verify(trust, in, ATTDOC_ENCLAVE, ATTEST_AT_DOCUMENT, NULL, &again, NULL);
    FUZZ_HOLDS(again.reached == report->reached || again.reached == ATTEST_VALIDITY ||
               report->reached == ATTEST_VALIDITY);
    FUZZ_HOLDS(at != ERR_OK || again.now_ms == (int64_t)again.doc.timestamp_ms);
    FUZZ_HOLDS(at == err || again.reached == ATTEST_VALIDITY || report->reached == ATTEST_VALIDITY);
    FUZZ_HOLDS(attest_check_name(report->reached) != NULL);
}

/* The text that `verify --json` prints of it: one JSON object, whatever the document is.  A
 * NUL in its texts is \u0000 there, which only our own protocols refuse. */
static void check_appraisal(struct attest_trust *trust, struct bytes in, enum err verdict)
{
    CLEANUP(buf_free) struct buf json = {0};
    const struct appraisal_options options = {
        .kind = ATTDOC_ENCLAVE, .now_ms = NOW_MS, .max_age_ms = -1};
    struct appraisal appraisal;
    FUZZ_OK(appraisal_run(trust, in, &options, &appraisal, NULL));
    FUZZ_HOLDS(appraisal.valid == (verdict == ERR_OK) && appraisal.valid == appraisal.authentic);
    FUZZ_OK(appraisal_json(&appraisal, &json));
    json_t *read =
        json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    FUZZ_HOLDS(json_is_object(read));
    json_decref(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct attest_trust *trust, *cached;
    const struct bytes in = bytes_of(data, size);
    struct fault fault = FAULT_NONE;
    struct attest_report report, again;
    if (trust == NULL) {
        trust = new_trust(0);
        cached = new_trust(8);
    }
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    const enum err err = attest_verify(trust, in, ATTDOC_ENCLAVE, NOW_MS, &doc, &report, &fault);
    fuzz_check(err, &fault, 0, in.len, NULL, 0);
    check_verdict(err, &report, doc, in);
    FUZZ_HOLDS(attest_verify(cached, in, ATTDOC_ENCLAVE, NOW_MS, NULL, &again, NULL) == err);
    FUZZ_HOLDS(again.reached == report.reached);
    check_askings(cached, in, err, &report);
    check_appraisal(trust, in, err);
    return 0;
}

/* A part of the payload, or a certificate in it, changed as what it is. */
static void change_payload(struct buf *payload, unsigned *seed)
{
    static uint8_t scratch[2 * ATTDOC_PAYLOAD_MAX];
    struct attdoc doc;
    CLEANUP(buf_free) struct buf remade = {0};
    const size_t i = fuzz_choose(seed, 5);
    FUZZ_HOLDS(payload->len <= sizeof scratch);
    memcpy(scratch, payload->ptr, payload->len);
    size_t len = payload->len;
    if (fuzz_choose(seed, 3) > 0 ||
        attdoc_parse(bytes_of_buf(payload), 0, NULL, &doc, NULL) != ERR_OK) {
        len = fuzz_mutate_cbor(scratch, len, sizeof scratch, fuzz_choose(seed, UINT32_MAX));
    } else {
        /* Of the same length, or the length before it is wrong: CBOR's mutator mends it. */
        const struct bytes old = i < doc.cabundle_len ? doc.cabundle[i] : doc.certificate;
        const size_t at = (size_t)(old.ptr - payload->ptr);
        if (fuzz_remake_certificate(old, i < doc.cabundle_len ? i : doc.cabundle_len, seed,
                                    &remade) &&
            remade.len >= 256 && old.len >= 256) {
            len =
                fuzz_splice(scratch, len, sizeof scratch, at, at + old.len, bytes_of_buf(&remade));
            scratch[at - 2] = (uint8_t)(remade.len >> 8);
            scratch[at - 1] = (uint8_t)remade.len;
        }
    }
    payload->len = 0;
    FUZZ_OK(buf_append(payload, bytes_of(scratch, len)));
}

/* (r, n - s) verifies as well, RFC 6979 or not: anybody can make it. */
static void change_signature(struct buf *document)
{
    CLEANUP(bn_freep) BIGNUM *n = NULL;
    CLEANUP(bn_freep) BIGNUM *s = BN_bin2bn(document->ptr + document->len - 48, 48, NULL);
    FUZZ_HOLDS(s != NULL && BN_hex2bn(&n, "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81"
                                          "f4372ddf581a0db248b0a77aecec196accc52973") > 0);
    FUZZ_HOLDS(BN_sub(s, n, s) == 1);
    FUZZ_HOLDS(BN_bn2binpad(s, document->ptr + document->len - 48, 48) == 48);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const struct mkdoc_chain *chain = fuzz_chain();
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf document = {0};
    struct cose_sign1 cose;
    const uint32_t choice = fuzz_choose(&seed, 16);
    if (choice < 2)
        return fuzz_mutate_cbor(data, size, max_size, seed);
    if (choice > 2 && cose_sign1_parse(COSE_ATTESTATION, bytes_of(data, size), &cose, NULL) == 0)
        FUZZ_OK(buf_append(&payload, cose.payload));
    else
        fuzz_payload(fuzz_choose(&seed, 2) == 0, &payload);
    if (choice > 4)
        change_payload(&payload, &seed);
    if (payload.len == 0)
        return 0;
    if (fuzz_choose(&seed, 8) == 0)
        FUZZ_OK(buf_append(&document, bytes_of("\xd2", 1)));
    FUZZ_OK(mkdoc_sign(chain, bytes_of_buf(&payload), &document));
    if (choice == 4)
        change_signature(&document);
    return fuzz_replace(data, size, max_size, &document);
}
