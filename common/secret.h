/* The third memory type: what must never be seen.
 *
 * An incomplete type, so that it cannot be copied by `=`, put on the stack or
 * handed to a logger.  It lives in OpenSSL's secure heap (locked, guarded, left out
 * of core dumps) once secret_init has run, and is wiped when it is freed. */
#ifndef VOUCHSAFE_SECRET_H
#define VOUCHSAFE_SECRET_H

#include <stdint.h>

#include "bytes.h"

struct secret;

/* Core dumps and ptrace off, for this process; core dumps also for what it starts, where they
 * would go to a file or a pipe.  ERR_INTERNAL. */
MUST_CHECK enum err secret_forbid_dumps(struct fault *fault);
/* At program start: locks `arena_size` bytes (a power of two), and forbids dumps.
 * ERR_NO_MEMORY where the memory cannot be locked (RLIMIT_MEMLOCK): a program that holds
 * secrets must not go on. */
MUST_CHECK enum err secret_init(size_t arena_size, struct fault *fault);

/* The same for a library in a program that is not ours: leaves dumps to the program, and takes the
 * locked memory that there is.  Safe from any thread.  ERR_NO_MEMORY; ERR_WRONG_STATE in the child
 * of a fork whose parent has locked it so, for a child inherits no lock (mlock(2)). */
MUST_CHECK enum err secret_share(size_t arena_size, struct fault *fault);

/* A zeroed secret of `len` bytes; the caller owns it.  Length 0 is allowed. */
MUST_CHECK enum err secret_new(size_t len, struct secret **out);
/* `len` bytes of OpenSSL's private random generator. */
MUST_CHECK enum err secret_new_random(size_t len, struct secret **out);
/* Reads an open file to its end: at most `max_len` bytes, else ERR_TOO_LARGE.  No
 * unlocked buffer is used on the way. */
MUST_CHECK enum err secret_new_from_fd(int fd, size_t max_len, struct secret **out);

uint8_t *secret_ptr(struct secret *secret);
size_t secret_len(const struct secret *secret);
/* A view for crypto and for delivery; it dies with the secret. */
struct bytes secret_view(const struct secret *secret);
/* Copies a part of one secret to where another has room for it.  Byte by byte: memcpy leaves
 * up to 32 bytes in each of some registers, and whatever saves these to the stack, them too. */
void secret_copy(uint8_t *to, struct bytes from);
/* Forgets the end of it, wiped: for values whose length is known only afterwards. */
void secret_truncate(struct secret *secret, size_t len);
/* Wipes and frees; accepts NULL. */
void secret_free(struct secret *secret);

CLEANUP_PTR(struct secret, secret_free, secret_freep)

/* Wipes stack scratch: CLEANUP(wipe_NN) uint8_t key[NN]. */
void wipe_32(uint8_t (*p)[32]);
void wipe_48(uint8_t (*p)[48]);

#endif
