/* What is settled before a verifier is asked: PCRs extended by a file, as the verifier computes
 * them, once and for good; the kernel's command line. */
#define _GNU_SOURCE /* memmem */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "enclave-agent/measure.h"
#include "enclave-agent/nsm-sim/sim_nsm.h"
#include "verifier/measure/pcr_of.h"

#define NOW_MS    INT64_C(1795000000123)
#define MODULE_ID "i-0123456789abcdef0-enc0123456789abcdef"

static struct fault fault;

/* --- the module: the simulator's, which may be told to lie --- */

static struct sim_nsm simulated;
static unsigned asked; /* requests of the kinds that change something */
static bool locks_nothing;
static bool extends_wrongly;

static enum err exchange(const struct nsm *nsm, struct bytes request, struct buf *reply,
                         struct fault *f)
{
    (void)nsm;
    (void)f;
    const bool extends = memmem(request.ptr, request.len, "ExtendPCR", 9) != NULL;
    const bool locks = memmem(request.ptr, request.len, "LockPCR", 7) != NULL;
    asked += extends || locks;
    const enum err err = sim_nsm_handle(&simulated, NOW_MS, request, reply);
    if (locks && locks_nothing)
        simulated.locked = 0xffff;
    if (extends && extends_wrongly)
        simulated.pcr[16][0] ^= 1, reply->ptr[reply->len - ATTDOC_PCR_LEN] ^= 1;
    return err;
}

static const struct nsm module = {.fd = -1, .exchange = exchange};

static void setup(void)
{
    sim_nsm_init(&simulated, ATTDOC_ENCLAVE, MODULE_ID, NULL);
    asked = 0;
}

static const char content[] = "security-version = 3\n";

static void of_content(uint8_t digest[static SHA384_LEN], uint8_t pcr[static ATTDOC_PCR_LEN])
{
    ck_ok(digest_sha384(bytes_of_text(content), digest));
    ck_ok(pcr_of_extension(bytes_of_text(content), pcr, &fault));
}

/* PROTOCOL section 3 has this value; the verifier computes it, the module holds it. */
START_TEST(valid_extension)
{
    uint8_t digest[SHA384_LEN];
    uint8_t expected[ATTDOC_PCR_LEN];
    setup();
    of_content(digest, expected);
    ck_assert_mem_eq(expected, "\x78\x8f\x11\xad\xf5\xbd\xb5\xfd", 8);
    ck_ok(measure_extend(&module, 16, digest, &fault));
    ck_assert_mem_eq(simulated.pcr[16], expected, sizeof expected);
    ck_assert_uint_eq(simulated.locked, 0x1ffff);
    ck_assert_uint_eq(asked, 2);
    /* A second run in the same enclave. */
    ck_ok(measure_extend(&module, 16, digest, &fault));
    ck_assert_mem_eq(simulated.pcr[16], expected, sizeof expected);
    ck_assert_uint_eq(asked, 2);
}
END_TEST

/* Ended between the two requests, it is brought to its end. */
START_TEST(valid_half_done)
{
    uint8_t digest[SHA384_LEN];
    uint8_t expected[ATTDOC_PCR_LEN];
    setup();
    of_content(digest, expected);
    memcpy(simulated.pcr[31], expected, sizeof expected);
    ck_ok(measure_extend(&module, 31, digest, &fault));
    ck_assert_mem_eq(simulated.pcr[31], expected, sizeof expected);
    ck_assert_uint_eq(simulated.locked, 0x8000ffff);
    ck_assert_uint_eq(asked, 1);
}
END_TEST

