/* What nitro-cli and eif_build print, as others recorded it: each sample has its outcome
 * in tests/nitro_json_expect.json; and one deviation at a time from what is accepted. */
#include "unit.h"

#include <dirent.h>

#include "common/codec.h"
#include "shared.h"
#include "verifier/measure/nitro_json.h"

#define FOLDER "nitro-cli-json"

SHARED_DEMAND(FOLDER)

#define P0                                                                                         \
    "287b24930a9f0fe14b01a71ecdc00d8be8fad90f9834d547158854b8279c74095c43f8d7f047714e98deb7903f20" \
    "e3dd"
#define P1                                                                                         \
    "aca6e62ffbf5f7deccac452d7f8cee1b94048faf62afc16c8ab68c9fed8c38010c73a669f9a36e596032f0b973d2" \
    "1895"
#define P2                                                                                         \
    "0315f483ae1220b5e023d8c80ff1e135edcca277e70860c31f3003b36e3b2aaec5d043c9ce3a679e3bbd5b3b93b6" \
    "1d6f"
#define P8                                                                                         \
    "70da58334a884328944cd806127c7784677ab60a154249fd21546a217299ccfa1ebfe4fa96a163bf41d3bcfaebe6" \
    "8f6f"
#define ZERO                                                                                       \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0000"
#define HASH      "\"HashAlgorithm\": \"Sha384 { ... }\""
#define PCRS      "\"PCR0\": \"" P0 "\", \"PCR1\": \"" P1 "\", \"PCR2\": \"" P2 "\""
#define BODY      HASH ", " PCRS
#define MEASURES  "\"Measurements\": {" BODY "}"
#define MEASURES8 "\"Measurements\": {" BODY ", \"PCR8\": \"" P8 "\"}"

#define REPEAT_4(s) s s s s

static struct nitro_measurements m;
static struct fault fault;

static enum err parse(const char *text)
{
    fault = (struct fault)FAULT_NONE;
    memset(&m, 0xee, sizeof m);
    const enum err err = nitro_json_parse(bytes_of_text(text), &m, &fault);
    ck_assert_int_eq(fault.code, err);
    if (err != ERR_OK)
        ck_assert_uint_eq(m.present, 0xeeeeeeee); /* results on success only */
    return err;
}

static void refused(const char *text, enum err err, const char *field, const char *says)
{
    ck_err(parse(text), err);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.detail, says) != NULL, "%s", fault.detail);
}

static void check_pcr(unsigned index, const char *hex)
{
    char text[2 * ATTDOC_PCR_LEN + 1];
    ck_assert(m.present >> index & 1);
    hex_encode(bytes_of(m.pcr[index], ATTDOC_PCR_LEN), text);
    ck_assert_str_eq(text, hex);
}

static void accepted(const char *text)
{
    ck_ok(parse(text));
    ck_assert_int_eq(m.kind, ATTDOC_ENCLAVE);
    ck_assert_uint_eq(m.present & 7, 7);
    check_pcr(0, P0);
    check_pcr(1, P1);
    check_pcr(2, P2);
}

/* ---- the samples ---- */

/* A value as the sample spells it, wherever in the text it stands. */
static void check_sample_pcr(const json_t *sample, unsigned index)
{
    char name[8];
    const json_t *measurements = json_object_get(sample, "Measurements");
    snprintf(name, sizeof name, "PCR%u", index);
    check_pcr(index, shared_text(measurements == NULL ? sample : measurements, name));
}

static void check_accepted(const json_t *expect, struct bytes text)
{
    uint32_t present = 0;
    size_t i;
    json_t *index;
    CLEANUP(json_decrefp)
    json_t *sample = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    json_array_foreach(json_object_get(expect, "pcrs"), i, index)
    {
        present |= 1u << json_integer_value(index);
        if (sample != NULL)
            check_sample_pcr(sample, (unsigned)json_integer_value(index));
    }
    ck_assert_uint_eq(m.present, present);
    ck_assert_uint_ne(present, 0);
    if (json_object_get(expect, "provenance") != NULL)
        ck_assert_str_eq(m.provenance, shared_text(expect, "provenance"));
}

