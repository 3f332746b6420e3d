/* How the NSM fails: every name that it refuses with, every errno of its driver, and replies of
 * the smaller operations that are wrong in one way; and where its random bytes go.  The device is
 * this file's: it stands in for the ioctl. */
#include "hex.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "enclave-agent/nsm.h"

static struct fault fault;

/* --- a device: linux/nsm.h's struct nsm_raw --- */

struct raw {
    uint64_t request_ptr;
    uint64_t request_len;
    uint64_t reply_ptr;
    uint64_t reply_len;
};

static struct {
    int error;        /* errno, or 0 */
    int interrupted;  /* that many calls end with EINTR before */
    uint64_t claimed; /* reply_len, or 0: that of the reply */
    const char *hex;
    unsigned calls;
    uint64_t room;
    const uint8_t *reply; /* where the last one was written */
} device;

/* In the place of libc's.  No pointer of the agent's may be wrong: CVE-2026-68179 unlocks what is
 * not held there. */
int ioctl(int fd, unsigned long number, ...)
{
    va_list args;
    va_start(args, number);
    struct raw *raw = va_arg(args, struct raw *);
    va_end(args);
    ck_assert_int_eq(fd, -1);
    ck_assert_uint_eq(number, 0xC0200A00);
    device.calls++;
    device.room = raw->reply_len;
    if (device.interrupted > 0 || device.error != 0) {
        errno = device.interrupted-- > 0 ? EINTR : device.error;
        raw->reply_len = 1;
        return -1;
    }
    CLEANUP(buf_free) struct buf reply = {0};
    from_hex(device.hex, &reply);
    union {
        uint64_t number;
        uint8_t *ptr;
    } to = {.number = raw->reply_ptr};
    device.reply = to.ptr;
    if (reply.len > 0)
        memcpy(to.ptr, reply.ptr, reply.len);
    raw->reply_len = device.claimed == 0 ? reply.len : device.claimed;
    return 0;
}

/* The transport's own exchange, with no device behind. */
static struct nsm opened(void)
{
    struct nsm nsm = {.fd = -1};
    ck_ok(nsm_open("/dev/null", &nsm, &fault));
    nsm_close(&nsm);
    return nsm;
}

static enum err lock_by(const char *hex)
{
    const struct nsm nsm = opened();
    device.hex = hex;
    fault = (struct fault)FAULT_NONE;
    return nsm_lock_pcr(&nsm, 16, &fault);
}

#define LOCKED "674c6f636b504352"

START_TEST(valid_device)
{
    ck_ok(lock_by(LOCKED));
    ck_assert_uint_eq(device.calls, 1);
    ck_assert_uint_eq(device.room, NSM_REPLY_MAX);
    device.interrupted = 3;
    ck_ok(lock_by(LOCKED));
    ck_assert_uint_eq(device.calls, 5);
    ck_assert_uint_eq(device.room, NSM_REPLY_MAX); /* each time anew */
}
END_TEST

/* --- its randomness, and what becomes of it --- */

/* What went into the generator, and whether the last reply was wiped: the linker puts these two
 * before OpenSSL's. */
static struct {
    uint8_t added[64];
    int len;
    double entropy;
    bool wiped;
} seen;

void __real_RAND_add(const void *from, int len, double entropy);
void __wrap_RAND_add(const void *from, int len, double entropy);
void __real_OPENSSL_cleanse(void *ptr, size_t len);
void __wrap_OPENSSL_cleanse(void *ptr, size_t len);

void __wrap_RAND_add(const void *from, int len, double entropy)
{
    ck_assert_int_eq(seen.len, 0);
    ck_assert_int_le(len, (int)sizeof seen.added);
    memcpy(seen.added, from, (size_t)len);
    seen.len = len;
    seen.entropy = entropy;
    __real_RAND_add(from, len, entropy);
}

