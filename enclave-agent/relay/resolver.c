#include "resolver.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void keep(struct resolver *resolver, const struct addrinfo *list)
{
    resolver->count = 0;
    for (; list != NULL && resolver->count < RESOLVER_FOUND_MAX; list = list->ai_next) {
        struct address *address = &resolver->found[resolver->count++];
        *address = (struct address){.len = list->ai_addrlen};
        memcpy(&address->sockaddr, list->ai_addr, list->ai_addrlen);
    }
}

static int look_up(const struct address_target *target, int flags, struct addrinfo **list)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    return getaddrinfo(target->host, target->port, &hints, list);
}

enum err resolver_init(const struct address_target *target, struct resolver *out,
                       struct fault *fault)
{
    struct resolver resolver = {.target = target, .done_fd = -1};
    struct addrinfo *list = NULL;
    if (target->is_unix) {
        resolver.fixed = true;
        resolver.found[0] = target->unix_address;
        resolver.count = 1;
    } else if (look_up(target, AI_NUMERICHOST, &list) == 0) {
        resolver.fixed = true;
        keep(&resolver, list);
        freeaddrinfo(list);
    } else {
        resolver.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (resolver.done_fd < 0)
            FAIL(fault, ERR_FILE, "no descriptor: %s", strerror(errno));
    }
    *out = resolver;
    return ERR_OK;
}

bool resolver_is_fresh(const struct resolver *resolver, int64_t now_ms)
{
    return resolver->fixed || (!resolver->running && now_ms < resolver->fresh_until_ms);
}

static void *run(void *arg)
{
    struct resolver *resolver = arg;
    const uint64_t one = 1;
    resolver->list = NULL;
    resolver->rc = look_up(resolver->target, 0, &resolver->list);
    /* Cannot fail: the descriptor is there, and its counter far from full. */
    (void)!write(resolver->done_fd, &one, sizeof one);
    return NULL;
}

bool resolver_begin(struct resolver *resolver)
{
    if (!resolver->running)
        resolver->running = pthread_create(&resolver->thread, NULL, run, resolver) == 0;
    return resolver->running;
}

const char *resolver_finish(struct resolver *resolver, int64_t now_ms)
{
    uint64_t count = 0;
    (void)!read(resolver->done_fd, &count, sizeof count);
    pthread_join(resolver->thread, NULL); /* it has nothing left to do */
    resolver->running = false;
    if (resolver->rc != 0) {
        resolver->fresh_until_ms = now_ms + RESOLVER_FAILED_MS;
        return gai_strerror(resolver->rc);
    }
    keep(resolver, resolver->list);
    freeaddrinfo(resolver->list);
    resolver->fresh_until_ms = now_ms + RESOLVER_FRESH_MS;
    return NULL;
}
