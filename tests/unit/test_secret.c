/* What must never be seen: lengths, wiping, locked memory. */
#include "unit.h"

#include <openssl/crypto.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/secret.h"
#include "sanitized.h"

#define ARENA 16384

/* A pipe that holds `len` times 'k' and then ends. */
static int pipe_with(size_t len)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    for (size_t i = 0; i < len; i++)
        ck_assert_int_eq(write(fds[1], "k", 1), 1);
    close(fds[1]);
    return fds[0];
}

START_TEST(valid_new_is_zero)
{
    CLEANUP(secret_freep) struct secret *s = NULL;
    ck_ok(secret_new(48, &s));
    ck_assert_uint_eq(secret_len(s), 48);
    ck_assert(bytes_all_zero(secret_view(s)));
    secret_ptr(s)[47] = 7;
    ck_assert_uint_eq(secret_view(s).ptr[47], 7);
}
END_TEST

START_TEST(valid_new_empty)
{
    CLEANUP(secret_freep) struct secret *s = NULL;
    ck_ok(secret_new(0, &s));
    ck_assert_uint_eq(secret_len(s), 0);
}
END_TEST

START_TEST(long_new)
{
    struct secret *s = NULL;
    ck_err(secret_new(SIZE_MAX, &s), ERR_NO_MEMORY);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(valid_random_differs)
{
    CLEANUP(secret_freep) struct secret *a = NULL;
    CLEANUP(secret_freep) struct secret *b = NULL;
    ck_ok(secret_new_random(32, &a));
    ck_ok(secret_new_random(32, &b));
    ck_assert_uint_eq(secret_len(a), 32);
    ck_assert(!bytes_all_zero(secret_view(a)));
    ck_assert(!bytes_equal(secret_view(a), secret_view(b)));
}
END_TEST

START_TEST(valid_from_fd)
{
    const size_t lens[] = {0, 1, 31, 32};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        CLEANUP(secret_freep) struct secret *s = NULL;
        const int fd = pipe_with(lens[i]);
        ck_ok(secret_new_from_fd(fd, 32, &s));
        close(fd);
        ck_assert_uint_eq(secret_len(s), lens[i]);
        for (size_t k = 0; k < lens[i]; k++)
            ck_assert_uint_eq(secret_view(s).ptr[k], 'k');
    }
}
END_TEST

