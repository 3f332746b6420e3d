/* The document maker: attestation documents under a root of its own, shaped like
 * today's genuine ones, whole or broken in exactly one way.
 *
 * Shared by the tests and by the simulator (enclave-agent/nsm-sim); never linked
 * into `vouchsafe` or `vouchsafe-agent`. */
#ifndef VOUCHSAFE_MKDOC_H
#define VOUCHSAFE_MKDOC_H

#include <openssl/types.h>

#include "common/attdoc.h"

#define MKDOC_CHAIN_MAX 10 /* root, intermediates, leaf: more than a document may hold */

/* One certificate to be made.  mkdoc_chain_defaults fills it like AWS's; a test then
 * changes one member. */
struct mkdoc_cert {
    char subject_cn[128];
    const char *issuer_cn; /* NULL: the parent's subject */
    int64_t from_ms;
    int64_t until_ms;
    int x509_version;       /* 3 */
    const char *curve;      /* "P-384" */
    const char *digest;     /* "SHA384": the parent's signature over this certificate */
    bool basic_constraints; /* the extension is present, critical */
    bool ca;
    int pathlen;   /* -1: none */
    int key_usage; /* X509v3_KU_* bits, 0: no extension */
    bool key_usage_critical;
    bool unknown_critical_extension;
    bool duplicate_extension; /* the last one, key usage as a rule, is there twice */
    bool self_signed;         /* signed with its own key instead of the parent's */
    bool break_signature;     /* one bit of the signature changed */
};

struct mkdoc_chain_spec {
    size_t len; /* 5: root, regional, zonal, instance, leaf */
    struct mkdoc_cert cert[MKDOC_CHAIN_MAX];
};

/* Keys and DER of a made chain. */
struct mkdoc_chain {
    size_t len;
    EVP_PKEY *key[MKDOC_CHAIN_MAX];
    struct buf der[MKDOC_CHAIN_MAX];
};
void mkdoc_chain_free(struct mkdoc_chain *chain);

/* AWS's shape around `now_ms`: names "vouchsafe-test.nitro-enclaves" (so that
 * nobody takes it for AWS's root), "<hash>.<region>.aws.nitro-enclaves",
 * "<hash>.zonal.<region>...",
 * "<instance>.<region>...", leaf "<module_id>.<region>.aws"; root 30 years, regional 20
 * days, zonal 6 days, instance 1 day, leaf 10,803 s backdated by 3 s; path lengths
 * none/2/1/0; key usages and criticality as attestation-docs say. */
void mkdoc_chain_defaults(struct mkdoc_chain_spec *spec, int64_t now_ms, const char *module_id,
                          const char *region);
MUST_CHECK enum err mkdoc_chain_make(const struct mkdoc_chain_spec *spec, struct mkdoc_chain *out);
/* As make, but certificates 0..keep-1 are taken over from `base` (its keys and DER). */
MUST_CHECK enum err mkdoc_chain_extend(const struct mkdoc_chain *base, size_t keep,
                                       const struct mkdoc_chain_spec *spec,
                                       struct mkdoc_chain *out);
/* The root's certificate as PEM: what `--root` takes. */
MUST_CHECK enum err mkdoc_root_pem(const struct mkdoc_chain *chain, struct buf *pem);

/* What the payload says; mkdoc_fields_defaults fills a production enclave's. */
struct mkdoc_fields {
    bool map_indefinite; /* true, as since August 2025 */
    bool nitrotpm;       /* the key is `nitrotpm_pcrs` */
    const char *module_id;
    const char *digest; /* "SHA384" */
    uint64_t timestamp_ms;
    uint32_t pcr_present;
    uint8_t pcr[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN];
    struct attdoc_optional public_key;
    struct attdoc_optional user_data;
    struct attdoc_optional nonce;
};
/* PCR0..15 present; 0, 1, 2, 4 set from `seed`, the rest zero; all optionals null. */
void mkdoc_fields_defaults(struct mkdoc_fields *fields, int64_t now_ms, const char *module_id,
                           unsigned seed);
/* PCR0, 1 and 2 to zero, as a debug-mode enclave has them. */
void mkdoc_fields_debug(struct mkdoc_fields *fields);

/* Appends the payload map in the genuine key order: module_id, digest, timestamp,
 * pcrs, certificate, cabundle, public_key, user_data, nonce. */
MUST_CHECK enum err mkdoc_payload(const struct mkdoc_fields *fields,
                                  const struct mkdoc_chain *chain, struct buf *payload);
/* Appends an untagged COSE_Sign1 over any payload, signed by the chain's leaf. */
MUST_CHECK enum err mkdoc_sign(const struct mkdoc_chain *chain, struct bytes payload,
                               struct buf *document);
/* Both in one. */
MUST_CHECK enum err mkdoc_document(const struct mkdoc_fields *fields,
                                   const struct mkdoc_chain *chain, struct buf *document);

#endif
