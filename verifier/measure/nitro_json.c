#include "nitro_json.h"

#include <jansson.h>
#include <stdio.h>

#include "common/codec.h"
#include "common/json_reader.h"
#include "common/out_of_memory.h"
#include "common/pcr_text.h"

/* Bytes that may be read in vain, where lines could begin a JSON text and do not: each of
 * them is read anew, and a text that breaks off at its end would be read to it every time. */
#define WASTED_MAX  (4 * NITRO_JSON_INPUT_MAX)
#define PCR_HEX_LEN (2 * ATTDOC_PCR_LEN)
#define PERIOD_MAX  32 /* hex digits that a placeholder repeats */

/* ---- values ---- */

/* "1234567890abcdef1234...", "abababab...": no hash repeats itself. */
static bool is_repetition(const char *hex)
{
    for (size_t period = 1; period <= PERIOD_MAX; period++) {
        if (memcmp(hex, hex + period, PCR_HEX_LEN - period) == 0)
            return true;
    }
    return false;
}

static enum err read_pcr(struct nitro_measurements *m, unsigned index, const char *hex,
                         struct fault *fault)
{
    if (hex_decode(bytes_of_text(hex), m->pcr[index], ATTDOC_PCR_LEN) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "PCR%u", index), ERR_MEASUREMENT_INPUT,
             "%d hex digits are expected, %zu character%s found", PCR_HEX_LEN, strlen(hex),
             plural(strlen(hex)));
    m->present |= UINT32_C(1) << index;
    return ERR_OK;
}

static bool has(const struct nitro_measurements *m, unsigned index)
{
    return (m->present >> index & 1) != 0;
}

/* No hash is all zeros, and none repeats itself. */
static enum err check_value(const struct nitro_measurements *m, unsigned index, enum err zero,
                            const char *zeros_are, struct fault *fault)
{
    char hex[PCR_HEX_LEN + 1];
    if (bytes_all_zero(bytes_of(m->pcr[index], ATTDOC_PCR_LEN)))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "PCR%u", index), zero, "all zeros: %s", zeros_are);
    hex_encode(bytes_of(m->pcr[index], ATTDOC_PCR_LEN), hex);
    if (is_repetition(hex))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "PCR%u", index), ERR_MEASUREMENT_INPUT,
             "a repeated pattern: a placeholder, not a measurement");
    return ERR_OK;
}

/* An enclave's: PCR0, 1 and 2, as every EIF has them; equal ones are somebody's example. */
static enum err check_enclave(const struct nitro_measurements *m, struct fault *fault)
{
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if (has(m, i))
            TRY(check_value(m, i, ERR_PCRS_ZERO,
                            i <= 2 || i == 8 ? "these are the values of a debug enclave"
                                             : "that is how an enclave without it looks",
                            fault));
    }
    for (unsigned i = 0; i <= 2; i++) {
        if (!has(m, i))
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "PCR%u", i), ERR_MEASUREMENT_INPUT,
                 "missing: PCR0, PCR1 and PCR2 belong together");
    }
    if (memcmp(m->pcr[0], m->pcr[1], ATTDOC_PCR_LEN) == 0 &&
        memcmp(m->pcr[0], m->pcr[2], ATTDOC_PCR_LEN) == 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "PCR0"), ERR_MEASUREMENT_INPUT,
             "PCR0, PCR1 and PCR2 are the same: placeholders, not measurements");
    return ERR_OK;
}

/* An EC2 instance's: PCR4 and PCR7.  Of the others zeros and ones are what a TPM is reset to,
 * and worth demanding: PCR12 is zero where nobody added to the kernel's command line. */
static enum err check_nitrotpm(const struct nitro_measurements *m, struct fault *fault)
{
    static const unsigned required[] = {4, 7};
    for (size_t n = 0; n < ARRAY_LEN(required); n++) {
        const unsigned i = required[n];
        if (!has(m, i))
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "PCR%u", i), ERR_MEASUREMENT_INPUT,
                 "missing: PCR4 and PCR7 of an EC2 instance belong together");
        TRY(check_value(m, i, ERR_MEASUREMENT_INPUT, "nothing was measured", fault));
    }
    return ERR_OK;
}

/* What the set is of shows in what it holds: an enclave's never lacks PCR0, what
 * nitro-tpm-pcr-compute prints never has it. */
