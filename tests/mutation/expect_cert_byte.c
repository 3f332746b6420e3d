/* One byte of a certificate, by the part of RFC 5280's Certificate that it belongs to.
 * What OpenSSL's parser refuses for its form and what our own rules refuse for its form
 * have one name: certificate_malformed. */
#include <stdio.h>

#include "expect.h"

static const uint8_t oid_basic_constraints[] = {0x55, 0x1d, 0x13};
static const uint8_t oid_key_usage[] = {0x55, 0x1d, 0x0f};

struct ctx {
    const struct subject *s;
    size_t i; /* the certificate */
    size_t bundle_len;
    const struct cert_map *map;
    const struct der_part *part;
    const uint8_t *part_now; /* its changed bytes */
    size_t at;               /* in the part */
    uint8_t value;
    struct expectation *e;
};

static void fails(const struct ctx *x, enum err code)
{
    expect_cert(x->e, code, x->bundle_len, x->i);
}

static bool is_leaf(const struct ctx *x)
{
    return x->i == x->bundle_len;
}

/* X.690 section 8.19.2: no part begins with 80, and the last byte ends one. */
static bool is_oid(const uint8_t *oid, size_t len)
{
    bool begins = true;
    for (size_t i = 0; i < len; i++) {
        if (begins && oid[i] == 0x80)
            return false;
        begins = oid[i] < 0x80;
    }
    return begins;
}

/* X.690 section 8.3.2: no nine equal bits in front.  RFC 5280 section 4.1.2.2: positive. */
static void on_serial(const struct ctx *x)
{
    const uint8_t *serial = x->part_now;
    const bool padded = x->part->len > 1 && serial[0] == 0 && serial[1] < 0x80;
    fails(x, serial[0] >= 0x80 || padded ? ERR_CERT_MALFORMED : ERR_CERT_SIGNATURE);
}

/* A readable, other name: of the issuer it is not the parent's any more; of a subject
 * the next certificate's issuer is not it; the leaf's has its signature only. */
static void other_name(const struct ctx *x, enum der_kind of)
{
    if (of == DER_ISSUER)
        fails(x, ERR_CERT_NAME);
    else if (is_leaf(x))
        fails(x, ERR_CERT_SIGNATURE);
    else
        expect_cert(x->e, ERR_CERT_NAME, x->bundle_len, x->i + 1);
}

/* Or it is refused for its form, and then it is this certificate that is named. */
static void other_name_or_form(const struct ctx *x, const struct code_set *set)
{
    char field[32];
    other_name(x, x->part->of);
    x->e->set = set;
    subject_cert_field(x->bundle_len, x->i, field);
    snprintf(x->e->also_field, sizeof x->e->also_field, "%s", field);
}

static void on_name(const struct ctx *x)
{
    if (x->part->kind == DER_NAME_TAG) {
        other_name_or_form(x, &set_name_tag);
    } else if (x->part->kind == DER_NAME_OID) {
        if (is_oid(x->part_now, x->part->len))
            other_name(x, x->part->of);
        else
            fails(x, ERR_CERT_MALFORMED);
    } else if (x->part->utf8 && x->value >= 0x80) { /* one such byte alone is no UTF-8 */
        fails(x, ERR_CERT_MALFORMED);
    } else {
        other_name(x, x->part->kind);
    }
}

static void on_time(const struct ctx *x)
{
    struct cert_map now = *x->map;
    int64_t *ms = x->part->kind == DER_FROM ? &now.from_ms : &now.until_ms;
    if (!utc_time(x->part_now, ms) || now.from_ms > now.until_ms) {
        fails(x, ERR_CERT_MALFORMED);
        return;
    }
    const enum err err = expect_window(&now, x->s->now_ms);
    fails(x, err != ERR_OK ? err : ERR_CERT_SIGNATURE);
}

/* ---- extensions ---- */

static bool oid_is(struct bytes oid, const uint8_t *other)
{
    return oid.len == sizeof oid_key_usage && memcmp(oid.ptr, other, oid.len) == 0;
}

static void on_extension_oid(const struct ctx *x)
{
    const struct extension *ext = &x->map->extension[x->part->extension];
    const struct bytes now = bytes_of(x->part_now, x->part->len);
    bool twice = false;
    for (size_t n = 0; n < x->map->extensions; n++)
        twice = twice || (n != x->part->extension && bytes_equal(now, x->map->extension[n].oid));
    if (!is_oid(now.ptr, now.len))
        fails(x, ERR_CERT_MALFORMED);
    else if (twice || ext->critical) /* there twice; or unknown and critical */
        fails(x, ERR_CERT_EXTENSION);
    else if (oid_is(ext->oid, oid_key_usage)) /* none is left */
        fails(x, ERR_CERT_KEY_USAGE);
    else
        fails(x, ERR_CERT_SIGNATURE);
}

