#include "admin.h"

#include <stdio.h>
#include <string.h>

#include "common/cbor_reader.h"
#include "common/codec.h"
#include "common/json_reader.h"
#include "common/log.h"

/* One row per operation: its name, the right it needs (of several any one), what it takes, what
 * it does. */
struct admin_operation {
    const char *name;
    uint32_t right;
    admin_fn *fn;
    /* NULL-terminated: as many as a request may have, and the end. */
    const char *param[WARDEN_PARAMS_MAX + 1];
};

static const struct admin_operation operations[] = {
    {"status", RIGHT_VIEW, admin_status, {NULL}},
    {"verify",
     RIGHT_VIEW,
     admin_verify,
     {"attestation_document", "at", "kind", "nonce", "pcrs", "max_age_s", NULL}},
    {"image.list", RIGHT_VIEW, admin_image_list, {"after", "limit", NULL}},
    {"measurement.add",
     RIGHT_DRAFT,
     admin_measurement_add,
     {"image", "version", "pcrs", "kind", "debug", "draft", "labels", "provenance", "not_before",
      "not_after", NULL}},
    {"measurement.list",
     RIGHT_VIEW,
     admin_measurement_list,
     {"image", "state", "unused_since", "after", "limit", NULL}},
    {"measurement.show", RIGHT_VIEW, admin_measurement_show, {"image", "version", NULL}},
    {"measurement.enclaves",
     RIGHT_VIEW,
     admin_measurement_enclaves,
     {"image", "version", "after", "limit", NULL}},
    {"measurement.grants",
     RIGHT_VIEW,
     admin_measurement_grants,
     {"image", "version", "after", "limit", NULL}},
    {"measurement.activate",
     RIGHT_ACTIVATE,
     admin_measurement_activate,
     {"image", "version", "reason", NULL}},
    {"measurement.deprecate",
     RIGHT_ACTIVATE,
     admin_measurement_deprecate,
     {"image", "version", "reason", "dry_run", NULL}},
    {"measurement.revoke",
     RIGHT_ACTIVATE,
     admin_measurement_revoke,
     {"image", "version", "reason", "dry_run", NULL}},
    {"measurement.discard",
     RIGHT_DRAFT | RIGHT_ACTIVATE,
     admin_measurement_discard,
     {"image", "version", "reason", NULL}},
    {"sealing-key", RIGHT_CUSTODY, admin_sealing_key, {NULL}},
    {"secret.put-challenge", RIGHT_CUSTODY, admin_put_challenge, {"name", NULL}},
    {"secret.put",
     RIGHT_CUSTODY,
     admin_secret_put,
     {"name", "version", "challenge", "enc", "ciphertext", NULL}},
    {"secret.list", RIGHT_VIEW, admin_secret_list, {"after", "limit", NULL}},
    {"grant.add",
     RIGHT_CUSTODY,
     admin_grant_add,
     {"secret", "image", "measurement", "role_pcr3", "instance_pcr4", "signer_pcr8", "signer_pcr1",
      "region", "application", "versions", "quota", "not_before", "not_after", "registered",
      "accepted", NULL}},
    {"grant.list", RIGHT_VIEW, admin_grant_list, {"secret", "image", "after", "limit", NULL}},
    {"grant.remove", RIGHT_CUSTODY, admin_grant_remove, {"id", NULL}},
    {"audit.list", RIGHT_VIEW, admin_audit_list, {"request", "event", "from", "limit", NULL}},
    {"audit.export", RIGHT_VIEW, admin_audit_export, {"from", "limit", NULL}},
    {"explain",
     RIGHT_VIEW,
     admin_explain,
     {"attestation_document", "secrets", "at", "request", NULL}},
    {"issuer.show", RIGHT_VIEW, admin_issuer_show, {NULL}},
    {"issuer.receipt-key", RIGHT_CUSTODY, admin_issuer_receipt_key, {NULL}},
    {"issuer.install", RIGHT_CUSTODY, admin_issuer_install, {"delegation", NULL}},
    {"revocation.add",
     RIGHT_ACTIVATE,
     admin_revocation_add,
     {"instance_id", "issuer", "serial", "reason", NULL}},
    {"revocation.list", RIGHT_VIEW, admin_revocation_list, {"after", "limit", NULL}},
    {"revocation.remove", RIGHT_PEOPLE, admin_revocation_remove, {"id", "reason", NULL}},
    {"person.add", RIGHT_PEOPLE, admin_person_add, {"name", NULL}},
    {"person.list", RIGHT_PEOPLE, admin_person_list, {"after", "limit", NULL}},
    {"person.remove", RIGHT_PEOPLE, admin_person_remove, {"name", NULL}},
    {"token.create",
     RIGHT_PEOPLE,
     admin_token_create,
     {"person", "hash", "rights", "images", "expires", "label", NULL}},
    {"token.list", RIGHT_PEOPLE, admin_token_list, {"after", "limit", NULL}},
    {"token.revoke", RIGHT_PEOPLE, admin_token_revoke, {"id", NULL}},
    {"signer.add", RIGHT_PEOPLE, admin_signer_add, {"person", "key", "images", "label", NULL}},
    {"signer.list", RIGHT_PEOPLE, admin_signer_list, {"after", "limit", NULL}},
    {"signer.remove", RIGHT_PEOPLE, admin_signer_remove, {"id", NULL}},
    {"registration.submit", RIGHT_DRAFT, admin_registration_submit, {"file", "signature", NULL}},
};

