/* One line per event on standard error:
 * `2026-11-23T08:09:59.120Z level=info ev=release.granted key=value`.
 *
 * Takes no struct secret (does not compile); documents appear as digests only.  Text
 * that is not ours goes through LOG_Q; whatever gets past it still cannot end a line,
 * for everything but printable ASCII is replaced.  Safe from any thread: a line is
 * one write.  Keeps errno. */
#ifndef VOUCHSAFE_LOG_H
#define VOUCHSAFE_LOG_H

#include <stdint.h>

#include "bytes.h"
#include "err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above this level are dropped; the default is info. */
void log_set_level(enum log_level level);
/* From now on nobody waits for standard error: a line that it has no room for is dropped, and
 * the next one ends with how many were, " lost=2". */
void log_never_wait(void);
/* `event` is a dotted word; `fmt` gives the rest of the line, key=value pairs made
 * with LOG_Q for free text: log_event(..., "peer=%s name=%s", peer, LOG_Q(name)).
 * Longer lines than 2 KiB end in "...". */
PRINTF_LIKE(3, 4) void log_event(enum log_level level, const char *event, const char *fmt, ...);
/* The event with a fault's code, field, offset and detail appended (quoted here). */
PRINTF_LIKE(4, 5)
void log_fault(enum log_level level, const char *event, const struct fault *fault, const char *fmt,
               ...);

/* The value of one key=value pair: as it is where it is a plain word, else in quotes
 * with `"` and `\` escaped and '?' for what is not printable ASCII.  Too long a text
 * is cut and ends in "...".  LOG_Q (a C string) and LOG_QB (a struct bytes) lend the
 * room, which lasts to the end of the enclosing block. */
#define LOG_QUOTED_MAX 320 /* a fault's detail, even with a few characters escaped */
#define LOG_Q(text)    log_quote((char[LOG_QUOTED_MAX]){0}, bytes_of_text(text))
#define LOG_QB(bytes)  log_quote((char[LOG_QUOTED_MAX]){0}, (bytes))
const char *log_quote(char out[static LOG_QUOTED_MAX], struct bytes text);

#endif
