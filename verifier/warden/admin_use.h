/* How builds are used, for lists and for whoever is about to end one.  Statistics: nothing is
 * decided by them (store.h). */
#ifndef VOUCHSAFE_WARDEN_ADMIN_USE_H
#define VOUCHSAFE_WARDEN_ADMIN_USE_H

#include "admin.h"

/* A list goes through the measurements by ascending ids: their use is read as many at a time.  Of
 * one image's, between which those of others lie, fewer are read in vain. */
#define USE_WINDOW          256
#define USE_WINDOW_OF_IMAGE 16
struct use_view {
    struct admin_call *call;
    uint64_t window;   /* 1..USE_WINDOW */
    uint64_t from;     /* the first id of the window; 0: nothing was read yet */
    uint64_t revision; /* call->paused_at when it was read: a row's state and use belong together */
    enum err failed;   /* what was not read once is not asked for again: all of the list fails */
    struct store_use use[USE_WINDOW];
};
/* Of any measurement, also one that nothing is known of. */
MUST_CHECK enum err use_view_get(struct use_view *view, uint64_t id, const struct store_use **out);

/* Since when a build is not used: its last release, or when it began to count. */
uint64_t use_idle_since(const struct policy_measurement *m, const struct store_use *use);

/* Sets `use` of a measurement's object. */
MUST_CHECK enum err admin_set_use(struct admin_call *call, const struct policy *policy, uint64_t id,
                                  json_t *object);

#endif
