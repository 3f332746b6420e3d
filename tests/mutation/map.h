/* The map of a document: what each byte of it belongs to.
 *
 * Made by a walker of its own, not by the readers under test, and only for documents
 * that are known to be good: it is what the expectations are stated over.  item_rule
 * is RFC 8949's well-formedness and the strictness of docs/DESIGN.md section 4 for one
 * item; where an item breaks several rules at once, their order is that of its lines. */
#ifndef VOUCHSAFE_MUTATION_MAP_H
#define VOUCHSAFE_MUTATION_MAP_H

#include "common/attdoc.h"

enum field {
    FIELD_MODULE_ID,
    FIELD_DIGEST,
    FIELD_TIMESTAMP,
    FIELD_PCRS,
    FIELD_NITROTPM_PCRS,
    FIELD_CERTIFICATE,
    FIELD_CABUNDLE,
    FIELD_PUBLIC_KEY,
    FIELD_USER_DATA,
    FIELD_NONCE,
    FIELD_COUNT
};

const char *field_name(enum field field); /* "module_id" */
bool field_is_pcrs(enum field field);     /* pcrs, nitrotpm_pcrs */
bool field_is_optional(enum field field); /* public_key, user_data, nonce */

/* In the order in which they come. */
enum part_kind {
    PART_TAG,
    PART_ARRAY_HEAD,
    PART_PROTECTED_HEAD,
    PART_PROTECTED,
    PART_UNPROTECTED,
    PART_PAYLOAD_HEAD,
    PART_MAP_HEAD,
    PART_KEY_HEAD, /* of a payload entry */
    PART_KEY,
    PART_TEXT_HEAD, /* module_id, digest */
    PART_TEXT,
    PART_TIMESTAMP_HEAD,
    PART_TIMESTAMP, /* the argument */
    PART_PCRS_HEAD,
    PART_PCR_INDEX, /* one byte or two */
    PART_PCR_HEAD,
    PART_PCR,
    PART_BUNDLE_HEAD,
    PART_CERT_HEAD, /* of the leaf and of each of the bundle */
    PART_CERT,
    PART_OPTIONAL_HEAD, /* or null */
    PART_OPTIONAL,
    PART_BREAK,
    PART_SIGNATURE_HEAD,
    PART_R,
    PART_S,
    PART_KIND_COUNT
};

struct part {
    enum part_kind kind;
    enum field field; /* from PART_KEY_HEAD to PART_OPTIONAL */
    size_t index;     /* of the PCR, or place in the bundle */
    size_t at;
    size_t len;
    size_t item; /* where the head of its item lies */
};

#define PARTS_MAX 256

struct map {
    size_t count;
    struct part part[PARTS_MAX]; /* without gaps, from the first byte to the last */
    bool indefinite;             /* the outer map */
    size_t entries;
    size_t payload_at; /* the content */
    size_t payload_end;
    enum field pcrs; /* FIELD_PCRS or FIELD_NITROTPM_PCRS */
    size_t bundle_len;
};

/* False where the document is none of the accepted shape. */
MUST_CHECK bool map_make(struct bytes document, struct map *out);

/* The part that holds the byte at `at`, which must be in the document. */
const struct part *map_part(const struct map *map, size_t at);
/* The first of that kind, field and index; NULL where there is none. */
const struct part *map_find(const struct map *map, enum part_kind kind, enum field field,
                            size_t index);

/* One item's head. */
struct item {
    unsigned major; /* 0 unsigned, 1 negative, 2 bytes, 3 text, 4 array, 5 map, 6 tag, 7 simple */
    unsigned info;
    uint64_t value;
    size_t head_len;
    size_t end; /* behind the head, and behind the content of a string */
};

#define INFO_INDEFINITE 31
#define INITIAL_NULL    0xf6
#define INITIAL_BREAK   0xff

/* The rule that the item at `at` breaks in an input that ends at `end`: ERR_CBOR_*,
 * ERR_UTF8, or ERR_OK where it breaks none, and only then is `out` written. */
enum err item_rule(const uint8_t *in, size_t at, size_t end, struct item *out);

#endif
