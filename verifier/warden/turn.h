/* A lock whose holders come in the order in which they asked.  A mutex gives it to whoever runs
 * first, so that one that is given up and taken again at once leaves others waiting. */
#ifndef VOUCHSAFE_WARDEN_TURN_H
#define VOUCHSAFE_WARDEN_TURN_H

#include <pthread.h>
#include <stdint.h>

struct turn {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    uint64_t drawn;  /* tickets so far */
    uint64_t served; /* turns that have ended; the ticket of this number has its turn */
};

void turn_init(struct turn *turn);
void turn_destroy(struct turn *turn); /* nobody waits or holds it */
void turn_take(struct turn *turn);
void turn_end(struct turn *turn);

#endif
