/* The rows of grants: their members there and back. */
#include "policy_rows.h"
#include "verifier/policy/row_form.h"
#include <glob.h>

START_TEST(valid_signer_columns)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_grant g = {.secret_id = 1, .state = POLICY_ACTIVE};
    set_pcr(&g.pcr, 8, ones);
    set_pcr(&g.pcr, 1, twos);
    ck_ok(policy_grant_append(&g, &columns));
    /* 8f 01 f6 f6 then two byte strings of 48: pcr8, pcr1 */
    ck_assert_uint_eq(columns.ptr[4], 0x58);
    ck_assert_mem_eq(columns.ptr + 6, ones, sizeof ones);
    ck_assert_mem_eq(columns.ptr + 6 + 48 + 2, twos, sizeof twos);
}
END_TEST

/* --- What a row means --- */

START_TEST(valid_grant_members)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_grant g = {0};
    rows_grant(&columns, 0);
    ck_ok(policy_grant_parse(bytes_of_buf(&columns), &g));
    ck_assert_uint_eq(g.secret_id, 1);
    ck_assert_uint_eq(g.image_id, 1);
    ck_assert_uint_eq(g.measurement_id, 3);
    ck_assert_uint_eq(g.pcr.present, PCR_BIT(3) | PCR_BIT(4));
    ck_assert_mem_eq(g.pcr.value[3], ones, ATTDOC_PCR_LEN);
    ck_assert_mem_eq(g.pcr.value[4], twos, ATTDOC_PCR_LEN);
    ck_assert_str_eq(g.region, REGION);
    ck_assert(g.has_application && bytes_equal_text(bytes_of_buf(&g.application), "tenant-1"));
    ck_assert_uint_eq(g.version_count, 2);
    ck_assert_uint_eq(g.version[1], 300);
    ck_assert_uint_eq(g.quota, 5);
    ck_assert_uint_eq(g.not_before_ms, NOW_MS);
    ck_assert_uint_eq(g.not_after_ms, NOW_MS + 1);
    ck_assert_int_eq(g.state, POLICY_ACTIVE);
    policy_grant_free(&g);
    policy_grant_free(&g); /* accepts an empty one */
}
END_TEST

START_TEST(valid_signer_members)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_grant g = {.secret_id = 1, .state = POLICY_ACTIVE};
    struct policy_grant again = {0};
    set_pcr(&g.pcr, 8, ones);
    set_pcr(&g.pcr, 1, zeros);
    ck_ok(policy_grant_append(&g, &columns));
    ck_ok(policy_grant_parse(bytes_of_buf(&columns), &again));
    ck_assert_uint_eq(again.pcr.present, PCR_BITS_SIGNER);
    ck_assert_mem_eq(again.pcr.value[8], ones, ATTDOC_PCR_LEN);
    ck_assert_mem_eq(again.pcr.value[1], zeros, ATTDOC_PCR_LEN);
    columns.len = 0;
    g.measurement_id = 1;
    ck_err(policy_grant_append(&g, &columns), ERR_INTERNAL);
    ck_assert_uint_eq(columns.len, 0);
}
END_TEST

/* A set of versions has one order, whatever order it came in. */
START_TEST(valid_versions_sorted)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_grant g = {.secret_id = 1, .image_id = 1, .state = POLICY_ACTIVE};
    struct policy_grant again = {0};
    static const uint32_t versions[] = {9, 1, 9, 300, 1};
    memcpy(g.version, versions, sizeof versions);
    g.version_count = ARRAY_LEN(versions);
    ck_ok(policy_grant_append(&g, &columns));
    ck_ok(policy_grant_parse(bytes_of_buf(&columns), &again));
    ck_assert_uint_eq(again.version_count, 3);
    ck_assert_uint_eq(again.version[0], 1);
    ck_assert_uint_eq(again.version[1], 9);
    ck_assert_uint_eq(again.version[2], 300);
    g.version[0] = 0;
    ck_err(policy_grant_append(&g, &columns), ERR_INTERNAL);
    g.version_count = GRANT_VERSIONS_MAX + 1;
    ck_err(policy_grant_append(&g, &columns), ERR_INTERNAL);
}
END_TEST

UNIT_MAIN("policy_grant_rows", valid_signer_columns, valid_grant_members, valid_signer_members,
          valid_versions_sorted)
