#include "snapshot.h"

#include <search.h>
#include <stdalign.h>
#include <stdlib.h>

#include "code_index.h"
#include "image_index.h"
#include "row_rules.h"

/* Trees are libc's (tsearch: balanced in glibc and musl).  Their nodes point at rows, rows
 * stand still, and what a row is found by never changes: so replacing a row adds to no tree and
 * cannot fail half-way.  At most it leaves one for good. */

#define INDEXES_MAX 2

/* What differs between the tables. */
struct table_rules {
    size_t row_size;
    enum err (*parse)(struct bytes columns, void *row);
    void (*release)(void *row);
    compare_fn *index[INDEXES_MAX]; /* each a unique key; NULL where there is none */
    /* Whether the row is in all indexes but the first; NULL: always.  One that has left never
     * comes back (`same`). */
    bool (*counts)(const void *row);
    refers_fn *refers;
    same_fn *same;
    enum err (*link)(struct policy *policy, uint64_t id); /* into the chains */
    /* After a row was replaced: for what depends on a value that may change. */
    void (*moved)(struct policy *policy, uint64_t id, const void *old_row, const void *new_row);
};

struct slot {
    const struct table_rules *rules;
    uint64_t id;
    uint64_t next;  /* a grant: of the same secret */
    uint64_t first; /* a secret: its newest grant */
    alignas(max_align_t) unsigned char row[];
};

struct table {
    uint64_t count;
    uint64_t room;
    struct slot **slot; /* row `id` is slot[id - 1] */
    void *tree[INDEXES_MAX];
};

#define X(T) TABLE_##T,
enum table_name { POLICY_TABLES(X) TABLE_COUNT };
#undef X

struct policy {
    struct table table[TABLE_COUNT];
    struct code_index codes;
    struct image_index images;
};

static struct slot *slot_of(const void *row)
{
    return (struct slot *)((uintptr_t)row - offsetof(struct slot, row));
}

static struct slot *slot_at(const struct policy *policy, enum table_name name, uint64_t id)
{
    const struct table *t = &policy->table[name];
    return id < 1 || id > t->count ? NULL : t->slot[id - 1];
}

static void slot_free(struct slot *slot)
{
    slot->rules->release(slot->row);
    free(slot);
}
CLEANUP_PTR(struct slot, slot_free, slot_freep)

/* --- Chains --- */

static enum err link_grant(struct policy *policy, uint64_t id)
{
    struct slot *grant = slot_at(policy, TABLE_grant, id);
    struct slot *secret = slot_at(policy, TABLE_secret, policy_grant_get(policy, id)->secret_id);
    grant->next = secret->first;
    secret->first = id;
    return ERR_OK;
}

static enum err link_image(struct policy *policy, uint64_t id)
{
    (void)id;
    return image_index_add(&policy->images);
}

/* An image has all its builds, the discarded ones too; a code has those that count. */
static enum err link_measurement(struct policy *policy, uint64_t id)
{
    const struct policy_measurement *m = policy_measurement_get(policy, id);
    TRY(image_index_make_room(&policy->images));
    if (row_measurement_counts(m))
        TRY(code_index_add(&policy->codes, id, m));
    image_index_build(&policy->images, m);
    return ERR_OK;
}

static void measurement_moved(struct policy *policy, uint64_t id, const void *old_row,
                              const void *new_row)
{
    code_index_move(&policy->codes, id, old_row, new_row);
    image_index_move(&policy->images, old_row, new_row);
}

/* --- The tables --- */

#define X(T)                                                   \
    static enum err parse_##T(struct bytes columns, void *row) \
    {                                                          \
        return policy_##T##_parse(columns, row);               \
    }                                                          \
    static void release_##T(void *row)                         \
    {                                                          \
        policy_##T##_free(row);                                \
    }
POLICY_TABLES(X)
#undef X

#define RULES(T) .row_size = sizeof(struct policy_##T), .parse = parse_##T, .release = release_##T

