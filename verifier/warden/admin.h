/* The admin operations, between the warden's own files.
 *
 * One table (admin.c) names each operation, the right it needs, and its function; the
 * functions live in admin_<group>.c.  A caller is known by its token before anything
 * of its parameters is looked at; every change is one ledger change with its audit
 * record, decided under the writer's lock. */
#ifndef VOUCHSAFE_WARDEN_ADMIN_H
#define VOUCHSAFE_WARDEN_ADMIN_H

#include <jansson.h>

#include "warden.h"

struct admin_operation; /* a row of the table */

struct admin_call {
    struct warden *warden;
    const struct warden_request *request;
    const struct admin_operation *operation; /* never NULL in an admin_fn */
    uint64_t now_ms;
    uint64_t person_id;
    uint32_t rights;
    struct buf images; /* the image set that the caller is confined to; empty: to none */
    char person[64];
    uint64_t token_id; /* 0: no token that we know.  Set, with the label, for dead ones too */
    char label[POLICY_LABEL_MAX];
    struct fault *fault;
    uint64_t paused_at; /* the revision since a list's last pause; 0: none yet */
    struct buf text;    /* an answer that is JSON text already, in place of the object */
};

/* Fills the JSON object `out`; on an error its content is dropped. */
typedef enum err admin_fn(struct admin_call *call, json_t *out);

/* Parameters by name.  An optional one that is absent leaves `*out` as it was;
 * ERR_MALFORMED names the parameter and what was expected.  admin.c has refused
 * parameters that the operation's row does not list. */
enum admin_need { ADMIN_OPTIONAL, ADMIN_REQUIRED };
const struct param *admin_param(const struct admin_call *call, const char *name);
/* Text without NUL of 1..size-1 bytes, copied and terminated. */
MUST_CHECK enum err admin_text(struct admin_call *call, const char *name, enum admin_need need,
                               size_t size, char *out);
MUST_CHECK enum err admin_uint(struct admin_call *call, const char *name, enum admin_need need,
                               uint64_t max, uint64_t *out);
MUST_CHECK enum err admin_bool(struct admin_call *call, const char *name, bool *out);
MUST_CHECK enum err admin_bytes(struct admin_call *call, const char *name, enum admin_need need,
                                struct bytes *out);
/* Refuses what an operation of that name does not take: for parameters that came in another way
 * than as the request's.  ERR_UNKNOWN_MEMBER. */
MUST_CHECK enum err admin_check_params(const struct admin_call *call, const char *operation);
/* A person's name that the API takes. */
MUST_CHECK enum err admin_person_name(struct admin_call *call, const char *param,
                                      char name[static PROTOCOL_PERSON_MAX + 1]);
/* ERR_NOT_FOUND, ERR_WRONG_STATE where there is no such person any more. */
MUST_CHECK enum err admin_person_find(struct admin_call *call, const struct policy *policy,
                                      const char *name, uint64_t *id);
/* The parameter `images` as an image set, appended; nothing where it is absent. */
MUST_CHECK enum err admin_images(struct admin_call *call, enum admin_need need, struct buf *out);
/* Calls `each` for every pair of a text map. */
typedef enum err admin_pair_fn(struct admin_call *call, struct bytes key, struct bytes value,
                               void *context);
MUST_CHECK enum err admin_map(struct admin_call *call, const char *name, admin_pair_fn *each,
                              void *context);

/* Whether the caller may know of that image: one who is confined to some, of no other. */
bool admin_may_see(const struct admin_call *call, const char *image);

/* The audit record of a change: `event` is the operation's name, `object` what it is
 * about, `detail` what changed, in words. */
struct audit_event admin_event(const struct admin_call *call, uint64_t revision, const char *object,
                               const char *detail);

/* JSON for answers; ERR_NO_MEMORY. */
MUST_CHECK enum err admin_set(json_t *object, const char *name, json_t *taken_value);
json_t *admin_time(uint64_t unix_ms); /* RFC 3339 */
json_t *admin_hex(struct bytes value);
json_t *admin_base64(struct bytes value);
json_t *admin_string(struct bytes utf8);
/* The member `images`: the names in an image set. */
MUST_CHECK enum err admin_set_images(json_t *object, struct bytes encoded);

/* The measurement that the parameters `image` and `version` name (admin_measurement.c);
 * ERR_MALFORMED, ERR_NOT_FOUND. */
MUST_CHECK enum err admin_find_build(struct admin_call *call, const struct policy *policy,
                                     uint64_t *id);

/* The functions of the table. */
admin_fn admin_status, admin_verify;
admin_fn admin_revocation_add, admin_revocation_list, admin_revocation_remove;
admin_fn admin_image_list;
admin_fn admin_measurement_add, admin_measurement_list, admin_measurement_show,
    admin_measurement_activate, admin_measurement_deprecate, admin_measurement_revoke,
    admin_measurement_discard;
admin_fn admin_measurement_enclaves, admin_measurement_grants;
admin_fn admin_sealing_key, admin_put_challenge, admin_secret_put, admin_secret_list;
admin_fn admin_grant_add, admin_grant_list, admin_grant_remove;
admin_fn admin_audit_list, admin_audit_export;
admin_fn admin_explain;
admin_fn admin_person_add, admin_person_list, admin_person_remove;
admin_fn admin_token_create, admin_token_list, admin_token_revoke;
admin_fn admin_signer_add, admin_signer_list, admin_signer_remove, admin_registration_submit;

/* measurement.add in its three parts (admin_measurement.c), for registration files: the row from
 * the parameters, its place under ledger_begin, the answer. */
MUST_CHECK enum err admin_build_read(struct admin_call *call, char image[static 64],
                                     struct policy_measurement *m);
MUST_CHECK enum err admin_build_prepare(struct admin_call *call, const struct policy *policy,
                                        const char *image, struct policy_measurement *m,
                                        struct ledger_change *change, uint64_t *id);
MUST_CHECK enum err admin_build_answer(struct admin_call *call, uint64_t id, const char *result,
                                       json_t *out);
admin_fn admin_issuer_show, admin_issuer_receipt_key, admin_issuer_install;

#endif
