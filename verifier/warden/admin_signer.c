/* Keys that sign registration files: whose they are, and for which images. */
#include <stdio.h>
#include <string.h>

#include "admin_change.h"
#include "common/json_reader.h"

/* --- Showing --- */

static enum err show_signer(const struct policy *policy, uint64_t id, const void *context,
                            json_t *object)
{
    const struct policy_enrolled_key *key = policy_enrolled_key_get(policy, id);
    const struct policy_person *person = policy_person_get(policy, key->person_id);
    const bool removed = key->state != POLICY_ACTIVE;
    (void)context;
    TRY(admin_set(object, "id", json_integer((json_int_t)id)));
    TRY(admin_set(object, "person", json_string(person->name)));
    TRY(admin_set(object, "key", admin_base64(bytes_of(key->public_key, sizeof key->public_key))));
    TRY(admin_set_images(object, bytes_of_buf(&key->images)));
    TRY(admin_set(object, "label", json_string(key->label)));
    TRY(admin_set(object, "last_serial", json_integer((json_int_t)key->last_serial)));
    TRY(admin_set(object, "state",
                  json_string(person->state != POLICY_ACTIVE ? "person removed"
                              : removed                      ? "removed"
                                                             : "active")));
    return admin_set(object, "created", admin_time(key->created_ms));
}

static enum err answer_signer(struct admin_call *call, uint64_t id, const char *result, json_t *out)
{
    return admin_answer_row(call, &(const struct admin_row){"signer", show_signer, NULL}, id,
                            result, out);
}

enum err admin_signer_list(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = admin_list(call, policy, "signers", policy_enrolled_key_count(policy),
                                    NULL, show_signer, NULL, out);
    ledger_done(call->warden->ledger);
    return err;
}

/* --- Adding --- */

struct new_signer {
    char person[PROTOCOL_PERSON_MAX + 1];
    struct policy_enrolled_key key;
};

static void new_signer_free(struct new_signer *new)
{
    policy_enrolled_key_free(&new->key);
}

static enum err read_signer(struct admin_call *call, struct new_signer *new)
{
    struct policy_enrolled_key *key = &new->key;
    struct bytes value = {0};
    if ((call->rights & RIGHT_DRAFT) == 0)
        FAIL(call->fault, ERR_FORBIDDEN,
             "%s's token does not have the right draft and cannot give it", call->person);
    TRY(admin_person_name(call, "person", new->person));
    TRY(admin_bytes(call, "key", ADMIN_REQUIRED, &value));
    if (value.len != sizeof key->public_key)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "key"), ERR_MALFORMED,
             "an Ed25519 public key of %zu bytes is expected", sizeof key->public_key);
    memcpy(key->public_key, value.ptr, sizeof key->public_key);
    TRY(admin_images(call, ADMIN_REQUIRED, &key->images));
    TRY(admin_text(call, "label", ADMIN_OPTIONAL, sizeof key->label, key->label));
    key->state = POLICY_ACTIVE;
    key->created_ms = call->now_ms;
    return ERR_OK;
}

static enum err put_signer(const struct policy_enrolled_key *key, uint64_t id,
                           struct ledger_change *change)
{
    CLEANUP(buf_free) struct buf columns = {0};
    TRY(policy_enrolled_key_append(key, &columns));
    return ledger_change_add(change, POLICY_ENROLLED_KEY, id, &columns);
}

static bool same_signer(const struct policy_enrolled_key *a, const struct policy_enrolled_key *b)
{
    return a->person_id == b->person_id && a->state == b->state &&
           strcmp(a->label, b->label) == 0 &&
           bytes_equal(bytes_of_buf(&a->images), bytes_of_buf(&b->images));
}

/* For the record: for which images. */
static enum err describe(const struct policy_enrolled_key *key, struct buf *text)
{
    CLEANUP(json_decrefp) json_t *json = json_object();
    if (json == NULL)
        return ERR_NO_MEMORY;
    TRY(admin_set_images(json, bytes_of_buf(&key->images)));
    TRY(admin_set(json, "key", admin_base64(bytes_of(key->public_key, sizeof key->public_key))));
    TRY(admin_set(json, "label", json_string(key->label)));
    return json_append(text, json);
}

static enum err prepare_add(struct admin_call *call, const struct policy *policy, void *asked,
                            struct admin_change *change)
{
    struct new_signer *new = asked;
    struct policy_enrolled_key *key = &new->key;
    TRY(admin_person_find(call, policy, new->person, &key->person_id));
    change->id = policy_find_enrolled_key(policy, key->public_key);
    if (change->id != 0 && !same_signer(policy_enrolled_key_get(policy, change->id), key))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "key"), ERR_EXISTS,
             "signer %llu has this key, and is another or was removed: make a new key",
             (unsigned long long)change->id);
    if (change->id != 0)
        return ERR_OK;
    change->id = policy_enrolled_key_count(policy) + 1;
    change->result = "added";
    TRY(buf_append_format(&change->object, "%llu: of %s", (unsigned long long)change->id,
                          new->person));
    TRY(describe(key, &change->detail));
    return put_signer(key, change->id, &change->rows);
}

enum err admin_signer_add(struct admin_call *call, json_t *out)
{
    CLEANUP(new_signer_free) struct new_signer new = {0};
    TRY(read_signer(call, &new));
    return admin_change(call, prepare_add, &new, answer_signer, out);
}

/* --- Removing --- */

static enum err prepare_remove(struct admin_call *call, const struct policy *policy, void *asked,
                               struct admin_change *change)
{
    const uint64_t *id = asked;
    const struct policy_enrolled_key *old = policy_enrolled_key_get(policy, *id);
    if (old == NULL)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "id"), ERR_NOT_FOUND, "there is no signer %llu",
             (unsigned long long)*id);
    change->id = *id;
    if (old->state == POLICY_REMOVED)
        return ERR_OK;
    struct policy_enrolled_key removed = *old; /* borrows old's buffers for the encoding only */
    removed.state = POLICY_REMOVED;
    change->result = "removed";
    TRY(buf_append_format(&change->object, "%llu: of %s", (unsigned long long)*id,
                          policy_person_get(policy, old->person_id)->name));
    return put_signer(&removed, *id, &change->rows);
}

enum err admin_signer_remove(struct admin_call *call, json_t *out)
{
    uint64_t id = 0;
    TRY(admin_uint(call, "id", ADMIN_REQUIRED, INT64_MAX, &id));
    return admin_change(call, prepare_remove, &id, answer_signer, out);
}
