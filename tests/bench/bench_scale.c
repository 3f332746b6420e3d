/* What a store of many measurements costs: each operation through the whole warden, on stores
 * of growing size, and releases beside administrators who register builds.
 *
 *   bench_scale [SIZE ...]       default: 100 1000 10000 100000
 *
 * Each store is made through the ledger, with genuine MACs, records and heads: 100 builds for
 * each image.  Counted is the thread's CPU time in units of one P-384 verification; the time
 * that releases wait is this machine's. */
#include "tests/unit/release_fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "bench.h"
#include "verifier/warden/ledger.h"

#define SIZES_MAX       6
#define BUILDS_OF_IMAGE 100
#define ADDS            8 /* a sample */
#define RELEASES        8 /* a sample */
#define REFUSALS        7 /* a sample: with the first, fewer than put an instance off */
#define REGISTRARS      4
#define RELEASES_BESIDE 150
#define DRAFTS          2000 /* of the code that is released to */

enum row {
    ADD,
    LIST_FIRST,
    LIST_LAST,
    LIST_IMAGE,
    LIST_STATE,
    LIST_IMAGES,
    SHOW,
    EXPLAIN,
    EXPLAIN_ALL,
    GRANTED,
    REFUSED,
    DRAFTED,
    START,
    ROW_COUNT
};
static const char *const row_names[ROW_COUNT] = {
    "add",
    "list, the first 100",
    "list, the last 100",
    "list, the 100 of one image",
    "list, a state that few have",
    "image list, the first 100",
    "show",
    "explain, one image granted",
    "explain, no image granted",
    "release, granted",
    "release, refused",
    "release, 2000 drafts of it",
    "start",
};

struct beside {
    double cpu_units;
    double wait_us[3]; /* median, 95 %, longest */
};

struct result { /* shared with the process that measured */
    struct bench_series row[ROW_COUNT];
    uint64_t memory_kib; /* resident, after the start */
    struct beside alone;
    struct beside registering;
    unsigned registered;
};

struct subject {
    struct warden_fixture *f;
    uint64_t size;
    uint64_t next_build;    /* a number that no build has */
    uint32_t extended;      /* PCRs that documents hold besides 0..15, all zeros */
    struct attempt unknown; /* a document of a build that nobody registered */
};

/* --- The store --- */

static void make_pcrs(uint64_t number, struct pcr_set *out)
{
    *out = (struct pcr_set){.present = PCR_BITS_CODE};
    for (unsigned i = 0; i < 3; i++) {
        out->value[i][0] = (uint8_t)(1 + i);
        memcpy(out->value[i] + 8, &number, sizeof number);
    }
}

static void add_image(struct ledger_change *change, uint64_t number)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_image image = {.created_ms = NOW_MS};
    snprintf(image.name, sizeof image.name, "image%llu", (unsigned long long)number);
    ck_ok(policy_image_append(&image, &columns));
    ck_ok(ledger_change_add(change, POLICY_IMAGE, 1 + number, &columns));
}

static void add_build(const struct warden_fixture *f, struct ledger_change *change, uint64_t id,
                      uint64_t image_id, const struct pcr_set *pcrs, enum measurement_state state)
{
    CLEANUP(policy_measurement_free)
    struct policy_measurement m = {
        .image_id = image_id, .kind = ATTDOC_ENCLAVE, .state = state, .created_ms = NOW_MS};
    CLEANUP(buf_free) struct buf columns = {0};
    memcpy(m.root, attest_trust_root_sha256(f->warden->trust), sizeof m.root);
    snprintf(m.version, sizeof m.version, "1.%llu", (unsigned long long)id);
    ck_ok(pcr_set_append(pcrs, &m.pcrs));
    ck_ok(buf_append(&m.labels, bytes_of("\xa1\x66"
                                         "commit"
                                         "\x67"
                                         "5d5eab0",
                                         16)));
    ck_ok(policy_measurement_append(&m, &columns));
    ck_ok(ledger_change_add(change, POLICY_MEASUREMENT, id, &columns));
}

