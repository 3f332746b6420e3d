/* What holds for the rows of each table, one by one: what they are found by, what they refer to,
 * and what of them never changes.  Inside policy/ only: `rules` in snapshot.c says which table has
 * which.  Rows come as pointers to their `struct policy_<table>`. */
#ifndef VOUCHSAFE_POLICY_ROW_RULES_H
#define VOUCHSAFE_POLICY_ROW_RULES_H

#include "policy.h"

/* Keys, as search.h wants them. */
typedef int compare_fn(const void *a, const void *b);
compare_fn row_by_setting_name, row_by_person_name, row_by_image_name, row_by_secret_name;
compare_fn row_by_token_hash, row_by_public_key;
compare_fn row_by_build;  /* image and version */
compare_fn row_by_values; /* of a measurement: kind, debug, root and PCRs */
compare_fn row_by_secret_version, row_by_key_version;

/* Whether all that the row names exists. */
typedef bool refers_fn(const struct policy *policy, const void *row);
refers_fn row_token_refers, row_enrolled_key_refers, row_measurement_refers,
    row_secret_version_refers, row_grant_refers, row_revocation_refers;

/* Whether the new row leaves as it was what never changes besides the keys. */
typedef bool same_fn(const void *old_row, const void *new_row);
same_fn row_person_same, row_token_same, row_enrolled_key_same, row_grant_same,
    row_measurement_same, row_secret_same, row_secret_version_same;

/* Any but a discarded one. */
bool row_measurement_counts(const void *row);

#endif
