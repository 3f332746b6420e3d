/* What the commands share for reading input and writing results.
 *
 * Results go to standard output, as a table for people or as one JSON text with
 * --json; failures are one line on standard error.  Text that comes from a document or
 * a server is a stranger's: what goes to a terminal loses its control characters. */
#ifndef VOUCHSAFE_CLI_OUTPUT_H
#define VOUCHSAFE_CLI_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "common/bytes.h"

enum cli_exit {
    CLI_EXIT_DONE = 0,      /* done, or valid */
    CLI_EXIT_REFUSED = 1,   /* refused, or not valid */
    CLI_EXIT_USAGE = 2,     /* wrong usage, wrong settings */
    CLI_EXIT_UNDECIDED = 3, /* it could not be decided */
};
enum cli_exit cli_exit_of(enum err code);

/* Prints `vouchsafe: CODE: FIELD: detail (offset N)` on standard error and returns the
 * exit status.  `fault` may be NULL or belong to an earlier failure: then the error's
 * own sentence is printed. */
enum cli_exit cli_fail(enum err code, const struct fault *fault);

/* Reads a file, or standard input for "-", to its end but at most `max_len` bytes;
 * what lies beyond is left unread (`out->len` is then max_len).  ERR_FILE. */
MUST_CHECK enum err cli_read_file(const char *path, size_t max_len, struct buf *out,
                                  struct fault *fault);

/* An attestation document, raw or as base64 text, with line breaks and blanks in it or not;
 * at most 1 MiB, as for POST /v1/verify.  ERR_FILE. */
MUST_CHECK enum err cli_read_document(const char *path, struct buf *document, struct fault *fault);

/* One JSON text and a newline on standard output: two spaces of indent, ASCII alone (\u for
 * the rest), members in the order in which they were set.  ERR_NO_MEMORY. */
MUST_CHECK enum err cli_print_json(const json_t *json);

/* Prints text with `?` for what a terminal would obey: control characters, and marks that
 * turn the direction of text. */
void cli_print_text(struct bytes text, FILE *out);

/* Colour for people only: a terminal, and neither NO_COLOR nor TERM=dumb. */
bool cli_has_colour(FILE *out);

/* A table: columns as wide as their widest cell, two spaces between them. */
#define CLI_TABLE_COLUMNS_MAX 12
struct cli_table {
    size_t columns;
    size_t rows; /* the headings are the first */
    size_t width[CLI_TABLE_COLUMNS_MAX];
    struct buf cells; /* NUL-terminated texts, row by row */
};
/* `headings`: one per column. */
MUST_CHECK enum err cli_table_init(struct cli_table *table, size_t columns,
                                   const char *const *headings);
/* One text per column; NULL is an empty cell.  ERR_NO_MEMORY. */
MUST_CHECK enum err cli_table_row(struct cli_table *table, const char *const *cells);
void cli_table_print(const struct cli_table *table, FILE *out);
void cli_table_free(struct cli_table *table);

#endif
