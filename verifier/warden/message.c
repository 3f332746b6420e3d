#include "message.h"

#include <stdio.h>
#include <string.h>

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"

/* A request is the array [op, request id, peer, body]; bodies:
 *   challenge  null
 *   release    [document, [[name, version, min_version], ...]]   (0: absent)
 *   admin      [operation, token, {name: value, ...}]
 * A parameter's value is an integer, text, byte string, boolean, or a map of texts.
 * A reply is [code, field, offset or null, retry after, detail, body]. */

#define RETRY_AFTER_MAX_S 3600

static void write_wanted(struct cbor_writer *w, const struct wanted_list *wanted)
{
    cbor_writer_array(w, wanted->count);
    for (size_t i = 0; i < wanted->count; i++) {
        cbor_writer_array(w, 3);
        cbor_writer_cstr(w, wanted->item[i].name);
        cbor_writer_uint(w, wanted->item[i].version);
        cbor_writer_uint(w, wanted->item[i].min_version);
    }
}

static void write_param(struct cbor_writer *w, const struct param *p)
{
    cbor_writer_text(w, p->name);
    switch (p->type) {
    case PARAM_UINT:
        cbor_writer_uint(w, p->uint);
        return;
    case PARAM_BOOL:
        cbor_writer_bool(w, p->uint != 0);
        return;
    case PARAM_TEXT:
        cbor_writer_text(w, p->data);
        return;
    case PARAM_BYTES:
        cbor_writer_bytes(w, p->data);
        return;
    case PARAM_TEXT_MAP:
        cbor_writer_raw(w, p->data);
        return;
    }
}

enum err warden_request_append(const struct warden_request *request, struct buf *message)
{
    struct cbor_writer w;
    cbor_writer_init(&w, message);
    cbor_writer_array(&w, 4);
    cbor_writer_uint(&w, request->op);
    cbor_writer_cstr(&w, request->request_id);
    cbor_writer_cstr(&w, request->peer);
    switch (request->op) {
    case WARDEN_CHALLENGE:
        cbor_writer_null(&w);
        break;
    case WARDEN_RELEASE:
        cbor_writer_array(&w, 2);
        cbor_writer_bytes(&w, request->document);
        write_wanted(&w, &request->wanted);
        break;
    case WARDEN_ADMIN:
        cbor_writer_array(&w, 3);
        cbor_writer_text(&w, request->operation);
        cbor_writer_bytes(&w, request->token);
        cbor_writer_map(&w, request->param_count);
        for (size_t i = 0; i < request->param_count; i++)
            write_param(&w, &request->param[i]);
        break;
    }
    return cbor_writer_finish(&w);
}

static enum err read_cstr(struct cbor_reader *r, char *out, size_t size)
{
    struct bytes text;
    TRY(cbor_reader_text(r, &text));
    if (text.len >= size || memchr(text.ptr, 0, text.len) != NULL)
        FAIL(fault_at(r->fault, FAULT_NO_OFFSET, "%s", r->field), ERR_MALFORMED,
             "a text of at most %zu bytes without NUL is expected", size - 1);
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return ERR_OK;
}

static enum err read_wanted(struct cbor_reader *r, struct wanted_list *out)
{
    uint64_t count;
    TRY(cbor_reader_array(r, &count));
    if (count < 1 || count > PROTOCOL_SECRETS_MAX)
        FAIL(fault_at(r->fault, FAULT_NO_OFFSET, "secrets"), ERR_MALFORMED,
             "1..%d secrets are expected", PROTOCOL_SECRETS_MAX);
    for (uint64_t i = 0; i < count; i++) {
        struct bytes name;
        uint64_t version;
        uint64_t min_version;
        TRY(cbor_reader_expect_array(r, 3));
        TRY(cbor_reader_text(r, &name));
        TRY(cbor_reader_uint(r, &version));
        TRY(cbor_reader_uint(r, &min_version));
        TRY(wanted_add(out, name, version, min_version, r->fault));
    }
    return ERR_OK;
}

