/* Runs one call of the product over and over, and lets each library call that it makes
 * fail in turn.  What is demanded after every single failure:
 *
 *   - an error and outputs as they were; or success with the right result, where the
 *     failure was one that can be lived with;
 *   - after a failed allocation no verdict on the input, which is in order, but an error that
 *     is ours;
 *   - after an error OpenSSL's error queue is empty; the locked arena is as full as before, and
 *     no memory is lost;
 *   - the value that `secret` marks is nowhere but in the arena, and after `clear` there
 *     only where the test itself keeps it;
 *   - the same call succeeds when nothing fails;
 *   - and the calls that were to fail did.
 *
 * FAULTS_STRIDE=N tries every N-th failure only, beginning at FAULTS_SEED modulo N. */
#ifndef VOUCHSAFE_SWEEP_H
#define VOUCHSAFE_SWEEP_H

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "inject.h"
#include "scan.h"
#include "tests/unit/sanitized.h"

#define SWEEP_ARENA (1u << 20)
#define SWEEP_WAYS  6 /* the most that a row of functions.def has */

struct sweep {
    const char *name;
    unsigned classes;            /* all of them are swept, one after the other */
    enum err (*call)(void);      /* writes to variables of the test's */
    void (*check)(void);         /* after success: the result is right */
    void (*untouched)(void);     /* after an error: nothing was written; may be NULL */
    void (*clear)(void);         /* frees the results */
    const struct marker *secret; /* NULL: none */
    unsigned stride;             /* of expensive ones; 0 is 1 */
};

static inline uint64_t sweep_number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* Not secret_init: a sanitizer's search for leaks needs ptrace. */
static inline void sweep_begin(void)
{
    ck_assert_msg(inject != NULL, "not loaded");
    ck_assert_int_eq(CRYPTO_secure_malloc_init(SWEEP_ARENA, 32), 1);
    RAND_bytes((unsigned char[1]){0}, 1);
    RAND_priv_bytes((unsigned char[1]){0}, 1);
}

/* What the arena holds of the secret while no call runs: the test's own. */
static unsigned sweep_kept;

static inline void sweep_no_copy(const struct sweep *s, bool cleared)
{
    if (s->secret == NULL || SANITIZED)
        return;
    const struct found found = scan_process(s->secret);
    ck_assert_msg(found.elsewhere == 0, "%s: %u copies of the secret in %s: %s", s->name,
                  found.elsewhere, found.where, inject->last);
    ck_assert_msg(!cleared || found.in_arena == sweep_kept, "%s: the arena still holds it: %s",
                  s->name, inject->last);
}

/* Verdicts on an input that is in order, where it was memory that was missing. */
static unsigned sweep_misnamed;

/* One call of which call number `at` fails; true where one did. */
static inline bool sweep_once(const struct sweep *s, unsigned class, uint64_t at, uint64_t variant,
                              bool search, bool *tolerated)
{
    const size_t arena = CRYPTO_secure_used();
    inject_arm(class, at, variant);
    const enum err err = s->call();
    inject_disarm();
    const bool failed = atomic_load(&inject->failed) > 0;
    ck_assert_msg(failed || err == ERR_OK, "%s: %s without a failure", s->name, err_wire(err));
    /* After success it may hold what OpenSSL itself could live with. */
    ck_assert_msg(err == ERR_OK || ERR_peek_error() == 0,
                  "%s: %s, and an error is left in OpenSSL's queue: %s", s->name, err_wire(err),
                  inject->last);
    ERR_clear_error();
    sweep_misnamed += class == INJECT_ALLOC && err_is_verdict(err);
    if (err == ERR_OK)
        s->check();
    else if (s->untouched != NULL)
        s->untouched();
    *tolerated = err == ERR_OK;
    if (search)
        sweep_no_copy(s, false);
    s->clear();
    if (search)
        sweep_no_copy(s, true);
    ck_assert_msg(CRYPTO_secure_used() == arena, "%s: a secret is left in the arena: %s", s->name,
                  inject->last);
    return failed;
}

