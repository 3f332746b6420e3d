/* The policy: images, measurements, secrets, grants, people, as one snapshot in memory.
 *
 * The warden loads every row at start (each with its MAC checked, then the head over
 * all of them) and applies each committed change, so that a release reads no policy
 * from a file that somebody else may write: what is withdrawn stays withdrawn until a
 * restart, and a restart checks everything again (PROTOCOL section 7).
 *
 * This module holds no key, no clock and no SQL; rows come and go as CBOR columns in
 * the order of db/0001_initial.sql.  Ids count from 1 without gaps in every table: a
 * row is found by its id at once, and a deleted one is noticed.
 * Not thread-safe: the warden locks. */
#ifndef VOUCHSAFE_POLICY_H
#define VOUCHSAFE_POLICY_H

#include "common/protocol.h"
#include "common/receipt.h"
#include "facts.h"

#define POLICY_NO_TIME   0 /* an absent not-before, not-after or expiry */
#define POLICY_LABEL_MAX 128

enum policy_state { POLICY_ACTIVE = 1, POLICY_REMOVED = 2 };

struct policy_setting {
    char name[32];
    struct buf value; /* text */
};

struct policy_person {
    char name[64];
    enum policy_state state;
    uint64_t created_ms;
};

/* What a token may do; a person's rights are their tokens'. */
enum policy_right {
    RIGHT_VIEW = 1,     /* read everything but secrets */
    RIGHT_DRAFT = 2,    /* register builds as drafts */
    RIGHT_ACTIVATE = 4, /* make measurements count, and end them */
    RIGHT_CUSTODY = 8,  /* secrets and grants */
    RIGHT_PEOPLE = 16,  /* persons and tokens */
};
#define RIGHT_ALL     31u
#define POLICY_RIGHTS 5
struct policy_right_name {
    uint32_t right;
    const char *name;
};
extern const struct policy_right_name policy_rights[POLICY_RIGHTS];
/* "view,draft" to bits; ERR_MALFORMED. */
MUST_CHECK enum err policy_rights_parse(struct bytes list, uint32_t *out, struct fault *fault);

/* Images by name, whether there are any of that name yet or not: a CBOR array, ascending, each
 * once.  What is confined to a set is confined to nothing where the set cannot be read. */
#define IMAGE_SET_MAX 64
struct image_set {
    size_t count; /* at least 1 */
    struct bytes name[IMAGE_SET_MAX];
};
/* "payments,refunds", in any order, appended as such an array; ERR_MALFORMED. */
MUST_CHECK enum err image_set_append(struct bytes list, struct buf *out, struct fault *fault);
/* Views into `encoded`; ERR_STORE_TAMPERED. */
MUST_CHECK enum err image_set_parse(struct bytes encoded, struct image_set *out);
bool image_set_has(struct bytes encoded, struct bytes image);

struct policy_token {
    uint64_t person_id;
    char label[POLICY_LABEL_MAX];
    uint8_t hash[SHA256_LEN];
    uint32_t rights;
    enum policy_state state;
    uint64_t created_ms;
    uint64_t expires_ms;
    struct buf images; /* an image set; empty: all.  Such a token views and drafts at most */
};
#define RIGHTS_OF_IMAGES (RIGHT_VIEW | RIGHT_DRAFT)

struct policy_image {
    char name[PROTOCOL_IMAGE_MAX + 1];
    uint64_t created_ms;
};

/* PCR values of a measurement or a document: only those that are set. */
struct pcr_set {
    uint32_t present; /* bit i */
    uint8_t value[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN];
};
#define PCR_BIT(index)    (UINT32_C(1) << (index))
#define PCR_BITS_CODE     (PCR_BIT(0) | PCR_BIT(1) | PCR_BIT(2)) /* only ever together */
#define PCR_BITS_NITROTPM (PCR_BIT(4) | PCR_BIT(7))
#define PCR_BITS_SIGNER   (PCR_BIT(8) | PCR_BIT(1))
/* Deterministic CBOR map index -> 48 bytes, ascending, of at least one entry
 * (ERR_INTERNAL); and back, strict (ERR_STORE_TAMPERED). */
