/* JSON answers as people read them: rows as a table, an object as lines. */
#ifndef VOUCHSAFE_CLI_SHOW_H
#define VOUCHSAFE_CLI_SHOW_H

#include <jansson.h>

#include "output.h"

struct show_column {
    const char *heading;
    const char *member; /* "counts.images" reaches into an object */
};

/* One row per object of `rows`, an array; ERR_NO_MEMORY. */
MUST_CHECK enum err show_table(const json_t *rows, const struct show_column *columns, size_t count);
/* One line "heading  value" per column that the object has. */
MUST_CHECK enum err show_object(const json_t *object, const struct show_column *columns,
                                size_t count);
/* A member's text, or "" where it is absent or no text. */
const char *show_text(const json_t *object, const char *member);

#endif