/* A leak is what grows each time; what grows once is some library's memory of the past. */
static inline void sweep_no_leak(const struct sweep *s, unsigned class, uint64_t at,
                                 uint64_t variant)
{
    bool tolerated;
    for (unsigned i = 0; i < 5; i++) {
        const size_t before = mallinfo2().uordblks;
        sweep_once(s, class, at, variant, false, &tolerated);
        if (mallinfo2().uordblks <= before)
            return;
    }
    ck_abort_msg("%s: memory is lost with each failure: %s", s->name, inject->last);
}

/* The first call to fail, of 1..last in steps of `by`: by the seed, and never none. */
static inline uint64_t sweep_first(uint64_t seed, uint64_t by, uint64_t last)
{
    return last == 0 ? 1 : 1 + seed % (by < last ? by : last);
}

/* `tried` calls were to fail, and so many percent must have, give or take one: a sweep that
 * fails nothing proves nothing.  How many there are may differ from one time to the next. */
static inline void sweep_enough(const char *name, unsigned class, uint64_t tried, uint64_t failures,
                                unsigned percent)
{
    ck_assert_msg(tried > 0, "%s: no call of class 0x%02x is made", name, class);
    ck_assert_msg(failures > 0 && (failures + 1) * 100 >= tried * percent,
                  "%s: of %llu calls of class 0x%02x that were to fail, %llu did", name,
                  (unsigned long long)tried, class, (unsigned long long)failures);
}

static inline void sweep_class(const struct sweep *s, unsigned class)
{
    const uint64_t stride = sweep_number("FAULTS_STRIDE", 1) * (s->stride == 0 ? 1 : s->stride);
    const uint64_t seed = sweep_number("FAULTS_SEED", 0);
    uint64_t tried = 0, failures = 0, lived = 0;
    bool tolerated;
    sweep_misnamed = 0;
    sweep_once(s, class, 0, 0, false, &tolerated);
    const uint64_t calls = atomic_load(&inject->calls);
    const unsigned ways = class == INJECT_ALLOC ? 1 : class == INJECT_OPENSSL ? 2 : SWEEP_WAYS;
    for (unsigned variant = 0; variant < ways; variant++) {
        for (uint64_t at = sweep_first(seed + variant, stride, calls); at <= calls; at += stride) {
            const size_t before = mallinfo2().uordblks;
            const bool search = class != INJECT_ALLOC || failures % 16 == 0;
            tried++;
            if (!sweep_once(s, class, at, variant, search, &tolerated))
                continue;
            failures++;
            lived += tolerated;
            if (!SANITIZED && mallinfo2().uordblks > before)
                sweep_no_leak(s, class, at, variant);
            if (failures % 8 == 0)
                sweep_once(s, class, 0, 0, false, &tolerated);
        }
    }
    sweep_once(s, class, 0, 0, true, &tolerated);
    printf("%s: class 0x%02x, seed %llu: %llu calls, %llu failures of %llu, %llu lived with, "
           "%u misnamed\n",
           s->name, class, (unsigned long long)seed, (unsigned long long)calls,
           (unsigned long long)failures, (unsigned long long)tried, (unsigned long long)lived,
           sweep_misnamed);
    fflush(stdout);
    sweep_enough(s->name, class, tried, failures, 95);
    ck_assert_msg(sweep_misnamed == 0, "%s: %u verdicts on the input without memory", s->name,
                  sweep_misnamed);
}

static inline void sweep_run(const struct sweep *s)
{
    bool tolerated;
    if (s->secret != NULL && !SANITIZED)
        sweep_kept = scan_process(s->secret).in_arena;
    /* What is made once, by the first calls. */
    for (unsigned i = 0; i < 3; i++)
        sweep_once(s, 0, 0, 0, false, &tolerated);
    for (unsigned class = 1; class <= INJECT_HTTP; class <<= 1) {
        if ((s->classes & class) != 0)
            sweep_class(s, class);
    }
}

#endif
