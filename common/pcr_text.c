#include "pcr_text.h"

#include "codec.h"

enum err pcr_index_parse(struct bytes text, unsigned *index)
{
    uint64_t number = 0;
    TRY(decimal_parse(text, ATTDOC_PCR_COUNT - 1, &number));
    *index = (unsigned)number;
    return ERR_OK;
}

enum err pcr_member_parse(struct bytes key, struct bytes value, unsigned *index,
                          uint8_t out[static ATTDOC_PCR_LEN], struct fault *fault)
{
    unsigned number = 0;
    if (pcr_index_parse(key, &number) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "pcrs"), ERR_MALFORMED,
             "an index of 0..%d is expected", ATTDOC_PCR_COUNT - 1);
    if (hex_decode(value, out, ATTDOC_PCR_LEN) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "pcrs[%u]", number), ERR_HEX,
             "%d hexadecimal digits are expected, %zu character%s found", 2 * ATTDOC_PCR_LEN,
             value.len, plural(value.len));
    *index = number;
    return ERR_OK;
}

enum err pcr_assignment_parse(const char *text, unsigned *index, uint8_t out[static ATTDOC_PCR_LEN],
                              struct fault *fault)
{
    const size_t len = strcspn(text, "=");
    unsigned number = 0;
    if (text[len] != '=' || pcr_index_parse(bytes_of(text, len), &number) != ERR_OK)
        FAIL(fault, ERR_USAGE, "--pcr takes N=HEX with N from 0 to %d, not \"%s\"",
             ATTDOC_PCR_COUNT - 1, text);
    if (hex_decode(bytes_of_text(text + len + 1), out, ATTDOC_PCR_LEN) != ERR_OK)
        FAIL(fault, ERR_USAGE, "--pcr %u=HEX takes exactly %d hex digits", number,
             2 * ATTDOC_PCR_LEN);
    *index = number;
    return ERR_OK;
}
