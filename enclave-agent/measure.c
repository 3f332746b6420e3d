#include "measure.h"

#include "common/codec.h"
#include "common/file.h"
#include "image_file.h"

#define CMDLINE_PATH "/proc/cmdline"
#define CMDLINE_MAX  4096 /* COMMAND_LINE_SIZE is half of it */
#define OF_DEVICES   "virtio_mmio.device="
#define SHOWN_MAX    80 /* characters of each text in a message */
#define HEX_LEN      (2 * ATTDOC_PCR_LEN + 1)

enum err measure_plan_add(struct measure_plan *plan, const char *text, struct fault *fault)
{
    const char *equals = strchr(text, '=');
    uint64_t index = 0;
    if (equals == NULL || equals[1] == '\0' ||
        decimal_parse(bytes_of(text, (size_t)(equals - text)), ATTDOC_PCR_COUNT - 1, &index) !=
            ERR_OK ||
        index < MEASURE_PCR_FIRST)
        FAIL(fault, ERR_USAGE, "extend \"%.100s\" is not N=FILE with N %d to %d", text,
             MEASURE_PCR_FIRST, ATTDOC_PCR_COUNT - 1);
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->extend[i].index == index)
            FAIL(fault, ERR_USAGE, "extend: PCR%u is there twice; it is extended once",
                 (unsigned)index);
    }
    plan->extend[plan->count].index = (unsigned)index;
    plan->extend[plan->count++].path = equals + 1;
    return ERR_OK;
}

/* --- PCRs --- */

static struct fault *at_pcr(struct fault *fault, unsigned index)
{
    return fault_at(fault, FAULT_NO_OFFSET, "PCR%u", index);
}

/* What the PCR is once it was extended from zero by `digest`. */
static enum err value_after(const uint8_t digest[static SHA384_LEN],
                            uint8_t out[static ATTDOC_PCR_LEN])
{
    uint8_t both[ATTDOC_PCR_LEN + SHA384_LEN] = {0};
    memcpy(both + ATTDOC_PCR_LEN, digest, SHA384_LEN);
    return digest_sha384(bytes_of(both, sizeof both), out);
}

static enum err check_value(unsigned index, const struct nsm_pcr *found,
                            const uint8_t expected[static ATTDOC_PCR_LEN], struct fault *fault)
{
    if (memcmp(found->value, expected, ATTDOC_PCR_LEN) == 0)
        return ERR_OK;
    char is[HEX_LEN];
    char is_to_be[HEX_LEN];
    hex_encode(bytes_of(found->value, ATTDOC_PCR_LEN), is);
    hex_encode(bytes_of(expected, ATTDOC_PCR_LEN), is_to_be);
    FAIL(at_pcr(fault, index), ERR_PCR_MISMATCH,
         "%s%s; the file gives %s: something else extended it", is, found->locked ? ", locked" : "",
         is_to_be);
}

enum err measure_extend(const struct nsm *nsm, unsigned index,
                        const uint8_t digest[static SHA384_LEN], struct fault *fault)
{
    uint8_t expected[ATTDOC_PCR_LEN];
    struct nsm_pcr pcr;
    TRY(value_after(digest, expected));
    TRY(nsm_describe_pcr(nsm, index, &pcr, fault));
    if (!pcr.locked && bytes_all_zero(bytes_of(pcr.value, sizeof pcr.value)))
        TRY(nsm_extend_pcr(nsm, index, bytes_of(digest, SHA384_LEN), pcr.value, fault));
    TRY(check_value(index, &pcr, expected, fault));
    if (pcr.locked)
        return ERR_OK;
    TRY(nsm_lock_pcr(nsm, index, fault));
    /* What counts is what documents will say. */
    TRY(nsm_describe_pcr(nsm, index, &pcr, fault));
    if (!pcr.locked)
        FAIL(at_pcr(fault, index), ERR_NSM,
             "the module says that it locked it, and it is not: start the enclave again, and where "
             "it stays, on another instance");
    return check_value(index, &pcr, expected, fault);
}

enum err measure_file(const char *path, uint8_t digest[static SHA384_LEN], struct fault *fault)
{
    CLEANUP(buf_free) struct buf content = {0};
    TRY(image_file_read("extend", path, MEASURE_FILE_MAX, &content, fault));
    if (content.len == 0)
        FAIL(fault, ERR_CONFIG,
             "extend %.120s: it is empty, and says nothing that a PCR could prove", path);
    return digest_sha384(bytes_of_buf(&content), digest);
}

/* --- the kernel's command line --- */

static bool is_of_devices(const char *words)
{
    while (*words != '\0') {
        const size_t len = strcspn(words, " ");
        if (len > 0 && strncmp(words, OF_DEVICES, strlen(OF_DEVICES)) != 0)
            return false;
        words += len + strspn(words + len, " ");
    }
    return true;
}

/* Where they differ, which may be far from the beginning. */
static enum err cmdline_differs(const char *found, const char *expected, struct fault *fault)
{
    size_t same = 0;
    while (found[same] != '\0' && found[same] == expected[same])
        same++;
    while (same > 0 && found[same - 1] != ' ')
        same--;
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "cmdline"), ERR_CONFIG,
         "the kernel was started with \"%.*s\", the settings say \"%.*s\"%s", SHOWN_MAX,
         found + same, SHOWN_MAX, expected + same,
         same > 0 ? " (both from where they differ)" : "");
}

enum err measure_cmdline(const char *path, const char *expected, struct fault *fault)
{
    CLEANUP(buf_free) struct buf file = {0};
    struct fault inner = FAULT_NONE;
    const enum err err = file_read(path, CMDLINE_MAX, &file, &inner);
    if (err == ERR_FILE)
        FAIL(fault, err, "cmdline %s: is /proc mounted?", inner.detail);
    TRY(err);
    while (file.len > 0 && (file.ptr[file.len - 1] == '\n' || file.ptr[file.len - 1] == ' '))
        file.len--;
    const char *found = buf_text(&file);
    if (found == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the kernel's command line");
    const size_t len = strlen(expected);
    if (strlen(found) == file.len && strncmp(found, expected, len) == 0 &&
        (found[len] == '\0' || found[len] == ' ') && is_of_devices(found + len))
        return ERR_OK;
    return cmdline_differs(found, expected, fault);
}

/* --- all of it --- */

enum err measure_enclave(const struct measure_plan *plan, const char *where, bool *debug,
                         struct fault *fault)
{
    uint8_t digest[MEASURE_MAX][SHA384_LEN];
    CLEANUP(nsm_close) struct nsm nsm = {.fd = -1};
    struct nsm_pcr pcr0;
    for (size_t i = 0; i < plan->count; i++)
        TRY(measure_file(plan->extend[i].path, digest[i], fault));
    if (plan->cmdline != NULL)
        TRY(measure_cmdline(CMDLINE_PATH, plan->cmdline, fault));
    TRY(nsm_open(where, &nsm, fault));
    for (size_t i = 0; i < plan->count; i++)
        TRY(measure_extend(&nsm, plan->extend[i].index, digest[i], fault));
    TRY(nsm_describe_pcr(&nsm, 0, &pcr0, fault));
    *debug = bytes_all_zero(bytes_of(pcr0.value, sizeof pcr0.value));
    return ERR_OK;
}
