/* What the master key becomes: MACs, seals, signatures (PROTOCOL section 7).
 *
 * Owns every key of the server.  The master key is an HKDF input only, one label per
 * purpose; plaintext secrets exist between unseal and wrap and nowhere else.  Only
 * the warden uses it.  An HSM would be a second file behind this header.
 *
 * Trusts the file of the master key, once its owner and mode are what they must be, and
 * nothing that comes out of the database.  Open and load first; from then on any number
 * of threads may use one keyring: all but keyring_own_key_load leave it as it is.
 * ERR_NO_MEMORY and ERR_CRYPTO (the library failed) can come from every function. */
#ifndef VOUCHSAFE_KEYRING_H
#define VOUCHSAFE_KEYRING_H

#include "common/protocol.h"
#include "common/secret.h"
#include "common/wrap.h"

#define KEYRING_MASTER_LEN 32
#define KEYRING_MAC_LEN    32

struct keyring;

/* The master key from a file of exactly 32 raw bytes or 64 hex digits (one newline may
 * follow the digits).  It is a regular file, no symbolic link, of ours or of root's, that
 * no one but its owner may touch (mode & 077 == 0).  "credential:NAME" reads
 * $CREDENTIALS_DIRECTORY/NAME (systemd), which may be readable by its group: systemd
 * gives a service's user access by an ACL, which shows as 0440 on a file of root's.
 * ERR_CONFIG says what is wrong and what to do; ERR_FILE where reading fails. */
MUST_CHECK enum err keyring_master_load(const char *path, struct secret **out, struct fault *fault);
/* Makes a new random one: 32 raw bytes, mode 0600, synced with its directory.  ERR_EXISTS
 * rather than overwrite; ERR_CONFIG for a credential, which systemd makes; ERR_FILE, and
 * then nothing is left behind. */
MUST_CHECK enum err keyring_master_create(const char *path, struct secret **out,
                                          struct fault *fault);

/* `master`: KEYRING_MASTER_LEN bytes (else ERR_INTERNAL), not needed any more afterwards.
 * `generation`: number of the master key, from 1 (a store that says 0: ERR_STORE_TAMPERED);
 * goes into the AAD of data keys. */
MUST_CHECK enum err keyring_open(const struct secret *master,
                                 const uint8_t store_id[static PROTOCOL_STORE_ID_LEN],
                                 uint32_t generation, struct keyring **out);
void keyring_free(struct keyring *keyring); /* accepts NULL */
CLEANUP_PTR(struct keyring, keyring_free, keyring_freep)

/* The key-check value: what HKDF gives for the label `key-check`.  It is no key and no
 * other value depends on it, so the store may hold it in the open; one that differs means
 * the wrong master key, or another store's id. */
MUST_CHECK enum err keyring_check_value(const struct keyring *keyring,
                                        uint8_t out[static KEYRING_MAC_LEN]);

/* HMAC-SHA-256 under the `row-mac` key. */
MUST_CHECK enum err keyring_row_mac(const struct keyring *keyring, struct bytes message,
                                    uint8_t out[static KEYRING_MAC_LEN]);
/* HMAC-SHA-256 under the `challenge` key of that epoch. */
MUST_CHECK enum err keyring_challenge_mac(const struct keyring *keyring, uint32_t epoch,
                                          struct bytes message,
                                          uint8_t out[static KEYRING_MAC_LEN]);

enum keyring_purpose {
    KEYRING_SECRET,     /* `seal/secret` */
    KEYRING_OWN_KEY,    /* `seal/own-keys` */
    KEYRING_KMS_KEY,    /* `seal/kms-key` */
    KEYRING_ACCESS_KEY, /* `seal/access-key` */
    KEYRING_PURPOSE_COUNT
};

/* Appends the sealed value: deterministic CBOR [generation, IV, sealed data key | tag, IV,
 * ciphertext | tag].  AES-256-GCM under a random data key of its own, AAD = CBOR [purpose,
 * store id, object id, version], the purpose being its label as text; the data key under
 * the purpose's key, AAD = CBOR [purpose, store id, object id, version, generation]. */
MUST_CHECK enum err keyring_seal(const struct keyring *keyring, enum keyring_purpose purpose,
                                 uint64_t object_id, uint64_t version,
                                 const struct secret *plaintext, struct buf *sealed);
/* ERR_STORE_TAMPERED where it does not open as exactly that purpose, object, version and
 * generation of this store. */
MUST_CHECK enum err keyring_unseal(const struct keyring *keyring, enum keyring_purpose purpose,
                                   uint64_t object_id, uint64_t version, struct bytes sealed,
                                   struct secret **plaintext);
/* Unseals a secret and wraps it at once, appending to `ciphertext`; the plaintext is
 * wiped before it returns.  Errors of keyring_unseal and wrap_seal. */
MUST_CHECK enum err keyring_unseal_and_wrap(const struct keyring *keyring, uint64_t object_id,
                                            uint64_t version, struct bytes sealed,
                                            struct wrap_sealer *sealer, struct bytes aad,
                                            struct buf *ciphertext);

/* The server's own keys: made once, kept sealed (KEYRING_OWN_KEY, object id = the
 * enum's value) as the 32 bytes of their private half, loaded at start. */
enum keyring_own_key {
    KEYRING_RECEIPT_KEY = 1, /* P-256, signs receipts, checkpoints, the sealing key */
    KEYRING_SEALING_KEY = 2, /* X25519, what clients seal new values to */
};
/* Appends the sealed key and its SubjectPublicKeyInfo (DELEGATION_SPKI_LEN or
 * SEALING_KEY_SPKI_LEN bytes); does not load it. */
MUST_CHECK enum err keyring_own_key_make(const struct keyring *keyring, enum keyring_own_key which,
                                         uint64_t version, struct buf *sealed, struct buf *spki);
/* Loads it for use; the key of that kind loaded before is dropped.  ERR_STORE_TAMPERED
 * where it does not open or is no such key; the one loaded before then stays. */
MUST_CHECK enum err keyring_own_key_load(struct keyring *keyring, enum keyring_own_key which,
                                         uint64_t version, struct bytes sealed);
/* Appends the message, signed with the receipt key: COSE_RECEIPT, COSE_CHECKPOINT or
 * COSE_SEALING_KEY (ERR_INTERNAL for another profile).  ERR_WRONG_STATE where no receipt
 * key is loaded; errors of cose_sign1_sign. */
MUST_CHECK enum err keyring_sign(const struct keyring *keyring, enum cose_profile profile,
                                 struct bytes payload, struct buf *message);
/* Opens a sealed put (PROTOCOL section 6): hpke-x25519, info `vouchsafe/1 put`.
 * ERR_WRONG_STATE where no sealing key is loaded; ERR_CRYPTO where it does not open. */
MUST_CHECK enum err keyring_open_put(const struct keyring *keyring, struct bytes enc,
                                     struct bytes aad, struct bytes ciphertext,
                                     struct secret **plaintext);

/* The issuer key, P-384, which does not stay on the server: made by `init` into an
 * unencrypted PKCS#8 PEM file, used by `issuer delegate`.  File rules and errors are
 * those of the master key; the caller owns `*out`. */
MUST_CHECK enum err issuer_key_create(const char *path, EVP_PKEY **out, struct fault *fault);
MUST_CHECK enum err issuer_key_load(const char *path, EVP_PKEY **out, struct fault *fault);

#endif
