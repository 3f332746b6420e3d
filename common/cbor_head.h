/* One head of CBOR (RFC 8949 section 3), read and written: the only thing that cbor_reader.c and
 * cbor_writer.c leave to others.
 *
 * Two files implement it, of which a program links one.  cbor_head_libcbor.c hands heads to
 * libcbor, as every program does that can have it.  cbor_head_plain.c needs no library, for the
 * static agent: Debian has no static libcbor (DESIGN section 10).  test_cbor_head holds the two
 * together. */
#ifndef VOUCHSAFE_CBOR_HEAD_H
#define VOUCHSAFE_CBOR_HEAD_H

#include "bytes.h"

#define CBOR_HEAD_LEN_MAX   9  /* the initial byte and an argument of 64 bits */
#define CBOR_AI_ONE_BYTE    24 /* additional information: the argument is one byte */
#define CBOR_AI_EIGHT_BYTES 27 /* the last that announces an argument; 28..30 are reserved */
#define CBOR_AI_INDEFINITE  31 /* indefinite length, or the break */

/* Major types, RFC 8949 section 3.1. */
enum cbor_major {
    CBOR_MAJOR_UINT,
    CBOR_MAJOR_NINT,
    CBOR_MAJOR_BYTES,
    CBOR_MAJOR_TEXT,
    CBOR_MAJOR_ARRAY,
    CBOR_MAJOR_MAP,
    CBOR_MAJOR_TAG,
    CBOR_MAJOR_SIMPLE, /* and floats, and the break */
};

/* What the initial byte says. */
struct cbor_head {
    size_t len; /* without a string's content */
    unsigned major;
    unsigned info; /* additional information */
};

/* What follows from the rest. */
struct cbor_content {
    uint64_t argument;   /* a float's: 0, for nothing that we read holds one */
    struct bytes string; /* of major types 2 and 3 */
};

enum cbor_head_result {
    CBOR_HEAD_READ,
    CBOR_HEAD_SHORT, /* the input ends inside the string */
    CBOR_HEAD_BAD,   /* not a CBOR item, or not the one that the initial byte announces */
};

/* `in` begins with the head and holds all of it; the additional information is at most
 * CBOR_AI_EIGHT_BYTES.  The string is a view of `in`. */
enum cbor_head_result cbor_head_read(struct bytes in, const struct cbor_head *head,
                                     struct cbor_content *out);

/* In the shortest form, RFC 8949 section 4.2.1; `major` is not CBOR_MAJOR_SIMPLE nor
 * CBOR_MAJOR_NINT, which nothing that we write holds.  Returns its length; 0: it could not be
 * written, which never happens. */
size_t cbor_head_write(enum cbor_major major, uint64_t argument,
                       uint8_t out[static CBOR_HEAD_LEN_MAX]);
/* The simple values that we write, one byte each. */
size_t cbor_head_write_bool(bool value, uint8_t out[static CBOR_HEAD_LEN_MAX]);
size_t cbor_head_write_null(uint8_t out[static CBOR_HEAD_LEN_MAX]);

#endif
