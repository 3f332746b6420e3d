/* The first process of the test machine, and its last deed.
 *
 *   init            as /init: mounts, loads the modules, runs /vm/main, and then becomes
 *                   /vm/last where that exists: what shall be process 1 itself
 *   init poweroff   ends the machine, by whoever is process 1 then
 *
 * Nothing here may fail: whatever does is said on the console, and the machine ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAIN "/vm/main"
#define LAST "/vm/last"

static const struct {
    const char *type;
    const char *where;
} mounts[] = {
    {"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"},
    {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
};

/* Each after what it needs; where a kernel has them built in, the image holds none. */
static const char *const modules[] = {
    "vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback", "fuse", "cuse",
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static _Noreturn void power_off(void)
{
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

static _Noreturn void fail(const char *what)
{
    printf("\n@vm broken: %s: %s\n", what, strerror(errno));
    fflush(stdout);
    power_off();
}

static void load_module(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "/lib/modules/%s.ko", name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return;
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
        fail(path);
    close(fd);
}

/* The parent's side talks over it; the enclave's gets a network without it. */
static void bring_up_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        fail("lo");
    close(fd);
}

static void run_main(void)
{
    const pid_t main_pid = fork();
    if (main_pid < 0)
        fail("fork");
    if (main_pid == 0) {
        execl(MAIN, MAIN, (char *)NULL);
        fail(MAIN);
    }
    int status = 0;
    for (;;) {
        const pid_t ended = wait(&status);
        if (ended == main_pid)
            break;
        if (ended < 0)
            fail("wait");
    }
    if (status != 0) { /* it has said why */
        printf("\n@vm broken: " MAIN " ended with %d\n", status);
        fflush(stdout);
        power_off();
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "poweroff") == 0)
        power_off();
    for (size_t i = 0; i < COUNT(mounts); i++) {
        mkdir(mounts[i].where, 0755);
        if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, NULL) != 0)
            fail(mounts[i].where);
    }
    const int console = open("/dev/console", O_RDWR);
    if (console < 0 || dup2(console, 0) < 0 || dup2(console, 1) < 0 || dup2(console, 2) < 0)
        power_off();
    for (size_t i = 0; i < COUNT(modules); i++)
        load_module(modules[i]);
    bring_up_loopback();
    setenv("PATH", "/bin", 1);
    setenv("HOME", "/", 1);
    run_main();
    if (access(LAST, X_OK) == 0) {
        execl(LAST, LAST, (char *)NULL);
        fail(LAST);
    }
    power_off();
}
