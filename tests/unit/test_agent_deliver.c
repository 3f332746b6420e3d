/* Delivery: what a program finds, and what nobody can do to it. */
#define _GNU_SOURCE /* F_GET_SEALS */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enclave-agent/deliver.h"
#include "enclave-agent/handover.h"

#define LARGE 65536

static struct fault fault;
static char dir[64];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/test_agent_deliver.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static const char *inside(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static struct secret *secret_of(const char *text)
{
    struct secret *secret = NULL;
    ck_ok(secret_new(strlen(text), &secret));
    memcpy(secret_ptr(secret), text, strlen(text));
    return secret;
}

static void ck_content(const char *path, const char *text)
{
    char found[256] = {0};
    const int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd, found, sizeof found), (ssize_t)strlen(text));
    ck_assert_str_eq(found, text);
    close(fd);
}

static void ck_mode(const char *path, mode_t mode)
{
    struct stat st;
    ck_assert_int_eq(lstat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, mode);
}

static size_t entries(const char *path)
{
    size_t count = 0;
    DIR *d = opendir(path);
    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count - 2;
}

START_TEST(valid_variables)
{
    static const char *const rows[][2] = {
        {"db/main", "DB_MAIN_FILE"},
        {"2fa", "_2FA_FILE"},
        {"a.b-c_d", "A_B_C_D_FILE"},
    };
    char variable[DELIVER_VARIABLE_MAX];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        deliver_variable(rows[i][0], variable);
        ck_assert_str_eq(variable, rows[i][1]);
    }
    char name[PROTOCOL_NAME_MAX + 1] = {0};
    memset(name, '1', PROTOCOL_NAME_MAX);
    deliver_variable(name, variable);
    ck_assert_uint_eq(strlen(variable), PROTOCOL_NAME_MAX + 6);
    ck_assert_str_eq(variable + PROTOCOL_NAME_MAX + 1, "_FILE");
}
END_TEST

START_TEST(valid_memfd)
{
    CLEANUP(secret_freep) struct secret *secret = secret_of("open sesame");
    int fd = -1;
    ck_ok(deliver_memfd("db/main", secret, &fd, &fault));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ck_content(path, "open sesame");
    ck_content(path, "open sesame"); /* each opening begins at the beginning */
    char first[4] = {0};
    ck_assert_int_eq(read(fd, first, 3), 3);
    ck_assert_str_eq(first, "ope");
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0444);
    ck_assert_int_eq(st.st_size, 11);
    close(fd);
}
END_TEST

START_TEST(wrong_memfd_writes)
{
    CLEANUP(secret_freep) struct secret *secret = secret_of("open sesame");
    int fd = -1;
    ck_ok(deliver_memfd("a", secret, &fd, &fault));
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS),
                     F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    ck_assert_int_eq(pwrite(fd, "x", 1, 0), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(ftruncate(fd, 0), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), -1);
    ck_assert_ptr_eq(mmap(NULL, 11, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    close(fd);
}
END_TEST

START_TEST(valid_inheritance)
{
    CLEANUP(secret_freep) struct secret *secret = secret_of("s");
    int fd = -1;
    ck_ok(deliver_memfd("a", secret, &fd, &fault));
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_ok(deliver_inherit(fd, &fault));
    ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
    close(fd);
    ck_err(deliver_inherit(fd, &fault), ERR_DELIVER);
}
END_TEST

/* A program started without standard input must not read a secret from it. */
START_TEST(valid_memfd_moved_up)
{
    CLEANUP(secret_freep) struct secret *secret = secret_of("s");
    close(STDIN_FILENO);
    int fd = -1;
    ck_ok(deliver_memfd("a", secret, &fd, &fault));
    ck_assert_int_gt(fd, STDERR_FILENO);
    ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFD), -1);
    close(fd);
}
END_TEST

