/* Files are read to their end or to the limit; what cannot be read or synced is named. */
#include "common/file.h"

#include <stdio.h>
#include <unistd.h>

#include "unit.h"

static char folder[] = "/tmp/vouchsafe-file-XXXXXX";
static char path[64];

static uint8_t content[200000]; /* longer than one read */

static void make(size_t len)
{
    for (size_t i = 0; i < len; i++)
        content[i] = (uint8_t)(i % 251);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/name", folder);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

static void tidy(void)
{
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(valid_read)
{
    static const size_t limits[] = {0, 1, 65535, 65536, 65537, 199999, 200000, 200001, SIZE_MAX};
    CLEANUP(buf_free) struct buf got = {0};
    make(sizeof content);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        ck_ok(file_read(path, limits[i], &got, NULL));
        ck_assert_uint_eq(got.len, limits[i] < sizeof content ? limits[i] : sizeof content);
        ck_assert(bytes_equal(bytes_of_buf(&got), bytes_of(content, got.len)));
    }
    tidy();
}
END_TEST

START_TEST(no_file)
{
    CLEANUP(buf_free) struct buf got = {0};
    struct fault fault = FAULT_NONE;
    ck_err(file_read("/tmp/vouchsafe-no-such-file", 1, &got, &fault), ERR_FILE);
    ck_assert_str_eq(fault.detail, "/tmp/vouchsafe-no-such-file: No such file or directory");
    ck_err(file_read("/tmp", 1, &got, &fault), ERR_FILE);
    ck_assert_str_eq(fault.detail, "/tmp: Is a directory");
    ck_err(file_read_from(-1, "standard input", 1, &got, &fault), ERR_FILE);
    ck_assert_str_eq(fault.detail, "standard input: Bad file descriptor");
    ck_assert_uint_eq(got.len, 0);
}
END_TEST

START_TEST(valid_sync)
{
    make(1);
    ck_ok(file_sync_directory(path, NULL));
    ck_ok(file_sync_directory("no-folder-in-the-name", NULL));
    tidy();
}
END_TEST

START_TEST(no_directory)
{
    struct fault fault = FAULT_NONE;
    ck_err(file_sync_directory("/tmp/vouchsafe-no-such-folder/name", &fault), ERR_FILE);
    ck_assert_ptr_nonnull(strstr(fault.detail, "No such file or directory"));
}
END_TEST

UNIT_MAIN("file", valid_read, no_file, valid_sync, no_directory)
