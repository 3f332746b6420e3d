/* What a start in an enclave costs: processor time from exec of the agent to exec of its program.
 *
 *     bench_agent NAME AGENT [ARGUMENTS] ... -- /bin/true
 *
 * Runs that command line, and what stands behind `--` alone; the difference is the agent's. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS 10

static double ns_of(struct timeval t)
{
    return 1e9 * (double)t.tv_sec + 1e3 * (double)t.tv_usec;
}

/* Of the whole process, which must end with 0. */
static enum err run_ns(char *const *words, double *ns)
{
    int status = 0;
    struct rusage usage;
    const pid_t pid = fork();
    if (pid == 0) {
        execv(words[0], words);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status != 0)
        return ERR_INTERNAL;
    *ns += ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
    return ERR_OK;
}

static enum err sample(char *const *agent, char *const *program, struct bench_series *series)
{
    double unit_ns = 0;
    double agent_ns = 0;
    double program_ns = 0;
    TRY(bench_unit_ns(&unit_ns));
    for (int i = 0; i < ROUNDS; i++) {
        TRY(run_ns(agent, &agent_ns));
        TRY(run_ns(program, &program_ns));
    }
    bench_add(series, (agent_ns - program_ns) / ROUNDS, unit_ns);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    int end = argc;
    while (end > 1 && strcmp(argv[end - 1], "--") != 0)
        end--;
    if (argc < 5 || end == 1 || end == argc) {
        fputs("bench_agent NAME AGENT [ARGUMENTS] ... -- PROGRAM\n", stderr);
        return 2;
    }
    struct bench_series series = {0};
    for (int i = 0; i < BENCH_SAMPLES; i++) {
        if (sample(argv + 2, argv + end, &series) != ERR_OK) {
            fputs("bench_agent: a run failed\n", stderr);
            return 1;
        }
    }
    bench_print(argv[1], &series);
    return 0;
}
