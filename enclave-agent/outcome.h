/* What a failure is to whoever asked: the exit status of `run`, that of the other commands
 * (DESIGN section 8), and what a function of the library returns. */
#ifndef VOUCHSAFE_AGENT_OUTCOME_H
#define VOUCHSAFE_AGENT_OUTCOME_H

#include "common/err.h"
#include "library/vouchsafe-agent.h"

/* `run` leaves 0..119 to the program. */
enum run_exit {
    RUN_DONE = 0,
    RUN_REFUSED = 120,
    RUN_UNREACHABLE = 121,
    RUN_NOT_AUTHENTIC = 122,
    RUN_NSM = 123,
    RUN_NOT_DELIVERED = 124,
    RUN_USAGE = 125,
    RUN_NOT_EXECUTABLE = 126,
    RUN_NOT_FOUND = 127,
};

enum plain_exit {
    PLAIN_DONE = 0,
    PLAIN_REFUSED = 1,
    PLAIN_USAGE = 2,
    PLAIN_UNDECIDED = 3,
};

int outcome_run(enum err code);   /* enum run_exit */
int outcome_plain(enum err code); /* enum plain_exit */
enum vouchsafe_agent_status outcome_library(enum err code);

#endif
