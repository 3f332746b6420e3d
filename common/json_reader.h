/* Strict reading of JSON objects over jansson: PROTOCOL section 1.
 *
 * UTF-8, no duplicate members, no NUL in strings, nothing after the object, absent
 * and never null, bounded depth.  A caller states its members in a table; in a
 * request, one that is not in the table is refused by name, in an answer it is
 * ignored whatever it holds.  Everything it reads is a stranger's; the size of the
 * text is bounded by whoever received it. */
#ifndef VOUCHSAFE_JSON_READER_H
#define VOUCHSAFE_JSON_READER_H

#include <jansson.h>

#include "bytes.h"

/* Containers in containers, the outer object included: far more than any message of
 * ours has, far less than what makes a recursive parser use its stack up. */
#define JSON_DEPTH_MAX 16

enum json_mode { JSON_REQUEST, JSON_ANSWER };

/* A number with a fraction or an exponent is no JSON_MEMBER_UINT, whatever its value. */
enum json_member_type {
    JSON_MEMBER_TEXT,   /* `out`: const char ** (borrowed from the json_t) */
    JSON_MEMBER_UINT,   /* `out`: uint64_t *; 0..2^53-1 */
    JSON_MEMBER_BOOL,   /* `out`: bool * */
    JSON_MEMBER_BASE64, /* `out`: struct buf *, appended to */
    JSON_MEMBER_ARRAY,  /* `out`: json_t ** (borrowed); its entries are the caller's to check */
    JSON_MEMBER_OBJECT, /* `out`: json_t ** (borrowed) */
};

struct json_member {
    const char *name;
    enum json_member_type type;
    bool required;
    void *out; /* untouched where an optional member is absent */
};

/* The one object in `text`; the caller owns it.  ERR_MALFORMED with position. */
MUST_CHECK enum err json_reader_parse(struct bytes text, json_t **out, struct fault *fault);
/* The same, and takes the text: its memory is given back while it is read, so that a long one is
 * never there twice.  `text` is empty afterwards, whatever became of it. */
MUST_CHECK enum err json_reader_take(struct buf *text, json_t **out, struct fault *fault);
/* Reads the members of `object`, which `path` names in errors ("secrets[2]", "" for
 * the body itself).  ERR_MALFORMED (also where `object` is none), ERR_UNKNOWN_MEMBER,
 * ERR_BASE64.  On failure the members before the faulty one may have been written:
 * read into locals. */
MUST_CHECK enum err json_reader_object(json_t *object, const char *path, enum json_mode mode,
                                       const struct json_member *members, size_t count,
                                       struct fault *fault);
/* Appends compact text with members in insertion order, in ASCII: there is nothing in it that a
 * terminal obeys, whoever prints it. */
MUST_CHECK enum err json_append(struct buf *out, const json_t *value);
/* The same for people: a member a line, two spaces of indent. */
MUST_CHECK enum err json_append_lines(struct buf *out, const json_t *value);
/* Appends an object of texts as a deterministic CBOR map; `name` is its place in errors.
 * ERR_MALFORMED: a value is no text, or there are more than 256. */
MUST_CHECK enum err json_map_append(const char *name, json_t *object, struct buf *out,
                                    struct fault *fault);

#endif