static const struct table_rules rules[TABLE_COUNT] = {
    [TABLE_setting] = {RULES(setting), .index = {row_by_setting_name}},
    [TABLE_person] = {RULES(person), .index = {row_by_person_name}, .same = row_person_same},
    [TABLE_token] = {RULES(token), .index = {row_by_token_hash}, .refers = row_token_refers,
                     .same = row_token_same},
    [TABLE_image] = {RULES(image), .index = {row_by_image_name}, .link = link_image},
    [TABLE_measurement] = {RULES(measurement), .index = {row_by_build, row_by_values},
                           .counts = row_measurement_counts, .refers = row_measurement_refers,
                           .same = row_measurement_same, .link = link_measurement,
                           .moved = measurement_moved},
    [TABLE_secret] = {RULES(secret), .index = {row_by_secret_name}, .same = row_secret_same},
    [TABLE_secret_version] = {RULES(secret_version), .index = {row_by_secret_version},
                              .refers = row_secret_version_refers, .same = row_secret_version_same},
    [TABLE_grant] = {RULES(grant), .refers = row_grant_refers, .same = row_grant_same,
                     .link = link_grant},
    [TABLE_own_key] = {RULES(own_key), .index = {row_by_key_version}},
    [TABLE_revocation] = {RULES(revocation), .index = {revocation_compare},
                          .refers = row_revocation_refers},
    [TABLE_enrolled_key] = {RULES(enrolled_key), .index = {row_by_public_key},
                            .refers = row_enrolled_key_refers, .same = row_enrolled_key_same},
};

/* --- Loading --- */

static enum err make_room(struct table *t)
{
    if (t->count < t->room)
        return ERR_OK;
    const uint64_t room = t->room == 0 ? 16 : 2 * t->room;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): it is an array of pointers */
    struct slot **more = realloc(t->slot, (size_t)room * sizeof *more);
    if (more == NULL)
        return ERR_NO_MEMORY;
    t->slot = more;
    t->room = room;
    return ERR_OK;
}

static bool counts(const struct table_rules *r, const void *row)
{
    return r->counts == NULL || r->counts(row);
}

/* Out of the trees from `first` on, `end` not included. */
static void unindex(struct table *t, const struct slot *slot, size_t first, size_t end)
{
    for (size_t i = first; i < end && slot->rules->index[i] != NULL; i++)
        tdelete(slot->row, &t->tree[i], slot->rules->index[i]);
}

/* Into every tree that it belongs in, or into none. */
static enum err index_row(struct table *t, const struct slot *slot, size_t *count)
{
    const size_t end = counts(slot->rules, slot->row) ? INDEXES_MAX : 1;
    for (*count = 0; *count < end && slot->rules->index[*count] != NULL; (*count)++) {
        void *const *node = tsearch(slot->row, &t->tree[*count], slot->rules->index[*count]);
        if (node != NULL && *node == slot->row)
            continue;
        unindex(t, slot, 0, *count);
        return node == NULL ? ERR_NO_MEMORY : ERR_STORE_TAMPERED;
    }
    return ERR_OK;
}

/* Takes the slot over where it succeeds. */
static enum err insert(struct policy *policy, struct table *t, struct slot **slot)
{
    size_t indexed;
    TRY(make_room(t));
    TRY(index_row(t, *slot, &indexed));
    t->slot[t->count++] = *slot;
    const struct table_rules *r = (*slot)->rules;
    const enum err err = r->link != NULL ? r->link(policy, (*slot)->id) : ERR_OK;
    if (err != ERR_OK) {
        t->count--;
        unindex(t, *slot, 0, indexed);
        return err;
    }
    *slot = NULL;
    return ERR_OK;
}