/* RFC 8949 section 4.2.1, of texts: the shorter first, then by bytes. */
static bool in_order(struct bytes a, struct bytes b)
{
    return a.len != b.len ? a.len < b.len : memcmp(a.ptr, b.ptr, a.len) < 0;
}

/* A map of texts is kept as the bytes it came in, once it has proved to be one, in the
 * deterministic order: so no key is in it twice. */
static enum err read_text_map(struct cbor_reader *r, struct bytes *out)
{
    const size_t start = r->pos;
    struct bytes last = {0};
    struct cbor_map map;
    bool more;
    TRY(cbor_reader_map(r, false, &map));
    for (bool first = true;; first = false) {
        struct bytes key;
        struct bytes value;
        TRY(cbor_reader_map_more(r, &map, &more));
        if (!more)
            break;
        TRY(cbor_reader_text(r, &key));
        TRY(cbor_reader_text(r, &value));
        if (!first && !in_order(last, key))
            FAIL(fault_at(r->fault, r->pos, "params"), ERR_CBOR_NOT_STRICT,
                 "a map's keys are not in deterministic order");
        last = key;
    }
    *out = bytes_of(r->in.ptr + start, r->pos - start);
    return ERR_OK;
}

static enum err read_param(struct cbor_reader *r, struct param *out)
{
    TRY(cbor_reader_text(r, &out->name));
    struct cbor_item item;
    TRY(cbor_reader_peek(r, &item));
    switch (item.kind) {
    case CBOR_KIND_UINT:
        out->type = PARAM_UINT;
        return cbor_reader_uint(r, &out->uint);
    case CBOR_KIND_TRUE:
    case CBOR_KIND_FALSE:
        out->type = PARAM_BOOL;
        out->uint = item.kind == CBOR_KIND_TRUE;
        return cbor_reader_next(r, &item);
    case CBOR_KIND_TEXT:
        out->type = PARAM_TEXT;
        return cbor_reader_text(r, &out->data);
    case CBOR_KIND_BYTES:
        out->type = PARAM_BYTES;
        return cbor_reader_bytes(r, &out->data);
    case CBOR_KIND_MAP:
        out->type = PARAM_TEXT_MAP;
        return read_text_map(r, &out->data);
    default:
        FAIL(fault_at(r->fault, item.offset, "params"), ERR_MALFORMED,
             "a parameter is an integer, a boolean, text, bytes or a map of texts");
    }
}

static enum err read_params(struct cbor_reader *r, struct warden_request *out)
{
    struct cbor_map map;
    bool more;
    TRY(cbor_reader_map(r, false, &map));
    for (;;) {
        TRY(cbor_reader_map_more(r, &map, &more));
        if (!more)
            return ERR_OK;
        if (out->param_count == WARDEN_PARAMS_MAX)
            FAIL(fault_at(r->fault, FAULT_NO_OFFSET, "params"), ERR_MALFORMED,
                 "at most %d parameters are expected", WARDEN_PARAMS_MAX);
        struct param *p = &out->param[out->param_count];
        TRY(read_param(r, p));
        for (size_t i = 0; i < out->param_count; i++) {
            if (bytes_equal(out->param[i].name, p->name))
                FAIL(fault_at(r->fault, FAULT_NO_OFFSET, "params"), ERR_MALFORMED,
                     "a parameter is given twice");
        }
        out->param_count++;
    }
}

static enum err read_body(struct cbor_reader *r, struct warden_request *out)
{
    struct cbor_item item;
    switch (out->op) {
    case WARDEN_CHALLENGE:
        TRY(cbor_reader_next(r, &item));
        if (item.kind != CBOR_KIND_NULL)
            FAIL(r->fault, ERR_MALFORMED, "a challenge has no body");
        return ERR_OK;
    case WARDEN_RELEASE:
        TRY(cbor_reader_expect_array(r, 2));
        TRY(cbor_reader_bytes(r, &out->document));
        return read_wanted(r, &out->wanted);
    case WARDEN_ADMIN:
        TRY(cbor_reader_expect_array(r, 3));
        TRY(cbor_reader_text(r, &out->operation));
        TRY(cbor_reader_bytes(r, &out->token));
        if (out->token.len != 0 && out->token.len != WARDEN_TOKEN_LEN)
            FAIL(fault_at(r->fault, FAULT_NO_OFFSET, "token"), ERR_UNAUTHENTICATED,
                 "a token has %d bytes", WARDEN_TOKEN_LEN);
        return read_params(r, out);
    }
    FAIL(fault_at(r->fault, FAULT_NO_OFFSET, "op"), ERR_MALFORMED, "an unknown operation");
}

