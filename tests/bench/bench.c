#include "bench.h"

#include <dirent.h>
#include <inttypes.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/openssl_cleanup.h"

#define UNIT_ROUNDS 40

uint64_t bench_thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The first field of schedstat is the time on a CPU in ns: finer than stat's ticks. */
static uint64_t read_schedstat(long pid, const char *task)
{
    char path[128];
    uint64_t ns = 0;
    snprintf(path, sizeof path, "/proc/%ld/task/%.20s/schedstat", pid, task);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%" SCNu64, &ns) != 1)
        ns = 0;
    fclose(file);
    return ns;
}

uint64_t bench_process_cpu_ns(long pid)
{
    char path[64];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return 0;
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] != '.')
            sum += read_schedstat(pid, task->d_name);
    }
    closedir(tasks);
    return sum;
}

uint64_t bench_process_memory_kib(long pid, const char *name)
{
    char path[64];
    char line[256];
    uint64_t kib = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            kib = strtoull(line + strlen(name) + 1, NULL, 10);
    }
    fclose(file);
    return kib;
}

enum err bench_sample(bench_fn *work, void *context, unsigned rounds, double *ns)
{
    const uint64_t before = bench_thread_cpu_ns();
    for (unsigned i = 0; i < rounds; i++)
        TRY(work(context));
    *ns = (double)(bench_thread_cpu_ns() - before) / rounds;
    return ERR_OK;
}

/* --- The unit --- */

struct unit {
    EVP_PKEY *key;
    uint8_t digest[48];
    uint8_t signature[128];
    size_t signature_len;
};

static enum err unit_make(struct unit *u)
{
    u->key = EVP_EC_gen("P-384");
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, u->key, NULL);
    u->signature_len = sizeof u->signature;
    if (u->key == NULL || ctx == NULL || RAND_bytes(u->digest, sizeof u->digest) != 1 ||
        EVP_PKEY_sign_init(ctx) != 1 ||
        EVP_PKEY_sign(ctx, u->signature, &u->signature_len, u->digest, sizeof u->digest) != 1)
        return ERR_CRYPTO;
    return ERR_OK;
}

static enum err unit_verify(void *context)
{
    const struct unit *u = context;
    CLEANUP(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, u->key, NULL);
    if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1 ||
        EVP_PKEY_verify(ctx, u->signature, u->signature_len, u->digest, sizeof u->digest) != 1)
        return ERR_CRYPTO;
    return ERR_OK;
}

enum err bench_unit_ns(double *ns)
{
    static struct unit unit; /* made once: the key is no part of the measure */
    if (unit.key == NULL) {
        double warm;
        TRY(unit_make(&unit));
        TRY(bench_sample(unit_verify, &unit, UNIT_ROUNDS, &warm));
    }
    return bench_sample(unit_verify, &unit, UNIT_ROUNDS, ns);
}

/* --- Series --- */

void bench_add(struct bench_series *s, double ns, double unit_ns)
{
    if (s->count == BENCH_SAMPLES)
        return;
    s->units[s->count] = ns / unit_ns;
    s->us[s->count] = ns / 1000;
    s->count++;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_print(const char *name, struct bench_series *s)
{
    if (s->count == 0)
        return;
    qsort(s->units, s->count, sizeof s->units[0], by_size);
    qsort(s->us, s->count, sizeof s->us[0], by_size);
    printf("%-44s %8.3f  (%.3f..%.3f) %10.1f us\n", name, s->units[s->count / 2], s->units[0],
           s->units[s->count - 1], s->us[s->count / 2]);
    fflush(stdout);
}
