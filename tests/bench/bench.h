/* The ruler: CPU time in units of one P-384 verification by the same OpenSSL in the same
 * run, so that figures compare across machines (docs/DESIGN.md, costs). */
#ifndef VOUCHSAFE_BENCH_H
#define VOUCHSAFE_BENCH_H

#include <stdint.h>

#include "common/err.h"

/* CPU time of the calling thread, nanoseconds. */
uint64_t bench_thread_cpu_ns(void);
/* CPU time of another process, all its threads, nanoseconds; 0 where it is gone. */
uint64_t bench_process_cpu_ns(long pid);
/* A line of /proc/PID/status in KiB, "VmRSS" or "VmHWM"; 0 where there is none. */
uint64_t bench_process_memory_kib(long pid, const char *name);

/* One sample: what `work` costs per round, in ns, of `rounds` rounds. */
typedef enum err bench_fn(void *context);
MUST_CHECK enum err bench_sample(bench_fn *work, void *context, unsigned rounds, double *ns);

/* The unit: one ECDSA P-384 verification of a SHA-384 digest through EVP, ns. */
MUST_CHECK enum err bench_unit_ns(double *ns);

/* Samples of one thing, each divided by a unit measured right beside it. */
#define BENCH_SAMPLES 7
struct bench_series {
    unsigned count;
    double units[BENCH_SAMPLES];
    double us[BENCH_SAMPLES];
};
void bench_add(struct bench_series *series, double ns, double unit_ns);
/* One row: name, median units (min..max), median microseconds. */
void bench_print(const char *name, struct bench_series *series);

#endif
