/* vouchsafe-nsm-cuse: a device like /dev/nsm, behind which the simulator answers.
 *
 *   vouchsafe-nsm-cuse DEVICE SOCKET [FAULTS]
 *
 * Makes /dev/DEVICE (a character device in user space, cuse.ko) and takes the ioctl of
 * linux/nsm.h there, by the numbers and the errors of the kernel's own driver; each
 * request goes to `vouchsafe-nsm-sim --socket SOCKET`.  FAULTS is a file that may say
 * what goes wrong (cuse_faults.h); it is read at each request.  Ends by a signal. */
#define FUSE_USE_VERSION 31

#include <cuse_lowlevel.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cbor_writer.h"
#include "common/fd_cleanup.h"
#include "cuse_faults.h"
#include "sim_nsm.h"

/* linux/nsm.h, which Debian 12's kernel headers do not have yet. */
struct nsm_raw {
    uint64_t request_ptr;
    uint64_t request_len;
    uint64_t reply_ptr;
    uint64_t reply_len; /* in and out */
};
#define NSM_IOCTL_RAW _IOWR(0x0A, 0x0, struct nsm_raw)

#define FAULTS_MAX 4096

struct device {
    struct sockaddr_un simulator;
    const char *faults; /* NULL: none */
};

/* One packet there and one back. */
static int ask_simulator(const struct device *device, struct bytes request, struct buf *reply)
{
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const struct sockaddr *address = (const struct sockaddr *)&device->simulator;
    if (fd < 0 || connect(fd, address, sizeof device->simulator) != 0)
        return errno;
    if (buf_reserve(reply, SIM_REPLY_MAX) != ERR_OK)
        return ENOMEM;
    if (send(fd, request.ptr, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
        return errno;
    const ssize_t got = recv(fd, reply->ptr, SIM_REPLY_MAX, 0);
    if (got <= 0)
        return EIO;
    reply->len = (size_t)got;
    return 0;
}

/* Whoever wrote the file must notice that it says nothing: all requests fail. */
static int find_fault(const struct device *device, struct bytes request, struct cuse_fault *out)
{
    char text[FAULTS_MAX];
    if (device->faults == NULL)
        return 0;
    CLEANUP(fd_close) int fd = open(device->faults, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    struct fault fault = FAULT_NONE;
    if (got < 0)
        fprintf(stderr, "vouchsafe-nsm-cuse: %s: %s\n", device->faults, strerror(errno));
    else if (cuse_fault_find(bytes_of(text, (size_t)got), request, out, &fault) == ERR_OK)
        return 0;
    else
        fprintf(stderr, "vouchsafe-nsm-cuse: %s: %s\n", device->faults, fault.detail);
    return EIO;
}

static enum err write_refusal(const char *code, struct buf *reply)
{
    struct cbor_writer w;
    cbor_writer_init(&w, reply);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, "Error");
    cbor_writer_cstr(&w, code);
    return cbor_writer_finish(&w);
}

/* The reply, cut without a word where there is no room for it, as the driver does it, and
 * the length that it is said to have; or the errno. */
static int answer(const struct device *device, struct bytes request, size_t room, struct buf *reply,
                  uint64_t *said_len)
{
    struct cuse_fault fault = {0};
    int failed = find_fault(device, request, &fault);
    if (failed == 0 && fault.kind == CUSE_FAULT_ERRNO)
        failed = (int)fault.number;
    if (failed == 0 && fault.kind == CUSE_FAULT_ERROR)
        failed = write_refusal(fault.code, reply) == ERR_OK ? 0 : ENOMEM;
    else if (failed == 0)
        failed = ask_simulator(device, request, reply);
    if (fault.kind == CUSE_FAULT_CUT && room > fault.number)
        room = (size_t)fault.number;
    if (reply->len > room)
        reply->len = room;
    *said_len = fault.kind == CUSE_FAULT_CLAIM ? fault.number : reply->len;
    return failed;
}

static void *at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

/* The kernel does not know what the ioctl's argument points to, and is told in two steps:
 * the four numbers, then what they point to.  The third call alone has it all, and does
 * something. */
static void on_ioctl(fuse_req_t req, int number, void *argument, struct fuse_file_info *info,
                     unsigned flags, const void *in, size_t in_len, size_t out_len)
{
    const struct device *device = fuse_req_userdata(req);
    struct iovec in_iov[2] = {{.iov_base = argument, .iov_len = sizeof(struct nsm_raw)}};
    struct nsm_raw raw;
    (void)info;
    if ((unsigned)number != NSM_IOCTL_RAW || (flags & FUSE_IOCTL_COMPAT) != 0) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    if (in_len < sizeof raw) {
        fuse_reply_ioctl_retry(req, in_iov, 1, NULL, 0);
        return;
    }
    memcpy(&raw, in, sizeof raw);
    if (raw.request_len > SIM_REQUEST_MAX) {
        fuse_reply_err(req, EMSGSIZE);
        return;
    }
    const size_t room = raw.reply_len < SIM_REPLY_MAX ? (size_t)raw.reply_len : SIM_REPLY_MAX;
    if (in_len == sizeof raw && out_len == 0) {
        in_iov[1] = (struct iovec){at(raw.request_ptr), (size_t)raw.request_len};
        const struct iovec out_iov[2] = {in_iov[0], {at(raw.reply_ptr), room}};
        fuse_reply_ioctl_retry(req, in_iov, 2, out_iov, 2);
        return;
    }
    CLEANUP(buf_free) struct buf reply = {0};
    const struct bytes request = bytes_of((const uint8_t *)in + sizeof raw, in_len - sizeof raw);
    const int failed = answer(device, request, room, &reply, &raw.reply_len);
    if (failed != 0) {
        fuse_reply_err(req, failed);
        return;
    }
    const struct iovec parts[2] = {{&raw, sizeof raw}, {reply.ptr, reply.len}};
    fuse_reply_ioctl_iov(req, 0, parts, 2);
}

static void on_open(fuse_req_t req, struct fuse_file_info *info)
{
    fuse_reply_open(req, info);
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fputs("usage: vouchsafe-nsm-cuse DEVICE SOCKET [FAULTS]\n", stderr);
        return 2;
    }
    struct device device = {
        .simulator = {.sun_family = AF_UNIX},
        .faults = argc == 4 ? argv[3] : NULL,
    };
    if (strlen(argv[2]) >= sizeof device.simulator.sun_path) {
        fputs("vouchsafe-nsm-cuse: the socket's path is too long\n", stderr);
        return 2;
    }
    memcpy(device.simulator.sun_path, argv[2], strlen(argv[2]));
    char name[64];
    snprintf(name, sizeof name, "DEVNAME=%.40s", argv[1]);
    const char *names[] = {name};
    const struct cuse_info info = {
        .dev_info_argc = 1,
        .dev_info_argv = names,
        .flags = CUSE_UNRESTRICTED_IOCTL,
    };
    const struct cuse_lowlevel_ops ops = {.open = on_open, .ioctl = on_ioctl};
    /* In the foreground, and one request at a time. */
    char foreground[] = "-f";
    char single[] = "-s";
    char *fuse_argv[] = {argv[0], foreground, single, NULL};
    return cuse_lowlevel_main(3, fuse_argv, &info, &ops, &device);
}
