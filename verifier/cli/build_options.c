#include "build_options.h"

#include <stdio.h>

#include "common/codec.h"
#include "common/pcr_text.h"
#include "common/protocol.h"
#include "eif_file.h"
#include "show.h"
#include "verifier/measure/nitro_json.h"

enum err build_set_name(json_t *params, const char *build, struct fault *fault)
{
    char image[PROTOCOL_IMAGE_MAX + 1];
    char version[PROTOCOL_IMAGE_MAX + 1];
    TRY(protocol_build_split(build, image, version, fault));
    TRY(api_set(params, "image", json_string(image)));
    return api_set(params, "version", json_string(version));
}

/* ---- the PCRs ---- */

static enum err take_pcr(struct pcr_values *values, const char *text, struct fault *fault)
{
    uint8_t value[ATTDOC_PCR_LEN];
    unsigned index = 0;
    TRY(pcr_assignment_parse(text, &index, value, fault));
    if ((values->present >> index & 1) != 0)
        FAIL(fault, ERR_USAGE, "--pcr %u=... was given twice", index);
    return pcr_values_set(values, index, value, "--pcr", fault);
}

/* The digest says later which bytes this was read from. */
static enum err note_source(struct buf *provenance, const char *what, const char *kind,
                            const uint8_t sha256[static SHA256_LEN])
{
    TRY(buf_append_format(provenance, "%s%s; %s SHA-256=", provenance->len == 0 ? "" : "; ", what,
                          kind));
    return hex_append(provenance, bytes_of(sha256, SHA256_LEN));
}

/* Of which kind the measurement is, what was measured shows. */
static enum err set_kind(json_t *params, const struct cli_args *args, enum attdoc_kind kind,
                         struct fault *fault)
{
    const char *given = cli_args_value(args, "kind");
    if (given != NULL && strcmp(given, attdoc_kind_name(kind)) != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "kind"), ERR_MEASUREMENT_INPUT,
             "--kind %.16s was given, and what was read is of kind %s", given,
             attdoc_kind_name(kind));
    return api_set(params, "kind", json_string(attdoc_kind_name(kind)));
}

static enum err take_printed(const char *path, struct nitro_measurements *out,
                             struct buf *provenance, struct fault *fault)
{
    CLEANUP(buf_free) struct buf input = {0};
    uint8_t digest[SHA256_LEN];
    TRY(cli_read_file(path, NITRO_JSON_INPUT_MAX + 1, &input, fault));
    TRY(nitro_json_parse(bytes_of_buf(&input), out, fault));
    TRY(digest_sha256(bytes_of_buf(&input), digest));
    return note_source(provenance, out->provenance, "input", digest);
}

static enum err take_eif(const char *path, struct nitro_measurements *out, struct buf *provenance,
                         struct fault *fault)
{
    CLEANUP(eif_description_free) struct eif_description description = {0};
    uint8_t digest[SHA256_LEN];
    TRY(eif_file_read(path, &description, digest, fault));
    *out = description.measured;
    return note_source(provenance, out->provenance, "EIF", digest);
}

/* From what a tool printed, from the image itself, or from both, which then agree. */
static enum err take_measured(json_t *params, const struct cli_args *args,
                              struct pcr_values *values, struct buf *provenance,
                              struct fault *fault)
{
    const char *from = cli_args_value(args, "from");
    const char *eif = cli_args_value(args, "eif");
    struct nitro_measurements printed = {0};
    struct nitro_measurements measured = {0};
    if (from != NULL && eif != NULL && strcmp(from, "-") == 0 && strcmp(eif, "-") == 0)
        FAIL(fault, ERR_USAGE, "--from and --eif cannot both be standard input");
    if (eif != NULL)
        TRY(take_eif(eif, &measured, provenance, fault));
    if (from != NULL)
        TRY(take_printed(from, &printed, provenance, fault));
    if (eif != NULL && from != NULL)
        TRY(nitro_measurements_agree(&printed, &measured, fault));
    const struct nitro_measurements *m = from != NULL ? &printed : &measured;
    TRY(set_kind(params, args, m->kind, fault));
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((m->present >> i & 1) != 0)
            TRY(pcr_values_set(values, i, m->pcr[i], from != NULL ? "--from" : "--eif", fault));
    }
    return ERR_OK;
}

