#include "code_index.h"

#include <search.h>
#include <stdlib.h>

/* What a document proves of the code it runs, and the measurements that say so. */
#define CODE_PCRS 3
struct code {
    enum attdoc_kind kind;
    uint8_t value[CODE_PCRS][ATTDOC_PCR_LEN];
    struct code_chains chains;
};

static void code_free(struct code *code)
{
    free(code);
}
CLEANUP_PTR(struct code, code_free, code_freep)

static int by_code(const void *a, const void *b)
{
    const struct code *x = a;
    const struct code *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return memcmp(x->value, y->value, sizeof x->value);
}

/* Which PCRs say what code runs. */
static const unsigned *code_pcrs(enum attdoc_kind kind, size_t *count)
{
    static const unsigned enclave[CODE_PCRS] = {0, 1, 2};
    static const unsigned nitrotpm[] = {4, 7};
    *count = kind == ATTDOC_NITROTPM ? ARRAY_LEN(nitrotpm) : ARRAY_LEN(enclave);
    return kind == ATTDOC_NITROTPM ? nitrotpm : enclave;
}

/* A measurement holds them: rows.c. */
static enum err read_code(const struct policy_measurement *m, struct code *code)
{
    struct pcr_set pcrs;
    size_t count;
    const unsigned *pcr = code_pcrs(m->kind, &count);
    TRY(pcr_set_parse(bytes_of_buf(&m->pcrs), &pcrs));
    code->kind = m->kind;
    for (size_t i = 0; i < count; i++)
        memcpy(code->value[i], pcrs.value[pcr[i]], ATTDOC_PCR_LEN);
    return ERR_OK;
}

/* --- Adding and moving --- */

static enum err make_room(struct code_index *index, uint64_t id)
{
    uint64_t room = index->room == 0 ? 16 : index->room;
    while (room < id)
        room *= 2;
    if (room == index->room)
        return ERR_OK;
    uint64_t *more = realloc(index->next, (size_t)room * sizeof *more);
    if (more == NULL)
        return ERR_NO_MEMORY;
    memset(more + index->room, 0, (size_t)(room - index->room) * sizeof *more);
    index->next = more;
    index->room = room;
    return ERR_OK;
}

static uint64_t *chain_for(struct code_chains *chains, const struct policy_measurement *m)
{
    return m->state == MEASUREMENT_DRAFT ? &chains->first_draft : &chains->first;
}

/* By id, so that a chain is the same after a restart; a new measurement has the highest. */
static void chain(struct code_index *index, uint64_t *at, uint64_t id)
{
    while (*at > id)
        at = &index->next[*at - 1];
    index->next[id - 1] = *at;
    *at = id;
}

static void unchain(struct code_index *index, uint64_t *at, uint64_t id)
{
    while (*at != 0 && *at != id)
        at = &index->next[*at - 1];
    if (*at == id)
        *at = index->next[id - 1];
}

enum err code_index_add(struct code_index *index, uint64_t id, const struct policy_measurement *m)
{
    TRY(make_room(index, id));
    if (m->debug) {
        chain(index, chain_for(&index->debug, m), id);
        return ERR_OK;
    }
    CLEANUP(code_freep) struct code *code = calloc(1, sizeof *code);
    if (code == NULL)
        return ERR_NO_MEMORY;
    TRY(read_code(m, code));
    struct code **node = tsearch(code, &index->codes, by_code);
    if (node == NULL)
        return ERR_NO_MEMORY;
    chain(index, chain_for(&(*node)->chains, m), id);
    if (*node == code)
        code = NULL; /* it is the tree's */
    return ERR_OK;
}

/* NULL where none of its code was added. */
static struct code_chains *chains_of(struct code_index *index, const struct policy_measurement *m)
{
    struct code probe = {0};
    if (m->debug)
        return &index->debug;
    if (read_code(m, &probe) != ERR_OK)
        return NULL;
    struct code *const *node = tfind(&probe, &index->codes, by_code);
    return node == NULL ? NULL : &(*node)->chains;
}

/* The code stays, where need be with empty chains. */
void code_index_move(struct code_index *index, uint64_t id, const struct policy_measurement *before,
                     const struct policy_measurement *after)
{
    struct code_chains *chains = chains_of(index, before);
    if (chains == NULL)
        return;
    unchain(index, chain_for(chains, before), id);
    if (after->state != MEASUREMENT_DISCARDED)
        chain(index, chain_for(chains, after), id);
}

/* Removes one node after the other at the root: tdestroy is GNU's alone. */
void code_index_free(struct code_index *index)
{
    while (index->codes != NULL) {
        struct code *code = *(struct code **)index->codes;
        tdelete(code, &index->codes, by_code);
        free(code);
    }
    free(index->next);
}

/* --- Finding --- */

struct code_chains code_index_find(const struct code_index *index, const struct policy_facts *facts)
{
    const struct code_chains none = {.first = 0};
    struct code probe = {.kind = facts->kind};
    size_t count;
    const unsigned *pcr = code_pcrs(facts->kind, &count);
    if (facts->debug)
        return index->debug;
    for (size_t i = 0; i < count; i++) {
        if (facts->pcr[pcr[i]] == NULL)
            return none;
        memcpy(probe.value[i], facts->pcr[pcr[i]], ATTDOC_PCR_LEN);
    }
    struct code *const *node = tfind(&probe, &index->codes, by_code);
    return node == NULL ? none : (*node)->chains;
}

uint64_t code_index_next(const struct code_index *index, uint64_t id)
{
    return id < 1 || id > index->room ? 0 : index->next[id - 1];
}
