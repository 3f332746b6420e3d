/* The simulator's certificates: a root that is kept in a directory or made afresh, and
 * the chain below it, renewed as hardware renews its own.
 *
 * The root is a test root and says so in its name; only a development store can be
 * told to trust it (DESIGN section 2).  Shapes: tests/lib/mkdoc.h. */
#ifndef VOUCHSAFE_SIM_CHAIN_H
#define VOUCHSAFE_SIM_CHAIN_H

#include "tests/lib/mkdoc.h"

struct sim_chain;

/* `root_dir` holds root.pem and root.key (mode 0600); both are made where neither is
 * there, and the directory too.  Several simulators may start on one directory at once.
 * NULL: a root of this simulator's own, gone with it.  `module_id` and `region` are
 * borrowed for as long as the chain lives.  ERR_FILE, ERR_CONFIG (what is in the
 * directory is no root of ours) say which file in `fault`. */
MUST_CHECK enum err sim_chain_new(const char *root_dir, const char *module_id, const char *region,
                                  int64_t now_ms, struct sim_chain **out, struct fault *fault);
void sim_chain_free(struct sim_chain *chain);
CLEANUP_PTR(struct sim_chain, sim_chain_free, sim_chain_freep)

/* The chain that signs at `now_ms`: the last one while at least half of its leaf's
 * three hours is left, else one with a new leaf (and with new CAs where those would
 * end before it).  A view that lives until the next call. */
MUST_CHECK enum err sim_chain_current(struct sim_chain *chain, int64_t now_ms,
                                      const struct mkdoc_chain **out);
/* Appends the root's certificate as PEM. */
MUST_CHECK enum err sim_chain_root_pem(const struct sim_chain *chain, struct buf *pem);

#endif
