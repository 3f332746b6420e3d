/* The anchor: how far the store had come, kept outside the database's directory
 * (PROTOCOL section 7), so that a database put back whole is noticed: every MAC in an
 * older copy is genuine.
 *
 * A text file of three lines: store id, policy revision, audit sequence.  It trusts
 * whoever may write it not to be who writes the database; it holds nothing secret. */
#ifndef VOUCHSAFE_ANCHOR_H
#define VOUCHSAFE_ANCHOR_H

#include "common/protocol.h"

struct anchor {
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint64_t revision; /* of the policy */
    uint64_t sequence; /* of the audit log */
};

/* At start: ERR_STORE_TAMPERED where `now` is behind the file, ERR_CONFIG where the file is
 * none or another store's, ERR_NOT_FOUND where there is no such file yet. */
MUST_CHECK enum err anchor_check(const char *path, const struct anchor *now, struct fault *fault);
/* Replaces the file at once and durably (mode 0600).  ERR_FILE. */
MUST_CHECK enum err anchor_write(const char *path, const struct anchor *now, struct fault *fault);

#endif
