/* One build as the options say it: what `measurement add` sends and `registration make` writes. */
#ifndef VOUCHSAFE_CLI_BUILD_OPTIONS_H
#define VOUCHSAFE_CLI_BUILD_OPTIONS_H

#include "api.h"
#include "pcr_values.h"

/* The rows that build_set asks for, in the tables of both. */
#define BUILD_OPTIONS                                                                              \
    {.name = "from",                                                                               \
     .arg = "FILE|-",                                                                              \
     .help = "read the PCRs from what nitro-cli build-enclave, nitro-cli describe-eif or "         \
             "nitro-tpm-pcr-compute printed"},                                                     \
        {.name = "eif",                                                                            \
         .arg = "FILE|-",                                                                          \
         .help = "measure this enclave image file; with --from, both must agree"},                 \
        {.name = "pcr",                                                                            \
         .arg = "N=HEX",                                                                           \
         .help = "one PCR, 96 hex digits; may be repeated",                                        \
         .repeated = true},                                                                        \
        PCR_VALUES_OPTIONS,                                                                        \
        {.name = "kind", .arg = "KIND", .help = "enclave (default) or nitrotpm; --from shows it"}, \
        {.name = "label",                                                                          \
         .arg = "NAME=VALUE",                                                                      \
         .help = "a note, such as a commit; may be repeated",                                      \
         .repeated = true},                                                                        \
        {.name = "not-before", .arg = "TIME", .help = "matches nothing before (RFC 3339, UTC)"},   \
    {                                                                                              \
        .name = "not-after", .arg = "TIME", .help = "matches nothing after (RFC 3339, UTC)"        \
    }

/* IMAGE@VERSION as the members `image` and `version`; ERR_USAGE. */
MUST_CHECK enum err build_set_name(json_t *params, const char *build, struct fault *fault);

/* IMAGE@VERSION, the first operand, and what the options say of it, as the members of
 * `POST /v1/admin/measurements`.  ERR_USAGE, and the errors of what is read. */
MUST_CHECK enum err build_set(json_t *params, const struct cli_args *args, struct fault *fault);

#endif
