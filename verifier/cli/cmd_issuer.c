/* `vouchsafe issuer ...`: what goes into images, and new delegations by the offline key. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "common/codec.h"
#include "show.h"
#include "trust.h"
#include "verifier/clock.h"

#define DAY_MS     (24 * 3600 * 1000ull)
#define DAYS_MAX   3650
#define KEY_MAX    8192
#define DAYS_USUAL 90

/* ---- show ---- */

static enum err show_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(api_call(&api, "GET", "/v1/admin/issuers", NULL, &answer, fault));
    const json_t *issuers = json_object_get(answer, "issuers");
    if (cli_args_has(args, "json"))
        return cli_print_json(issuers);
    for (size_t i = 0; i < json_array_size(issuers); i++) {
        const char *pem = show_text(json_array_get(issuers, i), "pem");
        char hex[2 * SHA256_LEN + 1];
        CLEANUP(issuer_pins_free) struct issuer_pins key = {0};
        /* Computed, not repeated: and whatever else the server sent is not printed. */
        TRY(issuer_pins_parse(bytes_of_text(pem), &key, fault));
        hex_encode(bytes_of(key.fingerprint[0], SHA256_LEN), hex);
        if (cli_args_has(args, "fingerprint"))
            puts(hex);
        else
            fputs(pem, stdout);
    }
    return ERR_OK;
}

/* ---- delegate ---- */

static void close_file(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* No passphrase is asked for: an encrypted key is decrypted by its owner first. */
static int no_passphrase(char *buf, int size, int writing, void *context)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

CLEANUP_PTR(BIO, BIO_free_all, bio_freep)

static enum err parse_key(const char *path, const struct secret *pem, EVP_PKEY **out,
                          struct fault *fault)
{
    const struct bytes text = secret_view(pem);
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    CLEANUP(trust_key_freep) EVP_PKEY *key = NULL;
    char group[32] = "";
    if (bio == NULL)
        return ERR_NO_MEMORY;
    key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (key == NULL || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
        strcmp(group, "secp384r1") != 0)
        FAIL(fault, ERR_CONFIG, "%s: a P-384 private key is expected, PKCS#8 in PEM, unencrypted",
             path);
    *out = TAKE(key);
    return ERR_OK;
}

static enum err load_key(const char *path, EVP_PKEY **out, struct fault *fault)
{
    CLEANUP(close_file) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP(secret_freep) struct secret *pem = NULL;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        FAIL(fault, ERR_FILE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        FAIL(fault, ERR_CONFIG, "%s: others may read it; chmod 600 first", path);
    const enum err err = secret_new_from_fd(fd, KEY_MAX, &pem);
    if (err != ERR_OK)
        FAIL(fault, err == ERR_TOO_LARGE ? ERR_CONFIG : err, "%s: cannot be read as a key", path);
    return parse_key(path, pem, out, fault);
}

/* What is to be delegated comes from the server; what is signed is shown afterwards. */
static enum err fetch_receipt_key(const struct api *api, struct buf *spki,
                                  uint8_t store_id[static PROTOCOL_STORE_ID_LEN],
                                  struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(api_call(api, "GET", "/v1/admin/receipt-key", NULL, &answer, fault));
    TRY(api_get_base64(answer, "receipt_key", spki, fault));
    if (spki->len != DELEGATION_SPKI_LEN || hex_decode(bytes_of_text(show_text(answer, "store_id")),
                                                       store_id, PROTOCOL_STORE_ID_LEN) != ERR_OK)
        FAIL(fault, ERR_UNREACHABLE, "the server gave no receipt key of a known kind");
    return ERR_OK;
}

static enum err print_delegated(const struct cli_args *args, const json_t *answer,
                                struct bytes spki, const uint8_t *store_id)
{
    uint8_t digest[SHA256_LEN];
    char key[2 * SHA256_LEN + 1];
    char store[2 * PROTOCOL_STORE_ID_LEN + 1];
    if (cli_args_has(args, "json"))
        return cli_print_json(answer);
    TRY(digest_sha256(spki, digest));
    hex_encode(bytes_of(digest, sizeof digest), key);
    hex_encode(bytes_of(store_id, PROTOCOL_STORE_ID_LEN), store);
    printf("receipt key %s\nof store %s\ndelegated until ", key, store);
    cli_print_text(bytes_of_text(show_text(answer, "not_after")), stdout);
    putchar('\n');
    return ERR_OK;
}

static enum err delegate_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(trust_key_freep) EVP_PKEY *issuer = NULL;
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(buf_free) struct buf message = {0};
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint64_t days = DAYS_USUAL;
    const char *file = cli_args_value(args, "key");
    if (file == NULL)
        FAIL(fault, ERR_USAGE, "--key FILE is needed: the issuer key, which is kept offline");
    TRY(cli_args_uint(args, "days", 1, DAYS_MAX, &days, fault));
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(load_key(file, &issuer, fault));
    TRY(fetch_receipt_key(&api, &spki, store_id, fault));
    TRY(delegation_sign(issuer, bytes_of_buf(&spki), store_id, (uint64_t)clock_now_ms(),
                        days * DAY_MS, &message));
    TRY(api_set_base64(params, "delegation", bytes_of_buf(&message)));
    TRY(api_call(&api, "POST", "/v1/admin/delegations", params, &answer, fault));
    return print_delegated(args, answer, bytes_of_buf(&spki), store_id);
}

static const struct cli_option show_options[] = {
    {.name = "fingerprint", .help = "print SHA-256 fingerprints instead of keys"}, API_OPTIONS};

static const struct cli_option delegate_options[] = {
    {.name = "key", .arg = "FILE", .help = "the issuer's private key (PEM, P-384, mode 0600)"},
    {.name = "days", .arg = "N", .help = "how long the delegation is valid (default 90)"},
    API_OPTIONS};

const struct cli_command cmd_issuer_show = {
    .name = "issuer show",
    .operands = "",
    .summary = "print the issuer keys, as they go into images",
    .options = show_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = show_run,
};

const struct cli_command cmd_issuer_delegate = {
    .name = "issuer delegate",
    .operands = "",
    .summary = "let the server's receipt key sign for another while",
    .details = "Signs a new delegation for the server's receipt key with the issuer key and hands\n"
               "it to the server. Agents refuse receipts once the delegation has ended.",
    .options = delegate_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = delegate_run,
};
