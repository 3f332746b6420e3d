/* Persons and their tokens: who may do what.
 *
 * A client makes a token and sends its hash: the token itself comes here only when it is used.
 * Nobody gives a right that the token in hand does not have.  There is always a token with
 * `people`, of a person who is there, without an end: else nobody could ever give one again. */
#include <stdio.h>
#include <string.h>

#include "admin_change.h"
#include "common/codec.h"
#include "common/json_reader.h"

#define RIGHTS_TEXT_MAX 128
#define IMAGES_TEXT_MAX (IMAGE_SET_MAX * (PROTOCOL_IMAGE_MAX + 1) + 1)

/* --- Persons --- */

static enum err show_person(const struct policy *policy, uint64_t id, const void *context,
                            json_t *object)
{
    const uint64_t *now_ms = context;
    const struct policy_person *person = policy_person_get(policy, id);
    uint64_t tokens = 0;
    for (uint64_t i = 1; i <= policy_token_count(policy); i++) {
        const struct policy_token *token = policy_token_get(policy, i);
        tokens +=
            token->person_id == id && policy_token_life(policy, token, *now_ms) == TOKEN_COUNTS;
    }
    TRY(admin_set(object, "person", json_string(person->name)));
    TRY(admin_set(object, "state",
                  json_string(person->state == POLICY_ACTIVE ? "active" : "removed")));
    TRY(admin_set(object, "tokens", json_integer((json_int_t)tokens)));
    return admin_set(object, "created", admin_time(person->created_ms));
}

static enum err answer_person(struct admin_call *call, uint64_t id, const char *result, json_t *out)
{
    return admin_answer_row(call, &(const struct admin_row){"person", show_person, &call->now_ms},
                            id, result, out);
}

enum err admin_person_name(struct admin_call *call, const char *param,
                           char name[static PROTOCOL_PERSON_MAX + 1])
{
    TRY(admin_text(call, param, ADMIN_REQUIRED, PROTOCOL_PERSON_MAX + 1, name));
    if (!protocol_person_valid(bytes_of_text(name)))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", param), ERR_MALFORMED,
             "a name of 1..%d bytes without blanks is expected", PROTOCOL_PERSON_MAX);
    return ERR_OK;
}

/* A removed person's name stays theirs: the audit log knows persons by name. */
static enum err check_present(struct admin_call *call, const struct policy *policy, uint64_t id,
                              const char *param)
{
    const struct policy_person *person = policy_person_get(policy, id);
    if (person != NULL && person->state != POLICY_ACTIVE)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", param), ERR_WRONG_STATE,
             "%s was removed, for good; a name is given once", person->name);
    return ERR_OK;
}

enum err admin_person_find(struct admin_call *call, const struct policy *policy, const char *name,
                           uint64_t *id)
{
    *id = policy_find_person(policy, name);
    if (*id == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "person"), ERR_NOT_FOUND,
             "there is no person %s; `person add` makes one", name);
    return check_present(call, policy, *id, "person");
}

static enum err put_person(const struct policy_person *person, uint64_t id,
                           struct ledger_change *change)
{
    CLEANUP(buf_free) struct buf columns = {0};
    TRY(policy_person_append(person, &columns));
    return ledger_change_add(change, POLICY_PERSON, id, &columns);
}

static enum err prepare_person_add(struct admin_call *call, const struct policy *policy,
                                   void *asked, struct admin_change *change)
{
    const char *name = asked;
    struct policy_person person = {.state = POLICY_ACTIVE, .created_ms = call->now_ms};
    change->id = policy_find_person(policy, name);
    TRY(check_present(call, policy, change->id, "name"));
    if (change->id != 0)
        return ERR_OK;
    change->id = policy_person_count(policy) + 1;
    change->result = "added";
    snprintf(person.name, sizeof person.name, "%s", name);
    TRY(buf_append_text(&change->object, name));
    return put_person(&person, change->id, &change->rows);
}

/* Whether somebody could still give every right, without that token or that person (0: with
 * all).  Nobody gives a right that they do not hold: what the last one held is gone for good. */
static bool people_remain(const struct policy *policy, uint64_t without_token,
                          uint64_t without_person)
{
    for (uint64_t id = 1; id <= policy_token_count(policy); id++) {
        const struct policy_token *token = policy_token_get(policy, id);
        if (id != without_token && token->person_id != without_person &&
            token->rights == RIGHT_ALL && token->expires_ms == POLICY_NO_TIME &&
            policy_token_life(policy, token, 0) == TOKEN_COUNTS)
            return true;
    }
    return false;
}