static void check_sample(const json_t *expect)
{
    char path[256];
    CLEANUP(buf_free) struct buf text = {0};
    const char *wire = shared_text(expect, "error");
    snprintf(path, sizeof path, FOLDER "/%s", shared_text(expect, "file"));
    shared_read(path, &text);
    fault = (struct fault)FAULT_NONE;
    const enum err err = nitro_json_parse(bytes_of_buf(&text), &m, &fault);
    ck_assert_msg(strcmp(err_wire(err), wire) == 0, "%s: %s (%s), %s expected", path, err_wire(err),
                  fault.detail, wire);
    if (err == ERR_OK) {
        check_accepted(expect, bytes_of_buf(&text));
        return;
    }
    ck_assert_str_eq(fault.field, shared_text(expect, "field"));
    ck_assert_msg(strstr(fault.detail, shared_text(expect, "says")) != NULL, "%s: %s", path,
                  fault.detail);
}

static json_t *expectations(void)
{
    char path[SHARED_PATH_MAX];
    snprintf(path, sizeof path, "%s/tests/nitro_json_expect.json", getenv("VOUCHSAFE_SOURCE"));
    json_t *expected = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(expected);
    return expected;
}

START_TEST(valid_samples)
{
    CLEANUP(json_decrefp) json_t *expected = expectations();
    size_t i;
    json_t *expect;
    json_array_foreach(expected, i, expect) check_sample(expect);
}
END_TEST

static bool has_row(const json_t *expected, const char *file)
{
    size_t i;
    json_t *expect;
    json_array_foreach(expected, i, expect)
    {
        if (strcmp(file, shared_text(expect, "file")) == 0)
            return true;
    }
    return false;
}

/* None was left out: every file of the folder has its row, and every row its file. */
START_TEST(valid_samples_all)
{
    CLEANUP(json_decrefp) json_t *expected = expectations();
    char path[SHARED_PATH_MAX];
    size_t files = 0;
    shared_path(FOLDER, path);
    DIR *folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "manifest.json") == 0)
            continue;
        ck_assert_msg(has_row(expected, entry->d_name), "%s: no row in nitro_json_expect.json",
                      entry->d_name);
        files++;
    }
    closedir(folder);
    ck_assert_uint_gt(files, 20);
    ck_assert_uint_eq(files, json_array_size(expected));
}
END_TEST

/* ---- forms that are accepted ---- */

START_TEST(valid_surroundings)
{
    accepted("Start building the Enclave Image...\nUsing the locally available Docker image...\n"
             "[ E36 ] not JSON\n{not JSON either\n[1]\nEnclave Image successfully created.\n"
             "{\n  " MEASURES "\n}\nexit 0\n");
    ck_assert_str_eq(m.provenance, "nitro-cli build-enclave");
    accepted("\r\n\t {" MEASURES "}");
    accepted("{" BODY "}");
    ck_assert_str_eq(m.provenance, "nitro-cli, its Measurements object");
    accepted("[{" MEASURES ", \"EnclaveID\": \"i-0\", \"Flags\": \"NONE\"}]");
    ck_assert_str_eq(m.provenance, "nitro-cli describe-enclaves");
}
END_TEST

START_TEST(valid_signed)
{
    accepted("{" MEASURES8 ", \"IsSigned\": true, \"CheckCRC\": true, \"SignatureCheck\": true, "
             "\"EifVersion\": 4}");
    check_pcr(8, P8);
    ck_assert_uint_eq(m.present, 0x107);
}
END_TEST

START_TEST(valid_upper_case)
{
    accepted(
        "{\"PCR0\": \"287B24930A9F0FE14B01A71ECDC00D8BE8FAD90F9834D547158854B8279C74095C43F8D7F"
        "047714E98DEB7903F20E3DD\", \"PCR1\": \"" P1 "\", \"PCR2\": \"" P2 "\"}");
}
END_TEST

/* What is not measured cannot forge a line of ours. */
START_TEST(valid_provenance)
{
    accepted("{" MEASURES ", \"EifVersion\": 4, \"ImageName\": \"a\\nb\\u00e9\\u007f\", "
             "\"Metadata\": {\"BuildTool\": \"\", \"Measurements\": {\"PCR0\": \"no\"}}}");
    ck_assert_str_eq(m.provenance, "nitro-cli describe-eif; ImageName=a?b???");
}
END_TEST