static enum err check_set(struct nitro_measurements *m, struct fault *fault)
{
    m->kind = (m->present & 7) == 0 && (has(m, 4) || has(m, 7)) ? ATTDOC_NITROTPM : ATTDOC_ENCLAVE;
    return m->kind == ATTDOC_NITROTPM ? check_nitrotpm(m, fault) : check_enclave(m, fault);
}

/* "PCR0".."PCR31"; false for any other name. */
static bool pcr_index(const char *name, unsigned *index)
{
    return strncmp(name, "PCR", 3) == 0 &&
           pcr_index_parse(bytes_of_text(name + 3), index) == ERR_OK;
}

/* ---- one "Measurements" object ---- */

/* nitro-cli prints a name in Rust's debug form, "Sha384 { ... }"; nitro-tpm-pcr-compute
 * "SHA384". */
static bool is_sha384(const char *algorithm)
{
    static const char *const known[] = {"Sha384 { ... }", "Sha384", "SHA384", "SHA384 { ... }"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(algorithm, known[i]) == 0)
            return true;
    }
    return false;
}

static enum err read_measurements(json_t *object, struct nitro_measurements *m, struct fault *fault)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        unsigned index = 0;
        const char *text = json_string_value(value);
        if (text == NULL)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "Measurements.%s", name), ERR_MEASUREMENT_INPUT,
                 "a text is expected");
        if (pcr_index(name, &index))
            TRY(read_pcr(m, index, text, fault));
        else if (strcmp(name, "HashAlgorithm") != 0)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "Measurements.%s", name), ERR_MEASUREMENT_INPUT,
                 "neither a PCR nor HashAlgorithm");
        else if (!is_sha384(text))
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "HashAlgorithm"), ERR_MEASUREMENT_INPUT,
                 "\"%.40s\" found, Sha384 is expected", text);
    }
    return check_set(m, fault);
}

/* ---- what stands around it ---- */

void nitro_provenance_add(struct nitro_measurements *m, const char *name, const char *value)
{
    size_t used = strlen(m->provenance);
    if (value == NULL || value[0] == '\0')
        return;
    snprintf(m->provenance + used, sizeof m->provenance - used, "; %s=%s", name, value);
    for (; m->provenance[used] != '\0'; used++) {
        if (m->provenance[used] < 0x20 || m->provenance[used] > 0x7e)
            m->provenance[used] = '?';
    }
}

static const char *text_member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void describe(const json_t *result, struct nitro_measurements *m)
{
    const json_t *metadata = json_object_get(result, "Metadata");
    snprintf(m->provenance, sizeof m->provenance, "%s",
             m->kind == ATTDOC_NITROTPM                      ? "nitro-tpm-pcr-compute"
             : json_object_get(result, "PCR0") != NULL       ? "nitro-cli, its Measurements object"
             : json_object_get(result, "EifVersion") != NULL ? "nitro-cli describe-eif"
             : json_object_get(result, "EnclaveID") != NULL  ? "nitro-cli describe-enclaves"
                                                             : "nitro-cli build-enclave");
    nitro_provenance_add(m, "ImageName", text_member(result, "ImageName"));
    nitro_provenance_add(m, "ImageVersion", text_member(result, "ImageVersion"));
    nitro_provenance_add(m, "BuildTime", text_member(metadata, "BuildTime"));
    nitro_provenance_add(m, "BuildTool", text_member(metadata, "BuildTool"));
    nitro_provenance_add(m, "BuildToolVersion", text_member(metadata, "BuildToolVersion"));
    nitro_provenance_add(m, "KernelVersion", text_member(metadata, "KernelVersion"));
}

/* What nitro-cli checked of the EIF.  It prints true or false; anything else is no word that
 * could be relied on. */
static enum err check_flag(const json_t *result, const char *name, const char *false_means,
                           struct fault *fault)
{
    const json_t *flag = json_object_get(result, name);
    if (flag != NULL && !json_is_boolean(flag))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", name), ERR_MEASUREMENT_INPUT,
             "true or false is expected");
    if (json_is_false(flag) && false_means != NULL)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", name), ERR_MEASUREMENT_INPUT, "false: %s",
             false_means);
    return ERR_OK;
}

