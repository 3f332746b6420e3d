/* Long options of both programs, table-driven: each command declares what it takes, and its help
 * text is generated from the same rows.  DESIGN section 8.
 *
 * `--name VALUE` or `--name=VALUE`, flags without a value, `--` before operands that
 * begin with a dash; `-` is an operand (standard input).  Every table knows --help.
 * Unknown options are refused with the nearest known one: ERR_USAGE, exit status 2.
 * Secrets never travel here: argv is readable by others. */
#ifndef VOUCHSAFE_COMMON_OPTIONS_H
#define VOUCHSAFE_COMMON_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

#include "common/bytes.h"

struct cli_option {
    const char *name; /* "max-age"; a row without one ends the table */
    const char *arg;  /* what stands for its value in the help, "S"; NULL: a flag */
    const char *help; /* a phrase */
    bool repeated;    /* may be given more than once */
    char letter;      /* 'o': `-o VALUE` is the same; 0: none, as nearly always */
};

struct cli_given {
    const struct cli_option *option;
    const char *value; /* NULL for a flag; points into argv */
};

/* What was given: views into argv, in its order. */
struct cli_args {
    const struct cli_option *options;
    struct cli_given *given;
    size_t given_count;
    const char **operands;
    size_t operand_count;
    size_t operands_bare; /* the first ones: not behind -- */
    bool help;            /* --help or -h was among them: nothing else was judged */
};

/* `argv` is what follows the command's name.  The caller frees `out` with
 * cli_args_free.  ERR_USAGE names the argument and what is wrong with it. */
MUST_CHECK enum err cli_args_parse(const struct cli_option *options, int argc,
                                   const char *const *argv, struct cli_args *out,
                                   struct fault *fault);
void cli_args_free(struct cli_args *args);

/* `name` must be in the table: another one is a mistake in this program and aborts,
 * because a check that is silently never asked for would be worse. */
bool cli_args_has(const struct cli_args *args, const char *name);
/* The option's value, or NULL where it was not given. */
const char *cli_args_value(const struct cli_args *args, const char *name);
/* Values of a repeated option one by one: begin with *next = 0; NULL after the last. */
const char *cli_args_next(const struct cli_args *args, const char *name, size_t *next);

/* The option's value as a decimal number without sign or leading zeros; `*out` keeps
 * what it had where the option was not given.  ERR_USAGE outside min..max. */
MUST_CHECK enum err cli_args_uint(const struct cli_args *args, const char *name, uint64_t min,
                                  uint64_t max, uint64_t *out, struct fault *fault);

/* The same for a duration, "90s", "30m", "12h" or "7d", in seconds: at least one, and at most
 * ten years.  ERR_USAGE. */
MUST_CHECK enum err cli_args_duration(const struct cli_args *args, const char *name,
                                      uint64_t *out_s, struct fault *fault);
/* One such text; ERR_MALFORMED. */
MUST_CHECK enum err cli_duration_parse(const char *text, uint64_t *out_s);

/* The table as two columns of help, wrapped to 80 columns. */
void cli_options_print(const struct cli_option *options, FILE *out);

#endif
