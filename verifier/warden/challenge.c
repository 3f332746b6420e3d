#include "challenge.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/openssl_cleanup.h"

#define RANDOM_LEN 16
#define EXPIRY_LEN 8
#define MACED_LEN  (RANDOM_LEN + EXPIRY_LEN)

static const char label[] = "vouchsafe/1 challenge";

_Static_assert(MACED_LEN + KEYRING_MAC_LEN == PROTOCOL_CHALLENGE_LEN, "PROTOCOL section 2");

static enum err mac_of(const struct keyring *keyring, uint32_t epoch, const uint8_t *maced,
                       uint8_t out[static KEYRING_MAC_LEN])
{
    uint8_t message[sizeof label - 1 + MACED_LEN];
    memcpy(message, label, sizeof label - 1);
    memcpy(message + sizeof label - 1, maced, MACED_LEN);
    return keyring_challenge_mac(keyring, epoch, bytes_of(message, sizeof message), out);
}

enum err challenge_make(const struct keyring *keyring, uint32_t epoch, uint64_t now_ms,
                        uint8_t out[static PROTOCOL_CHALLENGE_LEN])
{
    const uint64_t expiry_ms = now_ms + PROTOCOL_CHALLENGE_TTL_S * 1000u;
    if (RAND_bytes(out, RANDOM_LEN) != 1)
        return crypto_failed();
    for (unsigned i = 0; i < EXPIRY_LEN; i++)
        out[RANDOM_LEN + i] = (uint8_t)(expiry_ms >> (8 * (EXPIRY_LEN - 1 - i)));
    return mac_of(keyring, epoch, out, out + MACED_LEN);
}

enum err challenge_check(const struct keyring *keyring, uint32_t epoch, struct bytes nonce,
                         uint64_t now_ms, uint64_t purged_before_ms, uint64_t *expiry_ms,
                         struct fault *fault)
{
    uint8_t mac[KEYRING_MAC_LEN];
    uint64_t expiry = 0;

    if (nonce.len != PROTOCOL_CHALLENGE_LEN) /* BIND-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "nonce"), ERR_CHALLENGE_UNKNOWN,
             "the nonce has %zu byte%s; a challenge from POST /v1/challenge has %d", nonce.len,
             plural(nonce.len), PROTOCOL_CHALLENGE_LEN);
    TRY(mac_of(keyring, epoch, nonce.ptr, mac));
    if (CRYPTO_memcmp(mac, nonce.ptr + MACED_LEN, sizeof mac) != 0) /* BIND-2 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "nonce"), ERR_CHALLENGE_UNKNOWN,
             "the nonce is not a challenge that this server made");
    for (unsigned i = 0; i < EXPIRY_LEN; i++)
        expiry = expiry << 8 | nonce.ptr[RANDOM_LEN + i];
    if (expiry <= now_ms) /* BIND-3 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "nonce"), ERR_CHALLENGE_EXPIRED,
             "the challenge expired %llu ms ago; ask for a new one",
             (unsigned long long)(now_ms - expiry));
    if (expiry <= purged_before_ms) /* BIND-4 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "nonce"), ERR_CHALLENGE_EXPIRED,
             "the challenge is older than what this server still keeps account of");
    /* What this server made expires within its lifetime: one from further ahead was made
     * before the clock was set back, and would have to be remembered for as long. */
    if (expiry > now_ms + 2 * PROTOCOL_CHALLENGE_TTL_S * 1000u) /* BIND-5 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "nonce"), ERR_CHALLENGE_EXPIRED,
             "the challenge was made before the clock was set back");
    *expiry_ms = expiry;
    return ERR_OK;
}