static void commit(struct warden_fixture *f, const struct ledger_change *change, uint64_t revision)
{
    const struct audit_event event = {.time_ms = NOW_MS,
                                      .event = "measurement.add",
                                      .request_id = "",
                                      .policy_revision = revision + 1,
                                      .code = "ok",
                                      .detail = ""};
    ck_ok(ledger_commit_change(f->warden->ledger, change, &event, &f->fault));
}

/* As many rows at once as a change may have.  Build n is one of image 1 + n % images, after
 * payments, which comes first: those of an image lie among those of others. */
static void fill(struct warden_fixture *f, uint64_t size)
{
    const uint64_t images = size / BUILDS_OF_IMAGE;
    ck_assert(images > 0);
    for (uint64_t made = 0, build = 1; build < size;) {
        CLEANUP(ledger_change_free) struct ledger_change change = {.count = 0};
        uint64_t revision;
        ledger_begin(f->warden->ledger, &revision);
        while (made < images && change.count < LEDGER_CHANGE_ROWS)
            add_image(&change, ++made);
        while (made == images && build < size && change.count < LEDGER_CHANGE_ROWS) {
            struct pcr_set pcrs;
            make_pcrs(++build, &pcrs);
            add_build(f, &change, build, 2 + build % images, &pcrs,
                      build == size ? MEASUREMENT_DRAFT : MEASUREMENT_ACTIVE);
        }
        commit(f, &change, revision);
    }
    db_run(f, "INSERT INTO measurement_use (measurement_id, first_ms, last_ms, releases, enclaves)"
              " SELECT id, created_ms, created_ms, 1, 1 FROM measurement");
}

/* --- What is measured --- */

static void register_build(struct warden_fixture *f, uint64_t number)
{
    CLEANUP(buf_free) struct buf map = {0};
    struct mkdoc_fields fields = {0};
    struct pcr_set pcrs;
    char version[32];
    make_pcrs(number, &pcrs);
    for (unsigned i = 0; i < 3; i++)
        memcpy(fields.pcr[i], pcrs.value[i], ATTDOC_PCR_LEN);
    pcr_map(&fields, PCR_BITS_CODE, &map);
    snprintf(version, sizeof version, "1.%llu", (unsigned long long)number);
    json_decref(admin_do(
        f, "measurement.add",
        PARAMS(p_text("image", "payments"), p_text("version", version), p_map("pcrs", &map))));
}

static enum err do_add(void *context)
{
    struct subject *s = context;
    register_build(s->f, s->next_build++);
    return ERR_OK;
}

static enum err do_list(struct subject *s, size_t expected, const struct param *params,
                        size_t count)
{
    json_auto_t *page = admin_do(s->f, "measurement.list", params, count);
    ck_assert_uint_eq(json_array_size(json_at(page, "measurements")), expected);
    return ERR_OK;
}

static enum err do_list_first(void *context)
{
    return do_list(context, 100, NO_PARAMS);
}

static enum err do_list_last(void *context)
{
    struct subject *s = context;
    return do_list(s, 100, PARAMS(p_uint("after", s->size - 100), p_uint("limit", 100)));
}

/* The first image's after payments; of the smallest store it has one build fewer. */
static enum err do_list_image(void *context)
{
    struct subject *s = context;
    return do_list(s, s->size == 100 ? 99 : 100, PARAMS(p_text("image", "image1")));
}

/* The newest build alone is a draft: the last to be looked at. */
static enum err do_list_state(void *context)
{
    struct subject *s = context;
    return do_list(s, s->size > 10000 ? 0 : 1, PARAMS(p_text("state", "draft")));
}

static enum err do_list_images(void *context)
{
    struct subject *s = context;
    json_decref(admin_do(s->f, "image.list", NO_PARAMS));
    return ERR_OK;
}

