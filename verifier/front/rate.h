/* A token bucket per source address, in a table of fixed size.
 *
 * It keeps one busy or hostile address from taking the public listener for itself.  An
 * IPv6 network of 64 bits counts as one address.  Where the table is full the bucket
 * used least recently makes way: who has very many addresses is not held by this. */
#ifndef VOUCHSAFE_FRONT_RATE_H
#define VOUCHSAFE_FRONT_RATE_H

#include <stdint.h>
#include <sys/socket.h>

#include "common/bytes.h"

struct rate;

/* `per_s` tokens a second, at most `burst` (at least 1) saved up; per_s 0: no limit.
 * ERR_NO_MEMORY, ERR_CRYPTO. */
MUST_CHECK enum err rate_new(unsigned per_s, unsigned burst, struct rate **out);
void rate_free(struct rate *rate);
CLEANUP_PTR(struct rate, rate_free, rate_freep)
/* Takes one token of the address; false where there is none.  Addresses of other
 * families than IP are never limited.  `now_ms` is of any clock that does not go
 * back.  Thread-safe. */
bool rate_take(struct rate *rate, const struct sockaddr *address, uint64_t now_ms);

#endif
