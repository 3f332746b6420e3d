/* libvouchsafe-agent as its header has it, without a verifier: what a program may do wrong, and
 * what it is told.  Releases: tests/e2e/library.py. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "enclave-agent/library/vouchsafe-agent.h"

static struct vouchsafe_agent *agent;
static struct vouchsafe_agent_error error;

static void setup(void)
{
    agent = NULL;
    ck_assert_int_eq(vouchsafe_agent_new(&agent, NULL), VOUCHSAFE_AGENT_OK);
    ck_assert_ptr_nonnull(agent);
    memset(&error, 'x', sizeof error); /* nothing of what was there may stay */
}

static void teardown(void)
{
    vouchsafe_agent_free(agent);
}

/* The whole error, each text of which ends. */
static void ck_told(enum vouchsafe_agent_status got, enum vouchsafe_agent_status expected,
                    const char *code, const char *sentence)
{
    ck_assert_int_eq(got, expected);
    ck_assert_int_eq(error.status, expected);
    ck_assert_str_eq(error.code, code);
    ck_assert_str_eq(error.request_id, "");
    ck_assert_str_eq(error.sentence, sentence);
    ck_assert_str_eq(error.advice, "");
}

static void set(const char *name, const char *value)
{
    ck_assert_int_eq(vouchsafe_agent_set(agent, name, value, NULL), VOUCHSAFE_AGENT_OK);
}

static enum vouchsafe_agent_status release(void)
{
    struct vouchsafe_agent_secrets *secrets = NULL;
    const enum vouchsafe_agent_status status = vouchsafe_agent_release(agent, &secrets, &error);
    ck_assert_ptr_null(secrets);
    return status;
}

START_TEST(valid_version)
{
    ck_assert_str_eq(vouchsafe_agent_version(), VOUCHSAFE_VERSION);
}
END_TEST

START_TEST(valid_error_untouched)
{
    setup();
    struct vouchsafe_agent_error before = error;
    ck_assert_int_eq(vouchsafe_agent_set(agent, "secret", "a", &error), VOUCHSAFE_AGENT_OK);
    ck_assert_mem_eq(&error, &before, sizeof error);
    teardown();
}
END_TEST

START_TEST(null_out)
{
    static const char what[] = "an argument is NULL that must not be";
    setup();
    ck_told(vouchsafe_agent_new(NULL, &error), VOUCHSAFE_AGENT_USAGE, "usage", what);
    ck_told(vouchsafe_agent_release(agent, NULL, &error), VOUCHSAFE_AGENT_USAGE, "usage", what);
    ck_assert_int_eq(vouchsafe_agent_new(NULL, NULL), VOUCHSAFE_AGENT_USAGE);
    ck_assert_int_eq(vouchsafe_agent_release(agent, NULL, NULL), VOUCHSAFE_AGENT_USAGE);
    teardown();
}
END_TEST

START_TEST(null_agent)
{
    static const char what[] = "an argument is NULL that must not be";
    struct vouchsafe_agent_secrets *secrets = NULL;
    memset(&error, 'x', sizeof error);
    ck_told(vouchsafe_agent_set(NULL, "secret", "a", &error), VOUCHSAFE_AGENT_USAGE, "usage", what);
    ck_told(vouchsafe_agent_release(NULL, &secrets, &error), VOUCHSAFE_AGENT_USAGE, "usage", what);
    ck_assert_ptr_null(secrets);
    vouchsafe_agent_set_log(NULL, NULL, NULL);
    vouchsafe_agent_free(NULL);
}
END_TEST

/* A program that did not look whether there are any finds none. */
START_TEST(null_secrets)
{
    size_t len = 7;
    uint32_t version = 7;
    ck_assert_uint_eq(vouchsafe_agent_secrets_count(NULL), 0);
    ck_assert_ptr_null(vouchsafe_agent_secrets_name(NULL, 0));
    ck_assert_ptr_null(vouchsafe_agent_secrets_value(NULL, "a", &len, &version));
    ck_assert_uint_eq(len, 7);
    ck_assert_uint_eq(version, 7);
    vouchsafe_agent_secrets_free(NULL);
}
END_TEST