void __wrap_OPENSSL_cleanse(void *ptr, size_t len)
{
    const uint8_t *const from = ptr;
    seen.wiped |= from <= device.reply && device.reply + device.room <= from + len;
    __real_OPENSSL_cleanse(ptr, len);
}

#define RANDOM    "a16947657452616e646f6da16672616e646f6d"
#define THE_BYTES "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"

static enum err mix_by(const char *hex)
{
    const struct nsm nsm = opened();
    device.hex = hex;
    fault = (struct fault)FAULT_NONE;
    memset(&seen, 0, sizeof seen);
    return nsm_mix_random(&nsm, &fault);
}

/* All of it, counted as what it is: as random as it is long. */
START_TEST(valid_random)
{
    ck_ok(mix_by(RANDOM "5820" THE_BYTES));
    ck_hex(bytes_of(seen.added, (size_t)seen.len), THE_BYTES);
    ck_assert_double_eq(seen.entropy, 32);
    ck_assert(seen.wiped);
}
END_TEST

/* A reply that is none may hold random bytes all the same. */
START_TEST(wrong_random)
{
    ck_err(mix_by(RANDOM "5821" THE_BYTES), ERR_NSM);
    ck_assert_int_eq(seen.len, 0);
    ck_assert(seen.wiped);
}
END_TEST

/* --- the driver's --- */

static const struct {
    int error;
    const char *says;
    const char *advice;
} driver_rows[] = {
    {EFAULT, "Bad address", "report it"},
    {EINVAL, "Invalid argument", "see --nsm"},
    {ENOTTY, "Inappropriate ioctl for device", "this is no Nitro Secure Module; see --nsm"},
    {EIO, "Input/output error", "did not take the request: start the enclave again"},
    {ENODATA, "No data available", "an empty answer: start the enclave again"},
    {ETIMEDOUT, "Connection timed out", "no answer for two minutes"},
    {EMSGSIZE, "Message too long", "shorter application bytes"},
    {ENOTCONN, "Transport endpoint is not connected", "what emulates the device has ended"},
    {EPERM, "Operation not permitted", "start the enclave again"},
};

START_TEST(wrong_device)
{
    for (size_t i = 0; i < ARRAY_LEN(driver_rows); i++) {
        device.error = driver_rows[i].error;
        ck_err(lock_by(""), ERR_NSM);
        ck_assert_ptr_eq(strstr(fault.detail, "the device: "), fault.detail);
        ck_assert_ptr_nonnull(strstr(fault.detail, driver_rows[i].says));
        ck_assert_msg(strstr(fault.detail, driver_rows[i].advice) != NULL, "%s", fault.detail);
        ck_assert_uint_lt(strlen(fault.detail), sizeof fault.detail - 1); /* nothing is cut */
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(nsm_errno_advice(driver_rows[i].error),
                             nsm_errno_advice(driver_rows[j].error));
    }
}
END_TEST

START_TEST(long_device_reply)
{
    device.claimed = NSM_REPLY_MAX + 1;
    ck_err(lock_by(LOCKED), ERR_NSM);
    ck_assert_str_eq(fault.detail, "the device claims a reply of 12289 bytes");
    device.claimed = UINT64_MAX;
    ck_err(lock_by(LOCKED), ERR_NSM);
    device.claimed = 7; /* short */
    ck_err(lock_by(LOCKED), ERR_NSM);
    ck_assert_str_eq(fault.field, "LockPCR");
    device.claimed = 0;
    ck_err(lock_by(""), ERR_NSM);
    ck_assert_str_eq(fault.detail, "an empty reply: start the enclave again");
}
END_TEST

/* --- the module's --- */

static const struct {
    const char *name;
    const char *advice;
} module_rows[] = {
    {"InvalidArgument", "an argument is none that it takes"},
    {"InvalidIndex", "it has no PCR of that number"},
    {"InvalidResponse", "its answer was to another request"},
    {"ReadOnlyIndex", "the PCR is locked until the enclave is started again"},
    {"InvalidOperation", "it does not have this operation"},
    {"BufferTooSmall", "its answer does not fit"},
    {"InputTooLarge", "the request is too large"},
    {"InternalError", "it failed inside"},
    {"Success", "this is no Nitro Secure Module"},
    {"OfALaterModule", "update the agent"},
};

