/* V5, what an operator revoked: an EC2 instance, a certificate at any place of the chain. */
#include "policy_fixture.h"

/* As row `id`, by person 1. */
static void put_revocation(struct world *w, uint64_t id, struct policy_revocation row)
{
    const struct policy_person person = {.name = "anna", .state = POLICY_ACTIVE};
    if (policy_person_count(w->policy) == 0)
        PUT(w, person, 1, &person);
    row.person_id = 1;
    ck_ok(buf_append_text(&row.reason, "stolen"));
    PUT(w, revocation, id, &row);
    buf_free(&row.reason);
}

static struct policy_revocation of_instance(const char *id, enum policy_state state)
{
    struct policy_revocation row = {.kind = REVOCATION_INSTANCE, .state = state};
    SET_TEXT(row.instance, id);
    return row;
}

START_TEST(instance_revoked)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    put_revocation(&w, 1, of_instance("i-0123456789abcdef1", POLICY_ACTIVE)); /* another */
    put_revocation(&w, 2, of_instance("i-0123456789abcdef", POLICY_ACTIVE));
    put_revocation(&w, 3, of_instance("i-0123456789abcdef00", POLICY_ACTIVE));
    expect_granted(&w);
    put_revocation(&w, 4, of_instance("i-0123456789abcdef0", POLICY_ACTIVE));
    expect_refused(&w, REASON_INSTANCE_REVOKED);
    w.fields.module_id = "i-0123456789abcdef0-tpm0000000000000000";
    expect_refused(&w, REASON_INSTANCE_REVOKED);
    w.fields.module_id = "i-0123456789abcdef0-enc0000000000000001"; /* each of its enclaves */
    expect_refused(&w, REASON_INSTANCE_REVOKED);
    put_revocation(&w, 4, of_instance("i-0123456789abcdef0", POLICY_REMOVED));
    expect_granted(&w);
}
END_TEST

/* The certificate at `at` of the chain; `with` changes one byte of its serial number. */
static struct policy_revocation of_certificate(struct world *w, size_t at, uint8_t with)
{
    CLEANUP(verified_doc_freep) struct verified_doc *doc = world_document(w);
    const struct attest_certificate *chain;
    struct policy_revocation row = {.kind = REVOCATION_CERTIFICATE, .state = POLICY_ACTIVE};
    ck_assert_uint_eq(verified_doc_chain(doc, &chain), 5);
    ck_ok(buf_append(&row.issuer, chain[at].issuer));
    ck_ok(buf_append(&row.serial, chain[at].serial));
    row.serial.ptr[row.serial.len - 1] ^= with;
    return row;
}

START_TEST(certificate_revoked)
{
    for (size_t at = 1; at < 5; at++) {
        CLEANUP(world_free) struct world w = {0};
        world_begin(&w);
        world_load(&w);
        CLEANUP(policy_revocation_free)
        struct policy_revocation other = of_certificate(&w, at, 1);
        put_revocation(&w, 1, other);
        expect_granted(&w);
        CLEANUP(policy_revocation_free)
        struct policy_revocation row = of_certificate(&w, at, 0);
        put_revocation(&w, 2, row);
        expect_refused(&w, REASON_CERTIFICATE_REVOKED);
        row.state = POLICY_REMOVED;
        put_revocation(&w, 2, row);
        expect_granted(&w);
    }
}
END_TEST

/* The number alone is another issuer's certificate. */
START_TEST(valid_same_serial_of_another_issuer)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    world_load(&w);
    CLEANUP(policy_revocation_free) struct policy_revocation leaf = of_certificate(&w, 4, 0);
    CLEANUP(policy_revocation_free) struct policy_revocation zonal = of_certificate(&w, 2, 0);
    leaf.issuer.len = 0;
    ck_ok(buf_append(&leaf.issuer, bytes_of_buf(&zonal.issuer)));
    put_revocation(&w, 1, leaf);
    expect_granted(&w);
}
END_TEST

/* Over everything else that could be said, a grant to a signer and an unknown secret too. */
START_TEST(revocations_come_first)
{
    CLEANUP(world_free) struct world w = {0};
    world_begin(&w);
    make_signer_grant(&w);
    world_load(&w);
    expect_granted(&w);
    w.measurement.state = MEASUREMENT_REVOKED;
    world_put_measurement(&w, 1);
    expect_refused(&w, REASON_MEASUREMENT_REVOKED);
    CLEANUP(policy_revocation_free) struct policy_revocation leaf = of_certificate(&w, 4, 0);
    put_revocation(&w, 1, leaf);
    expect_refused(&w, REASON_CERTIFICATE_REVOKED);
    put_revocation(&w, 2, of_instance("i-0123456789abcdef0", POLICY_ACTIVE));
    expect_refused(&w, REASON_INSTANCE_REVOKED);
    w.wanted.count = 0;
    world_want(&w, "none", 0, 0);
    expect_refused(&w, REASON_INSTANCE_REVOKED);
}
END_TEST

UNIT_MAIN("policy_revocation", instance_revoked, certificate_revoked,
          valid_same_serial_of_another_issuer, revocations_come_first)
