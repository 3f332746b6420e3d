/* vouchsafe-agent fetch: one secret, where it is told to. */
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "deliver.h"
#include "harden.h"
#include "obtain.h"

static const struct deliver_access access_out = {
    .mode = 0600, .uid = DELIVER_OWN, .gid = DELIVER_OWN};

/* Before anything is asked for. */
static enum err look(const struct settings *settings, struct fault *fault)
{
    if (settings->dir != NULL)
        return deliver_look_dir(settings->dir, fault);
    return strcmp(settings->out, "-") == 0 ? ERR_OK : deliver_look(settings->out, fault);
}

static enum err run_fetch(const struct cli_args *args, int *status, struct fault *fault)
{
    *status = PLAIN_DONE;
    CLEANUP(settings_free) struct settings settings = {0};
    CLEANUP(answer_opened_free) struct answer_opened opened = {0};
    TRY(settings_load(args, args->operands[0], &settings, fault));
    if (settings.out != NULL && settings.dir != NULL)
        FAIL(fault, ERR_USAGE, "--out and --dir: one of them");
    if (settings.out == NULL && settings.dir == NULL)
        FAIL(fault, ERR_USAGE, "where to? --out FILE, --dir DIR, or --out - for standard output");
    TRY(look(&settings, fault));
    TRY(harden_calls(HARDEN_FETCH, command_say, fault));
    TRY(obtain(&settings, NULL, &opened, fault));
    const struct answer_secret *item = &opened.item[0];
    if (settings.dir != NULL)
        return deliver_file(settings.dir, item->name, item->value, fault);
    if (strcmp(settings.out, "-") == 0)
        return deliver_write(STDOUT_FILENO, "standard output", item->value, fault);
    return deliver_path(settings.out, item->value, &access_out, fault);
}

const struct command command_fetch = {
    .name = "fetch",
    .operands = "NAME[@VERSION]",
    .summary = "get one secret into a file",
    .details =
        "Proves to a verifier what this enclave runs, and writes one secret where it is told.\n"
        "Exit status: 0 done, 1 refused or answer not authentic, 2 wrong usage, 3 could not\n"
        "be decided or delivered.",
    .options = settings_options_fetch,
    .operands_min = 1,
    .operands_max = 1,
    .run = run_fetch,
    .exit_of = outcome_plain,
};
