/* For library.py: releases from several threads at once by libvouchsafe-agent, and whether the
 * process is what it was before.
 *
 *     library_probe CONFIG SECRET VALUE    prints what is wrong, and ends with 1
 *     library_probe CONFIG SECRET          by one agent, one release for each line of input:
 *                                          prints the version, or what is wrong */
#include <jansson.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "enclave-agent/library/vouchsafe-agent.h"

#define THREADS  4
#define RELEASES 2

static char **arguments;

struct told {
    const struct vouchsafe_agent *agent;
    pthread_t thread;
    int strange; /* sentences of another thread's release */
};

static void *wrong(const char *what, const struct vouchsafe_agent_error *error)
{
    printf("%s: %s: %s\n", what, error->code, error->sentence);
    return arguments;
}

static void listen_to(void *context, const char *sentence)
{
    struct told *told = context;
    told->strange += !pthread_equal(told->thread, pthread_self()) || sentence[0] == '\0';
}

static void *check_secrets(struct vouchsafe_agent_secrets *secrets)
{
    size_t len = 0;
    const void *value = vouchsafe_agent_secrets_value(secrets, arguments[2], &len, NULL);
    const char *name = vouchsafe_agent_secrets_name(secrets, 0);
    const struct vouchsafe_agent_error none = {.code = "probe"};
    if (value == NULL || len != strlen(arguments[3]) || memcmp(value, arguments[3], len) != 0)
        return wrong("another value", &none);
    if (CRYPTO_secure_allocated(value) != 1)
        return wrong("the value is not in locked memory", &none);
    if (vouchsafe_agent_secrets_count(secrets) != 1 || name == NULL ||
        strcmp(name, arguments[2]) != 0 || vouchsafe_agent_secrets_name(secrets, 1) != NULL ||
        vouchsafe_agent_secrets_value(secrets, "none", &len, NULL) != NULL)
        return wrong("what is there is told wrong", &none);
    return NULL;
}

/* NULL where all is well. */
static void *release(void *context)
{
    (void)context;
    void *result = NULL;
    struct vouchsafe_agent *agent = NULL;
    struct vouchsafe_agent_error error = {.code = "unset"};
    if (vouchsafe_agent_new(&agent, &error) != VOUCHSAFE_AGENT_OK)
        return wrong("new", &error);
    struct told told = {.agent = agent, .thread = pthread_self()};
    vouchsafe_agent_set_log(agent, listen_to, &told);
    if (vouchsafe_agent_set(agent, "config", arguments[1], &error) != VOUCHSAFE_AGENT_OK ||
        vouchsafe_agent_set(agent, "secret", arguments[2], &error) != VOUCHSAFE_AGENT_OK)
        result = wrong("set", &error);
    for (int i = 0; i < RELEASES && result == NULL; i++) {
        struct vouchsafe_agent_secrets *secrets = NULL;
        result = vouchsafe_agent_release(agent, &secrets, &error) == VOUCHSAFE_AGENT_OK
                     ? check_secrets(secrets)
                     : wrong("release", &error);
        vouchsafe_agent_secrets_free(secrets);
    }
    if (result == NULL && told.strange != 0)
        result = wrong("sentences of others", &error);
    vouchsafe_agent_free(agent);
    return result;
}

/* What a library leaves to its program. */
static int check_process(const struct rlimit *cores_before)
{
    struct rlimit cores;
    struct sigaction pipe;
    CRYPTO_malloc_fn malloc_of_openssl = NULL;
    CRYPTO_realloc_fn realloc_of_openssl = NULL;
    CRYPTO_free_fn free_of_openssl = NULL;
    json_malloc_t malloc_of_jansson = NULL;
    json_free_t free_of_jansson = NULL;
    CRYPTO_get_mem_functions(&malloc_of_openssl, &realloc_of_openssl, &free_of_openssl);
    json_get_alloc_funcs(&malloc_of_jansson, &free_of_jansson);
    const struct {
        const char *what;
        int same;
    } rows[] = {
        {"dumpable", prctl(PR_GET_DUMPABLE) == 1},
        {"the limit of core dumps", getrlimit(RLIMIT_CORE, &cores) == 0 &&
                                        cores.rlim_cur == cores_before->rlim_cur &&
                                        cores.rlim_max == cores_before->rlim_max},
        {"SIGPIPE", sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL},
        {"OpenSSL's memory", malloc_of_openssl == CRYPTO_malloc &&
                                 realloc_of_openssl == CRYPTO_realloc &&
                                 free_of_openssl == CRYPTO_free},
        {"jansson's memory", malloc_of_jansson == malloc && free_of_jansson == free},
    };
    int changed = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].same)
            printf("changed: %s\n", rows[i].what);
        changed |= !rows[i].same;
    }
    return changed;
}

static int release_by_line(void)
{
    struct vouchsafe_agent *agent = NULL;
    struct vouchsafe_agent_error error = {.code = "unset"};
    if (vouchsafe_agent_new(&agent, &error) != VOUCHSAFE_AGENT_OK ||
        vouchsafe_agent_set(agent, "config", arguments[1], &error) != VOUCHSAFE_AGENT_OK ||
        vouchsafe_agent_set(agent, "secret", arguments[2], &error) != VOUCHSAFE_AGENT_OK)
        return 1;
    while (getchar() != EOF) {
        struct vouchsafe_agent_secrets *secrets = NULL;
        size_t len = 0;
        uint32_t version = 0;
        if (vouchsafe_agent_release(agent, &secrets, &error) != VOUCHSAFE_AGENT_OK)
            printf("%s: %s\n", error.code, error.sentence);
        else if (vouchsafe_agent_secrets_value(secrets, arguments[2], &len, &version) != NULL)
            printf("version %u\n", (unsigned)version);
        (void)fflush(stdout);
        vouchsafe_agent_secrets_free(secrets);
    }
    vouchsafe_agent_free(agent);
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit cores;
    pthread_t thread[THREADS];
    int failed = 0;
    arguments = argv;
    if (argc == 3)
        return release_by_line();
    if (argc != 4 || getrlimit(RLIMIT_CORE, &cores) != 0)
        return 2;
    signal(SIGPIPE, SIG_DFL); /* whoever started this may ignore it */
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&thread[i], NULL, release, NULL) != 0)
            return 2;
    }
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        failed |= pthread_join(thread[i], &result) != 0 || result != NULL;
    }
    return failed | check_process(&cores);
}
