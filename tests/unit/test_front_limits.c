/* Time and load: slow senders, many connections, rates, and a graceful stop. */
#include "front_fixture.h"

#define HEALTH       "GET /v1/health HTTP/1.1\r\nHost: a\r\n"
#define CHALLENGE    "POST /v1/challenge HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
#define CLOSE        "Connection: close\r\n"
#define RELEASE_HEAD "POST /v1/release HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
/* 56 bytes */
#define RELEASE_BODY "{\"attestation_document\":\"AQID\",\"secrets\":[{\"name\":\"a\"}]}"

static struct setup setup;

static void start_quick(void)
{
    setup_init(&setup);
    setup.options.header_timeout_ms = 600;
    setup.options.body_timeout_ms = 600;
    setup.options.answer_timeout_ms = 600;
    setup.options.idle_timeout_ms = 600;
    setup_start(&setup);
}

/* Sends `head`, then a byte at a time, fast enough for any timeout of inactivity;
 * the connection must end about when the deadline says. */
static void ck_cut(const char *head, char trickle, struct got *got)
{
    const int fd = dial(&setup);
    const int64_t from_ms = now_ms();
    put_text(fd, head);
    while (now_ms() - from_ms < 5000 && send(fd, &trickle, 1, MSG_NOSIGNAL) == 1)
        sleep_ms(20);
    const int64_t took_ms = now_ms() - from_ms;
    ck_assert_msg(took_ms >= 500 && took_ms < 3000, "after %lld ms", (long long)took_ms);
    *got = (struct got){0};
    read_all(fd, &got->text);
    close(fd);
    got_parse(got);
}