/* What a caller who is confined to images may do besides having the right: nothing that is not
 * here, and that to the image alone which the parameter `image` names; but for a file whose own
 * signature says which images it may be about. */
static const struct {
    const char *name;
    bool signed_file;
} confined_operations[] = {
    {"measurement.add", false},  {"measurement.discard", false}, {"measurement.list", false},
    {"measurement.show", false}, {"registration.submit", true},
};

static const struct admin_operation *find_operation(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        if (bytes_equal_text(name, operations[i].name))
            return &operations[i];
    }
    return NULL;
}

/* --- Who calls --- */

/* Takes over whose the token is; a dead one lends no more than its name, for the log. */
static enum err take_token(struct admin_call *call, const struct policy *policy,
                           const uint8_t hash[static SHA256_LEN], enum token_life *life)
{
    const uint64_t id = policy_find_token(policy, hash);
    const struct policy_token *token = policy_token_get(policy, id);
    if (token == NULL)
        return ERR_OK;
    call->token_id = id;
    memcpy(call->label, token->label, sizeof call->label);
    *life = policy_token_life(policy, token, call->now_ms);
    if (*life != TOKEN_COUNTS)
        return ERR_OK;
    TRY(buf_append(&call->images, bytes_of_buf(&token->images)));
    call->person_id = token->person_id;
    call->rights = token->rights;
    memcpy(call->person, policy_person_get(policy, token->person_id)->name, sizeof call->person);
    return ERR_OK;
}

/* A token is found by its hash: what is compared is no secret any more.  Whoever holds a dead
 * one is told what it died of. */
static enum err authenticate(struct admin_call *call)
{
    static const char *const died[] = {[TOKEN_REVOKED] = "was revoked",
                                       [TOKEN_EXPIRED] = "has expired",
                                       [TOKEN_PERSON_REMOVED] = "is a removed person's"};
    uint8_t hash[SHA256_LEN];
    uint64_t revision;
    enum token_life life = TOKEN_COUNTS;

    if (call->request->token.len == WARDEN_TOKEN_LEN) {
        TRY(digest_sha256(call->request->token, hash));
        const struct policy *policy = ledger_read(call->warden->ledger, &revision);
        const enum err err = take_token(call, policy, hash, &life);
        ledger_done(call->warden->ledger);
        TRY(err);
    }
    if (life != TOKEN_COUNTS)
        FAIL(call->fault, ERR_UNAUTHENTICATED,
             "token %llu %s: --token-file FILE or VOUCHSAFE_TOKEN",
             (unsigned long long)call->token_id, died[life]);
    if (call->person_id == 0)
        FAIL(call->fault, ERR_UNAUTHENTICATED,
             "a valid token is needed: --token-file FILE or VOUCHSAFE_TOKEN");
    return ERR_OK;
}

static bool is_for_confined(const struct admin_operation *operation, bool signed_file)
{
    for (size_t i = 0; i < ARRAY_LEN(confined_operations); i++) {
        if (strcmp(operation->name, confined_operations[i].name) == 0)
            return signed_file == confined_operations[i].signed_file;
    }
    return false;
}

static enum err check_image(const struct admin_call *call)
{
    const struct param *image = admin_param(call, "image");
    const bool possible = is_for_confined(call->operation, false);
    struct image_set set;
    if (is_for_confined(call->operation, true))
        return ERR_OK;
    if (possible && image != NULL && image->type == PARAM_TEXT &&
        image_set_has(bytes_of_buf(&call->images), image->data))
        return ERR_OK;
    TRY(image_set_parse(bytes_of_buf(&call->images), &set));
    FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", possible ? "image" : ""), ERR_FORBIDDEN,
         "%s's token is for the image %.*s%s only: %s", call->person, (int)set.name[0].len,
         (const char *)set.name[0].ptr, set.count == 1 ? "" : " and others that were named",
         possible ? "name one of them" : "it cannot do this");
}

