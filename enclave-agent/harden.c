#define _GNU_SOURCE /* SYS_* of newer calls */
#include "harden.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the numbers of system calls are known for x86_64 and aarch64; add this one"
#endif

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||   \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer) || \
    HAS_FEATURE(memory_sanitizer)
#define IS_BUILT false
#else
#define IS_BUILT true
#endif

struct permitted {
    unsigned number;
    unsigned roles;
};

#define ANY (HARDEN_RELEASE | HARDEN_SUPERVISE)

/* What glibc, OpenSSL and the agent make of it; the old calls are x86_64's alone.  Not in it,
 * to name some: execve, ptrace, process_vm_*, mount, init_module, bpf, io_uring, unshare,
 * setuid, chroot, memfd_create. */
static const struct permitted permitted[] = {
    /* memory */
    {SYS_brk, ANY},
    {SYS_madvise, ANY},
    {SYS_mlock, HARDEN_RELEASE},
    {SYS_mlock2, HARDEN_RELEASE},
    {SYS_mmap, ANY},
    {SYS_mprotect, ANY},
    {SYS_mremap, ANY},
    {SYS_munlock, HARDEN_RELEASE},
    {SYS_munmap, ANY},
    /* the process, and its threads where a resolver has some */
    {SYS_exit, ANY},
    {SYS_exit_group, ANY},
    {SYS_futex, ANY},
    {SYS_getegid, ANY},
    {SYS_geteuid, ANY},
    {SYS_getgid, ANY},
    {SYS_getpid, ANY},
    {SYS_getppid, ANY},
    {SYS_getrandom, ANY},
    {SYS_gettid, ANY},
    {SYS_getuid, ANY},
    {SYS_prctl, ANY},
    {SYS_prlimit64, ANY},
    {SYS_restart_syscall, ANY},
    {SYS_rseq, ANY},
    {SYS_sched_getaffinity, ANY},
    {SYS_sched_yield, ANY},
    {SYS_set_robust_list, ANY},
    {SYS_sysinfo, ANY},
    {SYS_uname, ANY},
    /* signals: its own */
    {SYS_rt_sigaction, ANY},
    {SYS_rt_sigprocmask, ANY},
    {SYS_rt_sigreturn, ANY},
    {SYS_rt_sigtimedwait, ANY}, /* and tkill: valgrind, under which tests run */
    {SYS_tkill, ANY},
    {SYS_sigaltstack, ANY},
    {SYS_tgkill, ANY}, /* abort */
    /* time */
    {SYS_clock_getres, ANY},
    {SYS_clock_gettime, ANY},
    {SYS_clock_nanosleep, ANY},
    {SYS_gettimeofday, ANY},
    {SYS_nanosleep, ANY},
    /* descriptors and files */
    {SYS_close, ANY},
    {SYS_dup, ANY},
    {SYS_dup3, ANY},
    {SYS_faccessat, ANY},
    {SYS_faccessat2, ANY},
    {SYS_fchmod, HARDEN_RELEASE},
    {SYS_fchown, HARDEN_RELEASE},
    {SYS_fcntl, ANY},
    {SYS_flock, HARDEN_RELEASE},
    {SYS_fstat, ANY},
    {SYS_fstatfs, ANY},
    {SYS_getcwd, ANY},
    {SYS_getdents64, ANY},
    {SYS_ioctl, HARDEN_RELEASE}, /* the NSM's */
    {SYS_lseek, ANY},
    {SYS_mkdirat, HARDEN_RELEASE},
    {SYS_newfstatat, ANY},
    {SYS_openat, ANY},
    {SYS_pread64, ANY},
    {SYS_read, ANY},
    {SYS_readlinkat, ANY},
    {SYS_readv, ANY},
    {SYS_renameat, HARDEN_RELEASE},
    {SYS_statfs, ANY},
    {SYS_statx, ANY},
    {SYS_unlinkat, ANY},
    {SYS_write, ANY},
    {SYS_writev, ANY},
    /* the network, and the log over vsock */
    {SYS_bind, ANY},
    {SYS_connect, ANY},
    {SYS_getpeername, ANY},
    {SYS_getsockname, ANY},
    {SYS_getsockopt, ANY},
    {SYS_ppoll, ANY},
    {SYS_recvfrom, ANY},
    {SYS_recvmsg, ANY},
    {SYS_sendmmsg, ANY},
    {SYS_sendmsg, ANY},
    {SYS_sendto, ANY},
    {SYS_setsockopt, ANY},
    {SYS_shutdown, ANY},
    {SYS_socket, ANY},
    /* children, and the machine's end */
    {SYS_clone, HARDEN_SUPERVISE},
    {SYS_clone3, HARDEN_SUPERVISE},
    {SYS_kill, HARDEN_SUPERVISE},
    {SYS_pipe2, HARDEN_SUPERVISE},
    {SYS_reboot, HARDEN_SUPERVISE},
    {SYS_signalfd4, HARDEN_SUPERVISE},
    {SYS_sync, HARDEN_SUPERVISE},
    {SYS_wait4, HARDEN_SUPERVISE},
    {SYS_waitid, HARDEN_SUPERVISE},
#if defined(__x86_64__)
    {SYS_access, ANY},
    {SYS_arch_prctl, ANY},
    {SYS_dup2, ANY},
    {SYS_fork, HARDEN_SUPERVISE},
    {SYS_lstat, ANY},
    {SYS_mkdir, HARDEN_RELEASE},
    {SYS_open, ANY},
    {SYS_poll, ANY},
    {SYS_readlink, ANY},
    {SYS_rename, HARDEN_RELEASE},
    {SYS_setrlimit, ANY},
    {SYS_getrlimit, ANY},
    {SYS_stat, ANY},
    {SYS_time, ANY},
    {SYS_unlink, ANY},
#endif
};

