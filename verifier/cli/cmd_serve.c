/* `vouchsafe serve`: puts the server together, waits for a signal, takes it apart. */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "common/log.h"
#include "common/openssl_cleanup.h"
#include "output.h"
#include "verifier/clock.h"
#include "verifier/config.h"
#include "verifier/front/front.h"
#include "verifier/warden/warden.h"

/* Locked memory: keys, and what every thread may be wrapping, twice over. */
#define ARENA_BASE       (1024 * 1024)
#define ARENA_PER_THREAD (4 * PROTOCOL_SECRET_MAX)
#define STOP_DEADLINE_MS 10000
#define KEY_NAME_MAX     64

/* A number that is a macro, in a text. */
#define DIGITS_OF(number) #number
#define TEXT_OF(number)   DIGITS_OF(number)

/* ---- settings ---- */

/* "tls_cert" is --tls-cert. */
static void flag_name(const char *key, char out[static KEY_NAME_MAX])
{
    snprintf(out, KEY_NAME_MAX, "%s", key);
    for (char *c = out; *c != '\0'; c++) {
        if (*c == '_')
            *c = '-';
    }
}

/* The default file may be missing, a named one may not. */
static enum err load_file(const char *named, struct config *config, struct fault *fault)
{
    CLEANUP(buf_free) struct buf text = {0};
    const char *path = named == NULL ? CONFIG_FILE_DEFAULT : named;
    if (named == NULL && access(path, F_OK) != 0 && errno == ENOENT)
        return ERR_OK;
    TRY(cli_read_file(path, CONFIG_FILE_MAX, &text, fault));
    if (text.len == CONFIG_FILE_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), ERR_CONFIG, "longer than %d bytes",
             CONFIG_FILE_MAX - 1);
    return config_parse(config, bytes_of_buf(&text), path, fault);
}

static enum err load_settings(const struct cli_args *args, struct config *config,
                              struct fault *fault)
{
    const char *state = getenv("VOUCHSAFE_STATE");
    config_init(config);
    TRY(load_file(cli_args_value(args, "config"), config, fault));
    if (config->state[0] == '\0' && state != NULL && state[0] != '\0')
        TRY(config_set(config, "state", state, fault));
    const char *key;
    for (size_t i = 0; (key = config_key(i)) != NULL; i++) {
        char flag[KEY_NAME_MAX];
        flag_name(key, flag);
        const char *value = cli_args_value(args, flag);
        if (value != NULL)
            TRY(config_set(config, key, value, fault));
    }
    return config_finish(config, fault);
}

static enum err database_path(const struct config *config, char out[static CONFIG_PATH_SIZE],
                              struct fault *fault)
{
    if (snprintf(out, CONFIG_PATH_SIZE, "%s/vouchsafe.db", config->state) >= CONFIG_PATH_SIZE)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "state"), ERR_CONFIG, "the path is too long");
    return ERR_OK;
}

/* ---- --check ---- */

