/* Registration files: a build that somebody signed elsewhere becomes a draft.
 *
 * The authority is the file's: an enrolled key's signature, for its images.  Whoever hands it in
 * adds none.  Its build goes through measurement.add's own code, as a caller who may only draft,
 * so that nothing is taken here that would be refused there.  The key's last serial is written
 * in the same change as the draft: a file is taken once. */
#include <stdio.h>
#include <string.h>

#include "admin_change.h"
#include "common/codec.h"
#include "common/json_reader.h"
#include "common/registration.h"
#include "common/sshsig.h"

struct submission {
    struct registration file;
    struct sshsig sig;
    uint8_t digest[SHA256_LEN]; /* of the file */
    struct warden_request request;
    struct buf map[WARDEN_PARAMS_MAX]; /* what text maps among its parameters point into */
    struct admin_call inner;           /* the signer's own call, as it were */
    char image[64];
    struct policy_measurement m;
};

static void submission_free(struct submission *s)
{
    registration_free(&s->file);
    for (size_t i = 0; i < ARRAY_LEN(s->map); i++)
        buf_free(&s->map[i]);
    buf_free(&s->inner.images);
    policy_measurement_free(&s->m);
}

/* --- The file's build as parameters of measurement.add --- */

static enum err add_param(struct submission *s, const char *name, json_t *value,
                          struct fault *fault)
{
    const size_t i = s->request.param_count;
    struct param *p = &s->request.param[i];
    if (i == WARDEN_PARAMS_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "measurement"), ERR_MALFORMED, "too many members");
    p->name = bytes_of_text(name);
    if (json_is_string(value)) {
        p->type = PARAM_TEXT;
        p->data = bytes_of(json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value) && json_integer_value(value) >= 0) {
        p->type = PARAM_UINT;
        p->uint = (uint64_t)json_integer_value(value);
    } else if (json_is_boolean(value)) {
        p->type = PARAM_BOOL;
        p->uint = json_is_true(value);
    } else if (json_is_object(value)) {
        p->type = PARAM_TEXT_MAP;
        TRY(json_map_append(name, value, &s->map[i], fault));
        p->data = bytes_of_buf(&s->map[i]);
    } else {
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "measurement.%s", name), ERR_MALFORMED,
             "a text, an object of texts, a whole number or a truth value is expected");
    }
    s->request.param_count++;
    return ERR_OK;
}

/* A file drafts, and only what production stores take: it does not say so itself. */
static enum err read_build(struct admin_call *call, struct submission *s)
{
    static const char *const implied[] = {"draft", "debug"};
    const char *name;
    json_t *value;
    for (size_t i = 0; i < ARRAY_LEN(implied); i++) {
        if (json_object_get(s->file.measurement, implied[i]) != NULL)
            FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "measurement.%s", implied[i]),
                 ERR_UNKNOWN_MEMBER, "a registration file does not say this");
    }
    json_object_foreach(s->file.measurement, name, value)
        TRY(add_param(s, name, value, call->fault));
    s->inner = (struct admin_call){
        .warden = call->warden,
        .request = &s->request,
        .operation = call->operation,
        .now_ms = call->now_ms,
        .rights = RIGHT_DRAFT,
        .fault = call->fault,
    };
    TRY(admin_check_params(&s->inner, "measurement.add"));
    CLEANUP(json_decrefp) json_t *yes = json_true();
    TRY(add_param(s, "draft", yes, call->fault));
    return admin_build_read(&s->inner, s->image, &s->m);
}

static enum err read_submission(struct admin_call *call, struct submission *s)
{
    struct bytes file = {0};
    struct bytes signature = {0};
    TRY(admin_bytes(call, "file", ADMIN_REQUIRED, &file));
    TRY(admin_bytes(call, "signature", ADMIN_REQUIRED, &signature));
    fault_at(call->fault, FAULT_NO_OFFSET, "signature");
    TRY(sshsig_parse(signature, REGISTRATION_NAMESPACE, &s->sig, call->fault));
    TRY(sshsig_verify(&s->sig, REGISTRATION_NAMESPACE, file, call->fault));
    TRY(digest_sha256(file, s->digest));
    fault_clear(call->fault);
    TRY(registration_parse(file, &s->file, call->fault));
    return read_build(call, s);
}

/* --- What it may say --- */

#define REFUSE(call, field, ...) \
    FAIL(fault_at((call)->fault, FAULT_NO_OFFSET, "%s", (field)), ERR_REGISTRATION, __VA_ARGS__)

