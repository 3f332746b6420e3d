#include "options.h"

#include <stdlib.h>

#include "codec.h"
#include "nearest.h"

#define HELP_COLUMN 24
#define HELP_WIDTH  80

static const struct cli_option *option_find(const struct cli_option *options, struct bytes name)
{
    for (; options->name != NULL; options++) {
        if (bytes_equal_text(name, options->name))
            return options;
    }
    return NULL;
}

/* `-o`: a row that has a letter. */
static const struct cli_option *option_of_letter(const struct cli_option *options, const char *text)
{
    for (; options->name != NULL; options++) {
        if (options->letter != '\0' && text[1] == options->letter && text[2] == '\0')
            return options;
    }
    return NULL;
}

static enum err unknown_option(const struct cli_option *options, struct bytes name,
                               struct fault *fault)
{
    char word[NEAREST_LEN_MAX + 2];
    const size_t len = name.len < sizeof word - 1 ? name.len : sizeof word - 1;
    memcpy(word, name.ptr, len);
    word[len] = '\0';
    struct nearest nearest = {.word = word};
    for (; options->name != NULL; options++)
        nearest_offer(&nearest, options->name);
    nearest_offer(&nearest, "help");
    if (nearest.best == NULL)
        FAIL(fault, ERR_USAGE, "unknown option --%s", word);
    FAIL(fault, ERR_USAGE, "unknown option --%s; did you mean --%s?", word, nearest.best);
}

static bool option_given(const struct cli_args *args, const struct cli_option *option)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (args->given[i].option == option)
            return true;
    }
    return false;
}

/* One `--name[=value]`; `following` is the next argument or NULL, and `*used` says
 * whether it was taken as the value. */
static enum err take_option(struct cli_args *args, const char *text, const char *following,
                            bool *used, struct fault *fault)
{
    const char *equals = strchr(text, '=');
    const struct bytes name =
        equals == NULL ? bytes_of_text(text) : bytes_of(text, (size_t)(equals - text));
    const struct cli_option *option = option_find(args->options, name);
    if (option == NULL)
        return unknown_option(args->options, name, fault);
    if (!option->repeated && option_given(args, option))
        FAIL(fault, ERR_USAGE, "--%s was given twice", option->name);
    const char *value = NULL;
    if (option->arg == NULL) {
        if (equals != NULL)
            FAIL(fault, ERR_USAGE, "--%s takes no value", option->name);
    } else if (equals != NULL) {
        value = equals + 1;
    } else {
        /* `--nonce --json` is a forgotten value far more often than a strange one. */
        if (following == NULL || strncmp(following, "--", 2) == 0)
            FAIL(fault, ERR_USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                 option->arg);
        value = following;
        *used = true;
    }
    args->given[args->given_count++] = (struct cli_given){.option = option, .value = value};
    return ERR_OK;
}

static bool asks_for_help(int argc, const char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static enum err parse_into(struct cli_args *args, int argc, const char *const *argv,
                           struct fault *fault)
{
    bool operands_only = false;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (operands_only || text[0] != '-' || text[1] == '\0') {
            args->operands[args->operand_count++] = text;
            args->operands_bare += !operands_only;
            continue;
        }
        const struct cli_option *lettered = option_of_letter(args->options, text);
        if (lettered == NULL && text[1] != '-')
            FAIL(fault, ERR_USAGE, "unknown option %s: options are long, such as --help", text);
        if (lettered == NULL && text[2] == '\0') {
            operands_only = true;
            continue;
        }
        bool used = false;
        TRY(take_option(args, lettered == NULL ? text + 2 : lettered->name,
                        i + 1 < argc ? argv[i + 1] : NULL, &used, fault));
        if (used)
            i++;
    }
    return ERR_OK;
}

