/* Persons and tokens: who can give what to whom, and when it ends. */
#include "admin_fixture.h"

static struct bytes token_bytes(const uint8_t token[static WARDEN_TOKEN_LEN])
{
    return bytes_of(token, WARDEN_TOKEN_LEN);
}

/* A token of a test: its number in every byte; and what the server is told of it. */
static void token_of(unsigned number, uint8_t token[static WARDEN_TOKEN_LEN],
                     uint8_t hash[static SHA256_LEN])
{
    memset(token, (int)number, WARDEN_TOKEN_LEN);
    ck_ok(digest_sha256(token_bytes(token), hash));
}
#define TOKEN(number)                         \
    uint8_t token_##number[WARDEN_TOKEN_LEN]; \
    uint8_t hash_##number[SHA256_LEN];        \
    token_of(100 + (number), token_##number, hash_##number)
#define HASH(number) p_bytes("hash", hash_##number, SHA256_LEN)

static void add_person(struct warden_fixture *f, const char *name)
{
    json_auto_t *added = admin_do(f, "person.add", PARAMS(p_text("name", name)));
    ck_assert_str_eq(text_at(added, "result"), "added");
}

static enum err works(struct warden_fixture *f, const uint8_t token[static WARDEN_TOKEN_LEN])
{
    return admin_as(f, token_bytes(token), "status", NO_PARAMS, NULL);
}

/* The newest record is of that event, by ann, about that. */
static void recorded(struct warden_fixture *f, const char *event, const char *object)
{
    json_auto_t *record = audit_newest(f);
    ck_assert_str_eq(text_at(record, "event"), event);
    ck_assert_str_eq(text_at(record, "person"), "ann");
    ck_assert_str_eq(text_at(record, "object"), object);
}

/* --- Persons --- */

START_TEST(valid_person)
{
    FIXTURE(f);
    add_person(&f, "bob");
    recorded(&f, "person.add", "bob");
    const uint64_t sequence = audit_sequence(&f);
    json_auto_t *again = admin_do(&f, "person.add", PARAMS(p_text("name", "bob")));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    ck_assert_str_eq(text_at(again, "person.person"), "bob");
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    json_auto_t *all = admin_do(&f, "person.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(all, "persons")), 2);
    ck_assert_str_eq(text_at(all, "persons.0.person"), "ann");
    ck_assert_uint_eq(uint_at(all, "persons.0.tokens"), 1);
    ck_assert_str_eq(text_at(all, "persons.1.state"), "active");
    ck_assert_uint_eq(uint_at(all, "persons.1.tokens"), 0);
}
END_TEST

/* Every token of a removed person is dead at once, and their name is not given again. */
START_TEST(valid_person_remove)
{
    FIXTURE(f);
    uint8_t first[WARDEN_TOKEN_LEN];
    uint8_t second[WARDEN_TOKEN_LEN];
    fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL), first);
    fixture_token(&f, TOKEN_OF("bob", RIGHT_VIEW), second);
    ck_ok(works(&f, first));
    json_auto_t *removed = admin_do(&f, "person.remove", PARAMS(p_text("name", "bob")));
    ck_assert_str_eq(text_at(removed, "result"), "removed");
    ck_assert_str_eq(text_at(removed, "person.state"), "removed");
    ck_assert_uint_eq(uint_at(removed, "person.tokens"), 0);
    recorded(&f, "person.remove", "bob");
    ck_err(works(&f, first), ERR_UNAUTHENTICATED);
    ck_err(works(&f, second), ERR_UNAUTHENTICATED);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "token 3 is a removed person's"));
    json_auto_t *again = admin_do(&f, "person.remove", PARAMS(p_text("name", "bob")));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    TOKEN(1);
    ADMIN_REFUSED(&f, ERR_WRONG_STATE, "name", "person.add", PARAMS(p_text("name", "bob")));
    ADMIN_REFUSED(&f, ERR_WRONG_STATE, "person", "token.create",
                  PARAMS(p_text("person", "bob"), HASH(1), p_text("rights", "view")));
    json_auto_t *tokens = admin_do(&f, "token.list", NO_PARAMS);
    ck_assert_str_eq(text_at(tokens, "tokens.1.state"), "person removed");
    fixture_close(&f);
    fixture_open(&f);
    ck_err(works(&f, first), ERR_UNAUTHENTICATED);
}
END_TEST

