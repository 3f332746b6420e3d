/* Names of the verifier, with a resolver of the test's own: one that answers late holds up nobody
 * who has a connection, one that does not answer those alone who wait, and each of a name's
 * addresses is tried.  The relay is the whole one, with a clock that the test alone moves on. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "unit.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "enclave-agent/relay/relay.h"

#define CONNECT_MS 6000
#define FRESH_MS   5000    /* RESOLVER_FRESH_MS */
#define START_MS   1000000 /* by the relay's clock */

/* Between the test and the relay, which is another process. */
static struct shared {
    _Atomic int64_t ahead_ms;
    _Atomic unsigned lookups;
} * shared;
static int answers[2];                        /* a byte for each look-up: what it finds */
enum { ONE = '1', SECOND = '2', NONE = '0' }; /* SECOND: where nobody listens, then ONE */

/* --- in the relay, in place of libc's --- */

static bool is_relay;

/* Only later() moves it on: however busy this machine is, nothing is late by itself. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (!is_relay)
        return (int)syscall(SYS_clock_gettime, clock, out);
    const int64_t now_ms = START_MS + atomic_load(&shared->ahead_ms);
    *out = (struct timespec){.tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000};
    return 0;
}

static int numeric(const char *host, const char *port, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    return real(host, port, &hints, out);
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **out)
{
    char what = NONE;
    if ((hints->ai_flags & AI_NUMERICHOST) != 0)
        return numeric(host, port, out);
    atomic_fetch_add(&shared->lookups, 1);
    if (read(answers[0], &what, 1) != 1 || what == NONE)
        return EAI_AGAIN;
    if (what == ONE)
        return numeric("127.0.0.1", port, out);
    const int rc = numeric("127.0.0.2", port, out);
    return rc != 0 ? rc : numeric("127.0.0.1", port, &(*out)->ai_next);
}

/* --- the three processes --- */

static pid_t relay, verifier;
static char folder[] = "/tmp/vouchsafe-resolver-XXXXXX";
static char listen_text[64];
static char to_text[64];

/* Sends everything back; a process for each connection. */
static void echo(int listener)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        const int fd = accept(listener, NULL, NULL);
        char bytes[64];
        ssize_t n = 0;
        if (fork() == 0) {
            while ((n = read(fd, bytes, sizeof bytes)) > 0)
                (void)!write(fd, bytes, (size_t)n);
            _exit(0);
        }
        close(fd);
    }
}

static void start_verifier(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    snprintf(to_text, sizeof to_text, "verifier.example:%u", ntohs(a.sin_port));
    verifier = fork();
    if (verifier == 0)
        echo(fd);
    close(fd);
}

static void start(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
    ck_assert_int_eq(pipe(answers), 0);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(listen_text, sizeof listen_text, "unix:%s/relay", folder);
    start_verifier();
    struct relay_options o = {.listen_text = listen_text,
                              .to_text = to_text,
                              .connections = 16,
                              .connections_per_peer = 16,
                              .idle_ms = 3600000,
                              .connect_ms = CONNECT_MS};
    ck_err(address_parse_listen(o.listen_text, &o.listen, NULL), ERR_OK);
    ck_err(address_parse_target(o.to_text, &o.to, NULL), ERR_OK);
    relay = fork();
    is_relay = relay == 0;
    if (is_relay)
        _exit(relay_run(&o, NULL) == ERR_OK ? 0 : 1);
}

static void stop(void)
{
    int status = -1;
    kill(relay, SIGTERM);
    kill(relay, SIGINT); /* a second one: not to wait for what is open */
    ck_assert_int_eq(waitpid(relay, &status, 0), relay);
    ck_assert_int_eq(status, 0);
    kill(verifier, SIGKILL);
    waitpid(verifier, NULL, 0);
    rmdir(folder);
}

/* --- what the tests do --- */

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

static int dial(void)
{
    struct address to;
    ck_err(address_parse_listen(listen_text, &to, NULL), ERR_OK);
    for (int tries = 0; tries < 1000; tries++) {
        const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&to.sockaddr, to.len) == 0)
            return fd;
        close(fd);
        pause_ms(10);
    }
    ck_abort_msg("nobody listens");
    return -1;
}

