/* Appraisal of an attestation document: bytes in, `struct verified_doc` out.
 *
 * The one function that makes a verified_doc is attest_verify; the type is incomplete
 * elsewhere and policy takes nothing else, so that skipping verification does not
 * compile.  There is no mode that verifies less.  Trusts: the pinned root given to
 * attest_trust_new, and the caller's `now`.  (RFC 9334: this appraises evidence
 * against an endorsement.) */
#ifndef VOUCHSAFE_ATTEST_H
#define VOUCHSAFE_ATTEST_H

#include "chain.h"
#include "common/attdoc.h"
#include "common/cose_sign1.h"

#define ATTEST_LEEWAY_MS 60000 /* on not-before: PROTOCOL section 1 */

/* What names a certificate, whatever bytes it comes in: who issued it, and under which number
 * (RFC 5280 section 4.1.2.2). */
struct attest_certificate {
    struct bytes issuer; /* DER Name */
    struct bytes serial; /* content of the INTEGER */
};

/* What one verifier trusts: a root, and what it keeps between documents. */
struct attest_trust;

/* `root_pem`: exactly one certificate, P-384, self-signed, CA; NULL: the AWS Nitro
 * root that is compiled in.  `cache_entries` 0: no cache.  `tolerate` is borrowed and
 * may be NULL.  ERR_CONFIG names what is wrong with the root. */
MUST_CHECK enum err attest_trust_new(const char *root_pem, size_t cache_entries,
                                     const struct attdoc_tolerate *tolerate,
                                     struct attest_trust **out, struct fault *fault);
void attest_trust_free(struct attest_trust *trust);
CLEANUP_PTR(struct attest_trust, attest_trust_free, attest_trust_freep)
/* SHA-256 of the root's DER. */
const uint8_t *attest_trust_root_sha256(const struct attest_trust *trust);
/* What names the root; a view. */
struct attest_certificate attest_trust_root(const struct attest_trust *trust);
/* The compiled-in AWS root, PEM text. */
extern const char attest_aws_root_pem[];

/* The checks in the order in which they run. */
enum attest_check {
    ATTEST_COSE,     /* COSE_Sign1, ES384 */
    ATTEST_PAYLOAD,  /* AWS's syntax rules */
    ATTEST_KIND,     /* enclave or nitrotpm, as asked */
    ATTEST_ROOT,     /* the chain begins at the pinned root */
    ATTEST_CHAIN,    /* forms, names, constraints */
    ATTEST_VALIDITY, /* every certificate's validity */
    ATTEST_CHAIN_SIGNATURES,
    ATTEST_SIGNATURE, /* ES384 over the document */
    ATTEST_CHECK_COUNT
};
const char *attest_check_name(enum attest_check check); /* "certificate_validity", ... */

/* How far an appraisal came, whatever its end; the views die with the input. */
struct attest_report {
    enum attest_check reached; /* the first check not passed, or ATTEST_CHECK_COUNT */
    bool parsed;               /* the fields below are filled (not yet: believed) */
    struct cose_sign1 cose;
    struct attdoc doc;
    uint8_t digest[SHA384_LEN];     /* document digest: SHA-384 of the COSE payload */
    int64_t now_ms;                 /* the time at which validity was judged */
    struct chain_validity validity; /* only where ATTEST_CHAIN_SIGNATURES passed */
};

/* The time to judge at: the verifier's clock or one the caller names; or
 * ATTEST_AT_DOCUMENT, the document's own timestamp, for recorded documents only. */
#define ATTEST_AT_DOCUMENT INT64_MIN

struct verified_doc;

/* Verifies everything that DESIGN section 4 demands; stops at the first failure.
 * `report` is always written and may be NULL.  On success the caller owns `*out`,
 * which holds a copy of what it needs: `document` may die.  `out` may be NULL where
 * only the verdict is wanted. */
MUST_CHECK enum err attest_verify(struct attest_trust *trust, struct bytes document,
                                  enum attdoc_kind kind, int64_t now_ms, struct verified_doc **out,
                                  struct attest_report *report, struct fault *fault);
/* The first half, for V1 and V2 of a release: envelope and payload.  What it returns is a
 * report, which no policy takes; after a success it stands at ATTEST_KIND, and the fields say
 * which kind attest_verify can be asked for. */
MUST_CHECK enum err attest_parse(struct attest_trust *trust, struct bytes document,
                                 struct attest_report *report, struct fault *fault);

void verified_doc_free(struct verified_doc *doc);
CLEANUP_PTR(struct verified_doc, verified_doc_free, verified_doc_freep)

/* Views that live as long as the verified_doc. */
const struct attdoc *verified_doc_fields(const struct verified_doc *doc);
const uint8_t *verified_doc_digest(const struct verified_doc *doc);      /* SHA384_LEN */
const uint8_t *verified_doc_root_sha256(const struct verified_doc *doc); /* SHA256_LEN */
bool verified_doc_is_debug(const struct verified_doc *doc);
/* Of each certificate of the chain, root first, the leaf last; how many there are. */
size_t verified_doc_chain(const struct verified_doc *doc, const struct attest_certificate **out);
/* The region from the verified regional certificate's name, "eu-west-1"; empty where
 * the chain is not shaped like AWS's. */
struct bytes verified_doc_region(const struct verified_doc *doc);

#endif
