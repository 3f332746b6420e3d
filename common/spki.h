/* SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), compared and not parsed: on a named
 * curve it has one DER form up to the point (RFC 5480 section 2, RFC 8410 section 4).
 * No other form is taken (explicit parameters, compressed points), and building the key
 * from its point is far cheaper than d2i_PUBKEY: 70 us. */
#ifndef VOUCHSAFE_SPKI_H
#define VOUCHSAFE_SPKI_H

#include <openssl/types.h>

#include "bytes.h"

#define SPKI_POINT_MAX 133 /* P-521, uncompressed: 04 | x | y */

struct spki_form {
    const char *group;   /* OpenSSL's name of the curve; NULL for X25519 */
    struct bytes prefix; /* all before the point */
    size_t point_len;
};

extern const struct spki_form spki_x25519;
extern const struct spki_form spki_p256;
extern const struct spki_form spki_p384;
extern const struct spki_form spki_p521; /* of image signers alone */

/* True where length and prefix are the form's.  The point is not looked at. */
bool spki_has_form(struct bytes spki, const struct spki_form *form);

/* The key of a point on `group` (NULL: X25519).  ERR_MALFORMED unless it is uncompressed,
 * in range and on the curve; ERR_NO_MEMORY, ERR_CRYPTO where OpenSSL fails. */
MUST_CHECK enum err spki_point_to_key(const char *group, struct bytes point, EVP_PKEY **out);

/* ERR_MALFORMED unless `spki` has this form and its point is one. */
MUST_CHECK enum err spki_to_key(struct bytes spki, const struct spki_form *form, EVP_PKEY **out);

/* Appends the DER.  ERR_NO_MEMORY, ERR_CRYPTO. */
MUST_CHECK enum err spki_append(const EVP_PKEY *key, struct buf *out);

#endif
