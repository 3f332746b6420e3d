#define _GNU_SOURCE /* syscall */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/vm_sockets.h> /* after sys/socket.h: older kernels' headers need it */

#include "common/fd_cleanup.h"

#define HEARTBEAT 0xb7

#define QUIET (MS_NOSUID | MS_NODEV | MS_NOEXEC)

struct mounted {
    const char *type;
    const char *target;
    unsigned long flags;
    const char *options;
    const char *needs; /* of the kernel */
    bool optional;     /* passed over where the kernel lacks it */
};

/* In this order: some lie in others. */
static const struct mounted mounts[] = {
    {"devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755", "CONFIG_DEVTMPFS", false},
    {"proc", "/proc", QUIET, NULL, "CONFIG_PROC_FS", false},
    {"sysfs", "/sys", QUIET, NULL, "CONFIG_SYSFS", false},
    {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620", "CONFIG_UNIX98_PTYS", true},
    {"tmpfs", "/dev/shm", QUIET, "mode=1777", "CONFIG_TMPFS", false},
    {"tmpfs", "/run", QUIET, "mode=0755", "CONFIG_TMPFS", false},
    {"tmpfs", "/tmp", QUIET, "mode=1777", "CONFIG_TMPFS", false},
    {"cgroup2", "/sys/fs/cgroup", QUIET, NULL, "CONFIG_CGROUPS", true},
};

static const struct {
    const char *target;
    const char *link;
} links[] = {
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
};

bool boot_is_machine(const char *called)
{
    const char *slash = strrchr(called, '/');
    return getpid() == 1 && strcmp(slash == NULL ? called : slash + 1, "init") == 0;
}

/* Whatever it is: whoever mounted it knew why. */
static bool is_mounted(const char *target)
{
    char above[64];
    struct stat here;
    struct stat there;
    snprintf(above, sizeof above, "%s/..", target);
    return stat(target, &here) == 0 && stat(above, &there) == 0 && here.st_dev != there.st_dev;
}

static enum err mount_one(const struct mounted *m, struct fault *fault)
{
    if (is_mounted(m->target))
        return ERR_OK;
    /* Where it cannot be made, mount says so, and of which. */
    (void)mkdir(m->target, 0755);
    if (mount(m->type, m->target, m->type, m->flags, m->options) == 0)
        return ERR_OK;
    if (m->optional && (errno == ENODEV || errno == ENOENT))
        return ERR_OK;
    FAIL(fault, ERR_INTERNAL,
         "%s cannot be mounted on %s: %s; the image needs that folder, and its kernel %s", m->type,
         m->target, strerror(errno), m->needs);
}

enum err boot_mount(struct fault *fault)
{
    for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
        TRY(mount_one(&mounts[i], fault));
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        if (symlink(links[i].target, links[i].link) != 0 && errno != EEXIST)
            FAIL(fault, ERR_INTERNAL, "%s cannot be made: %s", links[i].link, strerror(errno));
    }
    return ERR_OK;
}

static int open_console(void)
{
    const int console = open("/dev/console", O_RDWR | O_NOCTTY);
    return console >= 0 ? console : open("/dev/null", O_RDWR);
}

void boot_console(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open_console() < 0)
            return; /* what is said goes nowhere, as in most enclaves */
    }
}

enum err boot_loopback(struct fault *fault)
{
    struct ifreq lo = {.ifr_name = "lo"};
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EAFNOSUPPORT)
        return ERR_OK; /* a kernel without IP: no program of its image wants any */
    bool up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &lo) == 0;
    if (up && (lo.ifr_flags & IFF_UP) == 0) {
        /* Its addresses, 127.0.0.1 and ::1, the kernel then gives it by itself. */
        lo.ifr_flags = (short)(lo.ifr_flags | IFF_UP);
        up = ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
    }
    if (!up)
        FAIL(fault, ERR_INTERNAL,
             "the loopback interface cannot be brought up: %s; an /init needs CAP_NET_ADMIN",
             strerror(errno));
    return ERR_OK;
}

enum err boot_load_nsm(const char *path, struct fault *fault)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return ERR_OK;
    if (fd < 0)
        FAIL(fault, ERR_NSM, "%s: %s", path, strerror(errno));
    if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)
        FAIL(fault, ERR_NSM,
             "the driver %s cannot be loaded: %s; it must be built for this very kernel", path,
             strerror(errno));
    return ERR_OK;
}

enum err boot_heartbeat_over(int fd, int wait_ms, struct fault *fault)
{
    const uint8_t beat = HEARTBEAT;
    uint8_t echo = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (send(fd, &beat, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        FAIL(fault, ERR_UNREACHABLE,
             "the heartbeat cannot be sent: %s; the parent's launcher must take it",
             strerror(errno));
    const int ready = poll(&wait, 1, wait_ms);
    if (ready < 0)
        FAIL(fault, ERR_UNREACHABLE, "the heartbeat: %s", strerror(errno));
    if (ready == 0)
        FAIL(
            fault, ERR_UNREACHABLE,
            "the parent took the heartbeat and did not send it back within %d s; its launcher must",
            wait_ms / 1000);
    const ssize_t len = recv(fd, &echo, 1, 0);
    if (len != 1)
        FAIL(fault, ERR_UNREACHABLE,
             "the parent took the heartbeat and hung up: %s; its launcher must send it back",
             len == 0 ? "nothing came back" : strerror(errno));
    if (echo != beat)
        FAIL(fault, ERR_UNREACHABLE,
             "the parent answered the heartbeat 0x%02x with 0x%02x; its launcher must send back "
             "the same byte",
             beat, echo);
    return ERR_OK;
}

enum err boot_heartbeat(uint32_t parent_cid, struct fault *fault)
{
    const struct sockaddr_vm parent = {
        .svm_family = AF_VSOCK, .svm_cid = parent_cid, .svm_port = BOOT_HEARTBEAT_PORT};
    CLEANUP(fd_close) int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        FAIL(fault, ERR_UNREACHABLE, "no vsock: %s; the kernel needs CONFIG_VIRTIO_VSOCKETS",
             strerror(errno));
    /* The kernel itself gives up after two seconds. */
    if (connect(fd, (const struct sockaddr *)&parent, sizeof parent) != 0)
        FAIL(fault, ERR_UNREACHABLE,
             "nobody takes the heartbeat at vsock port %d of the parent, CID %u: %s; nitro-cli "
             "run-enclave does, and another launcher must",
             BOOT_HEARTBEAT_PORT, (unsigned)parent_cid, strerror(errno));
    return boot_heartbeat_over(fd, BOOT_HEARTBEAT_WAIT_MS, fault);
}

_Noreturn void boot_halt(void)
{
    sync();
    reboot(RB_AUTOBOOT);
    _exit(1); /* it was not permitted: the panic that follows ends the enclave as well */
}
