#include "exchange.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <strings.h>

#include "common/codec.h"
#include "common/log.h"
#include "guard.h"
#include "peer.h"
#include "problem.h"
#include "request_id.h"
#include "routes.h"

#define HEADER_REQUEST_ID "Vouchsafe-Request-Id"
/* So much of a body beyond its limit is read and dropped, for the sender to see the
 * answer; then the connection is cut. */
#define BODY_DISCARD_MAX 8388608

struct exchange {
    char *target; /* NULL: out of memory */
    bool begun;
    bool entered; /* counted as running */
    bool answered;
    char request_id[REQUEST_ID_LEN + 1];
    char peer[WARDEN_PEER_MAX + 1];
    const struct route *route;
    struct bytes query;
    uint8_t token[WARDEN_TOKEN_LEN];
    bool has_token;
    struct buf body;
    size_t discarded;
};

static struct reaper_entry *deadline_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void set_deadline(struct MHD_Connection *connection, uint64_t after_ms)
{
    struct reaper_entry *entry = deadline_of(connection);
    if (entry != NULL)
        reaper_set(entry, after_ms);
}

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

void exchange_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                         enum MHD_ConnectionNotificationCode code)
{
    const struct door *door = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        reaper_forget(*socket_context);
        *socket_context = NULL;
        return;
    }
    const int fd = fd_of(connection);
    *socket_context =
        reaper_watch(door->serving->reaper, fd, door->serving->limits.header_timeout_ms);
    /* Without a deadline there is no connection. */
    if (*socket_context == NULL)
        shutdown(fd, SHUT_RDWR);
}

void *exchange_begin(void *cls, const char *target, struct MHD_Connection *connection)
{
    const struct door *door = cls;
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    x->target = strdup(target);
    /* A request has begun on a connection that may have been kept alive for long. */
    set_deadline(connection, door->serving->limits.header_timeout_ms);
    return x;
}

void exchange_end(void *cls, struct MHD_Connection *connection, void **context,
                  enum MHD_RequestTerminationCode code)
{
    const struct door *door = cls;
    struct exchange *x = *context;
    (void)code;
    *context = NULL;
    if (x == NULL)
        return;
    set_deadline(connection, door->serving->limits.idle_timeout_ms);
    if (x->entered)
        serving_leave(door->serving);
    free(x->target);
    buf_free(&x->body);
    OPENSSL_cleanse(x, sizeof *x);
    free(x);
}

/* --- The answer --- */

/* Answers may hold what is worth wiping (a new token). */
static void body_free(void *cls)
{
    struct buf *body = cls;
    OPENSSL_cleanse(body->ptr, body->len);
    buf_free(body);
    free(body);
}

/* Takes the body over.  It lives until libmicrohttpd has sent it, which may be after
 * exchange_end. */
static struct MHD_Response *response_new(struct answer *answer)
{
    struct buf *body = calloc(1, sizeof *body);
    if (body == NULL)
        return NULL;
    buf_move(body, &answer->body);
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        body->len, body->ptr, body_free, body);
    if (response == NULL)
        body_free(body);
    return response;
}

static bool add_headers(struct MHD_Response *response, const struct exchange *x,
                        const struct answer *answer)
{
    const bool refusal = answer->status >= 400;
    char seconds[12];
    bool added =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                refusal ? "application/problem+json" : "application/json") ==
            MHD_YES &&
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES;
    if (x->request_id[0] != '\0')
        added =
            added && MHD_add_response_header(response, HEADER_REQUEST_ID, x->request_id) == MHD_YES;
    if (answer->allow[0] != '\0')
        added = added &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow) == MHD_YES;
    if (answer->status == MHD_HTTP_UNAUTHORIZED)
        added = added && MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                                 "Bearer") == MHD_YES;
    if (answer->retry_after_s != 0) {
        snprintf(seconds, sizeof seconds, "%d", answer->retry_after_s);
        added = added &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds) == MHD_YES;
    }
    if (answer->close)
        added = added &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    return added;
}

