/* `vouchsafe signer ...`: keys that sign registration files. */
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "api_command.h"
#include "command.h"
#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "common/sshsig.h"

#define PATH_SIGNERS "/v1/admin/signers"
#define KEY_FILE_MAX 4096

/* ---- the public key ---- */

static enum err read_pem(struct bytes text, uint8_t key[static SSHSIG_KEY_LEN], struct fault *fault)
{
    size_t len = SSHSIG_KEY_LEN;
    crypto_begin();
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    CLEANUP(evp_pkey_freep)
    EVP_PKEY *pkey = bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    if (pkey == NULL || EVP_PKEY_is_a(pkey, "ED25519") != 1 ||
        EVP_PKEY_get_raw_public_key(pkey, key, &len) != 1 || len != SSHSIG_KEY_LEN) {
        const enum err own = crypto_own_fault();
        if (own != ERR_OK)
            return own;
        FAIL(fault, ERR_PUBLIC_KEY, "an Ed25519 public key is expected");
    }
    return ERR_OK;
}

/* As ssh-keygen writes it, or OpenSSL. */
static enum err set_key(json_t *params, const char *path, struct fault *fault)
{
    static const char pem[] = "-----BEGIN PUBLIC KEY-----";
    CLEANUP(buf_free) struct buf text = {0};
    uint8_t key[SSHSIG_KEY_LEN];
    struct bytes comment = {0};
    TRY(cli_read_file(path, KEY_FILE_MAX, &text, fault));
    fault_at(fault, FAULT_NO_OFFSET, "%s", path);
    if (text.len > sizeof pem && memcmp(text.ptr, pem, sizeof pem - 1) == 0)
        TRY(read_pem(bytes_of_buf(&text), key, fault));
    else
        TRY(ssh_public_key_parse(bytes_of_buf(&text), key, &comment, fault));
    fault_clear(fault);
    /* What ssh-keygen -C said is a good label, where none is given and it can be one. */
    if (json_object_get(params, "label") == NULL && comment.len > 0 && comment.len < 128 &&
        utf8_valid(comment) && memchr(comment.ptr, '\0', comment.len) == NULL)
        TRY(api_set(params, "label", json_stringn((const char *)comment.ptr, comment.len)));
    return api_set_base64(params, "key", bytes_of(key, sizeof key));
}

/* ---- the commands ---- */

static enum err print_result(const struct cli_args *args, const json_t *answer)
{
    const json_t *signer = json_object_get(answer, "signer");
    CLEANUP(buf_free) struct buf line = {0};
    if (cli_args_has(args, "json"))
        return cli_print_json(answer);
    TRY(buf_append_format(&line, "%s signer %lld of %s", show_text(answer, "result"),
                          (long long)json_integer_value(json_object_get(signer, "id")),
                          show_text(signer, "person")));
    cli_print_text(bytes_of_buf(&line), stdout);
    putchar('\n');
    return ERR_OK;
}

static enum err add_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    if (cli_args_value(args, "person") == NULL || !cli_args_has(args, "image"))
        FAIL(fault, ERR_USAGE,
             "--person NAME and --image IMAGE are needed: whose key it is, and what it may draft");
    TRY(api_set_option(params, "person", args, "person"));
    TRY(api_set_list(params, "images", args, "image", fault));
    TRY(api_set_option(params, "label", args, "label"));
    TRY(set_key(params, args->operands[0], fault));
    TRY(api_post(args, PATH_SIGNERS, params, &answer, fault));
    return print_result(args, answer);
}

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"ID", "id"},       {"PERSON", "person"},           {"IMAGES", "images"},
        {"LABEL", "label"}, {"LAST SERIAL", "last_serial"}, {"STATE", "state"},
        {"KEY", "key"},     {"CREATED", "created"},
    };
    CLEANUP(json_decrefp) json_t *params = json_object();
    const struct api_listing listing = {PATH_SIGNERS, "signers", columns, ARRAY_LEN(columns), NULL};
    return api_print_list(args, params, &listing, fault);
}

static enum err remove_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(api_set_id(params, args, "signer", fault));
    TRY(api_post(args, PATH_SIGNERS "/remove", params, &answer, fault));
    return print_result(args, answer);
}

static const struct cli_option add_options[] = {
    {.name = "person", .arg = "NAME", .help = "whose key it is, and whose the drafts are"},
    {.name = "image",
     .arg = "IMAGE",
     .help = "it may draft builds of this image; may be repeated",
     .repeated = true},
    {.name = "label", .arg = "TEXT", .help = "a note (default: the comment in the file)"},
    API_OPTIONS};

static const struct cli_option options[] = {API_OPTIONS};

const struct cli_command cmd_signer_add = {
    .name = "signer add",
    .operands = "FILE",
    .summary = "enroll a key that signs registration files",
    .details =
        "Enrolls an Ed25519 key: FILE is its public part, as ssh-keygen writes it (.pub) or\n"
        "OpenSSL (PEM). What it signs as `registration make` writes it becomes a draft.",
    .options = add_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = add_run,
};

const struct cli_command cmd_signer_list = {
    .name = "signer list",
    .operands = "",
    .summary = "list enrolled keys, and the last serial of each",
    .options = options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};

const struct cli_command cmd_signer_remove = {
    .name = "signer remove",
    .operands = "ID",
    .summary = "take no more files that this key signed",
    .options = options,
    .operands_min = 1,
    .operands_max = 1,
    .run = remove_run,
};
