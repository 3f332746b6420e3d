/* What reaches standard error: one line per event, whatever the values hold. */
#define _GNU_SOURCE /* pipe2 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/log.h"

static int saved_stderr;
static FILE *captured;

static void capture_begin(void)
{
    captured = tmpfile();
    ck_assert_ptr_nonnull(captured);
    saved_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
}

/* Everything that was written since, as one text; `out` holds it. */
static const char *capture_end(char *out, size_t size)
{
    ck_assert_int_ge(dup2(saved_stderr, STDERR_FILENO), 0);
    close(saved_stderr);
    rewind(captured);
    const size_t len = fread(out, 1, size - 1, captured);
    out[len] = '\0';
    fclose(captured);
    return out;
}

/* The line without its time, which is checked here. */
static const char *after_time(const char *line)
{
    char stamp[TIME_TEXT_MAX] = {0};
    const size_t len = strcspn(line, " ");
    ck_assert_uint_lt(len, sizeof stamp);
    memcpy(stamp, line, len);
    int64_t ms = 0;
    ck_ok(time_parse(stamp, &ms));
    ck_assert_int_gt(ms, 0);
    return line + len + 1;
}

START_TEST(valid_event)
{
    char text[512];
    capture_begin();
    errno = EDOM;
    log_event(LOG_LEVEL_INFO, "release.granted", "req=%d name=%s", 7, LOG_Q("db/main"));
    const int errno_after = errno;
    capture_end(text, sizeof text);
    ck_assert_str_eq(after_time(text), "level=info ev=release.granted req=7 name=db/main\n");
    ck_assert_int_eq(errno_after, EDOM);
}
END_TEST

START_TEST(valid_fault)
{
    char text[512];
    struct fault fault = FAULT_NONE;
    ck_err(fault_set(fault_at(&fault, 12, "pcrs[3]"), ERR_CBOR_TYPE, "found \"x\""), ERR_CBOR_TYPE);
    capture_begin();
    log_fault(LOG_LEVEL_WARN, "release.refused", &fault, "req=%d", 7);
    capture_end(text, sizeof text);
    ck_assert_str_eq(after_time(text),
                     "level=warn ev=release.refused req=7 err=cbor_type field=pcrs[3] offset=12 "
                     "detail=\"found \\\"x\\\"\"\n");
}
END_TEST

START_TEST(valid_fault_without_place)
{
    char text[512];
    struct fault fault = FAULT_NONE;
    ck_err(fault_set(&fault, ERR_BUSY, "%s", ""), ERR_BUSY);
    capture_begin();
    log_fault(LOG_LEVEL_ERROR, "x", &fault, "a=%d", 1);
    capture_end(text, sizeof text);
    ck_assert_str_eq(after_time(text), "level=error ev=x a=1 err=busy\n");
}
END_TEST

START_TEST(valid_level)
{
    char text[512];
    capture_begin();
    log_event(LOG_LEVEL_DEBUG, "dropped", "a=%d", 1);
    log_set_level(LOG_LEVEL_ERROR);
    log_event(LOG_LEVEL_WARN, "dropped", "a=%d", 1);
    log_event(LOG_LEVEL_ERROR, "kept", "a=%d", 1);
    log_set_level(LOG_LEVEL_INFO);
    capture_end(text, sizeof text);
    ck_assert_str_eq(after_time(text), "level=error ev=kept a=1\n");
}
END_TEST

/* Nobody is told, and nobody is disturbed. */
START_TEST(no_stderr)
{
    const int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = EDOM;
    log_event(LOG_LEVEL_INFO, "x", "a=%d", 1);
    const int errno_event = errno;
    log_fault(LOG_LEVEL_INFO, "x", &(struct fault)FAULT_NONE, "a=%d", 1);
    const int errno_fault = errno;
    dup2(saved, STDERR_FILENO);
    close(saved);
    ck_assert_int_eq(errno_event, EDOM);
    ck_assert_int_eq(errno_fault, EDOM);
}
END_TEST

