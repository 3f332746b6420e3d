#include "obtain.h"

#include <stdio.h>

#include "command.h"
#include "common/codec.h"

/* 16 secrets of 64 KiB, each in a block of twice its size, and the keys. */
#define ARENA_LEN (4u << 20)

static void say_root(const struct settings *s)
{
    if (s->root_is_aws)
        return;
    char hex[2 * SHA256_LEN + 1];
    hex_encode(bytes_of(s->root, sizeof s->root), hex);
    fprintf(stderr, "vouchsafe-agent: warning: this agent trusts a root that is not AWS's: %s\n",
            hex);
}

static bool is_held(const struct wanted_list *held, const struct answer_secret *item)
{
    for (size_t i = 0; held != NULL && i < held->count; i++) {
        if (strcmp(held->item[i].name, item->name) == 0)
            return held->item[i].version == item->version;
    }
    return false;
}

/* At a refresh only what is new; but a build's end is announced each time. */
static void say_opened(const struct wanted_list *held, const struct answer_opened *opened)
{
    for (size_t i = 0; i < opened->count; i++) {
        const struct answer_secret *item = &opened->item[i];
        if (!is_held(held, item))
            fprintf(stderr, "vouchsafe-agent: received %s version %u\n", item->name, item->version);
        if (item->deprecated)
            fprintf(stderr,
                    "vouchsafe-agent: warning: only a deprecated measurement granted %s: this "
                    "build will be refused one day\n",
                    item->name);
    }
}

/* A refusal is where somebody has to do something: who it was, and what helps. */
static void say_refused(const struct settings *s, const struct problem *problem)
{
    if (problem->request_id[0] != '\0')
        fprintf(stderr, "  request id: %s\n", problem->request_id);
    fprintf(stderr, "  error code: %s\n", problem->code_wire);
    if (problem->field[0] != '\0')
        fprintf(stderr, "  where: %s\n", problem->field);
    fputs("  this enclave measures as:\n", stderr);
    command_say_pcrs(s->plan.nsm);
    if (problem->code == ERR_REFUSED && problem->request_id[0] != '\0')
        fprintf(stderr,
                "  what to do: an admin of the verifier sees the reason with\n"
                "    vouchsafe audit list --request %s\n"
                "  and registers a new build with\n"
                "    vouchsafe measurement add IMAGE@VERSION --pcr 0=... --pcr 1=... --pcr 2=...\n",
                problem->request_id);
    else if (problem->code == ERR_DEBUG)
        fputs("  what to do: start the enclave without --debug-mode\n", stderr);
    else if (problem->code == ERR_UNTRUSTED)
        fputs(
            "  what to do: a simulator's documents need a development store that trusts its root\n",
            stderr);
    else
        fputs("  what to do: see the code in docs/ERRORS.md, and the verifier's log\n", stderr);
}

enum err obtain(const struct settings *settings, const struct wanted_list *held,
                struct answer_opened *opened, struct fault *fault)
{
    TRY(secret_init(ARENA_LEN, fault));
    if (held == NULL)
        say_root(settings);
    struct session_plan plan = settings->plan;
    plan.held = held;
    struct problem problem = {.offset = FAULT_NO_OFFSET};
    const enum err err = session_run(&plan, command_say, opened, &problem, fault);
    if (err == ERR_REFUSED) {
        command_say_fault(err, fault);
        say_refused(settings, &problem);
    }
    if (err == ERR_OK)
        say_opened(held, opened);
    return err;
}