START_TEST(long_from_fd)
{
    struct secret *s = NULL;
    const int fd = pipe_with(33);
    ck_err(secret_new_from_fd(fd, 32, &s), ERR_TOO_LARGE);
    close(fd);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(wrong_fd)
{
    struct secret *s = NULL;
    ck_err(secret_new_from_fd(-1, 32, &s), ERR_FILE);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(valid_copy)
{
    uint8_t to[4] = {1, 2, 3, 4};
    secret_copy(to + 1, bytes_of("ab", 2));
    ck_assert_mem_eq(to, "\1ab\4", 4);
    secret_copy(to, bytes_of(NULL, 0));
    ck_assert_mem_eq(to, "\1ab\4", 4);
}
END_TEST

START_TEST(valid_truncate_wipes)
{
    CLEANUP(secret_freep) struct secret *s = NULL;
    ck_ok(secret_new(32, &s));
    uint8_t *p = secret_ptr(s);
    memset(p, 0xaa, 32);
    secret_truncate(s, 10);
    ck_assert_uint_eq(secret_len(s), 10);
    ck_assert_uint_eq(p[9], 0xaa);
    ck_assert(bytes_all_zero(bytes_of(p + 10, 22)));
    secret_truncate(s, 20); /* never grows: what is gone is gone */
    ck_assert_uint_eq(secret_len(s), 10);
}
END_TEST

START_TEST(valid_free)
{
    secret_free(NULL);
    struct secret *s = NULL;
    ck_ok(secret_new(1, &s));
    secret_freep(&s);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(valid_wipe)
{
    uint8_t a[32];
    uint8_t b[48];
    memset(a, 1, sizeof a);
    memset(b, 1, sizeof b);
    wipe_32(&a);
    wipe_48(&b);
    ck_assert(bytes_all_zero(bytes_of(a, sizeof a)));
    ck_assert(bytes_all_zero(bytes_of(b, sizeof b)));
}
END_TEST

/* secret_init is for the life of a process: each in one of its own. */
static void in_child(void (*body)(void))
{
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "the step at line %d failed", WEXITSTATUS(status));
}

/* In a child, Check's own asserts would report to nobody. */
#define child_assert(condition)     \
    do {                            \
        if (!(condition))           \
            _exit(__LINE__ & 0xff); \
    } while (0)

static void init_locks(void)
{
    struct fault fault = FAULT_NONE;
    child_assert(secret_init(ARENA, &fault) == ERR_OK);
    struct rlimit core = {1, 1};
    child_assert(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 1 && core.rlim_max == 1);
    child_assert(prctl(PR_GET_DUMPABLE) == 0);
    struct secret *s = NULL;
    child_assert(secret_new(64, &s) == ERR_OK);
    child_assert(CRYPTO_secure_allocated(secret_ptr(s)) == 1);
    /* The arena stays mapped, so that what freeing leaves behind can be looked at. */
    const uint8_t *p = secret_ptr(s);
    memset(secret_ptr(s), 0xaa, 64);
    secret_free(s);
    for (size_t i = 0; i < 64; i++)
        child_assert(p[i] != 0xaa);
}

static void init_runs_out(void)
{
    child_assert(secret_init(ARENA, NULL) == ERR_OK);
    struct secret *s = NULL;
    child_assert(secret_new(ARENA + 1, &s) == ERR_NO_MEMORY);
    child_assert(s == NULL);
}

static void init_without_locked_memory(void)
{
    const struct rlimit none = {0, 0};
    child_assert(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
    child_assert(geteuid() != 0 || seteuid(65534) == 0); /* root may lock what it likes */
    struct fault fault = FAULT_NONE;
    child_assert(secret_init(ARENA, &fault) == ERR_NO_MEMORY);
    child_assert(strstr(fault.detail, "16 KiB") != NULL);
}

/* --- in a program that is not ours --- */

static void share_twice(void)
{
    struct rlimit before;
    struct rlimit after;
    struct secret *s = NULL;
    child_assert(prctl(PR_SET_DUMPABLE, 1) == 0 && getrlimit(RLIMIT_CORE, &before) == 0);
    child_assert(secret_share(ARENA, NULL) == ERR_OK);
    child_assert(secret_share(ARENA, NULL) == ERR_OK);
    child_assert(secret_new(64, &s) == ERR_OK);
    child_assert(CRYPTO_secure_allocated(secret_ptr(s)) == 1);
    secret_free(s);
    /* What secret_init forbids is the program's to forbid. */
    child_assert(prctl(PR_GET_DUMPABLE) == 1 && getrlimit(RLIMIT_CORE, &after) == 0);
    child_assert(after.rlim_cur == before.rlim_cur && after.rlim_max == before.rlim_max);
}

static void in_child_of_child(void (*body)(void))
{
    const pid_t pid = fork();
    int status = 0;
    child_assert(pid >= 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    child_assert(waitpid(pid, &status, 0) == pid);
    if (status != 0)
        _exit(WEXITSTATUS(status));
}

static void share_here(void)
{
    child_assert(secret_share(ARENA, NULL) == ERR_OK);
}

/* The program's heap is taken as it is, in a child too: whether it is locked is its affair. */
static void share_of_program(void)
{
    child_assert(CRYPTO_secure_malloc_init(4 * ARENA, 32) == 1);
    child_assert(secret_share(ARENA, NULL) == ERR_OK);
    struct secret *s = NULL;
    child_assert(secret_new(ARENA, &s) == ERR_OK); /* more than ours would have */
    secret_free(s);
    in_child_of_child(share_here);
}

/* A child of fork(2) inherits no lock. */
static void share_inherited(void)
{
    struct fault fault = FAULT_NONE;
    child_assert(secret_share(ARENA, &fault) == ERR_WRONG_STATE);
    child_assert(strstr(fault.detail, "before a fork") != NULL);
}

static void share_before_fork(void)
{
    in_child_of_child(share_here); /* each child locks its own, where the parent has none */
    child_assert(secret_share(ARENA, NULL) == ERR_OK);
    in_child_of_child(share_inherited);
    child_assert(secret_share(ARENA, NULL) == ERR_OK);
}

/* That nothing may be locked now says nothing of the next time. */
static void share_later(void)
{
    struct rlimit limit;
    child_assert(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    const struct rlimit none = {0, limit.rlim_max};
    child_assert(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
    child_assert(geteuid() != 0 || seteuid(65534) == 0);
    struct fault fault = FAULT_NONE;
    child_assert(secret_share(ARENA, &fault) == ERR_NO_MEMORY);
    child_assert(strstr(fault.detail, "16 KiB") != NULL);
    child_assert(CRYPTO_secure_malloc_initialized() == 0);
    child_assert(secret_share(ARENA, &fault) == ERR_NO_MEMORY);
    child_assert(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    child_assert(secret_share(ARENA, NULL) == ERR_OK);
}

START_TEST(valid_share)
{
    in_child(share_twice);
    in_child(share_of_program);
    in_child(share_before_fork);
}
END_TEST

START_TEST(no_share_at_first)
{
    if (!SANITIZED)
        in_child(share_later);
}
END_TEST

/* As in a container that was started with --ulimit core=0. */
static void dumps_were_forbidden(void)
{
    struct rlimit core = {0, 0};
    child_assert(setrlimit(RLIMIT_CORE, &core) == 0);
    child_assert(geteuid() != 0 || setuid(65534) == 0);
    child_assert(secret_forbid_dumps(NULL) == ERR_OK);
    child_assert(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
    child_assert(prctl(PR_GET_DUMPABLE) == 0);
}

START_TEST(valid_forbidden_already)
{
    in_child(dumps_were_forbidden);
}
END_TEST

START_TEST(valid_init)
{
    in_child(init_locks);
}
END_TEST

START_TEST(long_for_the_arena)
{
    in_child(init_runs_out);
}
END_TEST

START_TEST(no_locked_memory)
{
    if (!SANITIZED)
        in_child(init_without_locked_memory);
}
END_TEST

UNIT_MAIN("secret", valid_new_is_zero, valid_new_empty, long_new, valid_random_differs,
          valid_from_fd, long_from_fd, wrong_fd, valid_copy, valid_truncate_wipes, valid_free,
          valid_wipe, valid_forbidden_already, valid_init, long_for_the_arena, no_locked_memory,
          valid_share, no_share_at_first)
