/* What is known of memory that libraries did not get: common/out_of_memory.h. */
#include "unit.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdint.h>

#include "common/out_of_memory.h"
#include "sanitized.h"

/* Nobody gets that much. */
#define TOO_MUCH (SIZE_MAX / 4)

/* A program that has given jansson functions of its own already, before common's constructor:
 * of the same priority, and first on the linker's command line. */
static bool was_first;

static void *own_malloc(size_t len)
{
    return malloc(len);
}

static void own_free(void *memory)
{
    free(memory);
}

__attribute__((constructor(101))) static void be_first(void)
{
    json_malloc_t take = NULL;
    json_free_t give = NULL;
    json_get_alloc_funcs(&take, &give);
    was_first = take == malloc && give == free;
    json_set_alloc_funcs(own_malloc, own_free);
}

#if SANITIZED
/* As malloc does without a sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

/* What was allocated by the one would be freed by the other. */
START_TEST(valid_own_functions_stay)
{
    json_malloc_t take = NULL;
    json_free_t give = NULL;
    ck_assert(was_first);
    json_get_alloc_funcs(&take, &give);
    ck_assert(take == own_malloc);
    ck_assert(give == own_free);
}
END_TEST

START_TEST(no_memory_for_openssl)
{
    (void)out_of_memory_seen();
    ck_assert_ptr_null(OPENSSL_malloc(TOO_MUCH));
    ck_assert(out_of_memory_seen());
    ck_assert(!out_of_memory_seen());
    void *memory = OPENSSL_malloc(1);
    ck_assert_ptr_nonnull(memory);
    ck_assert_ptr_null(OPENSSL_realloc(memory, TOO_MUCH));
    OPENSSL_free(memory);
    ck_assert(out_of_memory_seen());
}
END_TEST

START_TEST(valid_nothing_asked_for)
{
    (void)out_of_memory_seen();
    ck_assert_ptr_null(OPENSSL_malloc(0));
    void *memory = OPENSSL_malloc(1);
    ck_assert_ptr_nonnull(memory);
    ck_assert_ptr_null(OPENSSL_realloc(memory, 0));
    ck_assert(!out_of_memory_seen());
}
END_TEST

UNIT_MAIN("out_of_memory", valid_own_functions_stay, no_memory_for_openssl, valid_nothing_asked_for)
