/* What the commands of the admin API do alike: ask for one change, show one list. */
#ifndef VOUCHSAFE_CLI_API_COMMAND_H
#define VOUCHSAFE_CLI_API_COMMAND_H

#include "api.h"
#include "show.h"

/* One POST to where the arguments say.  `*answer` is the caller's. */
MUST_CHECK enum err api_post(const struct cli_args *args, const char *path, const json_t *params,
                             json_t **answer, struct fault *fault);

/* Sets `id` to the first operand, the number of a `group`, "signer"; ERR_USAGE. */
MUST_CHECK enum err api_set_id(json_t *params, const struct cli_args *args, const char *group,
                               struct fault *fault);

struct api_listing {
    const char *path;
    const char *member; /* of the answer */
    const struct show_column *columns;
    size_t column_count;
    enum err (*describe)(json_t *row); /* sets members for columns; NULL: nothing to set */
};

/* All pages, as a table or with --json as they are.  `params` narrows the list down. */
MUST_CHECK enum err api_print_list(const struct cli_args *args, json_t *params,
                                   const struct api_listing *listing, struct fault *fault);

#endif