START_TEST(wrong_person)
{
    FIXTURE(f);
    static const char *const names[] = {"", "a b", "a\tb", "a\x7f"};
    char name[PROTOCOL_PERSON_MAX + 2];
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ADMIN_REFUSED(&f, ERR_MALFORMED, "name", "person.add", PARAMS(p_text("name", names[i])));
    memset(name, 'n', sizeof name);
    name[PROTOCOL_PERSON_MAX + 1] = '\0';
    ADMIN_REFUSED(&f, ERR_MALFORMED, "name", "person.add", PARAMS(p_text("name", name)));
    name[PROTOCOL_PERSON_MAX] = '\0';
    add_person(&f, name);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "name", "person.remove", NO_PARAMS);
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "name", "person.remove", PARAMS(p_text("name", "eve")));
}
END_TEST

/* --- Tokens --- */

START_TEST(valid_token)
{
    FIXTURE(f);
    TOKEN(1);
    add_person(&f, "bob");
#define PIPELINE                                                                            \
    PARAMS(p_text("person", "bob"), HASH(1), p_text("rights", "view,draft"),                \
           p_text("images", "refunds,payments"), p_text("expires", "2026-11-24T00:00:00Z"), \
           p_text("label", "ci"))
    json_auto_t *created = admin_do(&f, "token.create", PIPELINE);
    ck_assert_str_eq(text_at(created, "result"), "created");
    ck_assert_uint_eq(uint_at(created, "token.id"), 2);
    ck_assert_str_eq(text_at(created, "token.person"), "bob");
    ck_assert_str_eq(text_at(created, "token.rights.0"), "view");
    ck_assert_str_eq(text_at(created, "token.rights.1"), "draft");
    ck_assert_uint_eq(json_array_size(json_at(created, "token.rights")), 2);
    ck_assert_str_eq(text_at(created, "token.images.0"), "payments");
    ck_assert_str_eq(text_at(created, "token.images.1"), "refunds");
    ck_assert_str_eq(text_at(created, "token.expires"), "2026-11-24T00:00:00Z");
    ck_assert_str_eq(text_at(created, "token.label"), "ci");
    ck_assert_str_eq(text_at(created, "token.state"), "active");
    recorded(&f, "token.create", "2: of bob");
    json_auto_t *record = audit_newest(&f);
    json_auto_t *powers = json_loads(text_at(record, "detail"), 0, NULL);
    ck_assert_str_eq(text_at(powers, "rights.1"), "draft");
    ck_assert_str_eq(text_at(powers, "images.1"), "refunds");
    ck_assert_str_eq(text_at(powers, "expires"), "2026-11-24T00:00:00Z");
    const uint64_t sequence = audit_sequence(&f);
    json_auto_t *again = admin_do(&f, "token.create", PIPELINE);
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    ck_assert_uint_eq(uint_at(again, "token.id"), 2);
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    ck_err(admin_as(&f, token_bytes(token_1), "measurement.list",
                    PARAMS(p_text("image", "payments")), NULL),
           ERR_NOT_FOUND); /* there is none yet: it may ask */
    fixture_close(&f);
    fixture_open(&f); /* the row is one that can be read again */
    json_auto_t *all = admin_do(&f, "token.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(all, "tokens")), 2);
    ck_assert_str_eq(text_at(all, "tokens.0.label"), "init");
    ck_assert_ptr_null(json_at(all, "tokens.0.images"));
    ck_assert_ptr_null(json_at(all, "tokens.0.expires"));
    ck_assert_str_eq(text_at(all, "tokens.1.images.0"), "payments");
    advance_ms((int64_t)DAY_MS);
    ck_err(works(&f, token_1), ERR_UNAUTHENTICATED);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "token 2 has expired"));
    json_auto_t *late = admin_do(&f, "token.list", NO_PARAMS);
    ck_assert_str_eq(text_at(late, "tokens.1.state"), "expired");
}
END_TEST