START_TEST(no_descriptors)
{
    CLEANUP(secret_freep) struct secret *secret = secret_of("s");
    int last = STDERR_FILENO;
    for (int opened = 0; (opened = open("/dev/null", O_RDONLY)) >= 0;)
        last = opened;
    int fd = -1;
    ck_err(deliver_memfd("a", secret, &fd, &fault), ERR_DELIVER);
    close(last); /* room for what the sanitizers open */
    ck_assert_str_eq(fault.detail, "a: no memory file: Too many open files");
    ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(valid_files)
{
    make_dir();
    CLEANUP(secret_freep) struct secret *one = secret_of("one");
    CLEANUP(secret_freep) struct secret *two = secret_of("two");
    umask(0);
    ck_ok(deliver_file(inside("made"), "a/b/c", one, &fault));
    ck_content(inside("made/a/b/c"), "one");
    ck_mode(inside("made/a/b/c"), 0400);
    ck_mode(inside("made/a/b"), 0700);
    ck_mode(inside("made"), 0700);
    ck_ok(deliver_file(inside("made"), "a/b/c", two, &fault)); /* a restart */
    ck_content(inside("made/a/b/c"), "two");
    ck_assert_uint_eq(entries(inside("made/a/b")), 1);
    remove_dir();
}
END_TEST

/* A link in the folder leads out of it: neither followed nor replaced. */
START_TEST(wrong_places)
{
    make_dir();
    CLEANUP(secret_freep) struct secret *secret = secret_of("one");
    ck_assert_int_eq(mkdir(inside("d"), 0700), 0);
    ck_assert_int_eq(symlink(dir, inside("d/link")), 0);
    ck_err(deliver_file(inside("d"), "link/a", secret, &fault), ERR_DELIVER);
    ck_err(deliver_file(inside("d"), "link", secret, &fault), ERR_DELIVER);
    ck_assert_msg(strstr(fault.detail, "is there and is no regular file") != NULL, "%s",
                  fault.detail);
    ck_assert_int_eq(mkdir(inside("d/a"), 0700), 0);
    ck_err(deliver_file(inside("d"), "a", secret, &fault), ERR_DELIVER);
    ck_err(deliver_file(inside("no/such"), "a", secret, &fault), ERR_DELIVER);
    ck_assert_ptr_nonnull(strstr(fault.detail, "no/such cannot be made: No such file or directory; "
                                               "the one above it must be in the image"));
    ck_assert_uint_eq(entries(inside("d")), 2);
    remove_dir();
}
END_TEST

static const struct deliver_access access_own = {
    .mode = 0600, .uid = DELIVER_OWN, .gid = DELIVER_OWN};

START_TEST(valid_path)
{
    make_dir();
    CLEANUP(secret_freep) struct secret *one = secret_of("one");
    CLEANUP(secret_freep) struct secret *two = secret_of("two");
    ck_ok(deliver_path(inside("out"), one, &access_own, &fault));
    ck_mode(inside("out"), 0600);
    ck_content(inside("out"), "one");
    ck_ok(deliver_path(inside("out"), two, &access_own, &fault));
    ck_content(inside("out"), "two");
    ck_assert_int_eq(chdir(dir), 0);
    ck_ok(deliver_path("bare", two, &access_own, &fault));
    ck_content(inside("bare"), "two");
    /* Stands for /dev/stdout and the like, which a broken check would replace. */
    ck_assert_int_eq(mkfifo(inside("pipe"), 0600), 0);
    ck_err(deliver_path(inside("pipe"), one, &access_own, &fault), ERR_DELIVER);
    ck_err(deliver_path(inside(""), one, &access_own, &fault), ERR_DELIVER);
    ck_err(deliver_path(inside("no/such"), one, &access_own, &fault), ERR_DELIVER);
    ck_assert_uint_eq(entries(dir), 3);
    remove_dir();
}
END_TEST

START_TEST(valid_access)
{
    make_dir();
    CLEANUP(secret_freep) struct secret *one = secret_of("one");
    struct stat st;
    const struct deliver_access group = {.mode = 0440, .uid = DELIVER_OWN, .gid = DELIVER_OWN};
    umask(077);
    ck_ok(deliver_path(inside("group"), one, &group, &fault));
    ck_mode(inside("group"), 0440); /* as asked, whatever the umask */
    const struct deliver_access other = {.mode = 0400, .uid = 12345, .gid = 54321};
    if (geteuid() == 0) {
        ck_ok(deliver_path(inside("other"), one, &other, &fault));
        ck_mode(inside("other"), 0400);
        ck_assert_int_eq(stat(inside("other"), &st), 0);
        ck_assert_uint_eq(st.st_uid, 12345);
        ck_assert_uint_eq(st.st_gid, 54321);
        const struct deliver_access user = {.mode = 0400, .uid = 12345, .gid = DELIVER_OWN};
        ck_ok(deliver_path(inside("other"), one, &user, &fault));
        ck_assert_int_eq(stat(inside("other"), &st), 0);
        ck_assert_uint_eq(st.st_gid, getegid());
        ck_assert_int_eq(chown(dir, 12345, 12345), 0);
        ck_assert_int_eq(seteuid(12345), 0);
    }
    const struct deliver_access root = {.mode = 0400, .uid = 0, .gid = 0};
    ck_err(deliver_path(inside("root"), one, &root, &fault), ERR_DELIVER);
    ck_assert_msg(strstr(fault.detail, "cannot be given to its owner: Operation not permitted; "
                                       "the agent must be root for that") != NULL,
                  "%s", fault.detail);
    ck_assert_int_ne(access(inside("root"), F_OK), 0);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_uint_eq(entries(dir), getuid() == 0 ? 2 : 1);
    remove_dir();
}
END_TEST

/* A writer that is killed in the middle leaves its file, with some of the secret in it: it is at a
 * place that the next writer, and the end, find. */
static void leave_half(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "hal", 3), 3);
    close(fd);
}

