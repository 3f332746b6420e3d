/* COSE_Sign1 (RFC 9052 section 4.2) for the few kinds of message that exist here.
 *
 * A constant table of profiles gives the exact protected header, algorithm, curve,
 * external_aad and tag of each kind; nothing is read from a message to choose any
 * of them, so one kind of ours can never pass for another (PROTOCOL section 5).  AWS's two
 * kinds, documents and image signatures, have no external_aad that tells them apart: their
 * payloads and their signers' certificates do. */
#ifndef VOUCHSAFE_COSE_SIGN1_H
#define VOUCHSAFE_COSE_SIGN1_H

#include <openssl/types.h>

#include "bytes.h"

#define COSE_KID_LEN 16

enum cose_curve {
    COSE_P256, /* ES256: with SHA-256 */
    COSE_P384, /* ES384: with SHA-384 */
    COSE_P521, /* ES512: with SHA-512 */
    COSE_CURVE_COUNT
};

enum cose_profile {
    COSE_ATTESTATION, /* ES384, header a1013822, external_aad empty, untagged or tag 18 */
    COSE_RECEIPT,     /* ES256, header {1: -7, 4: kid}, always tag 18, as the rest */
    COSE_DELEGATION,  /* ES384, header {1: -35, 4: kid} */
    COSE_CHECKPOINT,  /* ES256 */
    COSE_SEALING_KEY, /* ES256 */
    COSE_EIF_ES256,   /* AWS's signature of an image's PCR0, by the signer's curve: header */
    COSE_EIF_ES384,   /* {1: -7}, {1: -35} or {1: -36}, external_aad empty, untagged or */
    COSE_EIF_ES512,   /* tag 18 */
    COSE_PROFILE_COUNT
};

/* A parsed message: views into the input. */
struct cose_sign1 {
    enum cose_profile profile;
    struct bytes protected_header;
    struct bytes kid;       /* COSE_KID_LEN bytes; empty for AWS's kinds */
    struct bytes payload;   /* the content of the payload byte string */
    size_t payload_offset;  /* of that content in the input */
    struct bytes signature; /* r | s, twice the curve's size */
};

/* Strict: array of 4, the profile's header whole (but for the kid's value), an empty
 * unprotected map, a payload of 1..16,384 bytes for attestation, 1..256 for an image
 * signature (1..1 MiB otherwise), a signature of exactly the curve's size, nothing after it.
 * Allocates nothing. ERR_COSE_MALFORMED, ERR_COSE_ALG (the header is not the profile's),
 * ERR_TOO_LARGE (the payload), or the reader's errors; field paths "cose", "cose.protected",
 * "cose.unprotected", "cose.payload", "cose.signature". */
MUST_CHECK enum err cose_sign1_parse(enum cose_profile profile, struct bytes in,
                                     struct cose_sign1 *out, struct fault *fault);

/* Verifies over the received bytes: the Sig_structure is hashed from views, never
 * re-encoded.  `key` must be an EC key on the profile's curve (ERR_COSE_ALG).
 * ERR_SIGNATURE where it does not verify; r and s of zero or beyond the order are
 * refused, high s is not (genuine documents have it). */
MUST_CHECK enum err cose_sign1_verify(const struct cose_sign1 *msg, EVP_PKEY *key,
                                      struct fault *fault);

/* The signature alone: `signature` is r | s over an already computed `digest`, of
 * exactly the sizes that go with the curve.  ERR_COSE_ALG for a key that is not on
 * `curve`, ERR_SIGNATURE for whatever does not verify. */
MUST_CHECK enum err cose_ecdsa_verify(enum cose_curve curve, EVP_PKEY *key, struct bytes digest,
                                      struct bytes signature, struct fault *fault);

/* Appends the message, signed: deterministic CBOR, tagged for all but AWS's kinds.
 * `kid` is NULL for those, else COSE_KID_LEN bytes.  ERR_COSE_ALG for a key that
 * is not on the profile's curve, ERR_TOO_LARGE or ERR_COSE_MALFORMED (empty) for a
 * payload that no parser would take, ERR_CRYPTO, ERR_NO_MEMORY; `out` is then as it
 * was. */
MUST_CHECK enum err cose_sign1_sign(enum cose_profile profile, const uint8_t *kid,
                                    struct bytes payload, EVP_PKEY *key, struct buf *out);

/* First 16 bytes of SHA-256 of the key's SubjectPublicKeyInfo: selects among pins,
 * is no source of trust. */
MUST_CHECK enum err cose_key_id(EVP_PKEY *key, uint8_t out[static COSE_KID_LEN]);

/* SHA-384, the only digest that identifies documents (DESIGN section 4). */
#define SHA384_LEN 48
#define SHA256_LEN 32
MUST_CHECK enum err digest_sha384(struct bytes in, uint8_t out[static SHA384_LEN]);
MUST_CHECK enum err digest_sha256(struct bytes in, uint8_t out[static SHA256_LEN]);

#endif
