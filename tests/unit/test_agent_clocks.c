/* Each of the agent's moments is read from the clock that it is meant for.  This machine is never
 * suspended and nobody sets its clock, so that all clocks would do: the linker puts clocks of this
 * file's own before libc's, and they differ. */
#include "unit.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "common/http_transport.h"
#include "enclave-agent/drift.h"
#include "enclave-agent/nsm.h"
#include "enclave-agent/session.h"
#include "enclave-agent/supervisor.h"

static struct fault fault;

static struct {
    bool on;                             /* Check itself has libc's */
    int64_t now_ms[CLOCK_BOOTTIME + 1];  /* by the clock's number */
    int64_t step_ms[CLOCK_BOOTTIME + 1]; /* with each look at it */
} clocks;

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    if (!clocks.on)
        return __real_clock_gettime(id, now);
    if (id < 0 || id > CLOCK_BOOTTIME)
        return -1;
    clocks.now_ms[id] += clocks.step_ms[id];
    now->tv_sec = clocks.now_ms[id] / 1000;
    now->tv_nsec = clocks.now_ms[id] % 1000 * 1000000;
    return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    if (clocks.on) {
        clocks.on = false;
        ck_abort_msg("it waits, though its time is up");
    }
    return __real_nanosleep(time, left);
}

/* The Nitro Secure Module: random bytes and nothing else. */
int ioctl(int fd, unsigned long number, ...)
{
    static const uint8_t reply[] = "\xa1\x69GetRandom\xa1\x66random\x58\x20"
                                   "0123456789abcdef0123456789abcdef";
    va_list args;
    va_start(args, number);
    struct { /* linux/nsm.h's struct nsm_raw */
        uint64_t request_ptr;
        uint64_t request_len;
        uint8_t *reply_ptr;
        uint64_t reply_len;
    } *const raw = va_arg(args, void *);
    va_end(args);
    ck_assert_int_ge(fd, 0);
    memcpy(raw->reply_ptr, reply, sizeof reply - 1);
    raw->reply_len = sizeof reply - 1;
    return 0;
}

static void set_clocks(void)
{
    for (size_t i = 0; i < ARRAY_LEN(clocks.now_ms); i++)
        clocks.now_ms[i] = (int64_t)(1000000 * (i + 1) + i);
}

/* `expr` with these clocks. */
#define BY_THEM(expr)      \
    do {                   \
        clocks.on = true;  \
        expr;              \
        clocks.on = false; \
    } while (0)

/* What is too old after a suspension was not refreshed while it lasted. */
START_TEST(valid_staleness)
{
    int64_t now_ms = 0;
    set_clocks();
    BY_THEM(now_ms = supervisor_clock_ms());
    ck_assert_int_eq(now_ms, clocks.now_ms[CLOCK_BOOTTIME]);
}
END_TEST

/* Compared with the hypervisor's, which is in Unix time. */
START_TEST(valid_drift)
{
    int64_t now_ms = 0;
    set_clocks();
    BY_THEM(now_ms = drift_now_ms());
    ck_assert_int_eq(now_ms, clocks.now_ms[CLOCK_REALTIME]);
}
END_TEST

START_TEST(valid_exchange)
{
    enum err err = ERR_OK;
    int64_t deadline_ms = 0;
    set_clocks();
    BY_THEM(err = http_deadline_after(250, &deadline_ms, &fault));
    ck_ok(err);
    ck_assert_int_eq(deadline_ms, clocks.now_ms[CLOCK_MONOTONIC] + 250);
    clocks.now_ms[CLOCK_MONOTONIC] += 249;
    BY_THEM(err = http_deadline_check(deadline_ms, &fault));
    ck_ok(err);
    clocks.now_ms[CLOCK_MONOTONIC] += 1;
    BY_THEM(err = http_deadline_check(deadline_ms, &fault));
    ck_err(err, ERR_TIMEOUT);
}
END_TEST

static void say_nothing(void *context, const char *sentence)
{
    (void)context;
    (void)sentence;
}

/* A minute is over with the first look at the monotonic clock; all others stand still. */
START_TEST(valid_release)
{
    static const struct issuer_pins pins;
    static const uint8_t root[SHA256_LEN] = {0};
    struct session_plan plan = {.nsm = "/dev/null",
                                .pins = &pins,
                                .trusted_root = root,
                                .timeout_ms = 60000,
                                .say = say_nothing};
    struct answer_opened opened = {0};
    struct problem problem;
    enum err err = ERR_OK;
    ck_ok(http_target_parse("http://127.0.0.1:1", &plan.verifier, &fault));
    set_clocks();
    clocks.step_ms[CLOCK_MONOTONIC] = 60000;
    BY_THEM(err = session_run(&plan, &opened, &problem, &fault));
    ck_err(err, ERR_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(fault.detail, "no decision within 60 s; last: timeout: "));
    answer_opened_free(&opened);
}
END_TEST

UNIT_MAIN("agent_clocks", valid_staleness, valid_drift, valid_exchange, valid_release)
