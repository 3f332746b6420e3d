/* `vouchsafe secret ...`.  A value is sealed here, before it travels, to a key that the
 * pinned issuer vouches for (PROTOCOL section 6): it never is in JSON, nor in memory that
 * cannot be wiped. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "api_command.h"
#include "command.h"
#include "common/fd_cleanup.h"
#include "common/openssl_cleanup.h"
#include "common/protocol.h"
#include "common/wrap.h"
#include "trust.h"
#include "verifier/clock.h"

/* ---- the value ---- */

/* As it is, to its last byte: whether a newline at the end belongs to it, only the
 * program that uses it knows. */
static enum err read_value(const char *path, struct secret **out, struct fault *fault)
{
    const bool from_stdin = strcmp(path, "-") == 0;
    const char *name = from_stdin ? "standard input" : path;
    CLEANUP(fd_close) int opened = from_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    const int fd = from_stdin ? STDIN_FILENO : opened;
    CLEANUP(secret_freep) struct secret *value = NULL;
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s: %s", name, strerror(errno));
    if (from_stdin && isatty(fd) == 1)
        fputs("vouchsafe: reading the value from the terminal; Ctrl-D ends it\n", stderr);
    const enum err err = secret_new_from_fd(fd, PROTOCOL_SECRET_MAX, &value);
    if (err == ERR_TOO_LARGE)
        FAIL(fault, ERR_TOO_LARGE, "%s: a secret has at most %d bytes", name, PROTOCOL_SECRET_MAX);
    if (err == ERR_FILE)
        FAIL(fault, ERR_FILE, "%s: %s", name, strerror(errno));
    TRY(err);
    if (secret_len(value) == 0)
        FAIL(fault, ERR_USAGE, "%s: empty; a secret has at least 1 byte", name);
    *out = TAKE(value);
    return ERR_OK;
}

/* ---- the key that it is sealed to ---- */

/* Delegation under a pinned issuer key, sealing key under the delegated receipt key, one
 * store, both valid now. */
static enum err check_sealing_key(struct bytes delegation_message, struct bytes sealing_message,
                                  const struct issuer_pins *pins, uint64_t now_ms,
                                  struct sealing_key *out, struct fault *fault)
{
    struct delegation delegation;
    struct cose_sign1 parsed;
    CLEANUP(evp_pkey_freep) EVP_PKEY *receipt_key = NULL;
    TRY(delegation_verify(delegation_message, pins, now_ms, &delegation, &receipt_key, fault));
    TRY(cose_sign1_parse(COSE_SEALING_KEY, sealing_message, &parsed, fault));
    TRY(cose_sign1_verify(&parsed, receipt_key, fault));
    TRY(sealing_key_parse(parsed.payload, out, fault));
    if (memcmp(out->store_id, delegation.store_id, sizeof out->store_id) != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "sealing_key"), ERR_ANSWER,
             "it is another store's than the delegation");
    if (now_ms > out->not_after_ms)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "sealing_key"), ERR_ANSWER,
             "it has expired: an old one was put in place of the current one, or a clock is wrong");
    return ERR_OK;
}

static enum err fetch_sealing_key(const struct api *api, const struct cli_args *args,
                                  struct sealing_key *out, struct fault *fault)
{
    CLEANUP(issuer_pins_free) struct issuer_pins pins = {0};
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(buf_free) struct buf sealing = {0};
    CLEANUP(buf_free) struct buf delegation = {0};
    TRY(trust_load(api, args, &pins, fault));
    TRY(api_call(api, "GET", "/v1/admin/sealing-key", NULL, &answer, fault));
    TRY(api_get_base64(answer, "sealing_key", &sealing, fault));
    TRY(api_get_base64(answer, "delegation", &delegation, fault));
    return check_sealing_key(bytes_of_buf(&delegation), bytes_of_buf(&sealing), &pins,
                             (uint64_t)clock_now_ms(), out, fault);
}

/* ---- the put ---- */

struct put {
    const char *name;
    uint32_t version;
    uint8_t challenge[PROTOCOL_PUT_CHALLENGE_LEN];
};