START_TEST(wrong_slow_header)
{
    struct got got;
    start_quick();
    ck_cut("GET /v1/health HTTP/1.1\r\nX: ", 'y', &got);
    ck_assert_int_eq(got.status, 0);
    got_free(&got);
    ck_cut("GE", 'T', &got);
    ck_assert_int_eq(got.status, 0);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_slow_body)
{
    struct got got;
    start_quick();
    ck_cut(RELEASE_HEAD "Content-Length: 60000\r\n\r\n", ' ', &got);
    ck_assert_int_eq(got.status, 0);
    got_free(&got);
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

/* Nothing at all, and nothing after an answer. */
START_TEST(wrong_silent)
{
    struct got got = {0};
    start_quick();
    int64_t from_ms = now_ms();
    int fd = dial(&setup);
    read_all(fd, &got.text);
    ck_assert_uint_eq(got.text.len, 0);
    ck_assert_int_lt(now_ms() - from_ms, 3000);
    close(fd);
    from_ms = now_ms();
    got_free(&got);
    got = exchange_raw(&setup, HEALTH "\r\n");
    ck_json(&got, "{\"status\":\"ok\"}");
    ck_assert_int_ge(now_ms() - from_ms, 500);
    ck_assert_int_lt(now_ms() - from_ms, 3000);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

/* The warden's time is not the sender's. */
START_TEST(valid_slow_warden)
{
    start_quick();
    setup.warden.delay_ms = 1500;
    struct got got = exchange_raw(&setup, CHALLENGE CLOSE "\r\n");
    ck_json(&got, JSON_OK);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

/* Who has sent everything may say so by closing its half. */
START_TEST(valid_half_close)
{
    struct got got = {0};
    setup_init(&setup);
    setup_start(&setup);
    setup.warden.delay_ms = 100;
    for (int pause_ms = 0; pause_ms <= 50; pause_ms += 50) {
        const int fd = dial(&setup);
        put_text(fd, RELEASE_HEAD);
        sleep_ms(pause_ms);
        put_text(fd, "Content-Length: 60\r\n\r\n");
        put_text(fd, RELEASE_BODY "    ");
        sleep_ms(pause_ms);
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        read_all(fd, &got.text);
        close(fd);
        got_parse(&got);
        ck_json(&got, JSON_OK);
        got_free(&got);
    }
    setup_stop(&setup);
}
END_TEST

/* A half-close within a request ends it at once. */
START_TEST(wrong_half_close)
{
    static const char *const heads[] = {"GET /v1/health HT", HEALTH,
                                        RELEASE_HEAD "Content-Length: 100\r\n\r\n{"};
    setup_init(&setup);
    setup_start(&setup);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        CLEANUP(buf_free) struct buf text = {0};
        const int64_t from_ms = now_ms();
        const int fd = dial(&setup);
        put_text(fd, heads[i]);
        sleep_ms(50);
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        read_all(fd, &text);
        ck_assert_int_lt(now_ms() - from_ms, 2000);
        close(fd);
    }
    ck_assert_uint_eq(setup.warden.calls, 0);
    setup_stop(&setup);
}
END_TEST

static size_t count_of(const struct got *got, const char *needle)
{
    size_t count = 0;
    for (const char *at = (const char *)got->text.ptr; (at = strstr(at, needle)) != NULL; at++)
        count++;
    return count;
}

START_TEST(valid_pipelined)
{
    setup_init(&setup);
    setup_start(&setup);
    struct got got =
        exchange_raw(&setup, CHALLENGE
                     "\r\n" HEALTH "\r\n" RELEASE_HEAD "Content-Length: 2\r\n\r\n{}" RELEASE_HEAD
                     "Content-Length: 56\r\n\r\n" RELEASE_BODY HEALTH "\r\n"
                     "GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n" CHALLENGE "\r\n");
    ck_assert_uint_eq(count_of(&got, "HTTP/1.1 200 OK\r\n"), 4);
    ck_assert_uint_eq(count_of(&got, "HTTP/1.1 400 "), 1);
    ck_assert_uint_eq(count_of(&got, "HTTP/1.1 404 "), 1);
    ck_assert_uint_eq(count_of(&got, "Vouchsafe-Request-Id: "), 6);
    /* What is refused by its head alone ends the connection. */
    ck_assert_uint_eq(count_of(&got, "Connection: close\r\n"), 1);
    ck_assert_uint_eq(setup.warden.calls, 2);
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

static void *run_one(void *arg)
{
    struct got *got = arg;
    *got = exchange_raw(&setup, CHALLENGE CLOSE "\r\n");
    return NULL;
}

START_TEST(valid_parallel)
{
    enum { MANY = 100 };
    static pthread_t thread[MANY];
    static struct got got[MANY];
    setup_init(&setup);
    setup.options.threads = 4;
    setup.warden.delay_ms = 5;
    setup_start(&setup);
    for (size_t i = 0; i < MANY; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run_one, &got[i]), 0);
    for (size_t i = 0; i < MANY; i++) {
        pthread_join(thread[i], NULL);
        ck_json(&got[i], JSON_OK);
    }
    for (size_t i = 1; i < MANY; i++)
        ck_assert_str_ne(got[i].request_id, got[0].request_id);
    ck_assert_uint_eq(setup.warden.calls, MANY);
    ck_assert_uint_gt(setup.warden.most_inside, 1);
    for (size_t i = 0; i < MANY; i++)
        got_free(&got[i]);
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_rate)
{
    char retry[8] = "";
    setup_init(&setup);
    setup.options.rate_per_s = 1;
    setup.options.rate_burst = 3;
    setup_start(&setup);
    for (int i = 0; i < 3; i++) {
        struct got got = exchange_raw(&setup, HEALTH CLOSE "\r\n");
        ck_json(&got, "{\"status\":\"ok\"}");
        got_free(&got);
    }
    struct got got = exchange_raw(&setup, CHALLENGE CLOSE "\r\n");
    const struct problem problem = ck_problem(&got, 429, ERR_TOO_FAST);
    ck_assert(problem.retryable);
    ck_assert(header_of(&got, "Retry-After", retry, sizeof retry));
    ck_assert_int_ge(atoi(retry), 1);
    got_free(&got);
    ck_assert_uint_eq(setup.warden.calls, 0);
    /* The admin's own socket is not limited. */
    for (int i = 0; i < 10; i++) {
        got = exchange_on(dial_admin(&setup), HEALTH CLOSE "\r\n", sizeof HEALTH CLOSE "\r\n" - 1);
        ck_json(&got, "{\"status\":\"ok\"}");
        got_free(&got);
    }
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_connections_per_address)
{
    int held[2];
    CLEANUP(buf_free) struct buf text = {0};
    setup_init(&setup);
    setup.options.connections_per_address = 2;
    setup_start(&setup);
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        held[i] = dial(&setup);
        put_text(held[i], HEALTH);
    }
    sleep_ms(200);
    const int third = dial(&setup);
    read_all(third, &text);
    ck_assert_uint_eq(text.len, 0);
    close(third);
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        close(held[i]);
    setup_stop(&setup);
}
END_TEST

/* --- Stopping --- */

static void *run_stop(void *arg)
{
    enum err *err = arg;
    *err = front_stop(setup.front, 5000);
    setup.front = NULL;
    return NULL;
}

static void wait_inside(void)
{
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&setup.warden.lock);
        const bool inside = setup.warden.inside > 0;
        pthread_mutex_unlock(&setup.warden.lock);
        if (inside)
            return;
        sleep_ms(10);
    }
    ck_abort_msg("no request arrived");
}

