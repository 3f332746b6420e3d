#include "appraisal.h"

#include <openssl/crypto.h>

#include "common/codec.h"

/* What the caller demands besides authenticity: one row per check, in the order in
 * which they run; a row that is not asked for is not listed. */
struct demand {
    const char *name;
    bool (*is_asked)(const struct appraisal_options *options);
    enum err (*check)(const struct appraisal_options *options, const struct attest_report *report,
                      struct fault *fault);
};

static bool age_is_asked(const struct appraisal_options *options)
{
    return options->max_age_ms >= 0;
}

static enum err age_check(const struct appraisal_options *options,
                          const struct attest_report *report, struct fault *fault)
{
    /* Both lie within 0..INT64_MAX, so their difference fits: a document's timestamp is
     * checked as it is parsed, and the clock or --at, which may not be before 1970. */
    const int64_t age_ms = report->now_ms - (int64_t)report->doc.timestamp_ms;
    char at[TIME_TEXT_MAX];
    time_format((int64_t)report->doc.timestamp_ms, at);
    fault_at(fault, FAULT_NO_OFFSET, "timestamp");
    if (age_ms < -(int64_t)APPRAISAL_SKEW_MS) /* ASK-1 */
        FAIL(fault, ERR_DOC_FUTURE, "made at %s, %lld s ahead of the time of judging", at,
             (long long)(-age_ms / 1000));
    if (age_ms > options->max_age_ms) /* ASK-2 */
        FAIL(fault, ERR_DOC_STALE, "made at %s, %lld s old, more than %lld s", at,
             (long long)(age_ms / 1000), (long long)(options->max_age_ms / 1000));
    return ERR_OK;
}

static bool code_is_asked(const struct appraisal_options *options)
{
    return options->nonce_expected || options->pcr_expected != 0;
}

static enum err debug_check(const struct appraisal_options *options,
                            const struct attest_report *report, struct fault *fault)
{
    (void)options;
    if (attdoc_is_debug(&report->doc)) /* ASK-3 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "pcrs"), ERR_DEBUG,
             "PCR0, 1 or 2 is zero or absent: a debug-mode enclave, which proves no code");
    return ERR_OK;
}

static bool pcrs_are_asked(const struct appraisal_options *options)
{
    return options->pcr_expected != 0;
}

static enum err pcrs_check(const struct appraisal_options *options,
                           const struct attest_report *report, struct fault *fault)
{
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((options->pcr_expected >> i & 1) == 0)
            continue;
        fault_at(fault, FAULT_NO_OFFSET, "pcrs[%u]", i);
        const uint8_t *found = report->doc.pcr[i];
        if (found == NULL) /* ASK-4 */
            FAIL(fault, ERR_PCR_MISMATCH, "the document does not have this PCR");
        if (CRYPTO_memcmp(options->pcr[i], found, ATTDOC_PCR_LEN) == 0)
            continue;
        char expected_hex[2 * ATTDOC_PCR_LEN + 1];
        char found_hex[2 * ATTDOC_PCR_LEN + 1];
        hex_encode(bytes_of(options->pcr[i], ATTDOC_PCR_LEN), expected_hex);
        hex_encode(bytes_of(found, ATTDOC_PCR_LEN), found_hex);
        /* ASK-5 */
        FAIL(fault, ERR_PCR_MISMATCH, "expected %s, found %s", expected_hex, found_hex);
    }
    return ERR_OK;
}

static bool nonce_is_asked(const struct appraisal_options *options)
{
    return options->nonce_expected;
}

static enum err nonce_check(const struct appraisal_options *options,
                            const struct attest_report *report, struct fault *fault)
{
    const struct attdoc_optional *found = &report->doc.nonce;
    fault_at(fault, FAULT_NO_OFFSET, "nonce");
    if (found->state != ATTDOC_PRESENT) /* ASK-6 */
        FAIL(fault, ERR_NONCE_MISMATCH, "the document has no nonce");
    if (found->value.len != options->nonce.len) /* ASK-7 */
        FAIL(fault, ERR_NONCE_MISMATCH, "expected %zu byte%s, found %zu", options->nonce.len,
             plural(options->nonce.len), found->value.len);
    if (CRYPTO_memcmp(found->value.ptr, options->nonce.ptr, options->nonce.len) != 0) /* ASK-8 */
        FAIL(fault, ERR_NONCE_MISMATCH, "%zu byte%s, but not what is expected", found->value.len,
             plural(found->value.len));
    return ERR_OK;
}

