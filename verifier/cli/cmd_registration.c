/* `vouchsafe registration ...`: builds that are signed where no server can be reached.
 *
 * `make` writes the file, ssh-keygen or `sign` signs it, `submit` hands both in. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "api_command.h"
#include "build_options.h"
#include "command.h"
#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "common/registration.h"
#include "common/sshsig.h"
#include "show.h"
#include "verifier/clock.h"

#define PATH_REGISTRATIONS "/v1/admin/registrations"
#define KEY_FILE_MAX       4096
#define PATH_SIZE          1024

/* ---- make ---- */

static enum err set_head(const struct cli_args *args, struct registration *file,
                         struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *time = json_object();
    const char *store = cli_args_value(args, "store");
    if (store == NULL || !cli_args_has(args, "serial") || !cli_args_has(args, "expires"))
        FAIL(fault, ERR_USAGE, "--store ID, --serial N and --expires TIME are needed");
    if (hex_decode(bytes_of_text(store), file->store_id, sizeof file->store_id) != ERR_OK)
        FAIL(fault, ERR_USAGE,
             "--store takes a store's id, %d hex digits, as `vouchsafe status` "
             "shows it",
             2 * PROTOCOL_STORE_ID_LEN);
    TRY(cli_args_uint(args, "serial", 1, 9007199254740991, &file->serial, fault));
    TRY(api_set_time(time, "expires", args, "expires", fault));
    TRY(time_parse(show_text(time, "expires"), &file->expires_ms));
    if (file->expires_ms <= clock_now_ms())
        FAIL(fault, ERR_USAGE, "--expires: this time has passed: no server would take the file");
    return ERR_OK;
}

static enum err make_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(registration_free) struct registration file = {.measurement = json_object()};
    CLEANUP(buf_free) struct buf text = {0};
    TRY(set_head(args, &file, fault));
    TRY(build_set(file.measurement, args, fault));
    TRY(registration_append(&file, &text));
    return fwrite(text.ptr, 1, text.len, stdout) == text.len ? ERR_OK : ERR_FILE;
}

/* ---- sign ---- */

/* OpenSSL would otherwise ask for a password on the terminal.
 * NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's pem_password_cb */
static int no_password(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static enum err load_key(const char *path, EVP_PKEY **out, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *text = NULL;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), ERR_FILE, "%s", strerror(errno));
    const enum err err = secret_new_from_fd(fileno(file), KEY_FILE_MAX, &text);
    fclose(file);
    if (err != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), err, "cannot be read as a key");
    crypto_begin();
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(secret_ptr(text), (int)secret_len(text));
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    if (key == NULL) {
        const enum err own = crypto_own_fault();
        if (own != ERR_OK)
            return own;
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), ERR_PUBLIC_KEY,
             "a private key in PEM, without a password, is expected; for OpenSSH's use ssh-keygen");
    }
    *out = key;
    return ERR_OK;
}

static enum err sign_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    CLEANUP(buf_free) struct buf file = {0};
    CLEANUP(buf_free) struct buf signature = {0};
    CLEANUP(registration_free) struct registration read = {0};
    const char *path = cli_args_value(args, "key");
    if (path == NULL)
        FAIL(fault, ERR_USAGE, "--key FILE is needed: the Ed25519 key that signs");
    TRY(cli_read_file(args->operands[0], REGISTRATION_LEN_MAX + 1, &file, fault));
    TRY(registration_parse(bytes_of_buf(&file), &read, fault)); /* nothing else is signed */
    TRY(secret_init(API_ARENA_TOKEN, fault));
    TRY(load_key(path, &key, fault));
    const enum err err = sshsig_sign(key, REGISTRATION_NAMESPACE, bytes_of_buf(&file), &signature);
    if (err == ERR_PUBLIC_KEY)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), err, "an Ed25519 key is expected");
    TRY(err);
    return fwrite(signature.ptr, 1, signature.len, stdout) == signature.len ? ERR_OK : ERR_FILE;
}

/* ---- submit ---- */

static enum err set_files(json_t *params, const struct cli_args *args, struct fault *fault)
{
    CLEANUP(buf_free) struct buf file = {0};
    CLEANUP(buf_free) struct buf signature = {0};
    char beside[PATH_SIZE];
    const char *path = cli_args_value(args, "signature");
    const int len = snprintf(beside, sizeof beside, "%s.sig", args->operands[0]);
    if (len < 0 || (size_t)len >= sizeof beside)
        FAIL(fault, ERR_USAGE, "the file's path is too long");
    TRY(cli_read_file(args->operands[0], REGISTRATION_LEN_MAX + 1, &file, fault));
    TRY(cli_read_file(path == NULL ? beside : path, SSHSIG_TEXT_MAX + 1, &signature, fault));
    TRY(api_set_base64(params, "file", bytes_of_buf(&file)));
    return api_set_base64(params, "signature", bytes_of_buf(&signature));
}

static enum err submit_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(buf_free) struct buf line = {0};
    TRY(set_files(params, args, fault));
    TRY(api_post(args, PATH_REGISTRATIONS, params, &answer, fault));
    if (cli_args_has(args, "json"))
        return cli_print_json(answer);
    const json_t *m = json_object_get(answer, "measurement");
    TRY(buf_append_format(&line, "%s %s@%s", show_text(answer, "result"), show_text(m, "image"),
                          show_text(m, "version")));
    if (json_object_get(m, "state") != NULL) /* else the token is for other images */
        TRY(buf_append_format(&line, " (%s)", show_text(m, "state")));
    cli_print_text(bytes_of_buf(&line), stdout);
    putchar('\n');
    return ERR_OK;
}

static const struct cli_option make_options[] = {
    {.name = "store", .arg = "ID", .help = "the store it is for, 32 hex digits"},
    {.name = "serial", .arg = "N", .help = "higher than in every file that the key signed before"},
    {.name = "expires", .arg = "TIME|7d", .help = "not taken from then on"},
    BUILD_OPTIONS,
    {0}};

static const struct cli_option sign_options[] = {
    {.name = "key", .arg = "FILE", .help = "an Ed25519 private key in PEM, without a password"},
    {0}};

static const struct cli_option submit_options[] = {
    {.name = "signature", .arg = "FILE", .help = "else the file's name with .sig behind it"},
    API_OPTIONS};

const struct cli_command cmd_registration_make = {
    .name = "registration make",
    .operands = "IMAGE@VERSION",
    .summary = "write a registration file, to be signed",
    .details = "Writes what a signer is to sign, on standard output, without asking a server.\n"
               "Then: ssh-keygen -Y sign -f KEY -n " REGISTRATION_NAMESPACE " FILE",
    .options = make_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = make_run,
};

const struct cli_command cmd_registration_sign = {
    .name = "registration sign",
    .operands = "FILE",
    .summary = "sign a registration file with a key of OpenSSL's",
    .details = "Writes the signature that ssh-keygen -Y sign would make on standard output, for a\n"
               "key that ssh-keygen does not read: Ed25519, in PEM.",
    .options = sign_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = sign_run,
};

const struct cli_command cmd_registration_submit = {
    .name = "registration submit",
    .operands = "FILE",
    .summary = "hand in a signed registration file, for a draft",
    .details = "Hands in a file and its signature by an enrolled key. It becomes a draft, for\n"
               "somebody to activate. The last file of a key again changes nothing.",
    .options = submit_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = submit_run,
};
