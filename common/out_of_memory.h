/* Whether memory was refused: libraries do not always say so.
 *
 * Where OpenSSL lacks the memory to check a signature, it may look like one that does not
 * verify; where jansson lacks it for a text, like one that is no JSON, or it goes on without
 * a part.  Both allocate by functions of out_of_memory.c, from before main on, which
 * remember in each thread that there was nothing to be had.  OpenSSL may have lived with
 * that: so it is asked after a call that failed; jansson is asked after each.
 *
 * A program that gave either functions of its own keeps them, and what follows is not known.
 *
 * Of others' programs nothing is taken over: libvouchsafe-agent links out_of_memory_unseen.c,
 * which never knows.  There a refusal of memory may be told as an answer that is not authentic;
 * it is never the other way round. */
#ifndef VOUCHSAFE_OUT_OF_MEMORY_H
#define VOUCHSAFE_OUT_OF_MEMORY_H

#include <stdbool.h>

/* Whether that happened in this thread since the last call: it is forgotten with the answer.
 * So it is to be called before what may fail, too. */
bool out_of_memory_seen(void);

#endif
