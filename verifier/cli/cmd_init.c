/* `vouchsafe init`: makes a store, its keys and the first token; overwrites nothing. */
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"
#include "command.h"
#include "common/codec.h"
#include "output.h"
#include "verifier/clock.h"
#include "verifier/warden/found.h"

#define ROOT_MAX   65536
#define ARENA_SIZE (1024 * 1024)

/* ---- what is asked ---- */

static const char *login_name(void)
{
    const struct passwd *user = getpwuid(getuid());
    return user == NULL || user->pw_name[0] == '\0' ? "admin" : user->pw_name;
}

static enum err take_person(const struct cli_args *args, struct founding *founding,
                            struct fault *fault)
{
    const char *person = cli_args_value(args, "person");
    founding->person = person == NULL ? login_name() : person;
    if (!protocol_person_valid(bytes_of_text(founding->person)))
        FAIL(fault, ERR_USAGE, "--person takes a name of 1 to %d bytes without blanks",
             PROTOCOL_PERSON_MAX);
    return ERR_OK;
}

static enum err take_root(const struct cli_args *args, struct buf *pem, struct founding *founding,
                          struct fault *fault)
{
    const char *file = cli_args_value(args, "root");
    if (file == NULL)
        return ERR_OK;
    if (!founding->development)
        FAIL(fault, ERR_USAGE,
             "--root needs --development: a production store trusts AWS's root alone");
    TRY(cli_read_file(file, ROOT_MAX, pem, fault));
    if (pem->len == 0 || memchr(pem->ptr, '\0', pem->len) != NULL)
        FAIL(fault, ERR_CONFIG, "%s: not a PEM file", file);
    founding->root_pem = buf_text(pem);
    return founding->root_pem == NULL ? ERR_NO_MEMORY : ERR_OK;
}

/* ---- what is shown ---- */

struct shown {
    char store[2 * PROTOCOL_STORE_ID_LEN + 1];
    char issuer[2 * SHA256_LEN + 1];
    char root[2 * SHA256_LEN + 1];
    char until[TIME_TEXT_MAX];
};

static enum err print_json(const struct founding *founding, const struct shown *shown)
{
    CLEANUP(json_decrefp) json_t *json = json_object();
    TRY(api_set(json, "kind", json_string(founding->development ? "development" : "production")));
    TRY(api_set(json, "state", json_string(founding->state_dir)));
    TRY(api_set(json, "store_id", json_string(shown->store)));
    TRY(api_set(json, "issuer_sha256", json_string(shown->issuer)));
    TRY(api_set(json, "root_sha256", json_string(shown->root)));
    TRY(api_set(json, "delegation_not_after", json_string(shown->until)));
    TRY(api_set(json, "person", json_string(founding->person)));
    return cli_print_json(json);
}

static void print_text(const struct founding *founding, const struct shown *shown)
{
    const char *dir = founding->state_dir;
    printf("%s store in %s\n"
           "  store id          %s\n"
           "  issuer (SHA-256)  %s\n"
           "  root (SHA-256)    %s%s\n"
           "  first token       of %s, in %s/client/token\n",
           founding->development ? "development" : "production", dir, shown->store, shown->issuer,
           shown->root, founding->root_pem == NULL ? " (AWS's)" : " (given)", founding->person,
           dir);
    printf("\nNext:\n"
           "  1. Take %s/issuer.key offline: it signs what images trust.\n"
           "     It is needed again before %s, for `vouchsafe issuer delegate`.\n"
           "  2. Keep a copy of %s/master.key apart from copies of the database:\n"
           "     together they open every secret, and without it none.\n"
           "  3. Start with `vouchsafe serve --state %s`.\n"
           "  4. Put %s/issuer.pem into your images; `vouchsafe issuer show` prints it.\n",
           dir, shown->until, dir, dir, dir);
}

/* ---- the command ---- */

static enum err init_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(buf_free) struct buf pem = {0};
    char state[API_PATH_SIZE];
    struct founding founding = {.development = cli_args_has(args, "development")};
    struct founded founded;
    struct shown shown;
    TRY(api_state(args, state, fault));
    founding.state_dir = state;
    TRY(take_person(args, &founding, fault));
    TRY(take_root(args, &pem, &founding, fault));
    TRY(secret_init(ARENA_SIZE, fault));
    umask(077);
    TRY(warden_found(&founding, clock_now_ms(), &founded, fault));
    hex_encode(bytes_of(founded.store_id, sizeof founded.store_id), shown.store);
    hex_encode(bytes_of(founded.issuer_fingerprint, SHA256_LEN), shown.issuer);
    hex_encode(bytes_of(founded.root_sha256, SHA256_LEN), shown.root);
    time_format((int64_t)founded.delegation_not_after_ms, shown.until);
    if (cli_args_has(args, "json"))
        return print_json(&founding, &shown);
    print_text(&founding, &shown);
    return ERR_OK;
}

static const struct cli_option init_options[] = {
    {.name = "state",
     .arg = "DIR",
     .help = "where the store is made; else $VOUCHSAFE_STATE, else " API_STATE_DEFAULT},
    {.name = "development", .help = "a store for tests, for life: it may take debug enclaves"},
    {.name = "root",
     .arg = "FILE",
     .help = "trust this root certificate (PEM) instead of AWS's, for life; with --development"},
    {.name = "person",
     .arg = "NAME",
     .help = "whose the first token is (default: your login name)"},
    {.name = "json", .help = "print what was made as JSON"},
    {0},
};

const struct cli_command cmd_init = {
    .name = "init",
    .operands = "",
    .summary = "make a new store with its keys and the first token",
    .details = "Makes a database, the master key, the issuer key, and a token for the first\n"
               "person. Nothing that exists is overwritten; after a failure nothing is left.",
    .options = init_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = init_run,
};
