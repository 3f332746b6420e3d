/* Enclave image files: each test breaks one thing and demands its exact error and place. */
#include "unit.h"

#include <zlib.h>

#include "common/codec.h"
#include "hex.h"
#include "tests/lib/mkeif.h"
#include "verifier/measure/eif.h"

static struct fault fault;

/* `cut`: bytes of each piece; 0: all at once. */
static enum err read_in(struct bytes file, size_t cut, struct eif_description *out)
{
    CLEANUP(eif_freep) struct eif *eif = NULL;
    fault = (struct fault)FAULT_NONE;
    ck_ok(eif_new(&eif));
    for (size_t at = 0; at < file.len; at += cut == 0 ? file.len : cut) {
        const size_t left = file.len - at;
        TRY(eif_feed(eif, bytes_of(file.ptr + at, cut == 0 || cut > left ? left : cut), &fault));
    }
    return eif_finish(eif, out, &fault);
}

static void refused(struct bytes file, enum err err, const char *field, size_t offset,
                    const char *says)
{
    struct eif_description untouched, found;
    memset(&found, 0xee, sizeof found);
    memset(&untouched, 0xee, sizeof untouched);
    ck_err(read_in(file, 0, &found), err);
    ck_assert_mem_eq(&found, &untouched, sizeof found);
    ck_assert_int_eq(fault.code, err);
    ck_assert_msg(strcmp(fault.field, field) == 0, "%s: %s", fault.field, fault.detail);
    ck_assert_msg(fault.offset == offset, "offset %zu: %s", fault.offset, fault.detail);
    ck_assert_msg(strstr(fault.detail, says) != NULL, "%s", fault.detail);
}

/* The measurements are those that mkeif makes of the same parts. */
static void accepted(const struct mkeif *made, size_t cut)
{
    uint8_t pcr[3][ATTDOC_PCR_LEN];
    CLEANUP(buf_free) struct buf file = {0};
    CLEANUP(eif_description_free) struct eif_description found = {0};
    ck_ok(mkeif_build(made, &file));
    ck_ok(mkeif_pcrs(made, pcr));
    const enum err err = read_in(bytes_of_buf(&file), cut, &found);
    ck_assert_msg(err == ERR_OK, "%s: %s", fault.field, fault.detail);
    ck_assert_uint_eq(found.version, made->version);
    ck_assert_uint_eq(found.measured.present, 7);
    for (int i = 0; i < 3; i++)
        ck_assert_mem_eq(found.measured.pcr[i], pcr[i], ATTDOC_PCR_LEN);
    ck_assert_uint_eq(found.certificate.len, 0);
}

static void make(struct mkeif *made, size_t ramdisks, struct buf *file)
{
    mkeif_defaults(made, ramdisks);
    ck_ok(mkeif_build(made, file));
}

static void put(struct buf *file, size_t at, size_t len, uint64_t value)
{
    for (size_t i = len; i-- > 0; value >>= 8)
        file->ptr[at + i] = (uint8_t)value;
    mkeif_fix_crc(file);
}

/* ---- what is accepted ---- */

/* Computed with Python's hashlib from the parts of mkeif_defaults. */
START_TEST(valid_known_answer)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    CLEANUP(eif_description_free) struct eif_description found = {0};
    make(&made, 3, &file);
    ck_ok(read_in(bytes_of_buf(&file), 0, &found));
    ck_hex(bytes_of(found.measured.pcr[0], ATTDOC_PCR_LEN),
           "ce42a59e4dea683e71c7f2407067100db6feded20c42e5a2c62aa58530010fc4"
           "1adbe1f9e725a0549911c207f122c620");
    ck_hex(bytes_of(found.measured.pcr[1], ATTDOC_PCR_LEN),
           "97b73ba40137ad667bed5327ade51dc69d6786ae77c0716099cf71cc843c930a"
           "8a717c105b55e56b0af70207e5dad0ea");
    ck_hex(bytes_of(found.measured.pcr[2], ATTDOC_PCR_LEN),
           "d51a71eeab5c8732f338b1b13a0d35efc840da220dea2e5719e2dda37b0029e4"
           "ed48e66fad5a157b5fdd28b240093690");
    ck_assert_str_eq(found.measured.provenance,
                     "EIF, measured here; ImageName=payments; ImageVersion=1.4.2; "
                     "BuildTime=2026-11-29T09:00:00+00:00; BuildTool=nitro-cli; "
                     "BuildToolVersion=1.4.2; KernelVersion=4.14.256");
}
END_TEST