START_TEST(wrong_by_name)
{
    for (size_t i = 0; i < ARRAY_LEN(module_rows); i++) {
        const size_t len = strlen(module_rows[i].name);
        CLEANUP(buf_free) struct buf reply = {0};
        ck_ok(buf_append(&reply, bytes_of("\xa1\x65"
                                          "Error",
                                          7)));
        ck_ok(buf_append(&reply, bytes_of(&(uint8_t){(uint8_t)(0x60 | len)}, 1)));
        ck_ok(buf_append_text(&reply, module_rows[i].name));
        uint8_t value[ATTDOC_PCR_LEN] = {7};
        fault = (struct fault)FAULT_NONE;
        ck_err(nsm_reply_extend(bytes_of_buf(&reply), value, &fault), ERR_NSM);
        ck_assert_str_eq(fault.field, "ExtendPCR");
        ck_assert_uint_eq(fault.offset, FAULT_NO_OFFSET); /* its own word, and its own advice */
        CLEANUP(buf_free) struct buf expected = {0};
        ck_ok(buf_append_format(&expected, "the module refuses: %s: ", module_rows[i].name));
        ck_assert_ptr_eq(strstr(fault.detail, buf_text(&expected)), fault.detail);
        ck_assert_msg(strstr(fault.detail, module_rows[i].advice) != NULL, "%s", fault.detail);
        ck_assert_uint_lt(strlen(fault.detail), sizeof fault.detail - 1);
        ck_assert_uint_eq(value[0], 7);
        ck_err(nsm_reply_lock(bytes_of_buf(&reply), &fault), ERR_NSM);
        ck_assert_str_eq(fault.field, "LockPCR");
    }
}
END_TEST

/* --- replies --- */

#define ABOUT                                                                      \
    "a16b44657363726962654e534da7"                                                 \
    "6d76657273696f6e5f6d616a6f72016d76657273696f6e5f6d696e6f7218026d76657273696f" \
    "6e5f7061746368190003"
#define ABOUT_ID           \
    "696d6f64756c655f6964" \
    "63692d78"
#define ABOUT_MAX "686d61785f706372731820"
#define ABOUT_LOCKED                 \
    "6b6c6f636b65645f70637273831800" \
    "0f"                             \
    "1a0000001f"
#define ABOUT_DIGEST           \
    "666469676573746653484133" \
    "3834"

/* Numbers are of any width: nothing is known of how a module writes them. */
START_TEST(valid_about)
{
    CLEANUP(buf_free) struct buf reply = {0};
    from_hex(ABOUT ABOUT_ID ABOUT_MAX ABOUT_LOCKED ABOUT_DIGEST, &reply);
    struct nsm_about about;
    ck_ok(nsm_reply_about(bytes_of_buf(&reply), &about, &fault));
    ck_assert_str_eq(about.module_id, "i-x");
    ck_assert_uint_eq(about.version[0] * 100 + about.version[1] * 10 + about.version[2], 123);
    ck_assert_uint_eq(about.pcr_count, 32);
    ck_assert_uint_eq(about.locked, 0x80008001);
}
END_TEST

