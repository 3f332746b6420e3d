/* Errors: one enum, one table (err.def), one report (struct fault).
 *
 * Every fallible function returns `enum err`, must be checked, and writes its
 * results only on success.  What went wrong in detail goes into the caller's
 * `struct fault`: fixed size, no allocation, never a secret.  Parsers fill it and
 * do not log; the coordinator that asked logs it once.  DESIGN section 9. */
#ifndef VOUCHSAFE_ERR_H
#define VOUCHSAFE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

enum err {
    ERR_OK = 0,
#define X(symbol, class, wire, retry, sentence) symbol,
#include "err.def"
#undef X
    ERR_COUNT
};

/* What kind of failure: front/problem.c alone maps these to HTTP. */
enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_MALFORMED,
    ERR_CLASS_UNAUTH,
    ERR_CLASS_DENIED,
    ERR_CLASS_NOT_FOUND,
    ERR_CLASS_METHOD,
    ERR_CLASS_CONFLICT,
    ERR_CLASS_TOO_LARGE,
    ERR_CLASS_TOO_FAST,
    ERR_CLASS_BUSY,
    ERR_CLASS_INTERNAL,
};

/* What an agent does when a verifier answers with the error. */
enum err_retry {
    ERR_RETRY_STOP,        /* asking again cannot help */
    ERR_RETRY_ONCE,        /* once more, from a new challenge */
    ERR_RETRY_RECHALLENGE, /* from a new challenge, at most 3 times */
    ERR_RETRY_BACKOFF,     /* later, from a new challenge */
};

#define FAULT_NO_OFFSET ((size_t)-1)

/* One failure.  `field` is a path such as "pcrs[3]" or "" where none applies;
 * `offset` is a byte offset into the input or FAULT_NO_OFFSET; `detail` is one
 * sentence that says what was expected and what was found. */
struct fault {
    enum err code;
    size_t offset;
    unsigned retry_after_s; /* when asking again can help; 0: as the code's class has it */
    char field[96];
    char detail[256];
};

#define FAULT_NONE                                \
    {                                             \
        .code = ERR_OK, .offset = FAULT_NO_OFFSET \
    }

const char *err_wire(enum err code);     /* "certificate_expired"; "ok" for ERR_OK */
const char *err_sentence(enum err code); /* "a certificate has expired" */
enum err_class err_class(enum err code);
/* True where it is a verdict on a document or a certificate, rather than a failure of ours. */
bool err_is_verdict(enum err code);
enum err_retry err_retry(enum err code);
/* The error of a wire name; ERR_OK where the name is unknown (a newer server's). */
enum err err_from_wire(const char *wire);

/* Records a failure and returns its code.  `fault` may be NULL.  Control
 * characters in the result are replaced, so that a document's text cannot forge a
 * log line.  The field and offset that fault_at set since the last one stay. */
PRINTF_LIKE(3, 4)
enum err fault_set(struct fault *fault, enum err code, const char *fmt, ...);

/* Names the place of the failure that the next fault_set reports; returns `fault`
 * so that it reads FAIL(fault_at(fault, off, "pcrs[%u]", i), ERR_..., "..."). */
PRINTF_LIKE(3, 4)
struct fault *fault_at(struct fault *fault, size_t offset, const char *field_fmt, ...);

/* The end of a counted noun, in a sentence for people: "%zu byte%s", n, plural(n). */
static inline const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* Forgets whatever an earlier attempt left behind. */
void fault_clear(struct fault *fault);

/* The only two control macros.  FAIL returns the error it reports; TRY returns the
 * callee's error unchanged.  That what FAIL returns is not ERR_OK stands here, and not only
 * in fault_set, so that compilers and analyzers see it at every use. */
#define FAIL(fault, code, ...)                      \
    do {                                            \
        const enum err fail_err_ = (code);          \
        fault_set((fault), fail_err_, __VA_ARGS__); \
        return fail_err_;                           \
    } while (0)
#define TRY(...)                                 \
    do {                                         \
        const enum err try_err_ = (__VA_ARGS__); \
        if (try_err_ != ERR_OK)                  \
            return try_err_;                     \
    } while (0)

#endif
