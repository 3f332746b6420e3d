#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/file.h"
#include "common/json_reader.h"

#define DOCUMENT_INPUT_MAX (1024 * 1024) /* as for POST /v1/verify: PROTOCOL section 1 */

enum cli_exit cli_exit_of(enum err code)
{
    if (code == ERR_USAGE || code == ERR_CONFIG)
        return CLI_EXIT_USAGE;
    switch (err_class(code)) {
    case ERR_CLASS_NONE:
        return CLI_EXIT_DONE;
    case ERR_CLASS_MALFORMED:
    case ERR_CLASS_UNAUTH:
    case ERR_CLASS_DENIED:
    case ERR_CLASS_NOT_FOUND:
    case ERR_CLASS_METHOD:
    case ERR_CLASS_CONFLICT:
    case ERR_CLASS_TOO_LARGE:
        return CLI_EXIT_REFUSED;
    case ERR_CLASS_TOO_FAST:
    case ERR_CLASS_BUSY:
    case ERR_CLASS_INTERNAL:
        break;
    }
    return CLI_EXIT_UNDECIDED;
}

enum cli_exit cli_fail(enum err code, const struct fault *fault)
{
    static const struct fault none = FAULT_NONE;
    if (fault == NULL || fault->code != code)
        fault = &none;
    (void)fflush(stdout); /* for the order of the two; its failure is main's */
    fprintf(stderr, "vouchsafe: %s: ", err_wire(code));
    if (fault->field[0] != '\0')
        fprintf(stderr, "%s: ", fault->field);
    fputs(fault->detail[0] == '\0' ? err_sentence(code) : fault->detail, stderr);
    if (fault->offset != FAULT_NO_OFFSET)
        fprintf(stderr, " (offset %zu)", fault->offset);
    fputc('\n', stderr);
    return cli_exit_of(code);
}

enum err cli_read_file(const char *path, size_t max_len, struct buf *out, struct fault *fault)
{
    if (strcmp(path, "-") == 0)
        return file_read_from(STDIN_FILENO, "standard input", max_len, out, fault);
    return file_read(path, max_len, out, fault);
}

/* No document can be mistaken for base64: it begins with 0x84 or 0xd2.  Line breaks and
 * blanks, which `base64` makes, are no part of the text. */
enum err cli_read_document(const char *path, struct buf *document, struct fault *fault)
{
    CLEANUP(buf_free) struct buf input = {0};
    TRY(cli_read_file(path, DOCUMENT_INPUT_MAX, &input, fault));
    CLEANUP(buf_free) struct buf text = {0};
    TRY(buf_reserve(&text, input.len));
    for (size_t i = 0; i < input.len; i++) {
        const uint8_t c = input.ptr[i];
        if (c != '\n' && c != '\r' && c != ' ' && c != '\t')
            text.ptr[text.len++] = c;
    }
    CLEANUP(buf_free) struct buf decoded = {0};
    const bool is_base64 = text.len > 0 && base64_decode(bytes_of_buf(&text), &decoded) == ERR_OK;
    buf_move(document, is_base64 ? &decoded : &input);
    return ERR_OK;
}

enum err cli_print_json(const json_t *json)
{
    CLEANUP(buf_free) struct buf text = {0};
    TRY(json_append_lines(&text, json));
    fwrite(text.ptr, 1, text.len, stdout);
    putchar('\n');
    return ERR_OK;
}

/* How many bytes at the start of `text` a terminal would obey rather than show: bytes below
 * space, and DEL; C1 controls (C2 80..9F in UTF-8); and what turns the direction of text
 * (U+061C, U+200E, U+200F, U+202A..E, U+2066..9), so that a row reads as another one. */
static size_t control_len(struct bytes text)
{
    const uint8_t *c = text.ptr;
    if (c[0] < 0x20 || c[0] == 0x7f)
        return 1;
    if (text.len >= 2 && ((c[0] == 0xc2 && c[1] < 0xa0) || (c[0] == 0xd8 && c[1] == 0x9c)))
        return 2;
    if (text.len < 3 || c[0] != 0xe2)
        return 0;
    const bool turns = (c[1] == 0x80 && (c[2] == 0x8e || c[2] == 0x8f)) ||
                       (c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) ||
                       (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9);
    return turns ? 3 : 0;
}

void cli_print_text(struct bytes text, FILE *out)
{
    while (text.len > 0) {
        const size_t control = control_len(text);
        const size_t step = control == 0 ? 1 : control;
        fputc(control == 0 ? text.ptr[0] : '?', out);
        text = bytes_of(text.ptr + step, text.len - step);
    }
}

bool cli_has_colour(FILE *out)
{
    const char *term = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");
    return isatty(fileno(out)) == 1 && (no_colour == NULL || no_colour[0] == '\0') &&
           term != NULL && strcmp(term, "dumb") != 0;
}

/* Code points, not bytes: good enough for names and times. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text & 0xc0) != 0x80)
            width++;
    }
    return width;
}

enum err cli_table_row(struct cli_table *table, const char *const *cells)
{
    for (size_t i = 0; i < table->columns; i++) {
        const char *cell = cells[i] == NULL ? "" : cells[i];
        TRY(buf_append(&table->cells, bytes_of(cell, strlen(cell) + 1)));
        const size_t width = text_width(cell);
        if (width > table->width[i])
            table->width[i] = width;
    }
    table->rows++;
    return ERR_OK;
}

enum err cli_table_init(struct cli_table *table, size_t columns, const char *const *headings)
{
    if (columns == 0 || columns > CLI_TABLE_COLUMNS_MAX)
        return ERR_INTERNAL;
    *table = (struct cli_table){.columns = columns};
    return cli_table_row(table, headings);
}

void cli_table_print(const struct cli_table *table, FILE *out)
{
    const char *cell = (const char *)table->cells.ptr;
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i < table->columns; i++) {
            cli_print_text(bytes_of_text(cell), out);
            if (i + 1 < table->columns) /* no blanks at the end of a line */
                fprintf(out, "%*s", (int)(table->width[i] - text_width(cell)) + 2, "");
            cell += strlen(cell) + 1;
        }
        fputc('\n', out);
    }
}

void cli_table_free(struct cli_table *table)
{
    buf_free(&table->cells);
    *table = (struct cli_table){0};
}
