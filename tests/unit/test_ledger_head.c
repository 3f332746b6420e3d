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

/* Row n of the table gets a MAC of its own, until there are `rows`. */
static void fill(struct ledger_head *head, enum policy_table table, uint64_t rows)
{
    for (uint64_t id = head->macs[table].len / STORE_MAC_LEN + 1; id <= rows; id++) {
        uint8_t mac[STORE_MAC_LEN] = {(uint8_t)table, (uint8_t)(id >> 8), (uint8_t)id};
        ck_ok(ledger_head_put(head, table, id, mac, NULL));
    }
}

/* The same MACs in a head that has hashed nothing yet. */
static void copy_unhashed(const struct ledger_head *head, struct ledger_head *out)
{
    for (unsigned t = 0; t < POLICY_TABLE_COUNT; t++) {
        for (size_t at = 0; at < head->macs[t].len; at += STORE_MAC_LEN)
            ck_ok(ledger_head_put(out, (enum policy_table)t, at / STORE_MAC_LEN + 1,
                                  head->macs[t].ptr + at, NULL));
    }
}

/* What was hashed bit by bit is what is hashed at once. */
static void demand_fresh(struct ledger_head *head, const struct keyring *keyring)
{
    CLEANUP(ledger_head_free) struct ledger_head unhashed = {0};
    struct policy_head kept;
    struct policy_head expected;
    copy_unhashed(head, &unhashed);
    ck_ok(ledger_head_make(head, keyring, 1, &kept));
    ck_ok(ledger_head_make(&unhashed, keyring, 1, &expected));
    ck_assert(ledger_head_equal(&kept, &expected));
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

#define LAST_ROWS (LEDGER_CHUNK_ROWS + 2) /* of two chunks */

/* The digest as PROTOCOL section 7 has it, put together by hand: two tables, three chunks. */
START_TEST(valid_digest)
{
    CLEANUP(keyring_freep) struct keyring *keyring = test_keyring(7);
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    CLEANUP(buf_free) struct buf message = {0};
    struct policy_head made;
    uint8_t digest[SHA256_LEN];
    fill(&head, POLICY_IMAGE, LAST_ROWS);
    fill(&head, POLICY_OWN_KEY, 1);
    const struct bytes image = bytes_of_buf(&head.macs[POLICY_IMAGE]);
    ck_ok(buf_append(&message, bytes_of("\x83\x65image\x19\x01\x02\x58\x40", 12)));
    ck_ok(digest_sha256(bytes_of(image.ptr, 256 * 32), digest));
    ck_ok(buf_append(&message, bytes_of(digest, sizeof digest)));
    ck_ok(digest_sha256(bytes_of(image.ptr + 256 * 32, 2 * 32), digest));
    ck_ok(buf_append(&message, bytes_of(digest, sizeof digest)));
    ck_ok(buf_append(&message, bytes_of("\x83\x67own_key\x01\x58\x20", 12)));
    ck_ok(digest_sha256(bytes_of_buf(&head.macs[POLICY_OWN_KEY]), digest));
    ck_ok(buf_append(&message, bytes_of(digest, sizeof digest)));
    ck_ok(digest_sha256(bytes_of_buf(&message), digest));
    ck_ok(ledger_head_make(&head, keyring, 1, &made));
    ck_assert(ledger_mac_equal(made.digest, digest));
    ck_assert_uint_eq(made.row_count, LAST_ROWS + 1);
}
END_TEST

/* Every way in which a change touches a chunk: in the first, in the last, a row that begins
 * one, several at once; and all of it undone. */
START_TEST(valid_rehash)
{
    CLEANUP(keyring_freep) struct keyring *keyring = test_keyring(7);
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    static const uint64_t last[] = {1, LEDGER_CHUNK_ROWS - 1, LEDGER_CHUNK_ROWS,
                                    LEDGER_CHUNK_ROWS + 1, 2 * LEDGER_CHUNK_ROWS};
    struct policy_head before;
    struct policy_head after;
    for (size_t i = 0; i < ARRAY_LEN(last); i++) {
        struct ledger_head_undo undo = {0};
        fill(&head, POLICY_MEASUREMENT, last[i]);
        demand_fresh(&head, keyring);
        ck_ok(ledger_head_make(&head, keyring, 1, &before));
        ck_ok(put(&head, POLICY_MEASUREMENT, 1, 'a', &undo));
        ck_ok(put(&head, POLICY_MEASUREMENT, last[i], 'b', &undo));
        demand_fresh(&head, keyring);
        ck_ok(put(&head, POLICY_MEASUREMENT, last[i] + 1, 'c', &undo));
        ck_ok(put(&head, POLICY_MEASUREMENT, last[i] + 2, 'd', &undo));
        demand_fresh(&head, keyring);
        ck_ok(ledger_head_make(&head, keyring, 1, &after));
        ck_assert(!ledger_mac_equal(before.digest, after.digest));
        ledger_head_undo(&head, &undo);
        demand_fresh(&head, keyring);
        ck_ok(ledger_head_make(&head, keyring, 1, &after));
        ck_assert(ledger_head_equal(&before, &after));
    }
}
END_TEST

/* Two chunks of one table, one of the next: moved, swapped, dropped, doubled, cut elsewhere. */
START_TEST(wrong_chunks)
{
    CLEANUP(keyring_freep) struct keyring *keyring = test_keyring(7);
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    const size_t chunk = (size_t)LEDGER_CHUNK_ROWS * STORE_MAC_LEN;
    struct policy_head stored;
    bool holds;
    fill(&head, POLICY_IMAGE, 2 * LEDGER_CHUNK_ROWS);
    fill(&head, POLICY_MEASUREMENT, LEDGER_CHUNK_ROWS);
    ck_ok(ledger_head_make(&head, keyring, 3, &stored));
    for (unsigned attack = 0; attack < 7; attack++) {
        CLEANUP(ledger_head_free) struct ledger_head other = {0};
        copy_unhashed(&head, &other);
        struct buf *images = &other.macs[POLICY_IMAGE];
        struct buf *builds = &other.macs[POLICY_MEASUREMENT];
        switch (attack) {
        case 0: /* nothing */
            break;
        case 1: { /* the second chunk is the next table's first: the same chunks in order */
            CLEANUP(buf_free) struct buf moved = {0};
            ck_ok(buf_append(&moved, bytes_of(images->ptr + chunk, chunk)));
            ck_ok(buf_append(&moved, bytes_of_buf(builds)));
            images->len = chunk;
            builds->len = 0;
            for (size_t at = 0; at < moved.len; at += STORE_MAC_LEN)
                ck_ok(ledger_head_put(&other, POLICY_MEASUREMENT, at / STORE_MAC_LEN + 1,
                                      moved.ptr + at, NULL));
            break;
        }
        case 2: { /* all in another table */
            CLEANUP(buf_free) struct buf moved = {0};
            ck_ok(buf_append(&moved, bytes_of_buf(builds)));
            builds->len = 0;
            for (size_t at = 0; at < moved.len; at += STORE_MAC_LEN)
                ck_ok(ledger_head_put(&other, POLICY_SECRET, at / STORE_MAC_LEN + 1, moved.ptr + at,
                                      NULL));
            break;
        }
        case 3: /* the first chunk in place of the second */
            memcpy(images->ptr + chunk, images->ptr, chunk);
            break;
        case 4: /* the last chunk is gone */
            images->len = chunk;
            break;
        case 5: /* the last row is gone */
            builds->len -= STORE_MAC_LEN;
            break;
        default: { /* a row is there twice */
            uint8_t last[STORE_MAC_LEN];
            memcpy(last, builds->ptr + builds->len - sizeof last, sizeof last);
            ck_ok(ledger_head_put(&other, POLICY_MEASUREMENT, LEDGER_CHUNK_ROWS + 1, last, NULL));
        }
        }
        ck_ok(ledger_head_check(&other, keyring, &stored, &holds));
        ck_assert_msg(holds == (attack == 0), "attack %u", attack);
    }
}
END_TEST

/* The form of the first builds holds as well, made here as they made it; neither form's digest
 * is taken for the other's. */
START_TEST(valid_first_form)
{
    CLEANUP(keyring_freep) struct keyring *keyring = test_keyring(7);
    CLEANUP(ledger_head_free) struct ledger_head head = {0};
    CLEANUP(buf_free) struct buf macs = {0};
    CLEANUP(buf_free) struct buf message = {0};
    struct policy_head stored = {.revision = 9, .row_count = LAST_ROWS + 1};
    struct policy_head made;
    bool holds;
    fill(&head, POLICY_SETTING, 1);
    fill(&head, POLICY_IMAGE, LAST_ROWS);
    ck_ok(buf_append(&macs, bytes_of_buf(&head.macs[POLICY_SETTING])));
    ck_ok(buf_append(&macs, bytes_of_buf(&head.macs[POLICY_IMAGE])));
    ck_ok(digest_sha256(bytes_of_buf(&macs), stored.digest));
    ck_ok(buf_append(&message, bytes_of("\x83\x09\x19\x01\x03\x58\x20", 7)));
    ck_ok(buf_append(&message, bytes_of(stored.digest, sizeof stored.digest)));
    ck_ok(keyring_row_mac(keyring, bytes_of_buf(&message), stored.mac));
    ck_ok(ledger_head_check(&head, keyring, &stored, &holds));
    ck_assert(holds);
    ck_ok(ledger_head_make(&head, keyring, 9, &made));
    ck_assert(!ledger_mac_equal(stored.mac, made.mac));
    ck_ok(ledger_head_check(&head, keyring, &made, &holds));
    ck_assert(holds);
    memcpy(made.digest, stored.digest, sizeof made.digest); /* half of each */
    ck_ok(ledger_head_check(&head, keyring, &made, &holds));
    ck_assert(!holds);
    stored.revision = 8;
    ck_ok(ledger_head_check(&head, keyring, &stored, &holds));
    ck_assert(!holds);
    stored.revision = 9;
    ck_ok(put(&head, POLICY_IMAGE, 1, 'x', NULL));
    ck_ok(ledger_head_check(&head, keyring, &stored, &holds));
    ck_assert(!holds);
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
          valid_digest, valid_rehash, wrong_chunks, valid_first_form, wrong_equal, wrong_row_mac,
          valid_tables)