START_TEST(wrong_about)
{
    static const char *const rows[][3] = {
        {ABOUT ABOUT_ID ABOUT_MAX ABOUT_LOCKED "666469676573746653484132"
                                               "3536",
         "DescribeNSM.digest", "SHA384 is expected, found SHA256: this agent knows no other"},
        {ABOUT "696d6f64756c655f696460" ABOUT_MAX ABOUT_LOCKED ABOUT_DIGEST,
         "DescribeNSM.module_id", "a module id of 0 bytes, must be 1 to 128"},
        {ABOUT ABOUT_ID ABOUT_MAX "6b6c6f636b65645f70637273811820" ABOUT_DIGEST,
         "DescribeNSM.locked_pcrs", "32 is more than 31"},
        {ABOUT ABOUT_ID ABOUT_MAX "6b6c6f636b65645f70637273816130" ABOUT_DIGEST,
         "DescribeNSM.locked_pcrs", "not a number"},
        {ABOUT ABOUT_ID "686d61785f706372731bffffffffffffffff" ABOUT_LOCKED ABOUT_DIGEST,
         "DescribeNSM.max_pcrs", "18446744073709551615 is more than 65535"},
        {ABOUT ABOUT_ID ABOUT_MAX ABOUT_LOCKED ABOUT_MAX, "DescribeNSM.max_pcrs",
         "it is there twice"},
        {ABOUT ABOUT_ID ABOUT_MAX ABOUT_LOCKED "01"
                                               "f6",
         "DescribeNSM", NULL},
        {ABOUT ABOUT_ID ABOUT_MAX ABOUT_LOCKED ABOUT_DIGEST "00", "DescribeNSM", NULL},
        {ABOUT ABOUT_ID "686d61785f706372731a0000", "DescribeNSM.max_pcrs", "not a number"},
        {ABOUT ABOUT_ID ABOUT_MAX ABOUT_LOCKED "6164f6", "DescribeNSM.digest", "it is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free) struct buf reply = {0};
        from_hex(rows[i][0], &reply);
        struct nsm_about about = {.pcr_count = 77};
        fault = (struct fault)FAULT_NONE;
        ck_err(nsm_reply_about(bytes_of_buf(&reply), &about, &fault), ERR_NSM);
        ck_assert_str_eq(fault.field, rows[i][1]);
        if (rows[i][2] != NULL)
            ck_assert_str_eq(fault.detail, rows[i][2]);
        ck_assert_uint_eq(about.pcr_count, 77);
    }
}
END_TEST

START_TEST(wrong_small_replies)
{
    uint8_t value[ATTDOC_PCR_LEN];
    static const char *const locks[][2] = {
        {"68"
         "4c6f636b50435273",
         "it answers another operation: LockPCRs"},
        {"a1674c6f636b504352a0", "a map, where the name alone is expected"},
        {"674c6f636b50435200", NULL},
        {"474c6f636b504352", NULL}, /* bytes */
        {"654572726f72", "it answers another operation: Error"},
    };
    for (size_t i = 0; i < ARRAY_LEN(locks); i++) {
        CLEANUP(buf_free) struct buf reply = {0};
        from_hex(locks[i][0], &reply);
        fault = (struct fault)FAULT_NONE;
        ck_err(nsm_reply_lock(bytes_of_buf(&reply), &fault), ERR_NSM);
        ck_assert_str_eq(fault.field, "LockPCR");
        if (locks[i][1] != NULL)
            ck_assert_str_eq(fault.detail, locks[i][1]);
    }
    CLEANUP(buf_free) struct buf extend = {0};
    from_hex("a169457874656e64504352a16464617461420102", &extend);
    ck_err(nsm_reply_extend(bytes_of_buf(&extend), value, &fault), ERR_NSM);
    ck_assert_str_eq(fault.field, "ExtendPCR.data");
    ck_assert_str_eq(fault.detail, "a PCR of 2 bytes, must be 48");
    extend.len = 0;
    from_hex("a169457874656e64504352a1646461746101", &extend);
    ck_err(nsm_reply_extend(bytes_of_buf(&extend), value, &fault), ERR_NSM);
    ck_assert_str_eq(fault.field, "ExtendPCR.data"); /* of another type */
}
END_TEST

UNIT_MAIN("agent_nsm_errors", valid_device, valid_random, wrong_random, wrong_device,
          long_device_reply, wrong_by_name, valid_about, wrong_about, wrong_small_replies)
