/* The documents that are changed, each with what it takes to judge it. */
#ifndef VOUCHSAFE_MUTATION_SUBJECT_H
#define VOUCHSAFE_MUTATION_SUBJECT_H

#include "cert_map.h"
#include "map.h"
#include "tests/lib/mkdoc.h"
#include "verifier/attest/attest.h"

struct subject {
    char name[128]; /* the file; a twin's begins with "twin of " */
    struct buf document;
    enum attdoc_kind kind;
    int64_t now_ms;             /* the document's own timestamp */
    struct attest_trust *trust; /* borrowed: AWS's, the recorded vectors', or `own` */
    struct map map;
    struct cert_map cert[ATTDOC_BUNDLE_MAX + 1]; /* the bundle, then the leaf */
    bool twin;
    struct mkdoc_chain chain; /* a twin's: its bundle and leaf, with their keys */
    struct attest_trust *own; /* a twin's */
};

struct subjects {
    struct attest_trust *aws;
    struct attest_trust *vectors;
    size_t count;
    struct subject **subject; /* the recorded ones, each followed by its twin */
};

/* Every accepted document of $VOUCHSAFE_SHARED/attestation-docs, the one of a NitroTPM
 * as its own kind, and the accepted ones of tests/vectors/documents; of each a twin:
 * its payload with a test chain in place of certificate and cabundle, re-signed.
 * `most` 0: all of them, else so many, evenly spread.  Exits 77, or 1 in CI, without
 * test data, and 1 on any failure. */
void subjects_load(size_t most, struct subjects *out);
void subjects_free(struct subjects *subjects);

/* The names and windows of a test chain for this document, and no keys yet. */
void subject_chain_spec(const struct subject *s, struct mkdoc_chain_spec *out);

/* The DER of certificate `i` as map and chain count: the bundle, then the leaf. */
struct bytes subject_cert(const struct subject *s, size_t i);
/* "cabundle[1]" or "certificate" */
void subject_cert_field(size_t bundle_len, size_t i, char out[static 32]);

/* Prints and exits: nothing to judge by is no result. */
PRINTF_LIKE(1, 2)
void die(const char *fmt, ...) __attribute__((noreturn));
/* For what a test cannot go on without. */
#define MUST(expr)                                                            \
    do {                                                                      \
        const enum err must_ = (expr);                                        \
        if (must_ != ERR_OK)                                                  \
            die("%s:%d: %s: %s", __FILE__, __LINE__, #expr, err_wire(must_)); \
    } while (0)

#endif
