/* vouchsafe-agent: in the enclave, gets the secrets that its code is trusted with. */
#include <stdio.h>

#include "boot.h"
#include "command.h"
#include "common/nearest.h"
#include "journal.h"

static const struct command *const commands[] = {&command_run, &command_fetch, &command_pcrs};

static void print_overview(FILE *out)
{
    fputs("Vouchsafe: gets an enclave the secrets that its code is trusted with.\n\n"
          "Usage: vouchsafe-agent COMMAND [OPTIONS] ...\n\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
    fputs("  help [COMMAND]   what a command does and which options it takes\n"
          "  --version        which version this is\n",
          out);
}

static void print_command(const struct command *command, FILE *out)
{
    fprintf(out, "Usage: vouchsafe-agent %s [OPTIONS]%s%s\n\n%s\n\nOptions:\n", command->name,
            command->operands[0] == '\0' ? "" : " ", command->operands, command->details);
    cli_options_print(command->options, out);
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static enum err unknown_command(const char *name, struct fault *fault)
{
    struct nearest nearest = {.word = name};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        nearest_offer(&nearest, commands[i]->name);
    if (nearest.best == NULL)
        FAIL(fault, ERR_USAGE, "unknown command \"%.60s\"; see vouchsafe-agent help", name);
    FAIL(fault, ERR_USAGE, "unknown command \"%.60s\"; did you mean \"%s\"?", name, nearest.best);
}

static enum err command_start(const struct command *command, int argc, const char *const *argv,
                              int *status, struct fault *fault)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    TRY(cli_args_parse(command->options, argc, argv, &args, fault));
    if (args.help) {
        print_command(command, stdout);
        return ERR_OK;
    }
    if (args.operand_count < command->operands_min || args.operand_count > command->operands_max)
        FAIL(fault, ERR_USAGE, "vouchsafe-agent %s [OPTIONS]%s%s; see vouchsafe-agent help %s",
             command->name, command->operands[0] == '\0' ? "" : " ", command->operands,
             command->name);
    TRY(command_open_journal(&args, fault));
    return command->run(&args, status, fault);
}

/* `help [COMMAND]`, `--help`, `--version`; false where the words are none of these. */
static bool is_about(int argc, const char *const *argv, enum err *err, struct fault *fault)
{
    const bool help = strcmp(argv[0], "help") == 0;
    if (help && argc > 1) {
        const struct command *command = command_find(argv[1]);
        *err = command == NULL ? unknown_command(argv[1], fault) : ERR_OK;
        if (command != NULL)
            print_command(command, stdout);
    } else if (help || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        print_overview(stdout);
    } else if (strcmp(argv[0], "--version") == 0) {
        puts("vouchsafe-agent " VOUCHSAFE_VERSION);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc > 0 && boot_is_machine(argv[0]))
        command_run_machine();
    struct fault fault = FAULT_NONE;
    const enum err ready = command_prepare(&fault);
    if (argc < 2) {
        print_overview(stderr);
        return PLAIN_USAGE;
    }
    const char *const *words = (const char *const *)argv + 1;
    enum err err = ERR_OK;
    int status = PLAIN_DONE;
    if (is_about(argc - 1, words, &err, &fault)) {
        if (err != ERR_OK)
            command_say_fault(err, &fault);
        return outcome_plain(err);
    }
    const struct command *command = command_find(words[0]);
    if (ready != ERR_OK)
        err = ready;
    else if (command == NULL)
        err = unknown_command(words[0], &fault);
    else
        err = command_start(command, argc - 2, words + 1, &status, &fault);
    command_say_end(err, &fault);
    journal_end();
    if (err == ERR_OK)
        return status;
    return command == NULL ? outcome_plain(err) : command->exit_of(err);
}
