/* The known word that a mistyped one was probably meant to be: for options, commands
 * and settings, which are all refused when unknown (DESIGN section 8).
 *
 *     struct nearest n = {.word = given};
 *     for (...)
 *         nearest_offer(&n, known[i]);
 *     if (n.best != NULL) ...
 *
 * Words are short: what is longer than NEAREST_LEN_MAX is near to nothing. */
#ifndef VOUCHSAFE_NEAREST_H
#define VOUCHSAFE_NEAREST_H

#include <stddef.h>

#define NEAREST_LEN_MAX 63

struct nearest {
    const char *word; /* what was given; borrowed */
    const char *best; /* the nearest offered so far, or NULL; borrowed */
    size_t distance;  /* of best: letters to change, add, drop or swap with a neighbour */
};

/* Takes `candidate` where it is nearer than the best so far, and near enough: at most
 * a third of the given word's letters differ, one at least being allowed. */
void nearest_offer(struct nearest *nearest, const char *candidate);

#endif