/* A result contradicts itself where it says signed and has no PCR8, or the reverse. */
static enum err check_result(const json_t *result, const struct nitro_measurements *m,
                             struct fault *fault)
{
    const char *flags = text_member(result, "Flags");
    const json_t *is_signed = json_object_get(result, "IsSigned");
    if (flags != NULL && strstr(flags, "DEBUG_MODE") != NULL)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "Flags"), ERR_MEASUREMENT_INPUT,
             "the enclave runs in DEBUG_MODE: its documents hold zeros, not these values; use what "
             "build-enclave or describe-eif prints");
    TRY(check_flag(result, "CheckCRC", "the EIF is damaged: build it anew", fault));
    TRY(check_flag(result, "SignatureCheck", "the EIF's signature does not hold: sign it anew",
                   fault));
    TRY(check_flag(result, "IsSigned", NULL, fault));
    if (is_signed != NULL && json_is_true(is_signed) != has(m, 8))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "IsSigned"), ERR_MEASUREMENT_INPUT,
             "a signed EIF has a PCR8, an unsigned one has none");
    return ERR_OK;
}

/* ---- finding it ---- */

struct search {
    struct nitro_measurements found;
    unsigned count;       /* results that hold measurements */
    const char *why_none; /* of the last result that holds none */
    size_t damaged_line;  /* the first that begins an object which is no JSON, from 1; 0: none */
};

/* `result`: one object that a tool printed. */
static enum err take_result(json_t *result, struct search *search, struct fault *fault)
{
    struct nitro_measurements m = {0};
    json_t *measurements = json_object_get(result, "Measurements");
    if (measurements == NULL &&
        (json_object_get(result, "PCR0") != NULL || json_object_get(result, "PCR4") != NULL))
        measurements = result; /* cut out by jq */
    if (measurements == NULL) {
        if (json_object_get(result, "Terminated") != NULL)
            search->why_none = "this is what terminate-enclave prints";
        else if (json_object_get(result, "EnclaveCID") != NULL)
            search->why_none = "this is what run-enclave prints";
        return ERR_OK;
    }
    if (++search->count > 1)
        FAIL(fault, ERR_MEASUREMENT_INPUT,
             "several sets of measurements: pass the output of one build only");
    if (!json_is_object(measurements))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "Measurements"), ERR_MEASUREMENT_INPUT,
             "an object is expected");
    TRY(read_measurements(measurements, &m, fault));
    TRY(check_result(result, &m, fault));
    describe(result, &m);
    search->found = m;
    return ERR_OK;
}

/* describe-enclaves prints an array of results. */
static enum err take_value(json_t *value, struct search *search, struct fault *fault)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *entry = json_array_get(value, i);
        if (json_is_object(entry))
            TRY(take_result(entry, search, fault));
    }
    return json_is_object(value) ? take_result(value, search, fault) : ERR_OK;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The end of the line in which `pos` stands, past its newline. */
static size_t next_line(struct bytes text, size_t pos)
{
    while (pos < text.len && text.ptr[pos] != '\n')
        pos++;
    return pos < text.len ? pos + 1 : text.len;
}

/* The number of the line in which `pos` stands, from 1. */
static size_t line_of(struct bytes text, size_t pos)
{
    size_t line = 1;
    for (size_t i = 0; i < pos; i++)
        line += text.ptr[i] == '\n';
    return line;
}

/* Every JSON text that begins a line: the tools print theirs so, and a log's other
 * lines, such as "[ E36 ] ...", are none. */
static enum err search_json(struct bytes text, struct search *search, struct fault *fault)
{
    size_t wasted = 0;
    for (size_t pos = 0; pos < text.len;) {
        if (is_blank(text.ptr[pos])) {
            pos++;
            continue;
        }
        if (text.ptr[pos] != '{' && text.ptr[pos] != '[') {
            pos = next_line(text, pos);
            continue;
        }
        json_error_t error;
        (void)out_of_memory_seen();
        CLEANUP(json_decrefp)
        json_t *value = json_loadb((const char *)text.ptr + pos, text.len - pos,
                                   JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);
        if (out_of_memory_seen()) /* as in json_reader.c */
            FAIL(fault, ERR_NO_MEMORY, "out of memory reading JSON");
        if (value == NULL) {
            if (text.ptr[pos] == '{' && search->damaged_line == 0)
                search->damaged_line = line_of(text, pos);
            wasted += error.position > 0 ? (size_t)error.position : 1;
            if (wasted > WASTED_MAX)
                FAIL(fault, ERR_MEASUREMENT_INPUT,
                     "too many lines that look like JSON and are none");
            pos = next_line(text, pos);
            continue;
        }
        pos += (size_t)error.position; /* where it ended */
        TRY(take_value(value, search, fault));
    }
    return ERR_OK;
}

