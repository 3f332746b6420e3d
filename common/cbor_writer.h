/* A writer of deterministic CBOR (RFC 8949 section 4.2.1) over cbor_head.h, libcbor's encoders.
 *
 * Shortest forms come by themselves; the order of map keys is the caller's: integer
 * keys ascending, text keys by length and then by bytes.  Errors stick: write
 * everything, then check once with cbor_writer_finish. */
#ifndef VOUCHSAFE_CBOR_WRITER_H
#define VOUCHSAFE_CBOR_WRITER_H

#include "bytes.h"

struct cbor_writer {
    struct buf *out; /* appended to; the caller owns it */
    size_t start;    /* its length before */
    enum err err;
};

void cbor_writer_init(struct cbor_writer *w, struct buf *out);
void cbor_writer_uint(struct cbor_writer *w, uint64_t value);
void cbor_writer_bytes(struct cbor_writer *w, struct bytes value);
void cbor_writer_text(struct cbor_writer *w, struct bytes value);
void cbor_writer_cstr(struct cbor_writer *w, const char *value);
void cbor_writer_bool(struct cbor_writer *w, bool value);
void cbor_writer_null(struct cbor_writer *w);
void cbor_writer_array(struct cbor_writer *w, size_t count);
void cbor_writer_map(struct cbor_writer *w, size_t count);
void cbor_writer_tag(struct cbor_writer *w, uint64_t tag);
/* Bytes that are CBOR already. */
void cbor_writer_raw(struct cbor_writer *w, struct bytes encoded);
/* The first error: ERR_NO_MEMORY where any of the above ran out, ERR_UTF8 where a text
 * was none (no reader would take it); the buffer is then as it was. */
MUST_CHECK enum err cbor_writer_finish(const struct cbor_writer *w);

#endif