START_TEST(valid_revoke)
{
    FIXTURE(f);
    TOKEN(1);
    add_person(&f, "bob");
    json_auto_t *created = admin_do(
        &f, "token.create", PARAMS(p_text("person", "bob"), HASH(1), p_text("rights", "view")));
    ck_assert_str_eq(text_at(created, "result"), "created");
    ck_ok(works(&f, token_1));
    json_auto_t *revoked = admin_do(&f, "token.revoke", PARAMS(p_uint("id", 2)));
    ck_assert_str_eq(text_at(revoked, "result"), "revoked");
    ck_assert_str_eq(text_at(revoked, "token.state"), "revoked");
    recorded(&f, "token.revoke", "2: of bob");
    ck_err(works(&f, token_1), ERR_UNAUTHENTICATED);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "token 2 was revoked"));
    const uint64_t sequence = audit_sequence(&f);
    json_auto_t *again = admin_do(&f, "token.revoke", PARAMS(p_uint("id", 2)));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    ck_assert_uint_eq(audit_sequence(&f), sequence);
    /* A revoked token's hash brings nothing back to life. */
    ADMIN_REFUSED(&f, ERR_EXISTS, "hash", "token.create",
                  PARAMS(p_text("person", "bob"), HASH(1), p_text("rights", "view")));
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "id", "token.revoke", PARAMS(p_uint("id", 3)));
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "id", "token.revoke", PARAMS(p_uint("id", 0)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "id", "token.revoke", NO_PARAMS);
}
END_TEST

START_TEST(wrong_token_values)
{
    FIXTURE(f);
    TOKEN(1);
    add_person(&f, "bob");
    char label[POLICY_LABEL_MAX + 1];
    memset(label, 'l', sizeof label);
    label[POLICY_LABEL_MAX] = '\0';
#define CREATE_REFUSED(code, field, ...) \
    ADMIN_REFUSED(&f, (code), (field), "token.create", PARAMS(p_text("person", "bob"), __VA_ARGS__))
    CREATE_REFUSED(ERR_MALFORMED, "hash", p_text("rights", "view"));
    CREATE_REFUSED(ERR_MALFORMED, "hash", p_text("rights", "view"), p_bytes("hash", hash_1, 31));
    CREATE_REFUSED(ERR_MALFORMED, "rights", HASH(1));
    CREATE_REFUSED(ERR_MALFORMED, "rights", HASH(1), p_text("rights", "views"));
    CREATE_REFUSED(ERR_MALFORMED, "images", HASH(1), p_text("rights", "view"),
                   p_text("images", "Payments"));
    CREATE_REFUSED(ERR_MALFORMED, "label", HASH(1), p_text("rights", "view"),
                   p_text("label", label));
    CREATE_REFUSED(ERR_MALFORMED, "expires", HASH(1), p_text("rights", "view"),
                   p_text("expires", "90d"));
    CREATE_REFUSED(ERR_MALFORMED, "expires", HASH(1), p_text("rights", "view"),
                   p_text("expires", "2026-11-23T00:00:00Z"));
    /* What goes beyond an image is nothing for a token of some. */
    static const char *const rights[] = {"draft,activate", "custody", "view,people"};
    for (size_t i = 0; i < ARRAY_LEN(rights); i++)
        CREATE_REFUSED(ERR_MALFORMED, "images", HASH(1), p_text("rights", rights[i]),
                       p_text("images", "payments"));
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "person", "token.create",
                  PARAMS(p_text("person", "eve"), HASH(1), p_text("rights", "view")));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "person", "token.create",
                  PARAMS(HASH(1), p_text("rights", "view")));
    ck_err(works(&f, token_1), ERR_UNAUTHENTICATED);
}
END_TEST