/* A longer one may end where another OCTET STRING begins, inside the value or by its
 * length: a subjectKeyIdentifier's and a keyUsage's do, and so become unknown ones, not
 * critical, and what they said is missed. */
static void on_extension_oid_len(const struct ctx *x)
{
    enum { OCTET_STRING = 0x04 };
    const struct extension *ext = &x->map->extension[x->part->extension];
    const uint8_t *oid = x->part_now + 1;
    const size_t len = x->value;
    const bool fits = ext->rest >= 2 && len > 0 && len <= ext->rest - 2 && is_oid(oid, len) &&
                      oid[len] == OCTET_STRING && oid[len + 1] == ext->rest - len - 2;
    if (!fits)
        fails(x, ERR_CERT_MALFORMED);
    else if (oid_is(ext->oid, oid_key_usage))
        fails(x, ERR_CERT_KEY_USAGE);
    else if (oid_is(ext->oid, oid_basic_constraints) && !is_leaf(x))
        fails(x, ERR_CERT_NOT_CA);
    else
        fails(x, ERR_CERT_SIGNATURE);
}

/* 30 06 01 01 ff 02 01 <path length>, 30 03 01 01 ff, or 30 00: the path length apart
 * every byte is as DER demands it. */
static void on_basic_constraints(const struct ctx *x)
{
    const size_t follow = x->bundle_len - 1 - x->i;
    if (x->part->len != 8 || x->at != 7)
        fails(x, ERR_CERT_MALFORMED);
    else if (x->value >= 0x80 || x->value < follow)
        fails(x, ERR_CERT_PATHLEN);
    else
        fails(x, ERR_CERT_SIGNATURE);
}

/* 03 02 <unused bits> <bits>, the unused ones zero (X.690 section 11.2.1). */
static void on_key_usage(const struct ctx *x)
{
    enum { DIGITAL_SIGNATURE = 0x80, KEY_CERT_SIGN = 0x04 };
    const uint8_t *v = x->part_now;
    if (x->at < 2 || v[2] > 7 || (v[3] & ((1u << v[2]) - 1)) != 0) {
        fails(x, ERR_CERT_MALFORMED);
        return;
    }
    const bool signs = (v[3] & DIGITAL_SIGNATURE) != 0;
    const bool certifies = (v[3] & KEY_CERT_SIGN) != 0;
    const bool fits = is_leaf(x) ? signs && !certifies : certifies;
    fails(x, fits ? ERR_CERT_SIGNATURE : ERR_CERT_KEY_USAGE);
}

static void on_extension_value(const struct ctx *x)
{
    const struct bytes oid = x->map->extension[x->part->extension].oid;
    if (oid_is(oid, oid_basic_constraints))
        on_basic_constraints(x);
    else if (oid_is(oid, oid_key_usage))
        on_key_usage(x);
    else
        fails(x, ERR_CERT_SIGNATURE); /* nothing is read from the others */
}

void expect_cert_byte(const struct byte_change *c, size_t i, size_t at, struct expectation *e)
{
    const struct cert_map *map = &c->s->cert[i];
    const struct der_part *part = cert_map_part(map, at);
    const size_t in_part = at - part->at;
    const struct ctx x = {.s = c->s,
                          .i = i,
                          .bundle_len = c->s->map.bundle_len,
                          .map = map,
                          .part = part,
                          .part_now = c->changed + c->at - in_part,
                          .at = in_part,
                          .value = c->value,
                          .e = e};
    if (i == 0) { /* the root's copy is compared whole */
        fails(&x, ERR_UNTRUSTED);
        return;
    }
    switch (part->kind) {
    case DER_HEAD:
    case DER_EXT_CRITICAL:     /* TRUE is FF, and the default is not written: X.690 11.1, 11.5 */
    case DER_SIGNATURE_UNUSED: /* whole bytes: none */
    case DER_POINT:            /* off the curve */
        fails(&x, ERR_CERT_MALFORMED);
        return;
    case DER_VERSION:
        fails(&x, ERR_CERT_VERSION);
        return;
    case DER_SERIAL:
        on_serial(&x);
        return;
    case DER_ALGORITHM:
    case DER_KEY_PREFIX:
    case DER_POINT_FORM:
        fails(&x, ERR_CERT_ALGORITHM);
        return;
    case DER_ISSUER:
    case DER_SUBJECT:
    case DER_NAME_OID:
    case DER_NAME_TAG:
        on_name(&x);
        return;
    case DER_FROM:
    case DER_UNTIL:
        on_time(&x);
        return;
    case DER_EXT_OID_LEN:
        on_extension_oid_len(&x);
        return;
    case DER_EXT_OID:
        on_extension_oid(&x);
        return;
    case DER_EXT_VALUE:
        on_extension_value(&x);
        return;
    case DER_SIGNATURE:
        fails(&x, ERR_CERT_SIGNATURE);
        return;
    }
}
