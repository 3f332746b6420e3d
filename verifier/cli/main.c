/* `vouchsafe`: finds the command, parses its options, runs it, reports once. */
#include <openssl/crypto.h>

#include "command.h"
#include "common/nearest.h"
#include "output.h"

static const struct cli_command *const commands[] = {
    &cmd_verify,
    &cmd_describe_eif,
    &cmd_init,
    &cmd_serve,
    &cmd_status,
    &cmd_measurement_add,
    &cmd_measurement_list,
    &cmd_measurement_show,
    &cmd_measurement_enclaves,
    &cmd_measurement_activate,
    &cmd_measurement_deprecate,
    &cmd_measurement_revoke,
    &cmd_measurement_discard,
    &cmd_image_list,
    &cmd_secret_put,
    &cmd_secret_list,
    &cmd_grant_add,
    &cmd_grant_list,
    &cmd_grant_remove,
    &cmd_revocation_add,
    &cmd_revocation_list,
    &cmd_revocation_remove,
    &cmd_issuer_show,
    &cmd_issuer_delegate,
    &cmd_audit_list,
    &cmd_audit_verify,
    &cmd_explain,
    &cmd_person_add,
    &cmd_person_list,
    &cmd_person_remove,
    &cmd_token_create,
    &cmd_token_list,
    &cmd_token_revoke,
    &cmd_signer_add,
    &cmd_signer_list,
    &cmd_signer_remove,
    &cmd_registration_make,
    &cmd_registration_sign,
    &cmd_registration_submit,
};

/* How many words of `argv` the name consists of and matches; 0 where it does not. */
static int words_matched(const char *name, int argc, const char *const *argv)
{
    int words = 0;
    while (*name != '\0') {
        const size_t len = strcspn(name, " ");
        if (words == argc || !bytes_equal(bytes_of(name, len), bytes_of_text(argv[words])))
            return 0;
        words++;
        name += len;
        name += strspn(name, " ");
    }
    return words;
}

static const struct cli_command *command_find(int argc, const char *const *argv, int *words)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        *words = words_matched(commands[i]->name, argc, argv);
        if (*words > 0)
            return commands[i];
    }
    return NULL;
}

/* Whether `word` begins the names of a group: "measurement" of "measurement add". */
static bool is_in_group(const struct cli_command *command, const char *word)
{
    const size_t len = strlen(word);
    return strncmp(command->name, word, len) == 0 && command->name[len] == ' ';
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (is_in_group(commands[i], word))
            return true;
    }
    return false;
}

static void print_summaries(const char *group, FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (group == NULL || is_in_group(commands[i], group))
            fprintf(out, "  %-24s %s\n", commands[i]->name, commands[i]->summary);
    }
}

static void print_overview(FILE *out)
{
    fputs("Vouchsafe: attestation verifier and key release for AWS Nitro Enclaves.\n\n"
          "Usage: vouchsafe COMMAND [OPTIONS] ...\n\n",
          out);
    print_summaries(NULL, out);
    fputs("  help [COMMAND]           what a command does and which options it takes\n"
          "  --version                which version this is\n",
          out);
}

static void print_command(const struct cli_command *command, FILE *out)
{
    fprintf(out, "Usage: vouchsafe %s [OPTIONS]%s%s\n\n%s\n", command->name,
            command->operands[0] == '\0' ? "" : " ", command->operands,
            command->details == NULL ? command->summary : command->details);
    fputs("\nOptions:\n", out);
    cli_options_print(command->options, out);
}

static enum err unknown_command(int argc, const char *const *argv, struct fault *fault)
{
    const bool group = is_group(argv[0]);
    if (group && argc < 2)
        FAIL(fault, ERR_USAGE, "\"%s\" needs a second word; see vouchsafe help %s", argv[0],
             argv[0]);
    char given[NEAREST_LEN_MAX + 2];
    snprintf(given, sizeof given, "%s%s%s", argv[0], group ? " " : "", group ? argv[1] : "");
    struct nearest nearest = {.word = given};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!group || is_in_group(commands[i], argv[0]))
            nearest_offer(&nearest, commands[i]->name);
    }
    if (nearest.best == NULL)
        FAIL(fault, ERR_USAGE, "unknown command \"%s\"; see vouchsafe help", given);
    FAIL(fault, ERR_USAGE, "unknown command \"%s\"; did you mean \"%s\"?", given, nearest.best);
}

static enum err help_run(int argc, const char *const *argv, struct fault *fault)
{
    int words = 0;
    const struct cli_command *command = command_find(argc, argv, &words);
    if (argc == 0) {
        print_overview(stdout);
    } else if (command != NULL) {
        print_command(command, stdout);
    } else if (argc == 1 && is_group(argv[0])) {
        print_summaries(argv[0], stdout);
    } else {
        return unknown_command(argc, argv, fault);
    }
    return ERR_OK;
}

static enum err command_run(const struct cli_command *command, int argc, const char *const *argv,
                            struct fault *fault)
{
    CLEANUP(cli_args_free) struct cli_args args = {0};
    TRY(cli_args_parse(command->options, argc, argv, &args, fault));
    if (args.help) {
        print_command(command, stdout);
        return ERR_OK;
    }
    if (args.operand_count < command->operands_min || args.operand_count > command->operands_max)
        FAIL(fault, ERR_USAGE, "vouchsafe %s [OPTIONS]%s%s; see vouchsafe help %s", command->name,
             command->operands[0] == '\0' ? "" : " ", command->operands, command->name);
    return command->run(&args, fault);
}

static enum err dispatch(int argc, const char *const *argv, struct fault *fault)
{
    if (strcmp(argv[0], "help") == 0)
        return help_run(argc - 1, argv + 1, fault);
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return help_run(0, argv, fault);
    if (strcmp(argv[0], "--version") == 0) {
        puts("vouchsafe " VOUCHSAFE_VERSION);
        return ERR_OK;
    }
    int words = 0;
    const struct cli_command *command = command_find(argc, argv, &words);
    if (command != NULL)
        return command_run(command, argc - words, argv + words, fault);
    /* `vouchsafe measurement --help` asks about the group. */
    if (argc == 2 && is_group(argv[0]) && strcmp(argv[1], "--help") == 0)
        return help_run(1, argv, fault);
    return unknown_command(argc, argv, fault);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return CLI_EXIT_USAGE;
    }
    struct fault fault = FAULT_NONE;
    /* What OPENSSL_CONF or the system's file say must not change what verifies. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return cli_fail(ERR_CRYPTO, NULL);
    const enum err err = dispatch(argc - 1, (const char *const *)argv + 1, &fault);
    /* A result that did not arrive is no result. */
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fault_set(fault_at(&fault, FAULT_NO_OFFSET, "standard output"), ERR_FILE,
                  "could not be written");
        return cli_fail(ERR_FILE, &fault);
    }
    return (int)(err == ERR_OK ? CLI_EXIT_DONE : cli_fail(err, &fault));
}
