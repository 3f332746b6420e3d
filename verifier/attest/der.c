#include "der.h"

#include "common/codec.h"

bool der_take(struct bytes *in, uint8_t tag, struct bytes *whole, struct bytes *content)
{
    if (in->len < 2 || in->ptr[0] != tag)
        return false;
    size_t head = 2;
    size_t len = in->ptr[1];
    if (len == 0x81 && in->len >= 3) {
        head = 3;
        len = in->ptr[2];
        if (len < 0x80)
            return false;
    } else if (len == 0x82 && in->len >= 4) {
        head = 4;
        len = (size_t)in->ptr[2] << 8 | in->ptr[3];
        if (len < 0x100)
            return false;
    } else if (len >= 0x80) {
        return false;
    }
    if (len > in->len - head)
        return false;
    if (whole != NULL)
        *whole = bytes_of(in->ptr, head + len);
    if (content != NULL)
        *content = bytes_of(in->ptr + head, len);
    *in = bytes_of(in->ptr + head + len, in->len - head - len);
    return true;
}

/* X.690 section 8.19: numbers in base 128, each without a leading zero, the last complete. */
static bool take_oid(struct bytes *in)
{
    struct bytes oid;
    if (!der_take(in, DER_OID, NULL, &oid) || oid.len == 0)
        return false;
    bool starts = true;
    for (size_t i = 0; i < oid.len; i++) {
        if (starts && oid.ptr[i] == 0x80)
            return false;
        starts = oid.ptr[i] < 0x80;
    }
    return starts;
}

/* AttributeTypeAndValue: SEQUENCE { type, value }. */
static bool is_attribute(struct bytes content)
{
    struct bytes text;
    if (!take_oid(&content))
        return false;
    if (der_take(&content, DER_UTF8_STRING, NULL, &text))
        return utf8_valid(text) && content.len == 0;
    return (der_take(&content, DER_PRINTABLE_STRING, NULL, NULL) ||
            der_take(&content, DER_IA5_STRING, NULL, NULL)) &&
           content.len == 0;
}

bool der_is_name(struct bytes content)
{
    while (content.len > 0) {
        struct bytes set;
        struct bytes attribute;
        if (!der_take(&content, DER_SET, NULL, &set) || set.len == 0)
            return false;
        while (set.len > 0) {
            if (!der_take(&set, DER_SEQUENCE, NULL, &attribute) || !is_attribute(attribute))
                return false;
        }
    }
    return true;
}

static bool take_time(struct bytes *in)
{
    struct bytes text;
    if (der_take(in, DER_UTC_TIME, NULL, &text))
        return text.len == sizeof "YYMMDDHHMMSSZ" - 1;
    return der_take(in, DER_GENERALIZED_TIME, NULL, &text) &&
           text.len == sizeof "YYYYMMDDHHMMSSZ" - 1;
}

bool der_is_validity(struct bytes content)
{
    const bool not_before = take_time(&content);
    const bool not_after = not_before && take_time(&content);
    return not_after && content.len == 0;
}

/* SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue }: DER writes TRUE as FF,
 * and FALSE, the default, not at all. */
static bool is_extension(struct bytes content)
{
    struct bytes critical;
    if (!take_oid(&content))
        return false;
    if (der_take(&content, DER_BOOLEAN, NULL, &critical) &&
        (critical.len != 1 || critical.ptr[0] != 0xff))
        return false;
    return der_take(&content, DER_OCTET_STRING, NULL, NULL) && content.len == 0;
}

bool der_is_extensions(struct bytes explicit_content)
{
    struct bytes list;
    struct bytes extension;
    if (!der_take(&explicit_content, DER_SEQUENCE, NULL, &list) || explicit_content.len != 0 ||
        list.len == 0)
        return false;
    while (list.len > 0) {
        if (!der_take(&list, DER_SEQUENCE, NULL, &extension) || !is_extension(extension))
            return false;
    }
    return true;
}
