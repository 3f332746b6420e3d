/* What must become of a changed document: the code, its place, and how far the
 * appraisal came.  Stated from the maps, never from what the verifier says. */
#ifndef VOUCHSAFE_MUTATION_EXPECT_H
#define VOUCHSAFE_MUTATION_EXPECT_H

#include "subject.h"

/* Where a change may break one of several rules, depending on bytes that it brings
 * into another role: the narrowest set, and why there is more than one. */
struct code_set {
    const char *why;
    enum err code[12]; /* up to the first ERR_OK */
};

/* A length was changed: what comes next is read at another place. */
extern const struct code_set set_shifted_payload;
/* The same before an optional field's end in an indefinite map: the break may be met. */
extern const struct code_set set_shifted_optional;
/* OpenSSL takes some string types and refuses others. */
extern const struct code_set set_name_tag;

struct expectation {
    enum err code;              /* ERR_OK: must verify */
    const struct code_set *set; /* instead of `code`, or NULL */
    enum attest_check syntax;   /* where codes of syntax arise: ATTEST_COSE, ATTEST_PAYLOAD */
    size_t offset_from;         /* both inclusive; for codes of syntax */
    size_t offset_to;
    size_t missing_at;    /* where "the field is missing" may be reported besides */
    char field[96];       /* "": any */
    char also_field[96];  /* or this one */
    struct bytes payload; /* of what must verify: its digest is demanded */
};

void expect_ok(struct expectation *e, struct bytes payload);
PRINTF_LIKE(5, 6)
void expect_syntax(struct expectation *e, enum err code, enum attest_check syntax, size_t offset,
                   const char *field, ...);
/* The document's signature does not verify. */
void expect_signature(struct expectation *e);
/* A rule about certificate `i` of a chain whose bundle has `bundle_len`. */
void expect_cert(struct expectation *e, enum err code, size_t bundle_len, size_t i);
/* One of `set`, at `from` or behind it. */
void expect_shifted(struct expectation *e, const struct code_set *set, size_t from,
                    size_t missing_at);

/* One byte at `at` of `s`'s document is now `value`; `changed` has the whole. */
struct byte_change {
    const struct subject *s;
    const uint8_t *changed;
    size_t at;
    uint8_t value;
};
void expect_byte(const struct byte_change *c, struct expectation *e);
/* The same for a byte of a certificate: `i` as subject_cert counts, `at` in its DER. */
void expect_cert_byte(const struct byte_change *c, size_t i, size_t at, struct expectation *e);
/* A whole chain at `now_ms`: the first certificate that is not valid then, or that the
 * windows hold (ERR_OK). */
enum err expect_window(const struct cert_map *cert, int64_t now_ms);

/* What came of it. */
struct outcome {
    enum err code;
    struct attest_report report;
    struct fault fault;
    bool made; /* a verified_doc */
    uint8_t digest[SHA384_LEN];
};
/* True where it is what was expected; else `why` says what is not. */
MUST_CHECK bool expectation_met(const struct expectation *e, const struct outcome *o, char *why,
                                size_t why_size);

#endif
