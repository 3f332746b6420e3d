#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fd_cleanup.h"
#include "common/openssl_cleanup.h"
#include "nsm.h"

#define SIMULATOR_TIMEOUT_S 30 /* the device has two minutes of its own */

/* linux/nsm.h, which Debian 12's kernel headers do not have yet. */
struct nsm_raw {
    uint64_t request_ptr;
    uint64_t request_len;
    uint64_t reply_ptr;
    uint64_t reply_len; /* in and out */
};
#define NSM_IOCTL_RAW _IOWR(0x0A, 0x0, struct nsm_raw)
_Static_assert(NSM_IOCTL_RAW == 0xC0200A00, "the number that the kernel's driver knows");

/* The kernel cuts a reply that does not fit without a word: it always gets the room
 * that the largest one needs. */
static enum err exchange_device(const struct nsm *nsm, struct bytes request, struct buf *reply,
                                struct fault *fault)
{
    TRY(buf_reserve(reply, NSM_REPLY_MAX));
    struct nsm_raw raw = {
        .request_ptr = (uintptr_t)request.ptr,
        .request_len = request.len,
        .reply_ptr = (uintptr_t)(reply->ptr + reply->len),
        .reply_len = NSM_REPLY_MAX,
    };
    int done = ioctl(nsm->fd, NSM_IOCTL_RAW, &raw);
    while (done != 0 && errno == EINTR) {
        raw.reply_len = NSM_REPLY_MAX;
        done = ioctl(nsm->fd, NSM_IOCTL_RAW, &raw);
    }
    if (done != 0)
        FAIL(fault, ERR_NSM, "the device: %s: %s", strerror(errno), nsm_errno_advice(errno));
    if (raw.reply_len > NSM_REPLY_MAX)
        FAIL(fault_at(fault, 0, "%s", ""), ERR_NSM, "the device claims a reply of %llu bytes",
             (unsigned long long)raw.reply_len);
    reply->len += (size_t)raw.reply_len;
    return ERR_OK;
}

static enum err exchange_socket(const struct nsm *nsm, struct bytes request, struct buf *reply,
                                struct fault *fault)
{
    TRY(buf_reserve(reply, NSM_REPLY_MAX));
    ssize_t sent = 0;
    do
        sent = send(nsm->fd, request.ptr, request.len, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)request.len)
        FAIL(fault, ERR_NSM, "the simulator cannot be asked: %s", strerror(errno));
    ssize_t got = 0;
    do
        got = recv(nsm->fd, reply->ptr + reply->len, NSM_REPLY_MAX, MSG_TRUNC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        FAIL(fault, ERR_NSM, "the simulator does not answer: %s", strerror(errno));
    if (got == 0)
        FAIL(fault, ERR_NSM, "the simulator closed the connection");
    if (got > NSM_REPLY_MAX)
        FAIL(fault_at(fault, 0, "%s", ""), ERR_NSM, "a reply of %zd bytes, more than %d", got,
             NSM_REPLY_MAX);
    reply->len += (size_t)got;
    return ERR_OK;
}

