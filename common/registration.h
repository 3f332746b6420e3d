/* Registration files: what a pipeline without a way to the server signs, and somebody hands in
 * (PROTOCOL section 9).
 *
 * A JSON object: for which store, the serial number, until when, and the build to draft as
 * `POST /v1/admin/measurements` takes it.  What the build says is measurement.add's to judge. */
#ifndef VOUCHSAFE_REGISTRATION_H
#define VOUCHSAFE_REGISTRATION_H

#include <jansson.h>

#include "protocol.h"

#define REGISTRATION_NAMESPACE "vouchsafe-registration@1"
#define REGISTRATION_LEN_MAX   262144

struct registration {
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint64_t serial; /* at least 1: rises with every file of a key */
    int64_t expires_ms;
    json_t *measurement; /* owned; an object */
};
void registration_free(struct registration *file);
/* ERR_MALFORMED, ERR_UNKNOWN_MEMBER, ERR_HEX, ERR_TOO_LARGE; `field` says where. */
MUST_CHECK enum err registration_parse(struct bytes text, struct registration *out,
                                       struct fault *fault);
/* The text, which is the same for the same values in the same order. */
MUST_CHECK enum err registration_append(const struct registration *file, struct buf *text);

#endif