/* The other end of the pipe reads nothing, and then all of it. */
START_TEST(no_waiting)
{
    static char text[1 << 17];
    int ends[2];
    const int saved = dup(STDERR_FILENO);
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], text, 4096) > 0)
        continue;
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0);
    dup2(ends[1], STDERR_FILENO);
    log_never_wait();
    log_event(LOG_LEVEL_INFO, "x", "a=%d", 1);
    log_fault(LOG_LEVEL_INFO, "x", &(struct fault)FAULT_NONE, "a=%d", 2);
    while (read(ends[0], text, sizeof text) > 0)
        continue;
    log_event(LOG_LEVEL_INFO, "y", "a=%d", 3);
    log_event(LOG_LEVEL_INFO, "z", "a=%d", 4);
    dup2(saved, STDERR_FILENO);
    const ssize_t len = read(ends[0], text, sizeof text - 1);
    ck_assert_int_gt(len, 0);
    text[len] = '\0';
    char *second = strchr(text, '\n') + 1;
    ck_assert_str_eq(after_time(second), "level=info ev=z a=4\n");
    *second = '\0';
    ck_assert_str_eq(after_time(text), "level=info ev=y a=3 lost=2\n");
    close(saved);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(valid_quoting)
{
    ck_assert_str_eq(LOG_Q("plain-word_1/2@3"), "plain-word_1/2@3");
    ck_assert_str_eq(LOG_Q(""), "\"\"");
    ck_assert_str_eq(LOG_Q("two words"), "\"two words\"");
    ck_assert_str_eq(LOG_Q("k=v"), "\"k=v\"");
    ck_assert_str_eq(LOG_Q("a\"b\\c"), "\"a\\\"b\\\\c\"");
    ck_assert_str_eq(LOG_QB(bytes_of("a\0b", 3)), "\"a?b\"");
    ck_assert_str_eq(LOG_Q("\xc3\xbc"), "\"??\"");
}
END_TEST

START_TEST(junk_value_forges_no_line)
{
    char text[512];
    capture_begin();
    log_event(LOG_LEVEL_INFO, "x", "a=%s b=%s", LOG_Q("1\n2026 level=info ev=forged"),
              "2\r\nforged\x1b[31m\xff");
    capture_end(text, sizeof text);
    ck_assert_str_eq(after_time(text), "level=info ev=x a=\"1?2026 level=info ev=forged\" "
                                       "b=2??forged?[31m?\n");
}
END_TEST

START_TEST(long_value_is_cut)
{
    for (size_t len = LOG_QUOTED_MAX - 12; len < LOG_QUOTED_MAX + 12; len++) {
        char in[LOG_QUOTED_MAX + 16];
        memset(in, '"', sizeof in);
        const char *out = LOG_QB(bytes_of(in, len));
        ck_assert_uint_lt(strlen(out), LOG_QUOTED_MAX);
        ck_assert_str_eq(out + strlen(out) - 4, "...\"");
        memset(in, 'x', sizeof in);
        out = LOG_QB(bytes_of(in, len));
        ck_assert_uint_lt(strlen(out), LOG_QUOTED_MAX);
        if (len < LOG_QUOTED_MAX)
            ck_assert_uint_eq(strspn(out, "x"), len);
        else
            ck_assert_str_eq(out + strlen(out) - 4, "...\"");
    }
}
END_TEST

START_TEST(long_line_is_cut)
{
    char text[8192];
    capture_begin();
    log_event(LOG_LEVEL_INFO, "x", "a=%5000d", 1);
    log_event(LOG_LEVEL_INFO, "y", "a=%d", 1);
    capture_end(text, sizeof text);
    const char *end = strchr(text, '\n');
    ck_assert_ptr_nonnull(end);
    ck_assert_int_eq(end - text, 2048 + 3);
    ck_assert_mem_eq(end - 3, "...", 3);
    ck_assert_str_eq(after_time(end + 1), "level=info ev=y a=1\n");
}
END_TEST

#define THREADS          4
#define LINES_PER_THREAD 100

static void *write_lines(void *arg)
{
    const char *const fill = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    for (int i = 0; i < LINES_PER_THREAD; i++)
        log_event(LOG_LEVEL_INFO, "thread", "fill=%s end=%s", fill, (const char *)arg);
    return NULL;
}

START_TEST(valid_threads_do_not_mix)
{
    static char text[1 << 17];
    static char end_mark[] = "1";
    pthread_t threads[THREADS];
    capture_begin();
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, end_mark), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    capture_end(text, sizeof text);
    size_t lines = 0;
    for (char *line = text; *line != '\0'; lines++) {
        char *end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        *end = '\0';
        ck_assert_str_eq(after_time(line),
                         "level=info ev=thread fill="
                         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz end=1");
        line = end + 1;
    }
    ck_assert_uint_eq(lines, THREADS * LINES_PER_THREAD);
}
END_TEST

UNIT_MAIN("log", valid_event, valid_fault, valid_fault_without_place, valid_level, no_stderr,
          no_waiting, valid_quoting, junk_value_forges_no_line, long_value_is_cut, long_line_is_cut,
          valid_threads_do_not_mix)
