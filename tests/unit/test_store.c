/* The store's operations over every backend: policy, sealed values, audit. */
#include "store_fixture.h"

/* --- identity and policy --- */

STORE_TEST(valid_identity)
{
    struct store_identity found = {0};
    ck_ok(f->ops->read_identity(f->store, &found, &f->fault));
    ck_assert_mem_eq(found.store_id, f->identity.store_id, sizeof found.store_id);
    ck_assert_mem_eq(found.key_check, f->identity.key_check, sizeof found.key_check);
    ck_assert_uint_eq(found.generation, 1);
    ck_assert_uint_eq(found.challenge_epoch, UINT32_MAX);
    ck_assert_uint_eq(found.purged_before_ms, 7);
    ck_assert_uint_eq(found.created_ms, CREATED_MS);
}

/* Byte for byte, nulls, empty values and the largest integer included, before and after
 * it was closed. */
STORE_TEST(valid_rows)
{
    fixture_holds(f, &f->rows);
    fixture_reopen(f);
    fixture_holds(f, &f->rows);
}

/* Rows that others refer to are updated, not replaced, and nulls come and go. */
STORE_TEST(valid_update)
{
    CLEANUP(rows_free) struct rows expected = {0};
    CLEANUP(rows_free) struct rows change = {0};
    rows_of_everything(&expected);
    rows_add(&change, POLICY_IMAGE, 1, 2, "tu", "payments", U(5));
    rows_add(&change, POLICY_TOKEN, 1, 2, "utbuuuu", U(1), "laptop", "h", U(1), U(2), U(6), U(9));
    rows_add(&change, POLICY_SECRET, 1, 2, "tuuu", "db/main", U(2), U(1), U(7));
    ck_ok(fixture_change(f, &change, NULL));
    expected.row[3] = change.row[0];
    expected.row[2] = change.row[1];
    expected.row[5] = change.row[2];
    fixture_holds(f, &expected);
}

/* By table, then id, in whatever order they came. */
STORE_TEST(valid_scan_order)
{
    CLEANUP(rows_free) struct rows change = {0};
    CLEANUP(rows_free) struct rows found = {0};
    struct policy_head head = {0};
    rows_add(&change, POLICY_SECRET, 3, 2, "tuuu", "c", U(0), U(1), U(7));
    rows_add(&change, POLICY_IMAGE, 10, 2, "tu", "a", U(5));
    rows_add(&change, POLICY_SECRET, 2, 2, "tuuu", "d", U(0), U(1), U(7));
    rows_add(&change, POLICY_IMAGE, 9, 2, "tu", "b", U(5));
    ck_ok(fixture_change(f, &change, NULL));
    ck_ok(f->ops->scan_policy(f->store, &head, rows_collect, &found, &f->fault));
    ck_assert_uint_eq(found.count, f->rows.count + 4);
    for (size_t i = 1; i < found.count; i++) {
        const struct policy_row *a = &found.row[i - 1];
        const struct policy_row *b = &found.row[i];
        ck_assert(a->table < b->table || (a->table == b->table && a->id < b->id));
    }
}

static enum err stop_at_image(const struct policy_row *row, void *context)
{
    ++*(unsigned *)context;
    return row->table == POLICY_IMAGE ? ERR_WRONG_STATE : ERR_OK;
}

STORE_TEST(wrong_row_for_the_callback)
{
    unsigned count = 0;
    struct policy_head head = {.revision = 99};
    ck_err(f->ops->scan_policy(f->store, &head, stop_at_image, &count, &f->fault), ERR_WRONG_STATE);
    ck_assert_uint_eq(count, 4);
    ck_assert_uint_eq(head.revision, 99);
    fixture_holds(f, &f->rows);
}

/* --- changes that are refused leave nothing --- */

STORE_TEST(wrong_revision)
{
    const uint64_t wrong[] = {0, 2, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        f->head.revision = wrong[i];
        ck_err(fixture_change(f, NULL, NULL), ERR_STORE_CONFLICT);
        f->head.revision = 1;
    }
    fixture_holds(f, &f->rows);
}

