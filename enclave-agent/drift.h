/* How far this enclave's clock is from the hypervisor's, which its own document states.
 *
 * The parent sets an enclave's clock at its start at the most, and it drifts from then on.  The
 * agent decides nothing by it; a program may, and whoever runs it wants to know. */
#ifndef VOUCHSAFE_AGENT_DRIFT_H
#define VOUCHSAFE_AGENT_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

#define DRIFT_SAID_FROM_MS 5000
#define DRIFT_SENTENCE_MAX 160

/* CLOCK_REALTIME, Unix milliseconds. */
int64_t drift_now_ms(void);

/* A document that states `document_ms` was made between `before_ms` and `after_ms` of this clock.
 * False where that fits to within five seconds, and `out` is not written. */
bool drift_describe(uint64_t document_ms, int64_t before_ms, int64_t after_ms,
                    char out[static DRIFT_SENTENCE_MAX]);

#endif