bool harden_is_built(void)
{
    return IS_BUILT;
}

static struct sock_filter statement(unsigned code, uint32_t k)
{
    return (struct sock_filter){.code = (uint16_t)code, .k = k};
}

static struct sock_filter jump(unsigned code, uint32_t k, unsigned if_true, unsigned if_false)
{
    return (struct sock_filter){
        .code = (uint16_t)code, .jt = (uint8_t)if_true, .jf = (uint8_t)if_false, .k = k};
}

/* Linux, Documentation/userspace-api/seccomp_filter: the architecture first, for numbers mean
 * nothing without it.  Those of x32 are other numbers, none of them in the table. */
size_t harden_filter(enum harden_role role, struct sock_filter out[static HARDEN_FILTER_MAX])
{
    _Static_assert(2 * ARRAY_LEN(permitted) + 5 <= HARDEN_FILTER_MAX, "room for all");
    size_t n = 0;
    out[n++] = statement(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    out[n++] = jump(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    out[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    out[n++] = statement(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ARRAY_LEN(permitted); i++) {
        if ((permitted[i].roles & (unsigned)role) == 0)
            continue;
        out[n++] = jump(BPF_JMP | BPF_JEQ | BPF_K, permitted[i].number, 0, 1);
        out[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    out[n++] = statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    return n;
}

enum err harden_calls(enum harden_role role, void (*say)(const char *sentence), struct fault *fault)
{
    if (!IS_BUILT)
        return ERR_OK;
    struct sock_filter filter[HARDEN_FILTER_MAX];
    const struct sock_fprog program = {.len = (unsigned short)harden_filter(role, filter),
                                       .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        FAIL(fault, ERR_INTERNAL, "privileges cannot be given up: %s", strerror(errno));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0)
        return ERR_OK;
    if (errno != EINVAL)
        FAIL(fault, errno == ENOMEM ? ERR_NO_MEMORY : ERR_INTERNAL,
             "the filter of system calls cannot be set: %s", strerror(errno));
    say("warning: this kernel has no filters of system calls (CONFIG_SECCOMP_FILTER): the agent "
        "goes on without");
    return ERR_OK;
}
