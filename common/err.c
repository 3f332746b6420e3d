#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
    const char *wire;
    const char *sentence;
    enum err_class class;
    enum err_retry retry;
};

static const struct err_row rows[ERR_COUNT] = {
    [ERR_OK] = {"ok", "no error", ERR_CLASS_NONE, ERR_RETRY_STOP},
#define X(symbol, class_, wire_, retry_, sentence_) \
    [symbol] = {                                    \
        .wire = (wire_),                            \
        .sentence = (sentence_),                    \
        .class = ERR_CLASS_##class_,                \
        .retry = ERR_RETRY_##retry_,                \
    },
#include "err.def"
#undef X
};

static const struct err_row *row_of(enum err code)
{
    return &rows[(unsigned)code < ERR_COUNT ? code : ERR_INTERNAL];
}

const char *err_wire(enum err code)
{
    return row_of(code)->wire;
}

const char *err_sentence(enum err code)
{
    return row_of(code)->sentence;
}

enum err_class err_class(enum err code)
{
    return row_of(code)->class;
}

bool err_is_verdict(enum err code)
{
    const enum err_class class = err_class(code);
    return class == ERR_CLASS_MALFORMED || class == ERR_CLASS_DENIED ||
           class == ERR_CLASS_TOO_LARGE;
}

enum err_retry err_retry(enum err code)
{
    return row_of(code)->retry;
}

enum err err_from_wire(const char *wire)
{
    for (unsigned i = ERR_OK + 1; i < ERR_COUNT; i++) {
        if (strcmp(rows[i].wire, wire) == 0)
            return (enum err)i;
    }
    return ERR_OK;
}

/* What a stranger's bytes may contribute to a message: printable ASCII. */
static void make_printable(char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
            *s = '?';
    }
}

enum err fault_set(struct fault *fault, enum err code, const char *fmt, ...)
{
    if (fault == NULL)
        return code;
    fault->code = code;
    va_list args;
    va_start(args, fmt);
    vsnprintf(fault->detail, sizeof fault->detail, fmt, args);
    va_end(args);
    make_printable(fault->detail);
    return code;
}

struct fault *fault_at(struct fault *fault, size_t offset, const char *field_fmt, ...)
{
    if (fault == NULL)
        return NULL;
    fault->offset = offset;
    va_list args;
    va_start(args, field_fmt);
    vsnprintf(fault->field, sizeof fault->field, field_fmt, args);
    va_end(args);
    make_printable(fault->field);
    return fault;
}

void fault_clear(struct fault *fault)
{
    if (fault != NULL)
        *fault = (struct fault)FAULT_NONE;
}
