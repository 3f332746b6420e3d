#include "verifier/warden/anchor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char dir[64];
static char path[sizeof dir + 8];
static const struct anchor now = {.store_id = {1, 2, 3}, .revision = 7, .sequence = 40};

static void begin(void)
{
    /* A directory of our own: in the common one somebody else could be first. */
    strcpy(dir, "/tmp/vouchsafe-anchor-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/anchor", dir);
}

static void end(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static void overwrite(const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(no_file)
{
    begin();
    ck_err(anchor_check(path, &now, NULL), ERR_NOT_FOUND);
    end();
}
END_TEST

START_TEST(valid_same_and_ahead)
{
    struct anchor later = now;
    struct stat st;
    begin();
    ck_ok(anchor_write(path, &now, NULL));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_ok(anchor_check(path, &now, NULL));
    later.revision++;
    later.sequence += 5;
    ck_ok(anchor_check(path, &later, NULL));
    ck_ok(anchor_write(path, &later, NULL));
    ck_err(anchor_check(path, &now, NULL), ERR_STORE_TAMPERED);
    end();
}
END_TEST

START_TEST(wrong_revision_or_sequence_behind)
{
    struct fault fault = FAULT_NONE;
    struct anchor behind = now;
    begin();
    ck_ok(anchor_write(path, &now, NULL));
    behind.revision--;
    behind.sequence++;
    ck_err(anchor_check(path, &behind, &fault), ERR_STORE_TAMPERED);
    ck_assert_str_eq(fault.field, "anchor_file");
    behind = now;
    behind.sequence--;
    behind.revision++;
    ck_err(anchor_check(path, &behind, NULL), ERR_STORE_TAMPERED);
    end();
}
END_TEST

START_TEST(wrong_store)
{
    struct anchor other = now;
    begin();
    ck_ok(anchor_write(path, &now, NULL));
    other.store_id[15] ^= 1;
    ck_err(anchor_check(path, &other, NULL), ERR_CONFIG);
    end();
}
END_TEST

START_TEST(junk_file)
{
    static const char *const junk[] = {
        "",
        "revision 7\n",
        "store 01020300000000000000000000000000\nrevision 7\nsequence 40",
        "store 01020300000000000000000000000000\nrevision 7\nsequence 40\n\n",
        "store 01020300000000000000000000000000\nrevision  7\nsequence 40\n",
        "store 01020300000000000000000000000000\nrevision -7\nsequence 40\n",
        "store 0102030000000000000000000000000\nrevision 7\nsequence 40\n",
        "store 01020300000000000000000000000000\nrevision 99999999999999999999\nsequence 40\n",
    };
    begin();
    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        overwrite(junk[i]);
        ck_err(anchor_check(path, &now, NULL), ERR_CONFIG);
    }
    end();
}
END_TEST

START_TEST(wrong_place)
{
    ck_err(anchor_write("/nonexistent/anchor", &now, NULL), ERR_FILE);
    begin();
    ck_assert_int_eq(symlink("/etc/hostname", path), 0);
    ck_err(anchor_check(path, &now, NULL), ERR_FILE);
    end();
}
END_TEST

UNIT_MAIN("anchor", no_file, valid_same_and_ahead, wrong_revision_or_sequence_behind, wrong_store,
          junk_file, wrong_place)
