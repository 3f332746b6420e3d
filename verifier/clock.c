#include "clock.h"

#include <time.h>

int64_t clock_now_ms(void)
{
    struct timespec now;
    /* Cannot fail: the clock exists and the pointer is valid (clock_gettime(2)). */
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