START_TEST(valid_ramdisks)
{
    struct mkeif made;
    for (size_t ramdisks = 0; ramdisks <= 29; ramdisks++) { /* 29: 32 sections */
        mkeif_defaults(&made, ramdisks);
        accepted(&made, 0);
    }
}
END_TEST

/* Wherever the pieces are cut the same is read. */
START_TEST(valid_any_piece)
{
    struct mkeif made;
    mkeif_defaults(&made, 3);
    for (size_t cut = 1; cut < 700; cut++)
        accepted(&made, cut);
}
END_TEST

/* The measurements follow the order of the file.  A cmdline behind the ramdisks is in PCR1,
 * though what lies between is not. */
START_TEST(valid_any_order)
{
    static const unsigned orders[][6] = {
        {MKEIF_METADATA, MKEIF_CMDLINE, MKEIF_KERNEL, MKEIF_RAMDISK, MKEIF_RAMDISK, MKEIF_RAMDISK},
        {MKEIF_KERNEL, MKEIF_RAMDISK, MKEIF_CMDLINE, MKEIF_RAMDISK, MKEIF_METADATA, MKEIF_RAMDISK},
        {MKEIF_KERNEL, MKEIF_RAMDISK, MKEIF_RAMDISK, MKEIF_CMDLINE, MKEIF_RAMDISK, MKEIF_METADATA},
        {MKEIF_KERNEL, MKEIF_RAMDISK, MKEIF_RAMDISK, MKEIF_RAMDISK, MKEIF_METADATA, MKEIF_CMDLINE},
    };
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct mkeif made = {.version = 4};
        char names[6][16];
        for (int k = 0; k < 6; k++) {
            snprintf(names[k], sizeof names[k], "section %d", k);
            mkeif_add(
                &made, orders[i][k],
                bytes_of_text(orders[i][k] == MKEIF_METADATA ? MKEIF_METADATA_TEXT : names[k]));
        }
        accepted(&made, 0);
    }
}
END_TEST

/* Versions 2 and 3 need no metadata; a part may be empty. */
START_TEST(valid_versions)
{
    for (unsigned version = 2; version <= 4; version++) {
        struct mkeif made = {.version = version};
        mkeif_add(&made, MKEIF_KERNEL, bytes_of_text("k"));
        mkeif_add(&made, MKEIF_CMDLINE, bytes_of("", 0));
        if (version == 4)
            mkeif_add(&made, MKEIF_METADATA, bytes_of_text(MKEIF_METADATA_TEXT));
        mkeif_add(&made, MKEIF_RAMDISK, bytes_of("", 0));
        accepted(&made, 0);
    }
}
END_TEST

/* What AWS's loader ignores is ignored: flags, reserved words, table entries of no section. */
START_TEST(valid_reserved)
{
    static const size_t places[] = {
        7, 24, MKEIF_OFFSETS_AT + 8 * 31, MKEIF_SIZES_AT + 8 * 31, 540, MKEIF_HEADER_LEN + 3};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct mkeif made;
        CLEANUP(buf_free) struct buf file = {0};
        CLEANUP(eif_description_free) struct eif_description found = {0};
        make(&made, 1, &file);
        put(&file, places[i], 1, 1);
        ck_ok(read_in(bytes_of_buf(&file), 0, &found));
    }
}
END_TEST

/* ---- the header ---- */

