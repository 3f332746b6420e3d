/* Published test vectors, driven by their folder: a file that is added is a case.
 *
 * tests/vectors/drivers.tsv says which test drives which files; the test judges every
 * case of each.  Where our verdict is not the origin's, or where the origin leaves it
 * open, tests/vectors/verdicts.tsv has a row with ours and the reason.  A case that needs
 * a row and has none fails, and so does a row that no case needs.  tests/house/check-vectors
 * demands that no file is without a driver or a reason. */
#ifndef VOUCHSAFE_VECTORS_H
#define VOUCHSAFE_VECTORS_H

#include <fnmatch.h>
#include <glob.h>

#include "shared.h"
#include "unit.h"

#define VECTORS_LINE_MAX 1024
#define VECTORS_ROWS_MAX 256
#define VECTORS_NAME_MAX 256

/* What the origin says of a case; valid, invalid, either in the table. */
enum vectors_theirs { VECTORS_VALID, VECTORS_INVALID, VECTORS_EITHER };

struct vectors_row {
    char line[VECTORS_LINE_MAX]; /* what the others point into */
    const char *file;            /* patterns of fnmatch; below vectors/ */
    const char *name;
    const char *theirs;
    const char *ours; /* an error's name, or "ok" */
    bool used;
};

struct vectors {
    const char *test; /* "cose_vectors:messages", as both tables have it */
    glob_t files;
    size_t *cases; /* of each file */
    struct vectors_row *row;
    size_t row_count, case_count, differ_count, wrong_count;
};

/* Exactly `count` columns, separated by tabs, none of them empty. */
static inline void vectors_split(char *line, const char **column, size_t count)
{
    line[strcspn(line, "\n")] = '\0';
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(line != NULL && *line != '\0' && *line != '\t', "column %zu is empty", i + 1);
        column[i] = line;
        line = strchr(line, '\t');
        if (line != NULL)
            *line++ = '\0';
    }
    ck_assert_msg(line == NULL, "more than %zu columns: %s", count, line);
}

/* The next line of a table that is no comment. */
static inline bool vectors_line(FILE *table, char line[static VECTORS_LINE_MAX])
{
    do {
        if (fgets(line, VECTORS_LINE_MAX, table) == NULL)
            return false;
        ck_assert_msg(strchr(line, '\n') != NULL, "a line too long, or cut off: %s", line);
    } while (line[0] == '#');
    return true;
}

static inline FILE *vectors_table(const char *name)
{
    char path[SHARED_PATH_MAX];
    const char *source = getenv("VOUCHSAFE_SOURCE");
    ck_assert_msg(source != NULL, "VOUCHSAFE_SOURCE is not set");
    snprintf(path, sizeof path, "%s/tests/vectors/%s", source, name);
    FILE *table = fopen(path, "r");
    ck_assert_msg(table != NULL, "%s: cannot be opened", path);
    return table;
}

static inline void vectors_find_files(struct vectors *v)
{
    char line[VECTORS_LINE_MAX];
    FILE *table = vectors_table("drivers.tsv");
    while (vectors_line(table, line)) {
        const char *column[2];
        vectors_split(line, column, 2);
        if (strcmp(column[1], v->test) != 0)
            continue;
        char name[VECTORS_LINE_MAX + 16], pattern[SHARED_PATH_MAX];
        snprintf(name, sizeof name, "vectors/%s", column[0]);
        shared_path(name, pattern);
        const int flags = v->files.gl_pathc == 0 ? 0 : GLOB_APPEND;
        ck_assert_msg(glob(pattern, flags, NULL, &v->files) == 0, "%s: no such file", pattern);
    }
    fclose(table);
    ck_assert_msg(v->files.gl_pathc > 0, "%s drives nothing", v->test);
}

static inline void vectors_read_rows(struct vectors *v)
{
    FILE *table = vectors_table("verdicts.tsv");
    v->row = calloc(VECTORS_ROWS_MAX, sizeof *v->row);
    ck_assert_ptr_nonnull(v->row);
    for (struct vectors_row *row = v->row; vectors_line(table, row->line);) {
        const char *column[6]; /* the last is the reason: for people */
        vectors_split(row->line, column, 6);
        if (strcmp(column[0], v->test) != 0)
            continue;
        row->file = column[1];
        row->name = column[2];
        row->theirs = column[3];
        row->ours = column[4];
        row++;
        ck_assert_msg(++v->row_count < VECTORS_ROWS_MAX, "more rows than there is room for");
    }
    fclose(table);
}

static inline void vectors_begin(struct vectors *v, const char *test)
{
    *v = (struct vectors){.test = test};
    vectors_find_files(v);
    vectors_read_rows(v);
    v->cases = calloc(v->files.gl_pathc, sizeof *v->cases);
    ck_assert_ptr_nonnull(v->cases);
}

/* The name of file `i` of v->files, for shared_read and shared_json. */
static inline const char *vectors_file(const struct vectors *v, size_t i)
{
    const char *name = strstr(v->files.gl_pathv[i], "/vectors/");
    for (const char *next = name; next != NULL; next = strstr(next + 1, "/vectors/"))
        name = next;
    ck_assert_ptr_nonnull(name);
    return name + 1;
}

static inline enum vectors_theirs vectors_result(const char *result)
{
    if (strcmp(result, "valid") == 0)
        return VECTORS_VALID;
    if (strcmp(result, "invalid") == 0)
        return VECTORS_INVALID;
    ck_assert_str_eq(result, "acceptable");
    return VECTORS_EITHER;
}

