#include "settings.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "common/codec.h"
#include "common/http_lookup.h"
#include "common/nearest.h"
#include "common/openssl_cleanup.h"
#include "image_file.h"

#define PEM_FILE_MAX   65536
#define TIMEOUT_MAX_S  3600
#define FORMAT_DEFAULT "hpke-x25519"

/* One row a line, as a table. */
/* clang-format off */
#define ROW(name_, arg_, help_) {.name = (name_), .arg = (arg_), .help = (help_)}
#define ROW_MORE(name_, arg_, help_) \
    {.name = (name_), .arg = (arg_), .help = help_ ", may be repeated", .repeated = true}
#define ROWS_ALL                                                                             \
    ROW("nsm", "WHERE", "the NSM: a device (" NSM_DEVICE "), or unix:/PATH of a simulator"), \
    ROW("config", "FILE", "settings: lines of key = value, the keys named as the options"),  \
    ROW("log", "URL", "tell the parent as well: vsock://CID:PORT, or unix:/PATH"),           \
    {0}
#define ROWS_RELEASE                                                                         \
    ROW("verifier", "URL", "https://HOST[:PORT], http://..., vsock://CID:PORT, unix:/PATH"), \
    ROW("tls-name", "NAME", "speak TLS with the verifier over whatever --verifier is, and "  \
        "take only a certificate of this name"),                                             \
    ROW("issuer", "FILE", "the pinned issuer keys, as vouchsafe issuer show prints them"),   \
    ROW("store", "ID", "take answers of this store only: the id that vouchsafe status shows"),     \
    ROW_MORE("min-version", "NAME=N", "refuse a version of NAME below N"),                   \
    ROW("dir", "DIR", "write to DIR/NAME, mode 0400, what no --deliver names"),              \
    ROW("cacert", "FILE", "CA certificates for TLS, PEM (default: the system's)"),         \
    ROW("root", "FILE", "trust this attestation root, PEM, instead of AWS's: simulators"),   \
    ROW("format", "NAME", "of the key: " FORMAT_DEFAULT " (default), hpke-p256, hpke-p384, " \
        "rsa-oaep-256"),                                                                     \
    ROW("application", "HEX", "up to 256 bytes for the document's user_data"),               \
    ROW("timeout", "S", "seconds for everything, retries too (default 120)"),                \
    ROW_MORE("extend", "N=FILE", "before anything else extend PCR N, 16 to 31, by FILE, and lock it"), \
    ROW("cmdline", "TEXT", "stop unless the kernel was started with this command line"),     \
    ROWS_ALL

const struct cli_option settings_options_run[] = {
    ROW_MORE("secret", "NAME[@VERSION]", "a secret that the program needs"),
    ROW_MORE("deliver", "NAME=HOW", "hand NAME over as memfd (default), "
        "file:PATH[,mode=0400][,owner=UID[:GID]], "
        "template:SOURCE:PATH[,mode=0400][,owner=UID[:GID]] or env:VARIABLE; owners are numbers"),
    ROW("allow-env", NULL, "permit --deliver NAME=env:VARIABLE, where others may see it"),
    ROW_MORE("tmpfs", "DIR[,size=16m][,mode=0755]", "mount a file system in memory first"),
    ROW_MORE("exec", "WORD", "PROGRAM and then its arguments, where none follow --"),
    ROW_MORE("env", "NAME=VALUE", "a variable for the program, nothing secret"),
    ROW("refresh", "WHEN", "stay, and replace the files with newer versions: every 90s, 30m, 12h "
        "or 7d and on SIGHUP, or hup: then only"),
    ROW("refresh-signal", "NAME", "tell the program of new files by HUP (default), USR1, USR2 or none"),
    ROW("max-staleness", "DURATION", "end the program where no refresh succeeded for so long"),
    ROW("parent-cid", "CID", "of the parent instance, for the heartbeat of /init (default 3)"),
    ROW("log-program", NULL, "the program's output goes to --log too"),
    ROWS_RELEASE,
};
const struct cli_option settings_options_fetch[] = {
    ROW("out", "FILE|-", "write to FILE, mode 0600; - is standard output"),
    ROWS_RELEASE,
};
const struct cli_option settings_options_pcrs[] = {
    ROW("json", NULL, "print one JSON object"),
    ROWS_ALL,
};
/* clang-format on */

static bool is_option(const struct cli_option *options, const char *name)
{
    for (; options->name != NULL; options++) {
        if (strcmp(options->name, name) == 0)
            return true;
    }
    return false;
}