START_TEST(wrong_header)
{
    static const struct {
        size_t at;
        size_t len;
        uint64_t value;
        const char *says;
    } rows[] = {
        {0, 4, 0x7f454c46, "does not begin with \".eif\""}, /* ELF */
        {0, 4, 0x2e656967, "does not begin with \".eif\""},
        {4, 2, 1, "version 1; 2, 3 and 4 are known"},
        {4, 2, 5, "version 5; 2, 3 and 4 are known"},
        {4, 2, 0x400, "version 1024;"},
        {MKEIF_COUNT_AT, 2, 0, "0 sections; 2 to 32 are possible"},
        {MKEIF_COUNT_AT, 2, 1, "1 section;"},
        {MKEIF_COUNT_AT, 2, 33, "33 sections;"},
        {MKEIF_COUNT_AT, 2, 65535, "65535 sections;"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mkeif made;
        CLEANUP(buf_free) struct buf file = {0};
        make(&made, 1, &file);
        put(&file, rows[i].at, rows[i].len, rows[i].value);
        refused(bytes_of_buf(&file), ERR_EIF, "header", rows[i].at, rows[i].says);
    }
}
END_TEST

/* Gaps, overlaps, another order, beyond the end, wrapping around: one rule. */
START_TEST(wrong_place)
{
    static const uint64_t places[] = {0, 1, 547, 549, 560, 578, 580, UINT64_MAX, UINT64_MAX - 11};
    for (unsigned section = 0; section < 4; section++) {
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
            struct mkeif made;
            CLEANUP(buf_free) struct buf file = {0};
            char field[32];
            make(&made, 1, &file);
            put(&file, MKEIF_OFFSETS_AT + 8 * (size_t)section, 8, places[i]);
            snprintf(field, sizeof field, "sections[%u]", section);
            refused(bytes_of_buf(&file), ERR_EIF, field, MKEIF_OFFSETS_AT + 8 * (size_t)section,
                    "sections follow each other without gap or overlap");
        }
    }
}
END_TEST

START_TEST(long_size)
{
    static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 560, UINT64_C(1) << 63,
                                     (UINT64_C(1) << 40) - 559};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct mkeif made;
        CLEANUP(buf_free) struct buf file = {0};
        make(&made, 1, &file);
        put(&file, MKEIF_SIZES_AT, 8, sizes[i]);
        refused(bytes_of_buf(&file), ERR_EIF, "sections[0]", MKEIF_SIZES_AT,
                "the file would have more than 2^40");
    }
    /* The largest possible: the next section's place is then the one that is wrong. */
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    make(&made, 1, &file);
    put(&file, MKEIF_SIZES_AT, 8, (UINT64_C(1) << 40) - 560);
    refused(bytes_of_buf(&file), ERR_EIF, "sections[1]", MKEIF_OFFSETS_AT + 8, "its place is");
    /* In that place no section has room: its size must not bring the sum round again. */
    put(&file, MKEIF_OFFSETS_AT + 8, 8, UINT64_C(1) << 40);
    put(&file, MKEIF_SIZES_AT + 8, 8, UINT64_MAX - (UINT64_C(1) << 40) + 537);
    refused(bytes_of_buf(&file), ERR_EIF, "sections[1]", MKEIF_SIZES_AT + 8,
            "the file would have more than 2^40");
}
END_TEST

START_TEST(wrong_crc)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    make(&made, 2, &file);
    /* Each byte once, but for what the reader refuses before it comes to the CRC. */
    for (size_t at = MKEIF_HEADER_LEN; at < file.len; at++) {
        struct eif_description found;
        file.ptr[at] ^= 1;
        ck_err(read_in(bytes_of_buf(&file), 0, &found), ERR_EIF);
        file.ptr[at] ^= 1;
    }
    file.ptr[file.len - 1] ^= 1;
    refused(bytes_of_buf(&file), ERR_EIF, "header", MKEIF_CRC_AT, "it is damaged");
    file.ptr[file.len - 1] ^= 1;
    file.ptr[20] ^= 1; /* default_cpus */
    refused(bytes_of_buf(&file), ERR_EIF, "header", MKEIF_CRC_AT, "it is damaged");
    file.ptr[20] ^= 1;
    file.ptr[MKEIF_CRC_AT] ^= 1;
    refused(bytes_of_buf(&file), ERR_EIF, "header", MKEIF_CRC_AT, "the file's bytes give");
}
END_TEST

/* ---- sections ---- */

START_TEST(wrong_type)
{
    static const unsigned types[] = {0, 6, 7, 0x100, 0x103, 0xffff};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct mkeif made;
        CLEANUP(buf_free) struct buf file = {0};
        char says[32];
        mkeif_defaults(&made, 1);
        made.section[3].type = types[i];
        ck_ok(mkeif_build(&made, &file));
        snprintf(says, sizeof says, "type %u; 1 to 5 are known", types[i]);
        refused(bytes_of_buf(&file), ERR_EIF, "sections[3]",
                file.len - made.section[3].content.len - MKEIF_HEAD_LEN, says);
    }
}
END_TEST

