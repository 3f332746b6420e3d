#include "facts.h"

#include <string.h>

void policy_facts_of(const struct verified_doc *doc, struct bytes application,
                     struct policy_facts *out)
{
    const struct attdoc *fields = verified_doc_fields(doc);
    *out = (struct policy_facts){
        .kind = fields->kind,
        .debug = verified_doc_is_debug(doc),
        .root_sha256 = verified_doc_root_sha256(doc),
        .module_id = fields->module_id,
        .region = verified_doc_region(doc),
        .application_known = POLICY_APPLICATION_BYTES,
        .application = application,
    };
    out->chain_len = verified_doc_chain(doc, &out->chain);
    memcpy(out->pcr, fields->pcr, sizeof out->pcr);
}
