/* The PCR values that AWS's tools print: bytes to values, pure.
 *
 * Takes what `nitro-cli build-enclave` and `describe-eif` print of an enclave, and
 * `nitro-tpm-pcr-compute` of an EC2 instance, whole or only its "Measurements" object, with
 * the lines that the tools and a build log put around it; and the list that
 * aws-nitro-enclaves-image-format's eif_build prints.  Refuses what
 * only looks like it: placeholders, a running enclave in debug mode (its documents do
 * not hold these values), several results at once.
 *
 * Trusts the text as far as the one who passes it: whoever writes these values decides
 * what code gets the secrets.  What stands beside the PCRs (image name, tool, times) is
 * not measured by anything and becomes provenance only. */
#ifndef VOUCHSAFE_NITRO_JSON_H
#define VOUCHSAFE_NITRO_JSON_H

#include "common/attdoc.h"

#define NITRO_JSON_INPUT_MAX  (4 * 1024 * 1024) /* a long build log */
#define NITRO_PROVENANCE_SIZE 1024

struct nitro_measurements {
    enum attdoc_kind kind; /* by its shape */
    uint32_t present;      /* bit i: PCR i; 0, 1 and 2 always, or 4 and 7 (NitroTPM) */
    uint8_t pcr[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN];
    /* "nitro-cli describe-eif; ImageName=payments; BuildTool=nitro-cli 1.4.2": printable
     * ASCII, cut where it is too long. */
    char provenance[NITRO_PROVENANCE_SIZE];
};

/* Appends "; NAME=VALUE" to the provenance, cleaned and cut; nothing for a NULL or empty value. */
void nitro_provenance_add(struct nitro_measurements *m, const char *name, const char *value);

/* Whether what a tool printed and what an image file was measured to here are one build: PCR0, 1,
 * 2 and 8 the same, or 8 in neither.  ERR_MEASUREMENT_INPUT with the first that differs, and
 * both values. */
MUST_CHECK enum err nitro_measurements_agree(const struct nitro_measurements *printed,
                                             const struct nitro_measurements *measured,
                                             struct fault *fault);

/* ERR_MEASUREMENT_INPUT with what was found instead; ERR_PCRS_ZERO for the values of a
 * debug enclave; ERR_TOO_LARGE; ERR_NO_MEMORY. */
MUST_CHECK enum err nitro_json_parse(struct bytes text, struct nitro_measurements *out,
                                     struct fault *fault);

#endif