START_TEST(wrong_second_one)
{
    static const struct {
        unsigned type;
        const char *field;
        const char *says;
    } rows[] = {
        {MKEIF_KERNEL, "sections[4] (kernel)", "a second one: an image has one kernel"},
        {MKEIF_CMDLINE, "sections[4] (cmdline)", "a second one: an image has one cmdline"},
        {MKEIF_METADATA, "sections[4] (metadata)", "a second one: an image has one metadata"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mkeif made;
        CLEANUP(buf_free) struct buf file = {0};
        mkeif_defaults(&made, 1);
        mkeif_add(&made, rows[i].type, bytes_of_text(MKEIF_METADATA_TEXT));
        ck_ok(mkeif_build(&made, &file));
        refused(bytes_of_buf(&file), ERR_EIF, rows[i].field,
                file.len - strlen(MKEIF_METADATA_TEXT) - MKEIF_HEAD_LEN, rows[i].says);
    }
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    mkeif_defaults(&made, 1);
    mkeif_add(&made, MKEIF_SIGNATURE, bytes_of_text("one"));
    mkeif_add(&made, MKEIF_SIGNATURE, bytes_of_text("two"));
    ck_ok(mkeif_build(&made, &file));
    refused(bytes_of_buf(&file), ERR_EIF, "sections[5] (signature)", file.len - 15, "a second one");
}
END_TEST

/* With everything else empty PCR0, 1 and 2 would be one value. */
START_TEST(no_kernel_in_it)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    mkeif_defaults(&made, 1);
    made.section[0].content.len = 0;
    ck_ok(mkeif_build(&made, &file));
    refused(bytes_of_buf(&file), ERR_EIF, "sections[0] (kernel)", MKEIF_HEADER_LEN, "empty");
}
END_TEST

START_TEST(wrong_order)
{
    struct mkeif made = {.version = 4};
    CLEANUP(buf_free) struct buf file = {0};
    mkeif_add(&made, MKEIF_RAMDISK, bytes_of_text("r"));
    mkeif_add(&made, MKEIF_KERNEL, bytes_of_text("k"));
    mkeif_add(&made, MKEIF_CMDLINE, bytes_of_text("c"));
    mkeif_add(&made, MKEIF_METADATA, bytes_of_text(MKEIF_METADATA_TEXT));
    ck_ok(mkeif_build(&made, &file));
    refused(bytes_of_buf(&file), ERR_EIF, "sections[0] (ramdisk)", MKEIF_HEADER_LEN,
            "ramdisks come after the kernel");
}
END_TEST

