/* Documents by recipe: each byte of the input chooses one member of a certificate or of the
 * payload (mkdoc.h), and so whether the document must verify is known without reading it.
 * It does exactly then, and its region is the one that the regional certificate was named
 * for. */
#include <openssl/x509v3.h>
#include <stdio.h>

#include "fixed_chain.h"
#include "verifier/attest/attest.h"

#define NOW_MS  ((int64_t)FUZZ_TIME_MS)
#define HOUR_MS INT64_C(3600000)

/* One in eight, so that most of a document stays what it should be. */
static bool seldom(struct bytes *in)
{
    return fuzz_take_byte(in) % 8 == 7;
}

/* What stands in place `i` of `len`, and whether DESIGN section 4 allows it there. */
static bool choose_certificate(struct bytes *in, struct mkdoc_cert *cert, size_t i, size_t len)
{
    const bool leaf = i + 1 == len;
    bool right = true;
    if (seldom(in)) { /* validity: a minute's leeway at its beginning, none at its end */
        cert->from_ms = NOW_MS + 1000 * (fuzz_take_byte(in) - 128);
        right = right && cert->from_ms <= NOW_MS + ATTEST_LEEWAY_MS;
    }
    if (seldom(in)) {
        cert->until_ms = NOW_MS + 1000 * (fuzz_take_byte(in) - 128);
        right = right && cert->until_ms >= NOW_MS && cert->until_ms >= cert->from_ms;
    }
    bool constraints = true;
    if (seldom(in)) {
        cert->ca = !cert->ca;
        constraints = false;
    }
    if (seldom(in)) {
        cert->pathlen = fuzz_take_byte(in) % 8 - 1;
        constraints =
            constraints && (cert->pathlen < 0 || (!leaf && (size_t)cert->pathlen >= len - 2 - i));
    }
    if (seldom(in)) { /* whatever they said */
        cert->basic_constraints = false;
        constraints = leaf;
    }
    right = right && constraints;
    if (seldom(in)) {
        cert->key_usage = fuzz_take_byte(in);
        const bool signs = (cert->key_usage & X509v3_KU_DIGITAL_SIGNATURE) != 0;
        const bool certifies = (cert->key_usage & X509v3_KU_KEY_CERT_SIGN) != 0;
        right = right && (leaf ? signs && !certifies : certifies);
    }
    if (seldom(in))
        cert->key_usage_critical = !cert->key_usage_critical;
    if (seldom(in)) {
        static const char *const curves[] = {"P-256", "P-384", "P-521", "secp256k1"};
        cert->curve = curves[fuzz_take_byte(in) % 4];
        right = right && strcmp(cert->curve, "P-384") == 0;
    }
    if (seldom(in)) {
        static const char *const digests[] = {"SHA256", "SHA384", "SHA512", "SHA1"};
        cert->digest = digests[fuzz_take_byte(in) % 4];
        right = right && strcmp(cert->digest, "SHA384") == 0;
    }
    if (seldom(in)) {
        cert->x509_version = 1;
        right = false;
    }
    if (seldom(in)) {
        cert->issuer_cn = "somebody else";
        right = right && false;
    }
    if (seldom(in)) {
        cert->unknown_critical_extension = true;
        right = false;
    }
    if (i > 0 && seldom(in)) {
        cert->self_signed = cert->break_signature = fuzz_take_byte(in) % 2 == 0;
        cert->self_signed = !cert->break_signature;
        right = false;
    }
    return right;
}

/* "<hash>.<region>.aws.nitro-enclaves" names a region, and no other form does. */
static const char *choose_region(struct bytes *in, struct mkdoc_cert *regional)
{
    static const struct {
        const char *cn;
        const char *region;
    } names[] = {
        {"0.eu-west-3.aws.nitro-enclaves", "eu-west-3"},
        {"abc.r234567890123456789012345678901.aws.nitro-enclaves",
         "r234567890123456789012345678901"},
        {"abc.r2345678901234567890123456789012.aws.nitro-enclaves", ""},
        {".aws.nitro-enclaves", ""},
        {"abc.eu-west-3.aws.nitro-enclave", ""},
        {".eu-west-3.aws.nitro-enclaves", ""},
        {"eu-west-3.aws.nitro-enclaves", ""},
        {"abc.EU.aws.nitro-enclaves", ""},
        {"abc..aws.nitro-enclaves", ""},
        {"abc.zonal.eu-west-3.aws.nitro-enclaves", ""},
    };
    const size_t i = fuzz_take_byte(in) % ARRAY_LEN(names);
    snprintf(regional->subject_cn, sizeof regional->subject_cn, "%s", names[i].cn);
    return names[i].region;
}

