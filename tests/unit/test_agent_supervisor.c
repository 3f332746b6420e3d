/* The agent beside its program, with programs and releases of the test's own.  Durations are
 * milliseconds here; nothing waits longer than it must. */
#include "unit.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "enclave-agent/supervisor.h"

#define SAYINGS_MAX 64

/* Shared with the children; what a test is about, and what came of it. */
struct world {
    int (*program)(void);                            /* after it has its secrets */
    enum err (*renewal)(unsigned which, int report); /* `which` from 1 */
    _Atomic unsigned renewals;
    _Atomic unsigned held[8]; /* the version that each renewal was told of */
    _Atomic unsigned signalled;
    _Atomic unsigned withdrawn;
    _Atomic int pid;
    _Atomic unsigned said;
    char saying[SAYINGS_MAX][320];
};
static struct world *world;
static struct fault fault;
static struct supervisor_plan plan;
static int status;

static struct wanted_list versions(uint32_t version)
{
    return (struct wanted_list){.count = 1, .item = {{.name = "a", .version = version}}};
}

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void report_version(int report, uint32_t version)
{
    const struct wanted_list list = versions(version);
    ck_ok(supervisor_report_versions(report, &list, NULL));
}

static int start(void *context, int report)
{
    ck_assert_ptr_eq(context, world);
    report_version(report, 7);
    close(report); /* as exec does */
    return world->program();
}

static enum err renew(void *context, const struct wanted_list *held, int report)
{
    ck_assert_ptr_eq(context, world);
    ck_assert_uint_eq(held->count, 1);
    const unsigned which = ++world->renewals;
    if (which < ARRAY_LEN(world->held))
        world->held[which] = held->item[0].version;
    return world->renewal(which, report);
}

static void withdraw(void *context)
{
    ck_assert_ptr_eq(context, world);
    world->withdrawn++;
}

static void say(const char *sentence)
{
    const unsigned i = world->said++;
    ck_assert_uint_lt(i, SAYINGS_MAX);
    snprintf(world->saying[i], sizeof world->saying[i], "%s", sentence);
}

static unsigned count_said(const char *part)
{
    unsigned count = 0;
    for (unsigned i = 0; i < world->said; i++)
        count += strstr(world->saying[i], part) != NULL;
    return count;
}

static void setup(int (*program)(void))
{
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(world, MAP_FAILED);
    world->program = program;
    plan = (struct supervisor_plan){.now_ms = supervisor_clock_ms, .grace_ms = 10000};
    fault = (struct fault)FAULT_NONE;
    status = -1;
}

static enum err run_with(int (*start_with)(void *context, int report))
{
    const struct supervisor_work work = {
        .context = world, .start = start_with, .renew = renew, .withdraw = withdraw, .say = say};
    const enum err err = supervisor_run(&plan, &work, &status, &fault);
    /* No child is left, and signals are as they were. */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    sigset_t blocked;
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &blocked), 0);
    ck_assert_int_eq(sigismember(&blocked, SIGTERM), 0);
    return err;
}

static enum err run(int (*program)(void))
{
    setup(program);
    return run_with(start);
}

/* --- how programs end --- */

static int end_0(void)
{
    return 0;
}

static int end_42(void)
{
    return 42;
}

static int end_255(void)
{
    return 255;
}

static int end_by_kill(void)
{
    kill(getpid(), SIGKILL);
    return 1;
}

static int end_by_term(void)
{
    signal(SIGTERM, SIG_DFL);
    kill(getpid(), SIGTERM);
    return 1;
}

START_TEST(valid_status)
{
    static const struct {
        int (*program)(void);
        int status;
    } rows[] = {{end_0, 0}, {end_42, 42}, {end_255, 255}, {end_by_kill, 137}, {end_by_term, 143}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_ok(run(rows[i].program));
        ck_assert_int_eq(status, rows[i].status);
        ck_assert_uint_eq(world->withdrawn, 1);
        ck_assert_uint_eq(world->said, 0);
    }
}
END_TEST

static int not_started(void *context, int report)
{
    (void)context;
    (void)report;
    return 120;
}

static int not_executable(void *context, int report)
{
    (void)context;
    report_version(report, 7);
    return 126;
}

