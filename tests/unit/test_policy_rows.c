/* Rows of the policy as CBOR columns: one encoding of each, and nothing else is read. */
#include <glob.h>

#include "policy_rows.h"
#include "verifier/policy/row_form.h"

/* --- Every table --- */

START_TEST(valid_round_trips)
{
    for (size_t t = 0; t < 2 * ROWS_COUNT; t++) {
        CLEANUP(buf_free) struct buf columns = {0};
        CLEANUP(buf_free) struct buf again = {0};
        rows_of[t / 2].make(&columns, t % 2);
        ck_ok(rows_of[t / 2].again(bytes_of_buf(&columns), &again));
        ck_assert_msg(bytes_equal(bytes_of_buf(&columns), bytes_of_buf(&again)), "%s",
                      rows_of[t / 2].sql_name);
    }
}
END_TEST

START_TEST(valid_append_keeps_what_is_there)
{
    CLEANUP(buf_free) struct buf columns = {0};
    CLEANUP(buf_free) struct buf alone = {0};
    const struct policy_image bad = {.name = "Payments"};
    ck_ok(buf_append_text(&columns, "before"));
    rows_image(&columns, 0);
    rows_image(&alone, 0);
    ck_assert(bytes_equal(bytes_of(columns.ptr + 6, columns.len - 6), bytes_of_buf(&alone)));
    ck_err(policy_image_append(&bad, &columns), ERR_INTERNAL);
    ck_assert_uint_eq(columns.len, 6 + alone.len);
}
END_TEST

/* Either refused as tampered, or it is another row, in the one encoding of that row. */
static bool one_encoding(size_t table, struct bytes in)
{
    CLEANUP(buf_free) struct buf again = {0};
    const enum err err = rows_of[table].again(in, &again);
    if (err == ERR_OK)
        ck_assert_msg(bytes_equal(in, bytes_of_buf(&again)), "%s has two encodings of a row",
                      rows_of[table].sql_name);
    else
        ck_err(err, ERR_STORE_TAMPERED);
    return err == ERR_OK;
}

START_TEST(junk_byte_anywhere)
{
    size_t accepted = 0;
    size_t tried = 0;
    for (size_t t = 0; t < 2 * ROWS_COUNT; t++) {
        CLEANUP(buf_free) struct buf columns = {0};
        rows_of[t / 2].make(&columns, t % 2);
        for (size_t i = 0; i < columns.len; i++) {
            const uint8_t byte = columns.ptr[i];
            for (unsigned value = 0; value < 256; value += 1 + value % 3) {
                columns.ptr[i] = (uint8_t)value;
                accepted += one_encoding(t / 2, bytes_of_buf(&columns));
                tried++;
            }
            columns.ptr[i] = byte;
        }
    }
    ck_assert_uint_gt(accepted, 0);
    ck_assert_uint_lt(accepted, tried);
}
END_TEST

START_TEST(short_or_long)
{
    for (size_t t = 0; t < 2 * ROWS_COUNT; t++) {
        CLEANUP(buf_free) struct buf columns = {0};
        rows_of[t / 2].make(&columns, t % 2);
        for (size_t len = 0; len < columns.len; len++)
            ck_assert(!one_encoding(t / 2, bytes_of(columns.ptr, len)));
        ck_ok(buf_append(&columns, bytes_of("\xf6", 1)));
        ck_assert(!one_encoding(t / 2, bytes_of_buf(&columns)));
        columns.ptr[0]++; /* one column more, as the array says */
        ck_assert(!one_encoding(t / 2, bytes_of_buf(&columns)));
    }
}
END_TEST

/* --- Columns that a migration added --- */

struct grown {
    uint64_t first;
    char text[8]; /* later */
    struct buf bytes;
};

#define GROWN(member)                                                                         \
    .offset = offsetof(struct grown, member), .size = sizeof(((struct grown *)NULL)->member), \
    .min = 1, .max = 100

static const struct column grown_columns[] = {
    {.form = &row_optional_uint, GROWN(first)},
    {.form = &row_optional_text, GROWN(text), .later = true},
    {.form = &row_optional_buf, GROWN(bytes), .later = true},
};
static const struct row_shape grown_shape = {.count = ARRAY_LEN(grown_columns),
                                             .column = grown_columns};