/* What comes back within the time, if anything: 1, 0 at the end, -1 for nothing. */
static int answer(int fd, int within_ms)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    char byte = 0;
    return poll(&in, 1, within_ms) == 1 ? read(fd, &byte, 1) == 1 : -1;
}

static void ask(int fd)
{
    ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
}

static void works(int fd)
{
    ask(fd);
    ck_assert_int_eq(answer(fd, 10000), 1);
}

static void wait_lookups(unsigned count)
{
    for (int tries = 0; tries < 1000 && atomic_load(&shared->lookups) < count; tries++)
        pause_ms(10);
    ck_assert_uint_eq(atomic_load(&shared->lookups), count);
}

static void resolve(char what)
{
    ck_assert_int_eq(write(answers[1], &what, 1), 1);
}

static void later(int64_t ms)
{
    atomic_fetch_add(&shared->ahead_ms, ms);
}

START_TEST(valid_slow_resolver)
{
    start();
    const int open = dial();
    resolve(ONE);
    works(open);
    later(FRESH_MS + 1000);
    const int first = dial();
    ask(first);
    wait_lookups(2);
    const int second = dial();
    ask(second);
    works(open); /* it is not held up */
    ck_assert_int_eq(answer(first, 300), -1);
    ck_assert_int_eq(answer(second, 0), -1);
    wait_lookups(2); /* one look-up for both */
    resolve(ONE);
    ck_assert_int_eq(answer(first, 10000), 1);
    ck_assert_int_eq(answer(second, 10000), 1);
    works(dial()); /* the name is fresh again */
    wait_lookups(2);
    stop();
}
END_TEST

START_TEST(no_answer_of_resolver)
{
    start();
    const int open = dial();
    resolve(ONE);
    works(open);
    later(FRESH_MS + 1000);
    const int waits = dial();
    wait_lookups(2);
    ck_assert_int_eq(answer(waits, 300), -1);
    later(CONNECT_MS + 1000);
    ck_assert_int_eq(answer(waits, 10000), 0); /* its time for connecting is over */
    works(open);
    /* A look-up that fails in the end: the addresses from before are tried on. */
    const int next = dial();
    ask(next);
    ck_assert_int_eq(answer(next, 300), -1);
    wait_lookups(2);
    resolve(NONE);
    ck_assert_int_eq(answer(next, 10000), 1);
    /* And not asked again at once, but soon. */
    works(dial());
    wait_lookups(2);
    later(2000);
    const int last = dial();
    wait_lookups(3);
    resolve(ONE);
    works(last);
    stop();
}
END_TEST

/* The addresses from before are not too old for who has waited long enough. */
START_TEST(valid_old_addresses)
{
    start();
    resolve(ONE);
    works(dial());
    later(FRESH_MS + 1000);
    const int waits = dial();
    ask(waits);
    wait_lookups(2);
    ck_assert_int_eq(answer(waits, 300), -1);
    later(CONNECT_MS / 2);
    ck_assert_int_eq(answer(waits, 10000), 1);
    const int next = dial();
    ask(next);
    resolve(ONE); /* it comes after all */
    ck_assert_int_eq(answer(next, 10000), 1);
    wait_lookups(2);
    stop();
}
END_TEST

START_TEST(no_answer_at_the_end)
{
    start();
    const int waits = dial();
    wait_lookups(1);
    later(CONNECT_MS - 2000);
    ck_assert_int_eq(answer(waits, 1200), -1); /* there is no other address */
    stop();                                    /* which its thread does not hold up */
    ck_assert_int_eq(answer(waits, 10000), 0);
}
END_TEST

START_TEST(valid_second_address_of_name)
{
    start();
    const int fd = dial();
    resolve(SECOND);
    works(fd);
    stop();
}
END_TEST

UNIT_MAIN("relay_resolver", valid_slow_resolver, no_answer_of_resolver, valid_old_addresses,
          no_answer_at_the_end, valid_second_address_of_name)
