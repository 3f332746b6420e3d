/* The warden: documents, policy, database, keys; decides and releases.
 *
 * Everybody else comes in through warden_handle (message.h).  This header is for the
 * warden's own files and for the program that starts it. */
#ifndef VOUCHSAFE_WARDEN_H
#define VOUCHSAFE_WARDEN_H

#include <stdatomic.h>

#include "ledger.h"
#include "message.h"
#include "verifier/attest/attest.h"

#define WARDEN_DOCUMENT_AGE_MS   300000 /* V4, both ways: PROTOCOL section 1 */
#define WARDEN_DOCUMENT_AHEAD_MS 300000
#define WARDEN_PURGE_EVERY_MS    60000
#define WARDEN_CHAIN_CACHE       1024
#define WARDEN_REJECT_LOG_PER_S  10

struct warden_options {
    const char *database;   /* path */
    const char *master_key; /* as keyring_master_load takes it */
    const char *anchor;     /* path of the anchor file; NULL: none.  Must outlive the warden */
    struct attdoc_tolerate tolerate;
};

struct refusals;
struct put_challenges; /* admin_secret.c: those given out and not yet used */

struct warden {
    int lock_fd; /* held for as long as the warden lives; -1: not yet */
    struct store *store;
    struct keyring *keyring;
    struct ledger *ledger;
    struct attest_trust *trust;
    struct put_challenges *put_challenges;
    struct refusals *refusals;
    struct attdoc_tolerate tolerate;
    bool production;
    uint64_t started_ms;
    _Atomic uint64_t purged_ms; /* when challenges were last purged */
    /* What is counted, never written: anonymous senders cannot make us write. */
    _Atomic uint64_t challenges;
    _Atomic uint64_t granted;
    _Atomic uint64_t refused;          /* past V3: recorded */
    _Atomic uint64_t put_off;          /* past V3: would be refused: refusals.h */
    _Atomic uint64_t rejected;         /* before: counted here alone */
    _Atomic uint64_t rejects_logged_s; /* the second in which ... */
    _Atomic uint64_t rejects_logged;   /* ... so many were logged */
};

/* Takes the store's lock, opens store and keys, checks every MAC, loads the policy, records
 * the start.  Says why it cannot: ERR_KEY_WRONG, ERR_STORE_NEWER, ERR_STORE_TAMPERED,
 * ERR_CONFIG, ERR_FILE; ERR_BUSY where another server runs on the store. */
MUST_CHECK enum err warden_open(const struct warden_options *options, int64_t now_ms,
                                struct warden **out, struct fault *fault);
/* All that warden_open checks, with its errors.  No row, record or anchor file is written;
 * an older schema is migrated all the same, as by every opening, and the lock file stays. */
MUST_CHECK enum err warden_check(const struct warden_options *options, struct fault *fault);
/* Records the stop and makes the last checkpoint. */
MUST_CHECK enum err warden_stop(struct warden *warden, int64_t now_ms, struct fault *fault);
void warden_free(struct warden *warden);
CLEANUP_PTR(struct warden, warden_free, warden_freep)

/* --- between the warden's own files --- */

/* The steps V1 to V7; appends the answer's JSON. */
MUST_CHECK enum err release_handle(struct warden *warden, const struct warden_request *request,
                                   int64_t now_ms, struct buf *body, struct fault *fault);
/* V4: a sanity bound; freshness is the challenge's job.  ERR_DOC_STALE, ERR_DOC_FUTURE. */
MUST_CHECK enum err release_check_timestamp(uint64_t stamp_ms, uint64_t now_ms,
                                            struct fault *fault);
/* What an anonymous sender can cause is logged at a bounded rate: whether this line may be. */
bool warden_may_log_rejection(struct warden *warden, uint64_t now_ms);
/* The operations of the admin API; appends the answer's JSON. */
MUST_CHECK enum err admin_handle(struct warden *warden, const struct warden_request *request,
                                 int64_t now_ms, struct buf *body, struct fault *fault);

MUST_CHECK enum err put_challenges_new(struct put_challenges **out);
void put_challenges_free(struct put_challenges *challenges);

#endif