static enum err refuse_right(const struct admin_call *call)
{
    char names[64] = "";
    size_t len = 0;
    for (size_t i = 0; i < POLICY_RIGHTS; i++) {
        if ((call->operation->right & policy_rights[i].right) != 0 && len < sizeof names)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len == 0 ? "" : " or ",
                                    policy_rights[i].name);
    }
    FAIL(call->fault, ERR_FORBIDDEN, "%s needs the right %s, which %s's token does not have",
         call->operation->name, names, call->person);
}

/* All that a token may and may not do is decided here, from the operation's row. */
static enum err authorise(const struct admin_call *call)
{
    if ((call->rights & call->operation->right) == 0)
        return refuse_right(call);
    return call->images.len == 0 ? ERR_OK : check_image(call);
}

bool admin_may_see(const struct admin_call *call, const char *image)
{
    return call->images.len == 0 ||
           image_set_has(bytes_of_buf(&call->images), bytes_of_text(image));
}

/* --- Parameters --- */

static bool takes_param(const struct admin_operation *operation, struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(operation->param) && operation->param[i] != NULL; i++) {
        if (bytes_equal_text(name, operation->param[i]))
            return true;
    }
    return false;
}

static enum err refuse_unknown_params(const struct admin_call *call,
                                      const struct admin_operation *operation)
{
    for (size_t i = 0; i < call->request->param_count; i++) {
        const struct bytes name = call->request->param[i].name;
        if (!takes_param(operation, name))
            FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%.*s", (int)name.len,
                          (const char *)name.ptr),
                 ERR_UNKNOWN_MEMBER, "%s does not take this", operation->name);
    }
    return ERR_OK;
}

enum err admin_check_params(const struct admin_call *call, const char *operation)
{
    return refuse_unknown_params(call, find_operation(bytes_of_text(operation)));
}

const struct param *admin_param(const struct admin_call *call, const char *name)
{
    for (size_t i = 0; i < call->request->param_count; i++) {
        if (bytes_equal_text(call->request->param[i].name, name))
            return &call->request->param[i];
    }
    return NULL;
}

/* The parameter, of that type, or NULL where it is absent and may be. */
static enum err typed_param(struct admin_call *call, const char *name, enum admin_need need,
                            enum param_type type, const char *expected, const struct param **out)
{
    const struct param *p = admin_param(call, name);
    if ((p == NULL && need == ADMIN_REQUIRED) || (p != NULL && p->type != type))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED, "%s is %s",
             expected, p == NULL ? "required" : "expected here");
    *out = p;
    return ERR_OK;
}

enum err admin_text(struct admin_call *call, const char *name, enum admin_need need, size_t size,
                    char *out)
{
    const struct param *p = NULL;
    TRY(typed_param(call, name, need, PARAM_TEXT, "a text", &p));
    if (p == NULL)
        return ERR_OK;
    if (p->data.len < 1 || p->data.len >= size || memchr(p->data.ptr, 0, p->data.len) != NULL)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED,
             "a text of 1..%zu bytes is expected", size - 1);
    memcpy(out, p->data.ptr, p->data.len);
    out[p->data.len] = '\0';
    return ERR_OK;
}

enum err admin_uint(struct admin_call *call, const char *name, enum admin_need need, uint64_t max,
                    uint64_t *out)
{
    const struct param *p = NULL;
    TRY(typed_param(call, name, need, PARAM_UINT, "an integer", &p));
    if (p == NULL)
        return ERR_OK;
    if (p->uint > max)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED,
             "an integer of at most %llu is expected", (unsigned long long)max);
    *out = p->uint;
    return ERR_OK;
}

enum err admin_bool(struct admin_call *call, const char *name, bool *out)
{
    const struct param *p = NULL;
    TRY(typed_param(call, name, ADMIN_OPTIONAL, PARAM_BOOL, "true or false", &p));
    if (p != NULL)
        *out = p->uint != 0;
    return ERR_OK;
}

enum err admin_bytes(struct admin_call *call, const char *name, enum admin_need need,
                     struct bytes *out)
{
    const struct param *p = NULL;
    TRY(typed_param(call, name, need, PARAM_BYTES, "base64", &p));
    if (p != NULL)
        *out = p->data;
    return ERR_OK;
}

