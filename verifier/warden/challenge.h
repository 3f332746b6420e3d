/* Challenges: PROTOCOL section 2.  Stateless until they are redeemed: random[16] |
 * expiry_ms[8] | HMAC[32] under the epoch's challenge key. */
#ifndef VOUCHSAFE_CHALLENGE_H
#define VOUCHSAFE_CHALLENGE_H

#include "verifier/keyring/keyring.h"

MUST_CHECK enum err challenge_make(const struct keyring *keyring, uint32_t epoch, uint64_t now_ms,
                                   uint8_t out[static PROTOCOL_CHALLENGE_LEN]);

/* A document's nonce: ERR_CHALLENGE_UNKNOWN (absent, not 56 bytes, not ours),
 * ERR_CHALLENGE_EXPIRED (by the clock, or not later than `purged_before_ms` whatever
 * the clock says). */
MUST_CHECK enum err challenge_check(const struct keyring *keyring, uint32_t epoch,
                                    struct bytes nonce, uint64_t now_ms, uint64_t purged_before_ms,
                                    uint64_t *expiry_ms, struct fault *fault);

#endif
