#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/codec.h"
#include "common/fd_cleanup.h"
#include "common/json_reader.h"
#include "common/protocol.h"
#include "verifier/clock.h"
#include "verifier/config.h"

#define TOKEN_HEX_LEN 64
#define PAGES_MAX     100000
/* The largest row, a measurement's, has 64 labels of 127 and 1024 bytes and 4096 of provenance,
 * each of them six in JSON, and 8 KB of the rest. */
#define PAGE_ROWS 32
#define ROW_MAX   (6 * (64 * (127 + 1024) + 4096) + 8192)
_Static_assert(API_ANSWER_MAX / ROW_MAX >= PAGE_ROWS, "whoever may only draft hides no list");

/* ---- settings ---- */

/* Flag, environment, default. */
static const char *choose(const struct cli_args *args, const char *option, const char *variable,
                          const char *fallback)
{
    const char *value = cli_args_value(args, option);
    if (value == NULL)
        value = getenv(variable);
    return value == NULL || value[0] == '\0' ? fallback : value;
}

enum err api_state(const struct cli_args *args, char state[static API_PATH_SIZE],
                   struct fault *fault)
{
    const char *chosen = choose(args, "state", "VOUCHSAFE_STATE", API_STATE_DEFAULT);
    if (strlen(chosen) >= API_PATH_SIZE - 32) /* room for the names of its files */
        FAIL(fault, ERR_USAGE, "--state: the path is too long");
    memcpy(state, chosen, strlen(chosen) + 1);
    const enum err err = config_make_absolute(state, API_PATH_SIZE - 32);
    if (err != ERR_OK)
        FAIL(fault, ERR_USAGE, "--state: the path %s",
             err == ERR_TOO_LARGE ? "is too long, seen from the root"
                                  : "is relative to a directory that cannot be named");
    return ERR_OK;
}

/* Exactly the digits, and at most a line's end after them. */
static enum err check_token(struct secret *token, const char *where, struct fault *fault)
{
    uint8_t *text = secret_ptr(token);
    size_t len = secret_len(token);
    CLEANUP(wipe_32) uint8_t raw[32];
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    if (hex_decode(bytes_of(text, len), raw, sizeof raw) != ERR_OK)
        FAIL(fault, ERR_USAGE, "%s does not hold a token: %d hex digits are expected", where,
             TOKEN_HEX_LEN);
    return ERR_OK;
}

static enum err token_from_file(const char *path, bool named, struct secret **out,
                                struct fault *fault)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && !named)
        FAIL(fault, ERR_USAGE,
             "no token: give --token-file FILE, VOUCHSAFE_TOKEN or --state DIR (%s: %s)", path,
             strerror(errno));
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    const enum err err = secret_new_from_fd(fd, TOKEN_HEX_LEN + 2, out);
    if (err == ERR_TOO_LARGE)
        FAIL(fault, ERR_USAGE, "%s does not hold a token: %d hex digits are expected", path,
             TOKEN_HEX_LEN);
    if (err == ERR_FILE)
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    return err;
}

static enum err load_token(const struct cli_args *args, struct api *api, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *given = NULL;
    const char *file = cli_args_value(args, "token-file");
    const char *variable = getenv("VOUCHSAFE_TOKEN");
    char path[API_PATH_SIZE + 16];
    const char *where;
    if (file == NULL && variable != NULL && variable[0] != '\0') {
        where = "VOUCHSAFE_TOKEN";
        TRY(secret_new(strlen(variable), &given));
        memcpy(secret_ptr(given), variable, strlen(variable));
    } else {
        snprintf(path, sizeof path, "%s/client/token", api->state);
        where = file == NULL ? path : file;
        TRY(token_from_file(where, file != NULL, &given, fault));
    }
    TRY(check_token(given, where, fault));
    TRY(secret_new(TOKEN_HEX_LEN + 1, &api->token)); /* the NUL is there */
    memcpy(secret_ptr(api->token), secret_ptr(given), TOKEN_HEX_LEN);
    return ERR_OK;
}

