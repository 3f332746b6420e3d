/* File systems in memory: how one is asked for, and what lies in one.  Mounting is for
 * tests/e2e/delivered.py, in a namespace. */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enclave-agent/memory_fs.h"

static struct fault fault;

START_TEST(valid_texts)
{
    static const char *const rows[][3] = {
        {"/run/x", "/run/x", "size=16m,mode=0755"},
        {"/r,size=4k", "/r", "size=4k,mode=0755"},
        {"/r,mode=700,size=999999999", "/r", "size=999999999,mode=700"},
        {"/r,mode=01777", "/r", "size=16m,mode=01777"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct memory_fs fs;
        ck_ok(memory_fs_parse(rows[i][0], &fs, &fault));
        ck_assert_str_eq(fs.dir, rows[i][1]);
        ck_assert_str_eq(fs.options, rows[i][2]);
    }
}
END_TEST

START_TEST(wrong_texts)
{
    static const char *const rows[] = {
        "",
        "run",
        "/",
        "/r,",
        "/r,x",
        "/r,size=",
        "/r,size=0",
        "/r,size=12x",
        "/r,size=k",
        "/r,size=1mm",
        "/r,size=-1",
        "/r,size=50%",
        "/r,size=1234567890",
        "/r,mode=",
        "/r,mode=7",
        "/r,mode=0888",
        "/r,mode=077777",
        "/r,size=1,size=2",
        "/r,mode=755,mode=755",
        "/r,uid=1",
        "/r,size=1m,exec",
        "/r,size=1m,,mode=755",
    };
    struct memory_fs fs = {.dir = "kept"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_msg(memory_fs_parse(rows[i], &fs, &fault) == ERR_USAGE, "%s", rows[i]);
        ck_assert_str_eq(fs.dir, "kept");
    }
    char text[MEMORY_FS_DIR_MAX + 2] = "/";
    memset(text + 1, 'x', MEMORY_FS_DIR_MAX);
    ck_err(memory_fs_parse(text, &fs, &fault), ERR_USAGE);
    text[MEMORY_FS_DIR_MAX] = '\0';
    ck_ok(memory_fs_parse(text, &fs, &fault));
}
END_TEST

/* Read-only kernel file systems are no place of either kind, but surely not memory's. */
START_TEST(valid_holds)
{
    struct stat st;
    ck_assert(!memory_fs_holds("/proc/self"));
    ck_assert(!memory_fs_holds("/proc/no/such/file"));
    ck_assert(memory_fs_holds("/proc/self/status/x")); /* no folder: unknown */
    if (stat("/dev/shm", &st) == 0 && S_ISDIR(st.st_mode)) {
        ck_assert(memory_fs_holds("/dev/shm"));
        ck_assert(memory_fs_holds("/dev/shm/no/such"));
    }
    ck_assert_int_eq(chdir("/proc"), 0);
    ck_assert(!memory_fs_holds("no-such"));
}
END_TEST

UNIT_MAIN("agent_memory_fs", valid_texts, wrong_texts, valid_holds)