static enum err do_show(void *context)
{
    struct subject *s = context;
    char image[32];
    const unsigned long long number = 1 + 77 % (s->size / BUILDS_OF_IMAGE);
    snprintf(image, sizeof image, "image%llu", number);
    json_auto_t *shown = admin_do(s->f, "measurement.show",
                                  PARAMS(p_text("image", image), p_text("version", "1.77")));
    ck_assert_uint_eq(uint_at(shown, "measurement.id"), 77);
    return ERR_OK;
}

static enum err explain(struct subject *s, const char *secret)
{
    json_auto_t *answer = admin_do(
        s->f, "explain",
        PARAMS(p_buf("attestation_document", &s->unknown.document), p_text("secrets", secret)));
    ck_assert_str_eq(text_at(answer, "verdict"), "refused");
    ck_assert_ptr_nonnull(json_at(answer, "secrets.0.nearest"));
    return ERR_OK;
}

/* The nearest of image1's 100 builds. */
static enum err do_explain(void *context)
{
    return explain(context, "db/explained");
}

/* The nearest of all. */
static enum err do_explain_all(void *context)
{
    return explain(context, "db/free");
}

static enum err do_start(void *context)
{
    struct subject *s = context;
    fixture_open(s->f);
    return ERR_OK;
}

/* --- Samples --- */

static void measure(struct bench_series *series, bench_fn *work, struct subject *s, unsigned rounds)
{
    double ns;
    double unit_ns;
    ck_ok(bench_sample(work, s, rounds, &ns));
    for (unsigned i = 0; i < BENCH_SAMPLES; i++) {
        ck_ok(bench_unit_ns(&unit_ns));
        ck_ok(bench_sample(work, s, rounds, &ns));
        bench_add(series, ns, unit_ns);
    }
}

static void sample_releases(struct subject *s, unsigned seed, enum err expected, unsigned rounds,
                            double *ns)
{
    uint64_t spent = 0;
    for (unsigned i = 0; i < rounds; i++) {
        ATTEMPT(a);
        attempt_make(s->f, &a);
        mkdoc_fields_defaults(&a.fields, clock_now_ms(), MODULE, seed);
        a.fields.pcr_present |= s->extended;
        a.fields.nonce = present(&a.challenge);
        a.fields.public_key = present(&a.spki);
        a.fields.user_data = present(&a.user_data);
        attempt_sign(&a);
        const uint64_t before = bench_thread_cpu_ns();
        ck_err(attempt_send(s->f, &a), expected);
        spent += bench_thread_cpu_ns() - before;
    }
    *ns = (double)spent / rounds;
}

/* As a pipeline may that can only draft: the values of somebody else's build, and others besides.
 */
static void flood(struct warden_fixture *f)
{
    struct mkdoc_fields fields;
    struct pcr_set pcrs = {.present = PCR_BITS_CODE};
    mkdoc_fields_defaults(&fields, clock_now_ms(), MODULE, SEED);
    for (unsigned i = 0; i < 3; i++)
        memcpy(pcrs.value[i], fields.pcr[i], ATTDOC_PCR_LEN);
    for (uint64_t made = 0; made < DRAFTS;) {
        CLEANUP(ledger_change_free) struct ledger_change change = {.count = 0};
        uint64_t revision;
        const struct policy *policy = ledger_begin(f->warden->ledger, &revision);
        const uint64_t count = policy_measurement_count(policy);
        for (; made < DRAFTS && change.count < LEDGER_CHANGE_ROWS; made++) {
            pcrs.present = PCR_BITS_CODE | (uint32_t)(made + 1) << 16; /* zeros, as it has */
            add_build(f, &change, count + change.count + 1, 1, &pcrs, MEASUREMENT_DRAFT);
        }
        commit(f, &change, revision);
    }
}

static void measure_releases(struct bench_series *series, struct subject *s, unsigned seed,
                             enum err expected, unsigned rounds)
{
    double ns;
    double unit_ns;
    sample_releases(s, seed, expected, rounds, &ns);
    for (unsigned i = 0; i < BENCH_SAMPLES; i++) {
        ck_ok(bench_unit_ns(&unit_ns));
        sample_releases(s, seed, expected, rounds, &ns);
        bench_add(series, ns, unit_ns);
    }
}

