/* The MACs in memory: rows take their places without gaps, and what is undone is as before. */
#include "unit.h"

#include "verifier/policy/policy.h"
#include "verifier/warden/ledger_internal.h"

static struct keyring *test_keyring(uint8_t fill)
{
    static const uint8_t store_id[PROTOCOL_STORE_ID_LEN] = {1};
    CLEANUP(secret_freep) struct secret *master = NULL;
    struct keyring *keyring = NULL;
    ck_ok(secret_new(KEYRING_MASTER_LEN, &master));
    memset(secret_ptr(master), fill, KEYRING_MASTER_LEN);
    ck_ok(keyring_open(master, store_id, 1, &keyring));
    return keyring;
}

static enum err put(struct ledger_head *head, enum policy_table table, uint64_t id, int fill,
                    struct ledger_head_undo *undo)
{
    uint8_t mac[STORE_MAC_LEN];
    memset(mac, fill, sizeof mac);
    return ledger_head_put(head, table, id, mac, undo);
}

static void demand(const struct ledger_head *head, enum policy_table table, const char *fills)
{
    const struct buf *macs = &head->macs[table];
    ck_assert_uint_eq(macs->len, strlen(fills) * STORE_MAC_LEN);
    for (size_t i = 0; i < macs->len; i++)
        ck_assert_int_eq(macs->ptr[i], fills[i / STORE_MAC_LEN]);
}

START_TEST(valid_put)
{
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    ck_ok(put(&head, POLICY_IMAGE, 1, 'a', NULL));
    ck_ok(put(&head, POLICY_IMAGE, 2, 'b', NULL));
    ck_ok(put(&head, POLICY_OWN_KEY, 1, 'k', NULL));
    ck_ok(put(&head, POLICY_IMAGE, 1, 'c', NULL));
    demand(&head, POLICY_IMAGE, "cb");
    demand(&head, POLICY_OWN_KEY, "k");
    demand(&head, POLICY_SETTING, "");
}
END_TEST

START_TEST(wrong_id)
{
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    struct ledger_head_undo undo = {0};
    ck_err(put(&head, POLICY_IMAGE, 2, 'x', &undo), ERR_INTERNAL);
    ck_ok(put(&head, POLICY_IMAGE, 1, 'a', NULL));
    ck_err(put(&head, POLICY_IMAGE, 0, 'x', &undo), ERR_INTERNAL);
    ck_err(put(&head, POLICY_IMAGE, 3, 'x', &undo), ERR_INTERNAL);
    ck_err(put(&head, POLICY_IMAGE, UINT64_MAX, 'x', &undo), ERR_INTERNAL);
    ck_assert_uint_eq(undo.count, 0);
    demand(&head, POLICY_IMAGE, "a");
}
END_TEST

/* Rows of one change that replace each other: the last is undone first. */
START_TEST(valid_undo)
{
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    struct ledger_head_undo undo = {0};
    ck_ok(put(&head, POLICY_IMAGE, 1, 'a', NULL));
    ck_ok(put(&head, POLICY_IMAGE, 2, 'b', NULL));
    ck_ok(put(&head, POLICY_IMAGE, 2, 'c', &undo));
    ck_ok(put(&head, POLICY_IMAGE, 3, 'd', &undo));
    ck_ok(put(&head, POLICY_IMAGE, 3, 'e', &undo));
    ck_ok(put(&head, POLICY_IMAGE, 2, 'f', &undo));
    ck_ok(put(&head, POLICY_SECRET, 1, 'g', &undo));
    demand(&head, POLICY_IMAGE, "afe");
    ledger_head_undo(&head, &undo);
    demand(&head, POLICY_IMAGE, "ab");
    demand(&head, POLICY_SECRET, "");
    ck_ok(put(&head, POLICY_IMAGE, 3, 'h', NULL));
    demand(&head, POLICY_IMAGE, "abh");
}
END_TEST

/* As many rows as one change may have; the next is refused and changes nothing. */
START_TEST(long_undo)
{
    for (unsigned appended = 0; appended < 2; appended++) {
        CLEANUP(ledger_head_free) struct ledger_head head = {0};
        struct ledger_head_undo undo = {0};
        ck_ok(put(&head, POLICY_IMAGE, 1, 'a', NULL));
        for (uint64_t i = 0; i < LEDGER_CHANGE_ROWS; i++)
            ck_ok(put(&head, POLICY_IMAGE, 2 + i, 'b', &undo));
        const size_t len = head.macs[POLICY_IMAGE].len;
        ck_err(put(&head, POLICY_IMAGE, appended ? LEDGER_CHANGE_ROWS + 2 : 1, 'x', &undo),
               ERR_INTERNAL);
        ck_assert_uint_eq(head.macs[POLICY_IMAGE].len, len);
        ck_assert_int_eq(head.macs[POLICY_IMAGE].ptr[0], 'a');
        ledger_head_undo(&head, &undo);
        demand(&head, POLICY_IMAGE, "a");
    }
}
END_TEST

