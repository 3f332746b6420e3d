#include "row_form.h"

/* --- Integers --- */

static uint64_t load_uint(const void *field, size_t size)
{
    uint8_t one;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case sizeof one:
        memcpy(&one, field, sizeof one);
        return one;
    case sizeof four:
        memcpy(&four, field, sizeof four);
        return four;
    default:
        memcpy(&eight, field, sizeof eight);
        return eight;
    }
}

static void store_uint(void *field, size_t size, uint64_t value)
{
    const uint8_t one = (uint8_t)value;
    const uint32_t four = (uint32_t)value;
    switch (size) {
    case sizeof one:
        memcpy(field, &one, sizeof one);
        return;
    case sizeof four:
        memcpy(field, &four, sizeof four);
        return;
    default:
        memcpy(field, &value, sizeof value);
    }
}

static void write_uint(struct cbor_writer *w, const struct column *column, const void *field)
{
    cbor_writer_uint(w, load_uint(field, column->size));
}

static enum err read_uint(struct cbor_reader *r, const struct column *column, void *field)
{
    uint64_t value;
    TRY(cbor_reader_uint(r, &value));
    if (value < column->min || value > column->max)
        return ERR_STORE_TAMPERED;
    store_uint(field, column->size, value);
    return ERR_OK;
}

static bool uint_absent(const struct column *column, const void *field)
{
    return load_uint(field, column->size) == 0;
}

enum err row_read_null(struct cbor_reader *r, bool *was_null)
{
    struct cbor_item item;
    TRY(cbor_reader_peek(r, &item));
    *was_null = item.kind == CBOR_KIND_NULL;
    return *was_null ? cbor_reader_next(r, &item) : ERR_OK;
}

/* The column's `min` is at least 1: 0 has one encoding, and that is null. */
static enum err read_optional_uint(struct cbor_reader *r, const struct column *column, void *field)
{
    bool absent;
    TRY(row_read_null(r, &absent));
    return absent ? ERR_OK : read_uint(r, column, field);
}

const struct column_form row_uint = {.write = write_uint, .read = read_uint};
const struct column_form row_optional_uint = {
    .absent = uint_absent, .write = write_uint, .read = read_optional_uint};

/* --- Text and bytes of fixed room --- */

static bool fits(const struct column *column, struct bytes value)
{
    return value.len >= column->min && value.len <= column->max &&
           (column->valid == NULL || column->valid(value));
}

static void write_text(struct cbor_writer *w, const struct column *column, const void *field)
{
    (void)column;
    cbor_writer_cstr(w, field);
}

static enum err read_text(struct cbor_reader *r, const struct column *column, void *field)
{
    struct bytes value;
    TRY(cbor_reader_text(r, &value));
    if (value.len >= column->size || !fits(column, value) ||
        (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL))
        return ERR_STORE_TAMPERED;
    if (value.len > 0)
        memcpy(field, value.ptr, value.len);
    ((char *)field)[value.len] = '\0';
    return ERR_OK;
}

static bool text_absent(const struct column *column, const void *field)
{
    (void)column;
    return ((const char *)field)[0] == '\0';
}

static enum err read_optional_text(struct cbor_reader *r, const struct column *column, void *field)
{
    bool absent;
    TRY(row_read_null(r, &absent));
    return absent ? ERR_OK : read_text(r, column, field);
}

static void write_fixed(struct cbor_writer *w, const struct column *column, const void *field)
{
    cbor_writer_bytes(w, bytes_of(field, column->size));
}

static enum err read_fixed(struct cbor_reader *r, const struct column *column, void *field)
{
    struct bytes value;
    TRY(cbor_reader_bytes(r, &value));
    if (value.len != column->size)
        return ERR_STORE_TAMPERED;
    memcpy(field, value.ptr, value.len);
    return ERR_OK;
}

const struct column_form row_text = {.write = write_text, .read = read_text};
const struct column_form row_optional_text = {
    .absent = text_absent, .write = write_text, .read = read_optional_text};
const struct column_form row_fixed = {.write = write_fixed, .read = read_fixed};

/* --- Text and bytes of any length --- */

static void release_buf(void *field)
{
    buf_free(field);
}

static void write_text_buf(struct cbor_writer *w, const struct column *column, const void *field)
{
    (void)column;
    cbor_writer_text(w, bytes_of_buf(field));
}

