/* What every unit test shares: the runner's main and a few asserts.
 *
 * Each test file defines `static void add_tests(TCase *tc)` before it includes this
 * last, or uses UNIT_MAIN("module", test_a, test_b, ...). */
#ifndef VOUCHSAFE_UNIT_H
#define VOUCHSAFE_UNIT_H

#include <check.h>
#include <stdlib.h>

#include "common/err.h"

/* The exact error is part of every test: a refusal for another reason is a failure. */
#define ck_err(expr, expected)                                                              \
    do {                                                                                    \
        const enum err got_ = (expr);                                                       \
        ck_assert_msg(got_ == (expected), "%s: got %s, expected %s", #expr, err_wire(got_), \
                      err_wire(expected));                                                  \
    } while (0)
#define ck_ok(expr) ck_err(expr, ERR_OK)

#define UNIT_MAIN(module, ...)                                                                    \
    int main(void)                                                                                \
    {                                                                                             \
        const TTest *const tests[] = {__VA_ARGS__};                                               \
        Suite *suite = suite_create(module);                                                      \
        for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {                             \
            TCase *tc = tcase_create(tests[i]->name);                                             \
            tcase_set_timeout(tc, 60);                                                            \
            tcase_add_test(tc, tests[i]);                                                         \
            suite_add_tcase(suite, tc);                                                           \
        }                                                                                         \
        SRunner *runner = srunner_create(suite);                                                  \
        srunner_set_fork_status(runner, getenv("VOUCHSAFE_NOFORK") ? CK_NOFORK : CK_FORK_GETENV); \
        srunner_run_all(runner, CK_ENV);                                                          \
        const int failed = srunner_ntests_failed(runner);                                         \
        srunner_free(runner);                                                                     \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                         \
    }

#endif
