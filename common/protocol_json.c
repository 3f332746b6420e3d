#include <inttypes.h>
#include <stdio.h>

#include "attdoc.h"
#include "codec.h"
#include "json_reader.h"
#include "protocol.h"

/* What no JSON integer can be: tells an absent version from 0, which is refused. */
#define NOT_GIVEN UINT64_MAX

/* Sets a member; takes `value` over, which is NULL where memory ran out. */
static enum err set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

static enum err set_base64(json_t *object, const char *name, struct bytes value)
{
    CLEANUP(buf_free) struct buf text = {0};
    TRY(base64_append(&text, value));
    return set(object, name, json_stringn(text.len == 0 ? "" : (const char *)text.ptr, text.len));
}

/* Starts an empty container of its own in `parent` and lends it to the caller. */
static enum err add_object(json_t *array, json_t **out)
{
    json_t *object = json_object();
    if (json_array_append_new(array, object) != 0)
        return ERR_NO_MEMORY;
    *out = object;
    return ERR_OK;
}

static enum err set_array(json_t *object, const char *name, json_t **out)
{
    json_t *array = json_array();
    TRY(set(object, name, array));
    *out = array;
    return ERR_OK;
}

void release_request_free(struct release_request *request)
{
    buf_free(&request->document);
    *request = (struct release_request){0};
}

/* One entry of "secrets". */
static enum err read_wanted(json_t *entry, size_t index, struct wanted_list *wanted,
                            struct fault *fault)
{
    char path[32];
    snprintf(path, sizeof path, "secrets[%zu]", index);
    const char *name = NULL;
    uint64_t version = NOT_GIVEN;
    uint64_t min_version = NOT_GIVEN;
    const struct json_member members[] = {
        {"name", JSON_MEMBER_TEXT, true, &name},
        {"version", JSON_MEMBER_UINT, false, &version},
        {"min_version", JSON_MEMBER_UINT, false, &min_version},
    };
    TRY(json_reader_object(entry, path, JSON_REQUEST, members, ARRAY_LEN(members), fault));
    if (version == 0 || min_version == 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), ERR_MALFORMED, "a version is 1..%d",
             PROTOCOL_VERSION_MAX);
    const enum err err = wanted_add(wanted, bytes_of_text(name), version == NOT_GIVEN ? 0 : version,
                                    min_version == NOT_GIVEN ? 0 : min_version, fault);
    if (err != ERR_OK)
        fault_at(fault, FAULT_NO_OFFSET, "%s", path);
    return err;
}

static enum err check_document_len(size_t len, struct fault *fault)
{
    static const char field[] = "attestation_document";
    if (len == 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, field), ERR_MALFORMED, "must not be empty");
    if (len > ATTDOC_LEN_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, field), ERR_TOO_LARGE, "%zu bytes, more than %d", len,
             ATTDOC_LEN_MAX);
    return ERR_OK;
}

enum err release_request_parse(struct bytes json, struct release_request *out, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    TRY(json_reader_parse(json, &body, fault));
    CLEANUP(release_request_free) struct release_request request = {0};
    json_t *secrets = NULL;
    const struct json_member members[] = {
        {"attestation_document", JSON_MEMBER_BASE64, true, &request.document},
        {"secrets", JSON_MEMBER_ARRAY, true, &secrets},
    };
    TRY(json_reader_object(body, "", JSON_REQUEST, members, ARRAY_LEN(members), fault));
    TRY(check_document_len(request.document.len, fault));
    const size_t count = json_array_size(secrets);
    if (count == 0 || count > PROTOCOL_SECRETS_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "secrets"), ERR_MALFORMED,
             "%zu entries; 1..%d secrets can be asked for", count, PROTOCOL_SECRETS_MAX);
    for (size_t i = 0; i < count; i++)
        TRY(read_wanted(json_array_get(secrets, i), i, &request.wanted, fault));
    *out = request;
    request = (struct release_request){0};
    return ERR_OK;
}