static enum err set_provenance(json_t *params, struct buf *provenance,
                               const struct pcr_values *values)
{
    if (provenance->len > 0 && values->derived.len > 0)
        TRY(buf_append_text(provenance, "; "));
    TRY(buf_append(provenance, bytes_of_buf(&values->derived)));
    if (provenance->len == 0)
        return ERR_OK;
    return api_set(params, "provenance",
                   json_stringn((const char *)provenance->ptr, provenance->len));
}

static enum err set_pcr_map(json_t *params, const struct pcr_values *values)
{
    json_t *pcrs = json_object();
    TRY(api_set(params, "pcrs", pcrs));
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        char name[4];
        char hex[2 * ATTDOC_PCR_LEN + 1];
        if ((values->present >> i & 1) == 0)
            continue;
        snprintf(name, sizeof name, "%u", i);
        hex_encode(bytes_of(values->value[i], ATTDOC_PCR_LEN), hex);
        TRY(api_set(pcrs, name, json_string(hex)));
    }
    return ERR_OK;
}

/* GHSA-xrv8-2pf5-f3q7. */
static void warn_of_command_line(const json_t *params, const struct pcr_values *values)
{
    if (strcmp(show_text(params, "kind"), attdoc_kind_name(ATTDOC_NITROTPM)) == 0 &&
        (values->present >> 12 & 1) == 0)
        fputs("vouchsafe: warning: without PCR12, and unless PCR7 is of a Secure Boot, whoever may "
              "change the instance's UEFI data can add to the kernel's command line; "
              "nitro-tpm-pcr-compute prints PCR12 from version 1.1.0 on\n",
              stderr);
}

/* The build by --from, --eif or --pcr; where it runs and who signed it also by name. */
static enum err set_pcrs(json_t *params, const struct cli_args *args, struct fault *fault)
{
    CLEANUP(pcr_values_free) struct pcr_values values = {0};
    CLEANUP(buf_free) struct buf provenance = {0};
    const bool measured = cli_args_has(args, "from") || cli_args_has(args, "eif");
    size_t next = 0;
    if (measured && cli_args_has(args, "pcr"))
        FAIL(fault, ERR_USAGE,
             "give either --from FILE or --eif FILE, or both, or --pcr N=HEX for each PCR");
    if (measured)
        TRY(take_measured(params, args, &values, &provenance, fault));
    else
        TRY(api_set_option(params, "kind", args, "kind"));
    for (const char *pcr; (pcr = cli_args_next(args, "pcr", &next)) != NULL;)
        TRY(take_pcr(&values, pcr, fault));
    TRY(pcr_values_derive(&values, args, fault));
    if (values.present == 0)
        FAIL(fault, ERR_USAGE,
             "which PCRs? --from FILE, --eif FILE, or --pcr N=HEX for each of them");
    warn_of_command_line(params, &values);
    TRY(set_provenance(params, &provenance, &values));
    return set_pcr_map(params, &values);
}

/* ---- the rest ---- */

static enum err set_labels(json_t *params, const struct cli_args *args, struct fault *fault)
{
    size_t next = 0;
    json_t *labels = json_object();
    TRY(api_set(params, "labels", labels));
    for (const char *label; (label = cli_args_next(args, "label", &next)) != NULL;) {
        char name[128];
        const char *equals = strchr(label, '=');
        const size_t len = equals == NULL ? 0 : (size_t)(equals - label);
        if (len < 1 || len >= sizeof name || !utf8_valid(bytes_of_text(label)))
            FAIL(fault, ERR_USAGE, "--label takes NAME=VALUE, not \"%s\"", label);
        memcpy(name, label, len);
        name[len] = '\0';
        if (json_object_get(labels, name) != NULL)
            FAIL(fault, ERR_USAGE, "--label %s=... was given twice", name);
        TRY(api_set(labels, name, json_string(equals + 1)));
    }
    return ERR_OK;
}

enum err build_set(json_t *params, const struct cli_args *args, struct fault *fault)
{
    TRY(build_set_name(params, args->operands[0], fault));
    TRY(set_pcrs(params, args, fault));
    TRY(set_labels(params, args, fault));
    TRY(api_set_option(params, "not_before", args, "not-before"));
    return api_set_option(params, "not_after", args, "not-after");
}
