/* The verifier's addresses.  A name is looked up again for new connections once it was
 * looked up some seconds ago, in a thread of its own, because a resolver that does not
 * answer must not hold up the connections that are open.  Where a look-up fails,
 * or takes long, the addresses of the last one that did not are tried on. */
#ifndef VOUCHSAFE_RELAY_RESOLVER_H
#define VOUCHSAFE_RELAY_RESOLVER_H

#include <netdb.h>
#include <pthread.h>

#include "address.h"

#define RESOLVER_FOUND_MAX 8
#define RESOLVER_FRESH_MS  5000
#define RESOLVER_FAILED_MS 1000 /* then a name that could not be looked up is tried again */

struct resolver {
    const struct address_target *target;
    struct address found[RESOLVER_FOUND_MAX];
    size_t count;
    bool fixed; /* no name: never looked up */
    int64_t fresh_until_ms;
    bool running;
    int done_fd; /* readable: call resolver_finish */
    /* The thread's, until it has ended. */
    pthread_t thread;
    struct addrinfo *list;
    int rc;
};

/* `target` is borrowed.  ERR_FILE where there is no descriptor. */
MUST_CHECK enum err resolver_init(const struct address_target *target, struct resolver *out,
                                  struct fault *fault);
bool resolver_is_fresh(const struct resolver *resolver, int64_t now_ms);
/* Begins a look-up, unless one is running: false where there is no thread for it. */
bool resolver_begin(struct resolver *resolver);
/* Takes its result: NULL, or why the name could not be looked up. */
const char *resolver_finish(struct resolver *resolver, int64_t now_ms);

#endif