static enum err check_authority(struct admin_call *call, const struct policy *policy,
                                const struct submission *s, uint64_t key_id)
{
    const struct policy_enrolled_key *key = policy_enrolled_key_get(policy, key_id);
    if (key == NULL)
        REFUSE(call, "signature", "its key is not enrolled; `signer add` enrolls it");
    const struct policy_person *person = policy_person_get(policy, key->person_id);
    if (key->state != POLICY_ACTIVE || person->state != POLICY_ACTIVE)
        REFUSE(call, "signature", "its key, signer %llu of %s, was removed",
               (unsigned long long)key_id, person->name);
    const struct store_identity *identity = ledger_identity(call->warden->ledger);
    if (memcmp(s->file.store_id, identity->store_id, sizeof identity->store_id) != 0)
        REFUSE(call, "store", "it is for another store than this");
    if (s->file.expires_ms <= (int64_t)call->now_ms)
        REFUSE(call, "expires", "it has expired");
    if (!image_set_has(bytes_of_buf(&key->images), bytes_of_text(s->image)))
        REFUSE(call, "measurement.image", "signer %llu of %s does not sign for the image %s",
               (unsigned long long)key_id, person->name, s->image);
    return ERR_OK;
}

/* The last file once more is that: the draft came from it.  Any other must be newer. */
static enum err check_serial(struct admin_call *call, const struct policy_enrolled_key *key,
                             const struct submission *s, bool *again)
{
    *again = key->last_serial == s->file.serial &&
             memcmp(key->last_file, s->digest, sizeof s->digest) == 0;
    if (!*again && s->file.serial <= key->last_serial)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "serial"), ERR_SERIAL,
             "%llu is not above %llu, the last of this key", (unsigned long long)s->file.serial,
             (unsigned long long)key->last_serial);
    return ERR_OK;
}

static enum err put_serial(const struct policy_enrolled_key *old, const struct submission *s,
                           uint64_t key_id, struct ledger_change *change)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_enrolled_key key = *old; /* borrows old's buffers for the encoding only */
    key.last_serial = s->file.serial;
    memcpy(key.last_file, s->digest, sizeof key.last_file);
    TRY(policy_enrolled_key_append(&key, &columns));
    return ledger_change_add(change, POLICY_ENROLLED_KEY, key_id, &columns);
}

static enum err find_earlier(struct admin_call *call, const struct policy *policy,
                             const struct submission *s, uint64_t *id)
{
    *id = policy_find_measurement(policy, policy_find_image(policy, s->image), s->m.version);
    const struct policy_measurement *m = policy_measurement_get(policy, *id);
    if (m != NULL && (m->state == MEASUREMENT_DISCARDED || m->state == MEASUREMENT_REVOKED))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "state"), ERR_WRONG_STATE,
             "%s@%s was registered by this file and is %s for good; a new build needs a new "
             "version",
             s->image, s->m.version, measurement_state_name(m->state));
    return m == NULL ? ERR_INTERNAL : ERR_OK;
}

/* A build that is there already takes the serial all the same. */
static enum err prepare(struct admin_call *call, const struct policy *policy, void *asked,
                        struct admin_change *change)
{
    struct submission *s = asked;
    bool again;
    const uint64_t builds = policy_measurement_count(policy);
    const uint64_t key_id = policy_find_enrolled_key(policy, s->sig.key);
    TRY(check_authority(call, policy, s, key_id));
    const struct policy_enrolled_key *key = policy_enrolled_key_get(policy, key_id);
    TRY(check_serial(call, key, s, &again));
    if (again)
        return find_earlier(call, policy, s, &change->id);
    s->m.added_by = key->person_id;
    snprintf(s->inner.person, sizeof s->inner.person, "%s",
             policy_person_get(policy, key->person_id)->name);
    TRY(buf_append(&s->inner.images, bytes_of_buf(&key->images)));
    TRY(admin_build_prepare(&s->inner, policy, s->image, &s->m, &change->rows, &change->id));
    if (change->id > builds)
        change->result = "added";
    TRY(buf_append_format(&change->object, "%s@%s", s->image, s->m.version));
    TRY(buf_append_format(&change->detail, "%s, signed by %s, serial %llu",
                          change->id > builds ? "added as a draft" : "unchanged", s->inner.person,
                          (unsigned long long)s->file.serial));
    return put_serial(key, s, key_id, &change->rows);
}

static enum err show_name(const struct policy *policy, uint64_t id, const void *context,
                          json_t *object)
{
    const struct policy_measurement *m = policy_measurement_get(policy, id);
    (void)context;
    TRY(admin_set(object, "image", json_string(policy_image_get(policy, m->image_id)->name)));
    return admin_set(object, "version", json_string(m->version));
}

/* Of a build that the file added everything is the file's.  What became of one that was there
 * before, a token for some images is told of those only. */
static enum err answer(struct admin_call *call, uint64_t id, const char *result, json_t *out)
{
    static const struct admin_row name_only = {.member = "measurement", .show = show_name};
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const uint64_t image_id = policy_measurement_get(policy, id)->image_id;
    const bool whole = strcmp(result, "added") == 0 ||
                       admin_may_see(call, policy_image_get(policy, image_id)->name);
    ledger_done(call->warden->ledger);
    return whole ? admin_build_answer(call, id, result, out)
                 : admin_answer_row(call, &name_only, id, result, out);
}

enum err admin_registration_submit(struct admin_call *call, json_t *out)
{
    CLEANUP(submission_free) struct submission s = {0};
    TRY(read_submission(call, &s));
    return admin_change(call, prepare, &s, answer, out);
}
