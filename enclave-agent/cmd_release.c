/* vouchsafe-agent run and fetch: get the secrets, hand them over, and be gone. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "common/codec.h"
#include "deliver.h"
#include "program.h"

/* 16 secrets of 64 KiB, each in a block of twice its size, and the keys. */
#define ARENA_LEN (4u << 20)

/* Descriptors to be inherited; closed where `run` fails before its program starts. */
struct inherited {
    size_t count;
    int fd[PROTOCOL_SECRETS_MAX];
    size_t file_count;
    char *file[PROTOCOL_SECRETS_MAX];
};

/* Reached only where the program did not start: then nothing stays behind. */
static void inherited_close(struct inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++)
        close(inherited->fd[i]);
    for (size_t i = 0; i < inherited->file_count; i++) {
        unlink(inherited->file[i]);
        free(inherited->file[i]);
    }
    *inherited = (struct inherited){0};
}

static void say_root(const struct settings *s)
{
    if (s->root_is_aws)
        return;
    char hex[2 * SHA256_LEN + 1];
    hex_encode(bytes_of(s->root, sizeof s->root), hex);
    fprintf(stderr, "vouchsafe-agent: warning: this agent trusts a root that is not AWS's: %s\n",
            hex);
}

static void say_opened(const struct answer_opened *opened)
{
    for (size_t i = 0; i < opened->count; i++) {
        const struct answer_secret *item = &opened->item[i];
        fprintf(stderr, "vouchsafe-agent: received %s version %u\n", item->name, item->version);
        if (item->deprecated)
            fprintf(stderr,
                    "vouchsafe-agent: warning: only a deprecated measurement granted %s: this "
                    "build will be refused one day\n",
                    item->name);
    }
}

/* A refusal is where somebody has to do something: who it was, and what helps. */
static void say_refused(const struct settings *s, const struct problem *problem)
{
    if (problem->request_id[0] != '\0')
        fprintf(stderr, "  request id: %s\n", problem->request_id);
    fprintf(stderr, "  error code: %s\n", problem->code_wire);
    if (problem->field[0] != '\0')
        fprintf(stderr, "  where: %s\n", problem->field);
    fputs("  this enclave measures as:\n", stderr);
    command_say_pcrs(s->plan.nsm);
    if (problem->code == ERR_REFUSED && problem->request_id[0] != '\0')
        fprintf(stderr,
                "  what to do: an admin of the verifier sees why, and what helps, with\n"
                "    vouchsafe explain %s\n"
                "  A new build is registered from what its build printed, not from here:\n"
                "    vouchsafe measurement add IMAGE@VERSION --from FILE\n",
                problem->request_id);
    else if (problem->code == ERR_DEBUG)
        fputs("  what to do: start the enclave without --debug-mode\n", stderr);
    else if (problem->code == ERR_UNTRUSTED)
        fputs(
            "  what to do: a simulator's documents need a development store that trusts its root\n",
            stderr);
    else
        fputs("  what to do: see the code in docs/ERRORS.md, and the verifier's log\n", stderr);
}

/* All steps up to the opened secrets; says what there is to say on the way. */
static enum err obtain(struct settings *s, struct answer_opened *opened, struct fault *fault)
{
    TRY(secret_init(ARENA_LEN, fault));
    say_root(s);
    struct problem problem = {.offset = FAULT_NO_OFFSET};
    const enum err err = session_run(&s->plan, command_say, opened, &problem, fault);
    if (err == ERR_REFUSED) {
        command_say_fault(err, fault);
        say_refused(s, &problem);
    }
    if (err == ERR_OK)
        say_opened(opened);
    return err;
}

static enum err set_variable(const char *name, const char *value, struct fault *fault)
{
    char variable[DELIVER_VARIABLE_MAX];
    deliver_variable(name, variable);
    if (setenv(variable, value, 1) != 0)
        FAIL(fault, ERR_DELIVER, "the variable %s could not be set", variable);
    return ERR_OK;
}

