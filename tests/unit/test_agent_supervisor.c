/* The agent beside its program: how that ends, signals, orphans. */
#include "supervisor_fixture.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/time.h>

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

static int wait_long(void)
{
    nap_ms(20000);
    return 1;
}

/* What the supervisor gives up, it does once, and not for the program. */
START_TEST(wrong_confinement)
{
    ck_ok(run(end_42));
    ck_assert_uint_eq(world->confined, 1);
    setup(wait_long);
    world->confining = ERR_INTERNAL;
    ck_err(run_with(start), ERR_INTERNAL);
    ck_assert_str_eq(fault.detail, "no filter");
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

UNIT_MAIN("agent_supervisor", valid_status, wrong_confinement, wrong_start,
          valid_children_were_ignored, valid_forwarded, no_signal_of_the_kernel,
          valid_mask_of_the_program, no_program_outlives_its_supervisor, valid_orphans)
