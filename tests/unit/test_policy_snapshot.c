/* The policy in memory: rows found and replaced, all of a row or nothing. */
#include "policy_rows.h"
#include "verifier/policy/snapshot.h"

/* Every table's first rows, so that whatever refers finds what it refers to. */
static void load_world(struct world *w)
{
    struct policy_person person = {.name = "anna", .state = POLICY_ACTIVE};
    struct policy_setting setting = {.name = "kind"};
    world_begin(w);
    world_load(w);
    PUT(w, person, 1, &person);
    PUT(w, setting, 1, &setting);
}

static enum err load_setting(struct world *w, uint64_t id, const char *name)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_setting row = {0};
    SET_TEXT(row.name, name);
    ck_ok(policy_setting_append(&row, &columns));
    return policy_setting_load(w->policy, id, bytes_of_buf(&columns));
}

/* --- Finding --- */

START_TEST(valid_find_by_name)
{
    CLEANUP(world_free) struct world w = {0};
    char too_long[200];
    load_world(&w);
    ck_assert_uint_eq(policy_find_setting(w.policy, "kind"), 1);
    ck_assert_uint_eq(policy_find_person(w.policy, "anna"), 1);
    ck_assert_uint_eq(policy_find_image(w.policy, "payments"), 1);
    ck_assert_uint_eq(policy_find_secret(w.policy, "db"), 1);
    ck_assert_uint_eq(policy_find_setting(w.policy, "kin"), 0);
    ck_assert_uint_eq(policy_find_person(w.policy, "Anna"), 0);
    ck_assert_uint_eq(policy_find_image(w.policy, ""), 0);
    ck_assert_uint_eq(policy_find_secret(w.policy, "db1"), 0);
    memset(too_long, 'a', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    ck_assert_uint_eq(policy_find_setting(w.policy, too_long), 0);
    ck_assert_uint_eq(policy_find_person(w.policy, too_long), 0);
    ck_assert_uint_eq(policy_find_image(w.policy, too_long), 0);
    ck_assert_uint_eq(policy_find_secret(w.policy, too_long), 0);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 1, too_long), 0);
}
END_TEST

/* A name is found whole: the longest one there can be, and not what begins with it. */
START_TEST(valid_longest_name)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_image image = {0};
    char longer[PROTOCOL_IMAGE_MAX + 2];
    load_world(&w);
    memset(image.name, 'a', PROTOCOL_IMAGE_MAX);
    PUT(&w, image, 2, &image);
    ck_assert_uint_eq(policy_find_image(w.policy, image.name), 2);
    snprintf(longer, sizeof longer, "%sa", image.name);
    ck_assert_uint_eq(policy_find_image(w.policy, longer), 0);
}
END_TEST

START_TEST(valid_find_token)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_token token = {.person_id = 1, .state = POLICY_ACTIVE};
    load_world(&w);
    memcpy(token.hash, ones, sizeof token.hash);
    PUT(&w, token, 1, &token);
    ck_assert_uint_eq(policy_find_token(w.policy, token.hash), 1);
    token.hash[31] ^= 1;
    ck_assert_uint_eq(policy_find_token(w.policy, token.hash), 0);
}
END_TEST

START_TEST(valid_find_revoked)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    for (unsigned which = 0; which < 2; which++) {
        CLEANUP(buf_free) struct buf columns = {0};
        rows_revocation(&columns, which);
        ck_ok(policy_revocation_load(w.policy, which + 1, bytes_of_buf(&columns)));
        ck_err(policy_revocation_load(w.policy, 3, bytes_of_buf(&columns)), ERR_STORE_TAMPERED);
    }
    const struct policy_revocation *r = policy_revocation_get(w.policy, 1);
    struct attest_certificate certificate = {.issuer = bytes_of_buf(&r->issuer),
                                             .serial = bytes_of_buf(&r->serial)};
    ck_assert_uint_eq(policy_find_revoked_certificate(w.policy, &certificate), 1);
    certificate.serial.len--;
    ck_assert_uint_eq(policy_find_revoked_certificate(w.policy, &certificate), 0);
    certificate.serial = certificate.issuer;
    ck_assert_uint_eq(policy_find_revoked_certificate(w.policy, &certificate), 0);
    certificate = (struct attest_certificate){0};
    ck_assert_uint_eq(policy_find_revoked_certificate(w.policy, &certificate), 0);
    ck_assert_uint_eq(policy_find_revoked_instance(w.policy, bytes_of_text(r[0].instance)), 0);
    ck_assert_uint_eq(policy_find_revoked_instance(w.policy, bytes_of_text("i-0123456789abcdef0")),
                      2);
    ck_assert_uint_eq(policy_find_revoked_instance(w.policy, bytes_of_text("i-0123456789abcdef")),
                      0);
}
END_TEST

