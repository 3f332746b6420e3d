/* How a row of the policy becomes CBOR columns and comes back: inside policy/ only.
 *
 * A table is described once (rows.c): one `struct column` for each column of
 * db/0001_initial.sql, in its order.  Writing and reading walk the same description, so
 * that neither can forget a column or take them in another order.  There is one encoding
 * of every row: whatever else is read is ERR_STORE_TAMPERED (PROTOCOL section 7). */
#ifndef VOUCHSAFE_POLICY_ROW_FORM_H
#define VOUCHSAFE_POLICY_ROW_FORM_H

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"

/* What the database can hold in an INTEGER; a time beyond it would come back negative. */
#define ROW_INTEGER_MAX ((uint64_t)INT64_MAX)

struct column;

/* One row per form of column; `field` is the member at column->offset. */
struct column_form {
    /* Whether null stands for it; NULL where write and read see to that themselves. */
    bool (*absent)(const struct column *column, const void *field);
    void (*write)(struct cbor_writer *w, const struct column *column, const void *field);
    MUST_CHECK enum err (*read)(struct cbor_reader *r, const struct column *column, void *field);
    void (*release)(void *field); /* NULL where it owns nothing */
};

struct column {
    const struct column_form *form;
    size_t offset;
    size_t size;
    uint64_t min; /* of an integer, or the bytes of a text or byte string */
    uint64_t max;
    bool (*valid)(struct bytes value); /* NULL: any */
    /* Added by a migration, of a form with `absent`: left out where it and all that follow
     * are null, so that rows keep the encoding that they were MACed in. */
    bool later;
};

extern const struct column_form row_uint;          /* bool, enum, uint32_t, uint64_t */
extern const struct column_form row_optional_uint; /* null where it is 0 */
extern const struct column_form row_text;          /* char[]: no NUL inside */
extern const struct column_form row_optional_text; /* null where it is "" */
extern const struct column_form row_fixed;         /* uint8_t[]: all of it */
extern const struct column_form row_text_buf;      /* struct buf */
extern const struct column_form row_buf;
extern const struct column_form row_optional_buf; /* null where it is empty */

/* Reads a null where there is one. */
MUST_CHECK enum err row_read_null(struct cbor_reader *r, bool *was_null);

struct row_shape {
    size_t count;
    const struct column *column;
    bool (*consistent)(const void *row); /* what no single column can say; or NULL */
};

/* Appends the columns.  `scratch` is a zeroed row of the same type: what was written is
 * read back into it, so that no row is ever stored that could not be loaded again.
 * ERR_INTERNAL where it could not, or the writer's error; nothing is appended then. */
MUST_CHECK enum err row_append(const struct row_shape *shape, const void *row, void *scratch,
                               struct buf *columns);
/* Fills the zeroed `row`, which is released and zero again on an error:
 * ERR_STORE_TAMPERED, ERR_NO_MEMORY. */
MUST_CHECK enum err row_parse(const struct row_shape *shape, struct bytes columns, void *row);
void row_release(const struct row_shape *shape, void *row);

/* measurement_maps.c: labels as they are given become deterministic; the map of a row. */
MUST_CHECK enum err labels_append(struct bytes given, struct buf *out);
bool labels_valid(struct bytes encoded);
/* people.c */
bool image_set_valid(struct bytes encoded);

#endif
