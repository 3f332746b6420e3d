#include "refusals.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/attdoc.h"

#define BURST_MS ((uint64_t)REFUSALS_BURST * REFUSALS_EVERY_MS)

/* A refusal is owed for REFUSALS_EVERY_MS.  Kept as what is owed rather than as the time at
 * which it is not, so that a clock that is set back makes nobody owe more. */
struct instance {
    uint8_t id[SHA256_LEN];
    uint64_t owed_ms; /* at `at_ms`; 0: as good as unknown */
    uint64_t at_ms;
    uint64_t put_off; /* requests, since the last that was admitted */
};

struct refusals {
    pthread_mutex_t lock;
    struct instance instance[REFUSALS_INSTANCES];
};

enum err refusals_new(struct refusals **out)
{
    struct refusals *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&r->lock, NULL); /* Linux: cannot fail without attributes */
    *out = r;
    return ERR_OK;
}

void refusals_free(struct refusals *r)
{
    if (r == NULL)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* NULL where it is not remembered. */
static struct instance *find(struct refusals *r, const uint8_t id[static SHA256_LEN])
{
    for (size_t i = 0; i < REFUSALS_INSTANCES; i++) {
        if (memcmp(r->instance[i].id, id, SHA256_LEN) == 0)
            return &r->instance[i];
    }
    return NULL;
}

static void pay_off(struct instance *instance, uint64_t now_ms)
{
    const uint64_t passed_ms = now_ms > instance->at_ms ? now_ms - instance->at_ms : 0;
    instance->owed_ms -= passed_ms < instance->owed_ms ? passed_ms : instance->owed_ms;
    instance->at_ms = now_ms;
}

/* In the place of the one that owes least. */
static struct instance *add(struct refusals *r, const uint8_t id[static SHA256_LEN],
                            uint64_t now_ms)
{
    struct instance *least = &r->instance[0];
    for (size_t i = 0; i < REFUSALS_INSTANCES; i++) {
        pay_off(&r->instance[i], now_ms);
        if (r->instance[i].owed_ms < least->owed_ms)
            least = &r->instance[i];
    }
    *least = (struct instance){.at_ms = now_ms};
    memcpy(least->id, id, SHA256_LEN);
    return least;
}

static void admit(struct refusals *r, uint64_t now_ms, struct refusals_place *place)
{
    struct instance *instance = find(r, place->instance);
    if (instance == NULL)
        instance = add(r, place->instance, now_ms);
    pay_off(instance, now_ms);
    if (instance->owed_ms > BURST_MS - REFUSALS_EVERY_MS) {
        place->put_off = ++instance->put_off;
        place->wait_ms = instance->owed_ms - (BURST_MS - REFUSALS_EVERY_MS);
        return;
    }
    instance->owed_ms += REFUSALS_EVERY_MS;
    place->admitted = true;
    place->put_off = instance->put_off;
    instance->put_off = 0;
}

enum err refusals_admit(struct refusals *r, struct bytes module_id, uint64_t now_ms,
                        struct refusals_place *out)
{
    struct refusals_place place = {.admitted = false};
    TRY(digest_sha256(attdoc_instance(module_id), place.instance));
    pthread_mutex_lock(&r->lock);
    admit(r, now_ms, &place);
    pthread_mutex_unlock(&r->lock);
    *out = place;
    return ERR_OK;
}

void refusals_settle(struct refusals *r, const struct refusals_place *place,
                     enum refusals_outcome outcome)
{
    if (outcome == REFUSALS_REFUSED)
        return;
    pthread_mutex_lock(&r->lock);
    struct instance *instance = find(r, place->instance);
    if (instance != NULL) { /* else it made way for another since, and owes nothing at all */
        instance->owed_ms -=
            instance->owed_ms < REFUSALS_EVERY_MS ? instance->owed_ms : REFUSALS_EVERY_MS;
        if (outcome == REFUSALS_UNDECIDED)
            instance->put_off += place->put_off;
    }
    pthread_mutex_unlock(&r->lock);
}
