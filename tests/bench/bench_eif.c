/* What measuring an enclave image file costs, as `describe-eif` and `measurement add --eif` do
 * it: in units of one SHA-384 over the same bytes, which no reader of images can do without. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "common/cose_sign1.h"
#include "tests/lib/mkeif.h"
#include "verifier/measure/eif.h"

#define KERNEL_LEN  (8u * 1024 * 1024)
#define RAMDISK_LEN (28u * 1024 * 1024)
#define PIECE_LEN   (256u * 1024) /* as eif_file.c reads it */

static enum err digest(void *context)
{
    const struct buf *file = context;
    uint8_t sha384[SHA384_LEN];
    return digest_sha384(bytes_of_buf(file), sha384);
}

static enum err measure(void *context)
{
    const struct buf *file = context;
    CLEANUP(eif_freep) struct eif *eif = NULL;
    CLEANUP(eif_description_free) struct eif_description description = {0};
    TRY(eif_new(&eif));
    for (size_t at = 0; at < file->len; at += PIECE_LEN) {
        const size_t left = file->len - at;
        TRY(eif_feed(eif, bytes_of(file->ptr + at, left < PIECE_LEN ? left : PIECE_LEN), NULL));
    }
    return eif_finish(eif, &description, NULL);
}

/* A kernel and two ramdisks, as nitro-cli's images have them. */
static enum err make(struct buf *file)
{
    CLEANUP(buf_free) struct buf content = {0};
    struct mkeif eif;
    TRY(buf_reserve(&content, RAMDISK_LEN));
    memset(content.ptr, 0x5a, RAMDISK_LEN);
    mkeif_defaults(&eif, 2);
    for (size_t i = 0; i < eif.count; i++) {
        if (eif.section[i].type == MKEIF_KERNEL)
            eif.section[i].content = bytes_of(content.ptr, KERNEL_LEN);
        if (eif.section[i].type == MKEIF_RAMDISK)
            eif.section[i].content = bytes_of(content.ptr, RAMDISK_LEN);
    }
    return mkeif_build(&eif, file);
}

static enum err run(void)
{
    CLEANUP(buf_free) struct buf file = {0};
    struct bench_series series = {0};
    double ns;
    double sha384_ns;
    char name[64];
    TRY(make(&file));
    TRY(bench_sample(measure, &file, 1, &ns)); /* the page cache */
    for (unsigned i = 0; i < BENCH_SAMPLES; i++) {
        TRY(bench_sample(digest, &file, 1, &sha384_ns));
        TRY(bench_sample(measure, &file, 1, &ns));
        bench_add(&series, ns, sha384_ns);
    }
    snprintf(name, sizeof name, "measure an image, in SHA-384 of its %zu MB", file.len / 1000000);
    bench_print(name, &series);
    printf("%-44s %8.0f MB/s\n", "", (double)file.len / series.us[series.count / 2]);
    return ERR_OK;
}

int main(void)
{
    const enum err err = run();
    if (err == ERR_OK)
        return 0;
    fprintf(stderr, "bench_eif: %s\n", err_sentence(err));
    return 1;
}
