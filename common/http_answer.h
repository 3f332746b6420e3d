/* Reading an HTTP/1.1 answer: pure, bytes to values, no socket, no clock.
 *
 * RFC 9112 without its leniency: CRLF only, no folded lines, no white space around a
 * field name, Transfer-Encoding refused (this project's servers send none), exactly
 * one Content-Length where a body may follow.  A body that ends with the connection
 * is refused: a truncated one could not be told from a whole one.  Trusts nothing;
 * this is the boundary to fuzz. */
#ifndef VOUCHSAFE_HTTP_ANSWER_H
#define VOUCHSAFE_HTTP_ANSWER_H

#include "bytes.h"

#define HTTP_ANSWER_HEAD_MAX    16384 /* bytes before the body, interim answers included */
#define HTTP_ANSWER_INTERIM_MAX 8     /* 1xx answers before the real one */

struct http_answer {
    int status;            /* 200..599 */
    int64_t retry_after_s; /* -1 where absent or no number of seconds */
    char content_type[64]; /* lower case, without parameters; "" where absent or odd */
    struct buf body;
};
/* Wipes and releases the body (an answer may hold a new token); accepts an empty one. */
void http_answer_free(struct http_answer *answer);

/* What the request determines about its answer. */
struct http_answer_rules {
    bool no_body;    /* it answers HEAD */
    size_t body_max; /* bytes of body accepted */
};

/* How far one answer has been read.  Its members up to `body_len` are for callers
 * once `done`, the rest is its own. */
struct http_answer_reader {
    bool done;
    bool closing; /* the server will close the connection, or speaks HTTP/1.0 */
    int status;
    int64_t retry_after_s;
    char content_type[64];
    size_t body_at;
    size_t body_len;

    struct http_answer_rules rules;
    bool in_fields; /* the status line has been read */
    bool length_seen;
    bool type_seen;
    bool retry_seen;
    bool in_body;
    unsigned interim;
    size_t line; /* where the line begins that is being read */
    size_t scan; /* the first byte not yet looked at */
};
void http_answer_reader_init(struct http_answer_reader *reader,
                             const struct http_answer_rules *rules);

/* `in` is everything received since the request, growing from call to call: the
 * outcome does not depend on how it was cut into pieces.  ERR_HTTP_MALFORMED (with
 * field and offset; bytes after the end of the answer too), or ERR_TOO_LARGE for a
 * head or a body beyond its limit, the body by its announced length. */
MUST_CHECK enum err http_answer_advance(struct http_answer_reader *reader, struct bytes in,
                                        struct fault *fault);

/* One whole answer at once, as tests and fuzzers need it; `out` must be empty.
 * Besides the errors above: ERR_UNREACHABLE where `in` ends too early, as it would
 * be if the connection had closed there; ERR_NO_MEMORY. */
MUST_CHECK enum err http_answer_parse(struct bytes in, const struct http_answer_rules *rules,
                                      struct http_answer *out, struct fault *fault);
/* The values of a reader that is done; `in` gives up its bytes to the answer's body. */
void http_answer_take(const struct http_answer_reader *reader, struct buf *in,
                      struct http_answer *out);

#endif
