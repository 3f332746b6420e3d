#include "row_rules.h"

/* --- What a row is found by --- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

#define BY_NAME(T)                                                                                 \
    int row_by_##T##_name(const void *a, const void *b)                                            \
    {                                                                                              \
        return strcmp(((const struct policy_##T *)a)->name, ((const struct policy_##T *)b)->name); \
    }
BY_NAME(setting)
BY_NAME(person)
BY_NAME(image)
BY_NAME(secret)
#undef BY_NAME

int row_by_token_hash(const void *a, const void *b)
{
    return memcmp(((const struct policy_token *)a)->hash, ((const struct policy_token *)b)->hash,
                  SHA256_LEN);
}

int row_by_public_key(const void *a, const void *b)
{
    return memcmp(((const struct policy_enrolled_key *)a)->public_key,
                  ((const struct policy_enrolled_key *)b)->public_key, ENROLLED_KEY_LEN);
}

int row_by_build(const void *a, const void *b)
{
    const struct policy_measurement *x = a;
    const struct policy_measurement *y = b;
    const int image = compare_numbers(x->image_id, y->image_id);
    return image != 0 ? image : strcmp(x->version, y->version);
}

static int compare_bufs(const struct buf *a, const struct buf *b)
{
    const int len = compare_numbers(a->len, b->len);
    return len != 0 || a->len == 0 ? len : memcmp(a->ptr, b->ptr, a->len);
}

int row_by_values(const void *a, const void *b)
{
    const struct policy_measurement *x = a;
    const struct policy_measurement *y = b;
    int order = compare_numbers(x->kind, y->kind);
    if (order == 0)
        order = compare_numbers(x->debug, y->debug);
    if (order == 0)
        order = memcmp(x->root, y->root, sizeof x->root);
    return order != 0 ? order : compare_bufs(&x->pcrs, &y->pcrs);
}

int row_by_secret_version(const void *a, const void *b)
{
    const struct policy_secret_version *x = a;
    const struct policy_secret_version *y = b;
    const int secret = compare_numbers(x->secret_id, y->secret_id);
    return secret != 0 ? secret : compare_numbers(x->version, y->version);
}

int row_by_key_version(const void *a, const void *b)
{
    const struct policy_own_key *x = a;
    const struct policy_own_key *y = b;
    const int kind = compare_numbers(x->kind, y->kind);
    return kind != 0 ? kind : compare_numbers(x->version, y->version);
}

/* --- What a row refers to, and what of it never changes --- */

bool row_token_refers(const struct policy *policy, const void *row)
{
    const struct policy_token *token = row;
    return policy_person_get(policy, token->person_id) != NULL;
}

bool row_enrolled_key_refers(const struct policy *policy, const void *row)
{
    const struct policy_enrolled_key *key = row;
    return policy_person_get(policy, key->person_id) != NULL;
}

bool row_measurement_refers(const struct policy *policy, const void *row)
{
    const struct policy_measurement *m = row;
    return policy_image_get(policy, m->image_id) != NULL &&
           (m->added_by == 0 || policy_person_get(policy, m->added_by) != NULL);
}

bool row_secret_version_refers(const struct policy *policy, const void *row)
{
    const struct policy_secret_version *version = row;
    return policy_secret_get(policy, version->secret_id) != NULL;
}

bool row_grant_refers(const struct policy *policy, const void *row)
{
    const struct policy_grant *grant = row;
    const struct policy_measurement *m = policy_measurement_get(policy, grant->measurement_id);
    return policy_secret_get(policy, grant->secret_id) != NULL &&
           (grant->image_id == 0 || policy_image_get(policy, grant->image_id) != NULL) &&
           (grant->registered_image_id == 0 ||
            policy_image_get(policy, grant->registered_image_id) != NULL) &&
           (grant->measurement_id == 0 || (m != NULL && m->image_id == grant->image_id));
}

bool row_revocation_refers(const struct policy *policy, const void *row)
{
    const struct policy_revocation *r = row;
    return policy_person_get(policy, r->person_id) != NULL;
}

bool row_person_same(const void *old_row, const void *new_row)
{
    const struct policy_person *before = old_row;
    const struct policy_person *after = new_row;
    return before->state <= after->state;
}

/* What a token may is what its maker said; only its end can be brought forward. */
bool row_token_same(const void *old_row, const void *new_row)
{
    const struct policy_token *before = old_row;
    const struct policy_token *after = new_row;
    return before->person_id == after->person_id && before->rights == after->rights &&
           before->expires_ms == after->expires_ms && before->state <= after->state &&
           compare_bufs(&before->images, &after->images) == 0;
}

/* No file is taken twice: the serial only rises. */
bool row_enrolled_key_same(const void *old_row, const void *new_row)
{
    const struct policy_enrolled_key *before = old_row;
    const struct policy_enrolled_key *after = new_row;
    return before->person_id == after->person_id && before->state <= after->state &&
           before->last_serial <= after->last_serial &&
           compare_bufs(&before->images, &after->images) == 0;
}

bool row_grant_same(const void *old_row, const void *new_row)
{
    const struct policy_grant *before = old_row;
    const struct policy_grant *after = new_row;
    return before->secret_id == after->secret_id && before->image_id == after->image_id &&
           before->measurement_id == after->measurement_id &&
           before->registered_image_id == after->registered_image_id;
}

bool row_measurement_same(const void *old_row, const void *new_row)
{
    const struct policy_measurement *before = old_row;
    const struct policy_measurement *after = new_row;
    if (before->added_by != after->added_by)
        return false;
    if (before->state == MEASUREMENT_REVOKED || before->state == MEASUREMENT_DISCARDED)
        return after->state == before->state;
    return after->state != MEASUREMENT_DISCARDED || before->state == MEASUREMENT_DRAFT;
}

bool row_measurement_counts(const void *row)
{
    const struct policy_measurement *m = row;
    return m->state != MEASUREMENT_DISCARDED;
}

/* What was destroyed stays destroyed, and no older value becomes the one released. */
bool row_secret_same(const void *old_row, const void *new_row)
{
    const struct policy_secret *before = old_row;
    const struct policy_secret *after = new_row;
    return before->state <= after->state && before->current_version <= after->current_version;
}

bool row_secret_version_same(const void *old_row, const void *new_row)
{
    const struct policy_secret_version *before = old_row;
    const struct policy_secret_version *after = new_row;
    return before->state <= after->state;
}
