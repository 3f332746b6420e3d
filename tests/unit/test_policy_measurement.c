/* What may be registered as a measurement. */
#include "policy_fixture.h"

static void accept(enum attdoc_kind kind, bool debug, bool production, const struct pcr_set *pcrs)
{
    struct fault fault = FAULT_NONE;
    const enum err err = policy_measurement_check(kind, debug, production, pcrs, &fault);
    ck_assert_msg(err == ERR_OK, "%s [%s]: %s", err_wire(err), fault.field, fault.detail);
}

static void refuse(enum attdoc_kind kind, bool debug, bool production, const struct pcr_set *pcrs,
                   enum err code, const char *field, const char *words)
{
    struct fault fault = FAULT_NONE;
    ck_err(policy_measurement_check(kind, debug, production, pcrs, &fault), code);
    ck_assert_int_eq(fault.code, code);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.detail, words) != NULL, "\"%s\" lacks \"%s\"", fault.detail, words);
}

/* One PCR set to zeros, or left out, or added. */
static struct pcr_set without(struct pcr_set pcrs, unsigned i)
{
    pcrs.present &= ~PCR_BIT(i);
    memset(pcrs.value[i], 0, ATTDOC_PCR_LEN);
    return pcrs;
}

static struct pcr_set with(struct pcr_set pcrs, unsigned i, const uint8_t *value)
{
    set_pcr(&pcrs, i, value);
    return pcrs;
}

START_TEST(valid_enclave)
{
    const struct pcr_set pcrs = code_of_seed(1);
    accept(ATTDOC_ENCLAVE, false, true, &pcrs);
    accept(ATTDOC_ENCLAVE, false, false, &pcrs);
    for (unsigned i = 3; i < ATTDOC_PCR_COUNT; i++) {
        const struct pcr_set more = with(pcrs, i, ones);
        if (i == 3 || i == 4 || i == 8 || i >= 16)
            accept(ATTDOC_ENCLAVE, false, true, &more);
    }
}
END_TEST

START_TEST(no_code_pcr)
{
    for (unsigned i = 0; i <= 2; i++) {
        char field[16];
        char words[32];
        const struct pcr_set pcrs = without(code_of_seed(1), i);
        snprintf(field, sizeof field, "pcrs[%u]", i);
        snprintf(words, sizeof words, "PCR%u is missing", i);
        refuse(ATTDOC_ENCLAVE, false, true, &pcrs, ERR_MEASUREMENT_INPUT, field, words);
    }
}
END_TEST

START_TEST(pcr0_alone_is_ambiguous)
{
    const struct pcr_set pcrs = without(without(code_of_seed(1), 1), 2);
    refuse(ATTDOC_ENCLAVE, false, true, &pcrs, ERR_MEASUREMENT_INPUT, "pcrs[1]",
           "PCR0 alone is ambiguous");
}
END_TEST

/* Where it runs, or who signed it, is not what it is. */
START_TEST(no_code)
{
    static const unsigned which[] = {3, 4, 8, 16};
    for (size_t n = 0; n < ARRAY_LEN(which); n++) {
        const struct pcr_set alone = with((struct pcr_set){0}, which[n], ones);
        refuse(ATTDOC_ENCLAVE, false, true, &alone, ERR_MEASUREMENT_INPUT, "pcrs[0]",
               "PCR0 is missing");
    }
}
END_TEST

START_TEST(no_pcrs)
{
    const struct pcr_set none = {0};
    refuse(ATTDOC_ENCLAVE, false, true, &none, ERR_MEASUREMENT_INPUT, "pcrs[0]", "missing");
    refuse(ATTDOC_ENCLAVE, true, false, &none, ERR_MEASUREMENT_INPUT, "pcrs[4]", "anyone's");
    refuse(ATTDOC_NITROTPM, false, true, &none, ERR_MEASUREMENT_INPUT, "pcrs[4]", "missing");
}
END_TEST

START_TEST(zero_pcrs)
{
    static const unsigned which[] = {0, 1, 2, 8};
    for (size_t n = 0; n < ARRAY_LEN(which); n++) {
        char field[16];
        char words[80];
        const struct pcr_set pcrs = with(code_of_seed(1), which[n], zeros);
        snprintf(field, sizeof field, "pcrs[%u]", which[n]);
        snprintf(words, sizeof words, "PCR%u is all zeros: these are the values of a debug enclave",
                 which[n]);
        refuse(ATTDOC_ENCLAVE, false, true, &pcrs, ERR_PCRS_ZERO, field, words);
        refuse(ATTDOC_ENCLAVE, false, false, &pcrs, ERR_PCRS_ZERO, field, words);
    }
}
END_TEST

START_TEST(zero_role_or_instance)
{
    const struct pcr_set role = with(code_of_seed(1), 3, zeros);
    const struct pcr_set instance = with(code_of_seed(1), 4, zeros);
    refuse(ATTDOC_ENCLAVE, false, true, &role, ERR_MEASUREMENT_INPUT, "pcrs[3]", "leave it out");
    refuse(ATTDOC_ENCLAVE, false, true, &instance, ERR_MEASUREMENT_INPUT, "pcrs[4]",
           "leave it out");
}
END_TEST

