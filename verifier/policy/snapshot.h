/* What the checks ask of the snapshot besides policy.h: inside policy/ only.
 *
 * Rows that belong together are chained by id, 0 ends a chain; neither walk looks at
 * a row that cannot matter, however many there are. */
#ifndef VOUCHSAFE_POLICY_SNAPSHOT_H
#define VOUCHSAFE_POLICY_SNAPSHOT_H

#include "policy.h"

/* The measurements of this document's code: equal kind and PCR0, PCR1 and PCR2 (NitroTPM:
 * 4 and 7); for a debug document, which names no code, all debug measurements.  Whether
 * one matches, policy_measurement_matches says.  Those that decide (active, deprecated,
 * revoked), the newest first; and apart from them the drafts. */
uint64_t policy_first_of_code(const struct policy *policy, const struct policy_facts *facts);
uint64_t policy_first_draft_of_code(const struct policy *policy, const struct policy_facts *facts);
uint64_t policy_next_of_code(const struct policy *policy, uint64_t measurement_id);

/* By what is revoked (revocation.c): how two rows of the table compare, and the row of what
 * `probe` says; 0: none. */
int revocation_compare(const void *a, const void *b);
uint64_t policy_find_revocation(const struct policy *policy, const struct policy_revocation *probe);

/* The grants of a secret, whatever their state. */
uint64_t policy_first_grant(const struct policy *policy, uint64_t secret_id);
uint64_t policy_next_grant(const struct policy *policy, uint64_t grant_id);

#endif