START_TEST(valid_find_measurement)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 1, "1.4.2"), 1);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 2, "1.4.2"), 0);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 1, "1.4"), 0);
    ck_assert_uint_eq(policy_find_secret_version(w.policy, 1, 2), 2);
    ck_assert_uint_eq(policy_find_secret_version(w.policy, 1, 3), 0);
    ck_assert_uint_eq(policy_find_secret_version(w.policy, 2, 2), 0);
}
END_TEST

/* Kind, debug, root and PCRs: each alone makes other values; nothing else does. */
START_TEST(valid_find_same_values)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    struct policy_measurement *m = &w.measurement;
    SET_TEXT(m->version, "other");
    m->state = MEASUREMENT_REVOKED;
    ck_assert_uint_eq(policy_find_same_values(w.policy, m), 1);
    m->kind = ATTDOC_NITROTPM;
    ck_assert_uint_eq(policy_find_same_values(w.policy, m), 0);
    m->kind = ATTDOC_ENCLAVE;
    m->debug = true;
    ck_assert_uint_eq(policy_find_same_values(w.policy, m), 0);
    m->debug = false;
    m->root[0] ^= 1;
    ck_assert_uint_eq(policy_find_same_values(w.policy, m), 0);
    m->root[0] ^= 1;
    m->pcrs.ptr[m->pcrs.len - 1] ^= 1;
    ck_assert_uint_eq(policy_find_same_values(w.policy, m), 0);
    m->pcrs.ptr[m->pcrs.len - 1] ^= 1;
    ck_assert_uint_eq(policy_find_same_values(w.policy, m), 1);
}
END_TEST

START_TEST(valid_find_own_key)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_own_key key = {.version = 1};
    load_world(&w);
    ck_assert_uint_eq(policy_find_own_key(w.policy, OWN_KEY_SEALING), 0);
    ck_ok(buf_append_text(&key.spki, "spki"));
    ck_ok(buf_append_text(&key.sealed, "sealed"));
    key.kind = OWN_KEY_SEALING;
    key.state = POLICY_ACTIVE;
    PUT(&w, own_key, 1, &key);
    key.version = 2;
    PUT(&w, own_key, 2, &key);
    key.kind = OWN_KEY_RECEIPT;
    PUT(&w, own_key, 3, &key);
    ck_assert_uint_eq(policy_find_own_key(w.policy, OWN_KEY_SEALING), 2);
    ck_assert_uint_eq(policy_find_own_key(w.policy, OWN_KEY_RECEIPT), 3);
    ck_assert_uint_eq(policy_find_own_key(w.policy, OWN_KEY_ISSUER), 0);
    key.kind = OWN_KEY_SEALING;
    key.state = POLICY_REMOVED;
    PUT(&w, own_key, 2, &key);
    ck_assert_uint_eq(policy_find_own_key(w.policy, OWN_KEY_SEALING), 1);
    policy_own_key_free(&key);
}
END_TEST

START_TEST(no_row)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    ck_assert_ptr_null(policy_image_get(w.policy, 0));
    ck_assert_ptr_null(policy_image_get(w.policy, 2));
    ck_assert_ptr_null(policy_image_get(w.policy, UINT64_MAX));
    ck_assert_uint_eq(policy_image_count(w.policy), 1);
    ck_assert_uint_eq(policy_token_count(w.policy), 0);
    ck_assert_uint_eq(policy_first_grant(w.policy, 99), 0);
    ck_assert_uint_eq(policy_next_grant(w.policy, 0), 0);
    ck_assert_uint_eq(policy_next_of_code(w.policy, 99), 0);
    policy_free(NULL);
}
END_TEST

/* --- Replacing --- */

