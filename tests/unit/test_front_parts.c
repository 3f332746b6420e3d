/* Front's small parts: rates, request ids, peers, statuses, queries. */
#include "front_fixture.h"

#include "verifier/front/peer.h"
#include "verifier/front/problem.h"
#include "verifier/front/query.h"
#include "verifier/front/rate.h"
#include "verifier/front/request_id.h"

/* --- Rates --- */

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;
    const bool is_v6 = strchr(text, ':') != NULL;
    out.ss_family = is_v6 ? AF_INET6 : AF_INET;
    ck_assert_int_eq(
        inet_pton(out.ss_family, text, is_v6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr), 1);
    if (is_v6)
        v6->sin6_port = htons(4711);
    else
        v4->sin_port = htons(4711);
    return out;
}

static bool take(struct rate *rate, const char *address, uint64_t at_ms)
{
    const struct sockaddr_storage a = address_of(address);
    return rate_take(rate, (const struct sockaddr *)&a, at_ms);
}

START_TEST(valid_rate)
{
    CLEANUP(rate_freep) struct rate *rate = NULL;
    ck_ok(rate_new(10, 3, &rate));
    for (int i = 0; i < 3; i++)
        ck_assert(take(rate, "192.0.2.1", 1000));
    ck_assert(!take(rate, "192.0.2.1", 1000));
    ck_assert(take(rate, "192.0.2.2", 1000)); /* another's bucket is full */
    ck_assert(!take(rate, "192.0.2.1", 1099));
    ck_assert(take(rate, "192.0.2.1", 1100)); /* 10 a second: one each 100 ms */
    ck_assert(!take(rate, "192.0.2.1", 1100));
    ck_assert(!take(rate, "192.0.2.1", 900)); /* a step back gives nothing */
    for (int i = 0; i < 3; i++)
        ck_assert(take(rate, "192.0.2.1", 99999999));
    ck_assert(!take(rate, "192.0.2.1", 99999999)); /* no more than the burst is saved */
}
END_TEST

START_TEST(valid_rate_sources)
{
    CLEANUP(rate_freep) struct rate *rate = NULL;
    ck_ok(rate_new(1, 1, &rate));
    ck_assert(take(rate, "2001:db8::1", 0));
    ck_assert(!take(rate, "2001:db8::ffff:2", 0)); /* the same /64 */
    ck_assert(take(rate, "2001:db8:0:1::1", 0));
    ck_assert(take(rate, "::ffff:192.0.2.9", 0));
    ck_assert(!take(rate, "192.0.2.9", 0)); /* one address, two spellings */
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    for (int i = 0; i < 3; i++)
        ck_assert(rate_take(rate, (const struct sockaddr *)&local, 0));
}
END_TEST

START_TEST(valid_rate_off)
{
    CLEANUP(rate_freep) struct rate *rate = NULL;
    ck_ok(rate_new(0, 1, &rate));
    for (int i = 0; i < 1000; i++)
        ck_assert(take(rate, "192.0.2.1", 0));
}
END_TEST

/* A table of fixed size: many addresses push each other out, but not the busy one. */
START_TEST(long_rate_table)
{
    CLEANUP(rate_freep) struct rate *rate = NULL;
    ck_ok(rate_new(1, 1, &rate));
    for (unsigned i = 0; i < 100000; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        ck_assert(take(rate, text, i / 1000));
        ck_assert_msg(take(rate, "192.0.2.1", i / 1000) == (i == 0), "at %u", i);
    }
}
END_TEST

/* --- Request ids, peers --- */