/* The first row that fits the case. */
static inline struct vectors_row *vectors_row_of(struct vectors *v, const char *file,
                                                 const char *name, const char *theirs)
{
    for (size_t i = 0; i < v->row_count; i++) {
        struct vectors_row *row = &v->row[i];
        if (strcmp(row->theirs, theirs) == 0 && fnmatch(row->file, file, 0) == 0 &&
            fnmatch(row->name, name, 0) == 0)
            return row;
    }
    return NULL;
}

/* Without a row, ours is ERR_OK for what is valid and `refusal` for what is invalid.
 * `refusal` ERR_OK: the code of every refusal stands in the table.  What is not as
 * expected is printed as the row that would say so, without its reason. */
static inline void vectors_judge(struct vectors *v, const char *file, const char *name,
                                 enum vectors_theirs theirs, enum err refusal, enum err ours)
{
    static const char *const words[] = {"valid", "invalid", "either"};
    struct vectors_row *row = vectors_row_of(v, file + strlen("vectors/"), name, words[theirs]);
    const bool open = theirs == VECTORS_EITHER || (theirs == VECTORS_INVALID && refusal == ERR_OK);
    const char *usual = open ? "" : err_wire(theirs == VECTORS_VALID ? ERR_OK : refusal);
    const char *expected = row == NULL ? usual : row->ours;
    for (size_t i = 0; i < v->files.gl_pathc; i++)
        v->cases[i] += strcmp(vectors_file(v, i), file) == 0;
    v->case_count++;
    v->differ_count += row != NULL;
    v->wrong_count += strcmp(expected, err_wire(ours)) != 0;
    if (strcmp(expected, err_wire(ours)) != 0)
        fprintf(stderr, "not as expected (\"%s\"):\n%s\t%s\t%s\t%s\t%s\n", expected, v->test,
                file + strlen("vectors/"), name, words[theirs], err_wire(ours));
    if (row != NULL)
        row->used = row->used || strcmp(row->ours, usual) != 0;
}

/* Every case was as expected, every row needed, no file without a case; says how many
 * there were. */
static inline void vectors_end(struct vectors *v)
{
    for (size_t i = 0; i < v->row_count; i++)
        ck_assert_msg(v->row[i].used, "verdicts.tsv: no case needs the row %s, %s, %s of %s",
                      v->row[i].file, v->row[i].name, v->row[i].theirs, v->test);
    for (size_t i = 0; i < v->files.gl_pathc; i++)
        ck_assert_msg(v->cases[i] > 0, "%s: no case in it", vectors_file(v, i));
    ck_assert_msg(v->wrong_count == 0, "%s: %zu of %zu cases are not as expected", v->test,
                  v->wrong_count, v->case_count);
    printf("%s: %zu cases of %zu files, %zu of them by %zu rows\n", v->test, v->case_count,
           v->files.gl_pathc, v->differ_count, v->row_count);
    globfree(&v->files);
    free(v->cases);
    free(v->row);
}

/* The bytes of a text of hexadecimal digits; the caller frees. */
static inline struct buf vectors_hex(const char *hex)
{
    struct buf out = {0};
    ck_assert_uint_eq(strlen(hex) % 2, 0);
    ck_ok(buf_reserve(&out, strlen(hex) / 2 + 1));
    for (; *hex != '\0'; hex += 2) {
        const char digits[] = {hex[0], hex[1], '\0'};
        ck_assert_msg(strspn(digits, "0123456789abcdefABCDEF") == 2, "no hexadecimal: %s", hex);
        out.ptr[out.len++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return out;
}

static inline struct buf vectors_member(const json_t *object, const char *name)
{
    return vectors_hex(shared_text(object, name));
}

/* ---- Wycheproof's files ---- */

/* "35 Constructed,EncryptionWithLabel", with " key=256 iv=96" where there is an IV: by which
 * the table's rows find a case. */
static inline void wycheproof_name(const json_t *group, const json_t *test,
                                   char name[static VECTORS_NAME_MAX])
{
    const json_t *flags = json_object_get(test, "flags");
    int at = snprintf(name, VECTORS_NAME_MAX, "%lld ",
                      (long long)json_integer_value(json_object_get(test, "tcId")));
    for (size_t i = 0; i < json_array_size(flags); i++)
        at += snprintf(name + at, VECTORS_NAME_MAX - (size_t)at, "%s%s", i == 0 ? "" : ",",
                       json_string_value(json_array_get(flags, i)));
    if (json_object_get(group, "ivSize") != NULL)
        snprintf(name + at, VECTORS_NAME_MAX - (size_t)at, " key=%lld iv=%lld",
                 (long long)json_integer_value(json_object_get(group, "keySize")),
                 (long long)json_integer_value(json_object_get(group, "ivSize")));
}

/* One case: `group` has what its cases share.  What our code says to it, and before that
 * every assert on what it gives. */
typedef enum err wycheproof_run(const json_t *group, const json_t *test);

/* Every case of every file that `test` drives. */
static inline void wycheproof_drive(const char *test, enum err refusal, wycheproof_run *run)
{
    struct vectors v;
    vectors_begin(&v, test);
    for (size_t i = 0; i < v.files.gl_pathc; i++) {
        json_t *json = shared_json(vectors_file(&v, i));
        const json_t *groups = json_object_get(json, "testGroups");
        size_t g = 0, t = 0;
        json_t *group = NULL, *row = NULL;
        json_array_foreach(groups, g, group)
        {
            json_array_foreach(json_object_get(group, "tests"), t, row)
            {
                char name[VECTORS_NAME_MAX];
                wycheproof_name(group, row, name);
                vectors_judge(&v, vectors_file(&v, i), name,
                              vectors_result(shared_text(row, "result")), refusal, run(group, row));
            }
        }
        ck_assert_uint_eq(v.cases[i],
                          (size_t)json_integer_value(json_object_get(json, "numberOfTests")));
        json_decref(json);
    }
    vectors_end(&v);
}

#endif
