#include "show.h"

static const json_t *find_member(const json_t *object, const char *path)
{
    char name[64];
    const char *dot;
    while ((dot = strchr(path, '.')) != NULL) {
        snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
        object = json_object_get(object, name);
        path = dot + 1;
    }
    return json_object_get(object, path);
}

/* A list is joined by commas, an object shown as KEY=VALUE pairs.  Recursion as deep as
 * JSON_DEPTH_MAX lets an answer be.  NOLINTNEXTLINE(misc-no-recursion) */
static enum err append_value(const json_t *value, struct buf *out)
{
    size_t i;
    const char *name;
    json_t *entry;
    switch (json_typeof(value)) {
    case JSON_STRING:
        return buf_append_text(out, json_string_value(value));
    case JSON_INTEGER:
        return buf_append_format(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_TRUE:
        return buf_append_text(out, "yes");
    case JSON_FALSE:
        return buf_append_text(out, "no");
    case JSON_ARRAY:
        json_array_foreach(value, i, entry)
        {
            TRY(buf_append_text(out, i == 0 ? "" : ", "));
            TRY(append_value(entry, out));
        }
        return ERR_OK;
    case JSON_OBJECT:
        json_object_foreach((json_t *)(uintptr_t)value, name, entry)
        {
            if (json_is_array(entry) && json_array_size(entry) == 0)
                continue;
            TRY(buf_append_format(out, "%s%s=", out->len == 0 ? "" : " ", name));
            TRY(append_value(entry, out));
        }
        return ERR_OK;
    case JSON_REAL:
    case JSON_NULL:
        break;
    }
    return ERR_OK;
}

static enum err add_row(struct cli_table *table, const json_t *object,
                        const struct show_column *columns, size_t count)
{
    struct buf text[CLI_TABLE_COLUMNS_MAX] = {0};
    const char *cells[CLI_TABLE_COLUMNS_MAX] = {NULL};
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        const json_t *value = find_member(object, columns[i].member);
        if (value != NULL)
            err = append_value(value, &text[i]);
        cells[i] = buf_text(&text[i]);
    }
    if (err == ERR_OK)
        err = cli_table_row(table, cells);
    for (size_t i = 0; i < count; i++)
        buf_free(&text[i]);
    return err;
}

enum err show_table(const json_t *rows, const struct show_column *columns, size_t count)
{
    CLEANUP(cli_table_free) struct cli_table table = {0};
    const char *headings[CLI_TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < count && i < CLI_TABLE_COLUMNS_MAX; i++)
        headings[i] = columns[i].heading;
    TRY(cli_table_init(&table, count, headings));
    for (size_t i = 0; i < json_array_size(rows); i++)
        TRY(add_row(&table, json_array_get(rows, i), columns, count));
    cli_table_print(&table, stdout);
    return ERR_OK;
}

enum err show_object(const json_t *object, const struct show_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_free) struct buf text = {0};
        const json_t *value = find_member(object, columns[i].member);
        if (value == NULL)
            continue;
        TRY(append_value(value, &text));
        printf("%-20s ", columns[i].heading);
        cli_print_text(bytes_of_buf(&text), stdout);
        putchar('\n');
    }
    return ERR_OK;
}

const char *show_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(find_member(object, member));
    return text == NULL ? "" : text;
}