/* Both values are named, and nothing is changed. */
static void ck_another(const char *state)
{
    uint8_t digest[SHA384_LEN];
    uint8_t expected[ATTDOC_PCR_LEN];
    struct sim_nsm before = simulated;
    of_content(digest, expected);
    fault = (struct fault)FAULT_NONE;
    ck_err(measure_extend(&module, 16, digest, &fault), ERR_PCR_MISMATCH);
    ck_assert_str_eq(fault.field, "PCR16");
    char begins[16];
    snprintf(begins, sizeof begins, "%02x%02x", simulated.pcr[16][0], simulated.pcr[16][1]);
    ck_assert_ptr_eq(strstr(fault.detail, begins), fault.detail);
    ck_assert_ptr_eq(strstr(fault.detail, state), fault.detail + 96);
    ck_assert_ptr_nonnull(
        strstr(fault.detail, "; the file gives 788f11adf5bdb5fd11b0cdea7e410991"));
    ck_assert_ptr_nonnull(strstr(fault.detail, "f7f1979d: something else extended it"));
    ck_assert_mem_eq(simulated.pcr, before.pcr, sizeof before.pcr);
    ck_assert_uint_eq(simulated.locked, before.locked);
    ck_assert_uint_eq(asked, 0);
}

START_TEST(wrong_values)
{
    setup();
    simulated.pcr[16][1] = 0xab;
    ck_another(";"); /* neither zero nor locked */
    simulated.locked |= 1 << 16;
    ck_another(", locked;");
    memset(simulated.pcr[16], 0, ATTDOC_PCR_LEN);
    ck_another(", locked;"); /* never to be extended any more */
}
END_TEST

/* A module that says one thing and does another. */
START_TEST(wrong_module)
{
    uint8_t digest[SHA384_LEN];
    uint8_t expected[ATTDOC_PCR_LEN];
    setup();
    of_content(digest, expected);
    locks_nothing = true;
    ck_err(measure_extend(&module, 16, digest, &fault), ERR_NSM);
    ck_assert_str_eq(fault.detail,
                     "the module says that it locked it, and it is not: start the enclave again, "
                     "and where it stays, on another instance");
    setup();
    locks_nothing = false;
    extends_wrongly = true;
    ck_err(measure_extend(&module, 16, digest, &fault), ERR_PCR_MISMATCH);
    ck_assert_uint_eq(simulated.locked, 0xffff); /* not locked as it is */
}
END_TEST

/* --- files --- */

static char path[64];

static const char *file_of(const char *text, size_t len)
{
    snprintf(path, sizeof path, "/tmp/test_agent_measure.XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
    return path;
}

START_TEST(valid_files)
{
    uint8_t digest[SHA384_LEN];
    uint8_t pcr[ATTDOC_PCR_LEN];
    uint8_t found[SHA384_LEN];
    of_content(digest, pcr);
    ck_ok(measure_file(file_of(content, strlen(content)), found, &fault));
    ck_assert_mem_eq(found, digest, sizeof digest);
    unlink(path);
    char *large = calloc(1, MEASURE_FILE_MAX + 1);
    ck_ok(measure_file(file_of(large, MEASURE_FILE_MAX), found, &fault));
    unlink(path);
    ck_err(measure_file(file_of(large, MEASURE_FILE_MAX + 1), found, &fault), ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(fault.detail, " is larger than 1048576 bytes"));
    unlink(path);
    free(large);
    ck_err(measure_file(file_of("", 0), found, &fault), ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(fault.detail, ": it is empty"));
    unlink(path);
    ck_err(measure_file("/nonexistent/file", found, &fault), ERR_FILE);
    ck_assert_str_eq(fault.detail,
                     "extend /nonexistent/file: No such file or directory: is it in the image, and "
                     "a file that the agent may read?");
}
END_TEST

START_TEST(wrong_plans)
{
    static const char *const rows[] = {"15=/a", "32=/a",  "=/a",    "16",
                                       "16=",   "+16=/a", "016=/a", "x=/a"};
    struct measure_plan plan = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_err(measure_plan_add(&plan, rows[i], &fault), ERR_USAGE);
        ck_assert_ptr_nonnull(strstr(fault.detail, "is not N=FILE with N 16 to 31"));
    }
    ck_assert_uint_eq(plan.count, 0);
    for (unsigned i = 16; i < 32; i++) {
        static char text[16][8];
        snprintf(text[i - 16], sizeof text[0], "%u=a=b", i);
        ck_ok(measure_plan_add(&plan, text[i - 16], &fault));
        ck_assert_str_eq(plan.extend[i - 16].path, "a=b");
        ck_err(measure_plan_add(&plan, text[i - 16], &fault), ERR_USAGE);
        ck_assert_ptr_nonnull(strstr(fault.detail, "is there twice"));
    }
    ck_assert_uint_eq(plan.count, MEASURE_MAX);
}
END_TEST