enum err admin_map(struct admin_call *call, const char *name, admin_pair_fn *each, void *context)
{
    const struct param *p = NULL;
    struct cbor_reader r;
    struct cbor_map map;
    bool more;
    TRY(typed_param(call, name, ADMIN_OPTIONAL, PARAM_TEXT_MAP, "an object of texts", &p));
    if (p == NULL)
        return ERR_OK;
    cbor_reader_init(&r, p->data, 0, name, call->fault);
    TRY(cbor_reader_map(&r, false, &map));
    for (;;) {
        struct bytes key;
        struct bytes value;
        TRY(cbor_reader_map_more(&r, &map, &more));
        if (!more)
            return ERR_OK;
        TRY(cbor_reader_text(&r, &key));
        TRY(cbor_reader_text(&r, &value));
        TRY(each(call, key, value, context));
    }
}

/* --- Records and answers --- */

struct audit_event admin_event(const struct admin_call *call, uint64_t revision, const char *object,
                               const char *detail)
{
    return (struct audit_event){
        .time_ms = call->now_ms,
        .request_id = call->request->request_id,
        .peer = call->request->peer,
        .policy_revision = revision,
        .person = call->person,
        .code = err_wire(ERR_OK),
        .object = object,
        .detail = detail,
        .event = call->operation->name,
    };
}

enum err admin_set(json_t *object, const char *name, json_t *taken_value)
{
    return json_object_set_new(object, name, taken_value) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

json_t *admin_time(uint64_t unix_ms)
{
    char text[TIME_TEXT_MAX];
    time_format((int64_t)unix_ms, text);
    return json_string(text);
}

json_t *admin_hex(struct bytes value)
{
    CLEANUP(buf_free) struct buf hex = {0};
    if (hex_append(&hex, value) != ERR_OK)
        return NULL;
    return admin_string(bytes_of_buf(&hex));
}

json_t *admin_base64(struct bytes value)
{
    CLEANUP(buf_free) struct buf text = {0};
    if (base64_append(&text, value) != ERR_OK)
        return NULL;
    return admin_string(bytes_of_buf(&text));
}

json_t *admin_string(struct bytes utf8)
{
    return json_stringn(utf8.len == 0 ? "" : (const char *)utf8.ptr, utf8.len);
}

enum err admin_set_images(json_t *object, struct bytes encoded)
{
    struct image_set set;
    json_t *images = json_array();
    TRY(admin_set(object, "images", images));
    TRY(image_set_parse(encoded, &set));
    for (size_t i = 0; i < set.count; i++) {
        if (json_array_append_new(images, admin_string(set.name[i])) != 0)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

static enum err run_operation(struct admin_call *call, struct buf *body)
{
    CLEANUP(json_decrefp) json_t *answer = json_object();
    if (answer == NULL)
        return ERR_NO_MEMORY;
    TRY(authenticate(call));
    call->operation = find_operation(call->request->operation);
    if (call->operation == NULL)
        FAIL(call->fault, ERR_NO_ROUTE, "no such operation");
    TRY(authorise(call));
    TRY(refuse_unknown_params(call, call->operation));
    TRY(call->operation->fn(call, answer));
    if (call->text.len > 0)
        return buf_append(body, bytes_of_buf(&call->text));
    return json_append(body, answer);
}

enum err admin_handle(struct warden *warden, const struct warden_request *request, int64_t now_ms,
                      struct buf *body, struct fault *fault)
{
    struct admin_call call = {
        .warden = warden,
        .request = request,
        .now_ms = (uint64_t)now_ms,
        .fault = fault,
    };
    const enum err err = run_operation(&call, body);
    buf_free(&call.text);
    buf_free(&call.images);
    if (err == ERR_OK) {
        log_event(LOG_LEVEL_INFO, "admin", "req=%s peer=%s person=%s token=%llu op=%s",
                  LOG_Q(request->request_id), LOG_Q(request->peer), LOG_Q(call.person),
                  (unsigned long long)call.token_id, LOG_QB(request->operation));
        return ERR_OK;
    }
    if (fault->code != err)
        fault_set(fault, err, "%s", err_sentence(err));
    if (err == ERR_UNAUTHENTICATED && !warden_may_log_rejection(warden, call.now_ms))
        return err;
    log_fault(LOG_LEVEL_WARN, "admin.refused", fault,
              "req=%s peer=%s person=%s token=%llu label=%s op=%s", LOG_Q(request->request_id),
              LOG_Q(request->peer), call.person[0] == '\0' ? "-" : LOG_Q(call.person),
              (unsigned long long)call.token_id, call.label[0] == '\0' ? "-" : LOG_Q(call.label),
              find_operation(request->operation) == NULL ? "-" : LOG_QB(request->operation));
    return err;
}
