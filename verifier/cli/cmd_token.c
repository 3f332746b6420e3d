/* `vouchsafe token ...`: what persons call with.
 *
 * The token is made here and only its hash is sent: it stands in locked memory and in the file
 * that was asked for, and the server sees it when it is used. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "api_command.h"
#include "command.h"
#include "common/codec.h"
#include "common/cose_sign1.h"
#include "common/fd_cleanup.h"

#define PATH_TOKENS "/v1/admin/tokens"
#define TOKEN_LEN   32

/* ---- the token itself ---- */

/* `out` is the line of a token file. */
static enum err make_token(struct secret **out, uint8_t hash[static SHA256_LEN])
{
    CLEANUP(secret_freep) struct secret *token = NULL;
    TRY(secret_new_random(TOKEN_LEN, &token));
    TRY(digest_sha256(secret_view(token), hash));
    TRY(secret_new(2 * TOKEN_LEN + 1, out));
    uint8_t *line = secret_ptr(*out);
    hex_encode(secret_view(token), (char *)line);
    line[2 * TOKEN_LEN] = '\n';
    return ERR_OK;
}

/* Not by stdio, whose buffers are not wiped. */
static enum err write_all(int fd, struct bytes text, const char *path, struct fault *fault)
{
    if (write(fd, text.ptr, text.len) != (ssize_t)text.len)
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    return ERR_OK;
}

static enum err fill_file(int fd, const char *path, struct bytes text, struct fault *fault)
{
    TRY(write_all(fd, text, path, fault));
    if (fsync(fd) != 0)
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    return ERR_OK;
}

/* Before the server hears of it: a token that counts and is nowhere would be a nuisance. */
static enum err write_token(const char *path, const struct secret *text, struct fault *fault)
{
    CLEANUP(fd_close)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s cannot be made: %s", path, strerror(errno));
    const enum err err = fill_file(fd, path, secret_view(text), fault);
    if (err != ERR_OK)
        unlink(path);
    return err;
}

/* ---- create ---- */

static enum err set_token(json_t *params, const struct cli_args *args, struct fault *fault)
{
    if (cli_args_value(args, "person") == NULL)
        FAIL(fault, ERR_USAGE, "--person NAME is needed: whose token it is");
    if (!cli_args_has(args, "right"))
        FAIL(fault, ERR_USAGE, "--right RIGHT is needed: view, draft, activate, custody or people");
    if (cli_args_value(args, "out") == NULL)
        FAIL(fault, ERR_USAGE, "--out FILE is needed: where the token goes; - for standard output");
    if (strcmp(cli_args_value(args, "out"), "-") == 0 && cli_args_has(args, "json"))
        FAIL(fault, ERR_USAGE, "--json has no room for the token: give --out FILE");
    TRY(api_set_option(params, "person", args, "person"));
    TRY(api_set_list(params, "rights", args, "right", fault));
    TRY(api_set_list(params, "images", args, "image", fault));
    TRY(api_set_option(params, "label", args, "label"));
    return api_set_time(params, "expires", args, "expires", fault);
}

static enum err print_result(const json_t *answer, FILE *out)
{
    const json_t *token = json_object_get(answer, "token");
    CLEANUP(buf_free) struct buf line = {0};
    TRY(buf_append_format(&line, "%s token %lld of %s", show_text(answer, "result"),
                          (long long)json_integer_value(json_object_get(token, "id")),
                          show_text(token, "person")));
    cli_print_text(bytes_of_buf(&line), out);
    fputc('\n', out);
    return ERR_OK;
}

static enum err create_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(secret_freep) struct secret *text = NULL;
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    uint8_t hash[SHA256_LEN];
    TRY(set_token(params, args, fault));
    const char *path = cli_args_value(args, "out");
    const bool to_stdout = strcmp(path, "-") == 0;
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(make_token(&text, hash));
    TRY(api_set_base64(params, "hash", bytes_of(hash, sizeof hash)));
    if (!to_stdout)
        TRY(write_token(path, text, fault));
    const enum err err = api_call(&api, "POST", PATH_TOKENS, params, &answer, fault);
    if (err != ERR_OK && !to_stdout)
        unlink(path);
    TRY(err);
    if (to_stdout) {
        TRY(write_all(STDOUT_FILENO, secret_view(text), "standard output", fault));
        return print_result(answer, stderr);
    }
    return cli_args_has(args, "json") ? cli_print_json(answer) : print_result(answer, stdout);
}

/* ---- list, revoke ---- */

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"ID", "id"},       {"PERSON", "person"}, {"RIGHTS", "rights"},   {"IMAGES", "images"},
        {"LABEL", "label"}, {"STATE", "state"},   {"CREATED", "created"}, {"EXPIRES", "expires"},
    };
    CLEANUP(json_decrefp) json_t *params = json_object();
    const struct api_listing listing = {PATH_TOKENS, "tokens", columns, ARRAY_LEN(columns), NULL};
    return api_print_list(args, params, &listing, fault);
}

static enum err revoke_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(api_set_id(params, args, "token", fault));
    TRY(api_post(args, PATH_TOKENS "/revoke", params, &answer, fault));
    return cli_args_has(args, "json") ? cli_print_json(answer) : print_result(answer, stdout);
}

static const struct cli_option create_options[] = {
    {.name = "person", .arg = "NAME", .help = "whose it is"},
    {.name = "right",
     .arg = "RIGHT",
     .help = "view, draft, activate, custody or people; may be repeated",
     .repeated = true},
    {.name = "image",
     .arg = "IMAGE",
     .help = "for builds of this image only, with the rights view and draft; may be repeated",
     .repeated = true},
    {.name = "expires", .arg = "TIME|90d", .help = "refused from then on (default: never)"},
    {.name = "label", .arg = "TEXT", .help = "a note, such as the pipeline's name"},
    {.name = "out",
     .arg = "FILE|-",
     .help = "the new file, mode 0600, that the token goes into; - for standard output"},
    API_OPTIONS};

static const struct cli_option options[] = {API_OPTIONS};

const struct cli_command cmd_token_create = {
    .name = "token create",
    .operands = "",
    .summary = "make a token for a person or a pipeline",
    .details = "Makes a token here, writes it to FILE and registers its hash: nobody, and not the\n"
               "server either, can tell it again. It can have no right that the token in use does\n"
               "not have.",
    .options = create_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = create_run,
};

const struct cli_command cmd_token_list = {
    .name = "token list",
    .operands = "",
    .summary = "list tokens, and what each may",
    .options = options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};

const struct cli_command cmd_token_revoke = {
    .name = "token revoke",
    .operands = "ID",
    .summary = "refuse a token for good",
    .details = "Revokes a token by its number. The last token with the right people that does not\n"
               "expire cannot be revoked: nobody could give tokens any more.",
    .options = options,
    .operands_min = 1,
    .operands_max = 1,
    .run = revoke_run,
};
