/* Wrapping secrets to an attested key: PROTOCOL section 4.
 *
 * One row per format, both sides of it in one file: hpke-x25519, hpke-p256, hpke-p384
 * (RFC 9180 base mode, wrap_hpke.c) and rsa-oaep-256 (wrap_rsa.c).  All end in the same
 * AES-256-GCM (wrap_aead.c).  The format follows from the key alone: nothing is
 * negotiated.
 * A public key, an encapsulation, a ciphertext are a stranger's bytes; plaintext and
 * private keys are secrets. */
#ifndef VOUCHSAFE_WRAP_H
#define VOUCHSAFE_WRAP_H

#include "bytes.h"
#include "secret.h"

#define WRAP_TAG_LEN  16   /* AES-256-GCM, at the end of each ciphertext */
#define WRAP_ENC_MAX  512  /* RSA-4096 */
#define WRAP_SPKI_MAX 1024 /* what an attestation document holds */

/* A public key that can be wrapped to. */
struct wrap_recipient;
/* DER SubjectPublicKeyInfo, at most WRAP_SPKI_MAX bytes: X25519 (not of low order), P-256,
 * P-384 (uncompressed, on the curve), or RSA of exactly 2048, 3072 or 4096 bits with odd
 * e, 65537 <= e < 2^32; the whole buffer is consumed.  Anything else: ERR_PUBLIC_KEY with
 * what was found.  Field and offset of the fault are the caller's to set. */
MUST_CHECK enum err wrap_recipient_parse(struct bytes spki, struct wrap_recipient **out,
                                         struct fault *fault);
void wrap_recipient_free(struct wrap_recipient *recipient);
CLEANUP_PTR(struct wrap_recipient, wrap_recipient_free, wrap_recipient_freep)
const char *wrap_recipient_format(const struct wrap_recipient *recipient);

/* One encapsulation, many seals: each seal takes the next sequence number from 0. */
struct wrap_sealer;
/* Appends the encapsulated key to `enc`, at most WRAP_ENC_MAX bytes.  `info` is HPKE's;
 * RSA has none (unused). */
MUST_CHECK enum err wrap_sealer_new(const struct wrap_recipient *recipient, struct bytes info,
                                    struct wrap_sealer **out, struct buf *enc);
/* Appends ciphertext and tag.  An empty plaintext is allowed.  A seal that fails has used
 * up its sequence number: give up the sealer.  ERR_WRONG_STATE after 2^32 seals. */
MUST_CHECK enum err wrap_seal(struct wrap_sealer *sealer, struct bytes aad,
                              const struct secret *plaintext, struct buf *ciphertext);
void wrap_sealer_free(struct wrap_sealer *sealer);
CLEANUP_PTR(struct wrap_sealer, wrap_sealer_free, wrap_sealer_freep)

/* The private side. */
struct wrap_key;
/* A fresh key for the named format; "rsa-oaep-256" makes 2048 bits.  ERR_USAGE for an
 * unknown name. */
MUST_CHECK enum err wrap_key_generate(const char *format, struct wrap_key **out);
/* hpke-x25519 from its 32 raw private bytes (the server's sealing key); ERR_CRYPTO for
 * another length. */
MUST_CHECK enum err wrap_key_from_x25519(const struct secret *raw, struct wrap_key **out);
/* Appends the SubjectPublicKeyInfo that wrap_recipient_parse takes. */
MUST_CHECK enum err wrap_key_spki(const struct wrap_key *key, struct buf *spki);
const char *wrap_key_format(const struct wrap_key *key);
void wrap_key_free(struct wrap_key *key);
CLEANUP_PTR(struct wrap_key, wrap_key_free, wrap_key_freep)

struct wrap_opener;
/* ERR_CRYPTO where `enc` is no encapsulation to this key (wrong size, off the curve,
 * all-zero X25519 result, OAEP failure).  What fails says no more than that. */
MUST_CHECK enum err wrap_opener_new(const struct wrap_key *key, struct bytes enc, struct bytes info,
                                    struct wrap_opener **out);
/* Sequence numbers from 0, in order; ERR_CRYPTO where the tag does not verify, and
 * then the sequence does not advance. */
MUST_CHECK enum err wrap_open(struct wrap_opener *opener, struct bytes aad, struct bytes ciphertext,
                              struct secret **plaintext);
void wrap_opener_free(struct wrap_opener *opener);
CLEANUP_PTR(struct wrap_opener, wrap_opener_free, wrap_opener_freep)

/* All format names, NULL-terminated: for tests, benchmarks and usage texts. */
extern const char *const wrap_formats[];

#endif