MUST_CHECK enum err pcr_set_append(const struct pcr_set *set, struct buf *out);
MUST_CHECK enum err pcr_set_parse(struct bytes encoded, struct pcr_set *out);

/* A few PCRs, each with the values that it may have: deterministic CBOR, a map of 1 to 16
 * indexes 16..31 -> array of 1 to PCR_CHOICES_MAX values of 48 bytes, ascending, none of them
 * zero.  All values together are PCR_CHOICES_ALL at most: an audit record holds them.  What the
 * hypervisor extends has one value at a time; these are the enclave's own. */
#define PCR_CHOICES_FIRST 16
#define PCR_CHOICES_MAX   32
#define PCR_CHOICES_ALL   64
struct pcr_choices {
    size_t count[ATTDOC_PCR_COUNT - PCR_CHOICES_FIRST]; /* of PCR 16 + i */
    uint8_t value[ATTDOC_PCR_COUNT - PCR_CHOICES_FIRST][PCR_CHOICES_MAX][ATTDOC_PCR_LEN];
};
/* In whatever order they were added, each once in the result.  Nothing is appended where there
 * is none.  ERR_TOO_LARGE for more than there may be. */
MUST_CHECK enum err pcr_choices_append(const struct pcr_choices *choices, struct buf *out);
/* Back, strict: ERR_STORE_TAMPERED, and `out` is then worth nothing. */
MUST_CHECK enum err pcr_choices_parse(struct bytes encoded, struct pcr_choices *out);
bool pcr_choices_valid(struct bytes encoded);
/* Whether each of these PCRs has one of its values: absent (NULL) never matches. */
bool pcr_choices_match(struct bytes encoded, const uint8_t *const pcr[static ATTDOC_PCR_COUNT]);

enum measurement_state {
    MEASUREMENT_DRAFT = 1,
    MEASUREMENT_ACTIVE = 2,
    MEASUREMENT_DEPRECATED = 3, /* releases, and warns */
    MEASUREMENT_REVOKED = 4,    /* final; denies whatever else matches */
    MEASUREMENT_DISCARDED = 5,  /* final; a draft taken back: neither matches nor denies */
};
#define MEASUREMENT_STATE_LAST MEASUREMENT_DISCARDED
const char *measurement_state_name(enum measurement_state state);

struct policy_measurement {
    uint64_t image_id;
    char version[PROTOCOL_IMAGE_MAX + 1];
    enum attdoc_kind kind;
    bool debug;      /* matches debug documents only, and only in a development store */
    struct buf pcrs; /* as pcr_set_append makes it */
    uint8_t root[SHA256_LEN];
    enum measurement_state state;
    uint64_t not_before_ms;
    uint64_t not_after_ms;
    struct buf labels;     /* CBOR map text -> text; append makes it deterministic */
    struct buf provenance; /* text: where the values came from */
    uint64_t created_ms;
    uint64_t added_by; /* the person who registered it; 0: not on record */
};

enum secret_state { SECRET_USABLE = 1, SECRET_DESTROYED = 2 };

struct policy_secret {
    char name[PROTOCOL_NAME_MAX + 1];
    uint32_t current_version; /* 0: none yet */
    enum secret_state state;
    uint64_t created_ms;
};

struct policy_secret_version {
    uint64_t secret_id;
    uint32_t version;
    uint64_t size_bytes;
    enum secret_state state;
    uint64_t created_ms;
};

#define GRANT_VERSIONS_MAX 16

struct policy_grant {
    uint64_t secret_id;
    uint64_t image_id;       /* 0: a signer grant */
    uint64_t measurement_id; /* 0: every usable measurement of the image */
    struct pcr_set pcr;      /* required: 8 and 1 (signer), 3 (role), 4 (instance) */
    bool registered;         /* a signer grant: a measurement that counts must match as well ... */
    uint64_t registered_image_id; /* ... of this image; 0: of any */
    struct buf accepted;          /* as pcr_choices_append makes it; empty: none */
    char region[32];              /* "": any */
    bool has_application;
    struct buf application; /* user_data's application bytes, exactly */
    size_t version_count;   /* older versions that it names; append sorts them */
    uint32_t version[GRANT_VERSIONS_MAX];
    uint64_t quota; /* distinct module_ids; 0: none */
    uint64_t not_before_ms;
    uint64_t not_after_ms;
    enum policy_state state;
    uint64_t created_ms;
};

