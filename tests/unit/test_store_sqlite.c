/* The SQLite file: whose it is, and what is left of it when things fail. */
#include "store_sqlite_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>

#define NOBODY 65534

static void write_file(const struct fixture *f, const char *mode, long offset, size_t len)
{
    FILE *file = fopen(f->path, mode);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, offset, SEEK_SET), 0);
    for (size_t i = 0; i < len; i++)
        ck_assert_int_ne(fputc((int)(i * 7 % 251) | 1, file), EOF);
    ck_assert_int_eq(fclose(file), 0);
}

/* --- the file --- */

static unsigned mode_of(const char *path, const char *suffix)
{
    struct stat info;
    char name[1024];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    ck_assert_int_eq(stat(name, &info), 0);
    return info.st_mode & 07777;
}

SQLITE_TEST(valid_mode, fixture_prepare)
{
    const mode_t before = umask(0);
    ck_ok(fixture_create(f));
    ck_ok(fixture_open(f));
    f->sequence = 1;
    ck_ok(fixture_change(f, NULL, NULL));
    umask(before);
    ck_assert_uint_eq(mode_of(f->path, ""), 0600);
    ck_assert_uint_eq(mode_of(f->path, "-wal"), 0600);
    ck_assert_uint_eq(mode_of(f->path, "-shm"), 0600);
    fixture_close(f);
    ck_assert_uint_eq(fixture_file_count(f), 1); /* one file, when nobody has it open */
}

SQLITE_TEST(wrong_file_exists, fixture_make)
{
    ck_err(fixture_create(f), ERR_EXISTS);
    fixture_holds(f, &f->rows);
    fixture_close(f);
    write_file(f, "wb", 0, 0);
    f->sequence = 0;
    ck_err(fixture_create(f), ERR_EXISTS);
    ck_assert_uint_eq(fixture_file_count(f), 1);
}

SQLITE_TEST(no_directory, fixture_prepare)
{
    char path[512];
    snprintf(path, sizeof path, "%s", f->path);
    snprintf(f->path, sizeof f->path, "%s/none/vouchsafe.db", f->dir);
    ck_err(fixture_create(f), ERR_FILE);
    ck_err(fixture_open(f), ERR_FILE);
    snprintf(f->path, sizeof f->path, "%s", path);
}

SQLITE_TEST(wrong_first_change, fixture_prepare)
{
    f->sequence = 1; /* the first record would be number 2 */
    ck_err(fixture_create(f), ERR_STORE_CONFLICT);
    ck_assert_uint_eq(fixture_file_count(f), 0);
    f->sequence = 0;
    ck_ok(fixture_create(f));
}

SQLITE_TEST(no_file, fixture_prepare)
{
    ck_err(fixture_open(f), ERR_FILE);
    demand_words(f, "vouchsafe init");
    ck_assert_uint_eq(fixture_file_count(f), 0);
}

SQLITE_TEST(junk_file, fixture_prepare)
{
    write_file(f, "wb", 0, 20000);
    ck_err(fixture_open(f), ERR_STORE);
    demand_words(f, "no store");
    demand_words(f, f->path);
}

SQLITE_TEST(junk_empty_file, fixture_prepare)
{
    write_file(f, "wb", 0, 0);
    ck_err(fixture_open(f), ERR_STORE);
    demand_words(f, "vouchsafe init");
}

