/* `vouchsafe issuer ...`: what goes into images, and new delegations by the offline key. */
#include <openssl/pem.h>
#include <stdio.h>

#include "command.h"
#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "show.h"
#include "trust.h"
#include "verifier/clock.h"
#include "verifier/keyring/keyring.h"

#define DAY_MS     (24 * 3600 * 1000ull)
#define DAYS_MAX   3650
#define DAYS_USUAL 90

/* ---- show ---- */

static enum err key_pem(EVP_PKEY *key, struct buf *pem)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio == NULL || PEM_write_bio_PUBKEY(bio, key) != 1)
        return crypto_failed();
    const long len = BIO_get_mem_data(bio, &text);
    return len <= 0 ? ERR_CRYPTO : buf_append(pem, bytes_of(text, (size_t)len));
}

static enum err show_pin(const struct issuer_pins *pins, size_t i, bool as_fingerprint,
                         json_t *shown)
{
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(json_decrefp) json_t *issuer = json_object();
    char hex[2 * SHA256_LEN + 1];
    TRY(key_pem(pins->key[i], &pem));
    hex_encode(bytes_of(pins->fingerprint[i], SHA256_LEN), hex);
    if (shown == NULL) {
        printf("%.*s%s", as_fingerprint ? 2 * SHA256_LEN : (int)pem.len,
               as_fingerprint ? hex : (const char *)pem.ptr, as_fingerprint ? "\n" : "");
        return ERR_OK;
    }
    TRY(api_set(issuer, "fingerprint", json_string(hex)));
    TRY(api_set(issuer, "pem", json_stringn((const char *)pem.ptr, pem.len)));
    return json_array_append_new(shown, TAKE(issuer)) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

/* What is printed goes into images and is trusted for years: only keys that are pinned
 * here, and those written out anew, whatever else the server sent. */
static enum err show_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(issuer_pins_free) struct issuer_pins pins = {0};
    CLEANUP(json_decrefp) json_t *shown = json_array();
    const bool as_json = cli_args_has(args, "json");
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(trust_load(&api, args, &pins, fault));
    for (size_t i = 0; i < pins.count; i++)
        TRY(show_pin(&pins, i, cli_args_has(args, "fingerprint"), as_json ? shown : NULL));
    return as_json ? cli_print_json(shown) : ERR_OK;
}

/* ---- delegate ---- */

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

/* What does not hold under the pins of this client does not leave it: signed with another
 * key, or for another store than the one that it was enrolled at, whatever the server
 * that asks for it says. */
static enum err check_own(const struct api *api, const struct cli_args *args, struct bytes message,
                          struct fault *fault)
{
    CLEANUP(issuer_pins_free) struct issuer_pins pins = {0};
    CLEANUP(evp_pkey_freep) EVP_PKEY *receipt_key = NULL;
    struct delegation delegation;
    TRY(trust_load(api, args, &pins, fault));
    return delegation_verify(message, &pins, (uint64_t)clock_now_ms(), &delegation, &receipt_key,
                             fault);
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
    CLEANUP(evp_pkey_freep) EVP_PKEY *issuer = NULL;
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
    TRY(issuer_key_load(file, &issuer, fault));
    TRY(fetch_receipt_key(&api, &spki, store_id, fault));
    TRY(delegation_sign(issuer, bytes_of_buf(&spki), store_id, (uint64_t)clock_now_ms(),
                        days * DAY_MS, &message));
    TRY(check_own(&api, args, bytes_of_buf(&message), fault));
    TRY(api_set_base64(params, "delegation", bytes_of_buf(&message)));
    TRY(api_call(&api, "POST", "/v1/admin/delegations", params, &answer, fault));
    return print_delegated(args, answer, bytes_of_buf(&spki), store_id);
}

static const struct cli_option show_options[] = {
    {.name = "fingerprint", .help = "print SHA-256 fingerprints instead of keys"},
    TRUST_PIN_OPTION,
    API_OPTIONS};

static const struct cli_option delegate_options[] = {
    {.name = "key", .arg = "FILE", .help = "the issuer's private key (PEM, P-384, mode 0600)"},
    {.name = "days", .arg = "N", .help = "how long the delegation is valid (default 90)"},
    TRUST_PIN_OPTION,
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
