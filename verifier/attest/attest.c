#include "attest.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "cert.h"
#include "common/openssl_cleanup.h"

#define REGION_MAX    32 /* "ap-southeast-1", with room */
#define CN_MAX        128
#define ROOT_FAULT    "root"
#define REGION_SUFFIX ".aws.nitro-enclaves"

struct attest_trust {
    struct buf root_der;
    uint8_t root_sha256[SHA256_LEN];
    struct attest_certificate root;         /* views into root_der */
    const struct attdoc_tolerate *tolerate; /* borrowed */
    struct chain_cache *cache;              /* or NULL */
};

/* Complete here and nowhere else: what exists was verified. */
struct verified_doc {
    struct buf payload; /* backs the views in `fields` */
    struct attdoc fields;
    uint8_t digest[SHA384_LEN];
    uint8_t root_sha256[SHA256_LEN];
    char region[REGION_MAX];
    size_t chain_len;
    struct attest_certificate chain[ATTDOC_BUNDLE_MAX + 1]; /* views into `payload` */
};

const char *attest_check_name(enum attest_check check)
{
    static const char *const names[ATTEST_CHECK_COUNT] = {
        [ATTEST_COSE] = "cose_sign1",
        [ATTEST_PAYLOAD] = "payload_syntax",
        [ATTEST_KIND] = "document_kind",
        [ATTEST_ROOT] = "trusted_root",
        [ATTEST_CHAIN] = "certificate_rules",
        [ATTEST_VALIDITY] = "certificate_validity",
        [ATTEST_CHAIN_SIGNATURES] = "certificate_signatures",
        [ATTEST_SIGNATURE] = "document_signature",
    };
    return (unsigned)check < ATTEST_CHECK_COUNT ? names[check] : "all";
}

/* ---- trust ---- */

struct pem_block {
    char *name;
    char *header;
    unsigned char *data;
    long len;
};

static void pem_block_free(struct pem_block *block)
{
    OPENSSL_free(block->name);
    OPENSSL_free(block->header);
    OPENSSL_free(block->data);
    *block = (struct pem_block){0};
}

static bool pem_next(BIO *in, struct pem_block *out)
{
    return PEM_read_bio(in, &out->name, &out->header, &out->data, &out->len) == 1;
}

/* Exactly one block, and that one a certificate: a bundle has no first among equals. */
static enum err read_root_pem(const char *pem, struct buf *der, struct fault *fault)
{
    CLEANUP(bio_freep) BIO *in = BIO_new_mem_buf(pem, -1);
    CLEANUP(pem_block_free) struct pem_block block = {0};
    CLEANUP(pem_block_free) struct pem_block second = {0};
    if (in == NULL)
        return crypto_no_memory();
    crypto_begin();
    const bool found = pem_next(in, &block);
    const bool more = found && (pem_next(in, &second) ||
                                ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE);
    TRY(crypto_own_fault());
    (void)fault_at(fault, FAULT_NO_OFFSET, ROOT_FAULT);
    if (!found || strcmp(block.name, PEM_STRING_X509) != 0 || block.header[0] != '\0') /* PIN-1 */
        FAIL(fault, ERR_CONFIG, "the root is not a PEM certificate");
    if (more) /* PIN-2 */
        FAIL(fault, ERR_CONFIG, "the root is more than one PEM block");
    if (block.len > ATTDOC_CERT_MAX) /* PIN-3 */
        FAIL(fault, ERR_CONFIG, "the root has %ld bytes, a document holds at most %d", block.len,
             ATTDOC_CERT_MAX);
    return buf_append(der, bytes_of(block.data, (size_t)block.len));
}

/* The rules that every document under it would break otherwise; better said at start. */
static enum err check_root_rules(struct bytes der, struct fault *fault)
{
    CLEANUP(cert_free) struct cert root = {0};
    TRY(cert_parse(der, ROOT_FAULT, &root, fault));
    TRY(cert_check_ca(&root, ROOT_FAULT, fault));
    if (!bytes_equal(root.issuer, root.subject)) /* PIN-5 */
        FAIL(fault, ERR_CERT_NAME, "the root's issuer is not its subject");
    crypto_begin();
    if (X509_verify(root.x509, X509_get0_pubkey(root.x509)) != 1) { /* PIN-6 */
        TRY(crypto_own_fault());
        FAIL(fault, ERR_CERT_SIGNATURE, "the root is not signed by its own key");
    }
    return ERR_OK;
}