/* ---- eif_build's list ---- */

/* A line "HEX PCR0". */
static bool list_line(struct bytes line, char hex[static PCR_HEX_LEN + 1], unsigned *index)
{
    char name[8] = "";
    while (line.len > 0 && is_blank(line.ptr[line.len - 1]))
        line.len--;
    if (line.len < PCR_HEX_LEN + 5 || line.len > PCR_HEX_LEN + 6 || line.ptr[PCR_HEX_LEN] != ' ')
        return false;
    memcpy(hex, line.ptr, PCR_HEX_LEN);
    hex[PCR_HEX_LEN] = '\0';
    memcpy(name, line.ptr + PCR_HEX_LEN + 1, line.len - PCR_HEX_LEN - 1);
    return strspn(hex, "0123456789abcdefABCDEF") == PCR_HEX_LEN && pcr_index(name, index);
}

static enum err search_list(struct bytes text, struct search *search, struct fault *fault)
{
    struct nitro_measurements m = {.provenance = "eif_build"};
    for (size_t pos = 0; pos < text.len;) {
        const size_t next = next_line(text, pos);
        char hex[PCR_HEX_LEN + 1];
        unsigned index;
        if (list_line(bytes_of(text.ptr + pos, next - pos), hex, &index)) {
            if (has(&m, index))
                FAIL(fault_at(fault, pos, "PCR%u", index), ERR_MEASUREMENT_INPUT,
                     "given twice: pass the output of one build only");
            TRY(read_pcr(&m, index, hex, fault));
        }
        pos = next;
    }
    if (m.present == 0)
        return ERR_OK;
    TRY(check_set(&m, fault));
    if (++search->count > 1)
        FAIL(fault, ERR_MEASUREMENT_INPUT,
             "several sets of measurements: pass the output of one build only");
    search->found = m;
    return ERR_OK;
}

enum err nitro_json_parse(struct bytes text, struct nitro_measurements *out, struct fault *fault)
{
    struct search search = {0};
    if (text.len > NITRO_JSON_INPUT_MAX)
        FAIL(fault, ERR_TOO_LARGE, "more than %d bytes", NITRO_JSON_INPUT_MAX);
    TRY(search_json(text, &search, fault));
    TRY(search_list(text, &search, fault));
    if (search.count == 0 && search.why_none == NULL && search.damaged_line != 0)
        FAIL(fault, ERR_MEASUREMENT_INPUT,
             "no measurements found; the JSON that begins in line %zu is cut short, damaged, or "
             "names something twice",
             search.damaged_line);
    if (search.count == 0)
        FAIL(fault, ERR_MEASUREMENT_INPUT,
             "%s: what build-enclave, describe-eif or nitro-tpm-pcr-compute prints is expected",
             search.why_none != NULL ? search.why_none : "no measurements found");
    *out = search.found;
    return ERR_OK;
}

/* ---- beside an image file ---- */

static const char *value_text(const struct nitro_measurements *m, unsigned index,
                              char hex[static PCR_HEX_LEN + 1])
{
    if ((m->present >> index & 1) == 0)
        return "none";
    hex_encode(bytes_of(m->pcr[index], ATTDOC_PCR_LEN), hex);
    return hex;
}

enum err nitro_measurements_agree(const struct nitro_measurements *printed,
                                  const struct nitro_measurements *measured, struct fault *fault)
{
    static const unsigned of_an_image[] = {0, 1, 2, 8};
    for (size_t i = 0; i < ARRAY_LEN(of_an_image); i++) {
        char found[PCR_HEX_LEN + 1];
        char expected[PCR_HEX_LEN + 1];
        const unsigned index = of_an_image[i];
        const char *is = value_text(printed, index, found);
        const char *should = value_text(measured, index, expected);
        if (strcmp(is, should) != 0)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "PCR%u", index), ERR_MEASUREMENT_INPUT,
                 "the EIF has %s, what was printed says %s", should, is);
    }
    return ERR_OK;
}