START_TEST(long_change)
{
    CLEANUP(ledger_change_free) struct ledger_change change = {.count = 0};
    CLEANUP(buf_free) struct buf columns = {0};
    for (size_t i = 0; i < LEDGER_CHANGE_ROWS; i++) {
        ck_ok(buf_append_text(&columns, "row"));
        ck_ok(ledger_change_add(&change, POLICY_IMAGE, i + 1, &columns));
    }
    ck_ok(buf_append_text(&columns, "row"));
    ck_err(ledger_change_add(&change, POLICY_IMAGE, LEDGER_CHANGE_ROWS + 1, &columns),
           ERR_INTERNAL);
    ck_assert_uint_eq(change.count, LEDGER_CHANGE_ROWS);
    ck_assert_uint_eq(columns.len, 3); /* still the caller's */
}
END_TEST

/* Revision, count, every MAC, its place and the key: each alone makes another head. */
START_TEST(valid_make)
{
    CLEANUP(keyring_freep) struct keyring *keyring = test_keyring(7);
    CLEANUP(keyring_freep) struct keyring *other = test_keyring(8);
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    struct policy_head empty;
    struct policy_head one;
    struct policy_head again;
    ck_ok(ledger_head_make(&head, keyring, 1, &empty));
    ck_assert_uint_eq(empty.row_count, 0);
    ck_ok(put(&head, POLICY_IMAGE, 1, 'a', NULL));
    ck_ok(ledger_head_make(&head, keyring, 1, &one));
    ck_assert_uint_eq(one.revision, 1);
    ck_assert_uint_eq(one.row_count, 1);
    ck_assert(!ledger_head_equal(&empty, &one));
    ck_ok(ledger_head_make(&head, keyring, 1, &again));
    ck_assert(ledger_head_equal(&one, &again));
    ck_ok(ledger_head_make(&head, keyring, 2, &again));
    ck_assert(!ledger_mac_equal(one.mac, again.mac));
    ck_assert(ledger_mac_equal(one.digest, again.digest));
    ck_ok(ledger_head_make(&head, other, 1, &again));
    ck_assert(!ledger_mac_equal(one.mac, again.mac));
    ck_ok(put(&head, POLICY_IMAGE, 2, 'b', NULL));
    ck_ok(ledger_head_make(&head, keyring, 1, &one));
    ck_ok(put(&head, POLICY_IMAGE, 1, 'b', NULL));
    ck_ok(put(&head, POLICY_IMAGE, 2, 'a', NULL));
    ck_ok(ledger_head_make(&head, keyring, 1, &again));
    ck_assert_uint_eq(again.row_count, 2);
    ck_assert(!ledger_mac_equal(one.digest, again.digest));
}
END_TEST

START_TEST(wrong_equal)
{
    CLEANUP(keyring_freep) struct keyring *keyring = test_keyring(7);
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    struct policy_head a;
    ck_ok(ledger_head_make(&head, keyring, 1, &a));
    struct policy_head b = a;
    b.revision++;
    ck_assert(!ledger_head_equal(&a, &b));
    b = a;
    b.row_count++;
    ck_assert(!ledger_head_equal(&a, &b));
    b = a;
    b.digest[STORE_MAC_LEN - 1] ^= 1;
    ck_assert(!ledger_head_equal(&a, &b));
    b = a;
    b.mac[STORE_MAC_LEN - 1] ^= 1;
    ck_assert(!ledger_head_equal(&a, &b));
    b = a;
    ck_assert(ledger_head_equal(&a, &b));
}
END_TEST

/* A row's MAC is over its table, id, revision and columns. */
START_TEST(wrong_row_mac)
{
    CLEANUP(keyring_freep) struct keyring *keyring = test_keyring(7);
    const struct policy_row row = {
        .table = POLICY_IMAGE, .id = 1, .revision = 1, .columns = bytes_of("\x81\x01", 2)};
    struct policy_row changed[4] = {row, row, row, row};
    uint8_t mac[STORE_MAC_LEN];
    uint8_t again[STORE_MAC_LEN];
    changed[0].table = POLICY_SECRET;
    changed[1].id = 2;
    changed[2].revision = 2;
    changed[3].columns = bytes_of("\x81\x02", 2);
    ck_ok(ledger_row_mac(keyring, &row, mac));
    ck_ok(ledger_row_mac(keyring, &row, again));
    ck_assert(ledger_mac_equal(mac, again));
    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        ck_ok(ledger_row_mac(keyring, &changed[i], again));
        ck_assert(!ledger_mac_equal(mac, again));
    }
}
END_TEST

/* The functions of each table are those of the table that the store means. */
START_TEST(valid_tables)
{
    static const char *const names[] = {
#define X(T) #T,
        POLICY_TABLES(X)
#undef X
    };
    ck_assert_uint_eq(ARRAY_LEN(names), POLICY_TABLE_COUNT);
    for (unsigned i = 0; i < POLICY_TABLE_COUNT; i++) {
        const char *expected = i == POLICY_GRANT ? "secret_grant" : names[i];
        ck_assert_str_eq(policy_table_name((enum policy_table)i), expected);
        ck_assert(ledger_tables[i].load != NULL && ledger_tables[i].count != NULL);
    }
    ck_assert_str_eq(names[POLICY_GRANT], "grant");
}
END_TEST

UNIT_MAIN("ledger_head", valid_put, wrong_id, valid_undo, long_undo, long_change, valid_make,
          wrong_equal, wrong_row_mac, valid_tables)
