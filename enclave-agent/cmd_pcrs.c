/* vouchsafe-agent pcrs: this enclave's own measurements, as its NSM has them. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "command.h"
#include "common/codec.h"
#include "common/json_reader.h"
#include "journal.h"

/* Always shown; the others where they are not zero. */
static bool is_usual(unsigned index)
{
    return index <= 4 || index == 8;
}

static enum err add_pcrs(const struct nsm_pcr *pcrs, json_t *values, json_t *locked)
{
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        const struct bytes value = bytes_of(pcrs[i].value, ATTDOC_PCR_LEN);
        char index[4];
        char hex[2 * ATTDOC_PCR_LEN + 1];
        if (pcrs[i].locked && json_array_append_new(locked, json_integer(i)) != 0)
            return ERR_NO_MEMORY;
        if (!is_usual(i) && bytes_all_zero(value))
            continue;
        snprintf(index, sizeof index, "%u", i);
        hex_encode(value, hex);
        if (json_object_set_new(values, index, json_string(hex)) != 0)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

static enum err print_json(const struct nsm_pcr *pcrs, const struct nsm_about *about, bool debug)
{
    CLEANUP(json_decrefp) json_t *values = json_object();
    CLEANUP(json_decrefp) json_t *locked = json_array();
    CLEANUP(buf_free) struct buf text = {0};
    if (values == NULL || locked == NULL)
        return ERR_NO_MEMORY;
    TRY(add_pcrs(pcrs, values, locked));
    CLEANUP(json_decrefp)
    json_t *json = json_pack("{s:s, s:O, s:O, s:b}", "module_id", about->module_id, "pcrs", values,
                             "locked", locked, "debug", debug);
    if (json == NULL)
        return ERR_NO_MEMORY;
    TRY(json_append_lines(&text, json));
    if (buf_text(&text) == NULL)
        return ERR_NO_MEMORY;
    puts((const char *)text.ptr);
    return ERR_OK;
}

/* On standard output, and on the parent's side. */
PRINTF_LIKE(1, 2) static void print_line(const char *fmt, ...)
{
    char line[JOURNAL_LINE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    puts(line);
    journal_copy("%s", line);
}

static void print_text(const struct nsm_pcr *pcrs, const struct nsm_about *about)
{
    print_line("NSM   %s, version %u.%u.%u", about->module_id, about->version[0], about->version[1],
               about->version[2]);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        const struct bytes value = bytes_of(pcrs[i].value, ATTDOC_PCR_LEN);
        char hex[2 * ATTDOC_PCR_LEN + 1];
        if (!is_usual(i) && bytes_all_zero(value))
            continue;
        hex_encode(value, hex);
        print_line("PCR%-2u %s%s", i, hex, pcrs[i].locked ? "" : " (not locked)");
    }
}

static enum err run(const struct cli_args *args, int *status, struct fault *fault)
{
    *status = PLAIN_DONE;
    CLEANUP(settings_file_free) struct settings_file file = {0};
    const char *where = NULL;
    TRY(settings_nsm(args, &file, &where, fault));
    CLEANUP(nsm_close) struct nsm nsm = {.fd = -1};
    struct nsm_about about = {.module_id = "unknown"};
    struct nsm_pcr pcrs[ATTDOC_PCR_COUNT];
    TRY(nsm_open(where, &nsm, fault));
    /* The values are what counts: they are shown without the module's name, too. */
    const enum err err = nsm_describe(&nsm, &about, fault);
    if (err == ERR_NSM)
        command_say_fault(err, fault);
    else
        TRY(err);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++)
        TRY(nsm_describe_pcr(&nsm, i, &pcrs[i], fault));
    const bool debug = bytes_all_zero(bytes_of(pcrs[0].value, ATTDOC_PCR_LEN));
    if (cli_args_has(args, "json")) {
        TRY(print_json(pcrs, &about, debug));
    } else {
        print_text(pcrs, &about);
    }
    if (fflush(stdout) != 0)
        FAIL(fault, ERR_FILE, "standard output could not be written");
    if (debug)
        journal_say(MEASURE_DEBUG_SENTENCE);
    return ERR_OK;
}

const struct command command_pcrs = {
    .name = "pcrs",
    .operands = "",
    .summary = "print this enclave's measurements",
    .details = "Prints PCR0 to PCR4 and PCR8, and the others that are not zero, as this enclave's\n"
               "Nitro Secure Module has them, and its id; with --log also where that says.",
    .options = settings_options_pcrs,
    .run = run,
    .exit_of = outcome_plain,
};