STORE_TEST(wrong_name_exists)
{
    CLEANUP(rows_free) struct rows change = {0};
    rows_add(&change, POLICY_SECRET, 2, 2, "tuuu", "new", U(0), U(1), U(7));
    rows_add(&change, POLICY_IMAGE, 2, 2, "tu", "payments", U(5));
    ck_err(fixture_change(f, &change, NULL), ERR_EXISTS);
    ck_assert_ptr_nonnull(strstr(f->fault.detail, "image.name"));
    fixture_holds(f, &f->rows);
}

STORE_TEST(wrong_values_exist)
{
    CLEANUP(rows_free) struct rows change = {0};
    rows_add(&change, POLICY_MEASUREMENT, 2, 2, "utuubbunubtu", U(1), "1.4.3", U(0), U(0), "p", "r",
             U(2), U(1), "", "", U(0));
    ck_err(fixture_change(f, &change, NULL), ERR_EXISTS);
    fixture_holds(f, &f->rows);
}

STORE_TEST(no_parent)
{
    CLEANUP(rows_free) struct rows change = {0};
    rows_add(&change, POLICY_SECRET_VERSION, 2, 2, "uuuuu", U(77), U(1), U(32), U(1), U(7));
    ck_err(fixture_change(f, &change, NULL), ERR_STORE);
    ck_assert_ptr_nonnull(strstr(f->fault.detail, "FOREIGN KEY"));
    fixture_holds(f, &f->rows);
}

STORE_TEST(no_value_where_one_must_be)
{
    CLEANUP(rows_free) struct rows change = {0};
    rows_add(&change, POLICY_IMAGE, 2, 2, "tn", "new");
    ck_err(fixture_change(f, &change, NULL), ERR_STORE);
    fixture_holds(f, &f->rows);
}

STORE_TEST(wrong_columns)
{
    static const struct {
        const char *types;
        const char *text;
    } wrong[] = {{"t", "x"}, {"tuu", "x"}, {"tt", "x"}, {"bu", "x"}, {"tb", "x"}};
    CLEANUP(rows_free) struct rows numbers = {0};
    rows_add(&numbers, POLICY_IMAGE, 2, 2, "uu", U(5), U(5));
    ck_err(fixture_change(f, &numbers, NULL), ERR_INTERNAL);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CLEANUP(rows_free) struct rows change = {0};
        /* A text of digits would fit an INTEGER column: it must not. */
        if (wrong[i].types[1] == 't' || wrong[i].types[1] == 'b')
            rows_add(&change, POLICY_IMAGE, 2, 2, wrong[i].types, wrong[i].text, "5");
        else
            rows_add(&change, POLICY_IMAGE, 2, 2, wrong[i].types, wrong[i].text, U(5), U(5));
        ck_err(fixture_change(f, &change, NULL), ERR_INTERNAL);
        ck_assert_str_eq(f->fault.field, "image 2");
    }
    fixture_holds(f, &f->rows);
}

STORE_TEST(junk_columns)
{
    CLEANUP(rows_free) struct rows change = {0};
    rows_add(&change, POLICY_IMAGE, 2, 2, "tu", "new", U(5));
    change.row[0].columns.len--;
    ck_err(fixture_change(f, &change, NULL), ERR_INTERNAL);
    ck_ok(buf_append(&change.columns[0], bytes_of("", 1)));
    change.row[0].columns = bytes_of_buf(&change.columns[0]);
    ck_err(fixture_change(f, &change, NULL), ERR_INTERNAL);
    fixture_holds(f, &f->rows);
}

STORE_TEST(long_numbers)
{
    CLEANUP(rows_free) struct rows change = {0};
    rows_add(&change, POLICY_IMAGE, 2, 2, "tu", "new", U(INT64_MAX) + 1);
    ck_err(fixture_change(f, &change, NULL), ERR_INTERNAL);
    rows_free(&change);
    rows_add(&change, POLICY_IMAGE, UINT64_MAX, 2, "tu", "new", U(1));
    ck_err(fixture_change(f, &change, NULL), ERR_INTERNAL);
    fixture_holds(f, &f->rows);
}

