/* What a process of the agent gives up once it has started: every system call that the rest
 * of its work does not need.  A mistake in a parser or a library then cannot start a program,
 * mount, or load a module; it ends the process instead, by SIGSYS.  It is no sandbox: files stay
 * within reach, and where the agent is root /proc/PID/mem of another process is a file.  That
 * ptrace is not there makes it longer, not impossible.
 *
 * For processes that never become the program.  A filter is inherited, and a program's system
 * calls are its own affair; so `run` has none where it becomes the program itself.  Filters
 * add up: each only ever takes away.  DESIGN section 8.
 *
 * Core dumps, ptrace and locked memory are secret.h's. */
#ifndef VOUCHSAFE_AGENT_HARDEN_H
#define VOUCHSAFE_AGENT_HARDEN_H

#include <linux/filter.h>

#include "common/err.h"

/* Bits: which work is still to be done. */
enum harden_role {
    HARDEN_RELEASE = 1,   /* one release: NSM, network, files, locked memory */
    HARDEN_SUPERVISE = 2, /* children and signals, the end of a machine */
    HARDEN_FETCH = HARDEN_RELEASE,
    HARDEN_COURIER = HARDEN_RELEASE,
    HARDEN_SUPERVISOR = HARDEN_RELEASE | HARDEN_SUPERVISE, /* its couriers inherit it */
};

/* For this process and its children, for ever; also no program gains privileges by exec any
 * more.  A kernel without such filters is told of by `say`, and nothing else happens; under
 * a sanitizer, whose runtime has calls of its own, nothing happens at all.  ERR_INTERNAL,
 * ERR_NO_MEMORY. */
MUST_CHECK enum err harden_calls(enum harden_role role, void (*say)(const char *sentence),
                                 struct fault *fault);

/* The filter itself, for a test: at most HARDEN_FILTER_MAX instructions, and how many. */
#define HARDEN_FILTER_MAX 512
size_t harden_filter(enum harden_role role, struct sock_filter out[static HARDEN_FILTER_MAX]);
/* Whether this build has filters at all. */
bool harden_is_built(void);

#endif
