#include "chain_cache.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
    uint64_t used; /* the tick of its last use; 0: empty */
    uint8_t key[SHA256_LEN];
    struct chain_prefix prefix;
};

/* A genuine fleet has one prefix per instance and day: few enough to walk them all. */
struct chain_cache {
    pthread_mutex_t lock;
    uint64_t tick;
    size_t count;
    struct entry entry[];
};

void chain_prefix_free(struct chain_prefix *prefix)
{
    EVP_PKEY_free(prefix->issuer_key);
    prefix->issuer_key = NULL;
}

/* The caller holds the lock, which covers the count of references as well. */
static bool copy_prefix(const struct chain_prefix *from, struct chain_prefix *to)
{
    if (EVP_PKEY_up_ref(from->issuer_key) != 1)
        return false;
    *to = *from;
    return true;
}

enum err chain_cache_new(size_t entries, struct chain_cache **out)
{
    if (entries == 0)
        return ERR_USAGE;
    if (entries > (SIZE_MAX - sizeof(struct chain_cache)) / sizeof(struct entry))
        return ERR_NO_MEMORY;
    struct chain_cache *cache = calloc(1, sizeof *cache + entries * sizeof cache->entry[0]);
    if (cache == NULL)
        return ERR_NO_MEMORY;
    if (pthread_mutex_init(&cache->lock, NULL) != 0) {
        free(cache);
        return ERR_NO_MEMORY;
    }
    cache->count = entries;
    *out = cache;
    return ERR_OK;
}

void chain_cache_free(struct chain_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < cache->count; i++)
        chain_prefix_free(&cache->entry[i].prefix);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static struct entry *find_entry(struct chain_cache *cache, const uint8_t *key)
{
    for (size_t i = 0; i < cache->count; i++) {
        struct entry *entry = &cache->entry[i];
        if (entry->used != 0 && memcmp(entry->key, key, SHA256_LEN) == 0)
            return entry;
    }
    return NULL;
}

static struct entry *oldest_entry(struct chain_cache *cache)
{
    struct entry *oldest = &cache->entry[0];
    for (size_t i = 1; i < cache->count; i++) {
        if (cache->entry[i].used < oldest->used)
            oldest = &cache->entry[i];
    }
    return oldest;
}

bool chain_cache_get(struct chain_cache *cache, const uint8_t key[static SHA256_LEN],
                     struct chain_prefix *out)
{
    if (pthread_mutex_lock(&cache->lock) != 0)
        return false;
    struct entry *entry = find_entry(cache, key);
    const bool hit = entry != NULL && copy_prefix(&entry->prefix, out);
    if (hit)
        entry->used = ++cache->tick;
    pthread_mutex_unlock(&cache->lock);
    return hit;
}

void chain_cache_put(struct chain_cache *cache, const uint8_t key[static SHA256_LEN],
                     const struct chain_prefix *prefix)
{
    if (pthread_mutex_lock(&cache->lock) != 0)
        return;
    struct chain_prefix copy;
    /* Two threads may have verified the same prefix at once: the first one stays. */
    if (find_entry(cache, key) == NULL && copy_prefix(prefix, &copy)) {
        struct entry *entry = oldest_entry(cache);
        chain_prefix_free(&entry->prefix);
        memcpy(entry->key, key, SHA256_LEN);
        entry->prefix = copy;
        entry->used = ++cache->tick;
    }
    pthread_mutex_unlock(&cache->lock);
}
