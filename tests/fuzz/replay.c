/* Runs inputs through a fuzz target without libFuzzer: the files named, and all files of
 * the folders named; a target that has a mutator also gets each file once mutated, by a
 * seed that is its place in the list.
 *
 *     fuzz_cbor_reader tests/fuzz/corpus/cbor_reader
 *
 * Not zero where a folder is empty, or where nothing was accepted: a corpus that has come
 * to be refused at the door tests nothing. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"

#define INPUT_MAX (4u << 20)

#pragma weak LLVMFuzzerCustomMutator

/* Instead of libFuzzer's: one byte changed, added or taken away. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    static unsigned seed;
    const size_t at = fuzz_choose(&seed, (uint32_t)size + 1);
    const uint8_t byte = (uint8_t)fuzz_choose(&seed, 256);
    const size_t add = fuzz_choose(&seed, 2);
    const size_t end = at < size && fuzz_choose(&seed, 3) > 0 ? at + 1 : at;
    return fuzz_splice(data, size, max_size, at, end, bytes_of(&byte, add));
}

/* An exact copy on the heap, so that a sanitizer sees the first byte beyond it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    FUZZ_HOLDS(copy != NULL);
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_mutated(const uint8_t *data, size_t size, unsigned seed)
{
    const size_t max_size = 2 * size + 4096;
    uint8_t *copy = malloc(max_size);
    FUZZ_HOLDS(copy != NULL);
    memcpy(copy, data, size);
    const size_t mutated = LLVMFuzzerCustomMutator(copy, size, max_size, seed);
    FUZZ_HOLDS(mutated <= max_size);
    run(copy, mutated);
    free(copy);
}

static size_t inputs;

static bool run_file(const char *path)
{
    static uint8_t data[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    const size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    run(data, size);
    if (LLVMFuzzerCustomMutator != NULL)
        run_mutated(data, size, (unsigned)inputs);
    inputs++;
    return true;
}

static bool run_folder(const char *path)
{
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, NULL, alphasort);
    bool done = count > 2; /* besides . and .. */
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            done = run_file(name) && done;
        free(entries[i]);
    }
    free(entries);
    if (!done)
        fprintf(stderr, "%s: no corpus, or not all of it could be read\n", path);
    return done;
}

int main(int argc, char **argv)
{
    bool done = argc > 1;
    bool folders = false;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        const bool folder = stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode);
        done = (folder ? run_folder(argv[i]) : run_file(argv[i])) && done;
        folders = folders || folder;
    }
    printf("%zu inputs, %zu times something was accepted\n", inputs, fuzz_accepted);
    if (folders && fuzz_accepted == 0) {
        fprintf(stderr, "nothing was accepted\n");
        done = false;
    }
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