static enum err hand_over(const struct settings *s, const struct answer_secret *item,
                          struct inherited *inherited, struct fault *fault)
{
    char path[4096];
    if (s->dir != NULL) {
        if (snprintf(path, sizeof path, "%s/%s", s->dir, item->name) >= (int)sizeof path)
            FAIL(fault, ERR_DELIVER, "the path of %.60s is too long", item->name);
        char *copy = strdup(path);
        if (copy == NULL)
            FAIL(fault, ERR_NO_MEMORY, "no memory for a path");
        const enum err err = deliver_file(s->dir, item->name, item->value, fault);
        if (err != ERR_OK) {
            free(copy);
            return err;
        }
        inherited->file[inherited->file_count++] = copy;
        return set_variable(item->name, path, fault);
    }
    int fd = -1;
    TRY(deliver_memfd(item->name, item->value, &fd, fault));
    inherited->fd[inherited->count++] = fd;
    TRY(deliver_inherit(fd, fault));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return set_variable(item->name, path, fault);
}

/* Everything of the release is freed, and so wiped, when this returns. */
static enum err obtain_for_program(const struct cli_args *args, char path[static PATH_MAX],
                                   struct inherited *inherited, struct fault *fault)
{
    CLEANUP(settings_free) struct settings settings = {0};
    CLEANUP(answer_opened_free) struct answer_opened opened = {0};
    TRY(settings_load(args, NULL, &settings, fault));
    TRY(program_find(args->operands[0], path, fault));
    TRY(obtain(&settings, &opened, fault));
    for (size_t i = 0; i < opened.count; i++)
        TRY(hand_over(&settings, &opened.item[i], inherited, fault));
    return ERR_OK;
}

static enum err run_run(const struct cli_args *args, struct fault *fault)
{
    char path[PATH_MAX];
    CLEANUP(inherited_close) struct inherited inherited = {0};
    const char **argv = calloc(args->operand_count + 1, sizeof argv[0]);
    if (argv == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the program's arguments");
    memcpy(argv, args->operands, args->operand_count * sizeof argv[0]);
    enum err err = obtain_for_program(args, path, &inherited, fault);
    if (err == ERR_OK) {
        /* The program begins with what programs expect. */
        signal(SIGPIPE, SIG_DFL);
        err = program_exec(path, argv, fault);
    }
    free(argv);
    return err;
}

static enum err run_fetch(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(settings_free) struct settings settings = {0};
    CLEANUP(answer_opened_free) struct answer_opened opened = {0};
    TRY(settings_load(args, args->operands[0], &settings, fault));
    if (settings.out != NULL && settings.dir != NULL)
        FAIL(fault, ERR_USAGE, "--out and --dir: one of them");
    if (settings.out == NULL && settings.dir == NULL)
        FAIL(fault, ERR_USAGE, "where to? --out FILE, --dir DIR, or --out - for standard output");
    TRY(obtain(&settings, &opened, fault));
    const struct answer_secret *item = &opened.item[0];
    if (settings.dir != NULL)
        return deliver_file(settings.dir, item->name, item->value, fault);
    if (strcmp(settings.out, "-") == 0)
        return deliver_write(STDOUT_FILENO, "standard output", item->value, fault);
    return deliver_path(settings.out, item->value, 0600, fault);
}

const struct command command_run = {
    .name = "run",
    .operands = "-- PROGRAM [ARGUMENTS]",
    .summary = "get secrets, then become the program that needs them",
    .details =
        "Proves to a verifier what this enclave runs, receives the secrets that this code is\n"
        "trusted with, and becomes PROGRAM, which finds each in the file that the variable\n"
        "<NAME>_FILE names: memory that nobody can change, or DIR/NAME.\n"
        "Exit status: the program's own, else 120 refused, 121 verifier not reachable in time,\n"
        "122 answer not authentic, 123 NSM failed, 124 could not deliver, 125 wrong usage,\n"
        "126 program not executable, 127 program not found.",
    .options = settings_options_run,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = run_run,
    .exit_of = command_exit_run,
};

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
    .exit_of = command_exit_plain,
};
