/* The metadata of an enclave image file: what the builder says of the image.
 *
 * EIF Specification, "EifSectionMetadata": a JSON object.  It is in no PCR and under no
 * signature; nobody checks it, so that it decides nothing here.  It is shown, and becomes
 * provenance. */
#ifndef VOUCHSAFE_EIF_METADATA_H
#define VOUCHSAFE_EIF_METADATA_H

#include <jansson.h>

#include "nitro_json.h"

/* Strict JSON (json_reader.h), with the members that the specification requires, of their
 * types; `base` is where the text begins in the file.  ERR_EIF; ERR_NO_MEMORY. */
MUST_CHECK enum err eif_metadata_parse(struct bytes text, size_t base, json_t **out,
                                       struct fault *fault);

/* Says in the provenance that the image was measured here, and what its builder called it;
 * `metadata` may be NULL. */
void eif_metadata_provenance(const json_t *metadata, struct nitro_measurements *m);

/* Adds ImageName, ImageVersion and Metadata to `description`, as nitro-cli arranges them. */
MUST_CHECK enum err eif_metadata_describe(json_t *metadata, json_t *description);

#endif
