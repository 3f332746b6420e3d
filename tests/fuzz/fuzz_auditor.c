/* Pages of a server's exported log, one line each, as an auditor who pinned the issuer takes
 * them; the first line may be the checkpoint that he kept.  The mutator signs checkpoints
 * with the receipt key.  Where the pages are taken, so they are a second time, and the chain
 * computed here over their records is the auditor's. */
#include <jansson.h>
#include <stdlib.h>

#include "common/codec.h"
#include "common/json_reader.h"
#include "fixed_keys.h"
#include "verifier/cli/auditor.h"

CLEANUP_PTR(json_t, json_decref, json_decref_p)

#define PAGES_MAX 4

/* What the page's checkpoints say of the records up to here is what they are. */
static void check_checkpoints(const json_t *page, uint64_t sequence,
                              const uint8_t hash[static SHA384_LEN])
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(page, "checkpoints"), i, entry)
    {
        const char *text = json_string_value(json_object_get(entry, "message"));
        CLEANUP(buf_free) struct buf message = {0};
        struct cose_sign1 signed_message;
        struct audit_checkpoint checkpoint;
        FUZZ_OK(base64_decode(bytes_of_text(text), &message));
        FUZZ_OK(cose_sign1_parse(COSE_CHECKPOINT, bytes_of_buf(&message), &signed_message, NULL));
        FUZZ_OK(cose_sign1_verify(&signed_message, fuzz_keys()->receipt, NULL));
        FUZZ_OK(audit_checkpoint_parse(signed_message.payload, &checkpoint, NULL));
        FUZZ_HOLDS(memcmp(checkpoint.store_id, fuzz_store_id, sizeof fuzz_store_id) == 0);
        FUZZ_HOLDS(checkpoint.sequence != sequence ||
                   memcmp(checkpoint.hash, hash, sizeof checkpoint.hash) == 0);
    }
}

/* The records of a page, numbered without a gap. */
static void chain_records(const json_t *page, uint64_t *sequence, uint8_t hash[static SHA384_LEN])
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(page, "records"), i, entry)
    {
        CLEANUP(buf_free) struct buf record = {0};
        FUZZ_OK(base64_decode(bytes_of_text(json_string_value(entry)), &record));
        FUZZ_OK(audit_chain_next(hash, bytes_of_buf(&record), hash));
        CLEANUP(json_decref_p) json_t *shown = NULL;
        FUZZ_OK(audit_record_to_json(bytes_of_buf(&record), &shown, NULL));
        FUZZ_HOLDS((uint64_t)json_integer_value(json_object_get(shown, "sequence")) == ++*sequence);
        check_checkpoints(page, *sequence, hash);
    }
}

static enum err take_pages(json_t *const *pages, size_t count, struct bytes kept,
                           struct auditor *auditor, struct fault *fault)
{
    auditor_init(auditor, &fuzz_keys()->pins);
    if (kept.len > 0)
        TRY(auditor_expect(auditor, kept, fault));
    for (size_t i = 0; i < count; i++)
        TRY(auditor_page(auditor, pages[i], fault));
    return auditor_finish(auditor, fault);
}

