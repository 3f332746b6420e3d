#include "serving.h"

#include <errno.h>
#include <time.h>

#define REFUSALS_LOGGED_PER_S 10

enum err serving_init(struct serving *serving, const struct front_options *options,
                      struct warden *warden, struct fault *fault)
{
    pthread_condattr_t attributes;
    *serving = (struct serving){.warden = warden, .limits = *options};
    memset(serving->limits.listener, 0, sizeof serving->limits.listener);
    /* Linux: none of these can fail for valid arguments. */
    pthread_mutex_init(&serving->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&serving->idle, &attributes);
    pthread_condattr_destroy(&attributes);
    enum err err = rate_new(options->rate_per_s, options->rate_burst, &serving->rate);
    if (err == ERR_OK)
        err = reaper_new(&serving->reaper);
    if (err != ERR_OK)
        FAIL(fault, err, "%s", err_sentence(err));
    return ERR_OK;
}

void serving_free(struct serving *serving)
{
    reaper_free(serving->reaper);
    rate_free(serving->rate);
    pthread_cond_destroy(&serving->idle);
    pthread_mutex_destroy(&serving->lock);
}

void serving_enter(struct serving *serving)
{
    pthread_mutex_lock(&serving->lock);
    serving->running++;
    pthread_mutex_unlock(&serving->lock);
}

void serving_leave(struct serving *serving)
{
    pthread_mutex_lock(&serving->lock);
    serving->running--;
    if (serving->running == 0)
        pthread_cond_broadcast(&serving->idle);
    pthread_mutex_unlock(&serving->lock);
}

bool serving_wait_idle(struct serving *serving, unsigned deadline_ms)
{
    struct timespec until;
    int waited = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const uint64_t nsec = (uint64_t)until.tv_nsec + (uint64_t)(deadline_ms % 1000) * 1000000;
    until.tv_sec += (time_t)(deadline_ms / 1000 + nsec / 1000000000);
    until.tv_nsec = (long)(nsec % 1000000000);
    pthread_mutex_lock(&serving->lock);
    while (serving->running > 0 && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&serving->idle, &serving->lock, &until);
    const bool idle = serving->running == 0;
    pthread_mutex_unlock(&serving->lock);
    return idle;
}

bool serving_may_log(struct serving *serving)
{
    const uint64_t now_s = reaper_now_ms() / 1000;
    if (atomic_exchange(&serving->logged_s, now_s) != now_s)
        atomic_store(&serving->logged, 0);
    return atomic_fetch_add(&serving->logged, 1) < REFUSALS_LOGGED_PER_S;
}
