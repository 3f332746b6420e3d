/* The builds of each image: in order of their ids, and how many are in which state.  Inside
 * policy/ only: snapshot.c keeps it, policy.h tells it. */
#ifndef VOUCHSAFE_POLICY_IMAGE_INDEX_H
#define VOUCHSAFE_POLICY_IMAGE_INDEX_H

#include "policy.h"

struct image_builds {
    uint64_t first; /* measurement ids; 0: none */
    uint64_t last;
    uint64_t in[MEASUREMENT_STATE_LAST + 1];
};

struct image_index {
    struct buf builds; /* of struct image_builds: image n stands at n - 1 */
    struct buf next;   /* of uint64_t, for each measurement: the next one of its image; 0: none */
};
void image_index_free(struct image_index *index);

/* The next image, without builds. */
MUST_CHECK enum err image_index_add(struct image_index *index);
/* Makes sure that image_index_build can do its work. */
MUST_CHECK enum err image_index_make_room(struct image_index *index);
/* The next measurement is one of this image, and there is room. */
void image_index_build(struct image_index *index, const struct policy_measurement *m);
/* A measurement of the image has changed its state. */
void image_index_move(struct image_index *index, const struct policy_measurement *before,
                      const struct policy_measurement *after);

/* Of an image that exists. */
const struct image_builds *image_index_of(const struct image_index *index, uint64_t image_id);
uint64_t image_index_next(const struct image_index *index, uint64_t measurement_id);

#endif
