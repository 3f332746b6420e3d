#include "image_index.h"

/* What malloc returns is aligned for both. */
static struct image_builds *builds_at(const struct image_index *index, uint64_t image_id)
{
    return (struct image_builds *)(void *)index->builds.ptr + (image_id - 1);
}

static uint64_t *next_at(const struct image_index *index, uint64_t measurement_id)
{
    return (uint64_t *)(void *)index->next.ptr + (measurement_id - 1);
}

void image_index_free(struct image_index *index)
{
    buf_free(&index->builds);
    buf_free(&index->next);
}

enum err image_index_add(struct image_index *index)
{
    const struct image_builds none = {.first = 0};
    return buf_append(&index->builds, bytes_of(&none, sizeof none));
}

enum err image_index_make_room(struct image_index *index)
{
    return buf_reserve(&index->next, sizeof(uint64_t));
}

void image_index_build(struct image_index *index, const struct policy_measurement *m)
{
    struct image_builds *builds = builds_at(index, m->image_id);
    index->next.len += sizeof(uint64_t);
    const uint64_t id = index->next.len / sizeof(uint64_t);
    *next_at(index, id) = 0;
    if (builds->first == 0)
        builds->first = id;
    else
        *next_at(index, builds->last) = id;
    builds->last = id;
    builds->in[m->state]++;
}

void image_index_move(struct image_index *index, const struct policy_measurement *before,
                      const struct policy_measurement *after)
{
    struct image_builds *builds = builds_at(index, after->image_id);
    builds->in[before->state]--;
    builds->in[after->state]++;
}

const struct image_builds *image_index_of(const struct image_index *index, uint64_t image_id)
{
    return builds_at(index, image_id);
}

uint64_t image_index_next(const struct image_index *index, uint64_t measurement_id)
{
    return *next_at(index, measurement_id);
}