static enum err resolve(const struct cli_args *args, struct api *api, struct fault *fault)
{
    char fallback[API_PATH_SIZE + 16];
    TRY(api_state(args, api->state, fault));
    snprintf(fallback, sizeof fallback, "unix:%s/admin.sock", api->state);
    const char *server = choose(args, "server", "VOUCHSAFE_SERVER", fallback);
    if (strlen(server) >= sizeof api->server)
        FAIL(fault, ERR_USAGE, "--server: too long");
    memcpy(api->server, server, strlen(server) + 1);
    struct fault inner = FAULT_NONE;
    if (http_target_parse(api->server, &api->target, &inner) != ERR_OK)
        FAIL(fault, ERR_USAGE, "%s: %s",
             server == fallback             ? "--state"
             : cli_args_has(args, "server") ? "--server"
                                            : "VOUCHSAFE_SERVER",
             inner.detail);
    /* A token must not travel in the clear; a tunnel's end on this machine may. */
    if (api->target.plain && strcmp(api->target.host, "127.0.0.1") != 0 &&
        strcmp(api->target.host, "::1") != 0 && strcmp(api->target.host, "localhost") != 0)
        FAIL(fault, ERR_USAGE, "--server: http:// would send the token in the clear; use https://");
    api->ca_file = choose(args, "cacert", "VOUCHSAFE_CACERT", NULL);
    return load_token(args, api, fault);
}

enum err api_open(const struct cli_args *args, size_t arena_size, struct api *out,
                  struct fault *fault)
{
    TRY(secret_init(arena_size, fault));
    return resolve(args, out, fault);
}

void api_free(struct api *api)
{
    secret_free(api->token);
    *api = (struct api){0};
}

/* ---- one call ---- */

/* RFC 3986 section 2.3: all but the unreserved characters. */
static enum err append_escaped(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            TRY(buf_append(out, bytes_of(text, 1)));
        else
            TRY(buf_append_format(out, "%%%02X", (unsigned char)*text));
    }
    return ERR_OK;
}

static enum err append_query(struct buf *out, const json_t *params)
{
    const char *name;
    json_t *value;
    char separator = '?';
    json_object_foreach((json_t *)(uintptr_t)params, name, value)
    {
        TRY(buf_append_format(out, "%c%s=", separator, name));
        if (json_is_integer(value))
            TRY(buf_append_format(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value)));
        else
            TRY(append_escaped(out, json_string_value(value)));
        separator = '&';
    }
    return ERR_OK;
}

/* An error that a newer server has and this client does not: its class is what counts. */
static enum err code_of(const struct problem *problem)
{
    if (problem->code != ERR_OK)
        return problem->code;
    return problem->status >= 500 ? ERR_BUSY : ERR_REFUSED;
}

static enum err report_problem(const struct api *api, const struct http_answer *answer,
                               struct fault *fault)
{
    struct problem problem;
    if (strcmp(answer->content_type, "application/problem+json") != 0 ||
        problem_parse(bytes_of_buf(&answer->body), &problem, NULL) != ERR_OK)
        FAIL(fault, ERR_UNREACHABLE, "%.80s answered HTTP %d, which is no answer of a verifier's",
             api->server, answer->status);
    if (fault != NULL && problem.field[0] != '\0')
        fault_at(fault, problem.offset, "%s", problem.field);
    const char *detail =
        problem.detail[0] == '\0' ? err_sentence(code_of(&problem)) : problem.detail;
    if (problem.request_id[0] == '\0')
        FAIL(fault, code_of(&problem), "%s", detail);
    FAIL(fault, code_of(&problem), "%.215s (request %s)", detail, problem.request_id);
}

enum err api_call(const struct api *api, const char *method, const char *path, const json_t *params,
                  json_t **answer, struct fault *fault)
{
    CLEANUP(buf_free) struct buf target = {0};
    CLEANUP(buf_free) struct buf body = {0};
    CLEANUP(http_answer_free) struct http_answer got = {0};
    const bool is_get = strcmp(method, "GET") == 0;
    TRY(buf_append_text(&target, path));
    if (is_get)
        TRY(append_query(&target, params));
    else
        TRY(params == NULL ? buf_append_text(&body, "{}") : json_append(&body, params));
    const struct http_request request = {
        .method = method,
        .path = buf_text(&target),
        .bearer = (const char *)secret_ptr(api->token),
        .body = bytes_of_buf(&body),
        .ca_file = api->ca_file,
        .timeout_ms = API_TIMEOUT_MS,
        .answer_max = API_ANSWER_MAX,
    };
    if (request.path == NULL)
        return ERR_NO_MEMORY;
    const enum err sent = http_client_send(&api->target, &request, &got, fault);
    if (sent == ERR_UNREACHABLE && api->target.kind == HTTP_TARGET_UNIX) {
        char cause[sizeof fault->detail];
        memcpy(cause, fault->detail, sizeof cause);
        FAIL(fault, sent, "%.160s; is `vouchsafe serve` running there? (--state, --server)", cause);
    }
    TRY(sent);
    if (got.status != 200)
        return report_problem(api, &got, fault);
    if (json_reader_parse(bytes_of_buf(&got.body), answer, NULL) != ERR_OK)
        FAIL(fault, ERR_UNREACHABLE, "%.80s answered something that is no JSON object",
             api->server);
    return ERR_OK;
}

