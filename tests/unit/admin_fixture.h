/* More administrators than the first: persons and tokens made through the ledger, also such as
 * no operation makes. */
#ifndef VOUCHSAFE_ADMIN_FIXTURE_H
#define VOUCHSAFE_ADMIN_FIXTURE_H

#include "warden_fixture.h"

struct token_spec {
    const char *person; /* made where there is none */
    uint32_t rights;
    enum policy_state person_state; /* of a person that is made */
    enum policy_state state;
    uint64_t expires_ms;
    const char *images; /* "payments,refunds"; NULL: all */
};
#define TOKEN_OF(name, bits)                                                                       \
    (struct token_spec)                                                                            \
    {                                                                                              \
        .person = (name), .rights = (bits), .person_state = POLICY_ACTIVE, .state = POLICY_ACTIVE, \
        .expires_ms = POLICY_NO_TIME                                                               \
    }

static inline void token_person(const struct policy *policy, const struct token_spec *spec,
                                struct ledger_change *change, uint64_t *id)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_person person = {.state = spec->person_state, .created_ms = NOW_MS};
    *id = policy_find_person(policy, spec->person);
    if (*id != 0)
        return;
    *id = policy_person_count(policy) + 1;
    snprintf(person.name, sizeof person.name, "%s", spec->person);
    ck_ok(policy_person_append(&person, &columns));
    ck_ok(ledger_change_add(change, POLICY_PERSON, *id, &columns));
}

/* `token` is filled with the token's own number in every byte. */
static inline void fixture_token(struct warden_fixture *f, struct token_spec spec,
                                 uint8_t token[static WARDEN_TOKEN_LEN])
{
    CLEANUP(ledger_change_free) struct ledger_change change = {.count = 0};
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_token row = {.label = "test",
                               .rights = spec.rights,
                               .state = spec.state,
                               .created_ms = NOW_MS,
                               .expires_ms = spec.expires_ms};
    uint64_t revision;
    const struct policy *policy = ledger_begin(f->warden->ledger, &revision);
    const uint64_t id = policy_token_count(policy) + 1;
    memset(token, (int)id, WARDEN_TOKEN_LEN);
    ck_ok(digest_sha256(bytes_of(token, WARDEN_TOKEN_LEN), row.hash));
    token_person(policy, &spec, &change, &row.person_id);
    if (spec.images != NULL)
        ck_ok(image_set_append(bytes_of_text(spec.images), &row.images, NULL));
    ck_ok(policy_token_append(&row, &columns));
    policy_token_free(&row);
    ck_ok(ledger_change_add(&change, POLICY_TOKEN, id, &columns));
    const struct audit_event event = {.time_ms = NOW_MS,
                                      .event = "token.create",
                                      .request_id = "",
                                      .policy_revision = revision + 1};
    ck_ok(ledger_commit_change(f->warden->ledger, &change, &event, &f->fault));
}

#endif
