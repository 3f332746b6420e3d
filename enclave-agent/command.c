#include "command.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <unistd.h>

#include "advice.h"
#include "common/codec.h"
#include "common/secret.h"
#include "journal.h"

/* Blocks of memory from this length on go back to the system when they are freed: the texts and
 * the ciphertexts of an answer come one after the other, and an enclave has little memory. */
#define LARGE_BLOCK_LEN 32768

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
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_LEN);
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    TRY(secret_forbid_dumps(fault));
    /* Not openssl.cnf: an image's or an environment's file would choose the crypto. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        FAIL(fault, ERR_CRYPTO, "the crypto library does not start");
    return ERR_OK;
}

void command_say(const char *sentence)
{
    journal_say("%s", sentence);
}

void command_say_fault(enum err code, const struct fault *fault)
{
    static const struct fault none = FAULT_NONE;
    if (fault->code != code)
        fault = &none;
    journal_say("%s: %s%s%s", err_wire(code), fault->field, fault->field[0] == '\0' ? "" : ": ",
                fault->detail[0] == '\0' ? err_sentence(code) : fault->detail);
}

void command_say_end(enum err code, const struct fault *fault)
{
    if (code == ERR_OK || code == ERR_REFUSED)
        return;
    command_say_fault(code, fault);
    const char *advice = advice_of(code, fault);
    if (advice != NULL)
        journal_add("%s", advice);
}

enum err command_open_journal(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(buf_free) struct buf where = {0};
    bool program = false;
    TRY(settings_log(args, &where, &program, fault));
    if (where.len == 0)
        return ERR_OK;
    const char *text = buf_text(&where);
    if (text == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the settings");
    return journal_open(text, program ? JOURNAL_OF_PROGRAM : JOURNAL_OF_AGENT, fault);
}

enum err command_measure(const struct settings *settings, struct fault *fault)
{
    bool debug = false;
    TRY(measure_enclave(&settings->measure, settings->plan.nsm, &debug, fault));
    if (debug)
        journal_say(MEASURE_DEBUG_SENTENCE);
    return ERR_OK;
}

/* PCR0, PCR1 and PCR2; silent where the NSM does not answer. */
static void say_pcrs(const char *where)
{
    CLEANUP(nsm_close) struct nsm nsm = {.fd = -1};
    if (nsm_open(where, &nsm, NULL) != ERR_OK)
        return;
    for (unsigned i = 0; i < 3; i++) {
        struct nsm_pcr pcr;
        char hex[2 * ATTDOC_PCR_LEN + 1];
        if (nsm_describe_pcr(&nsm, i, &pcr, NULL) != ERR_OK)
            return;
        hex_encode(bytes_of(pcr.value, sizeof pcr.value), hex);
        journal_add("PCR%u %s", i, hex);
    }
}

void command_say_refused(const struct session_plan *plan, const struct problem *problem)
{
    char advice[ADVICE_MAX];
    const char *const id = problem->request_id;
    advice_refused(problem, advice);
    journal_say("refused%s%s%s: %s", id[0] == '\0' ? "" : " (request ", id,
                id[0] == '\0' ? "" : ")", advice);
    journal_add("error code: %s", problem->code_wire);
    if (problem->field[0] != '\0')
        journal_add("where: %s", problem->field);
    if (problem->detail[0] != '\0')
        journal_add("the verifier says: %s", problem->detail);
    journal_add("this enclave measures as:");
    say_pcrs(plan->nsm);
}