static enum err open_socket(const char *path, struct nsm *out, struct fault *fault)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path)
        FAIL(fault, ERR_USAGE, "the path of the NSM's socket is longer than %zu bytes",
             sizeof addr.sun_path - 1);
    memcpy(addr.sun_path, path, strlen(path));
    CLEANUP(nsm_close)
    struct nsm nsm = {
        .fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0),
        .exchange = exchange_socket,
    };
    const struct timeval timeout = {.tv_sec = SIMULATOR_TIMEOUT_S};
    if (nsm.fd < 0 || setsockopt(nsm.fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
        setsockopt(nsm.fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0)
        FAIL(fault, ERR_NSM, "no socket: %s", strerror(errno));
    if (connect(nsm.fd, (const struct sockaddr *)&addr, sizeof addr) != 0)
        FAIL(fault, ERR_NSM, "no simulator at %s: %s", path, strerror(errno));
    *out = nsm;
    nsm.fd = -1;
    return ERR_OK;
}

enum err nsm_open(const char *where, struct nsm *out, struct fault *fault)
{
    if (strncmp(where, "unix:/", 6) == 0)
        return open_socket(where + 5, out, fault);
    if (where[0] != '/')
        FAIL(fault, ERR_USAGE, "\"%s\" is no NSM: a device's path, or unix:/path of a simulator",
             where);
    const int fd = open(where, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        FAIL(fault, ERR_NSM,
             "%.120s: %s: is this an enclave? The driver is nsm.ko, or in the kernel from 6.8 on",
             where, strerror(errno));
    *out = (struct nsm){.fd = fd, .exchange = exchange_device};
    return ERR_OK;
}

void nsm_close(struct nsm *nsm)
{
    fd_close(&nsm->fd);
}

/* Replies hold the randomness that keys are made with. */
static void reply_free(struct buf *reply)
{
    if (reply->ptr != NULL)
        OPENSSL_cleanse(reply->ptr, reply->cap);
    buf_free(reply);
}

static enum err ask(const struct nsm *nsm, const struct buf *request, struct buf *reply,
                    struct fault *fault)
{
    if (request->len > NSM_REQUEST_MAX)
        FAIL(fault, ERR_NSM, "a request of %zu bytes, at most %d", request->len, NSM_REQUEST_MAX);
    return nsm->exchange(nsm, bytes_of_buf(request), reply, fault);
}

enum err nsm_mix_random(const struct nsm *nsm, struct fault *fault)
{
    CLEANUP(buf_free) struct buf request = {0};
    CLEANUP(reply_free) struct buf reply = {0};
    struct bytes random;
    TRY(nsm_request_random(&request));
    TRY(ask(nsm, &request, &reply, fault));
    TRY(nsm_reply_random(bytes_of_buf(&reply), &random, fault));
    const int len = random.len < NSM_REPLY_MAX ? (int)random.len : NSM_REPLY_MAX;
    RAND_add(random.ptr, len, len);
    if (RAND_status() != 1)
        FAIL(fault, crypto_failed(), "the random generator is not seeded");
    return ERR_OK;
}

enum err nsm_describe(const struct nsm *nsm, struct nsm_about *out, struct fault *fault)
{
    CLEANUP(buf_free) struct buf request = {0};
    CLEANUP(reply_free) struct buf reply = {0};
    TRY(nsm_request_about(&request));
    TRY(ask(nsm, &request, &reply, fault));
    return nsm_reply_about(bytes_of_buf(&reply), out, fault);
}

enum err nsm_describe_pcr(const struct nsm *nsm, unsigned index, struct nsm_pcr *out,
                          struct fault *fault)
{
    CLEANUP(buf_free) struct buf request = {0};
    CLEANUP(reply_free) struct buf reply = {0};
    TRY(nsm_request_pcr(index, &request));
    TRY(ask(nsm, &request, &reply, fault));
    return nsm_reply_pcr(bytes_of_buf(&reply), out, fault);
}

enum err nsm_extend_pcr(const struct nsm *nsm, unsigned index, struct bytes data,
                        uint8_t value[static ATTDOC_PCR_LEN], struct fault *fault)
{
    CLEANUP(buf_free) struct buf request = {0};
    CLEANUP(reply_free) struct buf reply = {0};
    TRY(nsm_request_extend(index, data, &request));
    TRY(ask(nsm, &request, &reply, fault));
    return nsm_reply_extend(bytes_of_buf(&reply), value, fault);
}

enum err nsm_lock_pcr(const struct nsm *nsm, unsigned index, struct fault *fault)
{
    CLEANUP(buf_free) struct buf request = {0};
    CLEANUP(reply_free) struct buf reply = {0};
    TRY(nsm_request_lock(index, &request));
    TRY(ask(nsm, &request, &reply, fault));
    return nsm_reply_lock(bytes_of_buf(&reply), fault);
}

enum err nsm_attest(const struct nsm *nsm, const struct nsm_question *question,
                    struct buf *document, struct fault *fault)
{
    CLEANUP(buf_free) struct buf request = {0};
    CLEANUP(reply_free) struct buf reply = {0};
    struct bytes view;
    TRY(nsm_request_document(question, &request));
    TRY(ask(nsm, &request, &reply, fault));
    TRY(nsm_reply_document(bytes_of_buf(&reply), &view, fault));
    return buf_append(document, view);
}
