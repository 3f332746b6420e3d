/* What each failure is to whoever asked: the exit statuses of DESIGN section 8, and what the
 * library's functions return. */
#include "unit.h"

#include "enclave-agent/outcome.h"

static const struct {
    enum err code;
    int run;
    int plain;
    int status; /* of the library */
} told[] = {
    {ERR_OK, 0, 0, 0},          {ERR_REFUSED, 120, 1, 1},      {ERR_UNREACHABLE, 121, 3, 2},
    {ERR_TIMEOUT, 121, 3, 2},   {ERR_ANSWER, 122, 1, 3},       {ERR_NSM, 123, 3, 4},
    {ERR_USAGE, 125, 2, 5},     {ERR_PCR_MISMATCH, 123, 3, 4}, {ERR_CONFIG, 125, 2, 5},
    {ERR_FILE, 125, 3, 5},      {ERR_WRONG_STATE, 126, 3, 6},  {ERR_NOT_FOUND, 127, 3, 6},
    {ERR_NO_MEMORY, 124, 3, 6}, {ERR_CRYPTO, 124, 3, 6},       {ERR_INTERNAL, 124, 3, 6},
    {ERR_DELIVER, 124, 3, 6},
};

START_TEST(valid_outcomes)
{
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        const enum err code = told[i].code;
        ck_assert_msg(outcome_run(code) == told[i].run, "run: %s", err_wire(code));
        ck_assert_msg(outcome_plain(code) == told[i].plain, "plain: %s", err_wire(code));
        ck_assert_msg((int)outcome_library(code) == told[i].status, "library: %s", err_wire(code));
    }
}
END_TEST

static bool is_told(enum err code)
{
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        if (told[i].code == code)
            return true;
    }
    return false;
}

/* Also an error of tomorrow, of which no row was thought: a failure, and the machine's. */
START_TEST(no_other)
{
    for (unsigned code = 0; code <= ERR_COUNT; code++) {
        if (is_told((enum err)code))
            continue;
        ck_assert_int_eq(outcome_run((enum err)code), RUN_NOT_DELIVERED);
        ck_assert_int_eq(outcome_plain((enum err)code), PLAIN_UNDECIDED);
        ck_assert_int_eq(outcome_library((enum err)code), VOUCHSAFE_AGENT_MACHINE);
    }
}
END_TEST

UNIT_MAIN("agent_outcome", valid_outcomes, no_other)
