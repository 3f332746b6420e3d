#include <openssl/crypto.h>

#include "policy.h"

/* What the hypervisor or the boot always sets: zeros there mean that nothing was
 * measured, and nothing may rest on that. */
#define NEVER_ZERO_ENCLAVE (PCR_BITS_CODE | PCR_BIT(3) | PCR_BIT(4) | PCR_BIT(8))

#define ALLOWED_ENCLAVE  (NEVER_ZERO_ENCLAVE | UINT32_C(0xffff0000)) /* and 16..31 */
#define ALLOWED_NITROTPM UINT32_C(0x00ffffff)                        /* a TPM has 24 */

const char *measurement_state_name(enum measurement_state state)
{
    static const char *const names[] = {
        [MEASUREMENT_DRAFT] = "draft",           [MEASUREMENT_ACTIVE] = "active",
        [MEASUREMENT_DEPRECATED] = "deprecated", [MEASUREMENT_REVOKED] = "revoked",
        [MEASUREMENT_DISCARDED] = "discarded",
    };
    return (unsigned)state < ARRAY_LEN(names) && names[state] != NULL ? names[state] : "unknown";
}

static bool is_zero(const struct pcr_set *pcrs, unsigned i)
{
    return bytes_all_zero(bytes_of(pcrs->value[i], ATTDOC_PCR_LEN));
}

static struct fault *at_pcr(struct fault *fault, unsigned i)
{
    return fault_at(fault, FAULT_NO_OFFSET, "pcrs[%u]", i);
}

static enum err check_allowed(const struct pcr_set *pcrs, uint32_t allowed, const char *which,
                              struct fault *fault)
{
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((pcrs->present & ~allowed & PCR_BIT(i)) != 0)
            FAIL(at_pcr(fault, i), ERR_MEASUREMENT_INPUT,
                 "PCR%u is not part of such a measurement: it holds %s", i, which);
    }
    return ERR_OK;
}

static enum err check_enclave(const struct pcr_set *pcrs, struct fault *fault)
{
    for (unsigned i = 0; i <= 2; i++) {
        if ((pcrs->present & PCR_BIT(i)) == 0)
            FAIL(at_pcr(fault, i), ERR_MEASUREMENT_INPUT,
                 "PCR%u is missing: a measurement is PCR0, PCR1 and PCR2 together, as PCR0 alone "
                 "is ambiguous",
                 i);
    }
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((pcrs->present & NEVER_ZERO_ENCLAVE & PCR_BIT(i)) == 0 || !is_zero(pcrs, i))
            continue;
        if (i == 3 || i == 4)
            FAIL(at_pcr(fault, i), ERR_MEASUREMENT_INPUT,
                 "PCR%u is all zeros, which is how an enclave without it looks: leave it out", i);
        FAIL(at_pcr(fault, i), ERR_PCRS_ZERO,
             "PCR%u is all zeros: these are the values of a debug enclave", i);
    }
    return check_allowed(pcrs, ALLOWED_ENCLAVE, "PCR0, 1, 2 and optionally 3, 4, 8, 16..31", fault);
}

static enum err check_debug(enum attdoc_kind kind, bool production, const struct pcr_set *pcrs,
                            struct fault *fault)
{
    (void)fault_at(fault, FAULT_NO_OFFSET, "debug");
    if (production)
        FAIL(fault, ERR_MEASUREMENT_INPUT,
             "debug measurements exist in development stores only, and this is a production store");
    if (kind != ATTDOC_ENCLAVE)
        FAIL(fault, ERR_MEASUREMENT_INPUT, "only enclaves have a debug mode");
    TRY(check_allowed(pcrs, ALLOWED_ENCLAVE & ~PCR_BITS_CODE,
                      "PCR3 or PCR4 and optionally 8, 16..31: debug documents have no others",
                      fault));
    if ((pcrs->present & (PCR_BIT(3) | PCR_BIT(4))) == 0)
        FAIL(at_pcr(fault, 4), ERR_MEASUREMENT_INPUT,
             "neither PCR4 nor PCR3: a debug document names no code, so that a debug measurement "
             "without them would match anyone's");
    static const unsigned set[] = {3, 4, 8};
    for (size_t n = 0; n < ARRAY_LEN(set); n++) {
        if ((pcrs->present & PCR_BIT(set[n])) != 0 && is_zero(pcrs, set[n]))
            FAIL(at_pcr(fault, set[n]), ERR_MEASUREMENT_INPUT,
                 "PCR%u is all zeros and binds to nothing", set[n]);
    }
    return ERR_OK;
}

static enum err check_nitrotpm(const struct pcr_set *pcrs, struct fault *fault)
{
    static const unsigned required[] = {4, 7};
    for (size_t n = 0; n < ARRAY_LEN(required); n++) {
        const unsigned i = required[n];
        if ((pcrs->present & PCR_BIT(i)) == 0 || is_zero(pcrs, i))
            FAIL(at_pcr(fault, i), ERR_MEASUREMENT_INPUT,
                 "PCR%u is %s: a NitroTPM measurement is PCR4 and PCR7 together", i,
                 (pcrs->present & PCR_BIT(i)) == 0 ? "missing" : "all zeros");
    }
    return check_allowed(pcrs, ALLOWED_NITROTPM, "PCR4, 7 and optionally others of 0..23", fault);
}

enum err policy_measurement_check(enum attdoc_kind kind, bool debug, bool production,
                                  const struct pcr_set *pcrs, struct fault *fault)
{
    if (debug)
        return check_debug(kind, production, pcrs, fault);
    return kind == ATTDOC_NITROTPM ? check_nitrotpm(pcrs, fault) : check_enclave(pcrs, fault);
}

bool policy_measurement_compare(const struct policy_measurement *m,
                                const struct policy_facts *facts, struct pcr_set *values,
                                uint32_t *different)
{
    const uint32_t never_zero = m->kind == ATTDOC_NITROTPM ? PCR_BITS_NITROTPM : NEVER_ZERO_ENCLAVE;
    *different = 0;
    if (m->state == MEASUREMENT_DISCARDED || m->kind != facts->kind || m->debug != facts->debug ||
        CRYPTO_memcmp(m->root, facts->root_sha256, sizeof m->root) != 0 ||
        pcr_set_parse(bytes_of_buf(&m->pcrs), values) != ERR_OK)
        return false;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((values->present & PCR_BIT(i)) == 0)
            continue;
        if (facts->pcr[i] == NULL || ((never_zero & PCR_BIT(i)) != 0 && is_zero(values, i)) ||
            CRYPTO_memcmp(facts->pcr[i], values->value[i], ATTDOC_PCR_LEN) != 0)
            *different |= PCR_BIT(i);
    }
    return true;
}

bool policy_measurement_matches(const struct policy_measurement *m,
                                const struct policy_facts *facts)
{
    struct pcr_set values;
    uint32_t different;
    return policy_measurement_compare(m, facts, &values, &different) && different == 0;
}
