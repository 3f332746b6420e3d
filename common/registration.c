#include "registration.h"

#include "codec.h"
#include "json_reader.h"

void registration_free(struct registration *file)
{
    json_decref(file->measurement);
    *file = (struct registration){0};
}

enum err registration_parse(struct bytes text, struct registration *out, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *json = NULL;
    struct registration file = {0};
    const char *store = NULL;
    const char *expires = NULL;
    const struct json_member members[] = {
        {"store", JSON_MEMBER_TEXT, true, &store},
        {"serial", JSON_MEMBER_UINT, true, &file.serial},
        {"expires", JSON_MEMBER_TEXT, true, &expires},
        {"measurement", JSON_MEMBER_OBJECT, true, &file.measurement},
    };
    if (text.len > REGISTRATION_LEN_MAX)
        FAIL(fault, ERR_TOO_LARGE, "a registration file has at most %d bytes",
             REGISTRATION_LEN_MAX);
    TRY(json_reader_parse(text, &json, fault));
    TRY(json_reader_object(json, "", JSON_REQUEST, members, ARRAY_LEN(members), fault));
    if (hex_decode(bytes_of_text(store), file.store_id, sizeof file.store_id) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "store"), ERR_HEX,
             "the store's id is expected, %d hexadecimal digits", 2 * PROTOCOL_STORE_ID_LEN);
    if (file.serial == 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "serial"), ERR_MALFORMED, "at least 1 is expected");
    if (time_parse(expires, &file.expires_ms) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "expires"), ERR_MALFORMED,
             "a time such as 2026-11-23T08:00:00Z is expected");
    json_incref(file.measurement);
    *out = file;
    return ERR_OK;
}

static enum err set(json_t *object, const char *name, json_t *taken_value)
{
    return json_object_set_new(object, name, taken_value) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

enum err registration_append(const struct registration *file, struct buf *text)
{
    CLEANUP(json_decrefp) json_t *json = json_object();
    char store[2 * PROTOCOL_STORE_ID_LEN + 1];
    char expires[TIME_TEXT_MAX];
    hex_encode(bytes_of(file->store_id, sizeof file->store_id), store);
    time_format(file->expires_ms, expires);
    TRY(set(json, "store", json_string(store)));
    TRY(set(json, "serial", json_integer((json_int_t)file->serial)));
    TRY(set(json, "expires", json_string(expires)));
    TRY(set(json, "measurement", json_incref(file->measurement)));
    TRY(json_append_lines(text, json));
    return buf_append_text(text, "\n");
}