/* That these columns are read and written back, or refused. */
static void grown(const char *columns, size_t len, bool accepted)
{
    CLEANUP(buf_free) struct buf again = {0};
    struct grown row = {0};
    struct grown scratch = {0};
    const struct bytes in = bytes_of(columns, len);
    ck_err(row_parse(&grown_shape, in, &row), accepted ? ERR_OK : ERR_STORE_TAMPERED);
    if (accepted) {
        ck_ok(row_append(&grown_shape, &row, &scratch, &again));
        ck_assert(bytes_equal(bytes_of_buf(&again), in));
    }
    row_release(&grown_shape, &row);
}
#define GROWN_OK(columns)      grown((columns), sizeof(columns) - 1, true)
#define GROWN_REFUSED(columns) grown((columns), sizeof(columns) - 1, false)

START_TEST(valid_later_columns)
{
    GROWN_OK("\x81\x05");      /* as before the migration */
    GROWN_OK("\x81\xf6");      /* only a later one is left out */
    GROWN_OK("\x82\x05\x61t"); /* with one of them */
    GROWN_OK("\x83\x05\xf6\x41"
             "b"); /* null, but not at the end */
    GROWN_OK("\x83\xf6\x61t\x41"
             "b");
    GROWN_REFUSED("\x80");
    GROWN_REFUSED("\x82\x05\xf6"); /* a second encoding */
    GROWN_REFUSED("\x83\x05\xf6\xf6");
    GROWN_REFUSED("\x83\x05\x61t\xf6");
    GROWN_REFUSED("\x84\x05\x61t\x41"
                  "b\x01");
    GROWN_REFUSED("\x82\x05\x60"); /* null says it */
    GROWN_REFUSED("\x82\x05\x41"
                  "b");
    GROWN_REFUSED("\x81\x05\x61t");
}
END_TEST

/* --- The columns are those of db/ --- */

/* The column definitions of a table between `revision` and `mac`, and those added later. */
static size_t sql_columns(const char *sql, const char *table, char line[][128])
{
    char head[64];
    size_t count = 0;
    snprintf(head, sizeof head, "CREATE TABLE %s (\n", table);
    const char *p = strstr(sql, head);
    ck_assert_msg(p != NULL, "no table %s", table);
    p = strchr(strstr(p, " revision "), '\n') + 1;
    while (strncmp(p, "    mac ", 8) != 0) {
        const char *end = strchr(p, '\n');
        snprintf(line[count++], 128, "%.*s", (int)(end - p), p);
        p = end + 1;
    }
    snprintf(head, sizeof head, "ALTER TABLE %s ADD COLUMN ", table);
    while ((p = strstr(p, head)) != NULL) {
        p += strlen(head);
        snprintf(line[count++], 128, "%.*s", (int)strcspn(p, ";"), p);
    }
    return count;
}

static bool fits_sql(enum cbor_kind kind, const char *definition)
{
    if (kind == CBOR_KIND_NULL)
        return strstr(definition, "NOT NULL") == NULL;
    if (kind == CBOR_KIND_UINT)
        return strstr(definition, " INTEGER") != NULL;
    return strstr(definition, kind == CBOR_KIND_TEXT ? " TEXT" : " BLOB") != NULL;
}

/* All of db/, in the order of the numbers. */
static const char *read_schema(void)
{
    static char sql[65536];
    char pattern[512];
    size_t len = 0;
    glob_t files;
    const char *source = getenv("VOUCHSAFE_SOURCE");
    snprintf(pattern, sizeof pattern, "%s/db/*.sql", source == NULL ? "." : source);
    ck_assert_int_eq(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        FILE *file = fopen(files.gl_pathv[i], "r");
        ck_assert_msg(file != NULL, "%s cannot be opened", files.gl_pathv[i]);
        len += fread(sql + len, 1, sizeof sql - 1 - len, file);
        ck_assert_uint_lt(len, sizeof sql - 1);
        fclose(file);
    }
    sql[len] = '\0';
    globfree(&files);
    return sql;
}

