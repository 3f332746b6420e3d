/* Request ids: 80 random bits as 16 characters of Crockford's base32, which can be
 * read out over a telephone: no I, L, O or U. */
#ifndef VOUCHSAFE_FRONT_REQUEST_ID_H
#define VOUCHSAFE_FRONT_REQUEST_ID_H

#include "common/bytes.h"

#define REQUEST_ID_LEN 16

/* Writes the text and a NUL.  ERR_CRYPTO where the random generator failed. */
MUST_CHECK enum err request_id_new(char out[static REQUEST_ID_LEN + 1]);

#endif
