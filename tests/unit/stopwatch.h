/* For tests of what takes time: waiting, and how long it took. */
#ifndef VOUCHSAFE_STOPWATCH_H
#define VOUCHSAFE_STOPWATCH_H

#include <stdint.h>
#include <time.h>

static inline void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* Monotonic. */
static inline int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif
