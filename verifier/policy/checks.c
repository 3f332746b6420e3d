/* V5: is this released to that document?  One row per check; walk.c runs them over one
 * candidate after the other.  What `explain` shows are these same rows. */
#include <openssl/crypto.h>

#include "explain.h"
#include "walk.h"

const char *policy_reason_name(enum policy_reason reason)
{
    static const char *const names[] = {
        [REASON_GRANTED] = "granted",
        [REASON_MEASUREMENT_REVOKED] = "measurement_revoked",
        [REASON_UNKNOWN_SECRET] = "unknown_secret",
        [REASON_SECRET_DESTROYED] = "secret_destroyed",
        [REASON_NO_VALUE] = "no_value",
        [REASON_VERSION_UNKNOWN] = "version_unknown",
        [REASON_VERSION_NOT_GRANTED] = "version_not_granted",
        [REASON_BELOW_MINIMUM] = "below_minimum",
        [REASON_NOT_GRANTED] = "not_granted",
        [REASON_NO_MEASUREMENT] = "no_measurement",
        [REASON_MEASUREMENT_STATE] = "measurement_state",
        [REASON_MEASUREMENT_WINDOW] = "measurement_window",
        [REASON_GRANT_WINDOW] = "grant_window",
        [REASON_GRANT_BUILD] = "grant_build",
        [REASON_GRANT_PCR] = "grant_pcr",
        [REASON_GRANT_REGION] = "grant_region",
        [REASON_GRANT_APPLICATION] = "grant_application",
        [REASON_OVER_QUOTA] = "over_quota",
        [REASON_GRANT_REGISTERED] = "grant_registered",
        [REASON_GRANT_ACCEPTED] = "grant_accepted",
        [REASON_INSTANCE_REVOKED] = "instance_revoked",
        [REASON_CERTIFICATE_REVOKED] = "certificate_revoked",
    };
    _Static_assert(ARRAY_LEN(names) == REASON_COUNT, "every reason has a name");
    return (unsigned)reason < REASON_COUNT ? names[reason] : "unknown";
}

/* --- The checks --- */

static bool is_signer_grant(const struct policy_grant *grant)
{
    return grant->image_id == 0;
}

/* A signer alone vouches for whatever was signed, unless the grant says otherwise. */
bool candidate_needs_measurement(const struct policy_grant *grant)
{
    return !is_signer_grant(grant) || grant->registered;
}

/* Both ends are inside. */
static bool within(uint64_t now_ms, uint64_t not_before_ms, uint64_t not_after_ms)
{
    return now_ms >= not_before_ms && (not_after_ms == POLICY_NO_TIME || now_ms <= not_after_ms);
}

/* Absent never matches; zeros are an unset role, instance or signer, and nobody's.  In
 * a NitroTPM document these numbers mean other things. */
static bool has_required_pcrs(const struct candidate *c, uint32_t which)
{
    const struct pcr_set *required = &c->grant->pcr;
    if ((required->present & which) != 0 && c->facts->kind != ATTDOC_ENCLAVE)
        return false;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((required->present & which & PCR_BIT(i)) == 0)
            continue;
        const uint8_t *found = c->facts->pcr[i];
        if (found == NULL || bytes_all_zero(bytes_of(found, ATTDOC_PCR_LEN)) ||
            CRYPTO_memcmp(found, required->value[i], ATTDOC_PCR_LEN) != 0)
            return false;
    }
    return true;
}

/* Deny wins: over every grant, and over every other measurement that matches too. */
static bool instance_not_revoked(const struct candidate *c)
{
    return !c->instance_revoked;
}

static bool certificates_not_revoked(const struct candidate *c)
{
    return !c->certificate_revoked;
}

static bool nothing_revoked(const struct candidate *c)
{
    return !c->revoked;
}

static bool secret_exists(const struct candidate *c)
{
    return c->secret != NULL;
}

static bool secret_usable(const struct candidate *c)
{
    return c->secret->state == SECRET_USABLE;
}

static bool secret_has_value(const struct candidate *c)
{
    return c->secret->current_version != 0;
}

static bool version_usable(const struct candidate *c)
{
    return c->value != NULL && c->value->state == SECRET_USABLE;
}

static bool version_reaches_minimum(const struct candidate *c)
{
    return c->version >= c->wanted->min_version;
}

static bool grant_exists(const struct candidate *c)
{
    return c->grant != NULL;
}

/* Who signed, and what kernel: a debug enclave has neither in a way that proves code. */
static bool signer_matches(const struct candidate *c)
{
    return !is_signer_grant(c->grant) ||
           (!c->facts->debug && (c->grant->pcr.present & PCR_BITS_SIGNER) == PCR_BITS_SIGNER &&
            has_required_pcrs(c, PCR_BITS_SIGNER));
}

static bool image_measured(const struct candidate *c)
{
    return is_signer_grant(c->grant) ||
           (c->measurement != NULL && c->measurement->image_id == c->grant->image_id);
}

