#include "obtain.h"

#include "command.h"
#include "common/codec.h"
#include "journal.h"

/* 16 secrets of 64 KiB, each in a block of twice its size, and the keys. */
#define ARENA_LEN (4u << 20)

static void say_root(const struct settings *s)
{
    if (s->root_is_aws)
        return;
    char hex[2 * SHA256_LEN + 1];
    hex_encode(bytes_of(s->root, sizeof s->root), hex);
    journal_say("warning: this agent trusts a root that is not AWS's: %s", hex);
}

static bool is_held(const struct answer_held *held, const struct answer_secret *item)
{
    for (size_t i = 0; held != NULL && i < held->versions.count; i++) {
        if (strcmp(held->versions.item[i].name, item->name) == 0)
            return held->versions.item[i].version == item->version;
    }
    return false;
}

/* At a refresh only what is new; but a build's end is announced each time. */
static void say_opened(const struct answer_held *held, const struct answer_opened *opened)
{
    for (size_t i = 0; i < opened->count; i++) {
        const struct answer_secret *item = &opened->item[i];
        if (!is_held(held, item))
            journal_say("received %s version %u", item->name, item->version);
        if (item->deprecated)
            journal_say("warning: only a deprecated measurement granted %s: this build will be "
                        "refused one day",
                        item->name);
    }
}

enum err obtain(const struct settings *settings, const struct answer_held *held,
                struct answer_opened *opened, struct fault *fault)
{
    if (held == NULL)
        TRY(command_measure(settings, fault));
    TRY(secret_init(ARENA_LEN, fault));
    if (held == NULL)
        say_root(settings);
    struct session_plan plan = settings->plan;
    plan.held = held;
    struct problem problem = {.offset = FAULT_NO_OFFSET};
    const enum err err = session_run(&plan, command_say, opened, &problem, fault);
    if (err == ERR_REFUSED)
        command_say_refused(&settings->plan, &problem);
    if (err == ERR_OK)
        say_opened(held, opened);
    return err;
}
