/* Revocations: which certificates and EC2 instances are denied, whatever is granted. */
#include <string.h>

#include "admin_change.h"
#include "common/codec.h"
#include "verifier/attest/cert.h"

/* --- Showing --- */

/* The number's digits, as `verify` shows them: without the zero that keeps it positive. */
static struct bytes serial_digits(struct bytes serial)
{
    const size_t skip = serial.len > 1 && serial.ptr[0] == 0 ? 1 : 0;
    return bytes_of(serial.ptr + skip, serial.len - skip);
}

static enum err show_certificate(const struct policy_revocation *r, json_t *object)
{
    char cn[128];
    const struct bytes issuer = bytes_of_buf(&r->issuer);
    const enum err err = cert_name_cn(issuer, cn, sizeof cn);
    if (err == ERR_OK)
        TRY(admin_set(object, "issuer_cn", admin_string(bytes_of_text(cn))));
    else if (err != ERR_NOT_FOUND)
        return err;
    TRY(admin_set(object, "issuer", admin_base64(issuer)));
    return admin_set(object, "serial", admin_hex(serial_digits(bytes_of_buf(&r->serial))));
}

static enum err show_revocation(const struct policy *policy, uint64_t id, const void *context,
                                json_t *object)
{
    const struct policy_revocation *r = policy_revocation_get(policy, id);
    const bool instance = r->kind == REVOCATION_INSTANCE;
    (void)context;
    TRY(admin_set(object, "id", json_integer((json_int_t)id)));
    TRY(admin_set(object, "kind", json_string(instance ? "instance" : "certificate")));
    if (instance)
        TRY(admin_set(object, "instance_id", json_string(r->instance)));
    else
        TRY(show_certificate(r, object));
    TRY(admin_set(object, "reason", admin_string(bytes_of_buf(&r->reason))));
    TRY(admin_set(object, "state", json_string(r->state == POLICY_ACTIVE ? "active" : "removed")));
    TRY(admin_set(object, "person", json_string(policy_person_get(policy, r->person_id)->name)));
    return admin_set(object, "created", admin_time(r->created_ms));
}

static enum err answer_revocation(struct admin_call *call, uint64_t id, const char *result,
                                  json_t *out)
{
    return admin_answer_row(call, &(const struct admin_row){"revocation", show_revocation, NULL},
                            id, result, out);
}

/* For the record: what names it. */
static enum err describe(const struct policy_revocation *r, struct buf *object)
{
    if (r->kind == REVOCATION_INSTANCE)
        return buf_append_format(object, "instance %s", r->instance);
    TRY(buf_append_text(object, "certificate "));
    TRY(hex_append(object, serial_digits(bytes_of_buf(&r->serial))));
    TRY(buf_append_text(object, " of issuer "));
    return hex_append(object, bytes_of_buf(&r->issuer));
}

/* --- Adding --- */

/* Hexadecimal digits, with or without zeros in front, become the content of a DER INTEGER. */
static enum err read_serial(struct admin_call *call, struct policy_revocation *r)
{
    char hex[2 * CERT_SERIAL_MAX + 1] = "";
    uint8_t number[1 + CERT_SERIAL_MAX] = {0};
    TRY(admin_text(call, "serial", ADMIN_REQUIRED, sizeof hex, hex));
    const size_t len = strlen(hex) / 2;
    if (strlen(hex) % 2 != 0 || hex_decode(bytes_of_text(hex), number + 1, len) != ERR_OK)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "serial"), ERR_HEX,
             "hexadecimal digits are expected, two for each byte");
    size_t first = 1;
    while (first < len && number[first] == 0)
        first++;
    if (number[first] >= 0x80)
        first--; /* which is zero */
    TRY(buf_append(&r->serial, bytes_of(number + first, len + 1 - first)));
    if (!revocation_serial_valid(bytes_of_buf(&r->serial)))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "serial"), ERR_MALFORMED,
             "a serial number of at most %d bytes is expected", CERT_SERIAL_MAX);
    return ERR_OK;
}

static bool is_root(const struct admin_call *call, const struct policy_revocation *r)
{
    const struct attest_certificate root = attest_trust_root(call->warden->trust);
    return bytes_equal(root.issuer, bytes_of_buf(&r->issuer)) &&
           bytes_equal(root.serial, bytes_of_buf(&r->serial));
}

static enum err read_certificate(struct admin_call *call, struct policy_revocation *r)
{
    struct bytes issuer = {0};
    r->kind = REVOCATION_CERTIFICATE;
    TRY(admin_bytes(call, "issuer", ADMIN_REQUIRED, &issuer));
    if (!revocation_issuer_valid(issuer))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "issuer"), ERR_MALFORMED,
             "the DER of a certificate's issuer (a Name) is expected");
    TRY(buf_append(&r->issuer, issuer));
    TRY(read_serial(call, r));
    if (is_root(call, r))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "serial"), ERR_MALFORMED,
             "this is the pinned root, which every document of this store stands under: it cannot "
             "be revoked, only replaced by a store of another root");
    return ERR_OK;
}

