/* A strict pull reader for CBOR (RFC 8949) over cbor_head.h, and so libcbor's streaming decoder.
 *
 * No tree, no allocation: strings are views into the input, counts are checked
 * against the bytes that are left before anything is done with them.  Strict means:
 * shortest-form integers and lengths, strings of definite length and valid UTF-8,
 * no reserved forms; containers of definite length unless the caller allows
 * otherwise for that one map (DESIGN section 4).  Map keys twice are the caller's to
 * refuse: only it knows the keys.  Tags are items of their own, before the item that
 * they belong to; floats are recognised, their values not read.
 *
 * Everything it reads is a stranger's.  Errors: ERR_CBOR_MALFORMED (not CBOR, or
 * truncated), ERR_CBOR_NOT_STRICT, ERR_CBOR_TYPE, ERR_UTF8, ERR_CBOR_TRAILING; each
 * with the byte offset and the reader's current field path.  After an error the reader
 * stands where it stood. */
#ifndef VOUCHSAFE_CBOR_READER_H
#define VOUCHSAFE_CBOR_READER_H

#include "bytes.h"

enum cbor_kind {
    CBOR_KIND_UINT,
    CBOR_KIND_NINT, /* -1 - value */
    CBOR_KIND_BYTES,
    CBOR_KIND_TEXT,
    CBOR_KIND_ARRAY,
    CBOR_KIND_MAP,
    CBOR_KIND_TAG,
    CBOR_KIND_FALSE,
    CBOR_KIND_TRUE,
    CBOR_KIND_NULL,
    CBOR_KIND_UNDEFINED,
    CBOR_KIND_SIMPLE, /* other simple values */
    CBOR_KIND_FLOAT,
    CBOR_KIND_BREAK,
};

/* One item head; for strings with their content. */
struct cbor_item {
    enum cbor_kind kind;
    bool indefinite;     /* arrays and maps; strings never are */
    uint64_t value;      /* integer, count of entries, tag */
    struct bytes string; /* bytes and text: a view into the input */
    size_t offset;       /* of the head, as reported */
};

/* The caller keeps `field` at the place it is reading; inside an array or a map also
 * `index`, which is put into words ("pcrs[3]") only where an error needs them: to write
 * them at every entry took a third of the time of reading a document. */
struct cbor_reader {
    struct bytes in;
    size_t pos;
    size_t base; /* where `in` begins in what the caller calls the input */
    const char *field;
    bool indexed; /* `index` is part of the place */
    uint64_t index;
    struct fault *fault; /* may be NULL */
};

/* A map being read: definite, or up to the break. */
struct cbor_map {
    bool indefinite;
    uint64_t left;
};

void cbor_reader_init(struct cbor_reader *r, struct bytes in, size_t base, const char *field,
                      struct fault *fault);

/* The place that is being read: a field, an entry of one. */
void cbor_reader_at(struct cbor_reader *r, const char *field);
void cbor_reader_at_entry(struct cbor_reader *r, const char *field, uint64_t index);
/* The reader's fault, for FAIL: at its field, and `offset` bytes into its input. */
struct fault *cbor_reader_fault(const struct cbor_reader *r, size_t offset);

/* The next head, of whatever kind; does not allow indefinite containers, nor a break
 * (cbor_reader_map_more takes it). */
MUST_CHECK enum err cbor_reader_next(struct cbor_reader *r, struct cbor_item *out);
/* As next, and leaves it to be read again. */
MUST_CHECK enum err cbor_reader_peek(struct cbor_reader *r, struct cbor_item *out);

MUST_CHECK enum err cbor_reader_uint(struct cbor_reader *r, uint64_t *out);
MUST_CHECK enum err cbor_reader_bool(struct cbor_reader *r, bool *out);
MUST_CHECK enum err cbor_reader_bytes(struct cbor_reader *r, struct bytes *out);
MUST_CHECK enum err cbor_reader_text(struct cbor_reader *r, struct bytes *out);
MUST_CHECK enum err cbor_reader_array(struct cbor_reader *r, uint64_t *count);
/* `allow_indefinite`: the outer map of an attestation payload, nothing else. */
MUST_CHECK enum err cbor_reader_map(struct cbor_reader *r, bool allow_indefinite,
                                    struct cbor_map *out);
/* Whether another key follows; consumes the break of an indefinite map. */
MUST_CHECK enum err cbor_reader_map_more(struct cbor_reader *r, struct cbor_map *map, bool *more);
/* Exactly this: an array of that many entries, that unsigned integer (ERR_CBOR_TYPE). */
MUST_CHECK enum err cbor_reader_expect_array(struct cbor_reader *r, uint64_t count);
MUST_CHECK enum err cbor_reader_expect_uint(struct cbor_reader *r, uint64_t value);
/* Passes over one whole item, at most `depth` containers deep (ERR_CBOR_NOT_STRICT). */
MUST_CHECK enum err cbor_reader_skip(struct cbor_reader *r, unsigned depth);
/* ERR_CBOR_TRAILING unless everything was read. */
MUST_CHECK enum err cbor_reader_end(struct cbor_reader *r);

#endif
