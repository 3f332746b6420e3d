/* Revocation without a network: certificates and instances that an operator denies. */
#include "snapshot.h"
#include "verifier/attest/cert.h"
#include "verifier/attest/der.h"

bool revocation_instance_valid(struct bytes id)
{
    if (id.len < 2 + 8 || id.len > 2 + 32 || memcmp(id.ptr, "i-", 2) != 0)
        return false;
    for (size_t i = 2; i < id.len; i++) {
        if (id.ptr[i] == '\0' || strchr("0123456789abcdef", id.ptr[i]) == NULL)
            return false;
    }
    return true;
}

bool revocation_issuer_valid(struct bytes der)
{
    struct bytes content;
    return der.len <= ATTDOC_CERT_MAX && der_take(&der, DER_SEQUENCE, NULL, &content) &&
           der.len == 0 && content.len > 0 && der_is_name(content);
}

bool revocation_serial_valid(struct bytes content)
{
    return cert_serial_has_form(content);
}

static int compare_bytes(const struct buf *a, const struct buf *b)
{
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return a->len == 0 ? 0 : memcmp(a->ptr, b->ptr, a->len);
}

int revocation_compare(const void *a, const void *b)
{
    const struct policy_revocation *x = a;
    const struct policy_revocation *y = b;
    int order = compare_bytes(&x->serial, &y->serial);
    if (order == 0)
        order = compare_bytes(&x->issuer, &y->issuer);
    return order != 0 ? order : strcmp(x->instance, y->instance);
}

/* For a comparison, which writes nothing. */
static struct buf borrowed(struct bytes view)
{
    return (struct buf){.ptr = (uint8_t *)(uintptr_t)view.ptr, .len = view.len};
}

uint64_t policy_find_revoked_certificate(const struct policy *policy,
                                         const struct attest_certificate *certificate)
{
    const struct policy_revocation probe = {.issuer = borrowed(certificate->issuer),
                                            .serial = borrowed(certificate->serial)};
    return policy_find_revocation(policy, &probe);
}

uint64_t policy_find_revoked_instance(const struct policy *policy, struct bytes instance)
{
    struct policy_revocation probe = {.kind = REVOCATION_INSTANCE};
    if (!revocation_instance_valid(instance))
        return 0;
    memcpy(probe.instance, instance.ptr, instance.len);
    return policy_find_revocation(policy, &probe);
}

static const struct policy_revocation *active(const struct policy *policy, uint64_t id)
{
    const struct policy_revocation *r = policy_revocation_get(policy, id);
    return r != NULL && r->state == POLICY_ACTIVE ? r : NULL;
}

const struct policy_revocation *policy_revoked_instance(const struct policy *policy,
                                                        const struct policy_facts *facts)
{
    const struct bytes id = attdoc_instance(facts->module_id);
    return active(policy, policy_find_revoked_instance(policy, id));
}

/* Any certificate's: a refusal on record does not say which it was. */
static const struct policy_revocation *some_certificate(const struct policy *policy)
{
    for (uint64_t id = 1; id <= policy_revocation_count(policy); id++) {
        const struct policy_revocation *r = active(policy, id);
        if (r != NULL && r->kind == REVOCATION_CERTIFICATE)
            return r;
    }
    return NULL;
}

const struct policy_revocation *policy_revoked_certificate(const struct policy *policy,
                                                           const struct policy_facts *facts,
                                                           size_t *position)
{
    for (size_t i = 0; i < facts->chain_len; i++) {
        const struct policy_revocation *found =
            active(policy, policy_find_revoked_certificate(policy, &facts->chain[i]));
        if (found != NULL) {
            *position = i;
            return found;
        }
    }
    *position = 0;
    return facts->chain_was_revoked ? some_certificate(policy) : NULL;
}

static int reason_len(const struct policy_revocation *r)
{
    return (int)(r->reason.len < 100 ? r->reason.len : 100);
}

enum err policy_revocation_check(const struct policy *policy, const struct verified_doc *doc,
                                 struct fault *fault)
{
    size_t at;
    struct policy_facts facts;
    policy_facts_of(doc, bytes_of(NULL, 0), &facts);
    const struct policy_revocation *r = policy_revoked_instance(policy, &facts);
    if (r != NULL) /* REVOKED-1 */
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "module_id"), ERR_INSTANCE_REVOKED,
             "an administrator revoked %s: %.*s", r->instance, reason_len(r),
             (const char *)r->reason.ptr);
    r = policy_revoked_certificate(policy, &facts, &at);
    if (r == NULL)
        return ERR_OK;
    if (at == verified_doc_fields(doc)->cabundle_len)
        (void)fault_at(fault, FAULT_NO_OFFSET, "certificate");
    else
        (void)fault_at(fault, FAULT_NO_OFFSET, "cabundle[%zu]", at);
    /* REVOKED-2 */
    FAIL(fault, ERR_CERT_REVOKED, "an administrator revoked this certificate: %.*s", reason_len(r),
         (const char *)r->reason.ptr);
}
