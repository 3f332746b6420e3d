/* The agent's lines, as standard error and as a parent sees them; and parents that are away, deaf,
 * slow or hostile. */
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/bytes.h"
#include "enclave-agent/journal.h"

static struct fault fault;
static char where[64];
static int errors[2]; /* a pipe in the place of standard error */

static int64_t now_ms(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const char *path_of_socket(void)
{
    return where + strlen("unix:");
}

/* The place is free; each test is a process of its own. */
static void setup(enum journal_of of)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    snprintf(where, sizeof where, "unix:/tmp/test_agent_journal.%d", (int)getpid());
    ck_assert_int_eq(pipe(errors), 0);
    ck_assert_int_eq(fcntl(errors[0], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(fcntl(errors[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
    ck_assert_int_ge(dup2(errors[1], STDERR_FILENO), 0);
    ck_ok(journal_open(where, of, &fault));
}

static int listen_there(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path_of_socket());
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

static int take_connection(int listener)
{
    struct pollfd pollfd = {.fd = listener, .events = POLLIN};
    ck_assert_int_eq(poll(&pollfd, 1, 5000), 1);
    const int fd = accept(listener, NULL, NULL);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Adds what is there to be read now. */
static void drain(int fd, struct buf *text)
{
    for (;;) {
        ck_ok(buf_reserve(text, 65536));
        const ssize_t got = read(fd, text->ptr + text->len, 65536);
        if (got <= 0)
            break;
        text->len += (size_t)got;
    }
    ck_assert_ptr_nonnull(buf_text(text));
}

static void ck_read(int fd, const char *expected)
{
    CLEANUP(buf_free) struct buf text = {0};
    drain(fd, &text);
    ck_assert_str_eq((const char *)text.ptr, expected);
}

START_TEST(valid_lines)
{
    setup(JOURNAL_OF_AGENT);
    const int listener = listen_there();
    journal_say("received %s", "db/main");
    journal_add("PCR%d", 0);
    journal_copy("for the parent");
    const int parent = take_connection(listener);
    ck_read(parent, "vouchsafe-agent: received db/main\n  PCR0\nvouchsafe-agent: for the parent\n");
    ck_read(errors[0], "vouchsafe-agent: received db/main\n  PCR0\n");
    ck_ok(journal_lend(&fault)); /* not asked for: nothing happens */
    struct pollfd pollfd = {.fd = listener, .events = POLLIN};
    ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
    journal_say("%s", "");
    ck_read(parent, "vouchsafe-agent: \n");
    unlink(path_of_socket());
}
END_TEST

/* Each says its own lines, once, over its own connection. */
START_TEST(valid_child)
{
    setup(JOURNAL_OF_AGENT);
    journal_say("one"); /* waits: nobody listens */
    const int listener = listen_there();
    const pid_t child = fork();
    if (child == 0) {
        journal_say("two");
        journal_flush();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    journal_flush();
    ck_read(take_connection(listener), "vouchsafe-agent: two\n");
    ck_read(take_connection(listener), "vouchsafe-agent: one\n");
    journal_say("three");
    ck_read(errors[0], "vouchsafe-agent: one\nvouchsafe-agent: two\nvouchsafe-agent: three\n");
    unlink(path_of_socket());
}
END_TEST

/* Whole lines of printable ASCII, whatever is in them. */
START_TEST(wrong_characters)
{
    setup(JOURNAL_OF_AGENT);
    const int listener = listen_there();
    journal_say("a\nb\r\033[2J\x7f\xc3\xa4\tz%%");
    const int parent = take_connection(listener);
    ck_read(parent, "vouchsafe-agent: a?b??[2J????z%\n");
    unlink(path_of_socket());
}
END_TEST

START_TEST(long_lines)
{
    char text[3000];
    setup(JOURNAL_OF_AGENT);
    memset(text, 'x', sizeof text - 1);
    for (size_t len = JOURNAL_LINE_MAX - 40; len < JOURNAL_LINE_MAX + 40; len++) {
        CLEANUP(buf_free) struct buf line = {0};
        journal_say("%.*s", (int)len, text);
        drain(errors[0], &line);
        const bool whole = line.ptr[line.len - 2] == 'x';
        ck_assert_uint_le(line.len, JOURNAL_LINE_MAX);
        ck_assert_uint_eq(line.ptr[line.len - 1], '\n');
        ck_assert(!whole || line.len == 17 + len + 1);
        ck_assert(whole || strcmp((const char *)line.ptr + line.len - 5, "x...\n") == 0);
        ck_assert(whole == (17 + len + 1 < JOURNAL_LINE_MAX - 4));
    }
}
END_TEST

START_TEST(no_parent)
{
    setup(JOURNAL_OF_AGENT);
    const int64_t begin_ms = now_ms();
    journal_say("one");
    journal_say("two");
    journal_flush();
    ck_assert_int_lt(now_ms() - begin_ms, 500);
    CLEANUP(buf_free) struct buf said = {0};
    CLEANUP(buf_free) struct buf expected = {0};
    drain(errors[0], &said);
    ck_ok(buf_append_format(&expected,
                            "vouchsafe-agent: one\nvouchsafe-agent: two\n"
                            "vouchsafe-agent: 2 lines did not reach the log at %s: cannot connect: "
                            "No such file or directory\n",
                            where));
    ck_assert_str_eq((const char *)said.ptr, buf_text(&expected));
}
END_TEST

/* What was said before the parent listened is not lost. */
START_TEST(valid_late_parent)
{
    setup(JOURNAL_OF_AGENT);
    journal_say("one");
    const int listener = listen_there();
    journal_say("two"); /* too early to try again */
    struct pollfd pollfd = {.fd = listener, .events = POLLIN};
    ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
    journal_flush();
    ck_read(take_connection(listener), "vouchsafe-agent: one\nvouchsafe-agent: two\n");
    ck_read(errors[0], "vouchsafe-agent: one\nvouchsafe-agent: two\n");
    unlink(path_of_socket());
}
END_TEST

/* --- a socket that takes so much and no more, and one that never falls silent --- */

static size_t sendable = SIZE_MAX;
static bool talks;

/* In the place of libc's. */
ssize_t send(int fd, const void *from, size_t len, int flags)
{
    if (len > sendable)
        len = sendable;
    if (len == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (sendable != SIZE_MAX)
        sendable -= len;
    return sendto(fd, from, len, flags, NULL, 0);
}

ssize_t recv(int fd, void *to, size_t len, int flags)
{
    if (!talks)
        return recvfrom(fd, to, len, flags, NULL, NULL);
    memset(to, 'x', len);
    return (ssize_t)len;
}

#define LINES 600

static void say_many(void)
{
    char text[900];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < LINES; i++) {
        CLEANUP(buf_free) struct buf ignored = {0};
        journal_say("%03d %.*s", i, (int)sizeof text, text);
        drain(errors[0], &ignored);
    }
}

/* Whole lines 0, 1, 2, ... and no other. */
static int count_lines(const struct buf *text, size_t line_len)
{
    int count = 0;
    for (size_t at = 0; at < text->len; at += line_len, count++) {
        char begin[32];
        snprintf(begin, sizeof begin, "vouchsafe-agent: %03d xxx", count);
        ck_assert_int_eq(strncmp((const char *)text->ptr + at, begin, strlen(begin)), 0);
        ck_assert_uint_eq(text->ptr[at + line_len - 1], '\n');
    }
    return count;
}

#define LINE_LEN (17 + 4 + 900 + 1)

static const char *text_of_line(void)
{
    static char text[LINE_LEN - 17];
    memset(text, 'x', sizeof text - 1);
    return text;
}

/* Nobody reads: the agent goes on, and how many lines are missing is told where they are. */
START_TEST(wrong_deaf_parent)
{
    setup(JOURNAL_OF_AGENT);
    const int listener = listen_there();
    const int64_t begin_ms = now_ms();
    say_many();
    journal_flush();
    ck_assert_int_lt(now_ms() - begin_ms, 3000);

    CLEANUP(buf_free) struct buf said = {0};
    unsigned missing = 0;
    drain(errors[0], &said);
    ck_assert_int_eq(
        sscanf((const char *)said.ptr, "vouchsafe-agent: %u lines did not reach", &missing), 1);
    ck_assert_ptr_nonnull(strstr((const char *)said.ptr, ": it was not read in time\n"));

    const int parent = take_connection(listener);
    CLEANUP(buf_free) struct buf text = {0};
    drain(parent, &text); /* makes room */
    journal_flush();      /* what still waited */
    drain(parent, &text);
    const char *told = strstr((const char *)text.ptr, " lines were dropped here: the log was not "
                                                      "read in time\n");
    ck_assert_ptr_nonnull(told);
    while (*told != '\n')
        told--;
    unsigned dropped = 0;
    ck_assert_int_eq(sscanf(told + 1, "vouchsafe-agent: %u lines were", &dropped), 1);
    text.len = (size_t)(told + 1 - (const char *)text.ptr);
    const int received = count_lines(&text, LINE_LEN);
    ck_assert_int_eq(received + (int)dropped, LINES);
    ck_assert_uint_gt(missing, dropped); /* it counted those that waited */
    journal_say("after");
    ck_read(parent, "vouchsafe-agent: after\n");
    unlink(path_of_socket());
}
END_TEST

/* It ends in the middle of a line: the next connection gets no half of it, and is not made at
 * once. */
START_TEST(wrong_closing_parent)
{
    setup(JOURNAL_OF_AGENT);
    const int listener = listen_there();
    sendable = LINE_LEN + 100;
    journal_say("%s", text_of_line());
    journal_say("%s", text_of_line());
    journal_say("three");
    close(take_connection(listener));
    sendable = SIZE_MAX;
    journal_say("four");
    journal_say("five");
    struct pollfd pollfd = {.fd = listener, .events = POLLIN};
    ck_assert_int_eq(poll(&pollfd, 1, 50), 0);
    journal_flush();
    ck_read(
        take_connection(listener),
        "vouchsafe-agent: three\nvouchsafe-agent: 1 line was dropped here: the log was not read "
        "in time\nvouchsafe-agent: four\nvouchsafe-agent: five\n");
    CLEANUP(buf_free) struct buf said = {0};
    drain(errors[0], &said);
    ck_assert_ptr_nonnull(strstr((const char *)said.ptr,
                                 "five\nvouchsafe-agent: 1 line did not reach the log at unix:/"));
    unlink(path_of_socket());
}
END_TEST

START_TEST(valid_program)
{
    setup(JOURNAL_OF_PROGRAM);
    const int listener = listen_there();
    journal_say("before");
    ck_ok(journal_lend(&fault));
    const int agent = take_connection(listener);
    const int program = take_connection(listener);
    ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(write(STDOUT_FILENO, "out\n", 4), 4);
    ck_assert_int_eq(write(STDERR_FILENO, "err\n", 4), 4);
    journal_say("after");
    ck_read(program, "out\nerr\n");
    ck_read(agent, "vouchsafe-agent: before\nvouchsafe-agent: after\n");
    ck_read(errors[0], "vouchsafe-agent: before\nvouchsafe-agent: after\n");
    unlink(path_of_socket());
}
END_TEST

START_TEST(no_parent_for_program)
{
    setup(JOURNAL_OF_PROGRAM);
    ck_ok(journal_lend(&fault));
    ck_assert_int_eq(write(STDERR_FILENO, "still\n", 6), 6);
    CLEANUP(buf_free) struct buf said = {0};
    drain(errors[0], &said);
    ck_assert_ptr_nonnull(strstr((const char *)said.ptr,
                                 "vouchsafe-agent: the program's output stays where it was: the "
                                 "log at unix:/"));
    ck_assert_ptr_nonnull(strstr((const char *)said.ptr, "\nstill\n"));
}
END_TEST

/* A parent that reads after 300 ms and closes at the end. */
static pid_t fork_parent(int listener)
{
    const pid_t pid = fork();
    if (pid != 0)
        return pid;
    const int fd = accept(listener, NULL, NULL);
    char text[4096];
    poll(NULL, 0, 300);
    while (read(fd, text, sizeof text) > 0)
        continue;
    _exit(0);
}

static int64_t time_of_end(void)
{
    const int listener = listen_there();
    const pid_t parent = fork_parent(listener);
    journal_say("the last words");
    const int64_t begin_ms = now_ms();
    journal_end();
    const int64_t took_ms = now_ms() - begin_ms;
    ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
    unlink(path_of_socket());
    return took_ms;
}

/* The machine may end with the process: the last line is read before. */
START_TEST(valid_end)
{
    setup(JOURNAL_OF_AGENT);
    const int64_t took_ms = time_of_end();
    ck_assert_int_ge(took_ms, 250);
    ck_assert_int_lt(took_ms, 900);
    journal_say("nobody hears this");
    journal_end();
    ck_read(errors[0], "vouchsafe-agent: the last words\nvouchsafe-agent: nobody hears this\n");
}
END_TEST

/* It has its second and no more. */
START_TEST(wrong_talking_parent)
{
    setup(JOURNAL_OF_AGENT);
    talks = true;
    const int64_t took_ms = time_of_end();
    ck_assert_int_ge(took_ms, 900);
    ck_assert_int_lt(took_ms, 2000);
}
END_TEST

START_TEST(wrong_places)
{
    static const char *const rows[] = {
        "",          "stderr",      "http://127.0.0.1:1", "https://h", "unix:relative",
        "vsock://3", "vsock://x:1", "vsock://3:5000/x"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_err(journal_open(rows[i], JOURNAL_OF_AGENT, &fault), ERR_USAGE);
        ck_assert_ptr_nonnull(
            strstr(fault.detail, "\": vsock://CID:PORT or unix:/PATH is expected"));
    }
    ck_ok(journal_open("vsock://3:5000", JOURNAL_OF_AGENT, &fault));
}
END_TEST

UNIT_MAIN("agent_journal", valid_lines, valid_child, wrong_characters, long_lines, no_parent,
          valid_late_parent, wrong_deaf_parent, wrong_closing_parent, valid_program,
          no_parent_for_program, valid_end, wrong_talking_parent, wrong_places)