START_TEST(valid_replace)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    const struct policy_measurement *m = policy_measurement_get(w.policy, 1);
    w.measurement.state = MEASUREMENT_DEPRECATED;
    w.measurement.not_after_ms = NOW_MS;
    ck_ok(buf_append_text(&w.measurement.provenance, "by hand"));
    world_put_measurement(&w, 1);
    ck_assert_uint_eq(policy_measurement_count(w.policy), 1);
    ck_assert_ptr_eq(policy_measurement_get(w.policy, 1), m);
    ck_assert_int_eq(m->state, MEASUREMENT_DEPRECATED);
    ck_assert_uint_eq(m->not_after_ms, NOW_MS);
    ck_assert(bytes_equal_text(bytes_of_buf(&m->provenance), "by hand"));
    ck_assert_uint_eq(policy_find_measurement(w.policy, 1, "1.4.2"), 1);
    ck_assert_uint_eq(policy_find_same_values(w.policy, &w.measurement), 1);
    w.secret.current_version = 3;
    PUT(&w, secret, 1, &w.secret);
    ck_assert_uint_eq(
        policy_secret_get(w.policy, policy_find_secret(w.policy, "db"))->current_version, 3);
    ck_assert_uint_eq(policy_first_grant(w.policy, 1), 1);
}
END_TEST

/* What a row is found by never changes. */
START_TEST(wrong_replacement)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_person bob = {.name = "bob", .state = POLICY_ACTIVE};
    struct policy_token token = {.person_id = 1, .state = POLICY_ACTIVE};
    struct policy_image image = {.name = "other"};
    load_world(&w);
    REFUSE(&w, person, 1, &bob);
    ck_assert_uint_eq(policy_find_person(w.policy, "anna"), 1);
    ck_assert_uint_eq(policy_find_person(w.policy, "bob"), 0);
    PUT(&w, person, 2, &bob);
    PUT(&w, token, 1, &token);
    token.person_id = 2;
    REFUSE(&w, token, 1, &token);
    token.person_id = 1;
    token.hash[0] = 1;
    REFUSE(&w, token, 1, &token);
    PUT(&w, image, 2, &image);
    w.grant.image_id = 2;
    REFUSE(&w, grant, 1, &w.grant);
    w.grant.image_id = 1;
    w.grant.measurement_id = 1;
    REFUSE(&w, grant, 1, &w.grant);
    w.grant.measurement_id = 0;
    SET_TEXT(w.secret.name, "other");
    PUT(&w, secret, 2, &w.secret);
    w.grant.secret_id = 2;
    REFUSE(&w, grant, 1, &w.grant);
    w.version[0].version = 9;
    REFUSE(&w, secret_version, 1, &w.version[0]);
}
END_TEST

/* What was destroyed stays destroyed, and the current version never falls. */
START_TEST(wrong_secret_replacement)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    w.secret.current_version = 1;
    REFUSE(&w, secret, 1, &w.secret);
    w.secret.current_version = 0;
    REFUSE(&w, secret, 1, &w.secret);
    w.secret.current_version = 2;
    w.secret.state = SECRET_DESTROYED;
    PUT(&w, secret, 1, &w.secret);
    PUT(&w, secret, 1, &w.secret);
    w.secret.state = SECRET_USABLE;
    REFUSE(&w, secret, 1, &w.secret);
    ck_assert_int_eq(policy_secret_get(w.policy, 1)->state, SECRET_DESTROYED);
    w.version[0].state = SECRET_DESTROYED;
    PUT(&w, secret_version, 1, &w.version[0]);
    PUT(&w, secret_version, 1, &w.version[0]);
    w.version[0].state = SECRET_USABLE;
    REFUSE(&w, secret_version, 1, &w.version[0]);
    ck_assert_int_eq(policy_secret_version_get(w.policy, 1)->state, SECRET_DESTROYED);
}
END_TEST

/* --- Inserting --- */

START_TEST(wrong_id)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    ck_err(load_setting(&w, 0, "root"), ERR_STORE_TAMPERED);
    ck_err(load_setting(&w, 3, "root"), ERR_STORE_TAMPERED);
    ck_err(load_setting(&w, UINT64_MAX, "root"), ERR_STORE_TAMPERED);
    ck_assert_uint_eq(policy_find_setting(w.policy, "root"), 0);
    ck_ok(load_setting(&w, 2, "root"));
    ck_assert_uint_eq(policy_find_setting(w.policy, "root"), 2);
}
END_TEST