/* A full row uses every column, a minimal one none that was added. */
START_TEST(valid_sql_order)
{
    const char *sql = read_schema();
    for (size_t t = 0; t < 2 * ROWS_COUNT; t++) {
        CLEANUP(buf_free) struct buf columns = {0};
        char line[24][128];
        uint64_t count;
        struct cbor_reader r;
        const size_t expected = sql_columns(sql, rows_of[t / 2].sql_name, line);
        rows_of[t / 2].make(&columns, t % 2);
        cbor_reader_init(&r, bytes_of_buf(&columns), 0, "", NULL);
        ck_ok(cbor_reader_array(&r, &count));
        if (t % 2 == 0)
            ck_assert_uint_eq(count, expected);
        else
            ck_assert_uint_le(count, expected);
        for (size_t i = 0; i < count; i++) {
            struct cbor_item item;
            ck_ok(cbor_reader_next(&r, &item));
            ck_assert_msg(fits_sql(item.kind, line[i]), "%s, column %zu: %s",
                          rows_of[t / 2].sql_name, i, line[i]);
        }
    }
}
END_TEST

/* --- One column at a time --- */

/* The row with column `index` replaced by the CBOR item `with`. */
static void replace_column(struct bytes columns, size_t index, struct bytes with, struct buf *out)
{
    struct cbor_reader r;
    struct cbor_writer w;
    uint64_t count;
    cbor_reader_init(&r, columns, 0, "", NULL);
    ck_ok(cbor_reader_array(&r, &count));
    ck_assert_uint_lt(index, count);
    cbor_writer_init(&w, out);
    cbor_writer_array(&w, (size_t)count);
    for (size_t i = 0; i < count; i++) {
        const size_t start = r.pos;
        ck_ok(cbor_reader_skip(&r, 2));
        cbor_writer_raw(&w, i == index ? with : bytes_of(columns.ptr + start, r.pos - start));
    }
    ck_ok(cbor_writer_finish(&w));
}

enum kind { NUMBER, TEXT, BYTES, NOTHING };

struct broken {
    enum rows_table table;
    unsigned which;
    size_t index;
    enum kind kind;
    uint64_t number; /* or how many times `text` */
    const char *text;
    bool accepted;
};

static void try_broken(const struct broken *b, size_t n)
{
    CLEANUP(buf_free) struct buf columns = {0};
    CLEANUP(buf_free) struct buf value = {0};
    CLEANUP(buf_free) struct buf item = {0};
    CLEANUP(buf_free) struct buf changed = {0};
    struct cbor_writer w;
    for (uint64_t i = 0; b->kind != NUMBER && i < b->number; i++)
        ck_ok(buf_append_text(&value, b->text));
    cbor_writer_init(&w, &item);
    if (b->kind == NUMBER)
        cbor_writer_uint(&w, b->number);
    else if (b->kind == TEXT)
        cbor_writer_text(&w, bytes_of_buf(&value));
    else if (b->kind == BYTES)
        cbor_writer_bytes(&w, bytes_of_buf(&value));
    else
        cbor_writer_null(&w);
    ck_ok(cbor_writer_finish(&w));
    rows_of[b->table].make(&columns, b->which);
    replace_column(bytes_of_buf(&columns), b->index, bytes_of_buf(&item), &changed);
    ck_assert_msg(one_encoding(b->table, bytes_of_buf(&changed)) == b->accepted,
                  "case %zu: column %zu of %s", n, b->index, rows_of[b->table].sql_name);
}

#define BEYOND ((uint64_t)INT64_MAX + 1)