const char *settings_next(const struct cli_args *args, const struct settings_file *file,
                          const char *name, size_t *next)
{
    if (is_option(args->options, name) && cli_args_has(args, name))
        return cli_args_next(args, name, next);
    while (*next < file->count) {
        const size_t i = (*next)++;
        if (strcmp(file->entry[i].key, name) == 0)
            return file->entry[i].value;
    }
    return NULL;
}

const char *settings_value(const struct cli_args *args, const struct settings_file *file,
                           const char *name)
{
    size_t next = 0;
    return settings_next(args, file, name, &next);
}

bool settings_flag(const struct cli_args *args, const struct settings_file *file, const char *name)
{
    bool set = cli_args_has(args, name);
    for (size_t i = 0; i < file->count; i++)
        set = set ||
              (strcmp(file->entry[i].key, name) == 0 && strcmp(file->entry[i].value, "yes") == 0);
    return set;
}

/* One file may serve every command, so that its keys are those of `run`. */
static enum err load_file(const struct cli_args *args, struct settings_file *file,
                          struct fault *fault)
{
    const char *path = cli_args_value(args, "config");
    if (path == NULL)
        return ERR_OK;
    CLEANUP(buf_free) struct buf text = {0};
    TRY(image_file_read("config", path, SETTINGS_FILE_MAX, &text, fault));
    return settings_file_parse(bytes_of_buf(&text), settings_options_run, file, fault);
}

enum err settings_nsm(const struct cli_args *args, struct settings_file *file, const char **out,
                      struct fault *fault)
{
    TRY(load_file(args, file, fault));
    const char *nsm = settings_value(args, file, "nsm");
    *out = nsm == NULL ? NSM_DEVICE : nsm;
    return ERR_OK;
}

/* Nothing where the file cannot be read: the command will say so. */
static enum err find_in_file(const struct cli_args *args, const char *key, struct buf *out)
{
    CLEANUP(buf_free) struct buf text = {0};
    const char *path = cli_args_value(args, "config");
    if (path == NULL || image_file_read("config", path, SETTINGS_FILE_MAX, &text, NULL) != ERR_OK)
        return ERR_OK;
    return settings_file_find(bytes_of_buf(&text), key, out);
}

enum err settings_log(const struct cli_args *args, struct buf *where, bool *program,
                      struct fault *fault)
{
    CLEANUP(buf_free) struct buf answer = {0};
    const char *given = cli_args_value(args, "log");
    bool lent = false;
    if (is_option(args->options, "log-program")) {
        TRY(find_in_file(args, "log-program", &answer));
        lent = cli_args_has(args, "log-program") || bytes_equal_text(bytes_of_buf(&answer), "yes");
    }
    if (given != NULL)
        TRY(buf_append_text(where, given));
    else
        TRY(find_in_file(args, "log", where));
    if (lent && where->len == 0)
        FAIL(fault, ERR_USAGE, "log-program: where to? --log URL is needed");
    *program = lent;
    return ERR_OK;
}

/* NAME[@VERSION] */
static enum err add_wanted(struct settings *s, const char *text, struct fault *fault)
{
    const char *mark = strchr(text, '@');
    uint64_t version = 0;
    if (mark != NULL &&
        (decimal_parse(bytes_of_text(mark + 1), PROTOCOL_VERSION_MAX, &version) != ERR_OK ||
         version == 0))
        FAIL(fault, ERR_USAGE, "\"%.140s\": a version is 1 to %d", text, PROTOCOL_VERSION_MAX);
    const struct bytes name =
        mark == NULL ? bytes_of_text(text) : bytes_of(text, (size_t)(mark - text));
    struct fault inner = FAULT_NONE;
    const enum err err = wanted_add(&s->wanted, name, version, 0, &inner);
    if (err != ERR_OK)
        FAIL(fault, ERR_USAGE, "secret \"%.100s\": %s", text, inner.detail);
    return ERR_OK;
}

static struct wanted *find_wanted(struct settings *s, struct bytes name)
{
    for (size_t i = 0; i < s->wanted.count; i++) {
        if (bytes_equal_text(name, s->wanted.item[i].name))
            return &s->wanted.item[i];
    }
    return NULL;
}

