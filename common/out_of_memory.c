#include "out_of_memory.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>

static _Thread_local bool seen;

bool out_of_memory_seen(void)
{
    const bool was_seen = seen;
    seen = false;
    return was_seen;
}

static void *take(size_t len)
{
    void *memory = malloc(len);
    seen = seen || memory == NULL;
    return memory;
}

static void *openssl_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return len == 0 ? NULL : take(len); /* none is asked for: none is missing */
}

static void *openssl_realloc(void *old, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    if (len == 0) {
        free(old);
        return NULL;
    }
    void *memory = realloc(old, len);
    seen = seen || memory == NULL;
    return memory;
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* OpenSSL takes them before its first allocation only: hence so early, before all other
 * constructors of the program (101 is the first that is not the compiler's).  Where a
 * library was earlier still, OpenSSL hides what it always hid.  jansson would take them at
 * any time, but what others' functions allocated, ours must not free. */
__attribute__((constructor(101))) static void take_over(void)
{
    json_malloc_t malloc_now = NULL;
    json_free_t free_now = NULL;
    json_get_alloc_funcs(&malloc_now, &free_now);
    if (malloc_now == malloc && free_now == free)
        json_set_alloc_funcs(take, free);
    (void)CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
}
