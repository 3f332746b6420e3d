/* `vouchsafe verify`: is this document genuine?  Any input that can be read is decided;
 * the decision itself is verifier/attest/appraisal.c's, the same that POST /v1/verify
 * answers. */
#include "command.h"
#include "common/codec.h"
#include "common/pcr_text.h"
#include "output.h"
#include "verifier/attest/appraisal.h"
#include "verifier/clock.h"

#define ROOT_MAX      65536
#define AGE_MAX_S     3153600000u /* a hundred years */
#define PCR_LIST_SIZE 128

/* ---- what is asked ---- */

static enum err take_time(const struct cli_args *args, struct appraisal_options *options,
                          struct fault *fault)
{
    const char *at = cli_args_value(args, "at");
    if (at == NULL) {
        options->time = APPRAISAL_TIME_CLOCK;
        options->now_ms = clock_now_ms();
        return ERR_OK;
    }
    if (strcmp(at, "document") == 0) {
        options->time = APPRAISAL_TIME_DOCUMENT;
        return ERR_OK;
    }
    options->time = APPRAISAL_TIME_GIVEN;
    if (time_parse(at, &options->now_ms) != ERR_OK || options->now_ms < 0)
        FAIL(fault, ERR_USAGE,
             "--at takes \"document\" or a time such as 2026-11-23T08:09:59Z, from 1970 on, "
             "not \"%s\"",
             at);
    return ERR_OK;
}

static enum err take_kind(const struct cli_args *args, struct appraisal_options *options,
                          struct fault *fault)
{
    const char *kind = cli_args_value(args, "kind");
    if (kind == NULL || strcmp(kind, attdoc_kind_name(ATTDOC_ENCLAVE)) == 0)
        options->kind = ATTDOC_ENCLAVE;
    else if (strcmp(kind, attdoc_kind_name(ATTDOC_NITROTPM)) == 0)
        options->kind = ATTDOC_NITROTPM;
    else
        FAIL(fault, ERR_USAGE, "--kind takes enclave or nitrotpm, not \"%s\"", kind);
    return ERR_OK;
}

static enum err take_nonce(const struct cli_args *args, struct appraisal_options *options,
                           struct buf *nonce, struct fault *fault)
{
    const char *hex = cli_args_value(args, "nonce");
    if (hex == NULL)
        return ERR_OK;
    const size_t len = strlen(hex) / 2;
    /* An empty one is refused: it is what an unset shell variable gives. */
    if (len == 0 || len > ATTDOC_OPTIONAL_MAX)
        FAIL(fault, ERR_USAGE, "--nonce takes 1 to %d bytes of hex", ATTDOC_OPTIONAL_MAX);
    TRY(buf_reserve(nonce, len));
    if (hex_decode(bytes_of_text(hex), nonce->ptr, len) != ERR_OK)
        FAIL(fault, ERR_USAGE, "--nonce takes hex digits, two for each byte");
    nonce->len = len;
    options->nonce_expected = true;
    options->nonce = bytes_of_buf(nonce);
    return ERR_OK;
}

static enum err take_pcr(const char *text, struct appraisal_options *options, struct fault *fault)
{
    uint8_t value[ATTDOC_PCR_LEN];
    unsigned index = 0;
    TRY(pcr_assignment_parse(text, &index, value, fault));
    const uint32_t bit = UINT32_C(1) << index;
    if ((options->pcr_expected & bit) != 0)
        FAIL(fault, ERR_USAGE, "--pcr %u=... was given twice", index);
    memcpy(options->pcr[index], value, sizeof value);
    options->pcr_expected |= bit;
    return ERR_OK;
}

static enum err take_options(const struct cli_args *args, struct appraisal_options *options,
                             struct buf *nonce, struct fault *fault)
{
    TRY(take_time(args, options, fault));
    TRY(take_kind(args, options, fault));
    TRY(take_nonce(args, options, nonce, fault));
    size_t next = 0;
    for (const char *pcr; (pcr = cli_args_next(args, "pcr", &next)) != NULL;)
        TRY(take_pcr(pcr, options, fault));
    if (cli_args_has(args, "max-age")) {
        uint64_t max_age_s = 0;
        TRY(cli_args_uint(args, "max-age", 0, AGE_MAX_S, &max_age_s, fault));
        options->max_age_ms = (int64_t)max_age_s * 1000;
    }
    return ERR_OK;
}