/* ".vouchsafe-" and 16 digits of `printf out | sha256sum`. */
#define BESIDE_OUT ".vouchsafe-762069bc07a6e1b5"

START_TEST(valid_left_by_the_killed)
{
    make_dir();
    CLEANUP(secret_freep) struct secret *one = secret_of("one");
    leave_half(inside(BESIDE_OUT));
    ck_ok(deliver_path(inside("out"), one, &access_own, &fault));
    ck_content(inside("out"), "one");
    ck_assert_uint_eq(entries(dir), 1);
    leave_half(inside(BESIDE_OUT));
    leave_half(inside("other"));
    ck_ok(deliver_remove(inside("out"), &fault));
    ck_assert_uint_eq(entries(dir), 1);
    ck_content(inside("other"), "hal");
    ck_ok(deliver_remove(inside("out"), &fault)); /* there is none */
    ck_ok(deliver_remove(inside("no/such"), &fault));
    ck_assert_int_eq(chdir(dir), 0);
    leave_half(BESIDE_OUT);
    ck_ok(deliver_remove("out", &fault));
    ck_assert_uint_eq(entries(dir), 1);
    remove_dir();
}
END_TEST

/* Writes one value, all of it `byte`, again and again; ends with 0 where each time that worked. */
static pid_t begin_writer(char byte)
{
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child > 0)
        return child;
    struct secret *value = NULL;
    enum err err = secret_new(LARGE, &value);
    if (err == ERR_OK)
        memset(secret_ptr(value), byte, LARGE);
    for (int i = 0; i < 200 && err == ERR_OK; i++)
        err = deliver_file(dir, "x", value, &fault);
    if (err != ERR_OK)
        fprintf(stderr, "%s\n", fault.detail);
    _exit(err == ERR_OK ? 0 : 1);
}

