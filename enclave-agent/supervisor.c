#define _GNU_SOURCE /* pipe2 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "common/fd_cleanup.h"

#define NOT_BEGUN 124 /* of a first child that could not: run's "could not deliver" */

/* From the first child until it is the program, or from a courier. */
struct report {
    int fd; /* -1: none */
    size_t len;
    struct answer_held held; /* its first `len` bytes */
};

struct supervisor {
    const struct supervisor_plan *plan;
    const struct supervisor_work *work;
    struct refresh refresh;
    sigset_t signals_before;
    int signals; /* signalfd */
    pid_t self;
    pid_t program;
    bool program_gone;
    bool program_stays; /* it was to end, and may not be ended by this process */
    int program_status;
    int64_t started_ms;
    pid_t courier; /* the child of a refresh; 0: none */
    struct report report;
    struct answer_held held;
    bool delivered;   /* or maybe so */
    bool replaced;    /* a file, of which the program has not been told */
    int64_t stale_ms; /* how old its secrets were when it was told to end; 0: it was not */
    int64_t kill_ms;  /* when SIGKILL follows */
};

int64_t supervisor_clock_ms(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

PRINTF_LIKE(2, 3)
static void say(const struct supervisor *sv, const char *fmt, ...)
{
    char sentence[320];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    sv->work->say(sentence);
}

/* --- what children report: what they hold, whole, and then a byte for each new file --- */

enum err supervisor_report_held(int report, const struct answer_held *held, struct fault *fault)
{
    _Static_assert(sizeof *held <= PIPE_BUF, "a pipe takes it whole or not at all");
    if (write(report, held, sizeof *held) != (ssize_t)sizeof *held)
        FAIL(fault, ERR_INTERNAL, "the versions could not be told to the supervisor: %s",
             strerror(errno));
    return ERR_OK;
}

enum err supervisor_report_replaced(int report, struct fault *fault)
{
    if (write(report, "", 1) != 1)
        FAIL(fault, ERR_INTERNAL, "a new file could not be told to the supervisor: %s",
             strerror(errno));
    return ERR_OK;
}

enum report_state { REPORT_OPEN, REPORT_CLOSED, REPORT_BROKEN };

/* Takes what is in the pipe. */
static enum report_state read_report(struct supervisor *sv)
{
    struct report *in = &sv->report;
    uint8_t some[sizeof in->held];
    for (;;) {
        const bool whole = in->len == sizeof in->held;
        const ssize_t len = read(in->fd, some, whole ? 1 : sizeof in->held - in->len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN)
            return REPORT_OPEN;
        sv->delivered = sv->delivered || len != 0;
        if (len < 0)
            return REPORT_BROKEN;
        if (len == 0)
            return REPORT_CLOSED;
        if (whole) {
            sv->replaced = true;
            continue;
        }
        memcpy((uint8_t *)&in->held + in->len, some, (size_t)len);
        in->len += (size_t)len;
        if (in->len == sizeof in->held)
            sv->held = in->held; /* whatever comes of them, none may fall below */
    }
}

static void begin_report(struct supervisor *sv, int fd)
{
    sv->report = (struct report){.fd = fd};
}

/* --- children --- */

/* Signals that the kernel raises for the process itself, and those of a terminal's job
 * control, which stop and continue the agent and its program together. */
static const int own_signals[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS,  SIGFPE, SIGSEGV,
                                  SIGSYS, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};

static enum err take_signals(struct supervisor *sv, struct fault *fault)
{
    sigset_t taken;
    sigfillset(&taken);
    for (size_t i = 0; i < ARRAY_LEN(own_signals); i++)
        sigdelset(&taken, own_signals[i]);
    /* One who ignores SIGCHLD is told nothing of its children's ends. */
    if (signal(SIGCHLD, SIG_DFL) == SIG_ERR ||
        sigprocmask(SIG_BLOCK, &taken, &sv->signals_before) != 0)
        FAIL(fault, ERR_INTERNAL, "signals cannot be taken: %s", strerror(errno));
    sv->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    if (sv->signals < 0)
        FAIL(fault, ERR_INTERNAL, "no descriptor for signals: %s", strerror(errno));
    return ERR_OK;
}

/* In a child: signals as the agent found them.  It does not outlive its supervisor, for
 * nobody would take its secrets away when they are stale; but the kernel forgets that where a
 * program changes its credentials, and a program can take it back. */
static bool begin_child(const struct supervisor *sv)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == sv->self &&
        sigprocmask(SIG_SETMASK, &sv->signals_before, NULL) == 0)
        return true;
    say(sv, "a child process cannot begin: %s", strerror(errno));
    return false;
}