enum err warden_request_parse(struct bytes message, struct warden_request *out, struct fault *fault)
{
    struct warden_request request = {0};
    struct cbor_reader r;
    uint64_t op;
    cbor_reader_init(&r, message, 0, "message", fault);
    TRY(cbor_reader_expect_array(&r, 4));
    TRY(cbor_reader_uint(&r, &op));
    if (op < WARDEN_CHALLENGE || op > WARDEN_ADMIN)
        FAIL(fault_at(fault, 0, "op"), ERR_MALFORMED, "an unknown operation");
    request.op = (enum warden_op)op;
    TRY(read_cstr(&r, request.request_id, sizeof request.request_id));
    TRY(read_cstr(&r, request.peer, sizeof request.peer));
    TRY(read_body(&r, &request));
    TRY(cbor_reader_end(&r));
    *out = request;
    return ERR_OK;
}

void warden_reply_free(struct warden_reply *reply)
{
    buf_free(&reply->body);
}

enum err warden_reply_append(const struct warden_reply *reply, struct buf *message)
{
    struct cbor_writer w;
    cbor_writer_init(&w, message);
    cbor_writer_array(&w, 6);
    cbor_writer_cstr(&w, reply->fault.code == ERR_OK ? "ok" : err_wire(reply->fault.code));
    cbor_writer_cstr(&w, reply->fault.field);
    if (reply->fault.offset == FAULT_NO_OFFSET)
        cbor_writer_null(&w);
    else
        cbor_writer_uint(&w, reply->fault.offset);
    cbor_writer_uint(&w, reply->fault.retry_after_s);
    cbor_writer_cstr(&w, reply->fault.detail);
    cbor_writer_bytes(&w, bytes_of_buf(&reply->body));
    return cbor_writer_finish(&w);
}

enum err warden_reply_parse(struct bytes message, struct warden_reply *out, struct fault *fault)
{
    struct warden_reply reply = {.fault = FAULT_NONE};
    struct cbor_reader r;
    struct cbor_item item;
    struct bytes body;
    uint64_t retry_after_s;
    char wire[64];
    cbor_reader_init(&r, message, 0, "reply", fault);
    TRY(cbor_reader_expect_array(&r, 6));
    TRY(read_cstr(&r, wire, sizeof wire));
    TRY(read_cstr(&r, reply.fault.field, sizeof reply.fault.field));
    TRY(cbor_reader_next(&r, &item));
    /* What stands for no offset has one form, null. */
    if (item.kind == CBOR_KIND_UINT && item.value != FAULT_NO_OFFSET)
        reply.fault.offset = item.value;
    else if (item.kind != CBOR_KIND_NULL)
        FAIL(fault, ERR_MALFORMED, "an offset is an integer or null");
    TRY(cbor_reader_uint(&r, &retry_after_s));
    if (retry_after_s > RETRY_AFTER_MAX_S)
        FAIL(fault, ERR_MALFORMED, "a wait of more than %d s", RETRY_AFTER_MAX_S);
    reply.fault.retry_after_s = (unsigned)retry_after_s;
    TRY(read_cstr(&r, reply.fault.detail, sizeof reply.fault.detail));
    TRY(cbor_reader_bytes(&r, &body));
    TRY(cbor_reader_end(&r));
    reply.fault.code = err_from_wire(wire);
    if (reply.fault.code == ERR_OK && strcmp(wire, "ok") != 0)
        FAIL(fault, ERR_MALFORMED, "a reply with an unknown code");
    TRY(buf_append(&reply.body, body));
    *out = reply;
    return ERR_OK;
}