START_TEST(wrong_duplicate)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    ck_err(load_setting(&w, 2, "kind"), ERR_STORE_TAMPERED);
    ck_assert_uint_eq(policy_setting_count(w.policy), 1);
    ck_assert_uint_eq(policy_find_setting(w.policy, "kind"), 1);
    REFUSE(&w, image, 2, &w.image);
    REFUSE(&w, secret_version, 3, &w.version[1]);
    /* Its values under another name; the name is free again afterwards. */
    SET_TEXT(w.measurement.version, "1.4.3");
    REFUSE(&w, measurement, 2, &w.measurement);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 1, "1.4.3"), 0);
    w.pcrs = code_of_seed(2);
    world_put_measurement(&w, 2);
    ck_assert_uint_eq(policy_find_measurement(w.policy, 1, "1.4.3"), 2);
}
END_TEST

START_TEST(wrong_reference)
{
    CLEANUP(world_free) struct world w = {0};
    struct policy_token token = {.person_id = 2, .state = POLICY_ACTIVE};
    struct policy_image image = {.name = "other"};
    load_world(&w);
    REFUSE(&w, token, 1, &token);
    SET_TEXT(w.measurement.version, "2");
    set_pcr(&w.pcrs, 4, ones);
    w.measurement.pcrs.len = 0;
    ck_ok(pcr_set_append(&w.pcrs, &w.measurement.pcrs));
    w.measurement.added_by = 2;
    REFUSE(&w, measurement, 2, &w.measurement);
    w.version[0] = (struct policy_secret_version){
        .secret_id = 2, .version = 1, .size_bytes = 1, .state = SECRET_USABLE};
    REFUSE(&w, secret_version, 3, &w.version[0]);
    w.grant.secret_id = 2;
    REFUSE(&w, grant, 2, &w.grant);
    w.grant.secret_id = 1;
    w.grant.image_id = 2;
    REFUSE(&w, grant, 2, &w.grant);
    PUT(&w, image, 2, &image);
    w.grant.measurement_id = 1; /* of the other image */
    REFUSE(&w, grant, 2, &w.grant);
    w.grant.image_id = 1;
    w.grant.measurement_id = 2;
    REFUSE(&w, grant, 2, &w.grant);
    w.grant.measurement_id = 1;
    PUT(&w, grant, 2, &w.grant);
    w.measurement.image_id = 3;
    w.measurement.root[0] ^= 1;
    REFUSE(&w, measurement, 2, &w.measurement);
    w.grant.measurement_id = 0;
    make_signer_grant(&w);
    w.grant.registered = true;
    w.grant.registered_image_id = 3;
    REFUSE(&w, grant, 3, &w.grant);
    w.grant.registered_image_id = 2;
    PUT(&w, grant, 3, &w.grant);
    w.grant.registered_image_id = 1;
    REFUSE(&w, grant, 3, &w.grant);
}
END_TEST

START_TEST(junk_columns)
{
    CLEANUP(world_free) struct world w = {0};
    load_world(&w);
    for (size_t t = 0; t < ROWS_COUNT; t++) {
        const uint64_t count = rows_of[t].count(w.policy);
        ck_err(rows_of[t].load(w.policy, count + 1, bytes_of("\x80", 1)), ERR_STORE_TAMPERED);
        ck_err(rows_of[t].load(w.policy, 1, bytes_of("", 0)), ERR_STORE_TAMPERED);
        ck_assert_uint_eq(rows_of[t].count(w.policy), count);
    }
    ck_assert_str_eq(policy_image_get(w.policy, 1)->name, "payments");
}
END_TEST

/* --- Many --- */

#define MANY 10000

/* Names and values in no order. */
static unsigned shuffle(unsigned i)
{
    return i * 7919 % MANY;
}

static void load_many(struct world *w)
{
    world_begin(w);
    PUT(w, image, 1, &w->image);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(w->measurement.version, sizeof w->measurement.version, "1.%u", shuffle(i));
        w->pcrs = code_of_seed(1 + shuffle(i) / 2); /* two of each code, told apart by PCR8 */
        w->pcrs.present |= PCR_BIT(8);
        memset(w->pcrs.value[8], 1 + (int)(shuffle(i) % 2), ATTDOC_PCR_LEN);
        world_put_measurement(w, i + 1);
        snprintf(w->secret.name, sizeof w->secret.name, "s/%u", shuffle(i));
        w->secret.current_version = 1;
        PUT(w, secret, i + 1, &w->secret);
        w->version[0].secret_id = i + 1;
        PUT(w, secret_version, i + 1, &w->version[0]);
        w->grant.secret_id = 1 + i / 2;
        PUT(w, grant, i + 1, &w->grant);
    }
}