static enum err write_wanted(const struct wanted *wanted, json_t *secrets)
{
    json_t *entry = NULL;
    TRY(add_object(secrets, &entry));
    TRY(set(entry, "name", json_string(wanted->name)));
    if (wanted->version != 0)
        TRY(set(entry, "version", json_integer(wanted->version)));
    if (wanted->min_version != 0)
        TRY(set(entry, "min_version", json_integer(wanted->min_version)));
    return ERR_OK;
}

/* What wanted_add would take, once more from the beginning. */
static bool wanted_valid(const struct wanted_list *wanted)
{
    if (wanted->count == 0 || wanted->count > PROTOCOL_SECRETS_MAX)
        return false;
    struct wanted_list again = {0};
    for (size_t i = 0; i < wanted->count; i++) {
        const struct wanted *item = &wanted->item[i];
        if (wanted_add(&again, bytes_of_text(item->name), item->version, item->min_version, NULL) !=
            ERR_OK)
            return false;
    }
    return true;
}

enum err release_request_append(const struct release_request *request, struct buf *json)
{
    if (!wanted_valid(&request->wanted) ||
        check_document_len(request->document.len, NULL) != ERR_OK)
        return ERR_INTERNAL;
    CLEANUP(json_decrefp) json_t *body = json_object();
    TRY(set_base64(body, "attestation_document", bytes_of_buf(&request->document)));
    json_t *secrets = NULL;
    TRY(set_array(body, "secrets", &secrets));
    for (size_t i = 0; i < request->wanted.count; i++)
        TRY(write_wanted(&request->wanted.item[i], secrets));
    return json_append(json, body);
}

void release_answer_free(struct release_answer *answer)
{
    buf_free(&answer->receipt);
    buf_free(&answer->delegation);
    buf_free(&answer->enc);
    for (size_t i = 0; i < PROTOCOL_SECRETS_MAX; i++)
        buf_free(&answer->item[i].ciphertext);
    *answer = (struct release_answer){0};
}

static bool released_valid(struct bytes name, uint64_t version, size_t ciphertext_len)
{
    return protocol_name_valid(name) && version >= 1 && version <= PROTOCOL_VERSION_MAX &&
           ciphertext_len > PROTOCOL_TAG_LEN &&
           ciphertext_len <= PROTOCOL_SECRET_MAX + PROTOCOL_TAG_LEN;
}

static bool answer_valid(const struct release_answer *answer)
{
    if (answer->receipt.len == 0 || answer->delegation.len == 0 || answer->enc.len == 0)
        return false;
    if (answer->format[0] == '\0' || answer->count == 0 || answer->count > PROTOCOL_SECRETS_MAX)
        return false;
    for (size_t i = 0; i < answer->count; i++) {
        const struct released *item = &answer->item[i];
        if (!released_valid(bytes_of_text(item->name), item->version, item->ciphertext.len))
            return false;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(item->name, answer->item[k].name) == 0)
                return false;
        }
    }
    return true;
}

/* One entry of the answer's "secrets"; what it owns is the answer's from the start. */
static enum err read_released(json_t *entry, size_t index, struct released *out,
                              struct fault *fault)
{
    char path[32];
    snprintf(path, sizeof path, "secrets[%zu]", index);
    const char *name = NULL;
    uint64_t version = 0;
    const struct json_member members[] = {
        {"name", JSON_MEMBER_TEXT, true, &name},
        {"version", JSON_MEMBER_UINT, true, &version},
        {"ciphertext", JSON_MEMBER_BASE64, true, &out->ciphertext},
    };
    TRY(json_reader_object(entry, path, JSON_ANSWER, members, ARRAY_LEN(members), fault));
    if (!released_valid(bytes_of_text(name), version, out->ciphertext.len))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", path), ERR_MALFORMED,
             "name, version or size of the ciphertext is none that a secret can have");
    snprintf(out->name, sizeof out->name, "%s", name);
    out->version = (uint32_t)version;
    (void)json_object_clear(entry); /* it has the ciphertext once more, as text */
    return ERR_OK;
}

