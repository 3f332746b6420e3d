/* Audit records and checkpoints read back: audit_record.c writes what is read here. */
#include <stdio.h>
#include <string.h>

#include "audit_record.h"
#include "cbor_reader.h"
#include "codec.h"
#include "json_reader.h"

static enum err set(json_t *object, const char *name, json_t *taken)
{
    return json_object_set_new(object, name, taken) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

/* JSON's integers, and times, end at 2^63 - 1: no record of ours goes beyond. */
static enum err read_int(struct cbor_reader *r, uint64_t *out)
{
    TRY(cbor_reader_uint(r, out));
    if (*out > INT64_MAX)
        FAIL(fault_at(r->fault, r->pos, "%s", r->field), ERR_CBOR_TYPE,
             "an integer of at most 2^63 - 1 is expected");
    return ERR_OK;
}

static enum err set_uint(json_t *object, const char *name, struct cbor_reader *r)
{
    uint64_t value;
    TRY(read_int(r, &value));
    return set(object, name, json_integer((json_int_t)value));
}

static enum err set_time(json_t *object, const char *name, struct cbor_reader *r)
{
    uint64_t value;
    char text[TIME_TEXT_MAX];
    TRY(read_int(r, &value));
    time_format((int64_t)value, text);
    return set(object, name, json_string(text));
}

static enum err set_text(json_t *object, const char *name, struct cbor_reader *r)
{
    struct bytes value;
    TRY(cbor_reader_text(r, &value));
    return set(object, name, json_stringn((const char *)value.ptr, value.len));
}

static enum err set_hex(json_t *object, const char *name, struct cbor_reader *r)
{
    CLEANUP(buf_free) struct buf hex = {0};
    struct bytes value;
    TRY(cbor_reader_bytes(r, &value));
    TRY(hex_append(&hex, value));
    return set(object, name, json_stringn(hex.len == 0 ? "" : (const char *)hex.ptr, hex.len));
}

static enum err set_bool(json_t *object, const char *name, struct cbor_reader *r)
{
    bool value;
    TRY(cbor_reader_bool(r, &value));
    return set(object, name, json_boolean(value));
}

static enum err set_pcrs(json_t *object, const char *name, struct cbor_reader *r)
{
    CLEANUP(json_decrefp) json_t *pcrs = json_object();
    struct cbor_map map;
    bool more;
    uint64_t next = 0;
    TRY(cbor_reader_map(r, false, &map));
    for (;;) {
        uint64_t index;
        char key[24];
        TRY(cbor_reader_map_more(r, &map, &more));
        if (!more)
            return set(object, name, TAKE(pcrs));
        TRY(cbor_reader_uint(r, &index));
        if (index < next || index >= ATTDOC_PCR_COUNT)
            FAIL(fault_at(r->fault, r->pos, "%s", r->field), ERR_CBOR_NOT_STRICT,
                 "PCR %llu is unknown or out of order", (unsigned long long)index);
        next = index + 1;
        snprintf(key, sizeof key, "%llu", (unsigned long long)index);
        TRY(set_hex(pcrs, key, r));
    }
}

typedef enum err member_fn(json_t *object, const char *name, struct cbor_reader *r);
struct member {
    const char *name;
    member_fn *fn;
};

/* A map with integer keys 1..count, ascending, each read by its row. */
static enum err read_map(struct cbor_reader *r, const struct member *members, size_t count,
                         json_t *object)
{
    struct cbor_map map;
    bool more;
    uint64_t last = 0;
    TRY(cbor_reader_map(r, false, &map));
    for (;;) {
        uint64_t key;
        TRY(cbor_reader_map_more(r, &map, &more));
        if (!more)
            return ERR_OK;
        TRY(cbor_reader_uint(r, &key));
        if (key <= last || key > count)
            FAIL(fault_at(r->fault, r->pos, "%s", r->field), ERR_CBOR_NOT_STRICT,
                 "key %llu is unknown or out of order", (unsigned long long)key);
        TRY(members[key - 1].fn(object, members[key - 1].name, r));
        last = key;
    }
}

static const struct member document_members[] = {
    {"digest", set_hex},       {"module_id", set_text},
    {"kind", set_text},        {"debug", set_bool},
    {"timestamp", set_time},   {"root_sha256", set_hex},
    {"region", set_text},      {"pcrs", set_pcrs},
    {"pcr_present", set_uint}, {"application_sha256", set_hex},
};

static enum err set_document(json_t *object, const char *name, struct cbor_reader *r)
{
    CLEANUP(json_decrefp) json_t *document = json_object();
    TRY(read_map(r, document_members, ARRAY_LEN(document_members), document));
    return set(object, name, TAKE(document));
}

static enum err read_item(struct cbor_reader *r, json_t *array)
{
    CLEANUP(json_decrefp) json_t *item = json_object();
    TRY(cbor_reader_expect_array(r, 5));
    TRY(set_text(item, "name", r));
    TRY(set_uint(item, "version", r));
    TRY(set_uint(item, "flags", r));
    TRY(set_text(item, "reason", r));
    TRY(set_text(item, "measurement", r));
    return json_array_append_new(array, TAKE(item)) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

static enum err set_items(json_t *object, const char *name, struct cbor_reader *r)
{
    CLEANUP(json_decrefp) json_t *array = json_array();
    uint64_t count;
    TRY(cbor_reader_array(r, &count));
    for (uint64_t i = 0; i < count; i++)
        TRY(read_item(r, array));
    return set(object, name, TAKE(array));
}

/* 0: not asked for. */
static enum err set_asked_one(json_t *asked, const char *name, struct cbor_reader *r)
{
    uint64_t value;
    TRY(read_int(r, &value));
    return value == 0 ? ERR_OK : set(asked, name, json_integer((json_int_t)value));
}

/* Into the secrets, which come before. */
static enum err set_asked(json_t *object, const char *name, struct cbor_reader *r)
{
    const json_t *secrets = json_object_get(object, "secrets");
    uint64_t count;
    TRY(cbor_reader_array(r, &count));
    if (count != json_array_size(secrets))
        FAIL(fault_at(r->fault, r->pos, "%s", r->field), ERR_CBOR_NOT_STRICT,
             "what was asked of %llu secrets, and there are %zu", (unsigned long long)count,
             json_array_size(secrets));
    for (size_t i = 0; i < count; i++) {
        json_t *asked = json_object();
        TRY(set(json_array_get(secrets, i), name, asked));
        TRY(cbor_reader_expect_array(r, 2));
        TRY(set_asked_one(asked, "version", r));
        TRY(set_asked_one(asked, "min_version", r));
    }
    return ERR_OK;
}

static const struct member record_members[] = {
    {"sequence", set_uint},   {"time", set_time},         {"event", set_text},
    {"request_id", set_text}, {"peer", set_text},         {"policy_revision", set_uint},
    {"person", set_text},     {"code", set_text},         {"detail", set_text},
    {"object", set_text},     {"document", set_document}, {"challenge", set_hex},
    {"secrets", set_items},   {"asked", set_asked},
};

/* What every record says, whatever it is about. */
static enum err demand_members(const json_t *object, struct fault *fault)
{
    static const char *const names[] = {"sequence", "time", "event", "policy_revision"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (json_object_get(object, names[i]) == NULL)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "record"), ERR_CBOR_MALFORMED,
                 "the record holds no %s", names[i]);
    }
    return ERR_OK;
}

