/* vouchsafe-nsm-sim: a Nitro Secure Module in software, for development and tests. */
#include <errno.h>
#include <getopt.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/codec.h"
#include "common/log.h"
#include "common/pcr_text.h"
#include "sim_measure.h"
#include "sim_server.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2

#define INSTANCE_DEFAULT "i-0123456789abcdef0"
#define SKEW_MAX_S       (10 * 365 * 86400L)

static const char usage[] =
    "usage: vouchsafe-nsm-sim --socket PATH --root-dir DIR [option ...]\n"
    "       vouchsafe-nsm-sim --root-dir DIR\n"
    "       vouchsafe-nsm-sim --image FILE --print-measurements\n"
    "\n"
    "A Nitro Secure Module in software, for development and tests.  Its documents are\n"
    "signed under a test root of its own and prove nothing about any code.\n"
    "\n"
    "  --socket PATH         serve here (AF_UNIX, SOCK_SEQPACKET, mode 0600)\n"
    "  --root-dir DIR        keep root.pem and root.key here, made where missing; without\n"
    "                        --socket: make them, and end\n"
    "  --root-out FILE       write the root's certificate here (needed without --root-dir)\n"
    "  --image FILE          PCR0 and PCR2 derive from this file (default: an empty one)\n"
    "  --pcr N=HEX           set PCR N, 0..15, to 96 hex digits; may be repeated\n"
    "  --debug               a debug-mode enclave: PCR0, PCR1 and PCR2 are zero\n"
    "  --nitrotpm            an EC2 instance's NitroTPM; PCR4 and PCR7 derive from the image\n"
    "  --module-id ID        default: " INSTANCE_DEFAULT "-enc and 16 random digits;\n"
    "                        with --nitrotpm -tpm and 16 zeros\n"
    "  --region REGION       in the certificates' names; default: us-east-1\n"
    "  --timestamp-skew-s N  documents are stamped N seconds ahead (-N: behind)\n"
    "  --print-measurements  print PCR0, PCR1 and PCR2 as nitro-cli build-enclave does, or\n"
    "                        with --nitrotpm PCR4, PCR7 and PCR12 as nitro-tpm-pcr-compute\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

struct options {
    const char *socket;
    const char *root_dir;
    const char *root_out;
    const char *image;
    const char *region;
    char module_id[65];
    bool debug;
    enum attdoc_kind kind;
    bool print_measurements;
    int64_t skew_ms;
    uint32_t pcr_set; /* bit i: --pcr gave PCR i */
    uint8_t pcr[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN];
};

enum option_id {
    OPTION_SOCKET = 256,
    OPTION_ROOT_DIR,
    OPTION_ROOT_OUT,
    OPTION_IMAGE,
    OPTION_PCR,
    OPTION_DEBUG,
    OPTION_NITROTPM,
    OPTION_MODULE_ID,
    OPTION_REGION,
    OPTION_SKEW,
    OPTION_PRINT,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"root-dir", required_argument, NULL, OPTION_ROOT_DIR},
    {"root-out", required_argument, NULL, OPTION_ROOT_OUT},
    {"image", required_argument, NULL, OPTION_IMAGE},
    {"pcr", required_argument, NULL, OPTION_PCR},
    {"debug", no_argument, NULL, OPTION_DEBUG},
    {"nitrotpm", no_argument, NULL, OPTION_NITROTPM},
    {"module-id", required_argument, NULL, OPTION_MODULE_ID},
    {"region", required_argument, NULL, OPTION_REGION},
    {"timestamp-skew-s", required_argument, NULL, OPTION_SKEW},
    {"print-measurements", no_argument, NULL, OPTION_PRINT},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* Names that travel in certificates and documents: nothing that needs quoting. */
static enum err check_name(const char *what, const char *name, size_t max, struct fault *fault)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    const size_t len = strlen(name);
    if (len == 0 || len > max || strspn(name, allowed) != len)
        FAIL(fault, ERR_USAGE, "%s: 1 to %zu letters, digits, '-', '.' or '_'", what, max);
    return ERR_OK;
}

static enum err parse_pcr(struct options *o, const char *text, struct fault *fault)
{
    uint8_t value[ATTDOC_PCR_LEN];
    unsigned index = 0;
    TRY(pcr_assignment_parse(text, &index, value, fault));
    if (index >= SIM_PCR_FIRST_USER)
        FAIL(fault, ERR_USAGE, "--pcr %s: 0 to %u only; the enclave itself extends the others",
             text, SIM_PCR_FIRST_USER - 1);
    memcpy(o->pcr[index], value, sizeof value);
    o->pcr_set |= UINT32_C(1) << index;
    return ERR_OK;
}