static enum err load_trust(const char *root_file, struct attest_trust **trust, struct fault *fault)
{
    if (root_file == NULL)
        return attest_trust_new(NULL, 0, NULL, trust, fault);
    CLEANUP(buf_free) struct buf pem = {0};
    TRY(cli_read_file(root_file, ROOT_MAX, &pem, fault));
    if (memchr(pem.ptr, '\0', pem.len) != NULL)
        FAIL(fault, ERR_CONFIG, "%s: not a PEM file", root_file);
    const char *text = buf_text(&pem);
    if (text == NULL)
        return ERR_NO_MEMORY;
    return attest_trust_new(text, 0, NULL, trust, fault);
}

/* ---- what is shown ---- */

struct paint {
    const char *good;
    const char *bad;
    const char *off;
};

static void print_line(const char *name, struct bytes value)
{
    printf("  %-12s ", name);
    cli_print_text(value, stdout);
    putchar('\n');
}

static void print_hex(const char *name, struct bytes value)
{
    printf("  %-12s ", name);
    for (size_t i = 0; i < value.len; i++)
        printf("%02x", value.ptr[i]);
    putchar('\n');
}

static void print_time(const char *name, int64_t unix_ms, const char *remark)
{
    char text[TIME_TEXT_MAX];
    time_format(unix_ms, text);
    printf("  %-12s %s%s\n", name, text, remark);
}

static void print_optional(const char *name, const struct attdoc_optional *field)
{
    if (field->state == ATTDOC_ABSENT)
        printf("  %-12s absent\n", name);
    else if (field->state == ATTDOC_NULL)
        printf("  %-12s null\n", name);
    else if (field->value.len == 0 || field->value.len > 64)
        printf("  %-12s %zu bytes\n", name, field->value.len);
    else
        print_hex(name, field->value);
}

static bool pcr_is_zero(const struct attdoc *doc, unsigned i)
{
    return i < ATTDOC_PCR_COUNT && doc->pcr[i] != NULL &&
           bytes_all_zero(bytes_of(doc->pcr[i], ATTDOC_PCR_LEN));
}

/* Most PCRs are zero: they share one line, "3, 5-15". */
static void print_pcrs(const struct attdoc *doc)
{
    char zero[PCR_LIST_SIZE] = "";
    size_t len = 0;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if (doc->pcr[i] == NULL)
            continue;
        if (!pcr_is_zero(doc, i)) {
            char name[8];
            snprintf(name, sizeof name, "PCR%u", i);
            print_hex(name, bytes_of(doc->pcr[i], ATTDOC_PCR_LEN));
            continue;
        }
        const unsigned first = i;
        while (pcr_is_zero(doc, i + 1))
            i++;
        len += (size_t)snprintf(zero + len, sizeof zero - len, "%s%u", len == 0 ? "" : ", ", first);
        if (i > first)
            len += (size_t)snprintf(zero + len, sizeof zero - len, "-%u", i);
    }
    if (len > 0)
        printf("  %-12s PCR %s\n", "all zero", zero);
}

static void print_document(const struct appraisal *a, const struct paint *paint)
{
    const struct attdoc *doc = &a->report.doc;
    if (attdoc_is_debug(doc))
        printf("  %-12s %sDEBUG%s: it proves no code\n", "mode", paint->bad, paint->off);
    else if (doc->kind == ATTDOC_ENCLAVE)
        printf("  %-12s PRODUCTION\n", "mode");
    printf("  %-12s %s\n", "kind", attdoc_kind_name(doc->kind));
    print_line("module", doc->module_id);
    if (a->region[0] != '\0')
        print_line("region", bytes_of_text(a->region));
    print_time("made", (int64_t)doc->timestamp_ms, "");
    if (a->authentic) {
        print_time("valid from", a->report.validity.from_ms, "");
        print_time("valid until", a->report.validity.until_ms, "");
    }
    print_hex("digest", bytes_of(a->report.digest, SHA384_LEN));
    print_pcrs(doc);
    print_optional("public_key", &doc->public_key);
    print_optional("user_data", &doc->user_data);
    print_optional("nonce", &doc->nonce);
}

