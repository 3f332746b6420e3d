/* The payload of an attestation document.  The first byte says whether there are names of
 * keys to pass over, and where the payload is said to begin. */
#include "common/attdoc.h"
#include "fixed_chain.h"

static bool optional_holds(const struct attdoc_optional *optional, struct bytes in)
{
    if (optional->state != ATTDOC_PRESENT)
        return optional->value.len == 0;
    return optional->value.len <= ATTDOC_OPTIONAL_MAX && fuzz_within(optional->value, in);
}

/* DESIGN section 4, "Payload": what every document that parses is like. */
static void check_document(const struct attdoc *doc, struct bytes in)
{
    FUZZ_HOLDS(doc->module_id.len > 0 && fuzz_within(doc->module_id, in));
    FUZZ_HOLDS(doc->timestamp_ms > 0);
    FUZZ_HOLDS(doc->pcr_present != 0);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        const bool present = (doc->pcr_present >> i & 1) != 0;
        FUZZ_HOLDS(present == (doc->pcr[i] != NULL));
        FUZZ_HOLDS(!present || fuzz_within(bytes_of(doc->pcr[i], ATTDOC_PCR_LEN), in));
    }
    FUZZ_HOLDS(doc->certificate.len >= 1 && doc->certificate.len <= ATTDOC_CERT_MAX);
    FUZZ_HOLDS(fuzz_within(doc->certificate, in));
    FUZZ_HOLDS(doc->cabundle_len >= 1 && doc->cabundle_len <= ATTDOC_BUNDLE_MAX);
    for (size_t i = 0; i < doc->cabundle_len; i++) {
        FUZZ_HOLDS(doc->cabundle[i].len >= 1 && doc->cabundle[i].len <= ATTDOC_CERT_MAX);
        FUZZ_HOLDS(fuzz_within(doc->cabundle[i], in));
    }
    FUZZ_HOLDS(optional_holds(&doc->public_key, in));
    FUZZ_HOLDS(optional_holds(&doc->user_data, in));
    FUZZ_HOLDS(optional_holds(&doc->nonce, in));
    FUZZ_HOLDS(doc->map_indefinite == (in.ptr[0] == 0xbf));
    FUZZ_HOLDS(doc->kind == ATTDOC_ENCLAVE || !attdoc_is_debug(doc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"future", "vendor", "pcr_extra"};
    const struct attdoc_tolerate tolerate = {keys, ARRAY_LEN(keys)};
    struct bytes in = bytes_of(data, size);
    const uint8_t flags = fuzz_take_byte(&in);
    const size_t offset = flags >> 1;
    struct fault fault = FAULT_NONE;
    struct attdoc doc, strict;
    FUZZ_FILL(&doc);
    const enum err err =
        attdoc_parse(in, offset, (flags & 1) != 0 ? &tolerate : NULL, &doc, &fault);
    fuzz_check(err, &fault, offset, in.len, &doc, sizeof doc);
    FUZZ_HOLDS(attdoc_parse(in, 0, (flags & 1) != 0 ? &tolerate : NULL, &strict, NULL) == err);
    /* To tolerate never makes another document of what is one without. */
    if (attdoc_parse(in, 0, NULL, &strict, NULL) == ERR_OK) {
        FUZZ_OK(err);
        FUZZ_HOLDS(strict.kind == doc.kind && strict.pcr_present == doc.pcr_present);
    }
    /* What looks like PCRs is never tolerated, whoever wants it. */
    const struct attdoc_tolerate like_pcrs = {keys + 2, 1};
    FUZZ_HOLDS(attdoc_parse(in, 0, &like_pcrs, &strict, NULL) ==
               attdoc_parse(in, 0, NULL, &strict, NULL));
    if (err == ERR_OK)
        check_document(&doc, in);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size > 1 && fuzz_choose(&seed, 64) > 0)
        return 1 + fuzz_mutate_cbor(data + 1, size - 1, max_size - 1, seed);
    CLEANUP(buf_free) struct buf whole = {0};
    const uint8_t flags = (uint8_t)fuzz_choose(&seed, 256);
    FUZZ_OK(buf_append(&whole, bytes_of(&flags, 1)));
    fuzz_payload(fuzz_choose(&seed, 2) == 0, &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