/* Nobody gives what their token does not have, in their own name or in another's. */
START_TEST(wrong_escalation)
{
    FIXTURE(f);
    uint8_t people[WARDEN_TOKEN_LEN];
    TOKEN(1);
    fixture_token(&f, TOKEN_OF("bob", RIGHT_PEOPLE | RIGHT_VIEW), people);
    for (size_t i = 0; i < POLICY_RIGHTS; i++) {
        static const char *const persons[] = {"bob", "ann"};
        const bool held = (policy_rights[i].right & (RIGHT_PEOPLE | RIGHT_VIEW)) != 0;
        char both[64];
        TOKEN(2);
        hash_2[0] = (uint8_t)i; /* another each time */
        if (held) {
            ck_ok(admin_as(
                &f, token_bytes(people), "token.create",
                PARAMS(p_text("person", "bob"), HASH(2), p_text("rights", policy_rights[i].name)),
                NULL));
            continue;
        }
        snprintf(both, sizeof both, "view,%s", policy_rights[i].name);
        for (size_t p = 0; p < ARRAY_LEN(persons); p++) {
            ck_err(admin_as(&f, token_bytes(people), "token.create",
                            PARAMS(p_text("person", persons[p]), HASH(1), p_text("rights", both)),
                            NULL),
                   ERR_FORBIDDEN);
            ck_assert_str_eq(f.fault.field, "rights");
            ck_assert_ptr_nonnull(strstr(f.fault.detail, policy_rights[i].name));
        }
    }
    ck_err(works(&f, token_1), ERR_UNAUTHENTICATED);
}
END_TEST

/* --- Somebody must be able to give tokens --- */

START_TEST(wrong_last_token)
{
    FIXTURE(f);
    uint8_t token[WARDEN_TOKEN_LEN];
    struct token_spec ends = TOKEN_OF("bob", RIGHT_ALL);
    ends.expires_ms = NOW_MS + 365 * DAY_MS;
#define ANN_STAYS                                                                          \
    do {                                                                                   \
        ADMIN_REFUSED(&f, ERR_WRONG_STATE, "id", "token.revoke", PARAMS(p_uint("id", 1))); \
        ADMIN_REFUSED(&f, ERR_WRONG_STATE, "name", "person.remove",                        \
                      PARAMS(p_text("name", "ann")));                                      \
    } while (0)
    ANN_STAYS;
    fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL & ~(uint32_t)RIGHT_PEOPLE), token);
    ANN_STAYS;
    fixture_token(&f, ends, token); /* would be nobody a year from now */
    ANN_STAYS;
    struct token_spec revoked = TOKEN_OF("bob", RIGHT_ALL);
    revoked.state = POLICY_REMOVED;
    fixture_token(&f, revoked, token);
    ANN_STAYS;
    struct token_spec gone = TOKEN_OF("gone", RIGHT_ALL);
    gone.person_state = POLICY_REMOVED;
    fixture_token(&f, gone, token);
    ANN_STAYS;
    fixture_token(&f, TOKEN_OF("bob", RIGHT_PEOPLE), token); /* could give no other right */
    ANN_STAYS;
    fixture_token(&f, TOKEN_OF("ann", RIGHT_ALL), token);
    ADMIN_REFUSED(&f, ERR_WRONG_STATE, "name", "person.remove", PARAMS(p_text("name", "ann")));
    ck_ok(admin_try(&f, "token.revoke", PARAMS(p_uint("id", 1)), NULL));
    ck_ok(admin_as(&f, token_bytes(token), "token.list", NO_PARAMS, NULL));
}
END_TEST

START_TEST(valid_second_person)
{
    FIXTURE(f);
    uint8_t token[WARDEN_TOKEN_LEN];
    fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL), token);
    ck_ok(admin_try(&f, "person.remove", PARAMS(p_text("name", "ann")), NULL));
    ck_err(works(&f, f.token), ERR_UNAUTHENTICATED);
    ck_err(admin_as(&f, token_bytes(token), "person.remove", PARAMS(p_text("name", "bob")), NULL),
           ERR_WRONG_STATE);
}
END_TEST

/* --- What a token for some images takes back --- */