/* The contents change places: the old one leaves with the new slot. */
static enum err replace(struct policy *policy, struct table *t, struct slot *old, struct slot *slot)
{
    const struct table_rules *r = slot->rules;
    for (size_t i = 0; i < INDEXES_MAX && r->index[i] != NULL; i++) {
        if (r->index[i](old->row, slot->row) != 0)
            return ERR_STORE_TAMPERED;
    }
    if (r->same != NULL && !r->same(old->row, slot->row))
        return ERR_STORE_TAMPERED;
    /* Before the contents change: the old row is what the trees hold. */
    if (counts(r, old->row) && !counts(r, slot->row))
        unindex(t, old, 1, INDEXES_MAX);
    for (size_t i = 0; i < r->row_size; i++) {
        const unsigned char byte = old->row[i];
        old->row[i] = slot->row[i];
        slot->row[i] = byte;
    }
    if (r->moved != NULL)
        r->moved(policy, old->id, slot->row, old->row);
    return ERR_OK;
}

static enum err load(struct policy *policy, enum table_name name, uint64_t id, struct bytes columns)
{
    struct table *t = &policy->table[name];
    const struct table_rules *r = &rules[name];
    if (id < 1 || id > t->count + 1)
        return ERR_STORE_TAMPERED;
    CLEANUP(slot_freep)
    struct slot *slot = calloc(1, offsetof(struct slot, row) + r->row_size);
    if (slot == NULL)
        return ERR_NO_MEMORY;
    slot->rules = r;
    slot->id = id;
    TRY(r->parse(columns, slot->row));
    if (r->refers != NULL && !r->refers(policy, slot->row))
        return ERR_STORE_TAMPERED;
    return id <= t->count ? replace(policy, t, t->slot[id - 1], slot) : insert(policy, t, &slot);
}

