/* The PCRs of an enclave image file, from its sections in the order of the file.
 *
 * EIF Specification, "EIF Measurements": a PCR is SHA-384(48 zero bytes | SHA-384(content)),
 * which is what extending an empty register by the content's digest gives.  PCR0's content is
 * kernel, cmdline and every ramdisk; PCR1's the same with the first ramdisk alone; PCR2's the
 * other ramdisks.  Heads and lengths are in none of them.
 *
 * Up to the second ramdisk PCR0 and PCR1 are the same hash, which is then taken twice. */
#ifndef VOUCHSAFE_EIF_DIGEST_H
#define VOUCHSAFE_EIF_DIGEST_H

#include <openssl/types.h>

#include "common/attdoc.h"

enum eif_content { EIF_BOOT, /* kernel or cmdline */ EIF_RAMDISK };

struct eif_digest {
    EVP_MD_CTX *image;     /* PCR0, and PCR1 as long as `bootstrap` is NULL */
    EVP_MD_CTX *bootstrap; /* PCR1 from the second ramdisk on */
    EVP_MD_CTX *application;
    unsigned ramdisks;
    enum eif_content current;
};

/* Free with eif_digest_free, also after a failure. */
MUST_CHECK enum err eif_digest_init(struct eif_digest *digest);
void eif_digest_free(struct eif_digest *digest);
/* A section begins; then its bytes, in pieces of any size. */
MUST_CHECK enum err eif_digest_section(struct eif_digest *digest, enum eif_content content);
MUST_CHECK enum err eif_digest_update(struct eif_digest *digest, struct bytes piece);
/* PCR0, PCR1, PCR2. */
MUST_CHECK enum err eif_digest_finish(struct eif_digest *digest, uint8_t pcr[3][ATTDOC_PCR_LEN]);

/* A PCR whose content is at hand whole: PCR8's is the signing certificate in DER. */
MUST_CHECK enum err eif_digest_pcr(struct bytes content, uint8_t out[static ATTDOC_PCR_LEN]);

#endif
