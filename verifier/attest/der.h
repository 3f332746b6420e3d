/* Strict DER (X.690 section 10) for what certificates are made of, because OpenSSL takes
 * BER.  The order within a set and the characters of strings are not looked at.  Definite lengths
 * in their shortest form, at most 65,535 bytes, and nothing between or behind the elements.
 *
 * Pure; trusts nothing.  Every function is true where the bytes have the form and all of
 * them belong to it. */
#ifndef VOUCHSAFE_DER_H
#define VOUCHSAFE_DER_H

#include "common/bytes.h"

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_UTF8_STRING = 0x0c,
    DER_PRINTABLE_STRING = 0x13,
    DER_IA5_STRING = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_EXTENSIONS = 0xa3, /* [3] EXPLICIT */
};

/* Takes the element of that tag off the front of `in`.  `whole` includes the head; either
 * result may be NULL. */
MUST_CHECK bool der_take(struct bytes *in, uint8_t tag, struct bytes *whole, struct bytes *content);

/* The contents of a Name, of a Validity, of Extensions inside [3] (RFC 5280 section 4.1):
 * the types are the standard's, of strings those that AWS writes and IA5String.  An empty
 * Name passes: whether it may be empty is a rule of its own. */
MUST_CHECK bool der_is_name(struct bytes content);
MUST_CHECK bool der_is_validity(struct bytes content);
MUST_CHECK bool der_is_extensions(struct bytes explicit_content);

#endif
