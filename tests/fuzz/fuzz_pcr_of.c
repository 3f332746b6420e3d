/* What PCRs are computed from: an ARN, an instance id, a certificate, as somebody gives them. */
#include "common/cose_sign1.h"
#include "fuzz.h"
#include "verifier/measure/pcr_of.h"

typedef enum err text_fn(const char *text, uint8_t out[static ATTDOC_PCR_LEN], struct fault *fault);

/* Whatever is accepted has the hash of exactly that text. */
static void check_text(text_fn *pcr_of, struct bytes in, const char *text, const char *prefix)
{
    uint8_t pcr[ATTDOC_PCR_LEN], again[ATTDOC_PCR_LEN];
    struct fault fault = FAULT_NONE;
    CLEANUP(buf_free) struct buf extended = {0};
    FUZZ_FILL(&pcr);
    const enum err err = pcr_of(text, pcr, &fault);
    FUZZ_CHECK(err, &fault, in, &pcr);
    if (err != ERR_OK)
        return;
    FUZZ_HOLDS(strncmp(text, prefix, strlen(prefix)) == 0);
    FUZZ_HOLDS(strpbrk(text, "*? \n") == NULL);
    for (size_t i = 0; i < ATTDOC_PCR_LEN; i++)
        FUZZ_OK(buf_append(&extended, bytes_of("\0", 1)));
    FUZZ_OK(buf_append_text(&extended, text));
    FUZZ_OK(digest_sha384(bytes_of_buf(&extended), again));
    FUZZ_HOLDS(memcmp(pcr, again, sizeof pcr) == 0);
}

static void check_certificate(struct bytes in)
{
    uint8_t pcr[ATTDOC_PCR_LEN], again[ATTDOC_PCR_LEN];
    struct fault fault = FAULT_NONE;
    FUZZ_FILL(&pcr);
    const enum err err = pcr_of_certificate(in, pcr, &fault);
    FUZZ_CHECK(err, &fault, in, &pcr);
    FUZZ_HOLDS(pcr_of_certificate(in, again, NULL) == err);
    /* A certificate as DER is measured as it is: the same as a file that extends a PCR. */
    if (err != ERR_OK || in.ptr[0] != 0x30 || in.ptr[1] < 0x80)
        return;
    FUZZ_OK(pcr_of_extension(in, again, NULL));
    FUZZ_HOLDS(memcmp(pcr, again, sizeof pcr) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    CLEANUP(buf_free) struct buf text = {0};
    FUZZ_OK(buf_append(&text, in));
    const char *terminated = buf_text(&text);
    FUZZ_HOLDS(terminated != NULL);
    check_text(pcr_of_role, in, terminated, "arn:aws");
    check_text(pcr_of_instance, in, terminated, "i-");
    check_certificate(in);
    return 0;
}

/* DER with one element changed; or whatever else it is. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    CLEANUP(buf_free) struct buf whole = {0};
    if (size > 1 && data[0] == 0x30 && fuzz_choose(&seed, 4) != 0)
        fuzz_mutate_der(bytes_of(data, size), &seed, &whole);
    if (whole.len == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    return fuzz_replace(data, size, max_size, &whole);
}