static void print_appraisal(const struct appraisal *a)
{
    static const char *const time_remarks[] = {
        [APPRAISAL_TIME_CLOCK] = " (this machine's clock)",
        [APPRAISAL_TIME_GIVEN] = " (given)",
        [APPRAISAL_TIME_DOCUMENT] = " (the document's own time)",
    };
    const struct paint paint = cli_has_colour(stdout)
                                   ? (struct paint){"\033[32m", "\033[31m", "\033[0m"}
                                   : (struct paint){"", "", ""};
    printf("%s%s%s\n", a->valid ? paint.good : paint.bad, a->valid ? "VALID" : "NOT VALID",
           paint.off);
    if (a->time_known)
        print_time("judged at", a->report.now_ms, time_remarks[a->time]);
    print_hex("root", bytes_of(a->root_sha256, sizeof a->root_sha256));
    if (a->report.parsed) {
        puts(a->authentic ? "document" : "document, NOT VERIFIED: this is only what it says");
        print_document(a, &paint);
    }
    puts("checks");
    for (size_t i = 0; i < a->check_count; i++) {
        const bool failed = a->check[i].result == APPRAISAL_FAILED;
        printf("  %-28s %s%s%s\n", a->check[i].name, failed ? paint.bad : "",
               appraisal_result_name(a->check[i].result), failed ? paint.off : "");
    }
}

/* ---- the command ---- */

/* The verdict; and where it is one about the clock, what there is for a recorded document. */
static enum err verdict(const struct appraisal *a, struct fault *fault)
{
    *fault = a->fault;
    if (a->fault.code != ERR_CERT_EXPIRED || a->time != APPRAISAL_TIME_CLOCK)
        return a->fault.code;
    FAIL(fault, ERR_CERT_EXPIRED, "%s; to judge a recorded document at its own time: --at document",
         a->fault.detail);
}

static enum err verify_run(const struct cli_args *args, struct fault *fault)
{
    struct appraisal_options options = APPRAISAL_OPTIONS_DEFAULT;
    CLEANUP(buf_free) struct buf nonce = {0};
    TRY(take_options(args, &options, &nonce, fault));
    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    TRY(load_trust(cli_args_value(args, "root"), &trust, fault));
    CLEANUP(buf_free) struct buf document = {0};
    TRY(cli_read_document(args->operands[0], &document, fault));
    struct appraisal appraisal;
    TRY(appraisal_run(trust, bytes_of_buf(&document), &options, &appraisal, fault));
    if (cli_args_has(args, "json")) {
        CLEANUP(buf_free) struct buf json = {0};
        TRY(appraisal_json(&appraisal, &json));
        fwrite(json.ptr, 1, json.len, stdout);
    } else {
        print_appraisal(&appraisal);
    }
    return appraisal.valid ? ERR_OK : verdict(&appraisal, fault);
}

static const struct cli_option verify_options[] = {
    {.name = "at",
     .arg = "TIME|document",
     .help = "judge at this time (RFC 3339, UTC) or at the document's own timestamp, instead of "
             "now: for recorded documents"},
    {.name = "kind", .arg = "KIND", .help = "enclave (default) or nitrotpm"},
    {.name = "nonce", .arg = "HEX", .help = "the nonce must be this; debug mode fails"},
    {.name = "pcr",
     .arg = "N=HEX",
     .help = "PCR N must be present and this; debug mode fails; may be repeated",
     .repeated = true},
    {.name = "max-age",
     .arg = "S",
     .help = "the document must be no older than S seconds, nor more than 300 s ahead"},
    {.name = "root",
     .arg = "PEM",
     .help = "trust this root certificate instead of AWS's: for test documents"},
    {.name = "json", .help = "print the whole appraisal as JSON"},
    {0},
};

const struct cli_command cmd_verify = {
    .name = "verify",
    .operands = "FILE|-",
    .summary = "judge whether an attestation document is authentic",
    .details = "Reads an attestation document, raw or as base64, and verifies it up to the AWS\n"
               "Nitro root. It releases nothing and asks no server.\n"
               "Exit status: 0 valid, 1 not valid, 2 wrong usage, 3 could not be decided.",
    .options = verify_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = verify_run,
};