enum own_key_kind {
    OWN_KEY_RECEIPT = 1,
    OWN_KEY_SEALING = 2,
    OWN_KEY_ISSUER = 3,
    OWN_KEY_PAST_DELEGATION = 4, /* of a receipt key, replaced by a newer: for auditors */
};

struct policy_own_key {
    enum own_key_kind kind;
    uint32_t version;
    struct buf spki;
    struct buf sealed;       /* of a receipt or sealing key; else empty */
    struct buf delegation;   /* the message, for a receipt key and of a past delegation */
    enum policy_state state; /* active: the current one */
    uint64_t created_ms;
};

enum revocation_kind { REVOCATION_CERTIFICATE = 1, REVOCATION_INSTANCE = 2 };
#define REVOCATION_REASON_MAX 1024

/* What is denied whatever else is granted: a certificate, of any place in a chain but the
 * pinned root's, or an EC2 instance with all its enclaves. */
struct policy_revocation {
    enum revocation_kind kind;
    struct buf issuer; /* a certificate's, as in struct attest_certificate; else empty */
    struct buf serial; /* likewise */
    char instance[40]; /* an instance's id, "i-0123456789abcdef0"; else "" */
    struct buf reason; /* text */
    enum policy_state state;
    uint64_t created_ms; /* when it was added last, */
    uint64_t person_id;  /* and by whom */
};

/* An Ed25519 key whose registration files are taken, as drafts of these images. */
#define ENROLLED_KEY_LEN 32
struct policy_enrolled_key {
    uint64_t person_id; /* whose drafts they are */
    char label[POLICY_LABEL_MAX];
    uint8_t public_key[ENROLLED_KEY_LEN];
    struct buf images;             /* an image set */
    uint64_t last_serial;          /* of the newest file that was taken; 0: none yet */
    uint8_t last_file[SHA256_LEN]; /* SHA-256 of that file; zeros: none yet */
    enum policy_state state;
    uint64_t created_ms;
};

/* One list drives everything that exists once per table. */
#define POLICY_TABLES(X) \
    X(setting)           \
    X(person)            \
    X(token)             \
    X(image)             \
    X(measurement) X(secret) X(secret_version) X(grant) X(own_key) X(revocation) X(enrolled_key)

/* For each table T:
 *   policy_T_append(const struct policy_T *, struct buf *columns)  row -> CBOR columns;
 *     ERR_INTERNAL for a row that parse would refuse, ERR_UTF8 and, for labels,
 *     ERR_CBOR_DUPLICATE, ERR_MALFORMED or ERR_TOO_LARGE (more than 64)
 *   policy_T_parse(struct bytes columns, struct policy_T *out)     back, strict; owned
 *   policy_T_free(struct policy_T *)
 *   policy_T_load(policy, id, columns)   inserts (id = count + 1) or replaces; all of it
 *     or, on an error, nothing
 *   policy_T_count(policy), policy_T_get(policy, id)   NULL where there is none; the row
 *     stays where it is until policy_free
 * ERR_STORE_TAMPERED for columns that no version of this program wrote, and from load
 * for a row that names one that does not exist, takes another row's name or values, or
 * changes what it is found by: names, hashes, versions, whose it is; a measurement's
 * values; what a token may; what was revoked or removed stays so, what was destroyed stays
 * destroyed, and neither a secret's current version nor a key's last serial ever falls.  Only a
 * draft is discarded, and stays so. */
struct policy;
#define X(T)                                                                                    \
    MUST_CHECK enum err policy_##T##_append(const struct policy_##T *row, struct buf *columns); \
    MUST_CHECK enum err policy_##T##_parse(struct bytes columns, struct policy_##T *out);       \
    void policy_##T##_free(struct policy_##T *row);                                             \
    MUST_CHECK enum err policy_##T##_load(struct policy *policy, uint64_t id,                   \
                                          struct bytes columns);                                \
    uint64_t policy_##T##_count(const struct policy *policy);                                   \
    const struct policy_##T *policy_##T##_get(const struct policy *policy, uint64_t id);