/* Gives 0 in the child, whose end of the pipe is `*report`. */
static enum err fork_child(pid_t *child, int *report, struct fault *fault)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        FAIL(fault, ERR_INTERNAL, "no pipe to a child: %s", strerror(errno));
    *child = fork();
    if (*child < 0) {
        const int error = errno;
        close(ends[0]);
        close(ends[1]);
        FAIL(fault, error == ENOMEM ? ERR_NO_MEMORY : ERR_INTERNAL, "no child process: %s",
             strerror(error));
    }
    close(ends[*child == 0 ? 0 : 1]);
    *report = ends[*child == 0 ? 1 : 0];
    return ERR_OK;
}

static enum err start_program(struct supervisor *sv, struct fault *fault)
{
    int report = -1;
    sv->started_ms = sv->plan->now_ms();
    TRY(fork_child(&sv->program, &report, fault));
    if (sv->program == 0)
        _exit(begin_child(sv) ? sv->work->start(sv->work->context, report) : NOT_BEGUN);
    begin_report(sv, report);
    return ERR_OK;
}

static enum err start_courier(struct supervisor *sv, struct fault *fault)
{
    _Static_assert(ERR_COUNT < 128, "an error is an exit status");
    int report = -1;
    TRY(fork_child(&sv->courier, &report, fault));
    if (sv->courier == 0)
        _exit(begin_child(sv) ? (int)sv->work->renew(sv->work->context, &sv->held, report)
                              : (int)ERR_INTERNAL);
    begin_report(sv, report);
    return ERR_OK;
}

/* --- refreshing --- */

static void say_kept(const struct supervisor *sv, int64_t now_ms)
{
    char sentence[REFRESH_SENTENCE_MAX];
    refresh_describe_kept(&sv->refresh, now_ms, sentence);
    say(sv, "%s", sentence);
}

static void refreshed(struct supervisor *sv)
{
    if (!sv->replaced) {
        say(sv, "refreshed: nothing is new");
        return;
    }
    sv->replaced = false;
    if (sv->plan->program_signal == 0 || sv->program_gone) /* its number may be another's by now */
        say(sv, "refreshed: there are new files");
    else if (kill(sv->program, sv->plan->program_signal) == 0)
        say(sv, "refreshed: there are new files, and the program got signal %d (%s)",
            sv->plan->program_signal, strsignal(sv->plan->program_signal));
    else
        say(sv, "refreshed: there are new files, but the program cannot be told: %s",
            strerror(errno));
}

/* The courier said itself why it failed, unless it was killed. */
static void courier_ended(struct supervisor *sv, int wait_status)
{
    const int64_t now_ms = sv->plan->now_ms();
    const bool told = read_report(sv) == REPORT_CLOSED;
    const bool succeeded = told && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
    fd_close(&sv->report.fd);
    sv->courier = 0;
    refresh_end(&sv->refresh, succeeded, now_ms);
    if (WIFSIGNALED(wait_status))
        say(sv, "a refresh was ended by signal %d (%s)", WTERMSIG(wait_status),
            strsignal(WTERMSIG(wait_status)));
    if (succeeded)
        refreshed(sv);
    else
        say_kept(sv, now_ms);
}

static void begin_refresh(struct supervisor *sv, int64_t now_ms)
{
    struct fault fault = FAULT_NONE;
    refresh_begin(&sv->refresh, now_ms);
    if (start_courier(sv, &fault) == ERR_OK)
        return;
    sv->courier = 0;
    refresh_end(&sv->refresh, false, now_ms);
    say(sv, "%s", fault.detail);
    say_kept(sv, now_ms);
}

/* Nothing is written after this. */
static void end_courier(struct supervisor *sv)
{
    if (sv->courier == 0)
        return;
    kill(sv->courier, SIGKILL);
    while (waitpid(sv->courier, NULL, 0) < 0 && errno == EINTR)
        ;
    sv->courier = 0;
    fd_close(&sv->report.fd);
}

static void become_stale(struct supervisor *sv, int64_t now_ms)
{
    end_courier(sv);
    sv->work->withdraw(sv->work->context);
    sv->stale_ms = now_ms - sv->refresh.fresh_ms;
    sv->kill_ms = now_ms + sv->plan->grace_ms;
    say(sv,
        "no refresh succeeded for %" PRId64 " s: the secrets' files are removed, and the program "
        "is to end",
        sv->stale_ms / 1000);
    if (kill(sv->program, SIGTERM) != 0)
        sv->kill_ms = now_ms;
}

/* Of a program that became another user.  It does not end with this process either: the kernel
 * forgets what begin_child asked for when credentials change (prctl(2), PR_SET_PDEATHSIG). */
static void give_up(struct supervisor *sv)
{
    say(sv,
        "the program cannot be ended: %s; it runs on with what it has read: end it, or its "
        "machine, and let the agent be root where a program changes its user",
        strerror(errno));
    sv->program_stays = true;
    sv->program_gone = true; /* for whoever waits for it here */
}

