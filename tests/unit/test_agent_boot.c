/* What the first process of an enclave does; mounting is tried in a machine (tests/e2e). */
#define _GNU_SOURCE /* unshare */
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enclave-agent/boot.h"

static struct fault fault;

START_TEST(no_machine)
{
    /* No test is a machine's first process, whatever it is called. */
    ck_assert(!boot_is_machine("/init"));
    ck_assert(!boot_is_machine("vouchsafe-agent"));
}
END_TEST

/* The parent's side: reads one byte, and answers `answer` in `len` bytes. */
static enum err beat(const char *answer, size_t len, bool hang_up, int wait_ms, int *got)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(write(ends[1], answer, len), (ssize_t)len);
    if (hang_up)
        ck_assert_int_eq(shutdown(ends[1], SHUT_WR), 0);
    fault = (struct fault)FAULT_NONE;
    const enum err err = boot_heartbeat_over(ends[0], wait_ms, &fault);
    unsigned char byte = 0;
    ck_assert_int_eq(read(ends[1], &byte, 1), 1);
    *got = byte;
    close(ends[0]);
    close(ends[1]);
    return err;
}

START_TEST(valid_heartbeat)
{
    int got = 0;
    ck_ok(beat("\xb7", 1, false, 1000, &got));
    ck_assert_int_eq(got, 0xb7);
}
END_TEST

START_TEST(wrong_heartbeat)
{
    int got = 0;
    ck_err(beat("\xb8", 1, false, 1000, &got), ERR_UNREACHABLE);
    ck_assert_str_eq(
        fault.detail,
        "the parent answered the heartbeat 0xb7 with 0xb8; its launcher must send back "
        "the same byte");
    ck_err(beat("", 0, true, 1000, &got), ERR_UNREACHABLE);
    ck_assert_str_eq(
        fault.detail,
        "the parent took the heartbeat and hung up: nothing came back; its launcher must "
        "send it back");
    ck_err(beat("", 0, false, 50, &got), ERR_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(fault.detail, "did not send it back within 0 s"));

    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[1]);
    fault = (struct fault)FAULT_NONE;
    ck_err(boot_heartbeat_over(ends[0], 1000, &fault), ERR_UNREACHABLE);
    ck_assert_str_eq(
        fault.detail,
        "the heartbeat cannot be sent: Broken pipe; the parent's launcher must take it");
    close(ends[0]);
}
END_TEST

/* One that takes nothing at all: there is no waiting for it. */
START_TEST(wrong_full_parent)
{
    int ends[2];
    const char junk[4096] = {0};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    while (send(ends[0], junk, sizeof junk, MSG_DONTWAIT) > 0)
        continue;
    while (send(ends[0], junk, 1, MSG_DONTWAIT) > 0)
        continue;
    fault = (struct fault)FAULT_NONE;
    ck_err(boot_heartbeat_over(ends[0], 1000, &fault), ERR_UNREACHABLE);
    ck_assert_str_eq(fault.detail,
                     "the heartbeat cannot be sent: Resource temporarily unavailable; the parent's "
                     "launcher must take it");
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* No machine has such a parent, or none that would answer. */
START_TEST(wrong_parent)
{
    fault = (struct fault)FAULT_NONE;
    ck_err(boot_heartbeat(0x7ffffff0, &fault), ERR_UNREACHABLE);
    ck_assert_msg(strstr(fault.detail, "vsock") != NULL, "%s", fault.detail);
}
END_TEST

START_TEST(valid_no_driver)
{
    ck_ok(boot_load_nsm("/nonexistent/nsm.ko", &fault));
}
END_TEST

START_TEST(junk_driver)
{
    char path[] = "/tmp/test_agent_boot.XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "junk", 4), 4);
    close(fd);
    fault = (struct fault)FAULT_NONE;
    ck_err(boot_load_nsm(path, &fault), ERR_NSM);
    ck_assert_ptr_nonnull(strstr(fault.detail, "cannot be loaded"));
    unlink(path);
    ck_err(boot_load_nsm("/dev/null/nsm.ko", &fault), ERR_NSM);
    ck_assert_str_eq(fault.detail, "/dev/null/nsm.ko: Not a directory");
}
END_TEST

/* In a process of its own, for it closes what Check writes to. */
START_TEST(valid_console)
{
    const pid_t child = fork();
    if (child == 0) {
        close(0);
        close(2);
        boot_console();
        _exit(fcntl(0, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0 ? 7 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
END_TEST

/* Whether something here can be reached at 127.0.0.1. */
static bool loopback_works(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof here;
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    const bool works = bind(server, (const struct sockaddr *)&here, len) == 0 &&
                       listen(server, 1) == 0 &&
                       getsockname(server, (struct sockaddr *)&here, &len) == 0 &&
                       connect(client, (const struct sockaddr *)&here, len) == 0;
    close(server);
    close(client);
    return works;
}

static bool drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    return syscall(SYS_capset, &header, none) == 0;
}

/* With a network as the kernel makes one for a machine.  Bits: whether 127.0.0.1 is there before,
 * and after; that where it is up nothing is left to do, for which nobody needs a right; and how it
 * ends without one.  -1: nobody may begin a network here. */
static int loopback(bool powerless)
{
    const pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
            _exit(255);
        const int before = loopback_works();
        if (powerless && !drop_rights())
            _exit(254);
        const enum err err = boot_loopback(&fault);
        const bool again = err == ERR_OK && drop_rights() && boot_loopback(&fault) == ERR_OK;
        const bool told =
            err == ERR_INTERNAL &&
            strcmp(fault.detail, "the loopback interface cannot be brought up: Operation "
                                 "not permitted; an /init needs CAP_NET_ADMIN") == 0;
        _exit(before | loopback_works() << 1 | again << 2 | told << 3);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) != 255)
        return WEXITSTATUS(status);
    const char *ci = getenv("CI");
    ck_assert_msg(ci == NULL || strcmp(ci, "true") != 0, "nobody may begin a network here");
    return -1;
}

START_TEST(valid_loopback)
{
    const int got = loopback(false);
    if (got >= 0)
        ck_assert_int_eq(got, 1 << 1 | 1 << 2);
}
END_TEST

START_TEST(wrong_loopback)
{
    const int got = loopback(true);
    if (got >= 0)
        ck_assert_int_eq(got, 1 << 3);
}
END_TEST

UNIT_MAIN("agent_boot", no_machine, valid_heartbeat, wrong_heartbeat, wrong_full_parent,
          wrong_parent, valid_no_driver, junk_driver, valid_console, valid_loopback, wrong_loopback)