static enum err parse_skew(struct options *o, const char *text, struct fault *fault)
{
    char *end = NULL;
    errno = 0;
    const long skew_s = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || skew_s > SKEW_MAX_S || skew_s < -SKEW_MAX_S)
        FAIL(fault, ERR_USAGE, "--timestamp-skew-s %s: a number of seconds within 10 years", text);
    o->skew_ms = (int64_t)skew_s * 1000;
    return ERR_OK;
}

static enum err parse_option(struct options *o, int id, const char *arg, struct fault *fault)
{
    switch (id) {
    case OPTION_SOCKET:
        o->socket = arg;
        return ERR_OK;
    case OPTION_ROOT_DIR:
        o->root_dir = arg;
        return ERR_OK;
    case OPTION_ROOT_OUT:
        o->root_out = arg;
        return ERR_OK;
    case OPTION_IMAGE:
        o->image = arg;
        return ERR_OK;
    case OPTION_PCR:
        return parse_pcr(o, arg, fault);
    case OPTION_DEBUG:
        o->debug = true;
        return ERR_OK;
    case OPTION_NITROTPM:
        o->kind = ATTDOC_NITROTPM;
        return ERR_OK;
    case OPTION_MODULE_ID:
        TRY(check_name("--module-id", arg, sizeof o->module_id - 1, fault));
        memcpy(o->module_id, arg, strlen(arg) + 1);
        return ERR_OK;
    case OPTION_REGION:
        o->region = arg;
        return check_name("--region", arg, 32, fault);
    case OPTION_SKEW:
        return parse_skew(o, arg, fault);
    case OPTION_PRINT:
        o->print_measurements = true;
        return ERR_OK;
    default: /* getopt has said what is wrong */
        FAIL(fault, ERR_USAGE, "see --help");
    }
}

static enum err check_options(const struct options *o, struct fault *fault)
{
    if (o->debug && o->kind == ATTDOC_NITROTPM)
        FAIL(fault, ERR_USAGE, "only enclaves have a debug mode: no --debug with --nitrotpm");
    if (o->print_measurements) {
        if (o->image == NULL)
            FAIL(fault, ERR_USAGE, "--print-measurements needs --image");
        if (o->socket != NULL || o->root_dir != NULL || o->root_out != NULL)
            FAIL(fault, ERR_USAGE, "--print-measurements prints and ends: no socket, no root");
        return ERR_OK;
    }
    if (o->socket == NULL && o->root_dir == NULL)
        FAIL(fault, ERR_USAGE, "--socket is missing");
    if (o->root_dir == NULL && o->root_out == NULL)
        FAIL(fault, ERR_USAGE,
             "--root-dir or --root-out is missing: nobody could trust a root "
             "that nobody has seen");
    if (o->debug && (o->pcr_set & 7) != 0)
        FAIL(fault, ERR_USAGE,
             "a debug-mode enclave has no PCR0, PCR1 or PCR2: --debug and --pcr "
             "contradict each other");
    return ERR_OK;
}

/* An enclave gets another module id each time it is launched; an instance keeps its own. */
static enum err default_module_id(struct options *o)
{
    if (o->kind == ATTDOC_NITROTPM) {
        snprintf(o->module_id, sizeof o->module_id, INSTANCE_DEFAULT "-tpm%016d", 0);
        return ERR_OK;
    }
    uint8_t random[8];
    char hex[2 * sizeof random + 1];
    if (RAND_bytes(random, sizeof random) != 1)
        return ERR_CRYPTO;
    hex_encode(bytes_of(random, sizeof random), hex);
    snprintf(o->module_id, sizeof o->module_id, INSTANCE_DEFAULT "-enc%s", hex);
    return ERR_OK;
}

