/* An audit record as an auditor shows it: whatever the log of a stranger's server holds; and as
 * explain judges it again: whatever a writer of the database has put there. */
#include <jansson.h>
#include <stdlib.h>

#include "common/audit_record.h"
#include "common/json_reader.h"
#include "fixed_chain.h"
#include "verifier/warden/explain.h"

/* What is read of it is whole, or it is refused as altered. */
static void judge_again(json_t *taken)
{
    CLEANUP(explain_record_free) struct explain_record record;
    struct fault fault = FAULT_NONE;
    const enum err err = explain_record_read(taken, &record, &fault);
    FUZZ_HOLDS(err == ERR_OK || (err == ERR_STORE_TAMPERED && fault.code == err));
    if (err != ERR_OK)
        return;
    FUZZ_HOLDS(record.wanted.count > 0 && record.facts.root_sha256 == record.root_sha256);
    for (size_t i = 0; i < record.wanted.count; i++)
        FUZZ_HOLDS(protocol_name_valid(bytes_of_text(record.wanted.item[i].name)));
    FUZZ_HOLDS(record.facts.application_known == POLICY_APPLICATION_UNKNOWN ||
               record.facts.application.len == SHA256_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    static const uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint8_t hash[SHA384_LEN], next[SHA384_LEN], same[SHA384_LEN];
    CLEANUP(buf_free) struct buf text = {0};
    struct fault fault = FAULT_NONE;
    json_t *json;
    /* NOLINTBEGIN(bugprone-sizeof-expression): it is the pointer that is filled */
    FUZZ_FILL(&json);
    const enum err err = audit_record_to_json(in, &json, &fault);
    FUZZ_CHECK(err, &fault, in, &json);
    /* NOLINTEND(bugprone-sizeof-expression) */
    FUZZ_OK(audit_chain_first(store_id, hash));
    FUZZ_OK(audit_chain_next(hash, in, next));
    FUZZ_OK(audit_chain_next(hash, in, same));
    FUZZ_HOLDS(memcmp(next, same, sizeof next) == 0 && memcmp(next, hash, sizeof next) != 0);
    if (err != ERR_OK)
        return 0;
    FUZZ_HOLDS(json_is_object(json));
    FUZZ_OK(json_append(&text, json));
    FUZZ_HOLDS(text.len > 2);
    judge_again(json);
    return 0;
}

/* A decision about a document, and an administrator's action. */
static void put_sample(bool decision, struct buf *out)
{
    static const uint8_t bytes[SHA384_LEN] = {9};
    CLEANUP(buf_free) struct buf payload = {0};
    struct attdoc doc;
    struct audit_event event = {.time_ms = FUZZ_TIME_MS + 123,
                                .event = decision ? "release.granted" : "measurement.add",
                                .request_id = "0123456789ABCDEF",
                                .peer = "203.0.113.7:41234",
                                .policy_revision = 17,
                                .code = "ok"};
    if (decision) {
        fuzz_payload(true, &payload);
        FUZZ_OK(attdoc_parse(bytes_of_buf(&payload), 0, NULL, &doc, NULL));
        event.doc = &doc;
        event.document_digest = event.root_sha256 = event.application_sha256 = bytes;
        event.region = bytes_of_text(FUZZ_REGION);
        event.challenge = bytes_of(bytes, sizeof bytes);
        event.item_count = 2;
        event.item[0] = (struct audit_item){"db/main", 7, 0, "granted", "payments@1.4.2", 0, 5};
        event.item[1] = (struct audit_item){"x", 2, 1, "granted", "", 2, 0};
    } else {
        event.person = "anna";
        event.object = "payments@1.4.2";
        event.detail = "active";
    }
    FUZZ_OK(audit_record_append(&event, 300, out));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size > 1 && fuzz_choose(&seed, 64) > 0)
        return fuzz_mutate_cbor(data, size, max_size, seed);
    CLEANUP(buf_free) struct buf whole = {0};
    put_sample(fuzz_choose(&seed, 2) == 0, &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
