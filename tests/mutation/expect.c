#include "expect.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>

const struct code_set set_shifted_payload = {
    "the next item begins inside the old one or behind its own head",
    {ERR_CBOR_MALFORMED, ERR_CBOR_NOT_STRICT, ERR_CBOR_TYPE, ERR_UTF8, ERR_CBOR_TRAILING,
     ERR_CBOR_DUPLICATE, ERR_DOC_MALFORMED, ERR_DOC_UNKNOWN_FIELD}};
const struct code_set set_shifted_optional = {
    "as above; or the value swallows whole entries up to the break, which leaves a document "
    "without them, that nobody signed",
    {ERR_CBOR_MALFORMED, ERR_CBOR_NOT_STRICT, ERR_CBOR_TYPE, ERR_UTF8, ERR_CBOR_TRAILING,
     ERR_CBOR_DUPLICATE, ERR_DOC_MALFORMED, ERR_DOC_UNKNOWN_FIELD, ERR_SIGNATURE}};
const struct code_set set_name_tag = {
    "a value of another string type may be readable, or its bytes none of that type",
    {ERR_CERT_MALFORMED, ERR_CERT_NAME, ERR_CERT_SIGNATURE}};

/* ---- making ---- */

static void clear(struct expectation *e, enum err code)
{
    *e = (struct expectation){.code = code,
                              .syntax = ATTEST_CHECK_COUNT,
                              .offset_from = FAULT_NO_OFFSET,
                              .offset_to = FAULT_NO_OFFSET,
                              .missing_at = FAULT_NO_OFFSET};
}

/* As a fault shows a stranger's text. */
static void make_printable(char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
            *s = '?';
    }
}

void expect_ok(struct expectation *e, struct bytes payload)
{
    clear(e, ERR_OK);
    e->payload = payload;
}

void expect_syntax(struct expectation *e, enum err code, enum attest_check syntax, size_t offset,
                   const char *field, ...)
{
    clear(e, code);
    e->syntax = syntax;
    e->offset_from = e->offset_to = offset;
    va_list args;
    va_start(args, field);
    vsnprintf(e->field, sizeof e->field, field, args);
    va_end(args);
    make_printable(e->field);
}

void expect_signature(struct expectation *e)
{
    clear(e, ERR_SIGNATURE);
    snprintf(e->field, sizeof e->field, "cose.signature");
}

void expect_cert(struct expectation *e, enum err code, size_t bundle_len, size_t i)
{
    char field[32];
    clear(e, code);
    subject_cert_field(bundle_len, i, field);
    snprintf(e->field, sizeof e->field, "%s", field);
}

void expect_shifted(struct expectation *e, const struct code_set *set, size_t from,
                    size_t missing_at)
{
    clear(e, ERR_OK);
    e->set = set;
    e->syntax = ATTEST_PAYLOAD;
    e->offset_from = from;
    e->offset_to = FAULT_NO_OFFSET - 1;
    e->missing_at = missing_at;
}

enum err expect_window(const struct cert_map *cert, int64_t now_ms)
{
    if (now_ms < cert->from_ms - ATTEST_LEEWAY_MS)
        return ERR_CERT_NOT_YET_VALID;
    return now_ms > cert->until_ms ? ERR_CERT_EXPIRED : ERR_OK;
}

/* ---- judging ---- */

/* The check that a code belongs to; for codes of syntax the one that is expected. */
static enum attest_check check_of(enum err code, const struct expectation *e)
{
    switch (code) {
    case ERR_OK:
        return ATTEST_CHECK_COUNT;
    case ERR_DOC_KIND:
        return ATTEST_KIND;
    case ERR_UNTRUSTED:
        return ATTEST_ROOT;
    case ERR_CERT_MALFORMED:
    case ERR_CERT_VERSION:
    case ERR_CERT_ALGORITHM:
    case ERR_CERT_NAME:
    case ERR_CERT_NOT_CA:
    case ERR_CERT_LEAF_CA:
    case ERR_CERT_KEY_USAGE:
    case ERR_CERT_PATHLEN:
    case ERR_CERT_EXTENSION:
        return ATTEST_CHAIN;
    case ERR_CERT_NOT_YET_VALID:
    case ERR_CERT_EXPIRED:
        return ATTEST_VALIDITY;
    case ERR_CERT_SIGNATURE:
        return ATTEST_CHAIN_SIGNATURES;
    case ERR_SIGNATURE:
        return ATTEST_SIGNATURE;
    default:
        return e->syntax;
    }
}

static bool code_met(const struct expectation *e, enum err code)
{
    if (e->set == NULL)
        return code == e->code;
    for (size_t i = 0; i < ARRAY_LEN(e->set->code) && e->set->code[i] != ERR_OK; i++) {
        if (e->set->code[i] == code)
            return true;
    }
    return false;
}

static bool offset_met(const struct expectation *e, const struct outcome *o)
{
    const size_t at = o->fault.offset;
    if (o->report.reached > ATTEST_PAYLOAD)
        return at == FAULT_NO_OFFSET;
    return (at >= e->offset_from && at <= e->offset_to) ||
           (at == e->missing_at && o->code == ERR_DOC_MALFORMED);
}

static bool field_met(const struct expectation *e, const char *field)
{
    if (e->field[0] == '\0' && e->set != NULL)
        return true;
    return strcmp(e->field, field) == 0 ||
           (e->also_field[0] != '\0' && strcmp(e->also_field, field) == 0);
}

static bool accepted_as_expected(const struct expectation *e, const struct outcome *o)
{
    uint8_t digest[SHA384_LEN];
    return EVP_Digest(e->payload.ptr, e->payload.len, digest, NULL, EVP_sha384(), NULL) == 1 &&
           memcmp(digest, o->report.digest, sizeof digest) == 0 &&
           memcmp(digest, o->digest, sizeof digest) == 0;
}

bool expectation_met(const struct expectation *e, const struct outcome *o, char *why,
                     size_t why_size)
{
    const char *wrong = NULL;
    if (!code_met(e, o->code))
        wrong = "code";
    else if (o->report.reached != check_of(o->code, e))
        wrong = "check reached";
    else if (o->report.parsed != (o->report.reached >= ATTEST_KIND))
        wrong = "report.parsed";
    else if (o->made != (o->code == ERR_OK))
        wrong = "verified_doc";
    else if (o->code == ERR_OK && !accepted_as_expected(e, o))
        wrong = "digest";
    else if (o->code != ERR_OK && !field_met(e, o->fault.field))
        wrong = "field";
    else if (o->code != ERR_OK && !offset_met(e, o))
        wrong = "offset";
    else if (o->code != o->fault.code || (o->code != ERR_OK && o->fault.detail[0] == '\0'))
        wrong = "fault";
    if (wrong == NULL)
        return true;
    snprintf(why, why_size, "%s: got %s [%s] at %zd (%s) %s, expected %s [%s%s%s] at %zd..%zd (%s)",
             wrong, err_wire(o->code), o->fault.field, (ssize_t)o->fault.offset,
             attest_check_name(o->report.reached), o->fault.detail,
             e->set != NULL ? e->set->why : err_wire(e->code), e->field,
             e->also_field[0] != '\0' ? "|" : "", e->also_field, (ssize_t)e->offset_from,
             (ssize_t)e->offset_to, attest_check_name(check_of(e->code, e)));
    return false;
}