POLICY_TABLES(X)
#undef X

MUST_CHECK enum err policy_new(struct policy **out);
void policy_free(struct policy *policy);
CLEANUP_PTR(struct policy, policy_free, policy_freep)

/* By name or value; 0 where there is none.  Logarithmic. */
uint64_t policy_find_setting(const struct policy *policy, const char *name);
uint64_t policy_find_person(const struct policy *policy, const char *name);
uint64_t policy_find_token(const struct policy *policy, const uint8_t hash[static SHA256_LEN]);
uint64_t policy_find_enrolled_key(const struct policy *policy,
                                  const uint8_t public_key[static ENROLLED_KEY_LEN]);
uint64_t policy_find_image(const struct policy *policy, const char *name);
uint64_t policy_find_secret(const struct policy *policy, const char *name);
uint64_t policy_find_measurement(const struct policy *policy, uint64_t image_id,
                                 const char *version);
/* The measurement of exactly these values: the same kind, debug, root and PCRs; never a
 * discarded one. */
uint64_t policy_find_same_values(const struct policy *policy, const struct policy_measurement *m);
uint64_t policy_find_secret_version(const struct policy *policy, uint64_t secret_id,
                                    uint32_t version);
/* The first measurement of an image, in whatever state, with an id above `after`; 0 where there
 * is none.  At once where `after` is 0 or one of the image, else as long as it takes to come
 * there. */
uint64_t policy_next_build(const struct policy *policy, uint64_t image_id, uint64_t after);
/* How many measurements of the image are in that state.  At once. */
uint64_t policy_count_builds(const struct policy *policy, uint64_t image_id,
                             enum measurement_state state);
/* The newest active row of a kind of own key. */
uint64_t policy_find_own_key(const struct policy *policy, enum own_key_kind kind);

/* --- What is revoked (revocation.c) --- */

/* The row of exactly this certificate or instance, whatever its state.  Logarithmic. */
uint64_t policy_find_revoked_certificate(const struct policy *policy,
                                         const struct attest_certificate *certificate);
uint64_t policy_find_revoked_instance(const struct policy *policy, struct bytes instance);

/* The active revocation that a document falls under: its instance's, or one of any certificate of
 * its chain, the leaf included; NULL where there is none.  Looked up at each use of a chain, be
 * it cached or not.  Of a record whose chain was revoked then it is any certificate's. */
const struct policy_revocation *policy_revoked_instance(const struct policy *policy,
                                                        const struct policy_facts *facts);
const struct policy_revocation *policy_revoked_certificate(const struct policy *policy,
                                                           const struct policy_facts *facts,
                                                           size_t *position);
/* The same as a verdict: ERR_INSTANCE_REVOKED (field "module_id"), ERR_CERT_REVOKED
 * ("cabundle[2]", "certificate"), with the reason that was given. */
MUST_CHECK enum err policy_revocation_check(const struct policy *policy,
                                            const struct verified_doc *doc, struct fault *fault);
/* An instance's id, "i-" and 8..32 hexadecimal digits in lower case; a certificate's issuer, one
 * whole DER Name that is not empty; its serial number, as certificates may have it. */
bool revocation_instance_valid(struct bytes id);
bool revocation_issuer_valid(struct bytes der);
bool revocation_serial_valid(struct bytes content);

/* Whether a token counts at that time, and else why not.  A removed person's never do. */
enum token_life { TOKEN_COUNTS, TOKEN_REVOKED, TOKEN_EXPIRED, TOKEN_PERSON_REMOVED };
enum token_life policy_token_life(const struct policy *policy, const struct policy_token *token,
                                  uint64_t now_ms);

/* --- V5: the decision (checks.c) --- */

struct policy_question {
    const struct verified_doc *doc;
    const struct wanted_list *wanted;
    struct bytes application; /* user_data after the binding */
    uint64_t now_ms;
    bool production;
};

/* Why one secret is not released: one row per check in checks.c.  The names go into
 * audit records and explain: append only. */