static bool signed_build_measured(const struct candidate *c)
{
    return !c->grant->registered ||
           (c->measurement != NULL && (c->grant->registered_image_id == 0 ||
                                       c->measurement->image_id == c->grant->registered_image_id));
}

static bool build_matches(const struct candidate *c)
{
    return c->grant->measurement_id == 0 || c->grant->measurement_id == c->measurement_id;
}

static bool measurement_counts(const struct candidate *c)
{
    return !candidate_needs_measurement(c->grant) || c->measurement->state == MEASUREMENT_ACTIVE ||
           c->measurement->state == MEASUREMENT_DEPRECATED;
}

static bool measurement_in_window(const struct candidate *c)
{
    return !candidate_needs_measurement(c->grant) ||
           within(c->now_ms, c->measurement->not_before_ms, c->measurement->not_after_ms);
}

static bool grant_in_window(const struct candidate *c)
{
    return within(c->now_ms, c->grant->not_before_ms, c->grant->not_after_ms);
}

static bool grant_pcrs_match(const struct candidate *c)
{
    return has_required_pcrs(c, c->grant->pcr.present);
}

/* What the enclave itself extended; a TPM's PCRs of these numbers are other things. */
static bool grant_choices_match(const struct candidate *c)
{
    const struct bytes accepted = bytes_of_buf(&c->grant->accepted);
    return accepted.len == 0 ||
           (c->facts->kind == ATTDOC_ENCLAVE && pcr_choices_match(accepted, c->facts->pcr));
}

static bool region_matches(const struct candidate *c)
{
    return c->grant->region[0] == '\0' || bytes_equal_text(c->facts->region, c->grant->region);
}

static bool application_matches(const struct candidate *c)
{
    const struct bytes demanded = bytes_of_buf(&c->grant->application);
    uint8_t hash[SHA256_LEN];
    if (!c->grant->has_application)
        return true;
    switch (c->facts->application_known) {
    case POLICY_APPLICATION_BYTES:
        return bytes_equal(c->facts->application, demanded);
    case POLICY_APPLICATION_SHA256:
        if (digest_sha256(demanded, hash) == ERR_OK)
            return bytes_equal(c->facts->application, bytes_of(hash, sizeof hash));
        *c->trouble = ERR_CRYPTO;
        break;
    case POLICY_APPLICATION_UNKNOWN:
        break;
    }
    return false;
}

/* The current version, and no other unless the grant names it. */
static bool version_granted(const struct candidate *c)
{
    if (c->version == c->secret->current_version)
        return true;
    for (size_t i = 0; i < c->grant->version_count; i++) {
        if (c->grant->version[i] == c->version)
            return true;
    }
    return false;
}

/* In this order: each may rely on those before it, and of several candidates that fail
 * the one that came furthest says why.  `explain` shows a row by its function's name. */
#define CHECK(reason_, function)     \
    {                                \
        reason_, #function, function \
    }
static const struct check {
    enum policy_reason reason;
    const char *name;
    bool (*passes)(const struct candidate *c);
} checks[] = {
    CHECK(REASON_INSTANCE_REVOKED, instance_not_revoked),
    CHECK(REASON_CERTIFICATE_REVOKED, certificates_not_revoked),
    CHECK(REASON_MEASUREMENT_REVOKED, nothing_revoked),
    CHECK(REASON_UNKNOWN_SECRET, secret_exists),
    CHECK(REASON_SECRET_DESTROYED, secret_usable),
    CHECK(REASON_NO_VALUE, secret_has_value),
    CHECK(REASON_VERSION_UNKNOWN, version_usable),
    CHECK(REASON_BELOW_MINIMUM, version_reaches_minimum),
    CHECK(REASON_NOT_GRANTED, grant_exists),
    CHECK(REASON_GRANT_PCR, signer_matches),
    CHECK(REASON_NO_MEASUREMENT, image_measured),
    CHECK(REASON_GRANT_REGISTERED, signed_build_measured),
    CHECK(REASON_GRANT_BUILD, build_matches),
    CHECK(REASON_MEASUREMENT_STATE, measurement_counts),
    CHECK(REASON_MEASUREMENT_WINDOW, measurement_in_window),
    CHECK(REASON_GRANT_WINDOW, grant_in_window),
    CHECK(REASON_GRANT_PCR, grant_pcrs_match),
    CHECK(REASON_GRANT_ACCEPTED, grant_choices_match),
    CHECK(REASON_GRANT_REGION, region_matches),
    CHECK(REASON_GRANT_APPLICATION, application_matches),
    CHECK(REASON_VERSION_NOT_GRANTED, version_granted),
};

size_t policy_check_count(void)
{
    return ARRAY_LEN(checks);
}

const char *policy_check_name(size_t check)
{
    return checks[check].name;
}

enum policy_reason policy_check_reason(size_t check)
{
    return checks[check].reason;
}

size_t candidate_check(const struct candidate *c)
{
    size_t i = 0;
    while (i < ARRAY_LEN(checks) && checks[i].passes(c))
        i++;
    return i;
}