START_TEST(no_section)
{
    static const struct {
        size_t dropped;
        const char *says;
    } rows[] = {
        {0, "an image of version 4 has a kernel, this has none"},
        {1, "an image of version 4 has a cmdline, this has none"},
        {2, "an image of version 4 has a metadata, this has none"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mkeif made;
        CLEANUP(buf_free) struct buf file = {0};
        mkeif_defaults(&made, 0);
        made.section[rows[i].dropped] = made.section[2];
        made.count = 2;
        ck_ok(mkeif_build(&made, &file));
        refused(bytes_of_buf(&file), ERR_EIF, "", FAULT_NO_OFFSET, rows[i].says);
    }
}
END_TEST

/* The table says one size, the section's head another: nitro-cli believes the head, a loader
 * the table.  AWS's crate (0.3 to 0.8, sign_image) writes this where it signs an image anew. */
START_TEST(wrong_size_in_head)
{
    static const uint64_t sizes[] = {0, 16, 18, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct mkeif made;
        CLEANUP(buf_free) struct buf file = {0};
        make(&made, 1, &file);
        const size_t head = MKEIF_HEADER_LEN + MKEIF_HEAD_LEN + made.section[0].content.len;
        put(&file, head + 4, 8, sizes[i]);
        refused(bytes_of_buf(&file), ERR_EIF, "sections[1] (cmdline)", head + 4,
                "by its own head and 17 by the header");
    }
}
END_TEST

START_TEST(long_kept_sections)
{
    static uint8_t zeros[EIF_METADATA_MAX + 1];
    static const struct {
        unsigned type;
        size_t max;
        const char *field;
        const char *says;
    } rows[] = {
        {MKEIF_SIGNATURE, EIF_SIGNATURE_MAX, "sections[2] (signature)",
         "32769 bytes, at most 3276"},
        {MKEIF_METADATA, EIF_METADATA_MAX, "sections[2] (metadata)", "262145 bytes, at most 26214"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mkeif made = {.version = 3};
        CLEANUP(buf_free) struct buf file = {0};
        CLEANUP(buf_free) struct buf longest = {0};
        struct eif_description found;
        mkeif_add(&made, MKEIF_KERNEL, bytes_of_text("k"));
        mkeif_add(&made, MKEIF_CMDLINE, bytes_of_text("c"));
        mkeif_add(&made, rows[i].type, bytes_of(zeros, rows[i].max + 1));
        ck_ok(mkeif_build(&made, &file));
        refused(bytes_of_buf(&file), ERR_EIF, rows[i].field, 574, rows[i].says);
        /* One byte less is refused for what it is, not for its length. */
        made.section[2].content.len--;
        ck_ok(mkeif_build(&made, &longest));
        ck_assert_int_ne(read_in(bytes_of_buf(&longest), 0, &found), ERR_OK);
        ck_assert_ptr_null(strstr(fault.detail, "at most"));
    }
}
END_TEST

START_TEST(junk_trailing)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    make(&made, 1, &file);
    const size_t end = file.len;
    ck_ok(buf_append(&file, bytes_of("\0", 1)));
    mkeif_fix_crc(&file);
    refused(bytes_of_buf(&file), ERR_EIF, "", end, "bytes follow the last of the 4 sections");
    /* A whole section that the header does not count: nitro-cli would measure it. */
    ck_ok(buf_append(&file, bytes_of("\3\0\0\0\0\0\0\0\0\0\1x", 12)));
    mkeif_fix_crc(&file);
    refused(bytes_of_buf(&file), ERR_EIF, "", end, "bytes follow the last of the 4 sections");
}
END_TEST

/* A count that is too small leaves the rest behind; one too large, places that are none. */
START_TEST(wrong_count)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    make(&made, 1, &file);
    put(&file, MKEIF_COUNT_AT, 2, 3);
    refused(bytes_of_buf(&file), ERR_EIF, "", file.len - 13 - MKEIF_HEAD_LEN,
            "bytes follow the last of the 3 sections");
    put(&file, MKEIF_COUNT_AT, 2, 5);
    refused(bytes_of_buf(&file), ERR_EIF, "sections[4]", MKEIF_OFFSETS_AT + 32, "its place is");
}
END_TEST

START_TEST(junk_truncated)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    make(&made, 2, &file);
    for (size_t len = 0; len < file.len; len++) {
        struct eif_description found;
        ck_err(read_in(bytes_of(file.ptr, len), 0, &found), ERR_EIF);
        ck_assert_uint_eq(fault.offset, len);
        ck_assert_ptr_nonnull(strstr(fault.detail, "the file ends "));
    }
    refused(bytes_of(file.ptr, 100), ERR_EIF, "header", 100,
            "the file ends after 100 bytes, the header has 548");
    refused(bytes_of(file.ptr, file.len - 1), ERR_EIF, "sections[4] (ramdisk)", file.len - 1,
            "the file ends 1 byte before this section does, 5 of 5");
    refused(bytes_of(file.ptr, MKEIF_HEADER_LEN), ERR_EIF, "sections[0]", MKEIF_HEADER_LEN,
            "the file ends 31 bytes before this section does, 1 of 5");
}
END_TEST

/* ---- metadata ---- */

static void check_metadata(const char *text, const char *field, const char *says)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    mkeif_defaults(&made, 1);
    made.section[2].content = bytes_of_text(text);
    ck_ok(mkeif_build(&made, &file));
    struct eif_description found;
    ck_err(read_in(bytes_of_buf(&file), 0, &found), ERR_EIF);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.detail, says) != NULL, "%s", fault.detail);
    ck_assert_uint_ge(fault.offset, 620);
    ck_assert_uint_lt(fault.offset, 620 + strlen(text) + 1);
}