/* It ends with what its first child ended with; what nothing was written to stays. */
START_TEST(wrong_start)
{
    setup(end_0);
    ck_ok(run_with(not_started));
    ck_assert_int_eq(status, 120);
    ck_assert_uint_eq(world->withdrawn, 0);
    ck_ok(run_with(not_executable));
    ck_assert_int_eq(status, 126);
    ck_assert_uint_eq(world->withdrawn, 1);
}
END_TEST

/* Whoever started the agent may have it ignore its children's ends. */
START_TEST(valid_children_were_ignored)
{
    signal(SIGCHLD, SIG_IGN);
    ck_ok(run(end_42));
    ck_assert_int_eq(status, 42);
}
END_TEST

/* --- signals --- */

static volatile sig_atomic_t caught;

static void catch (int number)
{
    caught = number;
}

static void await_signal(void)
{
    for (int i = 0; i < 500 && caught == 0; i++)
        nap_ms(10);
}

static int signal_in_test;

/* Sends it to the supervisor, and expects it back. */
static int send_up(void)
{
    signal(signal_in_test, catch);
    kill(getppid(), signal_in_test);
    await_signal();
    return caught == signal_in_test ? 7 : 1;
}

START_TEST(valid_forwarded)
{
    const int numbers[] = {SIGTERM, SIGINT,   SIGHUP,  SIGQUIT, SIGUSR1,
                           SIGUSR2, SIGWINCH, SIGALRM, SIGCONT, SIGRTMIN + 3};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        signal_in_test = numbers[i];
        ck_ok(run(send_up));
        ck_assert_msg(status == 7, "signal %d: status %d", numbers[i], status);
    }
}
END_TEST

static int await_alarm(void)
{
    signal(SIGALRM, catch);
    nap_ms(150);
    return caught == 0 ? 7 : 1;
}

/* A terminal's signals reach the program without the agent: they would be there twice. */
START_TEST(no_signal_of_the_kernel)
{
    const struct itimerval timer = {.it_value = {.tv_usec = 50000}};
    setup(await_alarm);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
    ck_ok(run_with(start));
    ck_assert_int_eq(status, 7);
}
END_TEST

/* Of /proc/PID/status, 0 where it is not there. */
static unsigned long long status_number(const char *name)
{
    char line[200];
    unsigned long long number = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtoull(line + strlen(name), NULL, 16);
    }
    if (file != NULL)
        fclose(file);
    return number;
}

static int has_usual_signals(void)
{
    return status_number("SigBlk:") == 0 ? 7 : 1;
}

START_TEST(valid_mask_of_the_program)
{
    ck_ok(run(has_usual_signals));
    ck_assert_int_eq(status, 7);
}
END_TEST

static int stay(void)
{
    world->pid = getpid();
    nap_ms(20000);
    return 1;
}

/* Nobody would take away its secrets. */
START_TEST(no_program_outlives_its_supervisor)
{
    setup(stay);
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    const pid_t supervisor = fork();
    if (supervisor == 0)
        _exit(run_with(start) == ERR_OK ? 0 : 1);
    for (int i = 0; i < 500 && world->pid == 0; i++)
        nap_ms(10);
    ck_assert_int_ne(world->pid, 0);
    kill(supervisor, SIGKILL);
    ck_assert_int_eq(waitpid(supervisor, NULL, 0), supervisor);
    int how = 0;
    ck_assert_int_eq(waitpid(world->pid, &how, 0), world->pid);
    ck_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}
END_TEST

/* --- orphans --- */

/* Children of `parent`, or those of them that are dead and not yet waited for. */
static unsigned count_children(pid_t parent, bool dead)
{
    unsigned count = 0;
    DIR *proc = opendir("/proc");
    const struct dirent *entry = NULL;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        char path[300];
        char state = 0;
        int of = 0;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = isdigit((unsigned char)entry->d_name[0]) ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fscanf(file, "%*d (%*[^)]) %c %d", &state, &of) == 2 && of == parent)
            count += !dead || state == 'Z';
        fclose(file);
    }
    if (proc != NULL)
        closedir(proc);
    return count;
}

/* Ends at once or after `ms`, without a parent. */
static void make_orphan(long ms)
{
    const pid_t between = fork();
    if (between == 0) {
        if (fork() == 0) {
            nap_ms(ms);
            _exit(99);
        }
        _exit(0);
    }
    waitpid(between, NULL, 0);
}