enum err release_answer_parse(struct buf *json, struct release_answer *out, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    TRY(json_reader_take(json, &body, fault));
    CLEANUP(release_answer_free) struct release_answer answer = {0};
    json_t *secrets = NULL;
    const char *format = NULL;
    const struct json_member members[] = {
        {"receipt", JSON_MEMBER_BASE64, true, &answer.receipt},
        {"delegation", JSON_MEMBER_BASE64, true, &answer.delegation},
        {"format", JSON_MEMBER_TEXT, true, &format},
        {"enc", JSON_MEMBER_BASE64, true, &answer.enc},
        {"secrets", JSON_MEMBER_ARRAY, true, &secrets},
    };
    TRY(json_reader_object(body, "", JSON_ANSWER, members, ARRAY_LEN(members), fault));
    if (strlen(format) >= sizeof answer.format)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "format"), ERR_MALFORMED, "no known format");
    snprintf(answer.format, sizeof answer.format, "%s", format);
    answer.count = json_array_size(secrets);
    if (answer.count == 0 || answer.count > PROTOCOL_SECRETS_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "secrets"), ERR_MALFORMED,
             "%zu entries; an answer has 1..%d", answer.count, PROTOCOL_SECRETS_MAX);
    for (size_t i = 0; i < answer.count; i++)
        TRY(read_released(json_array_get(secrets, i), i, &answer.item[i], fault));
    if (!answer_valid(&answer))
        FAIL(fault, ERR_MALFORMED, "an empty member, or a secret twice");
    *out = answer;
    answer = (struct release_answer){0};
    return ERR_OK;
}

enum err release_answer_append(const struct release_answer *answer, struct buf *json)
{
    if (!answer_valid(answer))
        return ERR_INTERNAL;
    CLEANUP(json_decrefp) json_t *body = json_object();
    TRY(set_base64(body, "receipt", bytes_of_buf(&answer->receipt)));
    TRY(set_base64(body, "delegation", bytes_of_buf(&answer->delegation)));
    TRY(set(body, "format", json_string(answer->format)));
    TRY(set_base64(body, "enc", bytes_of_buf(&answer->enc)));
    json_t *secrets = NULL;
    TRY(set_array(body, "secrets", &secrets));
    for (size_t i = 0; i < answer->count; i++) {
        json_t *entry = NULL;
        TRY(add_object(secrets, &entry));
        TRY(set(entry, "name", json_string(answer->item[i].name)));
        TRY(set(entry, "version", json_integer(answer->item[i].version)));
        TRY(set_base64(entry, "ciphertext", bytes_of_buf(&answer->item[i].ciphertext)));
    }
    return json_append(json, body);
}

enum err challenge_answer_parse(struct bytes json, uint8_t challenge[static PROTOCOL_CHALLENGE_LEN],
                                struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    TRY(json_reader_parse(json, &body, fault));
    CLEANUP(buf_free) struct buf value = {0};
    uint64_t expires_in_s = 0;
    const struct json_member members[] = {
        {"challenge", JSON_MEMBER_BASE64, true, &value},
        {"expires_in_s", JSON_MEMBER_UINT, true, &expires_in_s},
    };
    TRY(json_reader_object(body, "", JSON_ANSWER, members, ARRAY_LEN(members), fault));
    if (value.len != PROTOCOL_CHALLENGE_LEN)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "challenge"), ERR_MALFORMED,
             "must be %d bytes, is %zu", PROTOCOL_CHALLENGE_LEN, value.len);
    memcpy(challenge, value.ptr, PROTOCOL_CHALLENGE_LEN);
    return ERR_OK;
}