#define BUILD                                                                                \
    "\"BuildMetadata\":{\"BuildTime\":\"t\",\"BuildTool\":\"b\",\"BuildToolVersion\":\"v\"," \
    "\"OperatingSystem\":\"o\",\"KernelVersion\":\"k\"}"
#define NAMES "\"ImageName\":\"n\",\"ImageVersion\":\"v\","

START_TEST(wrong_metadata)
{
    check_metadata("", "sections[2] (metadata)", "not JSON");
    check_metadata("null", "sections[2] (metadata)", "not JSON");
    check_metadata("[]", "sections[2] (metadata)", "not a JSON object");
    check_metadata("{" NAMES BUILD "} {}", "sections[2] (metadata)", "not JSON");
    check_metadata("{" NAMES BUILD ",\"a\":1,\"a\":2}", "sections[2] (metadata)", "duplicate");
    check_metadata("{" NAMES BUILD ",\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}",
                   "sections[2] (metadata)", "nested deeper");
    check_metadata("{\"ImageVersion\":\"v\"," BUILD "}", "sections[2] (metadata).ImageName",
                   "required");
    check_metadata("{\"ImageName\":7,\"ImageVersion\":\"v\"," BUILD "}",
                   "sections[2] (metadata).ImageName", "must be a string");
    check_metadata("{\"ImageName\":\"n\"," BUILD "}", "sections[2] (metadata).ImageVersion",
                   "required");
    check_metadata("{" NAMES "\"DockerInfo\":null}", "sections[2] (metadata).BuildMetadata",
                   "required");
    check_metadata("{" NAMES "\"BuildMetadata\":{\"BuildTime\":\"t\"}}",
                   "sections[2] (metadata).BuildMetadata.BuildTool", "required");
    check_metadata("{" NAMES BUILD ",\"CustomMetadata\":[]}",
                   "sections[2] (metadata).CustomMetadata", "must be an object or null");
}
END_TEST

/* As nitro-cli prints it: what the builder added stands beside the rest, and replaces nothing.
 * The escapes keep a terminal from obeying it. */
START_TEST(valid_description)
{
    struct mkeif made;
    CLEANUP(buf_free) struct buf file = {0};
    CLEANUP(eif_description_free) struct eif_description found = {0};
    mkeif_defaults(&made, 1);
    made.section[2].content =
        bytes_of_text("{" NAMES BUILD
                      ",\"DockerInfo\":{\"Os\":\"linux\"},\"CustomMetadata\":{\"BuildTime\":\"x\","
                      "\"team\":\"\\u001b[31m\xc3\xa4\"}}");
    ck_ok(mkeif_build(&made, &file));
    ck_ok(read_in(bytes_of_buf(&file), 0, &found));
    json_t *json = NULL;
    ck_ok(eif_describe(&found, &json));
    char *printed = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
    char *measured = strstr(printed, "\"IsSigned\"");
    ck_assert_ptr_nonnull(measured);
    ck_assert_str_eq(measured,
                     "\"IsSigned\":false,\"CheckCRC\":true,\"ImageName\":\"n\",\"ImageVersion\":"
                     "\"v\",\"Metadata\":{\"BuildTime\":\"t\",\"BuildTool\":\"b\","
                     "\"BuildToolVersion\":\"v\",\"OperatingSystem\":\"o\",\"KernelVersion\":\"k\","
                     "\"DockerInfo\":{\"Os\":\"linux\"},\"team\":\"\\u001B[31m\\u00E4\"}}");
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(json, "Measurements"), "HashAlgorithm")),
        "Sha384 { ... }");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "EifVersion")), 4);
    free(printed);
    json_decref(json);
}
END_TEST

UNIT_MAIN("eif", valid_known_answer, valid_ramdisks, valid_any_piece, valid_any_order,
          valid_versions, valid_reserved, valid_description, wrong_header, wrong_place, long_size,
          wrong_crc, wrong_type, wrong_second_one, no_kernel_in_it, wrong_order, no_section,
          wrong_size_in_head, long_kept_sections, junk_trailing, wrong_count, junk_truncated,
          wrong_metadata)
