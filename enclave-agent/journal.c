#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/http_transport.h"

#define QUEUE_MAX    16384
#define CONNECT_MS   500   /* a parent that does not answer costs this much ... */
#define RECONNECT_MS 10000 /* ... at most so often */
#define PATIENCE_MS  200   /* for a line, where the last one did not wait in vain */
#define END_MS       1000

#define NAME "vouchsafe-agent: "

static struct journal {
    char where[300]; /* empty: no --log */
    pid_t pid;
    enum journal_of of;
    struct http_target target;
    struct http_transport *stream; /* NULL: not connected */
    int64_t again_ms;              /* no attempt to connect before this moment */
    bool impatient;                /* the last wait was in vain */
    bool in_line;                  /* the parent has the first bytes of the first line */
    size_t dropped;                /* lines that are missing behind the queue's last one */
    size_t lost;                   /* all of them, since standard error was told */
    struct fault why;              /* of the last failure to connect */
    size_t len;
    char queue[QUEUE_MAX];
} journal;

static int error_fd = STDERR_FILENO; /* moves away where the program gets that one */

static int64_t now_ms(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- one line --- */

struct line {
    size_t len;
    char text[JOURNAL_LINE_MAX];
};

/* Nobody is left to tell where standard error fails. */
static void write_error(const struct line *line)
{
    while (write(error_fd, line->text, line->len) < 0 && errno == EINTR)
        continue;
}

__attribute__((format(printf, 3, 0))) static void line_make(struct line *line, const char *begin,
                                                            const char *fmt, va_list args)
{
    static const char cut[] = "...\n";
    const size_t room = sizeof line->text - sizeof cut;
    line->len = strlen(begin);
    memcpy(line->text, begin, line->len + 1);
    const int len = vsnprintf(line->text + line->len, room - line->len, fmt, args);
    const bool fits = len >= 0 && (size_t)len < room - line->len;
    line->len = strlen(line->text);
    for (size_t i = 0; i < line->len; i++) {
        if (line->text[i] < 0x20 || line->text[i] > 0x7e)
            line->text[i] = '?';
    }
    const char *const end = fits ? "\n" : cut;
    memcpy(line->text + line->len, end, strlen(end));
    line->len += strlen(end);
}

/* --- the way to the parent --- */

static void queue_take(size_t len)
{
    journal.in_line = journal.queue[len - 1] != '\n';
    journal.len -= len;
    memmove(journal.queue, journal.queue + len, journal.len);
}

static void drop_one(void)
{
    journal.dropped++;
    journal.lost++;
}

/* The rest of a line that was sent in part would begin the next connection. */
static void disconnect(void)
{
    http_transport_free(journal.stream);
    journal.stream = NULL;
    journal.again_ms = now_ms() + RECONNECT_MS;
    const char *end = journal.in_line ? memchr(journal.queue, '\n', journal.len) : NULL;
    if (end == NULL)
        return;
    queue_take((size_t)(end - journal.queue) + 1);
    drop_one();
}

static bool connect_within(int64_t timeout_ms, struct http_transport **out)
{
    int64_t deadline_ms = 0;
    fault_clear(&journal.why);
    return http_deadline_after(timeout_ms, &deadline_ms, &journal.why) == ERR_OK &&
           http_transport_open(&journal.target, NULL, deadline_ms, out, &journal.why) == ERR_OK;
}

static bool is_connected(int64_t timeout_ms, bool now)
{
    if (journal.stream == NULL && (now || now_ms() >= journal.again_ms) &&
        !connect_within(timeout_ms, &journal.stream))
        journal.again_ms = now_ms() + RECONNECT_MS;
    return journal.stream != NULL;
}

/* Gives the parent what it takes until `deadline_ms`; false where something is left. */
static bool send_queue(int64_t deadline_ms)
{
    while (journal.len > 0) {
        size_t moved = 0;
        const struct bytes queue = bytes_of(journal.queue, journal.len);
        const enum http_io io = http_transport_write(journal.stream, queue, &moved);
        if (io == HTTP_IO_DONE) {
            journal.impatient = false;
            queue_take(moved);
        } else if (io == HTTP_IO_CLOSED) {
            disconnect();
            return false;
        } else if (http_transport_wait(journal.stream, deadline_ms, NULL) != ERR_OK) {
            journal.impatient = true;
            return false;
        }
    }
    return true;
}

static void queue_append(const struct line *line)
{
    memcpy(journal.queue + journal.len, line->text, line->len);
    journal.len += line->len;
}

PRINTF_LIKE(2, 3) static void line_about(struct line *line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    line_make(line, NAME, fmt, args);
    va_end(args);
}

/* How many lines are missing is told where they are, once there is room. */
static void queue_line(const struct line *line)
{
    struct line missing = {0};
    if (journal.dropped > 0)
        line_about(&missing, "%zu line%s dropped here: the log was not read in time",
                   journal.dropped, journal.dropped == 1 ? " was" : "s were");
    if (journal.len + missing.len + line->len > sizeof journal.queue) {
        drop_one();
        return;
    }
    queue_append(&missing);
    queue_append(line);
    journal.dropped = 0;
}

/* Whether there is one.  A child's begins empty, with a connection of its own: what its parent
 * had still to send is the parent's. */
static bool is_open(void)
{
    const pid_t pid = getpid();
    if (journal.where[0] == '\0' || journal.pid == pid)
        return journal.where[0] != '\0';
    http_transport_free(journal.stream);
    journal.stream = NULL;
    journal.pid = pid;
    journal.again_ms = 0;
    journal.len = 0;
    journal.dropped = 0;
    journal.lost = 0;
    journal.in_line = false;
    journal.impatient = false;
    return true;
}

static void send_line(const struct line *line)
{
    if (!is_open())
        return;
    if (is_connected(CONNECT_MS, false))
        send_queue(now_ms()); /* makes room */
    queue_line(line);
    if (journal.stream != NULL)
        send_queue(now_ms() + (journal.impatient ? 0 : PATIENCE_MS));
}

/* --- what others call --- */

enum err journal_open(const char *where, enum journal_of of, struct fault *fault)
{
    struct fault inner = FAULT_NONE;
    struct http_target target = {0};
    const enum err err = http_target_parse(where, &target, &inner);
    if (err != ERR_OK || (target.kind != HTTP_TARGET_VSOCK && target.kind != HTTP_TARGET_UNIX))
        FAIL(fault, ERR_USAGE, "log \"%.100s\": vsock://CID:PORT or unix:/PATH is expected", where);
    journal_end();
    journal = (struct journal){.of = of, .target = target, .pid = getpid()};
    snprintf(journal.where, sizeof journal.where, "%s", where);
    return ERR_OK;
}

void journal_say(const char *fmt, ...)
{
    struct line line;
    va_list args;
    va_start(args, fmt);
    line_make(&line, NAME, fmt, args);
    va_end(args);
    write_error(&line);
    send_line(&line);
}

void journal_add(const char *fmt, ...)
{
    struct line line;
    va_list args;
    va_start(args, fmt);
    line_make(&line, "  ", fmt, args);
    va_end(args);
    write_error(&line);
    send_line(&line);
}

void journal_copy(const char *fmt, ...)
{
    struct line line;
    va_list args;
    va_start(args, fmt);
    line_make(&line, NAME, fmt, args);
    va_end(args);
    send_line(&line);
}

/* What the parent did not get, standard error has. */
static void tell_missing(void)
{
    size_t missing = journal.lost;
    for (size_t i = 0; i < journal.len; i++)
        missing += journal.queue[i] == '\n';
    journal.lost = 0;
    if (missing == 0)
        return;
    const char *why = journal.stream != NULL          ? "it was not read in time"
                      : journal.why.detail[0] == '\0' ? "the connection was closed"
                                                      : journal.why.detail;
    struct line line;
    line_about(&line, "%zu line%s did not reach the log at %s: %s", missing, plural(missing),
               journal.where, why);
    write_error(&line);
}

static void flush_until(int64_t deadline_ms)
{
    if ((journal.len > 0 || journal.dropped > 0) && is_connected(END_MS, true) &&
        send_queue(deadline_ms) && journal.dropped > 0) {
        static const struct line nothing;
        queue_line(&nothing);
        send_queue(deadline_ms);
    }
    tell_missing();
}

void journal_flush(void)
{
    if (is_open())
        flush_until(now_ms() + END_MS);
}

/* The reader closes its side when it has read to the end; what it sends is dropped. */
static void await_reader(int64_t deadline_ms)
{
    if (shutdown(journal.stream->fd, SHUT_WR) != 0)
        return;
    while (http_deadline_check(deadline_ms, NULL) == ERR_OK) {
        uint8_t ignored[256];
        size_t moved = 0;
        const enum http_io io =
            http_transport_read(journal.stream, ignored, sizeof ignored, &moved);
        if (io == HTTP_IO_CLOSED)
            return;
        if (io == HTTP_IO_WAIT && http_transport_wait(journal.stream, deadline_ms, NULL) != ERR_OK)
            return;
    }
}

void journal_end(void)
{
    if (!is_open())
        return;
    const int64_t deadline_ms = now_ms() + END_MS;
    flush_until(deadline_ms);
    if (journal.stream != NULL && journal.len == 0)
        await_reader(deadline_ms);
    http_transport_free(journal.stream);
    journal = (struct journal){0};
}

/* Blocking, as programs expect their standard descriptors to be. */
static bool lend(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
        return false;
    const int kept = fcntl(error_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (kept < 0)
        return false;
    error_fd = kept;
    return dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0;
}

enum err journal_lend(struct fault *fault)
{
    CLEANUP(http_transport_freep) struct http_transport *stream = NULL;
    if (!is_open() || journal.of != JOURNAL_OF_PROGRAM)
        return ERR_OK;
    if (!connect_within(END_MS, &stream)) {
        const struct fault why = journal.why;
        journal_say("the program's output stays where it was: the log at %s cannot be reached: %s",
                    journal.where, why.detail);
        return ERR_OK;
    }
    if (!lend(stream->fd))
        FAIL(fault, ERR_INTERNAL, "the program's output cannot be sent to the log: %s",
             strerror(errno));
    return ERR_OK;
}
