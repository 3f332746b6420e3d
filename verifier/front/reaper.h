/* Absolute deadlines for connections.
 *
 * libmicrohttpd's timeout is one of inactivity: a byte every now and then holds a
 * connection for ever.  A thread here shuts a socket down once its deadline has
 * passed; libmicrohttpd then finds it closed and lets go of it.  A socket is never
 * touched after reaper_forget, which must come before its descriptor is closed. */
#ifndef VOUCHSAFE_FRONT_REAPER_H
#define VOUCHSAFE_FRONT_REAPER_H

#include <stdint.h>

#include "common/bytes.h"

#define REAPER_TICK_MS 100 /* how late it may be */

struct reaper;
struct reaper_entry;

/* Milliseconds of the monotonic clock. */
uint64_t reaper_now_ms(void);

/* Starts the thread.  ERR_NO_MEMORY, ERR_INTERNAL. */
MUST_CHECK enum err reaper_new(struct reaper **out);
/* Ends the thread; entries must be forgotten before. */
void reaper_free(struct reaper *reaper);
CLEANUP_PTR(struct reaper, reaper_free, reaper_freep)

/* Watches a connected socket; NULL where memory is out. */
struct reaper_entry *reaper_watch(struct reaper *reaper, int fd, uint64_t after_ms);
/* Moves the deadline to so long from now; 0: none. */
void reaper_set(struct reaper_entry *entry, uint64_t after_ms);
/* Releases the entry; accepts NULL. */
void reaper_forget(struct reaper_entry *entry);

#endif