/* NAME=N.  With `others` a floor for a secret that is not asked for is passed over. */
static enum err add_floor(struct settings *s, const char *text, bool others, struct fault *fault)
{
    const char *equals = strchr(text, '=');
    uint64_t floor = 0;
    if (equals == NULL ||
        decimal_parse(bytes_of_text(equals + 1), PROTOCOL_VERSION_MAX, &floor) != ERR_OK ||
        floor == 0)
        FAIL(fault, ERR_USAGE, "min-version \"%.140s\" is not NAME=N with N 1 to %d", text,
             PROTOCOL_VERSION_MAX);
    struct wanted *wanted = find_wanted(s, bytes_of(text, (size_t)(equals - text)));
    if (wanted == NULL && others)
        return ERR_OK;
    if (wanted == NULL)
        FAIL(fault, ERR_USAGE, "min-version \"%.140s\": no such secret is asked for", text);
    if (wanted->min_version != 0)
        FAIL(fault, ERR_USAGE, "min-version: %.128s has two floors", wanted->name);
    if (wanted->version != 0 && wanted->version < floor)
        FAIL(fault, ERR_USAGE, "version %u of %.128s is below its min-version", wanted->version,
             wanted->name);
    wanted->min_version = (uint32_t)floor;
    return ERR_OK;
}

static enum err load_wanted(const struct cli_args *args, const char *only, struct settings *s,
                            struct fault *fault)
{
    size_t next = 0;
    const char *value = NULL;
    if (only != NULL)
        TRY(add_wanted(s, only, fault));
    while (only == NULL && (value = settings_next(args, &s->file, "secret", &next)) != NULL)
        TRY(add_wanted(s, value, fault));
    if (s->wanted.count == 0)
        FAIL(fault, ERR_USAGE, "no secret is asked for: --secret NAME");
    next = 0;
    while ((value = settings_next(args, &s->file, "min-version", &next)) != NULL)
        TRY(add_floor(s, value, only != NULL, fault));
    return ERR_OK;
}

/* Without an issuer's key any answer would do, so there is no default. */
static enum err load_pins(const char *path, struct settings *s, struct fault *fault)
{
    if (path == NULL)
        FAIL(fault, ERR_USAGE, "--issuer FILE is needed: the keys that this agent trusts");
    CLEANUP(buf_free) struct buf pem = {0};
    TRY(image_file_read("issuer", path, PEM_FILE_MAX, &pem, fault));
    struct fault inner = FAULT_NONE;
    const enum err err = issuer_pins_parse(bytes_of_buf(&pem), &s->pins, &inner);
    if (err != ERR_OK)
        FAIL(fault, err, "issuer %.100s: %s", path, inner.detail);
    return ERR_OK;
}

/* One issuer may have delegated to several stores. */
static enum err load_store(const char *id, struct settings *s, struct fault *fault)
{
    s->pins.one_store = id != NULL;
    if (id != NULL &&
        hex_decode(bytes_of_text(id), s->pins.store_id, PROTOCOL_STORE_ID_LEN) != ERR_OK)
        FAIL(fault, ERR_USAGE, "store \"%.60s\": the id of a store is %d hexadecimal digits", id,
             2 * PROTOCOL_STORE_ID_LEN);
    return ERR_OK;
}

static enum err root_digest(struct bytes pem, uint8_t out[static SHA256_LEN])
{
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio == NULL)
        return crypto_no_memory();
    crypto_begin();
    CLEANUP(x509_freep) X509 *root = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    CLEANUP(x509_freep) X509 *second = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    TRY(crypto_own_fault()); /* the end of the file is an error, too, but none of ours */
    unsigned len = SHA256_LEN;
    if (root == NULL || second != NULL || X509_digest(root, EVP_sha256(), out, &len) != 1)
        return ERR_CONFIG;
    return ERR_OK;
}

static enum err load_root(const char *path, struct settings *s, struct fault *fault)
{
    memcpy(s->root, own_document_aws_root, SHA256_LEN);
    if (path != NULL) {
        CLEANUP(buf_free) struct buf pem = {0};
        TRY(image_file_read("root", path, PEM_FILE_MAX, &pem, fault));
        const enum err err = pem.len == 0 ? ERR_CONFIG : root_digest(bytes_of_buf(&pem), s->root);
        if (err == ERR_CONFIG)
            FAIL(fault, err, "root %.120s does not hold exactly one certificate in PEM", path);
        TRY(err);
    }
    return ERR_OK;
}

static enum err load_format(const char *format, struct settings *s, struct fault *fault)
{
    s->plan.format = format == NULL ? FORMAT_DEFAULT : format;
    struct nearest nearest = {.word = s->plan.format};
    for (const char *const *known = wrap_formats; *known != NULL; known++) {
        if (strcmp(*known, s->plan.format) == 0)
            return ERR_OK;
        nearest_offer(&nearest, *known);
    }
    FAIL(fault, ERR_USAGE, "unknown format \"%.60s\"%s%s", s->plan.format,
         nearest.best == NULL ? "" : "; did you mean ", nearest.best == NULL ? "" : nearest.best);
}