static enum err read_revocation(struct admin_call *call, struct policy_revocation *r)
{
    char reason[REVOCATION_REASON_MAX + 1] = "";
    const bool certificate =
        admin_param(call, "issuer") != NULL || admin_param(call, "serial") != NULL;
    if (certificate == (admin_param(call, "instance_id") != NULL))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "instance_id"), ERR_MALFORMED,
             "what is revoked is an instance (instance_id) or a certificate (issuer and serial): "
             "exactly one");
    if (certificate) {
        TRY(read_certificate(call, r));
    } else {
        r->kind = REVOCATION_INSTANCE;
        TRY(admin_text(call, "instance_id", ADMIN_REQUIRED, sizeof r->instance, r->instance));
        if (!revocation_instance_valid(bytes_of_text(r->instance)))
            FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "instance_id"), ERR_MALFORMED,
                 "an EC2 instance's id is expected, such as i-0123456789abcdef0");
    }
    TRY(admin_text(call, "reason", ADMIN_REQUIRED, sizeof reason, reason));
    TRY(buf_append_text(&r->reason, reason));
    r->state = POLICY_ACTIVE;
    r->created_ms = call->now_ms;
    r->person_id = call->person_id;
    return ERR_OK;
}

static uint64_t find_same(const struct policy *policy, const struct policy_revocation *r)
{
    const struct attest_certificate certificate = {.issuer = bytes_of_buf(&r->issuer),
                                                   .serial = bytes_of_buf(&r->serial)};
    return r->kind == REVOCATION_INSTANCE
               ? policy_find_revoked_instance(policy, bytes_of_text(r->instance))
               : policy_find_revoked_certificate(policy, &certificate);
}

/* One that was removed before comes back into its own row. */
static enum err prepare_add(struct admin_call *call, const struct policy *policy, void *asked,
                            struct admin_change *change)
{
    const struct policy_revocation *r = asked;
    CLEANUP(buf_free) struct buf columns = {0};
    (void)call;
    change->id = find_same(policy, r);
    if (change->id != 0 && policy_revocation_get(policy, change->id)->state == POLICY_ACTIVE)
        return ERR_OK;
    if (change->id == 0)
        change->id = policy_revocation_count(policy) + 1;
    change->result = "added";
    TRY(describe(r, &change->object));
    TRY(buf_append(&change->detail, bytes_of_buf(&r->reason)));
    TRY(policy_revocation_append(r, &columns));
    return ledger_change_add(&change->rows, POLICY_REVOCATION, change->id, &columns);
}

enum err admin_revocation_add(struct admin_call *call, json_t *out)
{
    CLEANUP(policy_revocation_free) struct policy_revocation r = {0};
    TRY(read_revocation(call, &r));
    return admin_change(call, prepare_add, &r, answer_revocation, out);
}

/* --- Removing --- */

struct removal {
    uint64_t id;
    char reason[REVOCATION_REASON_MAX + 1];
};

static enum err prepare_remove(struct admin_call *call, const struct policy *policy, void *asked,
                               struct admin_change *change)
{
    const struct removal *removal = asked;
    CLEANUP(buf_free) struct buf columns = {0};
    const struct policy_revocation *old = policy_revocation_get(policy, removal->id);
    if (old == NULL)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "id"), ERR_NOT_FOUND,
             "there is no revocation %llu", (unsigned long long)removal->id);
    change->id = removal->id;
    if (old->state == POLICY_REMOVED)
        return ERR_OK;
    struct policy_revocation removed = *old; /* borrows old's buffers for the encoding only */
    removed.state = POLICY_REMOVED;
    change->result = "removed";
    TRY(describe(old, &change->object));
    TRY(buf_append_text(&change->detail, removal->reason));
    TRY(policy_revocation_append(&removed, &columns));
    return ledger_change_add(&change->rows, POLICY_REVOCATION, removal->id, &columns);
}

enum err admin_revocation_remove(struct admin_call *call, json_t *out)
{
    struct removal removal = {0};
    TRY(admin_uint(call, "id", ADMIN_REQUIRED, INT64_MAX, &removal.id));
    TRY(admin_text(call, "reason", ADMIN_REQUIRED, sizeof removal.reason, removal.reason));
    return admin_change(call, prepare_remove, &removal, answer_revocation, out);
}

/* --- Listing --- */

enum err admin_revocation_list(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = admin_list(call, policy, "revocations", policy_revocation_count(policy),
                                    NULL, show_revocation, NULL, out);
    ledger_done(call->warden->ledger);
    return err;
}
