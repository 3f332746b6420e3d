/* The agent as /init: the first and only process that an enclave's image needs beside its
 * program.  What it is to do stands in one file of the image, which is measured; words on the
 * kernel's command line that the kernel hands to its init are passed over. */
#include <stdio.h>

#include "boot.h"
#include "command.h"
#include "journal.h"

#define CONFIG_PATH "/etc/vouchsafe-agent.conf"

static enum err open_journal(struct cli_args *args, struct fault *fault)
{
    static const char *const words[] = {"--config", CONFIG_PATH};
    TRY(cli_args_parse(settings_options_run, ARRAY_LEN(words), words, args, fault));
    return command_open_journal(args, fault);
}

static enum err load(struct settings *settings, struct fault *fault)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    TRY(open_journal(&args, fault));
    return settings_load(&args, NULL, settings, fault);
}

/* Nobody sees the console of a production enclave: what fails is told to the parent, too, for
 * which neither a file system nor anything else that is made here is needed. */
static enum err start_machine(struct fault *fault)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    enum err err = boot_mount(fault);
    boot_console();
    if (err == ERR_OK)
        err = boot_loopback(fault);
    if (err == ERR_OK)
        err = command_prepare(fault);
    if (err != ERR_OK && open_journal(&args, NULL) != ERR_OK)
        command_say("the parent cannot be told: the settings do not say where its log is");
    return err;
}

static enum err run(int *status, struct fault *fault)
{
    CLEANUP(settings_free) struct settings settings = {0};
    TRY(start_machine(fault));
    /* Before the parent hears that all is well: then a mistake is a failed start for it. */
    TRY(load(&settings, fault));
    TRY(boot_load_nsm(BOOT_NSM_DRIVER, fault));
    TRY(boot_heartbeat(settings.parent_cid, fault));
    return command_run_program(&settings, COMMAND_STAYS, status, fault);
}

_Noreturn void command_run_machine(void)
{
    int status = 0;
    char sentence[64];
    struct fault fault = FAULT_NONE;
    const enum err err = run(&status, &fault);
    command_say_end(err, &fault);
    if (err != ERR_OK)
        status = outcome_run(err);
    snprintf(sentence, sizeof sentence, "ended with status %d; this machine stops", status);
    command_say(sentence);
    journal_end();
    boot_halt();
}
