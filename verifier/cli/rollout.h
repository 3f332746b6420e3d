/* The use of builds as people read it, and what they would lose: for `vouchsafe measurement`. */
#ifndef VOUCHSAFE_CLI_ROLLOUT_H
#define VOUCHSAFE_CLI_ROLLOUT_H

#include "api.h"

/* Whether all operands are names of builds, before anything is changed. */
MUST_CHECK enum err rollout_check_names(const struct cli_args *args, struct fault *fault);

/* The lines of a measurement's `use`. */
MUST_CHECK enum err rollout_print_use(const json_t *measurement);

/* What would stop if the build that `params` names (image, version) were revoked, added to
 * `answer`, which a dry run gave: its `use`, `grants`, and `enclaves` that hold something. */
MUST_CHECK enum err rollout_add_losses(const struct api *api, json_t *params, json_t *answer,
                                       struct fault *fault);
MUST_CHECK enum err rollout_print_losses(const json_t *answer);
/* Where several builds were asked about: each was looked at by itself. */
void rollout_note_several(const struct cli_args *args);

/* "changed payments@1.4.2 (deprecated)" */
MUST_CHECK enum err rollout_print_result(const json_t *answer);

/* Deprecates the active builds of --image but the newest --all-but-newest of them, one by one,
 * the oldest first; prints each and what stays. */
MUST_CHECK enum err rollout_deprecate_old(const struct cli_args *args, const struct api *api,
                                          struct fault *fault);

#endif
