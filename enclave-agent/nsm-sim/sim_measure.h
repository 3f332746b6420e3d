/* PCR values of a simulated enclave.  Simulated: a real PCR0 measures an EIF's
 * sections; here any file stands for the image, so that a changed file is a changed
 * image. */
#ifndef VOUCHSAFE_SIM_MEASURE_H
#define VOUCHSAFE_SIM_MEASURE_H

#include "common/attdoc.h"
#include "common/cose_sign1.h"

/* SHA-384 of the whole file; ERR_FILE. */
MUST_CHECK enum err sim_measure_file(const char *path, uint8_t digest[static SHA384_LEN],
                                     struct fault *fault);

/* From the digest of the image; a PCR is extended once, from zero, as at boot:
 *   PCR0 = SHA-384(0[48] | digest)                                       the image
 *   PCR1 = SHA-384(0[48] | SHA-384("vouchsafe-nsm-sim kernel"))          the same for all
 *   PCR2 = SHA-384(0[48] | SHA-384("vouchsafe-nsm-sim application" | digest)) */
MUST_CHECK enum err sim_measure_image(const uint8_t digest[static SHA384_LEN],
                                      uint8_t pcr[static 3][ATTDOC_PCR_LEN]);

/* The same of a simulated EC2 instance, whose image boots as one signed file:
 *   PCR4 = SHA-384(0[48] | digest)                                              the image
 *   PCR7 = SHA-384(0[48] | SHA-384("vouchsafe-nsm-sim secure boot"))            the same for all */
MUST_CHECK enum err sim_measure_boot(const uint8_t digest[static SHA384_LEN],
                                     uint8_t pcr4[ATTDOC_PCR_LEN], uint8_t pcr7[ATTDOC_PCR_LEN]);

/* PCR4 = SHA-384(0[48] | instance id): the part of a module id before "-enc". */
MUST_CHECK enum err sim_measure_instance(const char *module_id, uint8_t pcr4[ATTDOC_PCR_LEN]);

/* Appends what `nitro-cli build-enclave` prints, PCR8 only where it is not zero; or of an EC2
 * instance what `nitro-tpm-pcr-compute` does: PCR4, PCR7, PCR12. */
MUST_CHECK enum err sim_measure_json(enum attdoc_kind kind,
                                     const uint8_t pcr[static ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN],
                                     struct buf *json);

#endif
