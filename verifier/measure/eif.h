/* An enclave image file, read in one pass: bytes to PCR values, pure.
 *
 * The format is AWS's, versions 2, 3 and 4 (aws-nitro-enclaves-image-format, README "EIF
 * Specification"): a header of 548 bytes with the place and size of each section and a CRC-32,
 * then the sections, each behind a head of 12 bytes.  All numbers are big-endian.  PCR0, 1, 2
 * and 8 come out as nitro-cli prints them.
 *
 * Trusts nothing.  The bytes are fed in pieces of any size and not kept, but for the signature
 * and the metadata, which are bounded.  Stricter than nitro-cli where two readers could take
 * one file for two images: the header's table and the sections' heads must agree, sections
 * follow each other without a gap, and nothing follows the last.  The signature is verified
 * (eif_signature.h); the metadata is in no PCR and is only what the builder says. */
#ifndef VOUCHSAFE_EIF_H
#define VOUCHSAFE_EIF_H

#include <jansson.h>

#include "nitro_json.h"

#define EIF_SECTIONS_MIN  2 /* kernel and cmdline */
#define EIF_SECTIONS_MAX  32
#define EIF_SIGNATURE_MAX 32768 /* SIGNATURE_MAX_SIZE of the specification */
#define EIF_METADATA_MAX  (256 * 1024)
#define EIF_LEN_MAX       (UINT64_C(1) << 40) /* no instance has a TiB to spare for one enclave */

/* What is known after the last byte. */
struct eif_description {
    unsigned version;
    struct nitro_measurements measured; /* PCR0, 1, 2; signed, PCR8 as well */
    struct buf certificate;             /* the signer's, DER; empty where it is not signed */
    json_t *metadata;                   /* what the section says; NULL where there is none */
};
void eif_description_free(struct eif_description *description);

/* A file being read. */
struct eif;
MUST_CHECK enum err eif_new(struct eif **out);
void eif_free(struct eif *eif);
CLEANUP_PTR(struct eif, eif_free, eif_freep)

/* The next bytes of the file.  After a failure the file is not to be fed any more.
 * ERR_EIF with the section and the offset in the file of what is wrong; ERR_NO_MEMORY,
 * ERR_CRYPTO. */
MUST_CHECK enum err eif_feed(struct eif *eif, struct bytes piece, struct fault *fault);

/* There are no more.  ERR_EIF as above, also for a file that ends early, one whose CRC is
 * another and one that lacks a section; what eif_signature_verify says of the signature.
 * Free `out` with eif_description_free. */
MUST_CHECK enum err eif_finish(struct eif *eif, struct eif_description *out, struct fault *fault);

/* What nitro-cli describe-eif prints of it, member for member.  CheckCRC and SignatureCheck are
 * true: where they would not be, there is no description.  ERR_NO_MEMORY, ERR_CRYPTO. */
MUST_CHECK enum err eif_describe(const struct eif_description *description, json_t **out);

/* Whether the image is signed and the signer's certificate expired by then: nitro-cli
 * run-enclave refuses such an image.  Nothing here does: PCR8 is that certificate's for ever, and
 * enclaves that were started before attest it. */
bool eif_signer_expired(const struct eif_description *description, int64_t now_ms);

#endif
