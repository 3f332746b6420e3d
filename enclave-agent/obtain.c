#include "obtain.h"

#include "command.h"

static void say(void *context, const char *sentence)
{
    (void)context;
    command_say(sentence);
}

enum err obtain(const struct settings *settings, const struct answer_held *held,
                struct answer_opened *opened, struct fault *fault)
{
    if (held == NULL)
        TRY(command_measure(settings, fault));
    TRY(secret_init(SESSION_LOCKED_LEN, fault));
    struct session_plan plan = settings->plan;
    plan.held = held;
    plan.say = say;
    struct problem problem = {.offset = FAULT_NO_OFFSET};
    const enum err err = session_run(&plan, opened, &problem, fault);
    if (err == ERR_REFUSED)
        command_say_refused(&plan, &problem);
    return err;
}