SQLITE_TEST(wrong_application, fixture_prepare)
{
    tamper(f, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    ck_err(fixture_open(f), ERR_STORE);
    demand_words(f, "another program");
    tamper(f, "PRAGMA application_id = -2");
    ck_err(fixture_open(f), ERR_STORE);
    demand_words(f, "0xfffffffe");
    ck_assert_uint_eq(fixture_file_count(f), 1); /* not turned into a WAL database either */
    tamper(f, "UPDATE theirs SET x = 2");
}

SQLITE_TEST(wrong_schema_newer, fixture_make)
{
    char words[64];
    fixture_close(f);
    tamper(f, "PRAGMA user_version = 77");
    ck_err(fixture_open(f), ERR_STORE_NEWER);
    demand_words(f, "has schema 77");
    snprintf(words, sizeof words, "up to %zu", sqlite_migration_count);
    demand_words(f, words);
    snprintf(words, sizeof words, "PRAGMA user_version = %zu", sqlite_migration_count);
    tamper(f, words);
    ck_ok(fixture_open(f));
}

SQLITE_TEST(junk_pages, fixture_make)
{
    fixture_close(f);
    write_file(f, "r+b", 4096, 40960);
    ck_err(read_everything(f), ERR_STORE);
    demand_words(f, "malformed");
}

SQLITE_TEST(long_gone_pages, fixture_make)
{
    fixture_close(f);
    ck_assert_int_eq(truncate(f->path, 8192), 0);
    ck_err(read_everything(f), ERR_STORE);
}

/* --- failures from outside --- */

/* Runs the rest as somebody who is not root; the exit status is the error. */
static int open_as_nobody(struct fixture *f)
{
    int status = 0;
    fixture_close(f);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(200);
        const enum err err = fixture_open(f);
        _exit(strstr(f->fault.detail, "writ") != NULL ? (int)err : 201);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

SQLITE_TEST(wrong_directory_mode, fixture_make)
{
    if (geteuid() == 0)
        ck_assert_int_eq(chown(f->path, NOBODY, NOBODY), 0);
    ck_assert_int_eq(chmod(f->dir, 0555), 0);
    ck_assert_int_eq(open_as_nobody(f), ERR_STORE);
    ck_assert_int_eq(chmod(f->dir, 0755), 0);
}

SQLITE_TEST(wrong_file_mode, fixture_make)
{
    ck_assert_int_eq(chmod(f->dir, 0777), 0);
    ck_assert_int_eq(chmod(f->path, 0444), 0);
    ck_assert_int_eq(open_as_nobody(f), ERR_STORE);
}

static const char *on_connect; /* SQL that every new connection to a file runs */
static int (*on_commit)(void *);

static int connected(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)api;
    if (on_commit != NULL)
        sqlite3_commit_hook(db, on_commit, NULL);
    const bool in_memory = sqlite3_db_filename(db, "main")[0] == '\0';
    return on_connect == NULL || in_memory ? SQLITE_OK
                                           : sqlite3_exec(db, on_connect, NULL, NULL, message);
}

static void hook_connections(void)
{
    ck_assert_int_eq(sqlite3_auto_extension((void (*)(void))connected), SQLITE_OK);
}

SQLITE_TEST(no_room, fixture_make)
{
    static char record[200000];
    struct decision decision;
    struct store_outcome out = {0};

    fixture_close(f);
    on_connect = "PRAGMA max_page_count = 1"; /* as large as it is, and no larger */
    hook_connections();
    ck_ok(fixture_open(f));
    decision_make(&decision, f, 1, "i-1");
    decision.audit[0].record = bytes_of(record, sizeof record);
    ck_err(decision_commit(f, &decision, &out), ERR_STORE);
    demand_words(f, "full");
    ck_assert_uint_eq(out.sealed_count, 0);
    ck_ok(f->ops->check_redeemed(f->store, decision.d.challenge, &f->fault));
    on_connect = NULL;
    fixture_reopen(f);
    fixture_holds(f, &f->rows);
    ck_ok(decision_commit(f, &decision, &out));
    store_outcome_free(&out);
}

SQLITE_TEST(wrong_time_locked, fixture_make)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    ck_err(fixture_change(f, NULL, NULL), ERR_BUSY);
    demand_words(f, "another program");
    fixture_holds(f, &f->rows); /* readers do not wait */
    sqlite3_close(db);
    ck_ok(fixture_change(f, NULL, NULL));
}

/* --- killed --- */

static int die(void *context)
{
    (void)context;
    _exit(9);
}

static void decide_something(struct fixture *f)
{
    struct decision decision;
    struct store_outcome out = {0};
    decision_make(&decision, f, 1, "i-1");
    decision.d.quota_count = 1;
    decision.d.quota[0] = (struct quota_use){GRANT_ID, 5};
    if (fixture_open(f) == ERR_OK && decision_commit(f, &decision, &out) == ERR_OK)
        _exit(0);
}

static void change_something(struct fixture *f)
{
    CLEANUP(rows_free) struct rows change = {0};
    rows_add(&change, POLICY_IMAGE, 2, 2, "tu", "new", U(5));
    if (fixture_open(f) == ERR_OK && fixture_change(f, &change, NULL) == ERR_OK)
        _exit(0);
}

static void create_something(struct fixture *f)
{
    f->sequence = 0;
    if (fixture_create(f) == ERR_OK)
        _exit(0);
}

/* In a process that dies at the moment of the commit, or just after it. */
static void run_and_die(struct fixture *f, void (*action)(struct fixture *f), bool before)
{
    int status = 0;
    fixture_close(f);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        on_commit = before ? die : NULL;
        if (sqlite3_auto_extension((void (*)(void))connected) == SQLITE_OK)
            action(f);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), before ? 9 : 0);
}

SQLITE_TEST(valid_death_before_commit, fixture_make)
{
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    uint64_t used = 99;
    memset(challenge, 1, sizeof challenge);
    run_and_die(f, decide_something, true);
    run_and_die(f, change_something, true);
    ck_ok(fixture_open(f));
    fixture_holds(f, &f->rows);
    ck_ok(f->ops->check_redeemed(f->store, challenge, &f->fault));
    ck_ok(f->ops->read_quota(f->store, GRANT_ID, &used, &f->fault));
    ck_assert_uint_eq(used, 0);
}

SQLITE_TEST(valid_death_after_commit, fixture_make)
{
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    uint64_t used = 99;
    memset(challenge, 1, sizeof challenge);
    run_and_die(f, decide_something, false);
    ck_ok(fixture_open(f));
    f->sequence = 2;
    fixture_holds(f, &f->rows);
    ck_err(f->ops->check_redeemed(f->store, challenge, &f->fault), ERR_CHALLENGE_REDEEMED);
    ck_ok(f->ops->read_quota(f->store, GRANT_ID, &used, &f->fault));
    ck_assert_uint_eq(used, 1);
}

SQLITE_TEST(valid_death_of_init, fixture_prepare)
{
    run_and_die(f, create_something, true);
    ck_err(fixture_open(f), ERR_STORE);
    demand_words(f, "vouchsafe init");
}

UNIT_MAIN("store_sqlite", valid_mode, wrong_file_exists, no_directory, wrong_first_change, no_file,
          junk_file, junk_empty_file, wrong_application, wrong_schema_newer, junk_pages,
          long_gone_pages, wrong_directory_mode, wrong_file_mode, no_room, wrong_time_locked,
          valid_death_before_commit, valid_death_after_commit, valid_death_of_init)