static const struct demand demands[] = {
    {"max_age", age_is_asked, age_check},
    {"debug", code_is_asked, debug_check},
    {"pcrs", pcrs_are_asked, pcrs_check},
    {"nonce", nonce_is_asked, nonce_check},
};
_Static_assert(ATTEST_CHECK_COUNT + 1 + ARRAY_LEN(demands) <= APPRAISAL_CHECK_MAX, "room for all");

static void list_attest_checks(struct appraisal *a)
{
    for (unsigned i = 0; i < ATTEST_CHECK_COUNT; i++) {
        const enum appraisal_result result = a->authentic || i < a->report.reached
                                                 ? APPRAISAL_PASSED
                                             : i == a->report.reached ? APPRAISAL_FAILED
                                                                      : APPRAISAL_NOT_REACHED;
        a->check[a->check_count++] =
            (struct appraisal_check){attest_check_name((enum attest_check)i), result};
    }
}

/* What is not authentic is nobody's: nothing of it can be revoked.  Listed where something was:
 * else the appraisal is the one of a verifier that nobody told of revocations. */
static void run_revocation(const struct appraisal_options *options,
                           const struct verified_doc *verified, struct appraisal *a)
{
    if (options->revocation == NULL || !a->authentic)
        return;
    a->valid = options->revocation(options->revocation_context, verified, &a->fault) == ERR_OK;
    if (!a->valid)
        a->check[a->check_count++] = (struct appraisal_check){"revocation", APPRAISAL_FAILED};
}

static void run_demands(const struct appraisal_options *options, struct appraisal *a)
{
    for (size_t i = 0; i < ARRAY_LEN(demands); i++) {
        if (!demands[i].is_asked(options))
            continue;
        struct appraisal_check *check = &a->check[a->check_count++];
        *check = (struct appraisal_check){demands[i].name, APPRAISAL_NOT_REACHED};
        if (!a->valid)
            continue;
        a->valid = demands[i].check(options, &a->report, &a->fault) == ERR_OK;
        check->result = a->valid ? APPRAISAL_PASSED : APPRAISAL_FAILED;
    }
    if (a->valid)
        fault_clear(&a->fault); /* the checks left the place they looked at */
}

enum err appraisal_run(struct attest_trust *trust, struct bytes document,
                       const struct appraisal_options *options, struct appraisal *out,
                       struct fault *fault)
{
    struct appraisal a = {.fault = FAULT_NONE, .time = options->time};
    const bool at_document = options->time == APPRAISAL_TIME_DOCUMENT;
    CLEANUP(verified_doc_freep) struct verified_doc *verified = NULL;
    const enum err err = attest_verify(trust, document, options->kind,
                                       at_document ? ATTEST_AT_DOCUMENT : options->now_ms,
                                       &verified, &a.report, &a.fault);
    if (err != ERR_OK && !err_is_verdict(err)) {
        if (fault != NULL)
            *fault = a.fault;
        return err;
    }
    a.fault.code = err;
    a.authentic = a.valid = err == ERR_OK;
    a.time_known = !at_document || a.report.parsed;
    a.report.now_ms = !at_document      ? options->now_ms
                      : a.report.parsed ? (int64_t)a.report.doc.timestamp_ms
                                        : 0;
    memcpy(a.root_sha256, attest_trust_root_sha256(trust), sizeof a.root_sha256);
    if (a.authentic) {
        const struct bytes region = verified_doc_region(verified);
        if (region.len < sizeof a.region && region.len > 0)
            memcpy(a.region, region.ptr, region.len);
    }
    list_attest_checks(&a);
    run_revocation(options, verified, &a);
    run_demands(options, &a);
    *out = a;
    return ERR_OK;
}

const char *appraisal_result_name(enum appraisal_result result)
{
    static const char *const names[] = {
        [APPRAISAL_NOT_REACHED] = "not reached",
        [APPRAISAL_PASSED] = "ok",
        [APPRAISAL_FAILED] = "failed",
    };
    return names[result];
}
