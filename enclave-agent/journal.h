/* Where the agent's own lines go: to standard error, always, and with --log to the parent
 * instance as well, because a production enclave has no console.
 *
 * The parent may be away, slow, deaf or hostile.  It gets whole lines of printable ASCII and
 * nothing else, never a secret, and it cannot stop the agent: what it does not take waits in a
 * queue of fixed size; where that is full, lines are dropped and counted, and their number is
 * told in their place.  Connecting and waiting have short deadlines, and after one that passed
 * in vain nothing waits again until something has moved.  What comes back is never read.
 *
 * One journal per process, as there is one standard error; for one thread.  The child of a fork
 * has one to the same place, over a connection of its own. */
#ifndef VOUCHSAFE_AGENT_JOURNAL_H
#define VOUCHSAFE_AGENT_JOURNAL_H

#include "common/err.h"

/* Characters of one line, its end included; a longer one is cut and ends in "...". */
#define JOURNAL_LINE_MAX 1024

/* Whose output goes to the journal's parent: the agent's own, or the program's too. */
enum journal_of { JOURNAL_OF_AGENT, JOURNAL_OF_PROGRAM };

/* Lines go to `where`, "vsock://CID:PORT" or "unix:/PATH", from now on.  ERR_USAGE for anything
 * else; that nobody listens there is no error. */
MUST_CHECK enum err journal_open(const char *where, enum journal_of of, struct fault *fault);

/* One line, after the program's name. */
PRINTF_LIKE(1, 2) void journal_say(const char *fmt, ...);
/* One line that belongs to the one before; begins with two blanks. */
PRINTF_LIKE(1, 2) void journal_add(const char *fmt, ...);
/* One line for the parent only: standard output has it already. */
PRINTF_LIKE(1, 2) void journal_copy(const char *fmt, ...);

/* Before another program takes this one's place: gives the parent a second to take what waits,
 * and says on standard error how many lines it did not get. */
void journal_flush(void);
/* Before the process ends: as journal_flush, and waits, within the same second, until the parent
 * has read everything, because the machine may end with this process. */
void journal_end(void);

/* With JOURNAL_OF_PROGRAM: standard output and standard error become a connection of their own to
 * the parent, for the program that is about to take the place of this process; the agent's lines
 * go on as before.  Nothing is copied, marked, bounded or cleaned, and the program waits where the
 * parent does not read.  Where nobody listens the program keeps what there was, and a line says
 * so.  ERR_INTERNAL: neither could be done. */
MUST_CHECK enum err journal_lend(struct fault *fault);

#endif
