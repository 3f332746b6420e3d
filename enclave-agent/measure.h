/* What is settled before anything is asked of a verifier: that the configuration is measured
 * (--extend), that the kernel was started as the image says (cmdline), and whether this enclave
 * proves anything at all.
 *
 * A PCR of 16 to 31 is extended once, from zero, by the SHA-384 of a file, and locked: PROTOCOL
 * section 3, "Security versions".  The verifier computes the same value
 * (verifier/measure/pcr_of.h). Files and settings are the image's, and trusted. */
#ifndef VOUCHSAFE_AGENT_MEASURE_H
#define VOUCHSAFE_AGENT_MEASURE_H

#include "common/cose_sign1.h"
#include "nsm.h"

#define MEASURE_PCR_FIRST 16 /* the lower ones are the hypervisor's */
#define MEASURE_FILE_MAX  (1024 * 1024)
#define MEASURE_MAX       (ATTDOC_PCR_COUNT - MEASURE_PCR_FIRST)

#define MEASURE_DEBUG_SENTENCE                                                               \
    "this enclave runs in debug mode: its measurements are zero and differ from those that " \
    "build-enclave printed; no production store releases anything to it: start it without "  \
    "--debug-mode"

/* All borrowed. */
struct measure_plan {
    size_t count;
    struct {
        unsigned index;
        const char *path;
    } extend[MEASURE_MAX];
    const char *cmdline; /* that the kernel must have, or NULL */
};

/* "N=PATH": ERR_USAGE for another number, an empty path, a PCR that is there already. */
MUST_CHECK enum err measure_plan_add(struct measure_plan *plan, const char *text,
                                     struct fault *fault);

/* The SHA-384 of a file of 1..MEASURE_FILE_MAX bytes: ERR_FILE, ERR_CONFIG. */
MUST_CHECK enum err measure_file(const char *path, uint8_t digest[static SHA384_LEN],
                                 struct fault *fault);
/* Extends by that, and locks.  What an earlier run in the same enclave has done is left as it
 * is, and what it began is brought to its end.  ERR_PCR_MISMATCH, with both values, where the
 * PCR is another's; ERR_NSM. */
MUST_CHECK enum err measure_extend(const struct nsm *nsm, unsigned index,
                                   const uint8_t digest[static SHA384_LEN], struct fault *fault);

/* Whether the file's first line is `expected`, but for parameters that a virtual machine monitor
 * puts behind it for its devices, "virtio_mmio.device=...", which are part of no image.
 * ERR_CONFIG, with both; ERR_FILE. */
MUST_CHECK enum err measure_cmdline(const char *path, const char *expected, struct fault *fault);

/* All of the plan; nothing is extended before every file was read.  `*debug` says whether PCR0 is
 * zero. */
MUST_CHECK enum err measure_enclave(const struct measure_plan *plan, const char *nsm, bool *debug,
                                    struct fault *fault);

#endif