enum err cli_args_parse(const struct cli_option *options, int argc, const char *const *argv,
                        struct cli_args *out, struct fault *fault)
{
    CLEANUP(cli_args_free) struct cli_args args = {.options = options};
    if (asks_for_help(argc, argv)) {
        *out = (struct cli_args){.options = options, .help = true};
        return ERR_OK;
    }
    const size_t room = argc > 0 ? (size_t)argc : 1;
    args.given = calloc(room, sizeof args.given[0]);
    args.operands = calloc(room, sizeof args.operands[0]);
    if (args.given == NULL || args.operands == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the command line");
    TRY(parse_into(&args, argc, argv, fault));
    *out = args;
    args = (struct cli_args){0};
    return ERR_OK;
}

void cli_args_free(struct cli_args *args)
{
    free(args->given);
    free(args->operands);
    *args = (struct cli_args){0};
}

const char *cli_args_next(const struct cli_args *args, const char *name, size_t *next)
{
    const struct cli_option *option = option_find(args->options, bytes_of_text(name));
    if (option == NULL || option->arg == NULL)
        abort();
    while (*next < args->given_count) {
        const struct cli_given *given = &args->given[(*next)++];
        if (given->option == option)
            return given->value;
    }
    return NULL;
}

const char *cli_args_value(const struct cli_args *args, const char *name)
{
    size_t next = 0;
    return cli_args_next(args, name, &next);
}

bool cli_args_has(const struct cli_args *args, const char *name)
{
    const struct cli_option *option = option_find(args->options, bytes_of_text(name));
    if (option == NULL)
        abort();
    return option_given(args, option);
}

enum err cli_args_uint(const struct cli_args *args, const char *name, uint64_t min, uint64_t max,
                       uint64_t *out, struct fault *fault)
{
    const char *text = cli_args_value(args, name);
    if (text == NULL)
        return ERR_OK;
    uint64_t value = 0;
    if (decimal_parse(bytes_of_text(text), max, &value) != ERR_OK || value < min)
        FAIL(fault, ERR_USAGE, "--%s takes a number from %llu to %llu, not \"%s\"", name,
             (unsigned long long)min, (unsigned long long)max, text);
    *out = value;
    return ERR_OK;
}

enum err cli_duration_parse(const char *text, uint64_t *out_s)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    const uint64_t max = 3653 * UINT64_C(86400);
    const size_t len = strlen(text);
    uint64_t number = 0;
    for (size_t i = 0; i < ARRAY_LEN(units) && len > 0; i++) {
        if (text[len - 1] != units[i].unit)
            continue;
        TRY(decimal_parse(bytes_of(text, len - 1), max / units[i].seconds, &number));
        *out_s = number * units[i].seconds;
        return number == 0 ? ERR_MALFORMED : ERR_OK;
    }
    return ERR_MALFORMED;
}

enum err cli_args_duration(const struct cli_args *args, const char *name, uint64_t *out_s,
                           struct fault *fault)
{
    const char *text = cli_args_value(args, name);
    uint64_t seconds;
    if (text == NULL)
        return ERR_OK;
    if (cli_duration_parse(text, &seconds) != ERR_OK)
        FAIL(fault, ERR_USAGE, "--%s takes a duration such as 90s, 30m, 12h or 7d, not \"%s\"",
             name, text);
    *out_s = seconds;
    return ERR_OK;
}

/* Writes words from the help column on, breaking lines at HELP_WIDTH. */
static void print_wrapped(const char *text, size_t column, FILE *out)
{
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, len, out);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_row(const struct cli_option *option, FILE *out)
{
    const char *arg = option->arg == NULL ? "" : option->arg;
    const char letter[] = {',', ' ', '-', option->letter, '\0'};
    const int printed =
        fprintf(out, "  --%s%s%s%s", option->name, option->letter == '\0' ? "" : letter,
                arg[0] == '\0' ? "" : " ", arg);
    const size_t width = printed < 0 ? 0 : (size_t)printed;
    if (width + 2 > HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", (int)(HELP_COLUMN - width), "");
    print_wrapped(option->help, HELP_COLUMN, out);
}

void cli_options_print(const struct cli_option *options, FILE *out)
{
    static const struct cli_option help = {.name = "help", .help = "show this text"};
    for (; options->name != NULL; options++)
        print_row(options, out);
    print_row(&help, out);
}