static int leave_orphans(void)
{
    for (int i = 0; i < 5; i++)
        make_orphan(20 * i);
    const unsigned adopted = count_children(getppid(), false);
    for (int i = 0; i < 100 && count_children(getppid(), false) > 1; i++)
        nap_ms(10);
    /* This one is left, and none that is dead. */
    if (adopted < 2 || count_children(getppid(), true) != 0 ||
        count_children(getppid(), false) != 1)
        return 1;
    return 7;
}

START_TEST(valid_orphans)
{
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* as process 1 is */
    ck_ok(run(leave_orphans));
    ck_assert_int_eq(status, 7);
}
END_TEST

/* --- refreshing --- */

static void set_refresh(int (*program)(void), enum err (*renewal)(unsigned which, int report),
                        int64_t period_ms)
{
    setup(program);
    world->renewal = renewal;
    plan.refresh = (struct refresh_plan){.on = true, .period_ms = period_ms};
    plan.program_signal = SIGUSR1;
}

static enum err something_new(unsigned which, int report)
{
    report_version(report, 7 + which);
    return supervisor_report_replaced(report, NULL);
}

static enum err nothing_new(unsigned which, int report)
{
    (void)which;
    report_version(report, 7);
    return ERR_OK;
}

static void count_signal(int number)
{
    (void)number;
    world->signalled++;
}

/* Until there were three renewals; the signal's count says the rest. */
static int await_three(void)
{
    signal(SIGUSR1, count_signal);
    for (int i = 0; i < 500 && world->renewals < 3; i++)
        nap_ms(10);
    nap_ms(30);
    return 7;
}

START_TEST(valid_period)
{
    set_refresh(await_three, something_new, 40);
    ck_ok(run_with(start));
    ck_assert_int_eq(status, 7);
    ck_assert_uint_ge(world->signalled, 2);
    ck_assert_uint_eq(world->held[1], 7);
    ck_assert_uint_eq(world->held[2], 8);
    ck_assert_uint_eq(world->held[3], 9);
    ck_assert_uint_ge(count_said("refreshed: there are new files, and the program got signal"), 2);
    ck_assert_uint_eq(world->withdrawn, 1);
}
END_TEST

START_TEST(valid_nothing_new)
{
    set_refresh(await_three, nothing_new, 40);
    ck_ok(run_with(start));
    ck_assert_uint_eq(world->signalled, 0);
    ck_assert_uint_ge(count_said("refreshed: nothing is new"), 2);
}
END_TEST

START_TEST(valid_no_signal)
{
    set_refresh(await_three, something_new, 40);
    plan.program_signal = 0;
    ck_ok(run_with(start));
    ck_assert_uint_eq(world->signalled, 0);
    ck_assert_uint_ge(count_said("refreshed: there are new files"), 2);
}
END_TEST

/* SIGHUP is for the agent then. */
static int ask_by_hup(void)
{
    signal(SIGHUP, catch);
    signal(SIGUSR1, count_signal);
    kill(getppid(), SIGHUP);
    for (int i = 0; i < 500 && world->signalled == 0; i++)
        nap_ms(10);
    return caught == 0 ? 7 : 1;
}

START_TEST(valid_hup)
{
    set_refresh(ask_by_hup, something_new, 0);
    ck_ok(run_with(start));
    ck_assert_int_eq(status, 7);
    ck_assert_uint_eq(world->renewals, 1);
    ck_assert_uint_eq(world->signalled, 1);
}
END_TEST

/* The second file could not be written: the program hears of the first when all is well. */
static enum err half_new(unsigned which, int report)
{
    if (which > 1)
        return nothing_new(which, report);
    report_version(report, 8);
    ck_ok(supervisor_report_replaced(report, NULL));
    return ERR_DELIVER;
}

START_TEST(valid_signal_is_owed)
{
    set_refresh(await_three, half_new, 40);
    ck_ok(run_with(start));
    ck_assert_uint_eq(world->signalled, 1);
    ck_assert_uint_eq(world->held[2], 8); /* it was opened, so nothing may fall below it */
    ck_assert_uint_eq(count_said("not refreshed"), 1);
}
END_TEST

