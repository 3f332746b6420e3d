/* For library.py: what a program may do with libvouchsafe-agent.
 *
 *     library_probe threads CONFIG SECRET VALUE
 *             releases from several threads at once while signals come, and whether the process is
 *             what it was before: prints what is wrong, and ends with 1
 *     library_probe lines CONFIG SECRET
 *             by one agent, one release for each line of input: prints the version, or what is
 *             wrong
 *     library_probe fork CONFIG SECRET
 *             the same three times: before a fork, in the child, and then in the parent
 *     library_probe cancel CONFIG SECRET
 *             the same once, in a thread that is cancelled meanwhile
 *     library_probe heap CONFIG SECRET
 *             the same once, in a program that has given OpenSSL a secure heap of 16 KiB; and
 *             whether the value is wiped when it is freed */
#include <dirent.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enclave-agent/library/vouchsafe-agent.h"

#define THREADS  4
#define RELEASES 2

static const char *config;
static const char *secret;
static const char *expected;

struct told {
    pthread_t thread;
    int strange; /* sentences of another thread's release */
};

static void *wrong(const char *what, const struct vouchsafe_agent_error *error)
{
    printf("%s: %s: %s\n", what, error->code, error->sentence);
    return (void *)&config; /* not NULL */
}

static void listen_to(void *context, const char *sentence)
{
    struct told *told = context;
    told->strange += !pthread_equal(told->thread, pthread_self()) || sentence[0] == '\0';
}

static void *check_secrets(struct vouchsafe_agent_secrets *secrets)
{
    size_t len = 0;
    const void *value = vouchsafe_agent_secrets_value(secrets, secret, &len, NULL);
    const char *name = vouchsafe_agent_secrets_name(secrets, 0);
    const struct vouchsafe_agent_error none = {.code = "probe"};
    if (value == NULL || len != strlen(expected) || memcmp(value, expected, len) != 0)
        return wrong("another value", &none);
    if (CRYPTO_secure_allocated(value) != 1)
        return wrong("the value is not in locked memory", &none);
    if (vouchsafe_agent_secrets_count(secrets) != 1 || name == NULL || strcmp(name, secret) != 0 ||
        vouchsafe_agent_secrets_name(secrets, 1) != NULL ||
        vouchsafe_agent_secrets_value(secrets, "none", &len, NULL) != NULL)
        return wrong("what is there is told wrong", &none);
    return NULL;
}

static int change_mask(int how)
{
    sigset_t alarm;
    return sigemptyset(&alarm) == 0 && sigaddset(&alarm, SIGALRM) == 0 &&
           pthread_sigmask(how, &alarm, NULL) == 0;
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
    if (!change_mask(SIG_UNBLOCK))
        return wrong("mask", &error);
    struct told told = {.thread = pthread_self()};
    vouchsafe_agent_set_log(agent, listen_to, &told);
    if (vouchsafe_agent_set(agent, "config", config, &error) != VOUCHSAFE_AGENT_OK ||
        vouchsafe_agent_set(agent, "secret", secret, &error) != VOUCHSAFE_AGENT_OK)
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

static int count_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    return dir == NULL || closedir(dir) != 0 ? -1 : count;
}

struct process {
    int descriptors;
    struct rlimit cores;
};

/* What a library leaves to its program. */
static int check_process(const struct process *before)
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
                                        cores.rlim_cur == before->cores.rlim_cur &&
                                        cores.rlim_max == before->cores.rlim_max},
        {"descriptors", count_descriptors() == before->descriptors},
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

static void interrupt(int number)
{
    (void)number;
}

/* As profilers do: system calls are interrupted, and not restarted; those of the threads that
 * release, for this one blocks the signal. */
static int send_signals(long every_us)
{
    const struct sigaction action = {.sa_handler = interrupt};
    const struct itimerval timer = {{0, every_us}, {0, every_us}};
    return change_mask(SIG_BLOCK) && sigaction(SIGALRM, &action, NULL) == 0 &&
           setitimer(ITIMER_REAL, &timer, NULL) == 0;
}

static int release_by_threads(void)
{
    struct process before = {.descriptors = count_descriptors()};
    pthread_t thread[THREADS];
    int failed = 0;
    signal(SIGPIPE, SIG_DFL); /* whoever started this may ignore it */
    if (getrlimit(RLIMIT_CORE, &before.cores) != 0 || !send_signals(1000))
        return 2;
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&thread[i], NULL, release, NULL) != 0)
            return 2;
    }
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        failed |= pthread_join(thread[i], &result) != 0 || result != NULL;
    }
    return !send_signals(0) || failed || check_process(&before);
}

