/* Signatures as `ssh-keygen -Y sign` makes them (OpenSSH, PROTOCOL.sshsig), of the one kind that
 * is taken here: Ed25519 over SHA-512, under a namespace that the caller names.
 *
 * Everything else of the format is fixed, so that no algorithm is ever read from a message.  The
 * namespace keeps signatures for other purposes apart: it is part of what is signed. */
#ifndef VOUCHSAFE_SSHSIG_H
#define VOUCHSAFE_SSHSIG_H

#include <openssl/evp.h>

#include "bytes.h"

#define SSHSIG_KEY_LEN       32
#define SSHSIG_SIGNATURE_LEN 64
#define SSHSIG_TEXT_MAX      4096 /* of an armored signature: larger than any that is taken */

struct sshsig {
    uint8_t key[SSHSIG_KEY_LEN]; /* that it says it was made with: no source of trust */
    uint8_t signature[SSHSIG_SIGNATURE_LEN];
};

/* The armored text, with nothing but blanks after it.  ERR_SSHSIG says what else it is: another
 * algorithm, hash, version or namespace, or no such signature at all. */
MUST_CHECK enum err sshsig_parse(struct bytes text, const char *name_space, struct sshsig *out,
                                 struct fault *fault);
/* ERR_SIGNATURE unless its key signed `message` under that namespace. */
MUST_CHECK enum err sshsig_verify(const struct sshsig *sig, const char *name_space,
                                  struct bytes message, struct fault *fault);
/* Signs and appends the armored text, as ssh-keygen would; ERR_PUBLIC_KEY for another kind of
 * key than Ed25519. */
MUST_CHECK enum err sshsig_sign(EVP_PKEY *key, const char *name_space, struct bytes message,
                                struct buf *text);

/* One line of a .pub file, "ssh-ed25519 BASE64 COMMENT"; `*comment` is a view of what stands
 * behind.  ERR_PUBLIC_KEY says what is wrong. */
MUST_CHECK enum err ssh_public_key_parse(struct bytes text, uint8_t key[static SSHSIG_KEY_LEN],
                                         struct bytes *comment, struct fault *fault);

#endif
