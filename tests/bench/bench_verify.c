/* What verification costs: parsing alone, a document with nothing known, and one whose
 * CA certificates were seen before. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <time.h>

#include "bench.h"
#include "tests/lib/mkdoc.h"
#include "verifier/attest/attest.h"

#define PARSE_ROUNDS  2000
#define VERIFY_ROUNDS 40

struct subject {
    struct attest_trust *trust;
    struct buf document;
    int64_t now_ms;
};

static enum err parse(void *context)
{
    struct subject *s = context;
    struct attest_report report;
    return attest_parse(s->trust, bytes_of_buf(&s->document), ATTDOC_ENCLAVE, &report, NULL);
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

static enum err run(void)
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
    TRY(measure("parse (COSE, CBOR, syntax rules, digest)", parse, &s, PARSE_ROUNDS));
    TRY(measure("verify, every certificate new", verify, &s, VERIFY_ROUNDS));
    s.trust = cached;
    TRY(measure("verify, CA certificates known", verify, &s, VERIFY_ROUNDS));
    buf_free(&s.document);
    return ERR_OK;
}

int main(void)
{
    printf("%s\n%-44s %8s\n", OpenSSL_version(OPENSSL_VERSION), "", "units  (min..max)");
    const enum err err = run();
    if (err != ERR_OK)
        fprintf(stderr, "bench_verify: %s\n", err_sentence(err));
    return err == ERR_OK ? 0 : 1;
}
