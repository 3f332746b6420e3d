/* Asks a verifier for one secret, and compares it with what stands on standard input: a program
 * that needs a password, in short.
 *
 *     cc release.c $(pkg-config --cflags --libs vouchsafe-agent) -o release
 *     ./release /etc/vouchsafe-agent.conf web/password < guess
 *
 * Ends with 0 where they are the same, 1 where not, and 10 + the library's status where there is
 * no secret. */
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <vouchsafe-agent.h>

#define NO_SECRET 10

/* The library leaves this to the program.  A limit of 0 stops a core file, but where core_pattern
 * is a pipe the program behind it gets the memory all the same; 1 stops both (core(5)).  Whoever
 * has a hard limit of 0 may not set it to 1. */
static int forbid_dumps(void)
{
    const struct rlimit no_pipe = {1, 1};
    const struct rlimit no_file = {0, 0};
    return (setrlimit(RLIMIT_CORE, &no_pipe) == 0 || setrlimit(RLIMIT_CORE, &no_file) == 0) &&
           prctl(PR_SET_DUMPABLE, 0) == 0;
}

static void print(void *context, const char *sentence)
{
    (void)context;
    fprintf(stderr, "release: %s\n", sentence);
}

/* As long for a wrong byte at the front as for one at the end. */
static int same_as_input(const unsigned char *value, size_t len)
{
    unsigned different = 0;
    for (size_t i = 0; i < len; i++) {
        const int c = getchar();
        different |= c == EOF ? 1u : (unsigned)c ^ value[i];
    }
    return getchar() == EOF && different == 0;
}

static int release(const char *config, const char *name, struct vouchsafe_agent_secrets **secrets,
                   struct vouchsafe_agent_error *error)
{
    struct vouchsafe_agent *agent = NULL;
    enum vouchsafe_agent_status status = vouchsafe_agent_new(&agent, error);
    if (status == VOUCHSAFE_AGENT_OK)
        status = vouchsafe_agent_set(agent, "config", config, error);
    if (status == VOUCHSAFE_AGENT_OK)
        status = vouchsafe_agent_set(agent, "secret", name, error);
    if (status == VOUCHSAFE_AGENT_OK) {
        vouchsafe_agent_set_log(agent, print, NULL);
        status = vouchsafe_agent_release(agent, secrets, error);
    }
    vouchsafe_agent_free(agent);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3 || !forbid_dumps()) {
        fputs("release CONFIG NAME < GUESS\n", stderr);
        return 2;
    }
    struct vouchsafe_agent_secrets *secrets = NULL;
    struct vouchsafe_agent_error error;
    const int status = release(argv[1], argv[2], &secrets, &error);
    if (status != VOUCHSAFE_AGENT_OK) {
        fprintf(stderr, "release: %s: %s\n", error.code, error.sentence);
        if (error.advice[0] != '\0')
            fprintf(stderr, "release: %s\n", error.advice);
        return NO_SECRET + status;
    }
    size_t len = 0;
    uint32_t version = 0;
    const void *value = vouchsafe_agent_secrets_value(secrets, argv[2], &len, &version);
    const int same = value != NULL && same_as_input(value, len);
    printf("%s version %u: %s\n", argv[2], (unsigned)version, same ? "the same" : "different");
    vouchsafe_agent_secrets_free(secrets);
    return same ? 0 : 1;
}