/* One for each way; and no release is made without what it was to be bound by. */
START_TEST(wrong_setting)
{
    const struct {
        const char *name;
        const char *value;
        const char *told;
    } wrong[] = {
        {NULL, "a", "the name of a setting is NULL"},
        {"store", NULL, "the value of a setting is NULL"},
        {"", "a", "\"\" is no name of a setting"},
        {"secret=a", "b", "\"secret=a\" is no name of a setting"},
        {"min-versoin", "a=2", "unknown option --min-versoin; did you mean --min-version?"},
        {"dir", "/run", "unknown option --dir"}, /* the agent's, and not about asking */
        {"verifier", "http://w", "--verifier was given twice"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        setup();
        set("verifier", "http://v");
        ck_told(vouchsafe_agent_set(agent, wrong[i].name, wrong[i].value, &error),
                VOUCHSAFE_AGENT_USAGE, "usage", wrong[i].told);
        /* Nor is what comes after it another beginning. */
        set("secret", "a");
        ck_assert_int_eq(vouchsafe_agent_set(agent, "=", "", NULL), VOUCHSAFE_AGENT_USAGE);
        memset(&error, 'x', sizeof error);
        ck_told(release(), VOUCHSAFE_AGENT_USAGE, "usage", wrong[i].told);
        teardown();
    }
}
END_TEST

START_TEST(wrong_value)
{
    const struct {
        const char *name;
        const char *value;
        const char *code;
        const char *told;
    } wrong[] = {
        {"secret", "", "usage", "secret \"\": a secret's name is "},
        {"secret", "a@0", "usage", "\"a@0\": a version is 1 to 2147483647"},
        {"timeout", "", "usage", "timeout takes 1 to 3600 seconds, not \"\""},
        {"config", "", "file", ""},
        {"config", "/none", "file", "/none"},
        {"extend", "15=/etc/passwd", "usage", "extend \"15=/etc/passwd\" is not N=FILE"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        setup();
        set(wrong[i].name, wrong[i].value);
        if (strcmp(wrong[i].name, "secret") != 0)
            set("secret", "a");
        set("verifier", "http://v");
        ck_assert_int_eq(release(), VOUCHSAFE_AGENT_USAGE);
        ck_assert_str_eq(error.code, wrong[i].code);
        ck_assert_msg(strstr(error.sentence, wrong[i].told) != NULL, "%s", error.sentence);
        teardown();
    }
}
END_TEST

/* Of every setting: a mistake that is told, cut, and nothing else. */
START_TEST(long_value)
{
    static const char *const names[] = {
        "config", "nsm",    "verifier", "issuer",      "store",   "secret",   "cacert",
        "root",   "format", "extend",   "min-version", "timeout", "tls-name", "application"};
    static char value[100000];
    memset(value, 'a', sizeof value - 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        setup();
        set(names[i], value);
        ck_assert_int_ne(release(), VOUCHSAFE_AGENT_OK);
        ck_assert_uint_lt(strlen(error.sentence), sizeof error.sentence);
        teardown();
    }
    setup();
    ck_assert_int_eq(vouchsafe_agent_set(agent, value, "a", &error), VOUCHSAFE_AGENT_USAGE);
    ck_assert_uint_lt(strlen(error.sentence), sizeof error.sentence);
    teardown();
}
END_TEST

START_TEST(too_many_settings)
{
    char value[8];
    setup();
    for (int i = 0; i < 128; i++) {
        snprintf(value, sizeof value, "a%d", i);
        set("secret", value);
    }
    ck_told(vouchsafe_agent_set(agent, "secret", "b", &error), VOUCHSAFE_AGENT_USAGE, "usage",
            "more than 128 settings");
    teardown();
}
END_TEST

/* Values are the caller's again as soon as they are set. */
START_TEST(valid_copied)
{
    char value[] = "a@0";
    setup();
    set("secret", value);
    value[2] = '1';
    ck_assert_int_eq(release(), VOUCHSAFE_AGENT_USAGE);
    ck_assert_ptr_nonnull(strstr(error.sentence, "\"a@0\""));
    teardown();
}
END_TEST

START_TEST(no_module)
{
    setup();
    set("nsm", "unix:/none");
    set("secret", "a");
    set("verifier", "http://v");
    ck_told(release(), VOUCHSAFE_AGENT_USAGE, "usage",
            "--issuer FILE is needed: the keys that this agent trusts");
    teardown();
}
END_TEST

UNIT_MAIN("agent_library", valid_version, valid_error_untouched, null_out, null_agent, null_secrets,
          wrong_setting, wrong_value, long_value, too_many_settings, valid_copied, no_module)
