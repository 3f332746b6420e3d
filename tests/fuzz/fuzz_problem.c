/* A refusal as an agent reads it, and what it does then: unsigned, so that nothing of it may
 * reach a terminal but printable ASCII, and trying again stays bounded. */
#include "common/protocol.h"
#include "enclave-agent/retry.h"
#include "fuzz.h"

static bool printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x20 || *text > 0x7e)
            return false;
    }
    return true;
}

static void check_retries(const struct problem *problem)
{
    const enum err_retry kind = retry_of_problem(problem);
    struct retry retry = {0};
    int64_t delay_ms = -1;
    unsigned again = 0;
    while (again < 100 && retry_next(&retry, kind, problem->status, 12345, &delay_ms)) {
        FUZZ_HOLDS(delay_ms >= 0);
        again++;
    }
    FUZZ_HOLDS(kind == ERR_RETRY_BACKOFF || again <= RETRY_RECHALLENGE_MAX);
    FUZZ_HOLDS(kind != ERR_RETRY_STOP || again == 0);
}

/* The server's other half writes one that says the same. */
static void check_written_again(const struct problem *problem)
{
    CLEANUP(buf_free) struct buf json = {0};
    struct problem again;
    struct fault fault = FAULT_NONE;
    (void)fault_set(fault_at(&fault, problem->offset, "%s", problem->field), problem->code, "%s",
                    problem->detail);
    fault.code = problem->code; /* of an unknown one: the server would say "internal" */
    FUZZ_OK(problem_append(problem->status, &fault, problem->request_id, &json));
    FUZZ_OK(problem_parse(bytes_of_buf(&json), &again, NULL));
    const enum err code = problem->code == ERR_OK ? ERR_INTERNAL : problem->code;
    FUZZ_HOLDS(again.status == problem->status && again.code == code);
    FUZZ_HOLDS(again.offset == problem->offset && strcmp(again.field, problem->field) == 0);
    FUZZ_HOLDS(strcmp(again.request_id, problem->request_id) == 0);
    FUZZ_HOLDS(again.retryable == (err_retry(code) != ERR_RETRY_STOP));
    FUZZ_HOLDS(strncmp(again.detail,
                       problem->detail[0] == '\0' ? err_sentence(code) : problem->detail,
                       sizeof fault.detail - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    struct fault fault = FAULT_NONE;
    struct problem problem;
    FUZZ_FILL(&problem);
    const enum err err = problem_parse(in, &problem, &fault);
    FUZZ_CHECK(err, &fault, in, &problem);
    if (err != ERR_OK)
        return 0;
    FUZZ_HOLDS(problem.status >= 400 && problem.status <= 599);
    FUZZ_HOLDS(problem.code_wire[0] != '\0');
    FUZZ_HOLDS(problem.code == err_from_wire(problem.code_wire));
    FUZZ_HOLDS(printable(problem.code_wire) && printable(problem.detail));
    FUZZ_HOLDS(printable(problem.request_id) && printable(problem.field));
    FUZZ_HOLDS(strpbrk(problem.request_id, " '\"$;&|<>(){}`\\") == NULL);
    check_retries(&problem);
    check_written_again(&problem);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_json(data, size, max_size, seed);
}