START_TEST(valid_request_id)
{
    char id[64][REQUEST_ID_LEN + 1];
    for (size_t i = 0; i < 64; i++) {
        ck_ok(request_id_new(id[i]));
        ck_assert_uint_eq(strlen(id[i]), REQUEST_ID_LEN);
        ck_assert_uint_eq(strspn(id[i], "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), REQUEST_ID_LEN);
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(id[i], id[k]);
    }
}
END_TEST

START_TEST(valid_peer)
{
    static const char *const cases[][2] = {
        {"192.0.2.1", "192.0.2.1:4711"},
        {"2001:db8::1", "[2001:db8::1]:4711"},
        {"::ffff:192.0.2.1", "192.0.2.1:4711"},
    };
    char peer[WARDEN_PEER_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct sockaddr_storage a = address_of(cases[i][0]);
        peer_of_address((const struct sockaddr *)&a, peer);
        ck_assert_str_eq(peer, cases[i][1]);
    }
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    peer_of_address((const struct sockaddr *)&local, peer);
    ck_assert_str_eq(peer, "unknown");
    peer_of_address(NULL, peer);
    ck_assert_str_eq(peer, "unknown");
}
END_TEST

START_TEST(valid_peer_unix)
{
    char peer[WARDEN_PEER_MAX + 1];
    char expected[32];
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    snprintf(expected, sizeof expected, "unix:uid=%u", getuid());
    peer_of_unix(pair[0], peer);
    ck_assert_str_eq(peer, expected);
    close(pair[0]);
    close(pair[1]);
    peer_of_unix(-1, peer);
    ck_assert_str_eq(peer, "unix");
}
END_TEST

/* --- Statuses --- */

START_TEST(valid_status)
{
    static const struct {
        enum err code;
        int status;
    } cases[] = {
        {ERR_MALFORMED, 400},
        {ERR_HTTP_MALFORMED, 400},
        {ERR_NOT_BOUND, 400},
        {ERR_PUBLIC_KEY, 400},
        {ERR_UNAUTHENTICATED, 401},
        {ERR_FORBIDDEN, 403},
        {ERR_REFUSED, 403},
        {ERR_CERT_EXPIRED, 403},
        {ERR_NOT_FOUND, 404},
        {ERR_NO_ROUTE, 404},
        {ERR_METHOD, 405},
        {ERR_EXISTS, 409},
        {ERR_WRONG_STATE, 409},
        {ERR_CHALLENGE_EXPIRED, 409},
        {ERR_CHALLENGE_UNKNOWN, 409},
        {ERR_TOO_LARGE, 413},
        {ERR_TOO_FAST, 429},
        {ERR_BUSY, 503},
        {ERR_NO_MEMORY, 503},
        {ERR_STORE_CONFLICT, 503},
        {ERR_DELEGATION_EXPIRED, 503},
        {ERR_INTERNAL, 500},
        {ERR_STORE_TAMPERED, 500},
        {ERR_CRYPTO, 500},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_msg(problem_status(cases[i].code) == cases[i].status, "%s",
                      err_wire(cases[i].code));
    for (unsigned code = ERR_OK; code < ERR_COUNT; code++)
        ck_assert_int_ge(problem_status((enum err)code), 400);
}
END_TEST

/* What failed inside is for the admin: a stranger gets the id that leads there. */
START_TEST(valid_problem_detail)
{
    struct fault fault = FAULT_NONE;
    CLEANUP(answer_free) struct answer answer = {0};
    struct problem problem;
    fault_set(fault_at(&fault, 7, "inner"), ERR_STORE, "disk I/O error in /srv/x.db");
    ck_ok(problem_answer(&fault, "ID", FRONT_ADMIN, &answer));
    ck_ok(problem_parse(bytes_of_buf(&answer.body), &problem, NULL));
    ck_assert_str_eq(problem.detail, fault.detail);
    ck_assert_str_eq(problem.field, "inner");
    ck_ok(problem_answer(&fault, "ID", FRONT_PUBLIC, &answer));
    ck_ok(problem_parse(bytes_of_buf(&answer.body), &problem, NULL));
    ck_assert_int_eq(problem.code, ERR_STORE);
    ck_assert_str_eq(problem.detail, err_sentence(ERR_STORE));
    ck_assert_str_eq(problem.field, "");
    ck_assert_uint_eq(problem.offset, FAULT_NO_OFFSET);
    ck_assert_int_eq(answer.retry_after_s, 0);
    fault_set(&fault, ERR_MALFORMED, "what the caller knows");
    ck_ok(problem_answer(&fault, "ID", FRONT_PUBLIC, &answer));
    ck_ok(problem_parse(bytes_of_buf(&answer.body), &problem, NULL));
    ck_assert_str_eq(problem.detail, "what the caller knows");
    fault_set(&fault, ERR_TOO_FAST, "x");
    ck_ok(problem_answer(&fault, "ID", FRONT_PUBLIC, &answer));
    ck_assert_int_gt(answer.retry_after_s, 0);
    fault_set(&fault, ERR_BUSY, "x");
    ck_ok(problem_answer(&fault, "ID", FRONT_PUBLIC, &answer));
    ck_assert_int_gt(answer.retry_after_s, 0);
    fault_set(&fault, ERR_TOO_FAST, "x"); /* where the warden knows better */
    fault.retry_after_s = 17;
    ck_ok(problem_answer(&fault, "ID", FRONT_PUBLIC, &answer));
    ck_assert_int_eq(answer.retry_after_s, 17);
    fault_set(&fault, ERR_REFUSED, "x"); /* 403 has none */
    ck_ok(problem_answer(&fault, "ID", FRONT_PUBLIC, &answer));
    ck_assert_int_eq(answer.retry_after_s, 0);
}
END_TEST

/* --- Queries --- */

START_TEST(valid_query)
{
    CLEANUP(query_free) struct query query = {0};
    ck_ok(query_parse(bytes_of_text("image=pay%2Dments&version=1.4+b%2B2&empty=&x=a=b"), &query,
                      NULL));
    ck_assert_uint_eq(query.count, 4);
    ck_assert(bytes_equal_text(query.pair[0].name, "image"));
    ck_assert(bytes_equal_text(query.pair[0].value, "pay-ments"));
    ck_assert(bytes_equal_text(query.pair[1].value, "1.4+b+2"));
    ck_assert(bytes_equal_text(query.pair[2].value, ""));
    ck_assert(bytes_equal_text(query.pair[3].value, "a=b"));
}
END_TEST

START_TEST(valid_query_empty)
{
    CLEANUP(query_free) struct query query = {0};
    ck_ok(query_parse(bytes_of_text(""), &query, NULL));
    ck_assert_uint_eq(query.count, 0);
    ck_ok(query_parse(bytes_of(NULL, 0), &query, NULL));
}
END_TEST

START_TEST(junk_query)
{
    static const struct {
        const char *text;
        size_t offset;
    } cases[] = {
        {"a", 0},     {"&", 0},           {"a=b&", 4},        {"a=b&&c=d", 4},  {"a=%", 2},
        {"a=%4", 2},  {"a=%4g", 2},       {"a=x%zz", 3},      {"a=%00", 2},     {"%00=x", 0},
        {"a=%ff", 2}, {"a=%ed%a0%80", 2}, {"a=1&b=2&a=3", 8}, {"a=1&%61=3", 4}, {"a=%c0%80", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(query_free) struct query query = {0};
        struct fault fault = FAULT_NONE;
        const enum err err = query_parse(bytes_of_text(cases[i].text), &query, &fault);
        ck_assert_msg(err == ERR_MALFORMED, "%s: %s", cases[i].text, err_wire(err));
        ck_assert_str_eq(fault.field, "query");
        ck_assert_msg(fault.offset == cases[i].offset, "%s: %zu", cases[i].text, fault.offset);
        ck_assert_uint_eq(query.count, 0);
    }
}
END_TEST

START_TEST(long_query)
{
    CLEANUP(query_free) struct query query = {0};
    char text[256] = "";
    for (int i = 0; i < QUERY_PAIRS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%sk%d=v", i == 0 ? "" : "&", i);
    ck_ok(query_parse(bytes_of_text(text), &query, NULL));
    strcat(text, "&z=v");
    CLEANUP(query_free) struct query more = {0};
    ck_err(query_parse(bytes_of_text(text), &more, NULL), ERR_MALFORMED);
}
END_TEST

UNIT_MAIN("front_parts", valid_rate, valid_rate_sources, valid_rate_off, long_rate_table,
          valid_request_id, valid_peer, valid_peer_unix, valid_status, valid_problem_detail,
          valid_query, valid_query_empty, junk_query, long_query)
