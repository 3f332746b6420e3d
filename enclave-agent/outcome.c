#include "outcome.h"

struct outcome {
    enum err code;
    enum run_exit run;
    enum plain_exit plain;
    enum vouchsafe_agent_status status; /* of the library */
};

/* clang-format off */
static const struct outcome rows[] = {
    {ERR_OK,           RUN_DONE,           PLAIN_DONE,      VOUCHSAFE_AGENT_OK},
    {ERR_REFUSED,      RUN_REFUSED,        PLAIN_REFUSED,   VOUCHSAFE_AGENT_REFUSED},
    {ERR_UNREACHABLE,  RUN_UNREACHABLE,    PLAIN_UNDECIDED, VOUCHSAFE_AGENT_UNREACHABLE},
    {ERR_TIMEOUT,      RUN_UNREACHABLE,    PLAIN_UNDECIDED, VOUCHSAFE_AGENT_UNREACHABLE},
    {ERR_ANSWER,       RUN_NOT_AUTHENTIC,  PLAIN_REFUSED,   VOUCHSAFE_AGENT_NOT_AUTHENTIC},
    {ERR_NSM,          RUN_NSM,            PLAIN_UNDECIDED, VOUCHSAFE_AGENT_NSM},
    /* One of its own, which --extend names. */
    {ERR_PCR_MISMATCH, RUN_NSM,            PLAIN_UNDECIDED, VOUCHSAFE_AGENT_NSM},
    {ERR_USAGE,        RUN_USAGE,          PLAIN_USAGE,     VOUCHSAFE_AGENT_USAGE},
    {ERR_CONFIG,       RUN_USAGE,          PLAIN_USAGE,     VOUCHSAFE_AGENT_USAGE},
    /* One that a setting names. */
    {ERR_FILE,         RUN_USAGE,          PLAIN_UNDECIDED, VOUCHSAFE_AGENT_USAGE},
    /* Of the program; of the library, a process that has no locked memory after a fork. */
    {ERR_WRONG_STATE,  RUN_NOT_EXECUTABLE, PLAIN_UNDECIDED, VOUCHSAFE_AGENT_MACHINE},
    {ERR_NOT_FOUND,    RUN_NOT_FOUND,      PLAIN_UNDECIDED, VOUCHSAFE_AGENT_MACHINE},
};
/* clang-format on */

/* All others are this machine's: memory, descriptors, the place of delivery. */
static const struct outcome machine = {
    .run = RUN_NOT_DELIVERED, .plain = PLAIN_UNDECIDED, .status = VOUCHSAFE_AGENT_MACHINE};

static const struct outcome *outcome_of(enum err code)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].code == code)
            return &rows[i];
    }
    return &machine;
}

int outcome_run(enum err code)
{
    return outcome_of(code)->run;
}

int outcome_plain(enum err code)
{
    return outcome_of(code)->plain;
}

enum vouchsafe_agent_status outcome_library(enum err code)
{
    return outcome_of(code)->status;
}
