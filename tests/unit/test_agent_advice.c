/* What to do about a failure: each way has its own sentence, and it fits behind the failure.  That
 * the page has them all: tests/e2e/agent_faults.py. */
#include "unit.h"

#include <stdio.h>

#include "enclave-agent/advice.h"

static const char *of(enum err code, const char *field, size_t offset)
{
    struct fault fault = {.code = code, .offset = offset};
    snprintf(fault.field, sizeof fault.field, "%s", field);
    return advice_of(code, &fault);
}

static const char *unreachable(enum err code, const char *field, const char *url)
{
    struct fault fault = {.code = code, .offset = FAULT_NO_OFFSET};
    struct http_target target;
    ck_err(http_target_parse(url, &target, NULL), ERR_OK);
    snprintf(fault.field, sizeof fault.field, "%s", field);
    const char *advice = advice_unreachable(code, &fault, &target);
    ck_assert_ptr_nonnull(advice);
    ck_assert_uint_lt(strlen(advice), 100); /* 105 bytes are left for the failure */
    return advice;
}

static void ck_different(const char *const *advice, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_nonnull(advice[i]);
        ck_assert_uint_lt(strlen(advice[i]), ADVICE_MAX);
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(advice[i], advice[j]);
    }
}

START_TEST(valid_answers)
{
    const char *const fields[] = {"challenge.challenge", "delegation",     "receipt",
                                  "secrets[0]",          "Content-Length", "delegation.validity"};
    const char *advice[ARRAY_LEN(fields)];
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        advice[i] = of(ERR_ANSWER, fields[i], FAULT_NO_OFFSET);
    ck_different(advice, ARRAY_LEN(fields));
    ck_assert_ptr_eq(of(ERR_ANSWER, "receipt: secrets[0]", FAULT_NO_OFFSET), advice[2]);
    ck_assert_ptr_eq(of(ERR_ANSWER, "", 7), advice[4]);
}
END_TEST

START_TEST(valid_unreachable)
{
    const struct {
        enum err code;
        const char *field;
    } ways[] = {{ERR_UNREACHABLE, "3:8443"},
                {ERR_UNREACHABLE, HTTP_FIELD_NO_ANSWER},
                {ERR_UNREACHABLE, HTTP_FIELD_ANSWER},
                {ERR_TIMEOUT, ""}};
    const char *advice[2 * ARRAY_LEN(ways) + 1];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        advice[count++] = unreachable(ways[i].code, ways[i].field, "vsock://3:8443");
        advice[count++] = unreachable(ways[i].code, ways[i].field, "https://verifier.example");
    }
    advice[count++] = unreachable(ERR_UNREACHABLE, HTTP_FIELD_TLS, "vsock://3:8443");
    ck_different(advice, count);
}
END_TEST

START_TEST(valid_module)
{
    ck_assert_ptr_nonnull(of(ERR_NSM, "Attestation", 0));
    ck_assert_ptr_nonnull(of(ERR_NSM, "document.nonce", FAULT_NO_OFFSET));
    ck_assert_ptr_nonnull(of(ERR_PCR_MISMATCH, "PCR16", FAULT_NO_OFFSET));
    ck_assert_ptr_nonnull(of(ERR_CONFIG, "cmdline", FAULT_NO_OFFSET));
    /* The module's or the driver's own word has its advice with it, and a root names --root. */
    ck_assert_ptr_null(of(ERR_NSM, "document", FAULT_NO_OFFSET));
    ck_assert_ptr_null(of(ERR_NSM, "Attestation", FAULT_NO_OFFSET));
}
END_TEST

static void ck_refused(enum err code, const char *wire, const char *request_id,
                       const char *expected)
{
    struct problem problem = {.code = code, .offset = FAULT_NO_OFFSET};
    char advice[ADVICE_MAX];
    snprintf(problem.code_wire, sizeof problem.code_wire, "%s", wire);
    snprintf(problem.request_id, sizeof problem.request_id, "%s", request_id);
    advice_refused(&problem, advice);
    ck_assert_str_eq(advice, expected);
}

START_TEST(valid_refused)
{
    ck_refused(ERR_REFUSED, "refused", "7Q2F",
               "ask the verifier's admin to run 'vouchsafe explain 7Q2F'");
    /* Nothing to explain it by. */
    ck_refused(ERR_REFUSED, "refused", "", "see refused in docs/ERRORS.md, and the verifier's log");
    ck_refused(ERR_DEBUG, "debug", "7Q2F", "start the enclave without --debug-mode");
    ck_refused(ERR_UNTRUSTED, "document_untrusted", "7Q2F",
               "a simulator's documents need a development store that trusts its root");
    ck_refused(ERR_MALFORMED, "malformed", "7Q2F",
               "see malformed in docs/ERRORS.md, and the verifier's log");
    ck_refused(ERR_OK, "http_403", "",
               "this is no code that this version knows: see what answers at --verifier, and "
               "whether it is a newer verifier");
}
END_TEST

START_TEST(no_other)
{
    const struct fault other = {.code = ERR_ANSWER, .offset = FAULT_NO_OFFSET};
    ck_assert_ptr_null(of(ERR_DELIVER, "", FAULT_NO_OFFSET));
    ck_assert_ptr_null(of(ERR_NOT_FOUND, "", 0));
    ck_assert_ptr_null(advice_of(ERR_NSM, &other)); /* a fault of something else */
}
END_TEST

UNIT_MAIN("agent_advice", valid_answers, valid_unreachable, valid_module, valid_refused, no_other)
