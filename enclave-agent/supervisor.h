/* The agent that stays beside its program: it starts it, hands on signals, reaps, has the
 * secrets renewed, and ends with the program's status.  DESIGN section 8.
 *
 * It never has a secret in its memory.  Each release is the work of a child of its own: the
 * first child gets the secrets and becomes the program, exactly as an agent does that does
 * not stay; at a refresh a child replaces files and is gone.  What the children tell it is
 * which versions they got, and from which store.  So nothing that a release needs, no lock on
 * memory, no socket, no wait for a verifier, keeps it from its signals. */
#ifndef VOUCHSAFE_AGENT_SUPERVISOR_H
#define VOUCHSAFE_AGENT_SUPERVISOR_H

#include "answer.h"
#include "refresh.h"

#define SUPERVISOR_GRACE_MS 10000 /* between SIGTERM and SIGKILL */

/* What is done in the children, and where the program is gone; `context` is the caller's. */
struct supervisor_work {
    void *context;
    /* In the first child: reports what it holds and becomes the program.  Returns only where
     * it failed: the exit status. */
    int (*start)(void *context, int report);
    /* In this process, once the first child is there: what it needs no more is given up, for
     * the children of refreshes too.  Where that fails, the program is ended. */
    enum err (*confine)(void *context, struct fault *fault);
    /* In a child at each refresh: reports what it holds, and each file that it replaced. */
    enum err (*renew)(void *context, const struct answer_held *held, int report);
    /* What was delivered as files is taken away. */
    void (*withdraw)(void *context);
    /* One line for whoever runs this. */
    void (*say)(const char *sentence);
};

struct supervisor_plan {
    struct refresh_plan refresh;
    int program_signal; /* tells the program of new files; 0: nothing does */
    int64_t (*now_ms)(void);
    int64_t grace_ms;
};

/* Returns when the program is gone: its exit status, or 128 and the signal's number.
 * ERR_UNREACHABLE where no refresh succeeded for `max_staleness_ms`: the files are gone, and
 * so is the program, unless it is another user's that this process may not end, which is said.
 * ERR_INTERNAL, ERR_NO_MEMORY where it could not be started. */
MUST_CHECK enum err supervisor_run(const struct supervisor_plan *plan,
                                   const struct supervisor_work *work, int *status,
                                   struct fault *fault);

/* The clock for it: runs on while the machine is suspended. */
int64_t supervisor_clock_ms(void);

/* From the work's functions.  ERR_INTERNAL; without it the supervisor would not know below
 * which versions nothing may fall, nor which store to ask, so that nothing may be delivered. */
MUST_CHECK enum err supervisor_report_held(int report, const struct answer_held *held,
                                           struct fault *fault);
MUST_CHECK enum err supervisor_report_replaced(int report, struct fault *fault);

#endif