START_TEST(valid_list)
{
    accepted("making it\n" P0 " PCR0\n" P1 " PCR1\r\n" P2 " PCR2");
    ck_assert_str_eq(m.provenance, "eif_build");
}
END_TEST

/* ---- an EC2 instance ---- */

#define TPM4                                                                                       \
    "3c428daf639a86655cbe8aeff1eeb298f59c6a82d8ea6fdc34c6f3af1d2582f091a25aca4a6f390c32f0f7701952" \
    "829a"
#define TPM7                                                                                       \
    "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77" \
    "af35"
#define TPM_PCRS "\"PCR4\": \"" TPM4 "\", \"PCR7\": \"" TPM7 "\", \"PCR12\": \"" ZERO "\""

static void nitrotpm_accepted(const char *text, uint32_t present)
{
    ck_ok(parse(text));
    ck_assert_int_eq(m.kind, ATTDOC_NITROTPM);
    ck_assert_uint_eq(m.present, present);
    check_pcr(4, TPM4);
    check_pcr(7, TPM7);
    ck_assert_str_eq(m.provenance, "nitro-tpm-pcr-compute");
}

/* As nitro-tpm-pcr-compute 1.1 prints it (its README); 1.0 had no PCR12. */
START_TEST(valid_nitrotpm)
{
    const uint32_t all = 1u << 4 | 1u << 7 | 1u << 12;
    nitrotpm_accepted("{\n  \"Measurements\": {\n    \"HashAlgorithm\": \"SHA384\",\n    " TPM_PCRS
                      "\n  }\n}\n",
                      all);
    check_pcr(12, ZERO);
    nitrotpm_accepted("[ DEBUG: PCR4 ] ...\n{\"Measurements\": {\"HashAlgorithm\": "
                      "\"SHA384 { ... }\", \"PCR4\": \"" TPM4 "\", \"PCR7\": \"" TPM7 "\"}}",
                      1u << 4 | 1u << 7);
    nitrotpm_accepted("{" TPM_PCRS "}", all);
}
END_TEST

START_TEST(wrong_nitrotpm)
{
    refused("{\"Measurements\": {\"HashAlgorithm\": \"SHA384\", \"PCR4\": \"" TPM4 "\"}}",
            ERR_MEASUREMENT_INPUT, "PCR7", "missing");
    refused("{\"Measurements\": {\"PCR7\": \"" TPM7 "\"}}", ERR_MEASUREMENT_INPUT, "PCR4",
            "missing");
    refused("{\"PCR4\": \"" ZERO "\", \"PCR7\": \"" TPM7 "\"}", ERR_MEASUREMENT_INPUT, "PCR4",
            "nothing was measured");
    refused("{\"PCR4\": \"" TPM4 "\", \"PCR7\": \"" ZERO "\"}", ERR_MEASUREMENT_INPUT, "PCR7",
            "nothing was measured");
    refused("{\"PCR4\": \"" TPM4 "\", \"PCR7\": \"" REPEAT_4("abcabcabcabcabcabcabcabc") "\"}",
            ERR_MEASUREMENT_INPUT, "PCR7", "placeholder");
    /* An enclave's PCRs with these beside them stay an enclave's. */
    refused("{\"PCR0\": \"" P0 "\", " TPM_PCRS "}", ERR_PCRS_ZERO, "PCR12", "all zeros");
    refused("{\"PCR0\": \"" P0 "\", \"PCR4\": \"" TPM4 "\", \"PCR7\": \"" TPM7 "\"}",
            ERR_MEASUREMENT_INPUT, "PCR1", "missing");
    refused(TPM4 " PCR4\n", ERR_MEASUREMENT_INPUT, "PCR7", "missing");
    refused("{" TPM_PCRS "}\n{" MEASURES "}", ERR_MEASUREMENT_INPUT, "", "several");
}
END_TEST

/* ---- what is refused ---- */

