/* Asks /dev/nsm as no agent would, to see that it answers as the kernel's driver does
 * (drivers/misc/nsm.c in Linux 6.8): one line for each question, "NAME: " and the errno's
 * name or the lengths. */
#define _GNU_SOURCE /* strerrorname_np */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct nsm_raw {
    uint64_t request_ptr;
    uint64_t request_len;
    uint64_t reply_ptr;
    uint64_t reply_len;
};
#define NSM_IOCTL_RAW   _IOWR(0x0A, 0x0, struct nsm_raw)
#define NSM_IOCTL_WRONG _IOWR(0x0A, 0x1, struct nsm_raw)
#define REQUEST_MAX     0x1000
#define REPLY_MAX       0x3000
#define UNTOUCHED       0x5a

static const char random_request[] = "\x69GetRandom";
static const char describe_request[] = "\x6b"
                                       "DescribeNSM";

/* Two pages and more for each, and a page that nobody may touch. */
static struct {
    uint8_t request[3 * 4096];
    uint8_t reply[4 * 4096];
} memory;

static uint64_t at(const void *address)
{
    return (uintptr_t)address;
}

/* How many bytes of the reply were written.  The last random byte may be what untouched
 * memory holds: not five times in a row. */
static size_t ask_until_written(int fd, unsigned long number, const struct nsm_raw *question,
                                struct nsm_raw *raw)
{
    size_t written = 0;
    for (int i = 0; i < 5; i++) {
        memset(memory.reply, UNTOUCHED, sizeof memory.reply);
        *raw = *question;
        if (ioctl(fd, number, raw) != 0)
            return 0;
        errno = 0;
        written = sizeof memory.reply;
        while (written > 0 && memory.reply[written - 1] == UNTOUCHED)
            written--;
        if (written >= raw->reply_len)
            break;
    }
    return written;
}

static void ask(int fd, const char *name, unsigned long number, struct nsm_raw question)
{
    const uint64_t room = question.reply_len;
    struct nsm_raw raw;
    const size_t written = ask_until_written(fd, number, &question, &raw);
    if (errno != 0) {
        printf("%s: %s\n", name, strerrorname_np(errno));
        return;
    }
    printf("%s: %llu of %llu, %zu written, begins %02x%02x\n", name,
           (unsigned long long)raw.reply_len, (unsigned long long)room, written, memory.reply[0],
           memory.reply[1]);
}

int main(void)
{
    const int fd = open("/dev/nsm", O_RDWR | O_CLOEXEC);
    void *forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fd < 0 || forbidden == MAP_FAILED) {
        perror("vm-ioctl");
        return 1;
    }
    const struct nsm_raw random = {at(random_request), sizeof random_request - 1, at(memory.reply),
                                   REPLY_MAX};
    struct nsm_raw raw = random;
    ask(fd, "random", NSM_IOCTL_RAW, raw);
    raw.reply_len = 10;
    ask(fd, "little room", NSM_IOCTL_RAW, raw);
    raw.reply_len = 0;
    ask(fd, "no room", NSM_IOCTL_RAW, raw);
    raw.reply_len = sizeof memory.reply;
    ask(fd, "much room", NSM_IOCTL_RAW, raw);
    ask(fd, "wrong number", NSM_IOCTL_WRONG, random);
    raw = random;
    raw.request_ptr = at(forbidden);
    ask(fd, "bad request", NSM_IOCTL_RAW, raw);
    raw = random;
    raw.reply_ptr = at(forbidden);
    ask(fd, "bad reply", NSM_IOCTL_RAW, raw);
    /* Across the boundary of two pages. */
    uint8_t *const crossing = memory.request + 4096 - at(memory.request) % 4096 + 4096 - 4;
    memcpy(crossing, describe_request, sizeof describe_request - 1);
    raw = random;
    raw.request_ptr = at(crossing);
    raw.request_len = sizeof describe_request - 1;
    ask(fd, "crossing", NSM_IOCTL_RAW, raw);
    raw = random;
    raw.request_ptr = at(memory.request);
    raw.request_len = REQUEST_MAX;
    ask(fd, "longest", NSM_IOCTL_RAW, raw);
    raw.request_len = REQUEST_MAX + 1;
    ask(fd, "too long", NSM_IOCTL_RAW, raw);
    close(fd);
    return 0;
}
