#include "reaper.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct reaper_entry {
    struct reaper *reaper;
    int fd;
    uint64_t deadline_ms; /* 0: none */
    struct reaper_entry *next;
    struct reaper_entry *prev;
};

struct reaper {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool stop;
    struct reaper_entry *first;
};

uint64_t reaper_now_ms(void)
{
    struct timespec now;
    /* Cannot fail: the clock exists and the pointer is valid (clock_gettime(2)). */
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void cut_overdue(const struct reaper *reaper)
{
    const uint64_t now_ms = reaper_now_ms();
    for (struct reaper_entry *e = reaper->first; e != NULL; e = e->next) {
        if (e->deadline_ms == 0 || now_ms < e->deadline_ms)
            continue;
        /* ENOTCONN where the peer was quicker: the end is the same. */
        shutdown(e->fd, SHUT_RDWR);
        e->deadline_ms = 0;
    }
}

static void *reaper_run(void *arg)
{
    struct reaper *reaper = arg;
    pthread_mutex_lock(&reaper->lock);
    while (!reaper->stop) {
        struct timespec until;
        cut_overdue(reaper);
        if (reaper->first == NULL) {
            pthread_cond_wait(&reaper->wake, &reaper->lock);
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += REAPER_TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&reaper->wake, &reaper->lock, &until);
    }
    pthread_mutex_unlock(&reaper->lock);
    return NULL;
}

enum err reaper_new(struct reaper **out)
{
    pthread_condattr_t attributes;
    struct reaper *reaper = calloc(1, sizeof *reaper);
    if (reaper == NULL)
        return ERR_NO_MEMORY;
    /* Linux: none of these can fail for valid arguments. */
    pthread_mutex_init(&reaper->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&reaper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&reaper->thread, NULL, reaper_run, reaper) != 0) {
        pthread_cond_destroy(&reaper->wake);
        pthread_mutex_destroy(&reaper->lock);
        free(reaper);
        return ERR_INTERNAL;
    }
    *out = reaper;
    return ERR_OK;
}

void reaper_free(struct reaper *reaper)
{
    if (reaper == NULL)
        return;
    pthread_mutex_lock(&reaper->lock);
    reaper->stop = true;
    pthread_cond_signal(&reaper->wake);
    pthread_mutex_unlock(&reaper->lock);
    pthread_join(reaper->thread, NULL);
    pthread_cond_destroy(&reaper->wake);
    pthread_mutex_destroy(&reaper->lock);
    free(reaper);
}

struct reaper_entry *reaper_watch(struct reaper *reaper, int fd, uint64_t after_ms)
{
    struct reaper_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->reaper = reaper;
    entry->fd = fd;
    entry->deadline_ms = reaper_now_ms() + after_ms;
    pthread_mutex_lock(&reaper->lock);
    entry->next = reaper->first;
    if (entry->next != NULL)
        entry->next->prev = entry;
    reaper->first = entry;
    pthread_cond_signal(&reaper->wake);
    pthread_mutex_unlock(&reaper->lock);
    return entry;
}

void reaper_set(struct reaper_entry *entry, uint64_t after_ms)
{
    const uint64_t deadline_ms = after_ms == 0 ? 0 : reaper_now_ms() + after_ms;
    pthread_mutex_lock(&entry->reaper->lock);
    entry->deadline_ms = deadline_ms;
    pthread_mutex_unlock(&entry->reaper->lock);
}

void reaper_forget(struct reaper_entry *entry)
{
    if (entry == NULL)
        return;
    struct reaper *reaper = entry->reaper;
    pthread_mutex_lock(&reaper->lock);
    if (entry->next != NULL)
        entry->next->prev = entry->prev;
    if (entry->prev != NULL)
        entry->prev->next = entry->next;
    else
        reaper->first = entry->next;
    pthread_mutex_unlock(&reaper->lock);
    free(entry);
}
