/* The store: one table of operations, each a whole transaction (DESIGN section 6).
 *
 * It keeps bytes and enforces uniqueness and order; it holds no key and believes
 * nothing: rows that decide a release carry a MAC that the warden makes and checks,
 * secrets are sealed before they get here.  SQLite is the first backend
 * (store_sqlite.c: WAL, synchronous=FULL, foreign keys); PostgreSQL is a second file.
 * Thread-safe.  Errors of every operation, besides those it names: ERR_STORE (the
 * database failed; detail has its words), ERR_BUSY (another process keeps it locked),
 * ERR_STORE_TAMPERED (it holds what this program never writes), ERR_NO_MEMORY,
 * ERR_INTERNAL (a value it cannot hold: integers end at 2^63 - 1). */
#ifndef VOUCHSAFE_STORE_H
#define VOUCHSAFE_STORE_H

#include "common/protocol.h"

#define STORE_MAC_LEN 32

struct store;

/* What a store is, for life; not MACed itself: the key check and the head's MAC, both
 * under keys derived with the store id, find a change. */
struct store_identity {
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint32_t generation; /* of the master key */
    uint8_t key_check[STORE_MAC_LEN];
    uint32_t challenge_epoch;
    uint64_t purged_before_ms; /* challenges that expire up to here are refused */
    uint64_t created_ms;
};

/* The tables whose rows decide, in the order in which the head counts them.  The
 * order is part of the head's MAC: append only. */
enum policy_table {
    POLICY_SETTING,
    POLICY_PERSON,
    POLICY_TOKEN,
    POLICY_IMAGE,
    POLICY_MEASUREMENT,
    POLICY_SECRET,
    POLICY_SECRET_VERSION,
    POLICY_GRANT,
    POLICY_OWN_KEY,
    POLICY_REVOCATION,
    POLICY_ENROLLED_KEY,
    POLICY_TABLE_COUNT
};
const char *policy_table_name(enum policy_table table); /* the SQL name, also in MACs */

/* One row, columns as a deterministic CBOR array in the order of db/ (id,
 * revision and mac apart): integers unsigned, text, byte strings, null.  A column that a
 * migration added is left out where it and all that follow are null. */
struct policy_row {
    enum policy_table table;
    uint64_t id;
    uint64_t revision; /* of the policy when it was written */
    struct bytes columns;
    uint8_t mac[STORE_MAC_LEN];
};

/* CBOR [revision, row count, digest] is what the head's MAC covers. */
struct policy_head {
    uint64_t revision;
    uint64_t row_count;
    uint8_t digest[STORE_MAC_LEN]; /* SHA-256 over all row MACs by table, then id */
    uint8_t mac[STORE_MAC_LEN];
};

/* One audit record, already chained: sequence n follows n-1 or ERR_STORE_CONFLICT. */
struct audit_entry {
    uint64_t sequence;
    uint64_t time_ms;
    const char *request_id;
    const char *event; /* "release.granted", ... */
    struct bytes record;
    uint8_t hash[SHA384_LEN];
    uint8_t head_mac[STORE_MAC_LEN]; /* of the audit head that this record makes; not read back */
};

/* The end of the chain, and its MAC. */
struct audit_head {
    uint64_t sequence; /* 0 where there is no record */
    uint8_t hash[SHA384_LEN];
    uint8_t mac[STORE_MAC_LEN];
};

/* A new version's sealed value. */
struct sealed_value {
    uint64_t secret_id;
    uint32_t version;
    struct bytes sealed;
};
struct sealed_ref {
    uint64_t secret_id;
    uint32_t version;
};

/* An administrator's change: all of it or nothing. */
struct store_change {
    uint64_t expected_revision; /* else ERR_STORE_CONFLICT */
    size_t row_count;
    /* Inserted, or updated where the id exists; a row after those that it refers to.
     * ERR_EXISTS where another row has the name or the values. */
    const struct policy_row *row;
    size_t sealed_count;
    const struct sealed_value *sealed; /* inserted; ERR_EXISTS */
    size_t erased_count;
    const struct sealed_ref *erased; /* overwritten: of a destroyed secret nothing is left */
    uint64_t activated_id; /* a measurement that counts from now on (struct store_use); 0: none */
    const struct policy_head *head;
    const struct audit_entry *audit;
};

/* One decision about a genuine document: V6, all in one transaction. */
struct quota_use {
    uint64_t grant_id;
    uint64_t quota; /* distinct module_ids */
};
struct store_decision {
    uint64_t expected_revision; /* else ERR_STORE_CONFLICT: decide again */
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    uint64_t challenge_expiry_ms;
    struct bytes module_id;
    /* Counted only for a grant; a module_id that was counted before costs nothing; all
     * quotas count it, or none does. */
    size_t quota_count;
    struct quota_use quota[PROTOCOL_SECRETS_MAX];
    bool granted;
    /* What is appended: [0] the decision as taken; [1] the refusal that replaces it
     * where a quota is used up (unused unless granted and quota_count > 0). */
    const struct audit_entry *audit[2];
    size_t sealed_count;                            /* read only for a grant */
    struct sealed_ref wanted[PROTOCOL_SECRETS_MAX]; /* ERR_STORE where one is missing */
    /* The measurement that granted each, whose use is counted with a grant; 0: none did. */
    uint64_t measurement_id[PROTOCOL_SECRETS_MAX];
};
struct store_outcome {
    bool over_quota; /* the refusal was recorded; nothing was read */
    size_t sealed_count;
    struct buf sealed[PROTOCOL_SECRETS_MAX];
};
void store_outcome_free(struct store_outcome *outcome);

/* How a measurement is used.  Statistics: under no MAC, and nothing is decided by them.  All
 * times are those of the decisions' records; days are UTC, counted from 1970. */
