/* One certificate of a chain, in the one form that Nitro certificates have.
 *
 * What can be decided from the bytes is decided before OpenSSL sees them: strict DER
 * (der.h) of the whole but for the values of extensions, version 3, ecdsa-with-SHA384 inside and
 * outside, a key on the *named* curve P-384 (so that explicit parameters never reach
 * curve arithmetic).  Then d2i_X509 and the extensions.  It trusts nothing and judges
 * no relation between certificates: that is chain.c (docs/DESIGN.md section 4, "Chain"). */
#ifndef VOUCHSAFE_CERT_H
#define VOUCHSAFE_CERT_H

#include <openssl/x509.h>

#include "common/bytes.h"

/* RFC 5280 section 4.1.2.2 says 20; genuine instance certificates have 20 random bytes,
 * half of them after a zero that keeps the number positive. */
#define CERT_SERIAL_MAX 21

struct cert {
    X509 *x509;
    struct bytes serial; /* views into the DER: the integer's content, */
    struct bytes issuer; /* and whole Names */
    struct bytes subject;
    int64_t from_ms; /* both inclusive, Unix ms */
    int64_t until_ms;
    bool has_basic_constraints;
    bool basic_constraints_critical;
    bool is_ca;
    int64_t path_len; /* -1: no constraint */
    bool has_key_usage;
    bool may_sign;       /* digitalSignature */
    bool may_sign_certs; /* keyCertSign */
};

/* Reads `der`, all of it, into `out`, whose views live as long as `der`; free with
 * cert_free.  `field` names the certificate in faults.  ERR_CERT_MALFORMED,
 * ERR_CERT_VERSION, ERR_CERT_ALGORITHM, ERR_CERT_NAME (an empty one),
 * ERR_CERT_EXTENSION, ERR_CERT_PATHLEN (a negative one); ERR_NO_MEMORY, ERR_CRYPTO, which
 * say nothing about the certificate. */
MUST_CHECK enum err cert_parse(struct bytes der, const char *field, struct cert *out,
                               struct fault *fault);
/* Accepts an empty one. */
void cert_free(struct cert *cert);

/* A CA: critical basicConstraints with cA, keyUsage with keyCertSign.
 * ERR_CERT_NOT_CA, ERR_CERT_KEY_USAGE. */
MUST_CHECK enum err cert_check_ca(const struct cert *cert, const char *field, struct fault *fault);

/* Positive, in its shortest form and not too long: the content of the INTEGER. */
bool cert_serial_has_form(struct bytes serial);

/* Issuer and serial number of a certificate, each as in struct cert, from its DER alone: no rule
 * is checked but the form of what is read. */
bool cert_find_issuer(struct bytes der, struct bytes *issuer, struct bytes *serial);
/* The subject's whole Name in the DER of a certificate that was verified before: no
 * rule is checked. */
bool cert_find_subject(struct bytes der, struct bytes *subject);

/* The value of the only commonName in a DER Name; copied with a terminator.
 * ERR_NOT_FOUND where there is none, or several, or one of `size` bytes or more, or with a
 * NUL; ERR_NO_MEMORY, ERR_CRYPTO, which say nothing about the name. */
MUST_CHECK enum err cert_name_cn(struct bytes name, char *out, size_t size);

#endif