static void close_stream(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

/* A server has nobody to ask: an encrypted key is no key.
 * NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's pem_password_cb */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

/* That the two files are a certificate and its key; the listener reads them again. */
static enum err check_tls(const char *cert_path, const char *key_path, struct fault *fault)
{
    if (cert_path[0] == '\0')
        return ERR_OK;
    CLEANUP(close_stream) FILE *cert_file = fopen(cert_path, "re");
    if (cert_file == NULL)
        FAIL(fault, ERR_FILE, "%s: %s", cert_path, strerror(errno));
    CLEANUP(close_stream) FILE *key_file = fopen(key_path, "re");
    if (key_file == NULL)
        FAIL(fault, ERR_FILE, "%s: %s", key_path, strerror(errno));
    CLEANUP(x509_freep) X509 *cert = PEM_read_X509(cert_file, NULL, NULL, NULL);
    CLEANUP(evp_pkey_freep)
    EVP_PKEY *key = PEM_read_PrivateKey(key_file, NULL, no_passphrase, NULL);
    if (cert == NULL)
        FAIL(fault, ERR_CONFIG, "%s: no PEM certificate", cert_path);
    if (key == NULL)
        FAIL(fault, ERR_CONFIG, "%s: no PEM private key", key_path);
    if (X509_check_private_key(cert, key) != 1)
        FAIL(fault, ERR_CONFIG, "%s is not the key of %s", key_path, cert_path);
    return ERR_OK;
}

static struct warden_options warden_settings(const struct config *config, const char *database)
{
    return (struct warden_options){
        .database = database,
        .master_key = config->master_key,
        .anchor = config->anchor_file[0] == '\0' ? NULL : config->anchor_file,
        .tolerate = {config->tolerate, config->tolerate_count},
    };
}

static enum err check_all(const struct config *config, const char *database, struct fault *fault)
{
    const struct warden_options options = warden_settings(config, database);
    TRY(check_tls(config->tls_cert, config->tls_key, fault));
    TRY(check_tls(config->admin_tls_cert, config->admin_tls_key, fault));
    TRY(warden_check(&options, fault));
    puts("ok: the settings hold together, the store opens, and all of it is this server's own");
    return ERR_OK;
}

/* ---- serving ---- */

static void add_listener(struct front_options *options, enum front_audience audience,
                         const char *address, const char *cert, const char *key)
{
    options->listener[options->listener_count++] = (struct front_listener){
        .audience = audience,
        .address = address,
        .tls_certificate = cert[0] == '\0' ? NULL : cert,
        .tls_key = key[0] == '\0' ? NULL : key,
    };
}

/* "127.0.0.1:0" with the port that was given. */
static const char *actual_address(const struct front *front, size_t listener, const char *address,
                                  char out[static CONFIG_ADDRESS_SIZE + 8])
{
    const char *colon = strrchr(address, ':');
    snprintf(out, CONFIG_ADDRESS_SIZE + 8, "%.*s:%u", (int)(colon - address), address,
             front_port(front, listener));
    return out;
}

static void log_ready(const struct config *config, const struct front *front, bool production)
{
    char listen[CONFIG_ADDRESS_SIZE + 8];
    char admin[CONFIG_ADDRESS_SIZE + 8];
    log_event(LOG_LEVEL_INFO, "serve.ready", "listen=%s tls=%s admin=%s admin_tls=%s store=%s",
              LOG_Q(actual_address(front, 0, config->listen, listen)),
              config->tls_cert[0] == '\0' ? "no" : "yes", LOG_Q(config->admin_socket),
              config->admin_listen[0] == '\0'
                  ? "none"
                  : LOG_Q(actual_address(front, 2, config->admin_listen, admin)),
              production ? "production" : "development");
    if (config->tls_cert[0] == '\0' && !config_is_loopback(config->listen))
        log_event(LOG_LEVEL_INFO, "serve.plaintext",
                  "note=\"releases are safe without TLS: secrets are wrapped and answers signed; "
                  "which secrets are asked for can be seen\"");
}

static enum err start_front(const struct config *config, struct warden *warden, struct front **out,
                            struct fault *fault)
{
    struct front_options options = FRONT_OPTIONS_DEFAULT;
    char socket[CONFIG_PATH_SIZE + 8];
    snprintf(socket, sizeof socket, "unix:%s", config->admin_socket);
    options.threads = (unsigned)config->threads;
    options.connections = (unsigned)config->connections;
    options.connections_per_address = (unsigned)config->connections_per_address;
    options.rate_per_s = (unsigned)config->rate_per_s;
    options.rate_burst = (unsigned)config->rate_burst;
    add_listener(&options, FRONT_PUBLIC, config->listen, config->tls_cert, config->tls_key);
    add_listener(&options, FRONT_ADMIN, socket, "", "");
    if (config->admin_listen[0] != '\0')
        add_listener(&options, FRONT_ADMIN, config->admin_listen, config->admin_tls_cert,
                     config->admin_tls_key);
    return front_start(&options, warden, out, fault);
}

/* Blocked in every thread from here on, taken by the one that waits.  A file that may not
 * grow is an error of the one write, as on a full disk, and no end of the server. */
static enum err block_signals(sigset_t *stop, struct fault *fault)
{
    sigemptyset(stop);
    sigaddset(stop, SIGTERM);
    sigaddset(stop, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, stop, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
        signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
        FAIL(fault, ERR_INTERNAL, "signals could not be set up");
    return ERR_OK;
}

/* Requests end first, then the warden records that nothing more will come. */
static enum err stop_serving(struct warden *warden, struct front *front, int signal_number,
                             struct fault *fault)
{
    log_event(LOG_LEVEL_INFO, "serve.stopping", "signal=%s",
              signal_number == SIGINT ? "SIGINT" : "SIGTERM");
    const enum err stopped = front_stop(front, STOP_DEADLINE_MS);
    if (stopped != ERR_OK)
        log_event(LOG_LEVEL_WARN, "serve.cut_off",
                  "note=\"some requests were still running and got no answer\"");
    TRY(warden_stop(warden, clock_now_ms(), fault));
    log_event(LOG_LEVEL_INFO, "serve.stopped", "requests_cut_off=%s",
              stopped == ERR_OK ? "no" : "yes");
    return ERR_OK;
}

static enum err serve(const struct config *config, const char *database, struct fault *fault)
{
    const struct warden_options options = warden_settings(config, database);
    CLEANUP(warden_freep) struct warden *warden = NULL;
    struct front *front = NULL;
    sigset_t stop;
    int signal_number = 0;
    TRY(block_signals(&stop, fault));
    TRY(warden_open(&options, clock_now_ms(), &warden, fault));
    TRY(start_front(config, warden, &front, fault));
    log_ready(config, front, warden->production);
    while (sigwait(&stop, &signal_number) != 0)
        continue; /* EINTR alone: the set is valid */
    return stop_serving(warden, front, signal_number, fault);
}

/* A power of two, as OpenSSL wants it. */
static size_t arena_size(const struct config *config)
{
    const size_t needed = ARENA_BASE + (size_t)config->threads * ARENA_PER_THREAD;
    size_t size = ARENA_BASE;
    while (size < needed)
        size *= 2;
    return size;
}

static enum err serve_run(const struct cli_args *args, struct fault *fault)
{
    struct config config;
    char database[CONFIG_PATH_SIZE];
    TRY(load_settings(args, &config, fault));
    log_set_level(config.log_level);
    TRY(database_path(&config, database, fault));
    umask(077);
    TRY(secret_init(arena_size(&config), fault));
    if (cli_args_has(args, "check"))
        return check_all(&config, database, fault);
    return serve(&config, database, fault);
}

static const struct cli_option serve_options[] = {
    {.name = "config",
     .arg = "FILE",
     .help = "the settings file; without it " CONFIG_FILE_DEFAULT ", which may be missing"},
    {.name = "check", .help = "check settings, keys and the whole store, and do not serve"},
    {.name = "state",
     .arg = "DIR",
     .help = "the store's directory (default " CONFIG_STATE_DEFAULT ")"},
    {.name = "listen",
     .arg = "HOST:PORT",
     .help = "for enclaves (default " CONFIG_LISTEN_DEFAULT ")"},
    {.name = "tls-cert", .arg = "FILE", .help = "PEM certificate chain of that listener"},
    {.name = "tls-key", .arg = "FILE", .help = "its private key"},
    {.name = "admin-socket",
     .arg = "PATH",
     .help = "for administrators (default admin.sock in the store's directory)"},
    {.name = "admin-listen", .arg = "HOST:PORT", .help = "for administrators, by TLS besides"},
    {.name = "admin-tls-cert", .arg = "FILE", .help = "PEM certificate chain of that listener"},
    {.name = "admin-tls-key", .arg = "FILE", .help = "its private key"},
    {.name = "master-key",
     .arg = "FILE|credential:NAME",
     .help = "the master key (default master.key in the store's directory)"},
    {.name = "anchor-file",
     .arg = "FILE",
     .help = "how far the store has come, kept outside its directory"},
    {.name = "connections",
     .arg = "N",
     .help = "of one listener at once; further ones wait (default " TEXT_OF(
         CONFIG_CONNECTIONS_DEFAULT) ")"},
    {.name = "connections-per-address",
     .arg = "N",
     .help =
         "of one address at once (default " TEXT_OF(CONFIG_PER_ADDRESS_DEFAULT) ", 0: no limit)"},
    {.name = "threads",
     .arg = "N",
     .help = "of the listener for enclaves (default " TEXT_OF(CONFIG_THREADS_DEFAULT) ")"},
    {.name = "rate-per-s",
     .arg = "N",
     .help = "requests a second of one address (default " TEXT_OF(
         CONFIG_RATE_PER_S_DEFAULT) ", 0: no limit)"},
    {.name = "rate-burst",
     .arg = "N",
     .help = "... and so many at once (default " TEXT_OF(CONFIG_RATE_BURST_DEFAULT) ")"},
    {.name = "tolerate-payload-keys",
     .arg = "NAMES",
     .help = "pass over these unknown fields of documents, comma-separated"},
    {.name = "log-level", .arg = "LEVEL", .help = "error, warn, info (default) or debug"},
    {0},
};

const struct cli_command cmd_serve = {
    .name = "serve",
    .operands = "",
    .summary = "serve enclaves and administrators",
    .details = "Opens the store, checks all of it, and serves until SIGTERM or SIGINT. Each\n"
               "setting of the file is also an option, which wins.",
    .options = serve_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = serve_run,
};
