#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "advice.h"
#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "drift.h"
#include "retry.h"

#define EXCHANGE_TIMEOUT_MS 30000 /* one that hangs is not to use up the whole time */
#define LAST_MAX            205   /* of the last failure and what to do, in a fault's detail */
#define SENTENCE_MAX        512

struct session {
    const struct session_plan *plan;
    struct nsm nsm;
    int64_t deadline_ms;
    bool drift_said;
    /* Of the last attempt, where the verifier refused it. */
    bool refused;
    int64_t retry_after_s;
    struct problem problem;
};

static int64_t monotonic_ms(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* An answer other than 200.  Without a problem in it some proxy wrote it: then its
 * status is all there is. */
static void note_problem(struct session *s, const struct http_answer *answer)
{
    s->refused = true;
    s->retry_after_s = answer->retry_after_s;
    if (problem_parse(bytes_of_buf(&answer->body), &s->problem, NULL) == ERR_OK)
        return;
    s->problem = (struct problem){.status = answer->status, .offset = FAULT_NO_OFFSET};
    snprintf(s->problem.code_wire, sizeof s->problem.code_wire, "http_%d", answer->status);
    snprintf(s->problem.detail, sizeof s->problem.detail,
             "status %d, and nothing that a verifier would say", answer->status);
}

/* One POST.  ERR_REFUSED where the answer is not 200, ERR_ANSWER where it is none. */
static enum err post(struct session *s, const char *path, struct bytes body, struct buf *out,
                     struct fault *fault)
{
    const int64_t left_ms = s->deadline_ms - monotonic_ms();
    if (left_ms <= 0)
        FAIL(fault, ERR_TIMEOUT, "the time is up");
    const struct http_request request = {
        .method = "POST",
        .path = path,
        .body = body,
        .ca_file = s->plan->ca_file,
        .timeout_ms = left_ms < EXCHANGE_TIMEOUT_MS ? left_ms : EXCHANGE_TIMEOUT_MS,
        .answer_max = PROTOCOL_ANSWER_MAX,
    };
    CLEANUP(http_answer_free) struct http_answer answer = {0};
    const enum err err = http_client_send(&s->plan->verifier, &request, &answer, fault);
    if (err == ERR_HTTP_MALFORMED || err == ERR_TOO_LARGE) {
        if (fault != NULL)
            fault->code = ERR_ANSWER;
        return ERR_ANSWER;
    }
    TRY(err);
    if (answer.status != 200) {
        note_problem(s, &answer);
        return ERR_REFUSED;
    }
    buf_move(out, &answer.body);
    return ERR_OK;
}

/* What JSON says that is not what was agreed is no authentic answer. */
static enum err not_an_answer(enum err err, const struct fault *inner, const char *what,
                              struct fault *fault)
{
    if (err == ERR_OK || err == ERR_NO_MEMORY)
        return err;
    FAIL(fault_at(fault, inner->offset, "%s%s%.60s", what, inner->field[0] == '\0' ? "" : ".",
                  inner->field),
         ERR_ANSWER, "%s", inner->detail[0] == '\0' ? err_sentence(err) : inner->detail);
}

/* E1.  Any other length than 56 is refused before it gets near a document. */
static enum err ask_challenge(struct session *s, uint8_t challenge[static PROTOCOL_CHALLENGE_LEN],
                              struct fault *fault)
{
    CLEANUP(buf_free) struct buf json = {0};
    struct fault inner = FAULT_NONE;
    TRY(post(s, "/v1/challenge", bytes_of(NULL, 0), &json, fault));
    const enum err err = challenge_answer_parse(bytes_of_buf(&json), challenge, &inner);
    return not_an_answer(err, &inner, "challenge", fault);
}

/* E2, the key: born here, with the hypervisor's randomness in it. */
static enum err make_key(struct session *s, struct wrap_key **key, struct fault *fault)
{
    TRY(nsm_mix_random(&s->nsm, fault));
    const enum err err = wrap_key_generate(s->plan->format, key);
    if (err != ERR_OK)
        FAIL(fault, err, "no %s key could be made", s->plan->format);
    return ERR_OK;
}

PRINTF_LIKE(2, 3) static void say(const struct session *s, const char *fmt, ...)
{
    char sentence[SENTENCE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    s->plan->say(s->plan->say_context, sentence);
}

/* By the first document that shows it. */
static void say_drift(struct session *s, const struct own_document *own, int64_t before_ms)
{
    char sentence[DRIFT_SENTENCE_MAX];
    if (s->drift_said || !drift_describe(own->time_ms, before_ms, drift_now_ms(), sentence))
        return;
    s->drift_said = true;
    say(s, "%s", sentence);
}

/* E2, the document: it binds the challenge, the key, and what is asked for. */
static enum err ask_document(struct session *s,
                             const uint8_t challenge[static PROTOCOL_CHALLENGE_LEN],
                             const struct wrap_key *key, struct buf *document,
                             struct own_document *own, struct fault *fault)
{
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(buf_free) struct buf user_data = {0};
    TRY(wrap_key_spki(key, &spki));
    TRY(protocol_user_data(s->plan->wanted, s->plan->application, &user_data));
    const struct nsm_question question = {
        .user_data = bytes_of_buf(&user_data),
        .nonce = bytes_of(challenge, PROTOCOL_CHALLENGE_LEN),
        .public_key = bytes_of_buf(&spki),
    };
    const int64_t before_ms = drift_now_ms();
    TRY(nsm_attest(&s->nsm, &question, document, fault));
    TRY(own_document_read(bytes_of_buf(document), &question, s->plan->trusted_root, own, fault));
    say_drift(s, own, before_ms);
    return ERR_OK;
}

/* E3. */
static enum err ask_release(struct session *s, struct buf *document, struct release_answer *answer,
                            struct fault *fault)
{
    CLEANUP(release_request_free) struct release_request request = {.wanted = *s->plan->wanted};
    CLEANUP(buf_free) struct buf body = {0};
    CLEANUP(buf_free) struct buf json = {0};
    buf_move(&request.document, document);
    TRY(release_request_append(&request, &body));
    TRY(post(s, "/v1/release", bytes_of_buf(&body), &json, fault));
    struct fault inner = FAULT_NONE;
    const enum err err = release_answer_parse(&json, answer, &inner);
    return not_an_answer(err, &inner, "answer", fault);
}

/* Like a version that was had: two stores of one issuer may know a secret by the same name. */
static struct issuer_pins pins_of(const struct session_plan *plan)
{
    struct issuer_pins pins = *plan->pins; /* its keys stay the plan's */
    if (pins.one_store || plan->held == NULL || !plan->held->any)
        return pins;
    pins.one_store = true;
    memcpy(pins.store_id, plan->held->store_id, sizeof pins.store_id);
    return pins;
}

static enum err attempt(struct session *s, struct answer_opened *opened, struct fault *fault)
{
    const struct issuer_pins pins = pins_of(s->plan);
    struct answer_expected expected = {
        .wanted = s->plan->wanted,
        .pins = &pins,
        .held = s->plan->held == NULL ? NULL : &s->plan->held->versions,
    };
    CLEANUP(wrap_key_freep) struct wrap_key *key = NULL;
    CLEANUP(buf_free) struct buf document = {0};
    CLEANUP(release_answer_free) struct release_answer answer = {0};
    struct own_document own;

    TRY(ask_challenge(s, expected.challenge, fault));                      /* E1 */
    TRY(make_key(s, &key, fault));                                         /* E2 */
    TRY(ask_document(s, expected.challenge, key, &document, &own, fault)); /* E2 */
    TRY(ask_release(s, &document, &answer, fault));                        /* E3 */
    expected.key = key;
    expected.document = &own;
    return answer_open(&answer, &expected, opened, fault); /* E4 */
}

/* --- trying again --- */

static enum err_retry kind_of(const struct session *s, enum err err)
{
    if (s->refused)
        return retry_of_problem(&s->problem);
    return err == ERR_UNREACHABLE || err == ERR_TIMEOUT ? ERR_RETRY_BACKOFF : ERR_RETRY_STOP;
}

/* "refused: the policy does not ... (request 7f3a)", or the fault's own words. */
static void describe(const struct session *s, const struct fault *fault, char *out, size_t size)
{
    const struct problem *p = &s->problem;
    if (!s->refused)
        snprintf(out, size, "%s: %.95s%s%.180s", err_wire(fault->code), fault->field,
                 fault->field[0] == '\0' ? "" : ": ",
                 fault->detail[0] == '\0' ? err_sentence(fault->code) : fault->detail);
    else
        snprintf(out, size, "the verifier says %s: %.160s%s%s%s", p->code_wire, p->detail,
                 p->request_id[0] == '\0' ? "" : " (request ", p->request_id,
                 p->request_id[0] == '\0' ? "" : ")");
}

/* The end of a session whose last attempt failed with `err`. */
static enum err give_up(const struct session *s, enum err err, enum err_retry kind,
                        struct fault *fault)
{
    if (kind == ERR_RETRY_BACKOFF) {
        char last[360];
        const char *advice =
            s->refused ? "its log knows more" : advice_unreachable(err, fault, &s->plan->verifier);
        describe(s, fault, last, sizeof last);
        fault_clear(fault);
        FAIL(fault, ERR_UNREACHABLE, "no decision within %" PRId64 " s; last: %.*s; %s",
             s->plan->timeout_ms / 1000, LAST_MAX - (int)strlen(advice), last, advice);
    }
    if (!s->refused)
        return err;
    fault_clear(fault);
    FAIL(fault, ERR_REFUSED, "%s: %.200s", s->problem.code_wire, s->problem.detail);
}

static void say_again(const struct session *s, const struct fault *fault, int64_t delay_ms)
{
    char last[360];
    describe(s, fault, last, sizeof last);
    if (delay_ms == 0)
        say(s, "%s; asking again from a new challenge", last);
    else
        say(s, "%s; asking again in %" PRId64 ".%" PRId64 " s", last, delay_ms / 1000,
            delay_ms % 1000 / 100);
}

/* The end of the time cuts an attempt short: then what the one before it met says more. */
static enum err give_up_after(const struct session *s, enum err err, enum err_retry kind,
                              const struct fault *before, struct fault *fault)
{
    if (err != ERR_TIMEOUT || before == NULL || before->code != ERR_UNREACHABLE)
        return give_up(s, err, kind, fault);
    *fault = *before;
    return give_up(s, ERR_UNREACHABLE, kind, fault);
}

static enum err run(struct session *s, struct answer_opened *opened, struct fault *fault)
{
    struct retry retry = {0};
    for (;;) {
        const struct fault before = *fault;
        const bool before_refused = s->refused;
        s->refused = false;
        s->retry_after_s = -1;
        fault_clear(fault);
        const enum err err = attempt(s, opened, fault);
        if (err == ERR_OK)
            return ERR_OK;
        const enum err_retry kind = kind_of(s, err);
        uint32_t jitter = 0;
        int64_t delay_ms = 0;
        if (RAND_bytes((unsigned char *)&jitter, sizeof jitter) != 1)
            FAIL(fault, crypto_failed(), "no random bytes");
        if (!retry_next(&retry, kind, s->retry_after_s, jitter, &delay_ms) ||
            monotonic_ms() + delay_ms >= s->deadline_ms)
            return give_up_after(s, err, kind, before_refused ? NULL : &before, fault);
        say_again(s, fault, delay_ms);
        sleep_ms(delay_ms);
    }
}

/* --- what is said of a release --- */

static bool is_first(const struct session_plan *plan)
{
    return plan->held == NULL || !plan->held->any;
}

static void say_root(const struct session *s)
{
    char hex[2 * SHA256_LEN + 1];
    if (!is_first(s->plan) || memcmp(s->plan->trusted_root, own_document_aws_root, SHA256_LEN) == 0)
        return;
    hex_encode(bytes_of(s->plan->trusted_root, SHA256_LEN), hex);
    say(s, "warning: this agent trusts a root that is not AWS's: %s", hex);
}

static bool was_held(const struct session_plan *plan, const struct answer_secret *item)
{
    for (size_t i = 0; plan->held != NULL && i < plan->held->versions.count; i++) {
        if (strcmp(plan->held->versions.item[i].name, item->name) == 0)
            return plan->held->versions.item[i].version == item->version;
    }
    return false;
}

/* At a refresh only what is new; but a build's end is announced each time. */
static void say_opened(const struct session *s, const struct answer_opened *opened)
{
    for (size_t i = 0; i < opened->count; i++) {
        const struct answer_secret *item = &opened->item[i];
        if (!was_held(s->plan, item))
            say(s, "received %s version %u", item->name, item->version);
        if (item->deprecated)
            say(s,
                "warning: only a deprecated measurement granted %s: this build will be refused one "
                "day",
                item->name);
    }
}

enum err session_run(const struct session_plan *plan, struct answer_opened *opened,
                     struct problem *problem, struct fault *fault)
{
    struct fault own = FAULT_NONE; /* describing an attempt needs one */
    struct session s = {
        .plan = plan,
        .nsm = {.fd = -1},
        .deadline_ms = monotonic_ms() + plan->timeout_ms,
    };
    say_root(&s);
    enum err err = nsm_open(plan->nsm, &s.nsm, &own);
    /* Before anything is drawn from the generator: TLS and the pauses between attempts do. */
    if (err == ERR_OK)
        err = nsm_mix_random(&s.nsm, &own);
    if (err == ERR_OK)
        err = run(&s, opened, &own);
    nsm_close(&s.nsm);
    if (err == ERR_OK)
        say_opened(&s, opened);
    else if (fault != NULL)
        *fault = own;
    *problem = s.problem;
    return err;
}