static const struct broken broken[] = {
    {ROWS_setting, 0, 0, TEXT, 31, "k", true},
    {ROWS_setting, 0, 0, TEXT, 32, "k", false},
    {ROWS_setting, 0, 0, TEXT, 0, "", false},
    {ROWS_setting, 0, 1, BYTES, 1, "v", false},
    {ROWS_setting, 0, 1, TEXT, 65536, "v", true},
    {ROWS_setting, 0, 1, TEXT, 65537, "v", false},
    {ROWS_person, 0, 0, TEXT, 63, "p", true},
    {ROWS_person, 0, 0, TEXT, 64, "p", false},
    {ROWS_person, 0, 0, TEXT, 0, "", false},
    {ROWS_person, 0, 1, NUMBER, 0, NULL, false},
    {ROWS_person, 0, 1, NUMBER, 2, NULL, true},
    {ROWS_person, 0, 1, NUMBER, 3, NULL, false},
    {ROWS_person, 0, 2, NUMBER, INT64_MAX, NULL, true},
    {ROWS_person, 0, 2, NUMBER, BEYOND, NULL, false},
    {ROWS_person, 0, 2, NOTHING, 0, NULL, false},
    {ROWS_token, 0, 0, NUMBER, 0, NULL, false},
    {ROWS_token, 0, 1, TEXT, 127, "l", true},
    {ROWS_token, 0, 1, TEXT, 128, "l", false},
    {ROWS_token, 0, 2, BYTES, 32, "h", true},
    {ROWS_token, 0, 2, BYTES, 31, "h", false},
    {ROWS_token, 0, 2, BYTES, 33, "h", false},
    {ROWS_token, 1, 3, NUMBER, 31, NULL, true},
    {ROWS_token, 1, 3, NUMBER, 32, NULL, false},
    {ROWS_token, 0, 3, NUMBER, RIGHTS_OF_IMAGES, NULL, true}, /* of one for some images */
    {ROWS_token, 0, 3, NUMBER, RIGHT_ACTIVATE, NULL, false},
    {ROWS_token, 0, 3, NUMBER, RIGHT_CUSTODY, NULL, false},
    {ROWS_token, 0, 3, NUMBER, RIGHT_PEOPLE, NULL, false},
    {ROWS_token, 0, 6, NUMBER, 0, NULL, false}, /* null says it */
    {ROWS_token, 0, 6, NOTHING, 0, NULL, true},
    {ROWS_token, 0, 6, NUMBER, BEYOND, NULL, false},
    {ROWS_token, 0, 7, BYTES, 1, "\x81\x61i", true},
    {ROWS_token, 0, 7, BYTES, 1, "\x82\x61i\x61j", true},
    {ROWS_token, 0, 7, BYTES, 1, "\x82\x61j\x61i", false}, /* in one order */
    {ROWS_token, 0, 7, BYTES, 1, "\x82\x61i\x61i", false},
    {ROWS_token, 0, 7, BYTES, 1, "\x82\x61i\x62ia", true},
    {ROWS_token, 0, 7, BYTES, 1, "\x82\x62ia\x61i", false},
    {ROWS_token, 0, 7, BYTES, 1, "\x80", false}, /* null says it */
    {ROWS_token, 0, 7, BYTES, 0, "", false},
    {ROWS_token, 0, 7, BYTES, 1, "\x81\x61I", false},
    {ROWS_token, 0, 7, BYTES, 1, "\x81\x61i\x01", false},
    {ROWS_token, 0, 7, BYTES, 1, "\x81\x41i", false},
    {ROWS_token, 0, 7, TEXT, 1, "i", false},
    {ROWS_token, 0, 7, NOTHING, 0, NULL, false}, /* it is left out */
    {ROWS_enrolled_key, 0, 0, NUMBER, 0, NULL, false},
    {ROWS_enrolled_key, 0, 2, BYTES, 31, "k", false},
    {ROWS_enrolled_key, 0, 3, BYTES, 1, "\x80", false}, /* for nothing, it is no signer */
    {ROWS_enrolled_key, 0, 3, BYTES, 0, "", false},
    {ROWS_enrolled_key, 0, 3, NOTHING, 0, NULL, false}, /* not for all, either */
    {ROWS_enrolled_key, 0, 4, NUMBER, INT64_MAX, NULL, true},
    {ROWS_enrolled_key, 0, 4, NUMBER, BEYOND, NULL, false},
    {ROWS_enrolled_key, 0, 5, BYTES, 33, "f", false},
    {ROWS_enrolled_key, 0, 6, NUMBER, 3, NULL, false},
    {ROWS_image, 0, 0, TEXT, 63, "i", true},
    {ROWS_image, 0, 0, TEXT, 64, "i", false},
    {ROWS_image, 0, 0, TEXT, 1, "I", false},
    {ROWS_image, 0, 0, TEXT, 1, "a/b", false},
    {ROWS_measurement, 1, 0, NUMBER, 0, NULL, false},
    {ROWS_measurement, 1, 1, TEXT, 63, "1", true},
    {ROWS_measurement, 1, 1, TEXT, 64, "1", false},
    {ROWS_measurement, 1, 1, TEXT, 1, "@", false},
    {ROWS_measurement, 1, 2, NUMBER, 2, NULL, false},
    {ROWS_measurement, 1, 2, NUMBER, 1, NULL, false}, /* a NitroTPM's holds PCR4 and 7 */
    {ROWS_measurement, 0, 3, NUMBER, 1, NULL, false}, /* NitroTPM has no debug mode */
    {ROWS_measurement, 1, 3, NUMBER, 2, NULL, false},
    {ROWS_measurement, 1, 3, NUMBER, 1, NULL, false}, /* a debug one holds no PCR0..2 */
    {ROWS_measurement, 1, 4, BYTES, 1, "\xa1", false},
    {ROWS_measurement, 1, 5, BYTES, 31, "r", false},
    {ROWS_measurement, 1, 6, NUMBER, 0, NULL, false},
    {ROWS_measurement, 1, 6, NUMBER, 4, NULL, true},
    {ROWS_measurement, 1, 6, NUMBER, 5, NULL, true},
    {ROWS_measurement, 1, 6, NUMBER, 6, NULL, false},
    {ROWS_measurement, 1, 7, NUMBER, 0, NULL, false},
    {ROWS_measurement, 1, 8, NUMBER, 0, NULL, false},
    {ROWS_measurement, 1, 8, NUMBER, 1, NULL, true},
    {ROWS_measurement, 1, 9, BYTES, 1, "\xa1\x61k\x61v", true},
    {ROWS_measurement, 1, 9, BYTES, 1, "\xa1\x61k\x01", false},
    {ROWS_measurement, 1, 9, BYTES, 1, "\xa1\x60\x61v", false},
    {ROWS_measurement, 1, 9, BYTES, 1, "\xa2\x61k\x60\x61k\x60", false},
    {ROWS_measurement, 1, 9, BYTES, 1, "\xa2\x61l\x60\x61k\x60", false},
    {ROWS_measurement, 1, 9, BYTES, 1, "\xa2\x62kk\x60\x61l\x60", false},
    {ROWS_measurement, 1, 9, BYTES, 1, "\xbf\xff", false},
    {ROWS_measurement, 1, 9, BYTES, 2, "\xa0", false},
    {ROWS_measurement, 1, 9, BYTES, 0, "", false},
    {ROWS_measurement, 1, 10, NOTHING, 0, NULL, false},
    {ROWS_secret, 0, 0, TEXT, 128, "s", true},
    {ROWS_secret, 0, 0, TEXT, 129, "s", false},
    {ROWS_secret, 0, 0, TEXT, 1, "a//b", false},
    {ROWS_secret, 0, 1, NUMBER, 0, NULL, true},
    {ROWS_secret, 0, 1, NUMBER, (uint64_t)PROTOCOL_VERSION_MAX + 1, NULL, false},
    {ROWS_secret, 0, 2, NUMBER, 3, NULL, false},
    {ROWS_secret_version, 0, 0, NUMBER, 0, NULL, false},
    {ROWS_secret_version, 0, 1, NUMBER, 0, NULL, false},
    {ROWS_secret_version, 0, 1, NUMBER, (uint64_t)PROTOCOL_VERSION_MAX + 1, NULL, false},
    {ROWS_secret_version, 0, 2, NUMBER, 0, NULL, false},
    {ROWS_secret_version, 0, 2, NUMBER, PROTOCOL_SECRET_MAX + 1, NULL, false},
    {ROWS_secret_version, 0, 3, NUMBER, 0, NULL, false},
    {ROWS_grant, 0, 0, NUMBER, 0, NULL, false},
    {ROWS_grant, 0, 1, NUMBER, 0, NULL, false},
    {ROWS_grant, 0, 1, NOTHING, 0, NULL, false}, /* neither an image nor a signer */
    {ROWS_grant, 1, 1, NOTHING, 0, NULL, false},
    {ROWS_grant, 0, 2, NUMBER, 0, NULL, false},
    {ROWS_grant, 0, 2, NOTHING, 0, NULL, true},
    {ROWS_grant, 0, 3, BYTES, 48, "p", false}, /* an image and half a signer */
    {ROWS_grant, 0, 4, BYTES, 48, "p", false},
    {ROWS_grant, 0, 5, BYTES, 47, "p", false},
    {ROWS_grant, 0, 5, BYTES, 49, "p", false},
    {ROWS_grant, 0, 6, BYTES, 48, "p", true},
    {ROWS_grant, 0, 7, TEXT, 0, "", false}, /* null says it */
    {ROWS_grant, 0, 7, TEXT, 31, "r", true},
    {ROWS_grant, 0, 7, TEXT, 32, "r", false},
    {ROWS_grant, 0, 8, BYTES, 0, "", true}, /* exactly no bytes */
    {ROWS_grant, 0, 8, NOTHING, 0, NULL, true},
    {ROWS_grant, 0, 8, BYTES, 256, "a", true},
    {ROWS_grant, 0, 8, BYTES, 257, "a", false},
    {ROWS_grant, 0, 9, NOTHING, 0, NULL, false},
    {ROWS_grant, 0, 9, BYTES, 1, "\x80", true},
    {ROWS_grant, 0, 9, BYTES, 2, "\x80", false},
    {ROWS_grant, 0, 9, BYTES, 1, "\x82\x01\x02", true},
    {ROWS_grant, 0, 9, BYTES, 1, "\x82\x02\x01", false},
    {ROWS_grant, 0, 9, BYTES, 1, "\x82\x01\x01", false},
    {ROWS_grant, 0, 9, BYTES, 1, "\x81\x1a\x80\x01\x01\x01", false},
    {ROWS_grant, 0, 9, BYTES, 1, "\x81\x18\x01", false},
    {ROWS_grant, 0, 9, BYTES, 1,
     "\x91\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11", false},
    {ROWS_grant, 0, 10, NUMBER, 0, NULL, false},
    {ROWS_grant, 0, 11, NUMBER, 0, NULL, false},
    {ROWS_grant, 0, 12, NUMBER, 0, NULL, false},
    {ROWS_grant, 0, 13, NUMBER, 3, NULL, false},
    {ROWS_grant, 0, 15, NUMBER, 1, NULL, false}, /* registered: a signer's alone */
    {ROWS_grant, 0, 16, NUMBER, 1, NULL, false},
    {ROWS_grant, 0, 17, BYTES, 0, "", false},
    {ROWS_grant, 0, 17, BYTES, 1, "\xa0", false},
    {ROWS_grant, 0, 17, BYTES, 1, "\xa1\x10\x80", false},
    {ROWS_grant, 0, 17, NOTHING, 0, NULL, false}, /* it is left out */
    {ROWS_own_key, 0, 0, NUMBER, 0, NULL, false},
    {ROWS_own_key, 0, 0, NUMBER, 4, NULL, false},
    {ROWS_own_key, 0, 0, NUMBER, 2, NULL, false}, /* no delegation of a sealing key */
    {ROWS_own_key, 1, 0, NUMBER, 1, NULL, false}, /* a receipt key without its half */
    {ROWS_own_key, 0, 1, NUMBER, 0, NULL, false},
    {ROWS_own_key, 0, 1, NUMBER, UINT64_C(1) << 32, NULL, false},
    {ROWS_own_key, 0, 2, BYTES, 0, "", false},
    {ROWS_own_key, 0, 3, BYTES, 0, "", false},
    {ROWS_own_key, 1, 3, BYTES, 1, "k", false}, /* an issuer's private key is not here */
    {ROWS_own_key, 0, 4, BYTES, 0, "", false},
    {ROWS_own_key, 0, 4, NOTHING, 0, NULL, true},
    {ROWS_own_key, 0, 5, NUMBER, 3, NULL, false},
    {ROWS_revocation, 0, 0, NUMBER, 0, NULL, false},
    {ROWS_revocation, 0, 0, NUMBER, 2, NULL, false}, /* a certificate is no instance */
    {ROWS_revocation, 0, 0, NUMBER, 3, NULL, false},
    {ROWS_revocation, 1, 0, NUMBER, 1, NULL, false},
    {ROWS_revocation, 0, 1, NOTHING, 0, NULL, false},
    {ROWS_revocation, 0, 1, BYTES, 0, "", false},
    {ROWS_revocation, 0, 1, BYTES, 1, "0", false}, /* a Name that is cut */
    {ROWS_revocation, 0, 1, BYTES, 2, "0", false},
    {ROWS_revocation, 1, 1, BYTES, 1, "0", false},
    {ROWS_revocation, 0, 2, NOTHING, 0, NULL, false},
    {ROWS_revocation, 0, 2, BYTES, 21, "\x01", true},
    {ROWS_revocation, 0, 2, BYTES, 22, "\x01", false},
    {ROWS_revocation, 0, 2, BYTES, 1, "\x80", false}, /* negative */
    {ROWS_revocation, 1, 2, BYTES, 1, "\x01", false},
    {ROWS_revocation, 0, 3, TEXT, 1, "i-0123456789abcdef0", false},
    {ROWS_revocation, 1, 3, TEXT, 1, "i-01234567", true},
    {ROWS_revocation, 1, 3, TEXT, 1, "i-0123456", false},
    {ROWS_revocation, 1, 3, TEXT, 1, "i-0123456789abcdefA", false},
    {ROWS_revocation, 1, 3, TEXT, 1, "x-0123456789abcdef0", false},
    {ROWS_revocation, 1, 3, TEXT, 1, "i-0123456789abcdef0-enc0123456789abcd", false},
    {ROWS_revocation, 1, 3, NOTHING, 0, NULL, false},
    {ROWS_revocation, 1, 4, TEXT, 0, "", false},
    {ROWS_revocation, 1, 4, TEXT, 1024, "r", true},
    {ROWS_revocation, 1, 4, TEXT, 1025, "r", false},
    {ROWS_revocation, 0, 5, NUMBER, 3, NULL, false},
    {ROWS_revocation, 0, 6, NUMBER, BEYOND, NULL, false},
    {ROWS_revocation, 0, 7, NUMBER, 0, NULL, false},
};

