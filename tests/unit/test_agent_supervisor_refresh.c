/* The agent beside its program: new versions while it runs, and the end of old ones. */
#define _GNU_SOURCE /* setresuid */
#include "supervisor_fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

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
    ck_assert_uint_eq(count_said("the program got signal"), 0);
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

static enum err late(unsigned which, int report)
{
    nap_ms(900);
    world->late++;
    return something_new(which, report);
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
    ck_assert_ptr_nonnull(strstr(fault.detail, ": the program was ended"));
    ck_assert_int_eq(status, -1);
}

START_TEST(valid_stale)
{
    ck_stale(obey_term, refused, 10000);
    ck_assert_uint_eq(world->signalled, 1);
    ck_assert_uint_ge(world->renewals, 2); /* refused and refused, and it lived on */
    ck_assert_uint_ge(count_said("not refreshed: the program keeps what it got 0 s ago, for 1 s "
                                 "more at most; asking again in 1 s"),
                      2);
    ck_stale(ignore_term, refused, 100);
    ck_assert_uint_eq(world->signalled, 0);
    /* An answer that comes too late is written nowhere. */
    ck_stale(ignore_term, late, 1200);
    ck_assert_uint_eq(world->late, 0);
    ck_stale(obey_term, hang, 10000);
    ck_assert_uint_eq(world->renewals, 1);
}
END_TEST

/* Its number is there before the supervisor knows that it has begun. */
static int start_known(void *context, int report)
{
    world->pid = getpid();
    return start(context, report);
}

/* Program and renewal end between two looks of the supervisor, which then finds both at once. */
static int stay_till_killed(void)
{
    nap_ms(20000);
    return 1;
}

static enum err new_for_nobody(unsigned which, int report)
{
    const enum err err = something_new(which, report);
    kill(getppid(), SIGHUP); /* it looks at its clock */
    for (int i = 0; i < 500 && world->late == 0; i++)
        nap_ms(10);
    kill(world->pid, SIGKILL);
    return err;
}

static void await_end(int pid)
{
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static int64_t clock_that_waits_for_both_ms(void)
{
    if (world->renewals == 1 && world->late == 0) {
        world->late = 1;
        await_end(world->pid);
        await_end(world->renewing);
    }
    return supervisor_clock_ms();
}

/* Its number may be another's by now. */
START_TEST(no_signal_to_a_program_that_is_gone)
{
    set_refresh(stay_till_killed, new_for_nobody, 40);
    plan.now_ms = clock_that_waits_for_both_ms;
    ck_ok(run_with(start_known));
    ck_assert_int_eq(status, 128 + SIGKILL);
    ck_assert_uint_eq(world->said, 1);
    ck_assert_str_eq(world->saying[0], "refreshed: there are new files");
    ck_assert_uint_eq(world->withdrawn, 1); /* these, too */
}
END_TEST

#define SOMEBODY 12345

/* As a set-user-ID program does it, where this is root. */
static int become_root(void)
{
    if (geteuid() == SOMEBODY && setresuid(0, 0, 0) != 0)
        return 1;
    for (int i = 0; i < 2000 && world->signalled == 0; i++)
        nap_ms(10);
    return 1;
}

/* From now on this process may send none: root by becoming another user, anyone else by a
 * filter that says what the kernel would say. */
static void give_up_signals(void)
{
    static struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};
    if (geteuid() == 0) {
        ck_assert_int_eq(setresuid(SOMEBODY, SOMEBODY, 0), 0);
        return;
    }
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

/* Nobody is told that it was ended. */
START_TEST(wrong_user_to_end)
{
    set_refresh(become_root, refused, 30);
    plan.refresh.max_staleness_ms = 500;
    plan.grace_ms = 100;
    give_up_signals();
    const int64_t before_ms = supervisor_clock_ms();
    ck_err(supervise(start_known), ERR_UNREACHABLE);
    ck_assert_int_lt(supervisor_clock_ms() - before_ms, 5000);
    if (geteuid() == SOMEBODY)
        ck_assert_int_eq(setresuid(0, 0, 0), 0); /* the leak sanitizer cannot look otherwise */
    ck_assert_uint_eq(world->withdrawn, 1);
    ck_assert_uint_eq(
        count_said("the program cannot be ended: Operation not permitted; it runs on"), 1);
    ck_assert_ptr_nonnull(strstr(fault.detail, ": the program could not be ended, and runs on"));
    ck_assert_int_eq(waitpid(world->pid, NULL, WNOHANG), 0);
    world->signalled = 1;
    ck_assert_int_eq(waitpid(world->pid, NULL, 0), world->pid);
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

UNIT_MAIN("agent_supervisor_refresh", valid_period, valid_nothing_new, valid_no_signal, valid_hup,
          valid_signal_is_owed, wrong_end_of_a_renewal, valid_signal_while_refreshing, valid_stale,
          no_signal_to_a_program_that_is_gone, wrong_user_to_end, valid_not_stale)
