/* What the client believes of a server: only what is signed under an issuer key whose
 * fingerprint it pinned (PROTOCOL section 6).
 *
 * The pin file holds SHA-256 fingerprints of issuer keys (SPKI), in hex, one a line; the
 * keys themselves come from the server and count only where their fingerprint is there.  A
 * line `store ID` names the one store whose delegations are taken: an issuer may have
 * delegated to several. */
#ifndef VOUCHSAFE_CLI_TRUST_H
#define VOUCHSAFE_CLI_TRUST_H

#include <openssl/evp.h>

#include "api.h"
#include "common/receipt.h"

#define TRUST_PIN_OPTION                                                           \
    {                                                                              \
        .name = "issuer-pin", .arg = "FILE",                                       \
        .help = "fingerprints of the issuer keys to trust; else client/issuer in " \
                "the state directory"                                              \
    }

/* The server's issuer keys that are pinned; the caller frees.  ERR_ANSWER where none is,
 * ERR_FILE, ERR_USAGE (a pin file that is none), and api_call's. */
MUST_CHECK enum err trust_load(const struct api *api, const struct cli_args *args,
                               struct issuer_pins *out, struct fault *fault);

/* Fingerprints, pure: blanks and lines that begin with # are passed over. */
#define TRUST_PINS_MAX 16
struct trust_pins {
    bool one_store;
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    size_t count;
    uint8_t fingerprint[TRUST_PINS_MAX][SHA256_LEN];
};
MUST_CHECK enum err trust_pins_parse(struct bytes text, struct trust_pins *out,
                                     struct fault *fault);
/* The keys of `issuers` (the API's array of {fingerprint, pem}) that are pinned. */
MUST_CHECK enum err trust_select(const json_t *issuers, const struct trust_pins *pins,
                                 struct issuer_pins *out, struct fault *fault);

#endif
