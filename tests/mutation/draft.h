/* A twin's payload in pieces, to be put together differently and signed again. */
#ifndef VOUCHSAFE_MUTATION_DRAFT_H
#define VOUCHSAFE_MUTATION_DRAFT_H

#include "run.h"

#define DRAFT_MAX 16

/* Keys and values as they are encoded: views. */
struct draft {
    bool indefinite;
    size_t count;
    struct draft_entry {
        enum field field;
        struct bytes key;
        struct bytes value;
    } entry[DRAFT_MAX];
};

void draft_of(const struct subject *s, struct draft *out);
/* The entry of that field, which must be there. */
size_t draft_find(const struct draft *d, enum field field);
/* Where its key and its value lie in the payload. */
size_t draft_key_at(const struct draft *d, size_t i);
size_t draft_value_at(const struct draft *d, size_t i);
void draft_append(const struct draft *d, struct buf *payload);

/* What signs: the twin's chain as a rule, whose last key it is. */
struct forge {
    struct run *run;
    const struct subject *s;
    const struct mkdoc_chain *signer;
    const char *group; /* with the number of the case it decides what belongs to a share */
    size_t n;
};

/* Signs the payload and judges the document.  The offsets of `e` count from the
 * payload's start where its codes are the payload's. */
PRINTF_LIKE(4, 5)
void forge_payload(struct forge *f, struct bytes payload, const struct expectation *e,
                   const char *what, ...);
PRINTF_LIKE(4, 5)
void forge_draft(struct forge *f, const struct draft *d, const struct expectation *e,
                 const char *what, ...);
/* `d` with another value in entry `i`. */
PRINTF_LIKE(6, 7)
void forge_value(struct forge *f, const struct draft *d, size_t i, struct bytes value,
                 const struct expectation *e, const char *what, ...);

/* A bundle and a leaf, as DER. */
struct certs {
    size_t count; /* of the bundle */
    struct bytes bundle[ATTDOC_BUNDLE_MAX + 4];
    struct bytes leaf;
};
void certs_of_chain(const struct mkdoc_chain *chain, struct certs *out);
/* `d` with these certificates. */
PRINTF_LIKE(5, 6)
void forge_certs(struct forge *f, const struct draft *d, const struct certs *certs,
                 const struct expectation *e, const char *what, ...);

/* One item of each type that is not `own` of the field's, and of each form that no
 * reader may take. */
enum own_type { OWN_UINT, OWN_BYTES, OWN_TEXT, OWN_ARRAY, OWN_MAP, OWN_NULL, OWN_NONE };
struct odd_item {
    const char *what;
    struct bytes encoded;
    enum own_type own;
    enum err code; /* where another type is demanded */
};
extern const struct odd_item odd_items[];
extern const size_t odd_items_count;

#endif