/* --- one agent --- */

static struct vouchsafe_agent *new_agent(void)
{
    struct vouchsafe_agent *agent = NULL;
    if (vouchsafe_agent_new(&agent, NULL) != VOUCHSAFE_AGENT_OK ||
        vouchsafe_agent_set(agent, "config", config, NULL) != VOUCHSAFE_AGENT_OK ||
        vouchsafe_agent_set(agent, "secret", secret, NULL) != VOUCHSAFE_AGENT_OK)
        exit(2);
    return agent;
}

/* The caller frees them. */
static struct vouchsafe_agent_secrets *print_release(struct vouchsafe_agent *agent)
{
    struct vouchsafe_agent_secrets *secrets = NULL;
    struct vouchsafe_agent_error error = {.code = "unset"};
    size_t len = 0;
    uint32_t version = 0;
    if (vouchsafe_agent_release(agent, &secrets, &error) != VOUCHSAFE_AGENT_OK)
        printf("%d: %s: %s | %s\n", (int)error.status, error.code, error.sentence, error.advice);
    else if (vouchsafe_agent_secrets_value(secrets, secret, &len, &version) != NULL)
        printf("version %u\n", (unsigned)version);
    (void)fflush(stdout);
    return secrets;
}

static int release_by_line(void)
{
    struct vouchsafe_agent *agent = new_agent();
    while (getchar() != EOF)
        vouchsafe_agent_secrets_free(print_release(agent));
    vouchsafe_agent_free(agent);
    return 0;
}

static int release_and_fork(void)
{
    struct vouchsafe_agent *agent = new_agent();
    struct vouchsafe_agent_secrets *secrets = print_release(agent);
    const pid_t pid = fork();
    if (pid == 0)
        vouchsafe_agent_secrets_free(print_release(agent));
    if (pid < 0 || (pid > 0 && waitpid(pid, NULL, 0) != pid))
        return 2;
    if (pid > 0)
        vouchsafe_agent_secrets_free(print_release(agent));
    vouchsafe_agent_secrets_free(secrets);
    vouchsafe_agent_free(agent);
    return 0;
}

/* Of an agent that waits for a verifier; it ends by being cancelled, however late that is. */
static void *release_once(void *context)
{
    vouchsafe_agent_secrets_free(print_release(context));
    while (pause() != 0) /* nor does a signal end it */
        continue;
    return context;
}

static int release_and_cancel(void)
{
    struct vouchsafe_agent *agent = new_agent();
    pthread_t thread;
    void *result = NULL;
    if (pthread_create(&thread, NULL, release_once, agent) != 0 || usleep(200000) != 0 ||
        pthread_cancel(thread) != 0 || pthread_join(thread, &result) != 0 ||
        result != PTHREAD_CANCELED)
        return 2;
    vouchsafe_agent_free(agent);
    return 0;
}

static int release_in_small_heap(void)
{
    if (CRYPTO_secure_malloc_init(16384, 32) == 0)
        return 2;
    struct vouchsafe_agent *agent = new_agent();
    struct vouchsafe_agent_secrets *secrets = print_release(agent);
    size_t len = 0;
    /* The heap stays mapped, so that what freeing leaves behind can be looked at. */
    const unsigned char *value = vouchsafe_agent_secrets_value(secrets, secret, &len, NULL);
    vouchsafe_agent_secrets_free(secrets);
    for (size_t i = 0; value != NULL && i < len; i++) {
        if (value[i] != 0)
            return 3;
    }
    vouchsafe_agent_free(agent);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int arguments;
        int (*run)(void);
    } modes[] = {
        {"threads", 3, release_by_threads}, {"lines", 2, release_by_line},
        {"fork", 2, release_and_fork},      {"cancel", 2, release_and_cancel},
        {"heap", 2, release_in_small_heap},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (argc < 2 || strcmp(argv[1], modes[i].name) != 0 || argc != 2 + modes[i].arguments)
            continue;
        config = argv[2];
        secret = argv[3];
        expected = argv[argc - 1];
        return modes[i].run();
    }
    return 2;
}
