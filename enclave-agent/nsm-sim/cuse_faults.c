#include "cuse_faults.h"

#include <errno.h>
#include <stdio.h>

#include "common/codec.h"
#include "sim_nsm.h"

/* What the driver of linux/nsm.h gives, and what FUSE makes of a server that has gone. */
static const struct {
    const char *name;
    int number;
} errnos[] = {
    {"EFAULT", EFAULT},       {"EINVAL", EINVAL},   {"EIO", EIO},
    {"EMSGSIZE", EMSGSIZE},   {"ENODATA", ENODATA}, {"ENOTCONN", ENOTCONN},
    {"ETIMEDOUT", ETIMEDOUT},
};

static enum err parse_errno(const char *value, struct cuse_fault *out)
{
    for (size_t i = 0; i < ARRAY_LEN(errnos); i++) {
        if (strcmp(errnos[i].name, value) == 0) {
            out->number = (uint64_t)errnos[i].number;
            return ERR_OK;
        }
    }
    return ERR_USAGE;
}

static enum err parse_code(const char *value, struct cuse_fault *out)
{
    snprintf(out->code, sizeof out->code, "%s", value);
    return ERR_OK;
}

static enum err parse_cut(const char *value, struct cuse_fault *out)
{
    return decimal_parse(bytes_of_text(value), SIM_REPLY_MAX, &out->number);
}

static enum err parse_claim(const char *value, struct cuse_fault *out)
{
    return decimal_parse(bytes_of_text(value), UINT32_MAX, &out->number);
}

static const struct {
    const char *name;
    enum cuse_fault_kind kind;
    enum err (*parse)(const char *value, struct cuse_fault *out);
} kinds[] = {
    {"errno", CUSE_FAULT_ERRNO, parse_errno},
    {"error", CUSE_FAULT_ERROR, parse_code},
    {"cut", CUSE_FAULT_CUT, parse_cut},
    {"claim", CUSE_FAULT_CLAIM, parse_claim},
};

/* A request is its operation's name, or a map of one pair that begins with it. */
static bool is_request(struct bytes request, const char *operation)
{
    const size_t len = strlen(operation);
    const size_t head = request.len > 0 && request.ptr[0] == 0xa1 ? 2 : 1;
    return strcmp(operation, "*") == 0 ||
           (request.len >= head + len && request.ptr[head - 1] == 0x60 + len &&
            memcmp(request.ptr + head, operation, len) == 0);
}

static enum err parse_line(const char *line, char operation[static 24], struct cuse_fault *out)
{
    char kind[8];
    char value[24];
    int end = 0;
    struct cuse_fault found = {0};
    if (sscanf(line, "%23s %7s %23s %n", operation, kind, value, &end) != 3 || line[end] != '\0')
        return ERR_USAGE;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].name, kind) == 0) {
            found.kind = kinds[i].kind;
            TRY(kinds[i].parse(value, &found));
            *out = found;
            return ERR_OK;
        }
    }
    return ERR_USAGE;
}

enum err cuse_fault_find(struct bytes text, struct bytes request, struct cuse_fault *out,
                         struct fault *fault)
{
    struct cuse_fault found = {0};
    while (text.len > 0) {
        char line[80] = "";
        char operation[24] = "";
        const uint8_t *newline = memchr(text.ptr, '\n', text.len);
        const size_t len = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        snprintf(line, sizeof line, "%.*s", len < sizeof line ? (int)len : (int)sizeof line - 1,
                 (const char *)text.ptr);
        struct cuse_fault here = {0};
        if (len >= sizeof line || parse_line(line, operation, &here) != ERR_OK)
            FAIL(fault, ERR_USAGE, "\"%s\": not OPERATION errno NAME, error CODE, cut N or claim N",
                 line);
        if (found.kind == CUSE_FAULT_NONE && is_request(request, operation))
            found = here;
        text = bytes_of(text.ptr + len, text.len - len);
        if (text.len > 0)
            text = bytes_of(text.ptr + 1, text.len - 1);
    }
    *out = found;
    return ERR_OK;
}
