/* Connecting to the verifier: each address in turn, in its share of the time. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "enclave-agent/relay/connect.h"

/* On a free port of 127.0.0.1; one that nobody listens at where `backlog` is negative. */
static int start(int backlog, struct address *out)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    if (backlog >= 0)
        ck_assert_int_eq(listen(fd, backlog), 0);
    *out = (struct address){.len = sizeof a};
    memcpy(&out->sockaddr, &a, sizeof a);
    return fd;
}

static struct connection *new_connection(void)
{
    struct connection *c = connection_new(-1, NULL, false);
    ck_assert_ptr_nonnull(c);
    c->connect_by_ms = 10000;
    return c;
}

static int result(struct connection *c)
{
    struct pollfd out = {.fd = c->watch[SIDE_VERIFIER].fd, .events = POLLOUT};
    ck_assert_int_eq(poll(&out, 1, 5000), 1);
    return connect_result(c);
}

START_TEST(valid_second_address)
{
    struct resolver r = {.fixed = true, .count = 2};
    int error = 0;
    const int closed = start(-1, &r.found[0]);
    const int open = start(1, &r.found[1]);
    struct connection *c = new_connection();
    ck_assert(connect_next(c, &r, 0, &error));
    ck_assert_int_eq(c->deadline_ms, 5000); /* one of two */
    ck_assert_int_eq(result(c), ECONNREFUSED);
    ck_assert_int_eq(c->watch[SIDE_VERIFIER].fd, -1);
    ck_assert(connect_next(c, &r, 1000, &error));
    ck_assert_int_eq(c->deadline_ms, 10000); /* the rest */
    ck_assert_int_eq(result(c), 0);
    ck_assert_int_ge(c->watch[SIDE_VERIFIER].fd, 0);
    connection_free(c);
    close(closed);
    close(open);
}
END_TEST

START_TEST(no_address)
{
    struct resolver r = {.fixed = true, .count = 1};
    int error = EHOSTUNREACH;
    const int closed = start(-1, &r.found[0]);
    struct connection *c = new_connection();
    ck_assert(connect_next(c, &r, 0, &error));
    ck_assert_int_eq(result(c), ECONNREFUSED);
    error = ECONNREFUSED;
    ck_assert(!connect_next(c, &r, 0, &error));
    ck_assert_int_eq(error, ECONNREFUSED); /* the caller's stays */
    connection_free(c);
    c = new_connection();
    ck_assert(!connect_next(c, &r, 10000, &error)); /* the time is over */
    ck_assert_int_eq(c->watch[SIDE_VERIFIER].fd, -1);
    connection_free(c);
    /* What fails at once is passed over at once. */
    r.found[1] = r.found[0];
    r.found[0] = (struct address){.sockaddr.ss_family = AF_UNIX, .len = sizeof(sa_family_t)};
    r.count = 2;
    c = new_connection();
    ck_assert(connect_next(c, &r, 0, &error));
    ck_assert_uint_eq(c->next_address, 2);
    connection_free(c);
    close(closed);
}
END_TEST

UNIT_MAIN("relay_connect", valid_second_address, no_address)
