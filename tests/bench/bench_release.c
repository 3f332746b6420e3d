/* What a release costs the server: over one kept-alive connection, for each format.
 *
 *   bench_release URL PID ROOT-DIR SECRET
 *
 * ROOT-DIR holds root.pem and root.key as vouchsafe-nsm-sim --root-dir makes them; the
 * server at URL (process PID) trusts that root and has granted SECRET to an image whose
 * PCR0..2 are those of mkdoc_fields_defaults with seed 1.  Counted is the CPU time of the
 * server's threads, nothing of this client's. */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "common/http_client.h"
#include "common/protocol.h"
#include "common/wrap.h"
#include "tests/lib/mkdoc.h"

#define RELEASES   60 /* a sample */
#define CHALLENGES 200
#define MODULE_ID  "i-0123456789abcdef0-enc0123456789abcdef"

struct client {
    struct http_connection *connection;
    struct mkdoc_chain chain;
    struct wanted_list wanted;
    const char *format;
    long pid;
};

static enum err post(struct client *c, const char *path, struct bytes body, struct buf *answer)
{
    CLEANUP(http_answer_free) struct http_answer got = {0};
    struct fault fault = FAULT_NONE;
    const struct http_request request = {
        .method = "POST",
        .path = path,
        .body = body,
        .timeout_ms = 30000,
        .answer_max = PROTOCOL_ANSWER_MAX,
    };
    const enum err err = http_connection_send(c->connection, &request, &got, &fault);
    if (err != ERR_OK || got.status != 200) {
        fprintf(stderr, "bench_release: %s: %d %s %.*s\n", path, got.status, fault.detail,
                (int)got.body.len, got.body.ptr == NULL ? "" : (const char *)got.body.ptr);
        return err == ERR_OK ? ERR_ANSWER : err;
    }
    buf_move(answer, &got.body);
    return ERR_OK;
}

static enum err get_challenge(struct client *c, uint8_t challenge[static PROTOCOL_CHALLENGE_LEN])
{
    CLEANUP(buf_free) struct buf answer = {0};
    TRY(post(c, "/v1/challenge", bytes_of("", 0), &answer));
    return challenge_answer_parse(bytes_of_buf(&answer), challenge, NULL);
}

/* One request body, document and all. */
static enum err make_request(struct client *c, struct buf *json)
{
    CLEANUP(release_request_free) struct release_request request = {.wanted = c->wanted};
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(buf_free) struct buf user_data = {0};
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    struct mkdoc_fields fields;

    TRY(get_challenge(c, challenge));
    TRY(wrap_key_generate(c->format, &key));
    TRY(wrap_key_spki(key, &spki));
    TRY(protocol_user_data(&c->wanted, bytes_of("", 0), &user_data));
    mkdoc_fields_defaults(&fields, (int64_t)time(NULL) * 1000, MODULE_ID, 1);
    fields.nonce = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of(challenge, sizeof challenge)};
    fields.public_key = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of_buf(&spki)};
    fields.user_data = (struct attdoc_optional){ATTDOC_PRESENT, bytes_of_buf(&user_data)};
    TRY(mkdoc_document(&fields, &c->chain, &request.document));
    return release_request_append(&request, json);
}

/* The server's CPU time for RELEASES releases; requests are made beforehand. */
static enum err sample_releases(struct client *c, double *ns)
{
    struct buf request[RELEASES] = {0};
    enum err err = ERR_OK;
    for (unsigned i = 0; i < RELEASES && err == ERR_OK; i++)
        err = make_request(c, &request[i]);
    const uint64_t before = bench_process_cpu_ns(c->pid);
    for (unsigned i = 0; i < RELEASES && err == ERR_OK; i++) {
        CLEANUP(buf_free) struct buf answer = {0};
        err = post(c, "/v1/release", bytes_of_buf(&request[i]), &answer);
    }
    *ns = (double)(bench_process_cpu_ns(c->pid) - before) / RELEASES;
    for (unsigned i = 0; i < RELEASES; i++)
        buf_free(&request[i]);
    return err;
}

