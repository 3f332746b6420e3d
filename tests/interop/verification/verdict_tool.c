/* What attest_verify says about many documents, for comparison with another verifier.
 *
 *   verdict_tool ROOT-PEM|aws <documents >verdicts
 *
 * In: for each document its length, four bytes big-endian, and the document.  Out: a line
 * "code<TAB>field<TAB>offset", the offset "-" where there is none.  Each is judged as an
 * enclave's, at its own time, three times: without a cache, and twice with one, which must
 * change nothing (VERIFICATION section 8). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "verifier/attest/attest.h"

#define ROOT_MAX      65536
#define DOCUMENT_MAX  65536
#define CACHE_ENTRIES 8

static struct fault judge(struct attest_trust *trust, struct bytes document)
{
    struct fault fault = FAULT_NONE;
    fault.code =
        attest_verify(trust, document, ATTDOC_ENCLAVE, ATTEST_AT_DOCUMENT, NULL, NULL, &fault);
    return fault;
}

static bool is_same(const struct fault *a, const struct fault *b)
{
    return a->code == b->code && a->offset == b->offset && strcmp(a->field, b->field) == 0;
}

/* In memory of exactly its size, so that a sanitizer sees a read past it. */
static int judge_one(struct attest_trust *plain, struct attest_trust *cached, size_t len)
{
    uint8_t *document = malloc(len > 0 ? len : 1);
    if (document == NULL || fread(document, 1, len, stdin) != len) {
        free(document);
        return 1;
    }
    const struct fault fault = judge(plain, bytes_of(document, len));
    bool same = true;
    for (int i = 0; i < 2; i++) {
        const struct fault again = judge(cached, bytes_of(document, len));
        same = same && is_same(&fault, &again);
    }
    free(document);
    if (!same) {
        fprintf(stderr, "verdict_tool: with the cache another verdict than %s\n",
                err_wire(fault.code));
        return 1;
    }
    printf("%s\t%s\t", err_wire(fault.code), fault.field);
    if (fault.offset == FAULT_NO_OFFSET)
        puts("-");
    else
        printf("%zu\n", fault.offset);
    return 0;
}

static const char *read_root(const char *name)
{
    static char pem[ROOT_MAX];
    if (strcmp(name, "aws") == 0)
        return attest_aws_root_pem;
    FILE *file = fopen(name, "rb");
    if (file == NULL)
        return NULL;
    const size_t len = fread(pem, 1, sizeof pem - 1, file);
    fclose(file);
    return len > 0 ? pem : NULL;
}

int main(int argc, char **argv)
{
    CLEANUP(attest_trust_freep) struct attest_trust *plain = NULL;
    CLEANUP(attest_trust_freep) struct attest_trust *cached = NULL;
    const char *pem = argc == 2 ? read_root(argv[1]) : NULL;
    if (pem == NULL || attest_trust_new(pem, 0, NULL, &plain, NULL) != ERR_OK ||
        attest_trust_new(pem, CACHE_ENTRIES, NULL, &cached, NULL) != ERR_OK) {
        fprintf(stderr, "usage: verdict_tool ROOT-PEM|aws <documents\n");
        return 2;
    }
    uint8_t head[4];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const size_t len =
            (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        if (len > DOCUMENT_MAX || judge_one(plain, cached, len) != 0)
            return 1;
    }
    return 0;
}
