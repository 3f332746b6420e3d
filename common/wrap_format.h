/* Between wrap.c and the files of the formats; besides them the tests of the vectors
 * use it, and verifier/keyring/seal.c for the AEAD.
 *
 * A format turns one public key into one encapsulation, and what both sides derive
 * from it is always the same thing: an AEAD key and a base nonce.  These leave a
 * format inside a `struct secret` and in no other way.  A new format is one
 * `const struct wrap_format` and one row in wrap.c. */
#ifndef VOUCHSAFE_WRAP_FORMAT_H
#define VOUCHSAFE_WRAP_FORMAT_H

#include <openssl/err.h>
#include <openssl/evp.h>

#include "hkdf.h"
#include "openssl_cleanup.h"
#include "spki.h"
#include "wrap.h"

#define AEAD_KEY_LEN   32 /* AES-256-GCM */
#define AEAD_NONCE_LEN 12
/* RFC 9180 section 5.2 would allow 2^96 - 1: no caller comes near either. */
#define AEAD_SEQUENCE_MAX UINT32_MAX

/* An HPKE suite in base mode (RFC 9180 section 7).  KEM and KDF use the same hash. */
struct hpke_suite {
    const char *group;  /* OpenSSL's name of the curve; NULL for X25519 */
    const char *digest; /* of KEM and KDF */
    size_t point_len;   /* Npk and Nenc */
    size_t dh_len;      /* Ndh */
    size_t hash_len;    /* Nh and Nsecret: at most 48 */
    size_t key_len;     /* Nk */
    uint16_t kem_id;
    uint16_t kdf_id;
    uint16_t aead_id;
};

/* A DER SubjectPublicKeyInfo taken apart as far as it takes to name it. */
struct spki_view {
    struct bytes whole;
    struct bytes algorithm; /* content of the OBJECT IDENTIFIER */
    struct bytes params;    /* whole DER of the parameters; empty where absent */
};

struct wrap_format {
    const char *name;
    const struct hpke_suite *suite; /* NULL for RSA */
    const struct spki_form *form;   /* of its keys; NULL for RSA */
    /* True where the key is this format's to parse: no other format's is asked. */
    bool (*claims)(const struct wrap_format *format, const struct spki_view *spki);
    /* ERR_PUBLIC_KEY; ERR_NO_MEMORY, ERR_CRYPTO where the failure is ours. */
    enum err (*parse)(struct bytes spki, const struct wrap_format *format, EVP_PKEY **out,
                      struct fault *fault);
    enum err (*generate)(const struct wrap_format *format, EVP_PKEY **out);
    /* A fresh encapsulation to `key`: key and base nonce, and `enc` appended. */
    enum err (*encapsulate)(const struct wrap_format *format, EVP_PKEY *key, struct bytes info,
                            struct secret **keys, struct buf *enc);
    /* ERR_CRYPTO where `enc` is none. */
    enum err (*decapsulate)(const struct wrap_format *format, EVP_PKEY *key, struct bytes enc,
                            struct bytes info, struct secret **keys);
};

extern const struct wrap_format wrap_format_hpke_x25519;
extern const struct wrap_format wrap_format_hpke_p256;
extern const struct wrap_format wrap_format_hpke_p384;
extern const struct wrap_format wrap_format_rsa_oaep_256;

/* How a refusal begins; what was found follows. */
#define WRAP_EXPECTED                                                                            \
    "expected the DER SubjectPublicKeyInfo of an X25519, P-256, P-384 or RSA (2048, 3072, 4096 " \
    "bits) key, found "

/* Encapsulation by a given ephemeral key: with the vectors' key in tests, with a fresh
 * one everywhere else.  A suite whose key is not AES-256's is for tests alone. */
MUST_CHECK enum err wrap_hpke_encapsulate_by(const struct hpke_suite *suite, EVP_PKEY *ephemeral,
                                             EVP_PKEY *recipient, struct bytes info,
                                             struct secret **keys, struct buf *enc);
MUST_CHECK enum err wrap_hpke_decapsulate(const struct hpke_suite *suite, EVP_PKEY *key,
                                          struct bytes enc, struct bytes info,
                                          struct secret **keys);

/* The two primitives underneath, for the tests of published vectors.
 * DHKEM's DH (RFC 9180 section 4.1): Ndh bytes.  `peer` comes from spki_point_to_key and is
 * not validated again.  ERR_CRYPTO, also for X25519's result of zeros. */
MUST_CHECK enum err wrap_hpke_dh(const struct hpke_suite *suite, EVP_PKEY *own, EVP_PKEY *peer,
                                 uint8_t out[static HKDF_HASH_MAX]);
/* RSAES-OAEP with SHA-256, MGF1-SHA-256 and no label: a secret with room for a modulus,
 * of which `*len` bytes are the message.  ERR_CRYPTO. */
MUST_CHECK enum err wrap_rsa_decrypt(EVP_PKEY *key, struct bytes enc, struct secret **opened,
                                     size_t *len);

/* AES-256-GCM with nonce = base nonce XOR sequence (RFC 9180 section 5.2).  `keys` is
 * key | base nonce.  ERR_WRONG_STATE past AEAD_SEQUENCE_MAX, ERR_SIGNATURE where a tag does
 * not verify; ERR_CRYPTO and ERR_NO_MEMORY say nothing of what was to be opened. */
MUST_CHECK enum err wrap_aead_seal(const struct secret *keys, uint64_t sequence, struct bytes aad,
                                   const struct secret *plaintext, struct buf *ciphertext);
MUST_CHECK enum err wrap_aead_open(const struct secret *keys, uint64_t sequence, struct bytes aad,
                                   struct bytes ciphertext, struct secret **plaintext);

#endif
