/* The full appraisal of one document, as `vouchsafe verify` and `POST /v1/verify` show
 * it: the checks of attest.h, then what the caller demands besides (revocation, age, debug,
 * PCRs, nonce), and one JSON text of it all.
 *
 * It judges authenticity and releases nothing (DESIGN sections 3 and 4).  It trusts what
 * attest_verify trusts.  Whatever of the document is shown although a check failed is
 * unverified, and the JSON says so. */
#ifndef VOUCHSAFE_APPRAISAL_H
#define VOUCHSAFE_APPRAISAL_H

#include "attest.h"

#define APPRAISAL_SKEW_MS   300000 /* how far a document may lie ahead: PROTOCOL section 1 */
#define APPRAISAL_CHECK_MAX (ATTEST_CHECK_COUNT + 5)

/* Where the time to judge at comes from. */
enum appraisal_time {
    APPRAISAL_TIME_CLOCK,    /* now_ms is the verifier's clock */
    APPRAISAL_TIME_GIVEN,    /* now_ms was named by the caller */
    APPRAISAL_TIME_DOCUMENT, /* the document's own timestamp: recorded documents */
};

struct appraisal_options {
    enum attdoc_kind kind;
    enum appraisal_time time;
    int64_t now_ms;     /* not used with APPRAISAL_TIME_DOCUMENT */
    int64_t max_age_ms; /* -1: any age */
    /* With any of these two, a debug document fails: it proves no code. */
    bool nonce_expected;
    struct bytes nonce;    /* borrowed */
    uint32_t pcr_expected; /* bit i: PCR i must be present and equal */
    uint8_t pcr[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN];
    /* What is asked first about a document that is authentic, such as whether an operator revoked
     * something of it: a verdict, which is listed as a failed check, or ERR_OK.  NULL: nothing. */
    enum err (*revocation)(const void *context, const struct verified_doc *doc,
                           struct fault *fault);
    const void *revocation_context;
};
#define APPRAISAL_OPTIONS_DEFAULT                \
    {                                            \
        .kind = ATTDOC_ENCLAVE, .max_age_ms = -1 \
    }

enum appraisal_result { APPRAISAL_NOT_REACHED, APPRAISAL_PASSED, APPRAISAL_FAILED };
const char *appraisal_result_name(enum appraisal_result result); /* "ok", "not reached" */

struct appraisal_check {
    const char *name;
    enum appraisal_result result;
};

/* Views in `report` point into the document and die with it. */
struct appraisal {
    bool valid;         /* every check passed */
    bool authentic;     /* every check of attest_verify passed: the fields are verified */
    struct fault fault; /* of the check that failed */
    enum appraisal_time time;
    bool time_known; /* report.now_ms is set; not so where the document's was to be used
                        and could not be read */
    struct attest_report report;
    char region[32]; /* of an authentic document; "" where it has none */
    uint8_t root_sha256[SHA256_LEN];
    size_t check_count; /* those that were asked for, in the order in which they run */
    struct appraisal_check check[APPRAISAL_CHECK_MAX];
};

/* Appraises any bytes, none included.  ERR_OK means that the document was decided, one
 * way or the other: see out->valid.  Otherwise it could not be (ERR_NO_MEMORY,
 * ERR_CRYPTO and others that are not the document's fault). */
MUST_CHECK enum err appraisal_run(struct attest_trust *trust, struct bytes document,
                                  const struct appraisal_options *options, struct appraisal *out,
                                  struct fault *fault);

/* Appends the appraisal as one JSON object with a newline: the bytes that both `verify
 * --json` and `POST /v1/verify` answer.  Members: docs/man/vouchsafe-verify.1.
 * `document` backs the appraisal's views and must be alive. */
MUST_CHECK enum err appraisal_json(const struct appraisal *appraisal, struct buf *json);

#endif