STORE_TEST(wrong_sequence)
{
    const uint64_t wrong[] = {0, 1, 2};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct audit_entry entry = fixture_audit(f, "x");
        entry.sequence = wrong[i] == 2 ? 3 : wrong[i];
        ck_err(f->ops->append_audit(f->store, &entry, &f->fault), ERR_STORE_CONFLICT);
    }
    f->sequence = 5;
    ck_err(fixture_change(f, NULL, NULL), ERR_STORE_CONFLICT);
    f->sequence = 1;
    fixture_holds(f, &f->rows);
}

/* --- sealed values --- */

static enum err put_sealed(struct fixture *f, uint64_t secret_id, uint32_t version,
                           const char *text)
{
    const struct sealed_value sealed = {secret_id, version, bytes_of_text(text)};
    return fixture_change(f, NULL, &(struct store_change){.sealed_count = 1, .sealed = &sealed});
}

STORE_TEST(wrong_sealed_exists)
{
    ck_err(put_sealed(f, SECRET_ID, 1, "other"), ERR_EXISTS);
    fixture_holds(f, &f->rows);
    ck_err(put_sealed(f, 9, 1, "of no secret"), ERR_STORE);
    ck_ok(put_sealed(f, SECRET_ID, 2, "second"));
}

static bool directory_contains(const struct fixture *f, const char *text)
{
    bool found = false;
    DIR *dir = opendir(f->dir);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", f->dir, e->d_name);
        FILE *file = e->d_name[0] == '.' ? NULL : fopen(name, "rb");
        if (file == NULL)
            continue;
        static char content[1 << 21];
        const size_t len = fread(content, 1, sizeof content, file);
        for (size_t i = 0; i + strlen(text) <= len; i++)
            found |= memcmp(content + i, text, strlen(text)) == 0;
        fclose(file);
    }
    closedir(dir);
    return found;
}

/* Destroyed is gone: from the table, the pages and the log. */
STORE_TEST(valid_erase)
{
    const struct sealed_ref ref = {SECRET_ID, 2};
    ck_ok(put_sealed(f, SECRET_ID, 2, "a value to be destroyed"));
    ck_assert(directory_contains(f, "a value to be destroyed"));
    ck_ok(fixture_change(f, NULL, &(struct store_change){.erased_count = 1, .erased = &ref}));
    ck_assert(!directory_contains(f, "a value to be destroyed"));
    ck_assert(directory_contains(f, "sealed bytes of version 1"));
    struct decision decision;
    struct store_outcome out = {0};
    decision_make(&decision, f, 1, "i-1");
    decision.d.wanted[0].version = 2;
    ck_err(decision_commit(f, &decision, &out), ERR_STORE);
}

/* --- audit --- */

struct seen {
    unsigned count;
    uint64_t last;
    unsigned stop_at;
};

static enum err see_entry(const struct audit_entry *entry, void *context)
{
    struct seen *seen = context;
    char expected[16];
    snprintf(expected, sizeof expected, "req-%u", (unsigned)entry->sequence);
    ck_assert_uint_gt(entry->sequence, seen->last);
    ck_assert_str_eq(entry->request_id, expected);
    ck_assert_str_eq(entry->event, "test.event");
    ck_assert(bytes_equal_text(entry->record, expected));
    ck_assert_uint_eq(entry->time_ms, CREATED_MS + entry->sequence - 1);
    ck_assert_uint_eq(entry->hash[47], (uint8_t)entry->sequence);
    seen->last = entry->sequence;
    seen->count++;
    return seen->count == seen->stop_at ? ERR_WRONG_STATE : ERR_OK;
}

static void append_records(struct fixture *f, uint64_t up_to)
{
    while (f->sequence < up_to) {
        char text[16];
        snprintf(text, sizeof text, "req-%u", (unsigned)f->sequence + 1);
        const struct audit_entry entry = fixture_audit(f, text);
        ck_ok(f->ops->append_audit(f->store, &entry, &f->fault));
        f->sequence++;
    }
}

