/* PROTOCOL.md section 5: receipts, delegations and sealing keys: the CBOR inside the
 * COSE messages, made and read in one place; the signatures are cose_sign1's.
 *
 * Trust: a delegation under a pinned issuer key names a receipt key; a receipt under
 * that key lists exactly what was asked and answered.
 *
 * Every payload has one form: what `parse` takes, `append` writes again byte for byte.
 * `append` appends; ERR_INTERNAL for a value that `parse` would refuse.  `parse` gives
 * ERR_MALFORMED where a value is not what it must be, ERR_CBOR_* where the encoding,
 * the order or the number of keys is not; field and offset say where. */
#ifndef VOUCHSAFE_RECEIPT_H
#define VOUCHSAFE_RECEIPT_H

#include "protocol.h"

#define RECEIPT_FLAG_DEPRECATED  1u /* only a deprecated measurement granted it */
#define RECEIPT_MEASUREMENTS_MAX 16

struct receipt_item {
    char name[PROTOCOL_NAME_MAX + 1];
    uint32_t version;
    uint8_t content[SHA256_LEN]; /* SHA-256(enc | ciphertext) */
    uint64_t flags;
};

struct receipt {
    uint64_t time_ms;
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    uint8_t document_digest[SHA384_LEN];
    uint8_t root[SHA256_LEN];
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint64_t audit_sequence;
    size_t count;
    struct receipt_item item[PROTOCOL_SECRETS_MAX];
    size_t measurement_count; /* image@version, strictly ascending by bytes */
    char measurement[RECEIPT_MEASUREMENTS_MAX][PROTOCOL_BUILD_MAX + 1];
};
/* The payload: deterministic, so equal values are equal bytes. */
MUST_CHECK enum err receipt_append(const struct receipt *receipt, struct buf *payload);
MUST_CHECK enum err receipt_parse(struct bytes payload, struct receipt *out, struct fault *fault);

#define DELEGATION_SPKI_MAX 128
#define DELEGATION_SPKI_LEN 91 /* P-256, the uncompressed point: no other is taken */

struct delegation {
    uint8_t receipt_key[DELEGATION_SPKI_MAX]; /* SPKI DER */
    size_t receipt_key_len;
    uint64_t not_before_ms; /* 1 h before it was made: clocks differ */
    uint64_t not_after_ms;
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
};
MUST_CHECK enum err delegation_append(const struct delegation *delegation, struct buf *payload);
MUST_CHECK enum err delegation_parse(struct bytes payload, struct delegation *out,
                                     struct fault *fault);

/* Section 6: the server's sealing key. */
#define SEALING_KEY_SPKI_LEN 44
struct sealing_key {
    uint8_t spki[64]; /* X25519: SEALING_KEY_SPKI_LEN bytes */
    size_t spki_len;
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint64_t not_after_ms;
};
MUST_CHECK enum err sealing_key_append(const struct sealing_key *key, struct buf *payload);
MUST_CHECK enum err sealing_key_parse(struct bytes payload, struct sealing_key *out,
                                      struct fault *fault);

/* A party's pins: 1..4 issuer keys (P-384), the content of an issuer file (issuer.c), and
 * where the party has one, the store: an issuer may have delegated to several. */
#define ISSUER_PINS_MAX 4
struct issuer_pins {
    bool one_store; /* `store_id` is the only one whose delegations are taken */
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    size_t count;
    EVP_PKEY *key[ISSUER_PINS_MAX];
    uint8_t kid[ISSUER_PINS_MAX][COSE_KID_LEN];
    uint8_t fingerprint[ISSUER_PINS_MAX][SHA256_LEN]; /* SHA-256 of the SPKI DER */
};
void issuer_pins_free(struct issuer_pins *pins);
/* PEM `PUBLIC KEY` blocks with blanks between them and nothing else, each key once;
 * ERR_CONFIG.  The caller frees the pins. */
MUST_CHECK enum err issuer_pins_parse(struct bytes pem, struct issuer_pins *out,
                                      struct fault *fault);

/* Verifies a delegation message under the pins (unknown kid is an error) and reads it;
 * `at_ms` is the time at which it must be valid: hypervisor time in an enclave, the
 * clock elsewhere; both ends of the validity are inside it.  `*receipt_key` (P-256) is
 * owned by the caller.  ERR_COSE_* and ERR_CBOR_* where it is no delegation,
 * ERR_ANSWER under an unknown kid, for another store than the pinned one, or for a receipt
 * key that is no P-256 point,
 * ERR_SIGNATURE, ERR_MALFORMED, ERR_DELEGATION_EXPIRED (not yet valid, too). */
MUST_CHECK enum err delegation_verify(struct bytes message, const struct issuer_pins *pins,
                                      uint64_t at_ms, struct delegation *out,
                                      EVP_PKEY **receipt_key, struct fault *fault);

/* Signs a delegation for a receipt key (SPKI, DELEGATION_SPKI_LEN bytes), valid from one
 * hour before `now_ms` (clocks differ) for `lifetime_ms` after it; appends the message.
 * `issuer` is the offline P-384 key. */
#define DELEGATION_BACKDATE_MS 3600000u
MUST_CHECK enum err delegation_sign(EVP_PKEY *issuer, struct bytes receipt_key,
                                    const uint8_t store_id[static PROTOCOL_STORE_ID_LEN],
                                    uint64_t now_ms, uint64_t lifetime_ms, struct buf *message);

#endif
