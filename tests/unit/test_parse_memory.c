/* Reading a document allocates nothing: envelope, CBOR and syntax rules live in fixed
 * buffers, so that nobody's bytes decide how much memory they take.  Every recorded
 * document and every one of our own, good or broken, whole or cut off.
 *
 * What attest_parse allocates besides is OpenSSL's, for the document's SHA-384: the same
 * number of allocations as the digest alone. */
#include <glob.h>
#include <stdio.h>

#include "common/attdoc.h"
#include "common/cose_sign1.h"
#include "common/file.h"
#include "shared.h"
#include "unit.h"
#include "verifier/attest/attest.h"

SHARED_DEMAND("attestation-docs")

static unsigned long allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}

/* ---- the documents ---- */

static void find_recorded(glob_t *found)
{
    char pattern[SHARED_PATH_MAX];
    shared_path("attestation-docs/*.cbor", pattern);
    ck_assert_int_eq(glob(pattern, 0, NULL, found), 0);
    ck_assert_uint_ge(found->gl_pathc, 90);
}

static void find_own(glob_t *found)
{
    char pattern[SHARED_PATH_MAX];
    ck_assert_int_lt(snprintf(pattern, sizeof pattern, "%s/tests/vectors/documents/*.cbor",
                              getenv("VOUCHSAFE_SOURCE")),
                     (int)sizeof pattern);
    ck_assert_int_eq(glob(pattern, 0, NULL, found), 0);
    ck_assert_uint_ge(found->gl_pathc, 23);
}

/* ---- the parsers ---- */

static enum err parse(struct bytes document, struct fault *fault)
{
    struct cose_sign1 cose;
    struct attdoc doc;
    TRY(cose_sign1_parse(COSE_ATTESTATION, document, &cose, fault));
    return attdoc_parse(cose.payload, cose.payload_offset, NULL, &doc, fault);
}

/* The whole, and pieces of it, each with an error and its words. */
static unsigned check_file(const char *path)
{
    CLEANUP(buf_free) struct buf document = {0};
    unsigned accepted = 0;
    ck_ok(file_read(path, ATTDOC_LEN_MAX, &document, NULL));
    for (size_t cut = 0; cut <= document.len; cut += cut < 64 ? 1 : 61) {
        struct fault fault = FAULT_NONE;
        const unsigned long before = allocations;
        const enum err err = parse(bytes_of(document.ptr, document.len - cut), &fault);
        ck_assert_msg(allocations == before, "%s, %zu bytes cut off: %lu allocations for %s", path,
                      cut, allocations - before, err_wire(err));
        accepted += err == ERR_OK;
    }
    return accepted;
}

static unsigned check_files(const glob_t *found)
{
    unsigned accepted = 0;
    for (size_t i = 0; i < found->gl_pathc; i++)
        accepted += check_file(found->gl_pathv[i]);
    return accepted;
}

START_TEST(no_allocation_recorded)
{
    glob_t found = {0};
    find_recorded(&found);
    ck_assert_uint_ge(check_files(&found), 81);
    globfree(&found);
}
END_TEST

START_TEST(no_allocation_own)
{
    glob_t found = {0};
    find_own(&found);
    ck_assert_uint_ge(check_files(&found), 7);
    globfree(&found);
}
END_TEST

/* The counter counts, and what attest_parse takes is the digest's. */
START_TEST(valid_allocations_of_the_digest)
{
    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    glob_t found = {0};
    find_recorded(&found);
    ck_ok(attest_trust_new(NULL, 0, NULL, &trust, NULL));
    unsigned accepted = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        CLEANUP(buf_free) struct buf document = {0};
        struct attest_report report;
        uint8_t digest[SHA384_LEN];
        ck_ok(file_read(found.gl_pathv[i], ATTDOC_LEN_MAX, &document, NULL));
        const unsigned long before = allocations;
        if (attest_parse(trust, bytes_of_buf(&document), &report, NULL) != ERR_OK)
            continue;
        const unsigned long between = allocations;
        const enum err err = digest_sha384(report.cose.payload, digest);
        const unsigned long after = allocations;
        ck_ok(err); /* only now: Check allocates */
        ck_assert_uint_gt(between, before);
        ck_assert_uint_eq(between - before, after - between);
        accepted++;
    }
    ck_assert_uint_ge(accepted, 81);
    globfree(&found);
}
END_TEST

UNIT_MAIN("parse_memory", no_allocation_recorded, no_allocation_own,
          valid_allocations_of_the_digest)
