#define _GNU_SOURCE
#include "secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "openssl_cleanup.h"

struct secret {
    size_t len;
    size_t cap;
    uint8_t data[];
};

/* A limit of 0 keeps files from being written, but where the kernel's core_pattern is a pipe,
 * the program behind it gets the memory all the same; 1 stops both (core(5)).  Whoever has a
 * hard limit of 0 may not set it to 1. */
enum err secret_forbid_dumps(struct fault *fault)
{
    const struct rlimit no_pipe = {1, 1};
    const struct rlimit no_file = {0, 0};
    if ((setrlimit(RLIMIT_CORE, &no_pipe) != 0 && setrlimit(RLIMIT_CORE, &no_file) != 0) ||
        prctl(PR_SET_DUMPABLE, 0) != 0)
        FAIL(fault, ERR_INTERNAL, "core dumps could not be turned off: %s", strerror(errno));
    return ERR_OK;
}

static enum err lock_arena(size_t arena_size, struct fault *fault)
{
    /* 1: ready and locked; 2: ready, but mlock or the guard pages failed. */
    if (CRYPTO_secure_malloc_init(arena_size, 32) != 1)
        FAIL(fault, ERR_NO_MEMORY,
             "%zu KiB of memory could not be locked; raise the limit on locked memory "
             "(ulimit -l, LimitMEMLOCK=)",
             arena_size / 1024);
    return ERR_OK;
}

enum err secret_init(size_t arena_size, struct fault *fault)
{
    TRY(secret_forbid_dumps(fault));
    return lock_arena(arena_size, fault);
}

/* A forked child has the arena, but not the lock (mlock(2)); a process number would not tell it
 * apart in a namespace of its own. */
static bool shared, inherited;

static void note_fork(void)
{
    inherited = shared;
}

static enum err share_arena(size_t arena_size, struct fault *fault)
{
    static bool noted;
    if (CRYPTO_secure_malloc_initialized() == 1)
        return ERR_OK;
    if (!noted && pthread_atfork(NULL, NULL, note_fork) != 0)
        FAIL(fault, ERR_NO_MEMORY, "out of memory for what a fork is to do");
    noted = true;
    const enum err err = lock_arena(arena_size, fault);
    if (err != ERR_OK)
        (void)CRYPTO_secure_malloc_done(); /* what is not locked is not there the next time */
    shared = err == ERR_OK;
    return err;
}

enum err secret_share(size_t arena_size, struct fault *fault)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    if (inherited)
        FAIL(fault, ERR_WRONG_STATE,
             "the memory for secrets was locked before a fork, and is not in this process; fork "
             "before the first release, or start another program");
    if (pthread_mutex_lock(&mutex) != 0)
        FAIL(fault, ERR_INTERNAL, "a mutex could not be locked");
    const enum err err = share_arena(arena_size, fault);
    (void)pthread_mutex_unlock(&mutex);
    return err;
}

enum err secret_new(size_t len, struct secret **out)
{
    if (len > SIZE_MAX / 2)
        return ERR_NO_MEMORY;
    struct secret *s = OPENSSL_secure_zalloc(sizeof *s + len);
    if (s == NULL)
        return ERR_NO_MEMORY;
    s->len = len;
    s->cap = len;
    *out = s;
    return ERR_OK;
}

enum err secret_new_random(size_t len, struct secret **out)
{
    CLEANUP(secret_freep) struct secret *s = NULL;
    TRY(secret_new(len, &s));
    if (RAND_priv_bytes_ex(NULL, s->data, len, 0) != 1)
        return crypto_failed();
    *out = TAKE(s);
    return ERR_OK;
}

enum err secret_new_from_fd(int fd, size_t max_len, struct secret **out)
{
    CLEANUP(secret_freep) struct secret *s = NULL;
    TRY(secret_new(max_len + 1, &s)); /* one more tells "too long" from "just fits" */
    size_t got = 0;
    while (got < s->cap) {
        const ssize_t n = read(fd, s->data + got, s->cap - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_FILE;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    if (got > max_len)
        return ERR_TOO_LARGE;
    secret_truncate(s, got);
    *out = TAKE(s);
    return ERR_OK;
}

uint8_t *secret_ptr(struct secret *secret)
{
    return secret->data;
}

size_t secret_len(const struct secret *secret)
{
    return secret->len;
}

struct bytes secret_view(const struct secret *secret)
{
    return bytes_of(secret->data, secret->len);
}

void secret_copy(uint8_t *to, struct bytes from)
{
    volatile uint8_t *out = to; /* no loop of vectors is made of it */
    for (size_t i = 0; i < from.len; i++)
        out[i] = from.ptr[i];
}

void secret_truncate(struct secret *secret, size_t len)
{
    if (len < secret->len) {
        OPENSSL_cleanse(secret->data + len, secret->len - len);
        secret->len = len;
    }
}

void secret_free(struct secret *secret)
{
    if (secret != NULL)
        OPENSSL_secure_clear_free(secret, sizeof *secret + secret->cap);
}

void wipe_32(uint8_t (*p)[32])
{
    OPENSSL_cleanse(*p, sizeof *p);
}

void wipe_48(uint8_t (*p)[48])
{
    OPENSSL_cleanse(*p, sizeof *p);
}