static enum err fetch_challenge(const struct api *api, struct put *put, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(buf_free) struct buf challenge = {0};
    TRY(api_set(params, "name", json_string(put->name)));
    TRY(api_call(api, "POST", "/v1/admin/put-challenges", params, &answer, fault));
    TRY(api_get_base64(answer, "challenge", &challenge, fault));
    const json_int_t version = json_integer_value(json_object_get(answer, "version"));
    if (challenge.len != sizeof put->challenge || version < 1 || version > PROTOCOL_VERSION_MAX)
        FAIL(fault, ERR_UNREACHABLE, "the server gave no put challenge");
    memcpy(put->challenge, challenge.ptr, sizeof put->challenge);
    put->version = (uint32_t)version;
    return ERR_OK;
}

static enum err seal_value(const struct sealing_key *key, const struct put *put,
                           const struct secret *value, struct buf *enc, struct buf *ciphertext,
                           struct fault *fault)
{
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    CLEANUP(buf_free) struct buf aad = {0};
    TRY(wrap_recipient_parse(bytes_of(key->spki, key->spki_len), &recipient, fault));
    TRY(wrap_sealer_new(recipient, bytes_of_text(PROTOCOL_PUT_INFO), &sealer, enc));
    TRY(protocol_put_aad(key->store_id, put->name, put->version, put->challenge, &aad));
    return wrap_seal(sealer, bytes_of_buf(&aad), value, ciphertext);
}

static enum err send_put(const struct api *api, const struct put *put, const struct buf *enc,
                         const struct buf *ciphertext, json_t **answer, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    TRY(api_set(params, "name", json_string(put->name)));
    TRY(api_set(params, "version", json_integer(put->version)));
    TRY(api_set_base64(params, "challenge", bytes_of(put->challenge, sizeof put->challenge)));
    TRY(api_set_base64(params, "enc", bytes_of_buf(enc)));
    TRY(api_set_base64(params, "ciphertext", bytes_of_buf(ciphertext)));
    return api_call(api, "POST", "/v1/admin/secrets", params, answer, fault);
}

static enum err put_value(const struct api *api, const struct cli_args *args,
                          const struct secret *value, json_t **answer, struct fault *fault)
{
    struct sealing_key key;
    struct put put = {.name = args->operands[0]};
    CLEANUP(buf_free) struct buf enc = {0};
    CLEANUP(buf_free) struct buf ciphertext = {0};
    TRY(fetch_sealing_key(api, args, &key, fault));
    TRY(fetch_challenge(api, &put, fault));
    TRY(seal_value(&key, &put, value, &enc, &ciphertext, fault));
    return send_put(api, &put, &enc, &ciphertext, answer, fault);
}

static enum err put_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(secret_freep) struct secret *value = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const char *from = cli_args_value(args, "from");
    if (!protocol_name_valid(bytes_of_text(args->operands[0])))
        FAIL(fault, ERR_USAGE,
             "a secret's name is at most %d of a-z 0-9 . _ - in segments joined by /",
             PROTOCOL_NAME_MAX);
    TRY(api_open(args, API_ARENA_SECRET, &api, fault));
    TRY(read_value(from == NULL ? "-" : from, &value, fault));
    TRY(put_value(&api, args, value, &answer, fault));
    if (cli_args_has(args, "json"))
        return cli_print_json(answer);
    printf("stored %s version %lld (%zu bytes)\n", args->operands[0],
           (long long)json_integer_value(
               json_object_get(json_object_get(answer, "secret"), "version")),
           secret_len(value));
    return ERR_OK;
}

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"NAME", "name"},   {"VERSION", "current_version"}, {"BYTES", "size"},
        {"STATE", "state"}, {"CREATED", "created"},         {"UPDATED", "updated"},
    };
    CLEANUP(json_decrefp) json_t *params = json_object();
    const struct api_listing listing = {"/v1/admin/secrets", "secrets", columns, ARRAY_LEN(columns),
                                        NULL};
    return api_print_list(args, params, &listing, fault);
}

static const struct cli_option put_options[] = {
    {.name = "from", .arg = "FILE|-", .help = "read the value from here (default: standard input)"},
    TRUST_PIN_OPTION,
    API_OPTIONS};

static const struct cli_option list_options[] = {API_OPTIONS};

const struct cli_command cmd_secret_put = {
    .name = "secret put",
    .operands = "NAME",
    .summary = "store a new version of a secret",
    .details = "Reads a value of 1 to 65536 bytes, seals it to the server's key and sends it; it\n"
               "becomes the current version. The bytes are taken as they are: a newline at the\n"
               "end is kept.",
    .options = put_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = put_run,
};

const struct cli_command cmd_secret_list = {
    .name = "secret list",
    .operands = "",
    .summary = "list secrets: names and versions, never values",
    .options = list_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};
