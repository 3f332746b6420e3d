/* Bytes from an enclave into lines for the journal.  Pure.
 *
 * Trusts nothing: a line that comes out is printable ASCII and at most LINE_MAX_LEN bytes, so
 * that an enclave can neither end a line, nor begin one that is not its own, nor reach a
 * terminal. */
#ifndef VOUCHSAFE_RELAY_LINE_H
#define VOUCHSAFE_RELAY_LINE_H

#include "common/bytes.h"

#define LINE_MAX_LEN 1024

struct line {
    char text[LINE_MAX_LEN + 1]; /* cleaned */
    size_t len;
    bool cut;     /* more came than there is room for: the rest is passed over */
    bool returns; /* a carriage return came last: nothing, if the line ends there */
};

/* Takes bytes up to and with the end of a line, and shortens `from` by them.  True where a
 * line is whole: line->text, terminated, which line_begin makes ready for the next.  An
 * empty line is passed over.  A tab becomes a space, any other byte that is not printable
 * ASCII a '?', a carriage return at the end nothing; a line that was cut ends in "...". */
bool line_take(struct line *line, struct bytes *from);
/* What came without an end of line, at the end of a connection; false where nothing did. */
bool line_end(struct line *line);
void line_begin(struct line *line);

#endif
