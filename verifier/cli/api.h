/* The admin API, from the client's side: where the server is, by which token, one call.
 *
 * The server's answers are a stranger's until something signed says otherwise (trust.h);
 * the token stays in locked memory and never travels in argv.  Settings come from flags,
 * then from the environment, then from the state directory (DESIGN section 8). */
#ifndef VOUCHSAFE_CLI_API_H
#define VOUCHSAFE_CLI_API_H

#include <jansson.h>

#include "common/http_client.h"
#include "common/options.h"
#include "common/secret.h"

#define API_STATE_DEFAULT "/var/lib/vouchsafe"
#define API_TIMEOUT_MS    30000
#define API_ANSWER_MAX    (16 * 1024 * 1024)
#define API_PATH_SIZE     1024
/* Locked memory: for a token, and for a value of a secret besides. */
#define API_ARENA_TOKEN  32768
#define API_ARENA_SECRET 262144

/* The rows that every command of the API takes, the last of its table. */
#define API_OPTIONS                                                                                \
    {.name = "server",                                                                             \
     .arg = "URL",                                                                                 \
     .help = "https://HOST:PORT or unix:/PATH; else $VOUCHSAFE_SERVER, else the admin socket in "  \
             "the state directory"},                                                               \
        {.name = "token-file",                                                                     \
         .arg = "FILE",                                                                            \
         .help = "holds the token; else $VOUCHSAFE_TOKEN is the token itself, else "               \
                 "client/token in the state directory"},                                           \
        {.name = "cacert",                                                                         \
         .arg = "FILE",                                                                            \
         .help = "PEM certificates to trust for https; else $VOUCHSAFE_CACERT"},                   \
        {.name = "state", .arg = "DIR", .help = "else $VOUCHSAFE_STATE, else " API_STATE_DEFAULT}, \
        {.name = "json", .help = "print the answer as JSON"},                                      \
    {                                                                                              \
        0                                                                                          \
    }

struct api {
    char state[API_PATH_SIZE];
    char server[API_PATH_SIZE];
    struct http_target target;
    const char *ca_file;
    struct secret *token; /* 64 hex digits and a NUL */
};

/* The state directory that the arguments or the environment name; ERR_USAGE. */
MUST_CHECK enum err api_state(const struct cli_args *args, char state[static API_PATH_SIZE],
                              struct fault *fault);
/* Resolves all of the above; connects to nothing yet.  ERR_USAGE, ERR_FILE,
 * ERR_NO_MEMORY (memory could not be locked).  The caller frees with api_free. */
MUST_CHECK enum err api_open(const struct cli_args *args, size_t arena_size, struct api *out,
                             struct fault *fault);
void api_free(struct api *api);

/* One request; `params` is an object or NULL, borrowed: texts and whole numbers in the
 * query of a GET, the JSON body of a POST.  `*answer` is the caller's.  A refusal is the
 * server's own error with its request id in the detail; ERR_UNREACHABLE where something
 * else than an admin listener answered; http_client.h's. */
MUST_CHECK enum err api_call(const struct api *api, const char *method, const char *path,
                             const json_t *params, json_t **answer, struct fault *fault);
/* GETs all pages: follows `next` through parameter `cursor` ("after" or "from"),
 * which it sets in `params`, and collects the entries of `member`. */
MUST_CHECK enum err api_list(const struct api *api, const char *path, json_t *params,
                             const char *cursor, const char *member, json_t **entries,
                             struct fault *fault);

/* Sets a member; takes `value` over (NULL: out of memory). */
MUST_CHECK enum err api_set(json_t *object, const char *name, json_t *taken_value);
/* Sets `name` to the option's value where it was given; ERR_UTF8. */
MUST_CHECK enum err api_set_option(json_t *params, const char *name, const struct cli_args *args,
                                   const char *option);
/* Sets `name` to a time where the option was given: RFC 3339, or how far from now ("90d"). */
MUST_CHECK enum err api_set_time(json_t *params, const char *name, const struct cli_args *args,
                                 const char *option, struct fault *fault);
/* Sets `name` to the values of a repeated option, joined by commas, where it was given.
 * ERR_USAGE for one that has a comma in it. */
MUST_CHECK enum err api_set_list(json_t *params, const char *name, const struct cli_args *args,
                                 const char *option, struct fault *fault);
MUST_CHECK enum err api_set_base64(json_t *object, const char *name, struct bytes value);
/* A base64 member of an answer, appended; a text member.  ERR_UNREACHABLE where the
 * answer has none: it is not a server of this kind. */
MUST_CHECK enum err api_get_base64(const json_t *answer, const char *name, struct buf *out,
                                   struct fault *fault);

#endif