static void ck_whole(const char *path)
{
    static char found[LARGE + 1];
    const int fd = open(path, O_RDONLY);
    if (fd < 0)
        return; /* not yet */
    ck_assert_int_eq(read(fd, found, sizeof found), LARGE);
    ck_assert_int_eq(memcmp(found, found + 1, LARGE - 1), 0);
    close(fd);
}

/* A folder where something may be made need not be one that may be listed. */
START_TEST(valid_look)
{
    make_dir();
    ck_ok(deliver_look_dir(dir, &fault));
    ck_ok(deliver_look_dir(inside("new//"), &fault));
    ck_err(deliver_look_dir(inside("no/new"), &fault), ERR_DELIVER);
    ck_assert_ptr_nonnull(strstr(fault.detail, "is it in the image, or mounted by --tmpfs?"));
    ck_assert_int_eq(chmod(dir, 0333), 0);
    const pid_t stranger = fork();
    ck_assert_int_ge(stranger, 0);
    if (stranger == 0) {
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
            _exit(2);
        if (access(dir, R_OK) == 0)
            _exit(3); /* then this test shows nothing */
        _exit(deliver_look_dir(inside("new"), &fault) == ERR_OK ? 0 : 1);
    }
    int how = 0;
    ck_assert_int_eq(waitpid(stranger, &how, 0), stranger);
    ck_assert_int_eq(how, 0);
    ck_assert_int_eq(chmod(dir, 0700), 0);
    remove_dir();
}
END_TEST

/* Two agents, of which neither knows of the other: each file is whole, and each delivery works. */
START_TEST(valid_writers_at_once)
{
    make_dir();
    const pid_t writers[] = {begin_writer('a'), begin_writer('b')};
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        int how = 0;
        while (waitpid(writers[i], &how, WNOHANG) == 0)
            ck_whole(inside("x"));
        ck_assert_int_eq(how, 0);
    }
    ck_assert_uint_eq(entries(dir), 1);
    remove_dir();
}
END_TEST

