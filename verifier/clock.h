/* The clock, read in one place; everywhere else `now` is a parameter. */
#ifndef VOUCHSAFE_CLOCK_H
#define VOUCHSAFE_CLOCK_H

#include <stdint.h>

/* Unix milliseconds. */
int64_t clock_now_ms(void);

#endif