/* The derived values wherever --pcr gave none. */
static enum err fill_pcrs(struct options *o, struct fault *fault)
{
    uint8_t digest[SHA384_LEN];
    uint8_t derived[8][ATTDOC_PCR_LEN] = {{0}};
    TRY(sim_measure_file(o->image != NULL ? o->image : "/dev/null", digest, fault));
    if (o->kind == ATTDOC_NITROTPM) {
        TRY(sim_measure_boot(digest, derived[4], derived[7]));
    } else {
        TRY(sim_measure_image(digest, derived));
        TRY(sim_measure_instance(o->module_id, derived[4]));
    }
    for (unsigned i = 0; i < ARRAY_LEN(derived); i++) {
        if (((o->pcr_set >> i) & 1) == 0)
            memcpy(o->pcr[i], derived[i], ATTDOC_PCR_LEN);
    }
    return ERR_OK;
}

static enum err print_measurements(const struct options *o, struct fault *fault)
{
    CLEANUP(buf_free) struct buf json = {0};
    TRY(sim_measure_json(o->kind, o->pcr, &json));
    if (fwrite(json.ptr, 1, json.len, stdout) != json.len || fflush(stdout) != 0)
        FAIL(fault, ERR_FILE, "standard output: %s", strerror(errno));
    return ERR_OK;
}

static enum err write_root(const struct sim_chain *chain, const char *path, struct fault *fault)
{
    CLEANUP(buf_free) struct buf pem = {0};
    TRY(sim_chain_root_pem(chain, &pem));
    FILE *file = fopen(path, "we");
    if (file == NULL)
        FAIL(fault, ERR_FILE, "%s cannot be made: %s", path, strerror(errno));
    const bool written = fwrite(pem.ptr, 1, pem.len, file) == pem.len;
    if (fclose(file) != 0 || !written)
        FAIL(fault, ERR_FILE, "%s cannot be written: %s", path, strerror(errno));
    return ERR_OK;
}

static enum err serve(const struct options *o, struct sim_chain *chain, struct fault *fault)
{
    struct sim_nsm nsm;
    sim_nsm_init(&nsm, o->kind, o->module_id, chain);
    memcpy(nsm.pcr, o->pcr, sizeof nsm.pcr);
    if (o->debug)
        memset(nsm.pcr, 0, 3 * sizeof nsm.pcr[0]);
    nsm.skew_ms = o->skew_ms;
    CLEANUP(sim_server_close) struct sim_server server = {.listener = -1, .signals = -1};
    TRY(sim_server_listen(o->socket, &server, fault));
    log_event(LOG_LEVEL_INFO, "nsm_sim.ready", "module_id=%s region=%s debug=%s", o->module_id,
              o->region, o->debug ? "true" : "false");
    TRY(sim_server_run(&server, &nsm, fault));
    log_event(LOG_LEVEL_INFO, "nsm_sim.stopped", "module_id=%s", o->module_id);
    return ERR_OK;
}

static enum err run(struct options *o, struct fault *fault)
{
    TRY(check_options(o, fault));
    if (o->module_id[0] == '\0')
        TRY(default_module_id(o));
    TRY(fill_pcrs(o, fault));
    if (o->print_measurements)
        return print_measurements(o, fault);
    CLEANUP(sim_chain_freep) struct sim_chain *chain = NULL;
    TRY(sim_chain_new(o->root_dir, o->module_id, o->region, sim_server_now_ms(), &chain, fault));
    if (o->root_out != NULL)
        TRY(write_root(chain, o->root_out, fault));
    if (o->socket == NULL)
        return ERR_OK;
    return serve(o, chain, fault);
}

/* `*answered` where --help or --version was all there is to do. */
static enum err parse_command_line(int argc, char **argv, struct options *o, bool *answered,
                                   struct fault *fault)
{
    for (;;) {
        const int id = getopt_long(argc, argv, "", long_options, NULL);
        if (id == -1)
            break;
        if (id == OPTION_HELP || id == OPTION_VERSION) {
            fputs(id == OPTION_HELP ? usage : "vouchsafe-nsm-sim " VOUCHSAFE_VERSION "\n", stdout);
            *answered = true;
            return ERR_OK;
        }
        TRY(parse_option(o, id, optarg, fault));
    }
    if (optind < argc)
        FAIL(fault, ERR_USAGE, "%s: not an option", argv[optind]);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    struct fault fault = FAULT_NONE;
    struct options options = {.region = "us-east-1"};
    bool answered = false;
    enum err err = parse_command_line(argc, argv, &options, &answered, &fault);
    if (err == ERR_OK && !answered)
        err = run(&options, &fault);
    if (err == ERR_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "vouchsafe-nsm-sim: %s\n",
            fault.detail[0] != '\0' ? fault.detail : err_sentence(err));
    return err == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}
