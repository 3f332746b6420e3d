/* The query of a request's target: "a=b&c=d", percent-encoded.
 *
 * Strict: two hexadecimal digits after every '%', UTF-8 without NUL, every pair with
 * its '=', no name twice.  '+' is a plus sign, as RFC 3986 has it: versions contain
 * it.  The decoded texts are the query's own; a stranger sent it. */
#ifndef VOUCHSAFE_FRONT_QUERY_H
#define VOUCHSAFE_FRONT_QUERY_H

#include "common/bytes.h"

#define QUERY_PAIRS_MAX 16

struct query_pair {
    struct bytes name;
    struct bytes value;
};
struct query {
    struct buf text;
    size_t count;
    struct query_pair pair[QUERY_PAIRS_MAX];
};
void query_free(struct query *query);
/* `out` must be empty.  ERR_MALFORMED with an offset into the query, ERR_NO_MEMORY. */
MUST_CHECK enum err query_parse(struct bytes raw, struct query *out, struct fault *fault);

#endif
