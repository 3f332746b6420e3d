#include "advice.h"

#include <stdio.h>
#include <string.h>

/* By where the fault points: the first row whose field it begins with. */
static const struct {
    enum err code;
    const char *field;
    const char *advice;
} rows[] = {
    {ERR_ANSWER, "challenge",
     "what answers gives no challenge: see that --verifier, and the relay behind it, lead to a "
     "vouchsafe server"},
    {ERR_ANSWER, "delegation.validity",
     "the issuer's delegation to this verifier is over, or not yet valid: renew it with 'vouchsafe "
     "issuer delegate'; where 'vouchsafe status' says that it is valid, somebody on the way gave "
     "an old answer, or of two clocks one is wrong, the verifier's or that of this enclave's "
     "documents"},
    {ERR_ANSWER, "delegation",
     "it speaks for another store, or only claims to be yours: compare --issuer and --store of "
     "this "
     "image with 'vouchsafe issuer show' and 'vouchsafe status'; where they are the same, somebody "
     "on the way answers in its place"},
    {ERR_ANSWER, "receipt",
     "the receipt belongs to another request, or is not the verifier's: somebody on the way "
     "recorded, exchanged or changed an answer; nothing of it was used. Look at what runs between "
     "this enclave and the verifier"},
    {ERR_ANSWER, "secrets",
     "this is not what was asked for, or older than it may be, or damaged; nothing of it was used. "
     "'vouchsafe secret list' has the versions that the verifier holds; where they are right, "
     "somebody on the way changed the answer"},
    {ERR_ANSWER, "",
     "no vouchsafe server answers so: see that --verifier, and the relay behind it, "
     "lead to one, and that nothing between changes answers"},
    {ERR_NSM, "document.",
     "the document answers another question than this agent's: start the enclave again, and where "
     "it stays, see what --nsm leads to"},
    {ERR_PCR_MISMATCH, "PCR",
     "a PCR keeps its value until the enclave is started again: let nothing extend it before this "
     "agent runs, or extend another one"},
    {ERR_CONFIG, "cmdline",
     "this enclave was not started from the image that the settings belong to: start that one, or "
     "measure the settings with the command line that the image has"},
};

const char *advice_of(enum err code, const struct fault *fault)
{
    if (fault->code != code)
        return NULL;
    /* An offset is a place in the module's reply: it came, and is none. */
    if (code == ERR_NSM && fault->offset != FAULT_NO_OFFSET)
        return "the module's reply is cut or damaged, or of another interface than this agent "
               "knows: start the enclave again, and where it stays, update the agent";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (code == rows[i].code &&
            strncmp(fault->field, rows[i].field, strlen(rows[i].field)) == 0)
            return rows[i].advice;
    }
    return NULL;
}

const char *advice_unreachable(enum err code, const struct fault *fault,
                               const struct http_target *target)
{
    const bool by_relay = target->kind == HTTP_TARGET_VSOCK;
    if (code == ERR_TIMEOUT)
        return by_relay
                   ? "the verifier or its relay is slow or silent: see their logs, or give more "
                     "--timeout"
                   : "the verifier is slow or silent: see its log, or give more --timeout";
    if (strcmp(fault->field, HTTP_FIELD_NO_ANSWER) == 0)
        return by_relay ? "the relay is up, is the verifier behind it? The relay's journal says why"
                        : "what listens there does not answer: is it the verifier?";
    if (strcmp(fault->field, HTTP_FIELD_ANSWER) == 0)
        return by_relay ? "half an answer: see the logs of the relay and the verifier"
                        : "half an answer: see the verifier's log, and a proxy's between";
    if (strcmp(fault->field, HTTP_FIELD_TLS) == 0)
        return "see --cacert and --tls-name, and what answers there";
    return by_relay ? "does vouchsafe-vsock-relay listen on that port of the parent instance?"
                    : "is the verifier up, and may this machine connect to it?";
}

/* What fails before the policy leaves no record to explain, but says exactly what is wrong. */
void advice_refused(const struct problem *problem, char out[static ADVICE_MAX])
{
    if (problem->code == ERR_REFUSED && problem->request_id[0] != '\0')
        snprintf(out, ADVICE_MAX, "ask the verifier's admin to run 'vouchsafe explain %s'",
                 problem->request_id);
    else if (problem->code == ERR_DEBUG)
        snprintf(out, ADVICE_MAX, "start the enclave without --debug-mode");
    else if (problem->code == ERR_UNTRUSTED)
        snprintf(out, ADVICE_MAX,
                 "a simulator's documents need a development store that trusts its root");
    else if (problem->code == ERR_OK)
        snprintf(out, ADVICE_MAX,
                 "this is no code that this version knows: see what answers at --verifier, and "
                 "whether it is a newer verifier");
    else
        snprintf(out, ADVICE_MAX, "see %s in docs/ERRORS.md, and the verifier's log",
                 problem->code_wire);
}
