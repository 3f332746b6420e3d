/* A run: tasks worked off by one process per core, each case judged and counted. */
#ifndef VOUCHSAFE_MUTATION_RUN_H
#define VOUCHSAFE_MUTATION_RUN_H

#include "expect.h"

struct tally; /* shared between the processes */

struct run {
    uint64_t seed;
    unsigned share; /* a seeded one of so many cases; 1: all */
    bool all_values;
    unsigned jobs;
    const struct subjects *subjects;
    struct tally *tally;
    size_t kind; /* the tally's counters of the task at work */
};

/* One piece of work on one document: all of it, or its bytes from..to-1. */
struct task {
    const char *what;
    void (*work)(struct run *run, const struct task *task);
    const struct subject *s;
    size_t from;
    size_t to;
};

/* Works all of them off and prints the summary; false where a case failed or a process
 * died. */
bool run_tasks(struct run *run, const struct task *tasks, size_t count);

/* A number that depends on the seed, the document's name and the two; not secret. */
uint64_t run_random(const struct run *run, const struct subject *s, const char *what, size_t n);
/* Whether case `n` of that kind belongs to the share. */
bool run_selects(const struct run *run, const struct subject *s, const char *what, size_t n);

/* Judges one changed document: `what` says what was changed.  A failure is printed and
 * counted. */
PRINTF_LIKE(5, 6)
void run_check(struct run *run, const struct subject *s, struct bytes changed,
               const struct expectation *e, const char *what, ...);

/* The tasks' work. */
void change_bytes(struct run *run, const struct task *task);
void truncate_document(struct run *run, const struct task *task);
void change_envelope(struct run *run, const struct task *task);
void change_bundle(struct run *run, const struct task *task);
void change_fields(struct run *run, const struct task *task);
void change_values(struct run *run, const struct task *task);
void break_rules(struct run *run, const struct task *task);
void change_recorded_chain(struct run *run, const struct task *task);

#endif
