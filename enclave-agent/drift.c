#include "drift.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

int64_t drift_now_ms(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool drift_describe(uint64_t document_ms, int64_t before_ms, int64_t after_ms,
                    char out[static DRIFT_SENTENCE_MAX])
{
    /* Neither is before 1970; an unset clock begins there. */
    const uint64_t before = before_ms < 0 ? 0 : (uint64_t)before_ms;
    const uint64_t after = after_ms < 0 ? 0 : (uint64_t)after_ms;
    const bool behind = document_ms > after;
    if (!behind && document_ms >= before)
        return false;
    const uint64_t drift_ms = behind ? document_ms - after : before - document_ms;
    if (drift_ms <= DRIFT_SAID_FROM_MS)
        return false;
    snprintf(out, DRIFT_SENTENCE_MAX,
             "this enclave's clock is %" PRIu64 ".%" PRIu64
             " s %s the hypervisor's; nothing here depends on it, a program's logic may",
             drift_ms / 1000, drift_ms % 1000 / 100, behind ? "behind" : "ahead of");
    return true;
}
