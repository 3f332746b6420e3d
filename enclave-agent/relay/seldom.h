/* What strangers can make happen as often as they like is said once a second at most, with
 * the number of times that it was not said. */
#ifndef VOUCHSAFE_RELAY_SELDOM_H
#define VOUCHSAFE_RELAY_SELDOM_H

#include <stdbool.h>
#include <stdint.h>

struct seldom {
    int64_t next_ms;
    unsigned unsaid;
    unsigned before; /* set where it may be said: how often it was not since the last time */
};

static inline bool seldom_may(struct seldom *seldom, int64_t now_ms)
{
    if (now_ms < seldom->next_ms) {
        seldom->unsaid++;
        return false;
    }
    seldom->next_ms = now_ms + 1000;
    seldom->before = seldom->unsaid;
    seldom->unsaid = 0;
    return true;
}

#endif
