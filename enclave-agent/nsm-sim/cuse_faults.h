/* What goes wrong with a security module, asked for line by line in a file:
 *
 *   OPERATION errno NAME   the ioctl fails: EIO, ETIMEDOUT, ENODATA, ...
 *   OPERATION error CODE   the module refuses: {"Error": CODE}
 *   OPERATION cut N        the reply's first N bytes are all that comes
 *   OPERATION claim N      the reply is said to have N bytes
 *
 * OPERATION is a request's name, such as Attestation, or *; the first line that fits
 * counts.  An empty file is a module without a fault. */
#ifndef VOUCHSAFE_CUSE_FAULTS_H
#define VOUCHSAFE_CUSE_FAULTS_H

#include "common/bytes.h"

enum cuse_fault_kind {
    CUSE_FAULT_NONE,
    CUSE_FAULT_ERRNO,
    CUSE_FAULT_ERROR,
    CUSE_FAULT_CUT,
    CUSE_FAULT_CLAIM,
};

struct cuse_fault {
    enum cuse_fault_kind kind;
    uint64_t number; /* an errno, or a count of bytes */
    char code[32];   /* of {"Error": code} */
};

/* The fault that `text`, a file's content, has for `request`.  ERR_USAGE where a line
 * says nothing of the above. */
MUST_CHECK enum err cuse_fault_find(struct bytes text, struct bytes request, struct cuse_fault *out,
                                    struct fault *fault);

#endif