START_TEST(wrong_index)
{
    static const unsigned which[] = {5, 6, 7, 9, 10, 11, 12, 13, 14, 15};
    for (size_t n = 0; n < ARRAY_LEN(which); n++) {
        char field[16];
        const struct pcr_set pcrs = with(code_of_seed(1), which[n], ones);
        snprintf(field, sizeof field, "pcrs[%u]", which[n]);
        refuse(ATTDOC_ENCLAVE, false, true, &pcrs, ERR_MEASUREMENT_INPUT, field, "is not part of");
    }
}
END_TEST

/* --- Debug measurements --- */

START_TEST(valid_debug)
{
    const struct pcr_set none = {0};
    const struct pcr_set instance = with(none, 4, ones);
    const struct pcr_set role = with(none, 3, ones);
    accept(ATTDOC_ENCLAVE, true, false, &instance);
    accept(ATTDOC_ENCLAVE, true, false, &role);
}
END_TEST

START_TEST(debug_in_production)
{
    const struct pcr_set instance = with((struct pcr_set){0}, 4, ones);
    refuse(ATTDOC_ENCLAVE, true, true, &instance, ERR_MEASUREMENT_INPUT, "debug",
           "development stores only");
}
END_TEST

START_TEST(debug_nitrotpm)
{
    const struct pcr_set instance = with((struct pcr_set){0}, 4, ones);
    refuse(ATTDOC_NITROTPM, true, false, &instance, ERR_MEASUREMENT_INPUT, "debug",
           "only enclaves");
}
END_TEST

START_TEST(debug_with_code)
{
    for (unsigned i = 0; i <= 2; i++) {
        char field[16];
        struct pcr_set pcrs = with((struct pcr_set){0}, 4, ones);
        set_pcr(&pcrs, i, i == 1 ? zeros : ones);
        snprintf(field, sizeof field, "pcrs[%u]", i);
        refuse(ATTDOC_ENCLAVE, true, false, &pcrs, ERR_MEASUREMENT_INPUT, field, "is not part of");
    }
}
END_TEST

START_TEST(debug_unbound)
{
    const struct pcr_set signer = with((struct pcr_set){0}, 8, ones);
    const struct pcr_set role = with((struct pcr_set){0}, 3, zeros);
    const struct pcr_set instance = with((struct pcr_set){0}, 4, zeros);
    refuse(ATTDOC_ENCLAVE, true, false, &signer, ERR_MEASUREMENT_INPUT, "pcrs[4]", "anyone's");
    refuse(ATTDOC_ENCLAVE, true, false, &role, ERR_MEASUREMENT_INPUT, "pcrs[3]", "all zeros");
    refuse(ATTDOC_ENCLAVE, true, false, &instance, ERR_MEASUREMENT_INPUT, "pcrs[4]", "all zeros");
}
END_TEST

/* --- NitroTPM --- */

START_TEST(valid_nitrotpm)
{
    struct pcr_set pcrs = with(with((struct pcr_set){0}, 4, ones), 7, ones);
    accept(ATTDOC_NITROTPM, false, true, &pcrs);
    set_pcr(&pcrs, 12, zeros);
    set_pcr(&pcrs, 23, ones);
    accept(ATTDOC_NITROTPM, false, true, &pcrs);
}
END_TEST

START_TEST(wrong_nitrotpm)
{
    const struct pcr_set pcrs = with(with((struct pcr_set){0}, 4, ones), 7, ones);
    const struct pcr_set no_4 = without(pcrs, 4);
    const struct pcr_set no_7 = without(pcrs, 7);
    const struct pcr_set zero_7 = with(pcrs, 7, zeros);
    const struct pcr_set beyond = with(pcrs, 24, ones);
    refuse(ATTDOC_NITROTPM, false, true, &no_4, ERR_MEASUREMENT_INPUT, "pcrs[4]", "missing");
    refuse(ATTDOC_NITROTPM, false, true, &no_7, ERR_MEASUREMENT_INPUT, "pcrs[7]", "missing");
    refuse(ATTDOC_NITROTPM, false, true, &zero_7, ERR_MEASUREMENT_INPUT, "pcrs[7]", "all zeros");
    refuse(ATTDOC_NITROTPM, false, true, &beyond, ERR_MEASUREMENT_INPUT, "pcrs[24]",
           "is not part of");
}
END_TEST

START_TEST(valid_state_names)
{
    ck_assert_str_eq(measurement_state_name(MEASUREMENT_DRAFT), "draft");
    ck_assert_str_eq(measurement_state_name(MEASUREMENT_ACTIVE), "active");
    ck_assert_str_eq(measurement_state_name(MEASUREMENT_DEPRECATED), "deprecated");
    ck_assert_str_eq(measurement_state_name(MEASUREMENT_REVOKED), "revoked");
    ck_assert_str_eq(measurement_state_name(MEASUREMENT_DISCARDED), "discarded");
    ck_assert_str_eq(measurement_state_name((enum measurement_state)0), "unknown");
    ck_assert_str_eq(measurement_state_name((enum measurement_state)6), "unknown");
}
END_TEST

UNIT_MAIN("policy_measurement", valid_enclave, no_code_pcr, pcr0_alone_is_ambiguous, no_pcrs,
          zero_pcrs, zero_role_or_instance, wrong_index, valid_debug, debug_in_production,
          debug_nitrotpm, debug_with_code, debug_unbound, valid_nitrotpm, wrong_nitrotpm,
          valid_state_names, no_code)