static enum err read_text_buf(struct cbor_reader *r, const struct column *column, void *field)
{
    struct bytes value;
    TRY(cbor_reader_text(r, &value));
    return fits(column, value) ? buf_append(field, value) : ERR_STORE_TAMPERED;
}

static void write_buf(struct cbor_writer *w, const struct column *column, const void *field)
{
    (void)column;
    cbor_writer_bytes(w, bytes_of_buf(field));
}

static enum err read_buf(struct cbor_reader *r, const struct column *column, void *field)
{
    struct bytes value;
    TRY(cbor_reader_bytes(r, &value));
    return fits(column, value) ? buf_append(field, value) : ERR_STORE_TAMPERED;
}

static bool buf_absent(const struct column *column, const void *field)
{
    (void)column;
    return ((const struct buf *)field)->len == 0;
}

static enum err read_optional_buf(struct cbor_reader *r, const struct column *column, void *field)
{
    bool absent;
    TRY(row_read_null(r, &absent));
    return absent ? ERR_OK : read_buf(r, column, field);
}

const struct column_form row_text_buf = {
    .write = write_text_buf, .read = read_text_buf, .release = release_buf};
const struct column_form row_buf = {.write = write_buf, .read = read_buf, .release = release_buf};
const struct column_form row_optional_buf = {
    .absent = buf_absent, .write = write_buf, .read = read_optional_buf, .release = release_buf};

/* --- Rows --- */

static void *field_of(const struct column *column, void *row)
{
    return (uint8_t *)row + column->offset;
}

void row_release(const struct row_shape *shape, void *row)
{
    for (size_t i = 0; i < shape->count; i++) {
        if (shape->column[i].form->release != NULL)
            shape->column[i].form->release(field_of(&shape->column[i], row));
    }
}

static bool is_absent(const struct column *column, const void *row)
{
    return column->form->absent != NULL &&
           column->form->absent(column, (const uint8_t *)row + column->offset);
}

/* How many columns are written: a row that uses no later one is as it was before them. */
static size_t count_written(const struct row_shape *shape, const void *row)
{
    size_t count = shape->count;
    while (count > 0 && shape->column[count - 1].later && is_absent(&shape->column[count - 1], row))
        count--;
    return count;
}

/* What is not there stays as the zeroed row has it, and would not have been written. */
static enum err read_columns(const struct row_shape *shape, struct bytes columns, void *row)
{
    struct cbor_reader r;
    uint64_t count;
    cbor_reader_init(&r, columns, 0, "columns", NULL);
    TRY(cbor_reader_array(&r, &count));
    if (count > shape->count)
        return ERR_STORE_TAMPERED;
    for (size_t i = 0; i < count; i++)
        TRY(shape->column[i].form->read(&r, &shape->column[i], field_of(&shape->column[i], row)));
    TRY(cbor_reader_end(&r));
    if (count != count_written(shape, row))
        return ERR_STORE_TAMPERED;
    return shape->consistent == NULL || shape->consistent(row) ? ERR_OK : ERR_STORE_TAMPERED;
}

enum err row_parse(const struct row_shape *shape, struct bytes columns, void *row)
{
    const enum err err = read_columns(shape, columns, row);
    if (err == ERR_OK)
        return ERR_OK;
    row_release(shape, row);
    return err == ERR_NO_MEMORY ? ERR_NO_MEMORY : ERR_STORE_TAMPERED;
}

static enum err write_columns(const struct row_shape *shape, const void *row, struct buf *columns)
{
    const size_t count = count_written(shape, row);
    struct cbor_writer w;
    cbor_writer_init(&w, columns);
    cbor_writer_array(&w, count);
    for (size_t i = 0; i < count; i++) {
        const struct column *column = &shape->column[i];
        if (is_absent(column, row))
            cbor_writer_null(&w);
        else
            column->form->write(&w, column, (const uint8_t *)row + column->offset);
    }
    return cbor_writer_finish(&w);
}

enum err row_append(const struct row_shape *shape, const void *row, void *scratch,
                    struct buf *columns)
{
    const size_t before = columns->len;
    enum err err = write_columns(shape, row, columns);
    if (err == ERR_OK)
        err = row_parse(shape, bytes_of(columns->ptr + before, columns->len - before), scratch);
    if (err == ERR_OK) {
        row_release(shape, scratch);
        return ERR_OK;
    }
    columns->len = before;
    return err == ERR_STORE_TAMPERED ? ERR_INTERNAL : err;
}