/* MHD_NO closes the connection. */
static enum MHD_Result send_answer(const struct door *door, struct exchange *x,
                                   struct MHD_Connection *connection, struct answer *answer)
{
    enum MHD_Result queued = MHD_NO;
    answer->close = answer->close || atomic_load(&door->serving->stopping);
    struct MHD_Response *response = response_new(answer);
    if (response == NULL)
        return MHD_NO;
    if (add_headers(response, x, answer))
        queued = MHD_queue_response(connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    x->answered = true;
    set_deadline(connection, door->serving->limits.answer_timeout_ms);
    return queued;
}

/* `asked`: the warden has logged it. */
static enum MHD_Result send_refusal(const struct door *door, struct exchange *x,
                                    struct MHD_Connection *connection, const struct fault *fault,
                                    bool asked, struct answer *answer)
{
    const char *path = x->route == NULL ? "-" : x->route->path;
    if (!asked && serving_may_log(door->serving))
        log_fault(LOG_LEVEL_INFO, "http.refused", fault, "req=%s peer=%s path=%s", x->request_id,
                  x->peer, path);
    if (problem_answer(fault, x->request_id, door->audience, answer) != ERR_OK)
        return MHD_NO;
    return send_answer(door, x, connection, answer);
}

/* --- The head --- */

static enum MHD_Result add_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    struct guard_head *head = cls;
    (void)kind;
    if (head->field_count < GUARD_FIELDS_MAX)
        head->field[head->field_count] = (struct guard_field){
            bytes_of(name, name_len), bytes_of(value, value == NULL ? 0 : value_len)};
    head->field_count++;
    return MHD_YES;
}

static const char *end_of(struct bytes text)
{
    return (const char *)text.ptr + text.len;
}

/* True where request line, fields and blank line are all that came.  libmicrohttpd 0.9.75
 * hands out views into the head as it received it.  But the text of a folded line it joins to
 * the *name* of its field, elsewhere in memory; a bare LF ends a line, a NUL a method, a target
 * or a value, a field without a name the head.  Each of them shows in where things lie.
 * A NUL in the place of the CR does not: it lies where the CR did, and says no more. */
static bool is_whole(struct MHD_Connection *connection, const struct guard_head *head)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *target = head->method + strlen(head->method) + 1; /* behind the space */
    if (head->version[0] == '\0')                                 /* HTTP/0.9: not a view */
        return false;
    if (target + strlen(head->target) + 1 != head->version)
        return false;
    const char *line = head->version + strlen(head->version) + 2; /* behind CR LF */
    for (size_t i = 0; i < head->field_count && i < GUARD_FIELDS_MAX; i++) {
        const struct guard_field *field = &head->field[i];
        if ((const char *)field->name.ptr != line)
            return false;
        line = end_of(field->value) + 2;
    }
    return info != NULL && head->method + info->header_size == line + 2;
}

static enum err check_rate(const struct door *door, struct MHD_Connection *connection,
                           struct exchange *x, struct fault *fault)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    if (door->is_unix)
        peer_of_unix(fd_of(connection), x->peer);
    else
        peer_of_address(address, x->peer);
    if (door->audience == FRONT_PUBLIC && address != NULL &&
        !rate_take(door->serving->rate, address, reaper_now_ms()))
        FAIL(fault, ERR_TOO_FAST, "more than %u requests a second from this address",
             door->serving->limits.rate_per_s);
    return ERR_OK;
}

/* Exactly the scheme and 64 hexadecimal digits (RFC 6750). */
static enum err read_token(struct bytes authorization, struct exchange *x, struct fault *fault)
{
    static const char scheme[] = "Bearer ";
    const size_t skip = sizeof scheme - 1;
    if (authorization.len != skip + 2 * sizeof x->token ||
        strncasecmp((const char *)authorization.ptr, scheme, skip) != 0 ||
        hex_decode(bytes_of(authorization.ptr + skip, 2 * sizeof x->token), x->token,
                   sizeof x->token) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "Authorization"), ERR_UNAUTHENTICATED,
             "Bearer and a token of %zu hexadecimal digits is expected", 2 * sizeof x->token);
    x->has_token = true;
    return ERR_OK;
}

/* libmicrohttpd gives a connection's memory back as it is, and the header lies in it: the
 * token's digits are wiped where it has them, once they are read or refused.  Not so where
 * it shows no such field: of a head that it refused or never had whole, of one with a folded
 * line or a name that is no token, of a request that came behind a refused one. */
static void wipe_authorization(const struct guard_head *head)
{
    static const char name[] = "Authorization";
    for (size_t i = 0; i < head->field_count && i < GUARD_FIELDS_MAX; i++) {
        const struct guard_field *field = &head->field[i];
        if (field->name.len == sizeof name - 1 &&
            strncasecmp((const char *)field->name.ptr, name, field->name.len) == 0)
            OPENSSL_cleanse((void *)(uintptr_t)field->value.ptr, field->value.len);
    }
}

/* A page of another origin can make a browser post text or forms, not JSON. */
static bool is_json(struct bytes type)
{
    static const char json[] = "application/json";
    const size_t len = sizeof json - 1;
    return type.len >= len && strncasecmp((const char *)type.ptr, json, len) == 0 &&
           (type.len == len || memchr("; \t", type.ptr[len], 3) != NULL);
}