static void set_delay(int delay_ms)
{
    pthread_mutex_lock(&setup.warden.lock);
    setup.warden.delay_ms = delay_ms;
    pthread_mutex_unlock(&setup.warden.lock);
}

START_TEST(valid_stop)
{
    pthread_t request;
    pthread_t stop;
    struct got got;
    enum err stopped = ERR_INTERNAL;
    setup_init(&setup);
    setup_start(&setup);
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(front_port(setup.front, 0)),
    };
    /* One with half of its body sent, one kept alive without a request, one running. */
    const int half = dial(&setup);
    put_text(half, RELEASE_HEAD "Content-Length: 56\r\n\r\n{");
    const int kept = dial(&setup);
    put_text(kept, HEALTH "\r\n");
    sleep_ms(200);
    setup.warden.delay_ms = 1000;
    ck_assert_int_eq(pthread_create(&request, NULL, run_one, &got), 0);
    wait_inside();
    set_delay(0);
    const int64_t from_ms = now_ms();
    ck_assert_int_eq(pthread_create(&stop, NULL, run_stop, &stopped), 0);
    sleep_ms(200);
    /* New ones are refused, and the admin socket's file is gone. */
    const int late = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ne(connect(late, (const struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(late);
    ck_assert_int_ne(access(setup.admin + 5, F_OK), 0);
    /* The half one may finish, and is told that it was the last. */
    struct got rest = exchange_on(half, &RELEASE_BODY[1], strlen(RELEASE_BODY) - 1);
    ck_json(&rest, JSON_OK);
    ck_header(&rest, "Connection", "close");
    got_free(&rest);
    pthread_join(request, NULL);
    ck_json(&got, JSON_OK);
    got_free(&got);
    pthread_join(stop, NULL);
    ck_ok(stopped);
    ck_assert_int_lt(now_ms() - from_ms, 3000); /* the idle one was not waited for */
    close(kept);
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_stop_deadline)
{
    setup_init(&setup);
    setup_start(&setup);
    const int half = dial(&setup);
    put_text(half, RELEASE_HEAD "Content-Length: 60\r\n\r\n{");
    sleep_ms(200);
    const int64_t from_ms = now_ms();
    ck_err(front_stop(setup.front, 300), ERR_TIMEOUT);
    setup.front = NULL;
    ck_assert_int_ge(now_ms() - from_ms, 300);
    ck_assert_int_lt(now_ms() - from_ms, 2000);
    close(half);
    setup_stop(&setup);
}
END_TEST

UNIT_MAIN("front_limits", wrong_slow_header, wrong_slow_body, wrong_silent, valid_slow_warden,
          valid_half_close, wrong_half_close, valid_pipelined, valid_parallel, wrong_rate,
          wrong_connections_per_address, valid_stop, wrong_stop_deadline)