START_TEST(no_measurements)
{
    refused("", ERR_MEASUREMENT_INPUT, "", "no measurements");
    refused("[]", ERR_MEASUREMENT_INPUT, "", "no measurements");
    refused("Successfully terminated enclave i-1.\n{\"Terminated\": true}", ERR_MEASUREMENT_INPUT,
            "", "terminate-enclave");
    refused("{\"EnclaveCID\": 16}", ERR_MEASUREMENT_INPUT, "", "run-enclave");
    refused("{" MEASURES, ERR_MEASUREMENT_INPUT, "", "no measurements");
    refused("text {" MEASURES "}", ERR_MEASUREMENT_INPUT, "", "no measurements");
    /* EIF metadata is not measured: whatever it holds is nobody's measurement. */
    refused("{\"Metadata\": {" MEASURES "}}", ERR_MEASUREMENT_INPUT, "", "no measurements");
    refused("{" MEASURES ", " MEASURES "}", ERR_MEASUREMENT_INPUT, "", "no measurements");
    refused("[1/3] a log\n{\"level\": 1}\n {" MEASURES ",\n{\n", ERR_MEASUREMENT_INPUT, "",
            "JSON that begins in line 3 is cut short");
    refused("{\"Terminated\": true}\n{\n", ERR_MEASUREMENT_INPUT, "", "terminate-enclave");
}
END_TEST

START_TEST(no_pcr)
{
    refused("{\"Measurements\": {" HASH "}}", ERR_MEASUREMENT_INPUT, "PCR0", "missing");
    refused("{\"Measurements\": {\"PCR0\": \"" P0 "\", \"PCR1\": \"" P1 "\"}}",
            ERR_MEASUREMENT_INPUT, "PCR2", "missing");
    refused(P0 " PCR0\n" P2 " PCR2\n", ERR_MEASUREMENT_INPUT, "PCR1", "missing");
}
END_TEST

START_TEST(wrong_type)
{
    refused("{\"Measurements\": []}", ERR_MEASUREMENT_INPUT, "Measurements", "an object");
    refused("{\"Measurements\": {\"PCR0\": 1}}", ERR_MEASUREMENT_INPUT, "Measurements.PCR0",
            "text");
}
END_TEST

START_TEST(wrong_algorithm)
{
    refused("{\"Measurements\": {\"HashAlgorithm\": \"Sha256 { ... }\", " PCRS "}}",
            ERR_MEASUREMENT_INPUT, "HashAlgorithm", "Sha256 { ... }");
}
END_TEST

START_TEST(wrong_member)
{
    static const char *const names[] = {"PCR32", "PCR01", "PCR", "PCR-1", "pcr3", "Nonce"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[1024];
        char field[64];
        snprintf(text, sizeof text, "{\"Measurements\": {" BODY ", \"%s\": \"" P8 "\"}}", names[i]);
        snprintf(field, sizeof field, "Measurements.%s", names[i]);
        refused(text, ERR_MEASUREMENT_INPUT, field, "neither");
    }
}
END_TEST

START_TEST(long_hex)
{
    refused("{\"PCR0\": \"" P0 "00\", \"PCR1\": \"" P1 "\", \"PCR2\": \"" P2 "\"}",
            ERR_MEASUREMENT_INPUT, "PCR0", "98 characters");
    refused("{\"PCR0\": \"<your PCR0>\"}", ERR_MEASUREMENT_INPUT, "PCR0", "11 characters");
    refused("{\"PCR0\": \"x" P0 "\"}", ERR_MEASUREMENT_INPUT, "PCR0", "97 characters");
}
END_TEST

START_TEST(junk_hex)
{
    refused("{\"PCR0\": \"g87b24930a9f0fe14b01a71ecdc00d8be8fad90f9834d547158854b8279c74095c43f8d7f"
            "047714e98deb7903f20e3dd\"}",
            ERR_MEASUREMENT_INPUT, "PCR0", "hex digits");
}
END_TEST