STORE_TEST(valid_audit)
{
    static const struct {
        uint64_t from, to, limit;
        unsigned count;
        uint64_t last;
    } scans[] = {
        {2, UINT64_MAX, UINT64_MAX, 9, 10},
        {2, 10, 3, 3, 4},
        {5, 5, 10, 1, 5},
        {7, 6, 10, 0, 0},
        {11, 99, 10, 0, 0},
        {2, 10, 0, 0, 0},
    };
    append_records(f, 10);
    for (size_t i = 0; i < ARRAY_LEN(scans); i++) {
        struct seen seen = {0};
        ck_ok(f->ops->audit_scan(f->store, scans[i].from, scans[i].to, scans[i].limit, see_entry,
                                 &seen, &f->fault));
        ck_assert_uint_eq(seen.count, scans[i].count);
        ck_assert_uint_eq(seen.last, scans[i].last);
    }
    struct seen seen = {.stop_at = 2};
    ck_err(f->ops->audit_scan(f->store, 2, 10, 10, see_entry, &seen, &f->fault), ERR_WRONG_STATE);
    ck_assert_uint_eq(seen.count, 2);
    seen = (struct seen){0};
    ck_ok(f->ops->audit_find(f->store, "req-7", see_entry, &seen, &f->fault));
    ck_assert_uint_eq(seen.last, 7);
    ck_err(f->ops->audit_find(f->store, "req-70", see_entry, &seen, &f->fault), ERR_NOT_FOUND);
}

static enum err see_checkpoint(uint64_t sequence, struct bytes message, void *context)
{
    struct buf *out = context;
    ck_ok(buf_append_format(out, "%u:%.*s ", (unsigned)sequence, (int)message.len, message.ptr));
    return message.ptr[0] == '!' ? ERR_WRONG_STATE : ERR_OK;
}

STORE_TEST(valid_checkpoints)
{
    CLEANUP(buf_free) struct buf seen = {0};
    ck_ok(f->ops->put_checkpoint(f->store, 9, bytes_of_text("nine"), &f->fault));
    ck_ok(f->ops->put_checkpoint(f->store, 1, bytes_of_text("one"), &f->fault));
    ck_ok(f->ops->put_checkpoint(f->store, 5, bytes_of_text("five"), &f->fault));
    ck_ok(f->ops->put_checkpoint(f->store, 5, bytes_of_text("five again"), &f->fault));
    ck_ok(f->ops->checkpoint_scan(f->store, 2, UINT64_MAX, see_checkpoint, &seen, &f->fault));
    ck_assert_str_eq(buf_text(&seen), "5:five again 9:nine ");
    seen.len = 0;
    ck_ok(f->ops->checkpoint_scan(f->store, 1, 5, see_checkpoint, &seen, &f->fault));
    ck_assert_str_eq(buf_text(&seen), "1:one 5:five again ");
    seen.len = 0;
    ck_ok(f->ops->checkpoint_scan(f->store, 2, 4, see_checkpoint, &seen, &f->fault));
    ck_assert_uint_eq(seen.len, 0);
    ck_ok(f->ops->put_checkpoint(f->store, 1, bytes_of_text("!"), &f->fault));
    ck_err(f->ops->checkpoint_scan(f->store, 0, 9, see_checkpoint, &seen, &f->fault),
           ERR_WRONG_STATE);
    ck_assert_str_eq(buf_text(&seen), "1:! ");
}

START_TEST(valid_table_names)
{
    ck_assert_str_eq(policy_table_name(POLICY_SETTING), "setting");
    ck_assert_str_eq(policy_table_name(POLICY_GRANT), "secret_grant");
    for (unsigned i = 0; i < POLICY_TABLE_COUNT; i++)
        ck_assert_ptr_nonnull(policy_table_name((enum policy_table)i));
}
END_TEST

UNIT_MAIN("store", valid_identity, valid_rows, valid_update, valid_scan_order,
          wrong_row_for_the_callback, wrong_revision, wrong_name_exists, wrong_values_exist,
          no_parent, no_value_where_one_must_be, wrong_columns, junk_columns, long_numbers,
          wrong_sequence, wrong_sealed_exists, valid_erase, valid_audit, valid_checkpoints,
          valid_table_names)
