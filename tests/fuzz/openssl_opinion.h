/* A second opinion on a chain: OpenSSL's own path validation. */
#ifndef VOUCHSAFE_OPENSSL_OPINION_H
#define VOUCHSAFE_OPENSSL_OPINION_H

#include "common/attdoc.h"

/* It is less strict than we are, but for two things: issuers are found by key identifiers,
 * which is turned off here (by name, instead); and a certificate with an extension that
 * OpenSSL knows and cannot read is none, where we pass over what is neither critical nor
 * ours: of such a chain it has no opinion. */
enum opinion { OPINION_NONE, OPINION_VALID, OPINION_INVALID };

/* Of the document's certificate over its bundle under `root_der`, at this second. */
enum opinion fuzz_openssl_opinion(const struct attdoc *doc, struct bytes root_der, int64_t at_s);

#endif