/* What is due by the clock; gives how long nothing will be. */
static int64_t on_time(struct supervisor *sv)
{
    const int64_t now_ms = sv->plan->now_ms();
    int64_t wait_ms = INT64_MAX;
    if (sv->stale_ms != 0) {
        if (now_ms < sv->kill_ms)
            return sv->kill_ms - now_ms;
        if (kill(sv->program, SIGKILL) == 0)
            return wait_ms;
        give_up(sv);
        return 0;
    }
    /* Before it is the program (started()), there is no plan, and nothing is due. */
    switch (refresh_next(&sv->refresh, now_ms, &wait_ms)) {
    case REFRESH_WAIT:
        return wait_ms;
    case REFRESH_ASK:
        begin_refresh(sv, now_ms);
        return 0;
    case REFRESH_STALE:
        become_stale(sv, now_ms);
        return 0;
    }
    return wait_ms;
}

/* --- what happens --- */

/* All that ended, adopted orphans among them. */
static void reap(struct supervisor *sv)
{
    for (;;) {
        int status = 0;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return;
        if (pid == sv->program) {
            sv->program_gone = true;
            sv->program_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        } else if (pid == sv->courier) {
            courier_ended(sv, status);
        }
    }
}

/* What a process sends is meant for the program.  What the kernel sends, a terminal sent to
 * the whole group, the program included. */
static void on_signal(struct supervisor *sv, const struct signalfd_siginfo *got)
{
    const int number = (int)got->ssi_signo;
    if (number == SIGCHLD || got->ssi_code > 0)
        return; /* reap sees to the one */
    if (number == SIGHUP && sv->plan->refresh.on)
        refresh_request(&sv->refresh);
    else if (!sv->program_gone && kill(sv->program, number) != 0)
        say(sv, "signal %d (%s) could not be handed on: %s", number, strsignal(number),
            strerror(errno));
}

static void read_signals(struct supervisor *sv)
{
    struct signalfd_siginfo got;
    while (read(sv->signals, &got, sizeof got) == (ssize_t)sizeof got)
        on_signal(sv, &got);
    reap(sv);
}

/* The first child has become the program, or ended. */
static void started(struct supervisor *sv, enum report_state state)
{
    fd_close(&sv->report.fd);
    refresh_start(&sv->refresh, &sv->plan->refresh, sv->started_ms, sv->plan->now_ms());
    if (state == REPORT_CLOSED)
        return;
    say(sv, "what the program got cannot be read from its pipe: it is ended");
    kill(sv->program, SIGKILL);
}

static void wait_for_events(struct supervisor *sv, int64_t wait_ms)
{
    const bool starting = sv->report.fd >= 0 && sv->courier == 0;
    struct pollfd fds[] = {
        {.fd = sv->signals, .events = POLLIN},
        {.fd = starting ? sv->report.fd : -1, .events = POLLIN},
    };
    if (poll(fds, ARRAY_LEN(fds), refresh_poll_ms(wait_ms)) < 0)
        return; /* the next round asks again */
    /* Before its end is seen: it reported first. */
    if (starting && fds[1].revents != 0) {
        const enum report_state state = read_report(sv);
        if (state != REPORT_OPEN)
            started(sv, state);
    }
    read_signals(sv);
}

static enum err supervise(struct supervisor *sv, int *status, struct fault *fault)
{
    TRY(take_signals(sv, fault));
    TRY(start_program(sv, fault));
    const enum err confined = sv->work->confine(sv->work->context, fault);
    if (confined != ERR_OK)
        kill(sv->program, SIGKILL);
    while (!sv->program_gone)
        wait_for_events(sv, on_time(sv));
    end_courier(sv);
    if (sv->stale_ms == 0 && sv->delivered)
        sv->work->withdraw(sv->work->context);
    TRY(confined);
    if (sv->stale_ms != 0)
        FAIL(fault, ERR_UNREACHABLE,
             "no refresh succeeded for %" PRId64 " s, and max-staleness allows %" PRId64
             ": the program %s",
             sv->stale_ms / 1000, sv->plan->refresh.max_staleness_ms / 1000,
             sv->program_stays ? "could not be ended, and runs on" : "was ended");
    *status = sv->program_status;
    return ERR_OK;
}

enum err supervisor_run(const struct supervisor_plan *plan, const struct supervisor_work *work,
                        int *status, struct fault *fault)
{
    struct supervisor sv = {
        .plan = plan, .work = work, .signals = -1, .report = {.fd = -1}, .self = getpid()};
    const enum err err = supervise(&sv, status, fault);
    fd_close(&sv.report.fd);
    if (sv.signals >= 0)
        sigprocmask(SIG_SETMASK, &sv.signals_before, NULL);
    fd_close(&sv.signals);
    return err;
}
