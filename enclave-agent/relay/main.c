/* vouchsafe-vsock-relay: on the parent instance, between enclaves and the verifier. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/options.h"
#include "relay.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2

#define CONNECTIONS_MAX 65536

static const struct cli_option options[] = {
    {.name = "listen",
     .arg = "ADDRESS",
     .help = "where enclaves connect: vsock:PORT (also unix:/PATH or IPV4:PORT, for tests)"},
    {.name = "to", .arg = "ADDRESS", .help = "the verifier: HOST:PORT, or unix:/PATH"},
    {.name = "log-port",
     .arg = "PORT",
     .help = "take enclaves' logs at this vsock port (or at an address as of --listen), and write "
             "their lines to standard output"},
    {.name = "connections", .arg = "N", .help = "open at once, others wait (default 1024)"},
    {.name = "connections-per-cid",
     .arg = "N",
     .help = "of one enclave, others are closed (default 256)"},
    {.name = "idle",
     .arg = "TIME",
     .help = "close a connection on which nothing moved for so long (default 60s)"},
    {.name = "connect", .arg = "TIME", .help = "for reaching the verifier (default 10s)"},
    {.name = "version", .help = "print which version this is"},
    {0},
};

static void print_help(void)
{
    fputs("Usage: vouchsafe-vsock-relay --listen vsock:PORT --to HOST:PORT [--log-port PORT]\n\n"
          "Relays enclaves' connections from a vsock port of this machine, their parent\n"
          "instance, to the verifier, and writes what they log to standard output.\n\n"
          "Options:\n",
          stdout);
    cli_options_print(options, stdout);
}

/* A fault's sentence, with the option in front. */
static enum err about(const char *option, const char *text, enum err err, const struct fault *inner,
                      struct fault *fault)
{
    if (err != ERR_OK)
        FAIL(fault, err, "--%s \"%.80s\": %s", option, text, inner->detail);
    return ERR_OK;
}

static enum err load_addresses(const struct cli_args *args, struct relay_options *o,
                               struct fault *fault)
{
    struct fault inner = FAULT_NONE;
    o->listen_text = cli_args_value(args, "listen");
    o->log_text = cli_args_value(args, "log-port");
    o->to_text = cli_args_value(args, "to");
    if (o->listen_text == NULL)
        FAIL(fault, ERR_USAGE,
             "--listen is needed: the vsock port that enclaves connect to, such "
             "as --listen vsock:8443");
    if (o->to_text == NULL)
        FAIL(fault, ERR_USAGE, "--to is needed: the verifier's HOST:PORT");
    TRY(about("listen", o->listen_text, address_parse_listen(o->listen_text, &o->listen, &inner),
              &inner, fault));
    TRY(about("to", o->to_text, address_parse_target(o->to_text, &o->to, &inner), &inner, fault));
    if (o->log_text != NULL)
        TRY(about("log-port", o->log_text, address_parse_listen(o->log_text, &o->log, &inner),
                  &inner, fault));
    return ERR_OK;
}

static enum err load_limits(const struct cli_args *args, struct relay_options *o,
                            struct fault *fault)
{
    uint64_t connections = 1024;
    uint64_t per_peer = 256;
    uint64_t idle_s = 60;
    uint64_t connect_s = 10;
    TRY(cli_args_uint(args, "connections", 1, CONNECTIONS_MAX, &connections, fault));
    TRY(cli_args_uint(args, "connections-per-cid", 1, CONNECTIONS_MAX, &per_peer, fault));
    TRY(cli_args_duration(args, "idle", &idle_s, fault));
    TRY(cli_args_duration(args, "connect", &connect_s, fault));
    o->connections = (unsigned)connections;
    o->connections_per_peer = (unsigned)per_peer;
    o->idle_ms = (int64_t)idle_s * 1000;
    o->connect_ms = (int64_t)connect_s * 1000;
    return ERR_OK;
}

static enum err run(const struct cli_args *args, struct fault *fault)
{
    struct relay_options o = {0};
    if (args->help) {
        print_help();
        return ERR_OK;
    }
    if (cli_args_has(args, "version")) {
        puts("vouchsafe-vsock-relay " VOUCHSAFE_VERSION);
        return ERR_OK;
    }
    if (args->operand_count > 0)
        FAIL(fault, ERR_USAGE, "\"%.60s\" is not an option; see --help", args->operands[0]);
    TRY(load_addresses(args, &o, fault));
    TRY(load_limits(args, &o, fault));
    return relay_run(&o, fault);
}

int main(int argc, char **argv)
{
    struct fault fault = FAULT_NONE;
    CLEANUP(cli_args_free) struct cli_args args = {0};
    signal(SIGPIPE, SIG_IGN);
    enum err err = cli_args_parse(options, argc - 1, (const char *const *)argv + 1, &args, &fault);
    if (err == ERR_OK)
        err = run(&args, &fault);
    if (err == ERR_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "vouchsafe-vsock-relay: %s\n",
            fault.detail[0] != '\0' ? fault.detail : err_sentence(err));
    return err == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}