static void check_pages(json_t *const *pages, size_t count, struct bytes kept)
{
    static struct auditor auditor, again;
    uint8_t hash[SHA384_LEN];
    struct fault fault = FAULT_NONE;
    const enum err err = take_pages(pages, count, kept, &auditor, &fault);
    fuzz_check(err, &fault, 0, kept.len, NULL, 0);
    FUZZ_HOLDS(take_pages(pages, count, kept, &again, NULL) == err);
    auditor_free(&again);
    if (err == ERR_OK && auditor.begun) {
        FUZZ_OK(audit_chain_first(auditor.store_id, hash));
        uint64_t sequence = 0;
        for (size_t i = 0; i < count; i++)
            chain_records(pages[i], &sequence, hash);
        FUZZ_HOLDS(sequence == auditor.sequence);
        FUZZ_HOLDS(memcmp(hash, auditor.hash, sizeof hash) == 0);
        FUZZ_HOLDS(auditor.complete_to <= auditor.sequence && auditor.key_count >= 1);
        FUZZ_HOLDS(kept.len == 0 || auditor.expected_met);
    }
    auditor_free(&auditor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    json_t *pages[PAGES_MAX] = {0};
    size_t count = 0;
    CLEANUP(buf_free) struct buf kept = {0};
    (void)fuzz_keys();
    while (in.len > 0 && count < PAGES_MAX) {
        const uint8_t *end = memchr(in.ptr, '\n', in.len);
        const struct bytes line = fuzz_take(&in, end == NULL ? in.len : (size_t)(end - in.ptr));
        (void)fuzz_take_byte(&in);
        if (json_reader_parse(line, &pages[count], NULL) == ERR_OK)
            count++;
        else if (count == 0 && kept.len == 0 && base64_decode(line, &kept) != ERR_OK)
            break;
    }
    check_pages(pages, count, bytes_of_buf(&kept));
    for (size_t i = 0; i < count; i++)
        json_decref(pages[i]);
    return 0;
}

static void add_base64(json_t *array, const char *member, struct bytes value)
{
    CLEANUP(buf_free) struct buf text = {0};
    FUZZ_OK(base64_append(&text, value));
    json_t *json = json_stringn((const char *)text.ptr, text.len);
    if (member == NULL)
        (void)json_array_append_new(array, json);
    else
        (void)json_array_append_new(array, json_pack("{s:o}", member, json));
}

#define DAY_MS UINT64_C(86400000)

/* An honest page of `count` records after `*sequence`, with a checkpoint of the last, made
 * at `time_ms`; `foreign`: as one of another store. */
static json_t *make_page(uint64_t *sequence, uint8_t hash[static SHA384_LEN], unsigned count,
                         uint64_t time_ms, bool foreign, struct buf *checkpoint)
{
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf delegation = {0};
    char store_id[2 * PROTOCOL_STORE_ID_LEN + 1];
    hex_encode(bytes_of(fuzz_store_id, sizeof fuzz_store_id), store_id);
    fuzz_delegation(&delegation);
    json_t *delegations = json_array(), *records = json_array(), *checkpoints = json_array();
    add_base64(delegations, NULL, bytes_of_buf(&delegation));
    if (*sequence == 0)
        FUZZ_OK(audit_chain_first(fuzz_store_id, hash));
    for (; count > 0; count--) {
        const struct audit_event event = {.time_ms = time_ms, .event = "serve.start"};
        CLEANUP(buf_free) struct buf record = {0};
        FUZZ_OK(audit_record_append(&event, ++*sequence, &record));
        FUZZ_OK(audit_chain_next(hash, bytes_of_buf(&record), hash));
        add_base64(records, NULL, bytes_of_buf(&record));
    }
    struct audit_checkpoint content = {.sequence = *sequence, .time_ms = time_ms};
    memcpy(content.store_id, fuzz_store_id, sizeof content.store_id);
    content.store_id[0] ^= foreign;
    memcpy(content.hash, hash, sizeof content.hash);
    checkpoint->len = 0;
    FUZZ_OK(audit_checkpoint_append(&content, &payload));
    fuzz_sign(COSE_CHECKPOINT, fuzz_keys()->receipt, bytes_of_buf(&payload), checkpoint);
    add_base64(checkpoints, "message", bytes_of_buf(checkpoint));
    return json_pack("{s:s,s:o,s:o,s:o}", "store_id", store_id, "delegations", delegations,
                     "records", records, "checkpoints", checkpoints);
}

/* Two pages; `keep`: the first one's checkpoint before them; `late`: the second one's made
 * when the key was not delegated any more, or as another store's. */
static void put_sample(bool keep, bool late, bool foreign, struct buf *out)
{
    uint64_t sequence = 0;
    uint8_t hash[SHA384_LEN];
    CLEANUP(buf_free) struct buf checkpoint = {0};
    CLEANUP(json_decref_p)
    json_t *first = make_page(&sequence, hash, 2, FUZZ_TIME_MS, false, &checkpoint);
    if (keep) {
        FUZZ_OK(base64_append(out, bytes_of_buf(&checkpoint)));
        FUZZ_OK(buf_append_text(out, "\n"));
    }
    CLEANUP(json_decref_p)
    json_t *second =
        make_page(&sequence, hash, 1, FUZZ_TIME_MS + (late ? DAY_MS : 1), foreign, &checkpoint);
    FUZZ_OK(json_append(out, first));
    FUZZ_OK(buf_append_text(out, "\n"));
    FUZZ_OK(json_append(out, second));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    CLEANUP(buf_free) struct buf whole = {0};
    uint8_t line[8192];
    if (size < 2 || fuzz_choose(&seed, 64) == 0) {
        const bool keep = fuzz_choose(&seed, 2) == 0;
        const bool late = fuzz_choose(&seed, 4) == 0;
        put_sample(keep, late, fuzz_choose(&seed, 4) == 0, &whole);
        return fuzz_replace(data, size, max_size, &whole);
    }
    /* One of the lines, as JSON. */
    size_t at = fuzz_choose(&seed, (uint32_t)size);
    while (at > 0 && data[at - 1] != '\n')
        at--;
    const uint8_t *feed = memchr(data + at, '\n', size - at);
    const size_t end = feed == NULL ? size : (size_t)(feed - data);
    if (end - at > sizeof line)
        return LLVMFuzzerMutate(data, size, max_size);
    memcpy(line, data + at, end - at);
    const size_t len = fuzz_mutate_json(line, end - at, sizeof line, seed);
    return fuzz_splice(data, size, max_size, at, end, bytes_of(line, len));
}
