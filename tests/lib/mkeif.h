/* The maker of enclave image files: whole ones as AWS's eif_build writes them, of which a test
 * changes one thing.  Written from the EIF Specification, and apart from the reader. */
#ifndef VOUCHSAFE_MKEIF_H
#define VOUCHSAFE_MKEIF_H

#include <openssl/types.h>

#include "common/attdoc.h"

#define MKEIF_HEADER_LEN   548
#define MKEIF_HEAD_LEN     12
#define MKEIF_COUNT_AT     26
#define MKEIF_OFFSETS_AT   28
#define MKEIF_SIZES_AT     284
#define MKEIF_CRC_AT       544
#define MKEIF_SECTIONS_MAX 33 /* one more than a file may have */

enum {
    MKEIF_KERNEL = 1,
    MKEIF_CMDLINE = 2,
    MKEIF_RAMDISK = 3,
    MKEIF_SIGNATURE = 4,
    MKEIF_METADATA = 5,
};

#define MKEIF_METADATA_TEXT                                                                     \
    "{\"ImageName\":\"payments\",\"ImageVersion\":\"1.4.2\",\"BuildMetadata\":{\"BuildTime\":"  \
    "\"2026-11-29T09:00:00+00:00\",\"BuildTool\":\"nitro-cli\",\"BuildToolVersion\":\"1.4.2\"," \
    "\"OperatingSystem\":\"Linux\",\"KernelVersion\":\"4.14.256\"},\"DockerInfo\":null,"        \
    "\"CustomMetadata\":null}"

struct mkeif {
    unsigned version; /* 4 */
    size_t count;
    struct {
        unsigned type;
        struct bytes content;
    } section[MKEIF_SECTIONS_MAX];
};

/* kernel, cmdline, metadata and as many ramdisks, in the order of eif_build. */
void mkeif_defaults(struct mkeif *eif, size_t ramdisks);
void mkeif_add(struct mkeif *eif, unsigned type, struct bytes content);
/* Appends the file, its header and CRC right. */
MUST_CHECK enum err mkeif_build(const struct mkeif *eif, struct buf *out);
/* Of a file that was changed. */
void mkeif_fix_crc(struct buf *file);
/* PCR0, 1 and 2, each from one text that is put together and hashed at once. */
MUST_CHECK enum err mkeif_pcrs(const struct mkeif *eif, uint8_t pcr[3][ATTDOC_PCR_LEN]);
/* SHA-384(48 zeros | SHA-384(content)). */
MUST_CHECK enum err mkeif_pcr(struct bytes content, uint8_t out[static ATTDOC_PCR_LEN]);

/* Appends a self-signed certificate of `key` in DER; `x509_version` 1 is what AWS's
 * instructions (openssl x509 -req) make. */
MUST_CHECK enum err mkeif_certificate(EVP_PKEY *key, int x509_version, struct buf *der);
/* Appends a PEM block of that name. */
MUST_CHECK enum err mkeif_pem(const char *name, struct bytes der, struct buf *pem);
/* Appends what is signed: {"register_index": index, "register_value": [...]}. */
MUST_CHECK enum err mkeif_pcr_info(uint64_t index, struct bytes value, struct buf *payload);
/* Appends a COSE_Sign1 over `payload` under `key`, by its curve. */
MUST_CHECK enum err mkeif_message(EVP_PKEY *key, struct bytes payload, struct buf *message);
/* Appends the section: one entry of these two. */
MUST_CHECK enum err mkeif_signature(struct bytes pem, struct bytes message, struct buf *section);
/* All of these: the signature over `eif` as it is, by `key`. */
MUST_CHECK enum err mkeif_sign(const struct mkeif *eif, EVP_PKEY *key, struct bytes der,
                               struct buf *section);

#endif
