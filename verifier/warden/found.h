/* Founding a store: what `vouchsafe init` makes, all of it or nothing.
 *
 * In the state directory (mode 0700): vouchsafe.db, master.key (0600), issuer.key
 * (0600: to be taken offline), issuer.pem (what goes into images), client/token and
 * client/issuer (what the CLI finds: the first person's token, the issuer's
 * fingerprint and the store's id). */
#ifndef VOUCHSAFE_FOUND_H
#define VOUCHSAFE_FOUND_H

#include "common/cose_sign1.h"
#include "common/protocol.h"

#define FOUND_DELEGATION_DAYS 90

struct founding {
    const char *state_dir;
    bool development;
    const char *root_pem; /* development only, for life; NULL: AWS's root */
    const char *person;   /* the first person's name */
};

struct founded {
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint8_t issuer_fingerprint[SHA256_LEN]; /* SHA-256 of its SPKI */
    uint8_t root_sha256[SHA256_LEN];
    uint64_t delegation_not_after_ms;
};

/* ERR_EXISTS names the file that is in the way: nothing is ever overwritten.  After
 * any failure the files that it had made are gone again. */
MUST_CHECK enum err warden_found(const struct founding *founding, int64_t now_ms,
                                 struct founded *out, struct fault *fault);

#endif