static enum err load_application(const char *hex, struct settings *s, struct fault *fault)
{
    if (hex == NULL)
        return ERR_OK;
    const size_t len = strlen(hex) / 2;
    TRY(buf_reserve(&s->application, len + 1));
    if (len > PROTOCOL_APPLICATION_MAX ||
        hex_decode(bytes_of_text(hex), s->application.ptr, len) != ERR_OK)
        FAIL(fault, ERR_USAGE, "application takes 0 to %d bytes in hexadecimal",
             PROTOCOL_APPLICATION_MAX);
    s->application.len = len;
    return ERR_OK;
}

static enum err load_timeout(const char *text, struct settings *s, struct fault *fault)
{
    uint64_t timeout_s = SESSION_TIMEOUT_S;
    if (text != NULL &&
        (decimal_parse(bytes_of_text(text), TIMEOUT_MAX_S, &timeout_s) != ERR_OK || timeout_s == 0))
        FAIL(fault, ERR_USAGE, "timeout takes 1 to %d seconds, not \"%.60s\"", TIMEOUT_MAX_S, text);
    s->plan.timeout_ms = (int64_t)timeout_s * 1000;
    return ERR_OK;
}

static enum err load_verifier(const char *url, const char *tls_name, struct settings *s,
                              struct fault *fault)
{
    if (url == NULL)
        FAIL(fault, ERR_USAGE, "--verifier URL is needed");
    struct fault inner = FAULT_NONE;
    struct http_target *target = &s->plan.verifier;
    enum err err = http_target_parse(url, target, &inner);
    if (err == ERR_OK && target->kind != HTTP_TARGET_UNIX && target->kind != HTTP_TARGET_VSOCK)
        err = http_lookup_check(target->host, &inner);
    if (err != ERR_OK)
        FAIL(fault, ERR_USAGE, "verifier \"%.100s\": %s", url, inner.detail);
    if (tls_name != NULL && http_target_expect(&s->plan.verifier, tls_name, &inner) != ERR_OK)
        FAIL(fault, ERR_USAGE, "tls-name \"%.100s\": %s", tls_name, inner.detail);
    return ERR_OK;
}

static enum err load_measure(const struct cli_args *args, struct settings *s, struct fault *fault)
{
    size_t next = 0;
    const char *value = NULL;
    while ((value = settings_next(args, &s->file, "extend", &next)) != NULL)
        TRY(measure_plan_add(&s->measure, value, fault));
    s->measure.cmdline = settings_value(args, &s->file, "cmdline");
    return ERR_OK;
}

/* Where the secrets go: what the command line says before what the file says. */
static void load_places(const struct cli_args *args, struct settings *s)
{
    s->dir = settings_value(args, &s->file, "dir");
    s->out = is_option(args->options, "out") ? cli_args_value(args, "out") : NULL;
    if (s->out != NULL && !cli_args_has(args, "dir"))
        s->dir = NULL;
}

enum err settings_load(const struct cli_args *args, const char *only, struct settings *out,
                       struct fault *fault)
{
    struct settings *s = out;
    const char *nsm = NULL;
    TRY(settings_nsm(args, &s->file, &nsm, fault));
    load_places(args, s);
    TRY(load_measure(args, s, fault));
    TRY(load_wanted(args, only, s, fault));
    TRY(load_verifier(settings_value(args, &s->file, "verifier"),
                      settings_value(args, &s->file, "tls-name"), s, fault));
    TRY(load_format(settings_value(args, &s->file, "format"), s, fault));
    TRY(load_application(settings_value(args, &s->file, "application"), s, fault));
    TRY(load_timeout(settings_value(args, &s->file, "timeout"), s, fault));
    TRY(load_pins(settings_value(args, &s->file, "issuer"), s, fault));
    TRY(load_store(settings_value(args, &s->file, "store"), s, fault));
    TRY(load_root(settings_value(args, &s->file, "root"), s, fault));
    s->plan.nsm = nsm;
    s->plan.ca_file = settings_value(args, &s->file, "cacert");
    s->plan.pins = &s->pins;
    s->plan.trusted_root = s->root;
    s->plan.wanted = &s->wanted;
    s->plan.application = bytes_of_buf(&s->application);
    return args->options == settings_options_run ? settings_load_run(args, s, fault) : ERR_OK;
}

void settings_free(struct settings *settings)
{
    settings_file_free(&settings->file);
    issuer_pins_free(&settings->pins);
    buf_free(&settings->application);
    delivery_plan_free(&settings->deliveries);
    free(settings->program);
    free(settings->environment);
    *settings = (struct settings){0};
}
