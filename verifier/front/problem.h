/* Refusals: the one place that gives an error an HTTP status.  PROTOCOL section 1. */
#ifndef VOUCHSAFE_FRONT_PROBLEM_H
#define VOUCHSAFE_FRONT_PROBLEM_H

#include "common/bytes.h"
#include "front.h"

/* One answer, a refusal or not. */
struct answer {
    int status;
    int retry_after_s; /* 0: not said */
    bool close;        /* the connection ends with it */
    char allow[32];    /* "" or the methods that the path takes */
    struct buf body;   /* JSON */
};
void answer_free(struct answer *answer);

int problem_status(enum err code);
/* Fills status, retry_after_s and body.  To a stranger the detail of a failure of our
 * own is nothing but the code's sentence: it leads an admin to the log by the id. */
MUST_CHECK enum err problem_answer(const struct fault *fault, const char *request_id,
                                   enum front_audience audience, struct answer *out);

#endif
