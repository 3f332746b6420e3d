#include "run.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAILURES_SHOWN 40
#define KINDS_MAX      8
#define JOBS_MAX       256
#define POLL_NS        100000000
#define GIVE_WAY       10
#define PROGRESS_TTY_S 1
#define PROGRESS_S     15

struct tally {
    _Atomic size_t next; /* the first task that nobody has taken */
    _Atomic size_t done;
    _Atomic size_t failed;
    _Atomic size_t cases;
    _Atomic size_t code[ERR_COUNT];
    struct {
        const char *_Atomic what; /* of the tasks: "bytes" */
        _Atomic size_t cases;
        _Atomic size_t cpu_us;
    } kind[KINDS_MAX];
};

/* ---- chance ---- */

/* splitmix64's last steps. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t run_random(const struct run *run, const struct subject *s, const char *what, size_t n)
{
    uint64_t x = run->seed * UINT64_C(0x9e3779b97f4a7c15) + n;
    for (const char *p = s->name; *p != '\0'; p++)
        x = (x ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    for (const char *p = what; *p != '\0'; p++)
        x = (x ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return mix(x);
}

bool run_selects(const struct run *run, const struct subject *s, const char *what, size_t n)
{
    return run->share <= 1 || run_random(run, s, what, n) % run->share == 0;
}

/* ---- one case ---- */

void run_check(struct run *run, const struct subject *s, struct bytes changed,
               const struct expectation *e, const char *what, ...)
{
    struct outcome o = {.fault = FAULT_NONE};
    CLEANUP(verified_doc_freep) struct verified_doc *doc = NULL;
    o.code = attest_verify(s->trust, changed, s->kind, s->now_ms, &doc, &o.report, &o.fault);
    o.made = doc != NULL;
    if (doc != NULL)
        memcpy(o.digest, verified_doc_digest(doc), sizeof o.digest);
    atomic_fetch_add(&run->tally->cases, 1);
    atomic_fetch_add(&run->tally->kind[run->kind].cases, 1);
    atomic_fetch_add(&run->tally->code[(unsigned)o.code < ERR_COUNT ? o.code : ERR_INTERNAL], 1);
    char why[768];
    if (expectation_met(e, &o, why, sizeof why))
        return;
    if (atomic_fetch_add(&run->tally->failed, 1) >= FAILURES_SHOWN)
        return;
    char changed_how[160];
    va_list args;
    va_start(args, what);
    vsnprintf(changed_how, sizeof changed_how, what, args);
    va_end(args);
    fprintf(stderr, "FAILED %s: %s: %s\n", s->name, changed_how, why);
}

/* ---- all of them ---- */

static size_t cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (size_t)now.tv_sec * 1000000 + (size_t)now.tv_nsec / 1000;
}

/* The counters of a kind of task; the first who needs them takes them. */
static size_t kind_of(struct tally *tally, const char *what)
{
    for (size_t i = 0; i < KINDS_MAX; i++) {
        const char *none = NULL;
        if (atomic_compare_exchange_strong(&tally->kind[i].what, &none, what) || none == what)
            return i;
    }
    die("more kinds of tasks than counters");
}

static void work(struct run *run, const struct task *tasks, size_t count)
{
    for (;;) {
        const size_t i = atomic_fetch_add(&run->tally->next, 1);
        if (i >= count)
            return;
        run->kind = kind_of(run->tally, tasks[i].what);
        const size_t start = cpu_us();
        tasks[i].work(run, &tasks[i]);
        atomic_fetch_add(&run->tally->kind[run->kind].cpu_us, cpu_us() - start);
        atomic_fetch_add(&run->tally->done, 1);
    }
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void show_progress(const struct tally *tally, size_t count, double seconds)
{
    fprintf(stderr, "mutate_documents: %zu of %zu tasks, %zu cases, %zu failed, %.0f s\n",
            atomic_load(&tally->done), count, atomic_load(&tally->cases),
            atomic_load(&tally->failed), seconds);
}

/* True where every process ended well. */
static bool wait_for_all(const struct tally *tally, unsigned jobs, size_t count,
                         const struct timespec *start)
{
    const double every = isatty(STDERR_FILENO) ? PROGRESS_TTY_S : PROGRESS_S;
    double shown = 0;
    bool good = true;
    while (jobs > 0) {
        int status = 0;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0)
            return false;
        if (pid > 0) {
            jobs--;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
                fprintf(stderr, "FAILED: a process died: %s %d\n",
                        WIFSIGNALED(status) ? "signal" : "exit status",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                good = false;
            }
            continue;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        const double now = seconds_since(start);
        if (now - shown >= every) {
            show_progress(tally, count, now);
            shown = now;
        }
    }
    return good;
}

static void print_summary(const struct run *run, double seconds)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    const double cpu = (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
                       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    const struct tally *tally = run->tally;
    printf("%zu cases, %zu failed, seed %llu, share %u, %u processes, %.1f s, %.1f s of CPU:",
           atomic_load(&tally->cases), atomic_load(&tally->failed), (unsigned long long)run->seed,
           run->share, run->jobs, seconds, cpu);
    for (unsigned i = 0; i < KINDS_MAX && atomic_load(&tally->kind[i].what) != NULL; i++)
        printf(" %s %zu in %.1f s,", atomic_load(&tally->kind[i].what),
               atomic_load(&tally->kind[i].cases),
               (double)atomic_load(&tally->kind[i].cpu_us) / 1e6);
    for (unsigned i = 0; i < ERR_COUNT; i++) {
        if (atomic_load(&tally->code[i]) > 0)
            printf(" %s %zu", err_wire((enum err)i), atomic_load(&tally->code[i]));
    }
    printf("\n");
}

bool run_tasks(struct run *run, const struct task *tasks, size_t count)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    run->tally =
        mmap(NULL, sizeof *run->tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->tally == MAP_FAILED)
        die("no shared memory");
    if (run->jobs > JOBS_MAX)
        run->jobs = JOBS_MAX;
    fflush(NULL);
    for (unsigned i = 0; i < run->jobs; i++) {
        const pid_t pid = fork();
        if (pid < 0)
            die("no process could be started");
        if (pid == 0) {
            (void)setpriority(PRIO_PROCESS, 0, GIVE_WAY); /* to what runs beside it */
            work(run, tasks, count);
            exit(EXIT_SUCCESS);
        }
    }
    bool good = wait_for_all(run->tally, run->jobs, count, &start);
    if (atomic_load(&run->tally->done) != count) {
        fprintf(stderr, "FAILED: %zu of %zu tasks were done\n", atomic_load(&run->tally->done),
                count);
        good = false;
    }
    print_summary(run, seconds_since(&start));
    good = good && atomic_load(&run->tally->failed) == 0 && atomic_load(&run->tally->cases) > 0;
    munmap(run->tally, sizeof *run->tally);
    return good;
}