/* PCR0, 1, 2 and 8, in whichever of the forms. */
START_TEST(wrong_zero)
{
    static const char debug[] = "these are the values of a debug enclave";
    refused("{\"Measurements\": {" HASH ", \"PCR0\": \"" ZERO "\", \"PCR1\": \"" P1
            "\", \"PCR2\": \"" P2 "\"}}",
            ERR_PCRS_ZERO, "PCR0", debug);
    refused("{\"PCR0\": \"" P0 "\", \"PCR1\": \"" P1 "\", \"PCR2\": \"" ZERO "\"}", ERR_PCRS_ZERO,
            "PCR2", debug);
    refused("{\"PCR0\": \"" ZERO "\", \"PCR1\": \"" ZERO "\", \"PCR2\": \"" ZERO "\"}",
            ERR_PCRS_ZERO, "PCR0", debug);
    refused("{" PCRS ", \"PCR8\": \"" ZERO "\"}", ERR_PCRS_ZERO, "PCR8", debug);
    refused("{" PCRS ", \"PCR3\": \"" ZERO "\"}", ERR_PCRS_ZERO, "PCR3", "without it");
    refused(P0 " PCR0\n" ZERO " PCR1\n" P2 " PCR2\n", ERR_PCRS_ZERO, "PCR1", debug);
}
END_TEST

START_TEST(wrong_placeholder)
{
    refused("{\"PCR0\": \"" REPEAT_4("abcabcabcabcabcabcabcabc") "\"}", ERR_MEASUREMENT_INPUT,
            "PCR0", "placeholder");
    /* A pattern of 32 digits, three times; of 33 it would be chance. */
    refused("{\"PCR0\": \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
            "00112233445566778899aabbccddeeff\"}",
            ERR_MEASUREMENT_INPUT, "PCR0", "placeholder");
    refused("{\"PCR0\": \"" P0 "\", \"PCR1\": \"" P0 "\", \"PCR2\": \"" P0 "\"}",
            ERR_MEASUREMENT_INPUT, "PCR0", "the same");
}
END_TEST

START_TEST(wrong_debug)
{
    refused("[{" MEASURES ", \"Flags\": \"DEBUG_MODE\"}]", ERR_MEASUREMENT_INPUT, "Flags",
            "DEBUG_MODE");
}
END_TEST

START_TEST(wrong_several)
{
    refused("{" MEASURES "}\n{" MEASURES "}", ERR_MEASUREMENT_INPUT, "", "several");
    refused("[{" MEASURES "}, {" MEASURES "}]", ERR_MEASUREMENT_INPUT, "", "several");
    refused("{" MEASURES "}\n" P0 " PCR0\n" P1 " PCR1\n" P2 " PCR2\n", ERR_MEASUREMENT_INPUT, "",
            "several");
    refused(P0 " PCR0\n" P1 " PCR1\n" P2 " PCR2\n" P0 " PCR0\n", ERR_MEASUREMENT_INPUT, "PCR0",
            "twice");
}
END_TEST

START_TEST(wrong_result)
{
    refused("{" MEASURES ", \"CheckCRC\": false}", ERR_MEASUREMENT_INPUT, "CheckCRC", "damaged");
    refused("{" MEASURES8 ", \"SignatureCheck\": false}", ERR_MEASUREMENT_INPUT, "SignatureCheck",
            "does not hold");
    refused("{" MEASURES8 ", \"SignatureCheck\": \"no\"}", ERR_MEASUREMENT_INPUT, "SignatureCheck",
            "true or false");
    refused("{" MEASURES8 ", \"SignatureCheck\": null}", ERR_MEASUREMENT_INPUT, "SignatureCheck",
            "true or false");
    refused("{" MEASURES ", \"CheckCRC\": 0}", ERR_MEASUREMENT_INPUT, "CheckCRC", "true or false");
    refused("{" MEASURES ", \"IsSigned\": \"no\"}", ERR_MEASUREMENT_INPUT, "IsSigned",
            "true or false");
    refused("{" MEASURES ", \"IsSigned\": true}", ERR_MEASUREMENT_INPUT, "IsSigned", "PCR8");
    refused("{" MEASURES8 ", \"IsSigned\": false}", ERR_MEASUREMENT_INPUT, "IsSigned", "PCR8");
}
END_TEST

