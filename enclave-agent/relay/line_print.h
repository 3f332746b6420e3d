/* Enclaves' lines, on standard output: "cid=16 vouchsafe-agent: ...".  A reader that does
 * not read holds nothing up: what does not fit is dropped and counted. */
#ifndef VOUCHSAFE_RELAY_LINE_PRINT_H
#define VOUCHSAFE_RELAY_LINE_PRINT_H

#include "line.h"
#include "quota.h"

/* All whole lines of `bytes`, which came after what `line` holds already. */
void line_print_whole(struct line *line, struct quota *quota, struct bytes bytes, int64_t now_ms);
/* What is left at the end of a connection. */
void line_print_rest(struct line *line, struct quota *quota, int64_t now_ms);

#endif
