/* libvouchsafe-agent while memory is refused: it says so, loses none, and what was not set binds
 * the agent all the same. */
#include "sweep.h"

#include "enclave-agent/library/vouchsafe-agent.h"

static struct vouchsafe_agent *agent;
static struct vouchsafe_agent_error error;

static enum err set_all(void)
{
    static const char *const settings[][2] = {
        {"nsm", "unix:/none"}, {"verifier", "http://v"}, {"secret", "a"}, {"min-version", "a=2"}};
    enum vouchsafe_agent_status status = vouchsafe_agent_new(&agent, &error);
    for (size_t i = 0; i < ARRAY_LEN(settings) && status == VOUCHSAFE_AGENT_OK; i++)
        status = vouchsafe_agent_set(agent, settings[i][0], settings[i][1], &error);
    return status == VOUCHSAFE_AGENT_OK ? ERR_OK : err_from_wire(error.code);
}

static void ck_release(enum vouchsafe_agent_status expected, const char *code)
{
    struct vouchsafe_agent_secrets *secrets = NULL;
    ck_assert_int_eq(vouchsafe_agent_release(agent, &secrets, &error), expected);
    ck_assert_str_eq(error.code, code);
    ck_assert_ptr_null(secrets);
}

/* The issuer is what it lacks. */
static void all_set(void)
{
    ck_release(VOUCHSAFE_AGENT_USAGE, "usage");
}

static void not_all_set(void)
{
    ck_assert_str_eq(error.code, "no_memory");
    if (agent != NULL)
        ck_release(VOUCHSAFE_AGENT_MACHINE, "no_memory");
}

static void forget(void)
{
    vouchsafe_agent_free(agent);
    agent = NULL;
}

START_TEST(no_memory)
{
    sweep_begin();
    sweep_run(&(const struct sweep){"settings", INJECT_ALLOC, set_all, all_set, not_all_set, forget,
                                    NULL, 0});
}
END_TEST

UNIT_MAIN("fault_library", no_memory)