/* --- Releases beside registrations --- */

struct registrar {
    pthread_t thread;
    struct warden_fixture f; /* its own view; the warden is shared */
    uint64_t next_build;
    unsigned registered;
    _Atomic bool *stop;
};

static void *run_registrar(void *context)
{
    struct registrar *r = context;
    while (!atomic_load(r->stop)) {
        register_build(&r->f, r->next_build++);
        r->registered++;
    }
    return NULL;
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1000;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void release_many(struct subject *s, struct beside *out)
{
    static double wait[RELEASES_BESIDE];
    uint64_t spent = 0;
    double unit_ns;
    ck_ok(bench_unit_ns(&unit_ns));
    for (unsigned i = 0; i < RELEASES_BESIDE; i++) {
        ATTEMPT(a);
        attempt_make(s->f, &a);
        const double begin = now_us();
        const uint64_t before = bench_thread_cpu_ns();
        ck_ok(attempt_send(s->f, &a));
        spent += bench_thread_cpu_ns() - before;
        wait[i] = now_us() - begin;
    }
    qsort(wait, RELEASES_BESIDE, sizeof wait[0], by_size);
    out->cpu_units = (double)spent / RELEASES_BESIDE / unit_ns;
    out->wait_us[0] = wait[RELEASES_BESIDE / 2];
    out->wait_us[1] = wait[RELEASES_BESIDE * 95 / 100];
    out->wait_us[2] = wait[RELEASES_BESIDE - 1];
}

static void release_beside(struct subject *s, struct result *out)
{
    static struct registrar r[REGISTRARS];
    _Atomic bool stop = false;
    release_many(s, &out->alone);
    for (unsigned i = 0; i < REGISTRARS; i++) {
        r[i] = (struct registrar){
            .f = *s->f, .stop = &stop, .next_build = 100000000 + 1000000 * (uint64_t)i};
        r[i].f.requests = 1000000 * (i + 1);
        ck_assert_int_eq(pthread_create(&r[i].thread, NULL, run_registrar, &r[i]), 0);
    }
    release_many(s, &out->registering);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < REGISTRARS; i++) {
        ck_assert_int_eq(pthread_join(r[i].thread, NULL), 0);
        out->registered += r[i].registered;
    }
}

/* --- One size, in a process of its own --- */

static void measure_size(uint64_t size, struct result *out)
{
    FIXTURE(f);
    struct subject s = {.f = &f, .size = size, .next_build = 10000000};
    double ns;
    double unit_ns;
    fixture_policy(&f);
    fill(&f, size);
    for (unsigned i = 0; i < 3; i++) {
        fixture_close(&f);
        ck_ok(bench_unit_ns(&unit_ns));
        ck_ok(bench_sample(do_start, &s, 1, &ns));
        bench_add(&out->row[START], ns, unit_ns);
    }
    out->memory_kib = bench_process_memory_kib((long)getpid(), "VmRSS");
    measure(&out->row[LIST_FIRST], do_list_first, &s, 4);
    measure(&out->row[LIST_LAST], do_list_last, &s, 4);
    measure(&out->row[LIST_IMAGE], do_list_image, &s, 4);
    measure(&out->row[LIST_STATE], do_list_state, &s, 4);
    measure(&out->row[LIST_IMAGES], do_list_images, &s, 4);
    measure(&out->row[SHOW], do_show, &s, 50);
    attempt_begin(&f, &s.unknown, "hpke-x25519");
    mkdoc_fields_defaults(&s.unknown.fields, clock_now_ms(), MODULE, SEED + 1);
    attempt_sign(&s.unknown);
    fixture_secret(&f, "db/explained", "granted to image1");
    fixture_grant(&f, "db/explained", "image1");
    fixture_secret(&f, "db/free", "granted to nobody");
    measure(&out->row[EXPLAIN], do_explain, &s, 4);
    measure(&out->row[EXPLAIN_ALL], do_explain_all, &s, 2);
    attempt_free(&s.unknown);
    measure_releases(&out->row[GRANTED], &s, SEED, ERR_OK, RELEASES);
    measure_releases(&out->row[REFUSED], &s, SEED + 1, ERR_REFUSED, REFUSALS);
    measure(&out->row[ADD], do_add, &s, ADDS);
    release_beside(&s, out);
    flood(&f);
    s.extended = UINT32_C(0xffff0000);
    measure_releases(&out->row[DRAFTED], &s, SEED, ERR_OK, RELEASES);
}