START_TEST(valid_many)
{
    CLEANUP(world_free) struct world w = {0};
    load_many(&w);
    for (unsigned i = 0; i < MANY; i++) {
        char name[24];
        snprintf(name, sizeof name, "1.%u", shuffle(i));
        ck_assert_uint_eq(policy_find_measurement(w.policy, 1, name), i + 1);
        snprintf(name, sizeof name, "s/%u", shuffle(i));
        ck_assert_uint_eq(policy_find_secret(w.policy, name), i + 1);
        ck_assert_uint_eq(policy_find_secret_version(w.policy, i + 1, 1), i + 1);
        ck_assert_uint_eq(
            policy_find_same_values(w.policy, policy_measurement_get(w.policy, i + 1)), i + 1);
    }
    ck_assert_uint_eq(policy_first_grant(w.policy, 7), 14);
    ck_assert_uint_eq(policy_next_grant(w.policy, 14), 13);
    ck_assert_uint_eq(policy_next_grant(w.policy, 13), 0);
    w.secret.current_version = 2;
    PUT(&w, secret, MANY, &w.secret);
    ck_assert_uint_eq(policy_secret_count(w.policy), MANY);
}
END_TEST

/* Of ten thousand builds a document's own two are looked at, and no other. */
START_TEST(valid_decision_among_many)
{
    CLEANUP(world_free) struct world w = {0};
    load_many(&w);
    mkdoc_fields_defaults(&w.fields, (int64_t)NOW_MS, MODULE, 1 + 1234 / 2);
    memset(w.fields.pcr[8], 1 + 1234 % 2, ATTDOC_PCR_LEN);
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    struct policy_facts facts;
    policy_facts_of(doc, bytes_of("", 0), &facts);
    const uint64_t one = policy_first_of_code(w.policy, &facts);
    const uint64_t two = policy_next_of_code(w.policy, one);
    ck_assert_uint_eq(policy_next_of_code(w.policy, two), 0);
    const uint64_t ids[] = {policy_find_measurement(w.policy, 1, "1.1234"),
                            policy_find_measurement(w.policy, 1, "1.1235")};
    ck_assert((one == ids[0] && two == ids[1]) || (one == ids[1] && two == ids[0]));
    world_want(&w, policy_secret_get(w.policy, 1)->name, 0, 0);
    expect_granted(&w);
    ck_assert_uint_eq(w.verdict.measurement_count, 1);
    ck_assert_str_eq(w.verdict.measurement[0], "payments@1.1234");
}
END_TEST

START_TEST(valid_debug_chain)
{
    CLEANUP(world_free) struct world w = {0};
    struct mkdoc_fields production;
    load_world(&w);
    w.measurement.debug = true;
    w.pcrs = (struct pcr_set){0};
    world_put_second(&w, "debug", MEASUREMENT_ACTIVE);
    set_pcr(&w.pcrs, 3, ones);
    world_put_second(&w, "debug-role", MEASUREMENT_ACTIVE);
    production = w.fields;
    mkdoc_fields_debug(&w.fields);
    CLEANUP(verified_doc_freep) struct verified_doc *debug = world_document(&w);
    struct policy_facts facts;
    policy_facts_of(debug, bytes_of("", 0), &facts);
    ck_assert_uint_eq(policy_first_of_code(w.policy, &facts), 3);
    ck_assert_uint_eq(policy_next_of_code(w.policy, 3), 2);
    ck_assert_uint_eq(policy_next_of_code(w.policy, 2), 0);
    w.fields = production;
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(&w);
    policy_facts_of(doc, bytes_of("", 0), &facts);
    ck_assert_uint_eq(policy_first_of_code(w.policy, &facts), 1);
    ck_assert_uint_eq(policy_next_of_code(w.policy, 1), 0);
}
END_TEST

UNIT_MAIN("policy_snapshot", valid_find_by_name, valid_longest_name, valid_find_token,
          valid_find_measurement, valid_find_same_values, valid_find_own_key, valid_find_revoked,
          no_row, valid_replace, wrong_replacement, wrong_secret_replacement, wrong_id,
          wrong_duplicate, wrong_reference, junk_columns, valid_many, valid_decision_among_many,
          valid_debug_chain)
