/* Mutation of recorded documents: every change that can be made to a good document is
 * made, and each is refused by the rule that it breaks, at its place; only what leaves
 * the signed content and its rules intact verifies, with the right digest. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

#define DEFAULT_SEED   20261129
#define BYTES_PER_TASK 256

static const char usage[] =
    "usage: mutate_documents [--seed N] [--share N] [--jobs N] [--documents N] [--all-values]\n"
    "  --seed N       what is chosen by chance depends on it\n"
    "  --share N      a seeded N-th of the cases\n"
    "  --jobs N       processes; default: one per core\n"
    "  --documents N  so many documents, evenly spread; default: all\n"
    "  --all-values   the byte changes only, with all 255 values at every position\n";

static unsigned long number(const char *text, unsigned long least)
{
    char *end = NULL;
    const unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < least) {
        fputs(usage, stderr);
        exit(2);
    }
    return value;
}

static void read_options(int argc, char **argv, struct run *run, size_t *documents)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"share", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'},
        {"documents", required_argument, NULL, 'd'},
        {"all-values", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            run->seed = number(optarg, 0);
            break;
        case 'n':
            run->share = (unsigned)number(optarg, 1);
            break;
        case 'j':
            run->jobs = (unsigned)number(optarg, 1);
            break;
        case 'd':
            *documents = number(optarg, 1);
            break;
        case 'a':
            run->all_values = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (optind != argc) {
        fputs(usage, stderr);
        exit(2);
    }
}

/* ---- tasks ---- */

struct tasks {
    struct task *task;
    size_t count;
    size_t cap;
};

static void add_task(struct tasks *tasks, struct task task)
{
    if (tasks->count == tasks->cap) {
        tasks->cap = tasks->cap == 0 ? 256 : 2 * tasks->cap;
        tasks->task = realloc(tasks->task, tasks->cap * sizeof *tasks->task);
        if (tasks->task == NULL)
            die("no memory");
    }
    tasks->task[tasks->count++] = task;
}

/* Which changes are made to which: what needs a new signature, to the twins. */
static const struct kind {
    const char *what;
    void (*work)(struct run *run, const struct task *task);
    bool recorded;
    bool twin;
} kinds[] = {
    {"truncations", truncate_document, true, false},
    {"envelope", change_envelope, true, true},
    {"recorded chain", change_recorded_chain, true, false},
    {"bundle", change_bundle, false, true},
    {"rules", break_rules, false, true},
    {"fields", change_fields, false, true},
    {"values", change_values, false, true},
};

static void add_tasks(struct tasks *tasks, const struct subject *s, bool all_values)
{
    for (size_t at = 0; !s->twin && at < s->document.len; at += BYTES_PER_TASK) {
        const size_t left = s->document.len - at;
        add_task(tasks, (struct task){"bytes", change_bytes, s, at,
                                      at + (left < BYTES_PER_TASK ? left : BYTES_PER_TASK)});
    }
    for (size_t i = 0; !all_values && i < ARRAY_LEN(kinds); i++) {
        if (s->twin ? kinds[i].twin : kinds[i].recorded)
            add_task(tasks, (struct task){.what = kinds[i].what, .work = kinds[i].work, .s = s});
    }
}

int main(int argc, char **argv)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct run run = {.seed = DEFAULT_SEED, .share = 1, .jobs = cores > 0 ? (unsigned)cores : 1};
    size_t documents = 0;
    read_options(argc, argv, &run, &documents);
    struct subjects subjects;
    struct tasks tasks = {0};
    subjects_load(documents, &subjects);
    run.subjects = &subjects;
    for (size_t i = 0; i < subjects.count; i++)
        add_tasks(&tasks, subjects.subject[i], run.all_values);
    fprintf(stderr, "mutate_documents: %zu documents and as many twins, seed %llu\n",
            subjects.count / 2, (unsigned long long)run.seed);
    const bool good = run_tasks(&run, tasks.task, tasks.count);
    free(tasks.task);
    subjects_free(&subjects);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