enum policy_reason {
    REASON_GRANTED,
    REASON_MEASUREMENT_REVOKED, /* the document matches something revoked: deny wins */
    REASON_UNKNOWN_SECRET,
    REASON_SECRET_DESTROYED,
    REASON_NO_VALUE, /* the secret has no version yet */
    REASON_VERSION_UNKNOWN,
    REASON_VERSION_NOT_GRANTED, /* an older one that the grant does not name */
    REASON_BELOW_MINIMUM,
    REASON_NOT_GRANTED,        /* no grant of this secret */
    REASON_NO_MEASUREMENT,     /* no measurement of a granted image matches */
    REASON_MEASUREMENT_STATE,  /* it matches, but is a draft */
    REASON_MEASUREMENT_WINDOW, /* it matches, outside its not-before..not-after */
    REASON_GRANT_WINDOW,
    REASON_GRANT_BUILD, /* narrowed to another build of the image */
    REASON_GRANT_PCR,   /* role, instance or signer differ */
    REASON_GRANT_REGION,
    REASON_GRANT_APPLICATION,
    REASON_OVER_QUOTA,       /* found out by the store's transaction */
    REASON_GRANT_REGISTERED, /* a signer's build that is not registered, and must be */
    REASON_GRANT_ACCEPTED,   /* a PCR that the enclave extends has none of the accepted values */
    REASON_INSTANCE_REVOKED,
    REASON_CERTIFICATE_REVOKED,
    REASON_COUNT
};
const char *policy_reason_name(enum policy_reason reason); /* "not_granted" */

struct policy_item {
    uint64_t secret_id;
    uint32_t version;
    enum policy_reason reason;
    uint64_t flags;          /* RECEIPT_FLAG_* */
    uint64_t grant_id;       /* that granted it: of several the one without a quota first */
    uint64_t quota;          /* of that grant; 0: none */
    uint64_t measurement_id; /* that granted it; 0 for a signer grant */
};

struct policy_verdict {
    bool granted;              /* all or nothing */
    enum policy_reason reason; /* of the first item refused */
    size_t refused_item;
    size_t count;
    struct policy_item item[PROTOCOL_SECRETS_MAX];
    /* The measurements that granted something: image@version, sorted, distinct. */
    size_t measurement_count;
    char measurement[RECEIPT_MEASUREMENTS_MAX][PROTOCOL_BUILD_MAX + 1];
};

/* A draft grants and denies nothing: it is looked at so that a refusal can say "it matches, but is
 * a draft".  So many of a document's code, the newest, and no more: whoever may draft could make
 * each release of a rival's build look at thousands. */
#define POLICY_DRAFTS_MAX 64

/* Decides.  ERR_DEBUG: a debug document in a production store, or one that no debug
 * measurement matches; otherwise ERR_OK and a verdict either way.  An empty policy
 * grants nothing; an absent PCR never matches; deny wins. */
MUST_CHECK enum err policy_decide(const struct policy *policy,
                                  const struct policy_question *question,
                                  struct policy_verdict *out, struct fault *fault);

/* Whether a measurement's values are all in the document (kind, debug and root too). */
bool policy_measurement_matches(const struct policy_measurement *m,
                                const struct policy_facts *facts);
/* The same, PCR by PCR: the measurement's values, and those of them that the document does not
 * have (bit i: PCR i).  False where there is nothing to compare: another kind, mode or root. */
bool policy_measurement_compare(const struct policy_measurement *m,
                                const struct policy_facts *facts, struct pcr_set *values,
                                uint32_t *different);

/* --- What may be registered (measurement.c) --- */

/* Rules for a new measurement's values: an enclave's holds PCR0, PCR1 and PCR2, none
 * of them (nor PCR8) zero (ERR_PCRS_ZERO); optional 3, 4, 8, 16..31; a debug one holds
 * none of 0, 1, 2, pins PCR4 or a non-zero PCR3, and exists in development stores
 * only; NitroTPM holds PCR4 and PCR7.  ERR_MEASUREMENT_INPUT names the PCR. */
MUST_CHECK enum err policy_measurement_check(enum attdoc_kind kind, bool debug, bool production,
                                             const struct pcr_set *pcrs, struct fault *fault);

#endif
