/* Whoever asked first comes first, also before one who gives up and asks again at once. */
#include "unit.h"

#include <pthread.h>
#include <unistd.h>

#include "verifier/warden/turn.h"

#define WAITING 4

struct line {
    struct turn turn;
    unsigned served[WAITING + 1]; /* under the turn */
    unsigned count;
    unsigned inside; /* more than one is a lock that is none */
};

struct waiting {
    pthread_t thread;
    struct line *line;
    unsigned number;
};

static uint64_t drawn(struct turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    const uint64_t now = turn->drawn;
    pthread_mutex_unlock(&turn->mutex);
    return now;
}

static void *take(void *context)
{
    const struct waiting *w = context;
    turn_take(&w->line->turn);
    ck_assert_uint_eq(++w->line->inside, 1);
    w->line->served[w->line->count++] = w->number;
    w->line->inside--;
    turn_end(&w->line->turn);
    return NULL;
}

START_TEST(valid_order)
{
    struct line line = {.count = 0};
    struct waiting w[WAITING];
    turn_init(&line.turn);
    for (unsigned round = 0; round < 20; round++) {
        line.count = 0;
        turn_take(&line.turn);
        const uint64_t mine = drawn(&line.turn);
        for (unsigned i = 0; i < WAITING; i++) {
            w[i] = (struct waiting){.line = &line, .number = i};
            ck_assert_int_eq(pthread_create(&w[i].thread, NULL, take, &w[i]), 0);
            while (drawn(&line.turn) != mine + i + 1)
                usleep(100);
        }
        ck_assert_uint_eq(line.count, 0);
        turn_end(&line.turn);
        turn_take(&line.turn); /* again at once: behind all of them */
        line.served[line.count++] = WAITING;
        turn_end(&line.turn);
        for (unsigned i = 0; i < WAITING; i++)
            ck_assert_int_eq(pthread_join(w[i].thread, NULL), 0);
        for (unsigned i = 0; i <= WAITING; i++)
            ck_assert_uint_eq(line.served[i], i);
    }
    turn_destroy(&line.turn);
}
END_TEST

UNIT_MAIN("turn", valid_order)
