#include "rate.h"

#include <netinet/in.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/openssl_cleanup.h"

#define SETS    512
#define WAYS    8
#define TOKEN_M 1000 /* buckets count thousandths: a rate per second adds itself each ms */

struct bucket {
    uint64_t address;
    uint64_t last_ms;
    uint64_t tokens_m;
    sa_family_t family; /* 0: unused */
};

struct rate {
    pthread_mutex_t lock;
    uint64_t per_s;
    uint64_t full_m;
    uint64_t seed; /* so that nobody can aim addresses at one set */
    struct bucket set[SETS][WAYS];
};

enum err rate_new(unsigned per_s, unsigned burst, struct rate **out)
{
    CLEANUP(rate_freep) struct rate *rate = calloc(1, sizeof *rate);
    if (rate == NULL)
        return ERR_NO_MEMORY;
    rate->per_s = per_s;
    rate->full_m = (uint64_t)(burst == 0 ? 1 : burst) * TOKEN_M;
    pthread_mutex_init(&rate->lock, NULL); /* Linux: cannot fail without attributes */
    if (RAND_bytes((unsigned char *)&rate->seed, sizeof rate->seed) != 1)
        return crypto_failed();
    *out = TAKE(rate);
    return ERR_OK;
}

void rate_free(struct rate *rate)
{
    if (rate == NULL)
        return;
    pthread_mutex_destroy(&rate->lock);
    free(rate);
}

/* What counts as one source; false for what is no IP address. */
static bool source_of(const struct sockaddr *address, struct bucket *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    *out = (struct bucket){.family = address->sa_family};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        out->address = v4.sin_addr.s_addr;
        return true;
    }
    if (address->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    if (memcmp(v6.sin6_addr.s6_addr, mapped, sizeof mapped) == 0) {
        out->family = AF_INET;
        memcpy(&out->address, v6.sin6_addr.s6_addr + sizeof mapped, 4);
    } else {
        memcpy(&out->address, v6.sin6_addr.s6_addr, 8);
    }
    return true;
}

static struct bucket *set_of(struct rate *rate, uint64_t address)
{
    /* The finaliser of splitmix64: every bit of the address moves every bit. */
    uint64_t h = address ^ rate->seed;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9U;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebU;
    h ^= h >> 31;
    return rate->set[h % SETS];
}

/* The source's bucket, or a full one in the place of the one used least recently. */
static struct bucket *bucket_of(struct rate *rate, const struct bucket *source, uint64_t now_ms)
{
    struct bucket *set = set_of(rate, source->address);
    struct bucket *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].family == source->family && set[i].address == source->address)
            return &set[i];
        if (set[i].family == 0 || (oldest->family != 0 && set[i].last_ms < oldest->last_ms))
            oldest = &set[i];
    }
    *oldest = *source;
    oldest->tokens_m = rate->full_m;
    oldest->last_ms = now_ms;
    return oldest;
}

bool rate_take(struct rate *rate, const struct sockaddr *address, uint64_t now_ms)
{
    struct bucket source;
    if (rate->per_s == 0 || !source_of(address, &source))
        return true;
    pthread_mutex_lock(&rate->lock);
    struct bucket *b = bucket_of(rate, &source, now_ms);
    /* Threads read the clock before they take the lock: a step back counts as none. */
    if (now_ms > b->last_ms) {
        const uint64_t gained_m = (now_ms - b->last_ms) * rate->per_s;
        b->tokens_m = gained_m > rate->full_m - b->tokens_m ? rate->full_m : b->tokens_m + gained_m;
        b->last_ms = now_ms;
    }
    const bool granted = b->tokens_m >= TOKEN_M;
    if (granted)
        b->tokens_m -= TOKEN_M;
    pthread_mutex_unlock(&rate->lock);
    return granted;
}
