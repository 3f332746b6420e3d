/* Programs and releases of a test's own for the supervisor's tests.  Durations are
 * milliseconds there; nothing waits longer than it must. */
#ifndef VOUCHSAFE_SUPERVISOR_FIXTURE_H
#define VOUCHSAFE_SUPERVISOR_FIXTURE_H

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "enclave-agent/supervisor.h"
#include "unit.h"

#define SAYINGS_MAX 64

/* Shared with the children; what a test is about, and what came of it. */
struct world {
    int (*program)(void);                            /* after it has its secrets */
    enum err (*renewal)(unsigned which, int report); /* `which` from 1 */
    _Atomic unsigned renewals;
    _Atomic unsigned held[8]; /* the version that each renewal was told of */
    _Atomic unsigned signalled;
    _Atomic unsigned withdrawn;
    _Atomic unsigned late;
    _Atomic int pid;      /* the program's */
    _Atomic int renewing; /* the last renewal's */
    enum err confining;   /* what comes of it */
    _Atomic unsigned confined;
    _Atomic unsigned said;
    char saying[SAYINGS_MAX][320];
};
static struct world *world;
static struct fault fault;
static struct supervisor_plan plan;
static int status;

#define STORE 0x5a /* each byte of its id */

static inline void nap_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static inline void report_version(int report, uint32_t version)
{
    struct answer_held held = {
        .any = true,
        .versions = {.count = 1, .item = {{.name = "a", .version = version}}},
    };
    memset(held.store_id, STORE, sizeof held.store_id);
    ck_ok(supervisor_report_held(report, &held, NULL));
}

static inline int start(void *context, int report)
{
    ck_assert_ptr_eq(context, world);
    report_version(report, 7);
    close(report); /* as exec does */
    return world->program();
}

static inline enum err renew(void *context, const struct answer_held *held, int report)
{
    ck_assert_ptr_eq(context, world);
    ck_assert_uint_eq(held->versions.count, 1);
    ck_assert(held->any);
    for (size_t i = 0; i < sizeof held->store_id; i++)
        ck_assert_uint_eq(held->store_id[i], STORE);
    world->renewing = getpid();
    const unsigned which = ++world->renewals;
    if (which < ARRAY_LEN(world->held))
        world->held[which] = held->versions.item[0].version;
    return world->renewal(which, report);
}

static inline enum err confine(void *context, struct fault *into)
{
    ck_assert_ptr_eq(context, world);
    world->confined++;
    if (world->confining != ERR_OK)
        FAIL(into, world->confining, "no filter");
    return ERR_OK;
}

static inline void withdraw(void *context)
{
    ck_assert_ptr_eq(context, world);
    world->withdrawn++;
}

static inline void say(const char *sentence)
{
    const unsigned i = world->said++;
    ck_assert_uint_lt(i, SAYINGS_MAX);
    snprintf(world->saying[i], sizeof world->saying[i], "%s", sentence);
}

static inline unsigned count_said(const char *part)
{
    unsigned count = 0;
    for (unsigned i = 0; i < world->said; i++)
        count += strstr(world->saying[i], part) != NULL;
    return count;
}

static inline void setup(int (*program)(void))
{
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(world, MAP_FAILED);
    world->program = program;
    plan = (struct supervisor_plan){.now_ms = supervisor_clock_ms, .grace_ms = 10000};
    fault = (struct fault)FAULT_NONE;
    status = -1;
}

static inline enum err supervise(int (*start_with)(void *context, int report))
{
    const struct supervisor_work work = {.context = world,
                                         .start = start_with,
                                         .renew = renew,
                                         .confine = confine,
                                         .withdraw = withdraw,
                                         .say = say};
    return supervisor_run(&plan, &work, &status, &fault);
}

static inline enum err run_with(int (*start_with)(void *context, int report))
{
    const enum err err = supervise(start_with);
    /* No child is left, and signals are as they were. */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    sigset_t blocked;
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &blocked), 0);
    ck_assert_int_eq(sigismember(&blocked, SIGTERM), 0);
    return err;
}

static volatile sig_atomic_t caught;

static inline void catch (int number)
{
    caught = number;
}

static inline void await_signal(void)
{
    for (int i = 0; i < 500 && caught == 0; i++)
        nap_ms(10);
}

#endif
