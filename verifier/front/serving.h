/* What all listeners of a front share, for front's own files: limits, the warden's
 * door, and the count of running requests that a graceful stop waits for. */
#ifndef VOUCHSAFE_FRONT_SERVING_H
#define VOUCHSAFE_FRONT_SERVING_H

#include <pthread.h>
#include <stdatomic.h>

#include "front.h"
#include "rate.h"
#include "reaper.h"

struct serving {
    struct warden *warden;
    struct front_options limits; /* numbers only */
    struct rate *rate;
    struct reaper *reaper;
    atomic_bool stopping;
    /* Refusals that never reach the warden are logged at a bounded rate: in the
     * second `logged_s` there have been `logged`. */
    _Atomic uint64_t logged_s;
    _Atomic uint64_t logged;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    size_t running; /* from the first call of the handler until the answer has gone out */
};

MUST_CHECK enum err serving_init(struct serving *serving, const struct front_options *options,
                                 struct warden *warden, struct fault *fault);
void serving_free(struct serving *serving);
void serving_enter(struct serving *serving);
void serving_leave(struct serving *serving);
/* Until no request runs; false where some still do after so long. */
bool serving_wait_idle(struct serving *serving, unsigned deadline_ms);
/* Whether this second still has room for a line about a refusal. */
bool serving_may_log(struct serving *serving);

#endif