enum err api_list(const struct api *api, const char *path, json_t *params, const char *cursor,
                  const char *member, json_t **entries, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *all = json_array();
    if (all == NULL || params == NULL)
        return ERR_NO_MEMORY;
    if (json_object_get(params, "limit") == NULL)
        TRY(api_set(params, "limit", json_integer(PAGE_ROWS)));
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        CLEANUP(json_decrefp) json_t *answer = NULL;
        TRY(api_call(api, "GET", path, params, &answer, fault));
        json_t *next = json_object_get(answer, "next");
        json_t *part = json_object_get(answer, member);
        if (!json_is_array(part))
            FAIL(fault, ERR_UNREACHABLE, "the answer has no \"%s\"", member);
        if (json_array_extend(all, part) != 0)
            return ERR_NO_MEMORY;
        if (!json_is_integer(next) && !json_is_string(next)) {
            *entries = TAKE(all);
            return ERR_OK;
        }
        TRY(api_set(params, cursor, json_incref(next)));
    }
    FAIL(fault, ERR_UNREACHABLE, "the server's list does not end");
}

/* ---- JSON ---- */

enum err api_set(json_t *object, const char *name, json_t *taken_value)
{
    return json_object_set_new(object, name, taken_value) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

enum err api_set_option(json_t *params, const char *name, const struct cli_args *args,
                        const char *option)
{
    const char *value = cli_args_value(args, option);
    if (value != NULL && !utf8_valid(bytes_of_text(value)))
        return ERR_UTF8;
    return value == NULL ? ERR_OK : api_set(params, name, json_string(value));
}

enum err api_set_time(json_t *params, const char *name, const struct cli_args *args,
                      const char *option, struct fault *fault)
{
    const char *text = cli_args_value(args, option);
    char time[TIME_TEXT_MAX];
    uint64_t seconds;
    int64_t ms;
    if (text == NULL)
        return ERR_OK;
    if (cli_duration_parse(text, &seconds) == ERR_OK)
        ms = (clock_now_ms() / 1000 + (int64_t)seconds) * 1000;
    else if (time_parse(text, &ms) != ERR_OK)
        FAIL(
            fault, ERR_USAGE,
            "--%s takes a time such as 2026-11-23T08:00:00Z, or how far from now, such as 90d, not "
            "\"%s\"",
            option, text);
    time_format(ms, time);
    return api_set(params, name, json_string(time));
}

enum err api_set_list(json_t *params, const char *name, const struct cli_args *args,
                      const char *option, struct fault *fault)
{
    CLEANUP(buf_free) struct buf list = {0};
    size_t next = 0;
    for (const char *value; (value = cli_args_next(args, option, &next)) != NULL;) {
        if (value[0] == '\0' || strchr(value, ',') != NULL || !utf8_valid(bytes_of_text(value)))
            FAIL(fault, ERR_USAGE, "--%s takes one name, and may be given again; not \"%s\"",
                 option, value);
        TRY(buf_append_format(&list, "%s%s", list.len == 0 ? "" : ",", value));
    }
    if (list.len == 0)
        return ERR_OK;
    return api_set(params, name, json_stringn((const char *)list.ptr, list.len));
}

enum err api_set_base64(json_t *object, const char *name, struct bytes value)
{
    CLEANUP(buf_free) struct buf text = {0};
    TRY(base64_append(&text, value));
    return api_set(object, name,
                   json_stringn(text.len == 0 ? "" : (const char *)text.ptr, text.len));
}

enum err api_get_base64(const json_t *answer, const char *name, struct buf *out,
                        struct fault *fault)
{
    const char *text = json_string_value(json_object_get(answer, name));
    if (text == NULL || base64_decode(bytes_of_text(text), out) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", name), ERR_UNREACHABLE,
             "the server's answer does not hold this");
    return ERR_OK;
}