static enum err sample_challenges(struct client *c, double *ns)
{
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    const uint64_t before = bench_process_cpu_ns(c->pid);
    for (unsigned i = 0; i < CHALLENGES; i++)
        TRY(get_challenge(c, challenge));
    *ns = (double)(bench_process_cpu_ns(c->pid) - before) / CHALLENGES;
    return ERR_OK;
}

static enum err measure(struct client *c, const char *name,
                        enum err (*sample)(struct client *, double *))
{
    struct bench_series series = {0};
    double ns;
    double unit_ns;
    TRY(sample(c, &ns));
    for (unsigned i = 0; i < BENCH_SAMPLES; i++) {
        TRY(bench_unit_ns(&unit_ns));
        TRY(sample(c, &ns));
        bench_add(&series, ns, unit_ns);
    }
    bench_print(name, &series);
    return ERR_OK;
}

/* --- The chain under an existing root --- */

static enum err load_root(const char *dir, struct mkdoc_chain *root)
{
    char path[4096];
    uint8_t *der = NULL;
    snprintf(path, sizeof path, "%s/root.key", dir);
    FILE *file = fopen(path, "r");
    EVP_PKEY *key = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);
    if (file != NULL)
        fclose(file);
    snprintf(path, sizeof path, "%s/root.pem", dir);
    file = fopen(path, "r");
    X509 *cert = file == NULL ? NULL : PEM_read_X509(file, NULL, NULL, NULL);
    if (file != NULL)
        fclose(file);
    const int len = cert == NULL ? 0 : i2d_X509(cert, &der);
    X509_free(cert);
    root->key[0] = key;
    root->len = 1;
    const enum err err =
        key == NULL || len <= 0 ? ERR_FILE : buf_append(&root->der[0], bytes_of(der, (size_t)len));
    OPENSSL_free(der);
    return err;
}

static enum err make_chain(const char *dir, struct mkdoc_chain *out)
{
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain root = {0};
    struct mkdoc_chain_spec spec;
    TRY(load_root(dir, &root));
    mkdoc_chain_defaults(&spec, (int64_t)time(NULL) * 1000, MODULE_ID, "us-east-1");
    return mkdoc_chain_extend(&root, 1, &spec, out);
}

static enum err run(struct client *c, const char *url, const char *root_dir)
{
    struct http_target target;
    struct fault fault = FAULT_NONE;
    TRY(make_chain(root_dir, &c->chain));
    TRY(http_target_parse(url, &target, &fault));
    TRY(http_connection_open(&target, NULL, 30000, &c->connection, &fault));
    TRY(measure(c, "challenge", sample_challenges));
    for (const char *const *format = wrap_formats; *format != NULL; format++) {
        char name[64];
        c->format = *format;
        snprintf(name, sizeof name, "release, %s", *format);
        TRY(measure(c, name, sample_releases));
    }
    printf("%-44s %8llu KiB  (peak %llu KiB)\n", "resident memory of the server",
           (unsigned long long)bench_process_memory_kib(c->pid, "VmRSS"),
           (unsigned long long)bench_process_memory_kib(c->pid, "VmHWM"));
    return ERR_OK;
}

int main(int argc, char **argv)
{
    struct client c = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: bench_release URL PID ROOT-DIR SECRET\n");
        return 2;
    }
    c.pid = strtol(argv[2], NULL, 10);
    enum err err = wanted_add(&c.wanted, bytes_of_text(argv[4]), 0, 0, NULL);
    if (err == ERR_OK)
        err = run(&c, argv[1], argv[3]);
    http_connection_close(c.connection);
    mkdoc_chain_free(&c.chain);
    if (err != ERR_OK)
        fprintf(stderr, "bench_release: %s\n", err_sentence(err));
    return err == ERR_OK ? 0 : 1;
}