#define X(T)                                                                             \
    enum err policy_##T##_load(struct policy *policy, uint64_t id, struct bytes columns) \
    {                                                                                    \
        return load(policy, TABLE_##T, id, columns);                                     \
    }                                                                                    \
    uint64_t policy_##T##_count(const struct policy *policy)                             \
    {                                                                                    \
        return policy->table[TABLE_##T].count;                                           \
    }                                                                                    \
    const struct policy_##T *policy_##T##_get(const struct policy *policy, uint64_t id)  \
    {                                                                                    \
        const struct slot *slot = slot_at(policy, TABLE_##T, id);                        \
        return slot == NULL ? NULL : (const void *)slot->row;                            \
    }
POLICY_TABLES(X)
#undef X

enum err policy_new(struct policy **out)
{
    struct policy *policy = calloc(1, sizeof *policy);
    if (policy == NULL)
        return ERR_NO_MEMORY;
    *out = policy;
    return ERR_OK;
}

/* Removes one node after the other at the root: tdestroy is GNU's alone. */
static void take_root(void **tree, compare_fn *compare)
{
    tdelete(*(void **)*tree, tree, compare);
}

void policy_free(struct policy *policy)
{
    if (policy == NULL)
        return;
    code_index_free(&policy->codes);
    for (size_t n = 0; n < TABLE_COUNT; n++) {
        struct table *t = &policy->table[n];
        for (size_t i = 0; i < INDEXES_MAX; i++) {
            while (t->tree[i] != NULL)
                take_root(&t->tree[i], rules[n].index[i]);
        }
        for (uint64_t i = 0; i < t->count; i++)
            slot_free(t->slot[i]);
        free(t->slot);
    }
    image_index_free(&policy->images);
    free(policy);
}

/* --- Finding --- */

static uint64_t find(const struct policy *policy, enum table_name name, size_t index,
                     const void *probe)
{
    void *const *node = tfind(probe, &policy->table[name].tree[index], rules[name].index[index]);
    return node == NULL ? 0 : slot_of(*node)->id;
}

/* False for what is too long to be anybody's name: a cut one could be another's. */
static bool copy_name(const char *name, char *out, size_t size)
{
    const size_t len = strnlen(name, size);
    if (len == size)
        return false;
    memcpy(out, name, len + 1);
    return true;
}

#define FIND_BY_NAME(T)                                                                            \
    uint64_t policy_find_##T(const struct policy *policy, const char *name)                        \
    {                                                                                              \
        struct policy_##T probe = {0};                                                             \
        return copy_name(name, probe.name, sizeof probe.name) ? find(policy, TABLE_##T, 0, &probe) \
                                                              : 0;                                 \
    }
FIND_BY_NAME(setting)
FIND_BY_NAME(person)
FIND_BY_NAME(image)
FIND_BY_NAME(secret)

uint64_t policy_find_token(const struct policy *policy, const uint8_t hash[static SHA256_LEN])
{
    struct policy_token probe = {0};
    memcpy(probe.hash, hash, sizeof probe.hash);
    return find(policy, TABLE_token, 0, &probe);
}

uint64_t policy_find_enrolled_key(const struct policy *policy,
                                  const uint8_t public_key[static ENROLLED_KEY_LEN])
{
    struct policy_enrolled_key probe = {0};
    memcpy(probe.public_key, public_key, sizeof probe.public_key);
    return find(policy, TABLE_enrolled_key, 0, &probe);
}

uint64_t policy_find_measurement(const struct policy *policy, uint64_t image_id,
                                 const char *version)
{
    struct policy_measurement probe = {.image_id = image_id};
    return copy_name(version, probe.version, sizeof probe.version)
               ? find(policy, TABLE_measurement, 0, &probe)
               : 0;
}

uint64_t policy_find_same_values(const struct policy *policy, const struct policy_measurement *m)
{
    return find(policy, TABLE_measurement, 1, m);
}

uint64_t policy_find_secret_version(const struct policy *policy, uint64_t secret_id,
                                    uint32_t version)
{
    const struct policy_secret_version probe = {.secret_id = secret_id, .version = version};
    return find(policy, TABLE_secret_version, 0, &probe);
}

uint64_t policy_next_build(const struct policy *policy, uint64_t image_id, uint64_t after)
{
    const struct policy_measurement *m = policy_measurement_get(policy, after);
    if (policy_image_get(policy, image_id) == NULL)
        return 0;
    if (m != NULL && m->image_id == image_id)
        return image_index_next(&policy->images, after);
    uint64_t id = image_index_of(&policy->images, image_id)->first;
    while (id != 0 && id <= after)
        id = image_index_next(&policy->images, id);
    return id;
}

uint64_t policy_count_builds(const struct policy *policy, uint64_t image_id,
                             enum measurement_state state)
{
    return policy_image_get(policy, image_id) == NULL
               ? 0
               : image_index_of(&policy->images, image_id)->in[state];
}

/* From the newest one down, and rotations are rare. */
uint64_t policy_find_own_key(const struct policy *policy, enum own_key_kind kind)
{
    for (uint64_t id = policy_own_key_count(policy); id > 0; id--) {
        const struct policy_own_key *key = policy_own_key_get(policy, id);
        if (key != NULL && key->kind == kind && key->state == POLICY_ACTIVE)
            return id;
    }
    return 0;
}

uint64_t policy_find_revocation(const struct policy *policy, const struct policy_revocation *probe)
{
    return find(policy, TABLE_revocation, 0, probe);
}

uint64_t policy_first_of_code(const struct policy *policy, const struct policy_facts *facts)
{
    return code_index_find(&policy->codes, facts).first;
}

uint64_t policy_first_draft_of_code(const struct policy *policy, const struct policy_facts *facts)
{
    return code_index_find(&policy->codes, facts).first_draft;
}

uint64_t policy_next_of_code(const struct policy *policy, uint64_t measurement_id)
{
    return code_index_next(&policy->codes, measurement_id);
}

uint64_t policy_first_grant(const struct policy *policy, uint64_t secret_id)
{
    const struct slot *slot = slot_at(policy, TABLE_secret, secret_id);
    return slot == NULL ? 0 : slot->first;
}

uint64_t policy_next_grant(const struct policy *policy, uint64_t grant_id)
{
    const struct slot *slot = slot_at(policy, TABLE_grant, grant_id);
    return slot == NULL ? 0 : slot->next;
}