START_TEST(long_input)
{
    CLEANUP(buf_free) struct buf text = {0};
    ck_ok(buf_reserve(&text, NITRO_JSON_INPUT_MAX + 1));
    memset(text.ptr, '\n', NITRO_JSON_INPUT_MAX + 1);
    text.len = NITRO_JSON_INPUT_MAX + 1;
    ck_err(nitro_json_parse(bytes_of_buf(&text), &m, &fault), ERR_TOO_LARGE);
    text.len--;
    ck_err(nitro_json_parse(bytes_of_buf(&text), &m, &fault), ERR_MEASUREMENT_INPUT);
}
END_TEST

/* A line of braces costs a try of the parser: there is an end to them. */
START_TEST(long_braces)
{
    CLEANUP(buf_free) struct buf text = {0};
    for (size_t i = 0; i < 100000; i++)
        ck_ok(buf_append_text(&text, "[\n"));
    fault = (struct fault)FAULT_NONE;
    ck_err(nitro_json_parse(bytes_of_buf(&text), &m, &fault), ERR_MEASUREMENT_INPUT);
    ck_assert_ptr_nonnull(strstr(fault.detail, "too many lines"));
}
END_TEST

/* Each of these lines would be read to the end of the text, where the JSON breaks off. */
START_TEST(long_broken_off)
{
    CLEANUP(buf_free) struct buf text = {0};
    for (size_t i = 0; i < 2000; i++)
        ck_ok(buf_append_text(&text, "[\n"));
    for (size_t i = 0; i < 200000; i++)
        ck_ok(buf_append_text(&text, "1000000000000000000,"));
    fault = (struct fault)FAULT_NONE;
    ck_err(nitro_json_parse(bytes_of_buf(&text), &m, &fault), ERR_MEASUREMENT_INPUT);
    ck_assert_ptr_nonnull(strstr(fault.detail, "too many lines"));
}
END_TEST

/* Beside an image file: the first that differs is named, with both values. */
START_TEST(wrong_beside_an_image)
{
    struct nitro_measurements printed;
    struct nitro_measurements measured;
    ck_ok(parse("{" MEASURES8 "}"));
    printed = measured = m;
    ck_ok(nitro_measurements_agree(&printed, &measured, &fault));
    static const unsigned indexes[] = {8, 2, 1, 0}; /* the first that differs is told */
    for (size_t i = 0; i < ARRAY_LEN(indexes); i++) {
        char field[8];
        printed.pcr[indexes[i]][ATTDOC_PCR_LEN - 1] ^= 1;
        ck_err(nitro_measurements_agree(&printed, &measured, &fault), ERR_MEASUREMENT_INPUT);
        snprintf(field, sizeof field, "PCR%u", indexes[i]);
        ck_assert_str_eq(fault.field, field);
    }
    ck_assert_str_eq(fault.detail,
                     "the EIF has " P0 ", what was printed says "
                     "287b24930a9f0fe14b01a71ecdc00d8be8fad90f9834d547158854b8279c7409"
                     "5c43f8d7f047714e98deb7903f20e3dc");
    printed = measured;
    printed.present &= ~(UINT32_C(1) << 8);
    ck_err(nitro_measurements_agree(&printed, &measured, &fault), ERR_MEASUREMENT_INPUT);
    ck_assert_str_eq(fault.detail, "the EIF has " P8 ", what was printed says none");
    ck_err(nitro_measurements_agree(&measured, &printed, &fault), ERR_MEASUREMENT_INPUT);
    ck_assert_str_eq(fault.detail, "the EIF has none, what was printed says " P8);
    measured.present &= ~(UINT32_C(1) << 8); /* an unsigned one */
    ck_ok(nitro_measurements_agree(&printed, &measured, &fault));
}
END_TEST

UNIT_MAIN("nitro_json", valid_samples, valid_samples_all, valid_surroundings, valid_signed,
          valid_upper_case, valid_provenance, valid_list, valid_nitrotpm, wrong_nitrotpm,
          no_measurements, no_pcr, wrong_type, wrong_algorithm, wrong_member, long_hex, junk_hex,
          wrong_zero, wrong_placeholder, wrong_debug, wrong_several, wrong_result, long_input,
          long_braces, long_broken_off, wrong_beside_an_image)
