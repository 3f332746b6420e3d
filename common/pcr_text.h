/* PCRs as people and files write them: an index, and 96 hex digits for the value.
 * One reading for every command line, request and build log (PROTOCOL section 1). */
#ifndef VOUCHSAFE_PCR_TEXT_H
#define VOUCHSAFE_PCR_TEXT_H

#include "attdoc.h"
#include "bytes.h"

/* "0".."31", no leading zero.  ERR_MALFORMED. */
MUST_CHECK enum err pcr_index_parse(struct bytes text, unsigned *index);

/* One member of a request's map "pcrs".  ERR_MALFORMED at "pcrs" where the key is no
 * index, ERR_HEX at "pcrs[N]". */
MUST_CHECK enum err pcr_member_parse(struct bytes key, struct bytes value, unsigned *index,
                                     uint8_t out[static ATTDOC_PCR_LEN], struct fault *fault);

/* The argument of an option --pcr, "N=HEX".  ERR_USAGE. */
MUST_CHECK enum err pcr_assignment_parse(const char *text, unsigned *index,
                                         uint8_t out[static ATTDOC_PCR_LEN], struct fault *fault);

#endif
