#include "turn.h"

void turn_init(struct turn *turn)
{
    *turn = (struct turn){.mutex = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
}

void turn_destroy(struct turn *turn)
{
    pthread_cond_destroy(&turn->ended);
    pthread_mutex_destroy(&turn->mutex);
}

void turn_take(struct turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    const uint64_t ticket = turn->drawn++;
    while (turn->served != ticket)
        pthread_cond_wait(&turn->ended, &turn->mutex);
    pthread_mutex_unlock(&turn->mutex);
}

/* All who wait look: they are as many as there are threads that serve. */
void turn_end(struct turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    turn->served++;
    pthread_cond_broadcast(&turn->ended);
    pthread_mutex_unlock(&turn->mutex);
}
