/* When a program's secrets are asked for again, and how long old ones serve.  DESIGN
 * section 8.  Pure: no clock, no sleep, no process.
 *
 * A refusal counts as any failure does.  It is unsigned advice that the parent could have
 * made up; whoever may cut the enclave off from its verifier needs no forgery to have that
 * effect.  So no answer ends a program, only the want of an authentic one for as long as
 * the measured configuration allows.
 *
 * Times are milliseconds of a clock that never goes back; durations too. */
#ifndef VOUCHSAFE_AGENT_REFRESH_H
#define VOUCHSAFE_AGENT_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#define REFRESH_GAP_MS         1000   /* between two attempts, whoever asks for them */
#define REFRESH_AGAIN_FIRST_MS 15000  /* after a failure; then twice as long each time, */
#define REFRESH_AGAIN_MAX_MS   600000 /* to this, and never longer than the period */

struct refresh_plan {
    bool on;                  /* else never, and SIGHUP is the program's */
    int64_t period_ms;        /* 0: only where it is asked for */
    int64_t max_staleness_ms; /* 0: old values serve for ever */
};

struct refresh {
    struct refresh_plan plan;
    int64_t fresh_ms;  /* when the attempt began that succeeded last */
    int64_t began_ms;  /* the last attempt */
    int64_t next_ms;   /* INT64_MAX: none is due by itself */
    unsigned failures; /* since then */
    bool under_way;
    bool wanted; /* somebody asked */
};

enum refresh_due {
    REFRESH_WAIT,
    REFRESH_ASK,   /* begin an attempt now */
    REFRESH_STALE, /* what was delivered serves no longer */
};

/* The program has its secrets, of a release that began at `began_ms`.  `refresh` is all zero
 * before, but for requests meanwhile. */
void refresh_start(struct refresh *refresh, const struct refresh_plan *plan, int64_t began_ms,
                   int64_t now_ms);
/* What is to be done; with REFRESH_WAIT, `*wait_ms` says for how long nothing is (INT64_MAX:
 * until something happens). */
enum refresh_due refresh_next(const struct refresh *refresh, int64_t now_ms, int64_t *wait_ms);
/* The same for poll(2), which knows 24 days at most: then it looks again. */
int refresh_poll_ms(int64_t wait_ms);
/* After an attempt that failed: how long the program keeps what it has, and what comes next. */
#define REFRESH_SENTENCE_MAX 256
void refresh_describe_kept(const struct refresh *refresh, int64_t now_ms,
                           char out[static REFRESH_SENTENCE_MAX]);
/* Somebody asks for one; where one is under way, another follows it: what is new may have
 * come after that one's answer. */
void refresh_request(struct refresh *refresh);
void refresh_begin(struct refresh *refresh, int64_t now_ms);
void refresh_end(struct refresh *refresh, bool succeeded, int64_t now_ms);

#endif