/* --- the kernel's command line --- */

#define CMDLINE "reboot=k panic=30 nomodules console=ttyS0"

static enum err compare(const char *found, const char *expected)
{
    fault = (struct fault)FAULT_NONE;
    const enum err err = measure_cmdline(file_of(found, strlen(found)), expected, &fault);
    unlink(path);
    return err;
}

START_TEST(valid_cmdline)
{
    ck_ok(compare(CMDLINE "\n", CMDLINE));
    ck_ok(compare(CMDLINE, CMDLINE));
    ck_ok(compare(CMDLINE
                  " virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6\n",
                  CMDLINE));
    ck_ok(compare(CMDLINE " virtio_mmio.device=4K@0xd0000000:5 \n",
                  CMDLINE " virtio_mmio.device=4K@0xd0000000:5"));
}
END_TEST

START_TEST(wrong_cmdline)
{
    static const char *const rows[][3] = {
        {CMDLINE " init=/bin/sh\n", CMDLINE,
         "the kernel was started with \"console=ttyS0 init=/bin/sh\", the settings say "
         "\"console=ttyS0\" (both from where they differ)"},
        {CMDLINE "x\n", CMDLINE,
         "the kernel was started with \"console=ttyS0x\", the settings say \"console=ttyS0\" (both "
         "from where they differ)"},
        {"reboot=k panic=1\n", CMDLINE,
         "the kernel was started with \"panic=1\", the settings say \"panic=30 nomodules "
         "console=ttyS0\" (both from where they differ)"},
        {CMDLINE " virtio_mmio.device=4K@0xd0000000:5 init=/x\n", CMDLINE, NULL},
        {CMDLINE " virtio_mmio.devices=1\n", CMDLINE, NULL},
        {CMDLINE "virtio_mmio.device=4K@0xd0000000:5\n", CMDLINE, NULL},
        {"virtio_mmio.device=4K@0xd0000000:5 " CMDLINE "\n", CMDLINE, NULL},
        {"\033[2Jx\n", "y", "the kernel was started with \"?[2Jx\", the settings say \"y\""},
        {"", "y", "the kernel was started with \"\", the settings say \"y\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_err(compare(rows[i][0], rows[i][1]), ERR_CONFIG);
        ck_assert_str_eq(fault.field, "cmdline");
        if (rows[i][2] != NULL)
            ck_assert_str_eq(fault.detail, rows[i][2]);
    }
    ck_err(measure_cmdline(file_of(CMDLINE "\0 init=/x", sizeof CMDLINE + 8), CMDLINE, &fault),
           ERR_CONFIG);
    unlink(path);
    ck_err(measure_cmdline("/nonexistent/cmdline", CMDLINE, &fault), ERR_FILE);
    ck_assert_str_eq(fault.detail,
                     "cmdline /nonexistent/cmdline: No such file or directory: is /proc mounted?");
}
END_TEST

START_TEST(long_cmdline)
{
    char found[2048];
    char expected[2048];
    memset(found, 'a', sizeof found - 1);
    memset(expected, 'a', sizeof expected - 1);
    found[2047] = expected[2047] = '\0';
    expected[2046] = 'b';
    ck_err(compare(found, expected), ERR_CONFIG);
    ck_assert_uint_lt(strlen(fault.detail), sizeof fault.detail - 1);
}
END_TEST

UNIT_MAIN("agent_measure", valid_extension, valid_half_done, wrong_values, wrong_module,
          valid_files, wrong_plans, valid_cmdline, wrong_cmdline, long_cmdline)
