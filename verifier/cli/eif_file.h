/* An enclave image file on disk, read once from its beginning to its end, in pieces: what
 * `describe-eif` and `measurement add --eif` share. */
#ifndef VOUCHSAFE_CLI_EIF_FILE_H
#define VOUCHSAFE_CLI_EIF_FILE_H

#include "common/cose_sign1.h"
#include "verifier/measure/eif.h"

/* `path` may be "-", standard input.  `sha256`: of the file, or NULL where nobody asks.  On a
 * terminal it tells how far it is; where the signer's certificate has expired it warns.
 * ERR_FILE; what eif.h says of the content.  Free `out` with eif_description_free. */
MUST_CHECK enum err eif_file_read(const char *path, struct eif_description *out, uint8_t *sha256,
                                  struct fault *fault);

#endif
