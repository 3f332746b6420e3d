/* The PCRs that a command line gives: as values, or by what they follow from.
 *
 * The same PCR may come from two sides, such as PCR8 from a build log and from the certificate;
 * then both must say the same.  Each value keeps its source for that error, and the readable one
 * (a role's ARN) for whoever looks at the result later. */
#ifndef VOUCHSAFE_CLI_PCR_VALUES_H
#define VOUCHSAFE_CLI_PCR_VALUES_H

#include "common/attdoc.h"
#include "common/options.h"

struct pcr_values {
    uint32_t present; /* bit i */
    uint8_t value[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN];
    const char *source[ATTDOC_PCR_COUNT]; /* "--from" */
    struct buf derived;                   /* "PCR3 of role arn:...; PCR4 of instance i-..." */
};
void pcr_values_free(struct pcr_values *values);

/* `source` is borrowed.  ERR_MEASUREMENT_INPUT where another source gave another value. */
MUST_CHECK enum err pcr_values_set(struct pcr_values *values, unsigned index,
                                   const uint8_t value[static ATTDOC_PCR_LEN], const char *source,
                                   struct fault *fault);

/* The rows of the options that pcr_values_derive reads. */
#define PCR_VALUES_OPTIONS                                                                      \
    {.name = "role-arn", .arg = "ARN", .help = "the parent instance has this IAM role (PCR3)"}, \
        {.name = "instance-id", .arg = "ID", .help = "the parent is this instance (PCR4)"},     \
    {                                                                                           \
        .name = "signing-cert", .arg = "FILE",                                                  \
        .help = "the image is signed with this certificate, PEM or DER (PCR8)"                  \
    }

/* PCR3, PCR4 and PCR8 from --role-arn, --instance-id and --signing-cert, where they were given. */
MUST_CHECK enum err pcr_values_derive(struct pcr_values *values, const struct cli_args *args,
                                      struct fault *fault);

#endif
