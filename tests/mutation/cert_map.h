/* The map of one certificate: what each byte of its DER belongs to (RFC 5280 section
 * 4.1).  A walker of its own, as map.h. */
#ifndef VOUCHSAFE_MUTATION_CERT_MAP_H
#define VOUCHSAFE_MUTATION_CERT_MAP_H

#include "common/bytes.h"

enum der_kind {
    DER_HEAD, /* tag or length of anything that is not named below */
    DER_VERSION,
    DER_SERIAL,
    DER_ALGORITHM,  /* the AlgorithmIdentifier's content, inside and outside */
    DER_ISSUER,     /* a value's character ... */
    DER_SUBJECT,    /* ... or one of the three below, `of` says whose */
    DER_NAME_OID,   /* an attribute's type */
    DER_NAME_TAG,   /* a value's string type */
    DER_FROM,       /* notBefore's characters */
    DER_UNTIL,      /* notAfter's */
    DER_KEY_PREFIX, /* SubjectPublicKeyInfo up to the point, its own head apart */
    DER_POINT_FORM, /* 04 */
    DER_POINT,
    DER_EXT_OID_LEN, /* one byte */
    DER_EXT_OID,
    DER_EXT_CRITICAL, /* the BOOLEAN's value */
    DER_EXT_VALUE,
    DER_SIGNATURE_UNUSED, /* the BIT STRING's unused bits */
    DER_SIGNATURE,
};

struct der_part {
    enum der_kind kind;
    size_t at;
    size_t len;
    enum der_kind of; /* names: DER_ISSUER or DER_SUBJECT */
    bool utf8;        /* names: the value is a UTF8String */
    size_t extension; /* of cert_map.extension[] */
};

enum { CERT_PARTS_MAX = 160, CERT_EXTENSIONS_MAX = 10 };

struct cert_map {
    size_t count;
    struct der_part part[CERT_PARTS_MAX]; /* without gaps */
    size_t from_at;                       /* notBefore's characters, 13 of them */
    size_t until_at;
    int64_t from_ms;
    int64_t until_ms;
    size_t extensions;
    struct extension {
        struct bytes oid; /* its content, a view into the certificate */
        size_t rest;      /* bytes from there to the extension's end */
        bool critical;
    } extension[CERT_EXTENSIONS_MAX];
};

MUST_CHECK bool cert_map_make(struct bytes der, struct cert_map *out);
const struct der_part *cert_map_part(const struct cert_map *map, size_t at);

/* A UTCTime (YYMMDDHHMMSSZ) of RFC 5280 section 4.1.2.5.1; false where it is none. */
bool utc_time(const uint8_t text[static 13], int64_t *unix_ms);

#endif
