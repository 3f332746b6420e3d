#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "codec.h"

/* Below PIPE_BUF, so that lines of several processes on one pipe do not mix. */
#define LINE_MAX_LEN 2048

struct line {
    size_t len;
    char text[LINE_MAX_LEN + sizeof "...\n"]; /* room for an end that is always written */
};

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic bool never_waits;
static _Atomic unsigned lost;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

void log_never_wait(void)
{
    atomic_store(&never_waits, true);
}

static bool is_plain(uint8_t c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

const char *log_quote(char out[static LOG_QUOTED_MAX], struct bytes text)
{
    bool plain = text.len > 0 && text.len < LOG_QUOTED_MAX;
    for (size_t i = 0; plain && i < text.len; i++)
        plain = is_plain(text.ptr[i]);
    if (plain) {
        memcpy(out, text.ptr, text.len);
        out[text.len] = '\0';
        return out;
    }
    const char *const cut = "...\"";
    size_t len = 0;
    out[len++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.ptr[i];
        if (len + 2 + strlen(cut) >= LOG_QUOTED_MAX) { /* 2: the character, escaped */
            memcpy(out + len, cut, strlen(cut) + 1);
            return out;
        }
        if (c == '"' || c == '\\')
            out[len++] = '\\';
        out[len++] = (char)(c < 0x20 || c > 0x7e ? '?' : c);
    }
    out[len++] = '"';
    out[len] = '\0';
    return out;
}

__attribute__((format(printf, 2, 0))) static void line_add_va(struct line *line, const char *fmt,
                                                              va_list args)
{
    const size_t room = LINE_MAX_LEN - line->len;
    const int len = vsnprintf(line->text + line->len, room + 1, fmt, args);
    if (len < 0)
        return;
    if ((size_t)len <= room) {
        line->len += (size_t)len;
        return;
    }
    line->len = LINE_MAX_LEN;
}

PRINTF_LIKE(2, 3) static void line_add(struct line *line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    line_add_va(line, fmt, args);
    va_end(args);
}

static void line_begin(struct line *line, enum log_level level, const char *event)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now); /* a wrong stamp is better than no line */
    char stamp[TIME_TEXT_MAX];
    time_format((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, stamp);
    line_add(line, "%s level=%s ev=%s", stamp, level_names[level], event);
}

/* A pipe that is ready has room for PIPE_BUF bytes. */
static bool would_wait(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0;
}

static void line_write(struct line *line)
{
    if (atomic_load(&never_waits) && would_wait()) {
        atomic_fetch_add(&lost, 1);
        return;
    }
    const unsigned before = atomic_exchange(&lost, 0);
    if (before > 0)
        line_add(line, " lost=%u", before);
    for (size_t i = 0; i < line->len; i++) {
        if (line->text[i] < 0x20 || line->text[i] > 0x7e)
            line->text[i] = '?';
    }
    const char *const end = line->len == LINE_MAX_LEN ? "...\n" : "\n";
    memcpy(line->text + line->len, end, strlen(end));
    line->len += strlen(end);
    /* Nobody is left to tell when standard error fails; the rest of a line that a
     * full device took half of would begin a line of its own. */
    while (write(STDERR_FILENO, line->text, line->len) < 0 && errno == EINTR)
        continue;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    if ((int)level > atomic_load(&current_level))
        return;
    const int saved_errno = errno;
    struct line line = {0};
    line_begin(&line, level, event);
    line_add(&line, " ");
    va_list args;
    va_start(args, fmt);
    line_add_va(&line, fmt, args);
    va_end(args);
    line_write(&line);
    errno = saved_errno;
}

void log_fault(enum log_level level, const char *event, const struct fault *fault, const char *fmt,
               ...)
{
    if ((int)level > atomic_load(&current_level))
        return;
    const int saved_errno = errno;
    struct line line = {0};
    line_begin(&line, level, event);
    line_add(&line, " ");
    va_list args;
    va_start(args, fmt);
    line_add_va(&line, fmt, args);
    va_end(args);
    line_add(&line, " err=%s", err_wire(fault->code));
    if (fault->field[0] != '\0')
        line_add(&line, " field=%s", LOG_Q(fault->field));
    if (fault->offset != FAULT_NO_OFFSET)
        line_add(&line, " offset=%zu", fault->offset);
    if (fault->detail[0] != '\0')
        line_add(&line, " detail=%s", LOG_Q(fault->detail));
    line_write(&line);
    errno = saved_errno;
}
