/* What verification costs: parsing alone, a document with nothing known, and one whose
 * CA certificates were seen before.
 *
 *   bench_verify [DIR]
 *
 * DIR holds recorded documents, 20*.cbor: of these the one in the middle by size and the
 * largest are parsed besides one of our own. */
#include <glob.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "common/file.h"
#include "tests/lib/mkdoc.h"
#include "verifier/attest/attest.h"

#define PARSE_ROUNDS  2000
#define VERIFY_ROUNDS 40

struct subject {
    struct attest_trust *trust;
    struct buf document;
    int64_t now_ms;
};

/* Strictness by itself: no digest, no allocation (test_parse_memory). */
static enum err parse(void *context)
{
    const struct subject *s = context;
    struct cose_sign1 cose;
    struct attdoc doc;
    TRY(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(&s->document), &cose, NULL));
    return attdoc_parse(cose.payload, cose.payload_offset, NULL, &doc, NULL);
}

static enum err parse_and_digest(void *context)
{
    struct subject *s = context;
    struct attest_report report;
    return attest_parse(s->trust, bytes_of_buf(&s->document), &report, NULL);
}

static enum err verify(void *context)
{
    struct subject *s = context;
    return attest_verify(s->trust, bytes_of_buf(&s->document), ATTDOC_ENCLAVE, s->now_ms, NULL,
                         NULL, NULL);
}

static enum err measure(const char *name, bench_fn *work, struct subject *subject, unsigned rounds)
{
    struct bench_series series = {0};
    double ns;
    double unit_ns;
    TRY(bench_sample(work, subject, rounds, &ns)); /* caches of OpenSSL, the page cache */
    for (unsigned i = 0; i < BENCH_SAMPLES; i++) {
        TRY(bench_unit_ns(&unit_ns));
        TRY(bench_sample(work, subject, rounds, &ns));
        bench_add(&series, ns, unit_ns);
    }
    bench_print(name, &series);
    return ERR_OK;
}

/* The name of the row says whose document it is. */
static enum err measure_parsing(const char *whose, struct subject *s)
{
    char name[64];
    snprintf(name, sizeof name, "parse %s, %zu bytes", whose, s->document.len);
    TRY(measure(name, parse, s, PARSE_ROUNDS));
    return measure("  with its SHA-384", parse_and_digest, s, PARSE_ROUNDS);
}

/* ---- recorded documents ---- */

static int by_length(const void *a, const void *b)
{
    const size_t x = ((const struct buf *)a)->len;
    const size_t y = ((const struct buf *)b)->len;
    return (x > y) - (x < y);
}

static enum err measure_recorded(const char *dir, struct attest_trust *trust)
{
    char pattern[4096];
    glob_t found = {0};
    snprintf(pattern, sizeof pattern, "%s/20*.cbor", dir);
    if (glob(pattern, 0, NULL, &found) != 0)
        return ERR_FILE;
    struct buf *documents = calloc(found.gl_pathc, sizeof *documents);
    enum err err = documents == NULL ? ERR_NO_MEMORY : ERR_OK;
    for (size_t i = 0; i < found.gl_pathc && err == ERR_OK; i++)
        err = file_read(found.gl_pathv[i], ATTDOC_LEN_MAX, &documents[i], NULL);
    if (err == ERR_OK) {
        qsort(documents, found.gl_pathc, sizeof *documents, by_length);
        struct subject s = {.trust = trust, .document = documents[found.gl_pathc / 2]};
        err = measure_parsing("recorded, in the middle", &s);
        s.document = documents[found.gl_pathc - 1];
        if (err == ERR_OK)
            err = measure_parsing("recorded, the largest", &s);
    }
    for (size_t i = 0; documents != NULL && i < found.gl_pathc; i++)
        buf_free(&documents[i]);
    free(documents);
    globfree(&found);
    return err;
}

static enum err run(const char *recorded)
{
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {0};
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(attest_trust_freep) struct attest_trust *uncached = NULL;
    CLEANUP(attest_trust_freep) struct attest_trust *cached = NULL;
    struct mkdoc_chain_spec spec;
    struct mkdoc_fields fields;
    struct subject s = {.now_ms = (int64_t)time(NULL) * 1000};

    mkdoc_chain_defaults(&spec, s.now_ms, "i-0123456789abcdef0-enc0123456789abcdef", "us-east-1");
    TRY(mkdoc_chain_make(&spec, &chain));
    TRY(mkdoc_root_pem(&chain, &pem));
    mkdoc_fields_defaults(&fields, s.now_ms, "i-0123456789abcdef0-enc0123456789abcdef", 1);
    TRY(mkdoc_document(&fields, &chain, &s.document));
    TRY(attest_trust_new(buf_text(&pem), 0, NULL, &uncached, NULL));
    TRY(attest_trust_new(buf_text(&pem), 16, NULL, &cached, NULL));

    s.trust = uncached;
    if (recorded != NULL)
        TRY(measure_recorded(recorded, uncached));
    TRY(measure_parsing("one of our own", &s));
    TRY(measure("verify, every certificate new", verify, &s, VERIFY_ROUNDS));
    s.trust = cached;
    TRY(measure("verify, CA certificates known", verify, &s, VERIFY_ROUNDS));
    buf_free(&s.document);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    printf("%s\n%-44s %8s\n", OpenSSL_version(OPENSSL_VERSION), "", "units  (min..max)");
    printf("%-44s %8.3f\n", "what parsing may cost: 1/50", 1.0 / 50);
    const enum err err = run(argc > 1 ? argv[1] : NULL);
    if (err != ERR_OK)
        fprintf(stderr, "bench_verify: %s\n", err_sentence(err));
    return err == ERR_OK ? 0 : 1;
}
