/* The audit log, to read and to take away for verification. */
#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "admin_list.h"

struct audit_page {
    struct admin_call *call;
    json_t *records;
    char event[48]; /* "": any */
    bool encoded;   /* the records' own bytes, for verification */
    uint64_t last;  /* sequence seen last */
};

static enum err add_record(const struct audit_entry *entry, void *context)
{
    struct audit_page *page = context;
    json_t *shown = NULL;
    page->last = entry->sequence;
    if (page->event[0] != '\0' && strcmp(page->event, entry->event) != 0)
        return ERR_OK;
    if (page->encoded)
        shown = admin_base64(entry->record);
    else
        TRY(audit_record_to_json(entry->record, &shown, page->call->fault));
    return json_array_append_new(page->records, shown) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

static enum err read_page(struct admin_call *call, struct audit_page *page, uint64_t from,
                          uint64_t tail, uint64_t limit, json_t *out)
{
    struct store *store = call->warden->store;
    TRY(store_ops(store)->audit_scan(store, from, tail, limit, add_record, page, call->fault));
    if (page->last != 0 && page->last < tail)
        return admin_set(out, "next", json_integer((json_int_t)page->last + 1));
    return ERR_OK;
}

static enum err read_limit(struct admin_call *call, uint64_t *limit)
{
    *limit = ADMIN_LIMIT_DEFAULT;
    TRY(admin_uint(call, "limit", ADMIN_OPTIONAL, ADMIN_LIMIT_MAX, limit));
    if (*limit == 0)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "limit"), ERR_MALFORMED,
             "an integer of 1..%d is expected", ADMIN_LIMIT_MAX);
    return ERR_OK;
}

/* The newest `limit` records that are wanted, oldest first: read backwards in windows, since
 * records of one event may lie far apart. */
static enum err read_newest(struct admin_call *call, struct audit_page *page, uint64_t tail,
                            uint64_t limit)
{
    struct store *store = call->warden->store;
    json_t *newest = page->records; /* borrowed: the answer owns it */
    for (uint64_t end = tail; end > 0 && json_array_size(newest) < limit;) {
        CLEANUP(json_decrefp) json_t *window = json_array();
        const uint64_t from = end > ADMIN_LIMIT_MAX ? end - ADMIN_LIMIT_MAX + 1 : 1;
        page->records = window;
        TRY(store_ops(store)->audit_scan(store, from, end, ADMIN_LIMIT_MAX, add_record, page,
                                         call->fault));
        if (json_array_extend(window, newest) != 0 || json_array_clear(newest) != 0 ||
            json_array_extend(newest, window) != 0)
            return ERR_NO_MEMORY;
        end = from - 1;
    }
    while (json_array_size(newest) > limit) {
        if (json_array_remove(newest, 0) != 0)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

enum err admin_audit_list(struct admin_call *call, json_t *out)
{
    struct store *store = call->warden->store;
    struct audit_page page = {.call = call, .records = json_array()};
    char request[PROTOCOL_REQUEST_ID_MAX + 1] = "";
    struct audit_head head;
    uint64_t limit;
    uint64_t from = 0;

    TRY(admin_set(out, "records", page.records));
    TRY(admin_text(call, "request", ADMIN_OPTIONAL, sizeof request, request));
    TRY(admin_text(call, "event", ADMIN_OPTIONAL, sizeof page.event, page.event));
    TRY(admin_uint(call, "from", ADMIN_OPTIONAL, INT64_MAX, &from));
    TRY(read_limit(call, &limit));
    if (request[0] != '\0')
        return store_ops(store)->audit_find(store, request, add_record, &page, call->fault);
    TRY(store_ops(store)->read_audit_head(store, &head, call->fault));
    if (from == 0 && page.event[0] != '\0')
        return read_newest(call, &page, head.sequence, limit);
    if (from == 0)
        from = head.sequence > limit ? head.sequence - limit + 1 : 1;
    return read_page(call, &page, from, head.sequence, limit, out);
}

struct checkpoint_page {
    json_t *checkpoints;
};

static enum err add_checkpoint(uint64_t sequence, struct bytes message, void *context)
{
    struct checkpoint_page *page = context;
    json_t *shown = json_object();
    if (json_array_append_new(page->checkpoints, shown) != 0)
        return ERR_NO_MEMORY;
    TRY(admin_set(shown, "sequence", json_integer((json_int_t)sequence)));
    return admin_set(shown, "message", admin_base64(message));
}

/* Of every receipt key this store has had: checkpoints may be older than the current. */
static enum err set_delegations(struct admin_call *call, json_t *out)
{
    json_t *delegations = json_array();
    enum err err = admin_set(out, "delegations", delegations);
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    for (uint64_t id = 1; id <= policy_own_key_count(policy) && err == ERR_OK; id++) {
        const struct policy_own_key *key = policy_own_key_get(policy, id);
        if (key->delegation.len > 0 &&
            json_array_append_new(delegations, admin_base64(bytes_of_buf(&key->delegation))) != 0)
            err = ERR_NO_MEMORY;
    }
    ledger_done(call->warden->ledger);
    return err;
}

enum err admin_audit_export(struct admin_call *call, json_t *out)
{
    struct store *store = call->warden->store;
    const uint8_t *store_id = ledger_identity(call->warden->ledger)->store_id;
    struct audit_page page = {.call = call, .encoded = true};
    struct checkpoint_page checkpoints = {0};
    json_t *end;
    struct audit_head head;
    uint64_t limit;
    uint64_t from = 1;

    TRY(admin_set(out, "records", page.records = json_array()));
    TRY(admin_set(out, "checkpoints", checkpoints.checkpoints = json_array()));
    TRY(admin_set(out, "tail", end = json_object()));
    TRY(admin_uint(call, "from", ADMIN_OPTIONAL, INT64_MAX, &from));
    TRY(read_limit(call, &limit));
    TRY(admin_set(out, "store_id", admin_hex(bytes_of(store_id, PROTOCOL_STORE_ID_LEN))));
    TRY(admin_set(out, "from", json_integer((json_int_t)from)));
    TRY(set_delegations(call, out));
    TRY(store_ops(store)->read_audit_head(store, &head, call->fault));
    TRY(admin_set(end, "sequence", json_integer((json_int_t)head.sequence)));
    TRY(admin_set(end, "hash", admin_hex(bytes_of(head.hash, sizeof head.hash))));
    TRY(read_page(call, &page, from, head.sequence, limit, out));
    return store_ops(store)->checkpoint_scan(store, from, page.last, add_checkpoint, &checkpoints,
                                             call->fault);
}