START_TEST(valid_confined_discard)
{
    FIXTURE(f);
    uint8_t pipeline[WARDEN_TOKEN_LEN];
    uint8_t same_person[WARDEN_TOKEN_LEN];
    uint8_t other[WARDEN_TOKEN_LEN];
    uint8_t drafter[WARDEN_TOKEN_LEN];
    struct token_spec spec = TOKEN_OF("ci", RIGHTS_OF_IMAGES);
    spec.images = "payments";
    fixture_token(&f, spec, pipeline);
    fixture_token(&f, spec, same_person);
    spec.person = "cd";
    fixture_token(&f, spec, other);
    fixture_token(&f, TOKEN_OF("bob", RIGHT_DRAFT), drafter);
#define DISCARD(token, of)                                  \
    admin_as(&f, token_bytes(token), "measurement.discard", \
             PARAMS(p_text("image", "payments"), p_text("version", (of))), NULL)
    for (unsigned i = 1; i <= 3; i++) {
        CLEANUP(buf_free) struct buf pcrs = {0};
        struct mkdoc_fields fields;
        char version[4];
        snprintf(version, sizeof version, "%u", i);
        mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, 6 + i);
        pcr_map(&fields, 7, &pcrs);
        ck_ok(admin_as(&f, i < 3 ? token_bytes(pipeline) : token_bytes(f.token), "measurement.add",
                       PARAMS(p_text("image", "payments"), p_text("version", version),
                              p_map("pcrs", &pcrs), p_bool("draft", true)),
                       NULL));
    }
    ck_err(DISCARD(other, "1"), ERR_FORBIDDEN);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "no drafts but cd's own"));
    ck_err(DISCARD(pipeline, "3"), ERR_FORBIDDEN); /* a person's, with every right */
    ck_ok(DISCARD(same_person, "1"));
    ck_ok(DISCARD(pipeline, "1")); /* again: nothing changes */
    ck_err(DISCARD(other, "1"), ERR_FORBIDDEN);
    ck_ok(DISCARD(drafter, "2")); /* for all images: anybody's */
    ck_ok(DISCARD(drafter, "3"));
}
END_TEST

/* --- What a token for some images learns of others --- */

START_TEST(valid_confined)
{
    FIXTURE(f);
    uint8_t token[WARDEN_TOKEN_LEN];
    CLEANUP(buf_free) struct buf pcrs = {0};
    CLEANUP(buf_free) struct buf own = {0};
    struct mkdoc_fields fields;
    struct token_spec spec = TOKEN_OF("ci", RIGHTS_OF_IMAGES);
    spec.images = "payments";
    fixture_token(&f, spec, token);
    fixture_measurement(&f, "secretproject", "9.9", 7);
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, 7);
    pcr_map(&fields, 7, &pcrs);
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, 8);
    pcr_map(&fields, 7, &own);
#define DRAFT(values)                                                                     \
    PARAMS(p_text("image", "payments"), p_text("version", "1"), p_map("pcrs", &(values)), \
           p_bool("draft", true))
    ck_err(admin_as(&f, token_bytes(token), "measurement.add", DRAFT(pcrs), NULL), ERR_EXISTS);
    ck_assert_ptr_null(strstr(f.fault.detail, "secretproject"));
    ck_assert_ptr_null(strstr(f.fault.detail, "9.9"));
    ck_err(admin_try(&f, "measurement.add", DRAFT(pcrs), NULL), ERR_EXISTS);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "secretproject@9.9"));
    json_t *added = NULL;
    ck_ok(admin_as(&f, token_bytes(token), "measurement.add", DRAFT(own), &added));
    ck_assert_str_eq(text_at(added, "measurement.state"), "draft");
    ck_assert_str_eq(text_at(added, "measurement.added_by"), "ci");
    json_decref(added);
    ck_err(
        admin_as(&f, token_bytes(token), "measurement.add",
                 PARAMS(p_text("image", "payments"), p_text("version", "1"), p_map("pcrs", &own)),
                 NULL),
        ERR_FORBIDDEN); /* active at once */
    json_t *list = NULL;
    ck_ok(admin_as(&f, token_bytes(token), "measurement.list", PARAMS(p_text("image", "payments")),
                   &list));
    ck_assert_uint_eq(json_array_size(json_at(list, "measurements")), 1);
    json_decref(list);
}
END_TEST

UNIT_MAIN("admin_people", valid_person, valid_person_remove, wrong_person, valid_token,
          valid_revoke, wrong_token_values, wrong_escalation, wrong_last_token, valid_second_person,
          valid_confined_discard, valid_confined)