/* The fixtures are those of the unit tests, whose assertions want to run inside one. */
static uint64_t size_now;
static struct result *result_now;

START_TEST(measure_now)
{
    measure_size(size_now, result_now);
}
END_TEST

static int run_size(uint64_t size, struct result *out)
{
    size_now = size;
    result_now = out;
    Suite *suite = suite_create("scale");
    TCase *tcase = tcase_create("size");
    tcase_add_test(tcase, measure_now);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    const int failed = srunner_ntests_failed(runner);
    if (failed != 0)
        srunner_print(runner, CK_NORMAL);
    srunner_free(runner);
    return failed;
}

/* --- The table --- */

static void print_rows(const struct result *results, const uint64_t *sizes, size_t count)
{
    printf("%-30s", "units (min..max)");
    for (size_t i = 0; i < count; i++)
        printf(" %24llu", (unsigned long long)sizes[i]);
    printf("    last:first\n");
    for (unsigned row = 0; row < ROW_COUNT; row++) {
        double medians[SIZES_MAX] = {0};
        printf("%-30s", row_names[row]);
        for (size_t i = 0; i < count; i++) {
            struct bench_series series = results[i].row[row];
            qsort(series.units, series.count, sizeof series.units[0], by_size);
            medians[i] = series.units[series.count / 2];
            printf(" %8.3f (%6.3f..%6.3f)", medians[i], series.units[0],
                   series.units[series.count - 1]);
        }
        printf(" %10.2f\n", medians[count - 1] / medians[0]);
    }
    printf("%-30s", "resident memory, KiB");
    for (size_t i = 0; i < count; i++)
        printf(" %24llu", (unsigned long long)results[i].memory_kib);
    printf("\n");
}

static void print_beside(const struct result *r, uint64_t size)
{
    printf("\n%-30s %12s %36s\n", "", "CPU, units", "time, ms: median, 95 %, longest");
    printf("of %llu: a release, alone %*s %12.3f %12.1f %10.1f %10.1f\n", (unsigned long long)size,
           1, "", r->alone.cpu_units, r->alone.wait_us[0] / 1000, r->alone.wait_us[1] / 1000,
           r->alone.wait_us[2] / 1000);
    printf("  beside %d who register %*s %12.3f %12.1f %10.1f %10.1f   (%u builds registered)\n",
           REGISTRARS, 4, "", r->registering.cpu_units, r->registering.wait_us[0] / 1000,
           r->registering.wait_us[1] / 1000, r->registering.wait_us[2] / 1000, r->registered);
}

int main(int argc, char **argv)
{
    uint64_t sizes[SIZES_MAX] = {100, 1000, 10000, 100000};
    size_t count = 4;
    struct result *results = mmap(NULL, SIZES_MAX * sizeof *results, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED || argc > SIZES_MAX + 1)
        return 2;
    if (argc > 1)
        count = (size_t)argc - 1;
    for (int i = 1; i < argc; i++)
        sizes[i - 1] = strtoull(argv[i], NULL, 10);
    for (size_t i = 0; i < count; i++) {
        int status = 0;
        const pid_t child = sizes[i] < BUILDS_OF_IMAGE ? -1 : fork();
        if (child == 0) {
            exit(run_size(sizes[i], &results[i]) == 0 ? 0 : 1);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            fprintf(stderr, "bench_scale: %llu measurements: failed\n",
                    (unsigned long long)sizes[i]);
            return 1;
        }
    }
    print_rows(results, sizes, count);
    for (size_t i = 0; i < count; i++)
        print_beside(&results[i], sizes[i]);
    return 0;
}
