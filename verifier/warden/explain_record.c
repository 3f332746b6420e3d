/* A recorded decision read back as facts, to be judged by the policy of today. */
#include "explain.h"

#include <string.h>

#include "common/codec.h"
#include "common/pcr_text.h"

static const uint8_t zero_pcr[ATTDOC_PCR_LEN];

void explain_record_free(struct explain_record *record)
{
    json_decref(record->json);
}

static enum err broken(struct fault *fault, const char *what)
{
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", what), ERR_STORE_TAMPERED,
         "the audit record does not hold it as this program writes it");
}

static struct bytes text_of(const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);
    return bytes_of(json_string_value(text), json_string_length(text));
}

static enum err read_hex(const json_t *object, const char *name, uint8_t *out, size_t len,
                         struct fault *fault)
{
    return hex_decode(text_of(object, name), out, len) == ERR_OK ? ERR_OK : broken(fault, name);
}

static enum err read_pcrs(const json_t *document, struct explain_record *r, struct fault *fault)
{
    const char *index_text;
    const json_t *value;
    json_object_foreach(json_object_get(document, "pcrs"), index_text, value)
    {
        unsigned index = 0;
        if (pcr_index_parse(bytes_of_text(index_text), &index) != ERR_OK ||
            hex_decode(bytes_of(json_string_value(value), json_string_length(value)), r->pcr[index],
                       ATTDOC_PCR_LEN) != ERR_OK)
            return broken(fault, "pcrs");
        r->facts.pcr[index] = r->pcr[index];
    }
    /* A record holds the values that are not zero, and which there are. */
    const json_int_t present = json_integer_value(json_object_get(document, "pcr_present"));
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((present >> i & 1) != 0 && r->facts.pcr[i] == NULL)
            r->facts.pcr[i] = zero_pcr;
    }
    return ERR_OK;
}

static enum err read_application(const json_t *document, struct explain_record *r,
                                 struct fault *fault)
{
    if (json_object_get(document, "application_sha256") == NULL)
        return ERR_OK; /* POLICY_APPLICATION_UNKNOWN */
    TRY(read_hex(document, "application_sha256", r->application_sha256,
                 sizeof r->application_sha256, fault));
    r->facts.application_known = POLICY_APPLICATION_SHA256;
    r->facts.application = bytes_of(r->application_sha256, sizeof r->application_sha256);
    return ERR_OK;
}

static enum err read_facts(struct explain_record *r, struct fault *fault)
{
    const json_t *document = json_object_get(r->json, "document");
    const struct bytes kind = text_of(document, "kind");
    if (bytes_equal_text(kind, attdoc_kind_name(ATTDOC_NITROTPM)))
        r->facts.kind = ATTDOC_NITROTPM;
    else if (!bytes_equal_text(kind, attdoc_kind_name(ATTDOC_ENCLAVE)))
        return broken(fault, "kind");
    r->facts.debug = json_is_true(json_object_get(document, "debug"));
    r->facts.module_id = text_of(document, "module_id");
    r->facts.region = text_of(document, "region");
    r->facts.root_sha256 = r->root_sha256;
    TRY(read_hex(document, "root_sha256", r->root_sha256, sizeof r->root_sha256, fault));
    TRY(read_pcrs(document, r, fault));
    return read_application(document, r, fault);
}

static uint64_t asked_for(const json_t *asked, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(asked, name));
}

static enum err read_wanted(struct explain_record *r, struct fault *fault)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(r->json, "secrets"), i, item)
    {
        const json_t *asked = json_object_get(item, "asked");
        if (wanted_add(&r->wanted, text_of(item, "name"), asked_for(asked, "version"),
                       asked_for(asked, "min_version"), NULL) != ERR_OK)
            return broken(fault, "secrets");
    }
    return r->wanted.count == 0 ? broken(fault, "secrets") : ERR_OK;
}

enum err explain_record_read(json_t *taken, struct explain_record *out, struct fault *fault)
{
    *out = (struct explain_record){.json = taken};
    TRY(read_facts(out, fault));
    return read_wanted(out, fault);
}
