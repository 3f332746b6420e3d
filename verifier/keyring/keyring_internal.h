/* Between the files of the keyring; nothing else includes it.
 *
 * The keyring keeps HKDF's pseudorandom key instead of the master key: all that is
 * derived comes from it, and the master key itself can be wiped after start. */
#ifndef VOUCHSAFE_KEYRING_INTERNAL_H
#define VOUCHSAFE_KEYRING_INTERNAL_H

#include "keyring.h"

#define KEYRING_KEY_LEN 32 /* of all that is derived, and of the server's own keys */

struct keyring {
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint32_t generation;
    struct secret *prk;    /* HKDF-Extract(store id, master key) */
    EVP_PKEY *receipt_key; /* NULL until loaded */
    uint8_t receipt_kid[COSE_KID_LEN];
    struct wrap_key *sealing_key; /* NULL until loaded */
};

/* HKDF-Expand with info = `vouchsafe/1 ` | label | suffix: KEYRING_KEY_LEN bytes. */
MUST_CHECK enum err keyring_derive(const struct keyring *keyring, const char *label,
                                   struct bytes suffix, struct secret **out);

#endif