/* Who holds on to the folder is not waited for without end, and is left alone. */
START_TEST(wrong_lock)
{
    make_dir();
    CLEANUP(secret_freep) struct secret *one = secret_of("one");
    const int folder = open(dir, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(flock(folder, LOCK_SH), 0);
    ck_err(deliver_file(dir, "x", one, &fault), ERR_DELIVER);
    ck_assert_ptr_nonnull(strstr(fault.detail, "/x: another process has locked its folder"));
    ck_assert_uint_eq(entries(dir), 0);
    close(folder);
    ck_ok(deliver_file(dir, "x", one, &fault));
    remove_dir();
}
END_TEST

/* What stands in one of the two places and cannot be removed is told of, and the other is
 * removed all the same. */
START_TEST(wrong_removal)
{
    make_dir();
    ck_assert_int_eq(mkdir(inside("out"), 0700), 0);
    leave_half(inside(BESIDE_OUT));
    ck_err(deliver_remove(inside("out"), &fault), ERR_DELIVER);
    ck_assert_msg(strstr(fault.detail, "/out cannot be removed: Is a directory") != NULL, "%s",
                  fault.detail);
    ck_assert_uint_eq(entries(dir), 1);
    ck_assert_int_eq(rmdir(inside("out")), 0);
    CLEANUP(secret_freep) struct secret *one = secret_of("one");
    ck_assert_int_eq(mkdir(inside(BESIDE_OUT), 0700), 0);
    ck_err(deliver_path(inside("out"), one, &access_own, &fault), ERR_DELIVER);
    leave_half(inside("out"));
    ck_err(deliver_remove(inside("out"), &fault), ERR_DELIVER);
    ck_assert_msg(strstr(fault.detail, BESIDE_OUT " cannot be removed") != NULL, "%s",
                  fault.detail);
    ck_assert_uint_eq(entries(dir), 1);
    remove_dir();
}
END_TEST

/* A disk that is full leaves nothing behind and the old file as it was. */
START_TEST(wrong_write)
{
    CLEANUP(secret_freep) struct secret *secret = secret_of("one");
    const int full = open("/dev/full", O_WRONLY);
    ck_assert_int_ge(full, 0);
    ck_err(deliver_write(full, "/dev/full", secret, &fault), ERR_DELIVER);
    ck_assert_str_eq(fault.detail, "/dev/full: No space left on device");
    close(full);
}
END_TEST

/* What is there already need not be written again; anything else must. */
START_TEST(valid_holds)
{
    CLEANUP(secret_freep) struct secret *one = secret_of("one");
    CLEANUP(secret_freep) struct secret *two = secret_of("two");
    CLEANUP(secret_freep) struct secret *longer = secret_of("one more");
    CLEANUP(secret_freep) struct secret *none = secret_of("");
    make_dir();
    ck_assert(!deliver_holds(inside("a/b"), one));
    ck_ok(deliver_file(dir, "a/b", one, &fault));
    ck_assert(deliver_holds(inside("a/b"), one));
    ck_assert(!deliver_holds(inside("a/b"), two));
    ck_assert(!deliver_holds(inside("a/b"), longer));
    ck_assert(!deliver_holds(inside("a/b"), none));
    ck_ok(deliver_file(dir, "a/c", longer, &fault));
    ck_assert(!deliver_holds(inside("a/c"), one)); /* begins with it */
    ck_ok(deliver_file(dir, "none", none, &fault));
    ck_assert(deliver_holds(inside("none"), none));
    ck_assert(!deliver_holds(inside("a"), one)); /* a folder */
    ck_assert_int_eq(symlink("b", inside("a/link")), 0);
    ck_assert(!deliver_holds(inside("a/link"), one)); /* somebody else's */
    ck_assert_int_eq(mkfifo(inside("pipe"), 0600), 0);
    ck_assert(!deliver_holds(inside("pipe"), one)); /* nobody writes to it: no waiting */
    remove_dir();
}
END_TEST

/* --- Again, at a refresh --- */

static enum err told_with;
static unsigned told;

static enum err tell(int to, struct fault *f)
{
    (void)to;
    (void)f;
    told++;
    ck_assert_int_ne(access(inside("x"), F_OK), 0); /* before there is anything to see */
    return told_with;
}

/* A file that is new and that nobody was told of would be taken for known the next time. */
START_TEST(valid_told_first)
{
    struct settings settings = {0};
    struct answer_opened opened = {.count = 1, .item = {{.name = "a", .value = secret_of("new")}}};
    char text[300];
    make_dir();
    snprintf(text, sizeof text, "a=file:%s", inside("x"));
    ck_ok(wanted_add(&settings.wanted, bytes_of_text("a"), 0, 0, NULL));
    ck_ok(delivery_plan_add(&settings.deliveries, &settings.wanted, text, &fault));
    told_with = ERR_DELIVER;
    ck_err(hand_over_again(&settings, &opened, tell, 0, &fault), ERR_DELIVER);
    ck_assert_int_ne(access(inside("x"), F_OK), 0);
    told_with = ERR_OK;
    ck_ok(hand_over_again(&settings, &opened, tell, 0, &fault));
    ck_assert_int_eq(access(inside("x"), F_OK), 0);
    ck_ok(hand_over_again(&settings, &opened, tell, 0, &fault));
    ck_assert_uint_eq(told, 2); /* nothing was new the last time */
    delivery_plan_free(&settings.deliveries);
    answer_opened_free(&opened);
    remove_dir();
}
END_TEST

UNIT_MAIN("agent_deliver", valid_variables, valid_memfd, wrong_memfd_writes, valid_inheritance,
          valid_memfd_moved_up, no_descriptors, valid_files, wrong_places, valid_path, valid_access,
          wrong_write, valid_left_by_the_killed, valid_look, valid_writers_at_once, wrong_lock,
          wrong_removal, valid_holds, valid_told_first)
