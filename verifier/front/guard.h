/* The smuggling guard: refuses a request whose end two parsers might see in two places.
 *
 * libmicrohttpd 0.9.75 takes two Content-Lengths (the first wins), a Content-Length
 * beside a Transfer-Encoding, transfer codings that it does not know, methods and field
 * names that are no tokens, control characters in values (docs/DESIGN.md).  This looks
 * at what it made of the head, before any of the body is read, and refuses what RFC
 * 9112 would: pure, over a list of fields, trusting none.
 *
 * What the list does not show is that something else came as well: folded lines, lines
 * that end in a bare LF, what follows a NUL, a field without a name.  Whoever fills it in
 * says so (`whole`). */
#ifndef VOUCHSAFE_FRONT_GUARD_H
#define VOUCHSAFE_FRONT_GUARD_H

#include <stdint.h>

#include "common/bytes.h"

#define GUARD_FIELDS_MAX 64

struct guard_field {
    struct bytes name;
    struct bytes value;
};

struct guard_head {
    const char *method;
    const char *target; /* as it came, nothing decoded */
    const char *version;
    bool whole;         /* nothing came but this, each line with CR LF */
    size_t field_count; /* beyond GUARD_FIELDS_MAX where there were more */
    struct guard_field field[GUARD_FIELDS_MAX];
};

/* What the head says about the body; views into it. */
struct guard_facts {
    bool has_body;
    bool chunked;               /* has_body, of a length not known yet */
    uint64_t content_length;    /* 0 where chunked or absent */
    struct bytes authorization; /* ptr NULL where absent */
    struct bytes content_type;
};

/* ERR_HTTP_MALFORMED names the field.  After it the connection must be closed: where
 * the next request begins is not known. */
MUST_CHECK enum err guard_check(const struct guard_head *head, struct guard_facts *out,
                                struct fault *fault);

#endif