#define STORE_DAY_MS   UINT64_C(86400000)
#define STORE_USE_DAYS 400 /* so many are kept of each measurement */
struct store_use {
    uint64_t measurement_id;
    uint64_t counted_from_ms; /* activated, or since when the store counts; 0: ever since added */
    uint64_t first_ms;        /* 0: never released to; the same of last_ms */
    uint64_t last_ms;
    uint64_t releases; /* documents that it granted something to */
    uint64_t enclaves; /* distinct module_ids */
};
/* A version of a secret that an enclave was given. */
struct enclave_use {
    uint64_t id; /* ascending by the first time */
    struct bytes module_id;
    uint64_t secret_id;
    uint32_t version;
    uint64_t first_ms;
    uint64_t last_ms;
    uint64_t releases;
};

/* Rows and records as they are read; views die when the callback returns.  A callback's
 * error ends the scan and is returned.  Other reads wait meanwhile, and a callback must
 * not call the store. */
typedef enum err policy_row_fn(const struct policy_row *row, void *context);
typedef enum err audit_entry_fn(const struct audit_entry *entry, void *context);
typedef enum err checkpoint_fn(uint64_t sequence, struct bytes message, void *context);
typedef enum err use_fn(const struct store_use *use, void *context);
typedef enum err use_day_fn(uint64_t day, uint64_t releases, void *context);
typedef enum err enclave_use_fn(const struct enclave_use *use, void *context);

/* Makes a new database with its identity and first change (rows, head, first audit
 * record; expected_revision 0), mode 0600.  ERR_EXISTS where the file exists, ERR_FILE
 * where it cannot be made; a failure leaves no file. */
MUST_CHECK enum err store_create(const char *path, const struct store_identity *identity,
                                 const struct store_change *first, struct fault *fault);
/* Opens and, where the database is older, migrates it (db/, forward only).  ERR_FILE
 * where there is none, ERR_STORE_NEWER, ERR_STORE for a file of another kind. */
MUST_CHECK enum err store_open(const char *path, struct store **out, struct fault *fault);
void store_close(struct store *store);
CLEANUP_PTR(struct store, store_close, store_closep)

/* The table: what a backend offers. */
struct store_ops {
    enum err (*read_identity)(struct store *, struct store_identity *out, struct fault *);
    /* All rows, by table and id, in one snapshot together with the head. */
    enum err (*scan_policy)(struct store *, struct policy_head *head, policy_row_fn *fn,
                            void *context, struct fault *);
    enum err (*commit_change)(struct store *, const struct store_change *, struct fault *);
    /* ERR_CHALLENGE_REDEEMED, ERR_CHALLENGE_EXPIRED (purged), ERR_STORE_CONFLICT. */
    enum err (*commit_decision)(struct store *, const struct store_decision *,
                                struct store_outcome *out, struct fault *);
    /* ERR_CHALLENGE_REDEEMED, or ERR_OK: a look before the elliptic curves, no promise. */
    enum err (*check_redeemed)(struct store *, const uint8_t challenge[PROTOCOL_CHALLENGE_LEN],
                               struct fault *);
    /* An audit record alone: the server's start and stop. */
    enum err (*append_audit)(struct store *, const struct audit_entry *, struct fault *);
    /* Forgets redeemed challenges that expire up to then, and remembers the latest expiry
     * among them, so that none of them can come back; writes nothing where there are none,
     * and never remembers more than was redeemed: a clock that ran ahead costs nothing. */
    enum err (*purge_challenges)(struct store *, uint64_t before_ms, struct fault *);
    /* Distinct module_ids that used a grant so far. */
    enum err (*read_quota)(struct store *, uint64_t grant_id, uint64_t *used, struct fault *);
    /* Whether the module_id is one of them: then the grant costs it nothing more. */
    enum err (*read_counted)(struct store *, uint64_t grant_id, struct bytes module_id,
                             bool *counted, struct fault *);
    /* The audit head; ERR_STORE_TAMPERED where the records do not end where it says. */
    enum err (*read_audit_head)(struct store *, struct audit_head *out, struct fault *);
    /* Records from..to inclusive, ascending, at most `limit`; UINT64_MAX is the end. */
    enum err (*audit_scan)(struct store *, uint64_t from, uint64_t to, uint64_t limit,
                           audit_entry_fn *fn, void *context, struct fault *);
    /* Every record of a request, ascending; ERR_NOT_FOUND. */
    enum err (*audit_find)(struct store *, const char *request_id, audit_entry_fn *fn,
                           void *context, struct fault *);
    /* A later one of the same sequence replaces the earlier. */
    enum err (*put_checkpoint)(struct store *, uint64_t sequence, struct bytes message,
                               struct fault *);
    /* Of the records from..to inclusive, ascending; UINT64_MAX is the end. */
    enum err (*checkpoint_scan)(struct store *, uint64_t from, uint64_t to, checkpoint_fn *fn,
                                void *context, struct fault *);
    /* Of the measurements from..to inclusive, ascending: those that anything is known of. */
    enum err (*use_scan)(struct store *, uint64_t from, uint64_t to, use_fn *fn, void *context,
                         struct fault *);
    /* A measurement's releases on each day that had any, ascending. */
    enum err (*use_day_scan)(struct store *, uint64_t measurement_id, uint64_t from_day,
                             use_day_fn *fn, void *context, struct fault *);
    /* What a measurement was released to, beyond row `after`, ascending, at most `limit`. */
    enum err (*enclave_scan)(struct store *, uint64_t measurement_id, uint64_t after,
                             uint64_t limit, enclave_use_fn *fn, void *context, struct fault *);
};
const struct store_ops *store_ops(const struct store *store);

#endif