static enum err read_root(const char *pem, struct buf *der, struct fault *fault)
{
    TRY(read_root_pem(pem, der, fault));
    struct fault rule = FAULT_NONE;
    const enum err err = check_root_rules(bytes_of_buf(der), &rule);
    if (err_is_verdict(err)) /* PIN-4 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, ROOT_FAULT), ERR_CONFIG, "%s: %s", err_wire(err),
             rule.detail);
    return err;
}

enum err attest_trust_new(const char *root_pem, size_t cache_entries,
                          const struct attdoc_tolerate *tolerate, struct attest_trust **out,
                          struct fault *fault)
{
    CLEANUP(attest_trust_freep) struct attest_trust *trust = calloc(1, sizeof *trust);
    if (trust == NULL)
        return ERR_NO_MEMORY;
    fault_clear(fault);
    TRY(read_root(root_pem != NULL ? root_pem : attest_aws_root_pem, &trust->root_der, fault));
    TRY(digest_sha256(bytes_of_buf(&trust->root_der), trust->root_sha256));
    if (!cert_find_issuer(bytes_of_buf(&trust->root_der), &trust->root.issuer, &trust->root.serial))
        return ERR_INTERNAL; /* it was parsed before */
    if (cache_entries > 0)
        TRY(chain_cache_new(cache_entries, &trust->cache));
    trust->tolerate = tolerate;
    fault_clear(fault);
    *out = TAKE(trust);
    return ERR_OK;
}

void attest_trust_free(struct attest_trust *trust)
{
    if (trust == NULL)
        return;
    chain_cache_free(trust->cache);
    buf_free(&trust->root_der);
    free(trust);
}

const uint8_t *attest_trust_root_sha256(const struct attest_trust *trust)
{
    return trust->root_sha256;
}

struct attest_certificate attest_trust_root(const struct attest_trust *trust)
{
    return trust->root;
}

/* ---- appraisal ---- */

/* Envelope and payload.  `report->reached` follows along. */
static enum err parse_stages(const struct attest_trust *trust, struct bytes document,
                             struct attest_report *report, struct fault *fault)
{
    report->reached = ATTEST_COSE;
    if (document.len > ATTDOC_LEN_MAX) /* COSE-1 */
        FAIL(fault, ERR_TOO_LARGE, "the document has %zu bytes, at most %d are allowed",
             document.len, ATTDOC_LEN_MAX);
    struct cose_sign1 cose;
    TRY(cose_sign1_parse(COSE_ATTESTATION, document, &cose, fault));

    report->reached = ATTEST_PAYLOAD;
    struct attdoc doc;
    TRY(attdoc_parse(cose.payload, cose.payload_offset, trust->tolerate, &doc, fault));
    TRY(digest_sha384(cose.payload, report->digest));
    report->cose = cose;
    report->doc = doc;
    report->parsed = true;
    report->reached = ATTEST_KIND;
    return ERR_OK;
}

static enum err kind_stage(enum attdoc_kind kind, struct attest_report *report, struct fault *fault)
{
    const enum attdoc_kind found = report->doc.kind;
    if (found != kind) /* KIND-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s",
                      found == ATTDOC_ENCLAVE ? "pcrs" : "nitrotpm_pcrs"),
             ERR_DOC_KIND, "the document is of kind %s, expected %s", attdoc_kind_name(found),
             attdoc_kind_name(kind));
    report->reached = ATTEST_ROOT;
    return ERR_OK;
}

static enum attest_check check_of_stage(enum chain_stage stage)
{
    static const enum attest_check checks[] = {
        [CHAIN_ROOT] = ATTEST_ROOT,      [CHAIN_RULES] = ATTEST_CHAIN,
        [CHAIN_TIME] = ATTEST_VALIDITY,  [CHAIN_SIGNATURES] = ATTEST_CHAIN_SIGNATURES,
        [CHAIN_DONE] = ATTEST_SIGNATURE, /* what comes next */
    };
    return checks[stage];
}

/* Chain, then the document under the leaf's key. */
static enum err signature_stages(const struct attest_trust *trust, struct attest_report *report,
                                 struct fault *fault)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *leaf_key = NULL;
    enum chain_stage stage;
    const enum err err =
        chain_verify(&report->doc, bytes_of_buf(&trust->root_der), report->now_ms, ATTEST_LEEWAY_MS,
                     trust->cache, &leaf_key, &report->validity, &stage, fault);
    report->reached = check_of_stage(stage);
    TRY(err);
    TRY(cose_sign1_verify(&report->cose, leaf_key, fault));
    report->reached = ATTEST_CHECK_COUNT;
    return ERR_OK;
}

/* AWS names the regional CA "<hash>.<region>.aws.nitro-enclaves" and puts it second;
 * whatever has another shape has no region. */
