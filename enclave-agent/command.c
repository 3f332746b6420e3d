#include "command.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/codec.h"

int command_exit_plain(enum err code)
{
    switch (code) {
    case ERR_OK:
        return PLAIN_DONE;
    case ERR_REFUSED:
    case ERR_ANSWER:
        return PLAIN_REFUSED;
    case ERR_USAGE:
    case ERR_CONFIG:
        return PLAIN_USAGE;
    default:
        return PLAIN_UNDECIDED;
    }
}

int command_exit_run(enum err code)
{
    switch (code) {
    case ERR_OK:
        return PLAIN_DONE;
    case ERR_REFUSED:
        return RUN_REFUSED;
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
        return RUN_UNREACHABLE;
    case ERR_ANSWER:
        return RUN_NOT_AUTHENTIC;
    case ERR_NSM:
        return RUN_NSM;
    case ERR_USAGE:
    case ERR_CONFIG:
    case ERR_FILE: /* one that a setting names */
        return RUN_USAGE;
    case ERR_WRONG_STATE:
        return RUN_NOT_EXECUTABLE;
    case ERR_NOT_FOUND:
        return RUN_NOT_FOUND;
    default: /* this machine: memory, descriptors, the place of delivery */
        return RUN_NOT_DELIVERED;
    }
}

/* A socket or a secret must not take the place of a standard descriptor that the caller
 * left closed: what is printed would go there. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return; /* an image without /dev/null: deliver_memfd moves up by itself */
    }
}

enum err command_prepare(struct fault *fault)
{
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    /* Not openssl.cnf: an image's or an environment's file would choose the crypto. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        FAIL(fault, ERR_CRYPTO, "the crypto library does not start");
    return ERR_OK;
}

void command_say(const char *sentence)
{
    fprintf(stderr, "vouchsafe-agent: %s\n", sentence);
}

void command_say_fault(enum err code, const struct fault *fault)
{
    static const struct fault none = FAULT_NONE;
    if (fault->code != code)
        fault = &none;
    fprintf(stderr, "vouchsafe-agent: %s: %s%s%s\n", err_wire(code), fault->field,
            fault->field[0] == '\0' ? "" : ": ",
            fault->detail[0] == '\0' ? err_sentence(code) : fault->detail);
}

void command_say_end(enum err code, const struct fault *fault)
{
    if (code != ERR_OK && code != ERR_REFUSED)
        command_say_fault(code, fault);
}

void command_say_pcrs(const char *nsm)
{
    CLEANUP(nsm_close) struct nsm open = {.fd = -1};
    if (nsm_open(nsm, &open, NULL) != ERR_OK)
        return;
    bool debug = false;
    for (unsigned i = 0; i < 3; i++) {
        struct nsm_pcr pcr;
        char hex[2 * ATTDOC_PCR_LEN + 1];
        if (nsm_describe_pcr(&open, i, &pcr, NULL) != ERR_OK)
            return;
        hex_encode(bytes_of(pcr.value, sizeof pcr.value), hex);
        fprintf(stderr, "  PCR%u %s\n", i, hex);
        debug = debug || (i == 0 && bytes_all_zero(bytes_of(pcr.value, sizeof pcr.value)));
    }
    if (debug)
        command_say(COMMAND_DEBUG_SENTENCE);
}
