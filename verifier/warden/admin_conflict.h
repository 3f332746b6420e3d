/* A measurement is asked for, and its name or its values are there already: is it the same, and if
 * not, what differs?  A pipeline that is told `unchanged` may rely on it. */
#ifndef VOUCHSAFE_WARDEN_ADMIN_CONFLICT_H
#define VOUCHSAFE_WARDEN_ADMIN_CONFLICT_H

#include "admin.h"

/* `same_name` and `same_values`: the rows that have them, 0 where none has, and at least one has.
 * ERR_OK where all that was asked for is there, in `same_name`.  Otherwise ERR_EXISTS or
 * ERR_WRONG_STATE, at the parameter that differs; the detail says how.  Under ledger_begin. */
MUST_CHECK enum err admin_conflict(struct admin_call *call, const struct policy *policy,
                                   const char *image, const struct policy_measurement *asked,
                                   uint64_t same_name, uint64_t same_values);

#endif