START_TEST(wrong_columns)
{
    for (size_t n = 0; n < ARRAY_LEN(broken); n++)
        try_broken(&broken[n], n);
}
END_TEST

START_TEST(nul_in_text)
{
    static const uint8_t item[] = {0x63, 'a', 0, 'b'};
    CLEANUP(buf_free) struct buf columns = {0};
    CLEANUP(buf_free) struct buf changed = {0};
    rows_person(&columns, 0);
    replace_column(bytes_of_buf(&columns), 0, bytes_of(item, sizeof item), &changed);
    ck_assert(!one_encoding(ROWS_person, bytes_of_buf(&changed)));
}
END_TEST

/* Columns of one type beside each other: each is the one that it should be. */
START_TEST(valid_neighbours)
{
    static const struct {
        enum rows_table table;
        size_t index;
        uint64_t number;
        const uint8_t *value;
    } cases[] = {
        {ROWS_measurement, 7, NOW_MS, NULL},
        {ROWS_measurement, 8, NOW_MS + 1, NULL},
        {ROWS_grant, 2, 3, NULL},
        {ROWS_grant, 5, 0, ones},
        {ROWS_grant, 6, 0, twos},
        {ROWS_grant, 11, NOW_MS, NULL},
        {ROWS_grant, 12, NOW_MS + 1, NULL},
        {ROWS_secret, 1, PROTOCOL_VERSION_MAX, NULL},
        {ROWS_secret_version, 0, 70000, NULL},
        {ROWS_token, 3, RIGHTS_OF_IMAGES, NULL},
        {ROWS_token, 6, NOW_MS + 1, NULL},
        {ROWS_enrolled_key, 0, 1, NULL},
        {ROWS_enrolled_key, 4, 70000, NULL},
        {ROWS_secret_version, 2, PROTOCOL_SECRET_MAX, NULL},
    };
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        CLEANUP(buf_free) struct buf columns = {0};
        struct cbor_reader r;
        struct cbor_item item;
        uint64_t count;
        rows_of[cases[n].table].make(&columns, 0);
        cbor_reader_init(&r, bytes_of_buf(&columns), 0, "", NULL);
        ck_ok(cbor_reader_array(&r, &count));
        for (size_t i = 0; i < cases[n].index; i++)
            ck_ok(cbor_reader_skip(&r, 2));
        ck_ok(cbor_reader_next(&r, &item));
        if (cases[n].value == NULL)
            ck_assert_uint_eq(item.value, cases[n].number);
        else
            ck_assert(bytes_equal(item.string, bytes_of(cases[n].value, ATTDOC_PCR_LEN)));
    }
}
END_TEST

UNIT_MAIN("policy_rows", valid_round_trips, valid_append_keeps_what_is_there, junk_byte_anywhere,
          short_or_long, valid_sql_order, wrong_columns, nul_in_text, valid_neighbours,
          valid_later_columns)