static enum err prepare_person_remove(struct admin_call *call, const struct policy *policy,
                                      void *asked, struct admin_change *change)
{
    const char *name = asked;
    change->id = policy_find_person(policy, name);
    if (change->id == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "name"), ERR_NOT_FOUND, "there is no person %s",
             name);
    struct policy_person person = *policy_person_get(policy, change->id);
    if (person.state == POLICY_REMOVED)
        return ERR_OK;
    if (!people_remain(policy, 0, change->id))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "name"), ERR_WRONG_STATE,
             "%s has the last token with every right that does not expire: without it nobody "
             "could give some of them any more",
             name);
    person.state = POLICY_REMOVED;
    change->result = "removed";
    TRY(buf_append_text(&change->object, name));
    return put_person(&person, change->id, &change->rows);
}

enum err admin_person_add(struct admin_call *call, json_t *out)
{
    char name[PROTOCOL_PERSON_MAX + 1];
    TRY(admin_person_name(call, "name", name));
    return admin_change(call, prepare_person_add, name, answer_person, out);
}

enum err admin_person_remove(struct admin_call *call, json_t *out)
{
    char name[PROTOCOL_PERSON_MAX + 1];
    TRY(admin_person_name(call, "name", name));
    return admin_change(call, prepare_person_remove, name, answer_person, out);
}

enum err admin_person_list(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = admin_list(call, policy, "persons", policy_person_count(policy), NULL,
                                    show_person, &call->now_ms, out);
    ledger_done(call->warden->ledger);
    return err;
}

/* --- Tokens --- */

/* What a token may, as the API shows it and the audit record keeps it. */
static enum err set_powers(json_t *object, const struct policy_token *token)
{
    json_t *rights = json_array();
    TRY(admin_set(object, "rights", rights));
    for (size_t i = 0; i < POLICY_RIGHTS; i++) {
        if ((token->rights & policy_rights[i].right) != 0 &&
            json_array_append_new(rights, json_string(policy_rights[i].name)) != 0)
            return ERR_NO_MEMORY;
    }
    if (token->images.len > 0)
        TRY(admin_set_images(object, bytes_of_buf(&token->images)));
    if (token->expires_ms != POLICY_NO_TIME)
        TRY(admin_set(object, "expires", admin_time(token->expires_ms)));
    return admin_set(object, "label", json_string(token->label));
}

static enum err show_token(const struct policy *policy, uint64_t id, const void *context,
                           json_t *object)
{
    static const char *const states[] = {[TOKEN_COUNTS] = "active",
                                         [TOKEN_REVOKED] = "revoked",
                                         [TOKEN_EXPIRED] = "expired",
                                         [TOKEN_PERSON_REMOVED] = "person removed"};
    const uint64_t *now_ms = context;
    const struct policy_token *token = policy_token_get(policy, id);
    TRY(admin_set(object, "id", json_integer((json_int_t)id)));
    TRY(admin_set(object, "person",
                  json_string(policy_person_get(policy, token->person_id)->name)));
    TRY(set_powers(object, token));
    TRY(admin_set(object, "state", json_string(states[policy_token_life(policy, token, *now_ms)])));
    return admin_set(object, "created", admin_time(token->created_ms));
}

static enum err answer_token(struct admin_call *call, uint64_t id, const char *result, json_t *out)
{
    return admin_answer_row(call, &(const struct admin_row){"token", show_token, &call->now_ms}, id,
                            result, out);
}

/* Nobody gives what they do not hold; what goes beyond an image is for no token of some. */
static enum err check_powers(struct admin_call *call, const struct policy_token *token)
{
    for (size_t i = 0; i < POLICY_RIGHTS; i++) {
        const uint32_t right = policy_rights[i].right;
        if ((token->rights & ~call->rights & right) != 0)
            FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "rights"), ERR_FORBIDDEN,
                 "%s's token does not have the right %s and cannot give it", call->person,
                 policy_rights[i].name);
        if (token->images.len > 0 && (token->rights & ~RIGHTS_OF_IMAGES & right) != 0)
            FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "images"), ERR_MALFORMED,
                 "a token for some images has the rights view and draft at most, not %s",
                 policy_rights[i].name);
    }
    return ERR_OK;
}

enum err admin_images(struct admin_call *call, enum admin_need need, struct buf *out)
{
    char images[IMAGES_TEXT_MAX] = "";
    TRY(admin_text(call, "images", need, sizeof images, images));
    return images[0] == '\0' ? ERR_OK : image_set_append(bytes_of_text(images), out, call->fault);
}

struct new_token {
    char person[PROTOCOL_PERSON_MAX + 1];
    struct policy_token token;
};

static void new_token_free(struct new_token *new)
{
    policy_token_free(&new->token);
}

