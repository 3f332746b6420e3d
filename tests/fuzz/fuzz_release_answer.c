/* What an agent reads of a verifier's answers, which crossed the parent: the release and the
 * challenge.  What is read is written and read again as the same. */
#include "common/protocol.h"
#include "fuzz.h"

static void check_release(struct bytes in)
{
    CLEANUP(release_answer_free) struct release_answer again = {0};
    CLEANUP(buf_free) struct buf text = {0}; /* empty again once it has been parsed */
    CLEANUP(buf_free) struct buf json = {0};
    CLEANUP(buf_free) struct buf json_again = {0};
    struct fault fault = FAULT_NONE;
    struct release_answer answer;
    FUZZ_FILL(&answer);
    FUZZ_OK(buf_append(&text, in));
    const enum err err = release_answer_parse(&text, &answer, &fault);
    FUZZ_CHECK(err, &fault, in, &answer);
    if (err != ERR_OK)
        return;
    FUZZ_OK(release_answer_append(&answer, &json));
    FUZZ_OK(release_answer_append(&answer, &text));
    FUZZ_OK(release_answer_parse(&text, &again, NULL));
    FUZZ_OK(release_answer_append(&again, &json_again));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&json), bytes_of_buf(&json_again)));
    release_answer_free(&answer);
}

static void check_challenge(struct bytes in)
{
    CLEANUP(buf_free) struct buf json = {0};
    struct fault fault = FAULT_NONE;
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    uint8_t again[PROTOCOL_CHALLENGE_LEN];
    FUZZ_FILL(&challenge);
    const enum err err = challenge_answer_parse(in, challenge, &fault);
    FUZZ_CHECK(err, &fault, in, &challenge);
    if (err != ERR_OK)
        return;
    FUZZ_OK(challenge_answer_append(challenge, 120, &json));
    FUZZ_OK(challenge_answer_parse(bytes_of_buf(&json), again, NULL));
    FUZZ_HOLDS(memcmp(challenge, again, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_release(bytes_of(data, size));
    check_challenge(bytes_of(data, size));
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_json(data, size, max_size, seed);
}