static enum err killed(unsigned which, int report)
{
    (void)report;
    if (which == 1)
        kill(getpid(), SIGKILL);
    return nothing_new(which, report);
}

START_TEST(wrong_end_of_a_renewal)
{
    set_refresh(await_three, killed, 40);
    ck_ok(run_with(start));
    ck_assert_int_eq(status, 7);
    ck_assert_uint_eq(count_said("a refresh was ended by signal 9 (Killed)"), 1);
    ck_assert_uint_eq(count_said("not refreshed: the program keeps"), 1);
    ck_assert_uint_ge(count_said("refreshed: nothing is new"), 1);
}
END_TEST

static enum err hang(unsigned which, int report)
{
    (void)which;
    (void)report;
    nap_ms(20000);
    return ERR_OK;
}

static int end_on_term(void)
{
    signal(SIGTERM, catch);
    for (int i = 0; i < 500 && world->renewals == 0; i++)
        nap_ms(10);
    kill(getppid(), SIGTERM);
    await_signal();
    return caught == SIGTERM ? 7 : 1;
}

/* A verifier that hangs keeps nobody from ending the program. */
START_TEST(valid_signal_while_refreshing)
{
    set_refresh(end_on_term, hang, 40);
    const int64_t before_ms = supervisor_clock_ms();
    ck_ok(run_with(start));
    ck_assert_int_eq(status, 7);
    ck_assert_int_lt(supervisor_clock_ms() - before_ms, 5000);
}
END_TEST

static enum err refused(unsigned which, int report)
{
    (void)which;
    (void)report;
    return ERR_REFUSED;
}

/* By then its files are gone. */
static int obey_term(void)
{
    signal(SIGTERM, catch);
    await_signal();
    world->signalled += caught == SIGTERM && world->withdrawn == 1;
    return 0;
}

static int ignore_term(void)
{
    signal(SIGTERM, SIG_IGN);
    nap_ms(20000);
    world->signalled = 99;
    return 1;
}

static void ck_stale(int (*program)(void), enum err (*renewal)(unsigned which, int report),
                     int64_t grace_ms)
{
    const int64_t before_ms = supervisor_clock_ms();
    set_refresh(program, renewal, 30);
    plan.refresh.max_staleness_ms = 500;
    plan.grace_ms = grace_ms;
    ck_err(run_with(start), ERR_UNREACHABLE);
    ck_assert_int_ge(supervisor_clock_ms() - before_ms, 500);
    ck_assert_int_lt(supervisor_clock_ms() - before_ms, 5000);
    ck_assert_uint_eq(world->withdrawn, 1);
    ck_assert_uint_eq(count_said("the secrets' files are removed, and the program is to end"), 1);
    ck_assert_ptr_nonnull(strstr(fault.detail, "max-staleness allows"));
    ck_assert_int_eq(status, -1);
}

START_TEST(valid_stale)
{
    ck_stale(obey_term, refused, 10000);
    ck_assert_uint_eq(world->signalled, 1);
    ck_assert_uint_ge(world->renewals, 2); /* refused and refused, and it lived on */
    ck_assert_uint_ge(count_said("not refreshed: the program keeps what it got 0 s ago, for 0 s "
                                 "more at most; asking again in 0 s"),
                      2);
    ck_stale(ignore_term, refused, 100);
    ck_assert_uint_eq(world->signalled, 0);
    ck_stale(obey_term, hang, 10000);
    ck_assert_uint_eq(world->renewals, 1);
}
END_TEST

/* Success puts the end off. */
static int outlive(void)
{
    nap_ms(1900);
    return 7;
}

START_TEST(valid_not_stale)
{
    set_refresh(outlive, nothing_new, 30);
    plan.refresh.max_staleness_ms = 1500;
    ck_ok(run_with(start));
    ck_assert_int_eq(status, 7);
}
END_TEST

UNIT_MAIN("agent_supervisor", valid_status, wrong_start, valid_children_were_ignored,
          valid_forwarded, no_signal_of_the_kernel, valid_mask_of_the_program,
          no_program_outlives_its_supervisor, valid_orphans, valid_period, valid_nothing_new,
          valid_no_signal, valid_hup, valid_signal_is_owed, wrong_end_of_a_renewal,
          valid_signal_while_refreshing, valid_stale, valid_not_stale)
