/* The filters of system calls: what each role may do, by a model of the machine that runs
 * them, and that the kernel does as the model says. */
#define _GNU_SOURCE
#include "unit.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enclave-agent/harden.h"

static unsigned said;

static void count(const char *sentence)
{
    (void)sentence;
    said++;
}

#if defined(__x86_64__)
#define NATIVE  AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_I386
#else
#define NATIVE  AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_ARM
#endif

/* Classic BPF, as far as these filters use it. */
static uint32_t verdict(enum harden_role role, uint32_t arch, uint32_t number)
{
    struct sock_filter filter[HARDEN_FILTER_MAX];
    const size_t len = harden_filter(role, filter);
    const struct seccomp_data data = {.nr = (int)number, .arch = arch};
    uint32_t value = 0;
    for (size_t pc = 0; pc < len; pc++) {
        const struct sock_filter *in = &filter[pc];
        switch (in->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&value, (const char *)&data + in->k, sizeof value);
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += value == in->k ? in->jt : in->jf;
            break;
        case BPF_RET | BPF_K:
            return in->k;
        default:
            ck_abort_msg("an instruction that these filters should not have: %u", in->code);
        }
    }
    ck_abort_msg("the filter has no end");
    return 0;
}

static bool may(enum harden_role role, uint32_t number)
{
    const uint32_t says = verdict(role, NATIVE, number);
    ck_assert(says == SECCOMP_RET_ALLOW || says == SECCOMP_RET_KILL_PROCESS);
    return says == SECCOMP_RET_ALLOW;
}

START_TEST(wrong_calls)
{
    static const unsigned never[] = {
        SYS_execve,      SYS_execveat,     SYS_ptrace,    SYS_process_vm_readv,
        SYS_mount,       SYS_umount2,      SYS_chroot,    SYS_pivot_root,
        SYS_unshare,     SYS_setns,        SYS_setuid,    SYS_setresuid,
        SYS_init_module, SYS_finit_module, SYS_bpf,       SYS_io_uring_setup,
        SYS_keyctl,      SYS_kexec_load,   SYS_mknodat,   SYS_perf_event_open,
        SYS_listen,      SYS_accept4,      SYS_symlinkat, SYS_linkat,
    };
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        ck_assert_msg(!may(HARDEN_SUPERVISOR, never[i]), "%u", never[i]);
        ck_assert_msg(!may(HARDEN_FETCH, never[i]), "%u", never[i]);
    }
    /* Numbers above all, and those of another architecture, by which ours are others. */
    ck_assert(!may(HARDEN_SUPERVISOR, 0x3fffffff));
    ck_assert(!may(HARDEN_SUPERVISOR, 0x40000000u | SYS_read));
    ck_assert_uint_eq(verdict(HARDEN_SUPERVISOR, FOREIGN, SYS_read), SECCOMP_RET_KILL_PROCESS);
}
END_TEST

START_TEST(valid_roles)
{
    static const unsigned supervisor[] = {SYS_clone, SYS_kill, SYS_wait4, SYS_reboot};
    static const unsigned release[] = {SYS_ioctl, SYS_mlock, SYS_renameat, SYS_fchmod, SYS_flock};
    static const unsigned both[] = {SYS_read, SYS_write, SYS_close, SYS_unlinkat, SYS_exit_group};
    for (size_t i = 0; i < ARRAY_LEN(supervisor); i++) {
        ck_assert(may(HARDEN_SUPERVISOR, supervisor[i]));
        ck_assert(!may(HARDEN_COURIER, supervisor[i]));
        ck_assert(!may(HARDEN_FETCH, supervisor[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(release); i++) {
        ck_assert(may(HARDEN_FETCH, release[i]));
        ck_assert(may(HARDEN_SUPERVISOR, release[i])); /* for its couriers */
        ck_assert(!may(HARDEN_SUPERVISE, release[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        ck_assert(may(HARDEN_FETCH, both[i]));
        ck_assert(may(HARDEN_SUPERVISE, both[i]));
    }
    ck_assert(!may((enum harden_role)0, SYS_read));
}
END_TEST

/* In a child: how it ends after the filters of `roles`, one after the other. */
static int end_of(void (*act)(void), enum harden_role first, enum harden_role second)
{
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (harden_calls(first, count, NULL) != ERR_OK ||
            (second != 0 && harden_calls(second, count, NULL) != ERR_OK) || said != 0)
            _exit(99);
        act();
        _exit(7);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void execute(void)
{
    execl("/bin/true", "true", (char *)NULL);
}

static void fork_and_execute(void)
{
    const pid_t child = fork();
    if (child == 0)
        execute();
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || WTERMSIG(status) != SIGSYS)
        _exit(1);
}

static void fork_alone(void)
{
    if (fork() == 0)
        _exit(0);
}

static void check_privileges(void)
{
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        _exit(1);
}

START_TEST(wrong_call_kills)
{
    if (!harden_is_built()) {
        ck_assert_int_eq(WEXITSTATUS(end_of(fork_alone, HARDEN_FETCH, 0)), 7);
        return;
    }
    int status = end_of(execute, HARDEN_FETCH, 0);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGSYS);
    ck_assert_int_eq(WTERMSIG(end_of(execute, HARDEN_SUPERVISOR, 0)), SIGSYS);
    /* Children inherit it, and a second filter takes away more. */
    ck_assert_int_eq(WEXITSTATUS(end_of(fork_and_execute, HARDEN_SUPERVISOR, 0)), 7);
    ck_assert_int_eq(WTERMSIG(end_of(fork_alone, HARDEN_SUPERVISOR, HARDEN_COURIER)), SIGSYS);
    ck_assert_int_eq(WEXITSTATUS(end_of(fork_alone, HARDEN_SUPERVISOR, 0)), 7);
    ck_assert_int_eq(WEXITSTATUS(end_of(check_privileges, HARDEN_FETCH, 0)), 7);
}
END_TEST

UNIT_MAIN("agent_harden", wrong_calls, valid_roles, wrong_call_kills)