static enum err read_token(struct admin_call *call, struct new_token *new)
{
    struct policy_token *token = &new->token;
    char rights[RIGHTS_TEXT_MAX];
    struct bytes hash = {0};
    TRY(admin_person_name(call, "person", new->person));
    TRY(admin_bytes(call, "hash", ADMIN_REQUIRED, &hash));
    if (hash.len != sizeof token->hash)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "hash"), ERR_MALFORMED,
             "the SHA-256 of a token is expected, %zu bytes", sizeof token->hash);
    memcpy(token->hash, hash.ptr, sizeof token->hash);
    TRY(admin_text(call, "rights", ADMIN_REQUIRED, sizeof rights, rights));
    TRY(policy_rights_parse(bytes_of_text(rights), &token->rights, call->fault));
    TRY(admin_images(call, ADMIN_OPTIONAL, &token->images));
    TRY(check_powers(call, token));
    TRY(admin_text(call, "label", ADMIN_OPTIONAL, sizeof token->label, token->label));
    TRY(admin_read_time(call, "expires", &token->expires_ms));
    if (token->expires_ms != POLICY_NO_TIME && token->expires_ms <= call->now_ms)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "expires"), ERR_MALFORMED,
             "this time has passed");
    token->state = POLICY_ACTIVE;
    token->created_ms = call->now_ms;
    return ERR_OK;
}

static enum err put_token(const struct policy_token *token, uint64_t id,
                          struct ledger_change *change)
{
    CLEANUP(buf_free) struct buf columns = {0};
    TRY(policy_token_append(token, &columns));
    return ledger_change_add(change, POLICY_TOKEN, id, &columns);
}

/* The same request again, such as after an answer that was lost. */
static bool same_token(const struct policy_token *a, const struct policy_token *b)
{
    return a->person_id == b->person_id && a->rights == b->rights && a->state == b->state &&
           a->expires_ms == b->expires_ms && strcmp(a->label, b->label) == 0 &&
           bytes_equal(bytes_of_buf(&a->images), bytes_of_buf(&b->images));
}

static enum err describe_token(const struct policy_token *token, struct buf *text)
{
    CLEANUP(json_decrefp) json_t *powers = json_object();
    if (powers == NULL)
        return ERR_NO_MEMORY;
    TRY(set_powers(powers, token));
    return json_append(text, powers);
}

static enum err prepare_token_create(struct admin_call *call, const struct policy *policy,
                                     void *asked, struct admin_change *change)
{
    struct new_token *new = asked;
    TRY(admin_person_find(call, policy, new->person, &new->token.person_id));
    change->id = policy_find_token(policy, new->token.hash);
    if (change->id != 0 && !same_token(policy_token_get(policy, change->id), &new->token))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "hash"), ERR_EXISTS,
             "there is such a token already, and it is another");
    if (change->id != 0)
        return ERR_OK;
    change->id = policy_token_count(policy) + 1;
    change->result = "created";
    TRY(buf_append_format(&change->object, "%llu: of %s", (unsigned long long)change->id,
                          new->person));
    TRY(describe_token(&new->token, &change->detail));
    return put_token(&new->token, change->id, &change->rows);
}

enum err admin_token_create(struct admin_call *call, json_t *out)
{
    CLEANUP(new_token_free) struct new_token new = {0};
    TRY(read_token(call, &new));
    return admin_change(call, prepare_token_create, &new, answer_token, out);
}

static enum err prepare_token_revoke(struct admin_call *call, const struct policy *policy,
                                     void *asked, struct admin_change *change)
{
    const uint64_t *id = asked;
    const struct policy_token *old = policy_token_get(policy, *id);
    if (old == NULL)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "id"), ERR_NOT_FOUND, "there is no token %llu",
             (unsigned long long)*id);
    change->id = *id;
    if (old->state == POLICY_REMOVED)
        return ERR_OK;
    if (!people_remain(policy, *id, 0))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "id"), ERR_WRONG_STATE,
             "token %llu is the last with every right that does not expire: without it nobody "
             "could give some of them any more",
             (unsigned long long)*id);
    struct policy_token revoked = *old; /* borrows old's buffers for the encoding only */
    revoked.state = POLICY_REMOVED;
    change->result = "revoked";
    TRY(buf_append_format(&change->object, "%llu: of %s", (unsigned long long)*id,
                          policy_person_get(policy, old->person_id)->name));
    return put_token(&revoked, *id, &change->rows);
}

enum err admin_token_revoke(struct admin_call *call, json_t *out)
{
    uint64_t id = 0;
    TRY(admin_uint(call, "id", ADMIN_REQUIRED, INT64_MAX, &id));
    return admin_change(call, prepare_token_revoke, &id, answer_token, out);
}

enum err admin_token_list(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = admin_list(call, policy, "tokens", policy_token_count(policy), NULL,
                                    show_token, &call->now_ms, out);
    ledger_done(call->warden->ledger);
    return err;
}