static enum err check_body(const struct route *route, const struct guard_facts *facts,
                           struct fault *fault)
{
    if (!facts->has_body)
        return ERR_OK;
    if (route->body_max == 0)
        FAIL(fault, ERR_MALFORMED, "this route takes no body");
    if (facts->content_length > route->body_max)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "Content-Length"), ERR_TOO_LARGE,
             "a body of at most %zu bytes is taken", route->body_max);
    if (!is_json(facts->content_type))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "Content-Type"), ERR_MALFORMED,
             "application/json is expected");
    return ERR_OK;
}

/* Everything that can be said before the body: what is refused here costs no more. */
static enum err accept_head(const struct door *door, struct exchange *x,
                            struct MHD_Connection *connection, struct guard_head *head,
                            struct answer *answer, struct fault *fault)
{
    struct guard_facts facts;
    if (request_id_new(x->request_id) != ERR_OK)
        FAIL(fault, ERR_CRYPTO, "no randomness");
    TRY(check_rate(door, connection, x, fault));
    if (x->target == NULL)
        FAIL(fault, ERR_NO_MEMORY, "out of memory");
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, add_field, head);
    head->whole = is_whole(connection, head);
    TRY(guard_check(head, &facts, fault));
    const size_t path_len = strcspn(x->target, "?");
    TRY(routes_find(head->method, bytes_of(x->target, path_len), door->audience, &x->route,
                    answer->allow, fault));
    if (x->route->operation != NULL)
        TRY(read_token(facts.authorization, x, fault));
    if (x->target[path_len] == '?') {
        if (x->route->operation == NULL || x->route->body_max != 0)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "query"), ERR_MALFORMED,
                 "this route takes no query");
        x->query = bytes_of_text(x->target + path_len + 1);
    }
    return check_body(x->route, &facts, fault);
}

static enum MHD_Result take_head(const struct door *door, struct exchange *x,
                                 struct MHD_Connection *connection, const char *method,
                                 const char *version)
{
    struct guard_head head = {.method = method, .target = x->target, .version = version};
    struct fault fault = FAULT_NONE;
    /* libmicrohttpd takes no further request after an answer to the head alone. */
    CLEANUP(answer_free) struct answer answer = {.close = true};
    x->begun = true;
    x->entered = true;
    serving_enter(door->serving);
    const enum err err = accept_head(door, x, connection, &head, &answer, &fault);
    wipe_authorization(&head);
    if (err != ERR_OK)
        return send_refusal(door, x, connection, &fault, false, &answer);
    set_deadline(connection, door->serving->limits.body_timeout_ms);
    return MHD_YES;
}

/* --- The body, and the whole --- */

/* libmicrohttpd takes no answer while a body is coming in: what is too much is read
 * on and dropped until its end, or until that is too much too. */
static enum MHD_Result take_piece(struct exchange *x, const char *upload, size_t *upload_len)
{
    const struct bytes piece = bytes_of(upload, *upload_len);
    *upload_len = 0;
    if (x->answered)
        return MHD_YES;
    if (x->discarded == 0 && piece.len <= x->route->body_max - x->body.len)
        return buf_append(&x->body, piece) == ERR_OK ? MHD_YES : MHD_NO;
    buf_free(&x->body);
    x->discarded += piece.len;
    return x->discarded <= BODY_DISCARD_MAX ? MHD_YES : MHD_NO;
}

static enum MHD_Result answer_whole(const struct door *door, struct exchange *x,
                                    struct MHD_Connection *connection)
{
    CLEANUP(answer_free) struct answer answer = {.status = MHD_HTTP_OK};
    struct fault fault = FAULT_NONE;
    struct route_call call = {
        .route = x->route,
        .warden = door->serving->warden,
        .request_id = x->request_id,
        .peer = x->peer,
        .query = x->query,
        .body = bytes_of_buf(&x->body),
        .token = bytes_of(x->token, x->has_token ? sizeof x->token : 0),
        .stopping = atomic_load(&door->serving->stopping),
    };
    /* The warden has deadlines of its own. */
    set_deadline(connection, 0);
    const enum err err = x->discarded > 0
                             ? fault_set(&fault, ERR_TOO_LARGE,
                                         "a body of at most %zu bytes is taken", x->route->body_max)
                             : x->route->answer(&call, &answer.body, &fault);
    OPENSSL_cleanse(x->token, sizeof x->token);
    if (err == ERR_OK)
        return send_answer(door, x, connection, &answer);
    if (fault.code != err)
        fault_set(&fault, err, "%s", err_sentence(err));
    return send_refusal(door, x, connection, &fault, call.asked, &answer);
}

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_len, void **context)
{
    struct exchange *x = *context;
    (void)url; /* decoded; the target is what we act on */
    if (x == NULL)
        return MHD_NO;
    if (!x->begun)
        return take_head(cls, x, connection, method, version);
    if (*upload_len > 0)
        return take_piece(x, upload, upload_len);
    return x->answered ? MHD_YES : answer_whole(cls, x, connection);
}