static enum err read_region(const struct attdoc *doc, char region[static REGION_MAX])
{
    static const size_t suffix_len = sizeof REGION_SUFFIX - 1;
    struct bytes subject;
    char cn[CN_MAX];
    region[0] = '\0';
    if (doc->cabundle_len < 2 || !cert_find_subject(doc->cabundle[1], &subject))
        return ERR_OK;
    const enum err err = cert_name_cn(subject, cn, sizeof cn);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(err); /* and no document without its region, which grants ask for */
    const size_t len = strlen(cn);
    if (len <= suffix_len || strcmp(cn + len - suffix_len, REGION_SUFFIX) != 0)
        return ERR_OK;
    cn[len - suffix_len] = '\0';
    const size_t hash_len = strspn(cn, "0123456789abcdef");
    const char *name = cn + hash_len + 1;
    if (hash_len == 0 || cn[hash_len] != '.')
        return ERR_OK;
    const size_t name_len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (name_len == 0 || name_len >= REGION_MAX || name[name_len] != '\0')
        return ERR_OK;
    memcpy(region, name, name_len + 1);
    return ERR_OK;
}

/* Certificates that chain_verify has read, or known as ones that it had. */
static enum err read_chain(struct verified_doc *doc)
{
    const struct attdoc *fields = &doc->fields;
    for (size_t i = 0; i <= fields->cabundle_len; i++) {
        const struct bytes der =
            i < fields->cabundle_len ? fields->cabundle[i] : fields->certificate;
        if (!cert_find_issuer(der, &doc->chain[i].issuer, &doc->chain[i].serial))
            return ERR_INTERNAL;
    }
    doc->chain_len = fields->cabundle_len + 1;
    return ERR_OK;
}

/* Only attest_verify calls it, and only at its end. */
static enum err make_verified(const struct attest_trust *trust, const struct attest_report *report,
                              struct verified_doc **out, struct fault *fault)
{
    CLEANUP(verified_doc_freep) struct verified_doc *doc = calloc(1, sizeof *doc);
    if (doc == NULL)
        return ERR_NO_MEMORY;
    TRY(buf_append(&doc->payload, report->cose.payload));
    /* Parsed again rather than shifted view by view: same bytes, same result. */
    TRY(attdoc_parse(bytes_of_buf(&doc->payload), report->cose.payload_offset, trust->tolerate,
                     &doc->fields, fault));
    memcpy(doc->digest, report->digest, sizeof doc->digest);
    memcpy(doc->root_sha256, trust->root_sha256, sizeof doc->root_sha256);
    TRY(read_region(&doc->fields, doc->region));
    TRY(read_chain(doc));
    *out = TAKE(doc);
    return ERR_OK;
}

enum err attest_parse(struct attest_trust *trust, struct bytes document,
                      struct attest_report *report, struct fault *fault)
{
    *report = (struct attest_report){0};
    fault_clear(fault);
    return parse_stages(trust, document, report, fault);
}

enum err attest_verify(struct attest_trust *trust, struct bytes document, enum attdoc_kind kind,
                       int64_t now_ms, struct verified_doc **out, struct attest_report *report,
                       struct fault *fault)
{
    struct attest_report scratch;
    if (report == NULL)
        report = &scratch;
    *report = (struct attest_report){.now_ms = now_ms};
    fault_clear(fault);
    TRY(parse_stages(trust, document, report, fault));
    TRY(kind_stage(kind, report, fault));
    if (now_ms == ATTEST_AT_DOCUMENT)
        report->now_ms = (int64_t)report->doc.timestamp_ms; /* at most INT64_MAX: attdoc */
    TRY(signature_stages(trust, report, fault));
    if (out != NULL)
        TRY(make_verified(trust, report, out, fault));
    fault_clear(fault);
    return ERR_OK;
}

/* ---- what was verified ---- */

void verified_doc_free(struct verified_doc *doc)
{
    if (doc == NULL)
        return;
    buf_free(&doc->payload);
    free(doc);
}

const struct attdoc *verified_doc_fields(const struct verified_doc *doc)
{
    return &doc->fields;
}

const uint8_t *verified_doc_digest(const struct verified_doc *doc)
{
    return doc->digest;
}

const uint8_t *verified_doc_root_sha256(const struct verified_doc *doc)
{
    return doc->root_sha256;
}

bool verified_doc_is_debug(const struct verified_doc *doc)
{
    return attdoc_is_debug(&doc->fields);
}

size_t verified_doc_chain(const struct verified_doc *doc, const struct attest_certificate **out)
{
    *out = doc->chain;
    return doc->chain_len;
}

struct bytes verified_doc_region(const struct verified_doc *doc)
{
    return bytes_of_text(doc->region);
}