enum err audit_record_to_json(struct bytes record, json_t **out, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *object = json_object();
    struct cbor_reader r;
    cbor_reader_init(&r, record, 0, "record", fault);
    TRY(read_map(&r, record_members, ARRAY_LEN(record_members), object));
    TRY(cbor_reader_end(&r));
    TRY(demand_members(object, fault));
    *out = TAKE(object);
    return ERR_OK;
}

static enum err read_exact(struct cbor_reader *r, uint8_t *out, size_t len)
{
    struct bytes value;
    TRY(cbor_reader_bytes(r, &value));
    if (value.len != len)
        FAIL(fault_at(r->fault, r->pos, "%s", r->field), ERR_MALFORMED,
             "%zu byte%s found, %zu expected", value.len, plural(value.len), len);
    memcpy(out, value.ptr, len);
    return ERR_OK;
}

enum err audit_checkpoint_parse(struct bytes payload, struct audit_checkpoint *out,
                                struct fault *fault)
{
    struct audit_checkpoint c = {0};
    struct cbor_reader r;
    struct cbor_map map;
    bool more;
    cbor_reader_init(&r, payload, 0, "checkpoint", fault);
    TRY(cbor_reader_map(&r, false, &map));
    if (map.left != 6)
        FAIL(fault, ERR_MALFORMED, "a checkpoint has 6 members");
    for (uint64_t key = 1; key <= 6; key++) {
        TRY(cbor_reader_map_more(&r, &map, &more));
        TRY(cbor_reader_expect_uint(&r, key));
        switch (key) {
        case 1:
            TRY(cbor_reader_expect_uint(&r, PROTOCOL_VERSION));
            break;
        case 2:
            TRY(read_exact(&r, c.store_id, sizeof c.store_id));
            break;
        case 3:
            TRY(cbor_reader_uint(&r, &c.sequence));
            break;
        case 4:
            TRY(read_exact(&r, c.hash, sizeof c.hash));
            break;
        case 5:
            TRY(cbor_reader_uint(&r, &c.time_ms));
            break;
        default:
            TRY(cbor_reader_uint(&r, &c.policy_revision));
            break;
        }
    }
    TRY(cbor_reader_end(&r));
    *out = c;
    return ERR_OK;
}