static bool choose_chain(struct bytes *in, struct mkdoc_chain *out, const char **region)
{
    struct mkdoc_chain_spec spec;
    bool right = true;
    mkdoc_chain_defaults(&spec, NOW_MS, FUZZ_MODULE, FUZZ_REGION);
    /* So many are the test chain's own and need not be made. */
    size_t keep = spec.len;
    if (seldom(in)) { /* shorter, the leaf moved up behind the CAs that are left */
        const size_t len = 2 + fuzz_take_byte(in) % 4;
        if (len < spec.len)
            keep = len - 1;
        spec.cert[len - 1] = spec.cert[4];
        spec.len = len;
    }
    for (size_t i = 1; i < spec.len; i++) {
        if (fuzz_take_byte(in) % 4 != 3)
            continue;
        keep = i < keep ? i : keep;
        right = choose_certificate(in, &spec.cert[i], i, spec.len) && right;
        if (i == 1 && seldom(in))
            *region = choose_region(in, &spec.cert[i]);
    }
    if (spec.len == 2) /* the root and the leaf */
        *region = "";
    FUZZ_OK(mkdoc_chain_extend(fuzz_chain(), keep, &spec, out));
    if (seldom(in)) { /* another document's leaf key */
        EVP_PKEY *leaf_key = out->key[spec.len - 1];
        out->key[spec.len - 1] = out->key[spec.len - 2];
        out->key[spec.len - 2] = leaf_key;
        right = false;
    }
    return right;
}

static bool choose_optional(struct bytes *in, struct attdoc_optional *out)
{
    static const uint8_t zeros[ATTDOC_OPTIONAL_MAX + 255];
    const uint8_t choice = fuzz_take_byte(in);
    size_t len = fuzz_take_byte(in);
    if (choice % 8 == 7)
        len += ATTDOC_OPTIONAL_MAX - 10;
    switch (choice % 4) {
    case 0:
        out->state = ATTDOC_ABSENT;
        return true;
    case 1:
        out->state = ATTDOC_NULL;
        return true;
    default:
        *out = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of(zeros, len)};
        return len <= ATTDOC_OPTIONAL_MAX;
    }
}

static bool choose_fields(struct bytes *in, struct mkdoc_fields *fields)
{
    bool right = true;
    mkdoc_fields_defaults(fields, NOW_MS, FUZZ_MODULE, fuzz_take_byte(in));
    fields->map_indefinite = fuzz_take_byte(in) % 2 == 0;
    if (seldom(in)) {
        static const char *const digests[] = {"SHA384", "SHA256", "sha384", "SHA512", ""};
        fields->digest = digests[fuzz_take_byte(in) % 5];
        right = right && strcmp(fields->digest, "SHA384") == 0;
    }
    if (seldom(in)) {
        fields->module_id = "";
        right = false;
    }
    if (seldom(in)) {
        fields->timestamp_ms = fuzz_take_byte(in) % 2;
        right = right && fields->timestamp_ms > 0;
    }
    if (seldom(in)) {
        fields->nitrotpm = true;
        right = false; /* of another kind than was asked for */
    }
    if (seldom(in)) {
        fields->pcr_present = 0;
        for (unsigned i = 0; i < 4; i++)
            fields->pcr_present = fields->pcr_present << 8 | fuzz_take_byte(in);
        right = right && fields->pcr_present != 0;
    }
    right = choose_optional(in, &fields->public_key) && right;
    right = choose_optional(in, &fields->user_data) && right;
    right = choose_optional(in, &fields->nonce) && right;
    return right;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct attest_trust *trust;
    struct bytes in = bytes_of(data, size);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {0};
    CLEANUP(buf_free) struct buf document = {0};
    struct mkdoc_fields fields;
    struct fault fault = FAULT_NONE;
    struct attest_report report;
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    if (trust == NULL) {
        CLEANUP(buf_free) struct buf pem = {0};
        FUZZ_OK(mkdoc_root_pem(fuzz_chain(), &pem));
        FUZZ_OK(attest_trust_new(buf_text(&pem), 0, NULL, &trust, NULL));
    }
    bool right = choose_fields(&in, &fields);
    const char *region = FUZZ_REGION;
    right = choose_chain(&in, &chain, &region) && right;
    /* A leaf on another curve cannot sign 96 bytes here; its document is refused anyway. */
    if (mkdoc_document(&fields, &chain, &document) != ERR_OK) {
        FUZZ_HOLDS(!right);
        return 0;
    }
    const enum err err = attest_verify(trust, bytes_of_buf(&document), ATTDOC_ENCLAVE, NOW_MS, &doc,
                                       &report, &fault);
    fuzz_check(err, &fault, 0, document.len, NULL, 0);
    if ((err == ERR_OK) != right)
        fprintf(stderr, "expected %s, found %s [%s] %s\n", right ? "ok" : "a refusal",
                err_wire(err), fault.field, fault.detail);
    FUZZ_HOLDS((err == ERR_OK) == right && (doc != NULL) == right);
    FUZZ_HOLDS(!right || bytes_equal_text(verified_doc_region(doc), region));
    return 0;
}