enum err challenge_answer_append(const uint8_t challenge[static PROTOCOL_CHALLENGE_LEN],
                                 uint64_t expires_in_s, struct buf *json)
{
    CLEANUP(json_decrefp) json_t *body = json_object();
    TRY(set_base64(body, "challenge", bytes_of(challenge, PROTOCOL_CHALLENGE_LEN)));
    TRY(set(body, "expires_in_s", json_integer((json_int_t)expires_in_s)));
    return json_append(json, body);
}

/* Copies what fits; a terminal sees printable ASCII only. */
static void copy_printable(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
    for (char *c = out; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?';
    }
}

#define REQUEST_ID_CHARACTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"

enum err problem_parse(struct bytes json, struct problem *out, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    TRY(json_reader_parse(json, &body, fault));
    uint64_t status = 0;
    uint64_t offset = FAULT_NO_OFFSET;
    const char *code = NULL;
    const char *detail = "";
    const char *request_id = "";
    const char *field = "";
    bool retryable = false;
    const struct json_member members[] = {
        {"status", JSON_MEMBER_UINT, true, &status},
        {"code", JSON_MEMBER_TEXT, true, &code},
        {"detail", JSON_MEMBER_TEXT, false, &detail},
        {"request_id", JSON_MEMBER_TEXT, false, &request_id},
        {"retryable", JSON_MEMBER_BOOL, false, &retryable},
        {"field", JSON_MEMBER_TEXT, false, &field},
        {"offset", JSON_MEMBER_UINT, false, &offset},
    };
    TRY(json_reader_object(body, "", JSON_ANSWER, members, ARRAY_LEN(members), fault));
    if (status < 400 || status > 599)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "status"), ERR_MALFORMED,
             "%" PRIu64 " is no status of a refusal", status);
    if (code[0] == '\0' || strlen(code) > PROTOCOL_CODE_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "code"), ERR_MALFORMED, "must be 1..%d bytes",
             PROTOCOL_CODE_MAX);
    *out = (struct problem){
        .status = (int)status,
        .code = err_from_wire(code),
        .retryable = retryable,
        .offset = (size_t)offset,
    };
    copy_printable(out->code_wire, sizeof out->code_wire, code);
    copy_printable(out->detail, sizeof out->detail, detail);
    /* A refusal is unsigned, and this ends up in commands that people copy. */
    if (strspn(request_id, REQUEST_ID_CHARACTERS) == strlen(request_id))
        copy_printable(out->request_id, sizeof out->request_id, request_id);
    copy_printable(out->field, sizeof out->field, field);
    return ERR_OK;
}

enum err problem_append(int status, const struct fault *fault, const char *request_id,
                        struct buf *json)
{
    const enum err code = fault->code == ERR_OK ? ERR_INTERNAL : fault->code;
    const char *sentence = err_sentence(code);
    char type[sizeof "urn:vouchsafe:error:" + PROTOCOL_CODE_MAX];
    snprintf(type, sizeof type, "urn:vouchsafe:error:%s", err_wire(code));
    CLEANUP(json_decrefp) json_t *body = json_object();
    TRY(set(body, "type", json_string(type)));
    TRY(set(body, "title", json_string(sentence)));
    TRY(set(body, "status", json_integer(status)));
    TRY(set(body, "detail", json_string(fault->detail[0] == '\0' ? sentence : fault->detail)));
    TRY(set(body, "code", json_string(err_wire(code))));
    if (request_id != NULL && request_id[0] != '\0')
        TRY(set(body, "request_id", json_string(request_id)));
    TRY(set(body, "retryable", json_boolean(err_retry(code) != ERR_RETRY_STOP)));
    if (fault->field[0] != '\0')
        TRY(set(body, "field", json_string(fault->field)));
    if (fault->offset != FAULT_NO_OFFSET)
        TRY(set(body, "offset", json_integer((json_int_t)fault->offset)));
    return json_append(json, body);
}
